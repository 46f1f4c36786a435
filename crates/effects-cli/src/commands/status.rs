//! `effects status` ([`status`]): looks at a task once and prints what the gateway says of it
//! ([`StatusObject`]). `commands::main` calls it; `interruptible` runs its work, so that Ctrl-C ends it at
//! once.

use clap::Args;
use effects_core::wire::RawJson;
use effects_core::{ServiceError, Status, Task, TaskBill, TaskId};
use rust_decimal::Decimal;
use serde::Serialize;
use utoipa::ToSchema;

use crate::command_result::{CommandEnd, CommandResult};
use crate::failure::Failure;
use crate::gateway::{self, Gateway};
use crate::gateway_location::GatewayLocation;
use crate::global::GlobalOptions;
use crate::interruptible::interruptible;
use crate::output::Output;
use crate::pictures::PictureObject;
use crate::response_object::ResponseObject;
use crate::submission_tracker::SubmissionState;

#[derive(Args)]
#[command(after_help = "\
Examples:
  effects status d758n65e878c73cmdg20
  effects status d758n65e878c73cmdg20 --json

It exits 0 whenever the task could be looked at, also a task that failed; `wait` judges.")]
pub(crate) struct Arguments {
    /// The task's id, as `submit` printed it
    task_id: TaskId,
}

#[derive(Serialize, ToSchema)]
pub(super) struct StatusObject {
    schema: &'static str,
    #[schema(value_type = String)]
    task_id: TaskId,
    #[schema(value_type = Option<String>)]
    status: Option<Status>,
    /// Whether no later look can show anything else.
    r#final: bool,
    progress: Option<f64>,
    created_at: Option<String>,
    pictures: Vec<PictureObject>,
    #[schema(value_type = Option<String>)]
    cost: Option<Decimal>,
    /// What the service sent for a cost that cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    unreadable_cost: Option<String>,
    #[schema(value_type = Option<String>)]
    discount: Option<Decimal>,
    #[schema(value_type = Option<Object>)]
    error: Option<ServiceError>,
    #[schema(value_type = serde_json::Value)]
    metadata: Option<RawJson>,
    /// The whole answer, as the service wrote it.
    #[schema(value_type = serde_json::Value)]
    raw: RawJson,
    /// The service's name for the exchange that showed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    /// What is kept of the answer that showed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<ResponseObject>,
}

pub(crate) fn status(
    global: &GlobalOptions,
    arguments: &Arguments,
    output: &Output,
) -> CommandResult {
    let location = GatewayLocation::of(global)?;
    let gateway = Gateway::open(global, &location, gateway::policy(global))?;
    let task_id = arguments.task_id.clone();
    // The task is there from the beginning, so that Ctrl-C names it and the line that waits for it.
    let first_state = SubmissionState::Made(task_id.clone());
    let task = interruptible(output, &location, first_state, move |_| {
        gateway.client.task(task_id).status().map_err(Failure::from)
    })?;
    let object = StatusObject::from(task);
    output.result(&object, &object.lines())?;
    Ok(CommandEnd::Ok)
}

impl From<Task> for StatusObject {
    fn from(task: Task) -> Self {
        let request_id = task.request_id().map(str::to_owned);
        let usage = task.usage.unwrap_or_default();
        Self {
            schema: "effects.status.v1",
            request_id,
            response: task.response.as_deref().map(ResponseObject::from),
            task_id: task.id,
            r#final: task.status.as_ref().is_some_and(Status::is_final),
            status: task.status,
            progress: task.progress,
            created_at: task.created_at.map(|time| time.to_string()),
            pictures: task.pictures.into_iter().map(PictureObject::from).collect(),
            cost: usage.cost,
            unreadable_cost: usage.unreadable_cost,
            discount: usage.discount,
            error: task.error,
            metadata: task.metadata,
            raw: task.raw,
        }
    }
}

impl StatusObject {
    /// What it is, then what else is known, a line each.
    fn lines(&self) -> Vec<String> {
        let word = self.status.as_ref().map_or("running", Status::as_str);
        let mut lines = vec![match self.progress.filter(|_| !self.r#final) {
            Some(progress) => format!("{word} {:.0} %", progress * 100.0),
            None => word.to_owned(),
        }];
        lines.extend(self.created_at.iter().map(|time| format!("created {time}")));
        lines.extend(self.error.iter().map(|error| format!("error {error}")));
        lines.extend(self.pictures.iter().map(|picture| format!("picture {}", picture.url())));
        lines.extend(self.cost.iter().map(|cost| format!("cost {cost} USD")));
        let unreadable = self.unreadable_cost.iter();
        lines.extend(unreadable.map(|sent| format!("cost cannot be read: {sent:?}")));
        // A failed task without a cost counts as not billed; a running one may still get its cost.
        let has_failed = self.status.as_ref().is_some_and(Status::is_failure);
        if has_failed && self.cost.is_none() && self.unreadable_cost.is_none() {
            lines.push(TaskBill::of_failed(None).to_string());
        }
        lines
    }
}
