//! SQL functions of the pipeline's stages, one folder per stage, one file per function.
//!
//! A file adapts types and options; the numbers come from the crate `kernels`. A function is
//! registered by one line in its stage's `mod.rs`.

mod aggregate;
mod arguments;
mod bytes;
mod drift;
mod error;
mod experiments;
mod features;
mod models;
mod output;
mod scalar;
mod two_sample;
pub mod vectors;

mod window;

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::logical_expr::{AggregateUDF, ScalarUDF, WindowUDF};

pub use arguments::{Argument, Call, Doc};
pub use drift::SharedRanks;
pub use error::Error;

/// A function and its reference entry.
pub struct Function {
    /// Name, arguments, documentation.
    pub call: Arc<Call>,
    /// What the engine registers.
    pub engine: Engine,
    /// The type of what it answers.
    pub answer: DataType,
}

/// The engine's kinds of functions.
pub enum Engine {
    /// Answers row by row.
    Scalar(ScalarUDF),
    /// Answers per group.
    Aggregate(AggregateUDF),
    /// Answers every row of a partition.
    Window(WindowUDF),
}

/// The functions of all stages.
pub fn functions() -> Vec<Function> {
    let of_groups = experiments::functions().into_iter().chain(drift::functions());
    of_groups
        .chain(vectors::functions())
        .chain(features::functions())
        .chain(models::functions())
        .collect()
}
