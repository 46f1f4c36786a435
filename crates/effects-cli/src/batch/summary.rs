//! [`BatchSummary`]: the sum of the rows of a batch: counts, money, and the exit code of it all. `attend` adds
//! each `RowReport`; `Reporter` and `ProgressLine` print it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rust_decimal::Decimal;

use super::report::{How, RowReport, RowStatus};
use crate::failure::UNFORESEEN;

/// What became of the rows so far.
#[derive(Debug)]
pub(crate) struct BatchSummary {
    counts: BTreeMap<RowStatus, u64>,
    codes: BTreeSet<u8>,
    /// Rows by the kinds of their errors, and by the service's codes.
    pub(crate) kinds: BTreeMap<&'static str, u64>,
    pub(crate) service_codes: BTreeMap<String, u64>,
    /// Answers that put something off.
    pub(crate) throttled: u64,
    kept: u64,
    /// Rows whose task is done and did not say in a way that can be read what it cost.
    pub(crate) unpriced: u64,
    /// What tasks of this run cost, in USD.
    pub(crate) spent: Decimal,
    /// What all tasks cost, those of earlier runs too, in USD.
    pub(crate) cost: Decimal,
    since: Instant,
}

impl BatchSummary {
    pub(crate) fn new() -> Self {
        Self {
            counts: BTreeMap::new(),
            codes: BTreeSet::new(),
            kinds: BTreeMap::new(),
            service_codes: BTreeMap::new(),
            throttled: 0,
            kept: 0,
            unpriced: 0,
            spent: Decimal::ZERO,
            cost: Decimal::ZERO,
            since: Instant::now(),
        }
    }

    pub(crate) fn add(&mut self, report: &RowReport) {
        *self.counts.entry(report.status).or_default() += 1;
        self.kept += u64::from(report.how == Some(How::Kept));
        self.unpriced += u64::from(report.is_unpriced());
        self.cost += report.paid().unwrap_or_default();
        if report.how == Some(How::Submitted) && !report.is_counted {
            self.spent += report.cost.unwrap_or_default();
        }
        if let Some(error) = &report.error {
            self.codes.insert(error.exit_code);
            *self.kinds.entry(error.kind).or_default() += 1;
            // The codes of a bad row are what this command foresees; the service never saw the row.
            if let Some(code) = error.code.as_ref().filter(|_| report.status != RowStatus::Invalid)
            {
                *self.service_codes.entry(code.to_string()).or_default() += 1;
            }
        }
    }

    /// A task of this run cost this, and is not the last one of its row.
    pub(crate) fn spend(&mut self, cost: Decimal) {
        self.spent += cost;
    }

    /// Something ended the batch that is no row's.
    pub(crate) fn note(&mut self, exit_code: u8) {
        self.codes.insert(exit_code);
    }

    pub(crate) fn count(&self, status: RowStatus) -> u64 {
        self.counts.get(&status).copied().unwrap_or_default()
    }

    /// Rows whose picture was there before.
    pub(crate) fn kept(&self) -> u64 {
        self.kept
    }

    /// Rows that were told.
    pub(crate) fn told(&self) -> u64 {
        self.counts.values().sum()
    }

    /// 0 if every row has its picture; else the first that applies.
    pub(crate) fn exit_code(&self) -> u8 {
        let found = PRECEDENCE.into_iter().find(|code| self.codes.contains(code));
        match found {
            Some(code) => code,
            None if self.told()
                == self.count(RowStatus::Completed) + self.count(RowStatus::Skipped) =>
            {
                0
            }
            None => UNFORESEEN,
        }
    }

    /// How long the rest takes at the rate so far; unknown before anything came of it.
    pub(crate) fn remaining(&self, rows: u64) -> Option<Duration> {
        // Rows that took no time say nothing of those that will.
        let idle = self.kept + self.count(RowStatus::Invalid) + self.count(RowStatus::Skipped);
        let worked = self.told().saturating_sub(idle);
        let left = rows.saturating_sub(self.told());
        #[allow(clippy::cast_precision_loss, reason = "an estimate")]
        let each = self.since.elapsed().as_secs_f64() / worked as f64;
        #[allow(clippy::cast_precision_loss, reason = "an estimate")]
        Duration::try_from_secs_f64(each * left as f64).ok()
    }
}

/// Which code a batch exits with when several apply: the documented order, then bad rows, then what
/// is unforeseen.
const PRECEDENCE: [u8; 10] = [130, 3, 8, 6, 9, 7, 5, 4, 2, UNFORESEEN];

#[cfg(test)]
mod tests {
    use effects_core::{Error, ErrorKind};

    use super::super::rows::RowLabel;
    use super::*;

    fn tally(kinds: &[ErrorKind]) -> BatchSummary {
        let mut tally = BatchSummary::new();
        for kind in kinds {
            tally.add(&RowReport::of_error(RowLabel::default(), &Error::new(*kind, "x")));
        }
        tally
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
            assert_eq!(tally(kinds).exit_code(), code, "{kinds:?}");
        }
    }
}
