//! A gateway that fails every submission: the circuit breaker of a batch.

use std::time::Duration;

use effects_core::batch::{BatchLimits, OutageFailure};
use effects_core::{ErrorKind, Outcome, Policy, Seed, Time};
use effects_testkit::{ExchangeOutcome, Response, TaskScript};

use super::world::{World, completed, policy, request, seconds};

/// One submission at a time.
const NARROW: BatchLimits = BatchLimits { submissions: 1, tasks: 16, polls_per_second: 1e9 };

fn world(rows: u32, exchange_outcomes: impl IntoIterator<Item = ExchangeOutcome>) -> World {
    let world = World::new(rows, NARROW, TaskScript::of_polls(0));
    world.service.on_submit(exchange_outcomes);
    world
}

fn bad_gateway() -> ExchangeOutcome {
    Response::new(502).into()
}

fn too_many() -> ExchangeOutcome {
    Response::new(429).into()
}

fn unknown(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Unknown(_))
}

fn refused_as(world: &World, kind: ErrorKind) -> usize {
    world.count(|outcome| matches!(outcome, Outcome::Refused(refused) if refused.kind == kind))
}

fn gaps(times: &[Time]) -> Vec<u64> {
    times.windows(2).map(|pair| pair[1].since(pair[0]).as_secs()).collect()
}

#[test]
fn after_three_unknown_in_a_row_none_leaves_for_half_a_minute_and_then_one_does() {
    let mut world = world(9, vec![bad_gateway(); 3]);
    let start = world.now();
    world.until(start + seconds(5));
    let outage = world.batch.outage().unwrap();
    assert_eq!((&outage.failure, outage.is_final), (&OutageFailure::Unknown(3), false));
    assert_eq!(world.service.submissions(), 3);
    world.finish();
    assert_eq!((world.count(unknown), world.count(completed)), (3, 6));
    let times = world.submissions();
    assert!(times[3].since(times[2]) >= seconds(30), "{:?}", gaps(&times));
    assert!(times[4].since(times[3]) < seconds(1), "{:?}", gaps(&times));
    assert_eq!(world.batch.outage(), None);
}

#[test]
fn a_probe_of_unknown_outcome_ends_it_and_nothing_more_is_sent() {
    let mut world = world(300, vec![bad_gateway(); 300]);
    world.finish();
    assert_eq!((world.service.submissions(), world.count(unknown)), (4, 4));
    assert_eq!(refused_as(&world, ErrorKind::Transport), 296);
    assert!(world.batch.outage().unwrap().is_final);
    let refused = world.ends.values().find(|(_, outcome)| !unknown(outcome)).unwrap();
    let said = refused.1.clone().into_result().unwrap_err().to_string();
    assert!(
        said.contains("4 submissions in a row") && said.contains("nothing is billed"),
        "{said}"
    );
}

#[test]
fn those_that_are_out_when_it_pauses_are_no_probe() {
    let limits = BatchLimits { submissions: 8, ..NARROW };
    let mut world = World::new(40, limits, TaskScript::of_polls(0));
    world.service.on_submit(vec![bad_gateway(); 8]);
    world.finish();
    assert_eq!((world.count(unknown), world.count(completed)), (8, 32));
}

#[test]
fn an_answer_in_between_begins_the_count_anew() {
    let mut world = world(
        12,
        [bad_gateway(), bad_gateway(), ExchangeOutcome::Served, bad_gateway(), bad_gateway()]
            .into_iter()
            .chain([
                Response::new(400).into(),
                bad_gateway(),
                bad_gateway(),
                ExchangeOutcome::Served,
            ]),
    );
    let start = world.now();
    world.finish();
    assert_eq!((world.count(unknown), world.count(completed)), (6, 5));
    assert!(world.now().since(start) < seconds(30));
}

#[test]
fn how_many_are_too_many_is_the_callers_to_say() {
    let policy = Policy { unknown_in_a_row: 5, ..policy() };
    let mut world = World::under(policy, 9, NARROW, TaskScript::of_polls(0));
    world.service.on_submit(vec![bad_gateway(); 4]);
    let start = world.now();
    world.finish();
    assert_eq!((world.count(unknown), world.count(completed)), (4, 5));
    assert!(world.now().since(start) < seconds(30));
}

#[test]
fn refusals_for_now_make_one_pause_for_all_that_grows() {
    let mut world = world(6, vec![too_many(); 10]);
    world.finish();
    assert_eq!(world.count(completed), 6);
    let times = world.submissions();
    assert_eq!(times.len(), 16);
    // One at a time, and then all of them.
    let gaps = gaps(&times);
    for (gap, least) in gaps.iter().zip([1, 2, 4, 8, 16, 32, 60, 60, 60, 60]) {
        assert!(*gap >= least, "{gaps:?}");
    }
    assert!(gaps[10..].iter().all(|gap| *gap < 2), "{gaps:?}");
}

#[test]
fn a_gateway_that_refuses_for_a_whole_wait_ends_the_batch_and_not_each_row() {
    let mut world = World::new(60, BatchLimits::default(), TaskScript::of_polls(0));
    world.service.on_submit(vec![too_many(); 9_999]);
    let start = world.now();
    world.finish();
    assert_eq!(refused_as(&world, ErrorKind::RateLimited), 60);
    let (took, sent) = (world.now().since(start), world.service.submissions());
    assert!(took >= seconds(600) && took < seconds(700), "{took:?}");
    assert!(sent < 25, "{sent}");
    assert!(world.batch.outage().unwrap().is_final);
    assert!(matches!(world.batch.outage().unwrap().failure, OutageFailure::Throttled(_)));
}

#[test]
fn what_never_left_says_nothing_of_the_gateway() {
    let exchange_outcomes = [bad_gateway(), bad_gateway(), ExchangeOutcome::NotSent, bad_gateway()];
    let mut world = world(9, exchange_outcomes);
    world.until(world.now() + Duration::from_secs(10));
    assert_eq!(world.batch.outage().unwrap().failure, OutageFailure::Unknown(3));
}

/// A caller waits for each, so each is as good as its own answer.
#[test]
fn runs_that_were_begun_at_once_are_not_held_back() {
    let mut world = World::new(0, NARROW, TaskScript::of_polls(0));
    world.service.on_submit(vec![bad_gateway(); 6]);
    let now = world.now();
    for row in 0..9 {
        world.batch.submit_at_once(request(row), Seed::from(u64::from(row)), now);
    }
    world.batch.close();
    world.finish();
    assert_eq!((world.count(unknown), world.count(completed)), (6, 3));
    assert!(world.now().since(now) < seconds(30));
}

#[test]
fn a_run_begun_at_once_waits_for_the_pause_of_the_service_and_not_for_the_next_probe() {
    let mut world = world(6, vec![too_many(); 7]);
    while world.submissions().len() < 7 {
        world.step();
    }
    // Once this one is refused, the next probe of the rows is a minute away, and the end of the service's
    // pause a second.
    let probed = world.now();
    let run = world.batch.submit_at_once(request(6), Seed::from(6), probed);
    world.finish();
    assert!(completed(world.outcome(run)));
    let left = world.submissions()[7];
    assert!(left.since(probed) < seconds(3), "{:?}", gaps(&world.submissions()));
}

#[test]
fn submissions_that_cannot_leave_are_tried_one_at_a_time_until_one_does() {
    let mut world = world(60, vec![ExchangeOutcome::NotSent; 8]);
    world.until(world.now() + seconds(10));
    let outage = world.batch.outage().unwrap();
    assert!(matches!(outage.failure, OutageFailure::NotSent { .. }) && !outage.is_final);
    assert!(outage.to_string().starts_with("no submission leaves this machine ("), "{outage}");
    world.finish();
    assert_eq!((world.count(completed), world.batch.outage()), (60, None));
    let gaps = gaps(&world.submissions());
    for (gap, least) in gaps[2..].iter().zip([1, 2, 4, 8, 16]) {
        assert!(*gap >= least, "{gaps:?}");
    }
}

#[test]
fn a_gateway_that_none_reaches_for_a_whole_wait_ends_the_batch_and_not_each_row() {
    let mut world = World::new(60, BatchLimits::default(), TaskScript::of_polls(0));
    world.service.on_submit(vec![ExchangeOutcome::NotSent; 9_999]);
    let start = world.now();
    world.finish();
    assert_eq!((refused_as(&world, ErrorKind::Transport), world.count(unknown)), (60, 0));
    let took = world.now().since(start);
    assert!(took >= seconds(600) && took < seconds(700), "{took:?}");
    assert!(world.submissions().len() < 40, "{}", world.submissions().len());
    let outage = world.batch.outage().unwrap();
    assert!(matches!(outage.failure, OutageFailure::NotSent { .. }) && outage.is_final);
}
