//! [`Manifest`]: the list of a batch's rows: a CSV file (`csv.rs`), a JSON Lines file (`json_lines.rs`), or
//! a folder of photos (`folder.rs`), which may be watched. `commands/batch.rs` and `commands/watch.rs` make
//! one; the steps of `batch/`, from the checks of the folder to the report, read its lines ([`ManifestLine`])
//! and check them with `Checker`. `watcher.rs` lists a watched folder, and `interruptible.rs` counts its
//! photos. `text.rs` decodes files, and `columns.rs` has the values of a line ([`Cells`]).
//!
//! It is read more than once: to know what is wrong with it before anything is sent, for the work, and for a
//! report of what has no end. Each row is known by its place, which must be the same every time: a folder is
//! listed once, a watched one keeps its photos in the order they came, and a file is copied
//! (`table_copy.rs`).

mod columns;
mod csv;
mod folder;
mod json_lines;
mod table_copy;
mod text;

use std::fs;
use std::io::{self, BufRead};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use effects_core::{Error, ErrorKind};

pub(crate) use columns::{Cells, unknown};
pub(crate) use folder::{FolderListing, FoundFile};
use table_copy::TableCopy;

/// A manifest that can be read as often as needed.
#[derive(Clone, Debug)]
pub(crate) struct Manifest {
    path: PathBuf,
    format: ManifestFormat,
    /// Whether a column that is left out, and looks like one of ours, is an error.
    strict: bool,
    /// Of a folder whose folders are read too: the folder of the pictures, which is none of them.
    recursive_except: Option<PathBuf>,
    /// Of a folder: its photos, in the order of their rows. Where it is watched, those that came so far.
    // Clones share it: the thread of the rows adds photos, and the main thread counts them.
    photos: Arc<Mutex<Vec<PathBuf>>>,
    /// Of a folder: what a person should know of it.
    warnings: Vec<String>,
}

/// How a manifest is written; of a file, with what was in it.
#[derive(Clone, Debug)]
enum ManifestFormat {
    Csv(TableCopy),
    JsonLines(TableCopy),
    Folder,
    /// A folder of photos that come while the batch runs.
    WatchedFolder,
}

/// One row as it stands there.
#[derive(Debug)]
pub(crate) struct ManifestLine {
    /// Where it begins, from 1; in a folder, its place by name, and where that is watched, by its coming.
    pub(crate) number: u64,
    /// What it says, or why it cannot be read.
    pub(crate) cells: Result<Cells, String>,
}

/// The rows of a manifest, being read.
pub(crate) struct ManifestLines {
    rows: Box<dyn Iterator<Item = Result<ManifestLine, Error>> + Send>,
    /// Columns of no meaning here, as they are found; each is a warning once.
    warnings: Vec<String>,
}

impl Manifest {
    /// The manifest at this path. If it is `strict`, a column that is left out, and looks like one of
    /// ours, is an error. With `recursive_except`, the folders of a folder are read too, but not this one.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or is no folder and is to be read recursively.
    pub(crate) fn at(
        path: &Path,
        strict: bool,
        recursive_except: Option<PathBuf>,
    ) -> Result<Self, Error> {
        if path == Path::new("-") {
            return Err(unusable(
                path,
                "a batch goes on by the same line again, so its rows cannot come from stdin: save them as a file",
            ));
        }
        let found = fs::metadata(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                unusable(path, "there is no such file or folder: give the path of one")
            }
            _ => unreadable(path, &error),
        })?;
        if !found.is_dir() && !found.is_file() {
            let why =
                "it is no regular file, and a batch goes on by the same line again: save it as one";
            return Err(unusable(path, why));
        }
        if recursive_except.is_some() && !found.is_dir() {
            return Err(unusable(
                path,
                "it is no folder, so --recursive says nothing: leave it out",
            ));
        }
        let path = path.to_owned();
        if !found.is_dir() {
            let table = TableCopy::of(&path, MAX_IN_MEMORY);
            let table = table.map_err(|error| unreadable(&path, &error))?;
            let (format, photos, warnings) = (format_of(&path, table)?, Arc::default(), Vec::new());
            return Ok(Self { path, format, strict, recursive_except, photos, warnings });
        }
        let (photos, warnings) = folder::read(&path, recursive_except.as_deref())?;
        let (format, photos) = (ManifestFormat::Folder, Arc::new(Mutex::new(photos)));
        Ok(Self { path, format, strict, recursive_except, photos, warnings })
    }

    /// A folder whose photos come while the batch runs: its rows are those that [arrived](Self::arrive).
    ///
    /// # Errors
    ///
    /// When it cannot be read, or is no folder.
    pub(crate) fn watched(path: &Path, recursive_except: Option<PathBuf>) -> Result<Self, Error> {
        let found = fs::metadata(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                let folder = path.display();
                let why = format!("there is no folder {folder}: create it first, or give another");
                Error::new(ErrorKind::Misconfigured, why)
            }
            _ => unreadable(path, &error),
        })?;
        if !found.is_dir() {
            return Err(unusable(path, "it is no folder: give one, or do it with `effects batch`"));
        }
        let watched = Self {
            path: path.to_owned(),
            format: ManifestFormat::WatchedFolder,
            strict: false,
            recursive_except,
            photos: Arc::default(),
            warnings: Vec::new(),
        };
        // A folder that cannot be read is refused now. Once it is watched, it is waited for.
        watched.list().map_err(|error| unreadable(&watched.path, &error))?;
        Ok(watched)
    }

    /// Whether it is a folder of photos, where no row names a template.
    pub(crate) fn is_folder(&self) -> bool {
        matches!(self.format, ManifestFormat::Folder | ManifestFormat::WatchedFolder)
    }

    /// Whether photos come while the batch runs.
    pub(crate) fn is_watched(&self) -> bool {
        matches!(self.format, ManifestFormat::WatchedFolder)
    }

    /// What is in the folder now.
    pub(crate) fn list(&self) -> io::Result<FolderListing> {
        folder::list(&self.path, self.recursive_except.as_deref())
    }

    /// Why a file of the folder is no row, in words.
    pub(crate) fn why_left_out(&self, file: &Path) -> String {
        folder::why_left_out(&self.path, file)
    }

    /// Takes a photo of a watched folder as its next row.
    pub(crate) fn arrive(&self, photo: PathBuf) -> ManifestLine {
        let mut photos = self.photos.lock().unwrap_or_else(PoisonError::into_inner);
        photos.push(photo.clone());
        folder::line_of(photos.len() as u64, photo)
    }

    /// The row of a photo of a watched folder that arrived before, at this place among the rows.
    pub(crate) fn arrive_again(index: usize, photo: PathBuf) -> ManifestLine {
        folder::line_of(index as u64 + 1, photo)
    }

    /// How many photos a folder has; where it is watched, those that came so far.
    pub(crate) fn photo_count(&self) -> u64 {
        self.photos.lock().unwrap_or_else(PoisonError::into_inner).len() as u64
    }

    /// The folder that paths in it start from.
    pub(crate) fn folder(&self) -> &Path {
        match self.format {
            ManifestFormat::Folder | ManifestFormat::WatchedFolder => &self.path,
            ManifestFormat::Csv(_) | ManifestFormat::JsonLines(_) => {
                self.path.parent().unwrap_or(Path::new(""))
            }
        }
    }

    /// The warning about a manifest of nothing but a header.
    pub(crate) fn without_rows(&self) -> String {
        format!(
            "manifest {} has no rows, so nothing is sent and nothing is paid",
            self.path.display()
        )
    }

    /// Its rows from the first. `has_template` says whether rows may go without one.
    pub(crate) fn lines(&self, has_template: bool) -> Result<ManifestLines, Error> {
        match &self.format {
            ManifestFormat::Csv(table) => csv::read(&self.path, table, has_template, self.strict),
            ManifestFormat::JsonLines(table) => json_lines::read(&self.path, table, self.strict),
            ManifestFormat::Folder | ManifestFormat::WatchedFolder => {
                // Those that are here now: photos may go on coming while these rows are read.
                let (count, photos) = (self.photo_count(), Arc::clone(&self.photos));
                let rows = (1..=count).zip(0..).map(move |(number, place): (u64, usize)| {
                    let photos = photos.lock().unwrap_or_else(PoisonError::into_inner);
                    Ok(folder::line_of(number, photos[place].clone()))
                });
                Ok(ManifestLines::new(rows).with_warnings(self.warnings.clone()))
            }
        }
    }
}

impl ManifestLines {
    fn new(rows: impl Iterator<Item = Result<ManifestLine, Error>> + Send + 'static) -> Self {
        Self { rows: Box::new(rows), warnings: Vec::new() }
    }

    fn with_warnings(self, warnings: Vec<String>) -> Self {
        Self { warnings, ..self }
    }

    /// What a person should know of the manifest as a whole.
    pub(crate) fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

impl Iterator for ManifestLines {
    type Item = Result<ManifestLine, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.rows.next()
    }
}

/// By its name, else by how it begins: an object can only be JSON Lines.
fn format_of(path: &Path, table: TableCopy) -> Result<ManifestFormat, Error> {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
    match ending.as_deref() {
        Some("csv") => return Ok(ManifestFormat::Csv(table)),
        Some("jsonl" | "ndjson" | "json") => return Ok(ManifestFormat::JsonLines(table)),
        _ => {}
    }
    // Opened as text, so that a workbook or an archive is named here, before its rows are bad one by one.
    let (mut file, _) = text::open(path, &table)?;
    let start = file.fill_buf().map_err(|error| unreadable(path, &error))?;
    let begins = start.iter().find(|byte| !byte.is_ascii_whitespace());
    Ok(if begins == Some(&b'{') {
        ManifestFormat::JsonLines(table)
    } else {
        ManifestFormat::Csv(table)
    })
}

fn unreadable(path: &Path, error: &io::Error) -> Error {
    unusable(path, &format!("cannot be read: {error}"))
}

fn unusable(path: &Path, why: &str) -> Error {
    Error::new(ErrorKind::Misconfigured, format!("manifest {}: {why}", path.display()))
}

/// A larger table is copied to a temporary file: this has a hundred thousand rows.
const MAX_IN_MEMORY: u64 = 16 * 1024 * 1024;
