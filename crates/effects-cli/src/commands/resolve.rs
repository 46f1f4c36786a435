//! `effects resolve`: what a person found out of a doubtful row.

use clap::Args;
use effects_core::{Resolution, RowName, RowNumber, TaskId};
use serde::Serialize;

use crate::commands::{CommandResult, Done};
use crate::failure::Failure;
use crate::journal::{self, JournalChoice};
use crate::output::Output;

#[derive(Args)]
#[command(after_help = "\
Examples:
  effects tasks --doubtful
  effects resolve 17 --task d758n65e878c73cmdg20
  effects resolve 18 --not-billed

With --task the next `effects batch` or `effects resume` waits for that task and downloads its
picture; with --not-billed the next batch submits the row again, which costs.")]
pub(crate) struct Arguments {
    /// The row's number, as `effects tasks` prints it
    #[arg(value_name = "ROW")]
    row: RowNumber,

    #[command(flatten)]
    found: FoundOut,

    #[command(flatten)]
    journal: JournalChoice,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct FoundOut {
    /// It made this task
    #[arg(long, value_name = "ID")]
    task: Option<TaskId>,

    /// It made none, and nothing was billed
    #[arg(long)]
    not_billed: bool,
}

#[derive(Serialize)]
struct ResolveObject<'a> {
    schema: &'static str,
    row: u64,
    standing: &'static str,
    task_id: Option<&'a TaskId>,
}

pub(crate) fn resolve(arguments: &Arguments, output: &Output) -> CommandResult {
    let row = arguments.row;
    let no_row = || {
        Failure::from(effects_core::Error::new(
            effects_core::ErrorKind::Misconfigured,
            format!("the journal has no row {row}"),
        ))
    };
    let store = arguments.journal.that_is_there(output)?.ok_or_else(no_row)?;
    let found = match &arguments.found.task {
        Some(task) => Resolution::Task(task.clone()),
        None => Resolution::NotBilled,
    };
    let failed = |error| journal::failure(&error);
    store.resolve(row, &found).map_err(failed)?;
    let record = store.look(&RowName::Number(row)).map_err(failed)?.ok_or_else(no_row)?;
    let standing = record.standing.name();
    let object = ResolveObject {
        schema: "effects.resolve.v1",
        row: row.0,
        standing,
        task_id: record.standing.task(),
    };
    output.result(&object, &[format!("row {row} is {standing}")])?;
    Ok(Done::Well)
}
