//! What a batch may spend, counted by the store that its runs are rows of.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use effects_core::batch::BatchLimits;
use effects_core::journal::RowNumber;
use effects_core::{ErrorKind, Outcome, Policy, Repeat, Time};
use effects_testkit::{ExchangeOutcome, Response, TaskScript};
use rust_decimal::Decimal;

use super::world::{World, completed, over_budget, policy, seconds};

fn usd(text: &str) -> Decimal {
    text.parse().unwrap()
}

#[test]
fn a_known_price_is_reserved_and_what_does_not_fit_is_refused_unsent() {
    let limits = BatchLimits { submissions: 10, tasks: 10, ..BatchLimits::default() };
    let mut world =
        World::new(20, limits, TaskScript::lasting(seconds(4))).budget("0.25", Some("0.03"));
    world.finish();
    assert_eq!((world.count(completed), world.count(over_budget)), (8, 12));
    assert_eq!(world.service.submissions(), 8);
    assert_eq!(world.scope().paid, usd("0.24"));
    assert!(world.scope().reserved.is_zero());
}

#[test]
fn without_a_price_one_task_finds_it_out() {
    let mut world = World::new(9, BatchLimits::default(), TaskScript::lasting(seconds(4)));
    world = world.budget("0.10", None);
    world.finish();
    assert_eq!((world.count(completed), world.count(over_budget)), (3, 6));
    let submitted = world.submissions();
    assert!(submitted[1].since(submitted[0]) >= seconds(4), "{submitted:?}");
}

/// A price that was learnt may have risen, so that tasks under way grow with the costs seen.
#[test]
fn tasks_under_way_grow_with_the_costs_seen() {
    let limits = BatchLimits { submissions: 64, tasks: 64, ..BatchLimits::default() };
    let mut world = World::new(40, limits, TaskScript::lasting(seconds(4))).budget("9", None);
    world.finish();
    let submitted = world.submissions();
    let generations: Vec<usize> =
        submitted.chunk_by(|one, next| next.since(*one) < seconds(3)).map(<[Time]>::len).collect();
    assert_eq!(generations[..3], [1, 3, 9], "{submitted:?}");
    assert_eq!(world.count(completed), 40);
}

#[test]
fn an_unknown_outcome_keeps_its_reservation() {
    let mut world = World::new(3, BatchLimits::default(), TaskScript::of_polls(0));
    world.service.on_submit([ExchangeOutcome::LostBefore]);
    world = world.budget("0.06", Some("0.03"));
    world.finish();
    assert_eq!(world.count(|outcome| matches!(outcome, Outcome::Unknown(_))), 1);
    assert_eq!((world.count(completed), world.count(over_budget)), (1, 1));
    assert_eq!((world.scope().reserved, world.scope().abandoned), (usd("0.03"), 1));
}

/// A submission of unknown outcome may have cost anything as long as no price is known.
#[test]
fn without_a_price_nothing_is_spent_beside_what_is_in_doubt() {
    let world = || {
        let world = World::new(9, BatchLimits::default(), TaskScript::of_polls(0));
        world.service.on_submit([ExchangeOutcome::LostAfter]);
        world
    };
    let mut unpriced = world().budget("0.10", None);
    unpriced.finish();
    assert_eq!(unpriced.count(|outcome| matches!(outcome, Outcome::Unknown(_))), 1);
    assert_eq!((unpriced.count(over_budget), unpriced.service.tasks_made()), (8, 1));
    let refused = unpriced.ends.values().find(|(_, outcome)| over_budget(outcome)).unwrap();
    let said = refused.1.clone().into_result().unwrap_err().to_string();
    assert!(said.contains("say what one picture costs at most"), "{said}");

    let mut priced = world().budget("0.10", Some("0.03"));
    priced.finish();
    assert_eq!((priced.count(completed), priced.count(over_budget)), (2, 6));
    assert_eq!(priced.scope().reserved, usd("0.03"));
}

/// A cost that cannot be read is not nothing: whatever follows needs a price.
#[test]
fn after_a_cost_that_cannot_be_read_the_rest_is_refused_unless_there_is_a_price() {
    for cost in ["", r#","usage":{"cost":""}"#, r#","usage":{"cost":null}"#] {
        let answer = format!(
            r#"{{"id":"odd","status":"completed","output":[{{"content":[{{"url":"https://x/y"}}]}}]{cost}}}"#
        );
        let world = |price| {
            let mut world = World::new(5, BatchLimits::default(), TaskScript::of_polls(0));
            world = world.budget("0.10", price);
            world.service.on_submit([Response::json(answer.clone())]);
            world.finish();
            world
        };
        let unpriced = world(None);
        assert_eq!((unpriced.count(completed), unpriced.count(over_budget)), (1, 4), "{cost}");
        assert!(unpriced.scope().unreadable.is_some());
        let refused = unpriced.ends.values().find(|(_, outcome)| over_budget(outcome)).unwrap();
        let said = refused.1.clone().into_result().unwrap_err().to_string();
        assert!(said.contains("--price"), "{said}");
        // It counts as one picture.
        let priced = world(Some("0.03"));
        assert_eq!((priced.count(completed), priced.count(over_budget)), (3, 2), "{cost}");
    }
}

/// A price that turns out higher counts for what is under way already.
#[test]
fn a_higher_cost_raises_what_is_reserved() {
    let limits = BatchLimits { submissions: 1, tasks: 3, ..BatchLimits::default() };
    let mut world = World::new(9, limits, TaskScript::lasting(seconds(9)));
    let dear = r#"{"id":"dear","status":"completed","output":[{"content":[{"url":"https://x/y"}]}],
        "usage":{"cost":"0.10"}}"#;
    world.service.on_submit([
        ExchangeOutcome::Served,
        ExchangeOutcome::Served,
        Response::json(dear).into(),
    ]);
    world = world.budget("0.30", Some("0.03"));
    while world.scope().paid.is_zero() {
        world.step();
    }
    // Two under way at ten cents each, ten paid: nothing is left.
    assert_eq!(world.scope().reserved, usd("0.20"));
    world.finish();
    assert!(world.scope().paid <= usd("0.30"));
}

/// Each attempt of unknown outcome may be billed, beside the task that is known.
#[test]
fn every_attempt_of_unknown_outcome_counts_beside_the_task() {
    let repeating = Policy { repeat: Repeat::Always, ..policy() };
    let mut world = World::under(repeating, 1, BatchLimits::default(), TaskScript::of_polls(0));
    world.service.on_submit([ExchangeOutcome::LostAfter, ExchangeOutcome::LostAfter]);
    world = world.budget("0.09", Some("0.03"));
    world.finish();
    assert_eq!((world.count(completed), world.service.tasks_made()), (1, 3));
    assert_eq!((world.scope().paid, world.scope().reserved), (usd("0.03"), usd("0.06")));

    // Where there is no money for another attempt, the row is doubtful.
    let repeating = Policy { repeat: Repeat::Always, ..policy() };
    let mut world = World::under(repeating, 1, BatchLimits::default(), TaskScript::of_polls(0));
    world.service.on_submit([ExchangeOutcome::LostAfter, ExchangeOutcome::LostAfter]);
    world = world.budget("0.07", Some("0.03"));
    world.finish();
    assert_eq!(world.count(|outcome| matches!(outcome, Outcome::Unknown(_))), 1);
    assert_eq!((world.service.tasks_made(), world.scope().reserved), (2, usd("0.06")));
}

/// A run that is throttled keeps its money: no other run takes it while it waits.
#[test]
fn a_throttled_run_keeps_its_reservation() {
    let limits = BatchLimits { submissions: 1, tasks: 2, ..BatchLimits::default() };
    let mut world = World::new(2, limits, TaskScript::of_polls(0));
    world.service.on_submit([Response::new(429)]);
    world = world.budget("0.03", Some("0.03"));
    world.finish();
    assert_eq!((world.count(completed), world.count(over_budget)), (1, 1));
    let store = &world.store;
    let first =
        effects_jobs::JournalStore::find(store, &effects_jobs::RowName::Number(RowNumber(1)));
    assert_eq!(first.unwrap().unwrap().state.name(), "completed");
}

#[test]
fn a_run_that_left_without_a_task_gives_its_reservation_back() {
    let mut world = World::new(3, BatchLimits::default(), TaskScript::endless());
    world.service.on_submit(vec![ExchangeOutcome::NotSent; 999]);
    world = world.budget("1", Some("0.03"));
    let start = world.now();
    world.until(Time::from_millis(start.as_millis() + 20_000));
    assert_eq!(world.scope().reserved, usd("0.09"));
    world.batch.detach(world.now());
    world.finish();
    assert!(world.scope().reserved.is_zero());
}

/// Pictures that cannot be found are paid for all the same.
#[test]
fn a_batch_pays_for_nothing_more_after_three_tasks_in_a_row_without_a_picture() {
    let odd =
        || TaskScript::of_polls(1).ending_with(r#""status":"completed","output":[{"image":"x"}]"#);
    let refused = |outcome: &Outcome| {
        let refused = matches!(outcome, Outcome::Refused(it) if it.kind == ErrorKind::NoPicture);
        assert!(refused || matches!(outcome, Outcome::Failed(_)), "{outcome:?}");
        refused
    };
    for (tasks, made) in [(1, 3), (2, 4), (5, 7)] {
        let limits = BatchLimits { submissions: tasks, tasks, ..BatchLimits::default() };
        let mut world = World::new(40, limits, odd());
        world.finish();
        let paid = world.service.tasks_made();
        assert!(paid >= 3 && paid <= made, "{paid} with {tasks} at once");
        assert_eq!(world.count(refused), 40 - paid);
    }
    let said = |outcome: Outcome| outcome.into_result().unwrap_err().to_string();
    let mut world = World::new(9, BatchLimits { tasks: 1, ..BatchLimits::default() }, odd());
    world.finish();
    let last = world.ends.values().next_back().unwrap().1.clone();
    assert!(said(last.clone()).contains("nothing is billed"), "{}", said(last));

    // A picture between them is a sign that all is well, and a failure none of either.
    let (done, failed) = (|| completion("[\"https://x/y\"]"), || ExchangeOutcome::from(failure()));
    let bare = || completion("[]");
    let mut world =
        World::new(12, BatchLimits { tasks: 1, ..BatchLimits::default() }, TaskScript::of_polls(0));
    world.service.on_submit([
        bare(),
        bare(),
        done(),
        bare(),
        bare(),
        done(),
        bare(),
        failed(),
        bare(),
        failed(),
        bare(),
    ]);
    world.finish();
    assert_eq!((world.service.submissions(), world.count(completed)), (11, 2));
}

/// A task that is completed when it is made, with this output.
fn completion(output: &str) -> ExchangeOutcome {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let id = MADE.fetch_add(1, Ordering::Relaxed);
    Response::json(format!(r#"{{"id":"odd-{id}","status":"completed","output":{output}}}"#)).into()
}

fn failure() -> Response {
    Response::json(r#"{"id":"bad","status":"failed","error":{"code":"3009095"}}"#)
}

/// A task that is followed costs nothing, whatever the batch has seen.
#[test]
fn tasks_that_are_paid_for_are_followed_however_few_pictures_there_were() {
    let odd = TaskScript::of_polls(1).ending_with(r#""status":"completed","output":[]"#);
    let mut world = World::new(8, BatchLimits { tasks: 1, ..BatchLimits::default() }, odd);
    while world.count(|outcome| matches!(outcome, Outcome::Refused(_))) == 0 {
        assert!(world.step(), "nothing is refused");
    }
    let run = world.attach("older", Duration::ZERO, TaskScript::of_polls(2));
    world.finish();
    assert!(completed(world.outcome(run)));
}

/// The wait of a run that has to wait for its budget begins with its first attempt.
#[test]
fn the_wait_for_the_budget_is_not_part_of_the_wait_for_the_task() {
    let short = Policy { wait_timeout: Duration::from_secs(6), ..policy() };
    let limits = BatchLimits { submissions: 4, tasks: 4, ..BatchLimits::default() };
    let mut world =
        World::under(short, 4, limits, TaskScript::lasting(seconds(4))).budget("0.12", None);
    world.finish();
    assert_eq!(world.count(completed), 4);
}
