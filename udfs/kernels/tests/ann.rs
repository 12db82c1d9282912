//! The approximate index against exact search.

#![allow(clippy::unwrap_used, clippy::panic)]

mod ann {
    mod bytes;
    mod complete;
    mod data;
    mod mistakes;
    mod recall;
    mod segments;
}
