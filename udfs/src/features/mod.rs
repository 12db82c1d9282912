//! Features: functions of a row that TRANSFORM and feature views are made of.

mod bucketize;
mod feature_cross;
mod hash_bucket;

use crate::Function;

/// The functions of this stage.
pub fn functions() -> Vec<Function> {
    vec![bucketize::function(), feature_cross::function(), hash_bucket::function()]
}
