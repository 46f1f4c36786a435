//! [`TaskHandle`]: a task by its id, to be polled once (`status`), followed (`events`), or waited for
//! (`wait`). [`Client::submit`](crate::Client::submit) and [`Client::task`](crate::Client::task) return it
//! to blocking Rust programs and to the command: `effects submit` takes the id from it, `effects status`
//! polls a task with it, `effects wait` follows one, and a batch waits for an earlier one to learn the
//! price.

use effects_client::{Verdict, fresh_seed};
use effects_core::driver::Clock;
use effects_core::gateway::Call;
use effects_core::{Effect, Error, Retries, Task, TaskId, Template, Time};
use effects_jobs::Work;

use crate::client_core::ClientCore;
use crate::watch::Watch;

/// A task by its id: looked at, followed, waited for; now, or in another process tomorrow.
#[derive(Clone, Debug)]
pub struct TaskHandle {
    core: ClientCore,
    id: TaskId,
    template: Option<Template>,
    submitted: Option<Time>,
    verdict: Verdict,
}

impl TaskHandle {
    pub(crate) fn new(core: &ClientCore, id: TaskId, template: Option<Template>) -> Self {
        let verdict = Verdict::default();
        Self { core: core.clone(), id, template, submitted: None, verdict }
    }

    /// The same task, known to have been submitted at this time: what a [`Pace`](effects_core::Pace)
    /// and the grace period for a task not found reckon from.
    #[must_use]
    pub fn submitted_at(self, submitted: Time) -> Self {
        Self { submitted: Some(submitted), ..self }
    }

    /// The same task, known to have this template: a [`Pace`](effects_core::Pace) goes by what it knows of
    /// others of the template.
    #[must_use]
    pub fn of_template(self, template: Template) -> Self {
        Self { template: Some(template), ..self }
    }

    /// The same task, followed with these parts of a client.
    pub(crate) fn with_core(&self, core: &ClientCore) -> Self {
        Self { core: core.clone(), ..self.clone() }
    }

    /// Its id: keep it, and the task can be picked up again with [`Client::task`](crate::Client::task).
    pub fn id(&self) -> &TaskId {
        &self.id
    }

    /// Looks once, repeating only what goes wrong on the way, for at most one request time.
    ///
    /// # Errors
    ///
    /// The task is not found, the key is refused, the service cannot be reached or understood.
    pub fn status(&self) -> Result<Task, Error> {
        let shared = self.core.shared();
        let (now, timeout) = (shared.clock.now(), self.core.policy().request_timeout);
        let mut retries = Retries::new(self.core.policy(), fresh_seed()?, now).within(timeout, now);
        // Nothing stops this clock: `within` limits the look to one request's time.
        let clock = effects_client::StoppableClock::new(shared.clock.clone(), Default::default());
        loop {
            let call = Call::look(self.id.clone(), timeout, clock.now())
                .with_headers(self.core.policy().headers.clone());
            let result = shared.gateway.call(&call);
            let error = match Task::read(&self.id, self.core.base_url(), &result) {
                Ok(task) => return Ok(task),
                Err(error) => error,
            };
            let again = error.exchange_error().and_then(|error| retries.next(error, clock.now()));
            let Some(until) = again else {
                return Err(self.core.with_resume_line(error));
            };
            while clock.now() < until {
                clock.sleep_until(until);
            }
        }
    }

    /// Follows the task event by event. One whose end was seen is not looked at again: it has no more
    /// events.
    pub fn events(&self) -> Watch {
        let (task, template) = (self.id.clone(), self.template.clone());
        let work = Work::Watch { task, template, submitted: self.submitted };
        Watch::new(&self.core, work).of_task(&self.verdict)
    }

    /// Waits for the task's effect, for one `wait_timeout` from now.
    ///
    /// # Errors
    ///
    /// Every outcome but a completed task.
    pub fn wait(&self) -> Result<Effect, Error> {
        self.events().finish()
    }

    pub(crate) fn saw_end(&self, end: &Result<Effect, Error>) {
        self.verdict.saw(end);
    }
}
