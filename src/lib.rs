//! Sextant: one server, many sessions, one lake.
//!
//! ```text
//!   socket ── wire ──▶ session ──▶ run ──▶ DataFusion ──▶ catalog ──▶ Parquet
//!     ▲                                        │
//!     └───────────── rows, encoded ◀───────────┘
//! ```

pub mod config;
pub mod demo;
mod engine_error;
mod error;
pub mod run;
mod server;
pub mod session;
pub mod wire;

pub use error::Error;
pub use server::Server;
