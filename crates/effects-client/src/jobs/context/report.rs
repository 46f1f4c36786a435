//! Tells the caller of a [`JobContext`] what happens: [`JobContext::report`] passes on each notice of a
//! job, others tell of downloads, costs and outages, and [`JobContext::result`] makes what came of a job.
//! `report_unread` warns in the log of a submitted task whose result no caller reads and that no journal has.
//! The job drivers of both clients call these; `save.rs` reports pictures that it keeps.

use effects_core::batch::Outage;
use effects_core::journal::RowOutcome;
use effects_core::{BaseUrl, Event};
use effects_jobs::{JobEnd, Method, OpenRow, RowName};

use super::JobContext;
use crate::caller_panic::guarded;
use crate::cassette::is_replay;
use crate::jobs::notice::JobNotice;
use crate::jobs::result;
use crate::jobs::result::JobResult;
use crate::jobs::tracked::TrackedJob;
use crate::telemetry;

impl JobContext {
    /// Tells the caller an event of a download.
    pub fn report_download(&self, job: &mut TrackedJob, event: Event) {
        if let Event::Warning { message } = &event {
            job.warnings.push(message.clone());
        }
        self.report(JobNotice::Event { index: job.index, is_download: true, event });
    }

    /// Tells the caller what a job's task cost, as far as its end says.
    pub fn report_cost(&self, index: usize, method: Option<Method>, end: &RowOutcome) {
        let (RowOutcome::Completed { cost, .. } | RowOutcome::Failed { cost, .. }) = end else {
            return;
        };
        if let (Some(method), Some(cost)) = (method, *cost) {
            // A caller who listens says it in its own way.
            if self.on_notice.is_none()
                && let Some(price) = self.price.filter(|price| cost > *price)
            {
                telemetry::warn(&format!(
                    "a picture cost {cost} USD, more than the price of {price}: from now on so much is \
                     reserved for each"
                ));
            }
            self.report(JobNotice::Billed { index, method, cost });
        }
    }

    /// Warns of a task whose result is read no more and that no journal has; of a replay there is none.
    pub fn report_unread(&self, unread: &JobResult, gateway: &BaseUrl) {
        if is_replay(&self.origin) {
            return;
        }
        if let (Some(task), None) = (unread.task_id(), unread.row) {
            let line = gateway.resume_line(task);
            telemetry::warn(&format!(
                "task {task} was submitted, and its result reached no caller; resume with: {line}"
            ));
        }
    }

    /// Tells the caller that submissions are held back.
    pub fn report_outage(&self, outage: &Outage) {
        if self.on_notice.is_none() {
            telemetry::warn(&outage.to_string());
        }
        self.report(JobNotice::Outage { outage: outage.clone() });
    }

    /// Tells the caller what happens to a job.
    pub fn report(&self, notice: JobNotice) {
        if let Some(on_notice) = &self.on_notice {
            guarded("the function of on_notice", || on_notice(notice));
        }
    }

    /// Whether [`result`](Self::result) has to ask the journal for the number of the job's row.
    pub fn must_look_up(&self, job: &TrackedJob, end: &JobEnd) -> bool {
        let is_known = end.row.as_ref().and_then(OpenRow::number).is_some();
        self.session.is_some() && job.job.row.is_some() && !is_known
    }

    /// What came of a job; its row is let go of.
    pub fn result(&self, job: TrackedJob, end: JobEnd) -> JobResult {
        let TrackedJob { index, job, files, pictures, warnings, .. } = job;
        let JobEnd { outcome, method, earlier_cost, row } = end;
        let mut record = row.as_ref().and_then(OpenRow::record).cloned().map(Box::new);
        let number = row.as_ref().and_then(OpenRow::number).or_else(|| {
            // Not opened, or its store does not tell.
            let (session, row_known) = (self.session.as_ref()?, job.row.as_ref()?);
            let found = session.store().find(&RowName::Identity(row_known.identity)).ok()??;
            let number = found.number;
            if row.is_none() {
                // A task that failed before may have a bill.
                record = Some(Box::new(found));
            }
            Some(number)
        });
        let outcome = result::billed(outcome, record.as_deref());
        JobResult {
            index,
            job,
            outcome,
            method,
            earlier_cost,
            row: number,
            record,
            files,
            pictures,
            warnings,
        }
    }
}
