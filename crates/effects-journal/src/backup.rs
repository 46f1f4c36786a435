//! [`write()`]: copies the whole SQLite database of a journal to a new file while other processes write
//! the journal; the file stands there only once all of it is on the disk, and replaces none.
//! `WriterThread` (`writer_thread.rs`) calls it for `SqliteJournal::backup`, and so for
//! `effects journal backup`.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use rusqlite::Connection;

use crate::file::EmptyFile;
use crate::spill::sync_folder;

/// Writes a copy to `target`, which must not be there. It stands there once all of it is on the disk.
pub(crate) fn write(database: &Connection, target: &Path) -> Result<(), io::Error> {
    if fs::symlink_metadata(target).is_ok() {
        return Err(exists());
    }
    // A name of its own until it is whole; dropped, it is removed.
    let part = EmptyFile::beside(target)?;
    let path = part.0.to_str().ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidInput, "SQLite takes no path that is not UTF-8")
    })?;
    // One transaction that reads: others write on meanwhile, and what is in the log is copied too.
    database.execute("VACUUM INTO ?1", [path]).map_err(io::Error::other)?;
    File::open(&part.0)?.sync_all()?;
    // A link fails where the target is there by now; a rename would replace it.
    match fs::hard_link(&part.0, target) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(exists()),
        // A file system without hard links.
        Err(_) if fs::symlink_metadata(target).is_ok() => return Err(exists()),
        Err(_) => fs::rename(&part.0, target)?,
    }
    sync_folder(target)
}

fn exists() -> io::Error {
    let why = "it exists already, and a backup replaces nothing: name a file that is not there";
    io::Error::new(io::ErrorKind::AlreadyExists, why)
}
