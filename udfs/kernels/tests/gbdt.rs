//! Boosted trees: against exhaustive search, against LightGBM, and against themselves.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "trees/rows.rs"]
mod rows;

mod gbdt {
    mod labels;
    mod mistakes;
    mod parity;
    mod runs;
    mod splits;
}
