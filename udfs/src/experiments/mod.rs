//! Experiments: tests of a difference between arms, planning, assignment.

mod ab_assign;
mod ab_cuped;
mod ab_holdout;
mod ab_interleaving;
mod ab_layer;
mod ab_mannwhitney;
mod ab_mde;
mod ab_merge;
mod ab_moments;
mod ab_power;
mod ab_quantile_test;
mod ab_ramp;
mod ab_ratio;
mod ab_sample_size;
mod ab_sequential;
mod ab_srm;
mod ab_ttest;
mod ab_ttest_clustered;
mod ab_ttest_student;
mod ab_ztest_prop;
mod columns;
mod interleave;
mod p_adjust;
mod planning;

use crate::Function;
use crate::aggregate::aggregate as of;
use crate::two_sample::{Arms, Each};

pub(crate) use ab_mannwhitney::{MannWhitney, RankOptions};

/// The functions of this stage.
pub fn functions() -> Vec<Function> {
    vec![
        ab_assign::function(),
        of::<Arms<ab_cuped::Cuped>>(),
        of::<Each<ab_cuped::Cuped>>(),
        ab_holdout::function(),
        of::<ab_interleaving::Interleaving>(),
        ab_layer::function(),
        of::<Arms<ab_mannwhitney::MannWhitney>>(),
        ab_mde::function(),
        of::<ab_merge::Merged>(),
        of::<ab_moments::State>(),
        ab_power::function(),
        of::<Arms<ab_quantile_test::QuantileTest>>(),
        ab_ramp::function(),
        of::<Arms<ab_ratio::Ratio>>(),
        of::<Each<ab_ratio::Ratio>>(),
        ab_sample_size::function(),
        of::<Arms<ab_sequential::AlwaysValid>>(),
        of::<ab_srm::SampleRatio>(),
        of::<Arms<ab_ttest::Welch>>(),
        of::<Each<ab_ttest::Welch>>(),
        of::<Arms<ab_ttest_clustered::Clustered>>(),
        of::<Each<ab_ttest_clustered::Clustered>>(),
        of::<Arms<ab_ttest_student::Student>>(),
        of::<Arms<ab_ztest_prop::ZTest>>(),
        interleave::function(),
        p_adjust::function(),
    ]
}
