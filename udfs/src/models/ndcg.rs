//! `ndcg(relevance, score, k, gain)`: how much of the gain of the best order a list gets.

use datafusion::error::Result as EngineResult;
use kernels::metrics::lists::Gain;

use super::items::{Items, first_items, k};
use super::measure::Measure;
use crate::arguments::{Call, Doc, Given, Kind, option};

/// The measure.
#[derive(Debug, Clone, Default)]
pub struct Ndcg;

impl Measure for Ndcg {
    type Options = (usize, Gain);
    type State = Items;

    fn call() -> Call {
        let meaning = "'linear' (default): the relevance, or 'exp2': 2^relevance - 1";
        let mut arguments = first_items();
        arguments.push(option("gain", Kind::Text, meaning));
        Call { name: "ndcg", arguments, doc: DOC }
    }

    fn options(given: &Given) -> EngineResult<(usize, Gain)> {
        let gains = [("linear", Gain::Linear), ("exp2", Gain::Exp2)];
        Ok((k(given)?, given.choice("gain", &gains)?))
    }

    fn value(items: &Items, (k, gain): (usize, Gain)) -> Option<f64> {
        items.list()?.ndcg(k, gain)
    }
}

const DOC: Doc = Doc {
    summary: "Normalised discounted cumulative gain of a list at k: sum of gain / log2(1 + place) \
              over the first k places, divided by that of the best order (Jarvelin & Kekalainen \
              2002); items of equal score get the mean of their gains, as in scikit-learn's \
              ndcg_score. One list per group: avg() over the groups is the usual measure. NULL for \
              a list without gain, so that avg() skips it: scikit-learn counts 0, and \
              count(*) - count(ndcg) says how many there are. Items with a NULL are left out; a \
              NaN or a negative relevance makes it NULL.",
    example: (
        "SELECT ndcg(relevance, score, 3) FROM (VALUES (0, 0.9), (0, 0.8), (1, 0.7)) \
         t(relevance, score)",
        "0.5",
    ),
};
