//! [`CsvReport`]: `--report-csv`, what became of each row as a table for a spreadsheet. `Books` writes it
//! at the end of a batch.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use effects_client::{Landing, Sink};
use effects_core::{Error, ErrorKind};
use serde_json::Value;

/// A table on its way to its file: it appears whole.
pub(super) struct CsvReport(Landing);

impl CsvReport {
    /// Begins the table that will be at this path.
    ///
    /// # Errors
    ///
    /// When nothing can be written there.
    pub(super) fn begin(path: &Path) -> Result<Self, Error> {
        let mut report = Self(Landing::begin(path)?);
        // Without the mark a spreadsheet takes UTF-8 for an older code page.
        report.0.write("\u{feff}".as_bytes())?;
        report.record(COLUMNS)?;
        Ok(report)
    }

    /// Whether a table may be put there: where no file is yet, or an earlier table. Another file, a
    /// journal or a picture, is not for a table to replace.
    pub(super) fn has_place(path: &Path) -> bool {
        let mut start = Vec::new();
        let begins = format!("\u{feff}{}", COLUMNS[..4].join(","));
        match File::open(path).and_then(|file| file.take(64).read_to_end(&mut start)) {
            Ok(_) => start.is_empty() || start.starts_with(begins.as_bytes()),
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        }
    }

    /// Adds a row, whose object this is.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub(super) fn add(&mut self, line: &[u8]) -> Result<(), Error> {
        let row: Value = serde_json::from_slice(line).unwrap_or_default();
        self.record(COLUMNS.map(|column| match column {
            "error" => text(&row["error"]["kind"]),
            "code" | "message" => text(&row["error"][column]),
            column => text(&row[column]),
        }))
    }

    /// Puts the table in its place.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub(super) fn finish(self) -> Result<PathBuf, Error> {
        self.0.finish()
    }

    fn record<T: AsRef<[u8]>>(&mut self, cells: [T; COLUMNS.len()]) -> Result<(), Error> {
        let mut line = csv::WriterBuilder::new().from_writer(Vec::new());
        let written = line.write_record(cells).map_err(|error| error.to_string());
        let line = written.and_then(|()| line.into_inner().map_err(|error| error.to_string()));
        let line = line.map_err(|error| {
            Error::new(ErrorKind::Download, format!("the CSV report cannot be written: {error}"))
        })?;
        self.0.write(&line)
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

const COLUMNS: [&str; 16] = [
    "line", "key", "status", "how", "template", "image", "width", "height", "tag", "task_id",
    "path", "cost", "error", "code", "message", "warning",
];
