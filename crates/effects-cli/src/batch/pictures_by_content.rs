//! [`PicturesByContent`]: the pictures that were saved for the rows of an output folder, by the size and
//! hash of their bytes. `Batch::watch` fills it from the journal and looks up each photo that arrives: a
//! photo that is a copy of such a picture is left out and not ordered.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use effects_client::file_digest;
use effects_core::journal::RowNumber;
use effects_jobs::{Record, RowState, SavedContent};

/// The pictures as they were saved, by their size: only files of such a size are read.
#[derive(Debug, Default)]
pub(super) struct PicturesByContent(HashMap<u64, Vec<([u8; 32], RowNumber)>>);

impl PicturesByContent {
    /// Takes the pictures of a row; whether all of them are saved.
    pub(super) fn add(&mut self, record: &Record) -> bool {
        // A row with a new order under way still has the picture of its earlier one.
        let states = [Some(&record.state), record.paid_picture.as_deref()];
        for state in states.into_iter().flatten() {
            let RowState::Completed { pictures, .. } = state else { continue };
            for SavedContent { size, digest, .. } in pictures.iter().filter_map(|it| it.content) {
                let known = self.0.entry(size).or_default();
                if !known.contains(&(digest, record.number)) {
                    known.push((digest, record.number));
                }
            }
        }
        match &record.state {
            RowState::Completed { pictures, .. } => pictures.iter().all(|it| it.path.is_some()),
            _ => false,
        }
    }

    /// The row whose picture has the same bytes as a file.
    pub(super) fn row_of(&self, file: &Path) -> Option<RowNumber> {
        let made = self.0.get(&fs::metadata(file).ok()?.len())?;
        // One that cannot be read is reported when it is checked.
        let digest = file_digest(file).ok()?;
        made.iter().find(|(made, _)| *made == digest).map(|(_, row)| *row)
    }
}
