//! [`JobMachine`]: the state machine that takes jobs from the photo to the file, many at once, over one
//! [`Batch`] of runs. It makes no I/O itself: each step tells its driver what to do next, and the driver's
//! replies decide whether a job is submitted, follows a task, is paid anew, or is refused since nothing
//! more may be begun. `effects-ureq` steps it for jobs (`jobs.rs`), `effects-reqwest` for jobs and for a
//! client's single runs (`driver.rs`), and `effects-testkit` in its simulated world.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::journal::{Record, RowState};
use effects_core::batch::{Batch, BatchStep, Outage, RunId};
use effects_core::gateway::{CallId, CallResult};
use effects_core::journal::{Admission, Entry, Fact, JournalError, RowOutcome};
use effects_core::pace::Pacer;
use effects_core::{
    Cause, Effect, Error, ErrorKind, Outcome, Policy, Problem, Reference, Seed, ServiceCode,
    TaskId, Time,
};
use rust_decimal::Decimal;

use crate::end::{JobEnd, JobOutcome, Method};
use crate::halt::{Refusals, ends_all};
use crate::limits::JobLimits;
use crate::row::{Found, OpenRow};
use crate::step::{FetchError, JobId, JobStep, PrepareError};
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

    /// What opening a job's row found; `None` where nothing is journaled.
    pub fn opened(
        &mut self,
        now: Time,
        id: JobId,
        known: K,
        found: Result<Option<Found>, PrepareError>,
    ) {
        if !self.take_back(now, id, known) {
            return;
        }
        match found {
            Ok(None) => self.submit(id, None),
            Ok(Some(Found::Submit(row))) => {
                self.submit(id, Some(row));
            }
            // Following a task costs nothing, so neither a budget nor an earlier refusal is in
            // its way.
            Ok(Some(Found::Watch(row))) => {
                if let Some(plan) = self.plan(id) {
                    plan.earlier_cost = earlier_cost(&row);
                    plan.method = Some(Method::Resumed);
                    plan.row = Some(row);
                }
                self.ready.push_back(id);
            }
            Ok(Some(Found::Settled(row))) => {
                let record = row.record().cloned();
                let plan = self.plan(id);
                let outcome = match record {
                    Some(Record { state: RowState::Completed { .. }, .. }) => {
                        if let Some(plan) = plan {
                            plan.method = Some(Method::Kept);
                            plan.earlier_cost = earlier_cost(&row);
                            plan.row = Some(row);
                        }
                        JobOutcome::Kept
                    }
                    Some(record) => JobOutcome::Recorded(Box::new(record)),
                    None => JobOutcome::NotBegun,
                };
                self.end(id, outcome);
            }
            Ok(Some(Found::Doubtful(record))) => {
                self.end(id, JobOutcome::Recorded(Box::new(record)));
            }
            Ok(Some(Found::Elsewhere(record))) => self.held_elsewhere(id, record),
            Err(error) => self.not_ready(id, error),
        }
    }

    /// Where a job's photo was put.
    pub fn uploaded(
        &mut self,
        now: Time,
        id: JobId,
        known: K,
        uploaded: Result<Reference, PrepareError>,
    ) {
        if !self.take_back(now, id, known) {
            return;
        }
        match uploaded {
            Ok(reference) => {
                if let Some(plan) = self.plan(id)
                    && let Work::Upload(checked) = &plan.work
                {
                    plan.work = Work::Submit(checked.clone().with_reference(reference));
                }
                self.ready.push_back(id);
            }
            Err(error) => self.not_ready(id, error),
        }
    }

    /// Begins a job's run with this seed, drawn anew; or ends the job where none could be drawn.
    pub fn begin(&mut self, id: JobId, seed: Result<Seed, Error>, now: Time) {
        self.now = self.now.max(now);
        let Some(plan) = self.plan(id) else { return };
        let seed = match seed {
            Ok(seed) => seed,
            // Two runs of one seed would send the same idempotency key, so without randomness
            // nothing leaves.
            Err(error) => return self.end(id, JobOutcome::NotReady(error)),
        };
        // The row was opened after the work was made, and may have got a task since: that one is
        // followed, and none is paid for beside it.
        let watched = plan.row.as_ref().and_then(|row| {
            let record = row.record()?;
            let task = record.state.task().filter(|_| plan.method == Some(Method::Resumed))?;
            let (template, submitted) = (record.row.template.clone(), row.submitted());
            Some(Work::Watch { task: task.clone(), template: Some(template), submitted })
        });
        let run = match watched.unwrap_or_else(|| plan.work.clone()) {
            Work::Submit(request) => {
                plan.method = Some(Method::Submitted);
                self.batch.submit(request, seed, self.now)
            }
            Work::Watch { task, template, submitted } => {
                plan.method = Some(Method::Resumed);
                self.batch.attach(task, template.map(Into::into), submitted, seed, self.now)
            }
            Work::Upload(_) | Work::Resume => return self.end(id, JobOutcome::NotBegun),
        };
        self.room = self.room.saturating_sub(1);
        self.runs_as(id, run);
    }

    /// What the journal answered to an entry. Where it did not take it, nothing more is sent for the run.
    pub fn recorded(
        &mut self,
        now: Time,
        run: RunId,
        entry: &Entry,
        written: Result<Admission, JournalError>,
    ) {
        self.now = self.now.max(now);
        let error = match written {
            Ok(admission) => return self.batch.admission(self.now, run, entry.id, &admission),
            Err(error) => error,
        };
        // What the journal did not take must not be sent: after a crash no process would know of
        // the task.
        self.batch.give_up(run);
        let Some(id) = self.take_run(run) else { return };
        if matches!(error, JournalError::Taken { .. }) && self.plan(id).is_some_and(|it| it.opens) {
            // Another process was faster: sooner or later it is known what became of the row.
            return self.wait_for_row(id);
        }
        self.run_failed(id, unrecorded(&error, entry));
    }

    /// What became of a call. A run or a call that is not awaited is ignored.
    pub fn reply(&mut self, now: Time, run: RunId, call: CallId, result: &CallResult) {
        self.now = self.now.max(now);
        self.batch.reply(self.now, run, call, result);
    }

    /// Takes a state of a run's task that came by itself.
    pub fn observed(&mut self, now: Time, run: RunId, pushed: &CallResult) {
        self.now = self.now.max(now);
        self.batch.observed(self.now, run, pushed);
    }

    /// Whether the journal took the end of a job's run.
    pub fn settled(&mut self, id: JobId, settled: Result<(), JournalError>, fetches: bool) {
        let outcome = self.slot(id).and_then(|slot| slot.outcome.take());
        // Taken above, so a job whose end is told twice goes on once.
        let Some(outcome) = outcome else { return };
        if let Err(error) = settled
            && self.plan(id).is_some_and(|plan| plan.row.is_some())
        {
            // The job has its outcome all the same, and the journal's next flush fails.
            self.halt_by(Error::new(ErrorKind::Journal, error.to_string()));
        }
        match outcome.into_result() {
            // The end is on record before the download begins: a crash in it pays for nothing
            // twice.
            Ok(effect) if fetches => self.to_fetch.push_back((id, Box::new(effect))),
            Ok(effect) => self.end(id, JobOutcome::Completed(Box::new(effect))),
            Err(error) => self.run_failed(id, error),
        }
    }

    /// Whether a job's pictures were fetched.
    pub fn fetched(
        &mut self,
        now: Time,
        id: JobId,
        known: K,
        effect: Box<Effect>,
        fetched: Result<(), FetchError>,
    ) {
        self.now = self.now.max(now);
        self.fetching -= 1;
        if let Some(slot) = self.slot(id) {
            slot.known = Some(known);
        }
        match fetched {
            Ok(()) => self.end(id, JobOutcome::Completed(effect)),
            Err(FetchError { error, is_local }) => {
                // A machine that cannot save what it has paid for must buy no more. A job that only
                // follows a task buys nothing, so it ends none but itself.
                if is_local && self.plan(id).is_some_and(|plan| plan.work.submits()) {
                    let why = format!(
                        "a picture that is paid for cannot be saved, so nothing more is submitted; it \
                         is fetched by the same line once there is a place for it: {}",
                        Error::from(error.cause().clone())
                    );
                    self.halt_by(Error::new(ErrorKind::Download, why));
                }
                self.end(id, JobOutcome::NotFetched(effect, error));
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
            let why =
                "interrupted before its picture was downloaded; it is paid for and still there";
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

    /// What the driver knows of the job of a run.
    pub fn known(&self, run: RunId) -> Option<&K> {
        // A place is used again by later runs, so the run itself is compared, too.
        let (known, id) = self.runs.get(run.slot_index()).copied().flatten()?;
        self.known_of(id).filter(|_| known == run)
    }

    /// The same, to be changed.
    pub fn known_mut(&mut self, run: RunId) -> Option<&mut K> {
        let (known, id) = self.runs.get(run.slot_index()).copied().flatten()?;
        self.known_of_mut(id).filter(|_| known == run)
    }

    /// What the driver knows of a job, unless a step that is not replied to has it.
    pub fn known_of(&self, id: JobId) -> Option<&K> {
        self.slots.get(id.0 as usize)?.as_ref()?.known.as_ref()
    }

    /// The same, to be changed.
    pub fn known_of_mut(&mut self, id: JobId) -> Option<&mut K> {
        self.slot(id)?.known.as_mut()
    }

    /// The job of a run.
    pub fn job(&self, run: RunId) -> Option<JobId> {
        let (known, id) = self.runs.get(run.slot_index()).copied().flatten()?;
        Some(id).filter(|_| known == run)
    }

    /// The row of a run's job, where there is a journal.
    pub fn row(&self, run: RunId) -> Option<&OpenRow> {
        let (known, id) = self.runs.get(run.slot_index()).copied().flatten()?;
        self.row_of(id).filter(|_| known == run)
    }

    /// A job's row, where there is a journal.
    pub fn row_of(&self, id: JobId) -> Option<&OpenRow> {
        self.slots.get(id.0 as usize)?.as_ref()?.plan.as_ref()?.row.as_ref()
    }

    /// What a job asks for.
    pub fn work(&self, id: JobId) -> Option<&Work> {
        Some(&self.slots.get(id.0 as usize)?.as_ref()?.plan.as_ref()?.work)
    }

    /// The task that a job follows, if it has one already.
    pub fn task_of(&self, id: JobId) -> Option<&TaskId> {
        let row = self.row_of(id).and_then(OpenRow::task);
        let follows = self.method(id) == Some(Method::Resumed);
        row.filter(|_| follows).or_else(|| self.work(id)?.task_id())
    }

    /// How a job is gone on with, once that is known.
    pub fn method(&self, id: JobId) -> Option<Method> {
        self.slots.get(id.0 as usize)?.as_ref()?.plan.as_ref()?.method
    }

    /// Whether nothing more is begun.
    pub fn is_halted(&self) -> bool {
        self.is_halted
    }

    /// Why nothing more is begun, where an error is the reason.
    pub fn halted_by(&self) -> Option<&Error> {
        self.halted_by.as_ref()
    }

    /// Why submissions are held back; `None` as long as they reach the gateway and it answers them.
    pub fn outage(&self) -> Option<&Outage> {
        self.batch.outage()
    }

    /// How many jobs it has that are not over.
    pub fn live(&self) -> u32 {
        self.live
    }

    /// How many of its jobs have a run.
    pub fn running(&self) -> u32 {
        self.batch.live()
    }

    /// How many submissions are in flight: the moment not to leave.
    pub fn submitting(&self) -> u32 {
        self.batch.submitting()
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

    /// Lets a job have a new paid task, unless it would be refused as one before it was.
    fn submit(&mut self, id: JobId, row: Option<OpenRow>) {
        let Some(plan) = self.plan(id) else { return };
        // The task that it followed before, if any, failed.
        plan.method = None;
        if let Some(record) = row.as_ref().and_then(OpenRow::record) {
            plan.earlier_cost = record.paid;
        }
        plan.row = row;
        match self.work(id).and_then(|work| self.refusals.of(work)).cloned() {
            Some(error) => self.end(id, JobOutcome::Failed(error)),
            None => self.make_ready(id),
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

    /// Another process has the row: it is looked at again for as long as a run would be watched.
    fn held_elsewhere(&mut self, id: JobId, record: Record) {
        let (now, row_wait_limit) = (self.now, self.row_wait_limit);
        let waits = self.plan(id).is_some_and(|plan| {
            let is_patient =
                plan.waiting_since.is_none_or(|since| now.since(since) <= row_wait_limit);
            plan.work.submits() && is_patient
        });
        if waits {
            self.wait_for_row(id);
        } else {
            self.end(id, JobOutcome::Recorded(Box::new(record)));
        }
    }

    fn wait_for_row(&mut self, id: JobId) {
        if self.is_halted {
            return self.end(id, JobOutcome::NotBegun);
        }
        let now = self.now;
        let Some(plan) = self.plan(id) else { return };
        plan.waiting_since.get_or_insert(now);
        // Dropped, since the row is opened anew by what is known of it then.
        plan.row = None;
        // The first that waits sets the time for all: they are opened together.
        if self.waiting.is_empty() {
            self.open_again_at = now + OPEN_AGAIN_AFTER;
        }
        self.waiting.push(id);
    }

    fn not_ready(&mut self, id: JobId, error: PrepareError) {
        let outcome = match error {
            // The job's own mistake, in a journal that works: the others go on.
            PrepareError::Journal(error @ JournalError::KeyReused { .. }) => {
                let error = Error::new(ErrorKind::InvalidRequest, error.to_string());
                JobOutcome::Refused(error.in_field("key"))
            }
            PrepareError::Journal(error) => {
                let error = Error::new(ErrorKind::Journal, error.to_string());
                self.halt_by(error.clone());
                JobOutcome::NotReady(error)
            }
            PrepareError::Refused(error) => JobOutcome::Refused(error),
            PrepareError::Failed(error) => {
                if ends_all(&error) {
                    self.halt_by(error.clone());
                }
                JobOutcome::NotReady(error)
            }
        };
        self.end(id, outcome);
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

    fn run_failed(&mut self, id: JobId, error: Error) {
        // First what lets the job go on: a caller is told of one end.
        if self.may_renew(id, &error) {
            return self.renew(id, error);
        }
        if self.keeps_its_picture(id, &error) {
            // Opened again, the row is completed as it was before that order.
            if let Some(plan) = self.plan(id) {
                (plan.row, plan.method) = (None, None);
            }
            return self.prepare(id);
        }
        if error.kind() == ErrorKind::BudgetExceeded && self.halted_by.is_some() {
            // It waited for what another costs, which is not known since all was ended: no budget is why.
            if let Some(plan) = self.plan(id) {
                plan.method = None;
            }
            return self.end(id, JobOutcome::NotBegun);
        }
        let priced_by = self.plan(id).and_then(|plan| plan.work.priced_by());
        self.refusals.note(priced_by, &error);
        if ends_all(&error) && self.plan(id).is_some() {
            self.halt_by(error.clone());
        }
        if error.kind() == ErrorKind::BudgetExceeded
            && let Some(plan) = self.plan(id)
        {
            // It never left.
            plan.method = None;
        }
        self.end(id, JobOutcome::Failed(error));
    }

    /// Whether a failed job may have a new paid task. Where there is a journal, it has the last word when
    /// the row is opened again.
    fn may_renew(&mut self, id: JobId, error: &Error) -> bool {
        let Cause::Failed(failed) = error.cause() else { return false };
        let most = self.limits.retry_failed;
        if most == 0 || self.is_halted {
            return false;
        }
        let code = failed.error.as_ref().and_then(|error| error.code.as_ref());
        // Each try is paid for, so only where the service's table says that another may do
        // better.
        code.is_some_and(ServiceCode::may_pass)
            && self.plan(id).is_some_and(|plan| plan.work.submits() && plan.renewals < most)
    }

    /// Whether a failed task was a new order, followed by this job and not made by it, of a row that keeps
    /// its completed task.
    fn keeps_its_picture(&mut self, id: JobId, error: &Error) -> bool {
        matches!(error.cause(), Cause::Failed(_))
            && !self.is_halted
            && self.plan(id).is_some_and(|plan| {
                let record = plan.row.as_ref().and_then(OpenRow::record);
                plan.opens
                    && plan.method == Some(Method::Resumed)
                    && record.is_some_and(|record| record.paid_picture.is_some())
            })
    }

    fn renew(&mut self, id: JobId, error: Error) {
        if let Some(plan) = self.plan(id) {
            plan.renewals += 1;
            plan.earlier_cost += cost_of_failed(&error).unwrap_or_default();
            // Let go of, so that it can be opened again.
            plan.row = None;
            // Where there is a journal, opening the row tells how it is gone on with.
            self.prepare(id);
        }
        self.renewing.push_back((id, error));
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

    /// Takes back what a step handed out. Whether the job goes on: where nothing more is begun, it is
    /// over.
    fn take_back(&mut self, now: Time, id: JobId, known: K) -> bool {
        self.now = self.now.max(now);
        self.preparing -= 1;
        if let Some(slot) = self.slot(id) {
            slot.known = Some(known);
        }
        if self.is_halted {
            self.end(id, JobOutcome::NotBegun);
        }
        !self.is_halted
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

/// What the tasks of a row cost before the one it goes on with.
fn earlier_cost(row: &OpenRow) -> Decimal {
    row.record()
        // `paid` has the cost of the current task in it, which the job's own end tells.
        .map_or(Decimal::ZERO, |record| record.paid - record.state.cost().unwrap_or_default())
}

fn cost_of_failed(error: &Error) -> Option<Decimal> {
    let Cause::Failed(failed) = error.cause() else { return None };
    failed.usage.as_ref()?.cost
}

/// The error of a run whose entry the journal did not take, with the task the entry names.
fn unrecorded(error: &JournalError, entry: &Entry) -> Error {
    let task_id = match &entry.fact {
        Fact::Created { task_id, .. } => Some(task_id.clone()),
        _ => None,
    };
    let (kind, message) = (ErrorKind::Journal, error.to_string());
    Problem { kind, message, way_out: None, field: None, task_id, error: None }.into()
}

/// How soon a row is opened again that another process has in hand.
const OPEN_AGAIN_AFTER: Duration = Duration::from_secs(1);
