//! [`Batch`]: drives many [`Run`]s on one thread without I/O. Each [`BatchStep`] says what to do next, as
//! the steps of a single run do; the batch decides which run may submit or poll when, within its
//! [`BatchLimits`]. `JobMachine` of `effects-jobs`, and so the jobs of both clients and the async client's
//! single runs, are built on one. [`RunId`] is the handle of a run (`slots.rs`), and [`Outage`] why
//! submissions are held back (`circuit_breaker.rs`).
//!
//! A batch owns its runs, one heap of timers, the limits, the throttle that all share, and the curves
//! they are paced by. A run still decides for itself what it wants; the batch decides
//! when it may. So a run is asked what it wants *before* it is stepped, and a call is only taken
//! from it when it can leave at once: its time limit then starts when it does.
//!
//! A run is in one place at a time: `ready` to be asked, asleep until its timer rings, or in a queue
//! for leave to submit (`queues.rs`) or to look. Two runs of one task share its looks
//! (`shared_polls.rs`).

mod circuit_breaker;
mod curves;
mod queues;
mod shared_polls;
mod slots;
mod throttle;
mod timers;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use http::header::HeaderMap;
use serde::{Deserialize, Serialize};

use crate::error_kind::ErrorKind;
use crate::gateway::call::{Call, CallId, CallResult, Reply};
use crate::gateway::retry_after::retry_after;
use crate::pace::{Label, Pacer};
use crate::run::admission::Admission;
use crate::run::entry::{Entry, EntryId};
use crate::run::event::Event;
use crate::run::outcome::Outcome;
use crate::run::policy::Policy;
use crate::run::submission::Submission;
use crate::run::{Run, Step, Want};
use crate::seed::{Rng, Seed};
use crate::task_id::TaskId;
use crate::time::Time;

use circuit_breaker::CircuitBreaker;
pub use circuit_breaker::{Outage, OutageFailure};
use curves::Curves;
use queues::Queues;
use shared_polls::SharedPolls;
pub use slots::RunId;
use slots::{PollRole, Slots, Ticket};
use throttle::Throttle;
use timers::Timers;

/// Drives many runs at once.
///
/// Three tasks in a row that are completed without a picture end what it pays for: rows that are not
/// submitted yet are then refused, once nothing is under way that may bring a picture after all.
///
/// The driver steps it as it would a run. [`BatchStep::WantRuns`] asks for more rows, so that a
/// manifest is never read whole; [`close`](Self::close) says that there are none.
///
/// ```
/// use std::sync::Arc;
/// use effects_core::{Policy, Time};
/// use effects_core::batch::{Batch, BatchLimits, BatchStep};
///
/// let now = Time::from_millis(0);
/// let mut batch = Batch::new(Arc::new(Policy::default()), BatchLimits::default(), now);
/// assert_eq!(batch.step(now), BatchStep::WantRuns(16));
/// batch.close();
/// assert_eq!(batch.step(now), BatchStep::Empty);
/// ```
#[derive(Debug)]
pub struct Batch {
    policy: Arc<Policy>,
    /// Of runs that wait their turn: a gateway that does not answer is waited for.
    batch_policy: Arc<Policy>,
    limits: BatchLimits,
    /// Draws among runs that wait to poll; each run's seed is mixed in.
    rng: Rng,
    now: Time,
    throttle: Throttle,
    breaker: CircuitBreaker,
    curves: Curves,
    slots: Slots,
    timers: Timers,
    /// Runs to advance, in order.
    ready: VecDeque<Ticket>,
    queues: Queues,
    shared_polls: SharedPolls,
    /// Runs that exist; of them, those with a submission or a task under way; of those, those with
    /// a submission in flight.
    live: u32,
    active: u32,
    submitting: u32,
    /// Runs that may wait for their budget.
    unaffordable: Vec<RunId>,
    /// Tasks that were completed without a picture since the last one with one.
    pictureless: u32,
    closed: bool,
    runs_requested: bool,
}

/// How much a batch does at once.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct BatchLimits {
    /// Submissions in flight.
    pub submissions: u32,
    /// Tasks in flight.
    pub tasks: u32,
    /// Polls a second.
    pub polls_per_second: f64,
}

/// 4 submissions and 16 tasks in flight, 20 polls a second.
impl Default for BatchLimits {
    fn default() -> Self {
        Self { submissions: 4, tasks: 16, polls_per_second: 20.0 }
    }
}

/// What to do next. A driver handles every arm.
#[derive(Clone, Debug, PartialEq)]
pub enum BatchStep {
    /// Make this durable, then call [`Batch::recorded`], or [`Batch::admission`] with what a journal answered.
    Record(RunId, Entry),
    /// Make this exchange, then call [`Batch::reply`].
    Send(RunId, Call),
    /// There is room for this many more runs: add some, or say that there are no more.
    WantRuns(u32),
    /// Nothing to do before this time, unless an answer or a row comes.
    Sleep(Time),
    /// Pass the event to the run's caller.
    Notify(RunId, Event),
    /// This run is over, and its handle with it.
    Done(RunId, Outcome),
    /// Every run is over, and no more are to come.
    Empty,
}

impl Batch {
    /// A batch without runs, and without knowledge of how long tasks take.
    pub fn new(policy: Arc<Policy>, limits: BatchLimits, now: Time) -> Self {
        Self {
            batch_policy: Arc::new(policy.for_batch()),
            policy,
            limits,
            rng: Seed::from(0).rng(),
            now,
            throttle: Throttle::new(now),
            breaker: CircuitBreaker::new(now),
            curves: Curves::new(Pacer::new()),
            slots: Slots::default(),
            timers: Timers::default(),
            ready: VecDeque::new(),
            queues: Queues::default(),
            shared_polls: SharedPolls::default(),
            live: 0,
            active: 0,
            submitting: 0,
            unaffordable: Vec::new(),
            pictureless: 0,
            closed: false,
            runs_requested: false,
        }
    }

    /// The same batch, paced by what this pacer knows and teaching it.
    #[must_use]
    pub fn with_pacer(mut self, pacer: Pacer) -> Self {
        self.curves.set_pacer(pacer);
        self
    }

    /// Adds a run that submits a request.
    ///
    /// A driver draws each run's seed anew: one that the batch kept would be copied when its process
    /// is forked, and two processes would submit under the same names.
    pub fn submit(&mut self, submission: impl Into<Submission>, seed: Seed, now: Time) -> RunId {
        self.rng.mix_in(seed);
        self.add(Run::submit(submission, Arc::clone(&self.batch_policy), seed, now))
    }

    /// Adds a run that submits a request and whose wait begins now: it asks for no place among the
    /// tasks, since the caller that adds it waits for it already.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use effects_core::{EffectRequest, Policy, Seed, Template, Time};
    /// use effects_core::batch::{Batch, BatchLimits, BatchStep};
    ///
    /// let now = Time::from_millis(0);
    /// let limits = BatchLimits { tasks: 1, ..BatchLimits::default() };
    /// let mut batch = Batch::new(Arc::new(Policy::default()), limits, now);
    /// let request = EffectRequest::new(Template::GlassBall, "https://example.com/cat.jpg")?;
    /// batch.submit_at_once(request.clone(), Seed::from(1), now);
    /// batch.submit_at_once(request, Seed::from(2), now);
    /// // Both write their intents, though there is one place among the tasks.
    /// assert!(matches!(batch.step(now), BatchStep::Record(..)));
    /// assert!(matches!(batch.step(now), BatchStep::Record(..)));
    /// # Ok::<(), effects_core::InvalidRequest>(())
    /// ```
    pub fn submit_at_once(
        &mut self,
        submission: impl Into<Submission>,
        seed: Seed,
        now: Time,
    ) -> RunId {
        self.rng.mix_in(seed);
        let mut run = Run::submit(submission, Arc::clone(&self.policy), seed, now);
        // Its caller waits from now on, so the time in the queue counts as well.
        run.begin(now);
        let id = self.add(run);
        self.slots.slot(id.index).at_once = true;
        self.activate(id.index);
        id
    }

    /// Adds a run that follows a task submitted before, at this time if that is known. Two runs
    /// that follow the same task share its polls.
    pub fn attach(
        &mut self,
        task: TaskId,
        label: Option<Label>,
        submitted: Option<Time>,
        seed: Seed,
        now: Time,
    ) -> RunId {
        self.rng.mix_in(seed);
        let (policy, followed) = (Arc::clone(&self.policy), task.clone());
        let mut run = Run::attach(task, label, policy, seed, now);
        if let Some(submitted) = submitted {
            run = run.submitted_at(submitted);
        }
        // Its task is under way already, and so is the wait for it.
        run.begin(now);
        let id = self.add(run);
        // A follower takes no place among the tasks: its leader has one for both.
        if !self.follow(id.index, &followed) {
            self.activate(id.index);
        }
        id
    }

    /// Says that no more runs will be added.
    pub fn close(&mut self) {
        self.closed = true;
    }

    /// What to do next. Safe at any moment, any number of times.
    pub fn step(&mut self, now: Time) -> BatchStep {
        self.now = self.now.max(now);
        loop {
            // First the runs that got something new: one that ends here frees a place for the
            // queues below.
            while let Some(index) = self.next_ready() {
                if let Some(step) = self.advance_run(index) {
                    return step;
                }
            }
            if let Some(step) = self.start_submission().or_else(|| self.start_poll()) {
                return step;
            }
            // `start_submission` may have detached a run, which is ready then.
            if self.ready.is_empty() {
                return self.idle();
            }
        }
    }

    /// What became of a call. A handle or an id that is not awaited is ignored.
    pub fn reply(&mut self, now: Time, id: RunId, call: CallId, result: &CallResult) {
        self.now = self.now.max(now);
        // Before the handle is looked up: a refusal for now holds for all runs, also where its own
        // is over.
        if let Reply::Answer { status, headers, .. } = result.as_reply()
            && let Some(asked) = refused_for_now(status.as_u16(), headers)
        {
            // A refusal that does not say for how long pauses all for a retry's second wait: 1 s by default.
            let pause = match asked {
                Some(asked) => asked.min(self.policy.retry_after_most),
                None => self.policy.retry.longest(1),
            };
            self.throttle.refused(pause, self.now);
        }
        let Some(index) = self.slots.find(id) else { return };
        let slot = self.slots.slot(index);
        if let Some(run) = &mut slot.run {
            let curve = self.curves.curve(slot.label_index, &self.policy.pace, self.now);
            run.paced(curve, |run| run.reply(self.now, call, result));
        }
        // Noted before the next step, in which the breaker decides by it whether another may leave.
        self.note_submitting(index);
        self.make_ready(index);
    }

    /// Takes a state of a run's task that came by itself: see [`Run::observed`]. A handle of a run that
    /// is over is ignored.
    pub fn observed(&mut self, now: Time, id: RunId, pushed: &CallResult) {
        self.now = self.now.max(now);
        let Some(index) = self.slots.find(id) else { return };
        let slot = self.slots.slot(index);
        if let Some(run) = &mut slot.run {
            let curve = self.curves.curve(slot.label_index, &self.policy.pace, self.now);
            run.paced(curve, |run| run.observed(now, pushed));
        }
        self.make_ready(index);
    }

    /// Confirms that an entry is durable, of which no journal decides whether it fits into a budget.
    pub fn recorded(&mut self, id: RunId, entry: EntryId) {
        self.admission(self.now, id, entry, &Admission::Admitted);
    }

    /// What the journal answered to an entry. A run whose intent has to wait for its budget asks
    /// again after a while, and whenever a run of this batch ends.
    pub fn admission(&mut self, now: Time, id: RunId, entry: EntryId, admission: &Admission) {
        self.now = self.now.max(now);
        let Some(index) = self.slots.find(id) else { return };
        if let Some(run) = &mut self.slots.slot(index).run {
            run.admission(self.now, entry, admission);
        }
        if matches!(admission, Admission::Wait { .. }) {
            self.unaffordable.push(id);
        }
        self.note_submitting(index);
        self.make_ready(index);
    }

    /// Gives a run up whose entry could not be made durable: nothing more is sent for it.
    pub fn give_up(&mut self, id: RunId) {
        let Some(index) = self.slots.find(id) else { return };
        let slot = self.slots.slot(index);
        let Some(run) = &slot.run else { return };
        let outcome = Outcome::Detached(run.detached());
        // The step is dropped: the driver tells the run's caller of the journal's error instead.
        self.finish(index, outcome);
    }

    /// Stops watching: what has not left does not leave, what is in flight is awaited.
    pub fn detach(&mut self, now: Time) {
        self.now = self.now.max(now);
        self.closed = true;
        for index in self.slots.indices() {
            self.detach_slot(index);
        }
    }

    /// Stops watching one run: what of it has not left does not leave, a submission in flight is
    /// awaited. A handle of a run that is over is ignored.
    pub fn detach_run(&mut self, id: RunId, now: Time) {
        self.now = self.now.max(now);
        if let Some(index) = self.slots.find(id) {
            self.detach_slot(index);
        }
    }

    /// Lets a run look at its task for itself alone, even where another looks at the same one: each look
    /// is then reported. One that is `held` does not poll until it is released or its wait ends: for a
    /// caller who reads its events one by one. A handle of a run that is over is ignored.
    pub fn look_alone(&mut self, id: RunId, held: bool, now: Time) {
        self.now = self.now.max(now);
        let Some(index) = self.slots.find(id) else { return };
        let before = self.slots.slot(index).poll_role;
        if before == PollRole::Follower {
            self.set_leader(index, None);
            self.activate(index);
        }
        self.slots.slot(index).poll_role = if held { PollRole::Paused } else { PollRole::Alone };
        // Until now its timer was set to the end of its wait alone, since it had no poll of its own
        // to make.
        if matches!(before, PollRole::Follower | PollRole::Paused) && !held {
            self.make_ready(index);
        }
    }

    /// What it knows of how long tasks take.
    pub fn pacer(&self) -> &Pacer {
        self.curves.pacer()
    }

    /// Why it holds submissions back; `None` as long as they reach the gateway and it answers them.
    pub fn outage(&self) -> Option<&Outage> {
        self.breaker.outage()
    }

    /// How many runs it has that are not over.
    pub fn live(&self) -> u32 {
        self.live
    }

    /// How many of its submissions are in flight: the moment not to leave.
    pub fn submitting(&self) -> u32 {
        self.submitting
    }

    fn add(&mut self, run: Run) -> RunId {
        self.live += 1;
        // A driver that gave one run may have more.
        self.runs_requested = false;
        let label_index = self.curves.of(run.label(), &self.policy.pace, self.now);
        let id = self.slots.add(run, label_index);
        let ticket = self.slots.ticket(id.index);
        // New runs go behind those that got something new.
        self.ready.push_back(ticket);
        id
    }

    fn activate(&mut self, index: u32) {
        let slot = self.slots.slot(index);
        self.active += u32::from(!std::mem::replace(&mut slot.active, true));
    }

    /// Whatever it was waiting for, it is asked anew: at once, since a run that got something new a moment
    /// ago is still in the processor's cache. No other run waits long for that: after a step
    /// or three it sleeps, and nothing new is sent before all are asked.
    fn make_ready(&mut self, index: u32) {
        let ticket = self.slots.ticket(index);
        self.ready.push_front(ticket);
    }

    /// The next run to advance: one that got an answer or a confirmation, else one whose timer has rung.
    fn next_ready(&mut self) -> Option<u32> {
        while let Some(ticket) = self.ready.pop_front() {
            if self.slots.holds(ticket) {
                return Some(ticket.index);
            }
        }
        let rung = self.timers.ring(self.now)?;
        // Wherever it was in a queue, it is there no more.
        Some(self.slots.ticket(rung).index)
    }

    /// Does what a run wants, or puts it where it waits for leave to do it.
    fn advance_run(&mut self, index: u32) -> Option<BatchStep> {
        // What its leader saw ends it, also while a poll of its own is out.
        if let Some(outcome) = self.shared_polls.take_verdict(self.slots.id(index)) {
            return Some(self.finish(index, outcome));
        }
        let run = self.slots.run(index)?;
        let (want, deadline) = (run.want(self.now), run.deadline());
        match want {
            Want::Step => self.step_run(index),
            Want::LastPoll => {
                let latest = run.last_look_by();
                self.ask_for_last_poll(index, latest)
            }
            _ if self.slots.follows(index) => {
                // A look it made before it followed may still be out when its wait is over.
                let rest = match want {
                    Want::Sleep(until) if self.now >= deadline => until,
                    _ => deadline,
                };
                self.timers.set(index, rest);
                None
            }
            Want::Submit => {
                self.note_submitting(index);
                self.ask_for_submission(index, deadline)
            }
            Want::Poll if self.slots.slot(index).poll_role == PollRole::Paused => {
                self.timers.set(index, deadline);
                None
            }
            Want::Poll => self.ask_for_poll(index, deadline),
            Want::Sleep(until) => {
                self.timers.set(index, until);
                None
            }
        }
    }

    fn step_run(&mut self, index: u32) -> Option<BatchStep> {
        let id = self.slots.id(index);
        self.note_submitting(index);
        let run = self.slots.slot(index).run.as_mut()?;
        // Taken out and not copied: an outcome holds the whole answer.
        if let Some(outcome) = run.take_outcome() {
            return Some(self.finish(index, outcome));
        }
        let step = run.step(self.now);
        self.note_submitting(index);
        match step {
            // Goes on when it is confirmed.
            Step::Record(entry) => {
                self.timers.clear(index);
                Some(BatchStep::Record(id, entry))
            }
            Step::Send(call) => {
                // What came of an answer that breaks off at the limit may hold the id of a paid task: it
                // is waited for a moment longer than it may take.
                let grace = if call.is_submission() { ANSWER_GRACE } else { Duration::ZERO };
                self.timers.set(index, call.limit + grace);
                Some(BatchStep::Send(id, call))
            }
            Step::Notify(event) => {
                if let Event::Submitted { task_id } = &event {
                    // An answer can name a task that another run of the batch follows already: one
                    // polls for both.
                    self.follow(index, task_id);
                }
                self.make_ready(index);
                Some(BatchStep::Notify(id, event))
            }
            Step::Done(outcome) => Some(self.finish(index, outcome)),
            Step::Sleep { until, .. } => {
                self.timers.set(index, until);
                None
            }
        }
    }

    fn detach_slot(&mut self, index: u32) {
        if let Some(run) = &mut self.slots.slot(index).run {
            run.detach(self.now);
        }
        self.make_ready(index);
    }

    /// Keeps the count of submissions in flight true to what the run says, and notes how an attempt
    /// ended.
    fn note_submitting(&mut self, index: u32) {
        let slot = self.slots.slot(index);
        let submitting = slot.run.as_ref().is_some_and(Run::has_attempt_under_way);
        let before = std::mem::replace(&mut slot.submitting, submitting);
        self.submitting = self.submitting + u32::from(submitting) - u32::from(before);
        // A run that was begun at once is the business of the caller who waits for it.
        let ended = before && !submitting && !slot.at_once;
        if let Some(run) = slot.run.as_ref().filter(|_| ended) {
            self.breaker.note(run.attempt_end(), &self.policy, self.now);
        }
    }

    /// A run is over: what it held is free, and what it saw is learnt.
    fn finish(&mut self, index: u32, outcome: Outcome) -> BatchStep {
        let id = self.slots.id(index);
        self.timers.clear(index);
        self.set_leader(index, None);
        let slot = self.slots.slot(index);
        self.live -= 1;
        self.active -= u32::from(slot.active);
        self.submitting -= u32::from(slot.submitting);
        // There is room again, so the driver is asked for more runs.
        self.runs_requested = false;
        match &outcome {
            Outcome::Completed(_) => self.pictureless = 0,
            Outcome::Failed(failed) if failed.kind == ErrorKind::NoPicture => {
                self.pictureless = self.pictureless.saturating_add(1);
            }
            _ => {}
        }
        let waited = slot.run.as_ref().is_some_and(|run| self.now >= run.deadline());
        // A run of a batch has no pacer of its own, so the batch teaches for it.
        if let Some(observation) = slot.run.as_ref().and_then(Run::observation) {
            self.curves.learn(slot.label_index, observation);
        }
        self.slots.remove(index);
        self.pass_on_outcome(id, &outcome, waited);
        self.ask_budget_again();
        BatchStep::Done(id, outcome)
    }

    /// A run is over, so its cost may be known: those that wait for their budget ask again.
    fn ask_budget_again(&mut self) {
        for id in std::mem::take(&mut self.unaffordable) {
            let Some(index) = self.slots.find(id) else { continue };
            if let Some(run) = &mut self.slots.slot(index).run {
                run.ask_budget_again(self.now);
            }
            self.make_ready(index);
        }
    }

    fn idle(&mut self) -> BatchStep {
        let room = self.width_of_tasks().saturating_sub(self.live);
        // Asked once for each change: a driver that has no run right now would never get to sleep
        // otherwise.
        if !self.closed && !self.runs_requested && room > 0 {
            self.runs_requested = true;
            return BatchStep::WantRuns(room);
        }
        if self.closed && self.live == 0 {
            return BatchStep::Empty;
        }
        let timer = self.timers.next().unwrap_or(Time::MAX);
        BatchStep::Sleep(self.next_turn().map_or(timer, |turn| turn.min(timer)))
    }

    fn width_of_tasks(&self) -> u32 {
        // A width of zero would hold every run back for ever.
        self.limits.tasks.max(1)
    }
}

/// How much longer than its limit the answer to a submission is waited for.
const ANSWER_GRACE: Duration = Duration::from_secs(1);

/// Whether an answer says "later" to everybody, and how much later.
fn refused_for_now(status: u16, headers: &HeaderMap) -> Option<Option<Duration>> {
    if status != 429 && status != 503 {
        return None;
    }
    let asked = retry_after(headers);
    // A 503 that names no time tells of a breakdown and not of too many requests.
    (status == 429 || asked.is_some()).then_some(asked)
}
