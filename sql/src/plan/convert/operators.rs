//! Operators between types that have none: `text = integer` is 42883, where the engine would read
//! the text as a number or write the number as text.
//!
//! A literal in quotes has no type yet, and takes that of what it stands beside.

use catalog::types::VectorType;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{DFSchema, Result as EngineResult, ScalarValue};
use datafusion::logical_expr::expr::Case;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::sqlparser::ast::BinaryOperator;
use datafusion::logical_expr::{Expr, ExprSchemable, Like, cast};

use super::assign::{Kind, kind};
use super::tag;
use super::unify::unifies;
use crate::error::Error;
use crate::functions::substr;
use crate::system::references;
use crate::types::shown;

/// Refuses them where they are read, before any side has got another type.
#[derive(Debug)]
pub struct KnownOperators;

impl ExprPlanner for KnownOperators {
    fn plan_binary_op(
        &self,
        expr: RawBinaryExpr,
        schema: &DFSchema,
    ) -> EngineResult<PlannerResult<RawBinaryExpr>> {
        let expr = match comparison(&expr.op) {
            true => with_booleans(expr, schema),
            false => expr,
        };
        if let Some(array) = without_null(&expr, schema) {
            return Ok(PlannerResult::Planned(array));
        }
        let (left, right) = (side(&expr.left, schema), side(&expr.right, schema));
        let known = match &expr.op {
            op if comparison(op) => comparable(left, right),
            BinaryOperator::Plus
            | BinaryOperator::Minus
            | BinaryOperator::Multiply
            | BinaryOperator::Divide
            | BinaryOperator::Modulo => {
                ![left, right].iter().any(|of| matches!(of, Some(Kind::Text | Kind::Boolean)))
            }
            BinaryOperator::And | BinaryOperator::Or => {
                for value in [&expr.left, &expr.right] {
                    check_boolean(value, &expr.op.to_string(), schema)?;
                }
                true
            }
            BinaryOperator::StringConcat => {
                let other = |of| matches!(of, Some(kind) if !joins(kind));
                !(other(left) && other(right))
            }
            _ => true,
        };
        match known && !is_vector_beside_array(&expr, schema) {
            true => Ok(PlannerResult::Original(expr)),
            false => Err(undefined(&expr.left, &expr.op.to_string(), &expr.right, schema).into()),
        }
    }

    fn plan_substring(&self, args: Vec<Expr>) -> EngineResult<PlannerResult<Vec<Expr>>> {
        Ok(PlannerResult::Planned(substr().call(args)))
    }
}

/// pgvector has no operator for a vector and an array.
fn is_vector_beside_array(expr: &RawBinaryExpr, schema: &DFSchema) -> bool {
    let Ok(right) = expr.right.get_type(schema) else { return false };
    // The left side may be long: it is looked at where it matters.
    if !right.is_nested() {
        return false;
    }
    let left = expr.left.get_type(schema);
    let is_vector = |of: &DataType| VectorType::of(of).is_some();
    left.is_ok_and(|left| left.is_nested() && is_vector(&left) != is_vector(&right))
}

/// `array || NULL` is the array: a NULL without a type is one of no elements.
fn without_null(expr: &RawBinaryExpr, schema: &DFSchema) -> Option<Expr> {
    if expr.op != BinaryOperator::StringConcat {
        return None;
    }
    let is = |side: &Expr, of: fn(&DataType) -> bool| side.get_type(schema).is_ok_and(|t| of(&t));
    let is_array = |side: &Expr| is(side, |of| matches!(of, DataType::List(_)));
    let is_null = |side: &Expr| is(side, |of| *of == DataType::Null);
    match (is_array(&expr.left) && is_null(&expr.right), is_null(&expr.left)) {
        (true, _) => Some(expr.left.clone()),
        (_, true) if is_array(&expr.right) => Some(expr.right.clone()),
        _ => None,
    }
}

fn comparison(op: &BinaryOperator) -> bool {
    matches!(
        op,
        BinaryOperator::Eq
            | BinaryOperator::NotEq
            | BinaryOperator::Lt
            | BinaryOperator::LtEq
            | BinaryOperator::Gt
            | BinaryOperator::GtEq
    )
}

/// `flag = 'yes'`: the engine knows no common type of the two.
fn with_booleans(expr: RawBinaryExpr, schema: &DFSchema) -> RawBinaryExpr {
    let read = |value: Expr, other: &Expr| match side(other, schema) {
        Some(Kind::Boolean) if is_open(&value) => cast(value, DataType::Boolean),
        _ => value,
    };
    let left = read(expr.left, &expr.right);
    let right = read(expr.right, &left);
    RawBinaryExpr { op: expr.op, left, right }
}

/// Whether values of the kind are joined by `||`.
fn joins(of: Kind) -> bool {
    matches!(of, Kind::Text | Kind::Nested | Kind::Bytes)
}

/// Refuses comparisons of a value with what it cannot be compared with.
pub(super) fn check<'e>(
    value: &Expr,
    others: impl IntoIterator<Item = (&'e Expr, &'static str)>,
    schema: &DFSchema,
) -> Result<(), Error> {
    let of = side(value, schema);
    for (other, operator) in others {
        if !comparable(of, side(other, schema)) {
            return Err(undefined(value, operator, other, schema));
        }
    }
    Ok(())
}

/// Refuses what is no condition.
fn check_boolean(value: &Expr, of: &str, schema: &DFSchema) -> Result<(), Error> {
    match side(value, schema) {
        None | Some(Kind::Boolean) => Ok(()),
        Some(_) => {
            let found = name(value, schema);
            let message = format!("argument of {of} must be type boolean, not type {found}");
            Err(Error::new("42804", message))
        }
    }
}

/// The same of `CASE value WHEN other …`; without a value the others are conditions.
pub(super) fn check_case(case: &Case, schema: &DFSchema) -> Result<(), Error> {
    let Some(value) = &case.expr else {
        let mut conditions = case.when_then_expr.iter().map(|(when, _)| when);
        return conditions.try_for_each(|when| check_boolean(when, "CASE/WHEN", schema));
    };
    check(value, case.when_then_expr.iter().map(|(when, _)| (when.as_ref(), "=")), schema)
}

/// Only text is LIKE something.
pub(super) fn check_like(like: &Like, schema: &DFSchema) -> Result<(), Error> {
    let text = |value| matches!(side(value, schema), None | Some(Kind::Text | Kind::Bytes));
    if text(&like.expr) && text(&like.pattern) {
        return Ok(());
    }
    let operator = match (like.negated, like.case_insensitive) {
        (false, false) => "~~",
        (false, true) => "~~*",
        (true, false) => "!~~",
        (true, true) => "!~~*",
    };
    Err(undefined(&like.expr, operator, &like.pattern, schema))
}

/// Whether values of two kinds can be compared; a kind that is not known yet goes with all.
fn comparable(left: Option<Kind>, right: Option<Kind>) -> bool {
    match (left, right) {
        (Some(Kind::Time), Some(Kind::Interval)) | (Some(Kind::Interval), Some(Kind::Time)) => true,
        (Some(left), Some(right)) => left == right,
        _ => true,
    }
}

/// What kind of value it is; None: a literal without a type, NULL, or the number of an object.
fn side(value: &Expr, schema: &DFSchema) -> Option<Kind> {
    if is_open(value) {
        return None;
    }
    // While it is planned, what unifies values has the type of the first, be it a literal.
    match value {
        Expr::Case(case) => {
            let thens = case.when_then_expr.iter().map(|(_, then)| then);
            let mut values = thens.chain(&case.else_expr);
            return values.find_map(|value| side(value, schema)).or(Some(Kind::Text));
        }
        Expr::ScalarFunction(call)
            if unifies(call.func.name()) && call.func.name() != "make_array" =>
        {
            let kind = call.args.iter().find_map(|value| side(value, schema));
            return kind.or(Some(Kind::Text));
        }
        _ => {}
    }
    let of = value.get_type(schema).ok()?;
    let known = match kind(&of) {
        Kind::Null => return None,
        known => known,
    };
    let number = of == DataType::Int64;
    let reference = number && tag(value, schema).is_some_and(|t| references::kind(&t).is_some());
    (!reference).then_some(known)
}

/// Whether it is a literal in quotes or NULL.
pub(super) fn is_open(value: &Expr) -> bool {
    matches!(value, Expr::Literal(ScalarValue::Utf8(_) | ScalarValue::Null, _))
}

/// `operator does not exist: text = integer`
pub(super) fn undefined(left: &Expr, operator: &str, right: &Expr, schema: &DFSchema) -> Error {
    let (left, right) = (name(left, schema), name(right, schema));
    let message = format!("operator does not exist: {left} {operator} {right}");
    Error::new("42883", message).with_hint(
        "No operator matches the given name and argument types. \
         You might need to add explicit type casts.",
    )
}

/// The name of a value's type.
fn name(value: &Expr, schema: &DFSchema) -> String {
    match value.to_field(schema) {
        _ if is_open(value) => "unknown".into(),
        Ok((_, field)) if !field.data_type().is_null() => shown(&field),
        _ => "unknown".into(),
    }
}
