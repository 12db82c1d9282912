//! Forests against the programs that made them; `reference/trees.py` holds what asked them.

#![allow(clippy::unwrap_used, clippy::panic)]

mod trees {
    mod forms;
    mod parity;
    mod reference;
    mod rows;
    mod scoring;
}
