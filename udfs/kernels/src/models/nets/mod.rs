//! What models that learn by gradients are made of: a table whose rows features point to, layers,
//! and Adam.
//!
//! Rows are padded with zeros to whole lanes, which every operation here leaves zeros. What is
//! computed does not depend on the number of threads, to the bit.

pub(crate) mod layers;
pub(crate) mod rows;
pub(crate) mod table;

use crate::ann::Random;

/// A row of the table and its coefficient.
pub(crate) type Token = (u32, f32);

/// A number from -1 to 1.
pub(crate) fn even(random: &mut Random) -> f32 {
    (random.number() >> 40) as f32 / 8_388_608.0 - 1.0
}

/// A random word as a number from 0 to under 1.
pub(crate) fn unit(random: u64) -> f32 {
    (random >> 40) as f32 / 16_777_216.0
}
