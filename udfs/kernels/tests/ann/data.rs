//! Vectors that cluster as embeddings do, and queries of another kind.

use std::sync::Arc;

use kernels::ann::{Builder, Model, Options, Random, Segment, Work, calibrate};
use kernels::vectors::{Metric, Rows};

/// Few hidden dimensions, bent into many: neighbours exist, and no axis is idle.
pub struct Data {
    pub dimension: usize,
    pub rows: Vec<f32>,
    /// Of another tower: other weights over the same hidden space.
    pub queries: Vec<f32>,
}

const HIDDEN: usize = 8;

fn normal(random: &mut Random) -> f32 {
    (0..12).map(|_| random.below(1 << 24) as f32 / (1 << 24) as f32).sum::<f32>() - 6.0
}

fn tower(hidden: &[f32], weights: &[f32], dimension: usize) -> Vec<f32> {
    let axis = |i: usize| {
        let row = &weights[i * HIDDEN..(i + 1) * HIDDEN];
        row.iter().zip(hidden).map(|(w, h)| w * h).sum::<f32>().tanh()
    };
    (0..dimension).map(axis).collect()
}

pub fn data(rows: usize, queries: usize, dimension: usize, seed: u64) -> Data {
    let mut random = Random::new(seed);
    let random = &mut random;
    let weights: Vec<f32> = (0..dimension * HIDDEN).map(|_| normal(random) * 0.4).collect();
    let other: Vec<f32> = weights.iter().map(|w| w + normal(random) * 0.1).collect();
    let centres: Vec<f32> = (0..60 * HIDDEN).map(|_| normal(random)).collect();
    let mut draw = |weights: &[f32], spread: f32| {
        let centre = random.below(60) * HIDDEN;
        let centre = &centres[centre..centre + HIDDEN];
        let hidden: Vec<f32> = centre.iter().map(|c| c + normal(random) * spread).collect();
        tower(&hidden, weights, dimension)
    };
    let rows = (0..rows).flat_map(|_| draw(&weights, 0.5)).collect();
    let queries = (0..queries).flat_map(|_| draw(&other, 0.7)).collect();
    Data { dimension, rows, queries }
}

/// Sums of word vectors as reduced texts are: a row has sixteen words of its subject and of all, a
/// query three of a row that is not there. Its neighbours share a rare word and are spread over
/// many subjects.
pub fn texts(rows: usize, queries: usize, dimension: usize, seed: u64) -> Data {
    const WORDS: usize = 3000;
    const SUBJECTS: usize = 50;
    let mut random = Random::new(seed);
    let random = &mut random;
    let words: Vec<f32> = (0..WORDS * dimension).map(|_| normal(random)).collect();
    let mut draw = |count: usize| {
        let subject = random.below(SUBJECTS);
        let mut row = vec![0.0; dimension];
        for _ in 0..count {
            // Words of a subject have numbers a fixed step apart; few are frequent.
            let share = random.below(1 << 20) as f32 / (1 << 20) as f32;
            let of_all = (share * share * share * WORDS as f32) as usize;
            let of_subject = (of_all / SUBJECTS * SUBJECTS + subject).min(WORDS - 1);
            let word = if random.below(2) == 0 { of_all } else { of_subject };
            let word = &words[word * dimension..(word + 1) * dimension];
            row.iter_mut().zip(word).for_each(|(sum, x)| *sum += x);
        }
        let length = row.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-6);
        row.iter_mut().for_each(|x| *x /= length);
        row
    };
    let rows = (0..rows).flat_map(|_| draw(16)).collect();
    let queries = (0..queries).flat_map(|_| draw(3)).collect();
    Data { dimension, rows, queries }
}

impl Data {
    pub fn rows(&self) -> Rows<'_> {
        Rows::single(&self.rows, self.dimension).unwrap()
    }

    pub fn queries(&self) -> impl Iterator<Item = &[f32]> {
        self.queries.chunks(self.dimension)
    }

    pub fn model(&self, metric: Metric) -> Arc<Model> {
        let options = Options { seed: 5, ..Options::new(metric, self.dimension) };
        let rows = self.rows();
        Arc::new(Model::train(options, rows, rows.len(), &Work::alone()).unwrap())
    }

    /// All rows, numbered from 0, and a curve measured without queries.
    pub fn segment(&self, metric: Metric) -> Segment {
        let mut segment = build(self.model(metric), self.rows(), 0);
        let curve = calibrate(&segment, None, &Work::alone()).unwrap();
        segment.set_calibration(curve);
        segment
    }
}

pub fn build(model: Arc<Model>, rows: Rows<'_>, first: u32) -> Segment {
    let mut builder = Builder::new(model);
    let numbers: Vec<u32> = (first..first + rows.len() as u32).collect();
    builder.push(rows, &numbers, &Work::alone()).unwrap();
    builder.finish()
}
