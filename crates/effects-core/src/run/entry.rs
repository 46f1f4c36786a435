//! [`Entry`]: a record for the journal, with a [`Fact`]: the run is about to submit, it has a task's id, or
//! a submission made no task. A `Run`, alone or in a `Batch`, makes it and sends nothing until its driver
//! has written it with `Journal::write` or `AsyncJournal::write`, which a journal that lasts answers once
//! it is on disk. Journals and trackers of submissions read the fact.

use serde::{Deserialize, Serialize};

use super::submission::Submission;
use crate::task_id::TaskId;
use crate::time::Time;

/// A fact about a run to make durable before it goes on; confirmed with
/// [`Run::recorded`](crate::Run::recorded).
///
/// It holds no credentials.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Entry {
    /// Its name within the run.
    pub id: EntryId,
    /// When the fact happened.
    pub at: Time,
    /// The fact.
    pub fact: Fact,
}

/// The fact of an [`Entry`].
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact {
    /// A submission is about to leave. Until one of the other facts follows, its fate is unknown.
    Intent {
        /// What is asked for.
        request: Submission,
        /// How many attempts were made before this one.
        attempt: u32,
        /// The `X-Request-Id` of this attempt.
        request_id: String,
        /// The `Idempotency-Key` of the submission.
        idempotency_key: String,
    },
    /// A task exists. A run whose repeated submission made two tasks records each of them; it follows
    /// the first.
    Created {
        /// Its id.
        task_id: TaskId,
        /// The `X-Request-Id` of the attempt that made it, where that is known.
        #[serde(default)]
        request_id: Option<String>,
    },
    /// The intents so far made no task: the submission was refused, or never left. Another intent
    /// may follow. The run gives no such entry while the outcome of an attempt is unknown.
    Released {
        /// Why.
        reason: String,
    },
}

/// The name of an [`Entry`] within its run.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct EntryId(pub(crate) u32);
