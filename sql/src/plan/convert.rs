//! Conversions that Postgres does otherwise than the engine, put into a plan where it converts.
//!
//! | where                               | what it becomes                                     |
//! |-------------------------------------|-----------------------------------------------------|
//! | text cast to a type, or compared to | the type's input function: `text.rs`, `time.rs`     |
//! | a number cast to an integer         | rounding, an error when out of range: `number.rs`   |
//! | `+ - *` of integers                 | the same, an error on overflow: `number.rs`         |
//! | text that is a uuid or json         | checked, and known as such: `tagged.rs`             |
//!
//! NULL stays NULL everywhere.

mod fold;
mod number;
mod tagged;
mod text;
mod time;

use catalog::TYPE_KEY;
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result as EngineResult, ScalarValue};
use datafusion::execution::SessionState;
use datafusion::logical_expr::expr::{BinaryExpr, Cast, InList};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, Operator};

pub(crate) use fold::casts as fold_casts;
pub use tagged::functions;

/// The session's zone, in which times without one are meant.
fn zone(engine: &SessionState) -> &str {
    engine.config_options().execution.time_zone.as_deref().unwrap_or("UTC")
}

/// A plan with Postgres' conversions.
pub(super) fn plan(plan: LogicalPlan, engine: &SessionState) -> EngineResult<LogicalPlan> {
    let zone = zone(engine);
    let rewritten = plan.transform_up_with_subqueries(|node| {
        let schema = merge_schema(&node.inputs());
        node.map_expressions(|e| e.transform_up(|e| converted(e, &schema, zone)))
    })?;
    rewritten.data.recompute_schema()
}

/// An expression with Postgres' conversions.
pub(super) fn expression(
    expression: Expr,
    schema: &DFSchema,
    engine: &SessionState,
) -> EngineResult<Expr> {
    Ok(expression.transform_up(|e| converted(e, schema, zone(engine)))?.data)
}

/// `value` as a column of `field` takes it.
pub(crate) fn assigned(
    value: Expr,
    field: &Field,
    schema: &DFSchema,
    engine: &SessionState,
) -> Expr {
    let from = value.get_type(schema).unwrap_or(DataType::Null);
    let tagged = tag(&value, schema);
    match field.metadata().get(TYPE_KEY) {
        Some(wanted) if is_text(&from) && tagged.as_deref() != Some(wanted) => {
            if let Some(checked) = tagged::input(value.clone(), wanted) {
                return checked;
            }
        }
        _ => {}
    }
    let cast = |value| datafusion::logical_expr::cast(value, field.data_type().clone());
    cast_from(value.clone(), &from, field.data_type(), zone(engine)).unwrap_or_else(|| cast(value))
}

/// The cast as Postgres does it; None: as the engine does it.
fn cast_from(value: Expr, from: &DataType, to: &DataType, zone: &str) -> Option<Expr> {
    if is_text(from) && text::reads(to) {
        return Some(text::input(value, to, zone));
    }
    number::rounds(from, to).then(|| number::rounded(value, to))
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// Which of the types that are text in the engine it is.
fn tag(value: &Expr, schema: &DFSchema) -> Option<String> {
    let (_, field) = value.to_field(schema).ok()?;
    field.metadata().get(TYPE_KEY).cloned()
}

fn converted(expression: Expr, schema: &DFSchema, zone: &str) -> EngineResult<Transformed<Expr>> {
    let new = match &expression {
        Expr::Cast(Cast { expr, field }) => {
            let Ok(from) = expr.get_type(schema) else { return Ok(Transformed::no(expression)) };
            let untag = is_text(&from)
                && is_text(field.data_type())
                && tag(expr, schema).is_some_and(|tag| tagged::is_known(&tag));
            match untag {
                true => Some(tagged::plain(expr.as_ref().clone())),
                false => cast_from(expr.as_ref().clone(), &from, field.data_type(), zone),
            }
        }
        Expr::BinaryExpr(binary) => operated(binary, schema, zone),
        Expr::InList(list) => in_list(list, schema, zone),
        _ => None,
    };
    match new {
        None => Ok(Transformed::no(expression)),
        Some(new) => {
            let name = expression.schema_name().to_string();
            Ok(Transformed::yes(new.alias_if_changed(name)?))
        }
    }
}

fn operated(binary: &BinaryExpr, schema: &DFSchema, zone: &str) -> Option<Expr> {
    let BinaryExpr { left, op, right } = binary;
    if matches!(op, Operator::Plus | Operator::Minus | Operator::Multiply) {
        let types = (left.get_type(schema).ok()?, right.get_type(schema).ok()?);
        return number::checked(*op, (left, &types.0), (right, &types.1));
    }
    if !op.supports_propagation() && *op != Operator::IsDistinctFrom {
        return None;
    }
    let (new_left, new_right) =
        (literal_of(left, right, schema, zone), literal_of(right, left, schema, zone));
    if new_left.is_none() && new_right.is_none() {
        return None;
    }
    let or = |new: Option<Expr>, old: &Expr| Box::new(new.unwrap_or_else(|| old.clone()));
    Some(Expr::BinaryExpr(BinaryExpr::new(or(new_left, left), *op, or(new_right, right))))
}

fn in_list(list: &InList, schema: &DFSchema, zone: &str) -> Option<Expr> {
    let read = |item: &Expr| literal_of(item, &list.expr, schema, zone);
    if !list.list.iter().any(|item| read(item).is_some()) {
        return None;
    }
    let items = list.list.iter().map(|item| read(item).unwrap_or_else(|| item.clone()));
    Some(Expr::InList(InList::new(list.expr.clone(), items.collect(), list.negated)))
}

/// A text literal beside a value of a type is of that type; None if it stays text.
fn literal_of(literal: &Expr, beside: &Expr, schema: &DFSchema, zone: &str) -> Option<Expr> {
    let Expr::Literal(ScalarValue::Utf8(Some(_)), _) = literal else { return None };
    let to = beside.get_type(schema).ok()?;
    match is_text(&to) {
        true => tag(beside, schema)
            .filter(|tag| tag == "uuid")
            .and_then(|tag| tagged::input(literal.clone(), &tag)),
        false => text::reads(&to).then(|| text::input(literal.clone(), &to, zone)),
    }
}
