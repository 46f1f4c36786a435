//! [`CsvReport`]: writes the table of `--report-csv`: what became of each row, for a spreadsheet. `Reports`
//! makes it at the end of a batch and adds each row as `Results` writes the folder's manifest. [`CSV`] has
//! the option's name and the beginning by which an earlier table is recognised, for `options.rs` and
//! `commands/batch.rs`.

use std::path::PathBuf;

use effects_client::{AtomicFile, Sink};
use effects_core::{Error, ErrorKind};
use serde_json::Value;

use crate::report_file::{ReportFile, ReportKind};

/// The option, and the first columns of every table, those of earlier versions too.
pub(crate) const CSV: ReportKind =
    ReportKind { option: "--report-csv", begins: "\u{feff}line,key,status,how" };

/// A table on its way to its file: it appears whole.
pub(super) struct CsvReport {
    table: AtomicFile,
    file: ReportFile,
}

impl CsvReport {
    /// Begins the table that will be this file.
    ///
    /// # Errors
    ///
    /// When nothing can be written there.
    pub(super) fn begin(file: &ReportFile) -> Result<Self, Error> {
        let mut report = Self { table: AtomicFile::begin(&file.path)?, file: file.clone() };
        // Without the mark a spreadsheet takes UTF-8 for an older code page.
        report.table.write("\u{feff}".as_bytes())?;
        report.record(COLUMNS)?;
        Ok(report)
    }

    /// Adds a row, whose object this is.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub(super) fn add(&mut self, row: &Value) -> Result<(), Error> {
        self.record(COLUMNS.map(|column| {
            inert(match column {
                "error" => text(&row["error"]["kind"]),
                "code" | "message" => text(&row["error"][column]),
                column => text(&row[column]),
            })
        }))
    }

    /// Puts the table in its place.
    ///
    /// # Errors
    ///
    /// When the file cannot be written, or another came there meanwhile.
    pub(super) fn finish(self) -> Result<PathBuf, Error> {
        self.file.put(self.table)
    }

    fn record<T: AsRef<[u8]>>(&mut self, cells: [T; COLUMNS.len()]) -> Result<(), Error> {
        // A writer for each line, since `AtomicFile` is a `Sink` and no `io::Write`.
        let mut line = csv::WriterBuilder::new().from_writer(Vec::new());
        let written = line.write_record(cells).map_err(|error| error.to_string());
        let line = written.and_then(|()| line.into_inner().map_err(|error| error.to_string()));
        let line = line.map_err(|error| {
            Error::new(ErrorKind::Download, format!("the CSV report cannot be written: {error}"))
        })?;
        self.table.write(&line)
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A cell that no spreadsheet takes for a formula and runs: manifests and services have a say in it. The
/// apostrophe is what a person types there for a text, too.
fn inert(cell: String) -> String {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{cell}") } else { cell }
}

const COLUMNS: [&str; 17] = [
    "line", "key", "status", "how", "template", "image", "width", "height", "tag", "task_id",
    "path", "cost", "error", "code", "message", "warning", "params",
];
