//! Moments: counts, means and centred (co-)moments of one to four columns, mergeable and
//! order-free.
//!
//! Raw sums of squares cancel (at an offset of 1e9 they lose every digit); a running mean freezes
//! at 1e15; squares leave the range at 1e±200. So for a pivot c, the first value seen, this keeps
//!
//!   n,  S_i = Σ (x_i - c_i),  P_ij = Σ (x_i - c_i)(x_j - c_j)        each as a `Double` (106 bits)
//!   M2_ij = P_ij - S_i S_j / n,   mean_i = c_i + S_i / n
//!
//! c is one of the values, hence (mean - c)² <= n var, and the last subtraction loses at most a
//! factor n of 2^104: every result is right to its last `f64` digit, at any offset. Merging moves
//! one side to the pivot of the other (S + n δ, P + 2 δ S + n δ²), exactly as precisely, so
//! partitions and order do not show.
//!
//! Deviations beyond 2^±400 are kept scaled by 2^±700 (`band`), so that squares stay in range.
//! Values that are NaN or infinite are counted and kept out of the sums.

use super::double::Double;
use crate::simd::moments::{products, squares};

/// Exponent of the scale that one band stands for.
const BAND: i32 = 700;
/// Deviations at least this large are kept scaled down.
const LARGE: f64 = 7.2e134; // 2^448
/// Deviations smaller than this are kept scaled up.
const SMALL: f64 = 2.6e-116; // 2^-384
/// What is left of terms that cancel, relative to them: 2^-96, ten bits above the last of a
/// `Double`.
const ROUNDING: f64 = 1.3e-29;
const VERSION: u8 = 1;

/// Sufficient statistics of `D` columns.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moments<const D: usize> {
    count: u64,
    not_finite: u64,
    pivot: [f64; D],
    band: [i8; D],
    sum: [Double; D],
    /// Only `product[i][j]` with `i <= j` is used.
    product: [[Double; D]; D],
}

/// What a test needs of one arm: the mean to 106 bits and the standard deviation, which stays in
/// range where the variance would not.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    /// Number of rows.
    pub count: u64,
    /// Arithmetic mean; zero if there is no row.
    pub mean: Double,
    /// Sample standard deviation (divisor n - 1); zero below two rows.
    pub deviation: f64,
}

impl Summary {
    /// Standard error of the mean.
    pub fn std_error(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.deviation / (self.count as f64).sqrt() }
    }
}

impl<const D: usize> Default for Moments<D> {
    fn default() -> Self {
        Self {
            count: 0,
            not_finite: 0,
            pivot: [0.0; D],
            band: [-1; D],
            sum: [Double::default(); D],
            product: [[Double::default(); D]; D],
        }
    }
}

impl<const D: usize> Moments<D> {
    /// Finite rows seen.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Rows left out because one of their values was NaN or infinite.
    pub fn not_finite(&self) -> u64 {
        self.not_finite
    }

    /// Takes one row.
    #[inline]
    pub fn push(&mut self, row: [f64; D]) {
        if row.iter().any(|x| !x.is_finite()) {
            self.not_finite += 1;
            return;
        }
        if self.count == 0 {
            self.pivot = row;
        }
        self.count += 1;
        let deviation: [Double; D] = std::array::from_fn(|i| {
            let needed = band_of(row[i] - self.pivot[i]);
            if needed > self.band[i] {
                self.rebase(i, needed);
            }
            deviation(row[i], self.pivot[i], self.band[i])
        });
        for i in 0..D {
            self.sum[i] = self.sum[i] + deviation[i];
            for j in i..D {
                self.product[i][j] = self.product[i][j] + deviation[i] * deviation[j];
            }
        }
    }

    /// Takes one row as often as `times` says, in as many steps as `times` has bits.
    pub fn push_times(&mut self, row: [f64; D], times: u64) {
        let mut power = Self::default();
        power.push(row);
        let mut rest = times;
        while rest > 0 {
            if rest % 2 == 1 {
                self.merge(&power);
            }
            let half = power;
            power.merge(&half);
            rest /= 2;
        }
    }

    /// Takes rows given as columns of equal length (the shortest decides).
    pub fn extend(&mut self, columns: [&[f64]; D]) {
        let rows = columns.iter().map(|c| c.len()).min().unwrap_or(0);
        let columns = columns.map(|c| &c[..rows]);
        match Self::of_plain(columns) {
            Some(batch) => self.merge(&batch),
            None => (0..rows).for_each(|row| self.push(columns.map(|c| c[row]))),
        }
    }

    /// The sums by lanes, if all values are finite and of a size that needs no scaling.
    fn of_plain(columns: [&[f64]; D]) -> Option<Self> {
        let rows = columns.first()?.len();
        let mut batch = Self { count: rows as u64, band: [0; D], ..Self::default() };
        batch.pivot = columns.map(|c| c.first().copied().unwrap_or(0.0));
        for i in 0..D {
            (batch.sum[i], batch.product[i][i]) = squares(columns[i], batch.pivot[i]);
            for j in i + 1..D {
                batch.product[i][j] =
                    products(columns[i], batch.pivot[i], columns[j], batch.pivot[j]);
            }
            let square = batch.product[i][i].hi;
            let in_range = square > SMALL * SMALL && square < LARGE * LARGE;
            if !in_range {
                if columns[i].iter().any(|x| *x != batch.pivot[i]) {
                    return None;
                }
                // Without deviations any scale holds; the least leaves the choice to what comes.
                batch.band[i] = -1;
            }
        }
        Some(batch)
    }

    /// Adds the rows of `other`.
    pub fn merge(&mut self, other: &Self) {
        if other.count == 0 || self.count == 0 {
            let not_finite = self.not_finite + other.not_finite;
            if self.count == 0 {
                *self = *other;
            }
            self.not_finite = not_finite;
            return;
        }
        let mut other = *other;
        let shift: [Double; D] = std::array::from_fn(|i| {
            let needed = band_of(other.pivot[i] - self.pivot[i]);
            let band = needed.max(self.band[i]).max(other.band[i]);
            self.rebase(i, band);
            other.rebase(i, band);
            deviation(other.pivot[i], self.pivot[i], band)
        });
        let rows = other.count as f64;
        for i in 0..D {
            for j in i..D {
                let cross = shift[i] * other.sum[j] + shift[j] * other.sum[i];
                let moved = other.product[i][j] + cross + shift[i] * shift[j] * rows;
                self.product[i][j] = self.product[i][j] + moved;
            }
        }
        for (i, shift) in shift.into_iter().enumerate() {
            self.sum[i] = self.sum[i] + other.sum[i] + shift * rows;
        }
        self.count += other.count;
        self.not_finite += other.not_finite;
    }

    fn rebase(&mut self, column: usize, band: i8) {
        let exponent = BAND * i32::from(self.band[column] - band);
        if exponent == 0 {
            return;
        }
        self.band[column] = band;
        self.sum[column] = self.sum[column].scaled(exponent);
        for other in 0..D {
            let (i, j) = (column.min(other), column.max(other));
            self.product[i][j] = self.product[i][j].scaled(exponent);
        }
        self.product[column][column] = self.product[column][column].scaled(exponent);
    }

    /// Arithmetic mean of a column, zero if there is no row.
    pub fn mean(&self, column: usize) -> Double {
        if self.count == 0 {
            return Double::default();
        }
        let shift = self.sum[column].over(self.count as f64);
        let band = BAND * i32::from(self.band[column]);
        shift.scaled(band) + Double::from(self.pivot[column])
    }

    /// Σ (x_i - mean_i)(x_j - mean_j), scaled by both bands.
    fn central(&self, i: usize, j: usize) -> Double {
        let (i, j) = (i.min(j), i.max(j));
        self.product[i][j] - (self.sum[i] * self.sum[j]).over((self.count as f64).max(1.0))
    }

    /// Mean and deviation of the weighted sum of the columns, row by row.
    pub fn linear(&self, weights: [f64; D]) -> Summary {
        let terms = (0..D).map(|i| self.mean(i) * weights[i]);
        let mean = terms.fold(Double::default(), |sum, term| sum + term);
        if self.count < 2 {
            return Summary { count: self.count, mean, deviation: 0.0 };
        }
        if weights.iter().any(|weight| !weight.is_finite()) {
            return Summary { count: self.count, mean, deviation: f64::NAN };
        }
        // Exponent of each term's spread; None where it has none.
        let spread: [Option<i32>; D] = std::array::from_fn(|i| {
            let square = self.central(i, i).hi;
            let varies = square > 0.0 && weights[i] != 0.0;
            let band = BAND * i32::from(self.band[i]);
            varies.then(|| libm::ilogb(weights[i]) + libm::ilogb(square) / 2 + band)
        });
        let Some(largest) = spread.iter().flatten().max() else {
            return Summary { count: self.count, mean, deviation: 0.0 };
        };
        let weight: [f64; D] = std::array::from_fn(|i| {
            let exponent = BAND * i32::from(self.band[i]) - largest;
            spread[i].map_or(0.0, |_| libm::ldexp(weights[i], exponent))
        });
        let (mut total, mut size) = (Double::default(), 0.0);
        for i in 0..D {
            for j in 0..D {
                let term = self.central(i, j) * weight[i] * weight[j];
                total = total + term;
                size += term.hi.abs();
            }
        }
        // Columns that cancel in full leave the rounding of the terms, which is no spread.
        let square = if total.hi > size * ROUNDING { total.value() } else { 0.0 };
        let variance = square / (self.count - 1) as f64;
        Summary { count: self.count, mean, deviation: libm::ldexp(variance.sqrt(), *largest) }
    }

    /// The moments of one column alone.
    pub fn column(&self, column: usize) -> Moments<1> {
        Moments {
            count: self.count,
            not_finite: self.not_finite,
            pivot: [self.pivot[column]],
            band: [self.band[column]],
            sum: [self.sum[column]],
            product: [[self.product[column][column]]],
        }
    }

    /// Mean and deviation of one column.
    pub fn summary(&self, column: usize) -> Summary {
        self.linear(std::array::from_fn(|i| f64::from(u8::from(i == column))))
    }

    /// Slope of column `y` on column `x` by least squares over the given samples, each about its
    /// own mean: Σ C2 / Σ M2. None if `x` does not vary.
    pub fn slope(samples: &[Self], y: usize, x: usize) -> Option<f64> {
        let band = |column: usize| samples.iter().map(|s| s.band[column]).max().unwrap_or(0);
        let (band_y, band_x) = (band(y), band(x));
        let mut both = Double::default();
        let mut square = Double::default();
        for sample in samples {
            let mut sample = *sample;
            sample.rebase(y, band_y);
            sample.rebase(x, band_x);
            both = both + sample.central(y, x);
            square = square + sample.central(x, x);
        }
        if square.hi <= 0.0 {
            return None;
        }
        let scale = BAND * (i32::from(band_y) - i32::from(band_x));
        Some(libm::ldexp(both.value() / square.value(), scale))
    }

    /// The state as bytes: version, number of columns, then counts and sums, little endian.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION, D as u8];
        bytes.extend(self.count.to_le_bytes());
        bytes.extend(self.not_finite.to_le_bytes());
        bytes.extend(self.band.iter().flat_map(|band| band.to_le_bytes()));
        self.numbers().for_each(|number| bytes.extend(number.to_le_bytes()));
        bytes
    }

    fn numbers(&self) -> impl Iterator<Item = f64> + '_ {
        let pairs = (0..D).flat_map(move |i| (i..D).map(move |j| self.product[i][j]));
        let doubles = self.sum.iter().copied().chain(pairs).flat_map(|d| [d.hi, d.lo]);
        self.pivot.iter().copied().chain(doubles)
    }

    /// Reads what `to_bytes` wrote; None for anything else.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(&[VERSION, D as u8])?;
        let (count, rest) = rest.split_first_chunk::<8>()?;
        let (not_finite, rest) = rest.split_first_chunk::<8>()?;
        let (bands, rest) = rest.split_at_checked(D)?;
        let (numbers, rest) = rest.as_chunks::<8>();
        let mut numbers = numbers.iter().map(|bytes| f64::from_le_bytes(*bytes));
        let mut state = Self {
            count: u64::from_le_bytes(*count),
            not_finite: u64::from_le_bytes(*not_finite),
            ..Self::default()
        };
        for (to, from) in state.band.iter_mut().zip(bands) {
            *to = i8::from_le_bytes([*from]);
        }
        for pivot in &mut state.pivot {
            *pivot = numbers.next()?;
        }
        let mut double = || Some(Double { hi: numbers.next()?, lo: numbers.next()? });
        for sum in &mut state.sum {
            *sum = double()?;
        }
        for i in 0..D {
            for j in i..D {
                state.product[i][j] = double()?;
            }
        }
        let bands_hold = state.band.iter().all(|band| (-1..=1).contains(band));
        let complete = rest.is_empty() && numbers.next().is_none();
        (complete && bands_hold && state.numbers().all(f64::is_finite)).then_some(state)
    }
}

/// -1, 0 or 1: how a deviation must be scaled for its square to stay in range.
#[inline(always)]
fn band_of(deviation: f64) -> i8 {
    let size = deviation.abs();
    i8::from(size >= SMALL) + i8::from(size >= LARGE) - 1
}

/// `x - pivot` in the scale of the band.
#[inline(always)]
fn deviation(x: f64, pivot: f64, band: i8) -> Double {
    match band {
        0 => Double::difference(x, pivot),
        1 => Double::difference(libm::ldexp(x, -BAND), libm::ldexp(pivot, -BAND)),
        _ => Double::difference(x, pivot).scaled(BAND),
    }
}
