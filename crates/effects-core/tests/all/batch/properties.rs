//! Whatever the service says, the driver does and the clock shows: no panic, one end each and in
//! time, no second submission of unknown fate, no spending beyond the budget.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use effects_core::batch::{Batch, BatchLimits, BatchStep, RunId};
use effects_core::gateway::{Call, CallId};
use effects_core::journal::{Admission, EntryId, Fact, OverBudget, RowNumber};
use effects_core::{Outcome, Policy, Repeat, Seed, Template, Time};
use effects_testkit::{ExchangeFault, Faults, TaskScript};
use proptest::collection::vec;
use proptest::prelude::*;
use rust_decimal::Decimal;

use super::world::{World, request};
use crate::common::odd::{Odd, odd, policies};

/// What a hostile driver and a hostile world do to a batch.
#[derive(Clone, Debug)]
enum Act {
    Step,
    Submit,
    Attach(u8),
    /// Answers the latest call but so many.
    Answer(usize, Odd),
    /// Confirms the oldest entry handed out, if the journal takes it.
    Recorded(bool),
    /// Does not admit it, if it is an intent: not yet, or never.
    NotAdmitted(bool),
    GiveUp(usize),
    Clock(u64),
    ClockBack(u64),
    Close,
    Detach,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        20 => Just(Act::Step),
        3 => Just(Act::Submit),
        2 => (0..3u8).prop_map(Act::Attach),
        8 => (prop_oneof![4 => Just(0usize), 1 => 0..8usize], odd())
            .prop_map(|(back, odd)| Act::Answer(back, odd)),
        6 => prop_oneof![9 => Just(true), 1 => Just(false)].prop_map(Act::Recorded),
        2 => any::<bool>().prop_map(Act::NotAdmitted),
        1 => (0..8usize).prop_map(Act::GiveUp),
        5 => (0..40_000u64).prop_map(Act::Clock),
        1 => (0..90_000_000u64).prop_map(Act::ClockBack),
        1 => Just(Act::Close),
        1 => Just(Act::Detach),
    ]
}

fn limits() -> impl Strategy<Value = BatchLimits> {
    let rate =
        prop_oneof![0.0..50.0f64, Just(1e9), Just(f64::INFINITY), Just(f64::NAN), Just(-1.0)];
    (0..4u32, 0..6u32, rate).prop_map(|(submissions, tasks, polls_per_second)| BatchLimits {
        submissions,
        tasks,
        polls_per_second,
    })
}

/// What is known of each run from outside.
#[derive(Default)]
struct Books {
    runs: Vec<RunId>,
    over: HashSet<RunId>,
    calls: Vec<(RunId, CallId)>,
    handed_out: HashSet<(RunId, CallId)>,
    /// Submissions that are out, and those whose answer left their fate open.
    out: HashMap<RunId, CallId>,
    open: HashMap<RunId, u32>,
    entries: Vec<(RunId, EntryId)>,
}

impl Books {
    fn sent(&mut self, run: RunId, call: &Call, repeat: Repeat) {
        assert!(!self.over.contains(&run), "a call of a run that is over");
        assert!(self.handed_out.insert((run, call.id)), "handed out twice");
        self.calls.push((run, call.id));
        if call.is_submission() {
            // One that was booked as lost without an answer is of unknown fate.
            let open = self.open.entry(run).or_default();
            *open += u32::from(self.out.insert(run, call.id).is_some());
            if repeat != Repeat::Always {
                assert_eq!(*open, 0, "a second submission of unknown fate");
            }
        }
    }

    fn answered(&mut self, run: RunId, call: CallId, odd: &Odd) {
        // A late answer is no news of a submission that is out.
        if self.out.get(&run) == Some(&call) {
            self.out.remove(&run);
            // Where it names a task or an error after all, no submission follows either.
            *self.open.entry(run).or_default() += u32::from(matches!(odd, Odd::Lost));
        }
    }

    fn done(&mut self, run: RunId) {
        assert!(self.runs.contains(&run) && self.over.insert(run), "a run ends once");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_makes_a_batch_panic_end_twice_or_pay_twice(
        policy in policies(),
        limits in limits(),
        acts in vec(act(), 0..120),
    ) {
        let policy = Arc::new(policy);
        let mut now = Time::from_millis(1_764_000_000_000);
        let mut batch = Batch::new(Arc::clone(&policy), limits, now);
        let mut books = Books::default();
        for act in acts {
            match act {
                Act::Step => match batch.step(now) {
                    BatchStep::Send(run, call) => books.sent(run, &call, policy.repeat),
                    BatchStep::Record(run, entry) => books.entries.push((run, entry.id)),
                    BatchStep::Done(run, _) => books.done(run),
                    BatchStep::Notify(run, _) => prop_assert!(!books.over.contains(&run)),
                    BatchStep::WantRuns(room) => {
                        prop_assert!(room > 0 && room <= limits.tasks.max(1) - batch.live());
                    }
                    BatchStep::Sleep(_) => {}
                    BatchStep::Empty => prop_assert_eq!(batch.live(), 0),
                },
                Act::Submit => books.runs.push(batch.submit(request(1), Seed::from(1), now)),
                Act::Attach(task) => {
                    let task = format!("task-{task}").parse().unwrap();
                    let (label, seed) = (Some(Template::GlassBall.into()), Seed::from(1));
                    books.runs.push(batch.attach(task, label, None, seed, now));
                }
                Act::Answer(back, odd) => {
                    let index = books.calls.len().checked_sub(back + 1);
                    if let Some(&(run, call)) = index.and_then(|index| books.calls.get(index)) {
                        books.answered(run, call, &odd);
                        batch.reply(now, run, call, &odd.result());
                    }
                }
                Act::NotAdmitted(never) => if !books.entries.is_empty() {
                    let (run, entry) = books.entries.remove(0);
                    let admission = match never {
                        false => Admission::Wait { row: RowNumber(1) },
                        true => Admission::OverBudget(OverBudget::PriceUnknown { open: 1 }),
                    };
                    batch.admission(now, run, entry, &admission);
                },
                Act::Recorded(taken) => if !books.entries.is_empty() {
                    let (run, entry) = books.entries.remove(0);
                    if taken {
                        batch.recorded(run, entry);
                    } else if !books.over.contains(&run) {
                        batch.give_up(run);
                        books.done(run);
                    }
                },
                Act::GiveUp(nth) => if let Some(&run) = books.runs.get(nth)
                    && !books.over.contains(&run)
                {
                    batch.give_up(run);
                    books.done(run);
                },
                Act::Clock(millis) => now = now + Duration::from_millis(millis),
                Act::ClockBack(millis) => now = now - Duration::from_millis(millis),
                Act::Close => batch.close(),
                Act::Detach => batch.detach(now),
            }
            prop_assert_eq!(batch.live() as usize, books.runs.len() - books.over.len());
            prop_assert!(batch.submitting() <= batch.live());
        }
    }

    /// A driver that honours sleeps and limits has every run over within its wait and one request and
    /// a last look, whatever the answers are, however scarce turns are, and whichever runs share a task.
    #[test]
    fn every_run_ends_within_its_wait_and_one_request(
        policy in policies(),
        limits in limits(),
        jobs in vec(proptest::option::of(0..3u8), 1..10),
        answers in vec((odd(), 0..70_000u64), 0..60),
    ) {
        every_run_ends(policy, limits, jobs, answers, Vec::new())?;
    }

    /// One that sleeps too long, now and then through the end of a wait and more, has every run over
    /// later by no more than it overslept and the whole last look that is then due.
    #[test]
    fn every_run_ends_also_under_a_driver_that_oversleeps(
        policy in policies(),
        limits in limits(),
        jobs in vec(proptest::option::of(0..2u8), 1..10),
        answers in vec((odd(), 0..70_000u64), 0..60),
        late in vec(prop_oneof![4 => Just(0), 1 => 0..90_000u64, 1 => 0..900_000u64], 1..40),
    ) {
        every_run_ends(policy, limits, jobs, answers, late)?;
    }
}

/// Drives jobs to their ends, submissions and attachments to tasks of these numbers, oversleeping
/// by these times: each ends, and in time.
fn every_run_ends(
    policy: Policy,
    limits: BatchLimits,
    jobs: Vec<Option<u8>>,
    answers: Vec<(Odd, u64)>,
    late: Vec<u64>,
) -> Result<(), TestCaseError> {
    let whole_look = if late.is_empty() { Duration::ZERO } else { policy.request_timeout };
    // A submission that is under way is awaited beyond the deadline.
    let wait = policy.wait_timeout.min(policy.ends_by(START).since(START));
    let bound = wait + policy.request_timeout + policy.last_look + whole_look;
    let mut overslept = Duration::ZERO;
    let mut now = START;
    let mut batch = Batch::new(Arc::new(policy), limits, now);
    let (mut jobs, mut answers, mut late) =
        (jobs.into_iter(), answers.into_iter(), late.into_iter());
    let (mut begun, mut ended) = (BTreeMap::new(), 0);
    let mut flying: Vec<(Time, RunId, CallId, Odd)> = Vec::new();
    let (mut steps, mut waits) = (0u32, 0u32);
    loop {
        steps += 1;
        prop_assert!(steps < 400_000, "it does not end");
        match batch.step(now) {
            BatchStep::Record(run, entry) => {
                // A few intents have to wait for a budget; the run's wait begins after that.
                let is_intent = matches!(entry.fact, Fact::Intent { attempt: 0, .. });
                if is_intent && waits < 7 && steps % 3 == 0 {
                    waits += 1;
                    let wait = Admission::Wait { row: RowNumber(1) };
                    batch.admission(now, run, entry.id, &wait);
                    continue;
                }
                begun.entry(run).or_insert(now);
                batch.recorded(run, entry.id);
            }
            BatchStep::Send(run, call) => {
                let (odd, takes) = answers.next().unwrap_or((Odd::Lost, 70_000));
                let takes = Duration::from_millis(takes);
                if takes < call.timeout {
                    flying.push((now + takes, run, call.id, odd));
                } else if call.is_submission() {
                    // Its answer is waited for a moment longer than it may take.
                    overslept += Duration::from_secs(1);
                }
            }
            BatchStep::WantRuns(room) => {
                for _ in 0..room {
                    match jobs.next() {
                        Some(None) => {
                            batch.submit(request(1), Seed::from(1), now);
                        }
                        Some(Some(task)) => {
                            let task = format!("task-{task}").parse().unwrap();
                            let run = batch.attach(task, None, None, Seed::from(1), now);
                            begun.insert(run, now);
                        }
                        None => batch.close(),
                    }
                }
            }
            BatchStep::Sleep(until) => {
                flying.sort_by_key(|(at, ..)| std::cmp::Reverse(*at));
                match flying.last() {
                    Some((at, ..)) if *at <= until => {
                        let Some((at, run, call, odd)) = flying.pop() else { unreachable!() };
                        now = now.max(at);
                        batch.reply(now, run, call, &odd.result());
                    }
                    _ => {
                        prop_assert!(
                            until > now && until < Time::MAX,
                            "a sleep that is none, or for ever"
                        );
                        let late = Duration::from_millis(late.next().unwrap_or_default());
                        overslept += late;
                        now = until + late;
                    }
                }
            }
            BatchStep::Notify(..) => {}
            BatchStep::Done(run, outcome) => {
                ended += 1;
                let took = begun.get(&run).map_or(Duration::ZERO, |begun| now.since(*begun));
                let bound = bound + overslept;
                prop_assert!(took <= bound, "{took:?} > {bound:?}: {outcome:?}");
            }
            BatchStep::Empty => break,
        }
    }
    prop_assert!(ended > 0);
    Ok(())
}

const START: Time = Time::from_millis(1_764_000_000_000);

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// Through every fault there is: what tasks were made is covered by what is spent and reserved,
    /// and both together by the limit; each row pays at most once.
    #[test]
    fn the_budget_covers_every_task_and_is_never_exceeded(
        seed in any::<u64>(),
        rate in 0.0..0.6f64,
        lasting in any::<bool>(),
        rows in 1..40u32,
        limit in 3..60i64,
        known in any::<bool>(),
        detach_after in proptest::option::of(0..2_000u32),
    ) {
        let menu: Vec<ExchangeFault> = if lasting {
            ExchangeFault::TRANSIENT.into_iter().chain(ExchangeFault::PERMANENT).collect()
        } else {
            ExchangeFault::TRANSIENT.to_vec()
        };
        let (limit, price) = (Decimal::new(limit, 2), Decimal::new(3, 2));
        let limits = BatchLimits { submissions: 3, tasks: 8, polls_per_second: 20.0 };
        let mut world = World::new(rows, limits, TaskScript::lasting(Duration::from_secs(4)))
            .budget(&limit.to_string(), known.then_some("0.03"));
        world.service = world.service.faults(Faults::new(seed).rate(rate).among(&menu));
        let mut steps = 0;
        while world.step() {
            steps += 1;
            if detach_after == Some(steps) {
                world.batch.detach(world.now());
            }
            let scope = world.scope();
            let covered = scope.paid + scope.reserved;
            prop_assert!(covered <= limit, "{covered} of {limit}");
            // While no price is known one task may run that is not covered yet.
            prop_assert!(scope.unpriced <= 1, "{scope:?}");
            if scope.unpriced == 0 {
                let made = Decimal::from(world.service.tasks_made()) * price;
                prop_assert!(made <= covered, "{made} spent, {covered} known of");
            }
        }
        let unknown = world.count(|outcome| matches!(outcome, Outcome::Unknown(_)));
        let with_task = world.count(|outcome| outcome.task_id().is_some());
        prop_assert!((with_task..=with_task + unknown).contains(&world.service.tasks_made()));
        if detach_after.is_none() {
            prop_assert_eq!(world.ends.len(), rows as usize);
        }
    }
}
