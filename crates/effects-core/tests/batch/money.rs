//! What a batch may spend.

use std::time::Duration;

use effects_core::{Budget, Fact, Outcome, Time, Widths};
use effects_testkit::{Fate, Life, Response};

use crate::world::{World, completed, over_budget};

#[test]
fn a_known_price_is_reserved_and_what_does_not_fit_is_refused_unsent() {
    let widths = Widths { submissions: 10, tasks: 10, ..Widths::default() };
    let mut world = World::new(20, widths, Life::lasting(Duration::from_secs(4)));
    let limit = "0.25".parse().unwrap();
    world = world.budget(Budget::limited(limit).with_price("0.03".parse().unwrap()));
    world.finish();
    assert_eq!((world.count(completed), world.count(over_budget)), (8, 12));
    assert_eq!(world.service.submissions(), 8);
    assert_eq!(world.batch.budget().spent().to_string(), "0.24");
    assert!(world.batch.budget().committed().is_zero());
}

#[test]
fn without_a_price_one_task_finds_it_out() {
    let mut world = World::new(9, Widths::default(), Life::lasting(Duration::from_secs(4)));
    world = world.budget(Budget::limited("0.10".parse().unwrap()));
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
    world =
        world.budget(Budget::limited("0.06".parse().unwrap()).with_price("0.03".parse().unwrap()));
    world.finish();
    assert_eq!(world.count(|outcome| matches!(outcome, Outcome::Unknown(_))), 1);
    assert_eq!((world.count(completed), world.count(over_budget)), (1, 1));
    assert_eq!(world.batch.budget().committed().to_string(), "0.03");
}

#[test]
fn what_was_spent_before_counts() {
    let budget = Budget::limited("0.10".parse().unwrap())
        .with_spent("0.05".parse().unwrap())
        .with_price("0.03".parse().unwrap());
    let mut world = World::new(4, Widths::default(), Life::of_polls(0)).budget(budget);
    world.finish();
    assert_eq!((world.count(completed), world.count(over_budget)), (1, 3));
    assert_eq!(world.batch.budget().spent().to_string(), "0.08");
}

/// A submission of unknown fate may have cost anything as long as no price is known.
#[test]
fn without_a_price_nothing_is_spent_beside_what_is_in_doubt() {
    let world = || {
        let world = World::new(9, Widths::default(), Life::of_polls(0));
        world.service.on_submit([Fate::LostAfter]);
        world
    };
    let limited = || Budget::limited("0.10".parse().unwrap());
    let mut unpriced = world().budget(limited());
    unpriced.finish();
    assert_eq!(unpriced.count(|outcome| matches!(outcome, Outcome::Unknown(_))), 1);
    assert_eq!((unpriced.count(over_budget), unpriced.service.tasks_made()), (8, 1));
    let refused = unpriced.ends.values().find(|(_, outcome)| over_budget(outcome)).unwrap();
    let said = refused.1.clone().into_result().unwrap_err().to_string();
    assert!(said.contains("say what one costs at most"), "{said}");

    let mut priced = world().budget(limited().with_price("0.03".parse().unwrap()));
    priced.finish();
    assert_eq!((priced.count(completed), priced.count(over_budget)), (2, 6));
    assert_eq!(priced.batch.budget().committed().to_string(), "0.03");
}

/// A price that turns out higher counts for what is under way already.
#[test]
fn a_higher_cost_raises_what_is_reserved() {
    let widths = Widths { submissions: 1, tasks: 3, ..Widths::default() };
    let mut world = World::new(9, widths, Life::lasting(Duration::from_secs(9)));
    let dear = r#"{"id":"dear","status":"completed","output":[{"content":[{"url":"https://x/y"}]}],
        "usage":{"cost":"0.10"}}"#;
    world.service.on_submit([Fate::Served, Fate::Served, Response::json(dear).into()]);
    world =
        world.budget(Budget::limited("0.30".parse().unwrap()).with_price("0.03".parse().unwrap()));
    while world.batch.budget().spent().is_zero() {
        world.step();
    }
    // Two under way at ten cents each, ten spent: nothing is left.
    assert_eq!(world.batch.budget().left(), Some("0.00".parse().unwrap()));
    world.finish();
    assert!(world.batch.budget().spent() <= "0.30".parse().unwrap());
}

#[test]
fn a_journal_that_takes_no_intent_costs_nothing_and_one_that_takes_no_id_may() {
    for (unwritable, committed, made) in [
        ((|fact| matches!(fact, Fact::Intent { .. })) as fn(&Fact) -> bool, "0", 0),
        (|fact| matches!(fact, Fact::Created { .. }), "0.06", 2),
        (|fact| matches!(fact, Fact::Released { .. }), "0", 0),
    ] {
        let mut world = World::new(2, Widths::default(), Life::of_polls(0));
        if made == 0 {
            world.service.on_submit([Response::new(400), Response::new(400)]);
        }
        world.unwritable = unwritable;
        world =
            world.budget(Budget::limited("1".parse().unwrap()).with_price("0.03".parse().unwrap()));
        world.finish();
        assert_eq!((world.given_up.len(), world.ends.len()), (2, 0));
        assert_eq!(world.service.tasks_made(), made);
        let kept = world.batch.budget().committed();
        assert_eq!(kept, committed.parse().unwrap(), "{kept}");
        assert_eq!((world.batch.live(), world.batch.posting()), (0, 0));
    }
}

#[test]
fn a_run_that_left_without_a_task_gives_its_reservation_back() {
    let mut world = World::new(3, Widths::default(), Life::endless());
    world.service.on_submit(vec![Fate::NotSent; 999]);
    world = world.budget(Budget::limited("1".parse().unwrap()).with_price("0.03".parse().unwrap()));
    let start = world.now();
    world.until(Time::from_millis(start.as_millis() + 20_000));
    assert_eq!(world.batch.budget().committed().to_string(), "0.09");
    world.batch.detach(world.now());
    world.finish();
    assert!(world.batch.budget().committed().is_zero());
}
