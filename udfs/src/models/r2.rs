//! `r2(label, prediction)`: share of the variance that predictions explain.

use datafusion::error::Result as EngineResult;
use kernels::metrics::errors::Errors;

use super::measure::Measure;
use super::rows::numbers;
use crate::arguments::{Call, Doc, Given};

/// The measure.
#[derive(Debug, Clone, Default)]
pub struct R2;

impl Measure for R2 {
    type Options = ();
    type State = Errors;

    fn call() -> Call {
        Call { name: "r2", arguments: numbers(), doc: DOC }
    }

    fn options(_: &Given) -> EngineResult<()> {
        Ok(())
    }

    fn value(state: &Errors, (): ()) -> Option<f64> {
        state.r2()
    }
}

const DOC: Doc = Doc {
    summary: "Coefficient of determination: 1 - sum of (label - prediction)^2 / sum of (label - \
              mean label)^2, as scikit-learn's r2_score; below 0 it is worse than the mean. NULL \
              if the labels do not differ. Rows with a NULL are left out; a NaN or an infinity \
              makes it NULL.",
    example: (
        "SELECT r2(label, prediction) FROM (VALUES (1, 1), (2, 2), (3, 2)) t(label, prediction)",
        "0.5",
    ),
};
