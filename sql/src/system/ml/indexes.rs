//! `ml.indexes`: vector indexes, what they hold and what they lack.

use catalog::Relation;
use catalog::indexes::of_table;

use super::super::{Cell, Columns};
use crate::error::Result;
use crate::plan::Lakes;

pub(super) const INDEXES: Columns = &[
    ("schema_name", 't'),
    ("table_name", 't'),
    ("index_name", 't'),
    ("column_name", 't'),
    ("operators", 't'),
    ("dimension", 'i'),
    ("recall", 'd'),
    ("segments", 'l'),
    ("lists", 'l'),
    ("rows", 'l'),
    ("pending_rows", 'l'),
    ("gone_rows", 'l'),
    ("bytes", 'l'),
    ("memory_bytes", 'l'),
    ("drift", 'd'),
    ("last_recall", 'd'),
];

/// A row per index. `rows` can be found by a search, those that are gone are passed over;
/// `pending_rows` are scanned beside it. `drift` over 1.1: the index no longer fits the vectors.
/// `last_recall` is what `ann_recall` measured last on this server.
pub(super) async fn rows(lakes: &Lakes) -> Result<Vec<Vec<Cell>>> {
    let (state, lake) = (lakes.main.state(), lakes.main.lake());
    let mut rows = Vec::new();
    for (name, schema) in &state.schemas {
        for table in schema.relations.values().filter_map(Relation::as_table) {
            for index in of_table(lake, state, table) {
                let known = lakes.main.rows(table).await?;
                let segments = &index.segments.segments;
                let pending = index.segments.pending(&known);
                let live = known.count().saturating_sub(pending);
                let sum = |of: fn(&catalog::indexes::SegmentFile) -> u64| {
                    whole(segments.iter().map(of).sum())
                };
                let held = segments.iter().filter_map(|segment| lake.segment_held(&segment.path));
                let drift = segments.iter().map(|segment| segment.drift).fold(f64::NAN, f64::max);
                let all = segments.iter().map(|s| s.indexed + s.nulls).sum::<u64>();
                rows.push(vec![
                    name.as_str().into(),
                    table.name.as_str().into(),
                    index.name.as_str().into(),
                    table.columns[index.column].name.as_str().into(),
                    Cell::Text(index.operators()),
                    i32::try_from(index.dimension).unwrap_or(i32::MAX).into(),
                    Cell::Float(index.of.recall),
                    whole(segments.len() as u64),
                    sum(|segment| segment.lists),
                    sum(|segment| segment.indexed),
                    whole(pending),
                    whole(all.saturating_sub(live)),
                    sum(|segment| segment.bytes),
                    whole(held.sum()),
                    if drift.is_nan() { Cell::Null } else { Cell::Float(drift) },
                    lake.last_recall(&index.of.uuid).map_or(Cell::Null, Cell::Float),
                ]);
            }
        }
    }
    Ok(rows)
}

fn whole(number: u64) -> Cell {
    i64::try_from(number).unwrap_or(i64::MAX).into()
}
