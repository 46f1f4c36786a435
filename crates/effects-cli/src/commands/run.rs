//! `effects run` ([`run`]): submits a request, waits for its task and saves its picture. It works under
//! `interruptible`, and journals its row as a `JournaledRow`. `commands::main` calls it; `effects wait`
//! shares [`SaveOptions`], the options of where pictures go.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use effects_client::file_names::Names;
use effects_core::{EffectRequest, Policy, TaskId};
use effects_jobs::JournalStore;

use crate::command_result::{CommandEnd, CommandResult};
use crate::failure::Failure;
use crate::gateway::{self, Gateway};
use crate::gateway_location::GatewayLocation;
use crate::global::GlobalOptions;
use crate::input_file::InputFile;
use crate::interruptible::{WorkContext, interruptible};
use crate::journal::{JournalChoice, JournaledRow};
use crate::output::Output;
use crate::pictures::{self, PictureObject, RunObject};
use crate::request::{self, ReadyRequest, RequestArguments};
use crate::submission_tracker::SubmissionState;
use crate::time_options::WaitOptions;
use crate::values::duration;

#[derive(Args)]
#[command(
    override_usage = "effects run [OPTIONS] <TEMPLATE> <IMAGE>",
    after_help = "\
Examples:
  effects run glass_ball photo.jpg --emulator -o ball.png
  effects run my_world https://example.com/cat.jpg --width 1024 --json
  curl -s https://example.com/a.jpg | effects run my_world - --uploads data-url

A submission costs money. Nothing invalid is ever sent; Ctrl-C never loses a paid task: its id is \
printed with the line that resumes it."
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    request: RequestArguments,

    #[command(flatten)]
    saving: SaveOptions,

    #[command(flatten)]
    times: WaitOptions,

    /// How long to try while nothing answers at all; once there is a task, the wait counts
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = duration)]
    first_answer_timeout: Duration,

    #[command(flatten)]
    journal: JournalChoice,

    /// Keep no record of this run
    #[arg(long, conflicts_with = "journal")]
    no_journal: bool,
}

/// Where pictures go: the same for `run` and `wait`.
#[derive(Args, Clone)]
pub(crate) struct SaveOptions {
    /// The file to save the picture in; an existing one is replaced whole
    ///
    /// Left out, it is TEMPLATE-TASKID.png in the current folder; TASKID.png with `wait`, which
    /// does not know the template.
    #[arg(short, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Print the picture's URL and save nothing; the link expires
    #[arg(long, conflicts_with = "output")]
    no_download: bool,
}

impl SaveOptions {
    /// A file that would be written, to find out beforehand whether it can be. The id in a default
    /// name is not known by then; the folder is.
    pub(crate) fn probe(&self) -> Option<PathBuf> {
        match (&self.output, self.no_download) {
            (_, true) => None,
            (Some(path), _) => Some(path.clone()),
            (None, _) => Some(PathBuf::from(PROBE)),
        }
    }

    /// Where the journal says that the picture is wanted, from the root; nowhere if it is not.
    pub(crate) fn target(&self) -> Option<PathBuf> {
        let path = match (&self.output, self.no_download) {
            (_, true) => return None,
            (Some(path), _) => path.as_path(),
            // The name holds the task's id, which is not known yet, so the journal has the folder alone.
            (None, _) => Path::new("."),
        };
        // Fails where there is no current folder, and then nothing can be saved either.
        std::path::absolute(path).ok()
    }

    /// The names for a task's pictures; none if nothing is to be saved.
    pub(crate) fn names(&self, default: impl FnOnce() -> Names) -> Option<Names> {
        match (&self.output, self.no_download) {
            (_, true) => None,
            (Some(path), _) => Some(Names::chosen(path.clone())),
            (None, _) => Some(default()),
        }
    }
}

pub(crate) fn run(global: &GlobalOptions, arguments: Arguments, output: &Output) -> CommandResult {
    let Arguments { request, saving, times, first_answer_timeout, journal, no_journal } = arguments;
    let policy = Policy { first_answer_timeout, ..times.policy(gateway::policy(global)) };
    let (work_global, mut problems) = (global.clone(), Vec::new());
    let location = request::location_of(global, &mut problems);
    // Without a place there is nothing to resume, and nothing is sent.
    let shown = location.clone().unwrap_or(GatewayLocation::Inside);
    let object = interruptible(output, &shown, SubmissionState::Nothing(None), move |context| {
        let input = request.input();
        // An output that cannot be written is reported with what is wrong with the request: before
        // anything is paid, and all at once.
        problems.extend(saving.probe().and_then(|path| pictures::unwritable(&path, &input)));
        let checked = request.check(location.as_ref(), work_global.uploads.as_ref(), problems);
        let (ready, location) = match (checked, location) {
            (Err(problems), _) => return Err(Failure::Invalid(problems)),
            (Ok(ready), Some(location)) => (ready, location),
            (Ok(_), None) => unreachable!("a location that cannot be read is a problem"),
        };
        // Opened after the checks: a request that is refused makes no journal and needs no key.
        let quiet = work_global.quiet;
        let store = if no_journal { None } else { journal.for_run(&location, quiet)? };
        let gateway = Gateway::open(&work_global, &location, policy)?;
        let target = SaveTarget { saving, input };
        work(context, &gateway, &location, ready, &target, store, work_global.tag)
            .map_err(|failure| failure.at(&location))
    })?;
    output.note(&object.summary(&shown));
    output.result(&object, &object.lines())?;
    Ok(CommandEnd::Ok)
}

/// Where the picture goes, and the photo that it must not replace.
struct SaveTarget {
    saving: SaveOptions,
    input: InputFile,
}

fn work(
    context: &WorkContext,
    gateway: &Gateway,
    location: &GatewayLocation,
    ready: ReadyRequest,
    SaveTarget { saving, input }: &SaveTarget,
    store: Option<Arc<dyn JournalStore>>,
    tag: Option<String>,
) -> Result<RunObject, Failure> {
    // Made before the upload, which takes the photo away: the journal knows a photo by its content, and the
    // URL that the upload gives may be another one each time.
    let draft = ready.row(gateway.origin(), tag.clone(), saving.target());
    let request: EffectRequest = ready.upload(context, &gateway.client, tag.as_deref())?;
    // After the upload, so that one that fails leaves no row behind.
    let journaled = store.map(|store| JournaledRow::begin(store, draft)).transpose()?;
    let client = context.client(&gateway.client, journaled.as_ref().map(JournaledRow::open_row));
    let template = request.template().clone();
    let result = context.follow(client.watch(request));
    // An error is settled, too: it says whether the money is spent, free again or in doubt.
    if let Some(journaled) = &journaled {
        journaled.settle(&result);
    }
    let effect = match (result, &journaled) {
        (Ok(effect), _) => effect,
        (Err(error), Some(journaled)) => return Err(journaled.failure(error)),
        (Err(error), None) => return Err(error.into()),
    };
    let default = |task: &TaskId| Names::default_for(Some(&template), task);
    let pictures = match saving.names(|| default(&effect.task_id)) {
        // The row is settled by now: a download that fails leaves a paid task that `effects resume` fetches.
        Some(names) => {
            pictures::save(context, &client, location, &effect, &names, input, journaled.as_ref())?
        }
        None => effect.pictures.iter().cloned().map(PictureObject::from).collect(),
    };
    Ok(RunObject::new(effect, Some(template), tag, pictures))
}

/// Never kept: it only shows whether the current folder can be written.
const PROBE: &str = "effects.png";
