//! What `pg_catalog` asks the server about.

use std::sync::Arc;

use catalog::Lake;

use super::Row;
use crate::access::Authority;
use crate::plan::Lakes;
use crate::system::OwnFunction;
use crate::system::sizes::Sizes;

/// What the server knows and the lake does not: cursors, settings, connections.
pub trait Live: Send + Sync {
    /// The rows of a relation of `pg_catalog`; None if it is not about the server.
    fn rows(&self, relation: &str) -> Option<Vec<Row>>;

    /// The rights of who the connection is now.
    fn authority(&self) -> Arc<Authority>;

    /// Where numbers of sequences are kept.
    fn lake(&self) -> Arc<Lake>;

    /// The functions that Postgres does not have.
    fn functions(&self) -> &[OwnFunction];

    /// The sizes that the statement at hand asks for.
    fn sizes(&self) -> &Sizes;

    /// Shows functions of the connection what a statement has made until now.
    fn see(&self, lakes: &Lakes);
}
