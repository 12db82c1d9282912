//! The processor's vector level, asked for once, and the one door through which loops enter it.
//!
//! A `Kernel` is plain Rust over arrays of lanes. `Level::run` calls a copy of it that was compiled
//! for AVX-512 or AVX2 with FMA; on aarch64 every copy has NEON. A `Level` is only made by asking
//! the processor, so holding one proves that its instructions exist.

#![allow(unsafe_code)]

use super::lanes::{Array, Lanes};
#[cfg(target_arch = "x86_64")]
use super::lanes::{Wide256, Wide512};

/// Floats of one 512-bit register; narrower levels take several.
pub const LANES: usize = 16;

/// A vector level that this processor has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level(pub(super) Unit);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Plain,
    #[cfg(target_arch = "aarch64")]
    Neon,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

/// A loop that is worth a copy for each level. `run` must be `#[inline(always)]`, and so must what
/// it calls: only then is the copy compiled for the level.
pub trait Kernel {
    type Output;
    fn run<L: Lanes>(self) -> Self::Output;
}

impl Level {
    /// The widest level of this processor.
    pub fn best() -> Self {
        Self::all().last().copied().unwrap_or(Self(Unit::Plain))
    }

    /// Every level of this processor, the plain one first: tests hold each against it.
    pub fn all() -> Vec<Self> {
        #[cfg_attr(not(target_arch = "x86_64"), allow(unused_mut))]
        let mut levels = vec![Self(Unit::Plain)];
        #[cfg(target_arch = "aarch64")]
        levels.push(Self(Unit::Neon));
        #[cfg(target_arch = "x86_64")]
        {
            if has_avx2() {
                levels.push(Self(Unit::Avx2));
            }
            if has_avx2() && has_avx512() {
                levels.push(Self(Unit::Avx512));
            }
        }
        levels
    }

    /// The name that EXPLAIN and reports show.
    pub fn name(self) -> &'static str {
        match self.0 {
            Unit::Plain => "scalar",
            #[cfg(target_arch = "aarch64")]
            Unit::Neon => "neon",
            #[cfg(target_arch = "x86_64")]
            Unit::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Unit::Avx512 => "avx512",
        }
    }

    /// Runs the copy of a loop that was compiled for this level.
    #[inline]
    pub fn run<K: Kernel>(self, kernel: K) -> K::Output {
        match self.0 {
            Unit::Plain => kernel.run::<Array<false>>(),
            #[cfg(target_arch = "aarch64")]
            Unit::Neon => kernel.run::<Array<true>>(),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: a `Level` of this kind is only made after the processor said it has it.
            Unit::Avx2 => unsafe { run_avx2(kernel) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Unit::Avx512 => unsafe { run_avx512(kernel) },
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("f16c")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
        && is_x86_feature_detected!("lzcnt")
        && is_x86_feature_detected!("popcnt")
}

#[cfg(target_arch = "x86_64")]
fn has_avx512() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512vnni")
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c,bmi1,bmi2,lzcnt,popcnt")]
fn run_avx2<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<Wide256>()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c,bmi1,bmi2,lzcnt,popcnt")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn run_avx512<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<Wide512>()
}

/// Asks the memory for a stretch of elements that will be read soon.
#[inline(always)]
pub(crate) fn prefetch<T>(elements: &[T]) {
    for line in elements.chunks((64 / size_of::<T>().max(1)).max(1)) {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
            // SAFETY: a hint; the address is that of a slice and is not dereferenced.
            unsafe { _mm_prefetch::<_MM_HINT_T1>(line.as_ptr().cast()) };
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = line;
    }
}
