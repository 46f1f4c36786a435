//! [`Reports`]: the report files of a batch while they are written: the table of `--report-csv` and the
//! page of `--report`, if they are asked for. At the end of a batch `Reporter` begins them, `Results` adds
//! each row as it writes the folder's manifest, and `Reporter` puts the files in their places. One that
//! cannot be written does not stop the other.

use std::path::PathBuf;

use effects_core::Error;
use effects_core::pace::Histories;
use effects_jobs::Record;
use serde::Serialize;
use serde_json::Value;

use super::report_csv::CsvReport;
use super::report_page::{PageReport, PageSummary};
use super::rows::BatchSettings;

/// Reports on their way. One that cannot be written keeps neither the other nor the manifest from it.
#[derive(Default)]
pub(super) struct Reports {
    csv: Option<Result<CsvReport, Error>>,
    page: Option<Result<PageReport, Error>>,
}

impl Reports {
    /// Those that are asked for.
    pub(super) fn begin(settings: &BatchSettings) -> Self {
        Self {
            csv: settings.report_csv.as_ref().map(CsvReport::begin),
            page: settings.report.as_ref().map(PageReport::begin),
        }
    }

    /// Adds a row, whose object this is, with what the journal knows of it.
    pub(super) fn add(&mut self, line: &[u8], record: Option<&Record>) {
        // Without a report no line has to be parsed: there may be a hundred thousand.
        if self.csv.is_none() && self.page.is_none() {
            return;
        }
        let row: Value = serde_json::from_slice(line).unwrap_or_default();
        unless_broken(&mut self.csv, |csv| csv.add(&row));
        unless_broken(&mut self.page, |page| page.add(&row, record));
    }

    /// Puts the table in its place, if there is one.
    ///
    /// # Errors
    ///
    /// When it cannot be written, or could not be before.
    pub(super) fn finish_csv(&mut self) -> Result<Option<PathBuf>, Error> {
        self.csv.take().transpose()?.map(CsvReport::finish).transpose()
    }

    /// Puts the page in its place, if there is one.
    ///
    /// # Errors
    ///
    /// When it cannot be written, or could not be before.
    pub(super) fn finish_page<B: Serialize>(
        &mut self,
        summary: &PageSummary<'_, B>,
        learnt: &Histories,
    ) -> Result<Option<PathBuf>, Error> {
        let page = self.page.take().transpose()?;
        page.map(|page| page.finish(summary, learnt)).transpose()
    }
}

fn unless_broken<T>(
    report: &mut Option<Result<T, Error>>,
    act: impl FnOnce(&mut T) -> Result<(), Error>,
) {
    if let Some(Ok(whole)) = report
        && let Err(error) = act(whole)
    {
        // Kept, and returned when the report is to be finished.
        *report = Some(Err(error));
    }
}
