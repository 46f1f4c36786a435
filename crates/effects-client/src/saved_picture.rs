//! [`PictureState`]: compares the file of a picture with what the journal recorded of it (size, time,
//! SHA-256): gone, kept, changed or not recorded. `jobs/placement.rs` asks it which pictures are still there,
//! so that these are not fetched again, and the command's `batch/present_pictures.rs` for counts and reports.
//! `JobContext` and the command's `journal.rs` record saved files by [`record_picture`];
//! `batch/pictures_by_content.rs` compares files by [`file_digest`].

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::{Path, absolute};
use std::time::UNIX_EPOCH;

use effects_core::Time;
use effects_core::journal::{JournalError, RowNumber};
use effects_jobs::{JournalStore, OpenRow, PictureRecord, RowName, SavedContent};
use sha2::{Digest, Sha256};

use crate::atomic_file::sync_folder_of;

/// What stands where a picture of a row was saved.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PictureState {
    /// Nothing, an empty file, or a file that was saved there for another row since.
    Gone,
    /// The file that was saved, by its size and time.
    Kept,
    /// The picture of this row, and the journal does not know its file so: an earlier version saved
    /// it, or its time differs although its bytes are the same. Tell the journal with
    /// [`record_picture`].
    Unrecorded,
    /// Another content than was saved: a person changed the picture.
    Changed,
}

impl PictureState {
    /// What stands where the journal has a picture of this row. Its bytes are read only where size
    /// and time do not tell.
    ///
    /// # Errors
    ///
    /// Those of [`JournalStore::find`].
    ///
    /// # Example
    ///
    /// ```
    /// use effects_client::PictureState;
    /// use effects_core::journal::RowNumber;
    /// use effects_jobs::{MemoryStore, PictureRecord};
    ///
    /// let path = Some("/nowhere/ball.png".into());
    /// let picture = PictureRecord { url: String::new(), path, content: None };
    /// let state = PictureState::of(&MemoryStore::new(), RowNumber(1), &picture)?;
    /// assert_eq!(state, PictureState::Gone);
    /// # Ok::<(), effects_core::journal::JournalError>(())
    /// ```
    pub fn of(
        store: &dyn JournalStore,
        row: RowNumber,
        picture: &PictureRecord,
    ) -> Result<Self, JournalError> {
        let Some(path) = &picture.path else { return Ok(Self::Gone) };
        let Some(found) = picture_at(path) else { return Ok(Self::Gone) };
        // Another length is another content, so no byte has to be read.
        if let Some(saved) = picture.content.filter(|saved| saved.size == found.len()) {
            if modified(&found) == saved.modified {
                return Ok(Self::Kept);
            }
            if file_digest(path).is_ok_and(|digest| digest == saved.digest) {
                return Ok(Self::Unrecorded);
            }
        }
        // Two rows may have been saved to one path, the second over the first.
        let last = store.find(&RowName::Picture(path.clone()))?;
        Ok(match picture.content {
            _ if last.is_some_and(|last| last.number != row) => Self::Gone,
            None => Self::Unrecorded,
            Some(_) => Self::Changed,
        })
    }
}

/// Tells a row's journal that a picture is in this file; `index` is its place in the effect. The file is
/// read, so that [`PictureState`] knows it again.
///
/// # Errors
///
/// Those of [`OpenRow::picture_saved`].
pub fn record_picture(row: &OpenRow, index: usize, path: &Path) -> Result<(), JournalError> {
    // A file that cannot be read is adopted by its next reader, as one that an earlier version saved.
    record(row, index, path, || file_digest(path).ok())
}

/// Tells a row's journal, as [`record_picture`] does, of a picture that was just saved: the file has these
/// bytes, and need not be read for them.
pub(crate) fn record_saved(
    row: &OpenRow,
    index: usize,
    path: &Path,
    bytes: &[u8],
) -> Result<(), JournalError> {
    record(row, index, path, || Some(Sha256::digest(bytes).into()))
}

/// What cannot be read again, a device or a pipe, has no digest that would tell it.
fn record(
    row: &OpenRow,
    index: usize,
    path: &Path,
    digest: impl FnOnce() -> Option<[u8; 32]>,
) -> Result<(), JournalError> {
    // A journal is read from other folders too. Fails only for an empty path, or without a current folder.
    let whole = absolute(path).unwrap_or_else(|_| path.to_owned());
    let content = picture_at(path).and_then(|found| {
        Some(SavedContent { size: found.len(), modified: modified(&found), digest: digest()? })
    });
    if content.is_some() {
        // Before the journal names it: a crash must not take the name of a picture that is paid for.
        sync_folder_of(&whole);
    }
    row.picture_saved(index, &whole, content)
}

/// Whether a picture may be in this file: an empty one has none.
pub fn is_picture(path: &Path) -> bool {
    picture_at(path).is_some()
}

fn picture_at(path: &Path) -> Option<Metadata> {
    path.metadata().ok().filter(|found| found.is_file() && found.len() > 0)
}

/// When a file was last modified; the epoch where the system does not say.
fn modified(found: &Metadata) -> Time {
    let since = found.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let millis = since.unwrap_or_default().as_millis();
    Time::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
}

/// The SHA-256 of a file's bytes, as a journal keeps it of a saved picture.
///
/// # Errors
///
/// When the file cannot be read.
pub fn file_digest(path: &Path) -> io::Result<[u8; 32]> {
    let (mut file, mut hash, mut buffer) = (File::open(path)?, Sha256::new(), vec![0; 64 * 1024]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hash.finalize().into()),
            read => hash.update(&buffer[..read]),
        }
    }
}
