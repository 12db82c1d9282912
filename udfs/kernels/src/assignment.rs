//! Assigning units to the arms of experiments by hashing: no state, the same on every machine.
//!
//! A unit gets a place in [0, 1) from a hash of the experiment and its id, and the arm in whose
//! share of the weights the place falls. `Murmur3` is our rule: murmur3_x86_32(experiment ‖ "." ‖
//! unit, seed) / 2³². The others reproduce what existing SDKs do, so that a running experiment can
//! move here.

use md5::{Digest, Md5};
use sha1::Sha1;

/// Whose rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Algorithm {
    /// Ours.
    #[default]
    Murmur3,
    /// GrowthBook SDK, hash version 2: fnv1a32(fnv1a32(experiment ‖ unit) as decimal) in ten
    /// thousandths.
    GrowthbookV2,
    /// GrowthBook SDK, hash version 1: fnv1a32(unit ‖ experiment) in thousandths.
    GrowthbookV1,
    /// PlanOut: 15 hexadecimal digits of sha1(experiment ‖ "." ‖ unit); the experiment is the full
    /// salt.
    Planout,
    /// Eppo: 8 hexadecimal digits of md5(experiment ‖ "-" ‖ unit), in 10,000 shards.
    Eppo,
    /// Optimizely: murmur3(unit ‖ experiment, 1) in ten thousandths.
    Optimizely,
}

/// Where a unit stands, from 0 to 1 (PlanOut reaches 1).
pub fn place(algorithm: Algorithm, experiment: &str, unit: &str, seed: u32) -> f64 {
    let joined = |a: &str, between: &str, b: &str| [a, between, b].concat();
    match algorithm {
        Algorithm::Murmur3 => {
            let hash = murmur3(joined(experiment, ".", unit).as_bytes(), seed);
            f64::from(hash) / TWO_32
        }
        Algorithm::GrowthbookV2 => {
            let hash = fnv1a(&fnv1a(&joined(experiment, "", unit)).to_string());
            f64::from(hash % 10_000) / 10_000.0
        }
        Algorithm::GrowthbookV1 => {
            f64::from(fnv1a(&joined(unit, "", experiment)) % 1_000) / 1_000.0
        }
        Algorithm::Planout => {
            let hash = Sha1::digest(joined(experiment, ".", unit));
            let first = hash.iter().take(8).fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
            (first >> 4) as f64 / 0xFFF_FFFF_FFFF_FFFFu64 as f64
        }
        Algorithm::Eppo => {
            let hash = Md5::digest(joined(experiment, "-", unit));
            let first = hash.iter().take(4).fold(0u32, |sum, byte| sum << 8 | u32::from(*byte));
            f64::from(first % 10_000) / 10_000.0
        }
        Algorithm::Optimizely => {
            let hash = murmur3(joined(unit, "", experiment).as_bytes(), 1);
            (f64::from(hash) / TWO_32 * 10_000.0).floor() / 10_000.0
        }
    }
}

const TWO_32: f64 = 4_294_967_296.0;

/// The arm of a place: the first whose cumulative share of the weights is beyond it (PlanOut: not
/// before it). None if no weight is positive.
pub fn arm(algorithm: Algorithm, place: f64, weights: &[f64]) -> Option<usize> {
    let total: f64 = weights.iter().sum();
    let mut cumulative = 0.0;
    let mut last = None;
    for (arm, weight) in weights.iter().enumerate().filter(|(_, weight)| **weight > 0.0) {
        cumulative += weight / total;
        last = Some(arm);
        let edge = match algorithm {
            // These count in whole ten thousandths.
            Algorithm::Eppo | Algorithm::Optimizely => (cumulative * 10_000.0).round() / 10_000.0,
            Algorithm::Murmur3
            | Algorithm::GrowthbookV2
            | Algorithm::GrowthbookV1
            | Algorithm::Planout => cumulative,
        };
        if place < edge || (algorithm == Algorithm::Planout && place == edge) {
            return last;
        }
    }
    last
}

/// Where a unit stands in the group that sees no experiment, which has a salt of its own.
pub fn holdout_place(salt: &str, unit: &str) -> f64 {
    place(Algorithm::Murmur3, salt, unit, 0)
}

/// Where a unit stands in the ramp of an experiment. The hash is not the one of the arms: whoever
/// is exposed first is a fair sample of each.
pub fn ramp_place(experiment: &str, unit: &str) -> f64 {
    place(Algorithm::Murmur3, &[experiment, ".ramp"].concat(), unit, 0)
}

/// Where a unit stands in a layer, whose experiments share its places out.
pub fn layer_place(layer: &str, unit: &str) -> f64 {
    place(Algorithm::Murmur3, &[layer, ".layer"].concat(), unit, 0)
}

/// The name of the holdout that an experiment leaves alone.
pub const HOLDOUT: &str = "holdout";

/// Whom an experiment assigns, and to which arm.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Split {
    /// What the hashes of arms and ramp begin with.
    pub salt: String,
    /// Weights of the arms, any scale.
    pub weights: Vec<f64>,
    /// A layer and the places in it that the experiment has, from and before.
    pub layer: Option<(String, Vec<(f64, f64)>)>,
    /// Share of units that see no experiment.
    pub holdout: f64,
    /// Share of units that are exposed.
    pub ramp: f64,
}

impl Split {
    /// The arm of a unit; None for one that is held out, of another experiment of the layer, or
    /// not exposed yet.
    pub fn arm(&self, unit: &str) -> Option<usize> {
        if self.holdout > 0.0 && holdout_place(HOLDOUT, unit) < self.holdout {
            return None;
        }
        if let Some((layer, ranges)) = &self.layer {
            let at = layer_place(layer, unit);
            if !ranges.iter().any(|(from, before)| (*from..*before).contains(&at)) {
                return None;
            }
        }
        if self.ramp < 1.0 && ramp_place(&self.salt, unit) >= self.ramp {
            return None;
        }
        arm(Algorithm::Murmur3, place(Algorithm::Murmur3, &self.salt, unit, 0), &self.weights)
    }
}

/// MurmurHash3_x86_32 (Appleby, public domain).
pub fn murmur3(bytes: &[u8], seed: u32) -> u32 {
    let scrambled =
        |block: u32| block.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593);
    let (blocks, rest) = bytes.as_chunks::<4>();
    let mut hash = blocks.iter().fold(seed, |hash, block| {
        let mixed = hash ^ scrambled(u32::from_le_bytes(*block));
        mixed.rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64)
    });
    if !rest.is_empty() {
        let tail = rest.iter().rev().fold(0u32, |sum, byte| sum << 8 | u32::from(*byte));
        hash ^= scrambled(tail);
    }
    hash ^= bytes.len() as u32;
    hash = (hash ^ hash >> 16).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ hash >> 13).wrapping_mul(0xc2b2_ae35);
    hash ^ hash >> 16
}

/// FNV-1a, 32 bits (Fowler, Noll & Vo).
/// FNV-1a over the characters as JavaScript has them, UTF-16: what the SDK of the web does.
fn fnv1a(text: &str) -> u32 {
    let step = |hash: u32, unit: u16| (hash ^ u32::from(unit)).wrapping_mul(0x0100_0193);
    text.encode_utf16().fold(0x811c_9dc5, step)
}

/// Which ranking of two an item of an interleaved list came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Team {
    /// The first.
    A,
    /// The second.
    B,
}

/// Team-draft interleaving (Radlinski, Kurup & Joachims 2008): the team with fewer picks, at a tie
/// a coin of the seed, takes its best item that is not yet taken. Items of one list only follow at
/// its turns; a team that has none left leaves its picks to the other.
pub fn interleave(a: &[i64], b: &[i64], seed: u64) -> Vec<(i64, Team)> {
    let mut taken = std::collections::HashSet::new();
    let mut lists = [a.iter().peekable(), b.iter().peekable()];
    let mut picks = [0u64, 0u64];
    let mut merged = Vec::with_capacity(a.len() + b.len());
    let mut round = 0u64;
    loop {
        for list in &mut lists {
            while list.next_if(|item| taken.contains(*item)).is_some() {}
        }
        let [left, right] = &mut lists;
        let first = match (left.peek().is_some(), right.peek().is_some()) {
            (false, false) => return merged,
            (true, false) => true,
            (false, true) => false,
            (true, true) if picks[0] != picks[1] => picks[0] < picks[1],
            (true, true) => {
                let coin = murmur3(&[seed.to_le_bytes(), round.to_le_bytes()].concat(), 0);
                round += 1;
                coin >> 31 == 0
            }
        };
        let (side, team) = if first { (0, Team::A) } else { (1, Team::B) };
        if let Some(item) = lists[side].next() {
            picks[side] += 1;
            taken.insert(*item);
            merged.push((*item, team));
        }
    }
}
