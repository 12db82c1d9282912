//! `js_divergence(x, is_current, …)`: Jensen-Shannon divergence, in nats.

use datafusion::error::Result as EngineResult;
use kernels::statistics::divergence::{Divergence, Fill, divergence};

use super::bins::{Binned, Distance, beyond_chance};
use crate::arguments::{Doc, Given};

/// The distance.
#[derive(Debug, Default, Clone)]
pub struct JsDivergence;

impl Distance for JsDivergence {
    type Options = ();
    const NAME: &'static str = "js_divergence";
    const THRESHOLD: f64 = 0.01;

    fn options(_: &Given) -> EngineResult<()> {
        Ok(())
    }

    fn value((): &(), reference: &[u64], current: &[u64]) -> Option<f64> {
        divergence(Divergence::JsDivergence, reference, current, Fill::None)
    }

    fn drifted(value: f64, threshold: f64, binned: &Binned, _: &()) -> bool {
        beyond_chance(value, threshold, binned)
    }

    fn doc() -> Doc {
        Doc {
            summary: "Jensen-Shannon divergence in nats (Lin 1991): symmetric, at most ln 2, needs \
                      no fill. drifted is above the threshold and more than chance gives \
                      (chi-square, 0.05).",
            example: (
                "SELECT round((js_divergence(x, c)).value, 4) FROM (VALUES ('a', false), ('b', false), ('a', true), \
                 ('a', true), ('a', true), ('b', true)) t(x, c)",
                "0.0338",
            ),
        }
    }
}
