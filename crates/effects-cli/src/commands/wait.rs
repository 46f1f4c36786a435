//! `effects wait` ([`wait`]): follows a task submitted before to its end, saves its picture, and records
//! the end in the task's row if the journal has one. `commands::main` calls it; `interruptible` runs its
//! work, so that Ctrl-C ends it at once.

use clap::Args;
use effects_client::file_names::Names;
use effects_core::TaskId;

use crate::command_result::{CommandEnd, CommandResult};
use crate::commands::run::SaveOptions;
use crate::failure::Failure;
use crate::gateway::{self, Gateway};
use crate::gateway_location::GatewayLocation;
use crate::global::GlobalOptions;
use crate::input_file::InputFile;
use crate::interruptible::{WorkContext, interruptible};
use crate::journal::{JournalChoice, JournaledRow};
use crate::output::Output;
use crate::pictures::{self, PictureObject, RunObject};
use crate::problem::Problems;
use crate::submission_tracker::SubmissionState;
use crate::time_options::WaitOptions;

#[derive(Args)]
#[command(after_help = "\
Examples:
  effects wait d758n65e878c73cmdg20 -o ball.png
  effects wait d758n65e878c73cmdg20 --wait-timeout 1h --no-download

Waiting sends nothing that costs, so it may be repeated freely.")]
pub(crate) struct Arguments {
    /// The task's id, as `submit` printed it
    task_id: TaskId,

    #[command(flatten)]
    saving: SaveOptions,

    #[command(flatten)]
    times: WaitOptions,

    #[command(flatten)]
    journal: JournalChoice,
}

pub(crate) fn wait(global: &GlobalOptions, arguments: Arguments, output: &Output) -> CommandResult {
    let Arguments { task_id, saving, times, journal } = arguments;
    let policy = times.policy(gateway::policy(global));
    let location = GatewayLocation::of(global)?;
    let gateway = Gateway::open(global, &location, policy)?;
    // A journal that knows the task records its end, and names the photo, which no picture may replace.
    let journaled = journal.row_of(&gateway.origin(), &task_id, output)?;
    let input = journaled.as_ref().map(JournaledRow::input).unwrap_or_default();
    let unwritable = saving.probe().and_then(|path| pictures::unwritable(&path, &input));
    if let Some(problems) = Problems::among(unwritable.into_iter().collect()) {
        return Err(Failure::Invalid(problems));
    }
    let (first_state, work_location) = (SubmissionState::Made(task_id.clone()), location.clone());
    let object = interruptible(output, &location, first_state, move |context| {
        work(context, &gateway, &work_location, task_id, &saving, journaled.as_ref(), &input)
    })?;
    output.note(&object.summary(&location));
    output.result(&object, &object.lines())?;
    Ok(CommandEnd::Ok)
}

fn work(
    context: &WorkContext,
    gateway: &Gateway,
    location: &GatewayLocation,
    task: TaskId,
    saving: &SaveOptions,
    journaled: Option<&JournaledRow>,
    input: &InputFile,
) -> Result<RunObject, Failure> {
    let client = &gateway.client;
    let mut handle = client.task(task);
    // The pace, and the minute in which a 404 ends nothing, count from there and not from this command.
    if let Some(submitted) = journaled.and_then(JournaledRow::submitted) {
        handle = handle.submitted_at(submitted);
    }
    let result = context.follow(handle.events());
    if let Some(journaled) = journaled {
        journaled.settle(&result);
    }
    let effect = result?;
    let pictures = match saving.names(|| Names::default_for(None, &effect.task_id)) {
        Some(names) => {
            pictures::save(context, client, location, &effect, &names, input, journaled)?
        }
        None => effect.pictures.iter().cloned().map(PictureObject::from).collect(),
    };
    Ok(RunObject::new(effect, None, None, pictures))
}
