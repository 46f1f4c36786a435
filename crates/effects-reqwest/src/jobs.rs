//! [`JobResults`]: the stream of results of many jobs. [`Client::jobs`] begins the builder whose `run`
//! returns it; async Rust programs and the Python package (`many.rs`) read it. One tokio task
//! (`driver.rs`) drives the jobs; this file gives it the jobs and takes their ends.
//!
//! Jobs are drawn as room comes, on a thread of its own, so that one that takes long to come (a
//! photo to hash, a file to read) holds up no poll; and only as far as results are read: neither a
//! long list of jobs nor a slow reader of results takes memory.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll};
use std::thread;

use effects_client::{
    Backlog, JOURNAL, Job, JobContext, JobDemand, JobNotice, JobOptions, JobResult, JobsHandle,
    OutageFilter, RunJobs, TrackedJob, draw, panicked,
};
use effects_core::{BaseUrl, Error, ErrorKind};
use effects_jobs::JobEnd;
use futures_util::{FutureExt, Stream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::client::Client;
use crate::client_core::ClientCore;
use crate::driver::{Arrival, Driver, DriverJob, DriverState, JobProgress, JobSource};

/// The results of jobs, as they come: a [`Stream`]. Made by [`Jobs::run`](effects_client::Jobs::run), the end
/// of the builder that [`Client::jobs`] begins.
///
/// Dropping it stops the jobs: what has not been submitted is not, and a submission in flight runs in its
/// task to its answer. That holds as long as the runtime runs: before `main` ends early, with an error in the
/// loop over the results, say, [stop](Self::stop) the jobs and read to the last result.
#[derive(Debug)]
#[must_use = "dropped unread, it stops the jobs"]
pub struct JobResults {
    results: UnboundedReceiver<JobResult>,
    backlog: Backlog,
    messages: JobsSender,
    handle: JobsHandle,
    context: Arc<JobContext>,
    /// Where tasks are that no caller hears of.
    gateway: BaseUrl,
}

type JobsSender = UnboundedSender<Arrival<JobsMessage>>;

impl RunJobs for Client {
    type Results = JobResults;

    /// Needs a tokio runtime to be called.
    fn run_jobs<I>(&self, options: JobOptions, jobs: I) -> Result<JobResults, Error>
    where
        I: Iterator<Item = Job> + Send + 'static,
    {
        let origin = self.base_url().origin();
        let context = Arc::new(JobContext::new(&options, &self.core().shared().settings.endpoint)?);
        let (results_sender, results) = unbounded_channel();
        let (request, requests) = mpsc::channel();
        let (demand, handle) = (JobDemand::default(), context.handle().clone());
        let backlog = demand.backlog().clone();
        let source = DrawnJobs {
            results_sender,
            request,
            demand,
            is_stopped: false,
            outages: OutageFilter::default(),
            context: Arc::clone(&context),
            handle: handle.clone(),
        };
        let limits = options.limits(origin);
        // Anchored: the deadline of many jobs begins here, and not with each of their calls.
        let core = self.core().with_policy(self.policy().for_batch().into()).anchored();
        let (driver, messages) = Driver::new(&core, Arc::clone(core.policy()), limits, source);
        let waker = messages.clone();
        // A stop is looked at before each step, and the driver may sleep until an answer comes.
        handle.wake_by(move || drop(waker.send(Arrival::Message(JobsMessage::Wake))));
        let (drawer, shared) = (messages.clone(), Arc::clone(&context));
        let draw_all = move || {
            let tracked = jobs.map(|job| Box::new(shared.track(job)));
            draw(tracked, requests, shared.handle(), |job| {
                drawer.send(Arrival::Message(JobsMessage::Drawn(job))).is_ok()
            });
        };
        let draw_within = options.draw_within.clone();
        // Not a task of the runtime: the caller's iterator may block for as long as it likes.
        thread::spawn(move || match draw_within {
            Some(within) => within(Box::new(draw_all)),
            None => draw_all(),
        });
        let driven = handle.clone();
        tokio::spawn(async move {
            // `source` has the sender of results, which stay open until the journal has everything.
            let Ok(source) = AssertUnwindSafe(driver.run()).catch_unwind().await else {
                driven.fail(panicked(ErrorKind::OutcomeUnknown, "the driver of the jobs"));
                return;
            };
            let flushed = tokio::task::spawn_blocking(move || {
                if let Err(error) = source.context.flush() {
                    source.handle.fail(error);
                }
            });
            // Otherwise the runtime is shut down.
            if flushed.await.is_err_and(|error| error.is_panic()) {
                driven.fail(panicked(ErrorKind::Journal, JOURNAL));
            }
        });
        let gateway = self.core().base_url().clone();
        Ok(JobResults { results, backlog, messages, handle, context, gateway })
    }
}

impl JobResults {
    /// The next result; `None` when every job has ended.
    pub async fn next(&mut self) -> Option<JobResult> {
        let result = self.results.recv().await;
        self.was_read(result.as_ref());
        result
    }

    /// Stops the jobs: the results still to come tell what was known of each.
    pub fn stop(&self) {
        self.handle.stop();
    }

    /// What stops the jobs from elsewhere, and says how they stand.
    pub fn handle(&self) -> JobsHandle {
        self.handle.clone()
    }

    /// Why jobs were not begun, or the journal not written to its end; known once the last result was
    /// read.
    pub fn halted_by(&self) -> Option<Error> {
        self.handle.halted_by()
    }

    /// What the jobs share of this machine: their budget's state, for example.
    pub fn context(&self) -> &Arc<JobContext> {
        &self.context
    }

    fn was_read(&self, result: Option<&JobResult>) {
        if result.is_some() && self.backlog.read() {
            // The driver is gone where nothing is left to draw.
            let _ = self.messages.send(Arrival::Message(JobsMessage::Wake));
        }
    }
}

impl Stream for JobResults {
    type Item = JobResult;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<JobResult>> {
        let polled = self.results.poll_recv(context);
        if let Poll::Ready(result) = &polled {
            self.was_read(result.as_ref());
        }
        polled
    }
}

impl Drop for JobResults {
    fn drop(&mut self) {
        self.stop();
        // What is sent from now on, the driver tells of.
        self.results.close();
        while let Ok(result) = self.results.try_recv() {
            self.context.report_unread(&result, &self.gateway);
        }
    }
}

/// A message to the driver of jobs.
pub(crate) enum JobsMessage {
    /// The next job; `None` after the last.
    Drawn(Option<Box<TrackedJob>>),
    /// The reader of results has caught up, or stops.
    Wake,
}

/// The driver's source of jobs: the caller's iterator, drawn one after the other.
struct DrawnJobs {
    results_sender: UnboundedSender<JobResult>,
    request: mpsc::Sender<u32>,
    demand: JobDemand,
    is_stopped: bool,
    outages: OutageFilter,
    context: Arc<JobContext>,
    handle: JobsHandle,
}

impl JobSource for DrawnJobs {
    type Message = JobsMessage;

    fn on_message(&mut self, message: JobsMessage, state: &mut DriverState) {
        match message {
            JobsMessage::Drawn(Some(job)) => {
                self.demand.received();
                let (work, opens) = self.context.plan(&job);
                state.machine.add(work, opens, DriverJob::Job(job));
            }
            JobsMessage::Drawn(None) => state.machine.close(),
            // The next request is granted.
            JobsMessage::Wake => {}
        }
    }

    fn make_room(&mut self, room: u32) {
        self.demand.make_room(room);
    }

    fn before_step(&mut self, state: &mut DriverState) {
        if self.handle.is_stopped() && !std::mem::replace(&mut self.is_stopped, true) {
            state.machine.stop(state.now());
        } else if self.handle.is_halted() && !state.machine.is_halted() {
            state.machine.halt(None);
        }
        // A halted machine asks for no more jobs, and would wait for the end of a list that is drawn
        // no further.
        if state.machine.is_halted() {
            state.machine.close();
        }
        self.handle.publish(&state.machine);
        if let Some(outage) = self.outages.of(state.machine.outage()) {
            self.context.report_outage(outage);
        }
        if let Some(count) = self.demand.next_request() {
            // The thread that draws ends only after the last job.
            let _ = self.request.send(count);
        }
    }

    fn end(&mut self, known: DriverJob, end: JobEnd, core: &ClientCore) {
        let DriverJob::Job(job) = known else { return };
        // Before the result is sent: its reader may count it out at once.
        self.demand.backlog().sent();
        let (results_sender, context) = (self.results_sender.clone(), Arc::clone(&self.context));
        // The row's number is looked up in the journal, which blocks.
        if context.must_look_up(&job, &end) {
            tokio::task::spawn_blocking(move || {
                // Where the results are read no more, the journal has what it is.
                let _ = results_sender.send(context.result(*job, end));
            });
        } else {
            let sent = results_sender.send(context.result(*job, end));
            if let Err(unread) = sent {
                self.context.report_unread(&unread.0, core.base_url());
            }
        }
    }

    fn on_progress(&mut self, known: &DriverJob, progress: JobProgress) {
        let DriverJob::Job(job) = known else { return };
        let index = job.index;
        self.context.report(match progress {
            JobProgress::Event(event) => JobNotice::Event { index, is_download: false, event },
            JobProgress::Renewing(error) => JobNotice::Renewing { index, error },
            JobProgress::Begun(method, task) => JobNotice::Begun { index, method, task },
        });
    }

    fn context(&self) -> Option<&Arc<JobContext>> {
        Some(&self.context)
    }
}
