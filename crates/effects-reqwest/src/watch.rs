//! A run being driven, event by event.

use std::sync::Arc;

use effects_client::telemetry;
use effects_core::driver::{AsyncClock, Told, drive_on_async_until};
use effects_core::{
    Effect, EffectRequest, Error, ErrorKind, Event, Outcome, Problem, Run, TaskId, Template, Time,
};
use effects_jobs::Work;
use tokio::task::{JoinError, JoinHandle};
use tracing::{Instrument, Span};

use crate::abandonment::{AbandonableClock, Abandonment};
use crate::client::Client;
use crate::task_handle::TaskHandle;

/// A run being driven: its events one by one, then its outcome. Nothing happens before it is asked
/// for the next event or for its end.
///
/// Dropping it, or a future of it, stops the watching and loses nothing: a submission under way
/// runs in a task of its own to its answer, and a later [`next`](Self::next) takes up where a
/// dropped one left off.
#[derive(Debug)]
pub struct Watch {
    client: Client,
    driving: Driving,
    task: Option<TaskId>,
    template: Option<Template>,
    span: Span,
    /// The span of the wait, once there is a task to wait for.
    wait: Option<Span>,
    abandonment: Arc<Abandonment>,
    end: Option<Result<Outcome, Error>>,
    /// A handle that wants to remember the verdict.
    handle: Option<TaskHandle>,
}

/// Where the run is.
#[derive(Debug)]
enum Driving {
    /// Not begun: with its seed a run draws the names of its submission, and no two processes may
    /// share them, so that it begins in the one that drives it.
    Before(Box<Work>),
    Here(Box<Run>),
    /// In a tokio task that survives whoever waits for it.
    Away(JoinHandle<Leg>),
    /// Over, or between the two.
    Gone,
}

/// A stretch of driving that is over: the run, and what it came to.
type Leg = (Box<Run>, Result<Told, Error>);

/// How far a leg goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum LegEnd {
    /// To the next event, or to the outcome.
    Event,
    /// To the outcome, past all events: `tracing` alone is told of them.
    Outcome,
}

impl Watch {
    pub(crate) fn submit(client: &Client, request: EffectRequest) -> Self {
        let template = request.template().clone();
        Self::new(client, Work::Submit(request), Some(template))
    }

    pub(crate) fn attach(handle: &TaskHandle, submitted: Option<Time>) -> Self {
        let (task, template) = (handle.id().clone(), handle.template().cloned());
        let work = Work::Watch { task, template: template.clone(), submitted };
        let mut watch = Self::new(handle.client(), work, template);
        watch.handle = Some(handle.clone());
        if let Some(outcome) = handle.verdict() {
            (watch.driving, watch.end) = (Driving::Gone, Some(Ok(outcome)));
        }
        watch
    }

    fn new(client: &Client, work: Work, template: Option<Template>) -> Self {
        let task = work.task_id().cloned();
        Self {
            client: client.clone(),
            span: telemetry::task_span(template.as_ref(), task.as_ref()),
            driving: Driving::Before(Box::new(work)),
            task,
            template,
            wait: None,
            abandonment: Arc::default(),
            end: None,
            handle: None,
        }
    }

    /// The task, once there is one.
    pub fn task_id(&self) -> Option<&TaskId> {
        self.task.as_ref()
    }

    /// The next event; `None` once the run is over.
    pub async fn next(&mut self) -> Option<Event> {
        self.begin();
        self.driving = match std::mem::replace(&mut self.driving, Driving::Gone) {
            Driving::Here(run) => {
                let leg = self.leg(run, LegEnd::Event);
                Driving::Away(tokio::spawn(leg))
            }
            driving => driving,
        };
        let Driving::Away(leg) = &mut self.driving else {
            return None;
        };
        let leg = leg.await;
        self.arrive(leg)
    }

    /// Drives the run to its end.
    ///
    /// # Errors
    ///
    /// Every outcome but a completed task, and a journal that cannot be written.
    pub async fn finish(mut self) -> Result<Effect, Error> {
        self.drive_to_end().await;
        let outcome = self.end.take().unwrap_or_else(|| Err(lost_leg(None)))?;
        outcome.into_result().map_err(|error| self.client.with_resume_line(error))
    }

    /// Drives the run until its task's id is known.
    pub(crate) async fn submitted(mut self) -> Result<TaskHandle, Error> {
        while self.task.is_none() && self.end.is_none() {
            self.drive_on().await;
        }
        let client = self.client.clone();
        let Some(id) = self.task.clone() else {
            return self
                .finish()
                .await
                .map(|effect| TaskHandle::new(&client, effect.task_id, None));
        };
        let now = client.shared().clock.now();
        let handle = TaskHandle::new(&client, id, self.template.take()).submitted_at(now);
        // A task that was final in the answer to its submission needs no look.
        if let Driving::Here(run) = &mut self.driving {
            run.detach(now);
        }
        self.drive_to_end().await;
        match self.end.take() {
            // The journal did not take the id: the caller must not take it for recorded.
            Some(Err(error)) => return Err(error),
            Some(Ok(outcome)) => handle.remember(&outcome),
            None => {}
        }
        Ok(handle)
    }

    /// Begins the run, if it has not begun.
    fn begin(&mut self) {
        self.driving = match std::mem::replace(&mut self.driving, Driving::Gone) {
            Driving::Before(work) => {
                match self.client.begin(*work, self.client.shared().clock.now()) {
                    Ok(run) => Driving::Here(Box::new(run)),
                    Err(error) => {
                        self.end = Some(Err(self.client.with_resume_line(error)));
                        Driving::Gone
                    }
                }
            }
            begun => begun,
        };
    }

    async fn drive_to_end(&mut self) {
        while self.end.is_none() {
            self.drive_on().await;
        }
    }

    /// One stretch further, whose events have no reader. A look costs nothing and may be dropped
    /// with the future, so it needs no task of its own; a submission does.
    async fn drive_on(&mut self) {
        self.begin();
        match std::mem::replace(&mut self.driving, Driving::Gone) {
            Driving::Here(run) if self.task.is_some() => {
                let leg = self.leg(run, LegEnd::Outcome).await;
                self.arrive(Ok(leg));
            }
            driving => {
                self.driving = driving;
                self.next().await;
            }
        }
    }

    /// Drives up to the next event, or to the outcome; also to the outcome if the watch is dropped
    /// meanwhile: then a submission under way is waited for, recorded and told, and none follows.
    fn leg(&mut self, mut run: Box<Run>, end: LegEnd) -> impl Future<Output = Leg> + Send + use<> {
        let (client, span) = (self.client.clone(), self.span.clone());
        let inside = match &self.task {
            None => span.clone(),
            Some(_) => self.wait.get_or_insert_with(|| telemetry::wait_span(&span)).clone(),
        };
        let abandonment = Arc::clone(&self.abandonment);
        let leg = async move {
            let (shared, abandoned) = (client.shared(), || abandonment.has_come());
            let abandonment = Arc::clone(&abandonment);
            let clock = AbandonableClock { clock: shared.clock.clone(), abandonment };
            let (gateway, journal) = (&shared.gateway, client.journal());
            loop {
                let told =
                    drive_on_async_until(&mut run, gateway, &clock, journal, abandoned).await;
                if let Ok(Told::Event(event)) = &told {
                    telemetry::tell(&span, event);
                    if end == LegEnd::Outcome || abandoned() {
                        continue;
                    }
                }
                let task_id = run.task_id().cloned();
                let told = told.map_err(|error| {
                    let (kind, message) = (ErrorKind::Journal, error.to_string());
                    let error = Problem { kind, message, task_id, trouble: None }.into();
                    let error = client.with_resume_line(error);
                    telemetry::tell_unrecorded(&span, &error);
                    error
                });
                return (run, told);
            }
        };
        leg.instrument(inside)
    }

    fn arrive(&mut self, leg: Result<Leg, JoinError>) -> Option<Event> {
        self.driving = Driving::Gone;
        let told = leg.map_or_else(
            |error| Err(lost_leg(Some(&error))),
            |(run, told)| {
                self.task = run.task_id().cloned();
                if let Ok(Told::Event(_)) = &told {
                    self.driving = Driving::Here(run);
                }
                told
            },
        );
        match told {
            Ok(Told::Event(event)) => return Some(event),
            Ok(Told::Done(outcome)) => {
                if let Some(handle) = &self.handle {
                    handle.remember(&outcome);
                }
                self.end = Some(Ok(outcome));
            }
            Err(error) => self.end = Some(Err(self.client.with_resume_line(error))),
        }
        None
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if self.end.is_some() {
            return;
        }
        self.abandonment.comes();
        let Some(task) = &self.task else {
            return;
        };
        if let Driving::Away(leg) = &self.driving {
            leg.abort();
        }
        let line = self.client.shared().gateway.resume_line(task);
        self.span.in_scope(|| {
            tracing::info!("stopped watching task {task}; the task goes on; resume with: {line}");
        });
    }
}

/// The tokio task of a leg is gone: the runtime was shut down, or something in it panicked.
fn lost_leg(error: Option<&JoinError>) -> Error {
    let why = error.map(JoinError::to_string).unwrap_or_default();
    let message = format!("the runtime gave up what was under way ({why}); a submission may exist");
    Error::new(ErrorKind::OutcomeUnknown, message)
}
