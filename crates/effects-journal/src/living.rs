//! The owners whose journals are open in this process: [`list`] adds one, [`strike`] takes it off.
//! `transaction.rs` asks [`may_live`] before it takes an owner of this process for gone.
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
pub(crate) fn list(owner: i64) {
    let free = |place: &&AtomicI64| {
        place.compare_exchange(FREE, owner, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    };
    if OWNERS.iter().find(free).is_none() {
        FULL.store(true, Ordering::SeqCst);
    }
}

/// Strikes an owner off the list.
pub(crate) fn strike(owner: i64) {
    for place in &OWNERS {
        // At its one place it is replaced; elsewhere there is nothing to do.
        let _ = place.compare_exchange(owner, FREE, Ordering::SeqCst, Ordering::SeqCst);
    }
}

/// Whether an owner of this process may be at work.
pub(crate) fn may_live(owner: i64) -> bool {
    // An owner that found no place is taken to live: its rows are held too long rather than by two.
    FULL.load(Ordering::SeqCst) || OWNERS.iter().any(|it| it.load(Ordering::SeqCst) == owner)
}

/// No owner's id.
const FREE: i64 = 0;
