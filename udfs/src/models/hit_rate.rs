//! `hit_rate(relevance, score, k)`: whether the first places hold a relevant item.

use datafusion::error::Result as EngineResult;

use super::items::{Items, first_items, k};
use super::measure::Measure;
use crate::arguments::{Call, Doc, Given};

/// The measure.
#[derive(Debug, Clone, Default)]
pub struct HitRate;

impl Measure for HitRate {
    type Options = usize;
    type State = Items;

    fn call() -> Call {
        Call { name: "hit_rate", arguments: first_items(), doc: DOC }
    }

    fn options(given: &Given) -> EngineResult<usize> {
        k(given)
    }

    fn value(items: &Items, k: usize) -> Option<f64> {
        items.list()?.hit_rate_at(k)
    }
}

const DOC: Doc = Doc {
    summary: "1 if a relevant item (relevance over 0) is in the first k places of a list, else 0; \
              avg() over the groups is the hit rate. NULL for a list without relevant items, so \
              that avg() skips it. Items of equal score count as the mean over their orders: a \
              chance. Items with a NULL are left out; a NaN or a negative relevance makes it \
              NULL.",
    example: (
        "SELECT hit_rate(relevance, score, 1) FROM (VALUES (1, 0.5), (0, 0.5), (1, 0.1)) \
         t(relevance, score)",
        "0.5",
    ),
};
