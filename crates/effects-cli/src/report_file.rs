//! [`ReportFile`]: the path that an option such as `--report` names for a report of a [`ReportKind`]. It is
//! refused unless it is free, an empty file or an earlier report of this kind, known by its first bytes: no
//! other file is ever replaced. `commands/batch.rs` (`effects batch` and `effects watch`) and
//! `effects cost` check it before they begin; `batch/reports.rs` and `effects cost` write the report there.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use effects_client::is_special;
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
        // A pipe would hold the command up until it has a reader.
        if !own.contains(&self.path) && !is_special(&self.path) && self.is_free() {
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

    /// Whether no file is there, an empty one, or an earlier report.
    fn is_free(&self) -> bool {
        let (begins, mut start) = (self.kind.begins.as_bytes(), Vec::new());
        let file = File::open(&self.path);
        match file.and_then(|file| file.take(begins.len() as u64).read_to_end(&mut start)) {
            // An empty file has nothing to lose; `mktemp` makes one.
            Ok(_) => start.is_empty() || start == begins,
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        }
    }
}
