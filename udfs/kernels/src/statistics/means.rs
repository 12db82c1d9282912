//! Tests of a difference of means from moments: Welch, Student, ratios by the delta method.

use super::comparison::{Arm, Comparison, Estimate, Options, Status};
use super::moments::{Moments, Summary};

impl Arm {
    /// The arm of a summary.
    pub(super) fn of(summary: &Summary) -> Self {
        Self { count: summary.count, mean: summary.mean.value(), std_error: summary.std_error() }
    }
}

/// Why two samples cannot be compared, if so.
pub(super) fn obstacle(counts: [u64; 2], not_finite: u64) -> Option<Status> {
    if not_finite > 0 {
        return Some(Status::NonFinite);
    }
    if counts.contains(&0) {
        return Some(Status::MissingArm);
    }
    counts.iter().any(|n| *n < 2).then_some(Status::InsufficientData)
}

/// Welch's t-test (Welch 1947; Satterthwaite's degrees of freedom).
pub fn welch(control: &Moments<1>, treatment: &Moments<1>, options: &Options) -> Comparison {
    let not_finite = control.not_finite() + treatment.not_finite();
    compare(&control.summary(0), &treatment.summary(0), not_finite, options)
}

/// Welch's test of two summaries. Errors and degrees of freedom are formed from shares of the
/// variance, so that neither overflows.
pub(super) fn compare(
    control: &Summary,
    treatment: &Summary,
    bad: u64,
    options: &Options,
) -> Comparison {
    let arms = [Arm::of(control), Arm::of(treatment)];
    if let Some(status) = obstacle([control.count, treatment.count], bad) {
        return Comparison::without(status, arms[0], arms[1]);
    }
    let parts = [Part::of(control, 1.0), Part::of(treatment, 1.0)];
    let tested = [parts[0].times(options.weight_of_control(arms[0].mean)), parts[1]];
    let estimate = Estimate {
        control: arms[0],
        treatment: arms[1],
        diff: treatment.mean - control.mean,
        std_error: joint_error(&parts),
        df: Some(satterthwaite(&parts)),
        contrast: (joint_error(&tested), Some(satterthwaite(&tested))),
        baseline: arms[0].mean,
        units: control.count + treatment.count,
    };
    estimate.test(options)
}

/// An independent part of an estimate.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    std_error: f64,
    df: u64,
}

impl Part {
    /// A mean of at least two rows that counts with a weight.
    pub(super) fn of(summary: &Summary, weight: f64) -> Self {
        Self { std_error: summary.std_error() * weight, df: summary.count - 1 }
    }

    pub(super) fn times(self, weight: f64) -> Self {
        Self { std_error: self.std_error * weight.abs(), ..self }
    }
}

/// The standard error of a sum of parts.
pub(super) fn joint_error(parts: &[Part]) -> f64 {
    parts.iter().fold(0.0, |sum: f64, part| sum.hypot(part.std_error))
}

/// Its degrees of freedom (Satterthwaite 1946).
pub(super) fn satterthwaite(parts: &[Part]) -> f64 {
    let std_error = joint_error(parts);
    let share = |part: &Part| (part.std_error / std_error).powi(2).powi(2) / part.df as f64;
    1.0 / parts.iter().map(share).sum::<f64>()
}

/// Student's t-test: one variance for both arms.
pub fn student(control: &Moments<1>, treatment: &Moments<1>, options: &Options) -> Comparison {
    let (c, t) = (control.summary(0), treatment.summary(0));
    let bad = control.not_finite() + treatment.not_finite();
    if let Some(status) = obstacle([c.count, t.count], bad) {
        return Comparison::without(status, Arm::of(&c), Arm::of(&t));
    }
    let df = (c.count + t.count - 2) as f64;
    let share = |s: &Summary| s.deviation * ((s.count - 1) as f64 / df).sqrt();
    let pooled = share(&c).hypot(share(&t));
    let [c, t] = [c, t].map(|summary| Summary { deviation: pooled, ..summary });
    let arms = [Arm::of(&c), Arm::of(&t)];
    let error = |weight: f64| (arms[0].std_error * weight.abs()).hypot(arms[1].std_error);
    let estimate = Estimate {
        control: arms[0],
        treatment: arms[1],
        diff: t.mean - c.mean,
        std_error: error(1.0),
        df: Some(df),
        contrast: (error(options.weight_of_control(c.mean.value())), Some(df)),
        baseline: c.mean.value(),
        units: c.count + t.count,
    };
    estimate.test(options)
}

/// A ratio of sums per arm (clicks over impressions), rows being the units that were randomised:
/// the delta method (Deng, Knoblich & Lu 2018) is Welch's test of y - R d over the mean of d.
/// Columns: y, d.
pub fn ratio(control: &Moments<2>, treatment: &Moments<2>, options: &Options) -> Comparison {
    let not_finite = control.not_finite() + treatment.not_finite();
    let (c, t) = (linearised(control), linearised(treatment));
    match (c, t) {
        (Some(c), Some(t)) => compare(&c, &t, not_finite, options),
        (c, t) => {
            let arm = |state: &Moments<2>, summary: Option<Summary>| {
                let mean = summary.map_or(f64::NAN, |s| s.mean.value());
                Arm { count: state.count(), mean, std_error: 0.0 }
            };
            let status = obstacle([control.count(), treatment.count()], not_finite);
            let status = status.unwrap_or(Status::InsufficientData);
            Comparison::without(status, arm(control, c), arm(treatment, t))
        }
    }
}

/// None if the denominators sum to zero.
fn linearised(state: &Moments<2>) -> Option<Summary> {
    let denominator = state.mean(1).value();
    if denominator == 0.0 {
        return None;
    }
    let ratio = state.mean(0).divided(state.mean(1));
    // Divided by the denominator last, so that no weight leaves the range.
    let spread = state.linear([1.0, -ratio.value()]);
    Some(Summary { mean: ratio, deviation: spread.deviation / denominator.abs(), ..spread })
}
