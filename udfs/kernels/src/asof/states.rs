//! What a window gathers: counts, exact sums, extremes, the last rows, distinct values.
//!
//! A sum of floats is kept as Shewchuk's expansion: a few floats whose bits do not overlap and
//! whose sum is the exact one. It is rounded once, at the end, so that the answer does not depend
//! on the order of rows or on how they were parted (Shewchuk 1997, "Adaptive Precision Floating-Point
//! Arithmetic"; the rounding is that of Python's `math.fsum`). Infinities and NaN give what IEEE
//! addition gives.

use std::collections::HashSet;
use std::hash::Hash;

use smallvec::SmallVec;

use super::windows::State;

impl State for u64 {
    fn merge(&mut self, other: &Self) {
        *self += other;
    }
}

impl<T: Clone + Eq + Hash> State for HashSet<T> {
    fn merge(&mut self, other: &Self) {
        self.extend(other.iter().cloned());
    }
}

/// An exact sum of floats.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sum {
    /// From small to large, or one that is not finite. Few sums need more than two.
    parts: SmallVec<[f64; 2]>,
}

impl Sum {
    /// Adds a value.
    pub fn push(&mut self, value: f64) {
        if !value.is_finite() || self.is_beyond() {
            return self.push_beyond(value);
        }
        let mut rest = value;
        let mut kept = 0;
        for index in 0..self.parts.len() {
            let (sum, error) = two_sum(rest, self.parts[index]);
            if error != 0.0 {
                self.parts[kept] = error;
                kept += 1;
            }
            rest = sum;
        }
        self.parts.truncate(kept);
        match rest.is_finite() {
            true if rest == 0.0 => {}
            true => self.parts.push(rest),
            false => self.parts = SmallVec::from_slice(&[rest]),
        }
    }

    /// Whether something was, or became, not finite.
    fn is_beyond(&self) -> bool {
        self.parts.last().is_some_and(|part| !part.is_finite())
    }

    /// What is finite is of no account then.
    fn push_beyond(&mut self, value: f64) {
        let beyond = if self.is_beyond() { self.parts[0] + value } else { value };
        self.parts = SmallVec::from_slice(&[beyond]);
    }

    /// Adds `factor` times a value, exactly.
    fn push_product(&mut self, value: f64, factor: f64) {
        let product = value * factor;
        self.push(product);
        if product.is_finite() {
            self.push(value.mul_add(factor, -product));
        }
    }

    /// The sum, rounded once; 0 of nothing.
    pub fn value(&self) -> f64 {
        let mut parts = self.parts.iter().rev();
        let mut sum = parts.next().copied().unwrap_or_default();
        let mut rest = 0.0;
        for part in parts.by_ref() {
            (sum, rest) = two_sum(sum, *part);
            if rest != 0.0 {
                break;
            }
        }
        // Half way between two floats, what is left decides.
        if let Some(next) = parts.next()
            && rest != 0.0
            && (rest < 0.0) == (*next < 0.0)
        {
            let doubled = rest * 2.0;
            let rounded = sum + doubled;
            if rounded - sum == doubled {
                return rounded;
            }
        }
        sum
    }
}

impl State for Sum {
    fn merge(&mut self, other: &Self) {
        other.parts.iter().for_each(|part| self.push(*part));
    }
}

/// `a + b` and what rounding it lost.
fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let of_b = sum - a;
    (sum, (a - (sum - of_b)) + (b - of_b))
}

/// Count and exact sum: for sum and mean.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Total {
    count: u64,
    sum: Sum,
}

impl Total {
    /// Adds a value.
    pub fn push(&mut self, value: f64) {
        self.count += 1;
        self.sum.push(value);
    }

    /// None of nothing.
    pub fn sum(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum.value())
    }

    /// None of nothing.
    pub fn mean(&self) -> Option<f64> {
        Some(self.sum()? / self.count as f64)
    }
}

impl State for Total {
    fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.sum.merge(&other.sum);
    }
}

/// Count, sum and sum of squares, both exact: for the standard deviation.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Spread {
    total: Total,
    squares: Sum,
}

impl Spread {
    /// Adds a value.
    pub fn push(&mut self, value: f64) {
        self.total.push(value);
        self.squares.push_product(value, value);
    }

    /// Of a sample: `(nΣx² - (Σx)²) / n(n - 1)`, whose numerator is exact until it is rounded; None
    /// of fewer than two.
    pub fn variance(&self) -> Option<f64> {
        let Total { count, sum } = &self.total;
        if *count < 2 {
            return None;
        }
        if sum.is_beyond() || self.squares.is_beyond() {
            return Some(f64::NAN);
        }
        let count = *count as f64;
        let mut numerator = Sum::default();
        self.squares.parts.iter().for_each(|part| numerator.push_product(*part, count));
        for part in &sum.parts {
            sum.parts.iter().for_each(|other| numerator.push_product(*part, -other));
        }
        Some(numerator.value() / (count * (count - 1.0)))
    }

    /// The square root of `variance`.
    pub fn deviation(&self) -> Option<f64> {
        self.variance().map(f64::sqrt)
    }
}

impl State for Spread {
    fn merge(&mut self, other: &Self) {
        self.total.merge(&other.total);
        self.squares.merge(&other.squares);
    }
}

/// An exact sum of integers, and how many there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Whole {
    pub count: u64,
    pub sum: i128,
}

impl Whole {
    /// Adds a value.
    pub fn push(&mut self, value: i128) {
        self.count += 1;
        self.sum = self.sum.saturating_add(value);
    }
}

impl State for Whole {
    fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.sum = self.sum.saturating_add(other.sum);
    }
}

/// The least and the greatest value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extremes<V> {
    bounds: Option<(V, V)>,
}

impl<V> Default for Extremes<V> {
    fn default() -> Self {
        Self { bounds: None }
    }
}

impl<V: Clone + Ord> Extremes<V> {
    /// Adds a value.
    pub fn push(&mut self, value: V) {
        match &mut self.bounds {
            Some((least, _)) if value < *least => *least = value,
            Some((_, greatest)) if value > *greatest => *greatest = value,
            Some(_) => {}
            none => *none = Some((value.clone(), value)),
        }
    }

    /// Least and greatest; None of nothing.
    pub fn values(&self) -> Option<&(V, V)> {
        self.bounds.as_ref()
    }
}

impl<V: Clone + Ord> State for Extremes<V> {
    fn merge(&mut self, other: &Self) {
        if let Some((least, greatest)) = &other.bounds {
            self.push(least.clone());
            self.push(greatest.clone());
        }
    }
}

/// What rows go by: their time, when they became known with NULL first, their number.
pub type Instant = (i64, Option<i64>, i64);

/// The last rows, newest first, or the first ones, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ends<V> {
    /// Nothing is kept beyond this many.
    limit: usize,
    first: bool,
    rows: Vec<(Instant, V)>,
}

impl<V> Default for Ends<V> {
    fn default() -> Self {
        Self { limit: 0, first: false, rows: Vec::new() }
    }
}

impl<V: Clone + Ord> Ends<V> {
    /// Adds a row, and gives back the one that is none of the ends, if there is one; `limit` and
    /// `first` are the same for all rows of all windows.
    pub fn push(&mut self, (limit, first): (usize, bool), at: Instant, value: V) -> Option<V> {
        (self.limit, self.first) = (limit, first);
        self.insert((at, value)).map(|(_, value)| value)
    }

    fn insert(&mut self, row: (Instant, V)) -> Option<(Instant, V)> {
        let first = self.first;
        let is_before = |held: &(Instant, V), row: &(Instant, V)| match first {
            true => held < row,
            false => held > row,
        };
        insert_end(&mut self.rows, self.limit, row, is_before)
    }

    /// What the rows have.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.rows.iter().map(|(_, value)| value)
    }
}

impl<V: Clone + Ord> State for Ends<V> {
    fn merge(&mut self, other: &Self) {
        if self.limit == 0 {
            (self.limit, self.first) = (other.limit, other.first);
        }
        for row in &other.rows {
            self.insert(row.clone());
        }
    }
}

/// Puts a row among the ends held, if it is one of so many; what is none of them then.
pub fn insert_end<R>(
    held: &mut Vec<R>,
    limit: usize,
    row: R,
    is_before: impl Fn(&R, &R) -> bool,
) -> Option<R> {
    let place = held.partition_point(|other| is_before(other, &row));
    if place >= limit {
        return Some(row);
    }
    let last = if held.len() == limit { held.pop() } else { None };
    held.insert(place, row);
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(values: &[f64]) -> Sum {
        let mut sum = Sum::default();
        values.iter().for_each(|value| sum.push(*value));
        sum
    }

    // Values by Python 3.11's math.fsum.
    #[test]
    fn sums_are_exact() {
        assert_eq!(sum(&[1e16, 1.0, -1e16]).value(), 1.0);
        assert_eq!(sum(&[0.1; 10]).value(), 1.0);
        assert_eq!(sum(&[1e308, 1e-308, -1e308]).value(), 1e-308);
        assert_eq!(sum(&[1.0, 2f64.powi(-53), 2f64.powi(-106)]).value(), 1.0 + f64::EPSILON);
        assert_eq!(sum(&[]).value(), 0.0);
    }

    #[test]
    fn sums_beyond_are_those_of_ieee() {
        assert_eq!(sum(&[f64::INFINITY, 1.0]).value(), f64::INFINITY);
        assert!(sum(&[f64::INFINITY, f64::NEG_INFINITY]).value().is_nan());
        assert!(sum(&[f64::NAN, 1.0]).value().is_nan());
        assert_eq!(sum(&[f64::MAX, f64::MAX]).value(), f64::INFINITY);
    }

    // Values by Python 3.11's statistics.stdev, which computes in fractions.
    #[test]
    fn deviations_do_not_cancel() {
        let of = |values: &[f64]| {
            let mut spread = Spread::default();
            values.iter().for_each(|value| spread.push(*value));
            spread.deviation()
        };
        assert_eq!(of(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]), Some(2.138_089_935_299_395));
        assert_eq!(of(&[1e9 + 1.0, 1e9 + 2.0, 1e9 + 3.0]), Some(1.0));
        assert_eq!(of(&[1e15, 1e15 + 2.0]), Some(std::f64::consts::SQRT_2));
        assert_eq!(of(&[0.1; 7]), Some(0.0));
        assert_eq!(of(&[3.0]), None);
    }
}
