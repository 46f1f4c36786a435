//! Admission: which run may submit or poll next where not all may, and that each ends in time all the same.

use std::time::Duration;

use effects_core::batch::BatchLimits;
use effects_core::pace::{Observation, Pacer};
use effects_core::{ErrorKind, Outcome, Pace, Policy, Template};
use effects_testkit::{ExchangeOutcome, Response, TaskScript};

use super::world::{World, completed, policy, seconds};

fn scarce(polls_per_second: f64) -> BatchLimits {
    BatchLimits { submissions: 100, tasks: 10_000, polls_per_second }
}

fn knows_twelve_seconds() -> Pacer {
    let pacer = Pacer::new();
    for millis in (9_000..15_000).step_by(60) {
        let end = Duration::from_millis(millis);
        let seen = Observation::Ended { last_running: Some(end), first_ended: end };
        pacer.learn(Some(&Template::GlassBall.into()), seen);
    }
    pacer
}

#[test]
fn the_run_most_likely_to_have_ended_since_its_last_look_goes_first() {
    let mut world = World::new(0, scarce(1.0), TaskScript::endless()).pacer(knows_twelve_seconds());
    // All of them wait from the same moment on; the order is that of what is likely.
    for age in [2, 11, 5, 13, 3, 8, 12] {
        world.attach(&format!("aged-{age:02}"), seconds(age), TaskScript::endless());
    }
    world.batch.close();
    let start = world.now();
    world.until(start + seconds(6));
    let order: Vec<String> = world.polls().into_iter().map(|(_, task)| task).collect();
    assert_eq!(order[..4], ["aged-13", "aged-12", "aged-11", "aged-08"], "{order:?}");
}

/// What was seen running a moment ago has hardly ended since, however old it is; what has waited
/// long, young as it is, is not likely to have ended either.
#[test]
fn a_look_just_made_counts_against_the_next() {
    let policy = Policy { pace: Pace::fixed(seconds(1)), ..policy() };
    let mut world = World::under(policy, 0, scarce(1.0), TaskScript::endless());
    world = world.pacer(knows_twelve_seconds());
    world.attach("ripe-1", seconds(12), TaskScript::endless());
    world.attach("ripe-2", seconds(12), TaskScript::endless());
    world.attach("green", seconds(0), TaskScript::endless());
    world.batch.close();
    let start = world.now();
    world.until(start + seconds(5));
    let order: Vec<String> = world.polls().into_iter().map(|(_, task)| task).collect();
    assert_eq!(order[..4], ["ripe-1", "ripe-2", "ripe-1", "ripe-2"], "{order:?}");
    // Its time comes too.
    world.until(start + seconds(60));
    assert!(world.polls().iter().any(|(_, task)| task == "green"));
}

#[test]
fn without_knowledge_the_run_not_polled_for_longest_goes_first() {
    let mut world = World::new(0, scarce(1.0), TaskScript::endless());
    for nth in 0..5 {
        world.attach(&format!("task-{nth}"), seconds(0), TaskScript::endless());
    }
    world.batch.close();
    let start = world.now();
    world.until(start + seconds(11));
    let mut counts = [0; 5];
    for (_, task) in world.polls() {
        counts[task[5..].parse::<usize>().unwrap()] += 1;
    }
    assert!(counts.iter().all(|looks| (2..=3).contains(looks)), "{counts:?}");
}

/// Polls that are scarce keep no run beyond the end of the wait and one request, and none from
/// the last look.
#[test]
fn every_last_look_is_made_and_in_time_however_scarce_looks_are() {
    let mut world = World::new(0, scarce(1.0), TaskScript::endless());
    let runs: Vec<_> = (0..500)
        .map(|nth| {
            // One in ten ends at the last moment: what is ready is not thrown away.
            let task_script = if nth % 10 == 0 {
                TaskScript::lasting(seconds(595))
            } else {
                TaskScript::endless()
            };
            world.attach(&format!("task-{nth}"), seconds(0), task_script)
        })
        .collect();
    world.batch.close();
    let start = world.now();
    world.finish();
    let last = world.polls().into_iter().filter(|(at, _)| at.since(start) >= seconds(600));
    assert!(last.count() >= 450);
    for run in runs {
        let (ended, _) = world.ends[&run];
        assert!(ended.since(start) <= seconds(605), "{:?}", ended.since(start));
    }
    assert_eq!(world.count(completed), 50);
    assert_eq!(world.count(|outcome| matches!(outcome, Outcome::StillRunning(_))), 450);
}

/// They leave at their rate as long as that is in time, and before all others.
#[test]
fn last_looks_keep_to_the_rate_where_they_can() {
    let mut world = World::new(0, scarce(20.0), TaskScript::endless());
    for nth in 0..40 {
        world.attach(&format!("task-{nth}"), seconds(0), TaskScript::endless());
    }
    world.batch.close();
    let start = world.now();
    world.finish();
    let mut late: Vec<u64> =
        world.polls().iter().map(|(at, _)| at.since(start).as_secs()).collect();
    late.retain(|second| *second >= 600);
    assert_eq!(late.len(), 40);
    let most = (600..632).map(|second| late.iter().filter(|at| **at == second).count()).max();
    assert!(most <= Some(25), "{most:?} in one second");
}

#[test]
fn a_service_that_throttles_to_the_end_keeps_no_run_beyond_it() {
    let limits = BatchLimits { submissions: 3, tasks: 20, ..BatchLimits::default() };
    let mut world = World::new(20, limits, TaskScript::endless());
    world
        .service
        .on_submit(vec![ExchangeOutcome::from(Response::new(429).retry_after(60)); 99_999]);
    let mut begun = std::collections::BTreeMap::new();
    while world.step() {
        for (run, entry) in &world.entries {
            begun.entry(*run).or_insert(entry.at);
        }
    }
    assert_eq!(world.ends.len(), 20);
    for (run, (ended, outcome)) in &world.ends {
        let Outcome::Refused(refused) = outcome else { panic!("{outcome:?}") };
        assert_eq!(refused.kind, ErrorKind::RateLimited);
        // Those that were never begun end with the batch.
        let wait = begun.get(run).map_or(Duration::ZERO, |begun| ended.since(*begun));
        assert!(wait <= seconds(630), "{wait:?}");
    }
}

/// A submission that was refused for now has its room already: rows that wait for room do not stand
/// in its way.
#[test]
fn rows_without_room_keep_no_retry_back() {
    let limits = BatchLimits { submissions: 4, tasks: 2, ..BatchLimits::default() };
    let mut world = World::new(4, limits, TaskScript::lasting(seconds(300)));
    world.service.on_submit([ExchangeOutcome::Served, ExchangeOutcome::NotSent]);
    // A third row is in the batch before the second is tried again.
    let now = world.now();
    for row in 0..3 {
        let seed = world.seed();
        world.batch.submit(super::world::request(100 + row), seed, now);
    }
    world.until(now + seconds(30));
    let submissions = world.submissions();
    assert_eq!(submissions.len(), 3, "{submissions:?}");
    assert!(submissions[2].since(now) < seconds(2), "{:?}", submissions[2].since(now));
    world.finish();
    assert!(world.ends.values().all(|(_, outcome)| completed(outcome)));
}

/// Nor do rows without money.
#[test]
fn rows_without_money_keep_no_retry_back() {
    let mut world =
        World::new(6, BatchLimits::default(), TaskScript::of_polls(1)).budget("1", None);
    world.service.on_submit([ExchangeOutcome::NotSent, ExchangeOutcome::NotSent]);
    let start = world.now();
    world.finish();
    assert_eq!(world.count(completed), 6);
    let submissions = world.submissions();
    assert!(submissions[2].since(start) < seconds(3), "{submissions:?}");
}

/// A batch learns from its own looks: the second half of its rows is looked at less and sooner.
#[test]
fn a_batch_paces_by_what_it_has_seen() {
    let learned = Policy { pace: Pace::learned(), ..policy() };
    let limits = BatchLimits { submissions: 5, tasks: 5, polls_per_second: 100.0 };
    let run = |policy: Policy| {
        let mut world = World::under(policy, 200, limits, TaskScript::lasting(seconds(14)));
        let start = world.now();
        world.finish();
        assert_eq!(world.count(completed), 200);
        (world.polls().len(), world.now().since(start), world)
    };
    let (fixed_polls, fixed_time, _) = run(policy());
    let (polls, time, world) = run(learned);
    assert!(polls < fixed_polls * 7 / 10, "{polls} instead of {fixed_polls}");
    assert!(time < fixed_time, "{time:?} instead of {fixed_time:?}");
    let eta = world.events.iter().rev().find_map(|(_, _, event)| match event {
        effects_core::Event::Running { eta, .. } => *eta,
        _ => None,
    });
    assert_eq!(eta.unwrap().typical.as_secs(), 14);
    assert_eq!(world.batch.pacer().histories().len(), 1);
}
