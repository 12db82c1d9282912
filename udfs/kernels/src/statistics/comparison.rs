//! The comparison of two arms: what every test of a difference reports, from an estimate and its
//! error.
//!
//!   statistic = (diff - margin) / std_error     diff = treatment - control
//!   statistic = (treatment - w control) / its error     w = 1 + margin, if the margin is a share
//!   lift = diff / mean_control, its error by the delta method: se_t² / c² + se_c² t² / c⁴
//!
//! Beside the fixed-horizon p-value stands the always-valid one (`sequential`), which holds at
//! every look.

use super::double::Double;
use super::sequential::{Mixture, Sequential};
use super::tails::{normal_ln_sf, normal_quantile, student_ln_sf, student_quantile};

/// Which differences count as evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Alternative {
    /// diff differs from the margin.
    #[default]
    TwoSided,
    /// diff is greater than the margin.
    Greater,
    /// diff is less than the margin.
    Less,
}

/// Whether the numbers could be computed, and if not, why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// They could.
    Ok,
    /// Too few rows for an error.
    InsufficientData,
    /// No spread: the error is zero and nothing can be tested.
    ZeroVariance,
    /// Some values are NaN or infinite.
    NonFinite,
    /// One of the arms has no row.
    MissingArm,
}

impl Status {
    /// The word that SQL shows.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::InsufficientData => "insufficient_data",
            Self::ZeroVariance => "zero_variance",
            Self::NonFinite => "non_finite",
            Self::MissingArm => "missing_arm",
        }
    }
}

/// How to test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// The alternative hypothesis.
    pub alternative: Alternative,
    /// The difference of the null hypothesis, in units of the metric.
    pub margin: f64,
    /// The margin is a share of control's mean instead, taken without its sign.
    pub relative: bool,
    /// One minus the confidence of the intervals.
    pub alpha: f64,
    /// How the always-valid p-value weighs effects.
    pub mixture: Mixture,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            alternative: Alternative::TwoSided,
            margin: 0.0,
            relative: false,
            alpha: 0.05,
            mixture: Mixture::default(),
        }
    }
}

impl Options {
    /// What control counts in the contrast that is tested, treatment counting one: a margin that is
    /// a share of control's mean varies as that mean does.
    pub fn weight_of_control(&self, baseline: f64) -> f64 {
        match self.relative {
            true => 1.0 + self.margin * baseline.signum(),
            false => 1.0,
        }
    }

    /// The margin in units of the metric.
    fn margin_of(&self, baseline: f64) -> f64 {
        match self.relative {
            true => self.margin * baseline.abs(),
            false => self.margin,
        }
    }
}

/// One arm as the report shows it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Arm {
    /// Rows (clusters do not change this).
    pub count: u64,
    /// The estimate of the arm.
    pub mean: f64,
    /// Its standard error.
    pub std_error: f64,
}

/// The common row. None where the status says that it cannot be known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Comparison {
    /// Control.
    pub control: Arm,
    /// Treatment.
    pub treatment: Arm,
    /// treatment - control.
    pub diff: Option<f64>,
    /// Standard error of `diff`.
    pub std_error: Option<f64>,
    /// Interval of `diff`; infinite on the open side of a one-sided test.
    pub interval: Option<(f64, f64)>,
    /// diff / mean of control; None if that is zero.
    pub lift: Option<f64>,
    /// Interval of `lift`.
    pub lift_interval: Option<(f64, f64)>,
    /// t or z.
    pub statistic: Option<f64>,
    /// Degrees of freedom; None for a normal test.
    pub df: Option<f64>,
    /// Natural logarithm of the p-value.
    pub ln_p_value: Option<f64>,
    /// The always-valid answer.
    pub sequential: Option<Sequential>,
    /// Why not.
    pub status: Status,
}

impl Comparison {
    /// A row of counts and means only.
    pub fn without(status: Status, control: Arm, treatment: Arm) -> Self {
        Self {
            control,
            treatment,
            diff: None,
            std_error: None,
            interval: None,
            lift: None,
            lift_interval: None,
            statistic: None,
            df: None,
            ln_p_value: None,
            sequential: None,
            status,
        }
    }

    /// The p-value.
    pub fn p_value(&self) -> Option<f64> {
        self.ln_p_value.map(f64::exp)
    }
}

/// An estimate of the difference with its error.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// Control.
    pub control: Arm,
    /// Treatment.
    pub treatment: Arm,
    /// treatment - control, from the unrounded means.
    pub diff: Double,
    /// Standard error of `diff`.
    pub std_error: f64,
    /// Degrees of freedom; None tests against the normal distribution.
    pub df: Option<f64>,
    /// Standard error and degrees of freedom of what is tested against the margin, in which control
    /// has `Options::weight_of_control`.
    pub contrast: (f64, Option<f64>),
    /// What `lift` divides by.
    pub baseline: f64,
    /// Independent units, for the always-valid answer.
    pub units: u64,
}

impl Estimate {
    /// Tests the difference against the margin.
    pub fn test(&self, options: &Options) -> Comparison {
        let mut row = Comparison::without(Status::Ok, self.control, self.treatment);
        let diff = self.diff.value();
        if !diff.is_finite() || !self.std_error.is_finite() {
            row.status = Status::NonFinite;
            return row;
        }
        row.diff = Some(diff);
        row.lift = (self.baseline != 0.0).then(|| diff / self.baseline);
        row.std_error = Some(self.std_error);
        let (error, df) = self.contrast;
        if self.std_error == 0.0 || error == 0.0 {
            row.status = Status::ZeroVariance;
            return row;
        }
        let above = (self.diff - Double::from(options.margin_of(self.baseline))).value();
        let statistic = above / error;
        let width = quantile(options, self.df);
        row.statistic = Some(statistic);
        row.df = df;
        row.ln_p_value = Some(ln_p_value(statistic, df, options.alternative));
        row.interval = Some(sided(diff, width * self.std_error, options.alternative));
        row.lift_interval = row.lift.map(|lift| {
            let side = options.alternative.of_lift(self.baseline);
            sided(lift, width * self.lift_error(), side)
        });
        row.sequential =
            Some(options.mixture.test(diff, statistic, self.std_error, self.units, options));
        row
    }

    fn lift_error(&self) -> f64 {
        let ratio = 1.0 + self.diff.value() / self.baseline;
        (self.treatment.std_error / self.baseline)
            .hypot(self.control.std_error / self.baseline * ratio)
    }
}

impl Alternative {
    /// Dividing by a negative baseline turns the sides round.
    fn of_lift(self, baseline: f64) -> Self {
        match self {
            Self::Greater if baseline < 0.0 => Self::Less,
            Self::Less if baseline < 0.0 => Self::Greater,
            same => same,
        }
    }
}

/// ln p of a t (or z, without `df`) statistic.
pub fn ln_p_value(statistic: f64, df: Option<f64>, alternative: Alternative) -> f64 {
    let ln_sf = |x: f64| df.map_or_else(|| normal_ln_sf(x), |df| student_ln_sf(x, df));
    match alternative {
        Alternative::TwoSided => (ln_sf(statistic.abs()) + std::f64::consts::LN_2).min(0.0),
        Alternative::Greater => ln_sf(statistic),
        Alternative::Less => ln_sf(-statistic),
    }
}

/// Half the width of an interval, in standard errors.
pub fn quantile(options: &Options, df: Option<f64>) -> f64 {
    let tail = match options.alternative {
        Alternative::TwoSided => options.alpha / 2.0,
        Alternative::Greater | Alternative::Less => options.alpha,
    };
    df.map_or_else(|| normal_quantile(tail), |df| student_quantile(tail, df))
}

/// The interval around `centre` that the alternative leaves open on one side.
pub fn sided(centre: f64, half: f64, alternative: Alternative) -> (f64, f64) {
    match alternative {
        Alternative::TwoSided => (centre - half, centre + half),
        Alternative::Greater => (centre - half, f64::INFINITY),
        Alternative::Less => (f64::NEG_INFINITY, centre + half),
    }
}
