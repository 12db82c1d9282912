//! `Double`: a number as the unevaluated sum of two `f64`, about 106 bits.
//!
//! Sums kept this way round once, at the end: whatever the order in which rows and partitions
//! arrive, the answer rounds to the same `f64`. Algorithms: Dekker 1971; Knuth, TAOCP 2, 4.2.2,
//! theorem B.

use std::ops::{Add, Mul, Neg, Sub};

/// `hi + lo`, where `lo` is at most half a unit in the last place of `hi`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Double {
    /// The value rounded to `f64`.
    pub hi: f64,
    /// What that rounding lost.
    pub lo: f64,
}

impl Double {
    /// `a + b` without error.
    #[inline(always)]
    pub fn sum(a: f64, b: f64) -> Self {
        let hi = a + b;
        let part = hi - a;
        Self { hi, lo: (a - (hi - part)) + (b - part) }
    }

    /// `a - b` without error.
    #[inline(always)]
    pub fn difference(a: f64, b: f64) -> Self {
        Self::sum(a, -b)
    }

    /// `a * b` without error, for |a|, |b| below 2^996 and products above 2^-968.
    #[inline(always)]
    pub fn product(a: f64, b: f64) -> Self {
        let hi = a * b;
        let (a_high, a_low) = split(a);
        let (b_high, b_low) = split(b);
        let lo = ((a_high * b_high - hi) + a_high * b_low + a_low * b_high) + a_low * b_low;
        Self { hi, lo }
    }

    /// Division by a number that is not zero.
    pub fn over(self, divisor: f64) -> Self {
        let quotient = self.hi / divisor;
        let rest = self - Self::product(quotient, divisor);
        Self::sum(quotient, rest.hi / divisor)
    }

    /// Division by a number that is not zero.
    pub fn divided(self, divisor: Self) -> Self {
        let quotient = self.hi / divisor.hi;
        let rest = self - divisor * quotient;
        Self::sum(quotient, rest.hi / divisor.hi)
    }

    /// Multiplication by a power of two: exact unless it leaves the range.
    pub fn scaled(self, exponent: i32) -> Self {
        Self { hi: libm::ldexp(self.hi, exponent), lo: libm::ldexp(self.lo, exponent) }
    }

    /// The nearest `f64`.
    pub fn value(self) -> f64 {
        self.hi + self.lo
    }
}

/// The upper 26 bits and the rest (Veltkamp).
#[inline(always)]
fn split(a: f64) -> (f64, f64) {
    let wide = a * 134_217_729.0; // 2^27 + 1
    let high = wide - (wide - a);
    (high, a - high)
}

impl From<f64> for Double {
    fn from(value: f64) -> Self {
        Self { hi: value, lo: 0.0 }
    }
}

impl Add for Double {
    type Output = Self;

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        let high = Self::sum(self.hi, other.hi);
        let low = Self::sum(self.lo, other.lo);
        let first = Self::sum(high.hi, high.lo + low.hi);
        Self::sum(first.hi, first.lo + low.lo)
    }
}

impl Neg for Double {
    type Output = Self;

    fn neg(self) -> Self {
        Self { hi: -self.hi, lo: -self.lo }
    }
}

impl Sub for Double {
    type Output = Self;

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self + -other
    }
}

impl Mul for Double {
    type Output = Self;

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        let product = Self::product(self.hi, other.hi);
        Self::sum(product.hi, product.lo + (self.hi * other.lo + self.lo * other.hi))
    }
}

impl Mul<f64> for Double {
    type Output = Self;

    #[inline(always)]
    fn mul(self, other: f64) -> Self {
        let product = Self::product(self.hi, other);
        Self::sum(product.hi, product.lo + self.lo * other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_rounding_loses() {
        let sum = Double::sum(1e16, 1.0);
        assert_eq!((sum.hi, sum.lo), (1e16, 1.0));
        let back = sum - Double::from(1e16);
        assert_eq!(back.value(), 1.0);
    }

    /// (2^27 + 1)^2 = 2^54 + 2^28 + 1 needs 55 bits.
    #[test]
    fn multiplies_exactly() {
        let product = Double::product(134_217_729.0, 134_217_729.0);
        assert_eq!(product.hi as i128 + product.lo as i128, (1 << 54) + (1 << 28) + 1);
    }

    /// 1/3 to 106 bits: three times it is one to 2^-105.
    #[test]
    fn divides_to_both_words() {
        let third = Double::from(1.0).over(3.0);
        assert!(third.lo != 0.0);
        assert!(((third * 3.0) - Double::from(1.0)).value().abs() < 1e-31);
    }
}
