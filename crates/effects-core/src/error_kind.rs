//! [`ErrorKind`]: what kind of error an [`Error`](crate::Error) is. All crates that make errors choose a
//! kind; the job machine, the clients, the command and programs that use them decide by it what to do.
//! Its table ([`ErrorRow`]) gives each kind a name in JSON, a Python class and an exit code, for the
//! command and the Python package.

use serde::{Deserialize, Serialize};

/// What kind of thing went wrong: the row of [`ErrorKind::TABLE`] it stands in.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request breaks the service's rules; nothing was sent.
    InvalidRequest,
    /// An option is unusable; nothing was sent.
    Misconfigured,
    /// A file on this machine cannot be read as a photo; nothing was sent.
    UnusablePhoto,
    /// The service refused the request; nothing is billed.
    Rejected,
    /// The base URL has no such endpoint; nothing is billed.
    NoSuchEndpoint,
    /// The base URL redirects; the key is never sent after a redirect.
    Redirected,
    /// There is no key.
    MissingKey,
    /// The service refused the key.
    KeyRefused,
    /// The key may not do this.
    Forbidden,
    /// The account is out of credit.
    OutOfCredit,
    /// The caller's own budget would be exceeded; nothing was sent.
    BudgetExceeded,
    /// The service throttled to the end of the wait.
    RateLimited,
    /// The service could not be reached, or broke down.
    Transport,
    /// A recording is replayed and has no such request, or ends before it; nothing was sent.
    NotRecorded,
    /// The caller's deadline was over before anything was submitted.
    DeadlineExceeded,
    /// The answer of the service cannot be read.
    UnreadableAnswer,
    /// A photo could not be uploaded; nothing was submitted.
    Upload,
    /// A picture could not be downloaded; the task and its picture are there.
    Download,
    /// The task failed.
    TaskFailed,
    /// The task is completed, and has no picture.
    NoPicture,
    /// The service knows no such task.
    TaskNotFound,
    /// A submission's answer is lost: the task may exist and may be billed.
    OutcomeUnknown,
    /// The wait is over, the task is not.
    WaitTimeout,
    /// The caller stopped watching.
    Detached,
    /// The journal could not be written, so nothing more was sent.
    Journal,
}

/// One row of [`ErrorKind::TABLE`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ErrorRow {
    /// The kind.
    pub kind: ErrorKind,
    /// Its name in JSON.
    pub name: &'static str,
    /// The class the Python package raises.
    pub python_class: &'static str,
    /// The exit code of the command.
    pub exit_code: u8,
}

impl ErrorKind {
    /// Every kind, with its name in JSON, its Python class and its exit code: the one place where
    /// they are written down.
    pub const TABLE: [ErrorRow; 25] = [
        row(Self::InvalidRequest, "invalid_request", "InvalidRequest", 2),
        row(Self::Misconfigured, "misconfigured", "InvalidRequest", 2),
        row(Self::UnusablePhoto, "unusable_photo", "InvalidRequest", 2),
        row(Self::Rejected, "rejected", "InvalidRequest", 2),
        row(Self::NoSuchEndpoint, "no_such_endpoint", "InvalidRequest", 2),
        row(Self::Redirected, "redirected", "InvalidRequest", 2),
        row(Self::MissingKey, "missing_key", "AuthError", 3),
        row(Self::KeyRefused, "key_refused", "AuthError", 3),
        row(Self::Forbidden, "forbidden", "AuthError", 3),
        row(Self::OutOfCredit, "out_of_credit", "OutOfCredit", 6),
        row(Self::BudgetExceeded, "budget_exceeded", "BudgetExceeded", 6),
        row(Self::RateLimited, "rate_limited", "RateLimited", 9),
        row(Self::Transport, "transport", "TransportError", 7),
        row(Self::NotRecorded, "not_recorded", "TransportError", 7),
        row(Self::DeadlineExceeded, "deadline_exceeded", "DeadlineExceeded", 7),
        row(Self::UnreadableAnswer, "unreadable_answer", "UnreadableAnswer", 7),
        row(Self::Upload, "upload", "TransportError", 7),
        row(Self::Download, "download", "TransportError", 7),
        row(Self::TaskFailed, "task_failed", "TaskFailed", 4),
        row(Self::NoPicture, "no_picture", "TaskFailed", 4),
        row(Self::TaskNotFound, "task_not_found", "TaskNotFound", 4),
        row(Self::OutcomeUnknown, "outcome_unknown", "OutcomeUnknown", 8),
        row(Self::WaitTimeout, "wait_timeout", "WaitTimeout", 5),
        // 130 is what a shell reports of a command that Ctrl-C ended: 128 and SIGINT, which is 2.
        row(Self::Detached, "detached", "KeyboardInterrupt", 130),
        row(Self::Journal, "journal", "EffectsError", 1),
    ];

    /// Its row.
    pub const fn row(self) -> &'static ErrorRow {
        // The table stands in the order of the enum; a test holds it to that.
        &Self::TABLE[self as usize]
    }

    /// Its name in JSON.
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    /// The exit code of the command.
    pub const fn exit_code(self) -> u8 {
        self.row().exit_code
    }

    /// The class the Python package raises.
    pub const fn python_class(self) -> &'static str {
        self.row().python_class
    }
}

const fn row(
    kind: ErrorKind,
    name: &'static str,
    python_class: &'static str,
    exit_code: u8,
) -> ErrorRow {
    ErrorRow { kind, name, python_class, exit_code }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_stands_in_the_order_of_the_enum_and_names_match_serde() {
        for (index, row) in ErrorKind::TABLE.iter().enumerate() {
            assert_eq!(row.kind as usize, index);
            assert_eq!(row.kind.row(), row);
            let name = serde_json::to_string(&row.kind).unwrap();
            assert_eq!(name.trim_matches('"'), row.name);
        }
        // `Journal` is the last variant, so the table has a row for each.
        assert_eq!(ErrorKind::Journal as usize + 1, ErrorKind::TABLE.len());
    }
}
