//! [`ReportFile`]: the path that an option such as `--report` names for a report of a [`ReportKind`]. It is
//! refused unless it is free, an empty file or an earlier report of this kind, known by its first bytes.
//! `commands/batch.rs` and `effects cost` make one; `Batch::check_folder` (for `run`, `watch` and `plan`) and
//! `effects cost` check it before anything is sent; `batch/report_csv.rs`, `batch/report_page.rs` and
//! `effects cost` write the report there with [`put`](ReportFile::put), which looks again. `batch/sheet.rs`
//! looks in the same way ([`is_free`], [`put_where_free`]), and `Checker` claims the paths, so that no picture
//! goes there.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use effects_client::{AtomicFile, is_special};
use effects_core::{Error, ErrorKind};

use crate::failure::Failure;

/// A kind of report.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReportKind {
    /// The option that asks for it.
    pub(crate) option: &'static str,
    /// What every file of this kind begins with.
    pub(crate) begins: &'static str,
}

/// Where a report goes.
#[derive(Clone, Debug)]
pub(crate) struct ReportFile {
    kind: ReportKind,
    /// Absolute.
    pub(crate) path: PathBuf,
}

impl ReportFile {
    /// The file of this name.
    pub(crate) fn of(kind: ReportKind, given: &Path) -> Result<Self, Failure> {
        let path = std::path::absolute(given).map_err(Failure::system)?;
        Ok(Self { kind, path })
    }

    /// Why the path cannot be a file (a folder, or no parent folder), if so. `made` is a folder that the
    /// command will create.
    pub(crate) fn unusable(&self, made: Option<&Path>) -> Option<String> {
        let folder = self.path.parent();
        // No folder is made for a report; that of --out will be there by then.
        let has_folder = folder.is_some_and(|folder| folder.is_dir() || made == Some(folder));
        (self.path.is_dir() || !has_folder).then(|| {
            let (option, path) = (self.kind.option, self.path.display());
            format!("{option} {path} cannot be a file: make its folder, or give another")
        })
    }

    /// Refuses a path with another file (a journal, a picture) or one of the command's `own` files: a
    /// report must not replace it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misconfigured`].
    pub(crate) fn check(&self, own: &[PathBuf]) -> Result<(), Error> {
        if !own.contains(&self.path) && self.is_free() {
            return Ok(());
        }
        let why = format!(
            "{} {} is no place for a report, which would replace what is there: give the name of a new \
             file, or of an earlier report; nothing was sent",
            self.kind.option,
            self.path.display()
        );
        Err(Error::new(ErrorKind::Misconfigured, why))
    }

    /// Puts a report in its place, unless another file came there since the check.
    ///
    /// # Errors
    ///
    /// When another file came, or the report cannot be written.
    pub(crate) fn put(&self, report: AtomicFile) -> Result<PathBuf, Error> {
        put_where_free(report, &self.path, self.start_bytes(), |start| self.is_earlier(start))
    }

    /// Whether no file is there, an empty one, or an earlier report.
    fn is_free(&self) -> bool {
        is_free(&self.path, self.start_bytes(), |start| self.is_earlier(start))
    }

    fn start_bytes(&self) -> usize {
        self.kind.begins.len()
    }

    fn is_earlier(&self, start: &[u8]) -> bool {
        start == self.kind.begins.as_bytes()
    }
}

/// Whether no file is at a path, an empty one, or one that may be replaced by its first bytes, so many of them.
pub(crate) fn is_free(
    path: &Path,
    start_bytes: usize,
    is_earlier: impl FnOnce(&[u8]) -> bool,
) -> bool {
    // A pipe would hold the command up until it has a writer.
    if is_special(path) {
        return false;
    }
    let mut start = Vec::new();
    let file = File::open(path);
    match file.and_then(|file| file.take(start_bytes as u64).read_to_end(&mut start)) {
        // An empty file has nothing to lose; `mktemp` makes one.
        Ok(_) => start.is_empty() || is_earlier(&start),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

/// Moves a file to its place at a path, if that is still free, as [`is_free`] says.
///
/// # Errors
///
/// When the place is not free, or the file cannot be written.
pub(crate) fn put_where_free(
    file: AtomicFile,
    path: &Path,
    start_bytes: usize,
    is_earlier: impl FnOnce(&[u8]) -> bool,
) -> Result<PathBuf, Error> {
    let put = match is_free(path, start_bytes, is_earlier) {
        true if path.exists() => file.finish().map(Some),
        // Looks and moves in one, so that it replaces nothing that comes in between.
        true => file.finish_new(),
        false => Ok(None),
    };
    put?.ok_or_else(|| {
        let why = format!(
            "{} is not written, since another file came there meanwhile, which stays: move it, and the same line \
             writes this one",
            path.display()
        );
        Error::new(ErrorKind::Download, why)
    })
}
