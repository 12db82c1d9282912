//! `map_at(relevance, score, k)`: average precision of a list.

use datafusion::error::Result as EngineResult;

use super::items::{Items, first_items, k};
use super::measure::Measure;
use crate::arguments::{Call, Doc, Given};

/// The measure.
#[derive(Debug, Clone, Default)]
pub struct MapAt;

impl Measure for MapAt {
    type Options = usize;
    type State = Items;

    fn call() -> Call {
        Call { name: "map_at", arguments: first_items(), doc: DOC }
    }

    fn options(given: &Given) -> EngineResult<usize> {
        k(given)
    }

    fn value(items: &Items, k: usize) -> Option<f64> {
        items.list()?.map_at(k)
    }
}

const DOC: Doc = Doc {
    summary: "Average precision of a list at k: sum, over the relevant items (relevance over 0) \
              of the first k places, of the precision at their place, divided by min(k, relevant \
              items); avg() over the groups is MAP@k. NULL for a list without relevant items, so \
              that avg() skips it. Items of equal score count as the mean over their orders. \
              Items with a NULL are left out; a NaN or a negative relevance makes it NULL.",
    example: (
        "SELECT map_at(relevance, score, 2) FROM (VALUES (0, 0.9), (1, 0.8), (1, 0.1)) \
         t(relevance, score)",
        "0.25",
    ),
};
