//! Where points start: on the two principal axes of the rows.
//!
//! The axes are found by iterating on a subspace (Halko, Martinsson and Tropp 2011): no matrix of
//! dimension by dimension is made. Drawing neighbours together before the epochs, as a spectral
//! start does, made maps of clusters neither more trustworthy nor their clusters more whole.

use crate::ann::Random;
use crate::ann::eigen;

/// Rows that axes are found by, at even steps.
pub(super) const SAMPLE: usize = 8192;
/// Vectors of the subspace, and rounds.
const VECTORS: usize = 4;
const ROUNDS: usize = 12;
/// How far from the middle the farthest point starts.
const REACH: f32 = 10.0;
/// Equal points would never part: none pushes another off without a direction.
const JITTER: f32 = 1e-3;

/// The places of the rows on their two principal axes, scaled; no two are the same.
pub(super) fn principal(rows: &[f32], dimension: usize, seed: u64) -> Vec<[f32; 2]> {
    let count = rows.len() / dimension;
    let seen = count.min(SAMPLE);
    let row = |place: usize| &rows[place * count / seen * dimension..][..dimension];
    let mut mean = vec![0.0f32; dimension];
    for place in 0..seen {
        let share = 1.0 / seen as f32;
        mean.iter_mut().zip(row(place)).for_each(|(mean, x)| *mean += x * share);
    }
    let sample: Vec<f32> = (0..seen)
        .flat_map(|place| row(place).iter().zip(&mean).map(|(x, mean)| x - mean))
        .collect();
    let [first, second] = axes(&sample, dimension, seed);
    let along = |row: &[f32], axis: &[f32]| -> f32 {
        row.iter().zip(&mean).zip(axis).map(|((x, mean), axis)| (x - mean) * axis).sum()
    };
    let place = |row: &[f32]| [along(row, &first), along(row, &second)];
    let mut places: Vec<[f32; 2]> = rows.chunks_exact(dimension).map(place).collect();
    scaled(&mut places, seed);
    places
}

/// The two axes of centred rows; zeros where there is none.
fn axes(sample: &[f32], dimension: usize, seed: u64) -> [Vec<f32>; 2] {
    let mut random = Random::new(seed);
    let even = |_| random.below(1 << 20) as f32 - (1 << 19) as f32;
    let start: Vec<f32> = (0..VECTORS * dimension).map(even).collect();
    let mut vectors: Vec<Vec<f32>> = start.chunks(dimension).map(<[f32]>::to_vec).collect();
    orthonormal(&mut vectors);
    let mut gram = vec![0.0f64; VECTORS * VECTORS];
    for _ in 0..ROUNDS {
        let mut next = vec![vec![0.0f32; dimension]; VECTORS];
        gram.fill(0.0);
        for row in sample.chunks_exact(dimension) {
            let along = |vector: &Vec<f32>| row.iter().zip(vector).map(|(x, v)| x * v).sum();
            let along: Vec<f32> = vectors.iter().map(along).collect();
            for (next, along) in next.iter_mut().zip(&along) {
                next.iter_mut().zip(row).for_each(|(next, x)| *next += along * x);
            }
            for (place, sum) in gram.iter_mut().enumerate() {
                *sum += f64::from(along[place / VECTORS]) * f64::from(along[place % VECTORS]);
            }
        }
        // The subspace is now as good as its last round; its axes are those of `gram`.
        let (_, turns) = eigen::principal(&gram, VECTORS);
        vectors = turns.chunks(VECTORS).map(|turn| combined(turn, &next)).collect();
        orthonormal(&mut vectors);
    }
    let mut vectors = vectors.into_iter();
    [vectors.next().unwrap_or_default(), vectors.next().unwrap_or_default()]
}

fn combined(turn: &[f64], vectors: &[Vec<f32>]) -> Vec<f32> {
    let mut sum = vec![0.0; vectors.first().map_or(0, Vec::len)];
    for (share, vector) in turn.iter().zip(vectors) {
        sum.iter_mut().zip(vector).for_each(|(sum, x)| *sum += *share as f32 * x);
    }
    sum
}

/// Gram and Schmidt; what depends on earlier vectors becomes zero.
fn orthonormal(vectors: &mut [Vec<f32>]) {
    const LOST: f64 = 1e-6;
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    };
    for place in 0..vectors.len() {
        let (before, rest) = vectors.split_at_mut(place);
        let vector = &mut rest[0];
        let length = dot(vector, vector).sqrt();
        // Twice, since the first time leaves what rounding has kept.
        for earlier in before.iter().chain(before.iter()) {
            let along = dot(vector, earlier) as f32;
            vector.iter_mut().zip(earlier).for_each(|(x, e)| *x -= along * e);
        }
        let left = dot(vector, vector).sqrt();
        let factor = if left > LOST * length { 1.0 / left } else { 0.0 };
        vector.iter_mut().for_each(|x| *x = (f64::from(*x) * factor) as f32);
    }
}

/// Scales the places, and puts no two of them in one.
fn scaled(places: &mut [[f32; 2]], seed: u64) {
    let greatest = places.as_flattened().iter().fold(0.0f32, |most, x| most.max(x.abs()));
    let factor = if greatest > 0.0 { REACH / greatest } else { 0.0 };
    // Past the range of a float for axes that are all but points.
    let factor = if factor.is_finite() { factor } else { 0.0 };
    let mut random = Random::new(!seed);
    for x in places.as_flattened_mut() {
        let jitter = (random.below(1 << 20) as f32 / (1 << 19) as f32 - 1.0) * JITTER;
        *x = *x * factor + jitter;
    }
}
