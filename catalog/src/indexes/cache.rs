//! Segments that are open, up to a number of bytes: the one used longest ago goes first.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Weak};

use super::{Progress, Segment, SegmentFile};
use crate::error::{Error, Result};
use crate::lake::Lake;

/// Bytes of heads and lists that a server keeps.
const CACHE_BYTES: u64 = 2 << 30;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    open: HashMap<String, (Arc<Segment>, u64)>,
    /// Counts uses.
    clock: u64,
    /// Objects that were found damaged or gone: upkeep makes them anew.
    damaged: HashSet<String>,
    /// What was measured last, by the index's uuid.
    recalls: HashMap<String, f64>,
    pub(super) builds: Vec<Weak<Progress>>,
}

impl Cache {
    fn get(&mut self, path: &str) -> Option<Arc<Segment>> {
        self.clock += 1;
        let (segment, used) = self.open.get_mut(path)?;
        *used = self.clock;
        Some(Arc::clone(segment))
    }

    fn keep(&mut self, segment: &Arc<Segment>, limit: u64) {
        self.clock += 1;
        let path = segment.file.path.clone();
        self.open.entry(path).or_insert_with(|| (Arc::clone(segment), self.clock));
        self.trim(limit);
    }

    /// Lets go what was used longest ago; the last one stays.
    fn trim(&mut self, limit: u64) {
        while self.open.len() > 1
            && self.open.values().map(|(segment, _)| segment.held()).sum::<u64>() > limit
        {
            let oldest = self.open.iter().min_by_key(|(_, (_, used))| *used);
            let Some(path) = oldest.map(|(path, _)| path.clone()) else { return };
            self.open.remove(&path);
        }
    }
}

impl Lake {
    /// A segment, opened or from the cache.
    ///
    /// # Errors
    /// `Damaged` where a byte differs from what was written, `Object` when it cannot be read.
    pub async fn segment(&self, file: &SegmentFile) -> Result<Arc<Segment>> {
        if let Some(open) = self.segments().get(&file.path) {
            return Ok(open);
        }
        let segment = Arc::new(Segment::open(self, file).await?);
        self.segments().keep(&segment, CACHE_BYTES);
        Ok(segment)
    }

    /// After a search, which may have fetched lists.
    pub fn trim_segments(&self) {
        self.segments().trim(CACHE_BYTES);
    }

    /// Remembers a segment that cannot be read, for upkeep; false for other errors.
    pub fn note_damage(&self, file: &SegmentFile, error: &Error) -> bool {
        let is_damage = matches!(error, Error::Damaged { .. } | Error::Object { .. });
        if is_damage {
            let mut cache = self.segments();
            cache.open.remove(&file.path);
            cache.damaged.insert(file.path.clone());
        }
        is_damage
    }

    pub(super) fn is_damaged(&self, file: &SegmentFile) -> bool {
        self.segments().damaged.contains(&file.path)
    }

    pub(super) fn note_recall(&self, uuid: &str, recall: f64) {
        self.segments().recalls.insert(uuid.to_owned(), recall);
    }

    /// The recall that this server has measured last of an index.
    pub fn last_recall(&self, uuid: &str) -> Option<f64> {
        self.segments().recalls.get(uuid).copied()
    }

    /// Bytes in memory of a segment; None if it is not open.
    pub fn segment_held(&self, path: &str) -> Option<u64> {
        self.segments().open.get(path).map(|(segment, _)| segment.held())
    }
}
