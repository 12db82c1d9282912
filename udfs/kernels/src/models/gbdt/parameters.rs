//! What training can be told, under LightGBM's names and with its defaults.

use super::Error;

/// What is minimised.
#[derive(Debug, Clone, PartialEq)]
pub enum Objective {
    /// Half the square of the error.
    Regression,
    /// Logistic loss of labels 0 and 1.
    Binary {
        /// Weight of the rows of label 1.
        scale_pos_weight: f64,
    },
    /// Softmax loss of classes 0 to `num_class` - 1.
    Multiclass { num_class: usize },
    /// LambdaMART (Burges, MSR-TR-2010-82) for NDCG.
    Lambdarank {
        /// Gain of each grade; 2^grade - 1 for grades up to 30 if empty.
        label_gain: Vec<f64>,
        /// Pairs count whose better row is ranked above this place.
        truncation_level: usize,
        /// Whether a group's gradients are normed.
        norm: bool,
        /// Place that the validation's NDCG is cut at.
        eval_at: usize,
    },
}

impl Objective {
    pub fn binary() -> Self {
        Self::Binary { scale_pos_weight: 1.0 }
    }

    pub fn lambdarank() -> Self {
        Self::Lambdarank { label_gain: Vec::new(), truncation_level: 30, norm: true, eval_at: 10 }
    }
}

/// The parameters. `Parameters::new` gives LightGBM's defaults.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameters {
    pub objective: Objective,
    pub num_iterations: usize,
    pub learning_rate: f64,
    pub num_leaves: usize,
    /// 0: no limit.
    pub max_depth: usize,
    pub min_data_in_leaf: usize,
    pub min_sum_hessian_in_leaf: f64,
    pub lambda_l1: f64,
    pub lambda_l2: f64,
    pub min_gain_to_split: f64,
    /// Bins of a feature, 2 to 255, that of missing values included.
    pub max_bin: usize,
    pub min_data_in_bin: usize,
    /// Rows that bins are found from.
    pub bin_construct_sample_cnt: usize,
    /// Share of the features that each tree may use.
    pub feature_fraction: f64,
    /// Share of the rows that each tree learns from, if `bagging_freq` is over 0.
    pub bagging_fraction: f64,
    /// Every how many trees the rows are drawn anew; 0: never.
    pub bagging_freq: usize,
    pub cat_smooth: f64,
    pub cat_l2: f64,
    pub max_cat_threshold: usize,
    pub max_cat_to_onehot: usize,
    pub min_data_per_group: usize,
    /// Training ends after so many iterations without a better validation; 0: never.
    pub early_stopping_rounds: usize,
    pub seed: u64,
}

impl Parameters {
    pub fn new(objective: Objective) -> Self {
        Self {
            objective,
            num_iterations: 100,
            learning_rate: 0.1,
            num_leaves: 31,
            max_depth: 0,
            min_data_in_leaf: 20,
            min_sum_hessian_in_leaf: 1e-3,
            lambda_l1: 0.0,
            lambda_l2: 0.0,
            min_gain_to_split: 0.0,
            max_bin: 255,
            min_data_in_bin: 3,
            bin_construct_sample_cnt: 200_000,
            feature_fraction: 1.0,
            bagging_fraction: 1.0,
            bagging_freq: 0,
            cat_smooth: 10.0,
            cat_l2: 10.0,
            max_cat_threshold: 32,
            max_cat_to_onehot: 4,
            min_data_per_group: 100,
            early_stopping_rounds: 0,
            seed: 0,
        }
    }

    /// Whether all are in their ranges.
    pub fn check(&self) -> Result<(), Error> {
        const AT_LEAST_ZERO: &str = "finite and at least 0";
        const SHARE: &str = "greater than 0 and at most 1";
        let not_negative = |x: f64| x.is_finite() && x >= 0.0;
        let share = |x: f64| x > 0.0 && x <= 1.0;
        let rules = [
            ("num_iterations", (1..=100_000).contains(&self.num_iterations), "1 to 100000"),
            ("num_leaves", (2..=131_072).contains(&self.num_leaves), "2 to 131072"),
            ("max_bin", (2..=255).contains(&self.max_bin), "2 to 255"),
            (
                "learning_rate",
                self.learning_rate > 0.0 && self.learning_rate.is_finite(),
                "greater than 0",
            ),
            ("min_sum_hessian_in_leaf", not_negative(self.min_sum_hessian_in_leaf), AT_LEAST_ZERO),
            ("lambda_l1", not_negative(self.lambda_l1), AT_LEAST_ZERO),
            ("lambda_l2", not_negative(self.lambda_l2), AT_LEAST_ZERO),
            ("min_gain_to_split", not_negative(self.min_gain_to_split), AT_LEAST_ZERO),
            ("cat_smooth", not_negative(self.cat_smooth), AT_LEAST_ZERO),
            ("cat_l2", not_negative(self.cat_l2), AT_LEAST_ZERO),
            ("feature_fraction", share(self.feature_fraction), SHARE),
            ("bagging_fraction", share(self.bagging_fraction), SHARE),
            ("bin_construct_sample_cnt", self.bin_construct_sample_cnt > 0, "at least 1"),
        ];
        for (name, holds, must) in rules {
            if !holds {
                return Err(Error::Parameter { name, must });
            }
        }
        self.objective.check()
    }
}

impl Objective {
    fn check(&self) -> Result<(), Error> {
        let (name, holds, must) = match self {
            Self::Regression => return Ok(()),
            Self::Binary { scale_pos_weight: weight } => {
                ("scale_pos_weight", *weight > 0.0 && weight.is_finite(), "greater than 0")
            }
            Self::Multiclass { num_class } => {
                ("num_class", (2..=10_000).contains(num_class), "2 to 10000")
            }
            Self::Lambdarank { truncation_level: 0, .. } => {
                ("lambdarank_truncation_level", false, "at least 1")
            }
            Self::Lambdarank { eval_at: 0, .. } => ("eval_at", false, "at least 1"),
            Self::Lambdarank { label_gain, .. } => {
                let finite = label_gain.iter().all(|gain| gain.is_finite() && *gain >= 0.0);
                ("label_gain", finite, "finite and at least 0")
            }
        };
        if holds { Ok(()) } else { Err(Error::Parameter { name, must }) }
    }

    /// Trees of an iteration.
    pub(super) fn outputs(&self) -> usize {
        match self {
            Self::Multiclass { num_class } => *num_class,
            Self::Regression | Self::Binary { .. } | Self::Lambdarank { .. } => 1,
        }
    }
}
