//! A run being driven, event by event.

use std::time::Duration;

use bytes::Bytes;
use effects_client::{StoppableClock, Stopper, telemetry};
use effects_core::driver::{Told, drive_on};
use effects_core::gateway::{Answer, Exchange};
use effects_core::{
    Effect, EffectRequest, Error, ErrorKind, Event, Outcome, Problem, Run, TaskId, Template, Time,
};
use effects_jobs::Work;
use http::{Method, Request};
use tracing::Span;

use crate::client::Client;
use crate::exchange::UreqExchange;
use crate::task_handle::TaskHandle;

/// A run being driven: an iterator of its events, then its outcome. Nothing happens before it is
/// asked for the next event or for its end.
///
/// Dropping it stops the watching; the task, once there is one, goes on.
///
/// ```no_run
/// # use effects_ureq::{Client, EffectRequest, Template};
/// # let client = Client::from_env()?;
/// let request = EffectRequest::new(Template::GlassBall, "https://example.com/cat.jpg")?;
/// let mut watch = client.watch(request);
/// for event in watch.by_ref() {
///     println!("{event}");
/// }
/// let effect = watch.finish()?;
/// # Ok::<(), effects_ureq::Error>(())
/// ```
#[derive(Debug)]
pub struct Watch {
    client: Client,
    driving: Driving,
    template: Option<Template>,
    stopper: Stopper,
    clock: StoppableClock,
    span: Span,
    /// The span of the wait, once there is a task to wait for.
    wait: Option<Span>,
    end: Option<Result<Outcome, Error>>,
    /// A handle that wants to remember the verdict.
    handle: Option<TaskHandle>,
}

/// How far the run is.
#[derive(Debug)]
enum Driving {
    /// It begins when it is first driven, in whichever process that is: with its seed it draws the
    /// names of its submission, which no two processes may share.
    Before(Work),
    Begun(Box<Run>),
}

impl Driving {
    fn task_id(&self) -> Option<&TaskId> {
        match self {
            Self::Before(work) => work.task_id(),
            Self::Begun(run) => run.task_id(),
        }
    }

    /// The run, begun if it was not.
    fn run(&mut self, client: &Client, now: Time) -> Result<&mut Run, Error> {
        if let Self::Before(work) = self {
            *self = Self::Begun(Box::new(client.begin(work.clone(), now)?));
        }
        match self {
            Self::Begun(run) => Ok(run),
            Self::Before(_) => unreachable!("it has just begun"),
        }
    }
}

impl Watch {
    pub(crate) fn submit(client: &Client, request: EffectRequest) -> Self {
        let template = request.template().clone();
        Self::new(client, Work::Submit(request), Some(template))
    }

    pub(crate) fn attach(handle: &TaskHandle, submitted: Option<Time>) -> Self {
        let (task, template) = (handle.id().clone(), handle.template().cloned());
        let work = Work::Watch { task, template: template.clone(), submitted };
        let end = handle.verdict().map(Ok);
        Self { end, handle: Some(handle.clone()), ..Self::new(handle.client(), work, template) }
    }

    fn new(client: &Client, work: Work, template: Option<Template>) -> Self {
        let stopper = Stopper::default();
        let clock = StoppableClock::new(client.shared().clock.clone(), stopper.clone());
        let span = telemetry::task_span(template.as_ref(), work.task_id());
        let (client, driving) = (client.clone(), Driving::Before(work));
        let (wait, end, handle) = (None, None, None);
        Self { client, driving, template, stopper, clock, span, wait, end, handle }
    }

    /// What ends the watch from another thread.
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// The task, once there is one.
    pub fn task_id(&self) -> Option<&TaskId> {
        self.driving.task_id()
    }

    /// Drives the run to its end.
    ///
    /// # Errors
    ///
    /// Every outcome but a completed task, and a journal that cannot be written.
    pub fn finish(mut self) -> Result<Effect, Error> {
        self.by_ref().for_each(drop);
        let outcome = self.outcome()?;
        outcome.into_result().map_err(|error| self.client.with_resume_line(error))
    }

    /// Drives the run until its task's id is known.
    pub(crate) fn submitted(mut self) -> Result<TaskHandle, Error> {
        let client = self.client.clone();
        while self.task_id().is_none() {
            if self.next().is_none() {
                break;
            }
        }
        let Some(id) = self.task_id().cloned() else {
            return self.finish().map(|effect| TaskHandle::new(&client, effect.task_id, None));
        };
        let now = self.client.shared().clock.now();
        let handle = TaskHandle::new(&client, id, self.template.take()).submitted_at(now);
        // A task that was final in the answer to its submission needs no look.
        self.stopper.stop();
        self.by_ref().for_each(drop);
        match self.end.take() {
            // The journal did not take the id: the caller must not take it for recorded.
            Some(Err(error)) => return Err(error),
            Some(Ok(outcome)) => handle.remember(&outcome),
            None => {}
        }
        Ok(handle)
    }

    /// How it ended: known once the iterator has.
    fn outcome(&mut self) -> Result<Outcome, Error> {
        self.end.take().unwrap_or_else(|| {
            let message = "the watch was asked for its end before it had one";
            Err(Error::new(ErrorKind::Journal, message))
        })
    }

    fn drive(&mut self) -> Result<Told, Error> {
        let span = match self.driving.task_id() {
            None => self.span.clone(),
            Some(_) => self.wait.get_or_insert_with(|| telemetry::wait_span(&self.span)).clone(),
        };
        let _entered = span.enter();
        let gateway = &self.client.shared().gateway;
        let noted = Noted { exchange: gateway.stack(), stopper: &self.stopper };
        let gateway = gateway.over(noted);
        let journal = self.client.journal();
        let (now, stopper) = (self.client.shared().clock.now(), &self.stopper);
        let run = self.driving.run(&self.client, now)?;
        let told = drive_on(run, &gateway, &self.clock, journal, || stopper.is_stopped());
        self.stopper.set_submitting(false);
        told.map_err(|error| {
            let (kind, task_id) = (ErrorKind::Journal, run.task_id().cloned());
            let error = Problem { kind, message: error.to_string(), task_id, trouble: None }.into();
            let error = self.client.with_resume_line(error);
            telemetry::tell_unrecorded(&self.span, &error);
            error
        })
    }
}

impl Iterator for Watch {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        if self.end.is_some() {
            return None;
        }
        match self.drive() {
            Ok(Told::Event(event)) => {
                telemetry::tell(&self.span, &event);
                Some(event)
            }
            Ok(Told::Done(outcome)) => {
                if let Some(handle) = &self.handle {
                    handle.remember(&outcome);
                }
                self.end = Some(Ok(outcome));
                None
            }
            Err(error) => {
                self.end = Some(Err(self.client.with_resume_line(error)));
                None
            }
        }
    }
}

/// The client's exchanges, noting when a submission is in flight.
struct Noted<'a> {
    exchange: &'a UreqExchange,
    stopper: &'a Stopper,
}

impl Exchange for Noted<'_> {
    fn exchange(&self, request: Request<Bytes>, limit: Duration) -> Answer {
        if request.method() == Method::POST {
            self.stopper.set_submitting(true);
        }
        self.exchange.exchange(request, limit)
    }
}
