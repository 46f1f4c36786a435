//! `effects tasks` ([`tasks`]): lists the rows of the journal, each as a [`TaskObject`]: all, or those
//! that are unfinished or doubtful. `commands::main` calls it.

use std::path::PathBuf;

use clap::Args;
use effects_core::{ExtraParams, ServiceCode};
use effects_jobs::{Attempt, Filter, Record, RowState, Which};
use rust_decimal::Decimal;
use serde::Serialize;
use utoipa::ToSchema;

use crate::batch::PaidPicture;
use crate::command_result::{CommandEnd, CommandResult};
use crate::journal::{self, JournalChoice};
use crate::output::Output;

#[derive(Args)]
#[command(after_help = "\
Examples:
  effects tasks --unfinished
  effects tasks --doubtful --json

Unfinished are tasks without a verdict, pictures that were never downloaded, and the doubtful: \
submissions that may have made a task whose id is not known here. Only a person can find out what became of \
these; `effects resolve` tells the journal.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    journal: JournalChoice,

    /// Only those that something is still to be done for
    #[arg(long, conflicts_with = "doubtful")]
    unfinished: bool,

    /// Only submissions that may have made a task whose id is not known
    #[arg(long)]
    doubtful: bool,
}

#[derive(Serialize, ToSchema)]
pub(super) struct TaskObject<'a> {
    schema: &'static str,
    row: u64,
    /// `intent`, `doubtful`, `created`, `completed`, `failed`, `released`.
    standing: &'static str,
    origin: String,
    template: &'a str,
    image: &'a str,
    #[serde(skip_serializing_if = "ExtraParams::is_empty")]
    #[schema(value_type = Object)]
    params: &'a ExtraParams,
    key: Option<&'a str>,
    tag: Option<&'a str>,
    task_id: Option<&'a str>,
    /// USD, exact to the digit.
    #[schema(value_type = Option<String>)]
    cost: Option<Decimal>,
    begun: String,
    changed: String,
    #[schema(value_type = Option<String>)]
    target: Option<&'a PathBuf>,
    #[schema(value_type = Vec<String>)]
    paths: Vec<&'a PathBuf>,
    #[schema(value_type = Option<String>)]
    code: Option<&'a ServiceCode>,
    message: Option<&'a str>,
    /// Submissions whose fate is open, as the service's support may find them.
    #[schema(value_type = Vec<Object>)]
    attempts: &'a [Attempt],
    /// The process that has it in hand.
    holder: Option<String>,
    /// The last new order of a completed row that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    failed_order: Option<FailedOrder<'a>>,
    /// The picture that is paid for, while a new order of the row is under way or in doubt.
    #[serde(skip_serializing_if = "Option::is_none")]
    paid_picture: Option<PaidPicture>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct FailedOrder<'a> {
    task_id: &'a str,
    submitted: String,
    #[schema(value_type = Option<String>)]
    cost: Option<Decimal>,
    #[schema(value_type = Option<String>)]
    code: Option<&'a ServiceCode>,
    message: &'a str,
}

impl<'a> FailedOrder<'a> {
    fn of(record: &'a Record) -> Option<Self> {
        let order = record.failed_order.as_deref()?;
        let RowState::Failed { task, submitted, code, message, cost, .. } = order else {
            return None;
        };
        let (submitted, code) = (submitted.to_string(), code.as_ref());
        Some(Self { task_id: task.as_str(), submitted, cost: *cost, code, message })
    }
}

pub(crate) fn tasks(arguments: &Arguments, output: &Output) -> CommandResult {
    let Some(store) = arguments.journal.existing(output)? else { return Ok(CommandEnd::Ok) };
    let which = match (arguments.unfinished, arguments.doubtful) {
        (true, _) => Which::Unfinished,
        (_, true) => Which::Doubtful,
        _ => Which::All,
    };
    // Printed page by page, so that a long journal begins to be listed at once and is not kept in memory.
    journal::each(&*store, Filter { which, ..Filter::default() }, |record| {
        let object = TaskObject::of(record);
        output.listing(&object, &object.lines())
    })?;
    Ok(CommandEnd::Ok)
}

impl<'a> TaskObject<'a> {
    fn of(record: &'a Record) -> Self {
        let (code, message, attempts): (_, _, &[Attempt]) = match &record.state {
            RowState::Failed { code, message, .. } => (code.as_ref(), Some(message.as_str()), &[]),
            RowState::Doubtful { attempts, reason } => (None, Some(reason.as_str()), attempts),
            RowState::Intent { attempts } => (None, None, attempts),
            RowState::Released { reason } => (None, Some(reason.as_str()), &[]),
            _ => (None, None, &[]),
        };
        let paths = match &record.state {
            RowState::Completed { pictures, .. } => {
                pictures.iter().filter_map(|picture| picture.path.as_ref()).collect()
            }
            _ => Vec::new(),
        };
        Self {
            schema: "effects.task.v1",
            row: record.number.0,
            standing: record.state.name(),
            origin: record.row.origin.to_string(),
            template: record.row.template.id(),
            image: &record.row.image,
            key: record.row.key.as_deref(),
            params: &record.row.params,
            tag: record.row.tag.as_deref(),
            task_id: record.state.task().map(effects_core::TaskId::as_str),
            cost: record.state.cost(),
            begun: record.begun.to_string(),
            changed: record.changed.to_string(),
            target: record.row.target.as_ref(),
            paths,
            code,
            message,
            attempts,
            holder: record.holder.as_ref().map(ToString::to_string),
            failed_order: FailedOrder::of(record),
            paid_picture: PaidPicture::of(record),
        }
    }

    fn lines(&self) -> Vec<String> {
        let cost = self.cost.map(|cost| format!("  {cost} USD")).unwrap_or_default();
        let task = self.task_id.unwrap_or("-");
        let name = self.key.unwrap_or(self.image);
        let path =
            self.paths.first().map(|path| format!("  {}", path.display())).unwrap_or_default();
        let params = self.params.iter().map(|(name, value)| format!("  {name}={value}"));
        let params: String = params.collect();
        let mut lines = vec![format!(
            "{}  {:9}  {task}  {}  {name}{params}{cost}{path}",
            self.row, self.standing, self.template
        )];
        lines.extend(self.attempts.iter().map(|attempt| {
            format!(
                "    sent at {} with X-Request-Id {} and Idempotency-Key {}",
                attempt.at, attempt.request_id, attempt.idempotency_key
            )
        }));
        lines.extend(self.failed_order.as_ref().map(|order| {
            let FailedOrder { task_id, submitted, message, .. } = order;
            let cost = order.cost.map(|cost| format!("  {cost} USD")).unwrap_or_default();
            format!("    ordered anew at {submitted}: task {task_id} failed ({message}){cost}")
        }));
        lines.extend(self.paid_picture.as_ref().map(|paid| {
            let PaidPicture { task_id, cost, paths, .. } = paid;
            let (submitted, cost) =
                (paid.submitted(), cost.map(|cost| format!("  {cost} USD")).unwrap_or_default());
            let path = paths.first().map(|path| format!("  {path}")).unwrap_or_default();
            format!("    ordered anew; its picture is of task {task_id} at {submitted}{cost}{path}")
        }));
        lines
    }
}
