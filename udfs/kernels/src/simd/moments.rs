//! Sums of deviations and of their products, to 106 bits, in lanes that the compiler turns into
//! vectors.

#![allow(unsafe_code)]

use crate::statistics::double::Double;

const LANES: usize = 8;

/// Σ (x - c) and Σ (x - c)².
pub fn squares(xs: &[f64], pivot: f64) -> (Double, Double) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        // SAFETY: the processor has both features.
        return unsafe { squares_avx2(xs, pivot) };
    }
    squares_in_lanes::<false>(xs, pivot)
}

/// Σ (x - c)(y - d).
pub fn products(xs: &[f64], x_pivot: f64, ys: &[f64], y_pivot: f64) -> Double {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        // SAFETY: the processor has both features.
        return unsafe { products_avx2(xs, x_pivot, ys, y_pivot) };
    }
    products_in_lanes::<false>(xs, x_pivot, ys, y_pivot)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn squares_avx2(xs: &[f64], pivot: f64) -> (Double, Double) {
    squares_in_lanes::<true>(xs, pivot)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn products_avx2(xs: &[f64], x_pivot: f64, ys: &[f64], y_pivot: f64) -> Double {
    products_in_lanes::<true>(xs, x_pivot, ys, y_pivot)
}

#[inline(always)]
fn squares_in_lanes<const FMA: bool>(xs: &[f64], pivot: f64) -> (Double, Double) {
    let (mut sums, mut squares) = (Lanes::default(), Lanes::default());
    let (blocks, rest) = xs.as_chunks::<LANES>();
    for block in blocks {
        for (lane, x) in block.iter().enumerate() {
            let deviation = Double::difference(*x, pivot);
            sums.add(lane, deviation);
            squares.add(lane, times::<FMA>(deviation, deviation));
        }
    }
    for (lane, x) in rest.iter().enumerate() {
        let deviation = Double::difference(*x, pivot);
        sums.add(lane, deviation);
        squares.add(lane, times::<FMA>(deviation, deviation));
    }
    (sums.total(), squares.total())
}

#[inline(always)]
fn products_in_lanes<const FMA: bool>(
    xs: &[f64],
    x_pivot: f64,
    ys: &[f64],
    y_pivot: f64,
) -> Double {
    let mut sums = Lanes::default();
    let (x_blocks, x_rest) = xs.as_chunks::<LANES>();
    let (y_blocks, y_rest) = ys.as_chunks::<LANES>();
    for (x, y) in x_blocks.iter().zip(y_blocks) {
        for lane in 0..LANES {
            let x = Double::difference(x[lane], x_pivot);
            let y = Double::difference(y[lane], y_pivot);
            sums.add(lane, times::<FMA>(x, y));
        }
    }
    for (lane, (x, y)) in x_rest.iter().zip(y_rest).enumerate() {
        let (x, y) = (Double::difference(*x, x_pivot), Double::difference(*y, y_pivot));
        sums.add(lane, times::<FMA>(x, y));
    }
    sums.total()
}

/// Sums side by side, high parts apart from low ones as vectors want them. A low part is left to
/// grow: the cheapest form inside a batch.
#[derive(Default)]
struct Lanes {
    hi: [f64; LANES],
    lo: [f64; LANES],
}

impl Lanes {
    #[inline(always)]
    fn add(&mut self, lane: usize, term: Double) {
        let sum = Double::sum(self.hi[lane], term.hi);
        self.hi[lane] = sum.hi;
        self.lo[lane] += sum.lo + term.lo;
    }

    fn total(&self) -> Double {
        let lanes = self.hi.iter().zip(&self.lo).map(|(hi, lo)| Double::sum(*hi, *lo));
        lanes.fold(Double::default(), |a, b| a + b)
    }
}

/// A product whose low part is left unnormalised. Without FMA the fused form would be a slow call.
#[inline(always)]
fn times<const FMA: bool>(x: Double, y: Double) -> Double {
    let product = if FMA {
        let hi = x.hi * y.hi;
        Double { hi, lo: x.hi.mul_add(y.hi, -hi) }
    } else {
        Double::product(x.hi, y.hi)
    };
    Double { hi: product.hi, lo: product.lo + (x.hi * y.lo + x.lo * y.hi) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both compilations give the same numbers: each operation rounds once, in the same order.
    #[test]
    fn both_compilations_agree() {
        let xs: Vec<f64> = (0..1003).map(|i| f64::from(i * 7919 % 1009) / 7.0).collect();
        let ys: Vec<f64> = (0..1003).map(|i| f64::from(i * 31 % 257) / 3.0).collect();
        assert_eq!(squares(&xs, 5.1), squares_in_lanes::<false>(&xs, 5.1));
        assert_eq!(products(&xs, 5.1, &ys, 0.3), products_in_lanes::<false>(&xs, 5.1, &ys, 0.3));
    }
}
