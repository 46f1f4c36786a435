//! Many runs on one thread: the contract of [`Run`], one floor up.
//!
//! A batch owns its runs, one heap of timers, the widths, the throttle everybody shares and the
//! budget. A run still decides for itself what it wants; the batch decides when it may. So a run is
//! asked what it wants *before* it is stepped, and a call is only taken from it when it can leave
//! at once: its time limit then starts when it does.

mod budget;
mod throttle;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;

use http::header::HeaderMap;
use serde::{Deserialize, Serialize};

use crate::call::{Call, CallId, Reply};
use crate::entry::{Entry, EntryId};
use crate::error::ErrorKind;
use crate::event::Event;
use crate::outcome::{Detached, Outcome, Refused};
use crate::pace::Pacer;
use crate::policy::Policy;
use crate::request::EffectRequest;
use crate::retry_after::retry_after;
use crate::run::{Run, Step, Want};
use crate::seed::{Dice, Seed};
use crate::task_id::TaskId;
use crate::template::Template;
use crate::time::Time;
use crate::trouble::Trouble;

pub use budget::Budget;
use budget::{Admission, Reservation};
use throttle::Throttle;

/// Drives many runs at once.
///
/// The driver steps it as it would a run. [`BatchStep::Hungry`] asks for more rows, so that a
/// manifest is never read whole; [`feed_no_more`](Self::feed_no_more) says that there are none.
///
/// ```
/// use std::sync::Arc;
/// use effects_core::{Batch, BatchStep, Policy, Seed, Time, Widths};
///
/// let now = Time::from_millis(0);
/// let mut batch = Batch::new(Arc::new(Policy::default()), Widths::default(), Seed::from(1), now);
/// assert_eq!(batch.step(now), BatchStep::Hungry(16));
/// batch.feed_no_more();
/// assert_eq!(batch.step(now), BatchStep::Empty);
/// ```
#[derive(Debug)]
pub struct Batch {
    policy: Arc<Policy>,
    widths: Widths,
    budget: Budget,
    pacer: Pacer,
    dice: Dice,
    now: Time,
    throttle: Throttle,
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// Runs to look after, in order.
    ready: VecDeque<u32>,
    /// Runs that want to submit, in order.
    submitters: VecDeque<u32>,
    /// Runs that want to poll, in no order: the likeliest to be done goes first.
    pollers: Vec<u32>,
    timers: BinaryHeap<Reverse<Timer>>,
    /// Which run polls a task, for others that ask for the same.
    watchers: HashMap<TaskId, u32>,
    /// Runs that exist; of them, those with a submission or a task under way; of those, those with
    /// a submission in flight.
    live: u32,
    active: u32,
    posting: u32,
    fed: bool,
    asked: bool,
}

/// How much a batch does at once.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct Widths {
    /// Submissions in flight.
    pub submissions: u32,
    /// Tasks in flight.
    pub tasks: u32,
    /// Polls a second.
    pub polls_per_second: f64,
}

/// 4 submissions and 16 tasks in flight, 20 polls a second.
impl Default for Widths {
    fn default() -> Self {
        Self { submissions: 4, tasks: 16, polls_per_second: 20.0 }
    }
}

/// The handle of a run in a batch. One that is over never becomes another's.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct RunId {
    index: u32,
    generation: u32,
}

/// What to do next. A driver handles every arm.
#[derive(Clone, Debug, PartialEq)]
pub enum BatchStep {
    /// Make this durable, then call [`Batch::recorded`].
    Record(RunId, Entry),
    /// Make this exchange, then call [`Batch::reply`].
    Send(RunId, Call),
    /// There is room for this many more runs: add some, or say that there are no more.
    Hungry(u32),
    /// Nothing to do before this time, unless an answer or a row comes.
    Sleep(Time),
    /// Tell whoever watches.
    Notify(RunId, Event),
    /// This run is over, and its handle with it.
    Done(RunId, Outcome),
    /// Every run is over, and no more are to come.
    Empty,
}

/// A run and where it stands. `run` is empty in a free slot, and in one that follows another's.
#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    /// Only the timer with this number still counts.
    timer: u32,
    active: bool,
    posting: bool,
    /// When its task was last seen running, for choosing whom to look at.
    looked: Time,
    run: Option<Box<Run>>,
    reservation: Option<Box<Reservation>>,
    followers: Vec<u32>,
    outcome: Option<Box<Outcome>>,
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Timer {
    at: Time,
    index: u32,
    number: u32,
}

impl Batch {
    /// A batch without runs and without a limit to what it spends.
    pub fn new(policy: Arc<Policy>, widths: Widths, seed: Seed, now: Time) -> Self {
        Self {
            policy,
            widths,
            budget: Budget::unlimited(),
            pacer: Pacer::new(),
            dice: seed.dice(),
            now,
            throttle: Throttle::new(now),
            slots: Vec::new(),
            free: Vec::new(),
            ready: VecDeque::new(),
            submitters: VecDeque::new(),
            pollers: Vec::new(),
            timers: BinaryHeap::new(),
            watchers: HashMap::new(),
            live: 0,
            active: 0,
            posting: 0,
            fed: false,
            asked: false,
        }
    }

    /// The same batch with this budget.
    #[must_use]
    pub fn with_budget(self, budget: Budget) -> Self {
        Self { budget, ..self }
    }

    /// The same batch, paced by what this pacer knows and teaching it; else by one of its own that
    /// knows nothing.
    #[must_use]
    pub fn with_pacer(self, pacer: Pacer) -> Self {
        Self { pacer, ..self }
    }

    /// Adds a run that submits a request.
    pub fn submit(&mut self, request: EffectRequest, now: Time) -> RunId {
        let seed = Seed::from(self.dice.next());
        self.add(Run::submit(request, Arc::clone(&self.policy), seed, now))
    }

    /// Adds a run that follows a task submitted before, at this time if that is known. Two runs
    /// that follow the same task share its polls.
    pub fn attach(
        &mut self,
        task: TaskId,
        template: Option<Template>,
        submitted: Option<Time>,
        now: Time,
    ) -> RunId {
        if let Some(&leader) = self.watchers.get(&task) {
            let follower = self.occupy(None);
            self.slots[leader as usize].followers.push(follower.index);
            return follower;
        }
        let seed = Seed::from(self.dice.next());
        let policy = Arc::clone(&self.policy);
        let mut run = Run::attach(task.clone(), template, policy, seed, now);
        if let Some(submitted) = submitted {
            run = run.submitted_at(submitted);
        }
        let id = self.add(run);
        self.watchers.insert(task, id.index);
        self.activate(id.index);
        id
    }

    /// Says that no more runs will be added.
    pub fn feed_no_more(&mut self) {
        self.fed = true;
    }

    /// What to do next. Safe at any moment, any number of times.
    pub fn step(&mut self, now: Time) -> BatchStep {
        self.now = self.now.max(now);
        self.wake();
        loop {
            if let Some(index) = self.ready.pop_front() {
                if let Some(step) = self.look_after(index) {
                    return step;
                }
                continue;
            }
            if self.now >= self.throttle.until() {
                if let Some(step) = self.start_submission() {
                    return step;
                }
                // A submission the budget refused is ready to be told of.
                if !self.ready.is_empty() {
                    continue;
                }
                if let Some(step) = self.start_poll() {
                    return step;
                }
            }
            return self.idle();
        }
    }

    /// What became of a call. A handle or an id that is not awaited is ignored.
    pub fn reply(&mut self, now: Time, id: RunId, call: CallId, reply: Reply<'_>) {
        self.now = self.now.max(now);
        if let Reply::Answer { status, headers, .. } = reply
            && let Some(asked) = refused_for_now(status.as_u16(), headers)
        {
            let asked = asked.map(|asked| asked.min(self.policy.retry_after_most));
            self.throttle.refused(asked, self.now);
        }
        let (pacer, policy) = (self.pacer.clone(), Arc::clone(&self.policy));
        let Some(slot) = self.slot(id) else { return };
        slot.looked = now;
        if let Some(run) = &mut slot.run {
            let curve = pacer.curve(run.template(), &policy.pace, now);
            run.pace_by(curve);
            run.reply(now, call, reply);
            self.ready.push_back(id.index);
        }
    }

    /// Confirms that an entry is durable.
    pub fn recorded(&mut self, id: RunId, entry: EntryId) {
        if let Some(Slot { run: Some(run), .. }) = self.slot(id) {
            run.recorded(entry);
            self.ready.push_back(id.index);
        }
    }

    /// Gives a run up whose entry could not be made durable: nothing more is sent for it. What it
    /// may have cost stays reserved.
    pub fn give_up(&mut self, id: RunId) {
        if self.slot(id).is_none() {
            return;
        }
        let reservation = self.slots[id.index as usize].reservation.take();
        if let Some(reservation) = reservation {
            self.budget.hold(*reservation);
        }
        let task_id = self.slots[id.index as usize].run.as_ref().and_then(|run| run.task_id());
        let outcome = Outcome::Detached(Detached { task_id: task_id.cloned() });
        self.finish(id.index, outcome);
    }

    /// Stops watching: what has not left does not leave, what is in flight is awaited.
    pub fn detach(&mut self, now: Time) {
        self.now = self.now.max(now);
        self.fed = true;
        for (index, slot) in (0_u32..).zip(&mut self.slots) {
            if let Some(run) = &mut slot.run {
                run.detach(now);
                self.ready.push_back(index);
            }
        }
        self.submitters.clear();
        self.pollers.clear();
    }

    /// What it knows of how long tasks take.
    pub fn pacer(&self) -> &Pacer {
        &self.pacer
    }

    /// What it has spent and may spend.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// How many runs it has that are not over.
    pub fn live(&self) -> u32 {
        self.live
    }

    /// How many of its submissions are in flight: the moment not to leave.
    pub fn posting(&self) -> u32 {
        self.posting
    }

    fn add(&mut self, run: Run) -> RunId {
        let id = self.occupy(Some(Box::new(run)));
        self.ready.push_back(id.index);
        id
    }

    fn occupy(&mut self, run: Option<Box<Run>>) -> RunId {
        self.live += 1;
        self.asked = false;
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        let slot = &mut self.slots[index as usize];
        slot.run = run;
        slot.looked = self.now;
        RunId { index, generation: slot.generation }
    }

    fn slot(&mut self, id: RunId) -> Option<&mut Slot> {
        let slot = self.slots.get_mut(id.index as usize)?;
        (slot.generation == id.generation).then_some(slot)
    }

    fn id(&self, index: u32) -> RunId {
        RunId { index, generation: self.slots[index as usize].generation }
    }

    fn activate(&mut self, index: u32) {
        let slot = &mut self.slots[index as usize];
        if !slot.active {
            slot.active = true;
            self.active += 1;
        }
    }

    /// Moves the runs whose time has come to those to look after.
    fn wake(&mut self) {
        while let Some(Reverse(timer)) = self.timers.peek().copied() {
            if timer.at > self.now {
                return;
            }
            self.timers.pop();
            if self.slots[timer.index as usize].timer == timer.number {
                self.ready.push_back(timer.index);
            }
        }
    }

    /// Does what a run wants, or puts it where it waits for leave to do it.
    fn look_after(&mut self, index: u32) -> Option<BatchStep> {
        let slot = &mut self.slots[index as usize];
        // Whatever it was waiting for, it is asked anew.
        slot.timer = slot.timer.wrapping_add(1);
        if let Some(outcome) = slot.outcome.take() {
            return Some(self.finish(index, *outcome));
        }
        let want = slot.run.as_ref()?.want(self.now);
        match want {
            Want::Step => self.step_run(index),
            Want::Submit => {
                self.note_posting(index);
                self.submitters.push_back(index);
                None
            }
            Want::Poll => {
                self.pollers.push(index);
                None
            }
            Want::Sleep(until) => {
                self.note_posting(index);
                let number = self.slots[index as usize].timer;
                self.timers.push(Reverse(Timer { at: until, index, number }));
                None
            }
        }
    }

    fn step_run(&mut self, index: u32) -> Option<BatchStep> {
        let id = self.id(index);
        let run = self.slots[index as usize].run.as_mut()?;
        let step = run.step(self.now);
        self.note_posting(index);
        match step {
            // Goes on when it is confirmed.
            Step::Record(entry) => Some(BatchStep::Record(id, entry)),
            Step::Send(call) => {
                self.ready.push_back(index);
                Some(BatchStep::Send(id, call))
            }
            Step::Notify(event) => {
                self.ready.push_back(index);
                if let Event::Submitted { task_id } = &event {
                    self.watchers.insert(task_id.clone(), index);
                }
                Some(BatchStep::Notify(id, event))
            }
            Step::Done(outcome) => Some(self.finish(index, outcome)),
            Step::Sleep { until, .. } => {
                let number = self.slots[index as usize].timer;
                self.timers.push(Reverse(Timer { at: until, index, number }));
                None
            }
        }
    }

    /// Whether a run that waited for leave still wants it: an answer may have come meanwhile.
    fn wants(&mut self, index: u32, what: Want) -> bool {
        let run = self.slots[index as usize].run.as_ref();
        match run.map(|run| run.want(self.now)) {
            Some(want) if want == what => true,
            Some(_) => {
                self.ready.push_back(index);
                false
            }
            None => false,
        }
    }

    /// Keeps the count of submissions in flight true to what the run says.
    fn note_posting(&mut self, index: u32) {
        let slot = &mut self.slots[index as usize];
        let posting = slot.run.as_ref().is_some_and(|run| run.is_posting());
        if posting != slot.posting {
            slot.posting = posting;
            self.posting = if posting { self.posting + 1 } else { self.posting - 1 };
        }
    }

    /// Lets the next submission leave, if there is room and money for it.
    fn start_submission(&mut self) -> Option<BatchStep> {
        loop {
            let room = self.posting < self.throttle.width(self.widths.submissions, self.now);
            let index = *self.submitters.front().filter(|_| room)?;
            if !self.wants(index, Want::Submit) {
                self.submitters.pop_front();
                continue;
            }
            let active = self.slots[index as usize].active;
            if !active && self.active >= self.widths.tasks {
                return None;
            }
            if self.slots[index as usize].reservation.is_none() {
                match self.budget.admit() {
                    Admission::NotYet => return None,
                    Admission::Granted(reservation) => {
                        self.slots[index as usize].reservation = Some(Box::new(reservation));
                    }
                    Admission::Refused(missing) => {
                        self.submitters.pop_front();
                        let reason = format!("it would exceed the budget by {missing} USD");
                        let outcome = Outcome::Refused(Refused {
                            kind: ErrorKind::BudgetExceeded,
                            trouble: Trouble::NotSent { reason },
                            attempts: 0,
                        });
                        return Some(self.finish(index, outcome));
                    }
                }
            }
            self.submitters.pop_front();
            self.activate(index);
            if let Some(step) = self.step_run(index) {
                return Some(step);
            }
        }
    }

    /// Lets the run poll that is likeliest to be done.
    fn start_poll(&mut self) -> Option<BatchStep> {
        while !self.pollers.is_empty() {
            if let Err(until) = self.throttle.take_poll(self.widths.polls_per_second, self.now) {
                // A timer nobody owns, to come back by.
                self.timers.push(Reverse(Timer { at: until, index: 0, number: u32::MAX }));
                return None;
            }
            let chosen = self.likeliest();
            let index = self.pollers.swap_remove(chosen);
            if !self.wants(index, Want::Poll) {
                continue;
            }
            if let Some(step) = self.step_run(index) {
                return Some(step);
            }
        }
        None
    }

    /// Of a few pollers drawn by lot, the one not looked at for longest. Looking at all of them
    /// would cost more than it finds, and whoever waits long enough is found by any draw.
    fn likeliest(&mut self) -> usize {
        let count = self.pollers.len() as u64;
        let draws = if count <= DRAWS { count } else { DRAWS };
        let draw = |lot: u64| usize::try_from(lot % count).unwrap_or_default();
        (0..draws)
            .map(|nth| if count <= DRAWS { draw(nth) } else { draw(self.dice.next()) })
            .min_by_key(|&place| self.slots[self.pollers[place] as usize].looked)
            .unwrap_or_default()
    }

    /// A run is over: what it held is free, and those that followed it end with it.
    fn finish(&mut self, index: u32, outcome: Outcome) -> BatchStep {
        let id = self.id(index);
        let slot = &mut self.slots[index as usize];
        let run = slot.run.take();
        let reservation = slot.reservation.take();
        let followers = std::mem::take(&mut slot.followers);
        slot.generation = slot.generation.wrapping_add(1);
        self.active -= u32::from(std::mem::take(&mut slot.active));
        self.posting -= u32::from(std::mem::take(&mut slot.posting));
        self.live -= 1;
        self.asked = false;
        self.free.push(index);
        if let Some(reservation) = reservation {
            self.budget.settle(*reservation, &outcome);
        }
        if let Some(run) = run {
            if let Some(task) = outcome.task_id() {
                self.watchers.remove(task);
            }
            if let Some(observation) = run.observation() {
                self.pacer.learn(run.template(), observation);
            }
        }
        for follower in followers {
            self.slots[follower as usize].outcome = Some(Box::new(outcome.clone()));
            self.ready.push_back(follower);
        }
        BatchStep::Done(id, outcome)
    }

    fn idle(&mut self) -> BatchStep {
        if !self.fed && !self.asked && self.live < self.widths.tasks {
            self.asked = true;
            return BatchStep::Hungry(self.widths.tasks - self.live);
        }
        if self.fed && self.live == 0 {
            return BatchStep::Empty;
        }
        let waiting = !self.submitters.is_empty() || !self.pollers.is_empty();
        let throttled = waiting && self.throttle.until() > self.now;
        let timer = self.timers.peek().map_or(Time::MAX, |Reverse(timer)| timer.at);
        BatchStep::Sleep(if throttled { timer.min(self.throttle.until()) } else { timer })
    }
}

/// Whether an answer says "later" to everybody, and how much later.
fn refused_for_now(status: u16, headers: &HeaderMap) -> Option<Option<std::time::Duration>> {
    let asked = retry_after(headers);
    (status == 429 || (status == 503 && asked.is_some())).then_some(asked)
}

/// How many pollers are compared for each poll that is scarce.
const DRAWS: u64 = 16;
