//! Builds that are under way, for those who watch.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use crate::lake::Lake;

/// One build. Rows are read once for a sample, unless there is a model already, and once to be
/// written.
#[derive(Debug)]
pub struct Progress {
    /// Uuids of the table and of the index.
    pub table: String,
    pub index: String,
    /// Rows of the files, and how often they are read.
    rows: u64,
    passes: u64,
    read: AtomicU64,
}

impl Progress {
    /// What is being done.
    pub fn phase(&self) -> &'static str {
        match self.read.load(Ordering::Relaxed) {
            read if self.passes == 2 && read < self.rows => "building index: sampling vectors",
            read if read < self.rows * self.passes => "building index: encoding vectors",
            _ => "building index: measuring recall",
        }
    }

    /// Rows read, and to be read in all.
    pub fn rows(&self) -> (u64, u64) {
        (self.read.load(Ordering::Relaxed), self.rows * self.passes)
    }

    pub(super) fn add(&self, rows: usize) {
        self.read.fetch_add(rows as u64, Ordering::Relaxed);
    }
}

impl Lake {
    /// The builds of this server.
    pub fn index_builds(&self) -> Vec<Arc<Progress>> {
        self.segments().builds.iter().filter_map(Weak::upgrade).collect()
    }

    /// A build is listed as long as somebody holds it.
    pub(super) fn begin_build(
        &self,
        (table, index): (&str, &str),
        rows: u64,
        passes: u64,
    ) -> Arc<Progress> {
        let (table, index) = (table.to_owned(), index.to_owned());
        let read = AtomicU64::new(0);
        let progress = Arc::new(Progress { table, index, rows, passes, read });
        let mut cache = self.segments();
        cache.builds.retain(|build| build.strong_count() > 0);
        cache.builds.push(Arc::downgrade(&progress));
        progress
    }
}
