//! Pure algorithms: slices in, numbers out. Nothing here knows Arrow, DataFusion, tokio, I/O or a
//! clock.

pub mod asof;
