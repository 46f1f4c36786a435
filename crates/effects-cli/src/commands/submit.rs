//! `effects submit` ([`submit`]): submits one request and prints the task's id, without waiting for its
//! picture. Ctrl-C waits for a submission on its way (`interruptible`), and the task's row stays
//! unfinished in the journal (`JournaledRow`) for `effects resume`. `commands::main` calls it.

use std::time::Duration;

use clap::Args;
use effects_core::{Event, Policy, TaskId, Template};
use serde::Serialize;
use utoipa::ToSchema;

use crate::command_result::{CommandEnd, CommandResult};
use crate::failure::Failure;
use crate::gateway::{self, Gateway};
use crate::gateway_location::GatewayLocation;
use crate::global::GlobalOptions;
use crate::interruptible::interruptible;
use crate::journal::{JournalChoice, JournaledRow};
use crate::output::Output;
use crate::request::{self, RequestArguments};
use crate::rerun_line::task_line;
use crate::submission_tracker::SubmissionState;
use crate::time_options::DeadlineOption;
use crate::values::duration;

#[derive(Args)]
#[command(
    override_usage = "effects submit [OPTIONS] <TEMPLATE> <IMAGE>",
    after_help = "\
Examples:
  id=$(effects submit glass_ball https://example.com/cat.jpg)
  effects wait \"$id\" -o ball.png"
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    request: RequestArguments,

    /// How long to try while nothing answers at all; once there is a task, the wait counts
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = duration)]
    first_answer_timeout: Duration,

    #[command(flatten)]
    deadline: DeadlineOption,

    #[command(flatten)]
    journal: JournalChoice,
}

#[derive(Serialize, ToSchema)]
pub(super) struct SubmitObject {
    schema: &'static str,
    #[schema(value_type = String)]
    task_id: TaskId,
    #[schema(value_type = String)]
    template: Template,
    tag: Option<String>,
    resume: Option<String>,
}

pub(crate) fn submit(
    global: &GlobalOptions,
    arguments: Arguments,
    output: &Output,
) -> CommandResult {
    let policy = arguments.deadline.policy(gateway::policy(global));
    let (work_global, mut problems) = (global.clone(), Vec::new());
    let location = request::location_of(global, &mut problems);
    // As in `effects run`: without a place nothing is sent, so what is shown of it does not matter.
    let shown = location.clone().unwrap_or(GatewayLocation::Inside);
    let object = interruptible(output, &shown, SubmissionState::Nothing(None), move |context| {
        let uploads = work_global.uploads.as_ref();
        let checked = arguments.request.check(location.as_ref(), uploads, problems);
        let (ready, location) = match (checked, location) {
            (Err(problems), _) => return Err(Failure::Invalid(problems)),
            (Ok(ready), Some(location)) => (ready, location),
            (Ok(_), None) => unreachable!("a location that cannot be read is a problem"),
        };
        let store = arguments.journal.for_run(&location, work_global.quiet)?;
        let first_answer_timeout = arguments.first_answer_timeout;
        let policy = Policy { first_answer_timeout, ..policy };
        let gateway = Gateway::open(&work_global, &location, policy)?;
        let draft = ready.row(gateway.origin(), work_global.tag.clone(), None);
        // Before the row is begun: an upload that fails leaves no row.
        let request = ready.upload(context, &gateway.client, work_global.tag.as_deref())?;
        let journaled = store.map(|store| JournaledRow::begin(store, draft)).transpose()?;
        let client =
            context.client(&gateway.client, journaled.as_ref().map(JournaledRow::open_row));
        let template = request.template().clone();
        let submitted = client.submit_with(request, |event| {
            // The id is the result.
            if !matches!(event, Event::Submitted { .. }) {
                context.show(event);
            }
        });
        let task_id = match (submitted, &journaled) {
            (Ok(handle), _) => handle.id().clone(),
            (Err(error), None) => return Err(error.into()),
            // Only an error is settled: a task that was made has no verdict yet, so its row stays
            // unfinished and `effects resume` goes on with it.
            (Err(error), Some(journaled)) => {
                journaled.settle(&Err(error.clone()));
                return Err(journaled.failure(error));
            }
        };
        let resume = location.resume_line(&task_id).map(|line| task_line(&line));
        let (schema, tag) = ("effects.submit.v1", work_global.tag);
        Ok(SubmitObject { schema, task_id, template, tag, resume })
    })?;
    // On stderr: stdout has the id alone, for `id=$(effects submit …)`.
    if let Some(line) = &object.resume {
        output.note(&format!("submitted; wait for it with: {line}"));
    }
    output.result(&object, &[object.task_id.to_string()])?;
    Ok(CommandEnd::Ok)
}
