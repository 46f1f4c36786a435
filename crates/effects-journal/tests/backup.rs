//! A whole copy of a journal, made while others write it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::fs;
use std::path::Path;
use std::thread;

use common::*;
use effects_core::journal::{Journal, JournalError};
use effects_jobs::{Filter, JournalStore};
use effects_journal::SqliteJournal;

fn begin(journal: &SqliteJournal, name: &str) {
    let open = submit(journal, &row(name));
    Journal::write(&*open, &intent(0)).unwrap();
    Journal::write(&*open, &created(name)).unwrap();
}

fn rows(journal: &SqliteJournal) -> usize {
    journal.list(&Filter::default()).unwrap().len()
}

#[test]
fn a_copy_is_whole_and_sound_while_another_journal_writes_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let (path, copy) = (folder.path().join("journal.db"), folder.path().join("copy.db"));
    let journal = SqliteJournal::open(&path).unwrap();
    begin(&journal, "before");
    // A plain copy of the file misses the row, which is in the log.
    fs::copy(&path, folder.path().join("plain.db")).unwrap();
    assert_eq!(rows(&SqliteJournal::open(folder.path().join("plain.db")).unwrap()), 0);
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let other = SqliteJournal::open(&path).unwrap();
            (0..50).for_each(|n| begin(&other, &format!("row{n}")));
        });
        journal.backup(&copy).unwrap();
        writer.join().unwrap();
    });
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(copy.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
    let copied = SqliteJournal::open(&copy).unwrap();
    assert!((1..=51).contains(&rows(&copied)));
    assert_eq!(copied.id().unwrap(), journal.id().unwrap());
    assert!(copied.id().unwrap().is_some_and(|id| id.len() == 32));
    assert_eq!(rows(&journal), 51);
    let found = rusqlite::Connection::open(&copy).unwrap();
    let sound: String = found.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(sound, "ok");
}

#[test]
fn a_copy_replaces_nothing_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let journal = SqliteJournal::open(&path).unwrap();
    begin(&journal, "cat");
    fs::write(folder.path().join("mine.txt"), "mine").unwrap();
    let names = || {
        let entries = fs::read_dir(folder.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = names();
    let refused = |target: &Path, why: &str| {
        let error = journal.backup(target).unwrap_err();
        assert!(matches!(&error, JournalError::NotCopied { target: told, .. } if told == target));
        assert!(error.to_string().contains(why), "{error}");
    };
    refused(&folder.path().join("mine.txt"), "exists already");
    for name in ["journal.db", "journal.db-wal", "journal.db-shm", "journal.db-journal"] {
        refused(&folder.path().join(name), "a file of the journal itself");
    }
    refused(&folder.path().join("no/such/folder.db"), "No such file");
    assert_eq!(names(), before);
    assert_eq!(fs::read_to_string(folder.path().join("mine.txt")).unwrap(), "mine");
    assert_eq!(rows(&journal), 1);
}
