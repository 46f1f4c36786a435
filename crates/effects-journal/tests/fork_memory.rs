//! `ForkHandle` where memory is short. In a file of its own, since SQLite's limit holds for the whole process.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::fs;
use std::path::Path;

use common::*;
use effects_journal::SqliteJournal;
use rusqlite::Connection;

/// Whether this process has the file open.
fn is_open(path: &Path) -> bool {
    let descriptors = fs::read_dir("/proc/self/fd").unwrap();
    descriptors.flatten().any(|it| fs::read_link(it.path()).is_ok_and(|open| open == path))
}

#[test]
fn a_journal_closes_its_file_for_a_fork_though_sqlite_gets_no_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = fs::canonicalize(folder.path()).unwrap().join("journal.db");
    let journal = SqliteJournal::open(&path).unwrap();
    submit(&journal, &row("cat"));
    assert!(is_open(&path));
    let limit = Connection::open_in_memory().unwrap();
    limit.execute_batch("PRAGMA hard_heap_limit=1").unwrap();
    assert!(Connection::open_in_memory().is_err(), "the limit holds");
    let closed = journal.fork_handle().close_for_fork();
    assert!(closed.is_some() && !is_open(&path), "{closed:?}");
}
