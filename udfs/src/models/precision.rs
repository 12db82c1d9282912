//! `precision(label, score, threshold)`: share of the predicted that came true.

use datafusion::error::Result as EngineResult;
use kernels::metrics::classes::Confusion;

use super::measure::Measure;
use super::rows::{classes, threshold};
use crate::arguments::{Call, Doc, Given};

/// The measure.
#[derive(Debug, Clone, Default)]
pub struct Precision;

impl Measure for Precision {
    type Options = f64;
    type State = Confusion;

    fn call() -> Call {
        Call { name: "precision", arguments: classes(), doc: DOC }
    }

    fn options(given: &Given) -> EngineResult<f64> {
        threshold(given)
    }

    fn value(state: &Confusion, _: f64) -> Option<f64> {
        state.precision()
    }
}

const DOC: Doc = Doc {
    summary: "Share of the rows with score > threshold whose label is true: TP / (TP + FP), as \
              scikit-learn's precision_score, but NULL where nothing is predicted. Rows with a \
              NULL are left out; a NaN score or a label other than 0 and 1 makes it NULL. \
              Postgres takes the name for part of a type: SQL that is to be read there too writes \
              \"precision\"(label, score).",
    example: (
        "SELECT precision(label, score) FROM (VALUES (true, 0.9), (false, 0.8), \
         (true, 0.2), (false, 0.1)) t(label, score)",
        "0.5",
    ),
};
