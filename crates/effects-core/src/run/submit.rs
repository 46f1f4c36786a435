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

use serde::{Deserialize, Serialize};

use super::{Core, State, Step, Want, Why};
use crate::answer::{Submission, kind_of, lost};
use crate::call::{Call, CallId, Exchange, Reply};
use crate::entry::Fact;
use crate::error::ErrorKind;
use crate::event::Event;
use crate::outcome::{Outcome, Refused, Unknown};
use crate::policy::Repeat;
use crate::request::EffectRequest;
use crate::template::Template;
use crate::time::Time;
use crate::trouble::Trouble;

/// A submission without an answer that names a task.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct Submitting {
    request: EffectRequest,
    idempotency_key: String,
    /// Attempts handed out so far.
    attempts: u32,
    /// The latest attempt of unknown fate: as long as there is one, no refusal of a later attempt
    /// can say that nothing is billed.
    doubt: Option<Unknown>,
    phase: Phase,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(super) enum Phase {
    /// An attempt is to be made, once its intent is recorded.
    Intend,
    /// The intent is recorded, or about to be; the submission may leave.
    Ready { request_id: String },
    /// The submission left.
    Out { call: CallId, limit: Time, sent_at: Time, request_id: String },
    /// Nothing was made of it; another attempt follows.
    Holding { until: Time, throttled: bool, trouble: Trouble },
}

impl Submitting {
    pub(super) fn new(request: EffectRequest, core: &mut Core) -> Self {
        let salt = hash(request.body().into_iter().chain(core.now.as_millis().to_le_bytes()));
        Self {
            request,
            idempotency_key: core.dice.uuid(salt),
            attempts: 0,
            doubt: None,
            phase: Phase::Intend,
        }
    }

    pub(super) fn template(&self) -> &Template {
        self.request.template()
    }

    /// The attempt that is out.
    pub(super) fn out(&self) -> Option<CallId> {
        match self.phase {
            Phase::Out { call, .. } => Some(call),
            _ => None,
        }
    }

    /// Whether an attempt is out, or was and its fate is open.
    pub(super) fn may_be_billed(&self) -> bool {
        self.doubt.is_some() || self.out().is_some()
    }

    pub(super) fn is_under_way(&self) -> bool {
        matches!(self.phase, Phase::Ready { .. } | Phase::Out { .. })
    }

    pub(super) fn want(&self, now: Time, deadline: Time) -> Want {
        match &self.phase {
            Phase::Intend => Want::Submit,
            Phase::Ready { .. } => Want::Step,
            Phase::Out { limit, .. } if now < *limit => Want::Sleep(*limit),
            Phase::Out { .. } => Want::Step,
            Phase::Holding { .. } if now >= deadline => Want::Step,
            Phase::Holding { until, .. } if now >= *until => Want::Submit,
            Phase::Holding { until, .. } => Want::Sleep((*until).min(deadline)),
        }
    }

    pub(super) fn awaits(&self, id: CallId) -> bool {
        self.out() == Some(id)
    }

    pub(super) fn step(mut self: Box<Self>, core: &mut Core) -> (State, Option<Step>) {
        match &self.phase {
            Phase::Intend if core.detaching => (self.left(), None),
            Phase::Intend => {
                self.intend(core);
                (State::Submitting(self), None)
            }
            Phase::Ready { .. } if core.detaching => {
                self.release("stopped before it left".to_owned(), core);
                (self.left(), None)
            }
            Phase::Ready { request_id } => {
                let request_id = request_id.clone();
                let call = self.send(request_id, core);
                (State::Submitting(self), Some(Step::Send(call)))
            }
            Phase::Out { limit, .. } if core.now >= *limit => {
                let trouble = lost("no answer within the request timeout");
                (self.answered(Submission::Unknown(trouble), None, core), None)
            }
            Phase::Out { limit, .. } => {
                let sleep = Step::Sleep { until: *limit, why: Why::InFlight };
                (State::Submitting(self), Some(sleep))
            }
            Phase::Holding { .. } if core.detaching => (self.left(), None),
            Phase::Holding { until, .. } if core.now >= *until && core.now < core.deadline() => {
                self.phase = Phase::Intend;
                (State::Submitting(self), None)
            }
            Phase::Holding { trouble, .. } if core.now >= core.deadline() => {
                let trouble = trouble.clone();
                (self.refused(kind_of(&trouble), trouble), None)
            }
            Phase::Holding { until, throttled, .. } => {
                let why = if *throttled { Why::Throttle } else { Why::Retry };
                let sleep = Step::Sleep { until: (*until).min(core.deadline()), why };
                (State::Submitting(self), Some(sleep))
            }
        }
    }

    pub(super) fn reply(self: Box<Self>, reply: Reply<'_>, core: &mut Core) -> State {
        let asked = reply.retry_after();
        self.answered(Submission::read(reply), asked, core)
    }

    /// The state a saved run is restored in: nobody knows what became of a submission in flight.
    pub(super) fn restored(self: Box<Self>, core: &mut Core) -> State {
        let trouble = lost("the process ended before an answer came");
        match self.doubt_of_flight(trouble) {
            Some((call, unknown)) => {
                core.doubts.push(call);
                State::unknown(unknown, Some(self.template().clone()))
            }
            None => State::Submitting(self),
        }
    }

    fn intend(&mut self, core: &mut Core) {
        let request_id = core.dice.uuid(hash(self.idempotency_key.bytes()));
        core.record(Fact::Intent {
            request: Box::new(self.request.clone()),
            attempt: self.attempts,
            request_id: request_id.clone(),
            idempotency_key: self.idempotency_key.clone(),
        });
        self.phase = Phase::Ready { request_id };
    }

    fn send(&mut self, request_id: String, core: &mut Core) -> Call {
        self.attempts += 1;
        let timeout = core.policy.request_timeout;
        let (id, limit) = (core.call(), core.now + timeout);
        let exchange = Exchange::Submit {
            body: self.request.body(),
            request_id: request_id.clone(),
            idempotency_key: self.idempotency_key.clone(),
        };
        self.phase = Phase::Out { call: id, limit, sent_at: core.now, request_id };
        Call { id, exchange, timeout, limit }
    }

    fn answered(
        mut self: Box<Self>,
        answer: Submission,
        asked: Option<Duration>,
        core: &mut Core,
    ) -> State {
        let repeat = core.policy.repeat;
        match answer {
            Submission::Created(task) => {
                let template = self.template().clone();
                State::created(&task, Some(template), asked, core)
            }
            Submission::Refused(kind, trouble) => {
                self.release(trouble.to_string(), core);
                self.refused(kind, trouble)
            }
            Submission::Later(trouble) => {
                self.release(trouble.to_string(), core);
                if repeat == Repeat::Never {
                    return self.refused(kind_of(&trouble), trouble);
                }
                self.hold(trouble, core);
                State::Submitting(self)
            }
            Submission::Unknown(trouble) => {
                let Some((call, unknown)) = self.doubt_of_flight(trouble.clone()) else {
                    return State::Submitting(self);
                };
                core.doubts.push(call);
                if repeat != Repeat::Always || core.detaching || core.now >= core.deadline() {
                    return State::unknown(unknown, Some(self.template().clone()));
                }
                self.doubt = Some(unknown);
                self.hold(trouble, core);
                State::Submitting(self)
            }
        }
    }

    /// Says that nothing is billed; but as long as one attempt is in doubt, something may be.
    fn release(&self, reason: String, core: &mut Core) {
        if self.doubt.is_none() {
            core.record(Fact::Released { reason });
        }
    }

    fn hold(&mut self, trouble: Trouble, core: &mut Core) {
        let asked = trouble.rejection().and_then(|rejection| rejection.retry_after);
        let after = core.retry_delay(self.attempts.saturating_sub(1), asked);
        core.tell(Event::Retrying { task_id: None, trouble: trouble.clone(), after });
        let throttled = kind_of(&trouble) == ErrorKind::RateLimited;
        self.phase = Phase::Holding { until: core.now + after, throttled, trouble };
    }

    /// The end without a task; but as long as one attempt is in doubt, there may be one.
    fn refused(self: Box<Self>, kind: ErrorKind, trouble: Trouble) -> State {
        match self.doubt {
            Some(unknown) => State::unknown(unknown, Some(self.request.template().clone())),
            None => {
                State::done(Outcome::Refused(Refused { kind, trouble, attempts: self.attempts }))
            }
        }
    }

    fn left(self: Box<Self>) -> State {
        match self.doubt {
            Some(unknown) => State::unknown(unknown, Some(self.request.template().clone())),
            None => State::detached(None),
        }
    }

    fn doubt_of_flight(&self, trouble: Trouble) -> Option<(CallId, Unknown)> {
        let Phase::Out { call, sent_at, request_id, .. } = &self.phase else {
            return None;
        };
        let unknown = Unknown {
            request_id: request_id.clone(),
            idempotency_key: self.idempotency_key.clone(),
            sent_at: *sent_at,
            trouble,
        };
        Some((*call, unknown))
    }
}

/// FNV-1a: over what is asked for and when, so that two runs which were given the same seed still
/// have names of their own.
fn hash(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
