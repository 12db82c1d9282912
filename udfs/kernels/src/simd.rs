//! Loops compiled again for the vector units of the processor, chosen when the program runs.
//!
//! The only `unsafe` is the call of a function that was compiled for what the processor was asked
//! to have, and loads and prefetches through pointers made from slices.

pub mod bytes;
pub mod lanes;
pub mod level;
pub mod moments;
pub mod nibbles;
