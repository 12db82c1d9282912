//! The network: from rows of the table to scores, and gradients back.

use super::data::Field;
use super::options::Options;
use crate::ann::Random;
use crate::models::nets::layers::{Chain, Gradient, Layer, Room};
use crate::models::nets::rows::{Adam, Combine, Parameters, padded};
use crate::models::nets::table::{Shard, shards, update};
use crate::models::nets::{Token, even};
use crate::models::parallel::{cut, each, ranges};
use crate::models::ragged::Ragged;
use crate::simd::level::Level;
use crate::vectors::Panels;

/// Reach of the first values of categories' rows, which are even.
const REACH: f32 = 0.1;

/// Where a field lies in x₀.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Slot {
    pub start: usize,
    pub length: usize,
}

/// All sizes of a network.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Shape {
    pub dim: usize,
    pub cross_layers: usize,
    pub rank: usize,
    pub layers: Vec<usize>,
    /// Rows of the table.
    pub rows: usize,
    pub slots: Vec<Slot>,
}

impl Shape {
    pub fn new(options: &Options, fields: &[Field]) -> Self {
        let mut start = 0;
        let slot = |field: &Field| {
            let length = options.dim.min(field.rows());
            start += length;
            Slot { start: start - length, length }
        };
        let (slots, layers) = (fields.iter().map(slot).collect(), options.layers.clone());
        let rows = fields.iter().map(Field::rows).sum();
        let Options { dim, cross_layers, rank, .. } = *options;
        Self { dim, cross_layers, rank, layers, rows, slots }
    }

    /// Floats of x₀.
    pub fn inputs(&self) -> usize {
        self.slots.last().map_or(0, |slot| slot.start + slot.length)
    }

    /// Floats of a row of the table with padding: a slot, and from place `dim` on the weight in
    /// the linear part.
    pub fn width(&self) -> usize {
        padded(self.dim + 1)
    }

    /// The layers with their names, sizes, and whether they have biases: of each cross layer those
    /// that make its matrix, of the deep part, the head.
    pub fn layers(&self) -> Vec<(String, [usize; 2], bool)> {
        let n = self.inputs();
        let mut all = Vec::new();
        for place in 0..self.cross_layers {
            let name = format!("cross.{place}");
            match self.rank {
                0 => all.push((name, [n, n], true)),
                rank => {
                    all.push((format!("{name}.down"), [n, rank], false));
                    all.push((format!("{name}.up"), [rank, n], true));
                }
            }
        }
        let mut below = n;
        for (place, width) in self.layers.iter().enumerate() {
            all.push((format!("deep.{place}"), [below, *width], true));
            below = *width;
        }
        let deep = self.layers.last().copied().unwrap_or(0);
        all.push(("head".to_owned(), [n + deep, 1], true));
        all
    }

    /// Numbers that training moves.
    pub fn parameters(&self) -> usize {
        let layers = self.layers().into_iter();
        let sizes = layers.map(|(_, size, _)| padded(size[0]).saturating_mul(padded(size[1]) + 1));
        sizes.fold(self.rows.saturating_mul(self.width()), usize::saturating_add)
    }
}

/// All that training moves.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Net {
    pub shape: Shape,
    pub table: Parameters,
    /// In the order of `Shape::layers`.
    pub layers: Vec<Layer>,
}

impl Net {
    /// Even values by the sizes of layers (He's rule before ReLU, Glorot's else); numbers and NULLs
    /// start as they are, unknown categories and the linear part at zero.
    pub fn new(shape: Shape, fields: &[Field], random: &mut Random) -> Self {
        let width = shape.width();
        let mut table = vec![0.0; shape.rows * width];
        for (field, slot) in fields.iter().zip(&shape.slots) {
            let rows = table.chunks_exact_mut(width).skip(field.first as usize);
            for (place, row) in rows.take(field.rows()).enumerate() {
                match field.is_category() {
                    true if place == 0 => {}
                    true => row[..slot.length].fill_with(|| even(random) * REACH),
                    // With one float for both, NULL is told by the linear part alone.
                    false if place < slot.length => row[place] = 1.0,
                    false => {}
                }
            }
        }
        let layers = shape.layers().into_iter().map(|(name, size, biased)| {
            let outputs = if name.starts_with("deep") { 0 } else { size[1] };
            let reach = (6.0 / (size[0] + outputs) as f32).sqrt();
            Layer::zeros(size, biased).drawn(reach, random)
        });
        let layers = layers.collect();
        Self { table: Parameters::new(table), layers, shape }
    }

    pub fn packed(&self) -> Vec<Panels> {
        self.layers.iter().map(Layer::packed).collect()
    }

    /// Where the layers of each cross layer are, and those of the deep part.
    fn parts(&self) -> (Vec<std::ops::Range<usize>>, std::ops::Range<usize>) {
        let Shape { cross_layers, rank, .. } = self.shape;
        let each = if rank == 0 { 1 } else { 2 };
        let cross = (0..cross_layers).map(|place| place * each..(place + 1) * each);
        (cross.collect(), cross_layers * each..self.layers.len() - 1)
    }

    /// Lets go of what only training needs.
    pub fn forget(&mut self) {
        self.table.forget();
        self.layers.iter_mut().for_each(Layer::forget);
    }
}

/// Memory of some rows on their way through the network, kept from one step to the next.
#[derive(Debug, Default)]
pub(super) struct Pass {
    /// A token of each field of each row, cut as the threads had them.
    tokens: Vec<Ragged<Token>>,
    sums: Vec<f32>,
    linear: Vec<f32>,
    /// x₀ to x_L.
    x: Vec<Vec<f32>>,
    /// Of each cross layer what its layers gave.
    crossed: Vec<Vec<Vec<f32>>>,
    hidden: Vec<Vec<f32>>,
    top: Vec<f32>,
    out: Vec<Vec<f32>>,
    pub scores: Vec<f32>,
    gradients: Vec<f32>,
    room: Room,
    shards: Vec<Shard>,
}

impl Pass {
    /// Scores of `rows` rows; `token` gives that of a row and a field.
    pub fn forward(
        &mut self,
        work: (Level, usize),
        (net, packed): (&Net, &[Panels]),
        rows: usize,
        token: &(impl Fn(usize, usize) -> Token + Sync),
    ) {
        let (cross, deep) = net.parts();
        self.x.resize(cross.len() + 1, Vec::new());
        self.crossed.resize(cross.len(), Vec::new());
        self.gather(work, net, rows, token);
        let chain = |range: std::ops::Range<usize>, rectified| {
            (Chain { layers: &net.layers[range.clone()], rectified }, &packed[range])
        };
        for (place, range) in cross.into_iter().enumerate() {
            let (before, after) = self.x.split_at_mut(place + 1);
            let (first, last, outs) = (&before[0], &before[place], &mut self.crossed[place]);
            let (layers, packed) = chain(range, 0);
            layers.forward(work, packed, last, outs);
            let z = outs.last().map_or(&[][..], Vec::as_slice);
            after[0].clear();
            after[0].extend(first.iter().zip(last).zip(z).map(|((first, x), z)| first * z + x));
        }
        let (layers, panels) = chain(deep.clone(), deep.len());
        layers.forward(work, panels, &self.x[0], &mut self.hidden);
        self.join(net, rows);
        let (head, panels) = chain(deep.end..deep.end + 1, 0);
        head.forward(work, panels, &self.top, &mut self.out);
        let stride = net.layers[deep.end].outputs;
        self.scores.clear();
        let out = self.out[0].chunks_exact(stride).zip(&self.linear);
        self.scores.extend(out.map(|(out, linear)| out[0] + linear));
    }

    /// Fields as slots of x₀, and the sum of the linear part.
    fn gather(
        &mut self,
        (level, threads): (Level, usize),
        net: &Net,
        rows: usize,
        token: &(impl Fn(usize, usize) -> Token + Sync),
    ) {
        let (width, fields) = (net.shape.width(), net.shape.slots.len());
        let inputs = padded(net.shape.inputs());
        self.sums.resize(rows * fields * width, 0.0);
        self.linear.resize(rows, 0.0);
        let x = &mut self.x[0];
        x.clear();
        x.resize(rows * inputs, 0.0);
        let ranges = ranges(rows, threads.min(rows.div_ceil(64)));
        self.tokens.resize(ranges.len(), Ragged::default());
        let sums = cut(&mut self.sums, fields * width, &ranges).into_iter();
        let out = cut(x, inputs, &ranges).into_iter().zip(cut(&mut self.linear, 1, &ranges));
        let parts = self.tokens.iter_mut().zip(sums.zip(out)).zip(ranges).collect();
        let (table, shape) = (&net.table.values, &net.shape);
        each(parts, |_, ((tokens, (sums, (x, linear))), range)| {
            tokens.clear();
            for row in range {
                (0..fields).for_each(|field| tokens.push([token(row, field)]));
            }
            let Ragged { ends, values: tokens } = tokens;
            level.run(Combine { tokens, ends, table, width, out: sums });
            let rows = sums.chunks_exact(fields * width).zip(x.chunks_exact_mut(inputs));
            for ((sums, x), linear) in rows.zip(linear) {
                *linear = 0.0;
                for (slot, sum) in shape.slots.iter().zip(sums.chunks_exact(width)) {
                    x[slot.start..slot.start + slot.length].copy_from_slice(&sum[..slot.length]);
                    *linear += sum[shape.dim];
                }
            }
        });
    }

    /// x_L and the deep part side by side.
    fn join(&mut self, net: &Net, rows: usize) {
        let (inputs, stride) = (net.shape.inputs(), padded(net.shape.inputs()));
        let (_, deep) = net.parts();
        self.top.clear();
        self.top.resize(rows * net.layers[deep.end].inputs, 0.0);
        let tops = self.top.chunks_exact_mut(net.layers[deep.end].inputs);
        let last = self.x.last().map_or(&[][..], Vec::as_slice);
        for (row, (top, x)) in tops.zip(last.chunks_exact(stride)).enumerate() {
            top[..inputs].copy_from_slice(&x[..inputs]);
            if let (Some(layer), Some(hidden)) =
                (net.layers[deep.clone()].last(), self.hidden.last())
            {
                let hidden = &hidden[row * layer.outputs..][..layer.size[1]];
                top[inputs..inputs + layer.size[1]].copy_from_slice(hidden);
            }
        }
    }

    /// Gradients of the layers, the last one first, and in `gradients` those of the table's sums,
    /// from those of the scores that `forward` gave.
    pub fn backward(&mut self, work: (Level, usize), net: &Net, slopes: &[f32]) -> Vec<Gradient> {
        let ((cross, deep), inputs) = (net.parts(), net.shape.inputs());
        let (head, stride) = (&net.layers[deep.end], padded(inputs));
        let mut all = Vec::with_capacity(net.layers.len());
        let mut above = vec![0.0; slopes.len() * head.outputs];
        above.chunks_exact_mut(head.outputs).zip(slopes).for_each(|(row, slope)| row[0] = *slope);
        let chain = |range: std::ops::Range<usize>, rectified| Chain {
            layers: &net.layers[range],
            rectified,
        };
        let room = &mut self.room;
        let head_chain = chain(deep.end..deep.end + 1, 0);
        let tops = head_chain.backward(work, (&self.top, &self.out), above, room, &mut all);
        let mut by_x = vec![0.0; slopes.len() * stride];
        let mut by_first = vec![0.0; by_x.len()];
        if let Some(layer) = net.layers[deep.clone()].last() {
            let mut above = vec![0.0; slopes.len() * layer.outputs];
            let rows = above.chunks_exact_mut(layer.outputs).zip(tops.chunks_exact(head.inputs));
            for (row, top) in rows {
                row[..layer.size[1]].copy_from_slice(&top[inputs..inputs + layer.size[1]]);
            }
            let whole = chain(deep.clone(), deep.len());
            by_first = whole.backward(work, (&self.x[0], &self.hidden), above, room, &mut all);
        }
        for (row, top) in by_x.chunks_exact_mut(stride).zip(tops.chunks_exact(head.inputs)) {
            row[..inputs].copy_from_slice(&top[..inputs]);
        }
        let first = &self.x[0];
        for (place, range) in cross.into_iter().enumerate().rev() {
            let (outs, x) = (&self.crossed[place], &self.x[place]);
            let z = outs.last().map_or(&[][..], Vec::as_slice);
            by_first.iter_mut().zip(&by_x).zip(z).for_each(|((sum, g), z)| *sum += g * z);
            let above = by_x.iter().zip(first).map(|(g, first)| g * first).collect();
            let below = chain(range, 0).backward(work, (x, outs), above, room, &mut all);
            by_x.iter_mut().zip(&below).for_each(|(g, below)| *g += below);
        }
        by_first.iter_mut().zip(&by_x).for_each(|(sum, g)| *sum += g);
        self.scatter(net, slopes, &by_first);
        all
    }

    /// The gradient by x₀ and by the linear part as that of each field's row.
    fn scatter(&mut self, net: &Net, slopes: &[f32], by_first: &[f32]) {
        let (shape, width) = (&net.shape, net.shape.width());
        self.gradients.clear();
        self.gradients.resize(slopes.len() * shape.slots.len() * width, 0.0);
        let rows = self.gradients.chunks_exact_mut(shape.slots.len() * width);
        let given = by_first.chunks_exact(padded(shape.inputs())).zip(slopes);
        for (row, (x, slope)) in rows.zip(given) {
            for (out, slot) in row.chunks_exact_mut(width).zip(&shape.slots) {
                out[..slot.length].copy_from_slice(&x[slot.start..slot.start + slot.length]);
                out[shape.dim] = *slope;
            }
        }
    }

    /// Tokens of the rows and the gradients of their sums.
    #[cfg(test)]
    pub fn by_tokens(&self) -> impl Iterator<Item = (&Token, &[f32])> {
        let tokens = self.tokens.iter().flat_map(|part| &part.values);
        let width = self.gradients.len() / tokens.clone().count().max(1);
        tokens.zip(self.gradients.chunks_exact(width.max(1)))
    }

    /// Moves the net against the gradient.
    pub fn step(
        &mut self,
        (level, threads): (Level, usize),
        net: &mut Net,
        gradients: &[Gradient],
        adam: Adam,
    ) {
        let inputs: Vec<&Ragged<Token>> = self.tokens.iter().collect();
        if self.shards.is_empty() {
            self.shards = shards(&inputs, net.shape.rows, threads);
        }
        let given = (&inputs[..], &self.gradients[..]);
        update(level, adam, given, net.shape.width(), (&mut self.shards, &mut net.table));
        for (layer, gradient) in net.layers.iter_mut().rev().zip(gradients) {
            layer.step(level, adam, gradient);
        }
    }
}
