//! Every step a row can take, and those it must not.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::path::Path;
use std::time::Duration;

use common::*;
use effects_core::journal::{Journal, JournalError, RowNumber, RowOutcome};
use effects_jobs::{JournalStore, Opened, Resolution, RowDraft, RowName, RowPhoto, RowState};
use effects_journal::{Process, SqliteJournal};

fn memory() -> SqliteJournal {
    SqliteJournal::open(":memory:").unwrap()
}

#[test]
fn a_row_goes_from_nothing_to_its_picture() {
    let (journal, cat) = (memory(), row("cat"));
    let open = submit(&journal, &cat);
    assert_eq!(journal.find(&RowName::Identity(cat.identity)).unwrap(), None);

    Journal::write(&*open, &intent(0)).unwrap();
    let record = look(&journal, &cat);
    let RowState::Intent { attempts } = &record.state else { panic!("{record:?}") };
    assert_eq!((attempts.len(), attempts[0].request_id.as_str()), (1, "request 0"));
    assert_eq!(attempts[0].idempotency_key, "submission");
    assert!(record.holder.unwrap().ours);
    assert_eq!(record.row, cat);
    assert_eq!(opened(&journal, &cat), "elsewhere");

    Journal::write(&*open, &created("t1")).unwrap();
    let RowState::Created { task, submitted } = row_state(&journal, &cat) else { panic!() };
    assert_eq!((task.as_str(), submitted.as_millis()), ("t1", START));
    assert_eq!(opened(&journal, &cat), "elsewhere");

    open.settle(&completed("t1", "0.03")).unwrap();
    open.picture_saved(0, Path::new("/out/cat.png"), None).unwrap();
    let record = look(&journal, &cat);
    let RowState::Completed { cost, pictures, .. } = &record.state else { panic!("{record:?}") };
    assert_eq!(cost.unwrap().to_string(), "0.03");
    assert_eq!(pictures[0].url, "https://example.com/t1.png");
    assert_eq!(pictures[0].path.as_deref(), Some(Path::new("/out/cat.png")));
    assert_eq!(record.holder, None);

    // Seen again, with a fresh link: where it landed is still known.
    let Opened::Finished(_, again) = journal.open(&cat).unwrap() else { panic!() };
    again.settle(&completed("t1", "0.03")).unwrap();
    let RowState::Completed { pictures, .. } = row_state(&journal, &cat) else { panic!() };
    assert!(pictures[0].path.is_some());
    journal.flush().unwrap();
}

#[test]
fn the_second_run_is_told_before_anything_is_sent() {
    let (journal, cat) = (memory(), row("cat"));
    let (first, second) = (submit(&journal, &cat), submit(&journal, &cat));
    Journal::write(&*first, &intent(0)).unwrap();
    let taken = Journal::write(&*second, &intent(0));
    assert_eq!(taken, Err(JournalError::Taken { row: RowNumber(1) }));
    assert!(second.is_taken() && !first.is_taken());
    // What the second says of its end is not the row's.
    second.settle(&RowOutcome::Abandoned).unwrap();
    drop(second);
    assert!(matches!(row_state(&journal, &cat), RowState::Intent { .. }));
    Journal::write(&*first, &created("t1")).unwrap();
}

#[test]
fn the_same_entry_again_changes_nothing() {
    let (journal, cat) = (memory(), row("cat"));
    let open = submit(&journal, &cat);
    for entry in [intent(0), released("503"), intent(1), created("t1")] {
        Journal::write(&*open, &entry).unwrap();
        let before = row_state(&journal, &cat);
        Journal::write(&*open, &entry).unwrap();
        assert_eq!(row_state(&journal, &cat), before);
    }
}

#[test]
fn a_released_row_is_its_owners_until_it_lets_go_and_then_any_run_s() {
    let (journal, cat) = (memory(), row("cat"));
    let open = submit(&journal, &cat);
    Journal::write(&*open, &intent(0)).unwrap();
    Journal::write(&*open, &released("HTTP 429")).unwrap();
    let RowState::Released { reason } = row_state(&journal, &cat) else { panic!() };
    assert_eq!(reason, "HTTP 429");
    assert_eq!(opened(&journal, &cat), "elsewhere");

    // The next attempt is one that is open; the released one is not.
    Journal::write(&*open, &intent(1)).unwrap();
    let RowState::Intent { attempts } = row_state(&journal, &cat) else { panic!() };
    assert_eq!(attempts.len(), 1);
    Journal::write(&*open, &released("HTTP 402")).unwrap();
    open.settle(&RowOutcome::Abandoned).unwrap();
    assert_eq!(opened(&journal, &cat), "submit");
}

#[test]
fn attempts_that_may_have_arrived_are_all_kept() {
    let (journal, cat) = (memory(), row("cat"));
    let open = submit(&journal, &cat);
    for attempt in 0..3 {
        Journal::write(&*open, &intent(attempt)).unwrap();
    }
    open.settle(&unknown()).unwrap();
    let RowState::Doubtful { attempts, reason } = row_state(&journal, &cat) else { panic!() };
    assert_eq!((attempts.len(), reason.as_str()), (3, "no answer: reset"));
}

#[test]
fn a_doubtful_row_is_settled_by_a_person_alone() {
    let (journal, cat) = (memory(), row("cat"));
    let open = submit(&journal, &cat);
    Journal::write(&*open, &intent(0)).unwrap();
    let wrong = journal.resolve(RowNumber(1), &Resolution::NotBilled).unwrap_err();
    assert!(wrong.to_string().contains("row 1 of the journal is intent"), "{wrong}");
    open.settle(&unknown()).unwrap();
    assert_eq!(opened(&journal, &cat), "doubtful");
    assert_eq!(name_of(&journal.take(RowNumber(1)).unwrap()), "doubtful");

    journal.resolve(RowNumber(1), &Resolution::Task("found".parse().unwrap())).unwrap();
    let RowState::Created { task, submitted } = row_state(&journal, &cat) else { panic!() };
    assert_eq!((task.as_str(), submitted.as_millis()), ("found", START));
    assert_eq!(opened(&journal, &cat), "watch");

    let dog = row("dog");
    let open = submit(&journal, &dog);
    Journal::write(&*open, &intent(0)).unwrap();
    drop(open);
    assert_eq!(opened(&journal, &dog), "doubtful");
    let theirs = journal.resolve(RowNumber(2), &Resolution::Task("found".parse().unwrap()));
    assert_eq!(theirs, Err(JournalError::TaskOfAnotherRow { row: RowNumber(1) }));
    journal.resolve(RowNumber(2), &Resolution::NotBilled).unwrap();
    assert_eq!(opened(&journal, &dog), "submit");
    let none = journal.resolve(RowNumber(3), &Resolution::NotBilled);
    assert_eq!(none, Err(JournalError::NoSuchRow(RowNumber(3))));
}

#[test]
fn an_answer_that_comes_late_is_kept() {
    let (journal, cat) = (memory(), row("cat"));
    let open = submit(&journal, &cat);
    Journal::write(&*open, &intent(0)).unwrap();
    open.settle(&unknown()).unwrap();
    Journal::write(&*open, &created("late")).unwrap();
    assert_eq!(row_state(&journal, &cat).task().unwrap().as_str(), "late");
}

#[test]
fn a_task_whose_row_was_given_away_is_kept_in_a_row_of_its_own() {
    let (journal, cat) = (memory(), row("cat"));
    let late = submit(&journal, &cat);
    Journal::write(&*late, &intent(0)).unwrap();
    late.settle(&unknown()).unwrap();
    journal.resolve(RowNumber(1), &Resolution::NotBilled).unwrap();
    let next = submit(&journal, &cat);
    Journal::write(&*next, &intent(0)).unwrap();

    for _ in 0..2 {
        let given = Journal::write(&*late, &created("stray"));
        let kept = RowNumber(2);
        assert_eq!(given, Err(JournalError::GivenAway { row: RowNumber(1), kept }));
        assert!(!late.is_taken());
    }
    Journal::write(&*next, &created("t2")).unwrap();
    let rows = journal.list(&Default::default()).unwrap();
    let tasks: Vec<_> = rows.iter().map(|row| row.state.task().unwrap().as_str()).collect();
    assert_eq!(tasks, ["t2", "stray"]);
    assert_eq!(name_of(&journal.take(rows[1].number).unwrap()), "watch");
}

#[test]
fn a_dead_process_leaves_its_intents_doubtful_and_its_tasks_to_the_next_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    // A process of this boot with our id, of which it is known that it started at another time.
    let dead = Process { started: "1".to_owned(), ..Process::current() };
    if dead.place.is_empty() {
        return; // This system does not say who is there; the next test has what holds then.
    }
    let dead = SqliteJournal::builder().process(dead).lease(LEASE).open(&path).unwrap();
    let (cat, dog) = (row("cat"), row("dog"));
    let (lost, known) = (submit(&dead, &cat), submit(&dead, &dog));
    Journal::write(&*lost, &intent(0)).unwrap();
    Journal::write(&*known, &intent(0)).unwrap();
    Journal::write(&*known, &created("t1")).unwrap();

    let journal = SqliteJournal::open(&path).unwrap();
    let Opened::Doubtful(record) = journal.open(&cat).unwrap() else { panic!() };
    let RowState::Doubtful { attempts, .. } = &record.state else { panic!() };
    assert_eq!(attempts[0].request_id, "request 0");
    let Opened::Watch(record, open) = journal.open(&dog).unwrap() else { panic!() };
    assert_eq!(record.state.task().unwrap().as_str(), "t1");
    open.settle(&completed("t1", "0.03")).unwrap();
    assert_eq!(opened(&journal, &dog), "finished");
}

#[test]
fn a_process_that_cannot_be_seen_is_believed_while_its_lease_runs() {
    let folder = tempfile::tempdir().unwrap();
    let (path, clock) = (folder.path().join("journal.db"), Clock::new());
    let (far, near) = (clock.elsewhere(&path, "far"), clock.elsewhere(&path, "near"));
    let (cat, dog) = (row("cat"), row("dog"));
    let (intended, made) = (submit(&far, &cat), submit(&far, &dog));
    Journal::write(&*intended, &intent(0)).unwrap();
    Journal::write(&*made, &intent(0)).unwrap();
    Journal::write(&*made, &created("t1")).unwrap();

    clock.pass(LEASE - Duration::from_millis(1));
    let Opened::Elsewhere(record) = near.open(&cat).unwrap() else { panic!() };
    assert_eq!(record.holder.unwrap().to_string(), "process 7 on far");
    assert_eq!(opened(&near, &dog), "elsewhere");

    // Whatever it writes renews its lease.
    far.flush().unwrap();
    clock.pass(LEASE - Duration::from_millis(1));
    assert_eq!(opened(&near, &cat), "elsewhere");
    clock.pass(Duration::from_millis(1));
    assert_eq!(opened(&near, &cat), "doubtful");
    let Opened::Watch(_, watched) = near.open(&dog).unwrap() else { panic!() };

    // It was only asleep: its answer is still its row's, and what it saw is still so.
    Journal::write(&*intended, &created("t2")).unwrap();
    made.settle(&completed("t1", "0.03")).unwrap();
    far.flush().unwrap();
    assert_eq!(row_state(&near, &cat).task().unwrap().as_str(), "t2");
    assert_eq!(row_state(&near, &dog).name(), "completed");
    watched.settle(&completed("t1", "0.03")).unwrap();
    near.flush().unwrap();
}

#[test]
fn an_owner_that_could_not_leave_its_file_is_gone_with_its_journal() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let journal = SqliteJournal::open(&path).unwrap();
    let open = submit(&journal, &row("cat"));
    Journal::write(&*open, &intent(0)).unwrap();
    Journal::write(&*open, &created("t1")).unwrap();
    let other = SqliteJournal::open(&path).unwrap();
    assert_eq!(opened(&other, &row("cat")), "elsewhere", "it is another owner of this process");
    let database = rusqlite::Connection::open(&path).unwrap();
    let full = "CREATE TRIGGER full BEFORE UPDATE ON rows
        BEGIN SELECT RAISE(ABORT, 'the disk is full'); END";
    database.execute_batch(full).unwrap();
    drop((open, journal));
    database.execute_batch("DROP TRIGGER full").unwrap();
    assert_eq!(opened(&other, &row("cat")), "watch");
}

#[test]
fn a_process_that_ends_in_order_lets_go_of_its_tasks() {
    let folder = tempfile::tempdir().unwrap();
    let (path, clock) = (folder.path().join("journal.db"), Clock::new());
    let near = clock.elsewhere(&path, "near");
    let far = clock.elsewhere(&path, "far");
    let (cat, dog) = (row("cat"), row("dog"));
    let (watched, intended) = (submit(&far, &cat), submit(&far, &dog));
    Journal::write(&*watched, &intent(0)).unwrap();
    Journal::write(&*watched, &created("t1")).unwrap();
    Journal::write(&*intended, &intent(0)).unwrap();
    drop((watched, intended, far));
    assert_eq!(opened(&near, &cat), "watch");
    assert_eq!(opened(&near, &dog), "doubtful");
}

#[test]
fn a_failed_row_is_paid_anew_only_on_purpose_and_where_it_may_help() {
    let (journal, cat) = (memory(), row("cat"));
    let open = submit(&journal, &cat);
    Journal::write(&*open, &intent(0)).unwrap();
    Journal::write(&*open, &created("t1")).unwrap();
    open.settle(&failed("t1", "3009001")).unwrap();
    assert!(matches!(journal.renew(RowNumber(1)), Err(JournalError::WrongRowState { .. })));
    open.settle(&failed("t1", "3009095")).unwrap();
    assert_eq!(opened(&journal, &cat), "finished");

    let renewed = journal.renew(RowNumber(1)).unwrap();
    let second = journal.renew(RowNumber(1)).unwrap();
    assert_eq!(row_state(&journal, &cat).name(), "failed");
    Journal::write(&*renewed, &intent(0)).unwrap();
    assert_eq!(look(&journal, &cat).renewals, 1);
    assert!(Journal::write(&*second, &intent(0)).is_err() && second.is_taken());

    // Refused: it has failed as it had before, and nothing was paid for the attempt.
    Journal::write(&*renewed, &released("HTTP 429")).unwrap();
    assert_eq!((row_state(&journal, &cat).name(), look(&journal, &cat).renewals), ("failed", 0));
    Journal::write(&*renewed, &intent(1)).unwrap();
    Journal::write(&*renewed, &created("t2")).unwrap();
    renewed.settle(&completed("t2", "0.03")).unwrap();
    let record = look(&journal, &cat);
    assert_eq!((record.state.task().unwrap().as_str(), record.renewals), ("t2", 1));
    assert!(journal.renew(RowNumber(1)).is_err());
}

#[test]
fn a_doubtful_renewal_that_was_not_billed_has_failed_as_before() {
    let (journal, cat) = (memory(), row("cat"));
    let open = submit(&journal, &cat);
    Journal::write(&*open, &intent(0)).unwrap();
    Journal::write(&*open, &created("t1")).unwrap();
    open.settle(&failed("t1", "3009099")).unwrap();
    let renewed = journal.renew(RowNumber(1)).unwrap();
    Journal::write(&*renewed, &intent(0)).unwrap();
    drop(renewed);
    assert_eq!(opened(&journal, &cat), "doubtful");
    journal.resolve(RowNumber(1), &Resolution::NotBilled).unwrap();
    assert_eq!(row_state(&journal, &cat).task().unwrap().as_str(), "t1");
    // Not submitted without being asked to.
    assert_eq!(opened(&journal, &cat), "finished");
}

#[test]
fn one_key_is_one_picture() {
    let journal = memory();
    let keyed = |name: &str| RowDraft { key: Some("1".to_owned()), ..draft(name) }.row(0).unwrap();
    let open = submit(&journal, &keyed("cat"));
    Journal::write(&*open, &intent(0)).unwrap();
    assert_eq!(opened(&journal, &keyed("cat")), "elsewhere");
    let error = journal.open(&keyed("dog")).unwrap_err();
    let expected =
        JournalError::KeyReused { key: "1".to_owned(), row: RowNumber(1), differs: "image" };
    assert_eq!(error, expected);

    // Nothing was ever made under it: it may be for another picture.
    Journal::write(&*open, &released("HTTP 400")).unwrap();
    assert!(journal.open(&keyed("dog")).is_err(), "its owner may still send it");
    open.settle(&RowOutcome::Abandoned).unwrap();
    let open = submit(&journal, &keyed("dog"));
    Journal::write(&*open, &intent(0)).unwrap();
    assert_eq!(look(&journal, &keyed("dog")).row, keyed("dog"));
}

#[test]
fn a_process_that_does_nothing_renews_its_lease() {
    let folder = tempfile::tempdir().unwrap();
    let (path, clock) = (folder.path().join("journal.db"), Clock::new());
    let lease = Duration::from_millis(60);
    let place = Process { place: "far".to_owned(), ..Process::current() };
    let far = clock.builder().process(place).lease(lease).open(&path).unwrap();
    let open = submit(&far, &row("cat"));
    Journal::write(&*open, &intent(0)).unwrap();
    let near = clock.elsewhere(&path, "near");
    for _ in 0..6 {
        let before = far.stats().commits;
        clock.pass(lease / 3 + Duration::from_millis(1));
        while far.stats().commits == before {
            std::thread::yield_now();
        }
        assert_eq!(opened(&near, &row("cat")), "elsewhere");
    }
}

#[test]
fn a_single_run_is_a_row_of_its_own_each_time_and_found_by_its_task() {
    let journal = memory();
    let (first, second) = (draft("cat").unique([1; 16]), draft("cat").unique([2; 16]));
    for (row, task) in [(&first, "t1"), (&second, "t2")] {
        let open = submit(&journal, row);
        Journal::write(&*open, &intent(0)).unwrap();
        Journal::write(&*open, &created(task)).unwrap();
    }
    let name = RowName::Task(first.origin.clone(), "t2".parse().unwrap());
    let found = journal.find(&name).unwrap().unwrap();
    assert_eq!((found.number, found.row), (RowNumber(2), second));
    let elsewhere = effects_core::BaseUrl::parse("http://127.0.0.1:1", false).unwrap();
    let name = RowName::Task(elsewhere.origin().clone(), "t2".parse().unwrap());
    assert_eq!(journal.find(&name).unwrap(), None);
}

#[test]
fn where_a_picture_is_wanted_follows_the_latest_run() {
    let journal = memory();
    let wanted =
        |target: &str| RowDraft { target: Some(target.into()), ..draft("cat") }.row(0).unwrap();
    let open = submit(&journal, &wanted("a.png"));
    Journal::write(&*open, &intent(0)).unwrap();
    assert_eq!(opened(&journal, &wanted("b.png")), "elsewhere");
    assert_eq!(look(&journal, &row("cat")).row.target.as_deref(), Some(Path::new("b.png")));
    // A row without a file in mind leaves it.
    assert_eq!(opened(&journal, &row("cat")), "elsewhere");
    assert!(look(&journal, &row("cat")).row.target.is_some());
}

#[test]
fn a_photo_of_this_machine_is_shown_by_its_path() {
    let journal = memory();
    let photo = RowPhoto::Content { digest: [7; 32], shown: "photos/cat.jpg".to_owned() };
    let row = RowDraft { photo, ..draft("-") }.row(0).unwrap();
    let open = submit(&journal, &row);
    Journal::write(&*open, &intent(0)).unwrap();
    assert_eq!(look(&journal, &row).row.image, "photos/cat.jpg");
}
