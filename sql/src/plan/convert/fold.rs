//! What the planner would take for something else, folded in the syntax tree:
//!
//! - `1` is an integer and not a bigint, so it is a cast, except where a number must be plain;
//! - `x::varchar(3)` cuts the text, so it is `left(x::text, 3)`;
//! - `x::char(3)`, `x::uuid`, `x::json`, `x::name`, `x::regclass` are calls of the types' input
//!   functions;
//! - `INTERVAL '1 day 02:00'` is a cast, read by our input function instead of the planner;
//! - `x AT TIME ZONE z` is `timezone(z, x)`, `EXTRACT(f FROM x)` is `extract('f', x)`;
//! - `'{{1,2},{3,4}}'::int[]` is an array of as many dimensions as it is written with, and
//!   `'[1,2]'::vector` a `vector(2)`;
//! - `'now'::timestamp` and its like are calls: `clock.rs`;
//! - functions that give rows are lists that are unnested: `rows.rs`;
//! - `date('2024-01-01')` is a cast, as is a call of other types' names;
//! - `-a ^ b` is `(-a) ^ b`;
//! - `count(1)` is `count(*)`;
//! - `FETCH FIRST n ROWS ONLY` is `LIMIT n`;
//! - `x SIMILAR TO p` is `x ~ similar_to_escape(p)`;
//! - the column of FULL JOIN … USING is both sides': `using.rs`;
//! - `tableoid` of a system relation is a number: `tableoid.rs`;
//! - comparisons with ANY, ALL and of rows: `quantified.rs`.

mod calls;
mod clock;
mod literal;
mod rows;
mod tableoid;
mod values;

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    self, BinaryOperator, CastKind, CharacterLength, DataType, Expr, GroupByExpr, LimitClause,
    OrderByKind, Query, Select, SelectItem, SetExpr, UnaryOperator, Value, VisitMut, VisitorMut,
    WindowFrameBound, WindowSpec, WindowType, visit_expressions,
};

use super::super::using;
use super::quantified;
use crate::names::folded;
use crate::parse;
use crate::system::references;
use literal::{interval_text, negative, number};

/// Folds every such expression.
pub(crate) fn casts<T: VisitMut>(tree: &mut T) {
    let _ = tree.visit(&mut Folder);
}

struct Folder;

impl VisitorMut for Folder {
    type Break = ();

    fn post_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
        quantified::fold(expression);
        if let Some(time) = clock::literal(expression) {
            *expression = time;
        }
        literal::vector(expression);
        match expression {
            Expr::SimilarTo { .. } => similar(expression),
            Expr::Like { .. } | Expr::ILike { .. } => like(expression),
            Expr::Cast { expr, data_type, .. } if object_kind(data_type).is_some() => {
                let kind = object_kind(data_type).unwrap_or_default();
                *expression = function(&format!("{kind}_input"), &[&*expr]);
            }
            Expr::Cast {
                kind: CastKind::Cast | CastKind::DoubleColon, data_type, expr, ..
            } => {
                literal::dimensions(expr, data_type);
                if let Some(call) = call(data_type) {
                    *data_type = DataType::Text;
                    wrap(expression, &call);
                }
            }
            Expr::Interval(_) => interval(expression),
            Expr::Value(value) => {
                if let Some(number) = number(&value.value) {
                    *expression = number;
                }
            }
            Expr::Tuple(items) => items.iter_mut().for_each(plain),
            Expr::BinaryOp { left, op: BinaryOperator::PGOverlap, right } => {
                *expression = function("array_has_any", &[left.as_ref(), right.as_ref()]);
            }
            Expr::BinaryOp { left, op: BinaryOperator::PGStartsWith, right } => {
                *expression = function("starts_with", &[left.as_ref(), right.as_ref()]);
            }
            Expr::CompoundFieldAccess { access_chain, .. } => {
                access_chain.iter_mut().for_each(calls::bounded);
            }
            Expr::AtTimeZone { timestamp, time_zone } => {
                *expression = function("timezone", &[time_zone.as_ref(), timestamp.as_ref()]);
            }
            Expr::Extract { field, expr, .. } => {
                let field = Value::SingleQuotedString(field.to_string().to_lowercase());
                *expression = function("extract", &[&Expr::Value(field.into()), expr.as_ref()]);
            }
            Expr::Function(call) => {
                if let Some(WindowType::WindowSpec(window)) = &mut call.over {
                    plain_frame(window);
                }
                calls::rename(call);
                calls::name_casts(call);
                if let Some(new) = calls::replaced(call) {
                    *expression = new;
                }
            }
            Expr::UnaryOp { op: UnaryOperator::Minus, expr } => {
                if let Some(power) = power_of_negative(expr) {
                    *expression = power;
                } else if let Some(number) = negative(expr) {
                    *expression = number;
                }
            }
            Expr::UnaryOp { op: UnaryOperator::BitwiseNot, expr } => {
                *expression = complement(expr.clone());
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        before(&mut query.body);
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        tableoid::fold(select);
        ControlFlow::Continue(())
    }

    fn post_visit_table_factor(&mut self, factor: &mut ast::TableFactor) -> ControlFlow<()> {
        if let Some(new) = rows::in_from(factor) {
            *factor = new;
        }
        // The alias of a function that gives one column is that column's name too.
        if let ast::TableFactor::UNNEST { alias: Some(alias), array_exprs, .. } = factor
            && alias.columns.is_empty()
            && array_exprs.len() == 1
        {
            let name = alias.name.clone();
            alias.columns = vec![ast::TableAliasColumnDef { name, data_type: None }];
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        if let Some(fetch) = query.fetch.take_if(|f| !f.with_ties && !f.percent) {
            let one = || Expr::Value(Value::Number("1".into(), false).into());
            let rows = Some(fetch.quantity.unwrap_or_else(one));
            match &mut query.limit_clause {
                Some(LimitClause::LimitOffset { limit, .. }) => *limit = rows,
                clause => {
                    let limit_by = Vec::new();
                    *clause =
                        Some(LimitClause::LimitOffset { limit: rows, offset: None, limit_by });
                }
            }
        }
        match &mut query.limit_clause {
            Some(LimitClause::LimitOffset { limit, offset, .. }) => {
                limit.iter_mut().for_each(plain);
                offset.iter_mut().for_each(|offset| plain(&mut offset.value));
            }
            Some(LimitClause::OffsetCommaLimit { offset, limit }) => {
                plain(offset);
                plain(limit);
            }
            None => {}
        }
        if let Some(order) = &mut query.order_by
            && let OrderByKind::Expressions(keys) = &mut order.kind
        {
            keys.iter_mut().for_each(|key| plain(&mut key.expr));
        }
        if let SetExpr::Select(select) = query.body.as_mut() {
            using::rewrite(select, query.order_by.as_mut());
            if keys_look_alike(select) {
                calls::tell_apart(select);
                calls::tell_apart(&mut query.order_by);
            }
        }
        selects(&mut query.body);
        ControlFlow::Continue(())
    }
}

/// `x LIKE p ESCAPE c` with `\` as the escape character.
fn like(expression: &mut Expr) {
    let (Expr::Like { pattern, escape_char, .. } | Expr::ILike { pattern, escape_char, .. }) =
        expression
    else {
        return;
    };
    if let Some(escape) = escape_char.take() {
        **pattern = function("like_escape", &[&*pattern, &Expr::Value(escape)]);
    }
}

/// `INTERVAL '1 day'` as a cast of its text.
fn interval(expression: &mut Expr) {
    let Expr::Interval(interval) = expression else { return };
    if let Some(text) = interval_text(interval) {
        let of = DataType::Interval { fields: None, precision: None };
        *expression = cast(Expr::Value(text.into()), of);
    }
}

/// `~x`
fn complement(left: Box<Expr>) -> Expr {
    let minus_one = parse::parse_expression("CAST(-1 AS int)")
        .unwrap_or_else(|_| Expr::Value(Value::Null.into()));
    let (op, right) = (BinaryOperator::BitwiseXor, Box::new(minus_one));
    Expr::Nested(Box::new(Expr::BinaryOp { left, op, right }))
}

/// `x SIMILAR TO p` as a match with the regular expression that `p` stands for.
fn similar(expression: &mut Expr) {
    let Expr::SimilarTo { negated, expr, pattern, escape_char } = expression else { return };
    let escape = escape_char.clone().map(Expr::Value);
    let pattern = [Some(pattern.as_ref()), escape.as_ref()].into_iter().flatten();
    let pattern = function("similar_to_escape", &pattern.collect::<Vec<_>>());
    let op = match negated {
        false => BinaryOperator::PGRegexMatch,
        true => BinaryOperator::PGRegexNotMatch,
    };
    let (left, right) = (expr.clone(), Box::new(pattern));
    *expression = Expr::Nested(Box::new(Expr::BinaryOp { left, op, right }));
}

/// The types whose values are numbers of objects.
fn object_kind(data_type: &DataType) -> Option<&'static str> {
    match data_type {
        DataType::Regclass => Some("regclass"),
        DataType::Custom(name, _) => references::kind(&name.0.last()?.as_ident().map(folded)?),
        _ => None,
    }
}

/// What a body needs before its expressions are folded.
fn before(body: &mut SetExpr) {
    match body {
        SetExpr::Values(values) => values::open_literals(values),
        SetExpr::Select(select) => select.selection.iter_mut().for_each(quantified::in_where),
        SetExpr::SetOperation { left, right, .. } => {
            before(left);
            before(right);
        }
        _ => {}
    }
}

/// `-2 ^ 2` is read as `-(2 ^ 2)`, which Postgres does not mean.
fn power_of_negative(negated: &Expr) -> Option<Expr> {
    let Expr::BinaryOp { left, op: BinaryOperator::PGExp, right } = negated else { return None };
    let base = || {
        let (op, expr) = (UnaryOperator::Minus, left.clone());
        negative(left).unwrap_or(Expr::UnaryOp { op, expr })
    };
    let base = power_of_negative(left).unwrap_or_else(base);
    let (left, op, right) = (Box::new(base), BinaryOperator::PGExp, right.clone());
    Some(Expr::BinaryOp { left, op, right })
}

pub(crate) fn has_column(expression: &Expr) -> bool {
    let found = visit_expressions(expression, |e| match e {
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    found.is_break()
}

/// Every SELECT of a body.
fn selects(body: &mut SetExpr) {
    match body {
        SetExpr::Select(select) => select_parts(select),
        SetExpr::SetOperation { left, right, .. } => {
            for side in [left, right] {
                if let SetExpr::Select(select) = side.as_mut() {
                    using::rewrite(select, None);
                }
                selects(side);
            }
        }
        _ => {}
    }
}

fn select_parts(select: &mut Select) {
    if let GroupByExpr::Expressions(keys, _) = &mut select.group_by {
        keys.iter_mut().for_each(plain);
    }
    if let Some(ast::Distinct::On(keys)) = &mut select.distinct {
        keys.iter_mut().for_each(|key| selected(key, &select.projection));
    }
    for window in &mut select.named_window {
        if let ast::NamedWindowExpr::WindowSpec(window) = &mut window.1 {
            plain_frame(window);
        }
    }
}

/// A number in DISTINCT ON is the place of an item in the select list.
fn selected(key: &mut Expr, items: &[SelectItem]) {
    plain(key);
    let Expr::Value(value) = &*key else { return };
    let Value::Number(place, _) = &value.value else { return };
    let item = place.parse::<usize>().ok().and_then(|place| items.get(place.checked_sub(1)?));
    if let Some(SelectItem::UnnamedExpr(item) | SelectItem::ExprWithAlias { expr: item, .. }) = item
    {
        *key = item.clone();
    }
}

/// Whether rows are grouped by two casts of one expression, which have one name.
fn keys_look_alike(select: &Select) -> bool {
    let GroupByExpr::Expressions(keys, _) = &select.group_by else { return false };
    let mut casts: Vec<(Expr, DataType)> = Vec::new();
    for key in keys {
        let mut key = key.clone();
        selected(&mut key, &select.projection);
        if let Expr::Cast { expr, data_type, .. } = key {
            casts.push((*expr, data_type));
        }
    }
    let mut pairs = casts.iter().enumerate();
    pairs.any(|(at, (of, data_type))| {
        casts[..at].iter().any(|(other, to)| other == of && to != data_type)
    })
}

fn is(call: &ast::Function, name: &str) -> bool {
    call.name.0.last().and_then(|part| part.as_ident()).map(folded).as_deref() == Some(name)
}

/// Its arguments, if they are plain and so many.
fn arguments<const N: usize>(call: &ast::Function) -> Option<[Expr; N]> {
    let ast::FunctionArguments::List(list) = &call.args else { return None };
    let plain = |argument: &ast::FunctionArg| match argument {
        ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(plain)) => Some(plain.clone()),
        _ => None,
    };
    let arguments: Option<Vec<Expr>> = list.args.iter().map(plain).collect();
    arguments?.try_into().ok()
}

/// Where a number must be a number, and an interval an interval.
fn plain(expression: &mut Expr) {
    let Expr::Cast { expr, data_type, kind: CastKind::Cast, .. } = expression else { return };
    match (data_type, expr.as_ref()) {
        (DataType::Int4(None), Expr::Value(_)) => {
            *expression = std::mem::replace(expr.as_mut(), Expr::Value(Value::Null.into()));
        }
        (DataType::Interval { .. }, Expr::Value(_)) => {
            let value = std::mem::replace(expr, Box::new(Expr::Value(Value::Null.into())));
            *expression = Expr::Interval(ast::Interval {
                value,
                leading_field: None,
                leading_precision: None,
                last_field: None,
                fractional_seconds_precision: None,
            });
        }
        _ => {}
    }
}

fn plain_frame(window: &mut WindowSpec) {
    let Some(frame) = &mut window.window_frame else { return };
    for bound in std::iter::once(&mut frame.start_bound).chain(&mut frame.end_bound) {
        if let WindowFrameBound::Preceding(Some(e)) | WindowFrameBound::Following(Some(e)) = bound {
            plain(e);
        }
    }
}

fn cast(expr: Expr, data_type: DataType) -> Expr {
    let (kind, expr) = (CastKind::Cast, Box::new(expr));
    Expr::Cast { kind, expr, data_type, array: false, format: None }
}

pub(crate) fn function(name: &str, arguments: &[&Expr]) -> Expr {
    let argument = |e: &Expr| ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(e.clone()));
    Expr::Function(ast::Function {
        name: crate::plan::object_name(&[name]),
        uses_odbc_syntax: false,
        parameters: ast::FunctionArguments::None,
        args: ast::FunctionArguments::List(ast::FunctionArgumentList {
            duplicate_treatment: None,
            args: arguments.iter().map(|e| argument(e)).collect(),
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

/// What is called instead of the cast, with NULL in the place of the text.
fn call(data_type: &DataType) -> Option<String> {
    let length = match data_type {
        DataType::Varchar(n) | DataType::CharVarying(n) | DataType::CharacterVarying(n) => *n,
        DataType::Char(n) | DataType::Character(n) => {
            let length = match n {
                Some(CharacterLength::IntegerLength { length, .. }) => *length,
                _ => 1,
            };
            return Some(format!("character_input(NULL, {length})"));
        }
        DataType::Uuid => return Some("uuid_input(NULL)".into()),
        DataType::JSON => return Some("json_input(NULL)".into()),
        DataType::JSONB => return Some("jsonb_input(NULL)".into()),
        DataType::Custom(name, _) => {
            let name = name.0.last()?.as_ident()?;
            return match (folded(name).as_str(), name.quote_style) {
                ("name", _) => Some("name_input(NULL)".into()),
                ("bpchar", _) => Some("character_input(NULL, 0)".into()),
                ("char", Some(_)) => Some("char_input(NULL)".into()),
                _ => None,
            };
        }
        _ => None,
    };
    match length {
        Some(CharacterLength::IntegerLength { length, .. }) => {
            Some(format!("left(NULL, {length})"))
        }
        _ => None,
    }
}

/// Puts an expression in the place of the NULL of a call.
fn wrap(expression: &mut Expr, call: &str) {
    let Ok(mut outer) = parse::parse_expression(call) else { return };
    let argument = match &mut outer {
        Expr::Function(function) => match &mut function.args {
            ast::FunctionArguments::List(list) => list.args.first_mut(),
            _ => None,
        },
        _ => None,
    };
    if let Some(ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(argument))) = argument {
        std::mem::swap(argument, expression);
        *expression = outer;
    }
}
