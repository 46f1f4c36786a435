//! [`pictures_if_all_present`]: the paths of a completed row's pictures, if every one is still where it
//! was saved (one that a person has changed counts as there). `preflight.rs` calls it to count the row as
//! kept or to be downloaded, `reporter.rs` and `folder_rows.rs` to name the pictures in reports and in the
//! folder's `manifest.jsonl`; what is downloaded again is decided in `jobs/placement.rs` of
//! `effects-client`.

use std::path::PathBuf;

use effects_client::PictureState;
use effects_core::journal::JournalError;
use effects_jobs::{JournalStore, Record, RowState};

/// The pictures of a row that the journal has as completed, if all of them are still where they were
/// saved.
pub(super) fn pictures_if_all_present(
    store: &dyn JournalStore,
    record: &Record,
) -> Result<Option<Vec<PathBuf>>, JournalError> {
    let RowState::Completed { pictures, .. } = &record.state else { return Ok(None) };
    let mut paths = Vec::new();
    for picture in pictures {
        match (&picture.path, PictureState::of(store, record.number, picture)?) {
            // A picture that a person has changed counts as there: it is kept, with a warning.
            (Some(path), state) if state != PictureState::Gone => paths.push(path.clone()),
            _ => return Ok(None),
        }
    }
    Ok((!paths.is_empty()).then_some(paths))
}
