//! Whether a SQLite database has changed, without asking SQLite, which takes a thread's time: the
//! first 48 bytes of the index of its write-ahead log (`-shm`; sqlite.org/walformat.html, section
//! 2.1) are written by every commit of every process, and hold a count and a checksum.

use std::fs::File;
use std::mem::ManuallyDrop;
use std::path::PathBuf;
use std::sync::OnceLock;

const HEADER: usize = 48;

/// What the index said; the same again: nothing has been committed between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp([u8; HEADER]);

/// The index of one database.
#[derive(Debug)]
pub struct WalIndex {
    path: PathBuf,
    /// Never closed: closing any handle on a file ends all locks that the process has on it, and
    /// SQLite's are on this one.
    file: OnceLock<ManuallyDrop<File>>,
}

impl WalIndex {
    /// Of the database at `location`.
    pub fn new(location: &str) -> Self {
        Self { path: format!("{location}-shm").into(), file: OnceLock::new() }
    }

    /// None where it cannot be told.
    #[cfg(unix)]
    pub fn stamp(&self) -> Option<Stamp> {
        use std::os::unix::fs::{FileExt, MetadataExt};
        let file = match self.file.get() {
            Some(file) => file,
            None => {
                let opened = ManuallyDrop::new(File::open(&self.path).ok()?);
                self.file.get_or_init(|| opened)
            }
        };
        // A database whose last connection has gone makes another index.
        if file.metadata().ok()?.nlink() == 0 {
            return None;
        }
        let mut header = [0; HEADER];
        file.read_exact_at(&mut header, 0).ok()?;
        Some(Stamp(header))
    }

    #[cfg(not(unix))]
    pub fn stamp(&self) -> Option<Stamp> {
        None
    }
}

#[cfg(test)]
mod tests {
    use crate::metadata::Database;

    #[tokio::test]
    async fn a_stamp_changes_with_every_commit_and_with_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let location = folder.path().join("catalog.sqlite");
        let location = location.to_str().unwrap();
        let (ours, theirs) =
            (Database::connect(location, false).await, Database::connect(location, false).await);
        let (ours, theirs) = (ours.unwrap(), theirs.unwrap());
        let mut session = ours.write().await.unwrap();
        session.execute("CREATE TABLE t (x INTEGER)", &[]).await.unwrap();
        session.commit().await.unwrap();
        let mut seen = vec![ours.stamp().unwrap()];
        for database in [&ours, &theirs, &theirs, &ours] {
            let mut session = database.write().await.unwrap();
            session.execute("INSERT INTO t VALUES (1)", &[]).await.unwrap();
            assert_eq!(ours.stamp(), seen.last().copied());
            session.commit().await.unwrap();
            let stamp = ours.stamp().unwrap();
            assert!(!seen.contains(&stamp));
            seen.push(stamp);
            ours.query("SELECT count(*) FROM t", &[]).await.unwrap();
            assert_eq!(ours.stamp(), Some(stamp));
        }
        let mut session = ours.write().await.unwrap();
        session.execute("INSERT INTO t VALUES (2)", &[]).await.unwrap();
        session.rollback().await.unwrap();
        assert_eq!(ours.stamp(), seen.last().copied());
    }
}
