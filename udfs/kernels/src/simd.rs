//! Loops compiled a second time for processors with AVX2 and FMA, chosen when the program runs.
//!
//! The only `unsafe` is the call of a function that was compiled for what the processor was asked
//! to have, and the hint that memory is needed soon.

pub mod moments;
mod prefetch;

pub use prefetch::prefetch;
