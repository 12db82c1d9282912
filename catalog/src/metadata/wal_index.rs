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
