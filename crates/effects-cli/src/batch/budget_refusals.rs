//! [`BudgetRefusals`]: gathers the rows that a budget refuses, most often the whole rest of a batch for one
//! reason. `Reporter` prints the first row of each reason at once, how many more there are at the batch's
//! end, and no line for each row.

use effects_core::journal::OverBudget;
use effects_core::{ErrorKind, count_of};

use super::report::{RowReport, RowStatus};

/// The rows that a budget refused, by reason.
#[derive(Debug, Default)]
pub(super) struct BudgetRefusals(Vec<RefusedRows>);

/// The rows that were refused for one reason.
#[derive(Debug)]
struct RefusedRows {
    reason: Option<std::mem::Discriminant<OverBudget>>,
    /// What a person finds the first one by.
    first: String,
    /// How many came after it.
    more: u64,
}

/// A row that a budget refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum BudgetRefusal {
    /// The first one for its reason.
    First,
    Further,
}

impl BudgetRefusals {
    /// Takes a row in, if a budget refused it; `None` if not.
    pub(super) fn take(&mut self, report: &RowReport) -> Option<BudgetRefusal> {
        let error = report.error.as_ref().filter(|_| report.status == RowStatus::Refused)?;
        if error.kind != ErrorKind::BudgetExceeded.name() {
            return None;
        }
        // The amounts differ from row to row while tasks end; the reason and the way out do not.
        let reason = error.over_budget.as_ref().map(std::mem::discriminant);
        if let Some(rows) = self.0.iter_mut().find(|rows| rows.reason == reason) {
            rows.more += 1;
            return Some(BudgetRefusal::Further);
        }
        let first = report.label.position(report.row);
        self.0.push(RefusedRows { reason, first, more: 0 });
        Some(BudgetRefusal::First)
    }

    /// A line for each reason that refused more rows than the first, with their number.
    pub(super) fn lines(&self) -> impl Iterator<Item = String> {
        self.0.iter().filter(|rows| rows.more > 0).map(|RefusedRows { first, more, .. }| {
            let are = if *more == 1 { "is" } else { "are" };
            let rows = count_of(*more, "more row");
            format!("{rows} {are} refused for the same reason as {first}")
        })
    }
}
