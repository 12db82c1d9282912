//! Indexes that are being built.

use catalog::Constraint;

use super::{Objects, text};
use crate::system::oid;
use crate::system::pg_catalog::Row;

impl Objects<'_> {
    /// The rows of `pg_stat_progress_create_index`: those of this server. An index that is not
    /// committed yet has no id.
    pub(super) fn index_builds(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for build in self.environment.lake.index_builds() {
            let tables = self.base_tables();
            let found = tables.iter().find(|(_, table)| table.uuid == build.table);
            let index = found.and_then(|(placed, table)| {
                let is_built = |constraint: &Constraint| match constraint {
                    Constraint::Index(index) => {
                        index.vectors.as_ref().is_some_and(|of| of.uuid == build.index)
                    }
                    _ => false,
                };
                let number = table.constraints.iter().position(is_built)?;
                Some(oid::of_index(table, placed.temp, number))
            });
            let (done, total) = build.rows();
            let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
            rows.push(vec![
                ("datname", text(&self.environment.database)),
                ("relid", found.map_or(0, |(placed, _)| placed.oid).into()),
                ("index_relid", index.unwrap_or(0).into()),
                ("command", text(if index.is_some() { "REINDEX" } else { "CREATE INDEX" })),
                ("phase", text(build.phase())),
                ("tuples_total", whole(total).into()),
                ("tuples_done", whole(done).into()),
            ]);
        }
        rows
    }
}
