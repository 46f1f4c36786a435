//! [`Submitting`]: the first phase of a [`Run`](super::Run), a state machine from the request to the task's
//! id: it records the intent, waits for the budget, sends, and decides what an answer means. A mistake here
//! costs money, so it submits again only what certainly made no task, unless [`Repeat`] says otherwise.
//! `Run` steps it, and `saved.rs` saves it.
//!
//! ```text
//!          Record(Intent)        Send(Submit)
//!   Intend ------------> Ready ------------> Out --- id -----------> Waiting
//!     ^                                       | \
//!     |                                       |  \-- refused ------> Done(Refused)
//!     |  after a wait                         |   \- unknown ------> Done(Unknown)
//!     +-------------- Holding <-- refused for now, or never left
//! ```

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::admission::Admission;
use super::attempt_end::AttemptEnd;
use super::core::Core;
use super::entry::Fact;
use super::event::Event;
use super::outcome::{Outcome, Refused, Unknown};
use super::policy::Repeat;
use super::submission::Submission;
use super::{SleepReason, State, Step, Want};
use crate::error_kind::ErrorKind;
use crate::gateway::call::{Call, CallId, CallKind, CallResult, Reply};
use crate::pace::Label;
use crate::seed::Uuid;
use crate::time::Time;
use crate::wire::answer::{SubmissionAnswer, kind_of, lost};
use crate::wire::exchange_error::ExchangeError;

/// A submission without an answer that names a task. Its names and their order are those of version 1
/// of the saved format.
///
/// As long as one of its attempts is of unknown fate, no refusal of a later attempt can say that
/// nothing is billed.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct Submitting {
    #[serde(rename = "request")]
    submission: Submission,
    idempotency_key: Uuid,
    /// Attempts handed out so far.
    attempts: u32,
    /// The latest attempt of unknown fate.
    #[serde(rename = "doubt")]
    pub(super) unknown_attempt: Option<Box<Unknown>>,
    phase: SubmitPhase,
    /// Something was answered, if only that it is refused for now.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    answered: bool,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
enum SubmitPhase {
    /// An attempt is to be made, once its intent is recorded.
    Intend,
    /// The intent is recorded, or about to be; the submission may leave. `since` is when it became
    /// durable, or else was made.
    Ready {
        request_id: Uuid,
        /// Where an older release left it out, the intent is recorded anew.
        #[serde(default)]
        since: Time,
    },
    /// The submission left.
    Out { call: CallId, limit: Time, sent_at: Time, request_id: Uuid },
    /// Nothing was made of it; another attempt follows.
    Holding {
        until: Time,
        throttled: bool,
        #[serde(rename = "trouble")]
        error: Box<ExchangeError>,
    },
    /// The intent did not fit into the budget yet; it is recorded anew then. A restored run asks at
    /// once.
    #[serde(skip)]
    Unaffordable { until: Time },
}

impl Submitting {
    pub(super) fn new(submission: Submission, core: &mut Core) -> Self {
        // Programs that seed their runs alike would send equal keys for unlike requests: the body
        // and the time keep them apart.
        let salt = hash(submission.body.iter().copied().chain(core.now.as_millis().to_le_bytes()));
        let idempotency_key = core.rng.uuid(salt);
        Self {
            submission,
            idempotency_key,
            attempts: 0,
            unknown_attempt: None,
            phase: SubmitPhase::Intend,
            answered: false,
        }
    }

    pub(super) fn label(&self) -> &Label {
        &self.submission.label
    }

    /// What is saved of it.
    pub(super) fn saved(&self) -> Self {
        let mut saved = self.clone();
        if saved.is_unaffordable() {
            // The budget may have room by the time it is restored, and the wait for it is not
            // saved.
            saved.phase = SubmitPhase::Intend;
        }
        saved
    }

    /// The state it is restored in: what became of a submission in flight is unknown.
    pub(super) fn restored(self: Box<Self>, core: &mut Core) -> State {
        match self.doubt_of_flight(core, lost("the process ended before an answer came")) {
            // It may have left: made again, it could be a second paid task.
            Some(unknown) => {
                core.pending_mut().lost_calls.extend(self.call_out());
                State::unknown(unknown, Some(self.submission.label))
            }
            None => State::Submitting(self),
        }
    }

    /// The call of the attempt that is out.
    pub(super) fn call_out(&self) -> Option<CallId> {
        match self.phase {
            SubmitPhase::Out { call, .. } => Some(call),
            _ => None,
        }
    }

    /// Whether an attempt is out.
    pub(super) fn is_out(&self) -> bool {
        self.call_out().is_some()
    }

    pub(super) fn is_under_way(&self) -> bool {
        matches!(self.phase, SubmitPhase::Ready { .. } | SubmitPhase::Out { .. })
    }

    /// How the last attempt ended.
    pub(super) fn attempt_end(&self) -> AttemptEnd {
        match &self.phase {
            SubmitPhase::Holding { error, .. } => match AttemptEnd::of_refusal(error) {
                // Nothing that was answered for good is repeated.
                AttemptEnd::Answered => AttemptEnd::Unknown,
                end => end,
            },
            SubmitPhase::Intend
            | SubmitPhase::Ready { .. }
            | SubmitPhase::Out { .. }
            | SubmitPhase::Unaffordable { .. } => AttemptEnd::NotTried,
        }
    }

    pub(super) fn want(&self, now: Time, core: &Core) -> Want {
        match &self.phase {
            // No step submits after the deadline; the one that is wanted here gives the
            // submission up.
            SubmitPhase::Intend if now >= core.submits_until() => Want::Step,
            SubmitPhase::Intend => Want::Submit,
            SubmitPhase::Ready { .. } => Want::Step,
            SubmitPhase::Out { limit, .. } if now < *limit => Want::Sleep(*limit),
            SubmitPhase::Out { .. } => Want::Step,
            SubmitPhase::Holding { .. } if now >= self.deadline(core) => Want::Step,
            SubmitPhase::Holding { until, .. } if now >= *until => Want::Submit,
            SubmitPhase::Holding { until, .. } => Want::Sleep((*until).min(self.deadline(core))),
            // Before the first attempt a deadline alone limits the wait for the budget; after one,
            // the run's own wait is running.
            SubmitPhase::Unaffordable { .. } if self.attempts > 0 && now >= core.deadline() => {
                Want::Step
            }
            SubmitPhase::Unaffordable { .. } if now >= core.submits_until() => Want::Step,
            SubmitPhase::Unaffordable { until } if now >= *until => Want::Submit,
            SubmitPhase::Unaffordable { until } if self.attempts == 0 => {
                Want::Sleep((*until).min(core.submits_until()))
            }
            SubmitPhase::Unaffordable { until } => Want::Sleep((*until).min(core.deadline())),
        }
    }

    /// When it stops trying: earlier where nothing answers its attempts.
    pub(super) fn deadline(&self, core: &Core) -> Time {
        match self.phase {
            SubmitPhase::Holding { .. } if !self.answered => core.unanswered_until(),
            _ => core.deadline(),
        }
    }

    pub(super) fn awaits(&self, id: CallId) -> bool {
        self.call_out() == Some(id)
    }

    /// The sleep it is in, unless it is over. An attempt that is out is awaited even if its caller
    /// leaves.
    pub(super) fn rest(&self, core: &Core) -> Option<Step> {
        let why = match self.phase {
            SubmitPhase::Out { .. } => SleepReason::InFlight,
            _ if core.is_detaching() => return None,
            SubmitPhase::Holding { throttled: true, .. } => SleepReason::Throttle,
            SubmitPhase::Unaffordable { .. } => SleepReason::Budget,
            _ => SleepReason::Retry,
        };
        match self.want(core.now, core) {
            Want::Sleep(until) => Some(Step::Sleep { until, why }),
            _ => None,
        }
    }

    pub(super) fn step(mut self: Box<Self>, core: &mut Core) -> (State, Option<Step>) {
        match self.phase {
            SubmitPhase::Ready { .. } if core.is_detaching() => {
                // The intent is on record, and nothing of it left: said so, no later run takes it
                // for doubtful.
                self.release("stopped before it left".to_owned(), core);
                (self.detached(), None)
            }
            // The process slept. Its lease on the row may have ended meanwhile, so that another process
            // takes the intent for doubtful: it is recorded anew before anything leaves.
            SubmitPhase::Ready { since, .. } if core.now > since + SEND_WITHIN => {
                self.release("it was not sent in time".to_owned(), core);
                self.phase = SubmitPhase::Intend;
                (State::Submitting(self), None)
            }
            SubmitPhase::Ready { .. } if core.now >= core.submits_until() => {
                // The journal's confirmation came after the deadline. Without a release the intent
                // would become doubtful when the run ends.
                self.release(DEADLINE_OVER.to_owned(), core);
                (self.too_late(), None)
            }
            SubmitPhase::Ready { request_id, .. } => {
                let call = self.send(request_id, core);
                (State::Submitting(self), Some(Step::Send(call)))
            }
            SubmitPhase::Out { .. } => {
                // The driver's own limit should come first; this is for one that has none, or
                // slept.
                let reason = "no answer within the request timeout";
                let answer = SubmissionAnswer::Unknown(lost(reason));
                (self.answered(answer, Reply::Lost(reason), core), None)
            }
            SubmitPhase::Intend
            | SubmitPhase::Holding { .. }
            | SubmitPhase::Unaffordable { .. }
                if core.is_detaching() =>
            {
                (self.detached(), None)
            }
            SubmitPhase::Intend | SubmitPhase::Unaffordable { .. }
                if core.now >= core.submits_until() =>
            {
                (self.too_late(), None)
            }
            SubmitPhase::Intend => {
                self.intend(core);
                (State::Submitting(self), None)
            }
            SubmitPhase::Holding { ref error, throttled, .. }
                if core.now >= self.deadline(core) =>
            {
                // What is told is the last refusal: the end of the wait explains nothing.
                let error = (**error).clone();
                let kind = if throttled { ErrorKind::RateLimited } else { kind_of(&error) };
                (self.refused(kind, error), None)
            }
            // Another attempt would cost too much, and what is under way did not turn out cheaper.
            SubmitPhase::Unaffordable { .. }
                if self.attempts > 0 && core.now >= core.deadline() =>
            {
                let error = ExchangeError::NotSent { reason: "the budget is reserved".to_owned() };
                (self.refused(ErrorKind::BudgetExceeded, error), None)
            }
            SubmitPhase::Holding { .. } | SubmitPhase::Unaffordable { .. } => {
                // Each attempt has an intent of its own on record, with an X-Request-Id of its own.
                self.phase = SubmitPhase::Intend;
                (State::Submitting(self), None)
            }
        }
    }

    pub(super) fn reply(self: Box<Self>, result: &CallResult, core: &mut Core) -> State {
        self.answered(SubmissionAnswer::read(result), result.as_reply(), core)
    }

    /// What the journal answered to the last entry: where an intent was not written, since it does not
    /// fit into a budget, nothing leaves.
    pub(super) fn answered_by_journal(
        mut self: Box<Self>,
        admission: &Admission,
        core: &mut Core,
    ) -> State {
        match admission {
            Admission::OverBudget(why) => {
                let error = ExchangeError::NotSent { reason: why.to_string() };
                let refused = Refused::new(ErrorKind::BudgetExceeded, error, self.attempts);
                self.refused_as(Refused { over_budget: Some(why.clone()), ..refused })
            }
            Admission::Wait { .. } => {
                // What others have reserved may turn out cheaper, or come back where their tasks
                // fail.
                self.ask_budget_again(core.now + BUDGET_PAUSE, core);
                State::Submitting(self)
            }
            Admission::Admitted => {
                self.recorded(core.now);
                State::Submitting(self)
            }
        }
    }

    /// Asks the budget again then. The run's own wait does not begin before its first attempt.
    pub(super) fn ask_budget_again(&mut self, at: Time, core: &mut Core) {
        self.phase = SubmitPhase::Unaffordable { until: at };
        // A row that waits an hour for its budget still has its whole wait for the picture.
        if self.attempts == 0 {
            core.started = at;
        }
    }

    /// Whether it waits for its budget.
    pub(super) fn is_unaffordable(&self) -> bool {
        matches!(self.phase, SubmitPhase::Unaffordable { .. })
    }

    fn intend(&mut self, core: &mut Core) {
        let idempotency_key = self.idempotency_key.to_string();
        // A name of its own for each attempt, by which the service's support tells them apart;
        // the key is the same for all, so that a service that knows such keys makes one task.
        let request_id = core.rng.uuid(hash(idempotency_key.bytes()));
        core.record(Fact::Intent {
            request: self.submission.clone(),
            attempt: self.attempts,
            request_id: request_id.to_string(),
            idempotency_key,
        });
        self.phase = SubmitPhase::Ready { request_id, since: core.now };
    }

    /// The intent is durable since now.
    pub(super) fn recorded(&mut self, now: Time) {
        if let SubmitPhase::Ready { since, .. } = &mut self.phase {
            *since = now;
        }
    }

    fn send(&mut self, request_id: Uuid, core: &mut Core) -> Call {
        self.attempts += 1;
        let (call, sent_at, timeout) = (core.call(), core.now, core.policy.request_timeout);
        let limit = sent_at + timeout;
        self.phase = SubmitPhase::Out { call, limit, sent_at, request_id };
        let kind = CallKind::Submit {
            body: self.submission.body.clone(),
            request_id: request_id.to_string(),
            idempotency_key: self.idempotency_key.to_string(),
        };
        Call { id: call, kind, timeout, limit, headers: core.policy.headers.clone() }
    }

    fn answered(
        mut self: Box<Self>,
        answer: SubmissionAnswer,
        reply: Reply<'_>,
        core: &mut Core,
    ) -> State {
        let repeat = core.policy.repeat;
        match answer {
            SubmissionAnswer::Created(task, warning) => {
                let label = self.label().clone();
                let request_id = match &self.phase {
                    SubmitPhase::Out { request_id, .. } => Some(request_id.to_string()),
                    _ => None,
                };
                State::created(&task, request_id, warning, Some(label), reply, core)
            }
            SubmissionAnswer::Refused(kind, error) => {
                // Recorded before the end is told: an intent without a release becomes doubtful
                // when its run ends.
                self.release(error.to_string(), core);
                self.refused(kind, error)
            }
            SubmissionAnswer::Later(kind, error) => {
                self.release(error.to_string(), core);
                // Nothing is billed for a refusal, and a caller who wants one attempt is told of
                // it all the same.
                if repeat == Repeat::Never {
                    return self.refused(kind, error);
                }
                self.hold(kind == ErrorKind::RateLimited, error, core);
                State::Submitting(self)
            }
            SubmissionAnswer::Unknown(error) => {
                // A late answer to an attempt that was booked as lost already.
                let Some(unknown) = self.doubt_of_flight(core, error.clone()) else {
                    return State::Submitting(self);
                };
                // Its answer may still come, with the id of a paid task.
                core.pending_mut().lost_calls.extend(self.call_out());
                if repeat != Repeat::Always || core.is_detaching() || core.now >= core.deadline() {
                    return State::unknown(unknown, Some(self.label().clone()));
                }
                self.unknown_attempt = Some(Box::new(unknown));
                self.hold(kind_of(&error) == ErrorKind::RateLimited, error, core);
                State::Submitting(self)
            }
        }
    }

    /// Says that nothing is billed; but as long as one attempt is in doubt, something may be.
    fn release(&self, reason: String, core: &mut Core) {
        if self.unknown_attempt.is_none() {
            core.record(Fact::Released { reason });
        }
    }

    fn hold(&mut self, throttled: bool, error: ExchangeError, core: &mut Core) {
        // A gateway that answers at all is waited for longer than an address where none does.
        self.answered |= error.status().is_some();
        let asked = error.rejection().and_then(|rejection| rejection.retry_after);
        // The back-off counts the failures before this one, so the first repeat has the shortest
        // wait.
        let after = core.retry_delay(self.attempts.saturating_sub(1), asked);
        core.queue_event(Event::Retrying { task_id: None, error: error.clone(), after });
        let error = Box::new(error);
        self.phase = SubmitPhase::Holding { until: core.now + after, throttled, error };
    }

    /// The end without a task; but as long as one attempt is in doubt, there may be one.
    fn refused(self, kind: ErrorKind, error: ExchangeError) -> State {
        let refused = Refused::new(kind, error, self.attempts);
        self.refused_as(refused)
    }

    fn refused_as(self, refused: Refused) -> State {
        match self.unknown_attempt {
            // A refusal of this attempt says nothing of the earlier one that may have made a task.
            Some(unknown) => State::unknown(*unknown, Some(self.submission.label)),
            None => State::done(Outcome::Refused(refused)),
        }
    }

    /// The end of a submission that did not leave before the deadline.
    fn too_late(self) -> State {
        let error = ExchangeError::NotSent { reason: DEADLINE_OVER.to_owned() };
        self.refused(ErrorKind::DeadlineExceeded, error)
    }

    fn detached(self) -> State {
        match self.unknown_attempt {
            Some(unknown) => State::unknown(*unknown, Some(self.submission.label)),
            None => State::detached(),
        }
    }

    /// What is known of the attempt that is out, if its answer names no task.
    pub(super) fn doubt_of_flight(&self, core: &Core, error: ExchangeError) -> Option<Unknown> {
        let SubmitPhase::Out { sent_at, request_id, .. } = &self.phase else {
            return None;
        };
        Some(Unknown {
            request_id: request_id.to_string(),
            idempotency_key: self.idempotency_key.to_string(),
            sent_at: *sent_at,
            error,
            is_replayed: core.policy.is_replay,
        })
    }
}

/// How long after it became durable an intent may be acted on: well within the lease of a journal's
/// owner, which is renewed three times in 30 seconds.
const SEND_WITHIN: Duration = Duration::from_secs(10);

/// Why nothing is submitted any more.
pub(crate) const DEADLINE_OVER: &str = "no time is left before the deadline";

/// How long a submission waits before it asks its budget again. A cost that is seen in this process
/// ends the wait at once; one that another process sees does not.
const BUDGET_PAUSE: Duration = Duration::from_secs(2);

/// FNV-1a: over what is asked for and when, so that two runs which were given the same seed still
/// have names of their own.
fn hash(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
