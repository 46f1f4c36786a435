//! A journal whose file is deleted or replaced while it is open.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![cfg(unix)]

mod common;

use std::fs;
use std::path::Path;

use common::*;
use effects_core::journal::{Journal, JournalError, RowOutcome};
use effects_jobs::{JournalStore, RowName};
use effects_journal::SqliteJournal;

fn delete(path: &Path) {
    for entry in fs::read_dir(path.parent().unwrap()).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
}

/// Another journal is moved to its path.
fn replace(path: &Path) {
    let other = path.with_file_name("other.db");
    drop(SqliteJournal::open(&other).unwrap());
    fs::rename(other, path).unwrap();
}

fn is_told(result: Result<(), JournalError>, what: &str) {
    let Err(JournalError::Unwritable(why)) = result else { panic!("{result:?}") };
    assert!(why.contains(what) && why.contains("journal.db"), "{why}");
}

#[test]
fn nothing_more_is_admitted_once_the_file_was_deleted_or_replaced() {
    for (vanish, what) in
        [(delete as fn(&Path), "was deleted"), (replace, "was replaced by another file")]
    {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.db");
        let journal = SqliteJournal::open(&path).unwrap();
        let (cat, dog) = (submit(&journal, &row("cat")), submit(&journal, &row("dog")));
        Journal::write(&*cat, &intent(0)).unwrap();
        journal.flush().unwrap();
        vanish(&path);

        is_told(Journal::write(&*dog, &intent(0)).map(drop), what);
        is_told(journal.flush(), what);
        is_told(journal.backup(folder.path().join("copy.db")), what);
        // A task that was made meanwhile is not lost: its id is beside the journal, and told.
        is_told(Journal::write(&*cat, &created("t1")).map(drop), "the id of task t1 is kept in");
        let spilled = fs::read_to_string(path.with_file_name("journal.db-spill")).unwrap();
        assert!(spilled.contains("\"t1\""), "{spilled}");
        // What it holds can still be read.
        let known = journal.find(&RowName::Identity(row("cat").identity)).unwrap();
        assert_eq!(known.unwrap().state.name(), "intent");
    }
}

#[test]
fn an_end_that_the_deleted_file_takes_no_more_is_told_at_the_next_flush() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let journal = SqliteJournal::open(&path).unwrap();
    let cat = submit(&journal, &row("cat"));
    Journal::write(&*cat, &intent(0)).unwrap();
    Journal::write(&*cat, &created("t1")).unwrap();
    delete(&path);
    cat.settle(&RowOutcome::Abandoned).unwrap();
    is_told(journal.flush(), "was deleted");
}

/// Its id was on the disk before, and is not any more.
#[test]
fn the_ids_of_tasks_under_way_are_kept_beside_the_deleted_file_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let journal = SqliteJournal::open(&path).unwrap();
    let held = ["t1", "t2"].map(|task| {
        let open = submit(&journal, &row(task));
        Journal::write(&*open, &intent(0)).unwrap();
        Journal::write(&*open, &created(task)).unwrap();
        open
    });
    delete(&path);
    for _ in 0..2 {
        is_told(journal.flush(), "the ids of the tasks under way (t1, t2) are kept in");
    }
    let spilled = fs::read_to_string(path.with_file_name("journal.db-spill")).unwrap();
    let spilled: Vec<&str> = spilled.lines().filter(|line| !line.is_empty()).collect();
    assert!(spilled[0].contains("\"t1\"") && spilled[1].contains("\"t2\""), "{spilled:?}");
    assert_eq!(spilled.len(), 2);
    // Where there is no place beside it either, they are told all the same.
    let journal = SqliteJournal::open(&path).unwrap();
    drop(held);
    let open = submit(&journal, &row("t3"));
    Journal::write(&*open, &intent(0)).unwrap();
    Journal::write(&*open, &created("t3")).unwrap();
    fs::remove_dir_all(folder.path()).unwrap();
    is_told(journal.flush(), "nor could the ids of the tasks under way (t3) be kept");
}

#[test]
fn a_file_that_was_deleted_while_it_was_closed_for_a_fork_is_not_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let journal = SqliteJournal::open(&path).unwrap();
    let closed = journal.fork_handle().close_for_fork().unwrap();
    delete(&path);
    drop(closed);
    is_told(journal.flush(), "was deleted");
    assert!(!path.exists());
}
