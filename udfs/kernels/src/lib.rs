//! Pure algorithms: slices in, numbers out. Nothing here knows Arrow, DataFusion, tokio, I/O or a
//! clock.

pub mod ann;
pub mod asof;
pub mod assignment;
pub mod cuda;
pub mod maps;
pub mod metrics;
pub mod models;
pub mod parallel;
pub mod simd;
pub mod statistics;
pub mod vectors;
