//! All that survives a restart: tables, snapshots, definitions; DuckLake 1.0 in a SQL database.
//!
//! ```text
//!   Lake ──open──▶ snapshot check ──▶ State (cached by snapshot) ──▶ Transaction (edits a clone)
//!                                                                        │ commit
//!   Parquet under the data path ◀── files ── one database transaction ◀──┘
//! ```

mod error;
pub mod model;

pub use error::{Error, Result};
pub use model::*;
