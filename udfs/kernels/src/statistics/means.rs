//! Tests of a difference of means from moments: Welch, Student, ratios by the delta method, CUPED,
//! clusters.

use super::comparison::{Arm, Comparison, Estimate, Options, Status};
use super::moments::{Moments, Summary};

impl Arm {
    /// The arm of a summary.
    fn of(summary: &Summary) -> Self {
        Self { count: summary.count, mean: summary.mean.value(), std_error: summary.std_error() }
    }
}

/// Why two samples cannot be compared, if so.
fn obstacle(counts: [u64; 2], not_finite: u64) -> Option<Status> {
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
fn compare(control: &Summary, treatment: &Summary, bad: u64, options: &Options) -> Comparison {
    let arms = [Arm::of(control), Arm::of(treatment)];
    if let Some(status) = obstacle([control.count, treatment.count], bad) {
        return Comparison::without(status, arms[0], arms[1]);
    }
    let tested = weighed(&arms, options.weight_of_control(arms[0].mean));
    let counts = [control.count - 1, treatment.count - 1];
    let estimate = Estimate {
        control: arms[0],
        treatment: arms[1],
        diff: treatment.mean - control.mean,
        std_error: joint_error(&arms),
        df: Some(satterthwaite(&arms, counts)),
        contrast: (joint_error(&tested), Some(satterthwaite(&tested, counts))),
        baseline: arms[0].mean,
        units: control.count + treatment.count,
    };
    estimate.test(options)
}

/// The arms with control's error as the contrast has it.
fn weighed(arms: &[Arm; 2], weight: f64) -> [Arm; 2] {
    [Arm { std_error: arms[0].std_error * weight.abs(), ..arms[0] }, arms[1]]
}

fn joint_error(arms: &[Arm; 2]) -> f64 {
    arms[0].std_error.hypot(arms[1].std_error)
}

fn satterthwaite(arms: &[Arm; 2], df: [u64; 2]) -> f64 {
    let std_error = joint_error(arms);
    let inverse: f64 = (0..2)
        .map(|arm| ((arms[arm].std_error / std_error).powi(2)).powi(2) / df[arm] as f64)
        .sum();
    1.0 / inverse
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
    let arm = |s: &Summary| Arm::of(&Summary { deviation: pooled, ..*s });
    let arms = [arm(&c), arm(&t)];
    let tested = weighed(&arms, options.weight_of_control(c.mean.value()));
    let estimate = Estimate {
        control: arms[0],
        treatment: arms[1],
        diff: t.mean - c.mean,
        std_error: joint_error(&arms),
        df: Some(df),
        contrast: (joint_error(&tested), Some(df)),
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

/// How CUPED finds theta.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Theta {
    /// Covariance over variance of both arms taken together, each about the common mean.
    #[default]
    Pooled,
    /// About each arm's own mean.
    Within,
}

/// CUPED's answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cuped {
    /// The test of the adjusted means.
    pub comparison: Comparison,
    /// The coefficient of the covariate.
    pub theta: Option<f64>,
    /// 1 - (adjusted std_error / plain std_error)².
    pub variance_reduction: Option<f64>,
    /// p of Welch's test that the covariate differs between arms, which it must not.
    pub covariate_imbalance_p: Option<f64>,
}

/// CUPED (Deng, Xu, Kohavi & Walker 2013): Welch's test of y - theta x. Columns: y, x. Means are
/// those of the adjusted metric about the covariate's common mean; `lift` divides by the plain mean
/// of control.
pub fn cuped(
    control: &Moments<2>,
    treatment: &Moments<2>,
    theta: Theta,
    options: &Options,
) -> Cuped {
    let not_finite = control.not_finite() + treatment.not_finite();
    let plain = compare(&control.summary(0), &treatment.summary(0), not_finite, options);
    let mut both = *control;
    both.merge(treatment);
    let slope = match theta {
        Theta::Pooled => Moments::slope(&[both], 0, 1),
        Theta::Within => Moments::slope(&[*control, *treatment], 0, 1),
    };
    let without = |comparison| Cuped {
        comparison,
        theta: None,
        variance_reduction: None,
        covariate_imbalance_p: None,
    };
    if obstacle([control.count(), treatment.count()], not_finite).is_some() {
        return without(plain);
    }
    // A covariate that does not vary explains nothing.
    let slope = slope.unwrap_or(0.0);
    let centre = both.mean(1);
    let adjusted = |state: &Moments<2>| {
        let summary = state.linear([1.0, -slope]);
        let mean = state.mean(0) - (state.mean(1) - centre) * slope;
        Summary { mean, ..summary }
    };
    let (c, t) = (adjusted(control), adjusted(treatment));
    let arms = [Arm::of(&c), Arm::of(&t)];
    let baseline = control.mean(0).value();
    let tested = weighed(&arms, options.weight_of_control(baseline));
    let counts = [c.count - 1, t.count - 1];
    let estimate = Estimate {
        control: arms[0],
        treatment: arms[1],
        diff: t.mean - c.mean,
        std_error: joint_error(&arms),
        df: Some(satterthwaite(&arms, counts)),
        contrast: (joint_error(&tested), Some(satterthwaite(&tested, counts))),
        baseline,
        units: c.count + t.count,
    };
    let comparison = estimate.test(options);
    let balance = compare(&control.summary(1), &treatment.summary(1), 0, &Options::default());
    let reduction = |plain: f64| 1.0 - (estimate.std_error / plain).powi(2);
    Cuped {
        comparison,
        theta: Some(slope),
        variance_reduction: plain.std_error.filter(|error| *error > 0.0).map(reduction),
        covariate_imbalance_p: balance.p_value(),
    }
}
