//! The scripted service under the core's own drivers, and what its outcomes cost.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use effects_core::driver::{Driven, drive, drive_on_async};
use effects_core::journal::NoJournal;
use effects_core::{EffectRequest, ErrorKind, Outcome, Policy, Run, Seed, Template};
use effects_testkit::{
    ExchangeFault, ExchangeOutcome, Faults, Response, Service, TaskScript, VirtualClock, World,
};

fn run(clock: &VirtualClock) -> Run {
    let request = EffectRequest::new(Template::GlassBall, "https://example.com/cat.jpg").unwrap();
    Run::submit(request, Arc::new(Policy::default()), Seed::from(1), clock.time())
}

/// Nothing here ever waits for anything, so a future is ready when it is asked.
fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a virtual world never waits"),
    }
}

#[test]
fn both_drivers_and_the_world_see_the_same_service() {
    let script = |service: &Service| {
        service.on_submit([ExchangeOutcome::NotSent, Response::new(429).retry_after(3).into()]);
        service.on_poll([
            ExchangeOutcome::html(),
            ExchangeOutcome::Truncated(3),
            ExchangeOutcome::Served.after(LONG),
        ]);
    };
    let service = || {
        let service = Service::new(VirtualClock::new())
            .task_script(TaskScript::lasting(Duration::from_secs(90)))
            .latency(Duration::from_millis(200));
        script(&service);
        service
    };

    let blocking = service();
    let clock = blocking.clock();
    let outcome = drive(&mut run(clock), &blocking.gateway(), clock, &NoJournal, |_| {}).unwrap();

    let waiting = service();
    let gateway = waiting.gateway();
    let mut followed = run(waiting.clock());
    let same = loop {
        let driven = drive_on_async(&mut followed, &gateway, waiting.clock(), &NoJournal);
        if let Driven::Done(outcome) = ready(driven).unwrap() {
            break outcome;
        }
    };

    let mut world = World::around(service());
    let third = world.drive(&mut run(world.clock()));

    assert!(matches!(outcome, Outcome::Completed(_)), "{}", world.transcript());
    assert_eq!((&same, &third), (&outcome, &outcome), "{}", world.transcript());
    for service in [&blocking, &waiting, &world.service()] {
        assert_eq!((service.submissions(), service.tasks_made()), (3, 1));
    }
    assert_eq!(blocking.polls(), waiting.polls());
}

#[test]
fn money_is_counted_where_the_service_did_its_part_and_only_there() {
    for (exchange_outcome, tasks) in [
        (ExchangeOutcome::Served, 1),
        (ExchangeOutcome::NotSent, 0),
        (ExchangeOutcome::LostBefore, 0),
        (ExchangeOutcome::LostAfter, 1),
        (Response::new(500).into(), 0),
        (ExchangeOutcome::ServedBut(Response::new(500)), 1),
        (ExchangeOutcome::garbage(), 1),
        (ExchangeOutcome::html(), 1),
        (ExchangeOutcome::Truncated(4), 1),
        (ExchangeOutcome::Served.after(LONG), 1),
    ] {
        let mut world = World::new();
        let service = world.service();
        service.on_submit([exchange_outcome.clone()]);
        // Whatever is repeated after it is refused.
        service.on_submit([Response::new(401)]);
        world.drive(&mut run(world.clock()));
        assert_eq!(service.tasks_made(), tasks, "{exchange_outcome:?}\n{}", world.transcript());
    }
}

#[test]
fn lives_end_as_they_are_told_to() {
    let outcome = |task_script: TaskScript| {
        let mut world = World::around(Service::new(VirtualClock::new()).task_script(task_script));
        let mut run = run(world.clock());
        (world.drive(&mut run), world)
    };
    let (completed, world) = outcome(TaskScript::of_polls(2).unknown_for(Duration::from_secs(5)));
    assert!(matches!(completed, Outcome::Completed(_)), "{}", world.transcript());
    assert!(world.transcript().to_string().contains("404 Not Found"));

    let (failed, _) = outcome(TaskScript::of_polls(0).failing("3009097", "HTTP error response"));
    assert_eq!(failed.into_result().unwrap_err().code().unwrap().as_str(), "3009097");
    let (odd, _) = outcome(TaskScript::of_polls(0).ending_with(r#""status":"done","output":[]"#));
    assert_eq!(odd.into_result().unwrap_err().kind(), ErrorKind::NoPicture);
    let (running, world) = outcome(TaskScript::endless());
    assert!(matches!(running, Outcome::StillRunning(_)));
    assert_eq!(world.transcript().elapsed(), Policy::default().wait_timeout);
}

#[test]
fn faults_keep_to_their_rate_and_every_one_of_them_comes() {
    let exchange_outcomes = |rate, menu: &[ExchangeFault]| {
        let mut faults = Faults::new(3).rate(rate).among(menu);
        (0..2_000).map(move |_| faults.draw())
    };
    let all: Vec<ExchangeFault> =
        ExchangeFault::TRANSIENT.into_iter().chain(ExchangeFault::PERMANENT).collect();
    assert!(
        exchange_outcomes(0.0, &all)
            .all(|exchange_outcome| matches!(exchange_outcome, ExchangeOutcome::Served))
    );
    assert!(
        exchange_outcomes(1.0, &[])
            .all(|exchange_outcome| matches!(exchange_outcome, ExchangeOutcome::Served))
    );
    assert!(
        exchange_outcomes(1.0, &all)
            .all(|exchange_outcome| !matches!(exchange_outcome, ExchangeOutcome::Served))
    );
    let half = exchange_outcomes(0.5, &[ExchangeFault::LostBefore])
        .filter(|exchange_outcome| matches!(exchange_outcome, ExchangeOutcome::LostBefore));
    assert!((900..1_100).contains(&half.count()));
    for fault in all {
        // Each is something else than being served.
        let mut drawn = exchange_outcomes(1.0, &[fault]);
        assert!(
            drawn.all(|exchange_outcome| !matches!(exchange_outcome, ExchangeOutcome::Served)),
            "{fault:?}"
        );
    }
}

#[test]
fn a_late_answer_arrives_when_it_arrives() {
    let mut world = World::new();
    world.service().on_submit([ExchangeOutcome::Served.after(LONG)]);
    let mut run = run(world.clock());
    assert!(matches!(world.drive(&mut run), Outcome::Unknown(_)));
    assert!(world.deliver_late(&mut run));
    assert!(!world.deliver_late(&mut run));
    let outcome = world.drive(&mut run);
    assert!(matches!(outcome, Outcome::Completed(_)), "{}", world.transcript());
}

#[test]
#[should_panic(expected = "a sleep without an end")]
fn a_sleep_that_nothing_can_end_fails_the_test() {
    VirtualClock::new().jump_to(effects_core::Time::MAX);
}

/// Longer than a request may take.
const LONG: Duration = Duration::from_secs(45);
