//! The layout: epochs of pulling along edges and pushing off random rows.
//!
//! ```text
//!   edge of weight w    moves its point in a share w / max w of the epochs
//!   pull    -2ab·d^(2b-2) / (1 + a·d^2b) · (y - z)
//!   push     2b / ((0.001 + d²)(1 + a·d^2b)) · (y - z)
//! ```
//!
//! A point goes through its edges one after the other, each with the pushes that belong to it,
//! while all other points stay where they were before the epoch: so points are independent of each
//! other within an epoch, and of threads. Steps shrink evenly to nothing.

use std::sync::atomic::{AtomicBool, Ordering};

use super::graph::Graph;
use super::{Curve, Error, Options, Phase, Work};
use crate::ann::Random;
use crate::models::parallel::{cut, each, ranges};

/// A move along an axis is cut here, in steps.
const FARTHEST: f32 = 4.0;
/// Pushes for two pulls: an edge pulls at both its points.
const PUSHES: u64 = 5;
/// Points of a piece of work.
const PIECE: usize = 1024;

/// What all epochs have.
struct Forces<'a> {
    graph: &'a Graph,
    a: f32,
    b: f32,
    /// Of the greatest weight.
    share: f32,
    seed: u64,
}

/// Moves points from their start to their places.
///
/// # Errors
/// `Cancelled`.
pub(super) fn settle(
    start: Vec<[f32; 2]>,
    graph: &Graph,
    curve: Curve,
    options: &Options,
    work: &Work<'_>,
) -> Result<Vec<[f32; 2]>, Error> {
    let greatest = graph.weights.iter().fold(0.0f32, |most, weight| most.max(*weight));
    let share = if greatest > 0.0 { 1.0 / greatest } else { 0.0 };
    let (a, b) = (curve.a as f32, curve.b as f32);
    let forces = Forces { graph, a, b, share, seed: options.seed };
    let epochs = options.epochs_for(start.len());
    let pieces = ranges(start.len(), start.len().div_ceil(PIECE));
    let mut before = start;
    let mut after = before.clone();
    let stopped = AtomicBool::new(false);
    for epoch in 0..epochs {
        let step = 1.0 - epoch as f32 / epochs as f32;
        each(cut(&mut after, 1, &pieces), |piece, places| {
            if !(work.go_on)(Phase::Layout, epoch, epochs) {
                stopped.store(true, Ordering::Relaxed);
            }
            if stopped.load(Ordering::Relaxed) {
                return;
            }
            for (row, place) in pieces[piece].clone().zip(places) {
                *place = forces.moved(&before, row, epoch, step);
            }
        });
        if stopped.load(Ordering::Relaxed) {
            return Err(Error::Cancelled);
        }
        std::mem::swap(&mut before, &mut after);
    }
    centre(&mut before);
    Ok(before)
}

impl Forces<'_> {
    /// Where a point goes in an epoch.
    fn moved(&self, places: &[[f32; 2]], row: usize, epoch: usize, step: f32) -> [f32; 2] {
        let mut place = places[row];
        let mut random = self.random(row, epoch);
        let mut pushes = 0;
        for (edge, (end, weight)) in (self.graph.starts[row]..).zip(self.graph.edges(row)) {
            if !is_due(edge, weight * self.share, epoch) {
                continue;
            }
            self.pull(&mut place, places[end as usize], step);
            pushes += PUSHES;
            while pushes >= 2 {
                pushes -= 2;
                let other = random.below(places.len());
                self.push(&mut place, places[other], step);
            }
        }
        place
    }

    fn random(&self, row: usize, epoch: usize) -> Random {
        let row = (row as u64).wrapping_mul(0xd134_2543_de82_ef95);
        let epoch = (epoch as u64 + 1).wrapping_mul(0xaf25_1af3_b0f0_25b5);
        Random::new(self.seed.wrapping_add(row) ^ epoch)
    }

    #[inline(always)]
    fn pull(&self, place: &mut [f32; 2], other: [f32; 2], step: f32) {
        let (x, y) = (place[0] - other[0], place[1] - other[1]);
        let square = x * x + y * y;
        if square > 0.0 {
            let power = square.powf(self.b);
            let force = -2.0 * self.a * self.b * power / (square * (1.0 + self.a * power));
            place[0] += (force * x).clamp(-FARTHEST, FARTHEST) * step;
            place[1] += (force * y).clamp(-FARTHEST, FARTHEST) * step;
        }
    }

    #[inline(always)]
    fn push(&self, place: &mut [f32; 2], other: [f32; 2], step: f32) {
        let (x, y) = (place[0] - other[0], place[1] - other[1]);
        let square = x * x + y * y;
        let power = square.powf(self.b);
        let force = 2.0 * self.b / ((0.001 + square) * (1.0 + self.a * power));
        place[0] += (force * x).clamp(-FARTHEST, FARTHEST) * step;
        place[1] += (force * y).clamp(-FARTHEST, FARTHEST) * step;
    }
}

/// Whether an edge moves its point: in a share of the epochs, as evenly as can be, and not all
/// edges of a share in the same ones.
#[inline(always)]
fn is_due(edge: usize, share: f32, epoch: usize) -> bool {
    const GOLDEN: f32 = 1.0 / (1u64 << 32) as f32;
    let phase = (edge as u32).wrapping_mul(0x9e37_79b9) as f32 * GOLDEN;
    let before = epoch as f32 * share + phase;
    (before + share).floor() > before.floor()
}

/// Puts the mean at the origin.
fn centre(places: &mut [[f32; 2]]) {
    let count = places.len().max(1) as f64;
    for axis in 0..2 {
        let mean = places.iter().map(|place| f64::from(place[axis])).sum::<f64>() / count;
        places.iter_mut().for_each(|place| place[axis] = (f64::from(place[axis]) - mean) as f32);
    }
}
