//! `effects batch` and `effects watch`: a [`Batch`] (`options.rs`) checks rows, has photos uploaded, tasks
//! submitted and followed and pictures saved, each paid for once. `commands/batch.rs` and
//! `commands/watch.rs` make one and call its `run`, `plan` or `watch`. Other commands use parts: `resume`
//! and `reorder` run a [`Session`] under [`interruptible()`], they and `resolve` update folders by
//! [`FolderRows`], `tasks` prints a [`PaidPicture`], and `journal rebuild` reads [`earlier_lines`].
//!
//! ```text
//! manifest -> rows -> jobs (effects-ureq: open, upload, submit, follow, save) -> reports
//!   preflight session                                                       interruptible
//! ```
//!
//! The queue from rows to jobs is bounded, so that slow jobs hold back the reading of the manifest. The
//! messages to the main thread are not: no job, and so no polling, waits for what is printed.

mod budget;
mod budget_refusals;
mod counted;
mod durations;
mod earlier_line;
mod folder_rows;
mod hooks;
mod interruptible;
mod known_photos;
mod manifest;
mod manifest_line;
mod options;
mod other_journal;
mod other_scope;
mod output_paths;
mod paid_picture;
mod pictures_by_content;
mod plan;
mod preflight;
mod present_pictures;
mod progress_line;
mod report;
mod report_csv;
mod report_page;
mod reporter;
mod reports;
mod request_hash;
mod results;
mod rows;
mod run;
mod running_mark;
mod session;
mod sheet;
mod summary;
mod watch;
mod watcher;

pub(crate) use earlier_line::remembered_photos;
pub(crate) use earlier_line::{EarlierLine, ManifestText, earlier_lines};
pub(crate) use folder_rows::FolderRows;
pub(crate) use interruptible::{InterruptibleEnd, RowCount, RowNews, interruptible};
pub(crate) use manifest::Manifest;
pub(crate) use options::{Batch, BatchOptions, ManifestOptions};
pub(crate) use output_paths::{NameTemplate, RESULTS, SHEET};
pub(crate) use paid_picture::PaidPicture;
pub(crate) use progress_line::{PROGRESS_EVERY, ProgressLine};
pub(crate) use report::{RowReport, RowStatus, kept_after_failed_order};
pub(crate) use report_csv::CSV;
pub(crate) use report_page::PAGE;
pub(crate) use rows::{BatchSettings, RowLabel, decode};
pub(crate) use session::{MaxPrice, Session, SessionMessage, StartedSession};
pub(crate) use sheet::check as check_sheet;
pub(crate) use summary::BatchSummary;

use crate::schemas::SchemaCollector;

/// Adds the schemas of what a batch prints.
pub(crate) fn schemas(objects: &mut SchemaCollector) {
    objects.add::<report::RowObject<'_>>("effects.row.v1");
    objects.add::<reporter::BatchObject<'_>>("effects.batch.v1");
    objects.add::<plan::PlanObject<'_>>("effects.plan.v1");
}
