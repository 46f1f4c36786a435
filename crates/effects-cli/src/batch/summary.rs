//! [`BatchSummary`]: adds up the reports of a batch's rows: rows by status, errors, money, and the exit
//! code of it all. `effects batch`, `watch`, `resume` and `reorder` each have one: `interruptible`,
//! `Batch::run` and `Reporter` add each `RowReport` to it, `ProgressLine` and `Reporter` print it, and the
//! command exits with its code.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use effects_core::{ErrorKind, ServiceCode};
use rust_decimal::Decimal;

use super::report::{ReportedError, ReportedMethod, RowReport, RowStatus};
use crate::failure::UNFORESEEN;

/// What became of the rows so far.
#[derive(Debug)]
pub(crate) struct BatchSummary {
    counts: BTreeMap<RowStatus, u64>,
    /// Rows, and what is no row's, by exit code.
    codes: BTreeMap<u8, u64>,
    /// Rows by the kinds of their errors, and by the service's codes.
    pub(crate) kinds: BTreeMap<&'static str, u64>,
    pub(crate) service_codes: BTreeMap<String, u64>,
    /// Answers that put something off.
    pub(crate) throttled: u64,
    kept: u64,
    /// Rows whose task is done and did not say in a way that can be read what it cost.
    pub(crate) unpriced: u64,
    /// Rows whose task failed in a way in which a new one may do better.
    pub(crate) may_pass: u64,
    /// Rows over a budget that may reach them once tasks of other runs have told their cost.
    over_budget_for_now: u64,
    /// What tasks of this run cost, in USD.
    pub(crate) spent: Decimal,
    /// What all tasks cost, those of earlier runs too, in USD.
    pub(crate) cost: Decimal,
    since: Instant,
    /// What was added of rows that nothing was sent for, by their places among the rows, where one may be
    /// begun anew.
    unsent: Option<HashMap<usize, UnsentRow>>,
}

/// What was added of a row that nothing was sent for.
#[derive(Debug)]
struct UnsentRow {
    status: RowStatus,
    earlier: Decimal,
    error: Option<(u8, &'static str, Option<String>)>,
    is_over_budget_for_now: bool,
}

impl BatchSummary {
    pub(crate) fn new() -> Self {
        Self {
            counts: BTreeMap::new(),
            codes: BTreeMap::new(),
            kinds: BTreeMap::new(),
            service_codes: BTreeMap::new(),
            throttled: 0,
            kept: 0,
            unpriced: 0,
            may_pass: 0,
            over_budget_for_now: 0,
            spent: Decimal::ZERO,
            cost: Decimal::ZERO,
            since: Instant::now(),
            unsent: None,
        }
    }

    /// Of rows that may be begun anew, once their photos are others.
    pub(crate) fn of_changing_rows() -> Self {
        Self { unsent: Some(HashMap::new()), ..Self::new() }
    }

    pub(crate) fn add(&mut self, report: &RowReport) {
        *self.counts.entry(report.status).or_default() += 1;
        self.kept += u64::from(report.method == Some(ReportedMethod::Kept));
        self.unpriced += u64::from(report.is_unpriced());
        self.cost += report.paid().unwrap_or_default();
        // What earlier runs submitted was spent by them, and what failed before is in `spent` already.
        if report.method == Some(ReportedMethod::Submitted) && !report.is_counted {
            self.spent += report.cost.unwrap_or_default();
        }
        if let Some(error) = &report.error {
            *self.codes.entry(error.exit_code).or_default() += 1;
            let may_pass = error.code.as_ref().is_some_and(ServiceCode::may_pass);
            self.may_pass += u64::from(may_pass && report.status == RowStatus::Failed);
            *self.kinds.entry(error.kind).or_default() += 1;
            self.over_budget_for_now += u64::from(error.is_over_budget_for_now());
            if let Some(code) = service_code(report) {
                *self.service_codes.entry(code).or_default() += 1;
            }
        }
        if let Some(unsent) = self.unsent.as_mut().filter(|_| report.is_unsent()) {
            let error = report.error.as_ref();
            let is_over_budget_for_now = error.is_some_and(ReportedError::is_over_budget_for_now);
            let error = error.map(|error| (error.exit_code, error.kind, service_code(report)));
            let (status, earlier) = (report.status, report.paid().unwrap_or_default());
            let added = UnsentRow { status, earlier, error, is_over_budget_for_now };
            unsent.insert(report.label.index, added);
        }
    }

    /// Subtracts what was added of the row at this place, for which nothing was sent: it is begun anew.
    pub(crate) fn subtract(&mut self, index: usize) {
        let unsent = self.unsent.as_mut().and_then(|unsent| unsent.remove(&index));
        let Some(UnsentRow { status, earlier, error, is_over_budget_for_now }) = unsent else {
            return;
        };
        subtract_one(&mut self.counts, &status);
        self.cost -= earlier;
        self.over_budget_for_now -= u64::from(is_over_budget_for_now);
        if let Some((exit_code, kind, code)) = error {
            subtract_one(&mut self.codes, &exit_code);
            subtract_one(&mut self.kinds, &kind);
            code.iter().for_each(|code| subtract_one(&mut self.service_codes, code));
        }
    }

    /// A task of this run cost this, and is not the last one of its row.
    pub(crate) fn spend(&mut self, cost: Decimal) {
        self.spent += cost;
    }

    /// Something ended the batch that is no row's.
    pub(crate) fn note(&mut self, exit_code: u8) {
        *self.codes.entry(exit_code).or_default() += 1;
    }

    pub(crate) fn count(&self, status: RowStatus) -> u64 {
        self.counts.get(&status).copied().unwrap_or_default()
    }

    /// Rows whose picture was there before.
    pub(crate) fn kept(&self) -> u64 {
        self.kept
    }

    /// How many rows have a report.
    pub(crate) fn reported(&self) -> u64 {
        self.counts.values().sum()
    }

    /// 0 if every row has its picture; else the first that applies.
    pub(crate) fn exit_code(&self) -> u8 {
        let found = PRECEDENCE.into_iter().find(|code| self.codes.contains_key(code));
        match found {
            Some(code) => code,
            // A row may have neither a picture nor an error: one that this run did not come to.
            None if self.reported()
                == self.count(RowStatus::Completed) + self.count(RowStatus::Skipped) =>
            {
                0
            }
            None => UNFORESEEN,
        }
    }

    /// Whether nothing is left that the same line could go on with: what has no picture is over the budget,
    /// or has an end that another run of the line does not change.
    pub(crate) fn is_over_budget(&self) -> bool {
        let open = self.count(RowStatus::Running) + self.count(RowStatus::NotDownloaded);
        let has = |code: u8| self.codes.contains_key(&code);
        has(ErrorKind::BudgetExceeded.exit_code())
            && !has(ErrorKind::Detached.exit_code())
            && !has(UNFORESEEN)
            && open + self.over_budget_for_now == 0
            && self.kinds.keys().all(|kind| UNCHANGED_BY_THE_SAME_LINE.contains(kind))
    }

    /// How long the rest takes at the rate so far; unknown before anything came of it.
    pub(crate) fn remaining(&self, rows: u64) -> Option<Duration> {
        // Rows that took no time say nothing of those that will. Without any other the division below is
        // by 0, which makes no duration.
        let idle = self.kept + self.count(RowStatus::Invalid) + self.count(RowStatus::Skipped);
        let worked = self.reported().saturating_sub(idle);
        let left = rows.saturating_sub(self.reported());
        #[allow(clippy::cast_precision_loss, reason = "an estimate")]
        let each = self.since.elapsed().as_secs_f64() / worked as f64;
        #[allow(clippy::cast_precision_loss, reason = "an estimate")]
        Duration::try_from_secs_f64(each * left as f64).ok()
    }
}

/// The service's code of a row's error. Those of a bad row are what this command foresees; the service
/// never saw the row.
fn service_code(report: &RowReport) -> Option<String> {
    let error = report.error.as_ref().filter(|_| report.status != RowStatus::Invalid)?;
    error.code.as_ref().map(ToString::to_string)
}

fn subtract_one<K: Ord>(counts: &mut BTreeMap<K, u64>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

/// Which code a batch exits with when several apply: the documented order, then bad rows, then what
/// is unforeseen.
const PRECEDENCE: [u8; 10] = [130, 3, 8, 6, 9, 7, 5, 4, 2, UNFORESEEN];

/// The kinds of errors that another run of the same line comes to again.
const UNCHANGED_BY_THE_SAME_LINE: [&str; 7] = [
    ErrorKind::BudgetExceeded.name(),
    ErrorKind::InvalidRequest.name(),
    ErrorKind::UnusablePhoto.name(),
    ErrorKind::TaskFailed.name(),
    ErrorKind::NoPicture.name(),
    ErrorKind::TaskNotFound.name(),
    ErrorKind::OutcomeUnknown.name(),
];

#[cfg(test)]
mod tests {
    use effects_core::Error;
    use effects_core::journal::OverBudget;

    use super::super::rows::RowLabel;
    use super::*;

    fn summary(kinds: &[ErrorKind]) -> BatchSummary {
        let mut summary = BatchSummary::new();
        for kind in kinds {
            summary.add(&RowReport::of_error(RowLabel::default(), &Error::new(*kind, "x")));
        }
        summary
    }

    #[test]
    fn the_exit_code_is_the_first_that_applies() {
        use ErrorKind as Kind;
        for (kinds, code) in [
            (&[][..], 0),
            (&[Kind::InvalidRequest], 2),
            (&[Kind::InvalidRequest, Kind::TaskFailed], 4),
            (&[Kind::TaskFailed, Kind::WaitTimeout], 5),
            (&[Kind::WaitTimeout, Kind::Download], 7),
            (&[Kind::Download, Kind::RateLimited], 9),
            (&[Kind::RateLimited, Kind::BudgetExceeded], 6),
            (&[Kind::OutOfCredit, Kind::OutcomeUnknown], 8),
            (&[Kind::OutcomeUnknown, Kind::KeyRefused], 3),
            (&[Kind::KeyRefused, Kind::Detached], 130),
            (&[Kind::Journal, Kind::Rejected], 2),
            (&[Kind::Journal], 1),
        ] {
            assert_eq!(summary(kinds).exit_code(), code, "{kinds:?}");
        }
    }

    #[test]
    fn what_is_taken_back_of_a_row_leaves_nothing_of_it() {
        let mut summary = BatchSummary::of_changing_rows();
        let refused = |index| {
            let label = RowLabel { index, ..RowLabel::default() };
            RowReport::refused(label, ErrorKind::BudgetExceeded, "x".to_owned())
        };
        summary.add(&refused(0));
        assert!(!summary.is_over_budget(), "the same line may reach it");
        summary.subtract(0);
        assert_eq!((summary.reported(), summary.exit_code()), (0, 0));
        // This one is over the budget for good.
        let mut for_good = refused(1);
        for_good.error.as_mut().unwrap().over_budget = Some(OverBudget::Exceeded {
            limit: Decimal::ONE,
            paid: Decimal::ONE,
            reserved: Decimal::ZERO,
            price: Decimal::ONE,
        });
        summary.add(&for_good);
        assert!(summary.is_over_budget());
    }
}
