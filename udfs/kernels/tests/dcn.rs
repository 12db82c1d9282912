//! Deep and cross networks: what they learn, what they answer, and what they refuse.

#![allow(clippy::unwrap_used, clippy::panic)]

mod dcn {
    mod data;
    mod learning;
    mod mistakes;
    mod serving;
}
