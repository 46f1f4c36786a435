//! The books of a batch: what is printed of each row, and what stands in the folder's manifest.

use rust_decimal::Decimal;
use serde::Serialize;

use super::live::Live;
use super::names::SHEET;
use super::report::{Report, Status};
use super::results::Results;
use super::rows::Checker;
use super::sheet;
use super::tally::Tally;
use super::work::Batch;
use crate::commands::{CommandResult, Done};
use crate::failure::Failure;
use crate::typed::line_to_run_again;

/// What is known as the rows come to their ends.
pub(super) struct Books<'a> {
    batch: &'a Batch<'a>,
    results: Results,
    /// Lines on stderr about single rows.
    said: u64,
    pilots: Vec<sheet::Pilot>,
}

/// What the batch as a whole came to.
#[derive(Serialize)]
struct BatchObject<'a> {
    schema: &'static str,
    rows: u64,
    completed: u64,
    /// Of the completed, those whose picture was there before.
    kept: u64,
    not_downloaded: u64,
    running: u64,
    doubtful: u64,
    failed: u64,
    refused: u64,
    not_submitted: u64,
    invalid: u64,
    /// What tasks of this run cost, in USD.
    spent: Decimal,
    /// What all tasks of these rows cost, in USD.
    cost: Decimal,
    exit_code: u8,
    manifest: &'a str,
    contact_sheet: Option<&'a str>,
    /// The line to run again, where something is missing.
    resume: Option<&'a str>,
    /// What ended it that is no row's.
    error: Option<&'a str>,
}

impl<'a> Books<'a> {
    pub(super) fn begin(batch: &'a Batch<'a>) -> Result<Self, Failure> {
        let results = Results::begin(&batch.common.out)?;
        Ok(Self { batch, results, said: 0, pilots: Vec::new() })
    }

    /// Notes what became of a row, and prints it.
    pub(super) fn note(&mut self, report: &Report, live: &Live) -> Result<(), Failure> {
        let json = report.json();
        self.results.add(report.told.index, &json)?;
        if self.batch.options.pilot.is_some() {
            self.pilots.extend(sheet::Pilot::of(report));
        }
        let output = self.batch.output;
        if self.batch.prints() {
            live.aside(|| output.json_line(&json))?;
        }
        let no_picture = (report.status != Status::Completed).then(|| report.line());
        for line in no_picture.into_iter().chain(report.cost_line()) {
            self.said += 1;
            match self.said {
                ..=MOST_SAID => live.urge(&line),
                NEXT_SAID => {
                    live.urge("there is more to say of other rows: see the folder's manifest");
                }
                _ => {}
            }
        }
        Ok(())
    }

    pub(super) fn say_how_it_was_left(&self, submitting: bool, journaled: bool) {
        let output = self.batch.output;
        if submitting {
            let hint = if journaled { "; `effects tasks --doubtful` will list them" } else { "" };
            output.urge(&format!(
                "left while submissions were on their way: those tasks may exist and may be billed{hint}"
            ));
        }
        if journaled {
            output.urge(&format!(
                "interrupted; go on with the same line, nothing is paid twice: {}",
                line_to_run_again()
            ));
        } else {
            output.urge("interrupted; without a journal the same line begins anew");
        }
    }

    /// Rows that never came up stand in the manifest too.
    pub(super) fn note_the_rest(&mut self, tally: &mut Tally, rows: u64) -> Result<(), Failure> {
        if tally.told() >= rows {
            return Ok(());
        }
        let mut checker = Checker::new(self.batch.common);
        let mut left = rows - tally.told();
        for line in self.batch.manifest.lines(self.batch.common.template.is_some())? {
            let told = match checker.check(line?) {
                Ok(wanted) => wanted.told,
                Err(bad) => *bad.told,
            };
            if left == 0 {
                break;
            }
            if !self.results.has(told.index) {
                left -= 1;
                let report = Report::new(told, Status::NotSubmitted);
                tally.add(&report);
                self.results.add(report.told.index, &report.json())?;
            }
        }
        Ok(())
    }

    /// The last word.
    pub(super) fn close(self, tally: &Tally, rows: u64, trouble: Option<&str>) -> CommandResult {
        let Batch { common, output, .. } = *self.batch;
        let sheet = sheet::put(self.pilots, &common.out.join(SHEET))?;
        let manifest = self.results.finish()?.display().to_string();
        let exit_code = tally.exit_code();
        let resume = (exit_code != 0).then(line_to_run_again);
        let object = BatchObject {
            schema: "effects.batch.v1",
            rows,
            completed: tally.count(Status::Completed),
            kept: tally.kept(),
            not_downloaded: tally.count(Status::NotDownloaded),
            running: tally.count(Status::Running),
            doubtful: tally.count(Status::Doubtful),
            failed: tally.count(Status::Failed),
            refused: tally.count(Status::Refused),
            not_submitted: tally.count(Status::NotSubmitted),
            invalid: tally.count(Status::Invalid),
            spent: tally.spent,
            cost: tally.cost,
            exit_code,
            manifest: &manifest,
            contact_sheet: sheet.as_deref(),
            resume,
            error: trouble,
        };
        output.note(&object.words());
        if self.batch.prints() {
            let json = serde_json::to_string(&object);
            output
                .json_line(&json.map_err(|error| Failure::Unforeseen(format!("JSON: {error}")))?)?;
        }
        Ok(Done::Code(exit_code))
    }
}

impl BatchObject<'_> {
    /// What a person reads at the end.
    fn words(&self) -> String {
        let mut words = format!("{} of {} rows have their picture", self.completed, self.rows);
        for (count, what) in [
            (self.kept, "had it before"),
            (self.failed, "failed"),
            (self.doubtful, "doubtful"),
            (self.refused, "refused"),
            (self.running, "still running"),
            (self.not_downloaded, "not downloaded"),
            (self.not_submitted, "not submitted"),
            (self.invalid, "invalid"),
        ] {
            if count > 0 {
                words.push_str(&format!(", {count} {what}"));
            }
        }
        words.push_str(&format!("; {} USD spent; each row is in {}", self.spent, self.manifest));
        if let Some(sheet) = self.contact_sheet {
            words.push_str(&format!("; the contact sheet is {sheet}"));
        }
        words
    }
}

/// Lines about single rows that are said on stderr, and downloads that are odd.
pub(super) const MOST_SAID: u64 = 50;
pub(super) const NEXT_SAID: u64 = MOST_SAID + 1;
