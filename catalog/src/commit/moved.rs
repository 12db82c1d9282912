//! Rows to delete that upkeep has moved meanwhile: nobody has changed them, so they are followed to
//! where they are, by their row ids.
//!
//! ```text
//!   base     file 3, position 7 ── row id 107 ──▶ newest   file 9, position 2
//! ```

use std::borrow::Cow;
use std::collections::BTreeMap;

use roaring::RoaringTreemap;

use crate::deletes;
use crate::error::Result;
use crate::lake::Lake;
use crate::model::{DataFile, FileId, INLINED, PROVISIONAL, ROW_ID_COLUMN, State, TableRows};
use crate::overlay::Overlay;
use crate::transaction::Work;

/// The work with its deleted rows where they are in the newest state; those that are nowhere stay,
/// and conflict.
pub(super) async fn followed<'w>(
    lake: &Lake,
    base: &State,
    newest: &State,
    work: &'w Work,
) -> Result<Cow<'w, Work>> {
    let mut followed = Cow::Borrowed(work);
    let (from, to) = (base.snapshot.id, newest.snapshot.id);
    if from == to {
        return Ok(followed);
    }
    for (id, overlay) in &work.overlays {
        let moved =
            *id < PROVISIONAL && overlay.has_deletes() && lake.cache().touched(*id, from, to);
        let (true, Some((_, table))) = (moved, newest.table_by_id(*id)) else { continue };
        let rows = lake.rows(newest, table).await?;
        let since = base.snapshot.next_file_id;
        let Some(deleted) = relocated(lake, &rows, since, overlay).await? else { continue };
        if let Some(overlay) = followed.to_mut().overlays.get_mut(id) {
            overlay.deleted = deleted;
        }
    }
    Ok(followed)
}

/// Looks in the files that were made `since`. None: all rows are where they were, or one is
/// nowhere.
async fn relocated(
    lake: &Lake,
    newest: &TableRows,
    since: FileId,
    overlay: &Overlay,
) -> Result<Option<BTreeMap<FileId, RoaringTreemap>>> {
    let mut kept: BTreeMap<FileId, RoaringTreemap> = BTreeMap::new();
    let mut wanted = RoaringTreemap::new();
    for (file, positions) in &overlay.deleted {
        if *file == INLINED {
            let chunks = newest.inlined.iter().flat_map(|chunk| chunk.positions.iter());
            let there: RoaringTreemap = chunks.map(|id| id.unsigned_abs()).collect();
            kept.insert(INLINED, positions & &there);
            wanted |= positions - &there;
        } else if newest.files.iter().any(|own| own.id == *file) {
            kept.insert(*file, positions.clone());
        } else if let Some(origin) = overlay.origins.get(file) {
            let ids = row_ids(lake, origin).await?;
            wanted.extend(positions.iter().filter_map(|position| ids.of(position)));
        } else {
            return Ok(None);
        }
    }
    for file in newest.files.iter().rev().filter(|file| file.id >= since) {
        if wanted.is_empty() {
            break;
        }
        let ids = row_ids(lake, file).await?;
        for position in 0..file.rows {
            let Some(id) = ids.of(position).filter(|id| wanted.contains(*id)) else { continue };
            let is_gone = file.deleted.as_ref().is_some_and(|gone| gone.contains(position));
            if !is_gone {
                wanted.remove(id);
                kept.entry(file.id).or_default().insert(position);
            }
        }
    }
    kept.retain(|_, positions| !positions.is_empty());
    Ok((wanted.is_empty() && kept != overlay.deleted).then_some(kept))
}

/// The row ids of a file.
enum RowIds {
    From(u64),
    Listed(Vec<i64>),
}

impl RowIds {
    fn of(&self, position: u64) -> Option<u64> {
        match self {
            Self::From(first) => Some(first + position),
            Self::Listed(ids) => {
                let id = ids.get(usize::try_from(position).ok()?)?;
                Some(id.unsigned_abs())
            }
        }
    }
}

async fn row_ids(lake: &Lake, file: &DataFile) -> Result<RowIds> {
    let listed = deletes::numbers(lake.store(), &file.path, ROW_ID_COLUMN).await?;
    let first = file.row_id_start.unwrap_or_default().unsigned_abs();
    Ok(listed.map_or(RowIds::From(first), RowIds::Listed))
}
