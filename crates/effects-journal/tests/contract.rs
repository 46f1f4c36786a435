//! The contract of a [`JournalStore`] over every store there is: the one in memory, the file, and the
//! database where this machine can start a server.
//!
//! What only a file or a database can do (processes, crashes, older formats) is tested in the other files here.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::path::Path;

use common::*;
use effects_core::journal::{Admission, Journal, JournalError, OverBudget, RowNumber, RowOutcome};
use effects_core::{Size, Template, Time};
use effects_jobs::{
    Attempt, Budget, JournalStore, MemoryStore, Opened, PictureRecord, Resolution, RowDraft,
    RowName, RowState, SavedContent, ScopeNumber, ScopeState, SpendBy,
};
use effects_journal::SqliteJournal;
use rust_decimal::Decimal;

/// Runs a case over every store.
fn over_every_store(case: impl Fn(&dyn JournalStore)) {
    case(&MemoryStore::new());
    case(&SqliteJournal::open(":memory:").unwrap());
    over_postgres(case);
}

#[cfg(all(feature = "postgres", target_os = "linux"))]
fn over_postgres(case: impl Fn(&dyn JournalStore)) {
    match effects_testkit::postgres::TestDatabase::create() {
        Ok(database) => case(&effects_journal::PostgresStore::connect(&database.url()).unwrap()),
        Err(why) => println!("skipped over Postgres: {why}"),
    }
}

#[cfg(not(all(feature = "postgres", target_os = "linux")))]
fn over_postgres(_case: impl Fn(&dyn JournalStore)) {
    println!("skipped over Postgres: built without it");
}

fn usd(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn budget(scope: ScopeNumber, limit: &str, price: Option<&str>) -> Budget {
    Budget { scope, limit: usd(limit), price: price.map(usd) }
}

fn scope(store: &dyn JournalStore) -> ScopeNumber {
    store.open_scope(None).unwrap()
}

/// A new row under budgets, and what its intent is answered with.
fn intend(
    store: &dyn JournalStore,
    name: &str,
    budgets: &[Budget],
) -> (std::sync::Arc<dyn effects_jobs::RowJournal>, Admission) {
    let open = submit_to(store, &row(name));
    open.charge_to(budgets);
    let answer = Journal::write(&*open, &intent(0)).unwrap();
    (open, answer)
}

fn submit_to(
    store: &dyn JournalStore,
    row: &effects_jobs::Row,
) -> std::sync::Arc<dyn effects_jobs::RowJournal> {
    match store.open(row).unwrap() {
        Opened::Submit(open) => open,
        other => panic!("{other:?}"),
    }
}

fn buy(store: &dyn JournalStore, name: &str, budgets: &[Budget], end: &RowOutcome) -> Admission {
    let (open, answer) = intend(store, name, budgets);
    if answer == Admission::Admitted {
        let (RowOutcome::Completed { task, .. } | RowOutcome::Failed { task, .. }) = end else {
            panic!()
        };
        Journal::write(&*open, &created(task.as_str())).unwrap();
        open.settle(end).unwrap();
    }
    answer
}

fn without_cost(task: &str) -> RowOutcome {
    RowOutcome::Completed { task: task.parse().unwrap(), cost: None, pictures: Vec::new() }
}

fn state(store: &dyn JournalStore, scope: ScopeNumber) -> ScopeState {
    store.scope(scope).unwrap()
}

fn exceeded(answer: &Admission) -> bool {
    matches!(answer, Admission::OverBudget(OverBudget::Exceeded { .. }))
}

#[test]
fn a_row_is_inserted_once_settled_once_and_found_again() {
    over_every_store(|store| {
        let (open, answer) = intend(store, "cat", &[]);
        assert_eq!(answer, Admission::Admitted);
        let second = store.open(&row("cat")).unwrap();
        assert!(matches!(second, Opened::Elsewhere(_)), "{second:?}");
        Journal::write(&*open, &created("t1")).unwrap();
        open.settle(&completed("t1", "0.03")).unwrap();
        let Opened::Finished(record, _) = store.open(&row("cat")).unwrap() else { panic!() };
        assert_eq!(record.state.cost(), Some(usd("0.03")));
        assert_eq!(store.spend(SpendBy::Template, None).unwrap()[0].cost, usd("0.03"));
    });
}

#[test]
fn the_second_run_is_told_before_anything_is_sent() {
    over_every_store(|store| {
        let (first, second) = (submit_to(store, &row("cat")), submit_to(store, &row("cat")));
        Journal::write(&*first, &intent(0)).unwrap();
        let taken = Journal::write(&*second, &intent(0));
        assert_eq!(taken, Err(JournalError::Taken { row: RowNumber(1) }));
        assert!(second.is_taken() && !first.is_taken());
    });
}

#[test]
fn a_dropped_intent_is_doubtful_and_a_person_resolves_it() {
    over_every_store(|store| {
        drop(intend(store, "cat", &[]));
        let Opened::Doubtful(record) = store.open(&row("cat")).unwrap() else { panic!() };
        store.resolve(record.number, &Resolution::NotBilled).unwrap();
        drop(intend(store, "cat", &[]));
        store.resolve(record.number, &Resolution::Task("t1".parse().unwrap())).unwrap();
        assert!(matches!(store.open(&row("cat")).unwrap(), Opened::Watch(..)));
    });
}

/// An answer that comes after its row was taken for doubtful is the row's all the same: the attempt
/// names it.
#[test]
fn a_late_task_is_taken_by_the_attempt_that_made_it() {
    over_every_store(|store| {
        let (open, _) = intend(store, "cat", &[]);
        open.settle(&RowOutcome::Unknown { reason: "reset".into() }).unwrap();
        Journal::write(&*open, &created_by("t1", "request 0")).unwrap();
        let found = store.find(&RowName::Identity(row("cat").identity)).unwrap().unwrap();
        assert!(matches!(found.state, RowState::Created { .. }), "{found:?}");
    });
}

/// Found by the simulated world: a run that follows a task and is dropped lets go of its row.
#[test]
fn a_followed_row_is_free_again_when_its_run_is_dropped() {
    over_every_store(|store| {
        let (open, _) = intend(store, "cat", &[]);
        Journal::write(&*open, &created("t1")).unwrap();
        drop(open);
        for _ in 0..2 {
            let Opened::Watch(_, follow) = store.open(&row("cat")).unwrap() else { panic!() };
            assert!(matches!(store.open(&row("cat")).unwrap(), Opened::Elsewhere(_)));
            drop(follow);
        }
    });
}

#[test]
fn rows_of_a_scope_never_cost_more_than_its_budget_together() {
    over_every_store(|store| {
        let limit = [budget(scope(store), "0.10", Some("0.03"))];
        let held: Vec<_> = (0..3).map(|n| intend(store, &format!("cat{n}"), &limit)).collect();
        assert!(held.iter().all(|(_, answer)| *answer == Admission::Admitted));
        let (_, fourth) = intend(store, "cat3", &limit);
        assert_eq!(fourth, Admission::Wait { row: RowNumber(1) });
        // One of them made no task, and its run is over.
        Journal::write(&*held[0].0, &released("401")).unwrap();
        held[0].0.settle(&RowOutcome::Abandoned).unwrap();
        assert_eq!(intend(store, "cat3", &limit).1, Admission::Admitted);
    });
}

#[test]
fn a_released_row_keeps_its_reservation_while_its_run_lives() {
    over_every_store(|store| {
        let limit = [budget(scope(store), "0.03", Some("0.03"))];
        let (open, _) = intend(store, "cat", &limit);
        Journal::write(&*open, &released("429")).unwrap();
        assert!(matches!(intend(store, "dog", &limit).1, Admission::Wait { .. }));
        assert_eq!(Journal::write(&*open, &intent(1)), Ok(Admission::Admitted));
        open.settle(&RowOutcome::Abandoned).unwrap();
        // Left without an answer, it is doubtful, and its money is not another's.
        assert!(exceeded(&intend(store, "dog", &limit).1));
    });
}

#[test]
fn without_a_price_one_row_finds_it_out_and_more_follow_as_costs_are_seen() {
    over_every_store(|store| {
        let limit = [budget(scope(store), "9", None)];
        let (first, answer) = intend(store, "cat0", &limit);
        assert_eq!(answer, Admission::Admitted);
        assert_eq!(intend(store, "cat1", &limit).1, Admission::Wait { row: RowNumber(1) });
        Journal::write(&*first, &created("t0")).unwrap();
        first.settle(&completed("t0", "0.03")).unwrap();
        let held: Vec<_> = (1..6).map(|n| intend(store, &format!("cat{n}"), &limit)).collect();
        let admitted = held.iter().filter(|(_, answer)| *answer == Admission::Admitted).count();
        assert_eq!(admitted, 3);
    });
}

#[test]
fn doubt_without_a_price_ends_a_budget() {
    over_every_store(|store| {
        let scope = scope(store);
        drop(intend(store, "cat", &[budget(scope, "9", None)]));
        let refused = intend(store, "dog", &[budget(scope, "9", None)]).1;
        assert_eq!(refused, Admission::OverBudget(OverBudget::PriceUnknown { open: 1 }));
        assert_eq!(
            intend(store, "dog", &[budget(scope, "0.06", Some("0.03"))]).1,
            Admission::Admitted
        );
    });
}

#[test]
fn a_cost_that_cannot_be_read_is_not_nothing() {
    over_every_store(|store| {
        let scope = scope(store);
        let limit = |price| [budget(scope, "0.09", price)];
        assert_eq!(buy(store, "cat", &limit(None), &without_cost("t1")), Admission::Admitted);
        let refused = intend(store, "dog", &limit(None)).1;
        let row = RowNumber(1);
        assert_eq!(refused, Admission::OverBudget(OverBudget::CostUnreadable { row }));
        // With a price it counts as one picture; a later look may still tell its cost.
        let priced = limit(Some("0.03"));
        assert_eq!(buy(store, "dog", &priced, &completed("t2", "0.03")), Admission::Admitted);
        assert_eq!(buy(store, "cow", &priced, &completed("t3", "0.03")), Admission::Admitted);
        assert!(exceeded(&intend(store, "pig", &priced).1));
        let Opened::Finished(_, again) = store.open(&common::row("cat")).unwrap() else { panic!() };
        again.settle(&completed("t1", "0.01")).unwrap();
        assert_eq!((state(store, scope).paid, state(store, scope).unpriced), (usd("0.07"), 0));
        assert!(intend(store, "pig", &limit(None)).1 != Admission::Admitted);
        assert_eq!(intend(store, "pig", &[budget(scope, "0.10", None)]).1, Admission::Admitted);
    });
}

#[test]
fn every_task_of_a_row_counts_renewed_ones_too() {
    over_every_store(|store| {
        let scope = scope(store);
        let limit = [budget(scope, "1.50", Some("0.50"))];
        let billed = RowOutcome::Failed {
            task: "t1".parse().unwrap(),
            code: Some("3009095".into()),
            message: "it went wrong".into(),
            cost: Some(usd("0.50")),
        };
        assert_eq!(buy(store, "cat", &limit, &billed), Admission::Admitted);
        let again = store.renew(RowNumber(1)).unwrap();
        again.charge_to(&limit);
        assert_eq!(Journal::write(&*again, &intent(0)), Ok(Admission::Admitted));
        Journal::write(&*again, &created("t2")).unwrap();
        again.settle(&completed("t2", "0.50")).unwrap();
        assert_eq!(state(store, scope).paid, usd("1.00"));
        assert_eq!(buy(store, "dog", &limit, &completed("t3", "0.50")), Admission::Admitted);
        assert!(exceeded(&intend(store, "cow", &limit).1));
    });
}

#[test]
fn a_completed_row_is_bought_again_on_purpose_and_stays_as_it_was_where_nothing_comes_of_it() {
    over_every_store(|store| {
        let scope = scope(store);
        let limit = [budget(scope, "1.50", Some("0.50"))];
        buy(store, "cat", &limit, &completed("t1", "0.50"));
        let cat = || store.find(&RowName::Number(RowNumber(1))).unwrap().unwrap();
        assert!(store.renew(RowNumber(1)).is_err(), "it did not fail");
        let before = cat().state;

        // Refused, or found not billed: the picture is the one it was.
        let again = store.reorder(RowNumber(1)).unwrap();
        assert_eq!(cat().state, before);
        again.charge_to(&limit);
        assert_eq!(Journal::write(&*again, &intent(0)), Ok(Admission::Admitted));
        assert_eq!(cat().state.name(), "intent");
        assert!(store.reorder(RowNumber(1)).is_err(), "it has no verdict");
        Journal::write(&*again, &released("HTTP 400")).unwrap();
        assert_eq!((cat().state, cat().renewals), (before.clone(), 0));
        let again = store.reorder(RowNumber(1)).unwrap();
        Journal::write(&*again, &intent(1)).unwrap();
        again.settle(&RowOutcome::Unknown { reason: "it was cut off".into() }).unwrap();
        store.resolve(RowNumber(1), &Resolution::NotBilled).unwrap();
        assert_eq!((cat().state, cat().renewals), (before, 0));
        assert_eq!(state(store, scope).paid, usd("0.50"));

        // Of two that order it again at once, one does.
        let (again, other) =
            (store.reorder(RowNumber(1)).unwrap(), store.reorder(RowNumber(1)).unwrap());
        Journal::write(&*again, &intent(2)).unwrap();
        assert!(Journal::write(&*other, &intent(3)).is_err() && other.is_taken());
        Journal::write(&*again, &created("t2")).unwrap();
        again.settle(&completed("t2", "0.50")).unwrap();
        assert_eq!(cat().state.task().unwrap().as_str(), "t2");
        assert_eq!((cat().paid, cat().renewals), (usd("1.00"), 0));
        assert_eq!(state(store, scope).paid, usd("1.00"));
    });
}

#[test]
fn a_completed_row_whose_new_order_fails_is_completed_as_it_was_and_tells_of_it() {
    over_every_store(|store| {
        let scope = scope(store);
        let limit = [budget(scope, "9.00", Some("0.50"))];
        buy(store, "cat", &limit, &completed("t1", "0.50"));
        let cat = || store.find(&RowName::Number(RowNumber(1))).unwrap().unwrap();
        let before = cat();
        assert!(before.failed_order.is_none() && before.paid_picture.is_none());
        let order = |attempt, task: &str| {
            let again = store.reorder(RowNumber(1)).unwrap();
            again.charge_to(&limit);
            Journal::write(&*again, &intent(attempt)).unwrap();
            assert_eq!(cat().paid_picture.as_deref(), Some(&before.state));
            Journal::write(&*again, &created(task)).unwrap();
            assert_eq!((cat().state.name(), cat().paid_picture.is_some()), ("created", true));
            again
        };
        let kept = |failed: &str| {
            let cat = cat();
            assert_eq!((&cat.state, cat.renewals), (&before.state, before.renewals));
            assert!(cat.paid_picture.is_none() && cat.holder.is_none());
            let order = cat.failed_order.unwrap();
            assert_eq!((order.task().unwrap().as_str(), order.name()), (failed, "failed"));
            assert!(store.renew(RowNumber(1)).is_err(), "it is not paid for again by itself");
        };
        let billed = RowOutcome::Failed {
            task: "t2".parse().unwrap(),
            code: Some("3009099".into()),
            message: "it went wrong".to_owned(),
            cost: Some(usd("0.20")),
        };
        order(0, "t2").settle(&billed).unwrap();
        kept("t2");
        assert_eq!((cat().paid, state(store, scope).paid), (usd("0.70"), usd("0.70")));
        // The same end once more, and an order that another run follows to its end.
        store.reorder(RowNumber(1)).unwrap().settle(&billed).unwrap();
        kept("t2");
        drop(order(1, "t3"));
        let Opened::Watch(_, open) = store.open(&row("cat")).unwrap() else { panic!() };
        open.settle(&failed("t3", "3009099")).unwrap();
        kept("t3");
        // An order that a person found the task of.
        let again = store.reorder(RowNumber(1)).unwrap();
        Journal::write(&*again, &intent(2)).unwrap();
        again.settle(&RowOutcome::Unknown { reason: "it was cut off".into() }).unwrap();
        assert_eq!(cat().paid_picture.as_deref(), Some(&before.state));
        store.resolve(RowNumber(1), &Resolution::Task("t4".parse().unwrap())).unwrap();
        let Opened::Watch(_, open) = store.open(&row("cat")).unwrap() else { panic!() };
        open.settle(&failed("t4", "3009099")).unwrap();
        kept("t4");
        assert_eq!(state(store, scope).paid, usd("0.70"));
        assert_eq!(state(store, scope).live + state(store, scope).abandoned, 0);
        // One that succeeds is the row's from then on.
        order(3, "t5").settle(&completed("t5", "0.50")).unwrap();
        assert_eq!(cat().state.task().unwrap().as_str(), "t5");
        assert_eq!((cat().failed_order, cat().paid_picture), (None, None));
        assert_eq!((cat().paid, state(store, scope).paid), (usd("1.20"), usd("1.20")));
    });
}

#[test]
fn what_was_paid_before_counts_when_a_row_joins_a_scope() {
    over_every_store(|store| {
        buy(store, "cat", &[], &completed("t1", "0.03"));
        buy(store, "dog", &[], &without_cost("t2"));
        let held = intend(store, "cow", &[]);
        let scope = scope(store);
        let rows = ["cat", "dog", "cow", "new"].map(|name| row(name).identity);
        store.add_to_scope(scope, &rows).unwrap();
        store.add_to_scope(scope, &rows).unwrap();
        let found = state(store, scope);
        assert_eq!((found.paid, found.live), (usd("0.03"), 1));
        assert_eq!(found.unreadable, Some(RowNumber(2)));
        drop(held);
        assert_eq!(state(store, scope).abandoned, 1);
    });
}

#[test]
fn a_scope_with_a_name_is_found_again_and_one_without_is_new() {
    over_every_store(|store| {
        let spring = store.open_scope(Some("spring sale")).unwrap();
        assert_eq!(store.open_scope(Some("spring sale")).unwrap(), spring);
        assert_ne!(store.open_scope(None).unwrap(), store.open_scope(None).unwrap());
        assert!(store.scope(ScopeNumber(999)).is_err());
    });
}

#[test]
fn a_row_tells_which_scopes_count_it_and_how_much() {
    over_every_store(|store| {
        let (spring, unnamed) = (store.open_scope(Some("spring")).unwrap(), scope(store));
        let limit = |scope| budget(scope, "9", Some("0.03"));
        buy(store, "cat", &[limit(spring)], &completed("t1", "0.03"));
        store.flush().unwrap();
        store.add_to_scope(unnamed, &[row("cat").identity, row("dog").identity]).unwrap();
        let told = |name: &str| {
            let scopes = store.scopes_of(&row(name).identity).unwrap();
            let told = |it: effects_jobs::ScopeMembership| (it.scope, it.name, it.counted);
            scopes.into_iter().map(told).collect::<Vec<_>>()
        };
        let named = (spring, Some("spring".to_owned()), usd("0.03"));
        assert_eq!(told("cat"), [named, (unnamed, None, usd("0.03"))]);
        assert_eq!(told("dog"), [(unnamed, None, usd("0"))], "it is not begun");
        assert_eq!(told("cow"), []);
        assert_eq!(store.find_scope("spring"), Ok(Some(spring)));
        assert_eq!(store.find_scope("summer"), Ok(None));
    });
}

#[test]
fn costs_are_added_up_by_the_names_of_scopes() {
    over_every_store(|store| {
        let [spring, autumn] =
            ["spring", "autumn"].map(|name| store.open_scope(Some(name)).unwrap());
        let limits = |scopes: &[ScopeNumber]| -> Vec<Budget> {
            scopes.iter().map(|scope| budget(*scope, "1", Some("0.1"))).collect()
        };
        for (name, scopes) in [
            ("cat", &[spring][..]),
            ("dog", &[spring, autumn]),
            ("cow", &[scope(store)]),
            ("fox", &[]),
            ("owl", &[scope(store), autumn]),
        ] {
            buy(store, name, &limits(scopes), &completed(name, "0.03"));
        }
        let told = store.spend(SpendBy::Scope, None).unwrap();
        let told: Vec<_> =
            told.iter().map(|it| (it.group.as_str(), it.tasks, it.cost.to_string())).collect();
        let sum = |group, cost: &str| (group, 2, cost.to_owned());
        assert_eq!(told, [sum("", "0.06"), sum("autumn", "0.06"), sum("spring", "0.06")]);
    });
}

#[test]
fn a_row_may_be_in_several_scopes_and_has_to_fit_into_each() {
    over_every_store(|store| {
        let (wide, narrow) = (scope(store), scope(store));
        let both = [budget(wide, "1", Some("0.03")), budget(narrow, "0.03", Some("0.03"))];
        assert_eq!(buy(store, "cat", &both, &completed("t1", "0.03")), Admission::Admitted);
        assert!(exceeded(&intend(store, "dog", &both).1));
        assert_eq!(intend(store, "dog", &both[..1]).1, Admission::Admitted);
        assert_eq!(
            (state(store, wide).paid, state(store, narrow).paid),
            (usd("0.03"), usd("0.03"))
        );
    });
}

/// The price of another template or size is not this row's, but the best guess there is.
#[test]
fn a_price_is_learnt_for_each_template_and_size() {
    over_every_store(|store| {
        let scope = scope(store);
        let limit = [budget(scope, "0.35", None)];
        assert_eq!(buy(store, "cat", &limit, &completed("t1", "0.10")), Admission::Admitted);
        let cheap = RowDraft { template: Template::MyWorld, ..draft("dog") };
        let other = submit_to(store, &cheap.clone().row(0).unwrap());
        other.charge_to(&limit);
        assert_eq!(Journal::write(&*other, &intent(0)), Ok(Admission::Admitted));
        assert_eq!(state(store, scope).reserved, usd("0.10"));
        Journal::write(&*other, &created("t2")).unwrap();
        other.settle(&completed("t2", "0.02")).unwrap();
        // From now on it is known what that template costs.
        let again = submit_to(store, &cheap.row(1).unwrap());
        again.charge_to(&limit);
        assert_eq!(Journal::write(&*again, &intent(0)), Ok(Admission::Admitted));
        assert_eq!(state(store, scope).reserved, usd("0.02"));
        let small = Size { width: Some(512), height: Some(512) };
        let small = submit_to(store, &RowDraft { size: small, ..draft("cow") }.row(0).unwrap());
        small.charge_to(&limit);
        assert_eq!(Journal::write(&*small, &intent(0)), Ok(Admission::Admitted));
        assert_eq!(state(store, scope).reserved, usd("0.12"));
    });
}

#[test]
fn a_higher_price_reprices_what_is_reserved_in_the_same_step() {
    over_every_store(|store| {
        let scope = scope(store);
        let limit = [budget(scope, "1", Some("0.03"))];
        let (first, _) = intend(store, "cat", &limit);
        let (_second, _) = intend(store, "dog", &limit);
        assert_eq!(state(store, scope).reserved, usd("0.06"));
        Journal::write(&*first, &created("t1")).unwrap();
        first.settle(&completed("t1", "0.10")).unwrap();
        let found = state(store, scope);
        assert_eq!((found.paid, found.reserved), (usd("0.10"), usd("0.10")));
        assert_eq!(found.highest_seen, Some(usd("0.10")));
    });
}

#[test]
fn a_failed_task_without_a_bill_costs_nothing_and_says_nothing_of_the_price() {
    over_every_store(|store| {
        let scope = scope(store);
        let limit = [budget(scope, "1", None)];
        assert_eq!(buy(store, "cat", &limit, &failed("t1", "3009095")), Admission::Admitted);
        let found = state(store, scope);
        assert_eq!((found.paid, found.costs_seen, found.unpriced), (Decimal::ZERO, 0, 0));
        // The next one finds it out, alone.
        assert_eq!(intend(store, "dog", &limit).1, Admission::Admitted);
    });
}

/// Each attempt whose outcome is unknown may be billed, beside the task that is known.
#[test]
fn of_tasks_without_a_cost_those_that_failed_cost_nothing_and_the_others_are_unknown() {
    over_every_store(|store| {
        buy(store, "cat", &[], &failed("t1", "3009095"));
        store.flush().unwrap();
        let spend = || store.spend(SpendBy::Template, None).unwrap().remove(0);
        assert_eq!((spend().tasks, spend().unpriced, spend().highest), (1, 0, None));
        buy(store, "dog", &[], &without_cost("t2"));
        let (open, _) = intend(store, "cow", &[]);
        Journal::write(&*open, &created("t3")).unwrap();
        store.flush().unwrap();
        assert_eq!((spend().tasks, spend().unpriced), (3, 2));
        open.settle(&failed("t3", "3009095")).unwrap();
        store.flush().unwrap();
        assert_eq!((spend().tasks, spend().unpriced, spend().cost), (3, 1, usd("0")));
    });
}

#[test]
fn every_attempt_of_unknown_outcome_and_every_second_task_counts() {
    over_every_store(|store| {
        let scope = scope(store);
        let limit = [budget(scope, "0.09", Some("0.03"))];
        let (open, _) = intend(store, "cat", &limit);
        for attempt in 1..3 {
            assert_eq!(Journal::write(&*open, &intent(attempt)), Ok(Admission::Admitted));
        }
        assert_eq!(state(store, scope).reserved, usd("0.09"));
        assert!(exceeded(&Journal::write(&*open, &intent(3)).unwrap()));
        Journal::write(&*open, &created_by("t2", "request 2")).unwrap();
        open.settle(&completed("t2", "0.03")).unwrap();
        let found = state(store, scope);
        assert_eq!((found.paid, found.reserved), (usd("0.03"), usd("0.06")));
        // The late answer to the first attempt is a second task, kept as a row of its own.
        Journal::write(&*open, &created_by("t0", "request 0")).unwrap();
        assert_eq!(state(store, scope).reserved, usd("0.06"));
        let origin = row("cat").origin;
        let second = store.find(&RowName::Task(origin, "t0".parse().unwrap())).unwrap().unwrap();
        let Opened::Watch(_, follow) = store.take(second.number).unwrap() else { panic!() };
        follow.settle(&completed("t0", "0.03")).unwrap();
        let found = state(store, scope);
        assert_eq!((found.paid, found.reserved), (usd("0.06"), usd("0.03")));
    });
}

#[test]
fn a_resolved_doubt_gives_its_reservation_back_or_passes_it_to_the_task() {
    over_every_store(|store| {
        let scope = scope(store);
        let limit = [budget(scope, "0.06", Some("0.03"))];
        drop(intend(store, "cat", &limit));
        drop(intend(store, "dog", &limit));
        store.resolve(RowNumber(1), &Resolution::NotBilled).unwrap();
        store.resolve(RowNumber(2), &Resolution::Task("t2".parse().unwrap())).unwrap();
        let found = state(store, scope);
        assert_eq!((found.reserved, found.abandoned), (usd("0.03"), 1));
        assert_eq!(intend(store, "cow", &limit).1, Admission::Admitted);
    });
}

#[test]
fn a_file_is_the_picture_of_the_row_that_was_saved_there_last() {
    over_every_store(|store| {
        let (place, other) = (Path::new("/out/cat.png"), Path::new("/out/dog.png"));
        let content = |second: u64| SavedContent {
            size: 7,
            modified: Time::from_millis(second * 1_000),
            digest: [second as u8; 32],
        };
        let saved = |name: &str, task: &str| {
            let (open, _) = intend(store, name, &[]);
            Journal::write(&*open, &created(task)).unwrap();
            open.settle(&completed(task, "0.03")).unwrap();
            open
        };
        let owner = |path: &Path| {
            let found = store.find(&RowName::Picture(path.to_owned())).unwrap();
            found.map(|record| record.row.identity)
        };
        let is = |name: &str| Some(row(name).identity);
        assert_eq!(owner(place), None);
        let (cat, dog) = (saved("cat", "t1"), saved("dog", "t2"));
        // As an earlier version wrote them, without what is in the file.
        cat.picture_saved(0, place, None).unwrap();
        assert_eq!(owner(place), is("cat"));
        dog.picture_saved(0, place, Some(content(1))).unwrap();
        assert_eq!(owner(place), is("dog"));
        cat.picture_saved(0, place, Some(content(2))).unwrap();
        assert_eq!(owner(place), is("cat"));
        cat.picture_saved(0, other, Some(content(3))).unwrap();
        assert_eq!((owner(place), owner(other)), (is("dog"), is("cat")));

        let record = store.find(&RowName::Identity(row("cat").identity)).unwrap().unwrap();
        let RowState::Completed { pictures, .. } = record.state else { panic!() };
        assert_eq!(pictures[0].path.as_deref(), Some(other));
        assert_eq!(pictures[0].content, Some(content(3)));
        // What is in another file is not known of this one.
        cat.picture_saved(0, place, None).unwrap();
        let record = store.find(&RowName::Identity(row("cat").identity)).unwrap().unwrap();
        let RowState::Completed { pictures, .. } = record.state else { panic!() };
        assert_eq!((pictures[0].path.as_deref(), pictures[0].content), (Some(place), None));
    });
}

/// How rows stand that another journal has: their task runs, is done, failed, or may have been made.
fn states_elsewhere() -> Vec<(&'static str, RowState)> {
    let (submitted, finished) = (Time::from_millis(START), Time::from_millis(START + 9_000));
    let task = |id: &str| id.parse().unwrap();
    let picture = PictureRecord {
        url: "https://example.com/done.png".to_owned(),
        path: Some("pictures/done.png".into()),
        content: Some(SavedContent { size: 7, modified: finished, digest: [7; 32] }),
    };
    let attempt = Attempt {
        request_id: "request".to_owned(),
        idempotency_key: "submission".to_owned(),
        at: submitted,
    };
    let failed = RowState::Failed {
        task: task("failed"),
        submitted,
        finished,
        code: Some("3009095".into()),
        message: "it went wrong".to_owned(),
        cost: Some(usd("0.02")),
    };
    let done = RowState::Completed {
        task: task("done"),
        submitted,
        finished,
        cost: Some(usd("0.03")),
        pictures: vec![picture],
    };
    let doubtful = RowState::Doubtful { attempts: vec![attempt], reason: "reset".to_owned() };
    let running = RowState::Created { task: task("running"), submitted };
    vec![("failed", failed), ("done", done), ("doubtful", doubtful), ("running", running)]
}

#[test]
fn a_row_of_another_journal_is_taken_in_as_it_stands_there_and_once() {
    over_every_store(|store| {
        for (name, state) in states_elsewhere() {
            assert!(store.import(&row(name), &state, Decimal::ZERO).unwrap(), "{name}");
            for later in states_elsewhere() {
                assert!(!store.import(&row(name), &later.1, Decimal::ZERO).unwrap(), "{name}");
            }
            let found = store.find(&RowName::Identity(row(name).identity)).unwrap().unwrap();
            assert_eq!((found.state, found.row, found.holder), (state, row(name), None));
        }
        let opened = |name: &str| name_of(&store.open(&row(name)).unwrap());
        let names = ["failed", "done", "doubtful", "running"];
        assert_eq!(names.map(opened), ["finished", "finished", "doubtful", "watch"]);
        // The first row cost 0.03, says the line of a task that no row had yet, and not 0.02 alone.
        assert_eq!(store.spend(SpendBy::Template, None).unwrap()[0].cost, usd("0.06"));
    });
}

#[test]
fn an_intent_of_another_journal_is_doubtful_here_and_a_released_row_is_nothing_to_know_of() {
    over_every_store(|store| {
        let RowState::Doubtful { attempts, .. } = states_elsewhere()[2].1.clone() else { panic!() };
        let intent = RowState::Intent { attempts };
        assert!(store.import(&row("cat"), &intent, Decimal::ZERO).unwrap());
        assert!(matches!(store.open(&row("cat")).unwrap(), Opened::Doubtful(_)));
        let released = RowState::Released { reason: "401".to_owned() };
        assert!(!store.import(&row("dog"), &released, Decimal::ZERO).unwrap());
        assert!(matches!(store.open(&row("dog")).unwrap(), Opened::Submit(_)));
    });
}

#[test]
fn a_task_is_imported_for_one_row_alone_and_for_one_that_was_released_here() {
    over_every_store(|store| {
        let (_, running) = states_elsewhere().remove(3);
        let (open, _) = intend(store, "cat", &[]);
        assert!(!store.import(&row("cat"), &running, Decimal::ZERO).unwrap(), "it is in hand");
        Journal::write(&*open, &released("401")).unwrap();
        open.settle(&RowOutcome::Abandoned).unwrap();
        assert!(store.import(&row("cat"), &running, Decimal::ZERO).unwrap());
        assert!(matches!(store.open(&row("cat")).unwrap(), Opened::Watch(..)));
        let other = store.import(&row("dog"), &running, Decimal::ZERO);
        assert_eq!(other, Err(JournalError::TaskOfAnotherRow { row: RowNumber(1) }));
        assert!(matches!(store.open(&row("dog")).unwrap(), Opened::Submit(_)));
    });
}

#[test]
fn what_another_journal_paid_counts_in_budgets_and_tells_the_price() {
    over_every_store(|store| {
        let (before, after) = (scope(store), scope(store));
        let rows =
            states_elsewhere().iter().map(|(name, _)| row(name).identity).collect::<Vec<_>>();
        store.add_to_scope(before, &rows).unwrap();
        for (name, state) in states_elsewhere() {
            let earlier = if name == "done" { usd("0.50") } else { Decimal::ZERO };
            store.import(&row(name), &state, earlier).unwrap();
        }
        store.add_to_scope(after, &rows).unwrap();
        for scope in [before, after] {
            let found = state(store, scope);
            assert_eq!((found.paid, found.abandoned), (usd("0.55"), 2));
        }
        store.flush().unwrap();
        let spend = store.spend(SpendBy::Template, None).unwrap().remove(0);
        assert_eq!((spend.cost, spend.highest), (usd("0.55"), Some(usd("0.03"))));
        // The next one reserves the highest cost of one task, not that of several together.
        let limit = [budget(after, "0.64", None)];
        let (_held, answer) = intend(store, "new", &limit);
        assert_eq!((answer, state(store, after).live), (Admission::Admitted, 1));
        let limit = [budget(scope(store), "0.02", None)];
        assert!(exceeded(&intend(store, "dear", &limit).1));
    });
}

#[test]
fn what_the_tasks_before_an_imported_doubt_cost_counts_once() {
    over_every_store(|store| {
        let (before, after) = (scope(store), scope(store));
        let RowState::Doubtful { attempts, .. } = states_elsewhere()[2].1.clone() else { panic!() };
        let doubtful = states_elsewhere().remove(2).1;
        let rows = [("cat", doubtful.clone()), ("dog", RowState::Intent { attempts })];
        let identities: Vec<_> = rows.iter().map(|(name, _)| row(name).identity).collect();
        store.add_to_scope(before, &identities).unwrap();
        for (name, state) in &rows {
            assert_eq!(store.import(&row(name), state, usd("0.05")), Ok(true), "{name}");
        }
        store.add_to_scope(after, &identities).unwrap();
        let look =
            |name: &str| store.find(&RowName::Identity(row(name).identity)).unwrap().unwrap();
        for name in ["cat", "dog"] {
            let record = look(name);
            assert_eq!((record.state.name(), record.paid), ("doubtful", usd("0.05")));
        }
        for scope in [before, after] {
            let found = state(store, scope);
            assert_eq!((found.paid, found.abandoned, found.highest_seen), (usd("0.10"), 2, None));
        }
        store.flush().unwrap();
        let spend = store.spend(SpendBy::Template, None).unwrap().remove(0);
        assert_eq!((spend.cost, spend.highest, spend.unpriced), (usd("0.10"), None, 0));

        // Settled, the row keeps what was paid, and another line of the same tasks adds nothing.
        store.resolve(look("cat").number, &Resolution::NotBilled).unwrap();
        assert_eq!((look("cat").state.name(), look("cat").paid), ("released", usd("0.05")));
        assert_eq!(store.import(&row("cat"), &doubtful, usd("0.07")), Ok(true));
        assert_eq!((look("cat").state, look("cat").paid), (doubtful, usd("0.07")));
        let task = "t1".parse().unwrap();
        store.resolve(look("cat").number, &Resolution::Task(task)).unwrap();
        let Opened::Watch(_, open) = store.open(&row("cat")).unwrap() else { panic!() };
        open.settle(&completed("t1", "0.03")).unwrap();
        let cat = look("cat");
        assert_eq!(
            (cat.state.cost(), cat.paid, cat.failed_order),
            (Some(usd("0.03")), usd("0.10"), None)
        );
        assert_eq!([before, after].map(|scope| state(store, scope).paid), [usd("0.15"); 2]);
    });
}

#[test]
fn a_new_order_of_another_journal_is_doubted_or_followed_beside_the_picture_that_is_paid() {
    over_every_store(|store| {
        let at = Time::from_millis(START);
        let task = |id: &str| id.parse::<effects_core::TaskId>().unwrap();
        let paid = |id: &str| RowState::Completed {
            task: task(id),
            submitted: at,
            finished: at,
            cost: Some(usd("0.03")),
            pictures: vec![PictureRecord {
                url: String::new(),
                path: Some("/out/cat.png".into()),
                content: None,
            }],
        };
        let running = |id: &str| RowState::Created { task: task(id), submitted: at };
        let attempts = vec![Attempt { request_id: "r".into(), idempotency_key: "i".into(), at }];
        let doubt = RowState::Doubtful { attempts, reason: "the answer was lost".to_owned() };
        let look =
            |name: &str| store.find(&RowName::Identity(row(name).identity)).unwrap().unwrap();
        let order = |name: &str, paid: &str, order: &RowState| {
            store.import_order(&row(name).identity, &task(paid), order)
        };
        let scope = scope(store);
        let limit = [budget(scope, "0.10", Some("0.03"))];
        store.add_to_scope(scope, &["cat", "dog"].map(|name| row(name).identity)).unwrap();
        assert_eq!(order("cat", "t1", &doubt), Ok(false), "there is no such row");
        for (name, id) in [("cat", "t1"), ("dog", "t2"), ("cow", "t3")] {
            assert_eq!(store.import(&row(name), &paid(id), Decimal::ZERO), Ok(true));
        }
        let before = look("cat").state;
        assert_eq!(order("cat", "t2", &doubt), Ok(false), "its picture is another task's by now");
        assert_eq!(order("cat", "t1", &paid("t9")), Ok(false), "it is over");
        assert_eq!(order("cat", "t1", &doubt), Ok(true));
        assert_eq!(order("cat", "t1", &doubt), Ok(false), "it is known");
        let cat = look("cat");
        assert_eq!((&cat.state, cat.paid_picture.as_deref()), (&doubt, Some(&before)));
        assert_eq!((cat.paid, cat.renewals), (usd("0.03"), 0));
        // It counts as one task, and so no second picture fits beside it.
        let counted = state(store, scope);
        assert_eq!((counted.paid, counted.abandoned), (usd("0.06"), 1));
        let (_, refused) = intend(store, "hen", &limit);
        assert!(exceeded(&refused), "{refused:?}");
        // A person finds out that nothing came of it.
        store.resolve(cat.number, &Resolution::NotBilled).unwrap();
        assert_eq!((look("cat").state, look("cat").paid_picture), (before, None));
        assert_eq!(state(store, scope).abandoned, 0);

        assert_eq!(
            order("dog", "t2", &running("t3")),
            Err(JournalError::TaskOfAnotherRow { row: look("cow").number })
        );
        assert_eq!(order("dog", "t2", &running("t4")), Ok(true));
        let before = look("dog").paid_picture.unwrap();
        let Opened::Watch(_, open) = store.open(&row("dog")).unwrap() else { panic!() };
        open.settle(&failed("t4", "3009099")).unwrap();
        let dog = look("dog");
        assert_eq!((&dog.state, dog.paid_picture), (&*before, None));
        assert_eq!(order("dog", "t2", &running("t4")), Ok(false), "it failed here");
        assert_eq!(order("dog", "t2", &running("t5")), Ok(true));
        let Opened::Watch(_, open) = store.open(&row("dog")).unwrap() else { panic!() };
        open.settle(&completed("t5", "0.03")).unwrap();
        assert_eq!(look("dog").state.task().unwrap().as_str(), "t5");
        assert_eq!((look("dog").paid, state(store, scope).paid), (usd("0.06"), usd("0.09")));
    });
}

/// What another journal tells of a row that this one knows: the row stays as it is, and its costs count.
#[test]
fn what_a_known_row_cost_in_another_journal_counts_once_and_the_row_stays_as_it_is() {
    over_every_store(|store| {
        let at = Time::from_millis(START);
        let task = |id: &str| id.parse::<effects_core::TaskId>().unwrap();
        let paid = |id: &str, cost: Option<&str>| RowState::Completed {
            task: task(id),
            submitted: at,
            finished: at,
            cost: cost.map(usd),
            pictures: vec![PictureRecord {
                url: String::new(),
                path: Some(format!("/out/{id}.png").into()),
                content: None,
            }],
        };
        let running = |id: &str| RowState::Created { task: task(id), submitted: at };
        let look = |name: &str| store.find(&RowName::Identity(row(name).identity)).unwrap();
        let look = |name: &str| look(name).unwrap();
        // The same line twice, each time after another.
        let import = |name: &str, state: &RowState, earlier: &str| {
            for _ in 0..2 {
                assert_eq!(store.import(&row(name), state, usd(earlier)), Ok(false), "{name}");
            }
        };
        let (before, after) = (scope(store), scope(store));
        let names = ["cat", "dog", "cow", "hen", "ewe"];
        let rows = names.map(|name| row(name).identity);
        store.add_to_scope(before, &rows).unwrap();
        let total = || state(store, before).paid;
        for (name, cost) in [("cat", Some("0.03")), ("dog", Some("0.03")), ("cow", None)] {
            assert_eq!(store.import(&row(name), &paid(name, cost), usd("0")), Ok(true));
        }
        let known = look("cat");

        // Orders of it failed there, and a new one is under way.
        import("cat", &paid("cat", Some("0.03")), "0.02");
        let cat = look("cat");
        assert_eq!((&cat.state, &cat.row, cat.renewals), (&known.state, &known.row, 0));
        assert_eq!((cat.paid, cat.failed_order, cat.paid_picture), (usd("0.05"), None, None));
        assert_eq!(total(), usd("0.08"));
        // More of them have failed since. What a line tells less of is known.
        import("cat", &paid("cat", Some("0.03")), "0.04");
        import("cat", &paid("cat", Some("0.03")), "0.01");
        import("cat", &paid("cat", None), "0");
        assert_eq!((look("cat").paid, total()), (usd("0.07"), usd("0.10")));
        assert_eq!((look("cat").state, look("cat").failed_order), (known.state.clone(), None));
        let cat = row("cat").identity;
        assert_eq!(store.import_order(&cat, &task("cat"), &running("new")), Ok(true));
        assert_eq!(look("cat").paid_picture.as_deref(), Some(&known.state));
        // The picture's cost is none of the orders'.
        import("cat", &paid("cat", Some("0.03")), "0.04");
        import("cat", &running("new"), "0.07");
        assert_eq!((look("cat").state, look("cat").paid), (running("new"), usd("0.07")));
        let Opened::Watch(_, open) = store.open(&row("cat")).unwrap() else { panic!() };
        open.settle(&failed("new", "3009099")).unwrap();
        let cat = look("cat");
        let order = cat.failed_order.expect("an order that failed is told of");
        assert_eq!((&cat.state, order.task()), (&known.state, Some(&task("new"))));
        import("cat", &paid("cat", Some("0.03")), "0.05");
        let cat = look("cat");
        let order = cat.failed_order.expect("and still is");
        assert_eq!(
            (order.task(), cat.paid, total()),
            (Some(&task("new")), usd("0.08"), usd("0.11"))
        );

        // Another picture of it was bought there.
        let known = look("dog").state;
        import("dog", &paid("there", Some("0.03")), "0.03");
        let dog = look("dog");
        assert_eq!((dog.state, dog.paid, dog.failed_order), (known.clone(), usd("0.06"), None));
        assert_eq!(total(), usd("0.14"));
        // Not where that is another row's.
        import("dog", &paid("cat", Some("0.03")), "0.05");
        assert_eq!(look("dog").paid, usd("0.06"));
        // A new order that fails leaves it its picture.
        let open = store.reorder(look("dog").number).unwrap();
        Journal::write(&*open, &intent(0)).unwrap();
        Journal::write(&*open, &created("again")).unwrap();
        open.settle(&failed("again", "3009099")).unwrap();
        assert_eq!(look("dog").state, known);

        // What its task cost was not known here.
        assert_eq!(state(store, before).unpriced, 1);
        import("cow", &paid("cow", Some("0.03")), "0.02");
        let cow = look("cow");
        assert_eq!((cow.state, cow.paid), (paid("cow", Some("0.03")), usd("0.05")));
        assert_eq!((state(store, before).unpriced, total()), (0, usd("0.19")));

        // A task is counted with its end, and what is in doubt is reserved for.
        assert_eq!(store.import(&row("hen"), &running("hen"), usd("0")), Ok(true));
        let doubt = states_elsewhere().remove(2).1;
        assert_eq!(store.import(&row("ewe"), &doubt, usd("0")), Ok(true));
        for name in ["hen", "ewe"] {
            import(name, &paid(name, Some("0.03")), "0.02");
            assert_eq!(look(name).paid, usd("0.02"), "{name}");
        }
        assert_eq!((look("hen").state, look("ewe").state), (running("hen"), doubt));
        store.resolve(look("ewe").number, &Resolution::Task(task("ewe"))).unwrap();
        for name in ["hen", "ewe"] {
            let Opened::Watch(_, open) = store.open(&row(name)).unwrap() else { panic!("{name}") };
            open.settle(&completed(name, "0.03")).unwrap();
            import(name, &paid(name, Some("0.03")), "0.02");
            assert_eq!((look(name).paid, look(name).failed_order), (usd("0.05"), None), "{name}");
        }
        store.add_to_scope(after, &rows).unwrap();
        assert_eq!([before, after].map(|scope| state(store, scope).paid), [usd("0.29"); 2]);
        // What several tasks cost together is no price of one.
        let highest = [before, after].map(|scope| state(store, scope).highest_seen);
        assert_eq!(highest, [Some(usd("0.03")), None]);
        let spend = store.spend(SpendBy::Template, None).unwrap().remove(0);
        assert_eq!((spend.cost, spend.highest), (usd("0.29"), Some(usd("0.03"))));
    });
}
