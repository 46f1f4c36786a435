//! The list of the owners that are open in this process; an owner is an open journal, as its database
//! knows it. `Owner` (`transaction.rs`) enters itself with [`add`] and leaves with [`remove`]. Before a
//! transaction judges an owner of this process gone, and its rows free, it asks [`may_be_open`].
//!
//! An owner leaves its file when its journal is closed, but a full disk may keep it from doing so.
//! Its process is there all the same, and would be taken for an owner at work.
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
