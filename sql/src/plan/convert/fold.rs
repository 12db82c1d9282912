//! Casts that the planner would take for others, folded in the syntax tree:
//!
//! - `x::varchar(3)` and `x::char(3)` cut the text, so they are `left(x::text, 3)`;
//! - `x::uuid`, `x::json`, `x::jsonb` are calls of the types' input functions;
//! - `INTERVAL '1 day 02:00'` is a cast, read by our input function instead of the planner.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    self, CastKind, CharacterLength, DataType, Expr, Value, VisitMut, VisitorMut,
};

use crate::parse;

/// Folds every such cast.
pub(crate) fn casts<T: VisitMut>(tree: &mut T) {
    let _ = tree.visit(&mut Folder);
}

struct Folder;

impl VisitorMut for Folder {
    type Break = ();

    fn post_visit_expr(&mut self, expression: &mut Expr) -> ControlFlow<()> {
        match expression {
            Expr::Cast { kind: CastKind::Cast | CastKind::DoubleColon, data_type, .. } => {
                if let Some(call) = call(data_type) {
                    *data_type = DataType::Text;
                    wrap(expression, &call);
                }
            }
            Expr::Interval(interval) => {
                if let Some(text) = interval_text(interval) {
                    let quoted = text.replace('\'', "''");
                    let cast = parse::parse_expression(&format!("CAST('{quoted}' AS interval)"));
                    if let Ok(cast) = cast {
                        *expression = cast;
                    }
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// What is called instead of the cast, with NULL in the place of the text.
fn call(data_type: &DataType) -> Option<String> {
    let length = match data_type {
        DataType::Varchar(n) | DataType::CharVarying(n) | DataType::CharacterVarying(n) => *n,
        DataType::Char(n) | DataType::Character(n) => {
            Some(n.unwrap_or(CharacterLength::IntegerLength { length: 1, unit: None }))
        }
        DataType::Uuid => return Some("uuid_input(NULL)".into()),
        DataType::JSON => return Some("json_input(NULL)".into()),
        DataType::JSONB => return Some("jsonb_input(NULL)".into()),
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

/// An interval literal's text with its unit, if the planner would not read it as Postgres does.
fn interval_text(interval: &ast::Interval) -> Option<String> {
    let Expr::Value(value) = interval.value.as_ref() else { return None };
    let Value::SingleQuotedString(text) = &value.value else { return None };
    let plain = interval.leading_precision.is_none()
        && interval.last_field.is_none()
        && interval.fractional_seconds_precision.is_none();
    let simple = text.trim().parse::<f64>().is_ok();
    match &interval.leading_field {
        _ if !plain => None,
        None => Some(text.clone()),
        Some(field) => simple.then(|| format!("{text} {field}")),
    }
}
