//! Calls: Postgres' names, what stands for a call of another kind, arguments that are left out.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    self, BinaryOperator, DataType, Expr, Value, VisitMut, VisitorMut,
};

use super::{arguments, cast, clock, function, is, rows};
use crate::functions::ordered::AGGREGATES;
use crate::functions::{RENAMED, as_type};
use crate::names::folded;

/// What a call is planned as; None: a call.
pub(super) fn replaced(call: &ast::Function) -> Option<Expr> {
    ordered(call)
        .or_else(|| rows::in_list(call))
        .or_else(|| clock::call(call))
        .or_else(|| type_call(call))
        .or_else(|| modulo(call))
        .or_else(|| ranked(call))
}

/// `mod(a, b)` is `a % b`.
fn modulo(call: &ast::Function) -> Option<Expr> {
    let [left, right] = arguments(call).filter(|_| is(call, "mod"))?;
    let (left, op, right) = (left.into(), BinaryOperator::Modulo, right.into());
    Some(Expr::Nested(Box::new(Expr::BinaryOp { left, op, right })))
}

/// `percentile_disc(p) WITHIN GROUP (ORDER BY x)` as a call over an ordered list: `ordered.rs`.
fn ordered(call: &ast::Function) -> Option<Expr> {
    let name = call.name.0.last()?.as_ident().map(folded)?;
    let (_, of) = AGGREGATES.iter().find(|(aggregate, _)| *aggregate == name)?;
    let [key] = call.within_group.as_slice() else { return None };
    let ast::FunctionArguments::List(given) = &call.args else { return None };
    let Expr::Function(mut values) = function("array_agg", &[&key.expr]) else { return None };
    if let ast::FunctionArguments::List(list) = &mut values.args {
        let order = ast::FunctionArgumentClause::OrderBy(call.within_group.clone());
        list.clauses.push(order);
    }
    values.filter.clone_from(&call.filter);
    let values = Expr::Function(values);
    let fractions: Option<Vec<&Expr>> = given.args.iter().map(rows::plain_argument).collect();
    let arguments: Vec<&Expr> = std::iter::once(&values).chain(fractions?).collect();
    Some(function(of, &arguments))
}

/// `date('2024-01-01')`: a type's name called with one argument is a cast.
fn type_call(call: &ast::Function) -> Option<Expr> {
    let name = call.name.0.last().and_then(|part| part.as_ident()).map(folded)?;
    let data_type = match name.as_str() {
        "date" => DataType::Date,
        "text" => DataType::Text,
        "int2" => DataType::Int2(None),
        "int4" => DataType::Int4(None),
        "int8" => DataType::Int8(None),
        "float4" => DataType::Float4,
        "float8" => DataType::Float8,
        "bool" => DataType::Bool,
        _ => return None,
    };
    arguments(call).map(|[value]| cast(value, data_type))
}

/// A window function that the engine counts without a sign, as Postgres' type of it.
fn ranked(call: &ast::Function) -> Option<Expr> {
    call.over.as_ref()?;
    let is_one = |names: &[&str]| names.iter().any(|name| is(call, name));
    let of = match is_one(&["ntile"]) {
        true => DataType::Int4(None),
        false => is_one(&["row_number", "rank", "dense_rank"]).then_some(DataType::Int8(None))?,
    };
    Some(cast(Expr::Function(call.clone()), of))
}

/// Postgres' names for the engine's.
pub(super) fn rename(call: &mut ast::Function) {
    if is(call, "make_interval") {
        return fields_of_interval(call);
    }
    if is(call, "count") {
        return count_rows(call);
    }
    let Some((_, to)) = RENAMED.iter().find(|(from, _)| is(call, from)) else { return };
    if let Some(ast::ObjectNamePart::Identifier(last)) = call.name.0.last_mut() {
        *last = ast::Ident::with_quote('"', *to);
    }
}

/// Calls whose results become columns of an inner plan, where the engine tells them apart by name.
const COLUMNS: &[&str] = &[
    "array_agg",
    "avg",
    "bit_and",
    "bit_or",
    "bit_xor",
    "bool_and",
    "bool_or",
    "corr",
    "count",
    "covar_pop",
    "covar_samp",
    "every",
    "json_agg",
    "jsonb_agg",
    "max",
    "median",
    "min",
    "stddev",
    "stddev_pop",
    "stddev_samp",
    "string_agg",
    "sum",
    "unnest",
    "var_pop",
    "var_samp",
    "variance",
];

/// Those of casts of one column, and of subqueries, are columns of their own: `as_type.rs`.
pub(super) fn name_casts(call: &mut ast::Function) {
    let name = call.name.0.last().and_then(|part| part.as_ident()).map(folded);
    let named = name.is_some_and(|name| COLUMNS.contains(&name.as_str()));
    if named || call.over.is_some() {
        let _ = call.args.visit(&mut Named { subqueries: true, depth: 0 });
        let _ = call.filter.visit(&mut Named { subqueries: true, depth: 0 });
    }
}

/// Gives every cast a name of its own.
pub(super) fn tell_apart<T: VisitMut>(tree: &mut T) {
    let _ = tree.visit(&mut Named { subqueries: false, depth: 0 });
}

/// A number is cast because it is written so: `1` is an integer.
fn is_number(expression: &Expr) -> bool {
    matches!(expression, Expr::Value(value) if matches!(value.value, Value::Number(..)))
}

/// Gives casts names of their own, and subqueries outside of others, all of which the engine
/// calls `<subquery>`.
struct Named {
    subqueries: bool,
    /// Queries around the expression.
    depth: usize,
}

impl VisitorMut for Named {
    type Break = ();

    fn pre_visit_query(&mut self, _: &mut ast::Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut ast::Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
        match expression {
            Expr::Cast { expr, data_type, .. } if !is_number(expr) => {
                let name = Value::SingleQuotedString(data_type.to_string());
                *expression = function(as_type::NAME, &[&*expression, &Expr::Value(name.into())]);
            }
            Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. }
                if self.subqueries && self.depth == 0 =>
            {
                let name = Value::SingleQuotedString(expression.to_string());
                *expression = function(as_type::NAME, &[&*expression, &Expr::Value(name.into())]);
            }
            // It has a name already: a call in a call.
            Expr::Function(call) if is(call, as_type::NAME) => {
                if let Some([Expr::Function(inner), _]) = arguments(call)
                    && is(&inner, as_type::NAME)
                {
                    *expression = Expr::Function(inner);
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// `count(1)` counts rows: the engine takes it and `count(*)` for one column.
fn count_rows(call: &mut ast::Function) {
    let ast::FunctionArguments::List(list) = &mut call.args else { return };
    let is_literal = |argument: &ast::FunctionArg| match argument {
        ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(Expr::Cast { expr, .. })) => {
            is_number(expr)
        }
        ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(value)) => is_number(value),
        _ => false,
    };
    if list.duplicate_treatment.is_none() && list.args.len() == 1 && is_literal(&list.args[0]) {
        list.args = vec![ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Wildcard)];
    }
}

/// `make_interval(days => 10)`: the other fields are zero.
fn fields_of_interval(call: &mut ast::Function) {
    let ast::FunctionArguments::List(list) = &mut call.args else { return };
    let names = ["years", "months", "weeks", "days", "hours", "mins", "secs"];
    let zero = || Expr::Value(Value::Number("0".into(), false).into());
    let mut fields = vec![cast(zero(), DataType::Int4(None)); names.len()];
    for (at, argument) in list.args.iter().enumerate() {
        let (place, value) = match argument {
            ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(value)) => (Some(at), value),
            ast::FunctionArg::Named { name, arg: ast::FunctionArgExpr::Expr(value), .. } => {
                (names.iter().position(|known| *known == folded(name)), value)
            }
            ast::FunctionArg::ExprNamed {
                name: Expr::Identifier(name),
                arg: ast::FunctionArgExpr::Expr(value),
                ..
            } => (names.iter().position(|known| *known == folded(name)), value),
            _ => return,
        };
        match place.and_then(|place| fields.get_mut(place)) {
            Some(field) => *field = value.clone(),
            None => return,
        }
    }
    let given = |field| ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(field));
    list.args = fields.into_iter().map(given).collect();
}

/// A slice has both its bounds.
pub(super) fn bounded(access: &mut ast::AccessExpr) {
    if let ast::AccessExpr::Subscript(ast::Subscript::Slice { lower_bound, upper_bound, .. }) =
        access
    {
        let number = |text: &str| Expr::Value(Value::Number(text.into(), false).into());
        lower_bound.get_or_insert_with(|| number("1"));
        upper_bound.get_or_insert_with(|| number("2147483647"));
    }
}
