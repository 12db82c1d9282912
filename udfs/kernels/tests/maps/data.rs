//! Clusters on bent sheets of few dimensions.

use kernels::ann::Random;

fn even(random: &mut Random) -> f32 {
    random.below(1 << 24) as f32 / (1 << 23) as f32 - 1.0
}

/// Rows of `count` clusters.
pub fn clusters(rows: usize, dimension: usize, count: usize, seed: u64) -> Vec<f32> {
    const HIDDEN: usize = 3;
    let mut random = Random::new(seed);
    let weights: Vec<f32> = (0..HIDDEN * dimension).map(|_| even(&mut random)).collect();
    let centres: Vec<f32> = (0..HIDDEN * count).map(|_| 4.0 * even(&mut random)).collect();
    let mut all = Vec::new();
    for _ in 0..rows {
        let centre = &centres[random.below(count) * HIDDEN..][..HIDDEN];
        let hidden: Vec<f32> = centre.iter().map(|c| c + 0.5 * even(&mut random)).collect();
        let row = weights
            .chunks(HIDDEN)
            .map(|weights| weights.iter().zip(&hidden).map(|(w, h)| w * h).sum::<f32>().sin());
        all.extend(row);
    }
    all
}
