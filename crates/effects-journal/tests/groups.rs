//! Many writers share one wait for the disk: counted, not timed.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use common::*;
use effects_core::journal::{Admission, AsyncJournal, Journal};
use effects_jobs::{JournalStore, RowJournal};
use effects_journal::SqliteJournal;
use rusqlite::Connection;

type Write<'a> = std::pin::Pin<
    Box<dyn Future<Output = Result<Admission, effects_core::journal::JournalError>> + Send + 'a>,
>;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// The smallest executor: all of them on one thread, which sleeps until one of them is woken.
fn block_on_all(mut writes: Vec<Write<'_>>) {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        writes.retain_mut(|write| match write.as_mut().poll(&mut context) {
            Poll::Ready(written) => {
                written.unwrap();
                false
            }
            Poll::Pending => true,
        });
        if writes.is_empty() {
            return;
        }
        thread::park();
    }
}

#[test]
fn what_comes_in_while_the_disk_is_busy_is_committed_together() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let journal = SqliteJournal::open(&path).unwrap();
    let rows: Vec<Arc<dyn RowJournal>> =
        (0..256).map(|number| submit(&journal, &row(&format!("cat{number}")))).collect();
    for entry in [intent(0), created("t")] {
        let before = journal.stats();
        // Another process has the file: as slow a disk as we please.
        let mut other = Connection::open(&path).unwrap();
        let busy =
            other.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).unwrap();
        let mut writes: Vec<Write<'_>> =
            rows.iter().map(|row| AsyncJournal::write(&**row, &entry)).collect();
        let mut context = Context::from_waker(Waker::noop());
        for write in &mut writes {
            assert!(write.as_mut().poll(&mut context).is_pending());
        }
        busy.rollback().unwrap();
        block_on_all(writes);

        let after = journal.stats();
        assert_eq!(after.requests - before.requests, 256);
        // The first waits for the file by itself, or with those that came at once; the rest goes
        // together.
        let (commits, synced) = (after.commits - before.commits, after.synced - before.synced);
        assert!((1..=2).contains(&commits) && synced == commits, "{commits} {synced}");
    }
}

#[test]
fn one_writer_alone_waits_for_each_of_its_records() {
    let journal = SqliteJournal::open(":memory:").unwrap();
    let open = submit(&journal, &row("cat"));
    let before = journal.stats();
    for entry in [intent(0), released("429"), intent(1), created("t1")] {
        Journal::write(&*open, &entry).unwrap();
    }
    let after = journal.stats();
    assert_eq!(after.synced - before.synced, 4);
    // Reading commits nothing.
    row_state(&journal, &row("cat"));
    assert_eq!(journal.stats().commits, after.commits);

    // An end can be found out again for nothing, so no caller waits for the disk, until told to.
    open.settle(&completed("t1", "0.03")).unwrap();
    assert_eq!(row_state(&journal, &row("cat")).name(), "completed");
    assert_eq!(journal.stats().commits, after.commits + 1);
    assert_eq!(journal.stats().synced, after.synced);
    journal.flush().unwrap();
    assert_eq!(journal.stats().synced, after.synced + 1);
}

#[test]
fn a_future_that_is_not_awaited_any_more_does_no_harm() {
    let journal = SqliteJournal::open(":memory:").unwrap();
    let open = submit(&journal, &row("cat"));
    let entry = intent(0);
    let mut dropped = AsyncJournal::write(&*open, &entry);
    let mut context = Context::from_waker(Waker::noop());
    // Handed in, and perhaps written already.
    let _ = dropped.as_mut().poll(&mut context);
    drop(dropped);
    // The driver writes it again under the same id before it sends anything.
    block_on_all(vec![AsyncJournal::write(&*open, &entry)]);
    assert_eq!(row_state(&journal, &row("cat")).name(), "intent");
}
