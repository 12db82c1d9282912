//! `auc(label, score)`: area under the ROC curve.

use datafusion::error::Result as EngineResult;
use kernels::metrics::ranked::Scores;

use super::measure::Measure;
use super::rows::scores;
use crate::arguments::{Call, Doc, Given};

/// The measure.
#[derive(Debug, Clone, Default)]
pub struct Auc;

impl Measure for Auc {
    type Options = ();
    type State = Scores;

    fn call() -> Call {
        Call { name: "auc", arguments: scores(), doc: DOC }
    }

    fn options(_: &Given) -> EngineResult<()> {
        Ok(())
    }

    fn value(state: &Scores, (): ()) -> Option<f64> {
        state.auc()
    }
}

const DOC: Doc = Doc {
    summary: "Area under the ROC curve: the chance that a true row has a greater score than a \
              false one, ties a half (Hanley & McNeil 1982; U / (n m) of Mann & Whitney), as \
              scikit-learn's roc_auc_score. NULL if the labels are of one class. Rows with a NULL \
              are left out; a NaN score or a label other than 0 and 1 makes it NULL. Memory grows \
              with the number of distinct scores.",
    example: (
        "SELECT auc(label, score) FROM (VALUES (true, 0.9), (false, 0.8), \
         (true, 0.2), (false, 0.1)) t(label, score)",
        "0.75",
    ),
};
