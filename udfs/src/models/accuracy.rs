//! `accuracy(label, score, threshold)`: share of right answers.

use datafusion::error::Result as EngineResult;
use kernels::metrics::classes::Confusion;

use super::measure::Measure;
use super::rows::{classes, threshold};
use crate::arguments::{Call, Doc, Given};

/// The measure.
#[derive(Debug, Clone, Default)]
pub struct Accuracy;

impl Measure for Accuracy {
    type Options = f64;
    type State = Confusion;

    fn call() -> Call {
        Call { name: "accuracy", arguments: classes(), doc: DOC }
    }

    fn options(given: &Given) -> EngineResult<f64> {
        threshold(given)
    }

    fn value(state: &Confusion, _: f64) -> Option<f64> {
        state.accuracy()
    }
}

const DOC: Doc = Doc {
    summary: "Share of rows where score > threshold says what the label says: (TP + TN) / n, as \
              scikit-learn's accuracy_score. Rows with a NULL are left out; no rows, a NaN score \
              or a label other than 0 and 1 makes it NULL.",
    example: (
        "SELECT accuracy(label, score) FROM (VALUES (true, 0.9), (false, 0.8), \
         (true, 0.2), (false, 0.1)) t(label, score)",
        "0.5",
    ),
};
