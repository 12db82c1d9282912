//! `interleave(a, b, seed)`: one ranking from two, by team draft.

use datafusion::arrow::array::{Array, ArrayRef, AsArray, ListArray};
use datafusion::arrow::datatypes::Int64Type;
use datafusion::error::Result as EngineResult;
use kernels::assignment::{Team, interleave};

use crate::Function;
use crate::arguments::{Call, Doc, Given, Kind, required};
use crate::output::{Output, Type};
use crate::scalar::scalar;

/// The function.
pub fn function() -> Function {
    let arguments = vec![
        required("a", Kind::Integers, "items of the first ranking, best first"),
        required("b", Kind::Integers, "items of the second"),
        required("seed", Kind::Integer, "of the coin; the same request must give the same list"),
    ];
    scalar(Call { name: "interleave", arguments, doc: DOC }, vec![("", Type::Picks)], answer)
}

fn answer(_: &Given, columns: &[ArrayRef], rows: usize, output: &mut Output) -> EngineResult<()> {
    let (a, b) = (columns[0].as_list::<i32>(), columns[1].as_list::<i32>());
    let seeds = columns[2].as_primitive::<Int64Type>();
    for row in 0..rows {
        if a.is_null(row) || b.is_null(row) || seeds.is_null(row) {
            output.picks(None);
            continue;
        }
        let merged = interleave(&items(a, row), &items(b, row), seeds.value(row) as u64);
        let picks = merged.into_iter().map(|(item, team)| match team {
            Team::A => (item, "a"),
            Team::B => (item, "b"),
        });
        output.picks(Some(&picks.collect::<Vec<_>>()));
    }
    Ok(())
}

/// NULL items are left out.
fn items(lists: &ListArray, row: usize) -> Vec<i64> {
    lists.value(row).as_primitive::<Int64Type>().iter().flatten().collect()
}

const DOC: Doc = Doc {
    summary: "Team-draft interleaving (Radlinski, Kurup & Joachims 2008): the team with fewer \
              picks, at a tie a coin of the seed, takes its best item not yet taken. Answers an \
              array of (item, team 'a' or 'b'); NULL items are left out, NULL for a NULL argument.",
    example: ("SELECT array_length(interleave(ARRAY[1, 2, 3], ARRAY[3, 2, 4], 7), 1)", "4"),
};
