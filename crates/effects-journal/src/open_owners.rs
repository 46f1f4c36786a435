//! The owners (open journals, as their database knows them) that are really open in this process. A closed
//! one may still stand in the database, where a full disk kept it from leaving, and that its process runs
//! proves nothing; so a transaction asks [`may_be_open`] before it takes an owner of this process for
//! alive. `Owner` (`transaction.rs`), of both kinds of journal, enters itself with [`add`] and leaves with
//! [`remove`] when it is dropped.
//!
//! No lock guards the table: a fork might copy it locked, and its child would wait for ever.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

static OWNERS: [AtomicI64; 64] = [const { AtomicI64::new(FREE) }; 64];
/// Whether there were ever more than the table holds.
static FULL: AtomicBool = AtomicBool::new(false);

/// Lists an owner.
pub(crate) fn add(owner: i64) {
    let free = |slot: &&AtomicI64| {
        slot.compare_exchange(FREE, owner, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    };
    if OWNERS.iter().find(free).is_none() {
        FULL.store(true, Ordering::SeqCst);
    }
}

/// Takes an owner off the list.
pub(crate) fn remove(owner: i64) {
    for slot in &OWNERS {
        // In its one slot it is replaced; elsewhere there is nothing to do.
        let _ = slot.compare_exchange(owner, FREE, Ordering::SeqCst, Ordering::SeqCst);
    }
}

/// Whether an owner of this process may be at work.
pub(crate) fn may_be_open(owner: i64) -> bool {
    // An owner that found no free slot is taken to be open: its rows are held too long rather than by two.
    FULL.load(Ordering::SeqCst) || OWNERS.iter().any(|it| it.load(Ordering::SeqCst) == owner)
}

/// No owner's id.
const FREE: i64 = 0;
