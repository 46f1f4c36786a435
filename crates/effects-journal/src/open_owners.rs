//! [`may_be_open`]: whether an owner (an open journal, as its database knows it) of this process is still
//! open. That the process runs does not show it: a full disk may have left a closed owner in the database.
//! So a transaction asks here before it takes another owner of its own process for alive. Each `Owner`
//! (`transaction.rs`), in SQLite or Postgres, enters itself with [`add`] when it is made, and leaves with
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
