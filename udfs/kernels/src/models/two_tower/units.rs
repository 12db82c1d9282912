//! Rows of unit length, and gradients through them.

use crate::models::nets::rows::dot;
use crate::simd::lanes::Lanes;
use crate::simd::level::{Kernel, Level};

/// Makes rows unit length and says how long they were; a row of zeros stays.
pub(super) fn normalise(level: Level, width: usize, rows: &mut [f32], lengths: &mut Vec<f32>) {
    level.run(Normalise { width, rows, lengths });
}

struct Normalise<'a> {
    width: usize,
    rows: &'a mut [f32],
    lengths: &'a mut Vec<f32>,
}

impl Kernel for Normalise<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self) {
        self.lengths.clear();
        for row in self.rows.chunks_exact_mut(self.width) {
            // Scaled first, so that no square leaves the range of a float.
            let greatest = row.iter().fold(0.0f32, |most, x| most.max(x.abs()));
            if greatest == 0.0 {
                self.lengths.push(0.0);
                continue;
            }
            row.iter_mut().for_each(|x| *x /= greatest);
            let length = dot::<L>(row, row).sqrt();
            row.iter_mut().for_each(|x| *x /= length);
            self.lengths.push(length * greatest);
        }
    }
}

/// Turns gradients of unit rows v into those of the rows x that they were made of:
/// (g - v ⟨v, g⟩) / |x|.
pub(super) fn denormalise(
    level: Level,
    width: usize,
    units: &[f32],
    lengths: &[f32],
    rows: &mut [f32],
) {
    level.run(Denormalise { width, units, lengths, rows });
}

struct Denormalise<'a> {
    width: usize,
    units: &'a [f32],
    lengths: &'a [f32],
    rows: &'a mut [f32],
}

impl Kernel for Denormalise<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self) {
        let units = self.units.chunks_exact(self.width).zip(self.lengths);
        for (row, (unit, length)) in self.rows.chunks_exact_mut(self.width).zip(units) {
            let along = dot::<L>(unit, row);
            let share = if *length > 0.0 { 1.0 / length } else { 0.0 };
            row.iter_mut().zip(unit).for_each(|(g, v)| *g = (*g - v * along) * share);
        }
    }
}
