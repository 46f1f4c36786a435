//! [`SharedRuns`]: the single runs of a client, driven together in one tokio task. `Runs` starts it with a
//! client's first run; each [`Watch`](crate::Watch) (and so `run`, `submit` and `wait`) and
//! [`Client::begin`](crate::Client::begin) add a run. The jobs of [`Client::jobs`](crate::Client::jobs) are
//! driven in a task of their own.
//!
//! Ten thousand runs as futures would be ten thousand tokio tasks and timers. Here they are rows of one
//! [`Batch`](effects_core::batch::Batch), in one tokio task: a run that waits between two looks takes well
//! under a kilobyte. A run behaves as it would alone: it is not queued behind others, except that a
//! gateway that refuses for now (429, or 503 with a `Retry-After`) delays all.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use effects_core::batch::{BatchLimits, RunId};
use effects_core::{Effect, Error, ErrorKind, Event};
use effects_jobs::{JobEnd, JobOutcome, Work};
use tokio::runtime::{self, Handle};
use tokio::sync::mpsc::UnboundedSender;

use crate::client_core::ClientCore;
use crate::driver::{Arrival, Driver, DriverJob, DriverState, JobSource};
use crate::http_client::MAX_EXCHANGES;
use crate::waiter::{PollControl, RunTicket, WaitedFor, Waiter};

/// The runs of a client that one driver drives, in the runtime in which the first of them began. Dropping
/// it lets them go on to their ends.
#[derive(Debug)]
pub(crate) struct SharedRuns {
    /// Where its driver runs.
    runtime: runtime::Id,
    messages: UnboundedSender<Arrival<RunsMessage>>,
    shared: Arc<RunsShared>,
}

#[derive(Debug, Default)]
struct RunsShared {
    runs: AtomicUsize,
    /// Callers have abandoned runs since the driver last looked for them.
    has_abandoned_runs: AtomicBool,
}

impl SharedRuns {
    /// Begins to drive under this policy, in the runtime that is entered.
    pub(crate) fn start(core: &ClientCore) -> Self {
        // More would wait in the HTTP client, where the time limits of their exchanges already run.
        let submissions = u32::try_from(MAX_EXCHANGES).unwrap_or(u32::MAX);
        let limits = BatchLimits { submissions, tasks: u32::MAX, polls_per_second: UNLIMITED };
        let shared = Arc::<RunsShared>::default();
        let source = SingleRuns { shared: Arc::clone(&shared) };
        let (driver, messages) =
            Driver::new(core, Arc::clone(core.policy()), limits.into(), source);
        tokio::spawn(driver.run());
        Self { runtime: Handle::current().id(), messages, shared }
    }

    /// Adds a run. If the runtime is shut down, the waiter is dropped without a result.
    pub(crate) fn begin(&self, work: Work, run: WaitedFor) {
        // Before the run is sent: the driver may end it at once, and counts it out.
        self.shared.runs.fetch_add(1, Ordering::SeqCst);
        if self.messages.send(Arrival::Message(RunsMessage::Begin(Box::new((work, run))))).is_err()
        {
            self.shared.runs.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// Whether its driver runs in the runtime that is entered.
    pub(crate) fn is_here(&self) -> bool {
        // The driver is gone where its runtime was shut down, or where it panicked.
        self.runtime == Handle::current().id() && !self.messages.is_closed()
    }

    /// Resumes the polling of a run that was paused because its waiter read no events.
    pub(crate) fn resume_polling(&self, run: RunTicket) {
        // A driver that is gone looks at nothing.
        let _ = self.messages.send(Arrival::Message(RunsMessage::ResumePolling(run)));
    }

    /// Stops the runs whose waiters have left.
    pub(crate) fn stop_abandoned(&self) {
        // One message for all callers that leave before the driver comes to it.
        if !self.shared.has_abandoned_runs.swap(true, Ordering::SeqCst) {
            // A driver that is gone has no runs left.
            let _ = self.messages.send(Arrival::Message(RunsMessage::StopAbandoned));
        }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.shared.runs.load(Ordering::SeqCst)
    }
}

impl Drop for SharedRuns {
    fn drop(&mut self) {
        let _ = self.messages.send(Arrival::Message(RunsMessage::Close));
    }
}

/// A message to the driver of runs.
enum RunsMessage {
    Begin(Box<(Work, WaitedFor)>),
    ResumePolling(RunTicket),
    StopAbandoned,
    Close,
}

/// The source of runs that callers begin one by one.
struct SingleRuns {
    shared: Arc<RunsShared>,
}

impl SingleRuns {
    fn finish(&self, waiter: Arc<dyn Waiter>, result: Result<Effect, Error>) {
        self.shared.runs.fetch_sub(1, Ordering::SeqCst);
        waiter.on_end(result);
    }
}

impl JobSource for SingleRuns {
    type Message = RunsMessage;

    fn on_message(&mut self, message: RunsMessage, state: &mut DriverState) {
        match message {
            RunsMessage::Begin(begun) => {
                let (work, run) = *begun;
                if let Err((run, error)) = state.begin_at_once(work, Box::new(run)) {
                    self.finish(Arc::clone(&run.waiter), Err(error));
                }
            }
            RunsMessage::StopAbandoned => {
                // Before the look: a caller that leaves during it sends another message.
                self.shared.has_abandoned_runs.store(false, Ordering::SeqCst);
                let now = state.now();
                state.machine.detach_those(now, |known| match known {
                    DriverJob::Run(run) => run.waiter.has_left(),
                    DriverJob::Job(_) => false,
                });
            }
            RunsMessage::ResumePolling(run) => {
                let now = state.now();
                if let Some(job) = state.machine.job(run.0) {
                    state.machine.look_alone(job, false, now);
                }
            }
            RunsMessage::Close => state.machine.close(),
        }
    }

    /// Callers add runs; there is none to fetch.
    fn make_room(&mut self, _room: u32) {}

    fn before_step(&mut self, _state: &mut DriverState) {}

    fn on_event(&mut self, run: RunId, event: Event, state: &mut DriverState) {
        let machine = &state.machine;
        let (Some(DriverJob::Run(waited)), Some(job)) = (machine.known(run), machine.job(run))
        else {
            return;
        };
        match waited.waiter.on_event(event, RunTicket(run)) {
            PollControl::Continue => {}
            PollControl::Pause => state.machine.look_alone(job, true, state.now()),
            PollControl::Stop => state.machine.detach(job, state.now()),
        }
    }

    fn end(&mut self, known: DriverJob, end: JobEnd, _core: &ClientCore) {
        let DriverJob::Run(run) = known else { return };
        let result = match end.outcome {
            JobOutcome::Completed(effect) => Ok(*effect),
            JobOutcome::Failed(error) => Err(error),
            // Work that needs an upload or a lookup first is no run.
            _ => {
                Err(Error::new(ErrorKind::Misconfigured, "no run could be begun; nothing was sent"))
            }
        };
        let waiter = Arc::clone(&run.waiter);
        // Drop the run's journal before the caller learns of the end: the caller may then open it again.
        drop(run);
        self.finish(waiter, result);
    }
}

/// Looks a second: each run looks as its pace says.
const UNLIMITED: f64 = 1e9;
