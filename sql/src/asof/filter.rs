//! What the labels ask of the rows, for the scan: times that can match, keys that a label has.
//!
//! A row group or page without any such row is not read. Few labels ask for their very keys, many
//! for the range of them. Floats are not asked for: statistics of files leave NaN out.

use std::cmp::Ordering;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, Int64Array};
use datafusion::arrow::compute::{cast, concat};
use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::common::{Result as EngineResult, ScalarValue, Statistics};
use datafusion::functions_aggregate::min_max::{MaxAccumulator, MinAccumulator};
use datafusion::logical_expr::{Accumulator, Operator};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, Column, InListExpr, lit};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::statistics::{StatisticsArgs, StatisticsContext};
use kernels::asof::{Direction, Labels};

use super::exec::{Side, Terms};
use super::times;

/// Labels whose keys are listed.
const LISTED: usize = 4096;
/// Keys that pages are compared with one by one; lists longer than 20 the engine does not compare.
const RANGES: usize = 64;

/// Of a column's range: less than this between a bound and the range's end is not worth asking.
const TELLING_SHARE: f64 = 0.03;

type Filter = Option<Arc<dyn PhysicalExpr>>;

/// The condition that every row that can match fulfils; `keys` are the labels', batch by batch.
/// Bounds that all rows keep anyway are left out: to compare each row with them costs.
pub(super) fn expression(
    terms: &Terms,
    keys: &[Vec<ArrayRef>],
    labels: &Labels,
    rows: &dyn ExecutionPlan,
) -> EngineResult<Arc<dyn PhysicalExpr>> {
    let schema = rows.schema();
    let known = StatisticsContext::new().compute(rows, &StatisticsArgs::new())?;
    let mut filter = time(terms, labels, (&schema, &known))?;
    for (index, (_, row)) in terms.keys.iter().enumerate() {
        let values: Vec<&ArrayRef> = keys.iter().filter_map(|k| k.get(index)).collect();
        let Some(first) = values.first() else { continue };
        if first.data_type().is_floating() {
            continue;
        }
        let asked = match labels.len() <= LISTED {
            true => listed(row, &values, &schema)?,
            false => ranged(row, &values, first.data_type(), &known)?,
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

/// A bound that hardly any row is beyond, as far as is known, is none: to ask it of every row costs
/// more than it saves. What is known may be too narrow: then more rows are read than need be.
fn telling(
    side: &Side,
    (low, high): (Option<ScalarValue>, Option<ScalarValue>),
    known: &Statistics,
) -> (Option<ScalarValue>, Option<ScalarValue>) {
    let of = side.downcast_ref::<Column>();
    let Some(of) = of.and_then(|column| known.column_statistics.get(column.index())) else {
        return (low, high);
    };
    let (Some(least), Some(greatest)) = (of.min_value.get_value(), of.max_value.get_value()) else {
        return (low, high);
    };
    let tells = |from: &ScalarValue, to: &ScalarValue| match share(from, to, (least, greatest)) {
        Some(share) => share > TELLING_SHARE,
        None => from < to,
    };
    (low.filter(|low| tells(least, low)), high.filter(|high| tells(high, greatest)))
}

/// How much of a range of numbers or times lies between two values.
fn share(
    from: &ScalarValue,
    to: &ScalarValue,
    (least, greatest): (&ScalarValue, &ScalarValue),
) -> Option<f64> {
    let number = |value: &ScalarValue| match value.cast_to(&DataType::Int64).ok()? {
        ScalarValue::Int64(value) => value.map(|value| value as f64),
        _ => None,
    };
    Some((number(to)? - number(from)?) / (number(greatest)? - number(least)?).max(1.0))
}

fn range(side: &Side, low: Option<ScalarValue>, high: Option<ScalarValue>) -> Filter {
    let bound = |operator, value: Option<ScalarValue>| {
        let value = value.filter(|value| !value.is_null())?;
        Some(compared(Arc::clone(side), operator, lit(value)))
    };
    both(bound(Operator::GtEq, low), bound(Operator::LtEq, high), Operator::And)
}

/// Times that some label may match.
fn time(
    terms: &Terms,
    labels: &Labels,
    (schema, known): (&Schema, &Statistics),
) -> EngineResult<Filter> {
    let Some((first, last)) = labels.span() else { return Ok(None) };
    if terms.time_type.is_floating() {
        return Ok(None);
    }
    let axis = times::axis(&terms.time_type);
    let reach = |t| terms.tolerance.map(|tolerance| tolerance.bounds(t, axis));
    let newest = reach(last).map(|bounds| bounds.1);
    // As far back as any asks.
    let of_windows = terms.features.iter().map(|feature| feature.frame.width);
    let of_windows = of_windows.map(|width| width.map(|width| first.saturating_sub(width)));
    let taken = terms.takes_rows().then(|| reach(first).map(|bounds| bounds.0));
    let oldest = of_windows.chain(taken).reduce(|a, b| Some(a?.min(b?))).flatten();
    let (low, high) = match terms.rule.direction {
        // Rows become effective with a delay, never before.
        Direction::Backward { delay, .. } if delay >= 0 => (oldest, Some(last)),
        Direction::Backward { .. } => (oldest, None),
        Direction::Forward => (Some(first), newest),
        Direction::Nearest => (oldest, newest),
    };
    let of_row = terms.time.1.data_type(schema)?;
    let value = |ticks: Option<i64>| match ticks {
        Some(ticks) => of_ticks(ticks, &of_row),
        None => Ok(None),
    };
    let (low, high) = telling(&terms.time.1, (value(low)?, value(high)?), known);
    Ok(range(&terms.time.1, low, high))
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

fn ranged(
    side: &Side,
    values: &[&ArrayRef],
    of: &DataType,
    known: &Statistics,
) -> EngineResult<Filter> {
    let (mut low, mut high) = (MinAccumulator::try_new(of)?, MaxAccumulator::try_new(of)?);
    for array in values {
        low.update_batch(&[Arc::clone(array)])?;
        high.update_batch(&[Arc::clone(array)])?;
    }
    let (low, high) = telling(side, (Some(low.evaluate()?), Some(high.evaluate()?)), known);
    Ok(range(side, low, high))
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
    // More keys than that leave no page out, most likely, and every range costs.
    let runs = if keys.len() <= RANGES { 1 } else { keys.len() };
    let ranges = keys
        .chunks(runs)
        .map(|keys| range(side, keys.first().cloned(), keys.last().cloned()))
        .fold(None, |all, one| both(all, one, Operator::Or));
    Ok(both(Some(list), ranges, Operator::And))
}
