//! Many runs at once, in a scripted world on a virtual clock.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use effects_core::{
    Answer, Batch, BatchStep, Budget, CallId, EffectRequest, ErrorKind, Exchange, Fact, Outcome,
    Pace, Policy, RunId, Seed, Template, Time, Widths,
};
use effects_testkit::{Faults, Life, Response, Service, VirtualClock};

/// A driver of a batch whose exchanges take time, and what it saw.
struct World {
    clock: VirtualClock,
    service: Service,
    batch: Batch,
    rows: u32,
    flying: BinaryHeap<Reverse<(Time, u32)>>,
    answers: HashMap<u32, (RunId, CallId, bool, Answer)>,
    sent: u32,
    asked_for: Vec<u32>,
    submitting: usize,
    tasks: usize,
    most_submitting: usize,
    most_tasks: usize,
    ends: BTreeMap<RunId, Outcome>,
}

fn policy() -> Arc<Policy> {
    Arc::new(Policy { pace: Pace::fixed(Duration::from_secs(3)), ..Policy::default() })
}

fn request(row: u32) -> EffectRequest {
    let url = format!("https://example.com/{row}.jpg");
    EffectRequest::new(Template::GlassBall, &url).unwrap()
}

impl World {
    fn new(rows: u32, widths: Widths, life: Life) -> Self {
        let clock = VirtualClock::new();
        let service = Service::new(clock.clone()).life(life).latency(Duration::from_millis(200));
        let batch = Batch::new(policy(), widths, Seed::from(5), clock.time());
        Self {
            clock,
            service,
            batch,
            rows,
            flying: BinaryHeap::new(),
            answers: HashMap::new(),
            sent: 0,
            asked_for: Vec::new(),
            submitting: 0,
            tasks: 0,
            most_submitting: 0,
            most_tasks: 0,
            ends: BTreeMap::new(),
        }
    }

    /// One step; `false` when the batch is empty.
    fn step(&mut self) -> bool {
        let now = self.clock.time();
        match self.batch.step(now) {
            BatchStep::Record(run, entry) => {
                if let Fact::Created { .. } = entry.fact {
                    self.tasks += 1;
                    self.most_tasks = self.most_tasks.max(self.tasks);
                }
                self.batch.recorded(run, entry.id);
            }
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
            BatchStep::Hungry(count) => {
                self.asked_for.push(count);
                for _ in 0..count.min(self.rows) {
                    self.batch.submit(request(self.rows), now);
                    self.rows -= 1;
                }
                if self.rows == 0 {
                    self.batch.feed_no_more();
                }
            }
            BatchStep::Sleep(until) => self.sleep(until),
            BatchStep::Notify(_, event) => assert!(!event.to_string().is_empty()),
            BatchStep::Done(run, outcome) => {
                self.tasks -= usize::from(outcome.task_id().is_some() && self.tasks > 0);
                assert_eq!(self.ends.insert(run, outcome), None, "a run ends once");
            }
            BatchStep::Empty => return false,
        }
        true
    }

    fn sleep(&mut self, until: Time) {
        let arrival = self.flying.peek().map_or(Time::MAX, |Reverse((at, _))| *at);
        let wake = until.min(arrival);
        assert_ne!(wake, Time::MAX, "nothing would ever happen");
        self.clock.jump_to(wake);
        if arrival == wake
            && let Some(Reverse((_, sent))) = self.flying.pop()
            && let Some((run, call, submission, answer)) = self.answers.remove(&sent)
        {
            self.submitting -= usize::from(submission);
            self.batch.reply(wake, run, call, answer.as_reply());
        }
    }

    fn finish(&mut self) {
        for _ in 0..1_000_000 {
            if !self.step() {
                return;
            }
        }
        panic!("the batch does not end");
    }

    fn count(&self, wanted: impl Fn(&Outcome) -> bool) -> usize {
        self.ends.values().filter(|outcome| wanted(outcome)).count()
    }
}

fn completed(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Completed(_))
}

fn over_budget(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Refused(refused) if refused.kind == ErrorKind::BudgetExceeded)
}

#[test]
fn every_row_ends_and_no_width_is_exceeded() {
    let widths = Widths { submissions: 3, tasks: 20, polls_per_second: 1_000.0 };
    let mut world = World::new(300, widths, Life::lasting(Duration::from_secs(12)));
    world.finish();
    assert_eq!(world.count(completed), 300);
    assert_eq!(world.service.tasks_made(), 300);
    assert_eq!((world.most_submitting, world.most_tasks), (3, 20));
    // Rows are asked for as room comes, and never more than there is room for.
    assert!(world.asked_for.iter().all(|count| *count <= 20));
    assert!(world.asked_for.len() > 10);
}

#[test]
fn with_faults_each_row_ends_once_and_pays_at_most_once() {
    let mut world = World::new(400, Widths::default(), Life::lasting(Duration::from_secs(5)));
    world.service = world.service.faults(Faults::new(11).rate(0.2));
    world.finish();
    assert_eq!(world.ends.len(), 400);
    let unknown = world.count(|outcome| matches!(outcome, Outcome::Unknown(_)));
    let done = world.count(|outcome| outcome.task_id().is_some());
    assert!(unknown > 0 && done > 300, "{unknown} unknown, {done} with a task");
    // A task was made for each that has one, and for some of unknown fate; for nobody twice.
    assert!((done..=done + unknown).contains(&world.service.tasks_made()));
    let mut keys: Vec<String> = world
        .service
        .attempts()
        .into_iter()
        .filter_map(|attempt| match attempt.call.exchange {
            Exchange::Submit { request_id, .. } => Some(request_id),
            Exchange::Poll { .. } => None,
        })
        .collect();
    let sent = keys.len();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), sent, "each attempt has a name of its own");
}

#[test]
fn one_refusal_for_now_holds_everybody_back() {
    let widths = Widths { submissions: 8, tasks: 50, ..Widths::default() };
    let mut world = World::new(50, widths, Life::lasting(Duration::from_secs(8)));
    world.service.on_submit([Response::new(429).retry_after(7)]);
    world.finish();
    assert_eq!(world.count(completed), 50);
    let times: Vec<Time> = world.service.attempts().iter().map(|attempt| attempt.at).collect();
    // The first answer comes after 200 ms; nothing leaves for the seven seconds after it.
    let told = times[0] + Duration::from_millis(200);
    let quiet = told..told + Duration::from_secs(7);
    assert!(!times.iter().any(|at| *at > told && quiet.contains(at)));
}

#[test]
fn polls_keep_to_their_rate() {
    let widths = Widths { submissions: 100, tasks: 200, polls_per_second: 10.0 };
    let mut world = World::new(200, widths, Life::lasting(Duration::from_secs(30)));
    world.finish();
    assert_eq!(world.count(completed), 200);
    let mut seconds: BTreeMap<u64, u32> = BTreeMap::new();
    for attempt in world.service.attempts() {
        if !attempt.call.is_submission() {
            *seconds.entry(attempt.at.as_millis() / 1_000).or_default() += 1;
        }
    }
    // A burst of a fifth of a second may come on top.
    assert!(seconds.values().all(|polls| *polls <= 12), "{seconds:?}");
}

#[test]
fn a_known_price_is_reserved_and_what_does_not_fit_is_refused_unsent() {
    let widths = Widths { submissions: 10, tasks: 10, ..Widths::default() };
    let mut world = World::new(20, widths, Life::lasting(Duration::from_secs(4)));
    let limit = "0.25".parse().unwrap();
    world.batch = Batch::new(policy(), widths, Seed::from(5), world.clock.time())
        .with_budget(Budget::limited(limit).with_price("0.03".parse().unwrap()));
    world.finish();
    assert_eq!((world.count(completed), world.count(over_budget)), (8, 12));
    assert_eq!(world.service.submissions(), 8);
    assert_eq!(world.batch.budget().spent().to_string(), "0.24");
    assert!(world.batch.budget().committed().is_zero());
}

#[test]
fn without_a_price_one_task_finds_it_out() {
    let mut world = World::new(9, Widths::default(), Life::lasting(Duration::from_secs(4)));
    world.batch = Batch::new(policy(), Widths::default(), Seed::from(5), world.clock.time())
        .with_budget(Budget::limited("0.10".parse().unwrap()));
    world.finish();
    assert_eq!((world.count(completed), world.count(over_budget)), (3, 6));
    let submitted: Vec<Time> = world
        .service
        .attempts()
        .iter()
        .filter(|attempt| attempt.call.is_submission())
        .map(|attempt| attempt.at)
        .collect();
    assert!(submitted[1].since(submitted[0]) >= Duration::from_secs(4), "{submitted:?}");
}

#[test]
fn an_unknown_outcome_keeps_its_reservation() {
    let mut world = World::new(3, Widths::default(), Life::of_polls(0));
    world.service.on_submit([effects_testkit::Fate::LostBefore]);
    world.batch = Batch::new(policy(), Widths::default(), Seed::from(5), world.clock.time())
        .with_budget(Budget::limited("0.06".parse().unwrap()).with_price("0.03".parse().unwrap()));
    world.finish();
    assert_eq!(world.count(|outcome| matches!(outcome, Outcome::Unknown(_))), 1);
    assert_eq!((world.count(completed), world.count(over_budget)), (1, 1));
    assert_eq!(world.batch.budget().committed().to_string(), "0.03");
}

#[test]
fn two_who_wait_for_one_task_share_its_polls() {
    let mut world = World::new(0, Widths::default(), Life::of_polls(0));
    let now = world.clock.time();
    let task = world.service.add_task("shared", now, Life::of_polls(3));
    let first = world.batch.attach(task.clone(), None, None, now);
    let second = world.batch.attach(task, None, None, now);
    world.batch.feed_no_more();
    world.finish();
    assert_eq!(world.service.polls(), 4);
    assert_eq!(world.ends[&first], world.ends[&second]);
    assert!(completed(&world.ends[&first]));
}

#[test]
fn detaching_awaits_what_is_in_flight_and_sends_nothing_more() {
    let widths = Widths { submissions: 4, tasks: 30, ..Widths::default() };
    let mut world = World::new(30, widths, Life::lasting(Duration::from_secs(60)));
    while world.service.submissions() < 10 {
        world.step();
    }
    world.batch.detach(world.clock.time());
    let (submissions, polls) = (world.service.submissions(), world.service.polls());
    world.finish();
    assert_eq!((world.service.submissions(), world.service.polls()), (submissions, polls));
    // Every task that was made is known by its id.
    assert_eq!(world.count(|outcome| outcome.task_id().is_some()), submissions);
    assert_eq!(world.service.tasks_made(), submissions);
    let live = world.count(|outcome| matches!(outcome, Outcome::Detached(_)));
    assert_eq!(live, world.ends.len());
}

#[test]
fn a_handle_that_is_over_answers_for_nobody_else() {
    let mut world = World::new(1, Widths::default(), Life::of_polls(0));
    world.batch.feed_no_more();
    let now = world.clock.time();
    let first = world.batch.submit(request(1), now);
    world.finish();
    let second = world.batch.submit(request(2), now);
    assert_ne!(first, second);
    let (calls, before) = (world.service.attempts(), world.batch.live());
    world.batch.reply(now, first, calls[0].call.id, effects_core::Reply::Lost("stale"));
    assert_eq!(world.batch.live(), before);
    world.finish();
    assert!(completed(&world.ends[&second]));
}
