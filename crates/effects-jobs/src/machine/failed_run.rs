//! Decides how a job of a [`JobMachine`] goes on whose run failed: it makes a new paid task, as often as
//! `JobLimits::retry_failed` allows, goes back to the completed task that its row keeps, or ends. An error
//! that every other job would meet halts the machine, unless its limits let it keep going; one that only
//! similar jobs would meet is remembered, and refuses them. `replies.rs` calls [`JobMachine::run_failed`]
//! once the driver has told the journal of the run's end, or when the journal does not take an entry of the
//! run.

use effects_core::{Cause, Error, ErrorKind, ServiceCode};
use rust_decimal::Decimal;

use super::JobMachine;
use crate::end::{JobOutcome, Method};
use crate::halt::ends_all;
use crate::row::OpenRow;
use crate::step::JobId;

impl<K> JobMachine<K> {
    pub(super) fn run_failed(&mut self, id: JobId, error: Error) {
        // First what lets the job go on: a caller is told of one end.
        if self.may_renew(id, &error) {
            return self.renew(id, error);
        }
        if self.keeps_its_picture(id, &error) {
            // Opened again, the row is completed as it was before that order.
            if let Some(plan) = self.plan(id) {
                (plan.row, plan.method) = (None, None);
            }
            return self.prepare(id);
        }
        if error.kind() == ErrorKind::BudgetExceeded && self.halted_by.is_some() {
            // It waited for what another costs, which is not known since all was ended: no budget is why.
            if let Some(plan) = self.plan(id) {
                plan.method = None;
            }
            return self.end(id, JobOutcome::NotBegun);
        }
        let priced_by = self.plan(id).and_then(|plan| plan.work.priced_by());
        self.refusals.note(priced_by, &error);
        if ends_all(&error) && self.plan(id).is_some() {
            self.halt_by(error.clone());
        }
        if error.kind() == ErrorKind::BudgetExceeded
            && let Some(plan) = self.plan(id)
        {
            // It never left.
            plan.method = None;
        }
        self.end(id, JobOutcome::Failed(error));
    }

    /// Whether a failed job may have a new paid task. Where there is a journal, it has the last word when
    /// the row is opened again.
    fn may_renew(&mut self, id: JobId, error: &Error) -> bool {
        let Cause::Failed(failed) = error.cause() else { return false };
        let most = self.limits.retry_failed;
        if most == 0 || self.is_halted {
            return false;
        }
        let code = failed.error.as_ref().and_then(|error| error.code.as_ref());
        // Each try is paid for, so only where the service's table says that another may do
        // better.
        code.is_some_and(ServiceCode::may_pass)
            && self.plan(id).is_some_and(|plan| plan.work.submits() && plan.renewals < most)
    }

    /// Whether a failed task was a new order, followed by this job and not made by it, of a row that keeps
    /// its completed task.
    fn keeps_its_picture(&mut self, id: JobId, error: &Error) -> bool {
        matches!(error.cause(), Cause::Failed(_))
            && !self.is_halted
            && self.plan(id).is_some_and(|plan| {
                let record = plan.row.as_ref().and_then(OpenRow::record);
                plan.opens
                    && plan.method == Some(Method::Resumed)
                    && record.is_some_and(|record| record.paid_picture.is_some())
            })
    }

    fn renew(&mut self, id: JobId, error: Error) {
        if let Some(plan) = self.plan(id) {
            plan.renewals += 1;
            plan.earlier_cost += cost_of_failed(&error).unwrap_or_default();
            // Let go of, so that it can be opened again.
            plan.row = None;
            // Where there is a journal, opening the row tells how it is gone on with.
            self.prepare(id);
        }
        self.renewing.push_back((id, error));
    }
}

fn cost_of_failed(error: &Error) -> Option<Decimal> {
    let Cause::Failed(failed) = error.cause() else { return None };
    failed.usage.as_ref()?.cost
}
