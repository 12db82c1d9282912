//! What functions of planning and of assignment share: options, and rows of numbers.

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::datatypes::Float64Type;
use datafusion::error::Result as EngineResult;
use kernels::statistics::power::Plan;

use crate::Error;
use crate::arguments::{Argument, Given, Kind, option};

/// alpha, power, ratio.
pub fn plan_arguments() -> [Argument; 3] {
    [
        option("alpha", Kind::Number, "probability of a false alarm, two-sided (default 0.05)"),
        option("power", Kind::Number, "probability of seeing the effect (default 0.8)"),
        option("ratio", Kind::Number, "treatment units per control unit (default 1)"),
    ]
}

/// Reads them.
pub fn plan(given: &Given) -> EngineResult<Plan> {
    Ok(Plan {
        alpha: given.between("alpha", 0.0, 1.0, 0.05)?,
        power: given.between("power", 0.0, 1.0, 0.8)?,
        ratio: given.between("ratio", 0.0, f64::INFINITY, 1.0)?,
    })
}

/// A column's number in a row; None for NULL or a column that was not given.
pub fn number(columns: &[ArrayRef], place: usize, row: usize) -> Option<f64> {
    let column = columns.get(place)?.as_primitive_opt::<Float64Type>()?;
    column.is_valid(row).then(|| column.value(row))
}

/// A share must lie within (0, 1), a size above zero.
pub fn within(name: &'static str, value: f64, low: f64, high: f64) -> EngineResult<f64> {
    if value > low && value < high {
        return Ok(value);
    }
    let allowed = match high.is_infinite() {
        true => format!("greater than {low}"),
        false => format!("between {low} and {high}"),
    };
    Err(Error::InvalidArgument { name, allowed, given: value.to_string() }.into())
}

/// A share of units, from 0 to 1.
pub fn share_of_units(share: f64) -> EngineResult<f64> {
    if (0.0..=1.0).contains(&share) {
        return Ok(share);
    }
    let (allowed, given) = ("between 0 and 1".into(), share.to_string());
    Err(Error::InvalidArgument { name: "share", allowed, given }.into())
}

/// An effect that is not zero and leaves the share within (0, 1).
pub fn effect(baseline: Option<f64>, effect: f64) -> EngineResult<f64> {
    let fits = baseline.is_none_or(|share| share + effect > 0.0 && share + effect < 1.0);
    if effect != 0.0 && effect.is_finite() && fits {
        return Ok(effect);
    }
    let allowed = "not zero, and baseline + mde between 0 and 1".into();
    Err(Error::InvalidArgument { name: "mde", allowed, given: effect.to_string() }.into())
}
