//! Gradients as whole numbers, whose sums are exact in any order.
//!
//! ```text
//!   cell = [ Σ gradient in units of Σ|g| / 2^61 ][ Σ hessian in units of Σh / 2^(62-c) | rows ]
//!                                                                              62 - c | c bits
//! ```
//!
//! c bits hold the number of all rows. No sum of rows can overflow; the mean row keeps
//! 61 - log2 n bits of gradient (41 for a million rows) and 62 - 2c of hessian (22). The units
//! follow from sums, not from extremes, so outliers cost the others nothing.

use rayon::prelude::*;

/// Sums of gradient, and of hessian and rows, of some rows.
pub(super) type Cell = [i64; 2];

/// Rows whose sums are taken one after the other.
const CHUNK: usize = 8192;

/// The gradients of one tree.
#[derive(Debug, Clone, Default)]
pub(super) struct Quantised {
    pub(super) cells: Vec<Cell>,
    pub(super) units: Units,
}

/// What cells count in.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Units {
    gradient: f64,
    hessian: f64,
    bits: u32,
}

/// A cell as numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sums {
    pub(super) gradient: f64,
    pub(super) hessian: f64,
    pub(super) rows: usize,
}

impl Units {
    #[inline]
    pub(super) fn sums(self, cell: Cell) -> Sums {
        Sums {
            gradient: cell[0] as f64 * self.gradient,
            hessian: (cell[1] >> self.bits) as f64 * self.hessian,
            rows: (cell[1] & ((1 << self.bits) - 1)) as usize,
        }
    }
}

impl Quantised {
    /// Takes the gradients and hessians of all rows; those of rows out of the bag do not matter.
    pub(super) fn fill(&mut self, gradients: &[[f64; 2]]) {
        let sums = |chunk: &[[f64; 2]]| {
            chunk.iter().fold([0.0; 2], |sum, [g, h]| [sum[0] + g.abs(), sum[1] + h])
        };
        let parts: Vec<[f64; 2]> = gradients.par_chunks(CHUNK).map(sums).collect();
        let total = sums(&parts);
        let bits = usize::BITS - gradients.len().leading_zeros();
        let unit = |sum: f64, bits: u32| {
            let unit = libm::ldexp(sum, -(bits as i32));
            if unit > 0.0 { unit } else { 1.0 }
        };
        self.units = Units {
            gradient: unit(total[0], 61),
            hessian: unit(total[1], 62 - bits.min(31)),
            bits: bits.min(31),
        };
        let (gradient, hessian) = (1.0 / self.units.gradient, 1.0 / self.units.hessian);
        self.cells.resize(gradients.len(), [0; 2]);
        let chunks = self.cells.par_chunks_mut(CHUNK).zip(gradients.par_chunks(CHUNK));
        chunks.for_each(|(cells, gradients)| {
            for (cell, [g, h]) in cells.iter_mut().zip(gradients) {
                // Casts saturate, and make zero of NaN.
                let hessian = (h * hessian + 0.5) as i64;
                *cell = [(g * gradient).round_ties_even() as i64, hessian << bits.min(31) | 1];
            }
        });
    }
}

/// Adds without minding overflow: values that are not finite were cut, and must not panic.
#[inline(always)]
pub(super) fn add(to: &mut Cell, cell: Cell) {
    *to = [to[0].wrapping_add(cell[0]), to[1].wrapping_add(cell[1])];
}

#[inline(always)]
pub(super) fn subtract(from: Cell, cell: Cell) -> Cell {
    [from[0].wrapping_sub(cell[0]), from[1].wrapping_sub(cell[1])]
}
