//! Layers, y = W x + b, and chains of them: forwards, backwards, and as named arrays.

use super::even;
use super::rows::{Adam, Parameters, padded, wide};
use crate::ann::Random;
use crate::models::parallel::{cut, each, ranges};
use crate::models::tensors::{File, Writer};
use crate::simd::level::{LANES, Level};
use crate::vectors::{Panels, Rows};

/// One layer: weights row-major by output, and biases.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Layer {
    pub inputs: usize,
    pub outputs: usize,
    /// Inputs and outputs without padding.
    pub size: [usize; 2],
    pub weights: Parameters,
    /// Empty for a layer without.
    pub biases: Parameters,
}

/// By a layer's weights and by its biases.
pub(crate) type Gradient = (Vec<f32>, Vec<f32>);

/// Memory of going backwards, kept from one layer to the next.
#[derive(Debug, Default)]
pub(crate) struct Room {
    panels: Panels,
    turned: Vec<f32>,
}

impl Layer {
    /// So many inputs and outputs, all zeros.
    pub fn zeros(size: [usize; 2], biased: bool) -> Self {
        let [inputs, outputs] = size.map(padded);
        let weights = Parameters::new(vec![0.0; inputs * outputs]);
        let biases = Parameters::new(vec![0.0; if biased { outputs } else { 0 }]);
        Self { inputs, outputs, size, weights, biases }
    }

    /// With even weights of up to `reach`.
    pub fn drawn(mut self, reach: f32, random: &mut Random) -> Self {
        for row in self.weights.values.chunks_exact_mut(self.inputs).take(self.size[1]) {
            row[..self.size[0]].fill_with(|| even(random) * reach);
        }
        self
    }

    /// Weights as `forward` takes them.
    pub fn packed(&self) -> Panels {
        Rows::single(&self.weights.values, self.inputs).map(Panels::new).unwrap_or_default()
    }

    fn forward(
        &self,
        (level, threads): (Level, usize),
        panels: &Panels,
        input: &[f32],
        out: &mut Vec<f32>,
    ) {
        out.clear();
        out.resize(input.len() / self.inputs * self.outputs, 0.0);
        products(level, threads, panels, self.inputs, input, out);
        for row in out.chunks_exact_mut(self.outputs) {
            row.iter_mut().zip(&self.biases.values).for_each(|(x, bias)| *x += bias);
        }
    }

    /// The gradient by the input, and by weights and biases.
    fn backward(
        &self,
        (level, threads): (Level, usize),
        input: &[f32],
        above: &[f32],
        room: &mut Room,
    ) -> (Vec<f32>, Gradient) {
        let Room { panels, turned } = room;
        let mut below = vec![0.0; input.len()];
        panels.fill_columns(&self.weights.values, self.inputs);
        products(level, threads, panels, self.outputs, above, &mut below);
        turn(above, self.outputs, 0..self.outputs, turned);
        panels.fill_columns(input, self.inputs);
        let mut by_weights = vec![0.0; self.weights.values.len()];
        let count = input.len() / self.inputs;
        products(level, threads, panels, count, turned, &mut by_weights);
        let by_biases = turned.chunks_exact(count.max(1)).map(|row| row.iter().sum());
        (below, (by_weights, by_biases.take(self.biases.values.len()).collect()))
    }

    /// Moves the layer against what `backward` answered; no penalty is on biases.
    pub fn step(&mut self, level: Level, adam: Adam, (weights, biases): &Gradient) {
        self.weights.step(level, adam, weights);
        self.biases.step(level, adam.with_l2(0.0), biases);
    }

    /// Lets go of what only training needs.
    pub fn forget(&mut self) {
        self.weights.forget();
        self.biases.forget();
    }

    pub fn write(&self, name: &str, writer: &mut Writer) {
        let [inputs, outputs] = self.size;
        let rows = self.weights.values.chunks_exact(self.inputs).take(outputs);
        let rows = rows.flat_map(|row| &row[..inputs]).copied();
        writer.add(&format!("{name}.weights"), &[outputs, inputs], rows);
        if let Some(biases) = self.biases.values.get(..outputs) {
            writer.list(&format!("{name}.biases"), biases);
        }
    }

    /// None unless arrays of this size are there.
    pub fn read(name: &str, size: [usize; 2], biased: bool, file: &File<'_>) -> Option<Self> {
        let weights: Vec<f32> = file.list(&format!("{name}.weights"))?;
        let (inputs, outputs) = (padded(size[0]), padded(size[1]));
        let mut values = wide(&weights, size[0], size[1])?;
        values.resize(inputs * outputs, 0.0);
        let mut biases: Vec<f32> = Vec::new();
        if biased {
            biases = file.list(&format!("{name}.biases"))?;
            if biases.len() != size[1] {
                return None;
            }
            biases.resize(outputs, 0.0);
        }
        let weights = Parameters { values, ..Parameters::default() };
        let biases = Parameters { values: biases, ..Parameters::default() };
        Some(Self { inputs, outputs, size, weights, biases })
    }
}

/// Layers one after the other, the first of which ReLU follows.
#[derive(Clone, Copy)]
pub(crate) struct Chain<'a> {
    pub layers: &'a [Layer],
    /// How many of them.
    pub rectified: usize,
}

impl Chain<'_> {
    /// `outs` keeps what each layer gave; `panels` are the layers' weights packed.
    pub fn forward(
        self,
        work: (Level, usize),
        panels: &[Panels],
        x: &[f32],
        outs: &mut Vec<Vec<f32>>,
    ) {
        outs.resize(self.layers.len(), Vec::new());
        for (place, (layer, panels)) in self.layers.iter().zip(panels).enumerate() {
            let (before, after) = outs.split_at_mut(place);
            let (input, out) = (before.last().map_or(x, Vec::as_slice), &mut after[0]);
            layer.forward(work, panels, input, out);
            if place < self.rectified {
                out.iter_mut().for_each(|x| *x = if *x > 0.0 { *x } else { 0.0 });
            }
        }
    }

    /// Turns the gradient of what `forward` gave last into that of `x`, and adds those of each
    /// layer, the last one first.
    pub fn backward(
        self,
        work: (Level, usize),
        (x, outs): (&[f32], &[Vec<f32>]),
        mut above: Vec<f32>,
        room: &mut Room,
        gradients: &mut Vec<Gradient>,
    ) -> Vec<f32> {
        for (place, layer) in self.layers.iter().enumerate().rev() {
            if place < self.rectified {
                let dead = above.iter_mut().zip(&outs[place]).filter(|(_, x)| **x <= 0.0);
                dead.for_each(|(g, _)| *g = 0.0);
            }
            let input = if place == 0 { x } else { &outs[place - 1] };
            let (below, gradient) = layer.backward(work, input, &above, room);
            gradients.push(gradient);
            above = below;
        }
        above
    }
}

/// `out[q * rows + r]` for each of many queries, by several threads.
pub(crate) fn products(
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

/// Columns `range` of a matrix of `stride` columns, as rows.
pub(crate) fn turn(all: &[f32], stride: usize, range: std::ops::Range<usize>, out: &mut Vec<f32>) {
    let rows = all.len() / stride;
    out.clear();
    out.resize(rows * range.len(), 0.0);
    // Sixteen of both at a time stay in the first cache.
    for first in (0..rows).step_by(LANES) {
        for left in range.clone().step_by(LANES) {
            for row in first..(first + LANES).min(rows) {
                let from = &all[row * stride + left..row * stride + (left + LANES).min(range.end)];
                for (column, x) in from.iter().enumerate() {
                    out[(left - range.start + column) * rows + row] = *x;
                }
            }
        }
    }
}
