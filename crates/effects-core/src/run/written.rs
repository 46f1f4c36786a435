//! The states as they are saved: version 1 of the format, whatever shape they have in memory.

use serde::{Deserialize, Serialize};

use super::compact::{MaybeShare, MaybeTime};
use super::outcome::Unknown;
use super::seldom::{Missing, Report};
use super::submission::Submission;
use super::submit::{self, Submitting};
use super::wait::{self, Reason, Waiting};
use super::{Core, State};
use crate::gateway::call::CallId;
use crate::pace::Label;
use crate::seed::Uuid;
use crate::task_id::TaskId;
use crate::time::Time;
use crate::wire::answer::lost;
use crate::wire::task::Status;
use crate::wire::trouble::Trouble;

/// [`Submitting`], saved.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct SavedSubmitting {
    request: Submission,
    idempotency_key: Uuid,
    attempts: u32,
    /// The latest attempt of unknown fate.
    pub(super) doubt: Option<Unknown>,
    phase: SavedAttempt,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
enum SavedAttempt {
    Intend,
    Ready {
        request_id: Uuid,
        /// Where it is missing, the intent is recorded anew.
        #[serde(default)]
        since: Time,
    },
    Out {
        call: CallId,
        limit: Time,
        sent_at: Time,
        request_id: Uuid,
    },
    Holding {
        until: Time,
        throttled: bool,
        trouble: Trouble,
    },
}

impl SavedSubmitting {
    pub(super) fn of(submitting: &Submitting, core: &Core) -> Self {
        let phase = match submitting.phase.clone() {
            // Whether it fits into the budget is asked anew.
            submit::Phase::Intend | submit::Phase::Unaffordable { .. } => SavedAttempt::Intend,
            submit::Phase::Ready { request_id, since } => SavedAttempt::Ready { request_id, since },
            submit::Phase::Out { sent_at, request_id } => {
                let (call, limit) = (core.last_call(), submit::limit(sent_at, core));
                SavedAttempt::Out { call, limit, sent_at, request_id }
            }
            submit::Phase::Holding { until, throttled, trouble } => {
                SavedAttempt::Holding { until, throttled, trouble: *trouble }
            }
        };
        Self {
            request: submitting.submission.clone(),
            idempotency_key: submitting.idempotency_key,
            attempts: submitting.attempts,
            doubt: core.aside.doubt().cloned(),
            phase,
        }
    }

    /// The state it is restored in: nobody knows what became of a submission in flight.
    pub(super) fn restored(self, core: &mut Core) -> State {
        let (phase, out) = match self.phase {
            SavedAttempt::Intend => (submit::Phase::Intend, None),
            SavedAttempt::Ready { request_id, since } => {
                (submit::Phase::Ready { request_id, since }, None)
            }
            SavedAttempt::Out { call, sent_at, request_id, .. } => {
                (submit::Phase::Out { sent_at, request_id }, Some(call))
            }
            SavedAttempt::Holding { until, throttled, trouble } => {
                (submit::Phase::Holding { until, throttled, trouble: Box::new(trouble) }, None)
            }
        };
        let Self { request: submission, idempotency_key, attempts, .. } = self;
        let submitting = Submitting { submission, idempotency_key, attempts, phase };
        let trouble = lost("the process ended before an answer came");
        match (submitting.doubt_of_flight(trouble), out) {
            (Some(unknown), Some(call)) => {
                core.aside.doubt_call(call);
                // What is known of an earlier attempt matters no more than it would have.
                let _earlier = core.aside.take_doubt();
                State::unknown(unknown, Some(submitting.label().clone()))
            }
            _ => State::Submitting(submitting),
        }
    }
}

/// [`Waiting`], saved.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct SavedWaiting {
    task: TaskId,
    template: Option<Label>,
    submitted: Time,
    #[serde(rename = "submitted_here")]
    submitted_known: bool,
    grace_until: Time,
    looks: u32,
    failures: u32,
    #[serde(default)]
    running: Option<Time>,
    status: Option<Status>,
    progress: Option<f64>,
    #[serde(default)]
    reports: [Option<Report>; 2],
    told: Option<Status>,
    seen: bool,
    trouble: Option<Trouble>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    missing: Option<Missing>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    refused: Vec<u16>,
    phase: SavedLook,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
enum SavedLook {
    Due {
        at: Time,
        why: Reason,
    },
    Out {
        call: CallId,
        #[serde(default)]
        sent: Time,
        limit: Time,
        last: bool,
    },
}

impl SavedWaiting {
    pub(super) fn of(waiting: &Waiting, core: &Core) -> Self {
        let phase = match waiting.phase {
            wait::Phase::Due { at, why } => SavedLook::Due { at, why },
            wait::Phase::Out { sent } => {
                let (call, limit) = (core.last_call(), wait::limit(sent, core));
                SavedLook::Out { call, sent, limit, last: wait::is_last(sent, core) }
            }
        };
        Self {
            task: waiting.task.clone(),
            template: waiting.label.clone(),
            submitted: waiting.submitted,
            submitted_known: waiting.submitted_known,
            grace_until: waiting.grace_until,
            looks: waiting.looks,
            failures: waiting.failures,
            running: waiting.running.get(),
            status: waiting.status(),
            progress: waiting.progress.get(),
            reports: waiting.reports(),
            told: waiting.told().cloned(),
            seen: waiting.seen,
            trouble: waiting.trouble().cloned(),
            missing: waiting.missing(),
            refused: waiting.refused().to_vec(),
            phase,
        }
    }

    /// The state it is restored in: a look in flight is made again.
    pub(super) fn restored(self, core: &Core) -> Waiting {
        let mut waiting = Waiting::attached(self.task, self.template, core);
        (waiting.submitted, waiting.submitted_known) = (self.submitted, self.submitted_known);
        (waiting.grace_until, waiting.seen) = (self.grace_until, self.seen);
        (waiting.looks, waiting.failures) = (self.looks, self.failures);
        waiting.running = MaybeTime::from(self.running);
        waiting.progress = MaybeShare::from(self.progress);
        waiting.set_status(self.status);
        waiting.set_reports(self.reports);
        waiting.set_told(self.told);
        waiting.set_trouble(self.trouble);
        waiting.set_missing(self.missing);
        for status in self.refused {
            waiting.set_refused(status);
        }
        waiting.phase = match self.phase {
            SavedLook::Due { at, why } => wait::Phase::Due { at, why },
            SavedLook::Out { .. } => wait::Phase::Due { at: core.now, why: Reason::Pace },
        };
        waiting
    }
}
