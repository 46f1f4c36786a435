//! [`Watch`]: drives one run, as an iterator over its events; `finish` gives its outcome, and a [`Stopper`]
//! ends it from another thread. [`Client::watch`](crate::Client::watch) and
//! [`TaskHandle::events`](crate::TaskHandle::events) return it to Rust programs and to the command's `run`
//! and `wait`. `run` and `submit` of this crate's `Client` and `wait` of its `TaskHandle` drive one to its
//! end, or until the task's id is known.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use effects_client::{StoppableClock, Stopper, Verdict, begin_run, telemetry};
use effects_core::driver::{Driven, drive_on};
use effects_core::gateway::{Answer, Exchange};
use effects_core::{Effect, Error, ErrorKind, Event, Problem, Run, TaskId, Time};
use effects_jobs::Work;
use http::{Method, Request};
use tracing::Span;

use crate::client_core::ClientCore;
use crate::http_stack::HttpStack;

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
#[must_use = "dropped unread, it leaves the run"]
pub struct Watch {
    core: ClientCore,
    driving: Stage,
    stopper: Stopper,
    clock: StoppableClock,
    span: Span,
    /// The span of the wait, once there is a task to wait for.
    wait: Option<Span>,
    end: Option<Result<Effect, Error>>,
    /// Where the task's end is remembered.
    verdict: Option<Verdict>,
}

/// How far the run is.
#[derive(Debug)]
enum Stage {
    /// Not begun. A run draws its request ids from its seed; after a fork two processes would send the
    /// same ids, so the run is begun in the process that drives it.
    NotBegun(Work),
    Begun(Box<Run>),
}

impl Stage {
    fn task_id(&self) -> Option<&TaskId> {
        match self {
            Self::NotBegun(work) => work.task_id(),
            Self::Begun(run) => run.task_id(),
        }
    }

    /// The run, begun if it was not.
    fn run(&mut self, core: &ClientCore, now: Time) -> Result<&mut Run, Error> {
        if let Self::NotBegun(work) = self {
            // First, so that a work that repeats the key is neither recorded nor sent.
            core.shared().settings.refuse_key(work, &[])?;
            core.shared().settings.warn_of(work);
            *self = Self::Begun(Box::new(begin_run(
                work.clone(),
                core.pacer(),
                Arc::clone(core.policy()),
                now,
            )?));
        }
        match self {
            Self::Begun(run) => Ok(run),
            Self::NotBegun(_) => unreachable!("it has just begun"),
        }
    }
}

impl Watch {
    pub(crate) fn new(core: &ClientCore, work: Work) -> Self {
        let stopper = Stopper::default();
        let clock = StoppableClock::new(core.shared().clock.clone(), stopper.clone());
        let span = telemetry::task_span(work.template(), work.task_id());
        let (core, driving) = (core.clone(), Stage::NotBegun(work));
        Self { core, driving, stopper, clock, span, wait: None, end: None, verdict: None }
    }

    /// The same, of a task whose end may be known, and is remembered.
    pub(crate) fn of_task(mut self, verdict: &Verdict) -> Self {
        (self.end, self.verdict) = (verdict.known(), Some(verdict.clone()));
        self
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
        self.end.take().unwrap_or_else(|| {
            Err(Error::new(ErrorKind::OutcomeUnknown, "the run's end was taken before"))
        })
    }

    /// Drives the run until its task's id is known, and stops. With the id come the time when it was known
    /// and what the run came to, which is the task's end where the answer to the submission had it.
    ///
    /// # Errors
    ///
    /// Those of [`Client::submit`](crate::Client::submit).
    pub(crate) fn submitted(
        mut self,
        mut on_event: impl FnMut(Event),
    ) -> Result<(TaskId, Time, Result<Effect, Error>), Error> {
        while self.task_id().is_none()
            && let Some(event) = self.next()
        {
            on_event(event);
        }
        let known = self.core.now();
        // A stopped run does not look at its task; if the answer to the submission has the task's
        // end in it, it still ends with that.
        self.stopper.stop();
        let task = self.task_id().cloned();
        match self.finish() {
            // The journal did not take the id: the caller must not take it for recorded.
            Err(error) if error.kind() == ErrorKind::Journal => Err(error),
            Ok(effect) => Ok((effect.task_id.clone(), known, Ok(effect))),
            Err(error) => task.map(|task| (task, known, Err(error.clone()))).ok_or(error),
        }
    }

    fn drive(&mut self) -> Result<Driven, Error> {
        let span = match self.driving.task_id() {
            None => self.span.clone(),
            Some(_) => self.wait.get_or_insert_with(|| telemetry::wait_span(&self.span)).clone(),
        };
        let _entered = span.enter();
        let gateway = &self.core.shared().gateway;
        let tracked = TrackingExchange { exchange: gateway.stack(), stopper: &self.stopper };
        let gateway = gateway.over(tracked);
        let journal = self.core.journal();
        let (now, stopper) = (self.core.shared().clock.now(), &self.stopper);
        let run = self.driving.run(&self.core, now)?;
        let driven = drive_on(run, &gateway, &self.clock, journal, || stopper.is_stopped());
        // By now the answer is read and recorded, or there was none.
        self.stopper.set_submitting(false);
        driven.map_err(|error| {
            let (kind, task_id) = (ErrorKind::Journal, run.task_id().cloned());
            let error = Problem {
                kind,
                message: error.to_string(),
                way_out: None,
                field: None,
                task_id,
                error: None,
            }
            .into();
            let error = self.core.with_resume_line(error);
            telemetry::report_unrecorded(&self.span, &error);
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
            Ok(Driven::Event(event)) => {
                self.core.shared().settings.report(&self.span, &event);
                Some(event)
            }
            Ok(Driven::Done(outcome)) => {
                let end = outcome.into_result().map_err(|error| self.core.with_resume_line(error));
                if let Some(verdict) = &self.verdict {
                    verdict.saw(&end);
                }
                self.end = Some(end);
                None
            }
            Err(error) => {
                self.end = Some(Err(error));
                None
            }
        }
    }
}

/// The client's exchanges, which track when a submission is in flight.
struct TrackingExchange<'a> {
    exchange: &'a HttpStack,
    stopper: &'a Stopper,
}

impl Exchange for TrackingExchange<'_> {
    fn exchange(&self, request: Request<Bytes>, limit: Duration) -> Answer {
        // Of a run's exchanges, the submission alone is a POST.
        if request.method() == Method::POST {
            self.stopper.set_submitting(true);
        }
        self.exchange.exchange(request, limit)
    }
}
