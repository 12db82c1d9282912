//! `l_infinity(x, is_current, …)`: largest difference of a share.

use datafusion::error::Result as EngineResult;
use kernels::statistics::divergence::{Divergence, Fill, divergence};

use super::bins::{Binned, Distance, beyond_chance};
use crate::arguments::{Doc, Given};

/// The distance.
#[derive(Debug, Default, Clone)]
pub struct LInfinity;

impl Distance for LInfinity {
    type Options = ();
    const NAME: &'static str = "l_infinity";
    const THRESHOLD: f64 = 0.1;

    fn options(_: &Given) -> EngineResult<()> {
        Ok(())
    }

    fn value((): &(), reference: &[u64], current: &[u64]) -> Option<f64> {
        divergence(Divergence::LInfinity, reference, current, Fill::None)
    }

    fn drifted(value: f64, threshold: f64, binned: &Binned, _: &()) -> bool {
        beyond_chance(value, threshold, binned)
    }

    fn doc() -> Doc {
        Doc {
            summary: "Largest absolute difference of a share (TFDV compares categories so), from 0 \
                      to 1. drifted is above the threshold and more than chance gives (chi-square, \
                      0.05).",
            example: (
                "SELECT round((l_infinity(x, c)).value, 4) FROM (VALUES ('a', false), ('b', false), ('a', true), \
                 ('a', true), ('a', true), ('b', true)) t(x, c)",
                "0.25",
            ),
        }
    }
}
