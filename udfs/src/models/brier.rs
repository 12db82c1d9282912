//! `brier(label, score)`: mean squared error of probabilities.

use datafusion::error::Result as EngineResult;
use kernels::metrics::errors::Losses;

use super::measure::Measure;
use super::rows::probabilities;
use crate::arguments::{Call, Doc, Given};

/// The measure.
#[derive(Debug, Clone, Default)]
pub struct Brier;

impl Measure for Brier {
    type Options = ();
    type State = Losses;

    fn call() -> Call {
        Call { name: "brier", arguments: probabilities(), doc: DOC }
    }

    fn options(_: &Given) -> EngineResult<()> {
        Ok(())
    }

    fn value(state: &Losses, (): ()) -> Option<f64> {
        state.brier()
    }
}

const DOC: Doc = Doc {
    summary: "Brier score (Brier 1950): mean of (score - label)^2, as scikit-learn's \
              brier_score_loss. Rows with a NULL are left out; no rows, a score outside [0, 1] or \
              a label other than 0 and 1 makes it NULL.",
    example: (
        "SELECT brier(label, score) FROM (VALUES (true, 0.5), (false, 0.5)) t(label, score)",
        "0.25",
    ),
};
