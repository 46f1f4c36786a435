//! Several runs of one task.

use effects_core::{Fact, Outcome, Widths};
use effects_testkit::{Life, Response};

use crate::world::{World, completed, seconds};

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
    assert_eq!(world.outcome(first), world.outcome(second));
    assert!(completed(world.outcome(first)));
}

/// A leader whose wait is over takes nobody else's with it.
#[test]
fn a_follower_has_a_wait_of_its_own() {
    let mut world = World::new(0, Widths::default(), Life::endless());
    let first = world.attach("shared", seconds(0), Life::lasting(seconds(800)));
    let start = world.now();
    world.until(start + seconds(300));
    let task = "shared".parse().unwrap();
    let second = world.batch.attach(task, None, Some(start), world.now());
    let task = "shared".parse().unwrap();
    let third = world.batch.attach(task, None, Some(start), world.now());
    world.batch.feed_no_more();
    world.until(start + seconds(590));
    let polls = world.polls().len();
    assert!((180..=200).contains(&polls), "{polls} polls by one of the three");
    world.finish();
    assert!(matches!(world.outcome(first), Outcome::StillRunning(_)));
    assert!(completed(world.outcome(second)) && completed(world.outcome(third)));
    assert!(world.ends[&first].0.since(start) <= seconds(601));
    assert!(world.ends[&second].0.since(start) <= seconds(804));
}

/// One whose wait ends before its leader's has a last look of its own, and in time.
#[test]
fn a_follower_whose_wait_ends_first_looks_for_itself() {
    let mut world = World::new(1, Widths::default(), Life::endless());
    let first = world.attach("shared", seconds(0), Life::endless());
    let start = world.now();
    // It submits much later, and is told the task the other looks at already.
    world.service.on_submit([Response::json(r#"{"id":"shared","status":"in_progress"}"#)]);
    world.finish();
    let second = *world.ends.keys().find(|run| **run != first).unwrap();
    assert!(matches!(world.outcome(first), Outcome::StillRunning(_)));
    assert!(matches!(world.outcome(second), Outcome::StillRunning(_)));
    for (ended, _) in world.ends.values() {
        assert!(ended.since(start) <= seconds(601));
    }
}

#[test]
fn two_submissions_that_make_one_task_share_its_polls() {
    let mut world = World::new(2, Widths::default(), Life::endless());
    let one = || Response::json(r#"{"id":"shared","status":"in_progress"}"#);
    world.service.on_submit([one(), one()]);
    world.service.add_task("shared", world.now(), Life::lasting(seconds(10)));
    world.finish();
    assert_eq!(world.count(completed), 2);
    assert_eq!(world.polls().len(), 4);
    // Each has its id on record before that.
    let created = |fact: &Fact| matches!(fact, Fact::Created { .. });
    assert_eq!(world.entries.iter().filter(|(_, entry)| created(&entry.fact)).count(), 2);
}

#[test]
fn a_leader_that_is_given_up_leaves_the_task_to_its_follower() {
    let mut world = World::new(0, Widths::default(), Life::endless());
    let first = world.attach("shared", seconds(0), Life::lasting(seconds(20)));
    let second = world.batch.attach("shared".parse().unwrap(), None, None, world.now());
    world.batch.feed_no_more();
    let start = world.now();
    world.until(start + seconds(10));
    world.batch.give_up(first);
    world.finish();
    assert_eq!(world.ends.len(), 1);
    assert!(completed(world.outcome(second)));
}

#[test]
fn all_who_share_a_task_leave_together() {
    let mut world = World::new(0, Widths::default(), Life::endless());
    let runs = [(); 3].map(|()| world.attach("shared", seconds(0), Life::endless()));
    let start = world.now();
    world.until(start + seconds(10));
    world.batch.detach(world.now());
    let polls = world.polls().len();
    world.finish();
    assert_eq!(world.polls().len(), polls);
    for run in runs {
        let Outcome::Detached(left) = world.outcome(run) else { panic!() };
        assert_eq!(left.task_id.as_ref().map(effects_core::TaskId::as_str), Some("shared"));
    }
}

/// A follower that was told its leader's end and is then given up leaves nothing behind for the
/// next run in its place.
#[test]
fn what_a_leader_saw_is_not_told_to_a_stranger() {
    let mut world = World::new(0, Widths::default(), Life::endless());
    let first = world.attach("shared", seconds(0), Life::of_polls(0));
    let second = world.batch.attach("shared".parse().unwrap(), None, None, world.now());
    while !world.ends.contains_key(&first) {
        world.step();
    }
    if !world.ends.contains_key(&second) {
        world.batch.give_up(second);
    }
    let stranger = world.attach("other", seconds(0), Life::of_polls(1));
    world.batch.feed_no_more();
    world.finish();
    assert_eq!(world.outcome(stranger).task_id().unwrap().as_str(), "other");
}
