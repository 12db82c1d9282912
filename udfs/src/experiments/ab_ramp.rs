//! `ab_ramp(experiment, unit, share)`: whether a unit is exposed yet.

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::error::Result as EngineResult;
use kernels::assignment::ramp_place;

use super::planning::{number, share_of_units};
use crate::Function;
use crate::arguments::{Call, Doc, Given, Kind, required};
use crate::output::{Output, Type};
use crate::scalar::scalar;

/// The function.
pub fn function() -> Function {
    let arguments = vec![
        required("experiment", Kind::Text, "the experiment's name"),
        required("unit", Kind::Text, "what is randomised"),
        required("share", Kind::Number, "share of units exposed, from 0 to 1"),
    ];
    scalar(Call { name: "ab_ramp", arguments, doc: DOC }, vec![("", Type::Flag)], answer)
}

fn answer(_: &Given, columns: &[ArrayRef], rows: usize, output: &mut Output) -> EngineResult<()> {
    let (experiments, units) = (columns[0].as_string::<i32>(), columns[1].as_string::<i32>());
    for row in 0..rows {
        let known = experiments.is_valid(row) && units.is_valid(row);
        let Some(share) = number(columns, 2, row).filter(|_| known) else {
            output.flag(None);
            continue;
        };
        let share = share_of_units(share)?;
        output.flag(ramp_place(experiments.value(row), units.value(row)) < share);
    }
    Ok(())
}

const DOC: Doc = Doc {
    summary: "Whether a unit is exposed at a share of the traffic: murmur3_x86_32(experiment || \
              '.ramp.' || unit) / 2^32 < share, a hash apart from that of the arms. Growing the \
              share never moves a unit out. NULL for NULL.",
    example: ("SELECT ab_ramp('checkout', 'user-1', 0.9)", "t"),
};
