//! `mrr(relevance, score)`: how early the first relevant item comes.

use datafusion::error::Result as EngineResult;

use super::items::{Items, items};
use super::measure::Measure;
use crate::arguments::{Call, Doc, Given};

/// The measure.
#[derive(Debug, Clone, Default)]
pub struct Mrr;

impl Measure for Mrr {
    type Options = ();
    type State = Items;

    fn call() -> Call {
        Call { name: "mrr", arguments: items(), doc: DOC }
    }

    fn options(_: &Given) -> EngineResult<()> {
        Ok(())
    }

    fn value(items: &Items, (): ()) -> Option<f64> {
        items.list()?.mrr()
    }
}

const DOC: Doc = Doc {
    summary: "1 / place of the first relevant item (relevance over 0) of a list; avg() over the \
              groups is the mean reciprocal rank (Voorhees 1999). NULL for a list without \
              relevant items, so that avg() skips it. Items of equal score count as the mean over \
              their orders. Items with a NULL are left out; a NaN or a negative relevance makes \
              it NULL.",
    example: (
        "SELECT mrr(relevance, score) FROM (VALUES (0, 0.9), (1, 0.8), (1, 0.1)) t(relevance, score)",
        "0.5",
    ),
};
