//! `jsonb` cast to a number or a boolean.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, BooleanArray, StringArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::logical_expr::Expr;

use super::document::{Node, parse};
use super::{Call, Definition, Gives, Result};
use crate::error::Error;

/// The number or boolean that a jsonb value is, as text or boolean; None for other types.
pub(crate) fn scalar(argument: Expr, to: &DataType) -> Option<Expr> {
    let definition = match to {
        DataType::Boolean => Definition::new("jsonb_boolean", (1, 1), Gives::Boolean, boolean),
        DataType::Int16 => of("jsonb_smallint", |call| number(call, "smallint")),
        DataType::Int32 => of("jsonb_integer", |call| number(call, "integer")),
        DataType::Int64 => of("jsonb_bigint", |call| number(call, "bigint")),
        DataType::Float32 => of("jsonb_real", |call| number(call, "real")),
        DataType::Float64 => of("jsonb_double", |call| number(call, "double precision")),
        DataType::Decimal128(..) => of("jsonb_numeric", |call| number(call, "numeric")),
        _ => return None,
    };
    Some(definition.function().call(vec![argument]))
}

const fn of(name: &'static str, run: fn(&Call) -> Result<ArrayRef>) -> Definition {
    Definition::new(name, (1, 1), Gives::Text, run)
}

fn refused(node: &Node<'_>, name: &str) -> Error {
    let kind = match node {
        Node::Number(_) => "numeric",
        Node::Array(_) => "array",
        Node::Object(_) => "object",
        other => other.kind(),
    };
    Error::new("22023", format!("cannot cast jsonb {kind} to type {name}"))
}

fn number(call: &Call, name: &str) -> Result<ArrayRef> {
    let numbers: StringArray = call.each(&call.json(0)?, |_, text| match parse(text)? {
        Node::Number(number) => Ok(Some(number.into_owned())),
        other => Err(refused(&other, name)),
    })?;
    Ok(Arc::new(numbers))
}

fn boolean(call: &Call) -> Result<ArrayRef> {
    let answers: BooleanArray = call.each(&call.json(0)?, |_, text| match parse(text)? {
        Node::Bool(value) => Ok(Some(value)),
        other => Err(refused(&other, "boolean")),
    })?;
    Ok(Arc::new(answers) as ArrayRef)
}
