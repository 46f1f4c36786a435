//! [`Driver`]: one tokio task that drives a [`JobMachine`]: it does what the machine's steps ask for
//! (journal entries, requests, uploads, downloads) and hands it the results.
//! [`SharedRuns`](crate::shared_runs::SharedRuns) starts one for the single runs of a client, `jobs.rs` one
//! for the jobs of each [`JobResults`](crate::JobResults). Each brings a [`JobSource`], which adds jobs to
//! the machine (in [`DriverState`]) and takes their ends.
//!
//! Exchanges, uploads and downloads run in tasks of their own, and so do journal writes that take their
//! time, so that writes which wait for the disk side by side are committed together.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use effects_client::{
    JOURNAL, JobContext, STACK, TrackedJob, UPLOAD, fresh_seed, guarded, panicked,
    panicked_journal, telemetry, time_to_take_unread,
};
use effects_core::batch::RunId;
use effects_core::driver::AsyncClock;
use effects_core::gateway::{Answer, Call, CallId, CallResult};
use effects_core::journal::{Admission, AsyncJournal, Entry, JournalError};
use effects_core::{Effect, Error, ErrorKind, Event, Policy, Reference, TaskId, Time, count_of};
use effects_jobs::{
    FetchError, Found, JobEnd, JobId, JobLimits, JobMachine, JobStep, Method, OpenRow,
    PrepareError, Work,
};
use futures_util::FutureExt;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tracing::{Instrument, Span};

use crate::client_core::ClientCore;
use crate::guarded_future::guarded_async;
use crate::transfer;
use crate::waiter::{WaitedFor, watched};

/// The source of a driver's jobs, which passes their ends on to those who wait for them.
pub(crate) trait JobSource: Send + 'static {
    /// The messages that callers send to the driver for it.
    type Message: Send + 'static;

    /// Takes a message that arrived.
    fn on_message(&mut self, message: Self::Message, state: &mut DriverState);
    /// There is room for so many more jobs.
    fn make_room(&mut self, room: u32);
    /// A job is over.
    fn end(&mut self, known: DriverJob, end: JobEnd, core: &ClientCore);
    /// Called before every step.
    fn before_step(&mut self, state: &mut DriverState);
    /// A job made progress.
    fn on_progress(&mut self, _known: &DriverJob, _progress: JobProgress) {}
    /// A run reported an event.
    fn on_event(&mut self, run: RunId, event: Event, state: &mut DriverState) {
        if let Some(known) = state.machine.known(run) {
            self.on_progress(known, JobProgress::Event(event));
        }
    }
    /// What its jobs share of this machine, where they do.
    fn context(&self) -> Option<&Arc<JobContext>> {
        None
    }
}

/// What happens to a job on its way to its end.
pub(crate) enum JobProgress {
    Event(Event),
    Renewing(Error),
    Begun(Method, Option<TaskId>),
}

/// What a driver knows of a job. Thousands wait at once, so it is small.
#[derive(Debug)]
pub(crate) enum DriverJob {
    /// A run that a caller waits for.
    Run(Box<WaitedFor>),
    /// One of many jobs.
    Job(Box<TrackedJob>),
}

impl DriverJob {
    fn span(&self) -> Option<&Span> {
        match self {
            Self::Run(run) => run.span.as_deref(),
            Self::Job(job) => job.span.as_deref(),
        }
    }

    fn journal(&self) -> Option<&Arc<dyn AsyncJournal>> {
        match self {
            Self::Run(run) => Some(&run.journal),
            Self::Job(job) => job.journal.as_ref(),
        }
    }
}

/// What comes back to the driver. Thousands may come at once, so each is small.
pub(crate) enum Arrival<M> {
    Answered(Box<(RunId, CallId, CallResult)>),
    Written(Box<(RunId, Entry, Result<Admission, JournalError>)>),
    Opened(JobId, Box<TrackedJob>, Box<Result<Option<Found>, PrepareError>>),
    Uploaded(JobId, Box<TrackedJob>, Box<Result<Reference, PrepareError>>),
    Fetched(JobId, Box<TrackedJob>, Box<Effect>, Result<(), FetchError>),
    Message(M),
}

/// A driver, and the source of its jobs.
pub(crate) struct Driver<S: JobSource> {
    source: S,
    state: DriverState,
    sender: UnboundedSender<Arrival<S::Message>>,
    arrivals: UnboundedReceiver<Arrival<S::Message>>,
}

/// A machine being driven.
pub(crate) struct DriverState {
    pub(crate) core: ClientCore,
    pub(crate) machine: JobMachine<DriverJob>,
}

/// A driver that goes before its machine is done goes with its runtime, or by a panic.
impl Drop for DriverState {
    fn drop(&mut self) {
        let submitting = self.machine.submitting();
        if submitting > 0 && !self.core.shared().settings.is_replay {
            let submissions = count_of(submitting.into(), "submission");
            telemetry::warn(&match thread::panicking() {
                true => format!(
                    "a driver panicked, which is a fault of this library, with {submissions} on the way: a task \
                     may exist and may be billed"
                ),
                false => format!(
                    "the runtime ended with {submissions} on the way: a task may exist and may be billed; wait \
                     for the results before it ends"
                ),
            });
        }
    }
}

impl DriverState {
    /// Begins a run that a caller waits for; gives it back where it cannot.
    pub(crate) fn begin_at_once(
        &mut self,
        work: Work,
        mut run: Box<WaitedFor>,
    ) -> Result<(), (Box<WaitedFor>, Error)> {
        let seed = match fresh_seed() {
            Ok(seed) => seed,
            Err(error) => return Err((run, error)),
        };
        if run.span.is_none() {
            run.span = watched(telemetry::task_span(work.template(), work.task_id()));
        }
        if let Err(error) = self.core.shared().settings.refuse_key(&work, &[]) {
            return Err((run, error));
        }
        self.core.shared().settings.warn_of(&work);
        let now = self.now();
        // A caller that is told of each look cannot share those of other runs at the task.
        let (reads, has_left) = (run.waiter.reads(), run.waiter.has_left());
        let job = self.machine.add_at_once(work, DriverJob::Run(run), seed, now);
        // The message that stops the runs of callers who left may have come before this one.
        if has_left {
            self.machine.detach(job, now);
        }
        if reads {
            self.machine.look_alone(job, false, now);
        }
        Ok(())
    }

    pub(crate) fn now(&self) -> Time {
        self.core.shared().clock.now()
    }

    fn span(&self, run: RunId) -> Span {
        self.machine.known(run).and_then(DriverJob::span).map_or_else(Span::none, Clone::clone)
    }

    /// The span of what a run sends: its task's, or of looks its wait's.
    fn span_of_call(&mut self, run: RunId, call: &Call) -> Span {
        if call.is_submission() {
            return self.span(run);
        }
        match self.machine.known_mut(run) {
            Some(DriverJob::Run(waited)) => waited.wait_span(),
            Some(DriverJob::Job(_)) | None => self.span(run),
        }
    }

    /// The journal of a run: its own, its row's, or the client's.
    fn journal(&self, run: RunId) -> Arc<dyn AsyncJournal> {
        let own = self.machine.known(run).and_then(DriverJob::journal).cloned();
        let row = || self.machine.row(run).map(OpenRow::journal);
        own.or_else(row).unwrap_or_else(|| self.core.journal())
    }
}

impl<S: JobSource> Driver<S> {
    /// A driver, and the sender of messages to it.
    pub(crate) fn new(
        core: &ClientCore,
        policy: Arc<Policy>,
        limits: JobLimits,
        source: S,
    ) -> (Self, UnboundedSender<Arrival<S::Message>>) {
        let (sender, arrivals) = unbounded_channel();
        let machine = JobMachine::new(policy, limits, core.now());
        let machine = machine.with_pacer(core.pacer().clone());
        let state = DriverState { core: core.clone(), machine };
        (Self { source, state, sender: sender.clone(), arrivals }, sender)
    }

    /// Takes what was answered while the process stood still and lies unread in sockets, before the machine
    /// looks at its time limits.
    async fn take_unread(&mut self, time: Duration) {
        let end = tokio::time::Instant::now() + time;
        // Looks that are lost are made again.
        while self.state.machine.submitting() > 0
            && let Ok(Some(arrival)) = tokio::time::timeout_at(end, self.arrivals.recv()).await
        {
            self.take(arrival);
        }
    }

    /// Drives until every job is over and no more are to come; returns the source of its jobs.
    pub(crate) async fn run(mut self) -> S {
        loop {
            // Every answer that is there reaches the machine before it looks at its time limits: an
            // answer that waited for the driver is not late.
            while let Ok(arrival) = self.arrivals.try_recv() {
                self.take(arrival);
            }
            self.source.before_step(&mut self.state);
            let now = self.state.now();
            match self.state.machine.step(now) {
                JobStep::Record(run, entry) => self.write(run, entry),
                JobStep::Send(run, call) => self.send(run, call),
                JobStep::WantJobs(room) => self.source.make_room(room),
                JobStep::Sleep(until) => {
                    let wait = until.since(now).min(LONGEST_SLEEP);
                    // The driver has a sender of its own, so the channel does not close: no arrival
                    // means that time is up.
                    if let Ok(Some(arrival)) =
                        tokio::time::timeout(wait, self.arrivals.recv()).await
                    {
                        self.take(arrival);
                    }
                    let late = self.state.now().since(until);
                    if let Some(time) = time_to_take_unread(late) {
                        self.take_unread(time).await;
                    }
                }
                JobStep::Notify(run, event) => {
                    self.state.core.shared().settings.report(&self.state.span(run), &event);
                    self.source.on_event(run, event, &mut self.state);
                }
                JobStep::Renewing(id, error) => {
                    if let Some(known) = self.state.machine.known_of(id) {
                        self.source.on_progress(known, JobProgress::Renewing(error));
                    }
                }
                JobStep::Begin(id) => self.begin(id, now),
                JobStep::Settle(id, end) => {
                    let own = self.state.machine.known_of(id).and_then(DriverJob::journal).cloned();
                    let row = || self.state.machine.row_of(id).map(OpenRow::journal);
                    let journal = own.or_else(row).unwrap_or_else(|| self.state.core.journal());
                    let settled = guarded(JOURNAL, || journal.ended(&end));
                    let settled = settled.unwrap_or_else(|| Err(panicked_journal()));
                    if let Err(error) = &settled {
                        // The run has its outcome all the same, and the journal's next flush fails.
                        tracing::warn!("the end of a run could not be recorded: {error}");
                    }
                    if let (Some(DriverJob::Job(job)), Some(context)) =
                        (self.state.machine.known_of(id), self.source.context())
                    {
                        // Now, and not with the job's result, which may have to wait for a
                        // download.
                        context.report_cost(job.index, self.state.machine.method(id), &end);
                    }
                    let fetches = self.source.context().is_some_and(|context| context.fetches());
                    self.state.machine.settled(id, settled, fetches);
                }
                JobStep::Open(id, DriverJob::Job(job)) => self.open(id, job),
                JobStep::Upload(id, DriverJob::Job(job)) => self.upload(id, job),
                JobStep::Fetch(id, DriverJob::Job(job), effect) => self.fetch(id, job, effect),
                // A run that a caller waits for is neither made ready nor fetched.
                JobStep::Open(_, known @ DriverJob::Run(_))
                | JobStep::Upload(_, known @ DriverJob::Run(_))
                | JobStep::Fetch(_, known @ DriverJob::Run(_), _) => drop(known),
                JobStep::Done(known, mut end) => {
                    let core = &self.state.core;
                    end.outcome = end.outcome.map_error(|error| core.with_resume_line(error));
                    self.source.end(known, end, core);
                }
                JobStep::Empty => return self.source,
            }
        }
    }

    fn begin(&mut self, id: JobId, now: Time) {
        let machine = &mut self.state.machine;
        let task = machine.task_of(id).cloned();
        let template = machine.work(id).and_then(Work::template);
        let span = telemetry::task_span(template, task.as_ref());
        let row: Option<Arc<dyn AsyncJournal>> = machine.row_of(id).map(OpenRow::journal);
        let context = self.source.context().cloned();
        if let Some(DriverJob::Job(job)) = machine.known_of_mut(id) {
            // Before the run begins, whose first entry already goes to this journal.
            job.span = watched(span);
            job.journal = context.and_then(|context| context.journal_of(job, row));
        }
        machine.begin(id, fresh_seed(), now);
        if let (Some(known), Some(method)) = (machine.known_of(id), machine.method(id)) {
            self.source.on_progress(known, JobProgress::Begun(method, task));
        }
    }

    /// Writes an entry: at once where the journal needs no waiting for, else in a task of its own.
    fn write(&mut self, run: RunId, entry: Entry) {
        let journal = self.state.journal(run);
        let mut writing = Box::pin(async move {
            let written = guarded_async(JOURNAL, async { journal.write(&entry).await }).await;
            (entry, written.unwrap_or_else(|| Err(panicked_journal())))
        });
        if let Some((entry, written)) = (&mut writing).now_or_never() {
            return self.written(run, &entry, written);
        }
        let sender = self.sender.clone();
        tokio::spawn(async move {
            let (entry, written) = writing.await;
            // The driver outlives every run whose entry is awaited.
            let _ = sender.send(Arrival::Written(Box::new((run, entry, written))));
        });
    }

    fn send(&mut self, run: RunId, call: Call) {
        let span = self.state.span_of_call(run, &call);
        let (core, sender) = (self.state.core.clone(), self.sender.clone());
        let exchange = async move {
            let gateway = &core.shared().gateway;
            let lost = || gateway.endpoint().result(Answer::Lost(format!("{STACK} panicked")));
            let called = guarded_async(STACK, gateway.call_async(&call)).await;
            let result = called.unwrap_or_else(lost);
            // The driver outlives every run that awaits an answer, unless the runtime is shut down.
            let _ = sender.send(Arrival::Answered(Box::new((run, call.id, result))));
        };
        tokio::spawn(exchange.instrument(span));
    }

    fn open(&self, id: JobId, mut job: Box<TrackedJob>) {
        let (Some(context), sender) = (self.source.context().cloned(), self.sender.clone()) else {
            return;
        };
        tokio::task::spawn_blocking(move || {
            // Journals and disks block.
            let found = Box::new(context.open(&mut job));
            let _ = sender.send(Arrival::Opened(id, job, found));
        });
    }

    fn upload(&self, id: JobId, mut job: Box<TrackedJob>) {
        let (Some(context), sender) = (self.source.context().cloned(), self.sender.clone()) else {
            return;
        };
        let core = self.state.core.clone();
        tokio::spawn(async move {
            let handle = context.handle().clone();
            // After a halt no submission follows the upload.
            let is_wanted = move || !handle.is_halted();
            let read = tokio::task::spawn_blocking(move || (context.photo(&mut job), job));
            // It is gone only where the runtime is shut down, and the driver with it.
            let Ok((photo, job)) = read.await else { return };
            let uploaded = match photo {
                Ok(photo) => {
                    let upload = transfer::upload(&core, &photo, &is_wanted);
                    let uploaded = guarded_async(UPLOAD, upload).await;
                    let panicked = || Err(panicked(ErrorKind::Upload, UPLOAD));
                    uploaded.unwrap_or_else(panicked).map_err(PrepareError::Failed)
                }
                Err(error) => Err(error),
            };
            let _ = sender.send(Arrival::Uploaded(id, job, Box::new(uploaded)));
        });
    }

    fn fetch(&self, id: JobId, job: Box<TrackedJob>, effect: Box<Effect>) {
        let (Some(context), sender) = (self.source.context().cloned(), self.sender.clone()) else {
            return;
        };
        let core = self.state.core.clone();
        let row = self.state.machine.row_of(id).cloned();
        tokio::spawn(async move {
            let fetched = transfer::fetch_job(&core, &context, job, &effect, row).await;
            let Some((job, fetched)) = fetched else { return };
            let _ = sender.send(Arrival::Fetched(id, job, effect, fetched));
        });
    }

    fn take(&mut self, arrival: Arrival<S::Message>) {
        let now = self.state.now();
        let machine = &mut self.state.machine;
        match arrival {
            Arrival::Answered(answered) => {
                let (run, call, result) = *answered;
                machine.reply(now, run, call, &result);
            }
            Arrival::Written(written) => {
                let (run, entry, written) = *written;
                self.written(run, &entry, written);
            }
            Arrival::Opened(id, job, found) => machine.opened(now, id, DriverJob::Job(job), *found),
            Arrival::Uploaded(id, job, uploaded) => {
                machine.uploaded(now, id, DriverJob::Job(job), *uploaded);
            }
            Arrival::Fetched(id, job, effect, fetched) => {
                machine.fetched(now, id, DriverJob::Job(job), effect, fetched);
            }
            Arrival::Message(message) => self.source.on_message(message, &mut self.state),
        }
    }

    fn written(&mut self, run: RunId, entry: &Entry, written: Result<Admission, JournalError>) {
        if let Err(error) = &written {
            telemetry::report_unrecorded(&self.state.span(run), error);
        }
        let now = self.state.now();
        self.state.machine.recorded(now, run, entry, written);
    }
}

/// The timer stands still while a laptop sleeps; the wall clock does not.
const LONGEST_SLEEP: Duration = Duration::from_secs(10);
