//! [`World`]: drives one run step by step on virtual time against a scripted [`Service`], delivers answers
//! that come too late as well, and writes a [`Transcript`]. Tests of the core (mostly through their
//! `tests/all/common`) and of this crate use it, and those of other programs that build on the core may.

use effects_core::gateway::{Answer, CallId};
use effects_core::{Outcome, Run, Step, Time};

use crate::clock::VirtualClock;
use crate::response::result_of;
use crate::service::Service;
use crate::transcript::{Transcript, TranscriptNote};

/// Drives runs against a scripted [`Service`], hours of polling in no time.
///
/// Unlike the core's own driver it delivers late answers too: a call whose time is over stays
/// under way, and the run gets its answer when that comes.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use effects_core::{EffectRequest, Outcome, Policy, Run, Seed, Template};
/// use effects_testkit::{ExchangeOutcome, TaskScript, World};
///
/// let mut world = World::new();
/// let service = world.service().task_script(TaskScript::lasting(Duration::from_secs(40)));
/// service.on_poll([ExchangeOutcome::NotSent, ExchangeOutcome::LostBefore]);
///
/// let request = EffectRequest::new(Template::MyWorld, "https://example.com/cat.jpg")?;
/// let mut run = Run::submit(request, Arc::new(Policy::default()), Seed::from(1), world.now());
/// let outcome = world.drive(&mut run);
///
/// assert!(matches!(outcome, Outcome::Completed(_)), "{}", world.transcript());
/// assert_eq!(service.tasks_made(), 1);
/// assert!(world.transcript().elapsed() >= Duration::from_secs(40));
/// # Ok::<(), effects_core::InvalidRequest>(())
/// ```
#[derive(Debug)]
pub struct World {
    service: Service,
    in_flight: Vec<InFlight>,
    transcript: Transcript,
}

/// An answer on its way.
#[derive(Debug)]
struct InFlight {
    arrives: Time,
    call: CallId,
    answer: Answer,
}

impl World {
    /// A world with a service and a clock of its own.
    pub fn new() -> Self {
        Self::around(Service::new(VirtualClock::new()))
    }

    /// A world around a service, on its clock.
    pub fn around(service: Service) -> Self {
        let transcript = Transcript::starting_at(service.clock().time());
        Self { service, in_flight: Vec::new(), transcript }
    }

    /// The service.
    pub fn service(&self) -> Service {
        self.service.clone()
    }

    /// The clock.
    pub fn clock(&self) -> &VirtualClock {
        self.service.clock()
    }

    /// The time.
    pub fn now(&self) -> Time {
        self.clock().time()
    }

    /// What happened so far.
    pub fn transcript(&self) -> &Transcript {
        &self.transcript
    }

    /// Drives a run to its end. Answers still under way then stay so: see
    /// [`deliver_late`](Self::deliver_late).
    ///
    /// # Panics
    ///
    /// When the run does not end, with the last of the transcript.
    pub fn drive(&mut self, run: &mut Run) -> Outcome {
        for _ in 0..MAX_STEPS {
            if let Some(outcome) = self.step(run) {
                return outcome;
            }
        }
        panic!("the run does not end:\n{}", self.transcript.tail(40));
    }

    /// Delivers what has arrived, and does what one step of the run says: the outcome, if it is
    /// over.
    pub fn step(&mut self, run: &mut Run) -> Option<Outcome> {
        self.deliver(run);
        let now = self.now();
        let step = run.step(now);
        match &step {
            Step::Record(entry) => {
                self.note(TranscriptNote::Recorded(entry.clone()));
                run.recorded(entry.id);
            }
            Step::Send(call) => {
                self.note(TranscriptNote::Sent(call.clone()));
                // Time does not pass here: the run may do other things, or sleep, until the answer arrives.
                let delivery = self.service.take(now, call);
                let arrives = now + delivery.after;
                self.in_flight.push(InFlight { arrives, call: call.id, answer: delivery.answer });
            }
            Step::Sleep { until, why } => {
                // An answer that is on its way ends the sleep when it arrives.
                let arrival = self.in_flight.iter().map(|answer| answer.arrives).min();
                let until = arrival.map_or(*until, |arrival| arrival.min(*until));
                self.note(TranscriptNote::Slept { until, why: *why });
                self.clock().jump_to(until);
            }
            Step::Notify(event) => self.note(TranscriptNote::Notified(event.clone())),
            Step::Done(outcome) => {
                // A run that is over says so at each step, and the transcript has it once.
                if !self.transcript.ends_with(outcome) {
                    self.note(TranscriptNote::Done(outcome.clone()));
                }
                return Some(outcome.clone());
            }
        }
        None
    }

    /// Lets the next answer arrive that is still under way, however late; whether there was one.
    pub fn deliver_late(&mut self, run: &mut Run) -> bool {
        let Some(arrives) = self.in_flight.iter().map(|answer| answer.arrives).min() else {
            return false;
        };
        self.clock().jump_to(arrives);
        self.deliver(run);
        true
    }

    /// Forgets what is under way, as the end of a process does.
    pub fn forget_answers(&mut self) {
        self.in_flight.clear();
    }

    fn deliver(&mut self, run: &mut Run) {
        let now = self.now();
        while let Some(index) = self.in_flight.iter().position(|answer| answer.arrives <= now) {
            let InFlight { call, answer, .. } = self.in_flight.remove(index);
            self.note(TranscriptNote::Arrived { call, answer: answer.clone() });
            run.reply(now, call, &result_of(answer));
        }
    }

    fn note(&mut self, note: TranscriptNote) {
        self.transcript.note(self.clock().time(), note);
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

/// More than any run with sensible waits takes.
const MAX_STEPS: usize = 100_000;
