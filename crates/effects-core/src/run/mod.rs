//! [`Run`]: the state machine that follows one task from submission to [`Outcome`] (`outcome.rs`), by the
//! settings in its [`Policy`] (`policy.rs`). Each call of `step` says what to do next ([`Step`]: record,
//! send, sleep, notify, or done), and the results are handed back to it. The loops in `driver`, a
//! [`Batch`](crate::batch::Batch) with many runs, the testkit's `World`, and programs with a loop of their
//! own drive it.
//!
//! [`Run`] holds what every state shares (`core.rs`): the policy, the time, the deadline, what waits to be
//! recorded or told. The states are an owned enum; each transition consumes one and returns the
//! next, and each holds only what it knows: `submit.rs` up to the task's id, `wait.rs` from there.

pub(crate) mod admission;
pub(crate) mod attempt_end;
mod core;
pub(crate) mod entry;
pub(crate) mod event;
pub(crate) mod outcome;
pub(crate) mod policy;
mod saved;
pub(crate) mod submission;
pub(crate) mod submit;
pub(crate) mod task_bill;
mod verdict;
mod wait;

use std::sync::Arc;

use crate::error_kind::ErrorKind;
use crate::gateway::call::{Call, CallId, CallResult, Reply};
use crate::pace::{Curve, Label, Observation, Pacer};
use crate::seed::Seed;
use crate::task_id::TaskId;
use crate::time::Time;
use crate::wire::answer::SubmissionAnswer;
use crate::wire::task::Task;

use self::core::Core;
use admission::Admission;
use attempt_end::AttemptEnd;
use entry::{Entry, EntryId, Fact};
use event::Event;
use outcome::Outcome;
pub use outcome::{Broken, Detached, Failed, NOTHING_OWED, Refused, StillRunning, Unknown};
use policy::Policy;
pub use saved::Saved;
use submission::Submission;
use submit::Submitting;
use wait::Waiting;

/// Follows one task from submission to outcome; the crate's front page has the contract.
///
/// A clone goes by what its [pacer](Self::paced_by) knew when it was made, and teaches it nothing: one
/// task is learnt from once.
#[derive(Debug)]
pub struct Run {
    core: Core,
    state: State,
}

/// What to do next. A driver handles every arm.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Make this durable, then call [`Run::recorded`], or [`Run::admission`] with what a journal answered.
    /// Nothing else comes before that.
    Record(Entry),
    /// Make this exchange, then call [`Run::reply`]. Each call is handed out once.
    Send(Call),
    /// Nothing to do before this time. Stepping earlier does no harm.
    Sleep {
        /// Until when.
        until: Time,
        /// Why.
        why: SleepReason,
    },
    /// Pass the event to the caller.
    Notify(Event),
    /// The run is over; every later step says the same.
    ///
    /// One thing can still change it: the late answer to a submission booked as lost, if it brings
    /// a task id, turns an unknown outcome back into a run that waits for its task.
    Done(Outcome),
}

/// Why a run sleeps.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum SleepReason {
    /// A call is out; its time limit ends the sleep.
    InFlight,
    /// The task is running, and the pace says when to look.
    Pace,
    /// Something went wrong and is repeated after a wait.
    Retry,
    /// The service asked to be left alone for a while.
    Throttle,
    /// An entry is not yet durable.
    Recording,
    /// What is under way must tell its cost before the budget lets this submission leave.
    Budget,
}

impl Run {
    /// A run that submits a request and follows its task.
    pub fn submit(
        submission: impl Into<Submission>,
        policy: Arc<Policy>,
        seed: Seed,
        now: Time,
    ) -> Self {
        let mut core = Core::new(policy, seed, now);
        let state = State::Submitting(Box::new(Submitting::new(submission.into(), &mut core)));
        Self { core, state }
    }

    /// A run that follows a task submitted before, by this program or another.
    ///
    /// Its label is of use to the pace alone. It counts as submitted now: see
    /// [`submitted_at`](Self::submitted_at).
    pub fn attach(
        task: TaskId,
        label: Option<Label>,
        policy: Arc<Policy>,
        seed: Seed,
        now: Time,
    ) -> Self {
        let core = Core::new(policy, seed, now);
        let state = State::Waiting(Waiting::attached(task, label, &core));
        Self { core, state }
    }

    /// Says when the task of an attached run was submitted, where that is known.
    #[must_use]
    pub fn submitted_at(mut self, submitted: Time) -> Self {
        if let State::Waiting(waiting) = &mut self.state {
            waiting.submitted_at(submitted, &self.core.policy);
        }
        self
    }

    /// Gives it the pacer it shares with others: each look goes by what that knows by then, and it
    /// learns what the run saw once that is over or dropped. A run without one knows what an empty
    /// history does.
    #[must_use]
    pub fn paced_by(mut self, pacer: &Pacer) -> Self {
        self.core.pacer = Some(pacer.clone());
        self
    }

    /// A run as it was saved.
    ///
    /// A poll that was in flight is sent again. A submission that was in flight is not: its
    /// fate is not known, so the run ends as [`Outcome::Unknown`].
    pub fn restore(saved: Saved, policy: Arc<Policy>, now: Time) -> Self {
        saved.into_run(policy, now)
    }

    /// The run as data: versioned, without credentials.
    ///
    /// Save it after each step that returns [`Step::Send`], before the call leaves: an older copy of a run
    /// whose submission has left knows nothing of that, and submits once more when it is restored.
    pub fn save(&self) -> Saved {
        Saved::of(self)
    }

    /// What to do next. Safe at any moment, any number of times.
    pub fn step(&mut self, now: Time) -> Step {
        self.core.advance_clock(now);
        loop {
            // Pending entries come before any step of the state: no submission leaves before its
            // intent is durable, and no poll before the task's id is.
            let known = self.core.next_pending().or_else(|| self.state.rest(&self.core));
            if let Some(step) = known {
                if let Step::Done(_) = step {
                    // A caller may keep the finished run; other runs of the pacer are to profit
                    // from it now.
                    self.teach();
                }
                return step;
            }
            let (next, step) = self.state.step(&mut self.core);
            self.go_on(next);
            if let Some(step) = step {
                return step;
            }
        }
    }

    /// What became of a call. An id that is not awaited is ignored, but for the late answer to a
    /// submission booked as lost.
    pub fn reply(&mut self, now: Time, call: CallId, result: &CallResult) {
        self.core.advance_clock(now);
        if let State::Waiting(waiting) = &mut self.state
            && waiting.awaits(call)
        {
            // Most answers are to polls: they change the state in place, since moving it costs more
            // than the rest of the poll.
            let end = waiting.reply(result.as_reply(), &mut self.core);
            return self.go_on(end);
        }
        self.state = match self.state.take() {
            State::Submitting(submitting) if submitting.awaits(call) => {
                submitting.reply(result, &mut self.core)
            }
            // Only submissions are booked as lost: a late answer to a poll says nothing that the
            // next one does not.
            state if self.core.has_lost(call) => state.late_reply(call, result, &mut self.core),
            state => state,
        };
    }

    /// Takes a state of its task that came by itself, by a push of the service or from a look that
    /// another program made: [`Endpoint::pushed`](crate::gateway::Endpoint::pushed) makes it of a
    /// task's JSON. What cannot be read, what is another task's, and what comes before the run has a
    /// task changes nothing: looks go on all the same.
    ///
    /// ```
    /// use effects_core::{ApiKey, BaseUrl, Outcome, Run, Seed, Step, Time};
    /// use effects_core::gateway::Endpoint;
    ///
    /// let base = BaseUrl::parse(BaseUrl::DEFAULT, false)?;
    /// let endpoint = Endpoint::new(base, ApiKey::new("key-of-the-account")?);
    /// let now = Time::from_millis(1_764_000_000_000);
    /// let mut run = Run::attach("t-1".parse()?, None, Default::default(), Seed::from(1), now);
    /// let body = br#"{"id":"t-1","status":"failed","error":"no face"}"#.as_slice();
    /// run.observed(now, &endpoint.pushed(body.into()));
    /// assert!(matches!(run.step(now), Step::Done(Outcome::Failed(_))));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn observed(&mut self, now: Time, pushed: &CallResult) {
        self.core.advance_clock(now);
        if let State::Waiting(waiting) = &mut self.state {
            let end = waiting.observed(pushed.as_reply(), &mut self.core);
            self.go_on(end);
        }
    }

    /// Enters the next state, if there is one.
    fn go_on(&mut self, next: Option<State>) {
        if let Some(state) = next {
            self.state = state;
        }
    }

    /// Confirms that an entry is durable, of which no journal decides whether it fits into a budget. An id
    /// that is not awaited is ignored.
    pub fn recorded(&mut self, entry: EntryId) {
        self.admission(self.core.now, entry, &Admission::Admitted);
    }

    /// What the journal answered to an entry. Where an intent was not admitted, nothing leaves: the
    /// run asks again after a while, or ends as refused. An id that is not awaited is ignored.
    pub fn admission(&mut self, now: Time, entry: EntryId, admission: &Admission) {
        self.core.advance_clock(now);
        // A confirmation that comes twice, or for an entry that is not out, must not move the
        // state.
        if !self.core.recorded(entry) {
            return;
        }
        self.state = match self.state.take() {
            State::Submitting(submitting) => {
                submitting.answered_by_journal(admission, &mut self.core)
            }
            // Only an intent asks for admission; what the other entries tell has happened already.
            state => state,
        };
    }

    /// Lets a run that waits for its budget ask again now: a cost was seen, perhaps.
    pub(crate) fn ask_budget_again(&mut self, now: Time) {
        self.core.advance_clock(now);
        if let State::Submitting(submitting) = &mut self.state
            && submitting.is_unaffordable()
        {
            submitting.ask_budget_again(now, &mut self.core);
        }
    }

    /// Hands an entry out again whose writing was interrupted, by a journal that failed or by the
    /// end of the future that waited for it. The drivers do so whenever they take up a run.
    pub fn record_again(&mut self) {
        if let Some(pending) = &mut self.core.pending {
            pending.recording = false;
        }
    }

    /// Stops watching. A submission in flight is still awaited, so that its task's id is not lost;
    /// a task goes on, since the service cannot cancel one.
    pub fn detach(&mut self, now: Time) {
        self.core.advance_clock(now);
        self.core.pending_mut().detaching = true;
    }

    /// The task, once there is one.
    pub fn task_id(&self) -> Option<&TaskId> {
        self.state.task_id()
    }

    /// The end of the run if it stops here.
    pub(crate) fn detached(&self) -> Detached {
        let is_shown = matches!(&self.state, State::Waiting(waiting) if waiting.is_shown());
        let is_replayed = self.core.policy.is_replay;
        Detached { task_id: self.task_id().cloned(), is_shown, is_replayed }
    }

    /// The label of its task, as far as it is known.
    pub fn label(&self) -> Option<&Label> {
        match &self.state {
            State::Submitting(submitting) => Some(submitting.label()),
            State::Waiting(waiting) => waiting.label.as_ref(),
            State::Done(done) => done.label.as_ref(),
            State::Taken => None,
        }
    }

    /// What it saw of its task's duration so far, to be learnt from once, when the run is over or
    /// left.
    ///
    /// `None` where that says nothing: there was no look, or the only one was at a task of an age
    /// that was not watched.
    pub fn observation(&self) -> Option<Observation> {
        match &self.state {
            State::Waiting(waiting) => waiting.observation(),
            State::Done(done) => done.observation,
            State::Submitting(_) | State::Taken => None,
        }
    }

    /// The outcome of a run that is over, without a copy of it: for a caller that drops the run next.
    pub(crate) fn take_outcome(&mut self) -> Option<Outcome> {
        // As in `step`, the end comes after everything that is to be recorded or reported.
        if self.core.has_pending() {
            return None;
        }
        let State::Done(done) = &mut self.state else { return None };
        // A placeholder that is never read: the caller drops the run next.
        let left = Outcome::Detached(Detached::before_submission());
        Some(std::mem::replace(&mut done.outcome, left))
    }

    /// Lets the pacer learn from it, once.
    fn teach(&mut self) {
        // The pacer is taken out, so that the drop of a finished run does not teach the same task
        // twice.
        if let Some(observation) = self.observation()
            && let Some(pacer) = self.core.pacer.take()
        {
            pacer.learn(self.label(), observation);
        }
    }

    /// Lets it take something in, going by this curve.
    pub(crate) fn paced(&mut self, curve: &Arc<Curve>, update: impl FnOnce(&mut Self)) {
        self.core.curve = Some(Arc::clone(curve));
        update(self);
        // A hundred thousand runs hold no curves that only their past knows.
        self.core.curve = None;
    }

    /// What it would do if it were stepped now.
    pub(crate) fn want(&self, now: Time) -> Want {
        let core = &self.core;
        if let Some(pending) = &core.pending {
            if pending.recording {
                return Want::Sleep(Time::MAX);
            }
            // A detached run must not queue for a turn: it only has to end.
            if core.has_pending() || pending.detaching {
                return Want::Step;
            }
        }
        match &self.state {
            State::Submitting(submitting) => submitting.want(now, core),
            State::Waiting(waiting) => waiting.want(now, core),
            State::Done(_) | State::Taken => Want::Step,
        }
    }

    /// Lets its wait begin now, if it has not.
    pub(crate) fn begin(&mut self, now: Time) {
        self.core.advance_clock(now);
        self.core.begin();
    }

    /// When its wait ends; for a run that has begun.
    pub(crate) fn deadline(&self) -> Time {
        match &self.state {
            State::Submitting(submitting) => submitting.deadline(&self.core),
            _ => self.core.deadline(),
        }
    }

    /// The latest that its last look may leave for want of a turn.
    pub(crate) fn last_look_by(&self) -> Time {
        // The other half of that time is left for the exchange itself.
        (self.deadline() + self.core.last_look() / 2).min(self.core.end())
    }

    /// The chance that its task has ended since it was last seen running.
    pub(crate) fn chance(&self, now: Time, curve: &Curve) -> f64 {
        match &self.state {
            State::Waiting(waiting) => waiting.chance(now, curve),
            State::Submitting(_) | State::Done(_) | State::Taken => 0.0,
        }
    }

    /// Whether an attempt to submit may have made a task that is not known of.
    pub(crate) fn has_unknown_attempt(&self) -> bool {
        matches!(&self.state, State::Submitting(submitting) if submitting.unknown_attempt.is_some())
    }

    /// How the attempt to submit ended that was under way a moment ago.
    pub(crate) fn attempt_end(&self) -> AttemptEnd {
        match &self.state {
            State::Submitting(submitting) => submitting.attempt_end(),
            State::Waiting(_) | State::Taken => AttemptEnd::Answered,
            State::Done(done) => match &done.outcome {
                Outcome::Unknown(_) => AttemptEnd::Unknown,
                // No budget, or no leave to send.
                Outcome::Refused(refused) if refused.attempts == 0 => AttemptEnd::NotTried,
                // Attempts that had left before were noted when they ended; this one met the
                // budget.
                Outcome::Refused(refused) if refused.kind == ErrorKind::BudgetExceeded => {
                    AttemptEnd::NotTried
                }
                Outcome::Refused(refused) => AttemptEnd::of_refusal(&refused.error),
                Outcome::Detached(detached) if detached.task_id.is_none() => AttemptEnd::NotTried,
                _ => AttemptEnd::Answered,
            },
        }
    }

    /// Whether an attempt to submit is under way, from its intent to its answer.
    pub(crate) fn has_attempt_under_way(&self) -> bool {
        matches!(&self.state, State::Submitting(submitting) if submitting.is_under_way())
    }

    /// Whether a submission is out whose answer has not come: the moment to wait for it and not to
    /// leave.
    pub fn is_submitting(&self) -> bool {
        matches!(&self.state, State::Submitting(submitting) if submitting.is_out())
    }
}

impl Clone for Run {
    fn clone(&self) -> Self {
        let (mut core, state) = (self.core.clone(), self.state.clone());
        core.curve = core.curve(self.label());
        core.pacer = None;
        Self { core, state }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // A run that is left midway has seen how long its task ran at least.
        self.teach();
    }
}

/// What a run would do if it were stepped now: for the batch, which decides whether it may.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Want {
    /// Something that needs no leave.
    Step,
    /// Begin an attempt to submit.
    Submit,
    /// Look at its task.
    Poll,
    /// Look at its task for the last time, since the wait is over.
    LastPoll,
    /// Nothing before this time.
    Sleep(Time),
}

/// Where the run is. The state that most runs of a batch are in lies beside what every state shares, the
/// others on the heap.
#[derive(Clone, Debug)]
enum State {
    /// There is no task yet.
    Submitting(Box<Submitting>),
    /// There is a task.
    Waiting(Waiting),
    /// It is over.
    Done(Box<Done>),
    /// Only while a transition is under way.
    Taken,
}

/// An outcome, and what was learnt on the way to it.
#[derive(Clone, Debug)]
struct Done {
    outcome: Outcome,
    label: Option<Label>,
    observation: Option<Observation>,
}

impl State {
    fn take(&mut self) -> Self {
        std::mem::replace(self, Self::Taken)
    }

    fn done(outcome: Outcome) -> Self {
        Self::Done(Box::new(Done { outcome, label: None, observation: None }))
    }

    /// Stopped before anything was submitted.
    fn detached() -> Self {
        Self::done(Outcome::Detached(Detached::before_submission()))
    }

    /// The label is kept, for the day the answer comes after all.
    fn unknown(unknown: Unknown, label: Option<Label>) -> Self {
        let outcome = Outcome::Unknown(unknown);
        Self::Done(Box::new(Done { outcome, label, observation: None }))
    }

    /// What to hand out as long as nothing changes; `None` when it is time for a transition.
    fn rest(&self, core: &Core) -> Option<Step> {
        match self {
            Self::Submitting(submitting) => submitting.rest(core),
            Self::Waiting(waiting) => waiting.rest(core),
            Self::Done(done) => Some(Step::Done(done.outcome.clone())),
            Self::Taken => None,
        }
    }

    /// The next state, if it is another, and the step to hand out, if there is one already. Only what
    /// does not rest is asked.
    fn step(&mut self, core: &mut Core) -> (Option<Self>, Option<Step>) {
        if let Self::Waiting(waiting) = self {
            return waiting.step(core);
        }
        match self.take() {
            Self::Submitting(submitting) => {
                let (state, step) = submitting.step(core);
                (Some(state), step)
            }
            // `take` and the assignment after it enclose every transition.
            Self::Taken => unreachable!("a transition returns a state"),
            state => (Some(state), None),
        }
    }

    fn task_id(&self) -> Option<&TaskId> {
        match self {
            Self::Submitting(_) | Self::Taken => None,
            Self::Waiting(waiting) => Some(waiting.task_id()),
            Self::Done(done) => done.outcome.task_id(),
        }
    }

    /// The answer to a submission that was booked as lost: an id in it is worth money.
    fn late_reply(self, call: CallId, result: &CallResult, core: &mut Core) -> Self {
        let SubmissionAnswer::Created(task, warning) = SubmissionAnswer::read(result) else {
            return self;
        };
        // Its fate is known now: the same answer once more says nothing new.
        core.pending_mut().lost_calls.retain(|lost| *lost != call);
        match self {
            Self::Done(done) if matches!(done.outcome, Outcome::Unknown(_)) => {
                // A lost call does not keep its X-Request-Id, so the task is recorded without one.
                Self::created(&task, None, warning, done.label, result.as_reply(), core)
            }
            Self::Submitting(submitting) => {
                // An attempt that is out goes on; whether it makes a second task remains to be seen.
                core.pending_mut().lost_calls.extend(submitting.call_out());
                let label = submitting.label().clone();
                Self::created(&task, None, warning, Some(label), result.as_reply(), core)
            }
            // Both attempts made one task, as at a service that knows idempotency keys.
            watching if watching.task_id() == Some(&task.id) => watching,
            watching => {
                // Recorded although the run does not follow it: it may be billed, and the budget
                // counts it.
                core.record(Fact::Created { task_id: task.id.clone(), request_id: None });
                core.queue_event(Event::SecondTask { task_id: task.id });
                watching
            }
        }
    }

    /// A task exists: its id is recorded and reported before anything else happens. `warning` is what was odd
    /// about the answer.
    fn created(
        task: &Task,
        request_id: Option<String>,
        warning: Option<String>,
        label: Option<Label>,
        reply: Reply<'_>,
        core: &mut Core,
    ) -> Self {
        core.record(Fact::Created { task_id: task.id.clone(), request_id });
        core.queue_event(Event::Submitted { task_id: task.id.clone() });
        if let Some(message) = warning {
            core.queue_event(Event::Warning { message });
        }
        let mut waiting = Waiting::created(task, label, core);
        // The answer to a submission may show the end of the task already: then no poll is needed.
        let end = waiting.seen(task, reply.retry_after(), reply, core);
        end.unwrap_or(Self::Waiting(waiting))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A batch holds a hundred thousand: of one that waits, nothing is on the heap but its texts.
    #[test]
    fn a_run_that_waits_is_small() {
        let size = size_of::<Run>();
        assert!(size <= 240, "{size}, of which {} {}", size_of::<Core>(), size_of::<Waiting>());
    }
}
