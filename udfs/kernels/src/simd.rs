//! Loops compiled a second time for processors with AVX2 and FMA, chosen when the program runs.
//!
//! The only `unsafe` is the call of a function that was compiled for what the processor was asked
//! to have.

pub mod moments;
