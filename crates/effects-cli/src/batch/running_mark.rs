//! [`RunningMark`]: a locked file in the output folder that names a running batch's rows and journal; a
//! batch that is killed leaves it there, and so does one that cannot write the folder's manifest, or cannot go
//! on with what a killed one left. [`JournalInUse::check`] reads the marks in a folder, and refuses a
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
use std::thread;

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

/// The mark of a batch that runs, until it [ends](Self::end). Dropped before, it is gone as well, unless
/// rows of it may have been submitted.
#[derive(Debug)]
pub(super) struct RunningMark {
    path: PathBuf,
    /// The tasks that it submitted, in a file that is made for the first of them.
    submitted: Option<File>,
    /// Rows were submitted, by this batch or by a killed one that it goes on with.
    has_submitted: bool,
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
            Ok(Self { path, submitted: None, has_submitted: false, _locked: file })
        };
        let mut mark = put().map_err(|error| unusable(out, &error))?;
        // Of two batches that begin at once, at least the later one sees the other's mark.
        for left in own.refuse_others(batch, store, Some(&mark.path))? {
            mark.take_over(&left, batch);
        }
        Ok(mark)
    }

    /// Takes the place of a mark that a kill left, with what was submitted: killed as well, this batch has
    /// followed those tasks, and submitted none of them.
    fn take_over(&mut self, left: &LeftMark, batch: &Batch<'_>) {
        let submitted = submitted_beside(&left.path);
        if !left.is_known {
            // A person pays once more for rows whose tasks no manifest and not this journal tells of.
            if fs::remove_file(&left.path).is_ok() && submitted.exists() {
                batch.output.note_always(&format!(
                    "the tasks of the batch that was broken off stay listed in {}",
                    submitted.display()
                ));
            }
            return;
        }
        let copied = match File::open(&submitted) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            tasks => tasks
                .and_then(|mut tasks| io::copy(&mut tasks, &mut appended(&self.submitted_path())?)),
        };
        self.has_submitted = true;
        // Where they cannot be copied, the mark that was left stays beside this one.
        if copied.is_ok() {
            remove(&left.path);
        }
    }

    /// Keeps the line of a row that has a new task.
    ///
    /// # Errors
    ///
    /// When it cannot be written: then only the journal has the task, until the batch ends.
    pub(super) fn note_submitted(&mut self, line: &[u8]) -> io::Result<()> {
        self.has_submitted = true;
        let file = self.submitted.take().map_or_else(|| appended(&self.submitted_path()), Ok);
        // One that a line could not be written to is opened anew for the next.
        let mut file = file?;
        file.write_all(line)?;
        self.submitted = Some(file);
        Ok(())
    }

    /// The file of the tasks that it submitted.
    pub(super) fn submitted_path(&self) -> PathBuf {
        submitted_beside(&self.path)
    }

    /// Removes the mark, once the folder's manifest tells of its rows.
    pub(super) fn end(mut self) {
        self.has_submitted = false;
    }
}

impl Drop for RunningMark {
    fn drop(&mut self) {
        if !self.has_submitted && !thread::panicking() {
            remove(&self.path);
        }
    }
}

/// Removes a mark and what is beside it.
fn remove(mark: &Path) {
    // What stays says what is true: this journal was used here.
    let _ = fs::remove_file(mark).and_then(|()| fs::remove_file(submitted_beside(mark)));
}

/// Opens the file of submitted tasks for another line.
fn appended(path: &Path) -> io::Result<File> {
    let mut file = File::options().append(true).create(true).open(path)?;
    // A kill or a full disk may have cut the last line off.
    if file.metadata()?.len() > 0 {
        file.write_all(b"\n")?;
    }
    Ok(file)
}

/// The file of the tasks that the batch of a mark submitted.
fn submitted_beside(mark: &Path) -> PathBuf {
    mark.with_extension("submitted")
}

/// A mark that a kill left, of no rows but those of the batch that begins.
struct LeftMark {
    path: PathBuf,
    /// The journal of the batch that begins is its own, and knows its tasks.
    is_known: bool,
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
        self.refuse_others(batch, store, None).map(drop)
    }

    /// Refuses where a mark, but for that of this batch, names another journal for some of these rows. Returns
    /// those that a kill left, and that the mark of this batch says as much as.
    fn refuse_others(
        &self,
        batch: &Batch<'_>,
        store: Option<&dyn JournalStore>,
        own_mark: Option<&Path>,
    ) -> Result<Vec<LeftMark>, Failure> {
        let (out, mut left) = (&batch.settings.out, Vec::new());
        let fail = |error: &io::Error| unusable(out, error);
        let entries = match fs::read_dir(out) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(left),
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
            let is_of_this_journal = self.is_of_one_journal_with(&mark);
            let forgotten = match is_left && is_of_this_journal {
                true => self.forgotten_task(store, &path)?,
                false => None,
            };
            if !batch.options.pay_again {
                if !is_of_this_journal {
                    return Err(refusal(&mark, self, out, is_left.then_some(&*path)));
                }
                if let Some(task) = &forgotten {
                    return Err(refusal_of_copy(task, self, &path));
                }
            }
            if is_left && self.has_all_rows_of(&mark) {
                left.push(LeftMark { path, is_known: is_of_this_journal && forgotten.is_none() });
            }
        }
        Ok(left)
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
