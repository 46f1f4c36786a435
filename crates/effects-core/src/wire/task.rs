//! [`Task`]: a task as the service describes it in one answer, with its [`Status`], pictures, bill and
//! error ([`ServiceError`]). `wire/body.rs` reads it tolerantly. Runs decide by it (`run/verdict.rs`); a
//! single poll outside a run (`TaskHandle::status`, `effects status`, `effects doctor`, `status` in Python)
//! returns it.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::task_id::TaskId;
use crate::time::Time;
use crate::wire::code::ServiceCode;
use crate::wire::picture::Picture;
use crate::wire::raw::RawJson;
use crate::wire::response_excerpt::ResponseExcerpt;
use crate::wire::usage::Usage;

/// A task as the service showed it.
///
/// Every form in `tests/vectors/tasks.json` reads into it; what this library has no name for stays in
/// [`raw`](Self::raw).
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[non_exhaustive]
pub struct Task {
    /// Its id.
    pub id: TaskId,
    /// Where it is in its life; `None` when the answer did not say.
    pub status: Option<Status>,
    /// The model that works on it.
    pub model: Option<String>,
    /// When the service made it.
    pub created_at: Option<Time>,
    /// How far it says it is, `0.0..=1.0`.
    pub progress: Option<f64>,
    /// The pictures with a usable link; of a completed task, usually one.
    pub pictures: Vec<Picture>,
    /// What it cost.
    pub usage: Option<Usage>,
    /// What the service says went wrong.
    pub error: Option<ServiceError>,
    /// The service's own notes on it.
    pub metadata: Option<RawJson>,
    /// The whole answer, as the service wrote it.
    pub raw: RawJson,
    /// The HTTP response that showed it to a single look, without its body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<Box<ResponseExcerpt>>,
}

impl Task {
    /// A task of which nothing but the id is known.
    pub(crate) fn named(id: TaskId) -> Self {
        Self {
            id,
            status: None,
            model: None,
            created_at: None,
            progress: None,
            pictures: Vec::new(),
            usage: None,
            error: None,
            metadata: None,
            raw: RawJson::empty(),
            response: None,
        }
    }

    /// The service's name for the exchange that showed it, for the service's support.
    pub fn request_id(&self) -> Option<&str> {
        self.response.as_ref()?.request_id.as_deref()
    }
}

/// Where a task is in its life.
///
/// The service's page names `completed` and `failed`; the rest is what its clients and sibling
/// surfaces use (docs/reference/service.md).
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(from = "String", into = "String")]
#[non_exhaustive]
pub enum Status {
    /// Accepted, not begun: `submitted`, `pending`, `queued`, `in_queue`.
    Queued,
    /// Being worked on: `in_progress`, `processing`, `running`.
    InProgress,
    /// Done, with pictures: `completed`, `succeeded`, `success`, `done`.
    Completed,
    /// Over, without pictures: `failed`, `error`.
    Failed,
    /// Over, called off: `cancelled`, `canceled`.
    Cancelled,
    /// Over, without pictures: its time ran out, or what it made is kept no longer.
    Expired,
    /// Over, without pictures: the service would not do it.
    Rejected,
    /// A word that this library does not know; the task is taken to be still running.
    Unknown(Arc<str>),
}

impl Status {
    /// Whether no later look can show anything else.
    pub fn is_final(&self) -> bool {
        *self == Self::Completed || self.is_failure()
    }

    /// Whether the task is over and has no picture.
    pub fn is_failure(&self) -> bool {
        matches!(self, Self::Failed | Self::Cancelled | Self::Expired | Self::Rejected)
    }

    /// Whether it is an unknown word that sounds as if the task were over: `archived`, `moderated`. The
    /// task is taken to be running all the same, since a word is no proof.
    pub fn looks_final(&self) -> bool {
        let Self::Unknown(word) = self else { return false };
        let word = word.to_ascii_lowercase();
        let is_under_way = UNDER_WAY.iter().any(|known| word.ends_with(known));
        (word.ends_with("ed") && !is_under_way) || FINAL.contains(&&*word)
    }

    /// The word, as this library writes it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Queued => "queued",
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
            Self::Rejected => "rejected",
            Self::Unknown(word) => word,
        }
    }
}

/// Letter case, spaces and hyphens do not matter.
impl From<&str> for Status {
    fn from(word: &str) -> Self {
        // Nearly every word is written so already, and is read without a copy at each poll.
        let folded: Cow<'_, str> = if word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') {
            word.into()
        } else {
            word.trim().to_ascii_lowercase().replace(['-', ' '], "_").into()
        };
        match &*folded {
            "submitted" | "pending" | "queued" | "in_queue" => Self::Queued,
            "in_progress" | "processing" | "running" => Self::InProgress,
            "completed" | "succeeded" | "success" | "done" => Self::Completed,
            "failed" | "error" => Self::Failed,
            "cancelled" | "canceled" => Self::Cancelled,
            "expired" => Self::Expired,
            "rejected" => Self::Rejected,
            // It is shown and saved, and the service may write anything there.
            _ => Self::Unknown(word.trim().chars().take(64).collect::<String>().into()),
        }
    }
}

impl From<String> for Status {
    fn from(word: String) -> Self {
        word.as_str().into()
    }
}

impl From<Status> for String {
    fn from(status: Status) -> Self {
        status.as_str().to_owned()
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Words of services for tasks that are under way, although they end as those of finished ones do.
const UNDER_WAY: [&str; 14] = [
    "accepted",
    "assigned",
    "claimed",
    "created",
    "delayed",
    "enqueued",
    "initialized",
    "paused",
    "received",
    "requested",
    "retried",
    "scheduled",
    "started",
    "suspended",
];

/// Words of finished tasks that end in another way.
const FINAL: [&str; 6] = ["dead", "gone", "not_found", "timeout", "timed_out", "unsafe"];

/// What the service says went wrong: with a task, or with a request.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct ServiceError {
    /// Its code, if it gave one.
    pub code: Option<ServiceCode>,
    /// Its words; empty if it gave none.
    pub message: String,
}

impl ServiceError {
    /// Whether it speaks of money: the two words by which a 402 is told from other refusals.
    pub fn mentions_balance(&self) -> bool {
        // A code can be words as well: `insufficient_balance`.
        let code = self.code.as_ref().map_or("", ServiceCode::as_str);
        let words = format!("{code} {}", self.message).to_ascii_lowercase();
        ["balance", "credit"].iter().any(|word| words.contains(word))
    }
}

impl fmt::Display for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let meaning = self.code.as_ref().and_then(ServiceCode::meaning);
        match (self.message.as_str(), meaning) {
            ("", None) => f.write_str("no reason given")?,
            ("", Some(meaning)) => f.write_str(meaning)?,
            (message, _) => f.write_str(message)?,
        }
        match &self.code {
            Some(code) => write!(f, " ({code})"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_words_read_in_any_case() {
        for (word, status) in [
            ("COMPLETED", Status::Completed),
            ("In-Progress", Status::InProgress),
            (" IN_QUEUE ", Status::Queued),
            ("canceled", Status::Cancelled),
        ] {
            assert_eq!(Status::from(word), status);
        }
        let unknown = Status::from("Polishing");
        assert_eq!((unknown.as_str(), unknown.is_final()), ("Polishing", false));
        for (word, is_failure) in [("Expired", true), ("REJECTED", true), ("done", false)] {
            let status = Status::from(word);
            assert_eq!((status.is_final(), status.is_failure()), (true, is_failure), "{word}");
        }
    }

    #[test]
    fn unknown_words_that_sound_final_are_told_from_others() {
        for word in ["archived", "Moderated", "BLOCKED", "already_completed", "timeout"] {
            let status = Status::from(word);
            assert!(status.looks_final() && !status.is_final(), "{word}");
        }
        for word in ["polishing", "started", "cancellation_requested", "waiting", "failed", "7", ""]
        {
            assert!(!Status::from(word).looks_final(), "{word}");
        }
    }
}
