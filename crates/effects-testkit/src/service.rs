//! [`Service`]: a fake of the service without a network, on a virtual clock: it makes tasks, counts them
//! and all calls, and gives each call the next outcome of a test's script, else of its seeded [`Faults`],
//! else a proper answer. Tests of the core and of this crate drive runs against it, through a
//! [`World`](crate::World) or, since it is an [`Exchange`] and an [`AsyncExchange`], through the core's own
//! drivers.

use std::collections::VecDeque;
use std::future::{Ready, ready};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use effects_core::gateway::{Answer, AsyncExchange, Call, CallKind, Exchange, Gateway};
use effects_core::{TaskId, Time};
use http::{Method, Request};

use crate::clock::VirtualClock;
use crate::exchange_outcome::ExchangeOutcome;
use crate::faults::Faults;
use crate::response::{Response, endpoint};
use crate::task_script::{ScriptedTask, TaskScript};

/// A service without a network: it keeps tasks, counts what they cost, and lets exchanges go wrong
/// as the script says. Clones are the same service.
///
/// Each exchange takes its [`ExchangeOutcome`] from the script of its kind; when that is used up, from the
/// [`Faults`]; without any, it is served.
///
/// It is an [`Exchange`] and an [`AsyncExchange`] on its clock: an exchange takes its time there,
/// and one that takes longer than its limit is lost at the limit.
///
/// ```
/// use std::sync::Arc;
/// use effects_core::{EffectRequest, Outcome, Policy, Run, Seed, Template};
/// use effects_core::driver::drive;
/// use effects_core::journal::NoJournal;
/// use effects_testkit::{ExchangeOutcome, TaskScript, Response, Service, VirtualClock};
///
/// let clock = VirtualClock::new();
/// let service = Service::new(clock.clone()).task_script(TaskScript::of_polls(3));
/// service.on_submit([Response::new(429).retry_after(2)]);
/// service.on_poll([ExchangeOutcome::LostBefore, ExchangeOutcome::html()]);
///
/// let request = EffectRequest::new(Template::GlassBall, "https://example.com/cat.jpg")?;
/// let policy = Arc::new(Policy::default());
/// let mut run = Run::submit(request, policy, Seed::from(1), clock.time());
/// let outcome = drive(&mut run, &service.gateway(), &clock, &NoJournal, |event| println!("{event}"))?;
///
/// assert!(matches!(outcome, Outcome::Completed(_)));
/// assert_eq!(service.submissions(), 2);
/// assert_eq!(service.tasks_made(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Service {
    clock: VirtualClock,
    state: Arc<Mutex<ServiceState>>,
}

/// A call the service was meant to get.
#[derive(Clone, Debug)]
pub struct ServiceCall {
    /// When it was sent.
    pub at: Time,
    /// The call.
    pub call: Call,
    /// What became of it.
    pub exchange_outcome: ExchangeOutcome,
}

/// The answer to a call, and when it comes.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// How long after the call was sent.
    pub after: Duration,
    /// What the client gets, if it still waits.
    pub answer: Answer,
}

#[derive(Debug)]
struct ServiceState {
    task_script: TaskScript,
    latency: Duration,
    submit_script: VecDeque<ExchangeOutcome>,
    poll_script: VecDeque<ExchangeOutcome>,
    faults: Option<Faults>,
    tasks: Vec<ScriptedTask>,
    tasks_made: usize,
    attempts: Vec<ServiceCall>,
}

impl Service {
    /// A service that completes every task at the first look, without latency.
    pub fn new(clock: VirtualClock) -> Self {
        let state = ServiceState {
            task_script: TaskScript::of_polls(0),
            latency: Duration::ZERO,
            submit_script: VecDeque::new(),
            poll_script: VecDeque::new(),
            faults: None,
            tasks: Vec::new(),
            tasks_made: 0,
            attempts: Vec::new(),
        };
        Self { clock, state: Arc::new(Mutex::new(state)) }
    }

    /// The script of every task made from now on.
    #[must_use]
    pub fn task_script(self, task_script: TaskScript) -> Self {
        self.lock().task_script = task_script;
        self
    }

    /// How long every exchange takes from now on.
    #[must_use]
    pub fn latency(self, latency: Duration) -> Self {
        self.lock().latency = latency;
        self
    }

    /// Faults for every exchange that no script is left for.
    #[must_use]
    pub fn faults(self, faults: Faults) -> Self {
        self.lock().faults = Some(faults);
        self
    }

    /// Adds to the script of submissions.
    pub fn on_submit<F: Into<ExchangeOutcome>>(
        &self,
        exchange_outcomes: impl IntoIterator<Item = F>,
    ) {
        self.lock().submit_script.extend(exchange_outcomes.into_iter().map(Into::into));
    }

    /// Adds to the script of polls.
    pub fn on_poll<F: Into<ExchangeOutcome>>(
        &self,
        exchange_outcomes: impl IntoIterator<Item = F>,
    ) {
        self.lock().poll_script.extend(exchange_outcomes.into_iter().map(Into::into));
    }

    /// Adds a task that was submitted before; it is not counted as made.
    ///
    /// # Panics
    ///
    /// When the id cannot be one.
    pub fn add_task(&self, id: &str, created: Time, task_script: TaskScript) -> TaskId {
        self.lock().tasks.push(ScriptedTask::new(id.to_owned(), created, task_script));
        match id.parse() {
            Ok(id) => id,
            Err(error) => panic!("{error}"),
        }
    }

    /// The clock it lives by.
    pub fn clock(&self) -> &VirtualClock {
        &self.clock
    }

    /// How many tasks were made: how often money was spent, whether the client knows or not.
    pub fn tasks_made(&self) -> usize {
        self.lock().tasks_made
    }

    /// Every call so far, in order.
    pub fn attempts(&self) -> Vec<ServiceCall> {
        self.lock().attempts.clone()
    }

    /// How many submissions were sent, whatever became of them.
    pub fn submissions(&self) -> usize {
        self.lock().attempts.iter().filter(|attempt| attempt.call.is_submission()).count()
    }

    /// How many polls were sent, whatever became of them.
    pub fn polls(&self) -> usize {
        self.lock().attempts.iter().filter(|attempt| !attempt.call.is_submission()).count()
    }

    /// Takes a call and returns its answer and when it comes. Time does not pass.
    ///
    /// Whatever the service does, it does at once; what takes time is the answer.
    pub fn take(&self, now: Time, call: &Call) -> Delivery {
        let mut state = self.lock();
        let exchange_outcome = state.exchange_outcome(call);
        // Counted whatever becomes of it, also where it never leaves.
        state.attempts.push(ServiceCall {
            at: now,
            call: call.clone(),
            exchange_outcome: exchange_outcome.clone(),
        });
        let latency = state.latency;
        let delivery = state.deliver(now, call, exchange_outcome);
        Delivery { after: delivery.after + latency, ..delivery }
    }

    /// The service as a driver reaches it.
    pub fn gateway(&self) -> Gateway<Self> {
        Gateway::new(endpoint().clone(), self.clone())
    }

    fn answer(&self, call: &Call) -> Answer {
        let sent = self.clock.time();
        let Delivery { after, answer } = self.take(sent, call);
        // The client gives up at its limit, though the service has done its part by then.
        if after > call.timeout {
            self.clock.jump_to(sent + call.timeout);
            return Answer::Lost(format!("no answer within {:?}", call.timeout));
        }
        self.clock.jump_to(sent + after);
        answer
    }

    fn lock(&self) -> MutexGuard<'_, ServiceState> {
        // A panic elsewhere leaves nothing half done here.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Exchange for Service {
    fn exchange(&self, request: Request<Bytes>, limit: Duration) -> Answer {
        let header = |name| {
            let value = request.headers().get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        let now = self.clock.time();
        if *request.method() == Method::POST {
            let (request_id, idempotency_key) = (header("x-request-id"), header("idempotency-key"));
            let kind = CallKind::Submit { body: request.into_body(), request_id, idempotency_key };
            return self.answer(&Call::of(kind, limit, now));
        }
        // The path of a look ends in the task's id.
        let id = request.uri().path().rsplit('/').next().unwrap_or_default();
        match id.parse() {
            Ok(task) => self.answer(&Call::look(task, limit, now)),
            Err(_) => Response::json(r#"{"message":"task not found"}"#).status(404).to_answer(),
        }
    }
}

impl AsyncExchange for Service {
    type Exchanging<'a> = Ready<Answer>;

    fn exchange(&self, request: Request<Bytes>, limit: Duration) -> Ready<Answer> {
        ready(Exchange::exchange(self, request, limit))
    }
}

impl ServiceState {
    fn exchange_outcome(&mut self, call: &Call) -> ExchangeOutcome {
        let script =
            if call.is_submission() { &mut self.submit_script } else { &mut self.poll_script };
        script
            .pop_front()
            .or_else(|| self.faults.as_mut().map(Faults::draw))
            .unwrap_or(ExchangeOutcome::Served)
    }

    fn deliver(&mut self, now: Time, call: &Call, exchange_outcome: ExchangeOutcome) -> Delivery {
        let answer = match exchange_outcome {
            ExchangeOutcome::Served => self.serve(now, call).to_answer(),
            ExchangeOutcome::NotSent => Answer::NotSent("connection refused".to_owned()),
            ExchangeOutcome::Untrusted => Answer::Untrusted("UnknownIssuer".to_owned()),
            ExchangeOutcome::LostBefore => Answer::Lost("connection reset".to_owned()),
            ExchangeOutcome::LostAfter => {
                self.serve(now, call);
                Answer::Lost("connection reset".to_owned())
            }
            ExchangeOutcome::Answered(response) => response.to_answer(),
            ExchangeOutcome::ServedBut(response) => {
                self.serve(now, call);
                response.to_answer()
            }
            ExchangeOutcome::Truncated(bytes) => {
                let response = self.serve(now, call);
                let left = response.body.len().saturating_sub(bytes);
                let body = response.body.slice(..left);
                response.body(body).to_answer()
            }
            ExchangeOutcome::Slow(delay, exchange_outcome) => {
                let delivery = self.deliver(now, call, *exchange_outcome);
                // Delays add up, so a slow outcome may be of another slow one.
                return Delivery { after: delivery.after + delay, ..delivery };
            }
        };
        Delivery { after: Duration::ZERO, answer }
    }

    /// The service's own part.
    fn serve(&mut self, now: Time, call: &Call) -> Response {
        match &call.kind {
            CallKind::Submit { .. } => {
                self.tasks_made += 1;
                // As long as an id of the service's own, and in the order in which tasks were made.
                let id = format!("d758n65e878c73{:06}", self.tasks_made);
                let task = ScriptedTask::new(id, now, self.task_script.clone());
                let answer = Response::json(task.submitted());
                self.tasks.push(task);
                answer
            }
            CallKind::Poll { task } => {
                let found = self.tasks.iter_mut().find(|scripted| scripted.id == task.as_str());
                // A task that the service does not know yet counts no look.
                match found.filter(|scripted| scripted.is_known(now)) {
                    Some(scripted) => Response::json(scripted.look(now)),
                    None => Response::json(r#"{"message":"task not found"}"#).status(404),
                }
            }
        }
    }
}
