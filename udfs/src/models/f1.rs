//! `f1(label, score, threshold)`: harmonic mean of precision and recall.

use datafusion::error::Result as EngineResult;
use kernels::metrics::classes::Confusion;

use super::measure::Measure;
use super::rows::{classes, threshold};
use crate::arguments::{Call, Doc, Given};

/// The measure.
#[derive(Debug, Clone, Default)]
pub struct F1;

impl Measure for F1 {
    type Options = f64;
    type State = Confusion;

    fn call() -> Call {
        Call { name: "f1", arguments: classes(), doc: DOC }
    }

    fn options(given: &Given) -> EngineResult<f64> {
        threshold(given)
    }

    fn value(state: &Confusion, _: f64) -> Option<f64> {
        state.f1()
    }
}

const DOC: Doc = Doc {
    summary: "Harmonic mean of precision and recall of score > threshold: 2 TP / (2 TP + FP + \
              FN), as scikit-learn's f1_score, but NULL where no label is true and nothing is \
              predicted. Rows with a NULL are left out; a NaN score or a label other than 0 and 1 \
              makes it NULL.",
    example: (
        "SELECT f1(label, score) FROM (VALUES (true, 0.9), (false, 0.8), \
         (true, 0.2), (false, 0.1)) t(label, score)",
        "0.5",
    ),
};
