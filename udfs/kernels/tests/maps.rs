//! Maps of embeddings: what they keep of the rows, and that they come out the same.

#![allow(clippy::unwrap_used, clippy::panic)]

mod maps {
    mod data;
    mod mistakes;
    mod odd;
    mod quality;
    mod repeatable;
}
