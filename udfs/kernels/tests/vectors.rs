//! Distances and exact neighbours against sums in double precision and full sorts.

#![allow(clippy::unwrap_used, clippy::panic)]

mod vectors {
    mod arithmetic;
    mod distances;
    mod nearest;
    mod text;
}
