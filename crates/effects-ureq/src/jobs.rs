//! [`JobResults`]: an iterator over the results of many jobs, while [`JobsDriver`] drives them on
//! threads. [`Jobs::run`](effects_client::Jobs::run) returns it; blocking Rust programs and the
//! command's `Session` read it, for `effects batch`, `watch`, `resume` and `reorder`.
//!
//! One thread drives a [`JobMachine`] and makes no exchange itself; a few workers make them, and others
//! open rows, upload photos and fetch pictures. A thread takes jobs from the iterator when there is
//! room, so that a slow iterator holds up no poll, and stops while results are unread: neither a long
//! list of jobs nor a slow reader of results takes memory.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use effects_client::{
    Backlog, DOWNLOAD, JOURNAL, Job, JobContext, JobDemand, JobNotice, JobOptions, JobResult,
    JobsHandle, OutageFilter, RunJobs, STACK, TrackedJob, UPLOAD, draw, fresh_seed, guarded,
    panicked, panicked_journal, telemetry, time_to_take_unread,
};
use effects_core::batch::{BatchLimits, RunId};
use effects_core::gateway::{Answer, Call, CallId, CallResult};
use effects_core::journal::{Admission, Entry, Journal, JournalError, RowOutcome};
use effects_core::{BaseUrl, Effect, Error, ErrorKind, Reference, Time};
use effects_jobs::{
    FetchError, Found, JobEnd, JobId, JobMachine, JobStep, OpenRow, PrepareError, Work,
};
use tracing::Span;

use crate::client::Client;
use crate::client_core::ClientCore;
use crate::transfer;

/// The results of jobs, as they come. Made by [`Jobs::run`](effects_client::Jobs::run), the end of the
/// builder that [`Client::jobs`] begins.
///
/// Dropping it stops the jobs: jobs not yet submitted are dropped, and a submission in flight is waited
/// for.
#[derive(Debug)]
#[must_use = "dropped unread, it stops the jobs"]
pub struct JobResults {
    ends: Receiver<(Box<TrackedJob>, JobEnd)>,
    backlog: Backlog,
    reply_sender: Sender<WorkerReply>,
    context: Arc<JobContext>,
    handle: JobsHandle,
    driver: Option<JoinHandle<()>>,
    /// Where tasks are that no caller hears of.
    gateway: BaseUrl,
}

impl RunJobs for Client {
    type Results = JobResults;

    fn run_jobs<I>(&self, options: JobOptions, jobs: I) -> Result<JobResults, Error>
    where
        I: Iterator<Item = Job> + Send + 'static,
    {
        let context = Arc::new(JobContext::new(&options, &self.core().shared().settings.endpoint)?);
        let (ends_sender, ends) = channel();
        let handle = context.handle().clone();
        // Anchored: the deadline of many jobs begins here, and not with each of their calls.
        let core = self.core().with_policy(Arc::new(self.policy().for_batch())).anchored();
        let driver =
            JobsDriver::new(&core, &options, Arc::clone(&context), handle.clone(), ends_sender);
        let (backlog, reply_sender) =
            (driver.demand.backlog().clone(), driver.reply_sender.clone());
        let waker = Mutex::new(reply_sender.clone());
        handle.wake_by(move || {
            let waker = waker.lock().unwrap_or_else(PoisonError::into_inner);
            // The driver is gone where everything has ended.
            let _ = waker.send(WorkerReply::Wake);
        });
        let driven = handle.clone();
        let driver = Some(thread::spawn(move || {
            if guarded(DRIVER, || driver.run(jobs)).is_none() {
                driven.fail(panicked(ErrorKind::OutcomeUnknown, DRIVER));
            }
        }));
        let gateway = self.core().base_url().clone();
        Ok(JobResults { ends, backlog, reply_sender, context, handle, driver, gateway })
    }
}

impl JobResults {
    /// What stops the jobs from another thread, and says how they stand.
    pub fn handle(&self) -> JobsHandle {
        self.handle.clone()
    }

    /// The error that stopped new jobs, or that kept the journal from being flushed; set once the last
    /// result is read.
    pub fn halted_by(&self) -> Option<Error> {
        self.handle.halted_by()
    }

    /// The jobs' shared context, with the state of their budget.
    pub fn context(&self) -> &Arc<JobContext> {
        &self.context
    }
}

impl Iterator for JobResults {
    type Item = JobResult;

    fn next(&mut self) -> Option<JobResult> {
        let (job, end) = self.ends.recv().ok()?;
        if self.backlog.read() {
            // The driver is gone where nothing is left to draw.
            let _ = self.reply_sender.send(WorkerReply::Wake);
        }
        Some(self.context.result(*job, end))
    }
}

impl Drop for JobResults {
    fn drop(&mut self) {
        // The driver is awaited, too: a process that ended now would leave a submission in doubt
        // whose answer is on its way.
        self.handle.stop();
        if let Some(driver) = self.driver.take() {
            // A panic there has been reported on its own thread.
            let _ = driver.join();
        }
        while let Ok((job, end)) = self.ends.try_recv() {
            let result = self.context.result(*job, end);
            self.context.report_unread(&result, &self.gateway);
        }
    }
}

/// What a worker does for the driver. Journals are written there too: writes that wait for the disk
/// side by side are committed together.
enum WorkerTask {
    Exchange(RunId, Call, Span),
    Write(RunId, Entry, Option<OpenRow>),
    Open(JobId, Box<TrackedJob>),
    Upload(JobId, Box<TrackedJob>),
    Fetch(JobId, Box<TrackedJob>, Box<Effect>, Option<OpenRow>),
}

/// What a worker brings back.
enum WorkerReply {
    Answered(RunId, CallId, CallResult),
    Written(RunId, Entry, Result<Admission, JournalError>),
    Opened(JobId, Box<TrackedJob>, Box<Result<Option<Found>, PrepareError>>),
    Uploaded(JobId, Box<TrackedJob>, Result<Reference, PrepareError>),
    Fetched(JobId, Box<TrackedJob>, Box<Effect>, Result<(), FetchError>),
    /// The next job; `None` after the last.
    Drawn(Option<Box<TrackedJob>>),
    /// The reader of results has caught up.
    Wake,
}

struct JobsDriver {
    core: ClientCore,
    context: Arc<JobContext>,
    machine: JobMachine<Box<TrackedJob>>,
    handle: JobsHandle,
    is_stopped: bool,
    outages: OutageFilter,
    ends_sender: Sender<(Box<TrackedJob>, JobEnd)>,
    demand: JobDemand,
    exchanges: Workers,
    transfers: Workers,
    reply_sender: Sender<WorkerReply>,
    arrivals: Receiver<WorkerReply>,
}

impl JobsDriver {
    fn new(
        core: &ClientCore,
        options: &JobOptions,
        context: Arc<JobContext>,
        handle: JobsHandle,
        ends_sender: Sender<(Box<TrackedJob>, JobEnd)>,
    ) -> Self {
        let (reply_sender, arrivals) = channel();
        let limits = options.limits(core.base_url().origin());
        let now = core.now();
        let machine = JobMachine::new(Arc::clone(core.policy()), limits, now);
        // The machine hands out no more at once, so none of them waits for a thread.
        let transfers = (limits.uploads + limits.downloads) as usize;
        let worker = WorkerContext {
            core: core.clone(),
            context: Arc::clone(&context),
            reply_sender: reply_sender.clone(),
        };
        Self {
            core: core.clone(),
            context,
            machine: machine.with_pacer(core.pacer().clone()),
            handle,
            is_stopped: false,
            outages: OutageFilter::default(),
            ends_sender,
            demand: JobDemand::default(),
            exchanges: Workers::new(worker.clone(), exchanges_at_once(&limits.batch)),
            transfers: Workers::new(worker, transfers),
            reply_sender,
            arrivals,
        }
    }

    fn run(mut self, jobs: impl Iterator<Item = Job> + Send + 'static) {
        let (request, requests) = channel();
        let (reply_sender, context) = (self.reply_sender.clone(), Arc::clone(&self.context));
        thread::spawn(move || {
            let tracked = jobs.map(|job| Box::new(context.track(job)));
            draw(tracked, requests, context.handle(), |job| {
                reply_sender.send(WorkerReply::Drawn(job)).is_ok()
            });
        });
        loop {
            self.take_arrivals();
            let now = self.now();
            self.stop_where_asked(now);
            if let Some(count) = self.demand.next_request() {
                // The thread that draws ends only after the last job.
                let _ = request.send(count);
            }
            // The machine starts a call's time when it hands it out, and the call must not spend
            // it in a queue.
            if self.exchanges.are_busy() {
                self.wait(LONGEST_SLEEP);
                continue;
            }
            let step = self.machine.step(now);
            // Other threads ask how the jobs stand, and must not wait for the machine.
            self.handle.publish(&self.machine);
            if let Some(outage) = self.outages.of(self.machine.outage()) {
                self.context.report_outage(outage);
            }
            if self.perform(step, now).is_break() {
                break;
            }
        }
        if let Err(error) = self.context.flush() {
            self.handle.fail(error);
        }
    }

    /// Does to the machine what the handle was told.
    fn stop_where_asked(&mut self, now: Time) {
        if self.handle.is_stopped() && !std::mem::replace(&mut self.is_stopped, true) {
            // Submissions that are out are still waited for: their answers name what is being
            // paid for.
            self.machine.close();
            self.machine.stop(now);
        } else if self.handle.is_halted() && !self.machine.is_halted() {
            self.machine.halt(None);
        }
        if self.machine.is_halted() {
            self.machine.close();
        }
    }

    /// Does what the machine asks for, or gives it to a worker, until there is nothing left to do.
    fn perform(&mut self, step: JobStep<Box<TrackedJob>>, now: Time) -> ControlFlow<()> {
        match step {
            JobStep::WantJobs(room) => self.demand.make_room(room),
            JobStep::Open(id, job) => self.transfers.give(WorkerTask::Open(id, job)),
            JobStep::Upload(id, job) => self.transfers.give(WorkerTask::Upload(id, job)),
            JobStep::Begin(id) => self.begin(id, now),
            JobStep::Record(run, entry) => {
                let row = self.machine.row(run).cloned();
                self.exchanges.give(WorkerTask::Write(run, entry, row));
            }
            JobStep::Send(run, call) => {
                self.exchanges.give(WorkerTask::Exchange(run, call, self.span(run)));
            }
            JobStep::Notify(run, event) => {
                self.core.shared().settings.report(&self.span(run), &event);
                if let Some(job) = self.machine.known(run) {
                    let (index, is_download) = (job.index, false);
                    self.context.report(JobNotice::Event { index, is_download, event });
                }
            }
            JobStep::Renewing(id, error) => {
                if let Some(job) = self.machine.known_of(id) {
                    self.context.report(JobNotice::Renewing { index: job.index, error });
                }
            }
            JobStep::Settle(id, end) => self.settle(id, &end),
            JobStep::Fetch(id, job, effect) => {
                let row = self.machine.row_of(id).cloned();
                self.transfers.give(WorkerTask::Fetch(id, job, effect, row));
            }
            JobStep::Done(job, end) => self.end(job, end),
            JobStep::Sleep(until) => self.wait(until.since(self.now()).min(LONGEST_SLEEP)),
            JobStep::Empty => return ControlFlow::Break(()),
        }
        ControlFlow::Continue(())
    }

    /// Records the end of a job's run.
    fn settle(&mut self, id: JobId, end: &RowOutcome) {
        let journal = self.machine.row_of(id).map(OpenRow::journal::<Arc<dyn Journal>>);
        let journal = journal.as_deref().unwrap_or_else(|| self.core.journal());
        let settled = guarded(JOURNAL, || journal.ended(end));
        let settled = settled.unwrap_or_else(|| Err(panicked_journal()));
        if let Some(job) = self.machine.known_of(id) {
            // Now, and not with the job's result, which may have to wait for a download.
            self.context.report_cost(job.index, self.machine.method(id), end);
        }
        if let Err(error) = &settled {
            // The run has its outcome all the same, and the journal's next flush fails.
            tracing::warn!("the end of a run could not be recorded: {error}");
        }
        self.machine.settled(id, settled, self.context.fetches());
    }

    fn begin(&mut self, id: JobId, now: Time) {
        let task = self.machine.task_of(id).cloned();
        let template = self.machine.work(id).and_then(Work::template);
        let span = telemetry::task_span(template, task.as_ref());
        if let Some(job) = self.machine.known_of_mut(id) {
            // A hundred thousand jobs may wait, mostly with no subscriber that records them.
            job.span = (!span.is_disabled()).then(|| Box::new(span));
        }
        self.machine.begin(id, fresh_seed(), now);
        if let (Some(job), Some(method)) = (self.machine.known_of(id), self.machine.method(id)) {
            self.context.report(JobNotice::Begun { index: job.index, method, task });
        }
    }

    fn span(&self, run: RunId) -> Span {
        let span = self.machine.known(run).and_then(|job| job.span.as_deref());
        span.map_or_else(Span::none, Clone::clone)
    }

    fn end(&self, job: Box<TrackedJob>, mut end: JobEnd) {
        end.outcome = end.outcome.map_error(|error| self.core.with_resume_line(error));
        self.demand.backlog().sent();
        // The reader is gone, and what the job cost must not be lost with it.
        if let Err(unread) = self.ends_sender.send((job, end)) {
            let (job, end) = unread.0;
            let result = self.context.result(*job, end);
            self.context.report_unread(&result, self.core.base_url());
        }
    }

    /// Every answer that is there reaches the machine before it looks at its time limits: an answer that
    /// waited for the driver is not late.
    fn take_arrivals(&mut self) {
        while let Ok(arrival) = self.arrivals.try_recv() {
            self.on_reply(arrival);
        }
    }

    fn wait(&mut self, wait: Duration) {
        let until = self.now() + wait;
        match self.arrivals.recv_timeout(wait) {
            Ok(arrival) => self.on_reply(arrival),
            // The workers hold the other end as long as the driver lives.
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
        let late = self.now().since(until);
        if let Some(time) = time_to_take_unread(late) {
            self.take_unread(time);
        }
    }

    /// Takes what was answered while the process stood still and lies unread in sockets, before the machine
    /// looks at its time limits.
    fn take_unread(&mut self, time: Duration) {
        let end = Instant::now() + time;
        // Looks that are lost are made again.
        while self.machine.submitting() > 0
            && let Ok(arrival) =
                self.arrivals.recv_timeout(end.saturating_duration_since(Instant::now()))
        {
            self.on_reply(arrival);
        }
    }

    fn on_reply(&mut self, arrival: WorkerReply) {
        let now = self.now();
        match arrival {
            WorkerReply::Answered(run, call, result) => {
                self.exchanges.note_finished();
                self.machine.reply(now, run, call, &result);
            }
            WorkerReply::Written(run, entry, written) => {
                self.exchanges.note_finished();
                if let Err(error) = &written {
                    telemetry::report_unrecorded(&self.span(run), error);
                }
                self.machine.recorded(now, run, &entry, written);
            }
            WorkerReply::Opened(id, job, found) => {
                self.transfers.note_finished();
                self.machine.opened(now, id, job, *found);
            }
            WorkerReply::Uploaded(id, job, uploaded) => {
                self.transfers.note_finished();
                self.machine.uploaded(now, id, job, uploaded);
            }
            WorkerReply::Fetched(id, job, effect, fetched) => {
                self.transfers.note_finished();
                self.machine.fetched(now, id, job, effect, fetched);
            }
            WorkerReply::Drawn(Some(job)) => {
                self.demand.received();
                let (work, opens) = self.context.plan(&job);
                self.machine.add(work, opens, job);
            }
            WorkerReply::Drawn(None) => self.machine.close(),
            // No action: the loop asks the queue for a job anyway.
            WorkerReply::Wake => {}
        }
    }

    fn now(&self) -> Time {
        self.core.shared().clock.now()
    }
}

/// A pool of threads, started as needed, which end with the driver.
struct Workers {
    worker: WorkerContext,
    queue: Arc<TaskQueue>,
    threads: usize,
    max_threads: usize,
    /// Tasks under way.
    out: usize,
}

impl Workers {
    fn new(worker: WorkerContext, max_threads: usize) -> Self {
        Self { worker, queue: Arc::default(), threads: 0, max_threads, out: 0 }
    }

    /// Whether the next task would wait for a worker: a call must not, since its time runs.
    fn are_busy(&self) -> bool {
        self.out >= self.max_threads
    }

    fn give(&mut self, task: WorkerTask) {
        self.out += 1;
        // A batch of one row needs no pool of sixty-four threads.
        if self.out > self.threads && self.threads < self.max_threads {
            self.threads += 1;
            let (worker, queue) = (self.worker.clone(), Arc::clone(&self.queue));
            thread::spawn(move || {
                while let Some(task) = queue.take() {
                    if worker.reply_sender.send(worker.run(task)).is_err() {
                        return;
                    }
                }
            });
        }
        self.queue.give(task);
    }

    fn note_finished(&mut self) {
        self.out -= 1;
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.queue.close();
    }
}

/// Tasks that wait for a worker. Each wakes one thread; a channel would wake two, since its receiver has
/// to be shared behind a lock that the next worker waits for.
struct TaskQueue {
    /// `None` once the driver has ended.
    waiting: Mutex<Option<VecDeque<WorkerTask>>>,
    changed: Condvar,
}

impl Default for TaskQueue {
    fn default() -> Self {
        Self { waiting: Mutex::new(Some(VecDeque::new())), changed: Condvar::new() }
    }
}

impl TaskQueue {
    fn give(&self, task: WorkerTask) {
        // After the end of the driver no worker takes it, and no caller waits for it.
        if let Some(waiting) = &mut *self.lock() {
            waiting.push_back(task);
        }
        self.changed.notify_one();
    }

    /// Waits for the next task; `None` once the driver has ended.
    fn take(&self) -> Option<WorkerTask> {
        let is_empty =
            |waiting: &mut Option<VecDeque<_>>| waiting.as_ref().is_some_and(VecDeque::is_empty);
        // It is asked again after each wake-up: another worker may have been faster, and `close` wakes
        // all of them.
        let waiting = self.changed.wait_while(self.lock(), is_empty);
        waiting.unwrap_or_else(PoisonError::into_inner).as_mut()?.pop_front()
    }

    fn close(&self) {
        *self.lock() = None;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Option<VecDeque<WorkerTask>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a worker needs.
#[derive(Clone)]
struct WorkerContext {
    core: ClientCore,
    context: Arc<JobContext>,
    reply_sender: Sender<WorkerReply>,
}

impl WorkerContext {
    fn run(&self, task: WorkerTask) -> WorkerReply {
        match task {
            WorkerTask::Exchange(run, call, span) => {
                let _entered = span.enter();
                let gateway = &self.core.shared().gateway;
                let lost = || gateway.endpoint().result(Answer::Lost(format!("{STACK} panicked")));
                let result = guarded(STACK, || gateway.call(&call)).unwrap_or_else(lost);
                WorkerReply::Answered(run, call.id, result)
            }
            WorkerTask::Write(run, entry, row) => {
                let journal = row.as_ref().map(OpenRow::journal::<Arc<dyn Journal>>);
                let journal = journal.as_deref().unwrap_or_else(|| self.core.journal());
                let written = guarded(JOURNAL, || journal.write(&entry));
                let written = written.unwrap_or_else(|| Err(panicked_journal()));
                WorkerReply::Written(run, entry, written)
            }
            WorkerTask::Open(id, mut job) => {
                let found = Box::new(self.context.open(&mut job));
                WorkerReply::Opened(id, job, found)
            }
            WorkerTask::Upload(id, mut job) => {
                let uploaded = guarded(UPLOAD, || {
                    let photo = self.context.photo(&mut job)?;
                    // After a halt no submission follows the upload.
                    let is_wanted = || !self.context.handle().is_halted();
                    transfer::upload(&self.core, &photo, &is_wanted).map_err(PrepareError::Failed)
                });
                let uploaded = uploaded.unwrap_or_else(|| {
                    Err(PrepareError::Failed(panicked(ErrorKind::Upload, UPLOAD)))
                });
                WorkerReply::Uploaded(id, job, uploaded)
            }
            WorkerTask::Fetch(id, mut job, effect, row) => {
                let fetched = guarded(DOWNLOAD, || self.fetch(&mut job, &effect, row.as_ref()));
                let error = || panicked(ErrorKind::Download, DOWNLOAD);
                let fetched =
                    fetched.unwrap_or_else(|| Err(FetchError { error: error(), is_local: false }));
                WorkerReply::Fetched(id, job, effect, fetched)
            }
        }
    }

    /// Downloads the missing pictures; if one fails, still tries the others.
    fn fetch(
        &self,
        job: &mut TrackedJob,
        effect: &Effect,
        row: Option<&OpenRow>,
    ) -> Result<(), FetchError> {
        let mut fetched = Ok(());
        for (index, picture) in effect.pictures.iter().enumerate() {
            // A run that was interrupted may have saved some of them.
            if self.context.has_picture(job, row, &effect.task_id, index) {
                continue;
            }
            let bytes = transfer::fetch(&self.core, picture, |event| {
                self.context.report_download(job, event);
            });
            let saved = match bytes {
                Ok(bytes) => self.context.save(job, row, index, picture, bytes),
                Err(error) => Err(FetchError { error, is_local: false }),
            };
            if let Err(FetchError { error, is_local }) = saved {
                let error = self.core.resumable(error, &picture.task_id);
                fetched = Err(FetchError { error, is_local });
            }
        }
        fetched
    }
}

/// Exchanges in flight at once, a thread each: as many as these limits make where an exchange takes a
/// tenth of a second.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast saturates")]
fn exchanges_at_once(limits: &BatchLimits) -> usize {
    let polls = (limits.polls_per_second * 0.1) as usize;
    let submissions = usize::try_from(limits.submissions).unwrap_or(usize::MAX);
    polls.saturating_add(submissions).clamp(FEWEST_WORKERS, MAX_WORKERS)
}

const DRIVER: &str = "the driver of the jobs";

const FEWEST_WORKERS: usize = 4;
const MAX_WORKERS: usize = 64;
/// A stop is noticed after this at the latest.
const LONGEST_SLEEP: Duration = Duration::from_millis(100);
