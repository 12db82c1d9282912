//! All that survives a restart: tables, snapshots, definitions; DuckLake 1.0 in a SQL database.
//!
//! ```text
//!   Lake ──open──▶ snapshot check ──▶ State (cached by snapshot) ──▶ Transaction (edits a clone)
//!                                                                        │ commit
//!   Parquet under the data path ◀── files ── one database transaction ◀──┘
//! ```

mod alter;
mod apart;
mod cache;
mod columns;
mod commit;
mod ddl;
mod deletes;
mod error;
mod follow;
pub mod indexes;
mod lake;
mod metadata;
pub mod model;
mod overlay;
pub mod registry;
mod scan;
mod sequences;
mod storage;
#[cfg(test)]
mod tests;
mod transaction;
pub mod types;
mod upkeep;
mod write;

pub use apart::apart;
pub use cache::Since;
pub use ddl::{CommentTarget, NewColumn, NewTable, NewView, TableChange};
pub use error::{Error, Result};
pub use follow::{Followers, Rewritten};
pub use lake::{INLINE_ROW_LIMIT, Lake, LakeOptions};
pub use model::*;
pub use scan::{DeletesExec, LakeCodec, LakeScan, LakeTable, keep_pages};
pub use sequences::{Given, SEQUENCE, Sequence};
pub use transaction::{Names, Transaction};
pub use upkeep::{Flushed, Kept, Merged, Removed, Retention, Run};
pub use write::TableWriter;
