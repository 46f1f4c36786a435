//! [`write()`]: copies the whole SQLite database of a journal to a new file while other processes write
//! the journal; the file stands there only once all of it is on the disk, and replaces none. On a file
//! system without hard links an empty file has its name for the moment before.
//! `WriterThread` (`writer_thread.rs`) calls it for `SqliteJournal::backup`, and so for
//! `effects journal backup`.

use std::fs::{self, File, OpenOptions};
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
    let placed = fs::hard_link(&part.0, target).or_else(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Err(error),
        // A file system without hard links.
        _ => move_to_new(&part.0, target),
    });
    placed.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => exists(),
        _ => error,
    })?;
    sync_folder(target)
}

/// Moves a file to a name that no file has. A rename replaces what is there, so the name is taken first.
fn move_to_new(part: &Path, target: &Path) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).open(target)?;
    fs::rename(part, target).inspect_err(|_| {
        // The empty file is this function's own. One that stays is refused as any other by the next backup.
        let _ = fs::remove_file(target);
    })
}

fn exists() -> io::Error {
    let why = "it exists already, and a backup replaces nothing: name a file that is not there";
    io::Error::new(io::ErrorKind::AlreadyExists, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_hard_links_no_file_is_replaced_that_came_after_the_look() {
        let folder = tempfile::tempdir().unwrap();
        let (part, target) = (folder.path().join("part"), folder.path().join("copy.db"));
        fs::write(&part, "copy").unwrap();
        fs::write(&target, "mine").unwrap();
        let error = move_to_new(&part, &target).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&target).unwrap(), "mine");
        fs::remove_file(&target).unwrap();
        move_to_new(&part, &target).unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "copy");
        // What cannot be moved leaves nothing behind.
        fs::remove_file(&target).unwrap();
        assert!(move_to_new(&part, &target).is_err() && !target.exists());
    }
}
