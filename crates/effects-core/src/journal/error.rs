//! [`JournalError`]: why a journal refused or failed: it cannot be read or written, a newer release wrote
//! it, another run has the row, the key names another request. `Journal`, `AsyncJournal` and the
//! `JournalStore` of `effects-jobs` return it. Drivers and jobs end a run whose entry was not written,
//! before it sends anything more; the command and the Python package show the error.

use std::fmt;
use std::path::PathBuf;

use crate::run::admission::RowNumber;

/// The journal could not do what was asked of it. A run whose entry was not written sends nothing more.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum JournalError {
    /// It could not be written; the reason, in the store's words.
    Unwritable(String),
    /// It could not be read; the reason, in the store's words.
    Unreadable(String),
    /// A newer version of this software wrote it, and an older one must not touch it.
    Newer {
        /// The format it has.
        found: u32,
        /// The newest format this version knows.
        known: u32,
    },
    /// No copy of it could be written; nothing was changed.
    NotCopied {
        /// Where the copy was to be.
        target: PathBuf,
        /// Why not.
        reason: String,
    },
    /// Another run has the row, or has settled it: this run must not submit it.
    Taken {
        /// The row.
        row: RowNumber,
    },
    /// The run's task arrived after a person had settled its row otherwise (`effects resolve`). The task
    /// is kept in a row of its own.
    GivenAway {
        /// The row the run was of.
        row: RowNumber,
        /// The row that is the task's alone.
        kept: RowNumber,
    },
    /// The key names a row already that asks for something else.
    KeyReused {
        /// The key.
        key: String,
        /// The row that has it.
        row: RowNumber,
        /// What differs: `template`, `size`, `params` or `image`.
        differs: &'static str,
    },
    /// There is no such row.
    NoSuchRow(RowNumber),
    /// The row's state does not allow this.
    WrongRowState {
        /// The row.
        row: RowNumber,
        /// Its state: `intent`, `doubtful`, `created`, `completed`, `failed` or `released`.
        state: &'static str,
        /// The state that this needs, in words.
        wanted: &'static str,
    },
    /// The task is another row's.
    TaskOfAnotherRow {
        /// The row that has the task.
        row: RowNumber,
    },
}

impl fmt::Display for JournalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unwritable(reason) => {
                write!(f, "the journal could not be written, so nothing more was sent: {reason}")
            }
            Self::Unreadable(reason) => write!(f, "the journal could not be read: {reason}"),
            Self::Newer { found, known } => write!(
                f,
                "the journal has format {found}, written by a newer version; this one knows \
                 formats up to {known}: use the newer version, or another journal"
            ),
            Self::NotCopied { target, reason } => {
                write!(f, "the journal could not be copied to {}: {reason}", target.display())
            }
            Self::Taken { row } => write!(
                f,
                "row {row} of the journal is in the hands of another run, so this one sent nothing"
            ),
            Self::GivenAway { row, kept } => write!(
                f,
                "row {row} of the journal was settled otherwise before its task came; the task is \
                 kept as row {kept}"
            ),
            Self::KeyReused { key, row, differs } => write!(
                f,
                "key {key:?} is row {row} of the journal already, with {}: give this row a key of its \
                 own, or use another journal",
                another(differs)
            ),
            Self::NoSuchRow(row) => write!(f, "the journal has no row {row}"),
            Self::WrongRowState { row, state, wanted } => {
                write!(f, "row {row} of the journal is {state}, not {wanted}")
            }
            Self::TaskOfAnotherRow { row } => {
                write!(f, "that task is row {row} of the journal already")
            }
        }
    }
}

impl std::error::Error for JournalError {}

/// What differs in a row of the same key, in words: `another size`, `other parameters`.
pub fn another(differs: &str) -> String {
    match differs {
        "params" => "other parameters".to_owned(),
        one => format!("another {one}"),
    }
}
