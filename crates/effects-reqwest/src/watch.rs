//! [`Watch`]: follows one run, event by event (`next`) or to its end (`finish`).
//! [`Client::watch`](crate::Client::watch) and [`TaskHandle::events`](crate::TaskHandle::events) return it
//! to async Rust programs; `Client::run`, `Client::submit` and `TaskHandle::wait` are made of it.

use std::sync::Arc;

use effects_client::{Verdict, telemetry};
use effects_core::{Effect, Error, ErrorKind, Event, TaskId, Time};
use effects_jobs::Work;
use tracing::Span;

use crate::runs::Runs;
use crate::subscription::{Interest, Subscription, SubscriptionItem};

/// A run: its events one by one, then its end. Nothing happens before it is asked for the next event or
/// for its end; from then on the client's driver drives it.
///
/// Dropping it stops the run and loses nothing: a submission in flight is awaited, and the id of its task
/// reaches the journal and the log (as a warning where there is no journal). That holds as long as the runtime
/// runs: one that is shut down, as at the end of `main`, ends what is in flight in it. A future of
/// [`next`](Self::next) that is dropped takes no event with it.
#[derive(Debug)]
#[must_use = "dropped unread, it leaves the run"]
pub struct Watch {
    runs: Arc<Runs>,
    stage: Stage,
    task: Option<TaskId>,
    /// Whether the task was there before, so that its caller has the id.
    is_known: bool,
    span: Span,
    /// Where the task's end is remembered.
    verdict: Option<Verdict>,
}

#[derive(Debug)]
enum Stage {
    /// Not begun. A run draws its request ids from its seed; after a fork two processes would send the
    /// same ids, so the run is begun in the process that drives it.
    NotBegun(Box<Work>),
    Running(Subscription),
    /// Over; the end, until it is asked for.
    Over(Option<Result<Effect, Error>>),
}

impl Watch {
    pub(crate) fn new(runs: &Arc<Runs>, work: Work) -> Self {
        let (task, template) = (work.task_id().cloned(), work.template().cloned());
        Self {
            runs: Arc::clone(runs),
            span: telemetry::task_span(template.as_ref(), task.as_ref()),
            stage: Stage::NotBegun(Box::new(work)),
            is_known: task.is_some(),
            task,
            verdict: None,
        }
    }

    /// The same, of a task whose end may be known, and is remembered.
    pub(crate) fn of_task(mut self, verdict: &Verdict) -> Self {
        if let Some(end) = verdict.known() {
            self.stage = Stage::Over(Some(end));
        }
        self.verdict = Some(verdict.clone());
        self
    }

    /// The task, once there is one.
    pub fn task_id(&self) -> Option<&TaskId> {
        self.task.as_ref()
    }

    /// The next event; `None` once the run is over.
    pub async fn next(&mut self) -> Option<Event> {
        let event = self.advance().await;
        // The caller has the id from here on.
        self.is_known |= matches!(event, Some(Event::Submitted { .. }));
        event
    }

    async fn advance(&mut self) -> Option<Event> {
        self.begin(Interest::EachEvent);
        let Stage::Running(subscription) = &self.stage else { return None };
        match subscription.next().await {
            SubscriptionItem::Event(event) => {
                if self.task.is_none() {
                    self.task = subscription.task();
                }
                Some(event)
            }
            SubscriptionItem::End(end) => {
                self.end(end);
                None
            }
        }
    }

    /// Waits for the run's end.
    ///
    /// # Errors
    ///
    /// Every outcome but a completed task, and a journal that cannot be written.
    pub async fn finish(mut self) -> Result<Effect, Error> {
        self.begin(Interest::End);
        // A run whose events were read before has more of them; they are dropped.
        while self.advance().await.is_some() {}
        match std::mem::replace(&mut self.stage, Stage::Over(None)) {
            Stage::Over(Some(end)) => end,
            _ => Err(Error::new(ErrorKind::OutcomeUnknown, "the run's end was taken before")),
        }
    }

    /// Waits until the task's id is known; the run ends there. With the id come the time when it was known
    /// and what the run came to, which is the task's end where the answer to the submission had it.
    ///
    /// # Errors
    ///
    /// Those of [`Client::submit`](crate::Client::submit).
    pub(crate) async fn submitted(
        mut self,
        mut on_event: impl FnMut(Event),
    ) -> Result<(TaskId, Time, Result<Effect, Error>), Error> {
        self.begin(Interest::Submission);
        let mut known = None;
        while let Some(event) = self.advance().await {
            if matches!(event, Event::Submitted { .. }) {
                known = Some(self.runs.core().now());
            }
            on_event(event);
        }
        let known = known.unwrap_or_else(|| self.runs.core().now());
        let task = self.task.clone();
        match self.finish().await {
            // The journal did not take the id: the caller must not take it for recorded.
            Err(error) if error.kind() == ErrorKind::Journal || task.is_none() => Err(error),
            Ok(effect) => Ok((effect.task_id.clone(), known, Ok(effect))),
            Err(error) => match task {
                Some(task) => Ok((task, known, Err(error))),
                None => Err(error),
            },
        }
    }

    /// Begins the run, if it has not begun.
    fn begin(&mut self, interest: Interest) {
        if !matches!(self.stage, Stage::NotBegun(_)) {
            return;
        }
        if let Stage::NotBegun(work) = std::mem::replace(&mut self.stage, Stage::Over(None)) {
            let runs = self.runs.here();
            let span = self.span.clone();
            let core = self.runs.core();
            let subscription = Subscription::begin(runs, *work, core, span, interest);
            self.stage = Stage::Running(subscription);
        }
    }

    fn end(&mut self, end: Result<Effect, Error>) {
        if self.task.is_none() {
            self.task = match &end {
                Ok(effect) => Some(effect.task_id.clone()),
                Err(error) => error.task_id().cloned(),
            };
        }
        if let Some(verdict) = &self.verdict {
            verdict.saw(&end);
        }
        self.stage = Stage::Over(Some(end));
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let Stage::Running(subscription) = &self.stage else { return };
        let known = subscription.leave();
        let Some(task) = self.task.take().or(known) else { return };
        self.span.in_scope(|| self.runs.core().tell_of_left(&task, self.is_known));
    }
}
