//! [`FolderRows`]: keeps the `manifest.jsonl` of a batch's folder up to date where another command goes on
//! with its rows: it finds the folder whose manifest has the row, and appends a line with the row's state
//! in the journal, if that is new. `effects reorder` (before and after it submits), `effects resume` and
//! `effects resolve` each make one.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use effects_core::journal::{JournalError, RowNumber};
use effects_core::{Error, ErrorKind, Time};
use effects_jobs::{Attempt, Identity, JournalStore, Record, RowName, RowState};

use super::earlier_line::{EarlierLine, earlier_lines};
use super::manifest_line::{EndingOfRow, LineEnding, append, with_task};
use super::output_paths::RESULTS;
use super::present_pictures::pictures_if_all_present;
use super::report::{RowReport, RowStatus};

/// The folders of rows, as far as their manifests tell.
pub(crate) struct FolderRows<'a> {
    store: &'a dyn JournalStore,
    /// Where the journal is, and its id.
    journal: Option<String>,
    journal_id: Option<String>,
    /// The last line of each row, by the folder.
    manifests: HashMap<PathBuf, EarlierLines>,
}

type EarlierLines = HashMap<(Option<String>, Identity), EarlierLine>;

impl<'a> FolderRows<'a> {
    /// Over this journal, which is there.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub(crate) fn new(
        store: &'a dyn JournalStore,
        journal: Option<&Path>,
    ) -> Result<Self, JournalError> {
        let journal = journal.map(|path| path.to_string_lossy().into_owned());
        Ok(Self { store, journal, journal_id: store.id()?, manifests: HashMap::new() })
    }

    /// Puts how the row of a report stands now at the end of its folder's manifest, if that tells of the
    /// row and says something else.
    ///
    /// # Errors
    ///
    /// When the journal or the manifest cannot be read, or the manifest cannot be written.
    pub(crate) fn note(&mut self, report: &RowReport) -> Result<(), Error> {
        let Some(record) = self.record(report.row)? else { return Ok(()) };
        self.put(&record, Some(report))
    }

    /// The same, of a row that no report is made of.
    ///
    /// # Errors
    ///
    /// Those of [`note`](Self::note).
    pub(crate) fn note_state(&mut self, row: RowNumber) -> Result<(), Error> {
        let Some(record) = self.record(Some(row))? else { return Ok(()) };
        self.put(&record, None)
    }

    /// Puts into its folder's manifest, before anything is sent, that a new order of a row is under way:
    /// should this process be killed, the folder tells that it may be billed, and which picture is paid for.
    ///
    /// # Errors
    ///
    /// Those of [`note`](Self::note).
    pub(crate) fn note_order(&mut self, row: RowNumber, now: Time) -> Result<(), Error> {
        let Some(record) = self.record(Some(row))? else { return Ok(()) };
        // Without names, as no submission has left yet; an attempt all the same, since it may be billed
        // from now on.
        let unnamed =
            Attempt { request_id: String::new(), idempotency_key: String::new(), at: now };
        let is_completed = matches!(record.state, RowState::Completed { .. });
        let ordered = Record {
            paid_picture: is_completed.then(|| Box::new(record.state.clone())),
            state: RowState::Doubtful { attempts: vec![unnamed], reason: UNDER_WAY.to_owned() },
            ..record
        };
        self.put(&ordered, None)
    }

    fn record(&self, row: Option<RowNumber>) -> Result<Option<Record>, Error> {
        let Some(row) = row else { return Ok(None) };
        self.store.find(&RowName::Number(row)).map_err(|error| failed(&error))
    }

    fn put(&mut self, record: &Record, ended: Option<&RowReport>) -> Result<(), Error> {
        let pictures =
            pictures_if_all_present(self.store, record).map_err(|error| failed(&error))?;
        let Some((folder, earlier)) = self.folder_of(record)? else { return Ok(()) };
        let mut report = RowReport::left(earlier.label(), record, pictures);
        if let Some(ended) = ended
            && report.task == ended.task
        {
            report.method = ended.method;
        }
        // An id that the file has is never replaced by none.
        let paid = || report.paid_picture.as_ref().map(|paid| &paid.task_id);
        let task = report.task.as_ref().or_else(paid).map(ToString::to_string);
        let task = task.or_else(|| earlier.task_id.clone());
        let attempts = record.state.attempts();
        // Nothing is new: each look at the row would add a line.
        if earlier.has_same_state(task.as_deref(), report.paid(), report.status, attempts) {
            return Ok(());
        }
        let mut line = report.json().into_bytes();
        if let Some(task) = &task {
            line = with_task(&line, task);
        }
        let may_be_paid = task.is_some() || report.status == RowStatus::Doubtful;
        let of_row =
            may_be_paid.then(|| EndingOfRow::of(record, report.status, report.label.photo));
        let (journal, journal_id) = (self.journal.as_deref(), self.journal_id.as_deref());
        let origin = record.row.origin.to_string();
        LineEnding { origin: &origin, journal, journal_id, of_row }.end(&mut line);
        let last = serde_json::from_slice(&line).ok();
        let manifest = folder.join(RESULTS);
        append(&manifest, line).map_err(|error| {
            let why = format!("{} cannot be written: {error}", manifest.display());
            Error::new(ErrorKind::Download, why)
        })?;
        // The next report of the row is compared with this line.
        let known = (Some(origin), record.row.identity);
        if let (Some(lines), Some(last)) = (self.manifests.get_mut(&folder), last) {
            lines.insert(known, last);
        }
        Ok(())
    }

    /// The nearest folder, from where the row's picture is wanted upwards, whose manifest tells of the
    /// row, and its line.
    fn folder_of(&mut self, record: &Record) -> Result<Option<(PathBuf, &EarlierLine)>, Error> {
        // A relative path would be looked for from the folder that this command was started in.
        let Some(target) = record.row.target.as_ref().filter(|path| path.is_absolute()) else {
            return Ok(None);
        };
        let known = (Some(record.row.origin.to_string()), record.row.identity);
        let mut found = None;
        // Upwards, since a row's `out` may have folders below that of the batch.
        for folder in target.ancestors() {
            if self.lines(folder)?.contains_key(&known) {
                found = Some(folder.to_owned());
                break;
            }
        }
        Ok(found.and_then(|folder| {
            let line = self.manifests.get(&folder)?.get(&known)?;
            Some((folder, line))
        }))
    }

    fn lines(&mut self, folder: &Path) -> Result<&EarlierLines, Error> {
        if !self.manifests.contains_key(folder) {
            let manifest = folder.join(RESULTS);
            let lines = read(&manifest, self.journal_id.as_deref()).map_err(|error| {
                let why = format!("{} cannot be read: {error}", manifest.display());
                Error::new(ErrorKind::Download, why)
            })?;
            self.manifests.insert(folder.to_owned(), lines);
        }
        Ok(&self.manifests[folder])
    }
}

fn read(manifest: &Path, journal_id: Option<&str>) -> io::Result<EarlierLines> {
    let mut lines = EarlierLines::new();
    // A pipe of this name would be waited for.
    if !manifest.is_file() {
        return Ok(lines);
    }
    for text in earlier_lines(manifest)? {
        let Some(line) = text?.line else { continue };
        let Some(identity) = line.identity() else { continue };
        let known = (line.origin.clone(), identity);
        // Another journal may have paid for the row, too, and a row is compared with its own line.
        let is_own = |line: &EarlierLine| line.journal_id.as_deref() == journal_id;
        if is_own(&line) || !lines.get(&known).is_some_and(is_own) {
            lines.insert(known, line);
        }
    }
    Ok(lines)
}

fn failed(error: &JournalError) -> Error {
    Error::new(ErrorKind::Journal, error.to_string())
}

const UNDER_WAY: &str = "a new order of it was under way, and its answer is not known here";
