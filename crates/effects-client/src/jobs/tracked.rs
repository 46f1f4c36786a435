//! [`TrackedJob`]: a [`Job`] on its way to its result, with its number, its file and what was saved of it
//! so far. `JobContext` makes one of each job and its result at the end; the job drivers of both clients
//! keep it in the `JobMachine` and pass it from step to step.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use effects_core::Template;
use effects_core::journal::AsyncJournal;
use effects_jobs::PrepareError;
use tracing::Span;

use super::job::Job;

/// A job on its way.
pub struct TrackedJob {
    /// Its place among the jobs, from 0.
    pub index: usize,
    /// What was asked for.
    pub job: Job,
    /// The span of its task, where it is watched.
    pub span: Option<Box<Span>>,
    /// Where the entries of its run go, in the async client.
    pub journal: Option<Arc<dyn AsyncJournal>>,
    /// Its template, once it is known.
    pub(super) template: Option<Template>,
    /// Where its picture goes, once that is known.
    pub(super) target: Option<PathBuf>,
    /// Files that its pictures may go to and that were empty when it was opened: a picture replaces them.
    pub(super) empty_files: Vec<PathBuf>,
    pub(super) files: Vec<PathBuf>,
    pub(super) pictures: Vec<Bytes>,
    pub(super) warnings: Vec<String>,
    /// What is wrong with the job itself.
    pub(super) wrong: Option<PrepareError>,
}

impl std::fmt::Debug for TrackedJob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TrackedJob")
            .field("index", &self.index)
            .field("job", &self.job)
            .finish_non_exhaustive()
    }
}
