//! Hidden layers of a tower, beside its linear part: y = x + Wₖ ReLU(… ReLU(W₁ x + b₁) …) + bₖ.
//!
//! The last layer starts at zero, so that a tower starts as the linear one. Widths are padded to
//! whole lanes; what is padded stays zero.

use super::rows::{Adam, Parameters, padded};
use super::step::{Layered, turn};
use crate::ann::Random;
use crate::models::parallel::{cut, each, ranges};
use crate::simd::level::Level;
use crate::vectors::{Panels, Rows};

/// One layer: weights row-major by output, and biases.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Layer {
    pub inputs: usize,
    pub outputs: usize,
    /// Outputs without padding.
    pub width: usize,
    pub weights: Parameters,
    pub biases: Parameters,
}

/// The layers of one tower; none for a linear one.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Layers(pub Vec<Layer>);

/// `out[q * rows + r]` for each of many queries, by several threads.
pub(super) fn products(
    level: Level,
    threads: usize,
    panels: &Panels,
    dimension: usize,
    queries: &[f32],
    out: &mut [f32],
) {
    let count = queries.len() / dimension.max(1);
    let ranges = ranges(count, threads.min(count.div_ceil(64)));
    let parts = cut(out, panels.stride(), &ranges).into_iter().zip(ranges.iter().cloned());
    each(parts.collect(), |_, (out, range)| {
        panels.dots(level, &queries[range.start * dimension..range.end * dimension], out);
    });
}

impl Layers {
    /// Layers of these widths between vectors of `dim`, by He's uniform rule, the last zeros.
    pub fn new(dim: usize, widths: &[usize], random: &mut Random) -> Self {
        if widths.is_empty() {
            return Self::default();
        }
        let sizes: Vec<usize> = [dim].iter().chain(widths).chain([&dim]).copied().collect();
        let layers = sizes.windows(2).enumerate().map(|(place, size)| {
            let (inputs, outputs) = (padded(size[0]), padded(size[1]));
            let reach = (6.0 / size[0] as f32).sqrt();
            let mut values = vec![0.0; inputs * outputs];
            if place < widths.len() {
                for row in values.chunks_exact_mut(inputs).take(size[1]) {
                    row[..size[0]].fill_with(|| even(random) * reach);
                }
            }
            let biases = Parameters::new(vec![0.0; outputs]);
            Layer { inputs, outputs, width: size[1], weights: Parameters::new(values), biases }
        });
        Self(layers.collect())
    }

    /// Adds the network's answer to `y`, which is `x`; `hidden` keeps what each layer gave.
    pub fn forward(
        &self,
        level: Level,
        threads: usize,
        x: &[f32],
        hidden: &mut Vec<Vec<f32>>,
        y: &mut [f32],
    ) {
        hidden.resize(self.0.len(), Vec::new());
        for (place, layer) in self.0.iter().enumerate() {
            let (before, after) = hidden.split_at_mut(place);
            let input = before.last().map_or(x, Vec::as_slice);
            let out = &mut after[0];
            out.clear();
            out.resize(input.len() / layer.inputs * layer.outputs, 0.0);
            let rows = Rows::single(&layer.weights.values, layer.inputs);
            let panels = rows.map(Panels::new).unwrap_or_default();
            products(level, threads, &panels, layer.inputs, input, out);
            let last = place + 1 == self.0.len();
            for row in out.chunks_exact_mut(layer.outputs) {
                for (x, bias) in row.iter_mut().zip(&layer.biases.values) {
                    *x += bias;
                    *x = if last || *x > 0.0 { *x } else { 0.0 };
                }
            }
        }
        if let Some(last) = hidden.last() {
            y.iter_mut().zip(last).for_each(|(y, x)| *y += x);
        }
    }

    /// Turns the gradient of `y` into that of `x`, and answers those of each layer's weights and
    /// biases, the last layer first.
    pub fn backward(
        &self,
        level: Level,
        threads: usize,
        x: &[f32],
        hidden: &[Vec<f32>],
        gradient: &mut [f32],
    ) -> Layered {
        let (mut above, mut all) = (gradient.to_vec(), Vec::with_capacity(self.0.len()));
        let (mut panels, mut turned) = (Panels::default(), Vec::new());
        for (place, layer) in self.0.iter().enumerate().rev() {
            let input = if place == 0 { x } else { &hidden[place - 1] };
            let mut below = vec![0.0; input.len()];
            panels.fill_columns(&layer.weights.values, layer.inputs);
            products(level, threads, &panels, layer.outputs, &above, &mut below);
            if place > 0 {
                let dead = below.iter_mut().zip(input).filter(|(_, x)| **x <= 0.0);
                dead.for_each(|(g, _)| *g = 0.0);
            }
            turn(&above, layer.outputs, 0..layer.outputs, &mut turned);
            panels.fill_columns(input, layer.inputs);
            let mut by_weights = vec![0.0; layer.weights.values.len()];
            let count = input.len() / layer.inputs;
            products(level, threads, &panels, count, &turned, &mut by_weights);
            let by_biases = turned.chunks_exact(count.max(1)).map(|row| row.iter().sum());
            all.push((by_weights, by_biases.collect()));
            above = below;
        }
        if !self.0.is_empty() {
            gradient.iter_mut().zip(&above).for_each(|(g, below)| *g += below);
        }
        all
    }

    /// Lets go of what only training needs.
    pub fn forget(&mut self) {
        for layer in &mut self.0 {
            layer.weights.forget();
            layer.biases.forget();
        }
    }

    /// Moves the layers against what `backward` answered.
    pub fn step(&mut self, level: Level, adam: Adam, gradients: &Layered) {
        for (layer, (weights, biases)) in self.0.iter_mut().rev().zip(gradients) {
            layer.weights.step(level, adam, weights);
            layer.biases.step(level, adam, biases);
        }
    }
}

/// A number from -1 to 1.
pub(super) fn even(random: &mut Random) -> f32 {
    (random.number() >> 40) as f32 / 8_388_608.0 - 1.0
}
