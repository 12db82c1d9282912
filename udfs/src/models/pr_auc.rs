//! `pr_auc(label, score)`: area under the curve of precision over recall.

use datafusion::error::Result as EngineResult;
use kernels::metrics::ranked::Scores;

use super::measure::Measure;
use super::rows::scores;
use crate::arguments::{Call, Doc, Given};

/// The measure.
#[derive(Debug, Clone, Default)]
pub struct PrAuc;

impl Measure for PrAuc {
    type Options = ();
    type State = Scores;

    fn call() -> Call {
        Call { name: "pr_auc", arguments: scores(), doc: DOC }
    }

    fn options(_: &Given) -> EngineResult<()> {
        Ok(())
    }

    fn value(state: &Scores, (): ()) -> Option<f64> {
        state.pr_auc()
    }
}

const DOC: Doc = Doc {
    summary: "Average precision: sum over the distinct scores, falling, of (recall - recall \
              before) times precision, in steps and not interpolated, as scikit-learn's \
              average_precision_score. NULL if no label is true. Rows with a NULL are left out; a \
              NaN score or a label other than 0 and 1 makes it NULL. Memory grows with the number \
              of distinct scores.",
    example: (
        "SELECT pr_auc(label, score) FROM (VALUES (true, 0.9), (false, 0.4), \
         (false, 0.3), (true, 0.2)) t(label, score)",
        "0.75",
    ),
};
