//! Hidden layers of a tower, beside its linear part: y = x + Wₖ ReLU(… ReLU(W₁ x + b₁) …) + bₖ.
//!
//! The last layer starts at zero, so that a tower starts as the linear one.

use crate::ann::Random;
use crate::models::nets::layers::{Chain, Gradient, Layer, Room};
use crate::models::nets::rows::Adam;
use crate::models::tensors::{File, Writer};
use crate::simd::level::Level;
use crate::vectors::Panels;

/// The layers of one tower; none for a linear one.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Layers(pub Vec<Layer>);

impl Layers {
    /// Layers of these widths between vectors of `dim`, by He's uniform rule, the last zeros.
    pub fn new(dim: usize, widths: &[usize], random: &mut Random) -> Self {
        let layers = sizes(dim, widths).into_iter().enumerate().map(|(place, size)| {
            let layer = Layer::zeros(size, true);
            match place < widths.len() {
                true => layer.drawn((6.0 / size[0] as f32).sqrt(), random),
                false => layer,
            }
        });
        Self(layers.collect())
    }

    fn chain(&self) -> Chain<'_> {
        Chain { layers: &self.0, rectified: self.0.len().saturating_sub(1) }
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
        let panels: Vec<Panels> = self.0.iter().map(Layer::packed).collect();
        self.chain().forward((level, threads), &panels, x, hidden);
        if let Some(last) = hidden.last() {
            y.iter_mut().zip(last).for_each(|(y, x)| *y += x);
        }
    }

    /// Turns the gradient of `y` into that of `x`, and answers those of each layer, the last one
    /// first.
    pub fn backward(
        &self,
        level: Level,
        threads: usize,
        x: &[f32],
        hidden: &[Vec<f32>],
        gradient: &mut [f32],
    ) -> Vec<Gradient> {
        let (mut room, mut all) = (Room::default(), Vec::with_capacity(self.0.len()));
        if !self.0.is_empty() {
            let (work, above) = ((level, threads), gradient.to_vec());
            let below = self.chain().backward(work, (x, hidden), above, &mut room, &mut all);
            gradient.iter_mut().zip(&below).for_each(|(g, below)| *g += below);
        }
        all
    }

    /// Lets go of what only training needs.
    pub fn forget(&mut self) {
        self.0.iter_mut().for_each(Layer::forget);
    }

    /// Moves the layers against what `backward` answered.
    pub fn step(&mut self, level: Level, adam: Adam, gradients: &[Gradient]) {
        for (layer, gradient) in self.0.iter_mut().rev().zip(gradients) {
            layer.step(level, adam, gradient);
        }
    }

    pub fn write(&self, tower: &str, writer: &mut Writer) {
        for (place, layer) in self.0.iter().enumerate() {
            layer.write(&format!("{tower}_layers.{place}"), writer);
        }
    }

    pub fn read(tower: &str, dim: usize, widths: &[usize], file: &File<'_>) -> Option<Self> {
        let layers = sizes(dim, widths).into_iter().enumerate();
        let layers = layers
            .map(|(place, size)| Layer::read(&format!("{tower}_layers.{place}"), size, true, file));
        layers.collect::<Option<_>>().map(Self)
    }

    /// Widths of the hidden layers.
    pub fn widths(&self) -> Vec<usize> {
        let hidden = self.0.iter().map(|layer| layer.size[1]);
        hidden.take(self.0.len().saturating_sub(1)).collect()
    }
}

/// Inputs and outputs of each layer.
fn sizes(dim: usize, widths: &[usize]) -> Vec<[usize; 2]> {
    if widths.is_empty() {
        return Vec::new();
    }
    let sizes: Vec<usize> = [dim].iter().chain(widths).chain([&dim]).copied().collect();
    sizes.windows(2).map(|pair| [pair[0], pair[1]]).collect()
}
