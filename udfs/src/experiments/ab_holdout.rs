//! `ab_holdout(unit, share [, salt])`: whether a unit belongs to the group that sees no experiment.

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::error::Result as EngineResult;
use kernels::assignment::{HOLDOUT, holdout_place};

use super::planning::{number, share_of_units};
use crate::Function;
use crate::arguments::{Call, Doc, Given, Kind, option, required};
use crate::output::{Output, Type};
use crate::scalar::scalar;

/// The function.
pub fn function() -> Function {
    let arguments = vec![
        required("unit", Kind::Text, "what is randomised"),
        required("share", Kind::Number, "share of units held out, from 0 to 1"),
        option("salt", Kind::Text, "name of the group (default 'holdout')"),
    ];
    scalar(Call { name: "ab_holdout", arguments, doc: DOC }, vec![("", Type::Flag)], answer)
}

fn answer(
    given: &Given,
    columns: &[ArrayRef],
    rows: usize,
    output: &mut Output,
) -> EngineResult<()> {
    let salt = given.text("salt")?.unwrap_or_else(|| HOLDOUT.into());
    let units = columns[0].as_string::<i32>();
    for row in 0..rows {
        let Some(share) = number(columns, 1, row).filter(|_| units.is_valid(row)) else {
            output.flag(None);
            continue;
        };
        let share = share_of_units(share)?;
        output.flag(holdout_place(&salt, units.value(row)) < share);
    }
    Ok(())
}

const DOC: Doc = Doc {
    summary: "Whether a unit is held out of all experiments, by the hash of its id under a salt of \
              its own: murmur3_x86_32(salt || '.' || unit) / 2^32 < share. A growing share keeps \
              who is in. NULL for NULL.",
    example: ("SELECT ab_holdout('user-1', 0.01)", "f"),
};
