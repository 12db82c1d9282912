//! Expressions of TRANSFORM as syntax: what they call, which columns they read, of what types.

use std::ops::ControlFlow;

use catalog::types::VectorType;
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Value, visit_expressions,
};

use super::fitted::Setting;
use crate::error::{Error, Result};
use crate::names::folded;
use crate::plan;

/// Stands for a fitted function in the text that is kept.
pub(super) const FITTED: &str = "sextant_fitted";

/// The argument of a fitted function, and its second one.
pub(super) fn arguments(name: &str, given: &FunctionArguments) -> Result<(Expr, Setting)> {
    let usage =
        || Error::new("42883", format!("{name} takes an expression and at most a constant"));
    let FunctionArguments::List(list) = given else { return Err(usage()) };
    let expressions: Option<Vec<&Expr>> = list
        .args
        .iter()
        .map(|argument| match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expression)) => Some(expression),
            _ => None,
        })
        .collect();
    match expressions.as_deref() {
        Some([argument]) => Ok(((*argument).clone(), Setting::None)),
        Some([argument, Expr::Value(value)]) => {
            let setting = match &value.value {
                Value::Number(text, _) => text.parse().ok().map(Setting::Whole),
                Value::SingleQuotedString(text) => Some(Setting::Word(text.clone())),
                _ => None,
            };
            Ok(((*argument).clone(), setting.ok_or_else(usage)?))
        }
        _ => Err(usage()),
    }
}

/// The number and argument of a call that stands for a fitted function.
pub(super) fn fitted_call(call: &Function) -> Option<(usize, Expr)> {
    let name = plan::parts(&call.name).ok()?;
    let FunctionArguments::List(list) = &call.args else { return None };
    match (name.as_slice(), list.args.as_slice()) {
        (
            [name],
            [
                FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(number))),
                FunctionArg::Unnamed(FunctionArgExpr::Expr(argument)),
            ],
        ) if name == FITTED => match &number.value {
            Value::Number(text, _) => Some((text.parse().ok()?, argument.clone())),
            _ => None,
        },
        _ => None,
    }
}

pub(super) fn has_call(expression: &Expr, name: &str) -> bool {
    let found = visit_expressions(expression, |part| match part {
        Expr::Function(call)
            if plan::parts(&call.name)
                .is_ok_and(|parts| parts.last().is_some_and(|n| n == name)) =>
        {
            ControlFlow::Break(())
        }
        _ => ControlFlow::Continue(()),
    });
    found.is_break()
}

/// The column that an expression is.
pub(super) fn column_name(expression: &Expr) -> Option<String> {
    match expression {
        Expr::Identifier(name) => Some(folded(name)),
        _ => None,
    }
}

pub(super) fn columns_of(expression: &Expr) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let qualified = visit_expressions(expression, |part| {
        if let Expr::CompoundIdentifier(_) = part {
            return ControlFlow::Break(part.to_string());
        }
        found.extend(column_name(part));
        ControlFlow::Continue(())
    });
    match qualified {
        ControlFlow::Continue(()) => Ok(found),
        ControlFlow::Break(name) => {
            Err(Error::new("42703", format!("column {name} does not exist"))
                .with_hint("TRANSFORM names the query's columns without a table."))
        }
    }
}

/// The type of a column, for a cast.
pub(super) fn sql_type(field: &Field) -> Result<String> {
    let plain = |of: &DataType| -> Option<String> {
        Some(match of {
            DataType::Boolean => "boolean".into(),
            DataType::Int8 | DataType::Int16 => "smallint".into(),
            DataType::Int32 => "integer".into(),
            DataType::Int64 => "bigint".into(),
            DataType::Float32 => "real".into(),
            DataType::Float64 => "double precision".into(),
            DataType::Decimal128(precision, scale) => format!("numeric({precision},{scale})"),
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "text".into(),
            DataType::Date32 => "date".into(),
            DataType::Timestamp(_, None) => "timestamp".into(),
            DataType::Timestamp(_, Some(_)) => "timestamptz".into(),
            DataType::Interval(_) => "interval".into(),
            _ => return None,
        })
    };
    let found = match field.data_type() {
        of if VectorType::of(of).is_some() => VectorType::of(of).map(VectorType::name),
        DataType::List(item) => plain(item.data_type()).map(|item| format!("{item}[]")),
        of => plain(of),
    };
    found.ok_or_else(|| {
        let of = crate::types::shown(field);
        let message = format!("column \"{}\" of type {of} cannot be used by a model", field.name());
        Error::new("42804", message)
            .with_hint("Leave it out of the query, or make something else of it there.")
    })
}
