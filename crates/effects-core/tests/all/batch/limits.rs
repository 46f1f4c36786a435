//! Limits, the shared throttle, the ends of runs, and leaving.

use std::collections::BTreeMap;
use std::time::Duration;

use effects_core::batch::BatchLimits;
use effects_core::gateway::{Answer, CallKind};
use effects_core::{Outcome, Seed, Time};
use effects_testkit::{Faults, Response, TaskScript, result_of};

use super::world::{World, completed, request};

#[test]
fn every_row_ends_and_no_width_is_exceeded() {
    let limits = BatchLimits { submissions: 3, tasks: 20, polls_per_second: 1_000.0 };
    let mut world = World::new(300, limits, TaskScript::lasting(Duration::from_secs(12)));
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
    let mut world =
        World::new(400, BatchLimits::default(), TaskScript::lasting(Duration::from_secs(5)));
    world.service = world.service.faults(Faults::new(11).rate(0.2));
    world.finish();
    assert_eq!(world.ends.len(), 400);
    let unknown = world.count(|outcome| matches!(outcome, Outcome::Unknown(_)));
    let done = world.count(|outcome| outcome.task_id().is_some());
    assert!(unknown > 0 && done > 300, "{unknown} unknown, {done} with a task");
    // A task was made for each that has one, and for some of unknown fate; for no run twice.
    assert!((done..=done + unknown).contains(&world.service.tasks_made()));
    let mut keys: Vec<String> = world
        .service
        .attempts()
        .into_iter()
        .filter_map(|attempt| match attempt.call.kind {
            CallKind::Submit { request_id, .. } => Some(request_id),
            CallKind::Poll { .. } => None,
        })
        .collect();
    let sent = keys.len();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), sent, "each attempt has a name of its own");
}

#[test]
fn one_refusal_for_now_holds_all_runs_back() {
    let limits = BatchLimits { submissions: 8, tasks: 50, ..BatchLimits::default() };
    let mut world = World::new(50, limits, TaskScript::lasting(Duration::from_secs(8)));
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
    let limits = BatchLimits { submissions: 100, tasks: 200, polls_per_second: 10.0 };
    let mut world = World::new(200, limits, TaskScript::lasting(Duration::from_secs(30)));
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
fn detaching_awaits_what_is_in_flight_and_sends_nothing_more() {
    let limits = BatchLimits { submissions: 4, tasks: 30, ..BatchLimits::default() };
    let mut world = World::new(30, limits, TaskScript::lasting(Duration::from_secs(60)));
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
fn a_handle_that_is_over_answers_for_no_other_run() {
    let mut world = World::new(1, BatchLimits::default(), TaskScript::of_polls(0));
    world.batch.close();
    let now = world.clock.time();
    let first = world.batch.submit(request(1), Seed::from(1), now);
    world.finish();
    let second = world.batch.submit(request(2), Seed::from(2), now);
    assert_ne!(first, second);
    let (calls, before) = (world.service.attempts(), world.batch.live());
    let stale = result_of(Answer::Lost("stale".to_owned()));
    world.batch.reply(now, first, calls[0].call.id, &stale);
    assert_eq!(world.batch.live(), before);
    world.finish();
    assert!(completed(world.outcome(second)));
}
