//! [`RunningMark`]: a locked file in the output folder that names a running batch's rows and journal; a
//! batch that is killed leaves it there. [`JournalInUse::check`] reads the marks in a folder, and refuses a
//! batch of some of the same rows with another journal. `Batch::take_folder`, for `effects batch` and
//! `effects watch`, checks and then writes the mark; `Batch::plan` only checks.
//!
//! The folder's `manifest.jsonl` tells of rows that came to their ends. Of those on their way, and after a
//! kill, only this mark tells a batch with another journal that they may be paid for and that its
//! journal does not know them.
//! The rows are named before their photos are read, by what their lines ask for: a photo that was
//! renamed since is not recognised here.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use effects_client::random_name;
use effects_core::{Error, ErrorKind};
use effects_jobs::JournalStore;
use serde::{Deserialize, Serialize};

use super::options::Batch;
use super::output_paths::RESULTS;
use super::request_hash::RequestHash;
use super::rows::Checker;
use crate::failure::Failure;
use crate::journal;

/// The mark of a batch that runs; dropped, it is gone.
#[derive(Debug)]
pub(super) struct RunningMark {
    path: PathBuf,
    /// Locked as long as the process lives: a mark that takes a lock was left by a kill.
    _locked: File,
}

/// What is in the file: the journal that a batch at this gateway writes, and its rows.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct JournalInUse {
    origin: String,
    journal: String,
    journal_id: Option<String>,
    rows: HashSet<RequestHash>,
    /// Whether any row may be one of its rows: of a folder that is watched they are not known before.
    #[serde(default)]
    any: bool,
}

impl RunningMark {
    /// Marks the folder, which must be there.
    ///
    /// # Errors
    ///
    /// Those of [`JournalInUse::check`], and when the folder cannot be read or written.
    pub(super) fn begin(batch: &Batch<'_>, own: &JournalInUse) -> Result<Self, Failure> {
        let out = &batch.settings.out;
        let put = || -> io::Result<Self> {
            let name = random_name()?;
            let part = out.join(format!(".{RESULTS}.{name}.part"));
            let path = out.join(format!(".{RESULTS}.{name}{MARK_SUFFIX}"));
            // Written and locked before it gets its name, so that no other batch reads half a mark, or
            // takes one that has no lock yet for a killed batch's.
            let mut file = File::create_new(&part)?;
            file.write_all(serde_json::to_string(own)?.as_bytes())?;
            // Where a file system has no locks, no mark is taken for a left one.
            let _ = file.lock();
            fs::rename(&part, &path)?;
            Ok(Self { path, _locked: file })
        };
        let mark = put().map_err(|error| unusable(out, &error))?;
        // Of two batches that begin at once, at least the later one sees the other's mark.
        own.refuse_others(batch, Some(&mark.path))?;
        Ok(mark)
    }
}

impl Drop for RunningMark {
    fn drop(&mut self) {
        // A mark that stays says what is true: this journal was used here.
        let _ = fs::remove_file(&self.path);
    }
}

impl JournalInUse {
    /// What a batch would write into its mark; `None` where nothing is journaled.
    ///
    /// # Errors
    ///
    /// When the journal or the manifest cannot be read.
    pub(super) fn of(
        batch: &Batch<'_>,
        store: Option<&dyn JournalStore>,
    ) -> Result<Option<Self>, Failure> {
        let Some(path) = batch.journal else { return Ok(None) };
        let id = store.map_or(Ok(None), JournalStore::id);
        let mut checker = Checker::new(batch.settings);
        let mut rows = HashSet::new();
        for line in batch.manifest.lines(batch.settings.template.is_some())? {
            // What is wrong with a row is reported elsewhere.
            rows.extend(
                checker.check(line?).ok().map(|checked_row| RequestHash::of(&checked_row.label)),
            );
        }
        Ok(Some(Self {
            origin: batch.settings.origin.to_string(),
            journal: path.to_string_lossy().into_owned(),
            journal_id: id.map_err(|error| journal::failure(&error))?,
            rows,
            any: batch.manifest.is_watched(),
        }))
    }

    /// Whether a batch with another journal does some of these rows in the folder, or was killed there.
    ///
    /// # Errors
    ///
    /// When one does or was: what it has paid for would be paid for again.
    pub(super) fn check(&self, batch: &Batch<'_>) -> Result<(), Failure> {
        self.refuse_others(batch, None)
    }

    /// Refuses where a mark names another journal for some of these rows. With the mark of this batch,
    /// `own_mark`, in place, those that a kill left are removed where it says as much as they do.
    fn refuse_others(&self, batch: &Batch<'_>, own_mark: Option<&Path>) -> Result<(), Failure> {
        let out = &batch.settings.out;
        let fail = |error: &io::Error| unusable(out, error);
        let entries = match fs::read_dir(out) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(|error| fail(&error))?,
        };
        for entry in entries {
            let path = entry.map_err(|error| fail(&error))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let is_mark = name.starts_with(&format!(".{RESULTS}.")) && name.ends_with(MARK_SUFFIX);
            if !is_mark || !path.is_file() || own_mark == Some(&path) {
                continue;
            }
            // A batch that ends meanwhile takes its mark away.
            let Ok(text) = fs::read(&path) else { continue };
            let Ok(mark) = serde_json::from_slice::<Self>(&text) else { continue };
            if mark.origin != self.origin || !self.shares_rows_with(&mark) {
                continue;
            }
            // A process that has ended, by whatever means, holds no lock any more.
            let is_left = File::open(&path).is_ok_and(|file| file.try_lock().is_ok());
            if !self.is_of_one_journal_with(&mark) && !batch.options.pay_again {
                return Err(refusal(&mark, self, out, is_left));
            }
            if is_left && own_mark.is_some() && self.has_all_rows_of(&mark) {
                let _ = fs::remove_file(&path);
            }
        }
        Ok(())
    }

    fn shares_rows_with(&self, other: &Self) -> bool {
        self.any || other.any || !self.rows.is_disjoint(&other.rows)
    }

    fn has_all_rows_of(&self, other: &Self) -> bool {
        self.any || !other.any && other.rows.is_subset(&self.rows)
    }

    fn is_of_one_journal_with(&self, other: &Self) -> bool {
        // A journal that is not made yet has no id; then its path tells.
        match (&self.journal_id, &other.journal_id) {
            (Some(own), Some(others)) => own == others,
            _ => self.journal == other.journal,
        }
    }
}

fn refusal(mark: &JournalInUse, own: &JournalInUse, out: &Path, is_left: bool) -> Failure {
    let (folder, theirs, ours) = (out.display(), &mark.journal, &own.journal);
    let rows = match mark.rows.intersection(&own.rows).count() {
        _ if mark.any || own.any => "may do the same rows".to_owned(),
        count => format!("does {count} of these rows too"),
    };
    let what = if is_left { "was broken off" } else { "is running" };
    let way_out = match (mark.journal == own.journal, is_left) {
        (true, _) => {
            "that file was deleted or replaced since: give the one that was there with --journal, and no backup \
             from before: it does not know what was submitted since"
                .to_owned()
        }
        (false, true) => format!("go on with --journal {theirs}"),
        (false, false) => format!("wait for its end, or use --journal {theirs} as well"),
    };
    let message = format!(
        "a batch with the journal {theirs} {what} in {folder}, which {rows}, and what it has paid for is \
         not in the journal {ours}: {way_out}; or pay once more with --pay-again; nothing was sent"
    );
    Error::new(ErrorKind::Misconfigured, message).into()
}

fn unusable(out: &Path, error: &io::Error) -> Failure {
    let message = format!("--out {} cannot be used, so nothing was sent: {error}", out.display());
    Error::new(ErrorKind::Misconfigured, message).into()
}

const MARK_SUFFIX: &str = ".running";
