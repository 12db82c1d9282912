//! `ab_layer(layer, unit, ranges)`: which of a layer's exclusive experiments a unit may see.

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::error::Result as EngineResult;
use kernels::assignment::layer_place;

use crate::arguments::{Call, Doc, Given, Kind, required};
use crate::output::{Output, Type};
use crate::scalar::scalar;
use crate::{Error, Function};

/// The function.
pub fn function() -> Function {
    let arguments = vec![
        required("layer", Kind::Text, "the layer's name"),
        required("unit", Kind::Text, "what is randomised"),
        required(
            "ranges",
            Kind::Numbers,
            "rising upper ends of the experiments' ranges, at most 1",
        ),
    ];
    scalar(Call { name: "ab_layer", arguments, doc: DOC }, vec![("", Type::Count)], answer)
}

fn answer(
    given: &Given,
    columns: &[ArrayRef],
    rows: usize,
    output: &mut Output,
) -> EngineResult<()> {
    let ranges = given.numbers("ranges")?.unwrap_or_default();
    let valid = ranges.is_sorted_by(|a, b| a < b)
        && ranges.iter().all(|end| (0.0..=1.0).contains(end))
        && !ranges.is_empty();
    if !valid {
        let (allowed, given) = ("rising numbers from 0 to 1".into(), format!("{ranges:?}"));
        return Err(Error::InvalidArgument { name: "ranges", allowed, given }.into());
    }
    let (layers, units) = (columns[0].as_string::<i32>(), columns[1].as_string::<i32>());
    for row in 0..rows {
        let known = layers.is_valid(row) && units.is_valid(row);
        output.count(
            known
                .then(|| {
                    let place = layer_place(layers.value(row), units.value(row));
                    ranges.partition_point(|end| *end <= place) as u64 + 1
                })
                .filter(|slot| *slot <= ranges.len() as u64),
        );
    }
    Ok(())
}

const DOC: Doc = Doc {
    summary: "The number, from 1, of the range in which a unit falls: murmur3_x86_32(layer || \
              '.layer.' || unit) / 2^32. Experiments of a layer that take different ranges never \
              share a unit. NULL beyond the last range, and for NULL.",
    example: ("SELECT ab_layer('search', 'user-1', ARRAY[0.5, 1])", "1"),
};
