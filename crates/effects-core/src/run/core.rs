//! [`Core`]: what every state of a [`Run`](super::Run) shares: its policy, clock, random numbers and counts
//! of calls and entries, the pacer that tells how long tasks take, and [`Pending`]: the entries and events
//! that go out before any step of the state, the submissions booked as lost, and whether the caller stopped
//! watching. It computes when the run's wait ends. A `Run` owns one and passes it to the transitions of
//! `submit.rs` and `wait.rs`, and these to `verdict.rs`; `saved.rs` saves and restores it without policy,
//! pacer, curve and events.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::entry::{Entry, EntryId, Fact};
use super::event::Event;
use super::policy::Policy;
use super::{SleepReason, Step};
use crate::gateway::call::CallId;
use crate::pace::{Curve, Label, Pacer};
use crate::seed::{Rng, Seed};
use crate::time::Time;

/// What every state shares.
#[derive(Clone, Debug)]
pub(super) struct Core {
    pub(super) policy: Arc<Policy>,
    pub(super) rng: Rng,
    /// The latest time that a caller gave.
    pub(super) now: Time,
    /// When the run took its first step; [`Time::MAX`] before that.
    pub(super) started: Time,
    /// How many were handed out; each is named by its number.
    pub(super) calls: u32,
    pub(super) entries: u32,
    /// A run that waits has none: a batch holds a hundred thousand.
    pub(super) pending: Option<Box<Pending>>,
    /// What knows how long tasks of its kind take, and else what was known of that.
    pub(super) pacer: Option<Pacer>,
    pub(super) curve: Option<Arc<Curve>>,
}

/// The pending journal entries, undelivered events and lost submissions of a run.
#[derive(Clone, Debug, Default)]
pub(super) struct Pending {
    /// What is to be recorded before anything else, in order, and whether the first was handed out.
    pub(super) entries: VecDeque<Entry>,
    pub(super) recording: bool,
    /// Events to report, in order.
    pub(super) events: VecDeque<Event>,
    /// The submissions booked as lost.
    pub(super) lost_calls: Vec<CallId>,
    /// The caller has stopped watching.
    pub(super) detaching: bool,
}

impl Core {
    pub(super) fn new(policy: Arc<Policy>, seed: Seed, now: Time) -> Self {
        Self {
            policy,
            rng: seed.rng(),
            now,
            started: Time::MAX,
            calls: 0,
            entries: 0,
            pending: None,
            pacer: None,
            curve: None,
        }
    }

    /// What is known by now of how long tasks with this label take.
    pub(super) fn curve(&self, label: Option<&Label>) -> Option<Arc<Curve>> {
        let pacer = self.pacer.as_ref();
        // Without a pacer there is the curve that a batch lends for one call, or that a clone
        // brought along.
        let known = pacer.map(|pacer| pacer.curve(label, &self.policy.pace, self.now));
        known.or_else(|| self.curve.clone())
    }

    /// Time never runs back, whatever a driver's clock does.
    pub(super) fn advance_clock(&mut self, now: Time) {
        self.now = self.now.max(now);
    }

    /// When its wait began: now, if it has not.
    pub(super) fn began(&self) -> Time {
        known(self.started).unwrap_or(self.now)
    }

    pub(super) fn begin(&mut self) {
        self.started = self.began();
    }

    /// What comes before any step of the state: first the entries, then the events.
    pub(super) fn next_pending(&mut self) -> Option<Step> {
        // The wait counts from the first step: a run may have queued for long before that.
        self.begin();
        let pending = self.pending.as_mut()?;
        if pending.recording {
            // No time ends this sleep; the confirmation of the entry does.
            return Some(Step::Sleep { until: Time::MAX, why: SleepReason::Recording });
        }
        if let Some(entry) = pending.entries.front().cloned() {
            pending.recording = true;
            return Some(Step::Record(entry));
        }
        let event = pending.events.pop_front();
        self.pending.take_if(|pending| pending.is_empty());
        event.map(Step::Notify)
    }

    /// Whether something is to be recorded or reported before the state takes a step.
    pub(super) fn has_pending(&self) -> bool {
        let pending = self.pending.as_ref();
        pending.is_some_and(|pending| !pending.entries.is_empty() || !pending.events.is_empty())
    }

    pub(super) fn pending_mut(&mut self) -> &mut Pending {
        self.pending.get_or_insert_default()
    }

    /// Whether the caller has stopped watching.
    pub(super) fn is_detaching(&self) -> bool {
        self.pending.as_ref().is_some_and(|pending| pending.detaching)
    }

    /// Whether this submission is booked as lost.
    pub(super) fn has_lost(&self, call: CallId) -> bool {
        self.pending.as_ref().is_some_and(|pending| pending.lost_calls.contains(&call))
    }

    /// When a run ends that has had no answer at all by then.
    pub(super) fn unanswered_until(&self) -> Time {
        (self.began() + self.policy.first_answer_timeout).min(self.deadline())
    }

    /// When the wait ends. Every state asks after the first step, which starts the wait.
    pub(super) fn deadline(&self) -> Time {
        (self.began() + self.policy.wait_timeout).min(self.submits_until())
    }

    /// When nothing is submitted any more.
    pub(super) fn submits_until(&self) -> Time {
        self.policy.waits_until(self.began())
    }

    /// When all must be over, the last look and the downloads too.
    pub(super) fn end(&self) -> Time {
        self.policy.ends_by(self.began())
    }

    /// How long the last look may take.
    pub(super) fn last_look(&self) -> Duration {
        self.policy.last_look.min(self.policy.request_timeout)
    }

    pub(super) fn call(&mut self) -> CallId {
        self.calls += 1;
        CallId(self.calls)
    }

    pub(super) fn record(&mut self, fact: Fact) {
        self.entries += 1;
        let entry = Entry { id: EntryId(self.entries), at: self.now, fact };
        self.pending_mut().entries.push_back(entry);
    }

    /// The entry that was handed out is answered; whether it was this one.
    pub(super) fn recorded(&mut self, entry: EntryId) -> bool {
        let Some(pending) = &mut self.pending else { return false };
        let first = pending.entries.front();
        let awaited = pending.recording && first.is_some_and(|first| first.id == entry);
        if awaited {
            pending.recording = false;
            pending.entries.pop_front();
            self.pending.take_if(|pending| pending.is_empty());
        }
        awaited
    }

    pub(super) fn queue_event(&mut self, event: Event) {
        self.pending_mut().events.push_back(event);
    }
}

impl Pending {
    pub(super) fn is_empty(&self) -> bool {
        let silent = self.entries.is_empty() && self.events.is_empty();
        silent && self.lost_calls.is_empty() && !self.detaching
    }
}

/// A time of which [`Time::MAX`] says that there is none.
pub(super) fn known(time: Time) -> Option<Time> {
    Some(time).filter(|time| *time < Time::MAX)
}
