//! `log_loss(label, score)`: cross-entropy of probabilities.

use datafusion::error::Result as EngineResult;
use kernels::metrics::errors::Losses;

use super::measure::Measure;
use super::rows::probabilities;
use crate::arguments::{Call, Doc, Given};

/// The measure.
#[derive(Debug, Clone, Default)]
pub struct LogLoss;

impl Measure for LogLoss {
    type Options = ();
    type State = Losses;

    fn call() -> Call {
        Call { name: "log_loss", arguments: probabilities(), doc: DOC }
    }

    fn options(_: &Given) -> EngineResult<()> {
        Ok(())
    }

    fn value(state: &Losses, (): ()) -> Option<f64> {
        state.log_loss()
    }
}

const DOC: Doc = Doc {
    summary: "Mean of -ln p, where p is the probability that was given to the label, in nats, as \
              scikit-learn's log_loss; p is at least 1e-15, so that one certain mistake is not \
              infinite. Rows with a NULL are left out; no rows, a score outside [0, 1] or a label \
              other than 0 and 1 makes it NULL.",
    example: (
        "SELECT log_loss(label, score) FROM (VALUES (true, 0.5), (false, 0.5)) t(label, score)",
        "0.6931471805599453",
    ),
};
