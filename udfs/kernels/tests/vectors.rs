//! Distances and exact neighbours against sums in double precision and full sorts.

#![allow(clippy::unwrap_used, clippy::panic)]

mod vectors {
    mod distances;
    mod nearest;
}
