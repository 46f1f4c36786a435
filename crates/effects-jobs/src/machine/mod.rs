//! [`JobMachine`]: the state machine that takes jobs from the photo to the file, many at once, over one
//! [`Batch`] of runs. It makes no I/O itself: each step tells its driver what to do next, and by the
//! driver's replies the machine submits a job, follows its task, pays for a new one, or ends the job.
//! `effects-ureq` steps it for jobs (`jobs.rs`), `effects-reqwest` for jobs and for a client's single runs
//! (`driver.rs`), and `effects-testkit` in its simulated world. `JobsHandle` of `effects-client` publishes
//! how it stands.
//!
//! This file adds jobs, hands out the steps and stops the machine; `replies.rs` takes the driver's replies,
//! `failed_run.rs` decides what a job does whose run failed, and `queries.rs` tells how things stand.

mod failed_run;
mod queries;
mod replies;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use effects_core::batch::{Batch, BatchStep, RunId};
use effects_core::journal::RowOutcome;
use effects_core::pace::Pacer;
use effects_core::{Effect, Error, ErrorKind, Outcome, Policy, Seed, Time};
use rust_decimal::Decimal;

use crate::end::{JobEnd, JobOutcome, Method};
use crate::halt::{Refusals, ends_all};
use crate::limits::JobLimits;
use crate::row::OpenRow;
use crate::step::{JobId, JobStep};
use crate::work::Work;

/// Takes jobs to their ends, many at once.
///
/// ```
/// use std::sync::Arc;
/// use effects_core::{EffectRequest, Policy, Seed, Template, Time};
/// use effects_jobs::{JobLimits, JobMachine, JobStep};
///
/// let now = Time::from_millis(0);
/// let mut jobs = JobMachine::new(Arc::new(Policy::default()), JobLimits::of_tasks(1), now);
/// // Four may be made ready before there is room for them.
/// assert!(matches!(jobs.step(now), JobStep::WantJobs(4)));
/// let request = EffectRequest::new(Template::GlassBall, "https://example.com/cat.jpg")?;
/// jobs.add(request.into(), false, "the cat");
/// jobs.close();
/// let JobStep::Begin(job) = jobs.step(now) else { panic!("it is ready") };
/// jobs.begin(job, Ok(Seed::from(7)), now);
/// // The intent is written before the request leaves.
/// assert!(matches!(jobs.step(now), JobStep::Record(..)));
/// # Ok::<(), effects_core::InvalidRequest>(())
/// ```
#[derive(Debug)]
pub struct JobMachine<K> {
    batch: Batch,
    limits: JobLimits,
    /// How long a job waits for another process that has its row.
    row_wait_limit: Duration,
    now: Time,
    slots: Vec<Option<JobSlot<K>>>,
    free: Vec<u32>,
    live: u32,
    /// The jobs of the runs, by the runs' places.
    runs: Vec<Option<(RunId, JobId)>>,
    to_open: VecDeque<JobId>,
    to_upload: VecDeque<JobId>,
    /// Ready, and waiting for room in the batch.
    ready: VecDeque<JobId>,
    to_fetch: VecDeque<(JobId, Box<Effect>)>,
    /// Their rows are held by other processes.
    waiting: Vec<JobId>,
    open_again_at: Time,
    renewing: VecDeque<(JobId, Error)>,
    over: VecDeque<(K, JobEnd)>,
    /// Jobs that are being opened or whose photos are being uploaded.
    preparing: u32,
    fetching: u32,
    /// Room in the batch, and jobs that were asked for when last asked.
    room: u32,
    jobs_requested: u32,
    refusals: Refusals,
    /// Whether a recording is replayed, in which nothing is paid.
    is_replay: bool,
    is_halted: bool,
    halted_by: Option<Error>,
    closed: bool,
}

#[derive(Debug)]
struct JobSlot<K> {
    /// `None` while the driver has it.
    known: Option<K>,
    run: Option<RunId>,
    /// The end of its run, until the journal was told.
    outcome: Option<Box<Outcome>>,
    /// `None` for a job of which nothing but its run matters.
    plan: Option<Box<JobPlan>>,
}

/// What a job needs beside its run.
#[derive(Debug)]
struct JobPlan {
    work: Work,
    opens: bool,
    row: Option<OpenRow>,
    method: Option<Method>,
    earlier_cost: Decimal,
    /// New paid tasks that were made for it by this machine.
    renewals: u32,
    waiting_since: Option<Time>,
}

impl<K> JobMachine<K> {
    /// A machine without jobs, and without knowledge of how long tasks take.
    pub fn new(policy: Arc<Policy>, limits: impl Into<JobLimits>, now: Time) -> Self {
        let limits = limits.into();
        Self {
            // A process that has a row watches it for its own wait at most; after that it has let
            // go of it or is stuck.
            row_wait_limit: policy
                .wait_timeout
                .max(OPEN_AGAIN_AFTER)
                .min(policy.ends_by(now).since(now)),
            is_replay: policy.is_replay,
            batch: Batch::new(policy, limits.batch, now),
            limits,
            now,
            slots: Vec::new(),
            free: Vec::new(),
            live: 0,
            runs: Vec::new(),
            to_open: VecDeque::new(),
            to_upload: VecDeque::new(),
            ready: VecDeque::new(),
            to_fetch: VecDeque::new(),
            waiting: Vec::new(),
            open_again_at: now,
            renewing: VecDeque::new(),
            over: VecDeque::new(),
            preparing: 0,
            fetching: 0,
            room: 0,
            jobs_requested: 0,
            refusals: Refusals::default(),
            is_halted: false,
            halted_by: None,
            closed: false,
        }
    }

    /// The same machine, paced by what this pacer knows and teaching it.
    #[must_use]
    pub fn with_pacer(self, pacer: Pacer) -> Self {
        Self { batch: self.batch.with_pacer(pacer), ..self }
    }

    /// Adds a job. One that `opens` is opened in a journal first; its driver fetches its pictures if it
    /// is asked to.
    pub fn add(&mut self, work: Work, opens: bool, known: K) -> JobId {
        let plan = JobPlan {
            work,
            opens,
            row: None,
            method: None,
            earlier_cost: Decimal::ZERO,
            renewals: 0,
            waiting_since: None,
        };
        // It has come, so the same number of jobs would be asked for again by mistake.
        self.jobs_requested = self.jobs_requested.saturating_sub(1);
        let id = self.insert(known, Some(Box::new(plan)));
        self.prepare(id);
        id
    }

    /// Adds a job whose wait begins now: the caller waits for it already, so it asks for no place among
    /// the tasks.
    pub fn add_at_once(&mut self, work: Work, known: K, seed: Seed, now: Time) -> JobId {
        self.now = self.now.max(now);
        let id = self.insert(known, None);
        match work {
            Work::Submit(request) => {
                let run = self.batch.submit_at_once(request, seed, self.now);
                self.runs_as(id, run);
            }
            Work::Watch { task, template, submitted } => {
                let label = template.map(Into::into);
                let run = self.batch.attach(task, label, submitted, seed, self.now);
                self.runs_as(id, run);
            }
            // It would have to be made ready first.
            Work::Upload(_) | Work::Resume => self.end(id, JobOutcome::NotBegun),
        }
        id
    }

    /// Lets a job's run look for itself alone: see [`Batch::look_alone`].
    pub fn look_alone(&mut self, id: JobId, held: bool, now: Time) {
        self.now = self.now.max(now);
        if let Some(run) = self.slot(id).and_then(|slot| slot.run) {
            self.batch.look_alone(run, held, self.now);
        }
    }

    /// Says that no more jobs will be added.
    pub fn close(&mut self) {
        self.closed = true;
    }

    /// What to do next. Safe at any moment, any number of times.
    pub fn step(&mut self, now: Time) -> JobStep<K> {
        self.now = self.now.max(now);
        // All of them at once: opening a row is cheap, and a timer for each would be more to
        // keep.
        if !self.waiting.is_empty() && self.now >= self.open_again_at {
            self.to_open.extend(self.waiting.drain(..));
        }
        loop {
            if let Some(step) = self.next_of_jobs() {
                return step;
            }
            match self.batch.step(self.now) {
                BatchStep::Record(run, entry) => return JobStep::Record(run, entry),
                BatchStep::Send(run, call) => return JobStep::Send(run, call),
                BatchStep::Notify(run, event) => return JobStep::Notify(run, event),
                BatchStep::WantRuns(room) => self.room = room,
                BatchStep::Done(run, outcome) => {
                    if let Some(step) = self.run_ended(run, outcome) {
                        return step;
                    }
                }
                BatchStep::Sleep(until) => return self.rest(until),
                BatchStep::Empty => return self.rest(Time::MAX),
            }
        }
    }

    /// Begins nothing more: jobs without a run end, and what runs goes on. The first reason is kept.
    pub fn halt(&mut self, why: Option<Error>) {
        if !self.is_halted {
            self.halted_by = why;
        }
        self.is_halted = true;
        // Not `to_fetch`: those pictures are paid for, and are still fetched.
        let queues = [&mut self.to_open, &mut self.to_upload, &mut self.ready];
        let mut unbegun: Vec<JobId> =
            queues.into_iter().flat_map(|queue| queue.drain(..)).collect();
        unbegun.append(&mut self.waiting);
        for id in unbegun {
            self.end(id, JobOutcome::NotBegun);
        }
    }

    /// Stops: nothing more is begun, submitted or fetched; a submission in flight is awaited.
    pub fn stop(&mut self, now: Time) {
        self.now = self.now.max(now);
        self.halt(None);
        self.batch.detach(self.now);
        for (id, effect) in std::mem::take(&mut self.to_fetch) {
            let why = match self.is_replay {
                true => {
                    "interrupted before its picture was downloaded; it is a replay, which pays nothing"
                }
                false => {
                    "interrupted before its picture was downloaded; it is paid for and still there"
                }
            };
            let error = Error::new(ErrorKind::Detached, why).about(&effect.task_id);
            self.end(id, JobOutcome::NotFetched(effect, error));
        }
    }

    /// Stops watching a job's run: what of it has not left does not leave, a submission in flight is awaited.
    pub fn detach(&mut self, id: JobId, now: Time) {
        self.now = self.now.max(now);
        if let Some(run) = self.slot(id).and_then(|slot| slot.run) {
            self.batch.detach_run(run, self.now);
        }
    }

    /// Stops watching the runs of jobs of which this holds: what of them has not left does not leave, a
    /// submission in flight is awaited.
    pub fn detach_those(&mut self, now: Time, which: impl Fn(&K) -> bool) {
        self.now = self.now.max(now);
        for slot in self.slots.iter().flatten() {
            if let (Some(run), Some(known)) = (slot.run, &slot.known)
                && which(known)
            {
                self.batch.detach_run(run, self.now);
            }
        }
    }

    fn next_of_jobs(&mut self) -> Option<JobStep<K>> {
        // Ends before all else: each frees a place, and its caller may be waiting for it.
        if let Some((known, end)) = self.over.pop_front() {
            return Some(JobStep::Done(known, end));
        }
        if let Some((id, error)) = self.renewing.pop_front() {
            return Some(JobStep::Renewing(id, error));
        }
        // A run that the batch has no room for would hold a photo's URL that ages, so it waits
        // here.
        if self.room > 0
            && let Some(id) = self.ready.pop_front()
        {
            return Some(JobStep::Begin(id));
        }
        if self.fetching < self.limits.downloads
            && let Some((id, effect)) = self.to_fetch.pop_front()
            && let Some(known) = self.hand_out(id)
        {
            self.fetching += 1;
            return Some(JobStep::Fetch(id, known, effect));
        }
        if self.preparing < self.limits.uploads {
            // Those nearest to their submission first.
            if let Some(id) = self.to_upload.pop_front()
                && let Some(known) = self.hand_out(id)
            {
                self.preparing += 1;
                return Some(JobStep::Upload(id, known));
            }
            if let Some(id) = self.to_open.pop_front()
                && let Some(known) = self.hand_out(id)
            {
                self.preparing += 1;
                return Some(JobStep::Open(id, known));
            }
        }
        let wanted = self.wanted();
        // Asked once for each number: a driver whose caller has no job at hand would otherwise be
        // asked in a loop.
        let is_news = std::mem::replace(&mut self.jobs_requested, wanted) != wanted;
        (is_news && wanted > 0).then_some(JobStep::WantJobs(wanted))
    }

    /// How many more jobs there is room for.
    fn wanted(&self) -> u32 {
        // What waits for its download is paid for: where the disk or the network is slow, no more
        // is bought than it keeps up with.
        if self.closed || self.is_halted || self.to_fetch.len() > self.limits.unfetched as usize {
            return 0;
        }
        let waiting = self.to_open.len() + self.to_upload.len() + self.ready.len();
        let waiting = u32::try_from(waiting).unwrap_or(u32::MAX).saturating_add(self.preparing);
        // Some are made ready ahead, so that no free place waits for an upload.
        self.room.saturating_add(self.limits.ahead).saturating_sub(waiting)
    }

    fn rest(&self, until: Time) -> JobStep<K> {
        if self.closed && self.live == 0 {
            return JobStep::Empty;
        }
        let again = if self.waiting.is_empty() { Time::MAX } else { self.open_again_at };
        JobStep::Sleep(until.min(again))
    }

    fn insert(&mut self, known: K, plan: Option<Box<JobPlan>>) -> JobId {
        self.live += 1;
        let slot = JobSlot { known: Some(known), run: None, outcome: None, plan };
        // Places are used again, so that a million jobs take no more memory than those under way.
        if let Some(index) = self.free.pop() {
            self.slots[index as usize] = Some(slot);
            return JobId(index);
        }
        self.slots.push(Some(slot));
        // Slots are far fewer than a u32 can count: each takes memory.
        JobId(u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX))
    }

    /// Begins nothing more for this reason, which would be every other job's.
    fn halt_by(&mut self, error: Error) {
        if !self.limits.keeps_going {
            self.halt(Some(error));
        }
    }

    /// Puts a job where its first step is.
    fn prepare(&mut self, id: JobId) {
        if self.is_halted {
            return self.end(id, JobOutcome::NotBegun);
        }
        match self.plan(id) {
            Some(plan) if plan.opens => self.to_open.push_back(id),
            _ => self.make_ready(id),
        }
    }

    /// Puts a job where its upload is waited for, or room for its run.
    fn make_ready(&mut self, id: JobId) {
        match self.work(id) {
            Some(Work::Upload(_)) => self.to_upload.push_back(id),
            Some(Work::Submit(_) | Work::Watch { .. }) => self.ready.push_back(id),
            // A row that has no task is never submitted by this.
            Some(Work::Resume) => self.end(id, JobOutcome::NotBegun),
            None => {}
        }
    }

    fn runs_as(&mut self, id: JobId, run: RunId) {
        if let Some(slot) = self.slot(id) {
            slot.run = Some(run);
        }
        let index = run.slot_index();
        if self.runs.len() <= index {
            self.runs.resize(index + 1, None);
        }
        self.runs[index] = Some((run, id));
    }

    fn take_run(&mut self, run: RunId) -> Option<JobId> {
        let entry = self.runs.get_mut(run.slot_index())?;
        // A place is used again: a late answer to an earlier run must not take the job of this
        // one.
        let (_, id) = entry.take_if(|(known, _)| *known == run)?;
        self.slot(id)?.run = None;
        Some(id)
    }

    fn run_ended(&mut self, run: RunId, outcome: Outcome) -> Option<JobStep<K>> {
        let id = self.take_run(run)?;
        // It would refuse every submission that is still to come.
        if !self.limits.keeps_going && self.outage().is_some_and(|outage| outage.is_final) {
            self.halt(None);
        }
        // Known before the runs that wait for what this one costs ask their budget again.
        if !matches!(outcome, Outcome::Completed(_))
            && self.plan(id).is_some()
            && let Err(error) = outcome.clone().into_result()
            && ends_all(&error)
        {
            self.halt_by(error);
        }
        let end = RowOutcome::of_outcome(&outcome);
        self.slot(id)?.outcome = Some(Box::new(outcome));
        Some(JobStep::Settle(id, end))
    }

    fn end(&mut self, id: JobId, outcome: JobOutcome) {
        let Some(JobSlot { known, plan, .. }) =
            self.slots.get_mut(id.0 as usize).and_then(Option::take)
        else {
            return;
        };
        self.live -= 1;
        self.free.push(id.0);
        let (method, earlier_cost, row) = match plan {
            Some(plan) => (plan.method, plan.earlier_cost, plan.row),
            None => (None, Decimal::ZERO, None),
        };
        // A job ends while the driver has nothing of it.
        if let Some(known) = known {
            self.over.push_back((known, JobEnd { outcome, method, earlier_cost, row }));
        }
    }

    fn hand_out(&mut self, id: JobId) -> Option<K> {
        self.slot(id)?.known.take()
    }

    fn slot(&mut self, id: JobId) -> Option<&mut JobSlot<K>> {
        self.slots.get_mut(id.0 as usize)?.as_mut()
    }

    fn plan(&mut self, id: JobId) -> Option<&mut JobPlan> {
        self.slot(id)?.plan.as_deref_mut()
    }
}

/// How soon a row is opened again that another process has in hand.
const OPEN_AGAIN_AFTER: Duration = Duration::from_secs(1);
