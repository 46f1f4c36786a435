//! [`put`]: writes the contact sheet of a pilot (`--pilot`): its pictures side by side, each a
//! [`Pilot`]. `Reporter` collects the pictures, and calls it at the end of a batch.

use std::fs;
use std::path::{Path, PathBuf};

use effects_client::{AtomicFile, Sink};
use effects_core::{Error, ErrorKind};
use effects_render::{SheetPicture, contact_sheet};

use super::report::RowReport;

/// A picture for the sheet.
#[derive(Debug)]
pub(crate) struct Pilot {
    index: usize,
    path: PathBuf,
    title: String,
    caption: String,
}

impl Pilot {
    /// The picture of a row, if it has one.
    pub(crate) fn of(report: &RowReport) -> Option<Self> {
        let told = &report.told;
        let image = told.image.as_deref().unwrap_or_default();
        let name = image.rsplit('/').next().unwrap_or_default();
        Some(Self {
            index: told.index,
            path: report.paths.first()?.clone(),
            title: format!("{}: {name}", told.line.unwrap_or_default()),
            caption: told.template.clone().unwrap_or_default(),
        })
    }
}

/// Puts the sheet where it goes, in the order of the rows; none where there is no picture.
pub(crate) fn put(mut pilots: Vec<Pilot>, path: &Path) -> Result<Option<PathBuf>, Error> {
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
    let mut landing = AtomicFile::begin(path)?;
    landing.write(&sheet)?;
    landing.finish().map(Some)
}

/// Pixels of each picture on the sheet.
const SIDE: u32 = 320;
