//! [`Batch`]: the rows, folder, journal and options of one batch. `commands/batch.rs` makes one and calls
//! its `run` or `plan`, `commands/watch.rs` makes one and calls its `watch`; these methods are in files of
//! their names beside this one. [`BatchOptions`] are the options that both commands take,
//! [`ManifestOptions`] those that only `effects batch` has.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use effects_core::Policy;
use rust_decimal::Decimal;

use super::hooks::HookOptions;
use super::manifest::Manifest;
use super::report_csv::CSV;
use super::report_page::PAGE;
use super::rows::BatchSettings;
use crate::output::Output;
use crate::report_file::ReportKind;
use crate::time_options::DeadlineOption;
use crate::values::{duration, order_name, usd, whole};

/// How a batch is done.
#[derive(Args, Clone, Debug)]
pub(crate) struct BatchOptions {
    /// Tasks in flight at once
    #[arg(long, value_name = "N", default_value_t = 16,
          value_parser = whole(1_u32, 100_000))]
    pub(crate) in_flight: u32,

    /// The most that these rows may cost, what earlier runs paid for them included
    #[arg(long, value_name = "USD", value_parser = usd)]
    pub(crate) budget: Option<Decimal>,

    /// The name of the order: keys count within it, so that two orders may both number from 1
    ///
    /// With --budget, all rows of this name share one budget, also those of other manifests that were run
    /// with both options.
    #[arg(long, value_name = "NAME", value_parser = order_name)]
    pub(crate) scope: Option<String>,

    /// Leave out rows that ask for what an earlier row of the manifest asks for
    ///
    /// Without it such rows are as many pictures, each paid for. A row with a key is never left out.
    #[arg(long)]
    pub(crate) skip_duplicates: bool,

    /// What one picture costs at most; else the highest cost the journal knows of this gateway
    #[arg(long, value_name = "USD", value_parser = usd)]
    pub(crate) price: Option<Decimal>,

    /// Pay for up to N new tasks for a row whose task failed with 3009095 to 3009099
    ///
    /// Each costs anew and counts in the budget; those of earlier runs count too.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = whole(0, u32::MAX))]
    pub(crate) retry_failed: u32,

    /// Replace files that stand where pictures go, also those that are no picture of the row
    ///
    /// Without it a row is refused, before it is paid for, whose picture would replace a file that
    /// is not its own; and a picture that was changed since it was saved is kept, with a warning.
    #[arg(long)]
    pub(crate) overwrite: bool,

    /// Pay once more for rows that another journal, or an order of another name, has paid for
    #[arg(long)]
    pub(crate) pay_again: bool,

    /// How many submissions in a row may be of unknown outcome
    ///
    /// Then nothing is submitted for 30 s, and one row shows whether the gateway answers again: if
    /// not, the batch ends.
    #[arg(long, value_name = "N", default_value_t = Policy::default().unknown_in_a_row,
          value_parser = whole(1, u32::MAX))]
    pub(crate) unknown_in_a_row: u32,

    /// Send photos without decoding them whole before: quicker, and damaged ones are paid for
    #[arg(long)]
    pub(crate) no_photo_check: bool,

    /// Where stderr is no terminal, say how far it is this often: 60, 5m; 0 for never
    #[arg(long, value_name = "TIME", default_value = "60", value_parser = duration)]
    pub(crate) progress_every: Duration,

    /// Write what became of each row as a table for a spreadsheet, too
    ///
    /// It replaces an earlier table and no other file.
    #[arg(long, value_name = "FILE")]
    pub(crate) report_csv: Option<PathBuf>,

    /// Write what became of the batch as one HTML page, too: failures first, pictures small, costs and durations
    ///
    /// It needs no other file, but links lead to the pictures where they are. It replaces an earlier page of a batch
    /// and no other file.
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) hooks: HookOptions,
}

/// How a manifest is done that has an end, which a watched folder has not.
#[derive(Args, Clone, Debug)]
pub(crate) struct ManifestOptions {
    #[command(flatten)]
    pub(crate) deadline: DeadlineOption,

    /// Send nothing if any row is bad
    #[arg(long)]
    pub(crate) strict: bool,

    /// Do the first N rows, put their pictures on a contact sheet, and stop
    #[arg(long, value_name = "N", value_parser = whole(1_u64, 200))]
    pub(crate) pilot: Option<u64>,
}

impl BatchOptions {
    /// The reports that are asked for, and where they are to go.
    pub(crate) fn reports(&self) -> impl Iterator<Item = (ReportKind, &Path)> {
        let places = [(CSV, &self.report_csv), (PAGE, &self.report)];
        places.into_iter().filter_map(|(kind, path)| Some((kind, path.as_deref()?)))
    }
}

/// A batch: which rows, from where to where, and how.
pub(crate) struct Batch<'a> {
    pub(crate) options: &'a BatchOptions,
    /// Whether nothing is sent if any row is bad.
    pub(crate) is_strict: bool,
    /// How many rows are done, if not all of them.
    pub(crate) pilot: Option<u64>,
    pub(crate) manifest: &'a Manifest,
    pub(crate) settings: &'a BatchSettings,
    /// Where the journal is, if there is one.
    pub(crate) journal: Option<&'a Path>,
    pub(crate) output: &'a Output,
}
