//! Shared polls: several runs of one task.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use effects_core::batch::{Batch, BatchLimits, BatchStep, RunId};
use effects_core::gateway::Call;
use effects_core::journal::Fact;
use effects_core::run::StillRunning;
use effects_core::{ErrorKind, Outcome, Seed, Time};
use effects_testkit::{Response, TaskScript, result_of};

use super::world::{World, completed, policy, seconds};

#[test]
fn a_state_that_comes_by_itself_ends_a_run_and_those_that_follow_it() {
    let mut world = World::new(0, BatchLimits::default(), TaskScript::endless());
    let runs = [(); 3].map(|()| world.attach("pushed", seconds(1), TaskScript::endless()));
    let other = world.attach("other", seconds(1), TaskScript::endless());
    world.batch.close();
    world.until(world.now() + seconds(10));
    let failed = r#"{"id":"pushed","status":"failed","error":"no face"}"#;
    let pushed = effects_testkit::result_of(Response::json(failed).to_answer());
    world.batch.observed(world.now(), runs[0], &pushed);
    world.batch.observed(world.now(), other, &pushed);
    let polls = world.polls().len();
    let soon = world.now() + seconds(1);
    world.until(soon);
    assert!(runs.iter().all(|run| matches!(world.outcome(*run), Outcome::Failed(_))));
    assert!(world.polls().len() <= polls + 1, "the other task's alone");
    assert_eq!(world.batch.live(), 1);
}

#[test]
fn two_who_wait_for_one_task_share_its_polls() {
    let mut world = World::new(0, BatchLimits::default(), TaskScript::of_polls(0));
    let now = world.clock.time();
    let task = world.service.add_task("shared", now, TaskScript::of_polls(3));
    let first = world.batch.attach(task.clone(), None, None, Seed::from(1), now);
    let second = world.batch.attach(task, None, None, Seed::from(2), now);
    world.batch.close();
    world.finish();
    assert_eq!(world.service.polls(), 4);
    assert_eq!(world.outcome(first), world.outcome(second));
    assert!(completed(world.outcome(first)));
}

/// A leader whose wait is over takes no other run's with it.
#[test]
fn a_follower_has_a_wait_of_its_own() {
    let mut world = World::new(0, BatchLimits::default(), TaskScript::endless());
    let first = world.attach("shared", seconds(0), TaskScript::lasting(seconds(800)));
    let start = world.now();
    world.until(start + seconds(300));
    let task = "shared".parse().unwrap();
    let second = world.batch.attach(task, None, Some(start), Seed::from(1), world.now());
    let task = "shared".parse().unwrap();
    let third = world.batch.attach(task, None, Some(start), Seed::from(2), world.now());
    world.batch.close();
    world.until(start + seconds(590));
    let polls = world.polls().len();
    assert!((180..=200).contains(&polls), "{polls} polls by one of the three");
    world.finish();
    assert!(matches!(world.outcome(first), Outcome::StillRunning(_)));
    assert!(completed(world.outcome(second)) && completed(world.outcome(third)));
    assert!(world.ends[&first].0.since(start) <= seconds(601));
    assert!(world.ends[&second].0.since(start) <= seconds(804));
}

/// A leader that never saw the task cannot say that it is there, nor that it is not.
#[test]
fn a_leader_whose_wait_ends_without_a_look_at_the_task_leaves_it_to_its_follower() {
    for answer in [Response::new(502), Response::new(410), Response::html("no").status(403)] {
        let mut world = World::new(0, BatchLimits::default(), TaskScript::endless());
        let start = world.now();
        let task = world.service.add_task("shared", start, TaskScript::of_polls(0));
        // More than there are looks in one wait; what is left over is the follower's.
        world.service.on_poll(vec![answer.clone(); 110]);
        let first = world.batch.attach(task.clone(), None, None, Seed::from(1), start);
        world.until(start + seconds(500));
        let second = world.batch.attach(task, None, None, Seed::from(2), world.now());
        world.batch.close();
        world.finish();
        assert!(matches!(world.outcome(first), Outcome::Broken(_)), "{:?}", world.outcome(first));
        assert!(completed(world.outcome(second)), "{answer:?}: {:?}", world.outcome(second));
    }
}

/// What the service says of a task is said of all who wait for it.
#[test]
fn a_gateway_that_bars_a_task_ends_every_wait_for_it() {
    let barred = Response::json(r#"{"error":"Missing Token"}"#).status(401);
    let mut world = World::new(0, BatchLimits::default(), TaskScript::endless());
    let runs = [(); 3].map(|()| world.attach("shared", seconds(0), TaskScript::endless()));
    world.batch.close();
    world.service.on_poll([barred]);
    world.finish();
    assert_eq!(world.service.polls(), 1);
    for run in runs {
        let Outcome::Broken(broken) = world.outcome(run) else { panic!() };
        assert_eq!(broken.kind, ErrorKind::KeyRefused);
    }
}

/// One whose wait ends before its leader's has a last look of its own, and in time.
#[test]
fn a_follower_whose_wait_ends_first_looks_for_itself() {
    let mut world = World::new(1, BatchLimits::default(), TaskScript::endless());
    let first = world.attach("shared", seconds(0), TaskScript::endless());
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
    let mut world = World::new(2, BatchLimits::default(), TaskScript::endless());
    let one = || Response::json(r#"{"id":"shared","status":"in_progress"}"#);
    world.service.on_submit([one(), one()]);
    world.service.add_task("shared", world.now(), TaskScript::lasting(seconds(10)));
    world.finish();
    assert_eq!(world.count(completed), 2);
    assert_eq!(world.polls().len(), 4);
    // Each has its id on record before that.
    let created = |fact: &Fact| matches!(fact, Fact::Created { .. });
    assert_eq!(world.entries.iter().filter(|(_, entry)| created(&entry.fact)).count(), 2);
}

#[test]
fn a_leader_that_is_given_up_leaves_the_task_to_its_follower() {
    let mut world = World::new(0, BatchLimits::default(), TaskScript::endless());
    let first = world.attach("shared", seconds(0), TaskScript::lasting(seconds(20)));
    let (task, seed) = ("shared".parse().unwrap(), Seed::from(1));
    let second = world.batch.attach(task, None, None, seed, world.now());
    world.batch.close();
    let start = world.now();
    world.until(start + seconds(10));
    world.batch.give_up(first);
    world.finish();
    assert_eq!(world.ends.len(), 1);
    assert!(completed(world.outcome(second)));
}

#[test]
fn all_who_share_a_task_leave_together() {
    let mut world = World::new(0, BatchLimits::default(), TaskScript::endless());
    let runs = [(); 3].map(|()| world.attach("shared", seconds(0), TaskScript::endless()));
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
    let mut world = World::new(0, BatchLimits::default(), TaskScript::endless());
    let first = world.attach("shared", seconds(0), TaskScript::of_polls(0));
    let (task, seed) = ("shared".parse().unwrap(), Seed::from(1));
    let second = world.batch.attach(task, None, None, seed, world.now());
    while !world.ends.contains_key(&first) {
        world.step();
    }
    if !world.ends.contains_key(&second) {
        world.batch.give_up(second);
    }
    let stranger = world.attach("other", seconds(0), TaskScript::of_polls(1));
    world.batch.close();
    world.finish();
    assert_eq!(world.outcome(stranger).task_id().unwrap().as_str(), "other");
}

/// A driver that slept through the end of the wait finds each run looking for itself, leader or not.
/// A run that then comes to follow another rests until its own look is back or booked as lost.
#[test]
fn a_follower_whose_own_look_is_out_after_its_wait_rests() {
    within_a_minute(|| {
        let start = Time::from_millis(1_764_000_000_000);
        let mut batch = Batch::new(Arc::new(policy()), BatchLimits::default(), start);
        let runs = [1, 2, 3].map(|seed| {
            batch.attach("shared".parse().unwrap(), None, None, Seed::from(seed), start)
        });
        batch.close();

        let late = start + policy().wait_timeout + policy().request_timeout * 2 / 3;
        let calls = runs.map(|run| sent(&mut batch, run, late));
        let limit = calls[0].limit;
        assert!(limit > late && calls.iter().all(|call| call.limit == limit));
        assert_eq!(batch.step(late), BatchStep::Sleep(limit));

        // The first leaves without a verdict: the second leads, and the third follows that one.
        answer_running(&mut batch, runs[0], &calls[0], late);
        let BatchStep::Notify(..) = batch.step(late) else { panic!("a look that saw it running") };
        assert_eq!(ended(&mut batch, runs[0], late).error, None);
        assert_eq!(batch.step(late), BatchStep::Sleep(limit));

        // The third hears of its own look, the second never does.
        answer_running(&mut batch, runs[2], &calls[2], late);
        let BatchStep::Notify(..) = batch.step(late) else { panic!("a look that saw it running") };
        assert_eq!(ended(&mut batch, runs[2], late).error, None);
        assert_eq!(batch.step(late), BatchStep::Sleep(limit));
        let BatchStep::Done(run, Outcome::Broken(broken)) = batch.step(limit) else { panic!() };
        assert_eq!((run, broken.task_id.as_str()), (runs[1], "shared"));
        assert_eq!(batch.step(limit), BatchStep::Empty);
    });
}

/// The call a run sends next.
fn sent(batch: &mut Batch, run: RunId, now: Time) -> Call {
    match batch.step(now) {
        BatchStep::Send(of, call) if of == run => call,
        step => panic!("{run:?} does not send: {step:?}"),
    }
}

fn answer_running(batch: &mut Batch, run: RunId, call: &Call, now: Time) {
    let running = Response::json(r#"{"id":"shared","status":"in_progress"}"#);
    batch.reply(now, run, call.id, &result_of(running.to_answer()));
}

/// How a run ends whose task goes on.
fn ended(batch: &mut Batch, run: RunId, now: Time) -> StillRunning {
    match batch.step(now) {
        BatchStep::Done(of, Outcome::StillRunning(end)) if of == run => end,
        step => panic!("{run:?} does not end so: {step:?}"),
    }
}

/// Fails where a step never returns, which no count of steps could tell.
#[allow(clippy::disallowed_methods, reason = "the thread watched is a test's, not the core's")]
fn within_a_minute(test: impl FnOnce() + Send + 'static) {
    let (done, ended) = mpsc::channel();
    let watched = std::thread::spawn(move || {
        test();
        // The thread that waits for it may have given up.
        let _gone = done.send(());
    });
    match ended.recv_timeout(Duration::from_secs(60)) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("a step does not return"),
        _ => watched.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
    }
}

/// One whose looks are told one by one, and one that looks for others: the end that one of them sees is both
/// their end, whichever began first.
#[test]
fn a_task_whose_end_was_seen_is_not_looked_at_again() {
    for alone in [0, 1, 2] {
        for (running, looks) in [(3, 4), (4, 5)] {
            let mut world = World::new(0, BatchLimits::default(), TaskScript::endless());
            let start = world.now();
            let task = world.service.add_task("shared", start, TaskScript::of_polls(running));
            let mut runs = Vec::new();
            for number in 0..2 {
                let seed = Seed::from(number);
                let run = world.batch.attach(task.clone(), None, Some(start), seed, world.now());
                if number == alone || alone == 2 {
                    world.batch.look_alone(run, false, world.now());
                }
                runs.push(run);
                // Its first look is answered, and the other's are between its own.
                let looked = world.now() + Duration::from_millis(100);
                world.until(looked);
                world.clock.advance(Duration::from_millis(1_500));
            }
            world.batch.close();
            world.finish();
            assert!(runs.iter().all(|run| completed(world.outcome(*run))));
            assert_eq!(world.service.polls(), looks, "{alone}: {:?}", world.polls());
        }
    }
}
