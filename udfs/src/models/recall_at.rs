//! `recall_at(relevance, score, k, cap)`: share of the relevant items that a list shows first.

use datafusion::error::Result as EngineResult;

use super::items::{Items, first_items, k};
use super::measure::Measure;
use crate::arguments::{Call, Doc, Given, Kind, option};

/// The measure.
#[derive(Debug, Clone, Default)]
pub struct RecallAt;

impl Measure for RecallAt {
    type Options = (usize, bool);
    type State = Items;

    fn call() -> Call {
        let meaning = "divide by no more than k, so that a full list has 1 (default false)";
        let mut arguments = first_items();
        arguments.push(option("cap", Kind::Flag, meaning));
        Call { name: "recall_at", arguments, doc: DOC }
    }

    fn options(given: &Given) -> EngineResult<(usize, bool)> {
        Ok((k(given)?, given.flag("cap", false)?))
    }

    fn value(items: &Items, (k, cap): (usize, bool)) -> Option<f64> {
        items.list()?.recall_at(k, cap)
    }
}

const DOC: Doc = Doc {
    summary: "Share of the relevant items of a list (relevance over 0) that are in its first k \
              places: hits / relevant, or with cap => true hits / min(k, relevant) (Liang et al. \
              2018). One list per group: avg() over the groups is the usual measure. NULL for a \
              list without relevant items, so that avg() skips it. Items of equal score count as \
              the mean over their orders. Items with a NULL are left out; a NaN or a negative \
              relevance makes it NULL.",
    example: (
        "SELECT recall_at(relevance, score, 1) FROM (VALUES (1, 0.9), (1, 0.8), (0, 0.1)) \
         t(relevance, score)",
        "0.5",
    ),
};
