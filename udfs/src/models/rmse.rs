//! `rmse(label, prediction)`: root of the mean squared error.

use datafusion::error::Result as EngineResult;
use kernels::metrics::errors::Errors;

use super::measure::Measure;
use super::rows::numbers;
use crate::arguments::{Call, Doc, Given};

/// The measure.
#[derive(Debug, Clone, Default)]
pub struct Rmse;

impl Measure for Rmse {
    type Options = ();
    type State = Errors;

    fn call() -> Call {
        Call { name: "rmse", arguments: numbers(), doc: DOC }
    }

    fn options(_: &Given) -> EngineResult<()> {
        Ok(())
    }

    fn value(state: &Errors, (): ()) -> Option<f64> {
        state.rmse()
    }
}

const DOC: Doc = Doc {
    summary: "Square root of the mean of (label - prediction)^2, in the unit of the label, as \
              scikit-learn's root_mean_squared_error. Rows with a NULL are left out; no rows, a \
              NaN or an infinity makes it NULL.",
    example: (
        "SELECT rmse(label, prediction) FROM (VALUES (0, 1), (0, 7)) t(label, prediction)",
        "5",
    ),
};
