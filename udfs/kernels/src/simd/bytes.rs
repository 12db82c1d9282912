//! Dot products of one vector of small integers with many vectors of bytes, sixteen at a time.
//!
//! ```text
//!   a panel: 16 rows; chunk c holds bytes 4c..4c+4 of row 0, then of row 1, …, row 15
//!   out[row] += Σ chunk[row * 4 + i] * query[c][i]
//! ```
//!
//! Rows are unsigned and the query is within ±`LIMIT`: a pair of products fits 16 bits on AVX2, so
//! every level gives the same integers.

#![allow(unsafe_code)]

use super::lanes::Lanes;
#[cfg(any(test, target_arch = "x86_64"))]
use super::level::Unit;
use super::level::{Kernel, Level};

/// The greatest magnitude of a query's element: 2 · 255 · 64 < 2^15.
pub const LIMIT: i8 = 63;

/// Rows of a panel.
pub const PANEL: usize = 16;

/// For each panel of `query.len()` chunks, the sixteen dot products. Rows of `out` beyond the
/// panels are left alone.
pub fn dots(level: Level, panels: &[[u8; 64]], query: &[[i8; 4]], out: &mut [[i32; PANEL]]) {
    if query.is_empty() {
        return;
    }
    match level.0 {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the level says that the processor has the features.
        Unit::Avx512 => unsafe { dots_avx512(panels, query, out) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Unit::Avx2 => unsafe { dots_avx2(panels, query, out) },
        _ => level.run(Dots { panels, query, out }),
    }
}

struct Dots<'a> {
    panels: &'a [[u8; 64]],
    query: &'a [[i8; 4]],
    out: &'a mut [[i32; PANEL]],
}

impl Kernel for Dots<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self) {
        for (panel, out) in self.panels.chunks_exact(self.query.len()).zip(self.out) {
            let mut sums = [0i32; PANEL];
            for (chunk, query) in panel.iter().zip(self.query) {
                for (row, sum) in sums.iter_mut().enumerate() {
                    for (i, factor) in query.iter().enumerate() {
                        *sum += i32::from(chunk[row * 4 + i]) * i32::from(*factor);
                    }
                }
            }
            *out = sums;
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn dots_avx512(panels: &[[u8; 64]], query: &[[i8; 4]], out: &mut [[i32; PANEL]]) {
    use std::arch::x86_64::*;
    for (panel, out) in panels.chunks_exact(query.len()).zip(out) {
        // Two sums, so that a chunk does not wait for the one before it.
        let mut sums = [_mm512_setzero_si512(); 2];
        for (i, (chunk, query)) in panel.iter().zip(query).enumerate() {
            // SAFETY: a chunk is 64 bytes.
            let rows = unsafe { _mm512_loadu_si512(chunk.as_ptr().cast()) };
            let query = _mm512_set1_epi32(i32::from_le_bytes(query.map(i8::cast_unsigned)));
            sums[i % 2] = _mm512_dpbusd_epi32(sums[i % 2], rows, query);
        }
        let sum = _mm512_add_epi32(sums[0], sums[1]);
        // SAFETY: sixteen 32-bit integers are 64 bytes.
        unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), sum) };
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn dots_avx2(panels: &[[u8; 64]], query: &[[i8; 4]], out: &mut [[i32; PANEL]]) {
    use std::arch::x86_64::*;
    let ones = _mm256_set1_epi16(1);
    for (panel, out) in panels.chunks_exact(query.len()).zip(out) {
        let mut sums = [_mm256_setzero_si256(); 2];
        for (chunk, query) in panel.iter().zip(query) {
            let query = _mm256_set1_epi32(i32::from_le_bytes(query.map(i8::cast_unsigned)));
            for (half, sum) in sums.iter_mut().enumerate() {
                // SAFETY: a chunk is 64 bytes; the halves start at 0 and 32.
                let rows = unsafe { _mm256_loadu_si256(chunk.as_ptr().add(half * 32).cast()) };
                let pairs = _mm256_madd_epi16(_mm256_maddubs_epi16(rows, query), ones);
                *sum = _mm256_add_epi32(*sum, pairs);
            }
        }
        for (half, sum) in sums.iter().enumerate() {
            // SAFETY: sixteen 32-bit integers are 64 bytes; the halves start at 0 and 8.
            unsafe { _mm256_storeu_si256(out.as_mut_ptr().add(half * 8).cast(), *sum) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_gives_the_same_integers() {
        for chunks in [1, 2, 3, 32] {
            let byte = |i: usize| (i * 7919 % 251) as u8;
            let mut panels: Vec<[u8; 64]> =
                (0..3 * chunks).map(|c| std::array::from_fn(|i| byte(c * 64 + i))).collect();
            panels[0] = [255; 64];
            let query: Vec<[i8; 4]> = (0..chunks)
                .map(|c| std::array::from_fn(|i| ((c * 4 + i) * 31 % 127) as i8 - LIMIT))
                .collect();
            let extreme = vec![[LIMIT; 4]; chunks];
            for query in [query, extreme] {
                let mut expected = vec![[0; PANEL]; 3];
                dots(Level(Unit::Plain), &panels, &query, &mut expected);
                for level in Level::all() {
                    let mut out = vec![[-1; PANEL]; 3];
                    dots(level, &panels, &query, &mut out);
                    assert_eq!(out, expected, "{}", level.name());
                }
            }
        }
    }
}
