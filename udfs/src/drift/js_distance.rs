//! `js_distance(x, is_current, …)`: root of the Jensen-Shannon divergence.

use std::f64::consts::LN_2;

use datafusion::error::Result as EngineResult;
use kernels::statistics::divergence::{Divergence, Fill, divergence};

use super::bins::{Binned, Distance, beyond_chance};
use super::fill::{Compat, compat};
use crate::arguments::{Doc, Given};

/// The distance.
#[derive(Debug, Default, Clone)]
pub struct JsDistance;

impl Distance for JsDistance {
    /// Whether logarithms are of base 2.
    type Options = bool;
    const NAME: &'static str = "js_distance";
    const THRESHOLD: f64 = 0.1;

    fn options(given: &Given) -> EngineResult<bool> {
        Ok(compat(given)? == Compat::Nannyml)
    }

    fn value(bits: &bool, reference: &[u64], current: &[u64]) -> Option<f64> {
        let value = divergence(Divergence::JsDistance, reference, current, Fill::None)?;
        Some(if *bits { value / LN_2.sqrt() } else { value })
    }

    fn drifted(value: f64, threshold: f64, binned: &Binned, _: &bool) -> bool {
        beyond_chance(value, threshold, binned)
    }

    fn doc() -> Doc {
        Doc {
            summary: "Root of the Jensen-Shannon divergence in nats (compat => 'nannyml': in bits): a \
                      metric, at most 0.8326. \
                      drifted is above the threshold and more than chance gives (chi-square, \
                      0.05).",
            example: (
                "SELECT round((js_distance(x, c)).value, 4) FROM (VALUES ('a', false), ('b', false), ('a', true), \
                 ('a', true), ('a', true), ('b', true)) t(x, c)",
                "0.1839",
            ),
        }
    }
}
