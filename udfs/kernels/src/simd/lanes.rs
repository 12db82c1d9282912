//! Sixteen floats at once, as each level has them.
//!
//! Loops over arrays of sixteen are not always kept in registers by the compiler: a matrix product
//! written so ran one float at a time through the stack. What a `Lanes` does is one instruction
//! for each register of the level. Every level folds in the same order.

#![allow(unsafe_code)]

use super::level::LANES;
use crate::vectors::widen;

/// Sixteen floats.
pub trait Lanes: Copy {
    /// Whether `a * b + c` is rounded once here.
    const FUSED: bool;

    fn splat(x: f32) -> Self;
    fn load(from: &[f32; LANES]) -> Self;
    /// Sixteen signed bytes.
    fn bytes(from: &[u8; LANES]) -> Self;
    /// Sixteen whole numbers.
    fn words(from: &[u16; LANES]) -> Self;
    /// Sixteen half floats, as their bits.
    fn halves(from: &[u16; LANES]) -> Self;
    fn store(self, to: &mut [f32; LANES]);
    fn add(self, other: Self) -> Self;
    fn subtract(self, other: Self) -> Self;
    fn multiply(self, other: Self) -> Self;
    /// `self * by + and`.
    fn multiply_add(self, by: Self, and: Self) -> Self;
    fn absolute(self) -> Self;
    /// The greater of each pair; the second where one is NaN.
    fn greater(self, other: Self) -> Self;
    /// The sum of all: halves are added until one is left.
    fn total(self) -> f32;
    /// A bit for each lane that is at least the other's.
    fn reaches(self, other: Self) -> u32;

    /// `a * b + c` of single floats.
    #[inline(always)]
    fn fused(a: f32, b: f32, c: f32) -> f32 {
        if Self::FUSED { a.mul_add(b, c) } else { a * b + c }
    }

    /// The first place of the least; 0 when there is none.
    #[inline(always)]
    fn least(self) -> usize {
        let mut lanes = [0.0; LANES];
        self.store(&mut lanes);
        let mut halves = lanes;
        for width in [8, 4, 2, 1] {
            for lane in 0..width {
                let other = halves[lane + width];
                halves[lane] = if other < halves[lane] { other } else { halves[lane] };
            }
        }
        let places = Self::splat(halves[0]).reaches(self);
        (places.trailing_zeros() as usize) % LANES
    }
}

/// An array: for processors whose vector units need no asking.
#[derive(Clone, Copy)]
pub struct Array<const FUSED: bool>([f32; LANES]);

impl<const FUSED: bool> Array<FUSED> {
    #[inline(always)]
    fn zip(self, other: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        Self(std::array::from_fn(|lane| f(self.0[lane], other.0[lane])))
    }
}

impl<const FUSED: bool> Lanes for Array<FUSED> {
    const FUSED: bool = FUSED;

    #[inline(always)]
    fn splat(x: f32) -> Self {
        Self([x; LANES])
    }

    #[inline(always)]
    fn load(from: &[f32; LANES]) -> Self {
        Self(*from)
    }

    #[inline(always)]
    fn bytes(from: &[u8; LANES]) -> Self {
        Self(from.map(|byte| f32::from(byte.cast_signed())))
    }

    #[inline(always)]
    fn words(from: &[u16; LANES]) -> Self {
        Self(from.map(f32::from))
    }

    #[inline(always)]
    fn halves(from: &[u16; LANES]) -> Self {
        Self(from.map(widen))
    }

    #[inline(always)]
    fn store(self, to: &mut [f32; LANES]) {
        *to = self.0;
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.zip(other, |a, b| a + b)
    }

    #[inline(always)]
    fn subtract(self, other: Self) -> Self {
        self.zip(other, |a, b| a - b)
    }

    #[inline(always)]
    fn multiply(self, other: Self) -> Self {
        self.zip(other, |a, b| a * b)
    }

    #[inline(always)]
    fn multiply_add(self, by: Self, and: Self) -> Self {
        Self(std::array::from_fn(|lane| Self::fused(self.0[lane], by.0[lane], and.0[lane])))
    }

    #[inline(always)]
    fn absolute(self) -> Self {
        Self(self.0.map(f32::abs))
    }

    #[inline(always)]
    fn greater(self, other: Self) -> Self {
        self.zip(other, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    fn total(mut self) -> f32 {
        for width in [8, 4, 2, 1] {
            for lane in 0..width {
                self.0[lane] += self.0[lane + width];
            }
        }
        self.0[0]
    }

    #[inline(always)]
    fn reaches(self, other: Self) -> u32 {
        let pairs = self.0.iter().zip(&other.0).enumerate();
        pairs.fold(0, |mask, (lane, (a, b))| mask | u32::from(a >= b) << lane)
    }
}

#[cfg(target_arch = "x86_64")]
pub use x86::{Wide256, Wide512};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{LANES, Lanes};

    /// One register of AVX-512. Only what `Level::run` calls for AVX-512 may use it.
    #[derive(Clone, Copy)]
    pub struct Wide512(__m512);

    // SAFETY, of every block below: these are only called from a function that was compiled for
    // AVX-512, which runs only when the processor said that it has it; loads and stores are of
    // whole arrays.
    impl Lanes for Wide512 {
        const FUSED: bool = true;

        #[inline(always)]
        fn splat(x: f32) -> Self {
            Self(unsafe { _mm512_set1_ps(x) })
        }

        #[inline(always)]
        fn load(from: &[f32; LANES]) -> Self {
            Self(unsafe { _mm512_loadu_ps(from.as_ptr()) })
        }

        #[inline(always)]
        fn bytes(from: &[u8; LANES]) -> Self {
            Self(unsafe {
                _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(from.as_ptr().cast())))
            })
        }

        #[inline(always)]
        fn words(from: &[u16; LANES]) -> Self {
            Self(unsafe {
                let words = _mm256_loadu_si256(from.as_ptr().cast());
                _mm512_cvtepi32_ps(_mm512_cvtepu16_epi32(words))
            })
        }

        #[inline(always)]
        fn halves(from: &[u16; LANES]) -> Self {
            Self(unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(from.as_ptr().cast())) })
        }

        #[inline(always)]
        fn store(self, to: &mut [f32; LANES]) {
            unsafe { _mm512_storeu_ps(to.as_mut_ptr(), self.0) }
        }

        #[inline(always)]
        fn add(self, other: Self) -> Self {
            Self(unsafe { _mm512_add_ps(self.0, other.0) })
        }

        #[inline(always)]
        fn subtract(self, other: Self) -> Self {
            Self(unsafe { _mm512_sub_ps(self.0, other.0) })
        }

        #[inline(always)]
        fn multiply(self, other: Self) -> Self {
            Self(unsafe { _mm512_mul_ps(self.0, other.0) })
        }

        #[inline(always)]
        fn multiply_add(self, by: Self, and: Self) -> Self {
            Self(unsafe { _mm512_fmadd_ps(self.0, by.0, and.0) })
        }

        #[inline(always)]
        fn absolute(self) -> Self {
            Self(unsafe { _mm512_abs_ps(self.0) })
        }

        #[inline(always)]
        fn greater(self, other: Self) -> Self {
            Self(unsafe { _mm512_max_ps(self.0, other.0) })
        }

        #[inline(always)]
        fn total(self) -> f32 {
            unsafe {
                let high = _mm512_extractf32x8_ps::<1>(self.0);
                total_of_eight(_mm256_add_ps(_mm512_castps512_ps256(self.0), high))
            }
        }

        #[inline(always)]
        fn reaches(self, other: Self) -> u32 {
            u32::from(unsafe { _mm512_cmp_ps_mask::<_CMP_GE_OQ>(self.0, other.0) })
        }
    }

    #[inline(always)]
    unsafe fn total_of_eight(x: __m256) -> f32 {
        // SAFETY: as above, for AVX2.
        unsafe {
            let x = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
            let x = _mm_add_ps(x, _mm_movehl_ps(x, x));
            _mm_cvtss_f32(_mm_add_ss(x, _mm_shuffle_ps::<1>(x, x)))
        }
    }

    /// Two registers of AVX2 with FMA. Only what `Level::run` calls for AVX2 may use it.
    #[derive(Clone, Copy)]
    pub struct Wide256(__m256, __m256);

    // SAFETY, of every block below: as for `Wide512`, with AVX2 and FMA.
    impl Lanes for Wide256 {
        const FUSED: bool = true;

        #[inline(always)]
        fn splat(x: f32) -> Self {
            let x = unsafe { _mm256_set1_ps(x) };
            Self(x, x)
        }

        #[inline(always)]
        fn load(from: &[f32; LANES]) -> Self {
            unsafe { Self(_mm256_loadu_ps(from.as_ptr()), _mm256_loadu_ps(from[8..].as_ptr())) }
        }

        #[inline(always)]
        fn bytes(from: &[u8; LANES]) -> Self {
            unsafe {
                let all = _mm_loadu_si128(from.as_ptr().cast());
                let low = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(all));
                Self(low, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_unpackhi_epi64(all, all))))
            }
        }

        #[inline(always)]
        fn words(from: &[u16; LANES]) -> Self {
            unsafe {
                let low = _mm256_cvtepu16_epi32(_mm_loadu_si128(from.as_ptr().cast()));
                let high = _mm256_cvtepu16_epi32(_mm_loadu_si128(from[8..].as_ptr().cast()));
                Self(_mm256_cvtepi32_ps(low), _mm256_cvtepi32_ps(high))
            }
        }

        #[inline(always)]
        fn halves(from: &[u16; LANES]) -> Self {
            unsafe {
                let low = _mm256_cvtph_ps(_mm_loadu_si128(from.as_ptr().cast()));
                Self(low, _mm256_cvtph_ps(_mm_loadu_si128(from[8..].as_ptr().cast())))
            }
        }

        #[inline(always)]
        fn store(self, to: &mut [f32; LANES]) {
            unsafe {
                _mm256_storeu_ps(to.as_mut_ptr(), self.0);
                _mm256_storeu_ps(to[8..].as_mut_ptr(), self.1);
            }
        }

        #[inline(always)]
        fn add(self, other: Self) -> Self {
            unsafe { Self(_mm256_add_ps(self.0, other.0), _mm256_add_ps(self.1, other.1)) }
        }

        #[inline(always)]
        fn subtract(self, other: Self) -> Self {
            unsafe { Self(_mm256_sub_ps(self.0, other.0), _mm256_sub_ps(self.1, other.1)) }
        }

        #[inline(always)]
        fn multiply(self, other: Self) -> Self {
            unsafe { Self(_mm256_mul_ps(self.0, other.0), _mm256_mul_ps(self.1, other.1)) }
        }

        #[inline(always)]
        fn multiply_add(self, by: Self, and: Self) -> Self {
            unsafe {
                Self(_mm256_fmadd_ps(self.0, by.0, and.0), _mm256_fmadd_ps(self.1, by.1, and.1))
            }
        }

        #[inline(always)]
        fn absolute(self) -> Self {
            unsafe {
                let sign = _mm256_set1_ps(-0.0);
                Self(_mm256_andnot_ps(sign, self.0), _mm256_andnot_ps(sign, self.1))
            }
        }

        #[inline(always)]
        fn greater(self, other: Self) -> Self {
            unsafe { Self(_mm256_max_ps(self.0, other.0), _mm256_max_ps(self.1, other.1)) }
        }

        #[inline(always)]
        fn total(self) -> f32 {
            unsafe { total_of_eight(_mm256_add_ps(self.0, self.1)) }
        }

        #[inline(always)]
        fn reaches(self, other: Self) -> u32 {
            let masks = unsafe {
                let low = _mm256_cmp_ps::<_CMP_GE_OQ>(self.0, other.0);
                let high = _mm256_cmp_ps::<_CMP_GE_OQ>(self.1, other.1);
                (_mm256_movemask_ps(low), _mm256_movemask_ps(high))
            };
            masks.0.cast_unsigned() | masks.1.cast_unsigned() << 8
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::level::{Kernel, Level};

    struct All<'a>(&'a [f32; LANES], &'a [f32; LANES]);

    impl Kernel for All<'_> {
        type Output = (Vec<[f32; LANES]>, f32, u32, usize);

        #[inline(always)]
        fn run<L: Lanes>(self) -> Self::Output {
            let (a, b) = (L::load(self.0), L::load(self.1));
            let bytes = L::bytes(&std::array::from_fn(|i| (i * 37) as u8));
            let all = [
                a.add(b),
                a.subtract(b),
                a.multiply(b),
                L::splat(2.0).multiply_add(a, b),
                b.absolute(),
                a.greater(b),
                bytes,
                L::words(&std::array::from_fn(|i| (i * 4001) as u16)),
                L::halves(&std::array::from_fn(|i| (i * 1999) as u16)),
            ];
            let all = all.map(|lanes| {
                let mut out = [0.0; LANES];
                lanes.store(&mut out);
                out
            });
            (all.to_vec(), a.total(), a.reaches(b), a.least())
        }
    }

    /// Products by two are exact, so that fusing changes nothing.
    #[test]
    fn every_level_gives_the_same_bits() {
        let a = std::array::from_fn(|i| ((i * 7919 % 101) as f32 - 50.0) / 3.0);
        let b = std::array::from_fn(|i| ((i * 31 % 17) as f32 - 8.0) / 7.0);
        let expected = Level::all()[0].run(All(&a, &b));
        for level in Level::all() {
            assert_eq!(level.run(All(&a, &b)), expected, "{}", level.name());
        }
        let least = a.iter().copied().fold(f32::INFINITY, f32::min);
        assert_eq!(a[expected.3], least);
        let nothing = [f32::NAN; LANES];
        assert!(Level::all().iter().all(|level| level.run(All(&nothing, &b)).3 == 0));
    }
}
