//! CUPED: a difference of means with the variance that a covariate explains removed.

use super::comparison::{Arm, Comparison, Estimate, Options, Status};
use super::double::Double;
use super::means::{Part, compare, joint_error, obstacle, satterthwaite};
use super::moments::{Moments, Summary};

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
    /// Units of a stratum that cannot be compared.
    pub left_out: u64,
}

/// Units of an arm that have a covariate, and those that have none.
#[derive(Debug, Clone, Copy, Default)]
pub struct Strata {
    /// Columns: y, x.
    pub with: Moments<2>,
    /// Column: y.
    pub without: Moments<1>,
}

impl Strata {
    /// The metric of all units.
    fn plain(&self) -> Summary {
        let mut all = self.with.column(0);
        all.merge(&self.without);
        all.summary(0)
    }

    /// NaNs and infinities.
    pub fn not_finite(&self) -> u64 {
        self.with.not_finite() + self.without.not_finite()
    }

    fn counts(&self) -> [u64; 2] {
        [self.with.count(), self.without.count()]
    }

    fn metrics(&self) -> [Summary; 2] {
        [self.with.summary(0), self.without.summary(0)]
    }
}

/// CUPED (Deng, Xu, Kohavi & Walker 2013): Welch's test of y - theta x over the units with a
/// covariate. Those without are a stratum of their own, compared as they are, if there are any: the
/// strata count by their shares of all units (post-stratification, Miratrix, Sekhon & Yu 2013). A
/// stratum with less than two units of an arm is left out beside one that has them. Means are those
/// of the adjusted metric about the covariate's common mean; `lift` divides by the plain mean of
/// control, which the strata's shares weigh too.
pub fn cuped(control: &Strata, treatment: &Strata, theta: Theta, options: &Options) -> Cuped {
    let (sides, left_out) = comparable([control, treatment]);
    let [control, treatment] = &sides;
    let sides = [control, treatment];
    let not_finite = control.not_finite() + treatment.not_finite();
    let plain = sides.map(Strata::plain);
    let welch = compare(&plain[0], &plain[1], not_finite, options);
    let without = |comparison| Cuped {
        comparison,
        theta: None,
        variance_reduction: None,
        covariate_imbalance_p: None,
        left_out,
    };
    if obstacle(plain.map(|summary| summary.count), not_finite).is_some() {
        return without(welch);
    }
    let mut both = control.with;
    both.merge(&treatment.with);
    let slope = match theta {
        Theta::Pooled => Moments::slope(&[both], 0, 1),
        Theta::Within => Moments::slope(&[control.with, treatment.with], 0, 1),
    };
    // A covariate that does not vary explains nothing.
    let slope = slope.unwrap_or(0.0);
    let centre = both.mean(1);
    let adjusted = sides.map(|side| {
        let mean = side.with.mean(0) - (side.with.mean(1) - centre) * slope;
        [Summary { mean, ..side.with.linear([1.0, -slope]) }, side.without.summary(0)]
    });
    let Some(shares) = shares(&adjusted) else {
        let [c, t] = plain.map(|summary| Arm::of(&summary));
        return without(Comparison::without(Status::InsufficientData, c, t));
    };
    let baseline = mean(&control.metrics(), shares).value();
    let parts = adjusted.map(|strata| parts(&strata, shares));
    let weight = options.weight_of_control(baseline);
    let tested = [parts[0].iter().map(|p| p.times(weight)).collect(), parts[1].clone()].concat();
    let means = adjusted.map(|strata| mean(&strata, shares));
    let arm = |place: usize| Arm {
        count: plain[place].count,
        mean: means[place].value(),
        std_error: joint_error(&parts[place]),
    };
    let all = parts.concat();
    let estimate = Estimate {
        control: arm(0),
        treatment: arm(1),
        diff: means[1] - means[0],
        std_error: joint_error(&all),
        df: Some(satterthwaite(&all)),
        contrast: (joint_error(&tested), Some(satterthwaite(&tested))),
        baseline,
        units: plain[0].count + plain[1].count,
    };
    let reduction = |plain: f64| 1.0 - (estimate.std_error / plain).powi(2);
    let [c, t] = sides.map(|side| side.with.summary(1));
    Cuped {
        comparison: estimate.test(options),
        theta: Some(slope),
        variance_reduction: welch.std_error.filter(|error| *error > 0.0).map(reduction),
        covariate_imbalance_p: compare(&c, &t, 0, &Options::default()).p_value(),
        left_out,
    }
}

/// The strata without those that cannot be compared, if another can; and how many units those had.
fn comparable(sides: [&Strata; 2]) -> ([Strata; 2], u64) {
    let counts = sides.map(Strata::counts);
    let can = [0, 1].map(|stratum| counts.iter().all(|side| side[stratum] >= 2));
    let mut kept = sides.map(|side| *side);
    if can == [false, false] {
        return (kept, 0);
    }
    let mut left_out = 0;
    for (side, counts) in kept.iter_mut().zip(counts) {
        if !can[0] {
            (side.with, left_out) = (Moments::default(), left_out + counts[0]);
        }
        if !can[1] {
            (side.without, left_out) = (Moments::default(), left_out + counts[1]);
        }
    }
    (kept, left_out)
}

/// What share of all units the strata are; None if one has less than two units of an arm.
fn shares(arms: &[[Summary; 2]; 2]) -> Option<[f64; 2]> {
    let counts = [0, 1].map(|stratum| arms.map(|strata| strata[stratum].count));
    if counts.iter().any(|counts| counts.contains(&0) != (*counts == [0, 0]))
        || counts.iter().flatten().any(|count| *count == 1)
    {
        return None;
    }
    let units = counts.map(|[c, t]| (c + t) as f64);
    Some(units.map(|own| own / (units[0] + units[1])))
}

fn mean(strata: &[Summary; 2], shares: [f64; 2]) -> Double {
    strata[0].mean * shares[0] + strata[1].mean * shares[1]
}

fn parts(strata: &[Summary; 2], shares: [f64; 2]) -> Vec<Part> {
    let there = strata.iter().zip(shares).filter(|(_, share)| *share > 0.0);
    there.map(|(summary, share)| Part::of(summary, share)).collect()
}
