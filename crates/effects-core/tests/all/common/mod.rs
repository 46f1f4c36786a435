//! What the core's behavioural tests share.

pub(crate) mod odd;

use std::sync::Arc;
use std::time::Duration;

use effects_core::gateway::{Answer, Call, CallResult};
use effects_core::{
    EffectRequest, Error, Outcome, Pace, Policy, Repeat, Run, Seed, Step, Template, Time,
};
use effects_testkit::{ExchangeOutcome, Response, TaskScript, World, result_of};

/// A world and a run in it.
pub(crate) struct Scene {
    pub(crate) world: World,
    pub(crate) policy: Arc<Policy>,
    pub(crate) run: Run,
}

impl Scene {
    /// A run that submits.
    pub(crate) fn submitting(policy: Policy) -> Self {
        let (world, policy) = (World::new(), Arc::new(policy));
        let run = Run::submit(request(), Arc::clone(&policy), Seed::from(11), world.now());
        Self { world, policy, run }
    }

    /// A run that is attached to a task of this script, submitted now.
    pub(crate) fn attached(policy: Policy, task_script: TaskScript) -> Self {
        let (world, policy) = (World::new(), Arc::new(policy));
        let task = world.service().add_task(TASK, world.now(), task_script);
        let run = Run::attach(task, None, Arc::clone(&policy), Seed::from(11), world.now());
        Self { world, policy, run }
    }

    /// The same, with this script for the tasks it makes.
    pub(crate) fn task_script(self, task_script: TaskScript) -> Self {
        let _same = self.world.service().task_script(task_script);
        self
    }

    /// The same, with these answers to its submissions, before those of the service's own.
    pub(crate) fn submits<F: Into<ExchangeOutcome>>(
        self,
        exchange_outcomes: impl IntoIterator<Item = F>,
    ) -> Self {
        self.world.service().on_submit(exchange_outcomes);
        self
    }

    /// The same, with these answers to its polls.
    pub(crate) fn polls<F: Into<ExchangeOutcome>>(
        self,
        exchange_outcomes: impl IntoIterator<Item = F>,
    ) -> Self {
        self.world.service().on_poll(exchange_outcomes);
        self
    }

    pub(crate) fn outcome(&mut self) -> Outcome {
        self.world.drive(&mut self.run)
    }

    /// The kind of the error it ends with.
    pub(crate) fn error(&mut self) -> Error {
        let outcome = self.outcome();
        match outcome.into_result() {
            Err(error) => error,
            Ok(effect) => panic!("completed: {effect:?}\n{}", self.world.transcript()),
        }
    }

    pub(crate) fn completes(&mut self) -> bool {
        matches!(self.outcome(), Outcome::Completed(_))
    }

    /// Steps until the run sends something.
    pub(crate) fn until_sent(&mut self) -> Call {
        loop {
            let step = self.run.step(self.world.now());
            match step {
                Step::Send(call) => return call,
                Step::Record(entry) => self.run.recorded(entry.id),
                Step::Sleep { until, .. } => self.world.clock().jump_to(until),
                Step::Notify(_) => {}
                Step::Done(outcome) => panic!("it sends nothing more: {outcome:?}"),
            }
        }
    }

    /// Answers a call at once.
    pub(crate) fn answer(&mut self, call: &Call, status: u16, body: &str) {
        let result = result_of(Response::new(status).body(body.to_owned()).to_answer());
        self.run.reply(self.world.now(), call.id, &result);
    }

    /// What the next step is, with everything recorded and told on the way to it.
    pub(crate) fn next(&mut self) -> Step {
        loop {
            match self.run.step(self.world.now()) {
                Step::Record(entry) => self.run.recorded(entry.id),
                Step::Notify(_) => {}
                step => return step,
            }
        }
    }
}

pub(crate) fn request() -> EffectRequest {
    EffectRequest::new(Template::GlassBall, "https://example.com/cat.jpg").unwrap()
}

/// Looks every three seconds, without chance.
pub(crate) fn policy() -> Policy {
    Policy { pace: Pace::fixed(Duration::from_secs(3)), ..Policy::default() }
}

pub(crate) fn repeating(repeat: Repeat) -> Policy {
    Policy { repeat, ..policy() }
}

pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) fn lost() -> CallResult {
    result_of(Answer::Lost("reset".to_owned()))
}

pub(crate) fn at(start: Time, after: u64) -> Time {
    start + seconds(after)
}

/// The task of an attached run.
pub(crate) const TASK: &str = "d758n65e878c73cmdg20";

pub(crate) const COMPLETED: &str = r#"{"id":"d758n65e878c73cmdg20","status":"completed","output":[{"content":[{"type":"image","url":"https://x.test/a.png"}]}],"usage":{"cost":"0.03"}}"#;
pub(crate) const RUNNING: &str = r#"{"id":"d758n65e878c73cmdg20","status":"in_progress"}"#;
