//! A difference of means whose rows come in clusters (users with many orders, shops, blocks of
//! time).
//!
//! The sandwich estimator of y on the arm (Liang & Zeger 1986). With residual sums u per cluster
//! and arm,
//!
//!   se² = c Σ_g (u_gt / N_t - u_gc / N_c)²,   df = G - 1
//!   CR1: c = G/(G-1) (N-1)/(N-2),   CR0: c = 1
//!
//! A cluster may lie in one arm or in both.

use super::comparison::{Arm, Comparison, Estimate, Options, Status};
use super::double::Double;

/// The rows of one cluster in one arm.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Part {
    /// Number of rows.
    pub count: u64,
    /// Sum of their values.
    pub sum: Double,
}

/// One cluster: its rows in control and in treatment.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Cluster {
    /// Control, treatment.
    pub parts: [Part; 2],
}

/// The factor for few clusters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Correction {
    /// G/(G-1) (N-1)/(N-2), as Stata and statsmodels do.
    #[default]
    Cr1,
    /// None.
    Cr0,
}

/// Tests treatment against control; the order of the clusters does not matter.
pub fn clustered(clusters: &[Cluster], correction: Correction, options: &Options) -> Comparison {
    let count = [0, 1].map(|arm| clusters.iter().map(|c| c.parts[arm].count).sum::<u64>());
    let mean = [0, 1].map(|arm| {
        let sums = clusters.iter().map(|c| c.parts[arm].sum);
        sums.fold(Double::default(), |a, b| a + b).over((count[arm] as f64).max(1.0))
    });
    let arm = |arm: usize, std_error| Arm { count: count[arm], mean: mean[arm].value(), std_error };
    let groups = [0, 1].map(|arm| clusters.iter().filter(|c| c.parts[arm].count > 0).count());
    let obstacle = if count.contains(&0) {
        Some(Status::MissingArm)
    } else {
        groups.iter().any(|n| *n < 2).then_some(Status::InsufficientData)
    };
    if let Some(status) = obstacle {
        return Comparison::without(status, arm(0, 0.0), arm(1, 0.0));
    }
    let residual = |cluster: &Cluster, arm: usize| {
        let part = cluster.parts[arm];
        (part.sum - mean[arm] * part.count as f64).value() / count[arm] as f64
    };
    let total = clusters.len() as f64;
    let rows = (count[0] + count[1]) as f64;
    let factor = match correction {
        Correction::Cr0 => 1.0,
        Correction::Cr1 => total / (total - 1.0) * (rows - 1.0) / (rows - 2.0),
    };
    let error =
        |values: &dyn Fn(&Cluster) -> f64| root_of_squares(clusters, values) * factor.sqrt();
    let weight = options.weight_of_control(mean[0].value());
    let estimate = Estimate {
        control: arm(0, error(&|c| residual(c, 0))),
        treatment: arm(1, error(&|c| residual(c, 1))),
        diff: mean[1] - mean[0],
        std_error: error(&|c| residual(c, 1) - residual(c, 0)),
        df: Some(total - 1.0),
        contrast: (error(&|c| residual(c, 1) - weight * residual(c, 0)), Some(total - 1.0)),
        baseline: mean[0].value(),
        units: clusters.len() as u64,
    };
    estimate.test(options)
}

/// √Σ v², scaled so that no square leaves the range.
fn root_of_squares(clusters: &[Cluster], value: &dyn Fn(&Cluster) -> f64) -> f64 {
    let largest = clusters.iter().map(|c| value(c).abs()).fold(0.0, f64::max);
    if largest == 0.0 {
        return 0.0;
    }
    let exponent = libm::ilogb(largest);
    let squares = clusters.iter().map(|c| {
        let scaled = libm::ldexp(value(c), -exponent);
        Double::product(scaled, scaled)
    });
    let sum = squares.fold(Double::default(), |a, b| a + b);
    libm::ldexp(sum.value().sqrt(), exponent)
}
