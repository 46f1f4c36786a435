//! Whatever the service says and the clock does: no panic, an end in time, no task paid for twice.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use crate::common::odd::{Odd, odd, policies};
use crate::common::{TASK, policy, request};
use effects_core::gateway::{Answer, CallId};
use effects_core::run::Saved;
use effects_core::{Outcome, Policy, Repeat, Run, Seed, Step, Time};
use effects_testkit::{
    ExchangeFault, ExchangeOutcome, Faults, Response, Service, TaskScript, VirtualClock, World,
    result_of,
};
use proptest::collection::vec;
use proptest::prelude::*;

/// What a hostile driver and a hostile world do to a run.
#[derive(Clone, Debug)]
enum Act {
    Step,
    Answer(Odd),
    /// To a call handed out long ago, or never.
    AnswerAnother(usize, Odd),
    Recorded,
    ClockForward(u64),
    ClockBack(u64),
    ClockFar,
    Restore,
    Detach,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => Just(Act::Step),
        4 => odd().prop_map(Act::Answer),
        2 => (0..6usize, odd()).prop_map(|(back, odd)| Act::AnswerAnother(back, odd)),
        4 => Just(Act::Recorded),
        4 => (0..40_000u64).prop_map(Act::ClockForward),
        1 => (0..100_000_000u64).prop_map(Act::ClockBack),
        1 => Just(Act::ClockFar),
        1 => Just(Act::Restore),
        1 => Just(Act::Detach),
    ]
}

fn start(policy: &Arc<Policy>, attached: bool, seed: u64, now: Time) -> Run {
    let seed = Seed::from(seed);
    if attached {
        Run::attach(TASK.parse().unwrap(), None, Arc::clone(policy), seed, now)
    } else {
        Run::submit(request(), Arc::clone(policy), seed, now)
    }
}

fn through_json(run: &Run) -> Saved {
    let text = serde_json::to_string(&run.save()).unwrap();
    serde_json::from_str(&text).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// No sequence of steps, answers, clocks, restarts and departures makes it panic; no call is
    /// handed out twice; and no submission follows one whose fate is open, unless that was asked
    /// for.
    #[test]
    fn nothing_makes_it_panic_or_pay_twice(
        policy in policies(),
        attached in any::<bool>(),
        seed in any::<u64>(),
        begin in prop_oneof![Just(0), Just(1_764_000_000_000), Just(u64::MAX - 5), any::<u64>()],
        acts in vec(act(), 0..60),
    ) {
        let policy = Arc::new(policy);
        let mut now = Time::from_millis(begin);
        let mut run = start(&policy, attached, seed, now);
        let mut calls: Vec<CallId> = Vec::new();
        let mut entry = None;
        // The submissions handed out, and those of them whose outcome is unknown.
        let mut out: Option<CallId> = None;
        let mut submitted = 0;
        let mut open = 0;
        for act in acts {
            match act {
                Act::Step => match run.step(now) {
                    Step::Send(call) => {
                        prop_assert!(!calls.contains(&call.id), "{} was handed out twice", call.id);
                        prop_assert!(call.timeout <= policy.request_timeout);
                        calls.push(call.id);
                        if call.is_submission() {
                            prop_assert!(!attached, "an attached run submits nothing");
                            // An attempt booked as lost without an answer is one of unknown fate.
                            open += usize::from(out.is_some());
                            if policy.repeat != Repeat::Always {
                                prop_assert_eq!(open, 0, "a second submission of unknown fate");
                            }
                            submitted += 1;
                            if policy.repeat == Repeat::Never {
                                prop_assert_eq!(submitted, 1);
                            }
                            out = Some(call.id);
                        }
                    }
                    Step::Record(asked) => entry = Some(asked.id),
                    Step::Sleep { .. } | Step::Notify(_) | Step::Done(_) => {}
                },
                Act::Answer(odd) => if let Some(&call) = calls.last() {
                    if out == Some(call) {
                        out = None;
                        open += usize::from(odd.leaves_open() && run.is_submitting() && {
                            let mut heard = run.clone();
                            odd.give(&mut heard, now, call);
                            heard.task_id().is_none()
                                && !matches!(heard.step(now), Step::Done(Outcome::Refused(_)) | Step::Record(_))
                        });
                    }
                    odd.give(&mut run, now, call);
                },
                Act::AnswerAnother(back, odd) => {
                    let index = calls.len().checked_sub(back + 2);
                    if let Some(&call) = index.and_then(|index| calls.get(index)) {
                        odd.give(&mut run, now, call);
                    }
                }
                Act::Recorded => if let Some(entry) = entry.take() { run.recorded(entry) },
                Act::ClockForward(millis) => now = now + Duration::from_millis(millis),
                Act::ClockBack(millis) => now = Time::from_millis(now.as_millis().saturating_sub(millis)),
                Act::ClockFar => now = now + Duration::from_secs(86_400 * 400),
                Act::Restore => {
                    let saved = through_json(&run);
                    prop_assert_eq!(&saved, &run.save());
                    let was_out = run.is_submitting();
                    run = Run::restore(saved, Arc::clone(&policy), now);
                    entry = None;
                    if was_out {
                        let unknown = matches!(run.clone().step(now), Step::Done(Outcome::Unknown(_)));
                        prop_assert!(unknown, "saved in flight");
                    }
                }
                Act::Detach => run.detach(now),
            }
        }
    }

    /// A driver that honours sleeps and limits is done within the wait and one request, whatever
    /// the answers are. A submission that outlasts the wait is followed by one last look.
    #[test]
    fn it_ends_within_the_wait_one_request_and_the_last_look(
        policy in policies(),
        attached in any::<bool>(),
        seed in any::<u64>(),
        answers in vec((odd(), 0..70_000u64), 0..30),
    ) {
        let policy = Arc::new(policy);
        let begin = Time::from_millis(1_764_000_000_000);
        let mut now = begin;
        let mut run = start(&policy, attached, seed, now);
        let mut answers = answers.into_iter();
        let mut ids = HashSet::new();
        let mut looks = 0u32;
        let mut last_look = Duration::ZERO;
        let outcome = loop {
            match run.step(now) {
                Step::Record(entry) => run.recorded(entry.id),
                Step::Notify(_) => {}
                Step::Sleep { until, .. } => {
                    prop_assert!(until > now, "a sleep that is none");
                    now = until;
                }
                Step::Send(call) => {
                    prop_assert!(ids.insert(call.id));
                    prop_assert_eq!(call.limit, now + call.timeout);
                    looks += 1;
                    prop_assert!(looks < 500_000);
                    let (odd, takes) = answers.next().unwrap_or((Odd::Lost, 70_000));
                    let takes = Duration::from_millis(takes);
                    if takes < call.timeout {
                        now = now + takes;
                        odd.give(&mut run, now, call.id);
                    } else {
                        now = call.limit;
                    }
                    if call.is_submission() && now.since(begin) > policy.wait_timeout {
                        last_look = policy.last_look.min(policy.request_timeout);
                    }
                }
                Step::Done(outcome) => break outcome,
            }
        };
        let bound = policy.wait_timeout + policy.request_timeout + last_look;
        prop_assert!(now.since(begin) <= bound, "{:?} > {bound:?}: {outcome:?}", now.since(begin));
        prop_assert_eq!(run.step(now), Step::Done(outcome));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Through every fault there is, at most one task is paid for, and it is paid for where the run
    /// completes.
    #[test]
    fn no_fault_makes_it_pay_twice(seed in any::<u64>(), rate in 0.0..1.0f64, lasting in any::<bool>(), never in any::<bool>()) {
        let menu: Vec<ExchangeFault> = if lasting {
            ExchangeFault::TRANSIENT.into_iter().chain(ExchangeFault::PERMANENT).collect()
        } else {
            ExchangeFault::TRANSIENT.to_vec()
        };
        let repeat = if never { Repeat::Never } else { Repeat::Safe };
        let policy = Policy { repeat, ..policy() };
        let (mut world, mut run) = faulty(seed, rate, &menu, &policy);
        let outcome = world.drive(&mut run);
        let made = world.service().tasks_made();
        prop_assert!(made <= 1, "{}", world.transcript());
        match &outcome {
            Outcome::Refused(_) => prop_assert_eq!(made, 0, "{}", world.transcript()),
            Outcome::Unknown(_) => {}
            _ => prop_assert_eq!(made, 1, "{}", world.transcript()),
        }
        // What can pass never breaks a task whose id is known.
        if !lasting {
            prop_assert!(!matches!(outcome, Outcome::Failed(_) | Outcome::Broken(_)), "{}", world.transcript());
        }
        prop_assert!(world.transcript().elapsed() <= policy.wait_timeout + policy.request_timeout);
    }

    /// The same seed gives the same run, to the millisecond and the last request id.
    #[test]
    fn the_same_seed_gives_the_same_run(seed in any::<u64>()) {
        let story = || {
            let (mut world, mut run) = faulty(seed, 0.4, &ExchangeFault::TRANSIENT, &Policy::default());
            world.drive(&mut run);
            world.transcript().to_string()
        };
        prop_assert_eq!(story(), story());
    }

    /// A run that is saved as JSON and restored at every step comes to the same end at the same
    /// time, but for a submission in flight, which restores as unknown.
    #[test]
    fn saving_and_restoring_at_every_step_changes_nothing(seed in any::<u64>(), attached in any::<bool>(), rate in 0.0..0.8f64) {
        let policy = Arc::new(Policy::default());
        let build = || {
            let service = Service::new(VirtualClock::new())
                .task_script(TaskScript::lasting(Duration::from_secs(seed % 90)))
                .faults(Faults::new(seed).rate(rate));
            if attached {
                service.add_task(TASK, service.clock().time(), TaskScript::lasting(Duration::from_secs(seed % 90)));
            }
            let world = World::around(service);
            let run = start(&policy, attached, seed, world.now());
            (world, run)
        };
        let (mut plain, mut run) = build();
        let expected = plain.drive(&mut run);

        let (mut world, mut run) = build();
        let outcome = loop {
            // A look in flight would be made again, and the faults would fall otherwise: that is
            // another test's affair, so it is answered first.
            let now = world.now();
            let step = run.step(now);
            match step {
                Step::Record(entry) => {
                    // Before it is confirmed, it is handed out again.
                    run = Run::restore(through_json(&run), Arc::clone(&policy), now);
                    prop_assert_eq!(run.step(now), Step::Record(entry.clone()));
                    run.recorded(entry.id);
                }
                Step::Send(call) => {
                    let delivery = world.service().take(now, &call);
                    if call.is_submission() {
                        let mut lost = Run::restore(through_json(&run), Arc::clone(&policy), now);
                        let unknown = world.drive(&mut lost);
                        prop_assert!(matches!(unknown, Outcome::Unknown(_)), "{unknown:?}");
                    }
                    if delivery.after > call.timeout {
                        world.clock().jump_to(call.limit);
                        let reason = "no answer within the request timeout".to_owned();
                        run.reply(world.now(), call.id, &result_of(Answer::Lost(reason)));
                    } else {
                        world.clock().jump_to(now + delivery.after);
                        run.reply(world.now(), call.id, &result_of(delivery.answer));
                    }
                }
                Step::Sleep { until, .. } => world.clock().jump_to(until),
                Step::Notify(_) => {}
                Step::Done(outcome) => break outcome,
            }
            if !run.is_submitting() {
                run = Run::restore(through_json(&run), Arc::clone(&policy), world.now());
            }
        };
        prop_assert_eq!(&outcome, &expected, "{}", plain.transcript());
        prop_assert_eq!(world.now(), plain.now());
    }
}

fn faulty(seed: u64, rate: f64, menu: &[ExchangeFault], policy: &Policy) -> (World, Run) {
    let faults = Faults::new(seed).rate(rate).among(menu);
    let task_script = TaskScript::lasting(Duration::from_secs(seed % 60))
        .unknown_for(Duration::from_secs(seed % 5));
    let service = Service::new(VirtualClock::new()).task_script(task_script).faults(faults);
    let world = World::around(service);
    let run = Run::submit(request(), Arc::new(policy.clone()), Seed::from(seed), world.now());
    (world, run)
}

#[test]
fn a_scripted_fate_can_be_any_answer() {
    // The generators above stay in step with the test kit: what they make can be scripted too.
    let exchange_outcome =
        ExchangeOutcome::from(Response::new(999).header("Retry-After", "1e300").body("\u{0}"));
    let mut scene = crate::common::Scene::submitting(policy()).submits([exchange_outcome]);
    assert!(matches!(scene.outcome(), Outcome::Unknown(_)));
}
