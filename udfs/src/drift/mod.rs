//! Drift: how far current data lies from a reference.

mod bins;
mod cause;
mod chi2_test;
mod drift_profile_of;
mod drift_summary;
mod estimate_performance;
mod fill;
mod hellinger;
mod js_distance;
mod js_divergence;
mod kl_divergence;
mod ks_test;
mod l_infinity;
mod profile;
mod psi;
mod rank_statistics;
mod sampled;
mod shared_ranks;
mod tv_distance;
mod wasserstein;

use crate::Function;
use crate::aggregate::aggregate as of;
use crate::two_sample::Arms;
use bins::Bins;

pub use shared_ranks::SharedRanks;

/// The functions of this stage.
pub fn functions() -> Vec<Function> {
    vec![
        of::<Arms<Bins<chi2_test::ChiSquareTest>>>(),
        of::<drift_profile_of::ProfileOf>(),
        of::<Arms<drift_summary::Summary>>(),
        of::<estimate_performance::Performance>(),
        of::<Arms<Bins<hellinger::Hellinger>>>(),
        of::<Arms<Bins<js_distance::JsDistance>>>(),
        of::<Arms<Bins<js_divergence::JsDivergence>>>(),
        of::<Arms<Bins<kl_divergence::KlDivergence>>>(),
        of::<Arms<ks_test::KsTest>>(),
        of::<Arms<Bins<l_infinity::LInfinity>>>(),
        of::<Arms<Bins<psi::Psi>>>(),
        of::<rank_statistics::RankStatistics>(),
        of::<Arms<Bins<tv_distance::TotalVariation>>>(),
        of::<Arms<wasserstein::Wasserstein>>(),
    ]
}
