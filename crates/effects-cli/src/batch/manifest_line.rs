//! [`LineEnding`]: what each line of the folder's `manifest.jsonl` has beside its row's object: the
//! gateway, the journal, and what another journal needs of a row that may be paid for ([`EndingOfRow`]).
//! `Results` and `FolderRows` end their lines with it and put them at the end of the file with [`append`];
//! [`lock`] keeps other batches from the file meanwhile.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use effects_core::{ServiceCode, Time};
use effects_jobs::{Attempt, Record, RowState};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::known_photos::KnownPhoto;
use super::report::RowStatus;

/// What every line of the manifest has beside the row's object.
#[derive(Serialize)]
pub(super) struct LineEnding<'a> {
    pub(super) origin: &'a str,
    pub(super) journal: Option<&'a str>,
    pub(super) journal_id: Option<&'a str>,
    #[serde(flatten)]
    pub(super) of_row: Option<EndingOfRow>,
}

/// What a journal needs of a row that may be paid for, beside the row's object.
#[derive(Serialize)]
pub(super) struct EndingOfRow {
    photo_hash: String,
    /// What the row's photo on this machine was when it was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    photo: Option<KnownPhoto>,
    #[serde(skip_serializing_if = "Option::is_none")]
    submitted_ms: Option<Time>,
    #[serde(skip_serializing_if = "Decimal::is_zero")]
    earlier_cost: Decimal,
    /// Why its task failed, where the row's own error says something else.
    #[serde(skip_serializing_if = "Option::is_none")]
    failed_task: Option<FailedTask>,
    /// Its submissions of unknown outcome: each may be billed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attempts: Vec<Attempt>,
}

/// Why a task failed that may have a bill, of a row whose new task was not sent.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct FailedTask {
    pub(super) code: Option<ServiceCode>,
    pub(super) message: String,
}

impl FailedTask {
    fn of(state: &RowState) -> Option<Self> {
        let RowState::Failed { code, message, .. } = state else { return None };
        Some(Self { code: code.clone(), message: message.clone() })
    }
}

impl LineEnding<'_> {
    /// Puts the object's fields at the end of the object that a line is, and ends the line.
    pub(super) fn end(&self, line: &mut Vec<u8>) {
        if line.pop_if(|last| *last == b'}').is_some() {
            // Texts and numbers can always be written.
            let fields = serde_json::to_string(self).unwrap_or_default();
            line.extend(fields.replacen('{', ",", 1).into_bytes());
        }
        line.push(b'\n');
    }
}

impl EndingOfRow {
    /// Of a row with this record, whose line says this of it.
    pub(super) fn of(record: &Record, status: RowStatus, photo: Option<KnownPhoto>) -> Self {
        // Without a task of the order, the line names the one whose picture is paid for.
        let paid = record.paid_picture.as_deref().filter(|_| record.state.task().is_none());
        let named = paid.unwrap_or(&record.state);
        Self {
            photo_hash: record.row.likeness.to_string(),
            photo,
            submitted_ms: named.submitted(),
            earlier_cost: record.paid - named.cost().unwrap_or_default(),
            failed_task: FailedTask::of(&record.state).filter(|_| status != RowStatus::Failed),
            attempts: record.state.attempts().to_vec(),
        }
    }
}

/// A line that names no task, naming this one.
pub(super) fn with_task(line: &[u8], id: &str) -> Vec<u8> {
    let text = String::from_utf8_lossy(line);
    let id = serde_json::Value::from(id);
    // Within a text a quote is escaped, so this is the field.
    text.replacen(r#""task_id":null"#, &format!(r#""task_id":{id}"#), 1).into_bytes()
}

/// Puts a line at the end of the file, which is made if it is not there.
pub(super) fn append(target: &Path, mut line: Vec<u8>) -> io::Result<()> {
    let _lock = lock(target);
    // In append mode each write goes to the file's end of that moment, also where another process has no
    // lock.
    let mut file = OpenOptions::new().read(true).append(true).create(true).open(target)?;
    if file.metadata()?.len() > 0 {
        let mut last = [0];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            // A run was killed in the middle of a line.
            line.insert(0, b'\n');
        }
    }
    file.write_all(&line)
}

/// Keeps other batches from the file until this is dropped: each of two that merge at once would lose
/// the other's lines. Where a folder takes no lock, they may.
#[cfg(unix)]
pub(super) fn lock(target: &Path) -> Option<File> {
    // The folder, and not the file: at its end a run replaces the file, and a lock on the one before
    // would keep no other process off.
    let folder = File::open(target.parent()?).ok()?;
    folder.lock().ok()?;
    Some(folder)
}

/// Elsewhere a folder is no file.
#[cfg(not(unix))]
pub(super) fn lock(_target: &Path) -> Option<File> {
    None
}
