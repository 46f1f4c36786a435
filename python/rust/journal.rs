//! The journals of this process, one for each file.

use std::collections::HashMap;
use std::path::{Path, PathBuf, absolute};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use effects_client::Ledger;
use effects_core::{Error, ErrorKind, JournalError, JournalStore, Record, Standing};
use effects_journal::SqliteJournal;
use pyo3::prelude::*;

type Open = HashMap<PathBuf, Weak<SqliteJournal>>;

/// The journals that are open, with the process they belong to: threads do not survive `fork()`.
static OPEN: Mutex<Option<(u32, Open)>> = Mutex::new(None);

/// The ledger over a file, which is made if it is not there.
pub fn ledger(_holds_the_lock: Python<'_>, path: &Path) -> Result<Ledger, Error> {
    let path = absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    let process = std::process::id();
    if !matches!(&*open, Some((owner, _)) if *owner == process) {
        // A parent's journals are written by threads that are not here, and must not be told.
        std::mem::forget(open.replace((process, Open::new())));
    }
    let (_, open) = open.get_or_insert_with(|| (process, Open::new()));
    if let Some(journal) = open.get(&path).and_then(Weak::upgrade) {
        return Ok(Ledger::new(journal));
    }
    let journal = Arc::new(SqliteJournal::open(&path).map_err(|error| failed(&error))?);
    open.insert(path, Arc::downgrade(&journal));
    Ok(Ledger::new(journal))
}

/// A journal's error as the clients' own.
pub fn failed(error: &JournalError) -> Error {
    let kind = match error {
        JournalError::KeyReused { .. } => ErrorKind::InvalidRequest,
        _ => ErrorKind::Journal,
    };
    Error::new(kind, error.to_string())
}

/// What a doubtful row is to whoever wants its picture.
pub fn doubtful(record: &Record) -> Error {
    let row = record.number;
    let trouble = match &record.standing {
        Standing::Doubtful { trouble, .. } => trouble.as_str(),
        _ => "",
    };
    let message = format!(
        "row {row} of the journal is doubtful ({trouble}): its task may exist and may be billed, so \
         it is not sent again; find out, then: effects resolve {row} --task ID, or --not-billed"
    );
    Error::new(ErrorKind::OutcomeUnknown, message)
}

/// What a row that failed before is: the verdict, without another look.
pub fn verdict(record: &Record) -> Option<Error> {
    let Standing::Failed { task, message, code, .. } = &record.standing else { return None };
    let code = code.as_ref().map(|code| format!(" ({code})")).unwrap_or_default();
    let message = format!("task {task} failed in an earlier run: {message}{code}");
    Some(Error::new(ErrorKind::TaskFailed, message).about(task))
}

/// Makes sure of everything that was told to the journal. It blocks.
pub fn flush(store: &Arc<dyn JournalStore>) -> Result<(), Error> {
    store.flush().map_err(|error| failed(&error))
}
