//! [`Watch`]: a run event by event, then its end.

use effects_client::telemetry;
use effects_core::{Effect, Error, ErrorKind, Event, TaskId, Template};
use effects_jobs::Work;
use tracing::Span;

use crate::client::Client;
use crate::subscription::{News, Subscription};
use crate::task_handle::TaskHandle;

/// A run: its events one by one, then its end. Nothing happens before it is asked for the next event or
/// for its end; from then on the client's driver drives it.
///
/// Dropping it stops the run and loses nothing: a submission in flight is awaited, and the id of its task
/// reaches the journal and the log. A future of [`next`](Self::next) that is dropped takes no event with
/// it.
#[derive(Debug)]
pub struct Watch {
    client: Client,
    stage: Stage,
    task: Option<TaskId>,
    template: Option<Template>,
    span: Span,
    /// A handle that wants to remember the task's end.
    handle: Option<TaskHandle>,
}

#[derive(Debug)]
enum Stage {
    /// Not begun: with its seed a run draws the names of its submission, and no two processes may
    /// share them, so that it begins in the one that drives it.
    Before(Box<Work>),
    Under(Subscription),
    /// Over; the end, until it is asked for.
    Over(Option<Result<Effect, Error>>),
}

impl Watch {
    pub(crate) fn new(client: &Client, work: Work) -> Self {
        let (task, template) = (work.task_id().cloned(), work.template().cloned());
        Self {
            client: client.clone(),
            span: telemetry::task_span(template.as_ref(), task.as_ref()),
            stage: Stage::Before(Box::new(work)),
            task,
            template,
            handle: None,
        }
    }

    pub(crate) fn of(handle: &TaskHandle) -> Self {
        let mut watch = Self::new(handle.client(), handle.work());
        watch.handle = Some(handle.clone());
        if let Some(end) = handle.known_end() {
            watch.stage = Stage::Over(Some(end));
        }
        watch
    }

    /// The task, once there is one.
    pub fn task_id(&self) -> Option<&TaskId> {
        self.task.as_ref()
    }

    /// The next event; `None` once the run is over.
    pub async fn next(&mut self) -> Option<Event> {
        self.begin(true);
        let Stage::Under(subscription) = &self.stage else { return None };
        match subscription.next().await {
            News::Event(event) => {
                if self.task.is_none() {
                    self.task = subscription.task();
                }
                Some(event)
            }
            News::End(end) => {
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
        self.begin(false);
        while self.next().await.is_some() {}
        match std::mem::replace(&mut self.stage, Stage::Over(None)) {
            Stage::Over(Some(end)) => end,
            _ => Err(Error::new(ErrorKind::OutcomeUnknown, "the run's end was taken before")),
        }
    }

    /// Waits until the task's id is known, and stops watching.
    ///
    /// # Errors
    ///
    /// Those of [`Client::submit`].
    pub async fn submitted(mut self) -> Result<TaskHandle, Error> {
        while self.task.is_none() && self.next().await.is_some() {}
        let submitted = self.client.now();
        // A task that was final in the answer to its submission has its end already.
        if let Stage::Under(subscription) = &self.stage {
            subscription.detach();
        }
        let (client, task, template) =
            (self.client.clone(), self.task.clone(), self.template.take());
        let end = self.finish().await;
        let id = match (&end, task) {
            // The journal did not take the id: the caller must not take it for recorded.
            (Err(error), _) if error.kind() == ErrorKind::Journal => return Err(error.clone()),
            (Err(error), None) => return Err(error.clone()),
            (Ok(effect), None) => effect.task_id.clone(),
            (_, Some(task)) => task,
        };
        let handle = TaskHandle::new(&client, id, template).submitted_at(submitted);
        handle.saw_end(&end);
        Ok(handle)
    }

    /// Begins the run, if it has not begun.
    fn begin(&mut self, reader: bool) {
        if !matches!(self.stage, Stage::Before(_)) {
            return;
        }
        if let Stage::Before(work) = std::mem::replace(&mut self.stage, Stage::Over(None)) {
            let (runs, journal) = (self.client.runs(), self.client.journal());
            let span = self.span.clone();
            self.stage = Stage::Under(Subscription::begin(runs, *work, journal, span, reader));
        }
    }

    fn end(&mut self, end: Result<Effect, Error>) {
        if self.task.is_none() {
            self.task = match &end {
                Ok(effect) => Some(effect.task_id.clone()),
                Err(error) => error.task_id().cloned(),
            };
        }
        if let Some(handle) = &self.handle {
            handle.saw_end(&end);
        }
        self.stage = Stage::Over(Some(end));
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let Stage::Under(subscription) = &self.stage else { return };
        let Some(task) = self.task.take().or_else(|| subscription.task()) else { return };
        let line = self.client.shared().gateway.resume_line(&task);
        self.span.in_scope(|| {
            tracing::info!("stopped watching task {task}; the task goes on; resume with: {line}");
        });
    }
}
