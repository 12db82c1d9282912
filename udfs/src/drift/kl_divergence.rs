//! `kl_divergence(x, is_current, …)`: Kullback-Leibler divergence, in nats.

use datafusion::error::Result as EngineResult;
use kernels::statistics::divergence::{Divergence, Fill, divergence};

use super::bins::{Binned, Distance, beyond_chance};
use super::fill::{Compat, compat, fill, fill_argument, fill_name};
use crate::arguments::{Argument, Doc, Given};
use crate::output::{Output, Shape, Type};

/// The distance.
#[derive(Debug, Default, Clone)]
pub struct KlDivergence;

/// How to compute it.
#[derive(Debug)]
pub struct KlOptions {
    fill: Fill,
    /// Of the reference from the current data, as Evidently has it.
    turned: bool,
}

impl Distance for KlDivergence {
    type Options = KlOptions;
    const NAME: &'static str = "kl_divergence";
    const THRESHOLD: f64 = 0.1;

    fn arguments() -> Vec<Argument> {
        vec![fill_argument()]
    }

    fn options(given: &Given) -> EngineResult<KlOptions> {
        Ok(KlOptions { fill: fill(given)?, turned: compat(given)? == Compat::Evidently })
    }

    fn shape() -> Shape {
        vec![("fill", Type::Text)]
    }

    fn finish(options: &KlOptions, _: &Binned, output: &mut Output) {
        output.text(fill_name(options.fill));
    }

    fn value(options: &KlOptions, reference: &[u64], current: &[u64]) -> Option<f64> {
        let (p, q) = if options.turned { (current, reference) } else { (reference, current) };
        divergence(Divergence::Kl, p, q, options.fill)
    }

    fn drifted(value: f64, threshold: f64, binned: &Binned, _: &KlOptions) -> bool {
        beyond_chance(value, threshold, binned)
    }

    fn doc() -> Doc {
        Doc {
            summary: "Kullback-Leibler divergence of the current data from the reference: sum of q \
                      ln(q / p), in nats; not symmetric: compat => 'evidently' has p and q the \
                      other way round. drifted is above the threshold and more \
                      than chance gives (chi-square, 0.05).",
            example: (
                "SELECT round((kl_divergence(x, c)).value, 4) FROM (VALUES ('a', false), ('b', false), ('a', true), \
                 ('a', true), ('a', true), ('b', true)) t(x, c)",
                "0.1308",
            ),
        }
    }
}
