//! Output column names as Postgres gives them: `?column?`, `count`, `coalesce`, the cast type, …
//!
//! DataFusion names a column by printing its expression and refuses two of one name. So every
//! unnamed item of every select list gets Postgres' name as its alias, and a repeated one gets
//! `MARK` and a number appended, which nobody sees: the wire cuts names at `MARK`.

use std::collections::HashSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    AccessExpr, DataType, Expr, Function, Ident, ObjectName, OrderByKind, Query, Select,
    SelectItem, SetExpr, Statement, VisitMut, VisitorMut, visit_expressions_mut,
};

/// Separates a column's name from the number that keeps it apart from its like.
pub const MARK: char = '\u{1}';

/// Functions that are called without parentheses.
const REGISTERS: &[&str] =
    &["current_catalog", "current_role", "current_schema", "current_user", "session_user", "user"];

/// The name a user sees.
pub fn shown(name: &str) -> &str {
    name.split(MARK).next().unwrap_or(name)
}

/// Text in which names stand, without their marks.
pub fn unmarked(text: &str) -> String {
    let mut parts = text.split(MARK);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.trim_start_matches(|c: char| c.is_ascii_digit()))
}

/// Names every select list in `node`, subqueries included.
pub fn assign(node: &mut impl VisitMut) {
    let _ = node.visit(&mut Namer);
}

/// `current_user` and `current_role` are the function `user`: the rewrites that follow take the
/// first for `session_user`, which is another after SET ROLE.
pub fn current_user(node: &mut impl VisitMut) {
    let _ = visit_expressions_mut(node, |expression: &mut Expr| {
        let user = || ObjectName::from(vec![Ident::new("user")]);
        match expression {
            Expr::Function(call) => {
                let name = call.name.0.last().and_then(|part| part.as_ident()).map(folded);
                if matches!(name.as_deref(), Some("current_user" | "current_role")) {
                    call.name = user();
                }
            }
            Expr::Identifier(name) if name.quote_style.is_none() => {
                if folded(name) == "current_role"
                    && let Ok(call) = crate::parse::parse_expression("user")
                {
                    *expression = call;
                }
            }
            _ => {}
        }
        ControlFlow::<()>::Continue(())
    });
}

struct Namer;

impl VisitorMut for Namer {
    type Break = ();

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        set_expression(&mut query.body);
        if let SetExpr::Select(select) = query.body.as_ref()
            && let Some(order) = &mut query.order_by
            && let OrderByKind::Expressions(keys) = &mut order.kind
        {
            // A name alone is that of an output column anyway.
            let is_key = |key: &Expr| {
                select.distinct.is_some() || !matches!(key, Expr::Identifier(_) | Expr::Value(_))
            };
            let keys = keys.iter_mut().map(|key| &mut key.expr).filter(|key| is_key(key));
            keys.for_each(|key| by_name(key, select));
        }
        ControlFlow::Continue(())
    }
}

/// A key that repeats what is selected is that column: after DISTINCT there are no others, and the
/// column's name may be that of an input, as in `SELECT r['p'] … ORDER BY r['p']`.
fn by_name(key: &mut Expr, select: &Select) {
    let selected = select.projection.iter().find_map(|item| match item {
        SelectItem::ExprWithAlias { expr, alias } if expr == key => Some(alias.clone()),
        _ => None,
    });
    if let Some(alias) = selected {
        *key = Expr::Identifier(alias);
    }
}

/// Only the first SELECT of a UNION gives names.
fn set_expression(body: &mut SetExpr) {
    match body {
        SetExpr::Select(select) => select_list(select),
        SetExpr::SetOperation { left, right, .. } => {
            set_expression(left);
            set_expression(right);
        }
        _ => {}
    }
}

fn select_list(select: &mut Select) {
    let mut taken = HashSet::new();
    for (index, item) in select.projection.iter_mut().enumerate() {
        let (alias, expression) = match item {
            SelectItem::UnnamedExpr(expression) => (name_of(expression), expression),
            SelectItem::ExprWithAlias { expr, alias } => (alias.clone(), expr),
            _ => continue,
        };
        let plain = match expression {
            // Written like a column, these are functions and get another name when planned.
            Expr::Identifier(name) => {
                name.quote_style.is_some() || !REGISTERS.contains(&folded(name).as_str())
            }
            Expr::CompoundIdentifier(_) => true,
            _ => false,
        };
        let fresh = taken.insert(folded(&alias));
        if matches!(item, SelectItem::UnnamedExpr(_)) && plain && fresh {
            continue;
        }
        let value = match fresh {
            true => folded(&alias),
            false => format!("{}{MARK}{index}", folded(&alias)),
        };
        let expr = match item {
            SelectItem::UnnamedExpr(e) | SelectItem::ExprWithAlias { expr: e, .. } => e.clone(),
            _ => continue,
        };
        *item = SelectItem::ExprWithAlias { expr, alias: Ident::with_quote('"', value) };
    }
}

/// The query with every item's name kept apart from the columns it reads, for when they meet: in
/// `SELECT id, t.*`, or `SELECT id::text … ORDER BY t.id`. None: nothing can meet.
pub fn marked(statement: &Statement) -> Option<Statement> {
    let Statement::Query(query) = statement else { return None };
    let mut query = query.clone();
    let SetExpr::Select(select) = query.body.as_mut() else { return None };
    if select.projection.len() < 2 && query.order_by.is_none() {
        return None;
    }
    let mut names = Vec::with_capacity(select.projection.len());
    for (index, item) in select.projection.iter_mut().enumerate() {
        let (expr, name) = match item {
            SelectItem::UnnamedExpr(expr) => (expr.clone(), name_of(expr)),
            SelectItem::ExprWithAlias { expr, alias } => (expr.clone(), alias.clone()),
            _ => continue,
        };
        let value = format!("{}{MARK}{index}", shown(&folded(&name)));
        let alias = Ident::with_quote('"', value);
        names.push((folded(&name), alias.clone()));
        *item = SelectItem::ExprWithAlias { expr, alias };
    }
    if let Some(order) = &mut query.order_by
        && let OrderByKind::Expressions(keys) = &mut order.kind
    {
        for key in keys {
            let Expr::Identifier(name) = &key.expr else { continue };
            if let Some((_, alias)) = names.iter().find(|(known, _)| *known == folded(name)) {
                key.expr = Expr::Identifier(alias.clone());
            }
        }
    }
    Some(Statement::Query(query))
}

/// Identifiers fold to lower case unless quoted.
pub fn folded(ident: &Ident) -> String {
    match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => ident.value.to_lowercase(),
    }
}

/// Postgres' FigureColname: the name that an expression gives its column.
fn name_of(expression: &Expr) -> Ident {
    Ident::with_quote('"', figure(expression).unwrap_or_else(|| "?column?".into()))
}

/// The name, unless it is only the one of a cast or of CASE, which an outer cast replaces.
fn strong(expression: &Expr) -> Option<String> {
    match expression {
        Expr::Cast { expr, .. } => strong(expr),
        Expr::Nested(inner) | Expr::Collate { expr: inner, .. } => strong(inner),
        Expr::Case { else_result, .. } => else_result.as_ref().and_then(|e| strong(e)),
        Expr::TypedString(_) | Expr::Interval(_) => None,
        other => figure(other),
    }
}

fn figure(expression: &Expr) -> Option<String> {
    match expression {
        Expr::Identifier(name) => Some(folded(name)),
        Expr::CompoundIdentifier(parts) => parts.last().map(folded),
        // A subscript has no name of its own.
        Expr::CompoundFieldAccess { root, access_chain } => {
            let named = access_chain.iter().rev().find_map(|access| match access {
                AccessExpr::Dot(Expr::Identifier(field)) => Some(folded(field)),
                _ => None,
            });
            named.or_else(|| figure(root))
        }
        Expr::Function(function) => Some(function_name(function)),
        Expr::Cast { expr, data_type, .. } => strong(expr).or_else(|| Some(type_name(data_type))),
        Expr::TypedString(typed) => Some(type_name(&typed.data_type)),
        Expr::Nested(inner) | Expr::Collate { expr: inner, .. } => figure(inner),
        Expr::Case { else_result, .. } => {
            else_result.as_ref().and_then(|e| strong(e)).or_else(|| Some("case".into()))
        }
        Expr::Exists { negated: false, .. } => Some("exists".into()),
        Expr::Array(_) => Some("array".into()),
        Expr::Tuple(_) => Some("row".into()),
        Expr::Extract { .. } => Some("extract".into()),
        Expr::Substring { shorthand: true, .. } => Some("substr".into()),
        Expr::Substring { .. } => Some("substring".into()),
        Expr::Position { .. } => Some("position".into()),
        Expr::Overlay { .. } => Some("overlay".into()),
        Expr::Trim { trim_where, .. } => Some(match trim_where.map(|w| w.to_string()) {
            Some(side) if side == "LEADING" => "ltrim".into(),
            Some(side) if side == "TRAILING" => "rtrim".into(),
            _ => "btrim".into(),
        }),
        Expr::Ceil { .. } => Some("ceil".into()),
        Expr::Floor { .. } => Some("floor".into()),
        Expr::Interval(_) => Some("interval".into()),
        Expr::AtTimeZone { .. } => Some("timezone".into()),
        Expr::Subquery(query) => match query.body.as_ref() {
            SetExpr::Select(select) => match select.projection.first() {
                Some(SelectItem::UnnamedExpr(e)) => figure(e),
                Some(SelectItem::ExprWithAlias { alias, .. }) => Some(shown(&folded(alias)).into()),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}

fn function_name(function: &Function) -> String {
    function
        .name
        .0
        .last()
        .and_then(|part| part.as_ident())
        .map_or_else(|| "?column?".into(), folded)
}

fn type_name(data_type: &DataType) -> String {
    match crate::types::field("", data_type) {
        Ok(field) => crate::types::describe(&field).udt_name.trim_start_matches('_').to_string(),
        Err(_) => data_type.to_string().to_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::parse_query;

    fn names(sql: &str) -> Vec<String> {
        let mut query = parse_query(sql).unwrap();
        assign(&mut query);
        let SetExpr::Select(select) = *query.body else { panic!("not a select") };
        let name = |item: &SelectItem| match item {
            SelectItem::ExprWithAlias { alias, .. } => alias.value.clone(),
            other => other.to_string(),
        };
        select.projection.iter().map(name).collect()
    }

    // psql 15 on PostgreSQL 15: `select … \gdesc`.
    #[test]
    fn names_are_postgres_names() {
        let sql = "select 1, count(*), Max(x), coalesce(a, b), '1'::int, x::text, a.Y, \"Q\", 1 + 2, \
                   case when a then b end, exists (select 1), (select max(z) from t), array[1], \
                   date '2024-01-01', current_date, extract(year from d), now()";
        assert_eq!(
            names(sql),
            [
                "?column?",
                "count",
                "max",
                "coalesce",
                "int4",
                "x",
                "a.Y",
                "\"Q\"",
                "?column?\u{1}8",
                "case",
                "exists",
                "max\u{1}11",
                "array",
                "date",
                "current_date",
                "extract",
                "now"
            ]
        );
    }

    #[test]
    fn repeated_names_are_kept_apart_and_shown_alike() {
        let found = names("select a, a, b as a");
        assert_eq!(found, ["a", "a\u{1}1", "a\u{1}2"]);
        assert!(found.iter().all(|n| shown(n) == "a"));
    }
}
