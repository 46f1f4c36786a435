//! [`Subscription`]: the caller's end of a run that a client's [`SharedRuns`] drives. It begins the run,
//! and receives its end and the events of its [`Interest`] (none, each, or those until the task's id is
//! known); dropping it stops the run. [`Watch`](crate::Watch) holds one while its run is under way.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use effects_core::{Effect, Error, ErrorKind, Event, TaskId};
use effects_jobs::Work;
use tracing::Span;

use crate::client_core::ClientCore;
use crate::shared_runs::SharedRuns;
use crate::waiter::{PollControl, RunTicket, WaitedFor, Waiter};

/// A run among a client's [`SharedRuns`], and its caller's end of it.
#[derive(Debug)]
pub(crate) struct Subscription {
    runs: Arc<SharedRuns>,
    state: Arc<SubscriptionState>,
}

/// What comes next of a run.
#[derive(Debug)]
pub(crate) enum SubscriptionItem {
    Event(Event),
    End(Result<Effect, Error>),
}

impl Subscription {
    /// Begins a run, and takes of its events what this says.
    pub(crate) fn begin(
        runs: Arc<SharedRuns>,
        work: Work,
        core: &ClientCore,
        span: Span,
        interest: Interest,
    ) -> Self {
        let state = Arc::<SubscriptionState>::default();
        // Before the run begins: its driver may ask at once.
        state.lock().interest = interest;
        let journal = core.journal();
        let waiter = SubscriptionWaiter { state: Arc::clone(&state), core: core.without_journal() };
        let waiter = Arc::new(waiter);
        runs.begin(work, WaitedFor::new(waiter, journal, Some(span)));
        Self { runs, state }
    }

    /// The next event, else the end. A future that is dropped takes nothing with it.
    pub(crate) async fn next(&self) -> SubscriptionItem {
        poll_fn(|context| {
            let mut state = self.state.lock();
            // Events before the end, which comes after all of them.
            if let Some(event) = state.events.pop_front() {
                // The run was held because its events were not read; now they are.
                if state.events.is_empty()
                    && let Some(run) = state.held.take()
                {
                    self.runs.resume_polling(run);
                }
                return Poll::Ready(SubscriptionItem::Event(event));
            }
            if let Some(end) = state.end.take() {
                return Poll::Ready(SubscriptionItem::End(end));
            }
            state.waker = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Its caller leaves: the task, if it is known by now. The driver tells of one that it comes to know later.
    pub(crate) fn leave(&self) -> Option<TaskId> {
        let mut state = self.state.lock();
        state.has_left = !state.is_over;
        state.task.clone()
    }

    /// The run's task, once there is one.
    pub(crate) fn task(&self) -> Option<TaskId> {
        self.state.lock().task.clone()
    }
}

/// Lets the run end where it stands: a submission in flight is awaited, nothing else is.
impl Drop for Subscription {
    fn drop(&mut self) {
        let mut state = self.state.lock();
        if state.is_over {
            return;
        }
        (state.has_left, state.held) = (true, None);
        // The driver asks `has_left` under this lock.
        drop(state);
        self.runs.stop_abandoned();
    }
}

/// Which events of a run its caller takes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Interest {
    /// None: the end alone.
    #[default]
    End,
    /// Each, and the run is one event ahead of it at most.
    EachEvent,
    /// Those until the task's id is known; the run ends there and does not look at its task.
    Submission,
}

/// What the caller and the driver share of a run.
#[derive(Debug, Default)]
struct SubscriptionState(Mutex<SubscriptionShared>);

#[derive(Debug, Default)]
struct SubscriptionShared {
    interest: Interest,
    events: VecDeque<Event>,
    /// The run, while it does not look at its task because its events are unread.
    held: Option<RunTicket>,
    task: Option<TaskId>,
    end: Option<Result<Effect, Error>>,
    is_over: bool,
    has_left: bool,
    waker: Option<Waker>,
}

impl SubscriptionState {
    fn lock(&self) -> MutexGuard<'_, SubscriptionShared> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, end: Result<Effect, Error>) {
        let mut shared = self.lock();
        if !shared.is_over {
            (shared.is_over, shared.end) = (true, Some(end));
        }
        wake(shared);
    }
}

/// Wakes the caller, once the driver no longer holds what they share.
fn wake(mut shared: MutexGuard<'_, SubscriptionShared>) {
    let waker = shared.waker.take();
    drop(shared);
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// The driver's end of a [`Subscription`]: takes each event, and the end.
struct SubscriptionWaiter {
    state: Arc<SubscriptionState>,
    core: ClientCore,
}

impl Waiter for SubscriptionWaiter {
    fn has_left(&self) -> bool {
        self.state.lock().has_left
    }

    fn reads(&self) -> bool {
        self.state.lock().interest == Interest::EachEvent
    }

    fn on_event(&self, event: Event, run: RunTicket) -> PollControl {
        let mut shared = self.state.lock();
        // The id is kept whatever the caller's interest: `Watch` tells of it when it is dropped.
        let is_submitted = if let Event::Submitted { task_id } = &event {
            shared.task = Some(task_id.clone());
            true
        } else {
            false
        };
        if shared.interest == Interest::End || shared.has_left {
            if let (true, Event::Submitted { task_id }) = (shared.has_left, &event) {
                self.core.tell_of_left(task_id, false);
            }
            return PollControl::Continue;
        }
        // A caller that waits for it takes it at once; else the run is one event ahead already.
        let control = match shared.interest {
            Interest::Submission if is_submitted => PollControl::Stop,
            Interest::EachEvent if shared.waker.is_none() => PollControl::Pause,
            _ => PollControl::Continue,
        };
        shared.events.push_back(event);
        if control == PollControl::Pause {
            shared.held = Some(run);
        }
        wake(shared);
        control
    }

    fn on_end(self: Arc<Self>, result: Result<Effect, Error>) {
        self.state.end(result);
    }
}

/// Dropped without a result: the driver was shut down with its runtime.
impl Drop for SubscriptionWaiter {
    fn drop(&mut self) {
        let (is_over, task) = {
            let shared = self.state.lock();
            (shared.is_over, shared.task.clone())
        };
        if !is_over {
            let message = "the runtime gave up what was under way; a submission may exist";
            let error = Error::new(ErrorKind::OutcomeUnknown, message);
            self.state.end(Err(match &task {
                Some(task) => error.about(task),
                None => error,
            }));
        }
    }
}
