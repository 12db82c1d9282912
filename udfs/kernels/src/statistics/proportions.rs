//! The z-test of two proportions, and the test of a planned split of units.

use super::comparison::{
    Alternative, Arm, Comparison, Estimate, Options, Status, ln_p_value, quantile,
};
use super::double::Double;
use super::tails::{beta_quantile, chi_square_ln_sf};

/// Successes among trials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Proportion {
    /// Rows that are true.
    pub successes: u64,
    /// All rows.
    pub trials: u64,
}

/// The interval of a difference of proportions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Interval {
    /// Newcombe 1998, method 10: from the two Wilson intervals. Never leaves [-1, 1].
    #[default]
    Newcombe,
    /// Newcombe's way from the two exact intervals of Clopper & Pearson 1934; conservative.
    Exact,
    /// diff ± z se, unpooled.
    Wald,
    /// Agresti & Caffo 2000: Wald with one success and one failure added to each arm.
    AgrestiCaffo,
}

impl Proportion {
    /// The observed share; NaN without trials.
    pub fn share(self) -> f64 {
        self.successes as f64 / self.trials as f64
    }

    fn error(self) -> f64 {
        let failures = (self.trials - self.successes) as f64;
        (self.share() * (failures / self.trials as f64) / self.trials as f64).sqrt()
    }

    /// Wilson's score interval (Wilson 1927), `z` standard errors wide.
    pub fn wilson(self, z: f64) -> (f64, f64) {
        let n = self.trials as f64;
        let (share, square) = (self.share(), z * z);
        let centre = (share + square / (2.0 * n)) / (1.0 + square / n);
        let spread = self.error().powi(2) + square / (4.0 * n * n);
        let half = z * spread.sqrt() / (1.0 + square / n);
        let low = if self.successes == 0 { 0.0 } else { centre - half };
        let high = if self.successes == self.trials { 1.0 } else { centre + half };
        (low, high)
    }

    /// The exact interval that leaves at most `tail` on each side.
    pub fn clopper_pearson(self, tail: f64) -> (f64, f64) {
        let (yes, no) = (self.successes as f64, (self.trials - self.successes) as f64);
        let low = if yes == 0.0 { 0.0 } else { beta_quantile(tail, yes, no + 1.0) };
        let high = if no == 0.0 { 1.0 } else { 1.0 - beta_quantile(tail, no, yes + 1.0) };
        (low, high)
    }
}

/// The z-test of treatment's share against control's. `pooled` takes the error under the hypothesis
/// of equal shares, hence only without a margin; `std_error` is the one the statistic divides by.
pub fn proportions(
    control: Proportion,
    treatment: Proportion,
    pooled: bool,
    interval: Interval,
    options: &Options,
) -> Comparison {
    let arm = |p: Proportion| Arm {
        count: p.trials,
        mean: p.share(),
        std_error: if p.trials == 0 { 0.0 } else { p.error() },
    };
    let arms = [arm(control), arm(treatment)];
    if control.trials == 0 || treatment.trials == 0 {
        return Comparison::without(Status::MissingArm, arms[0], arms[1]);
    }
    let diff = difference(control, treatment);
    let weight = options.weight_of_control(arms[0].mean);
    let estimate = Estimate {
        control: arms[0],
        treatment: arms[1],
        diff,
        std_error: arms[0].std_error.hypot(arms[1].std_error),
        df: None,
        contrast: (arms[1].std_error.hypot(arms[0].std_error * weight), None),
        baseline: arms[0].mean,
        units: control.trials + treatment.trials,
    };
    let mut row = estimate.test(options);
    if pooled && options.margin == 0.0 {
        let error = pooled_error(control, treatment);
        if error > 0.0 {
            let statistic = diff.value() / error;
            row.status = Status::Ok;
            row.std_error = Some(error);
            row.statistic = Some(statistic);
            row.ln_p_value = Some(ln_p_value(statistic, None, options.alternative));
        }
    }
    row.interval = Some(interval_of(interval, control, treatment, diff.value(), options));
    row
}

/// From the integers: (s_t n_c - s_c n_t) / (n_c n_t).
fn difference(control: Proportion, treatment: Proportion) -> Double {
    let cross = |a: u64, b: u64| i128::from(a) * i128::from(b);
    let above =
        cross(treatment.successes, control.trials) - cross(control.successes, treatment.trials);
    Double::from(above as f64 / control.trials as f64 / treatment.trials as f64)
}

fn pooled_error(control: Proportion, treatment: Proportion) -> f64 {
    let both = Proportion {
        successes: control.successes + treatment.successes,
        trials: control.trials + treatment.trials,
    };
    let rest = (both.trials - both.successes) as f64 / both.trials as f64;
    let inverse = 1.0 / control.trials as f64 + 1.0 / treatment.trials as f64;
    (both.share() * rest * inverse).sqrt()
}

fn interval_of(
    interval: Interval,
    control: Proportion,
    treatment: Proportion,
    diff: f64,
    options: &Options,
) -> (f64, f64) {
    let z = quantile(options, None);
    let tail = match options.alternative {
        Alternative::TwoSided => options.alpha / 2.0,
        Alternative::Greater | Alternative::Less => options.alpha,
    };
    let (low, high) = match interval {
        Interval::Newcombe => hybrid(control, treatment, diff, |p| p.wilson(z)),
        Interval::Exact => hybrid(control, treatment, diff, |p| p.clopper_pearson(tail)),
        Interval::Wald => {
            let half = z * control.error().hypot(treatment.error());
            (diff - half, diff + half)
        }
        Interval::AgrestiCaffo => {
            let add =
                |p: Proportion| Proportion { successes: p.successes + 1, trials: p.trials + 2 };
            let (control, treatment) = (add(control), add(treatment));
            let half = z * control.error().hypot(treatment.error());
            let centre = difference(control, treatment).value();
            (centre - half, centre + half)
        }
    };
    match options.alternative {
        Alternative::TwoSided => (low, high),
        Alternative::Greater => (low, 1.0),
        Alternative::Less => (-1.0, high),
    }
}

fn hybrid(
    control: Proportion,
    treatment: Proportion,
    diff: f64,
    of_one: impl Fn(Proportion) -> (f64, f64),
) -> (f64, f64) {
    let (c, t) = (of_one(control), of_one(treatment));
    let below = (treatment.share() - t.0).hypot(c.1 - control.share());
    let above = (t.1 - treatment.share()).hypot(control.share() - c.0);
    (diff - below, diff + above)
}

/// The answer of a sample-ratio test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SampleRatio {
    /// Chi-square.
    pub statistic: f64,
    /// Arms with a positive weight, less one.
    pub df: f64,
    /// ln of the p-value.
    pub ln_p_value: f64,
    /// The largest distance of an observed share from its planned one.
    pub deviation: f64,
}

/// Pearson's test that `counts` follow `weights` (any scale). Arms of weight zero take no part;
/// units in one are impossible under the plan, and p is zero. None without units or with fewer than
/// two arms.
pub fn sample_ratio(counts: &[u64], weights: &[f64]) -> Option<SampleRatio> {
    let units = counts.iter().map(|n| *n as f64).sum::<f64>();
    let planned = weights.iter().sum::<f64>();
    let arms = weights.iter().filter(|w| **w > 0.0).count();
    if units == 0.0 || arms < 2 {
        return None;
    }
    let (mut statistic, mut deviation) = (0.0f64, 0.0f64);
    for (count, weight) in counts.iter().zip(weights) {
        let count = *count as f64;
        let expected = units * (weight / planned);
        deviation = deviation.max((count / units - weight / planned).abs());
        if *weight > 0.0 {
            statistic += (count - expected).powi(2) / expected;
        } else if count > 0.0 {
            statistic = f64::INFINITY;
        }
    }
    let df = (arms - 1) as f64;
    Some(SampleRatio { statistic, df, ln_p_value: chi_square_ln_sf(statistic, df), deviation })
}
