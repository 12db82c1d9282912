//! Sample size, power and smallest detectable effect, two-sided, by formulas with names.
//!
//! With p1 the baseline, p2 = p1 + effect, k = treatment units per control unit, z_a and z_b the
//! normal quantiles of alpha / 2 and of the power, p the mean of p1 and k p2, and q = 1 - p,
//! control needs
//!
//!   pooled             [z_a √((1 + 1/k) p q) + z_b √(p1 q1 + p2 q2 / k)]² / effect²
//!   unpooled           (z_a + z_b)² (p1 q1 + p2 q2 / k) / effect²
//!   continuity         n/4 (1 + √(1 + 2 (k + 1) / (n k effect)))², n from pooled
//!   arcsine            (z_a + z_b)² (1 + 1/k) / (2 asin √p2 - 2 asin √p1)²
//!   evan_miller        [z_a √((1 + 1/k) p1 q1) + z_b √(p1 q1 + p2 q2 / k)]² / effect²
//!   baseline_variance  (z_a + z_b)² (1 + 1/k) p1 q1 / effect²
//!   rule_of_16         8 (1 + 1/k) p1 q1 / effect²
//!
//! Pooled is Fleiss 1981, continuity Fleiss, Tytun & Ury 1980, arcsine Cohen 1988, the last Lehr
//! 1992.

use super::tails::{normal_ln_sf, normal_quantile};

/// Which formula.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Formula {
    /// Variance under the hypothesis pooled; the default of R and ClickHouse.
    #[default]
    Pooled,
    /// Both variances as they are.
    Unpooled,
    /// Pooled, corrected for continuity.
    Continuity,
    /// Cohen's h.
    Arcsine,
    /// The variance under the hypothesis from the baseline.
    EvanMiller,
    /// Both variances from the baseline.
    BaselineVariance,
    /// Lehr's rule for alpha 0.05 and power 0.8, which it takes as given.
    RuleOf16,
}

/// What is planned for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
    /// Probability of a false alarm, both sides together.
    pub alpha: f64,
    /// Probability of seeing the effect.
    pub power: f64,
    /// Units of treatment for each of control.
    pub ratio: f64,
}

impl Default for Plan {
    fn default() -> Self {
        Self { alpha: 0.05, power: 0.8, ratio: 1.0 }
    }
}

impl Plan {
    fn quantiles(&self) -> (f64, f64) {
        (normal_quantile(self.alpha / 2.0), normal_quantile(1.0 - self.power))
    }

    fn both(&self) -> f64 {
        1.0 + 1.0 / self.ratio
    }

    /// Standard deviations of the test's statistic under the hypothesis and under the effect, for
    /// one unit of control.
    fn spreads(&self, baseline: f64, effect: f64) -> (f64, f64) {
        let changed = baseline + effect;
        let mean = (baseline + self.ratio * changed) / (1.0 + self.ratio);
        let null = (self.both() * mean * (1.0 - mean)).sqrt();
        (null, unpooled(baseline, changed, self.ratio).sqrt())
    }

    /// Control units, not rounded, to see a share move from `baseline` by `effect`.
    pub fn units_of_share(&self, baseline: f64, effect: f64, formula: Formula) -> f64 {
        let (z_alpha, z_power) = self.quantiles();
        let changed = baseline + effect;
        let own = baseline * (1.0 - baseline);
        let (pooled, spread) = self.spreads(baseline, effect);
        let squared = effect * effect;
        let fleiss = (z_alpha * pooled + z_power * spread).powi(2) / squared;
        match formula {
            Formula::Pooled => fleiss,
            Formula::Unpooled => ((z_alpha + z_power) * spread).powi(2) / squared,
            Formula::Continuity => {
                let inner = 2.0 * (self.ratio + 1.0) / (fleiss * self.ratio * effect.abs());
                fleiss / 4.0 * (1.0 + (1.0 + inner).sqrt()).powi(2)
            }
            Formula::Arcsine => {
                let h = 2.0 * (changed.sqrt().asin() - baseline.sqrt().asin());
                self.both() * ((z_alpha + z_power) / h).powi(2)
            }
            Formula::EvanMiller => {
                let null = (self.both() * own).sqrt();
                (z_alpha * null + z_power * spread).powi(2) / squared
            }
            Formula::BaselineVariance => self.both() * (z_alpha + z_power).powi(2) * own / squared,
            Formula::RuleOf16 => 8.0 * self.both() * own / squared,
        }
    }

    /// Control units, not rounded, to see a mean with this standard deviation move by `effect`.
    pub fn units_of_mean(&self, deviation: f64, effect: f64) -> f64 {
        let (z_alpha, z_power) = self.quantiles();
        self.both() * ((z_alpha + z_power) * deviation / effect).powi(2)
    }

    /// Power of the pooled z-test with `units` in control; the negligible other side is left out.
    pub fn power_of_share(&self, baseline: f64, effect: f64, units: f64) -> f64 {
        let (null, spread) = self.spreads(baseline, effect);
        let z = (effect.abs() * units.sqrt() - normal_quantile(self.alpha / 2.0) * null) / spread;
        normal_ln_sf(-z).exp()
    }

    /// Power of the z-test of means with `units` in control.
    pub fn power_of_mean(&self, deviation: f64, effect: f64, units: f64) -> f64 {
        let error = deviation * (self.both() / units).sqrt();
        normal_ln_sf(normal_quantile(self.alpha / 2.0) - effect.abs() / error).exp()
    }

    /// The smallest rise from `baseline` seen with `units` in control; None if even a rise to one
    /// is not.
    pub fn effect_of_share(&self, baseline: f64, units: f64) -> Option<f64> {
        let (mut low, mut high) = (0.0, 1.0 - baseline);
        // At the very end the spread is zero; just before it the power is as good as that at the
        // end.
        if self.power_of_share(baseline, high * (1.0 - 1e-12), units) < self.power {
            return None;
        }
        for _ in 0..200 {
            let middle = 0.5 * (low + high);
            if middle <= low || middle >= high {
                break;
            }
            match self.power_of_share(baseline, middle, units) < self.power {
                true => low = middle,
                false => high = middle,
            }
        }
        Some(high)
    }

    /// The smallest effect on a mean seen with `units` in control.
    pub fn effect_of_mean(&self, deviation: f64, units: f64) -> f64 {
        let (z_alpha, z_power) = self.quantiles();
        (z_alpha + z_power) * deviation * (self.both() / units).sqrt()
    }
}

fn unpooled(baseline: f64, changed: f64, ratio: f64) -> f64 {
    baseline * (1.0 - baseline) + changed * (1.0 - changed) / ratio
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Published or widely quoted sizes for 0.02 + 0.002 at alpha 0.05 and power 0.8: R's
    /// power.prop.test (80,682), Evan Miller's calculator (78,040), Lehr's rule (78,400); the
    /// others by statsmodels 0.15.
    #[test]
    fn named_formulas_give_their_published_sizes() {
        let sizes = [
            (Formula::Pooled, 80_682.0),
            (Formula::Unpooled, 80_679.0),
            (Formula::Continuity, 81_679.0),
            (Formula::Arcsine, 80_638.0),
            (Formula::EvanMiller, 78_040.0),
            (Formula::BaselineVariance, 76_920.0),
            (Formula::RuleOf16, 78_400.0),
        ];
        for (formula, size) in sizes {
            let units = Plan::default().units_of_share(0.02, 0.002, formula);
            assert!((units - size).abs() <= 1.0, "{formula:?}: {units}");
        }
    }

    /// ClickHouse's documentation: minSampleSizeConversion(0.25, 0.03, 0.80, 0.05) =
    /// 3396.077603219163.
    #[test]
    fn agrees_with_clickhouse() {
        let units = Plan::default().units_of_share(0.25, 0.03, Formula::Pooled);
        assert!((units - 3_396.077_603_219_163).abs() < 1e-8, "{units}");
    }

    #[test]
    fn power_and_effect_undo_the_size() {
        let plan = Plan { ratio: 0.5, ..Plan::default() };
        let units = plan.units_of_share(0.1, 0.01, Formula::Pooled);
        assert!((plan.power_of_share(0.1, 0.01, units) - 0.8).abs() < 1e-12);
        assert!((plan.effect_of_share(0.1, units).unwrap() - 0.01).abs() < 1e-12);
        let units = plan.units_of_mean(3.0, 0.2);
        assert!((plan.power_of_mean(3.0, 0.2, units) - 0.8).abs() < 1e-12);
        assert!((plan.effect_of_mean(3.0, units) - 0.2).abs() < 1e-12);
        assert_eq!(plan.effect_of_share(0.9, 2.0), None);
    }
}
