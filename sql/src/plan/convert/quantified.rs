//! Comparisons with a subquery's rows and of rows, and ARRAY of a subquery, folded in the syntax
//! tree.
//!
//! | written             | planned                                                            |
//! |---------------------|--------------------------------------------------------------------|
//! | `x = ANY (query)`   | `x IN (query)`                                                      |
//! | `x <> ALL (query)`  | `x NOT IN (query)`                                                  |
//! | `x < ANY (query)`   | true if `x` is less than the greatest; NULL if one is NULL; else false |
//! | `x < ALL (query)`   | `NOT x >= ANY (query)`                                              |
//! | `x < ANY (array)`   | the same, where the array may have NULL and NULL is not false       |
//! | `(a, b) < (c, d)`   | `a < c OR a = c AND b < d`                                          |
//! | `(a, b) IN (query)` | in WHERE: `EXISTS (… a = v1 AND b = v2)`; else like `< ANY`         |
//! | `(a, b) IS NULL`    | `a IS NULL AND b IS NULL`                                           |
//! | `ARRAY(query)`      | its rows aggregated in their order; without rows the empty array    |
//!
//! NULLs as in Postgres: a comparison with NULL is NULL unless another decides.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArguments,
    GroupByExpr, Ident, OrderByKind, Query, SelectItem, SetExpr, TableFactor, UnaryOperator, Value,
    VisitMut, VisitorMut,
};

use crate::names::MARK;
use crate::parse;

/// Folds `expression` if it is such a comparison.
pub(super) fn fold(expression: &mut Expr) {
    let new = match expression {
        Expr::AnyOp { left, compare_op, right, is_some } => match subquery(right) {
            Some(query) => Some(any(left, compare_op, query)),
            None if *is_some == AS_IT_IS || !may_have_null(right) => None,
            None => Some(any_of(left, compare_op, right)),
        },
        Expr::AllOp { left, compare_op, right } => {
            opposite(compare_op).and_then(|opposite| match subquery(right) {
                Some(query) => Some(not(any(left, &opposite, query))),
                None if !may_have_null(right) => None,
                None => Some(not(any_of(left, &opposite, right))),
            })
        }
        Expr::BinaryOp { left, op, right } => match (left.as_ref(), right.as_ref()) {
            (Expr::Tuple(left), Expr::Tuple(right)) if left.len() == right.len() => {
                rows(left, op, right)
            }
            _ => None,
        },
        Expr::InList { expr, list, negated } => match expr.as_ref() {
            Expr::Tuple(row) => one_of(row, list).map(|e| if *negated { not(e) } else { e }),
            _ => None,
        },
        Expr::InSubquery { expr, subquery, negated } => match expr.as_ref() {
            Expr::Tuple(row) => row_of(row, subquery).map(|e| if *negated { not(e) } else { e }),
            _ => None,
        },
        Expr::IsNull(of) => row(of).map(|items| each(&items, Expr::IsNull)),
        Expr::IsNotNull(of) => row(of).map(|items| each(&items, Expr::IsNotNull)),
        Expr::Function(call) if call.name.to_string().eq_ignore_ascii_case("array") => {
            match &call.args {
                FunctionArguments::Subquery(query) => Some(array(query)),
                _ => None,
            }
        }
        _ => None,
    };
    if let Some(new) = new {
        *expression = new;
    }
}

/// The items of a row.
fn row(expression: &Expr) -> Option<Vec<Expr>> {
    match expression {
        Expr::Nested(inner) => row(inner),
        Expr::Tuple(items) => Some(items.clone()),
        Expr::Function(call) if call.name.to_string().eq_ignore_ascii_case("row") => {
            let FunctionArguments::List(list) = &call.args else { return None };
            let item = |argument: &FunctionArg| match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(item)) => Some(item.clone()),
                _ => None,
            };
            list.args.iter().map(item).collect()
        }
        _ => None,
    }
}

/// `row IS [NOT] NULL`: every item is, or every item is not.
fn each(items: &[Expr], test: fn(Box<Expr>) -> Expr) -> Expr {
    let tests = items.iter().map(|item| test(Box::new(item.clone())));
    let all = tests.reduce(|all, one| binary(all, BinaryOperator::And, one));
    nested(all.unwrap_or(Expr::Value(Value::Boolean(true).into())))
}

fn subquery(expression: &Expr) -> Option<&Query> {
    match expression {
        Expr::Subquery(query) => Some(query),
        Expr::Nested(inner) => subquery(inner),
        _ => None,
    }
}

fn opposite(op: &BinaryOperator) -> Option<BinaryOperator> {
    Some(match op {
        BinaryOperator::Eq => BinaryOperator::NotEq,
        BinaryOperator::NotEq => BinaryOperator::Eq,
        BinaryOperator::Lt => BinaryOperator::GtEq,
        BinaryOperator::LtEq => BinaryOperator::Gt,
        BinaryOperator::Gt => BinaryOperator::LtEq,
        BinaryOperator::GtEq => BinaryOperator::Lt,
        _ => return None,
    })
}

fn any(left: &Expr, op: &BinaryOperator, query: &Query) -> Expr {
    if *op == BinaryOperator::Eq {
        let (expr, subquery) = (Box::new(left.clone()), Box::new(query.clone()));
        return Expr::InSubquery { expr, subquery, negated: false };
    }
    let compared = |aggregate: &str| {
        let bound = of(query, &format!("{aggregate}(v)"));
        binary(left.clone(), op.clone(), bound)
    };
    let hit = match op {
        BinaryOperator::Lt | BinaryOperator::LtEq => compared("max"),
        BinaryOperator::Gt | BinaryOperator::GtEq => compared("min"),
        _ => nested(binary(compared("min"), BinaryOperator::Or, compared("max"))),
    };
    let template = "CASE WHEN empty THEN false WHEN hit THEN true \
                    WHEN x IS NULL OR has_null THEN NULL ELSE false END";
    let parts = [
        ("empty", of(query, "count(*) = 0")),
        ("hit", hit),
        ("x", left.clone()),
        ("has_null", of(query, "count(v) < count(*)")),
    ];
    filled(template, &parts)
}

/// Of `AnyOp::is_some`, which is free as SOME is read as ANY: the engine's plan will do, where NULL
/// counts as false.
const AS_IT_IS: bool = true;

/// Whether an array may have NULL among its elements.
fn may_have_null(array: &Expr) -> bool {
    match array {
        Expr::Array(array) => !array.elem.iter().all(|element| match element {
            Expr::Value(value) => !matches!(value.value, Value::Null | Value::Placeholder(_)),
            Expr::Cast { expr, .. } => matches!(expr.as_ref(),
                Expr::Value(value) if !matches!(value.value, Value::Null | Value::Placeholder(_))),
            _ => false,
        }),
        // A literal in quotes has the type of what it is compared with.
        Expr::Value(_) => false,
        Expr::Nested(inner) => may_have_null(inner),
        _ => true,
    }
}

/// `x op ANY (array)`: NULL if none is hit and one is NULL.
fn any_of(left: &Expr, op: &BinaryOperator, array: &Expr) -> Expr {
    let hit = Expr::AnyOp {
        left: Box::new(left.clone()),
        compare_op: op.clone(),
        right: Box::new(array.clone()),
        is_some: AS_IT_IS,
    };
    let template = "CASE WHEN hit THEN true WHEN a IS NULL THEN NULL \
                    WHEN cardinality(a) = 0 THEN false \
                    WHEN x IS NULL OR array_position(a, NULL) IS NOT NULL THEN NULL \
                    ELSE false END";
    filled(template, &[("hit", hit), ("a", array.clone()), ("x", left.clone())])
}

/// `(SELECT aggregate FROM (query) AS s(v))`
fn of(query: &Query, aggregate: &str) -> Expr {
    over(query, &format!("(SELECT {aggregate} FROM (SELECT 1) AS s(v))"))
}

/// The template with the query for its `(SELECT 1)`.
fn over(query: &Query, template: &str) -> Expr {
    struct Placer<'a>(&'a Query);
    impl VisitorMut for Placer<'_> {
        type Break = ();

        fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
            if let TableFactor::Derived { subquery, .. } = factor {
                **subquery = self.0.clone();
            }
            ControlFlow::Break(())
        }
    }
    let Ok(mut expression) = parse::parse_expression(template) else { return null() };
    let _ = expression.visit(&mut Placer(query));
    expression
}

/// `(a, b) IN (query)` where only rows for which it is true count: all of a WHERE's conjuncts.
pub(super) fn in_where(condition: &mut Expr) {
    match condition {
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
            in_where(left);
            in_where(right);
        }
        Expr::Nested(inner) => in_where(inner),
        Expr::AnyOp { right, is_some, .. } if subquery(right).is_none() => *is_some = AS_IT_IS,
        Expr::InSubquery { expr, subquery, negated: false } => {
            if let Expr::Tuple(row) = expr.as_ref() {
                let template = format!(
                    "EXISTS (SELECT 1 FROM (SELECT 1) AS s({}) WHERE equal)",
                    row_names(row).join(", ")
                );
                let found = over(subquery, &template);
                *condition = replaced(found, &[("equal", row_equals(row))]);
            }
        }
        _ => {}
    }
}

/// `(a, b) IN (query)`: true if it is there, else NULL if a comparison was, else false.
fn row_of(row: &[Expr], query: &Query) -> Option<Expr> {
    let template = format!(
        "(SELECT CASE WHEN bool_or(equal) THEN true WHEN count(equal) < count(*) THEN NULL \
         ELSE false END FROM (SELECT 1) AS s({}))",
        row_names(row).join(", ")
    );
    Some(replaced(over(query, &template), &[("equal", row_equals(row))]))
}

/// Names that no column of the outer query has.
fn row_names(row: &[Expr]) -> Vec<String> {
    (1..=row.len()).map(|index| format!("\"{MARK}v{index}\"")).collect()
}

fn row_equals(row: &[Expr]) -> Expr {
    let equal = |(item, name): (&Expr, String)| {
        let name = Expr::Identifier(Ident::with_quote('"', name.trim_matches('"')));
        binary(nested(item.clone()), BinaryOperator::Eq, name)
    };
    let equals = row.iter().zip(row_names(row)).map(equal);
    equals.reduce(|all, part| binary(all, BinaryOperator::And, part)).map_or_else(null, nested)
}

fn array(query: &Query) -> Expr {
    let found = match ordered(query) {
        Some(found) => found,
        None => of(query, "array_agg(v)"),
    };
    super::fold::function("array_or_empty", &[&found])
}

/// A plain `SELECT x FROM … [ORDER BY y]` as `(SELECT array_agg(x [ORDER BY y]) FROM …)`.
fn ordered(query: &Query) -> Option<Expr> {
    let keys = match query.order_by.as_ref().map(|order| &order.kind) {
        None => [].as_slice(),
        Some(OrderByKind::Expressions(keys)) => keys.as_slice(),
        Some(OrderByKind::All(_)) => return None,
    };
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    let plain = query.limit_clause.is_none()
        && query.fetch.is_none()
        && query.with.is_none()
        && select.distinct.is_none()
        && select.having.is_none()
        && matches!(&select.group_by, GroupByExpr::Expressions(keys, _) if keys.is_empty())
        && !keys.iter().any(|key| matches!(key.expr, Expr::Value(_)));
    let [SelectItem::UnnamedExpr(item) | SelectItem::ExprWithAlias { expr: item, .. }] =
        select.projection.as_slice()
    else {
        return None;
    };
    if !plain || super::json::gives_rows(item) {
        return None;
    }
    let mut aggregate = super::fold::function("array_agg", &[item]);
    if let Expr::Function(call) = &mut aggregate
        && let FunctionArguments::List(list) = &mut call.args
    {
        if !keys.is_empty() {
            list.clauses.push(FunctionArgumentClause::OrderBy(keys.to_vec()));
        }
    }
    let mut query = query.clone();
    query.order_by = None;
    if let SetExpr::Select(select) = query.body.as_mut() {
        select.projection = vec![SelectItem::UnnamedExpr(aggregate)];
    }
    Some(Expr::Subquery(Box::new(query)))
}

/// The template with its names replaced by expressions.
fn filled(template: &str, parts: &[(&str, Expr)]) -> Expr {
    replaced(parse::parse_expression(template).unwrap_or_else(|_| null()), parts)
}

fn replaced(mut expression: Expr, parts: &[(&str, Expr)]) -> Expr {
    struct Filler<'a>(&'a [(&'a str, Expr)]);
    impl VisitorMut for Filler<'_> {
        type Break = ();

        fn post_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
            if let Expr::Identifier(Ident { value, .. }) = expression
                && let Some((_, part)) = self.0.iter().find(|(name, _)| name == value)
            {
                *expression = nested(part.clone());
            }
            ControlFlow::Continue(())
        }
    }
    let _ = expression.visit(&mut Filler(parts));
    nested(expression)
}

/// A comparison of rows, from the left to the first that differs.
fn rows(left: &[Expr], op: &BinaryOperator, right: &[Expr]) -> Option<Expr> {
    let pair = |op: &BinaryOperator| {
        let both = left.iter().zip(right);
        both.map(|(l, r)| binary(l.clone(), op.clone(), r.clone())).collect::<Vec<_>>()
    };
    let joined = |op: BinaryOperator, parts: Vec<Expr>| {
        parts.into_iter().reduce(|all, part| binary(all, op.clone(), part)).map(nested)
    };
    let strict = match op {
        BinaryOperator::Eq => return joined(BinaryOperator::And, pair(op)),
        BinaryOperator::NotEq => return joined(BinaryOperator::Or, pair(op)),
        BinaryOperator::Lt | BinaryOperator::LtEq => BinaryOperator::Lt,
        BinaryOperator::Gt | BinaryOperator::GtEq => BinaryOperator::Gt,
        _ => return None,
    };
    let last = left.len().checked_sub(1)?;
    let mut whole = binary(left[last].clone(), op.clone(), right[last].clone());
    for index in (0..last).rev() {
        let (l, r) = (&left[index], &right[index]);
        let equal = binary(l.clone(), BinaryOperator::Eq, r.clone());
        let later = nested(binary(equal, BinaryOperator::And, whole));
        whole = binary(binary(l.clone(), strict.clone(), r.clone()), BinaryOperator::Or, later);
        whole = nested(whole);
    }
    Some(nested(whole))
}

/// `(a, b) IN ((c, d), …)`
fn one_of(row: &[Expr], list: &[Expr]) -> Option<Expr> {
    let equal = |item: &Expr| match item {
        Expr::Tuple(other) if other.len() == row.len() => rows(row, &BinaryOperator::Eq, other),
        _ => None,
    };
    let equals: Option<Vec<Expr>> = list.iter().map(equal).collect();
    equals?.into_iter().reduce(|all, part| binary(all, BinaryOperator::Or, part)).map(nested)
}

fn binary(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) }
}

fn nested(expression: Expr) -> Expr {
    Expr::Nested(Box::new(expression))
}

fn not(expression: Expr) -> Expr {
    Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(nested(expression)) }
}

fn null() -> Expr {
    Expr::Value(Value::Null.into())
}
