//! `precision_at(relevance, score, k)`: share of the first places that hold a relevant item.

use datafusion::error::Result as EngineResult;

use super::items::{Items, first_items, k};
use super::measure::Measure;
use crate::arguments::{Call, Doc, Given};

/// The measure.
#[derive(Debug, Clone, Default)]
pub struct PrecisionAt;

impl Measure for PrecisionAt {
    type Options = usize;
    type State = Items;

    fn call() -> Call {
        Call { name: "precision_at", arguments: first_items(), doc: DOC }
    }

    fn options(given: &Given) -> EngineResult<usize> {
        k(given)
    }

    fn value(items: &Items, k: usize) -> Option<f64> {
        items.list()?.precision_at(k)
    }
}

const DOC: Doc = Doc {
    summary: "Share of the first k places of a list that hold a relevant item (relevance over 0); \
              places beyond its end hold none. One list per group: avg() over the groups is the \
              usual measure. It is 0, not NULL, for a list without relevant items. Items of equal \
              score count as the mean over their orders. Items with a NULL are left out; a NaN or \
              a negative relevance makes it NULL.",
    example: (
        "SELECT precision_at(relevance, score, 2) FROM (VALUES (1, 0.9), (0, 0.8), (1, 0.1)) \
         t(relevance, score)",
        "0.5",
    ),
};
