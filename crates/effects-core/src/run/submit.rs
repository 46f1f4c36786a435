//! Up to the task's id: the states in which a mistake costs money.
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

use super::admission::Admission;
use super::entry::Fact;
use super::event::Event;
use super::outcome::{Outcome, Refused, Unknown};
use super::policy::Repeat;
use super::submission::Submission;
use super::{AttemptEnd, Core, State, Step, Want, Why};
use crate::error_kind::ErrorKind;
use crate::gateway::call::{Call, CallId, CallResult, Exchange};
use crate::pace::Label;
use crate::seed::Uuid;
use crate::time::Time;
use crate::wire::answer::{SubmissionAnswer, kind_of, lost};
use crate::wire::trouble::Trouble;

/// A submission without an answer that names a task.
///
/// As long as one of its attempts is of unknown fate (`Aside::doubt`), no refusal of a later attempt
/// can say that nothing is billed.
#[derive(Clone, Debug)]
pub(super) struct Submitting {
    pub(super) submission: Submission,
    pub(super) idempotency_key: Uuid,
    /// Attempts handed out so far.
    pub(super) attempts: u32,
    pub(super) phase: Phase,
}

#[derive(Clone, Debug)]
pub(super) enum Phase {
    /// An attempt is to be made, once its intent is recorded.
    Intend,
    /// The intent is recorded, or about to be; the submission may leave. `since` is when it became
    /// durable, or else was made.
    Ready { request_id: Uuid, since: Time },
    /// The submission left: the last call that did.
    Out { sent_at: Time, request_id: Uuid },
    /// Nothing was made of it; another attempt follows.
    Holding { until: Time, throttled: bool, trouble: Box<Trouble> },
    /// The intent did not fit into the budget yet; it is recorded anew then.
    Unaffordable { until: Time },
}

impl Submitting {
    pub(super) fn new(submission: Submission, core: &mut Core) -> Self {
        let salt = hash(submission.body.iter().copied().chain(core.now.as_millis().to_le_bytes()));
        Self {
            submission,
            idempotency_key: core.dice.uuid(salt),
            attempts: 0,
            phase: Phase::Intend,
        }
    }

    pub(super) fn label(&self) -> &Label {
        &self.submission.label
    }

    /// Whether an attempt is out.
    pub(super) fn is_out(&self) -> bool {
        matches!(self.phase, Phase::Out { .. })
    }

    pub(super) fn is_under_way(&self) -> bool {
        matches!(self.phase, Phase::Ready { .. } | Phase::Out { .. })
    }

    /// How the last attempt ended.
    pub(super) fn attempt_end(&self) -> AttemptEnd {
        match &self.phase {
            Phase::Holding { trouble, .. } => match AttemptEnd::of_refusal(trouble) {
                // Nothing that was answered for good is repeated.
                AttemptEnd::Answered => AttemptEnd::Unknown,
                end => end,
            },
            Phase::Intend
            | Phase::Ready { .. }
            | Phase::Out { .. }
            | Phase::Unaffordable { .. } => AttemptEnd::NotTried,
        }
    }

    pub(super) fn want(&self, now: Time, core: &Core) -> Want {
        match &self.phase {
            Phase::Intend => Want::Submit,
            Phase::Ready { .. } => Want::Step,
            Phase::Out { sent_at, .. } => {
                let limit = limit(*sent_at, core);
                if now < limit { Want::Sleep(limit) } else { Want::Step }
            }
            Phase::Holding { .. } if now >= core.deadline() => Want::Step,
            Phase::Holding { until, .. } if now >= *until => Want::Submit,
            Phase::Holding { until, .. } => Want::Sleep((*until).min(core.deadline())),
            Phase::Unaffordable { .. } if self.attempts > 0 && now >= core.deadline() => Want::Step,
            Phase::Unaffordable { until } if now >= *until => Want::Submit,
            Phase::Unaffordable { until } if self.attempts == 0 => Want::Sleep(*until),
            Phase::Unaffordable { until } => Want::Sleep((*until).min(core.deadline())),
        }
    }

    pub(super) fn awaits(&self, id: CallId, core: &Core) -> bool {
        self.is_out() && id == core.last_call()
    }

    /// The sleep it is in, unless it is over. An attempt that is out is awaited whoever leaves.
    pub(super) fn rest(&self, core: &Core) -> Option<Step> {
        let why = match self.phase {
            Phase::Out { .. } => Why::InFlight,
            _ if core.detaching => return None,
            Phase::Holding { throttled: true, .. } => Why::Throttle,
            Phase::Unaffordable { .. } => Why::Budget,
            _ => Why::Retry,
        };
        match self.want(core.now, core) {
            Want::Sleep(until) => Some(Step::Sleep { until, why }),
            _ => None,
        }
    }

    pub(super) fn step(mut self, core: &mut Core) -> (State, Option<Step>) {
        match self.phase {
            Phase::Ready { .. } if core.detaching => {
                Self::release("stopped before it left".to_owned(), core);
                (self.left(core), None)
            }
            // The process slept. Its lease on the row may have ended meanwhile, so that another process
            // takes the intent for doubtful: it is recorded anew before anything leaves.
            Phase::Ready { since, .. } if core.now > since + SEND_WITHIN => {
                Self::release("it was not sent in time".to_owned(), core);
                self.phase = Phase::Intend;
                (State::Submitting(self), None)
            }
            Phase::Ready { request_id, .. } => {
                let call = self.send(request_id, core);
                (State::Submitting(self), Some(Step::Send(call)))
            }
            Phase::Out { .. } => {
                let trouble = lost("no answer within the request timeout");
                (self.answered(SubmissionAnswer::Unknown(trouble), None, core), None)
            }
            Phase::Intend | Phase::Holding { .. } | Phase::Unaffordable { .. }
                if core.detaching =>
            {
                (self.left(core), None)
            }
            Phase::Intend => {
                self.intend(core);
                (State::Submitting(self), None)
            }
            Phase::Holding { ref trouble, throttled, .. } if core.now >= core.deadline() => {
                let trouble = (**trouble).clone();
                let kind = if throttled { ErrorKind::RateLimited } else { kind_of(&trouble) };
                (self.refused(kind, trouble, core), None)
            }
            // Another attempt would cost too much, and what is under way did not turn out cheaper.
            Phase::Unaffordable { .. } if self.attempts > 0 && core.now >= core.deadline() => {
                let trouble = Trouble::NotSent { reason: "the budget is reserved".to_owned() };
                (self.refused(ErrorKind::BudgetExceeded, trouble, core), None)
            }
            Phase::Holding { .. } | Phase::Unaffordable { .. } => {
                self.phase = Phase::Intend;
                (State::Submitting(self), None)
            }
        }
    }

    pub(super) fn reply(self, result: &CallResult, core: &mut Core) -> State {
        let asked = result.as_reply().retry_after();
        self.answered(SubmissionAnswer::read(result), asked, core)
    }

    /// What the journal answered to the last entry: where an intent was not written, since it does not
    /// fit into a budget, nothing leaves.
    pub(super) fn answered_by_journal(mut self, admission: &Admission, core: &mut Core) -> State {
        match admission {
            Admission::OverBudget(why) => {
                let trouble = Trouble::NotSent { reason: why.to_string() };
                self.refused(ErrorKind::BudgetExceeded, trouble, core)
            }
            Admission::Wait { .. } => {
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
        self.phase = Phase::Unaffordable { until: at };
        if self.attempts == 0 {
            core.started = Some(at).into();
        }
    }

    /// Whether it waits for its budget.
    pub(super) fn is_unaffordable(&self) -> bool {
        matches!(self.phase, Phase::Unaffordable { .. })
    }

    fn intend(&mut self, core: &mut Core) {
        let idempotency_key = self.idempotency_key.to_string();
        let request_id = core.dice.uuid(hash(idempotency_key.bytes()));
        core.record(Fact::Intent {
            request: self.submission.clone(),
            attempt: self.attempts,
            request_id: request_id.to_string(),
            idempotency_key,
        });
        self.phase = Phase::Ready { request_id, since: core.now };
    }

    /// The intent is durable since now.
    pub(super) fn recorded(&mut self, now: Time) {
        if let Phase::Ready { since, .. } = &mut self.phase {
            *since = now;
        }
    }

    fn send(&mut self, request_id: Uuid, core: &mut Core) -> Call {
        self.attempts += 1;
        self.phase = Phase::Out { sent_at: core.now, request_id };
        let exchange = Exchange::Submit {
            body: self.submission.body.clone(),
            request_id: request_id.to_string(),
            idempotency_key: self.idempotency_key.to_string(),
        };
        let timeout = core.policy.request_timeout;
        Call { id: core.call(), exchange, timeout, limit: limit(core.now, core) }
    }

    fn answered(
        mut self,
        answer: SubmissionAnswer,
        asked: Option<Duration>,
        core: &mut Core,
    ) -> State {
        let repeat = core.policy.repeat;
        match answer {
            SubmissionAnswer::Created(task, warning) => {
                let label = self.label().clone();
                let request_id = match &self.phase {
                    Phase::Out { request_id, .. } => Some(request_id.to_string()),
                    _ => None,
                };
                State::created(&task, request_id, warning, Some(label), asked, core)
            }
            SubmissionAnswer::Refused(kind, trouble) => {
                Self::release(trouble.to_string(), core);
                self.refused(kind, trouble, core)
            }
            SubmissionAnswer::Later(kind, trouble) => {
                Self::release(trouble.to_string(), core);
                if repeat == Repeat::Never {
                    return self.refused(kind, trouble, core);
                }
                self.hold(kind == ErrorKind::RateLimited, trouble, core);
                State::Submitting(self)
            }
            SubmissionAnswer::Unknown(trouble) => {
                let Some(unknown) = self.doubt_of_flight(trouble.clone()) else {
                    return State::Submitting(self);
                };
                core.aside.doubt_call(core.last_call());
                if repeat != Repeat::Always || core.detaching || core.now >= core.deadline() {
                    return State::unknown(unknown, Some(self.label().clone()));
                }
                core.aside.set_doubt(unknown);
                self.hold(kind_of(&trouble) == ErrorKind::RateLimited, trouble, core);
                State::Submitting(self)
            }
        }
    }

    /// Says that nothing is billed; but as long as one attempt is in doubt, something may be.
    fn release(reason: String, core: &mut Core) {
        if core.aside.doubt().is_none() {
            core.record(Fact::Released { reason });
        }
    }

    fn hold(&mut self, throttled: bool, trouble: Trouble, core: &mut Core) {
        let asked = trouble.rejection().and_then(|rejection| rejection.retry_after);
        let after = core.retry_delay(self.attempts.saturating_sub(1), asked);
        core.tell(Event::Retrying { task_id: None, trouble: trouble.clone(), after });
        let trouble = Box::new(trouble);
        self.phase = Phase::Holding { until: core.now + after, throttled, trouble };
    }

    /// The end without a task; but as long as one attempt is in doubt, there may be one.
    fn refused(self, kind: ErrorKind, trouble: Trouble, core: &mut Core) -> State {
        match core.aside.take_doubt() {
            Some(unknown) => State::unknown(unknown, Some(self.label().clone())),
            None => {
                State::done(Outcome::Refused(Refused { kind, trouble, attempts: self.attempts }))
            }
        }
    }

    fn left(self, core: &mut Core) -> State {
        match core.aside.take_doubt() {
            Some(unknown) => State::unknown(unknown, Some(self.label().clone())),
            None => State::detached(None),
        }
    }

    /// What is known of the attempt that is out, if its answer names no task.
    pub(super) fn doubt_of_flight(&self, trouble: Trouble) -> Option<Unknown> {
        let Phase::Out { sent_at, request_id } = &self.phase else {
            return None;
        };
        Some(Unknown {
            request_id: request_id.to_string(),
            idempotency_key: self.idempotency_key.to_string(),
            sent_at: *sent_at,
            trouble,
        })
    }
}

/// When the answer to an attempt that left then must have come.
pub(super) fn limit(sent_at: Time, core: &Core) -> Time {
    sent_at + core.policy.request_timeout
}

/// How long after it became durable an intent may be acted on: well within the lease of a journal's
/// owner, which is renewed three times in 30 seconds.
const SEND_WITHIN: Duration = Duration::from_secs(10);

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
