//! `js_divergence(x, is_current, …)`: Jensen-Shannon divergence, in nats.

use std::f64::consts::LN_2;

use datafusion::error::Result as EngineResult;
use kernels::statistics::divergence::{Divergence, Fill, divergence};

use super::bins::{Binned, Distance, beyond_chance};
use super::fill::{Compat, compat};
use crate::arguments::{Doc, Given};

/// The distance.
#[derive(Debug, Default, Clone)]
pub struct JsDivergence;

impl Distance for JsDivergence {
    /// Whether logarithms are of base 2.
    type Options = bool;
    const NAME: &'static str = "js_divergence";
    const THRESHOLD: f64 = 0.01;

    fn options(given: &Given) -> EngineResult<bool> {
        Ok(compat(given)? == Compat::Nannyml)
    }

    fn value(bits: &bool, reference: &[u64], current: &[u64]) -> Option<f64> {
        let value = divergence(Divergence::JsDivergence, reference, current, Fill::None)?;
        Some(if *bits { value / LN_2 } else { value })
    }

    fn drifted(value: f64, threshold: f64, binned: &Binned, _: &bool) -> bool {
        beyond_chance(value, threshold, binned)
    }

    fn doc() -> Doc {
        Doc {
            summary: "Jensen-Shannon divergence in nats, or in bits with compat => 'nannyml' (Lin 1991): symmetric, at most ln 2, needs \
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
