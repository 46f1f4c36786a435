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
//!
//! A file beside the mark has a line for each task that the batch submits, as the manifest would have it. An
//! older copy of the journal, which has its id, is told by a task that it does not know. One from between the
//! last task and the kill is not told.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use effects_client::random_name;
use effects_core::{Error, ErrorKind, Origin, TaskId};
use effects_jobs::{JournalStore, RowName};
use serde::{Deserialize, Serialize};

use super::earlier_line::earlier_lines;
use super::options::Batch;
use super::other_journal::unreadable;
use super::output_paths::RESULTS;
use super::request_hash::RequestHash;
use super::rows::Checker;
use crate::failure::Failure;
use crate::journal;
use crate::rerun_line::quoted;

/// The mark of a batch that runs; dropped, it is gone.
#[derive(Debug)]
pub(super) struct RunningMark {
    path: PathBuf,
    /// The tasks that it submitted, in a file that is made for the first of them.
    submitted: Option<File>,
    /// Locked as long as the process lives: a mark that takes a lock was left by a kill.
    _locked: File,
}

/// What is in the file: the journal that a batch at this gateway writes, and its rows.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct JournalInUse {
    origin: Origin,
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
    pub(super) fn begin(
        batch: &Batch<'_>,
        store: Option<&dyn JournalStore>,
        own: &JournalInUse,
    ) -> Result<Self, Failure> {
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
            Ok(Self { path, submitted: None, _locked: file })
        };
        let mark = put().map_err(|error| unusable(out, &error))?;
        // Of two batches that begin at once, at least the later one sees the other's mark.
        own.refuse_others(batch, store, Some(&mark.path))?;
        Ok(mark)
    }

    /// Keeps the line of a row that has a new task.
    pub(super) fn note_submitted(&mut self, line: &[u8]) {
        if self.submitted.is_none() {
            self.submitted = appended(&submitted_beside(&self.path)).ok();
        }
        // Of a file that cannot be written, the journal tells, unless it is lost as well.
        let _ = self.submitted.as_mut().map(|file| file.write_all(line));
    }
}

impl Drop for RunningMark {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

/// Removes a mark and what is beside it.
fn remove(mark: &Path) {
    // What stays says what is true: this journal was used here.
    let _ = fs::remove_file(mark).and_then(|()| fs::remove_file(submitted_beside(mark)));
}

/// Puts the tasks of a killed batch to those of the one that goes on with its rows: killed as well, it has
/// followed them, and submitted none of them.
fn take_over(left: &Path, own: &Path) -> io::Result<()> {
    let mut tasks = match File::open(submitted_beside(left)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        file => file?,
    };
    let mut own = appended(&submitted_beside(own))?;
    io::copy(&mut tasks, &mut own)?;
    // The kill may have cut the last line off.
    own.write_all(b"\n")
}

fn appended(path: &Path) -> io::Result<File> {
    File::options().append(true).create(true).open(path)
}

/// The file of the tasks that the batch of a mark submitted.
fn submitted_beside(mark: &Path) -> PathBuf {
    mark.with_extension("submitted")
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
            origin: batch.settings.origin.clone(),
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
    /// When one does or was: what it has paid for would be paid for again. Where this journal is a copy from
    /// before the batch that was killed.
    pub(super) fn check(
        &self,
        batch: &Batch<'_>,
        store: Option<&dyn JournalStore>,
    ) -> Result<(), Failure> {
        self.refuse_others(batch, store, None)
    }

    /// Refuses where a mark names another journal for some of these rows. With the mark of this batch,
    /// `own_mark`, in place, those that a kill left are removed where it says as much as they do.
    fn refuse_others(
        &self,
        batch: &Batch<'_>,
        store: Option<&dyn JournalStore>,
        own_mark: Option<&Path>,
    ) -> Result<(), Failure> {
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
                return Err(refusal(&mark, self, out, is_left.then_some(&*path)));
            }
            if is_left
                && !batch.options.pay_again
                && let Some(task) = self.forgotten_task(store, &path)?
            {
                return Err(refusal_of_copy(&task, self, &path));
            }
            if let Some(own_mark) = own_mark
                && is_left
                && self.has_all_rows_of(&mark)
                && (batch.options.pay_again || take_over(&path, own_mark).is_ok())
            {
                remove(&path);
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
        // A store in memory has no id; then its path tells. A file that is not there has none either, and is
        // not the one of a mark that names an id.
        match &other.journal_id {
            None => self.journal == other.journal,
            id => self.journal_id == *id,
        }
    }

    /// A task that the batch of this left mark submitted, and that the journal does not know.
    fn forgotten_task(
        &self,
        store: Option<&dyn JournalStore>,
        mark: &Path,
    ) -> Result<Option<TaskId>, Failure> {
        let Some(store) = store else { return Ok(None) };
        let submitted = submitted_beside(mark);
        let unreadable = |error: io::Error| unreadable(&submitted, &error);
        for text in earlier_lines(&submitted).map_err(unreadable)? {
            let line = text.map_err(unreadable)?.line;
            let task = line.and_then(|line| line.task_id?.parse::<TaskId>().ok());
            if let Some(task) = task {
                let name = RowName::Task(self.origin.clone(), task.clone());
                if store.find(&name).map_err(|error| journal::failure(&error))?.is_none() {
                    return Ok(Some(task));
                }
            }
        }
        Ok(None)
    }
}

/// Why a batch stops: another one does its rows, with the journal of this mark, and may have been killed.
fn refusal(mark: &JournalInUse, own: &JournalInUse, out: &Path, left: Option<&Path>) -> Failure {
    let (folder, theirs, ours) = (out.display(), &mark.journal, &own.journal);
    let rows = match mark.rows.intersection(&own.rows).count() {
        _ if mark.any || own.any => "may do the same rows".to_owned(),
        count => format!("does {count} of these rows too"),
    };
    let what = if left.is_some() { "was broken off" } else { "is running" };
    let way_out = match left {
        _ if mark.journal == own.journal => {
            "that file was deleted or replaced since: give the one that was there with --journal"
                .to_owned()
        }
        Some(_) => format!("go on with --journal {theirs}"),
        None => format!("wait for its end, or use --journal {theirs} as well"),
    };
    let lost = left.map(|left| where_lost(left, own)).unwrap_or_default();
    let message = format!(
        "a batch with the journal {theirs} {what} in {folder}, which {rows}, and what it has paid for is \
         not in the journal {ours}: {way_out}{lost}; or pay once more with --pay-again; nothing was sent"
    );
    Error::new(ErrorKind::Misconfigured, message).into()
}

/// Why a batch stops whose journal does not know a task of the batch that left this mark.
fn refusal_of_copy(task: &TaskId, own: &JournalInUse, left: &Path) -> Failure {
    let (journal, rebuild) = (&own.journal, rebuild(&submitted_beside(left), own));
    let folder = left.parent().unwrap_or(left).display();
    let message = format!(
        "the journal {journal} is an older copy of the one of a batch that was broken off in {folder}: it \
         does not know task {task}, nor what was being submitted then: give the one that was there with \
         --journal; if that is lost, {rebuild}; then the same line goes on, and pays once more only for what \
         was being submitted at the kill; or pay once more with --pay-again; nothing was sent"
    );
    Error::new(ErrorKind::Misconfigured, message).into()
}

/// What to do where the journal is lost of the batch that left this mark, and another takes its place.
fn where_lost(left: &Path, own: &JournalInUse) -> String {
    let (mark, submitted) = (left.display(), submitted_beside(left));
    let first = match submitted.exists() {
        true => {
            let rebuild = rebuild(&submitted, own);
            format!("{rebuild}, and then delete {mark} and {}", submitted.display())
        }
        false => format!("delete {mark}"),
    };
    format!(
        "; if that is lost, {first}; then the same line goes on, and pays once more only for what was being \
         submitted at the kill"
    )
}

/// How this journal takes in the tasks of a killed batch.
fn rebuild(submitted: &Path, own: &JournalInUse) -> String {
    let (from, journal) = (quoted(&submitted.to_string_lossy()), quoted(&own.journal));
    format!("take in its tasks with `effects journal rebuild --from {from} --journal {journal}`")
}

fn unusable(out: &Path, error: &io::Error) -> Failure {
    let message = format!("--out {} cannot be used, so nothing was sent: {error}", out.display());
    Error::new(ErrorKind::Misconfigured, message).into()
}

const MARK_SUFFIX: &str = ".running";
