//! The contract of a journal of paid tasks: a [`JournalStore`] (`store.rs`) keeps rows ([`Row`]), what is
//! known of each ([`Record`]) and budgets, so that no task is lost and none is paid twice, also after a
//! crash. `effects-journal` implements it in SQLite and PostgreSQL, [`MemoryStore`] in memory.
//! `JournalSession` of `effects-client` opens rows, for both clients, the command and the Python package;
//! the command also lists and resolves rows of a store, and sums their costs.
//!
//! It keeps rows: each has an [`Identity`], by which the same row is known again when the same batch is
//! run again, and a [`RowState`]. This module is the contract and the rules that need no disk;
//! `effects-journal` keeps it in SQLite or PostgreSQL, and another store is another `impl`.
//!
//! ```text
//!                      write(Intent)            write(Created)            settle
//!   not begun, ---------------------> Intent ---------------> Created ------------> Completed
//!   Released          inserter alone    |  |                   ^    \
//!      ^  ^             may submit      |  |                   |     \------------> Failed
//!      |  |                             |  |                   |                      |
//!      |  +------ write(Released) ------+  | owner gone,       | resolve: task        | renew
//!      |                                   | outcome unknown   |                      v
//!      +---- resolve: not billed ------ Doubtful --------------+                    Intent
//! ```
//!
//! * An intent is inserted under a unique identity, and its inserter alone may submit: a run that comes
//!   second gets [`JournalError::Taken`](effects_core::journal::JournalError::Taken) before anything was
//!   sent.
//! * A row is in the hands of one owner, a process. An intent is doubtful only once its owner is
//!   gone, or says itself that the outcome is unknown; then a person alone can
//!   [`resolve`](JournalStore::resolve) it.
//! * A created row whose owner is gone can be taken over: following a task costs nothing.
//! * A row that another journal knows is taken in as it stands there
//!   ([`import`](JournalStore::import)), so that it is followed and not paid again.
//! * A verdict is a fact about a task, whichever run saw it.
//! * No credentials are in it, and no query of a URL that could be a permission.

mod budget;
mod identity;
mod memory;
mod occurrences;
mod record;
mod row;
mod store;

pub use budget::{
    Budget, Holding, KnownPrices, ScopeMembership, ScopeNumber, ScopeState, admit,
    reservation_price,
};
pub use identity::Identity;
pub use memory::MemoryStore;
pub use occurrences::{CountedRow, Occurrences, RowError};
pub use record::{Attempt, Holder, PictureRecord, Record, RowState, SavedContent};
pub use row::{Row, RowDraft, RowPhoto, SignedUrl};
pub use store::{
    Filter, JournalStore, Opened, Resolution, RowJournal, RowName, Spend, SpendBy, Which,
};
