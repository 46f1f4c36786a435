//! Runs that a caller waits for already: they join at once, and may be let go of one by one.

use std::time::Duration;

use effects_core::batch::{BatchLimits, RunId};
use effects_core::journal::Fact;
use effects_core::{Outcome, Policy, Seed};
use effects_testkit::TaskScript;

use super::world::{World, completed, policy, request, seconds};

fn joined(world: &mut World, runs: u32) -> Vec<RunId> {
    let now = world.now();
    let join = |row| {
        let seed = world.seed();
        world.batch.submit_at_once(request(row), seed, now)
    };
    (0..runs).map(join).collect()
}

#[test]
fn they_ask_for_no_place_among_the_tasks_but_wait_for_their_turn_to_submit() {
    let limits = BatchLimits { submissions: 2, tasks: 1, polls_per_second: 1e9 };
    let mut world = World::new(0, limits, TaskScript::lasting(seconds(12)));
    joined(&mut world, 7);
    world.batch.close();
    world.finish();
    assert_eq!(world.count(completed), 7);
    assert_eq!((world.most_submitting, world.most_tasks), (2, 7));
}

/// As after a fork: two batches that are alike to the last byte.
#[test]
fn two_batches_that_are_alike_submit_under_the_names_of_their_runs_seeds() {
    let names = |seed: u64| {
        let mut world = World::new(0, BatchLimits::default(), TaskScript::lasting(seconds(1)));
        let now = world.now();
        world.batch.submit_at_once(request(1), Seed::from(seed), now);
        world.batch.close();
        world.finish();
        let intent = world.entries.into_iter().find_map(|(_, entry)| match entry.fact {
            Fact::Intent { request_id, idempotency_key, .. } => Some((request_id, idempotency_key)),
            _ => None,
        });
        intent.unwrap()
    };
    let [(request, key), (other_request, other_key)] = [names(1), names(2)];
    assert!(request != other_request && key != other_key, "{request} {key}");
    assert_eq!(names(1), (request, key));
}

#[test]
fn their_wait_begins_when_they_join_not_when_their_turn_comes() {
    let policy = Policy { wait_timeout: seconds(1), ..policy() };
    let limits = BatchLimits { submissions: 1, ..BatchLimits::default() };
    // Each submission takes 200 ms, one after the other.
    let mut world = World::under(policy, 0, limits, TaskScript::endless());
    let start = world.now();
    joined(&mut world, 20);
    world.batch.close();
    world.finish();
    let (sent, unsent): (Vec<_>, Vec<_>) =
        world.ends.values().partition(|(_, outcome)| outcome.task_id().is_some());
    assert!((4..=6).contains(&sent.len()), "{}", sent.len());
    assert_eq!(world.service.submissions(), sent.len());
    for (at, outcome) in unsent {
        assert_eq!(*at, start + seconds(1), "{outcome:?}");
        assert!(!matches!(outcome, Outcome::Unknown(_)), "{outcome:?}");
    }
}

#[test]
fn one_let_go_of_while_it_waits_ends_at_once_and_the_others_go_on() {
    let mut world = World::new(0, BatchLimits::default(), TaskScript::lasting(seconds(12)));
    let runs = joined(&mut world, 3);
    world.batch.close();
    world.until(world.now() + seconds(5));
    let now = world.now();
    world.batch.detach_run(runs[1], now);
    world.finish();
    assert!(matches!(world.outcome(runs[1]), Outcome::Detached(it) if it.task_id.is_some()));
    assert_eq!(world.ends[&runs[1]].0, now);
    assert_eq!(world.count(completed), 2);
    // It is over: nothing is left to let go of.
    world.batch.detach_run(runs[1], now);
    assert!(!world.step());
}

#[test]
fn one_let_go_of_while_it_submits_still_learns_its_tasks_id() {
    let mut world = World::new(0, BatchLimits::default(), TaskScript::lasting(seconds(12)));
    let runs = joined(&mut world, 2);
    world.batch.close();
    while world.batch.submitting() < 2 || world.service.submissions() < 2 {
        assert!(world.step());
    }
    let now = world.now();
    world.batch.detach_run(runs[0], now);
    world.finish();
    let id = world.outcome(runs[0]).task_id().cloned().expect("the answer was awaited");
    assert!(matches!(world.outcome(runs[0]), Outcome::Detached(_)));
    assert_eq!(world.ends[&runs[0]].0, now + Duration::from_millis(200));
    let recorded = |(run, entry): &(RunId, effects_core::journal::Entry)| {
        *run == runs[0] && matches!(&entry.fact, Fact::Created { task_id, .. } if *task_id == id)
    };
    assert!(world.entries.iter().any(recorded));
    assert!(completed(world.outcome(runs[1])));
}

#[test]
fn one_let_go_of_before_its_turn_is_never_sent() {
    let limits = BatchLimits { submissions: 1, ..BatchLimits::default() };
    let mut world = World::new(0, limits, TaskScript::lasting(seconds(12)));
    let runs = joined(&mut world, 2);
    world.batch.close();
    while world.batch.submitting() < 1 {
        assert!(world.step());
    }
    let now = world.now();
    world.batch.detach_run(runs[1], now);
    world.finish();
    assert!(matches!(world.outcome(runs[1]), Outcome::Detached(it) if it.task_id.is_none()));
    assert_eq!(world.service.submissions(), 1);
}
