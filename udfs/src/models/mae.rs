//! `mae(label, prediction)`: mean size of errors.

use datafusion::error::Result as EngineResult;
use kernels::metrics::errors::Errors;

use super::measure::Measure;
use super::rows::numbers;
use crate::arguments::{Call, Doc, Given};

/// The measure.
#[derive(Debug, Clone, Default)]
pub struct Mae;

impl Measure for Mae {
    type Options = ();
    type State = Errors;

    fn call() -> Call {
        Call { name: "mae", arguments: numbers(), doc: DOC }
    }

    fn options(_: &Given) -> EngineResult<()> {
        Ok(())
    }

    fn value(state: &Errors, (): ()) -> Option<f64> {
        state.mae()
    }
}

const DOC: Doc = Doc {
    summary: "Mean of |label - prediction|, in the unit of the label, as scikit-learn's \
              mean_absolute_error. Rows with a NULL are left out; no rows, a NaN or an infinity \
              makes it NULL.",
    example: (
        "SELECT mae(label, prediction) FROM (VALUES (0, 1), (0, 7)) t(label, prediction)",
        "4",
    ),
};
