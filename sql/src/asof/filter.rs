//! What the labels ask of the rows, for the scan: times that can match, keys that a label has.
//!
//! A row group or page without any such row is not read. Few labels ask for their very keys, many
//! for the range of them. Floats are not asked for: statistics of files leave NaN out.

use std::cmp::Ordering;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, Int64Array};
use datafusion::arrow::compute::{cast, concat};
use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::common::{Result as EngineResult, ScalarValue};
use datafusion::functions_aggregate::min_max::{MaxAccumulator, MinAccumulator};
use datafusion::logical_expr::{Accumulator, Operator};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, InListExpr, lit};
use kernels::asof::{Direction, Labels};

use super::exec::{Side, Terms};
use super::times;

/// Labels whose keys are listed.
const LISTED: usize = 4096;
/// Ranges of keys that pages are compared with; lists longer than 20 the engine does not compare.
const RANGES: usize = 64;

type Filter = Option<Arc<dyn PhysicalExpr>>;

/// The condition that every row that can match fulfils; `keys` are the labels', batch by batch,
/// `schema` is of the rows.
pub(super) fn expression(
    terms: &Terms,
    keys: &[Vec<ArrayRef>],
    labels: &Labels,
    schema: &Schema,
) -> EngineResult<Arc<dyn PhysicalExpr>> {
    let mut filter = time(terms, labels)?;
    for (index, (_, row)) in terms.keys.iter().enumerate() {
        let values: Vec<&ArrayRef> = keys.iter().filter_map(|k| k.get(index)).collect();
        let Some(first) = values.first() else { continue };
        if first.data_type().is_floating() {
            continue;
        }
        let asked = match labels.len() <= LISTED {
            true => listed(row, &values, schema)?,
            false => ranged(row, &values, first.data_type())?,
        };
        filter = both(filter, asked, Operator::And);
    }
    // No label at all: no row.
    Ok(filter.unwrap_or_else(|| lit(labels.place_count() > 0)))
}

fn both(a: Filter, b: Filter, operator: Operator) -> Filter {
    match (a, b) {
        (Some(a), Some(b)) => Some(compared(a, operator, b)),
        (a, b) => a.or(b),
    }
}

fn compared(
    left: Arc<dyn PhysicalExpr>,
    operator: Operator,
    right: Arc<dyn PhysicalExpr>,
) -> Arc<dyn PhysicalExpr> {
    Arc::new(BinaryExpr::new(left, operator, right))
}

fn range(side: &Side, low: Option<ScalarValue>, high: Option<ScalarValue>) -> Filter {
    let bound = |operator, value: Option<ScalarValue>| {
        let value = value.filter(|value| !value.is_null())?;
        Some(compared(Arc::clone(side), operator, lit(value)))
    };
    both(bound(Operator::GtEq, low), bound(Operator::LtEq, high), Operator::And)
}

/// Times that some label may match.
fn time(terms: &Terms, labels: &Labels) -> EngineResult<Filter> {
    let Some((first, last)) = labels.span() else { return Ok(None) };
    if terms.time_type.is_floating() {
        return Ok(None);
    }
    let axis = times::axis(&terms.time_type);
    let reach = |t| terms.tolerance.map(|tolerance| tolerance.bounds(t, axis));
    let (oldest, newest) = (reach(first).map(|b| b.0), reach(last).map(|b| b.1));
    let (low, high) = match terms.rule.direction {
        // Rows become effective with a delay, never before.
        Direction::Backward { delay, .. } if delay >= 0 => (oldest, Some(last)),
        Direction::Backward { .. } => (oldest, None),
        Direction::Forward => (Some(first), newest),
        Direction::Nearest => (oldest, newest),
    };
    let value = |ticks: Option<i64>| match ticks {
        Some(ticks) => of_ticks(ticks, &terms.time_type),
        None => Ok(None),
    };
    Ok(range(&terms.time.1, value(low)?, value(high)?))
}

/// The value at a tick; None if the type has none there.
fn of_ticks(ticks: i64, data_type: &DataType) -> EngineResult<Option<ScalarValue>> {
    let value: ArrayRef = Arc::new(Int64Array::from(vec![ticks]));
    let array = match data_type {
        DataType::Timestamp(..) | DataType::Date64 => cast(&value, data_type)?,
        DataType::Date32 => cast(&cast(&value, &DataType::Int32)?, data_type)?,
        other if other.is_signed_integer() => cast(&value, data_type)?,
        // Their ticks are not their values.
        _ => return Ok(None),
    };
    Ok(Some(ScalarValue::try_from_array(&array, 0)?).filter(|value| !value.is_null()))
}

fn ranged(side: &Side, values: &[&ArrayRef], of: &DataType) -> EngineResult<Filter> {
    let (mut low, mut high) = (MinAccumulator::try_new(of)?, MaxAccumulator::try_new(of)?);
    for array in values {
        low.update_batch(&[Arc::clone(array)])?;
        high.update_batch(&[Arc::clone(array)])?;
    }
    Ok(range(side, Some(low.evaluate()?), Some(high.evaluate()?)))
}

/// The keys themselves, and ranges of them that can be compared with what a page has.
fn listed(side: &Side, values: &[&ArrayRef], schema: &Schema) -> EngineResult<Filter> {
    let arrays: Vec<&dyn Array> = values.iter().map(|array| array.as_ref()).collect();
    let all = concat(&arrays)?;
    let mut keys = Vec::with_capacity(all.len());
    for row in (0..all.len()).filter(|row| all.is_valid(*row)) {
        keys.push(ScalarValue::try_from_array(&all, row)?);
    }
    keys.sort_by(|a, b| a.partial_cmp(b).unwrap_or(Ordering::Equal));
    keys.dedup();
    let list = keys.iter().cloned().map(lit).collect();
    let list: Arc<dyn PhysicalExpr> =
        Arc::new(InListExpr::try_new(Arc::clone(side), list, false, schema)?);
    let ranges = keys
        .chunks(keys.len().div_ceil(RANGES).max(1))
        .map(|keys| range(side, keys.first().cloned(), keys.last().cloned()))
        .fold(None, |all, one| both(all, one, Operator::Or));
    Ok(both(Some(list), ranges, Operator::And))
}
