//! Forests of decision trees in one form, whoever trained them.
//!
//! ```text
//!   node: is x[feature] <= threshold?      yes ─▶ left      leaf: a number
//!         is x[feature] in a set of codes?  no ─▶ right
//! ```
//!
//! A row's score is the sum of the leaves that it falls into, tree by tree in order, in double
//! precision; a link turns scores into predictions. NaN is the missing value: each node says where
//! it goes.

mod lightgbm;
mod score;
mod xgboost;

pub use lightgbm::{read_lightgbm, read_own, write};

pub use score::Scorer;
pub use xgboost::read_xgboost;

use super::link::Link;

/// Where to go from a node: a node's number, or `!leaf` (below zero) for a leaf's.
pub type Child = i32;

/// What a node takes for a missing value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// Nothing: NaN counts as zero.
    Never,
    /// NaN and zeros (within 1e-35).
    Zero,
    Nan,
}

/// The question of a node.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Test {
    /// Left if the value is at most this.
    AtMost(f64),
    /// Left if the value, cut to a whole number, is in the set: bits of `words` numbers of 32 from
    /// `first` on in `Tree::sets`. Missing, negative and unknown codes are not.
    In { first: u32, words: u32 },
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Node {
    pub feature: u32,
    pub test: Test,
    pub missing: Missing,
    /// Where missing values go.
    pub default_left: bool,
    pub left: Child,
    pub right: Child,
    /// By how much the split lessened the loss in training.
    pub gain: f64,
    /// Rows, or their weight, that reached it in training.
    pub cover: f64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Leaf {
    pub value: f64,
    /// Rows, or their weight, that reached it in training.
    pub cover: f64,
}

/// One tree: nodes, the root first; without nodes, its only leaf.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Tree {
    pub nodes: Vec<Node>,
    pub leaves: Vec<Leaf>,
    /// Bits of the sets of codes.
    pub sets: Vec<u32>,
    /// The score that it adds to.
    pub output: usize,
}

/// Trees and how their sums become predictions.
#[derive(Debug, Clone, PartialEq)]
pub struct Forest {
    /// The names of the columns, in the order of values.
    pub features: Vec<String>,
    pub trees: Vec<Tree>,
    /// A score for each output before any tree.
    pub base: Vec<f64>,
    /// Whether scores are means over an output's trees instead of sums.
    pub average: bool,
    pub link: Link,
    /// Whether values are rounded to single precision first, as XGBoost does.
    pub single: bool,
}

/// Zeros, for `Missing::Zero`.
const ZERO: f64 = 1e-35f32 as f64;

/// Why a model cannot be read, written or scored with.
#[derive(Debug, Clone, PartialEq)]
pub enum Error {
    /// Not a model of the format; `what` is missing or cannot be read.
    Format { what: String },
    /// A feature of the format that has no meaning here.
    Unsupported { what: String },
    /// The text is not what was written.
    Checksum,
    /// A text of a later version.
    Version { found: u32 },
    /// Nodes that are no tree, or that ask for features or outputs that are not there.
    Unsound { tree: usize },
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Format { what } => write!(f, "model file cannot be read: {what}"),
            Self::Unsupported { what } => write!(f, "model uses {what}, which is not supported"),
            Self::Checksum => f.write_str("model is corrupted: its checksum differs"),
            Self::Version { found } => write!(f, "model has unknown version {found}"),
            Self::Unsound { tree } => write!(f, "tree {tree} of the model is no tree"),
        }
    }
}

impl std::error::Error for Error {}

impl Node {
    /// Whether a value goes left; `sets` are the tree's.
    #[inline]
    pub fn goes_left(&self, value: f64, sets: &[u32]) -> bool {
        match self.test {
            Test::AtMost(threshold) => match self.missing {
                Missing::Never => (if value.is_nan() { 0.0 } else { value }) <= threshold,
                Missing::Zero if value.is_nan() || value.abs() <= ZERO => self.default_left,
                Missing::Nan if value.is_nan() => self.default_left,
                Missing::Zero | Missing::Nan => value <= threshold,
            },
            Test::In { .. } if value.is_nan() => self.default_left,
            Test::In { first, words } => {
                contains(sets.get(first as usize..).unwrap_or_default(), words, value)
            }
        }
    }
}

/// Whether a code is in the set whose bits `sets` begins with.
#[inline]
fn contains(sets: &[u32], words: u32, value: f64) -> bool {
    // A number beyond the words is in no set; the cast saturates.
    let code = value as i64;
    if code < 0 || code >= 32 * i64::from(words) {
        return false;
    }
    let word = sets.get((code / 32) as usize).copied().unwrap_or(0);
    word >> (code % 32) & 1 == 1
}

impl Tree {
    /// The leaf that a row falls into; `value` gives the row's value of a feature.
    #[inline]
    pub fn leaf(&self, value: impl Fn(usize) -> f64) -> usize {
        let mut at: Child = if self.nodes.is_empty() { !0 } else { 0 };
        while let Some(node) = usize::try_from(at).ok().and_then(|at| self.nodes.get(at)) {
            let left = node.goes_left(value(node.feature as usize), &self.sets);
            at = if left { node.left } else { node.right };
        }
        !at as usize
    }

    /// Whether every child, feature and set exists, and each node and leaf has one parent.
    pub fn is_sound(&self, features: usize) -> bool {
        let (mut nodes, mut leaves) =
            (vec![false; self.nodes.len()], vec![false; self.leaves.len()]);
        if self.leaves.len() != self.nodes.len() + 1 {
            return false;
        }
        if let Some(root) = nodes.first_mut() {
            *root = true;
        }
        for (number, node) in self.nodes.iter().enumerate() {
            let set_exists = match node.test {
                Test::AtMost(threshold) => !threshold.is_nan(),
                Test::In { first, words } => first as usize + words as usize <= self.sets.len(),
            };
            if node.feature as usize >= features || !set_exists {
                return false;
            }
            for child in [node.left, node.right] {
                let seen = match usize::try_from(child) {
                    // A parent comes before its children, so there are no circles.
                    Ok(child) if child <= number => None,
                    Ok(child) => nodes.get_mut(child),
                    Err(_) => leaves.get_mut(!child as usize),
                };
                match seen {
                    Some(seen) if !*seen => *seen = true,
                    _ => return false,
                }
            }
        }
        self.nodes.is_empty() || leaves.iter().all(|seen| *seen)
    }
}

impl Forest {
    /// Whether every tree is one, and adds to an output that exists.
    pub fn check(&self) -> Result<(), Error> {
        let sound =
            |tree: &Tree| tree.output < self.outputs() && tree.is_sound(self.features.len());
        match self.trees.iter().position(|tree| !sound(tree)) {
            Some(tree) => Err(Error::Unsound { tree }),
            None => Ok(()),
        }
    }

    /// Scores of a row.
    pub fn outputs(&self) -> usize {
        self.base.len()
    }

    /// How often each feature splits, and the gains of its splits.
    pub fn importance(&self) -> Vec<(u64, f64)> {
        let mut all = vec![(0, 0.0); self.features.len()];
        for node in self.trees.iter().flat_map(|tree| &tree.nodes) {
            if let Some((splits, gain)) = all.get_mut(node.feature as usize) {
                *splits += 1;
                *gain += node.gain;
            }
        }
        all
    }
}
