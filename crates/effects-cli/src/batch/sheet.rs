//! [`put`]: writes the contact sheet of a pilot (`effects batch --pilot N`, which does the first N rows):
//! its pictures side by side, each a [`PilotPicture`]. `Reporter` collects the pictures as rows end, and
//! calls it at the end of the batch. `commands/batch.rs` calls [`check`] before anything is sent: a sheet replaces no
//! file but an earlier sheet.

use std::fs;
use std::path::{Path, PathBuf};

use effects_client::{AtomicFile, Sink};
use effects_core::{Error, ErrorKind};
use effects_render::{CONTACT_SHEET_MARK, SheetPicture, contact_sheet};

use super::report::RowReport;
use crate::report_file::{is_free, put_where_free};

/// A picture for the sheet.
#[derive(Debug)]
pub(crate) struct PilotPicture {
    index: usize,
    path: PathBuf,
    title: String,
    caption: String,
}

impl PilotPicture {
    /// The picture of a row, if it has one.
    pub(crate) fn of(report: &RowReport) -> Option<Self> {
        let label = &report.label;
        let image = label.image.as_deref().unwrap_or_default();
        let name = image.rsplit('/').next().unwrap_or_default();
        Some(Self {
            index: label.index,
            path: report.paths.first()?.clone(),
            title: format!("{}: {name}", label.line.unwrap_or_default()),
            caption: label.template.clone().unwrap_or_default(),
        })
    }
}

/// Refuses a place of the sheet that has another file: the user's own, which has that name by chance.
///
/// # Errors
///
/// [`ErrorKind::Misconfigured`].
pub(crate) fn check(path: &Path) -> Result<(), Error> {
    if is_free(path, START_BYTES, is_earlier_sheet) {
        return Ok(());
    }
    let why = format!(
        "{} is no contact sheet of a pilot, which would replace it: move it, or give another folder with --out; \
         nothing was sent",
        path.display()
    );
    Err(Error::new(ErrorKind::Misconfigured, why))
}

fn is_earlier_sheet(start: &[u8]) -> bool {
    start.windows(CONTACT_SHEET_MARK.len()).any(|part| part == CONTACT_SHEET_MARK)
}

/// Puts the sheet where it goes, in the order of the rows; none where there is no picture.
pub(crate) fn put(mut pilots: Vec<PilotPicture>, path: &Path) -> Result<Option<PathBuf>, Error> {
    if pilots.is_empty() {
        return Ok(None);
    }
    // Rows end in any order.
    pilots.sort_by_key(|pilot| pilot.index);
    // One that cannot be read is a grey square, like one that cannot be understood.
    let files: Vec<Vec<u8>> =
        pilots.iter().map(|pilot| fs::read(&pilot.path).unwrap_or_default()).collect();
    let pictures: Vec<SheetPicture<'_>> = pilots
        .iter()
        .zip(&files)
        .map(|(pilot, file)| SheetPicture {
            picture: file,
            title: &pilot.title,
            caption: &pilot.caption,
        })
        .collect();
    let fails = |error: effects_render::PaintError| {
        Error::new(ErrorKind::Download, format!("the contact sheet cannot be made: {error}"))
    };
    let sheet = contact_sheet(&pictures, SIDE).map_err(fails)?;
    let mut file = AtomicFile::begin(path)?;
    file.write(&sheet)?;
    put_where_free(file, path, START_BYTES, is_earlier_sheet).map(Some)
}

/// The chunk of a sheet's title comes after its size, and its program's name.
const START_BYTES: usize = 256;

/// Pixels of each picture on the sheet.
const SIDE: u32 = 320;
