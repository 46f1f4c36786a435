//! Many pictures at once, with their journal rows, photos and files. `client.jobs()` of both clients
//! returns a [`Jobs`] (`builder.rs`), a caller fills it with [`Job`]s (`job.rs`) and gets a [`JobResult`]
//! of each (`result.rs`); the clients' drivers call [`JobContext`] (`context/`). Callers are Rust
//! programs, the command's `batch`, `watch`, `resume` and `reorder`, and the Python package.
//!
//! A [`Job`] is what a caller asks for, a [`TrackedJob`] the same on its way through a
//! [`JobMachine`](effects_jobs::JobMachine), and a [`JobResult`] what came of it. Both clients hand the
//! machine's steps to one [`JobContext`], which opens rows, reads photos and saves pictures; it blocks, so
//! it is called off the thread that drives.

mod builder;
mod claims;
mod context;
mod handle;
mod job;
mod notice;
mod options;
mod outages;
mod placement;
mod result;
mod tracked;

pub use builder::{Jobs, RunJobs};
pub use claims::{Claim, Claims};
pub use context::JobContext;
pub use handle::JobsHandle;
pub use job::{Job, PhotoSource};
pub use notice::{JobJournals, JobNotice};
pub use options::{DrawWithin, JobOptions, PhotoCheck, Save, SaveFiles, SaveWords};
pub use outages::OutageFilter;
pub use placement::is_special;
pub use result::JobResult;
pub use tracked::TrackedJob;
