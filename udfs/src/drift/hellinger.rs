//! `hellinger(x, is_current, …)`: Hellinger's distance.

use datafusion::error::Result as EngineResult;
use kernels::statistics::divergence::{Divergence, Fill, divergence};

use super::bins::{Binned, Distance, beyond_chance};
use crate::arguments::{Doc, Given};

/// The distance.
#[derive(Debug, Default, Clone)]
pub struct Hellinger;

impl Distance for Hellinger {
    type Options = ();
    const NAME: &'static str = "hellinger";
    const THRESHOLD: f64 = 0.1;

    fn options(_: &Given) -> EngineResult<()> {
        Ok(())
    }

    fn value((): &(), reference: &[u64], current: &[u64]) -> Option<f64> {
        divergence(Divergence::Hellinger, reference, current, Fill::None)
    }

    fn drifted(value: f64, threshold: f64, binned: &Binned, _: &()) -> bool {
        beyond_chance(value, threshold, binned)
    }

    fn doc() -> Doc {
        Doc {
            summary: "Hellinger's distance: root of half the sum of squared differences of root \
                      shares, from 0 to 1. drifted is above the threshold and more than chance \
                      gives (chi-square, 0.05).",
            example: (
                "SELECT round((hellinger(x, c)).value, 4) FROM (VALUES ('a', false), ('b', false), ('a', true), \
                 ('a', true), ('a', true), ('b', true)) t(x, c)",
                "0.1846",
            ),
        }
    }
}
