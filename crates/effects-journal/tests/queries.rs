//! Lists of rows, and what they cost.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::path::Path;
use std::time::Duration;

use common::*;
use effects_core::journal::{Journal, RowNumber, RowOutcome};
use effects_core::{BaseUrl, Template};
use effects_jobs::{Filter, JournalStore, Record, RowDraft, Spend, SpendBy, Which};
use effects_journal::SqliteJournal;

fn run(journal: &SqliteJournal, draft: RowDraft, task: &str, end: &RowOutcome) {
    let open = submit(journal, &draft.row(0).unwrap());
    Journal::write(&*open, &intent(0)).unwrap();
    Journal::write(&*open, &created(task)).unwrap();
    open.settle(end).unwrap();
}

fn numbers(rows: &[Record]) -> Vec<u64> {
    rows.iter().map(|row| row.number.0).collect()
}

#[test]
fn rows_are_listed_by_how_they_stand_where_they_belong_and_page_by_page() {
    let folder = tempfile::tempdir().unwrap();
    let (path, clock) = (folder.path().join("journal.db"), Clock::new());
    let gone = clock.elsewhere(&path, "gone");
    let dead = submit(&gone, &row("dead"));
    Journal::write(&*dead, &intent(0)).unwrap();
    clock.pass(LEASE);

    let journal = clock.builder().open(&path).unwrap();
    let held = submit(&journal, &row("held"));
    Journal::write(&*held, &intent(0)).unwrap();
    let unknown_one = submit(&journal, &row("unknown"));
    Journal::write(&*unknown_one, &intent(0)).unwrap();
    unknown_one.settle(&unknown()).unwrap();
    let loopback = BaseUrl::parse("http://127.0.0.1:1", false).unwrap().origin().clone();
    let local = RowDraft { origin: loopback.clone(), tag: Some("x".to_owned()), ..draft("local") };
    run(&journal, local, "t4", &RowOutcome::Abandoned);
    run(&journal, draft("done"), "t5", &completed("t5", "0.03"));
    let wanted = RowDraft { target: Some("out".into()), ..draft("wanted") };
    run(&journal, wanted.clone(), "t6", &completed("t6", "0.03"));
    run(&journal, draft("failed"), "t7", &failed("t7", "3009095"));
    let refused = submit(&journal, &row("refused"));
    Journal::write(&*refused, &intent(0)).unwrap();
    Journal::write(&*refused, &released("HTTP 402")).unwrap();

    let list = |filter: &Filter| numbers(&journal.list(filter).unwrap());
    let of = |which| Filter { which, ..Filter::default() };
    assert_eq!(list(&of(Which::All)), [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(list(&of(Which::Doubtful)), [1, 3]);
    assert_eq!(list(&of(Which::Unfinished)), [1, 2, 3, 4, 6]);
    assert_eq!(list(&of(Which::Open)), [1, 2, 3, 4]);
    assert_eq!(list(&Filter { origin: Some(loopback), ..of(Which::All) }), [4]);
    assert_eq!(list(&Filter { tag: Some("x".to_owned()), ..of(Which::Unfinished) }), [4]);
    let page = Filter { after: Some(RowNumber(1)), limit: 2, ..of(Which::Unfinished) };
    assert_eq!(list(&page), [2, 3]);
    assert_eq!(list(&Filter { limit: 0, ..of(Which::All) }), [0; 0]);

    // Once its picture is there it is finished.
    let effects_jobs::Opened::Finished(_, open) = journal.open(&wanted.row(0).unwrap()).unwrap()
    else {
        panic!()
    };
    open.picture_saved(0, Path::new("/out/wanted.png"), None).unwrap();
    assert_eq!(list(&of(Which::Unfinished)), [1, 2, 3, 4]);
}

#[test]
fn long_lists_are_whole() {
    let journal = SqliteJournal::open(":memory:").unwrap();
    let rows: Vec<_> = (0..1_100)
        .map(|number| {
            let open = submit(&journal, &row(&format!("cat{number}")));
            Journal::write(&*open, &intent(0)).unwrap();
            if number == 1_050 {
                open.settle(&unknown()).unwrap();
            }
            open
        })
        .collect();
    let all = Filter { limit: usize::MAX, ..Filter::default() };
    assert_eq!(journal.list(&all).unwrap().len(), rows.len());
    let doubtful = Filter { which: Which::Doubtful, ..Filter::default() };
    assert_eq!(numbers(&journal.list(&doubtful).unwrap()), [1_051]);
}

#[test]
fn costs_add_up_to_the_digit_by_template_tag_and_day() {
    let clock = Clock::new();
    let journal = clock.builder().open(":memory:").unwrap();
    let spring = |name: &str| RowDraft { tag: Some("spring".to_owned()), ..draft(name) };
    run(&journal, spring("a"), "t1", &completed("t1", "0.1"));
    run(&journal, spring("b"), "t2", &completed("t2", "0.2"));
    let other = RowDraft { template: Template::MyWorld, ..draft("c") };
    run(&journal, other, "t3", &completed("t3", "0.0300000000000000000001"));
    run(&journal, draft("d"), "t4", &failed("t4", "3009095"));
    let loopback = BaseUrl::parse("http://127.0.0.1:1", false).unwrap().origin().clone();
    let local = RowDraft { origin: loopback.clone(), ..draft("e") };
    run(&journal, local, "t5", &completed("t5", "1"));
    // A renewal is a second task, and its bill a second bill.
    let renewed = journal.renew(RowNumber(4)).unwrap();
    Journal::write(&*renewed, &intent(0)).unwrap();
    Journal::write(&*renewed, &created("t6")).unwrap();
    renewed.settle(&completed("t6", "0.03")).unwrap();
    // A doubtful row has no task, and no sum can hold it.
    let open = submit(&journal, &row("f"));
    Journal::write(&*open, &intent(0)).unwrap();
    open.settle(&unknown()).unwrap();

    let real = draft("-").origin;
    let told = |by| -> Vec<(String, u64, u64, String)> {
        let spend = journal.spend(by, Some(&real)).unwrap();
        let tell = |spend: Spend| {
            (spend.group, spend.tasks, spend.unpriced, spend.cost.normalize().to_string())
        };
        spend.into_iter().map(tell).collect()
    };
    let line = |group: &str, tasks, unpriced, cost: &str| {
        (group.to_owned(), tasks, unpriced, cost.to_owned())
    };
    assert_eq!(
        told(SpendBy::Template),
        [line("glass_ball", 4, 0, "0.33"), line("my_world", 1, 0, "0.0300000000000000000001")]
    );
    assert_eq!(
        told(SpendBy::Tag),
        [line("", 3, 0, "0.0600000000000000000001"), line("spring", 2, 0, "0.3")]
    );
    assert_eq!(told(SpendBy::Day), [line("2025-11-24", 5, 0, "0.3600000000000000000001")]);
    let all = journal.spend(SpendBy::Template, None).unwrap();
    assert_eq!(all.len(), 3);
    assert_eq!(all[0].origin, loopback);
    assert_eq!(all[1].highest.unwrap().to_string(), "0.2");
}

#[test]
fn a_row_has_paid_for_every_task_it_had() {
    let journal = SqliteJournal::open(":memory:").unwrap();
    run(&journal, draft("once"), "t1", &completed("t1", "0.02"));
    let dear = |task: &str| match failed(task, "3009095") {
        RowOutcome::Failed { task, code, message, .. } => {
            RowOutcome::Failed { task, code, message, cost: Some("0.50".parse().unwrap()) }
        }
        other => other,
    };
    run(&journal, draft("cat"), "t2", &dear("t2"));
    let paid = |name| look(&journal, &row(name)).paid.to_string();
    assert_eq!((paid("once"), paid("cat")), ("0.02".to_owned(), "0.50".to_owned()));
    let renewed = journal.renew(RowNumber(2)).unwrap();
    Journal::write(&*renewed, &intent(0)).unwrap();
    assert_eq!(paid("cat"), "0.50", "while its second task is on its way");
    Journal::write(&*renewed, &created("t3")).unwrap();
    renewed.settle(&dear("t3")).unwrap();
    let again = journal.renew(RowNumber(2)).unwrap();
    Journal::write(&*again, &intent(1)).unwrap();
    Journal::write(&*again, &created("t4")).unwrap();
    again.settle(&completed("t4", "0.501")).unwrap();
    assert_eq!(paid("cat"), "1.501");
    assert_eq!(journal.list(&Filter::default()).unwrap()[1].paid.to_string(), "1.501");
}

#[test]
fn the_day_is_the_one_the_task_was_submitted_on() {
    let clock = Clock::new();
    let journal = clock.builder().open(":memory:").unwrap();
    let open = submit(&journal, &row("late"));
    Journal::write(&*open, &intent(0)).unwrap();
    Journal::write(&*open, &created("t1")).unwrap();
    clock.pass(Duration::from_secs(24 * 3600));
    open.settle(&completed("t1", "0.03")).unwrap();
    let spend = journal.spend(SpendBy::Day, None).unwrap();
    assert_eq!(spend[0].group, "2025-11-24");
}
