//! `ForkHandle`: a journal closes its file for a while, and goes on with nothing lost.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::thread;

use common::*;
use effects_core::journal::Journal;
use effects_jobs::RowState;
use effects_journal::SqliteJournal;

fn log(path: &Path) -> PathBuf {
    path.with_file_name("journal.db-wal")
}

#[test]
fn while_it_is_closed_its_file_is_closed_and_what_it_is_asked_waits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let journal = SqliteJournal::open(&path).unwrap();
    let open = submit(&journal, &row("cat"));
    Journal::write(&*open, &intent(0)).unwrap();
    assert!(log(&path).exists());

    let closed = journal.fork_handle().close_for_fork().unwrap();
    assert!(!log(&path).exists(), "the last to close a file takes its log along");
    let (tell, told) = channel();
    thread::scope(|scope| {
        scope.spawn(|| {
            Journal::write(&*open, &created("abc")).unwrap();
            tell.send(()).unwrap();
        });
        // Another process opens, writes and closes the file meanwhile.
        let other = SqliteJournal::open(&path).unwrap();
        submit(&other, &row("dog"));
        drop(other);
        assert!(told.try_recv().is_err(), "it was answered although the file is closed");
        drop(closed);
        told.recv().unwrap();
    });
    let record = look(&journal, &row("cat"));
    assert!(matches!(record.state, RowState::Created { .. }), "{record:?}");
}

#[test]
fn a_handle_keeps_no_journal_open_and_tells_that_it_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let journal = SqliteJournal::open(&path).unwrap();
    let handle = journal.fork_handle();
    assert!(!handle.is_gone());
    let closed = handle.close_for_fork().unwrap();
    // Closed for good while it is closed for a fork: it opens its file once more to let go of its rows.
    let end = thread::spawn(move || drop(journal));
    drop(closed);
    end.join().unwrap();
    assert!(handle.is_gone());
    assert!(handle.close_for_fork().is_none());
    assert!(!log(&path).exists());
}

#[test]
fn one_in_memory_keeps_what_it_knows() {
    let journal = SqliteJournal::open(":memory:").unwrap();
    let open = submit(&journal, &row("cat"));
    Journal::write(&*open, &intent(0)).unwrap();
    drop(journal.fork_handle().close_for_fork().unwrap());
    assert!(matches!(look(&journal, &row("cat")).state, RowState::Intent { .. }));
}
