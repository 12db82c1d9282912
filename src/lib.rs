//! Sextant: one server, many sessions, one lake.
//!
//! ```text
//!   socket ── wire ──▶ session ──▶ run ──▶ DataFusion ──▶ catalog ──▶ Parquet
//!     ▲                                        │
//!     └───────────── rows, encoded ◀───────────┘
//! ```

pub mod config;
pub mod demo;
mod engine;
mod engine_error;
mod error;
mod explain;
mod functions;
pub mod run;
mod server;
pub mod session;
mod settings;
mod spill;
mod upkeep;
pub mod wire;

pub use error::Error;
pub use server::Server;

/// The version that clients are told, that of the catalogs: they choose their queries by it.
/// Drivers read the number before the first space.
pub const POSTGRES_VERSION: &str = "15.0 (Sextant)";
