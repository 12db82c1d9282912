//! `recall(label, score, threshold)`: share of the true that was predicted.

use datafusion::error::Result as EngineResult;
use kernels::metrics::classes::Confusion;

use super::measure::Measure;
use super::rows::{classes, threshold};
use crate::arguments::{Call, Doc, Given};

/// The measure.
#[derive(Debug, Clone, Default)]
pub struct Recall;

impl Measure for Recall {
    type Options = f64;
    type State = Confusion;

    fn call() -> Call {
        Call { name: "recall", arguments: classes(), doc: DOC }
    }

    fn options(given: &Given) -> EngineResult<f64> {
        threshold(given)
    }

    fn value(state: &Confusion, _: f64) -> Option<f64> {
        state.recall()
    }
}

const DOC: Doc = Doc {
    summary: "Share of the rows with a true label that have score > threshold: TP / (TP + FN), as \
              scikit-learn's recall_score, but NULL where no label is true. Rows with a NULL are \
              left out; a NaN score or a label other than 0 and 1 makes it NULL.",
    example: (
        "SELECT recall(label, score) FROM (VALUES (true, 0.9), (false, 0.8), \
         (true, 0.2), (false, 0.1)) t(label, score)",
        "0.5",
    ),
};
