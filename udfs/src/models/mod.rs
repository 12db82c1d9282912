//! Models: how good predictions and ranked lists are.

mod accuracy;
mod auc;
mod brier;
mod ece;
mod f1;
mod hit_rate;
mod items;
mod log_loss;
mod mae;
mod map_at;
mod measure;
mod mrr;
mod ndcg;
mod pr_auc;
mod precision;
mod precision_at;
mod r2;
mod recall;
mod recall_at;
mod rmse;
mod rows;
#[cfg(test)]
mod tests;

use crate::Function;
use crate::aggregate::aggregate as of;
use measure::Measured;

/// The functions of this stage.
pub fn functions() -> Vec<Function> {
    vec![
        of::<Measured<accuracy::Accuracy>>(),
        of::<Measured<auc::Auc>>(),
        of::<Measured<brier::Brier>>(),
        of::<Measured<ece::Ece>>(),
        of::<Measured<f1::F1>>(),
        of::<Measured<hit_rate::HitRate>>(),
        of::<Measured<log_loss::LogLoss>>(),
        of::<Measured<mae::Mae>>(),
        of::<Measured<map_at::MapAt>>(),
        of::<Measured<mrr::Mrr>>(),
        of::<Measured<ndcg::Ndcg>>(),
        of::<Measured<pr_auc::PrAuc>>(),
        of::<Measured<precision::Precision>>(),
        of::<Measured<precision_at::PrecisionAt>>(),
        of::<Measured<r2::R2>>(),
        of::<Measured<recall::Recall>>(),
        of::<Measured<recall_at::RecallAt>>(),
        of::<Measured<rmse::Rmse>>(),
    ]
}
