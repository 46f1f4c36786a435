//! [`Waiter`]: a caller's callback for the events and the end of a run, in place of a future. It answers
//! each event with a [`PollControl`]: go on, pause, or stop; a [`RunTicket`] names the run whose polling
//! resumes. `Subscription` passes one to `SharedRuns`, the Python package (`run_operation.rs`) to
//! [`Client::begin`](crate::Client::begin). The driver keeps it in a [`WaitedFor`], beside the run's
//! journal.

use std::sync::Arc;

use effects_client::telemetry;
use effects_core::batch::RunId;
use effects_core::journal::AsyncJournal;
use effects_core::{Effect, Error, Event};
use tracing::Span;

/// What waits for a run that has no future of its own; see [`Client::begin`](crate::Client::begin).
pub trait Waiter: Send + Sync {
    /// Whether its caller waits no more. Asked when
    /// [`Client::stop_abandoned`](crate::Client::stop_abandoned) was called.
    fn has_left(&self) -> bool;

    /// Whether it is called for each look at the task. Its run then looks for itself alone, and else shares
    /// the looks of others at the same task.
    fn reads(&self) -> bool {
        false
    }

    /// An event of the run, passed on the thread that drives: it must not block. Returns how the run goes on.
    fn on_event(&self, _event: Event, _run: RunTicket) -> PollControl {
        PollControl::Continue
    }

    /// The run's end, passed once, on the thread that drives: it must not block.
    fn on_end(self: Arc<Self>, result: Result<Effect, Error>);
}

/// How a run goes on after an event.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PollControl {
    /// It looks at its task as its pace says.
    Continue,
    /// It does not look before [`Client::resume_polling`](crate::Client::resume_polling) says so, or
    /// its wait ends.
    Pause,
    /// It ends here: it has what it was for, and does not look any more.
    Stop,
}

/// Names a run to [`Client::resume_polling`](crate::Client::resume_polling).
#[derive(Clone, Copy, Debug)]
pub struct RunTicket(pub(crate) RunId);

/// A run that a caller waits for.
pub(crate) struct WaitedFor {
    pub(crate) waiter: Arc<dyn Waiter>,
    /// Where its entries go.
    pub(crate) journal: Arc<dyn AsyncJournal>,
    /// `None` where nothing subscribes to it.
    pub(crate) span: Option<Box<Span>>,
    /// The span of the wait, once there is a task to wait for.
    wait: Option<Box<Span>>,
}

impl WaitedFor {
    /// A run that this caller waits for; its task's span is `span`, else one is made.
    pub(crate) fn new(
        waiter: Arc<dyn Waiter>,
        journal: Arc<dyn AsyncJournal>,
        span: Option<Span>,
    ) -> Self {
        Self { waiter, journal, span: span.and_then(watched), wait: None }
    }

    /// The span of its looks.
    pub(crate) fn wait_span(&mut self) -> Span {
        let Some(task) = &self.span else { return Span::none() };
        (**self.wait.get_or_insert_with(|| Box::new(telemetry::wait_span(task)))).clone()
    }
}

impl std::fmt::Debug for WaitedFor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WaitedFor").finish_non_exhaustive()
    }
}

/// A span that something subscribes to.
pub(crate) fn watched(span: Span) -> Option<Box<Span>> {
    (!span.is_disabled()).then(|| Box::new(span))
}
