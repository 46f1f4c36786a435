//! [`JobMachine`]: a state machine without I/O that takes paid pictures from the photo to the file,
//! many at once; [`JournalStore`]: the contract of the journal that remembers what was paid for, which
//! `effects-journal` implements. Both clients drive the machine behind `client.jobs()`, which the
//! command's batches and the Python package use, and the async client also for its single runs; so does
//! the simulated world of `effects-testkit`.
//!
//! A *job* is a picture that a caller wants. [`JobMachine`] takes jobs to their ends over the runs of
//! one [`Batch`](effects_core::batch::Batch) and the rows of a journal. It reads no clock, no file and
//! no socket: a driver steps it, does what each [`JobStep`] says, and tells it the result.
//!
//! ```text
//! queued -> Open -> Upload -> Begin -> the run (Record, Send) -> Settle -> Fetch -> Done
//!            |  \                        |          |                |
//!            |   +-> Found::Watch -------+          |                +-> failed: Open once more, paid anew
//!            +-> nothing to do, or a person's turn -+-> Done         |
//!            +-> held by another process: Open again, every second   +-> taken by another process: Open again
//! ```
//!
//! Two modules serve it: `journal` (the contract of a [`JournalStore`], budgets, and [`MemoryStore`]) and
//! `transfer` (a [`Photo`] on its way to a URL, a [`Download`] on its way to a file). Stores implement the
//! first, clients drive the second.
//!
//! What must never happen is decided here once, for both clients, the command and Python: nothing more is
//! paid for when an error would be every job's ([`ends_all`]), when a budget is used up, or when what is
//! paid for cannot be saved.

mod end;
mod halt;
mod journal;
mod limits;
mod machine;
mod row;
mod step;
mod transfer;
mod work;

pub use end::{JobEnd, JobOutcome, Method};
pub use halt::ends_all;
pub use journal::{
    Attempt, Budget, CountedRow, Filter, Holder, Holding, Identity, JournalStore, KnownPrices,
    MemoryStore, Occurrences, Opened, PictureRecord, Record, Resolution, Row, RowDraft, RowError,
    RowJournal, RowName, RowPhoto, RowState, SavedContent, ScopeMembership, ScopeNumber,
    ScopeState, SignedUrl, Spend, SpendBy, Which, admit, reservation_price,
};
pub use limits::JobLimits;
pub use machine::JobMachine;
pub use row::{Found, JobJournal, OpenRow};
pub use step::{FetchError, JobId, JobStep, PrepareError};
pub use transfer::{
    Download, DownloadStep, Photo, Receiver, Uploader, Uploads, presigned_request,
    read_storage_answer, storage_request, upload_error,
};
pub use work::Work;
