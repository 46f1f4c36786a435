//! A journal that the first edition wrote is opened, keeps all it knew, and counts money from then on.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::*;
use effects_core::journal::{Admission, Journal, OverBudget, RowNumber};
use effects_jobs::{Budget, Filter, JournalStore, Opened};
use effects_journal::SqliteJournal;
use rust_decimal::Decimal;

#[test]
fn a_journal_of_the_first_edition_is_migrated_and_its_costs_count() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("first.db");
    let old = rusqlite::Connection::open(&path).unwrap();
    old.execute_batch(include_str!("data/first_edition.sql")).unwrap();
    drop(old);

    let journal = SqliteJournal::open(&path).unwrap();
    let records = journal.list(&Filter::default()).unwrap();
    let states: Vec<_> = records
        .iter()
        .map(|record| (record.row.key.as_deref().unwrap(), record.state.name()))
        .collect();
    assert_eq!(
        states,
        [
            ("done", "completed"),
            ("created", "created"),
            ("failed", "failed"),
            ("doubtful", "doubtful")
        ]
    );
    assert_eq!(records[0].state.cost(), Some("0.03".parse().unwrap()));
    let rows: Vec<_> = records.iter().map(|record| record.row.identity).collect();
    let scope = journal.open_scope(None).unwrap();
    journal.add_to_scope(scope, &rows).unwrap();
    let state = journal.scope(scope).unwrap();
    assert_eq!((state.paid, state.abandoned), ("0.03".parse().unwrap(), 2));
    // The task under way and the doubtful submission may each cost as much as a picture.
    assert_eq!((state.reserved, state.unpriced), (Decimal::ZERO, 2));

    let limit = |limit: &str| {
        let price = Some("0.03".parse().unwrap());
        [Budget { scope, limit: limit.parse().unwrap(), price }]
    };
    let Opened::Submit(open) = journal.open(&row("cat")).unwrap() else { panic!() };
    open.charge_to(&limit("0.11"));
    let refused = Journal::write(&*open, &intent(0)).unwrap();
    assert!(matches!(refused, Admission::OverBudget(OverBudget::Exceeded { .. })), "{refused:?}");
    open.charge_to(&limit("0.12"));
    assert_eq!(Journal::write(&*open, &intent(0)), Ok(Admission::Admitted));
    Journal::write(&*open, &released("401")).unwrap();
    open.settle(&effects_core::journal::RowOutcome::Abandoned).unwrap();
    drop(open);
    // The file's own task is followed by its number, as before.
    assert!(matches!(journal.take(RowNumber(2)).unwrap(), Opened::Watch(..)));
    drop(journal);
    // Opened again, there is nothing left to migrate.
    let journal = SqliteJournal::open(&path).unwrap();
    assert_eq!(journal.list(&Filter::default()).unwrap().len(), 5);
}
