//! Values of several types that meet: branches of CASE, rows of VALUES and UNION, arguments.
//!
//! A numeric beside a float becomes a float, as in Postgres; the engine would go the other way and
//! lose what a numeric of its size cannot hold.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result as EngineResult};
use datafusion::logical_expr::expr::{Between, Case, ScalarFunction};
use datafusion::logical_expr::type_coercion::binary::type_union_resolution;
use datafusion::logical_expr::{
    Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, Union, Values, cast,
};

use super::super::parameters;
use crate::error::Error;

/// Functions whose arguments become of one type.
const UNIFYING: &[&str] = &["coalesce", "greatest", "least", "nullif", "make_array"];

fn is_float(of: &DataType) -> bool {
    matches!(of, DataType::Float32 | DataType::Float64)
}

fn is_decimal(of: &DataType) -> bool {
    matches!(of, DataType::Decimal128(..) | DataType::Decimal256(..))
}

fn mixed<'t>(types: impl Iterator<Item = &'t DataType> + Clone) -> bool {
    types.clone().any(is_float) && types.clone().any(is_decimal)
}

/// Two operands, a numeric beside a float as a float; None if they are not such a pair.
pub(super) fn pair(
    (left, of_left): (&Expr, &DataType),
    (right, of_right): (&Expr, &DataType),
) -> Option<(Expr, Expr)> {
    mixed([of_left, of_right].into_iter())
        .then(|| (floated(left.clone(), of_left), floated(right.clone(), of_right)))
}

fn floated(value: Expr, of: &DataType) -> Expr {
    if is_decimal(of) { cast(value, DataType::Float64) } else { value }
}

/// `x BETWEEN low AND high`.
pub(super) fn between(between: &Between, schema: &DFSchema) -> Option<Expr> {
    let sides = [&between.expr, &between.low, &between.high];
    let types = types(sides.into_iter().map(AsRef::as_ref), schema)?;
    mixed(types.iter()).then(|| {
        let [expr, low, high] =
            [0, 1, 2].map(|i| Box::new(floated(sides[i].as_ref().clone(), &types[i])));
        Expr::Between(Between { expr, negated: between.negated, low, high })
    })
}

/// A call of a function that unifies its arguments.
pub(super) fn call(call: &ScalarFunction, schema: &DFSchema) -> Option<Expr> {
    if !UNIFYING.contains(&call.func.name()) {
        return None;
    }
    let types = types(call.args.iter(), schema)?;
    mixed(types.iter()).then(|| {
        let arguments = call.args.iter().zip(&types);
        call.func.call(arguments.map(|(value, of)| floated(value.clone(), of)).collect())
    })
}

/// CASE with branches of one type.
pub(super) fn case(case: &Case, schema: &DFSchema) -> Option<Expr> {
    let branches = || case.when_then_expr.iter().map(|(_, then)| then).chain(&case.else_expr);
    let types = types(branches().map(AsRef::as_ref), schema)?;
    let to = unified(&types)?;
    let branch = |value: &Expr| match value.get_type(schema) {
        Ok(of) if of == to || of.is_null() => Box::new(value.clone()),
        _ => Box::new(cast(value.clone(), to.clone())),
    };
    let when = case.when_then_expr.iter().map(|(when, then)| (when.clone(), branch(then)));
    Some(Expr::Case(Case {
        expr: case.expr.clone(),
        when_then_expr: when.collect(),
        else_expr: case.else_expr.as_ref().map(|value| branch(value)),
    }))
}

/// The type of values of different types together; None: they are of one type.
fn unified(types: &[DataType]) -> Option<DataType> {
    let mut known = types.iter().filter(|of| !of.is_null());
    let first = known.next()?;
    if known.all(|of| of == first) {
        return None;
    }
    match mixed(types.iter()) {
        true => Some(DataType::Float64),
        false => type_union_resolution(types),
    }
}

fn types<'e>(values: impl Iterator<Item = &'e Expr>, schema: &DFSchema) -> Option<Vec<DataType>> {
    values.map(|value| value.get_type(schema).ok()).collect()
}

/// Rows from VALUES and UNION whose items have got other types than when they were planned.
pub(super) fn rows(node: LogicalPlan) -> EngineResult<Transformed<LogicalPlan>> {
    match node {
        LogicalPlan::Values(values) => listed(parameters::in_values(values)),
        LogicalPlan::Union(union) => united(union),
        other => Ok(Transformed::no(other)),
    }
}

fn listed(values: Values) -> EngineResult<Transformed<LogicalPlan>> {
    let empty = DFSchema::empty();
    let mut values = values;
    values.values.iter_mut().flatten().for_each(keep_float);
    let same = values.values.iter().all(|row| {
        row.iter().zip(values.schema.fields()).all(|(item, field)| {
            item.get_type(&empty).is_ok_and(|of| of.is_null() || of == *field.data_type())
        })
    });
    if same {
        return Ok(Transformed::no(LogicalPlan::Values(values)));
    }
    let mut rows = values.values;
    for column in 0..values.schema.fields().len() {
        let items = rows.iter().filter_map(|row| row.get(column));
        let types = items.map(|item| item.get_type(&empty)).collect::<EngineResult<Vec<_>>>()?;
        if mixed(types.iter()) {
            for (row, of) in rows.iter_mut().zip(&types) {
                row[column] = floated(row[column].clone(), of);
            }
        }
    }
    Ok(Transformed::yes(LogicalPlanBuilder::values(rows)?.build()?))
}

/// Takes off the cast with which the planner made a numeric of a float beside numerics.
fn keep_float(item: &mut Expr) {
    let Expr::Cast(outer) = item else { return };
    let Ok(from) = outer.expr.get_type(&DFSchema::empty()) else { return };
    let to = outer.field.data_type();
    if matches!(
        (&from, to),
        (DataType::Float64, DataType::Decimal128(30, 15))
            | (DataType::Float32, DataType::Decimal128(14, 7))
    ) {
        *item = outer.expr.as_ref().clone();
    }
}

fn united(union: Union) -> EngineResult<Transformed<LogicalPlan>> {
    let width = union.schema.fields().len();
    let mut targets = Vec::with_capacity(width);
    for column in 0..width {
        let types = union.inputs.iter().map(|i| i.schema().field(column).data_type().clone());
        let types: Vec<DataType> = types.collect();
        matched(&types)?;
        targets.push(unified(&types));
    }
    if targets.iter().all(Option::is_none) {
        return Ok(Transformed::no(LogicalPlan::Union(union)));
    }
    let mut inputs = Vec::with_capacity(union.inputs.len());
    for input in &union.inputs {
        let columns = input.schema().columns().into_iter().zip(&targets);
        let items = columns.map(|(column, to)| match to {
            Some(to) => {
                let name = column.name.clone();
                cast(Expr::Column(column), to.clone()).alias(name)
            }
            None => Expr::Column(column),
        });
        let items = items.collect::<Vec<_>>();
        let plan = LogicalPlanBuilder::from(input.as_ref().clone()).project(items)?.build()?;
        inputs.push(plan.into());
    }
    let union = Union::try_new_with_loose_types(inputs)?;
    Ok(Transformed::yes(LogicalPlan::Union(union)))
}

/// Columns of a set operation must be of one kind.
fn matched(types: &[DataType]) -> Result<(), Error> {
    let text = |of: &&DataType| of.is_string();
    let other = |of: &&DataType| of.is_numeric() || **of == DataType::Boolean;
    match (types.iter().find(text), types.iter().find(other)) {
        (Some(text), Some(other)) => {
            let shown = |of: &DataType| {
                let field = datafusion::arrow::datatypes::Field::new("", of.clone(), true);
                crate::types::describe(&field).data_type
            };
            let message =
                format!("UNION types {} and {} cannot be matched", shown(other), shown(text));
            Err(Error::new("42804", message))
        }
        _ => Ok(()),
    }
}
