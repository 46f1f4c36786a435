//! [`RowSource`]: draws rows from a Python iterator, reads their photos and makes a [`Job`] of each, only
//! as fast as Python takes the results of earlier ones. [`Many`](crate::many::Many) gives it to the Rust
//! client, which asks it for jobs. A row that cannot be a job becomes a result with an error.
//!
//! It runs on a thread of its own, the only thread of many jobs that takes the interpreter's lock. The
//! results of rows that cannot be jobs are sent from here.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use effects_client::{Job, JournalSession};
use effects_core::{Error, ErrorKind};
use effects_jobs::{Identity, Occurrences, RowError, RowName, Work};
use pyo3::prelude::*;
use pyo3::types::PyIterator;
use tokio::runtime::Handle;

use crate::journal::failed;
use crate::many_shared::{ManyShared, OpenJob};
use crate::reservation::{JobAttempts, PriceSeek};
use crate::result_queue::ResultSender;
use crate::submission::PlainRequest;
use crate::submission_tracker::SubmissionNote;
use crate::value::{RowOutcomeValue, task_id};

/// A row as Python says it: something to ask for, or a task to follow.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct PlainRow {
    /// What Python gave, with the file of its photo, to be given back with its end.
    job: Py<PyAny>,
    request: Option<PlainRequest>,
    task: Option<String>,
    key: Option<String>,
    tag: Option<String>,
    /// What keeps it from being asked for.
    error: Option<String>,
}

/// Draws rows and makes jobs of them.
pub struct RowSource {
    pub shared: Arc<ManyShared>,
    pub runtime: Handle,
    /// Over the journal, which knows a row by its photo's content.
    pub session: Option<JournalSession>,
    /// Where the attempts of submissions are counted, for the client's budget: what is told that jobs begin.
    pub seek: Option<Arc<PriceSeek>>,
    pub rows: Py<PyIterator>,
    pub results: ResultSender,
    pub occurrences: Occurrences,
    /// Rows that were drawn, and those of them that became jobs.
    pub drawn: usize,
    pub begun: usize,
    /// Rows it may draw before it waits for permits again.
    pub permitted: u32,
}

impl Iterator for RowSource {
    type Item = Job;

    fn next(&mut self) -> Option<Job> {
        loop {
            let row = match self.next_row()? {
                Ok(row) => row,
                Err(broken) => {
                    self.results.send(RowOutcomeValue::IteratorFailed(broken));
                    return None;
                }
            };
            let PlainRow { job, request, task, key, tag, error } = row;
            let (number, begun) = (self.drawn, Instant::now());
            self.drawn += 1;
            let made = match error {
                Some(error) => Err(Error::new(ErrorKind::InvalidRequest, error)),
                None => self.job(request, task, key, tag),
            };
            match made {
                Ok(made) => {
                    let note = self.begin(number, &made)?;
                    let template = made.template().cloned();
                    let seek = self.seek.as_ref().filter(|_| note.task().is_none());
                    let attempts = seek.map(|seek| {
                        seek.begin();
                        Arc::<JobAttempts>::default()
                    });
                    let open = OpenJob { row: number, job, note, attempts, template, begun };
                    // By the number that the client gives the job, and before the client has it:
                    // its first notice may come at once.
                    self.shared.open().insert(self.begun, open);
                    self.begun += 1;
                    return Some(made);
                }
                Err(error) => self.results.send(RowOutcomeValue::Ended(number, job, Err(error))),
            }
        }
    }
}

impl RowSource {
    /// The next row; what the iterator raises, if it does.
    fn next_row(&mut self) -> Option<PyResult<PlainRow>> {
        // A permit comes back when its row's end is taken. They are waited for by the group, so that
        // this thread does not wake for each row.
        if self.permitted == 0 {
            self.runtime
                .block_on(self.shared.draw_permits.acquire_many(PERMIT_GROUP))
                .ok()?
                .forget();
            self.permitted = PERMIT_GROUP;
        }
        self.permitted -= 1;
        let drawn = Python::try_attach(|py| {
            let next = self.rows.bind(py).clone().next();
            next.map(|row| row.and_then(|row| row.extract::<PlainRow>()))
        });
        // A row that was drawn while all of it was stopped is not begun. What the iterator raised
        // is reported in any case.
        drawn.flatten().filter(|row| row.is_err() || !self.shared.stopped.load(Ordering::SeqCst))
    }

    /// The job of a row, its photo read.
    fn job(
        &mut self,
        request: Option<PlainRequest>,
        task: Option<String>,
        key: Option<String>,
        tag: Option<String>,
    ) -> Result<Job, Error> {
        if let Some(task) = task {
            return Ok(Job::from(task_id(&task)?));
        }
        let Some(request) = request else {
            return Err(Error::new(ErrorKind::InvalidRequest, "the row asks for nothing"));
        };
        let loaded = request.check()?.load_for_batch()?;
        let Some(session) = &self.session else { return Ok(loaded.into_job()) };
        let draft = loaded.row(self.shared.base.origin(), key, tag)?;
        let look = |identity: &Identity| session.store().find(&RowName::Identity(*identity));
        let counted = self.occurrences.row(draft, look).map_err(|error| match error {
            RowError::Signed(signed) => Error::new(ErrorKind::InvalidRequest, signed.to_string()),
            RowError::Journal(error) => failed(&error),
        })?;
        Ok(loaded.into_job().known_as(counted.row))
    }

    /// Waits until another job may begin before the results of others are taken; what is known of it from
    /// here on. `None` where all of it was stopped.
    fn begin(&self, row: usize, job: &Job) -> Option<Arc<SubmissionNote>> {
        // The permit comes back when the row's result is taken.
        self.runtime.block_on(self.shared.begin_permits.acquire()).ok()?.forget();
        self.shared.permit(row);
        let base = Arc::clone(&self.shared.base);
        let note = match job.work() {
            // The caller has its id.
            Work::Watch { task, .. } => SubmissionNote::silent(base, task),
            _ => SubmissionNote::new(base),
        };
        if let Some(parent) = &self.shared.parent {
            note.trace(Arc::clone(parent));
        }
        Some(note)
    }
}

/// Rows for which the thread that draws waits together.
pub const PERMIT_GROUP: u32 = 16;
