//! Rows as half floats: what is resident on the device, and how far it is from the rows.
//!
//! Each row is multiplied by a power of two that brings its length to 2¹⁴, so that half floats hold
//! it to a few parts in ten thousand however long or short it is. Nothing is assumed of what that
//! loses: the error is the length of the difference, as it came out.

use crate::simd::level::Level;
use crate::vectors::{Rows, dot, narrow_all, widen};

use super::job::Size;

/// Half floats of a unit: 16 bytes.
pub const UNIT: usize = 8;
/// The length of scaled rows: 2 to this power, at most twice that.
const SCALED: u32 = 14;
/// What is added to each error: more than sums of tiny squares can lose by being zero.
const UNDERFLOW: f32 = f32::from_bits((127 - 50) << 23);

/// What the half floats of a row of this length are multiplied by to be its elements;
/// `unscaled` in `device.cu`.
pub fn unscaled(length: f32) -> f32 {
    let exponent = length.to_bits() & 0x7f80_0000;
    let normal = exponent > SCALED << 23 && exponent < 0x7f80_0000;
    if normal { f32::from_bits(exponent - (SCALED << 23)) } else { 1.0 }
}

/// Units of a row of a dimension.
pub fn units(dimension: usize) -> usize {
    dimension.div_ceil(UNIT)
}

/// A stretch of rows as the device keeps it.
pub struct Packed {
    /// `units` times eight half floats a row; zeros follow its elements.
    pub halves: Vec<u16>,
    pub sizes: Vec<Size>,
}

/// Rows whose length is no number are packed as zeros, with what they are as their length.
pub fn pack(level: Level, rows: Rows<'_>) -> Packed {
    let dimension = rows.dimension();
    let width = units(dimension) * UNIT;
    let mut halves = vec![0u16; rows.len() * width];
    let mut plain = Vec::new();
    rows.copy_to(&mut plain);
    let (mut scaled, mut sizes) = (vec![0.0; dimension], Vec::with_capacity(rows.len()));
    for (row, halves) in plain.chunks_exact(dimension).zip(halves.chunks_exact_mut(width)) {
        let length = dot(level, row, row).sqrt();
        if !length.is_finite() {
            sizes.push(Size { length, error: 0.0 });
            continue;
        }
        let error = pack_one(level, row, length, &mut scaled, halves);
        if error.is_finite() {
            sizes.push(Size { length, error });
        } else {
            halves.fill(0);
            sizes.push(Size { length: f32::INFINITY, error: 0.0 });
        }
    }
    Packed { halves, sizes }
}

/// Packs one vector of a length and tells how far from it that is, or a little more. `scratch` has
/// as many elements as it, `halves` no fewer.
pub fn pack_one(
    level: Level,
    row: &[f32],
    length: f32,
    scratch: &mut [f32],
    halves: &mut [u16],
) -> f32 {
    let unscaled = unscaled(length);
    let scale = 1.0 / unscaled;
    scratch.iter_mut().zip(row).for_each(|(to, x)| *to = x * scale);
    narrow_all(scratch, halves);
    for ((lost, x), half) in scratch.iter_mut().zip(row).zip(&*halves) {
        // No rounding: the half float is the first digits of what it is taken from.
        *lost = x - widen(*half) * unscaled;
    }
    // The sum of squares is off by a part in 2²⁴ for each element, and its root by half of that.
    let relative = (row.len() + 8) as f32 * f32::EPSILON;
    dot(level, scratch, scratch).sqrt() * (1.0 + relative) + UNDERFLOW
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::Elements;

    /// Errors against differences in double precision, at lengths that half floats could not hold.
    #[test]
    fn errors_are_no_less_than_the_difference() {
        for size in [1e-30f32, 1e-20, 1e-9, 1.0, 3e4, 1e9, 1e18] {
            let number = |i: u32| (i.wrapping_mul(2_654_435_761) >> 8) as f32 / 1e7 - 0.8;
            let all: Vec<f32> = (0..40 * 13).map(|i| number(i) * size).collect();
            let packed = pack(Level::best(), Rows::single(&all, 13).unwrap());
            assert_eq!(packed.halves.len(), 40 * 16);
            let rows = all.chunks_exact(13).zip(packed.halves.chunks_exact(16));
            for ((row, halves), sized) in rows.zip(&packed.sizes) {
                let scale = f64::from(unscaled(sized.length));
                let off = row
                    .iter()
                    .zip(halves)
                    .map(|(x, half)| f64::from(*x) - f64::from(widen(*half)) * scale);
                let off = off.map(|x| x * x).sum::<f64>().sqrt();
                assert!(off <= f64::from(sized.error), "{size}: {off} over {}", sized.error);
                let most = f64::from(sized.length) * 0.0005 + 1e-14;
                assert!(f64::from(sized.error) <= most, "{size}: {} over {most}", sized.error);
                assert_eq!(halves[13..], [0; 3]);
            }
        }
    }

    #[test]
    fn what_is_no_number_becomes_zeros() {
        let all = [1.0, f32::NAN, f32::INFINITY, 1.0, 3e38, 3e38, 0.0, 0.0];
        let packed = pack(Level::best(), Rows::single(&all, 2).unwrap());
        assert!(packed.sizes[..3].iter().all(|size| !size.length.is_finite()));
        assert_eq!(packed.sizes[3].length, 0.0);
        assert!(packed.halves.iter().all(|half| *half == 0));
    }

    #[test]
    fn half_rows_lose_nothing() {
        let all = [0x3c00u16, 0x0001, 0x7bff, 0x8001];
        let rows = Rows::new(Elements::Half(&all), 2).unwrap();
        for size in pack(Level::best(), rows).sizes {
            assert!(size.error <= 1e-7 * size.length + 1e-14);
        }
    }
}
