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
