//! Where queries put what does not fit in memory: a folder of the process, locked while it lives.
//! Those of servers that were killed are removed by the next that starts in the same place.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::Error;

const PREFIX: &str = "sextant-spill-";
const LOCK: &str = "lock";

/// Makes the folder.
pub(crate) fn folder(place: &Path) -> Result<PathBuf, Error> {
    let failed = |error: std::io::Error| {
        Error::new("58030", format!("cannot make a folder for spill files: {error}"))
    };
    for entry in fs::read_dir(place).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(PREFIX) && is_left(&entry.path()) {
            // What cannot be removed is somebody else's.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    let own = tempfile::Builder::new().prefix(PREFIX).tempdir_in(place).map_err(failed)?.keep();
    // It has its name only when it is locked: nobody takes the folder for left.
    let unnamed = own.join("new");
    let lock = File::create(&unnamed).map_err(failed)?;
    lock.lock().map_err(failed)?;
    fs::rename(unnamed, own.join(LOCK)).map_err(failed)?;
    // Held until the process ends.
    Box::leak(Box::new(lock));
    Ok(own)
}

/// Whether nobody holds the folder's lock.
fn is_left(folder: &Path) -> bool {
    File::open(folder.join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok())
}
