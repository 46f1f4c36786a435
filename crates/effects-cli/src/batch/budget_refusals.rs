//! [`BudgetRefusals`]: gathers the rows that a budget refuses, most often the whole rest of a batch for one
//! reason. `Reporter` prints a line for each reason at the batch's end, and none for each row.

use effects_core::ErrorKind;
use effects_core::journal::OverBudget;

use super::report::{RowReport, RowStatus};

/// The rows that a budget refused, by reason.
#[derive(Debug, Default)]
pub(super) struct BudgetRefusals(Vec<RefusedRows>);

/// The rows that were refused for one reason.
#[derive(Debug)]
struct RefusedRows {
    reason: Option<std::mem::Discriminant<OverBudget>>,
    count: u64,
    /// The first of them in the manifest.
    first: RowReport,
}

impl BudgetRefusals {
    /// Takes a row in, if a budget refused it; returns whether one did.
    pub(super) fn take(&mut self, report: &RowReport) -> bool {
        let error = report.error.as_ref().filter(|_| report.status == RowStatus::Refused);
        let Some(error) = error.filter(|error| error.kind == ErrorKind::BudgetExceeded.name())
        else {
            return false;
        };
        // The amounts differ from row to row while tasks end; the reason and the way out do not.
        let reason = error.over_budget.as_ref().map(std::mem::discriminant);
        match self.0.iter_mut().find(|rows| rows.reason == reason) {
            Some(rows) => {
                rows.count += 1;
                if report.label.index < rows.first.label.index {
                    rows.first = report.clone();
                }
            }
            None => self.0.push(RefusedRows { reason, count: 1, first: report.clone() }),
        }
        true
    }

    /// A line for each reason, with the number of rows.
    pub(super) fn lines(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|rows| rows.first.line_with_more(rows.count - 1))
    }
}
