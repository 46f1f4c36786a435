//! What stands where pictures go: whether a file can keep one ([`is_special`]), and whether all pictures of
//! a row are where they were saved ([`all_there`]).

use std::path::{Path, PathBuf};

use effects_client::PictureState;
use effects_core::{JournalError, JournalStore, Record, Standing};

/// Whether something stands there that is neither a file nor a folder: a device or a pipe, say, which
/// keeps no picture and may never be opened.
pub(super) fn is_special(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| !found.is_file() && !found.is_dir())
}

/// The pictures of a row that the journal has as completed, if all of them are still where they were
/// saved.
pub(super) fn all_there(
    store: &dyn JournalStore,
    record: &Record,
) -> Result<Option<Vec<PathBuf>>, JournalError> {
    let Standing::Completed { pictures, .. } = &record.standing else { return Ok(None) };
    let mut paths = Vec::new();
    for picture in pictures {
        match (&picture.path, PictureState::of(store, record.number, picture)?) {
            (Some(path), state) if state != PictureState::Gone => paths.push(path.clone()),
            _ => return Ok(None),
        }
    }
    Ok((!paths.is_empty()).then_some(paths))
}
