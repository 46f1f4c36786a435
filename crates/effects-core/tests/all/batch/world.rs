//! A driver of a batch in virtual time, and what it saw.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use effects_core::batch::{Batch, BatchLimits, BatchStep, RunId};
use effects_core::gateway::{Answer, CallId};
use effects_core::journal::{Admission, Entry, Fact, Journal, RowOutcome};
use effects_core::pace::Pacer;
use effects_core::{
    BaseUrl, EffectRequest, ErrorKind, Event, Outcome, Pace, Policy, Seed, Size, Template, Time,
};
use effects_jobs::{
    Budget, JournalStore, MemoryStore, Opened, RowDraft, RowJournal, RowPhoto, ScopeState,
};
use effects_testkit::{Service, TaskScript, VirtualClock, result_of};

/// A driver of a batch whose exchanges take time, and what it saw.
pub(crate) struct World {
    pub(crate) clock: VirtualClock,
    pub(crate) service: Service,
    pub(crate) batch: Batch,
    /// How many runs were given a seed.
    seeds: u64,
    rows: u32,
    flying: BinaryHeap<Reverse<(Time, u32)>>,
    answers: HashMap<u32, (RunId, CallId, bool, Answer)>,
    sent: u32,
    pub(crate) asked_for: Vec<u32>,
    submitting: usize,
    tasks: usize,
    pub(crate) most_submitting: usize,
    pub(crate) most_tasks: usize,
    /// Entries the journal does not take.
    pub(crate) unwritable: fn(&Fact) -> bool,
    pub(crate) entries: Vec<(RunId, Entry)>,
    pub(crate) events: Vec<(Time, RunId, Event)>,
    pub(crate) ends: BTreeMap<RunId, (Time, Outcome)>,
    pub(crate) given_up: Vec<RunId>,
    /// Keeps the rows of the runs, once there is a budget.
    pub(crate) store: MemoryStore,
    budget: Option<Budget>,
    pub(crate) journals: HashMap<RunId, Arc<dyn RowJournal>>,
}

/// Looks every three seconds, without chance.
pub(crate) fn policy() -> Policy {
    Policy { pace: Pace::fixed(Duration::from_secs(3)), ..Policy::default() }
}

pub(crate) fn request(row: u32) -> EffectRequest {
    let url = format!("https://example.com/{row}.jpg");
    EffectRequest::new(Template::GlassBall, &url).unwrap()
}

pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

impl World {
    /// A batch of so many rows to submit, against a service whose tasks live so.
    pub(crate) fn new(rows: u32, limits: BatchLimits, task_script: TaskScript) -> Self {
        Self::under(policy(), rows, limits, task_script)
    }

    pub(crate) fn under(
        policy: Policy,
        rows: u32,
        limits: BatchLimits,
        task_script: TaskScript,
    ) -> Self {
        let clock = VirtualClock::new();
        let service = Service::new(clock.clone())
            .task_script(task_script)
            .latency(Duration::from_millis(200));
        let batch = Batch::new(Arc::new(policy), limits, clock.time());
        Self {
            clock,
            service,
            batch,
            seeds: 0,
            rows,
            flying: BinaryHeap::new(),
            answers: HashMap::new(),
            sent: 0,
            asked_for: Vec::new(),
            submitting: 0,
            tasks: 0,
            most_submitting: 0,
            most_tasks: 0,
            unwritable: |_| false,
            entries: Vec::new(),
            events: Vec::new(),
            ends: BTreeMap::new(),
            given_up: Vec::new(),
            store: MemoryStore::new(),
            budget: None,
            journals: HashMap::new(),
        }
    }

    /// The runs may cost at most this together, in USD, and one of them at most `price`.
    pub(crate) fn budget(mut self, limit: &str, price: Option<&str>) -> Self {
        let (limit, price) = (limit.parse().unwrap(), price.map(|price| price.parse().unwrap()));
        let scope = self.store.open_scope(None).unwrap();
        self.budget = Some(Budget { scope, limit, price });
        self
    }

    /// What the runs have paid and reserved.
    pub(crate) fn scope(&self) -> ScopeState {
        self.store.scope(self.budget.as_ref().unwrap().scope).unwrap()
    }

    fn submit(&mut self, number: u32, now: Time) {
        let seed = self.seed();
        let run = self.batch.submit(request(number), seed, now);
        let Some(budget) = &self.budget else { return };
        let url = format!("https://example.com/{number}.jpg");
        let draft = RowDraft {
            origin: BaseUrl::parse(BaseUrl::DEFAULT, false).unwrap().origin().clone(),
            template: Template::GlassBall,
            size: Size::DEFAULT,
            params: Default::default(),
            photo: RowPhoto::Url(url.parse().unwrap()),
            key: None,
            tag: None,
            target: None,
        };
        let Opened::Submit(journal) = self.store.open(&draft.row(0).unwrap()).unwrap() else {
            panic!("row {number} is not new")
        };
        journal.charge_to(std::slice::from_ref(budget));
        self.journals.insert(run, journal);
    }

    pub(crate) fn pacer(self, pacer: Pacer) -> Self {
        Self { batch: self.batch.with_pacer(pacer), ..self }
    }

    /// A seed for the next run.
    pub(crate) fn seed(&mut self) -> Seed {
        self.seeds += 1;
        Seed::from(self.seeds)
    }

    pub(crate) fn now(&self) -> Time {
        self.clock.time()
    }

    /// A task at the service, made so long ago, and a run that follows it.
    pub(crate) fn attach(&mut self, id: &str, age: Duration, task_script: TaskScript) -> RunId {
        let made = self.now() - age;
        let task = self.service.add_task(id, made, task_script);
        let (label, seed) = (Some(Template::GlassBall.into()), self.seed());
        self.batch.attach(task, label, Some(made), seed, self.clock.time())
    }

    /// One step; `false` when the batch is empty.
    pub(crate) fn step(&mut self) -> bool {
        let now = self.now();
        match self.batch.step(now) {
            BatchStep::Record(run, entry) => self.record(run, entry),
            BatchStep::Send(run, call) => {
                let delivery = self.service.take(now, &call);
                let submission = call.is_submission();
                self.submitting += usize::from(submission);
                self.most_submitting = self.most_submitting.max(self.submitting);
                let (after, answer) = if delivery.after > call.timeout {
                    (call.timeout, Answer::Lost("too late".to_owned()))
                } else {
                    (delivery.after, delivery.answer)
                };
                self.sent += 1;
                self.flying.push(Reverse((now + after, self.sent)));
                self.answers.insert(self.sent, (run, call.id, submission, answer));
            }
            BatchStep::WantRuns(count) => {
                self.asked_for.push(count);
                for _ in 0..count.min(self.rows) {
                    self.submit(self.rows, now);
                    self.rows -= 1;
                }
                if self.rows == 0 {
                    self.batch.close();
                }
            }
            BatchStep::Sleep(until) => self.sleep(until),
            BatchStep::Notify(run, event) => self.events.push((now, run, event)),
            BatchStep::Done(run, outcome) => {
                if let Some(journal) = self.journals.get(&run) {
                    journal.settle(&RowOutcome::of_outcome(&outcome)).unwrap();
                }
                self.tasks -= usize::from(outcome.task_id().is_some() && self.tasks > 0);
                assert_eq!(self.ends.insert(run, (now, outcome)), None, "a run ends once");
            }
            BatchStep::Empty => return false,
        }
        true
    }

    fn record(&mut self, run: RunId, entry: Entry) {
        if (self.unwritable)(&entry.fact) {
            self.given_up.push(run);
            return self.batch.give_up(run);
        }
        let admission = self
            .journals
            .get(&run)
            .map_or(Admission::Admitted, |journal| Journal::write(&**journal, &entry).unwrap());
        if admission != Admission::Admitted {
            return self.batch.admission(self.now(), run, entry.id, &admission);
        }
        if let Fact::Created { .. } = entry.fact {
            self.tasks += 1;
            self.most_tasks = self.most_tasks.max(self.tasks);
        }
        self.batch.recorded(run, entry.id);
        self.entries.push((run, entry));
    }

    fn sleep(&mut self, until: Time) {
        let arrival = self.flying.peek().map_or(Time::MAX, |Reverse((at, _))| *at);
        let wake = until.min(arrival);
        assert_ne!(wake, Time::MAX, "nothing would ever happen");
        assert!(wake > self.now() || arrival == wake, "a sleep that is none");
        self.clock.jump_to(wake);
        if arrival == wake
            && let Some(Reverse((_, sent))) = self.flying.pop()
            && let Some((run, call, submission, answer)) = self.answers.remove(&sent)
        {
            self.submitting -= usize::from(submission);
            self.batch.reply(wake, run, call, &result_of(answer));
        }
    }

    /// Steps until the batch is empty.
    pub(crate) fn finish(&mut self) {
        for _ in 0..1_000_000 {
            if !self.step() {
                return;
            }
        }
        panic!("the batch does not end");
    }

    /// Steps on until then.
    pub(crate) fn until(&mut self, time: Time) {
        while self.now() < time && self.step() {}
    }

    pub(crate) fn outcome(&self, run: RunId) -> &Outcome {
        &self.ends[&run].1
    }

    pub(crate) fn count(&self, wanted: impl Fn(&Outcome) -> bool) -> usize {
        self.ends.values().filter(|(_, outcome)| wanted(outcome)).count()
    }

    /// When each poll left, and which task it asked for.
    pub(crate) fn polls(&self) -> Vec<(Time, String)> {
        let attempts = self.service.attempts().into_iter();
        let polls = attempts.filter_map(|attempt| match attempt.call.kind {
            effects_core::gateway::CallKind::Poll { task } => Some((attempt.at, task.to_string())),
            effects_core::gateway::CallKind::Submit { .. } => None,
        });
        polls.collect()
    }

    /// When each submission left.
    pub(crate) fn submissions(&self) -> Vec<Time> {
        let attempts = self.service.attempts().into_iter();
        attempts.filter(|it| it.call.is_submission()).map(|it| it.at).collect()
    }
}

pub(crate) fn completed(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Completed(_))
}

pub(crate) fn over_budget(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Refused(refused) if refused.kind == ErrorKind::BudgetExceeded)
}
