//! Models of retrieval from outside: what they learn, keep and refuse.

#![allow(clippy::unwrap_used, clippy::panic)]

mod retrieval {
    mod als;
    mod data;
    mod learning;
    mod mistakes;
    mod ranking;
    mod serving;
}
