//! `effects reorder` ([`reorder`]): buys the pictures of completed or failed rows of the journal once more,
//! as jobs of a batch `Session` and within an `OrderBudget`. By `FolderRows` it appends to the
//! `manifest.jsonl` of each row's folder that an order is under way, before anything is sent, and
//! afterwards how the row stands. `commands::main` calls it.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};

use clap::Args;
use effects_client::{
    Job, JournalSession, PhotoSource, Save, SaveFiles, SaveWords, WallClock, file_names,
};
use effects_core::journal::{JournalError, RowNumber};
use effects_core::model::Checked;
use effects_core::{Error, ErrorKind, Reference, count_of, signed_url};
use effects_jobs::{JournalStore, Record, RowDraft, RowName, RowPhoto, RowState};
use rust_decimal::Decimal;

use crate::batch::{
    self, BatchSummary, FolderRows, InterruptibleEnd, MaxPrice, PROGRESS_EVERY, ProgressLine,
    RowCount, RowLabel, RowNews, RowReport, RowStatus, Session, SessionMessage, StartedSession,
    decode, kept_after_failed_order,
};
use crate::command_result::{CommandEnd, CommandResult};
use crate::commands::resume;
use crate::failure::Failure;
use crate::gateway::{self, Gateway};
use crate::gateway_location::GatewayLocation;
use crate::global::GlobalOptions;
use crate::image::read_file;
use crate::journal::{self, JournalChoice};
use crate::order_budget::{self, OrderBudget};
use crate::output::Output;
use crate::signals;
use crate::time_options::DeadlineOption;
use crate::values::row_number;

#[derive(Args)]
#[command(after_help = "\
Examples:
  effects tasks --json
  effects reorder 17
  effects reorder 17 --image photos/cat.jpg
  effects reorder 17 18 19 --budget 0.30
  effects reorder 17 --budget 5.00 --scope march

Each row is submitted once more with its template, size and photo, which costs anew: for a picture that \
is not liked, or one whose link expired before it was downloaded. The row must be completed or failed. The \
new picture is the row's from then on; the old file stays, and the new one is saved beside it as \
NAME-TASKID.png, unless --overwrite is given. A completed row whose new task fails keeps its earlier \
picture. What all tasks of the row cost counts in every sum, and --budget is the most it may be: of these \
rows, or with --scope of all rows of an order. If it is interrupted, `effects resume` waits \
on; the same line again buys once more. It exits like `batch`.")]
pub(crate) struct Arguments {
    /// Rows' numbers, as `effects tasks` prints them
    #[arg(value_name = "ROW", required = true, value_parser = row_number)]
    rows: Vec<RowNumber>,

    /// The photo of the row: a URL or a path, where the journal's words do not lead to it from here
    #[arg(long, value_name = "IMAGE")]
    image: Option<OsString>,

    /// Replace the file of the old picture
    #[arg(long)]
    overwrite: bool,

    #[command(flatten)]
    budget: OrderBudget,

    #[command(flatten)]
    deadline: DeadlineOption,

    #[command(flatten)]
    journal: JournalChoice,
}

pub(crate) fn reorder(
    global: &GlobalOptions,
    arguments: &Arguments,
    output: &Output,
) -> CommandResult {
    let location = GatewayLocation::of(global)?;
    if arguments.image.is_some() && arguments.rows.len() > 1 {
        return Err(unusable("--image is the photo of one row: give one"));
    }
    let store = arguments.journal.existing(output)?;
    let Some(store) = store else { return Err(no_row(arguments.rows[0])) };
    let rows = arguments.distinct_rows(output);
    // All of them are checked before one is paid for.
    let jobs = rows.iter().enumerate();
    let jobs = jobs.map(|(index, row)| arguments.job(&*store, index, *row, &location, global));
    let jobs = jobs.collect::<Result<Vec<_>, _>>()?;
    let policy = arguments.deadline.policy(gateway::policy(global));
    let gateway = Gateway::open(global, &location, policy)?;
    let (sender, messages) = mpsc::channel();
    let signal = sender.clone();
    // Before anything is paid for, so that a Ctrl-C in the first moment waits for the answers.
    signals::listen(move || drop(signal.send(SessionMessage::Signal))).map_err(Failure::system)?;
    let journal = arguments.journal.path_for_batch(&location)?;
    let folders = FolderRows::new(&*store, journal.as_deref());
    let mut folders = folders.map_err(|error| journal::failure(&error))?;
    let identities: Vec<_> = jobs.iter().filter_map(|(label, ..)| label.identity).collect();
    let journal_session =
        arguments.budget.journal_session(&store, &location.origin()?, &identities, output)?;
    // Before anything is sent, so that a kill leaves no folder that does not know of it.
    let noted = rows.iter().try_for_each(|row| {
        folders.note_order(*row, WallClock::new().now()).map_err(Failure::from)
    });
    let started = noted.and_then(|()| arguments.start(&gateway, journal_session, sender, jobs));
    if started.is_err() {
        for row in &rows {
            // Nothing was sent. A folder that cannot be told so tells of a doubt that its journal has not.
            folders
                .note_state(*row)
                .unwrap_or_else(|error| output.note(&format!("warning: {error}")));
        }
    }
    let started = started?;
    let progress = ProgressLine::new(output, PROGRESS_EVERY);
    let on_news = |news: RowNews<'_>| match news {
        RowNews::Ended(report) => {
            // The row is printed in any case; a manifest that cannot be written ends the command after it.
            let noted = folders.note(report).map_err(Failure::from);
            print_row(&*store, report, &progress, output)?;
            noted
        }
        RowNews::Submitted(report) => report.row.map_or(Ok(()), |row| Ok(folders.note_state(row)?)),
        RowNews::BegunAnew(_) | RowNews::None => Ok(()),
    };
    // No exchange takes longer, so by then a submission under way is answered or lost.
    let max_wait = gateway.client.policy().request_timeout;
    let (count, summary) = (RowCount::Known(rows.len() as u64), BatchSummary::new());
    let ended =
        batch::interruptible(&started, max_wait, &messages, &progress, count, summary, on_news);
    // Also of rows that were not come to.
    let noted = rows.iter().try_for_each(|row| folders.note_state(*row));
    arguments.print_end(&ended, &*store, &location, journal.as_deref(), output)?;
    noted?;
    Ok(CommandEnd::Code(ended.summary.exit_code()))
}

impl Arguments {
    /// The rows, each once: one that is named twice would be paid for twice.
    fn distinct_rows(&self, output: &Output) -> Vec<RowNumber> {
        let mut rows = self.rows.clone();
        rows.sort_unstable();
        rows.dedup();
        if rows.len() < self.rows.len() {
            output.note("a row that is named more than once is bought once");
        }
        rows
    }

    /// Begins the jobs that buy the rows.
    fn start(
        &self,
        gateway: &Gateway,
        journal_session: JournalSession,
        sender: mpsc::Sender<SessionMessage>,
        jobs: Vec<(RowLabel, RowNumber, Job)>,
    ) -> Result<StartedSession, Failure> {
        // Given with a budget alone.
        let price = self.budget.price.map(|usd| MaxPrice { usd, is_reserved: true });
        // Without it a row that has a verdict is never submitted again.
        let reordering = Some(journal_session.reordering());
        let session = Session::new(gateway.client.clone(), reordering, price, sender);
        let files = SaveFiles {
            overwrite: self.overwrite,
            words: SaveWords {
                thing: "row",
                another_file: "move what is there",
                overwrite: "--overwrite",
            },
            ..SaveFiles::default()
        };
        let begun = gateway.client.jobs().save(Save::Files(files)).check_photos(decode);
        let started = Arc::new(session).start(begun, move |starter| {
            for (label, row, job) in jobs {
                if !starter.begin(label, Some(row), job) {
                    break;
                }
            }
            Ok(())
        });
        Ok(started?)
    }

    /// Says what is open still, and what was spent.
    fn print_end(
        &self,
        ended: &InterruptibleEnd,
        store: &dyn JournalStore,
        location: &GatewayLocation,
        journal: Option<&Path>,
        output: &Output,
    ) -> Result<(), Failure> {
        resume::note_open_tasks(ended, location, output, || {
            let line = resume::resume_line(location, journal);
            format!(
                "the tasks go on, and the same line again would buy once more; wait on with: {line}"
            )
        });
        let summary = &ended.summary;
        let price = match self.budget.price {
            Some(price) => Some(price),
            // Asked only now: these tasks may be the first whose cost is known.
            None => order_budget::highest_cost(store, &location.origin()?)
                .map_err(|error| journal::failure(&error))?,
        };
        let running = summary.count(RowStatus::Running) + summary.count(RowStatus::Doubtful);
        output.note(&match location.is_replay() {
            true => {
                format!("a replay, which pays nothing: its recording says {} USD", summary.spent)
            }
            false => format!("{} USD spent{}", summary.spent, may_cost(running, price)),
        });
        Ok(())
    }

    /// The job that buys a row once more, or why there is none.
    fn job(
        &self,
        store: &dyn JournalStore,
        index: usize,
        row: RowNumber,
        location: &GatewayLocation,
        global: &GlobalOptions,
    ) -> Result<(RowLabel, RowNumber, Job), Failure> {
        let found = store.find(&RowName::Number(row));
        let record = found.map_err(|error| journal::failure(&error))?;
        let record = record.ok_or_else(|| no_row(row))?;
        let origin = location.origin()?;
        // A row is bought again at its own gateway: another one has another key and other prices.
        if record.row.origin != origin {
            let of = &record.row.origin;
            return Err(unusable(&format!(
                "row {row} is of {of}, not {origin}: give --base-url {of}"
            )));
        }
        if !record.state.is_final() {
            let (state, wanted) = (record.state.name(), "one that is completed or failed");
            let wrong = JournalError::WrongRowState { row, state, wanted };
            return Err(unusable(&format!("{wrong}: {}", journal::way_out(&record))));
        }
        let (reference, photo) = self.photo(&record)?;
        if photo.is_some() {
            // A photo that cannot be uploaded is refused before the first of the rows is paid for.
            location.uploads(global.uploads.as_ref())?;
        }
        let (template, size) = (record.row.template.clone(), record.row.size);
        let params = record.row.params.clone();
        let checked = Checked { reference, template, size, params };
        // Not checked once more: the row's request passed the rules before its first task.
        let job = Job::of(checked, photo.map(PhotoSource::File));
        let job = match &record.row.target {
            Some(target) => job.saved_as_before_or_to(target.clone()),
            None => job,
        };
        Ok((RowLabel::of_record(index, &record), row, job.known_as(record.row)))
    }

    /// The photo of the row: a URL, or a file on this machine.
    fn photo(&self, record: &Record) -> Result<(Option<Reference>, Option<PathBuf>), Failure> {
        let (row, kept) = (record.number, &record.row.image);
        let given = self.image.as_deref().unwrap_or(OsStr::new(kept));
        // A path may hold any bytes, and a URL may not.
        let image = file_names::shown(Path::new(given));
        let give = "give the photo with --image";
        let refused = |why: String| unusable(&format!("row {row}: {why}"));
        // The journal keeps no part of a URL that may be a
        // permission, and without it the URL may lead nowhere.
        if !signed_url::is_whole(&image) {
            return Err(refused(format!("the journal does not keep {image} whole: {give}")));
        }
        let (photo, reference, path) = match given.to_str().filter(|given| Reference::is_url(given))
        {
            Some(url) => {
                let url: Reference = url.parse().map_err(|error| refused(format!("{error}")))?;
                (RowPhoto::Url(url.clone()), Some(url), None)
            }
            None => {
                let path = PathBuf::from(given);
                let photo = read_file(&path);
                let photo = photo.map_err(|error| refused(format!("{error}: {give}")))?;
                (RowPhoto::content(&photo, &*image), None, Some(path))
            }
        };
        let draft = RowDraft {
            origin: record.row.origin.clone(),
            template: record.row.template.clone(),
            size: record.row.size,
            params: record.row.params.clone(),
            photo,
            key: None,
            tag: None,
            target: None,
        };
        // The sixteen bytes make the row's identity and not its likeness, so any will do.
        // What the journal kept of a URL is of that row in any case.
        let is_of_row = draft.unique([0; 16]).likeness == record.row.likeness;
        if !is_of_row && (path.is_some() || self.image.is_some()) {
            return Err(refused(match self.image {
                Some(_) => format!(
                    "{image} is another photo than the row's, {kept}: give that one, or order the new \
                     one as a row of its own with `effects batch` or `effects run`"
                ),
                None => format!("it is of another photo than {image}: {give}"),
            }));
        }
        Ok((reference, path))
    }
}

/// Prints how a row ended, and which picture it keeps where the order came to none.
fn print_row(
    store: &dyn JournalStore,
    report: &RowReport,
    progress: &ProgressLine,
    output: &Output,
) -> Result<(), Failure> {
    let kept = kept_picture(store, report)?;
    let warning = kept.clone().or_else(|| report.warning.clone());
    let printed = RowReport { warning, ..report.clone() };
    // What is said of an order that failed says why; where none was made, the reason comes first.
    let line = match (kept, &report.task) {
        (Some(kept), Some(_)) => format!("{}: {kept}", report.label.position(report.row)),
        (Some(kept), None) => format!("{}; {kept}", report.line()),
        (None, _) => report.line(),
    };
    resume::print_row(&printed, &line, progress, output)
}

/// What is said of a row whose order came to no picture and that has its earlier one.
fn kept_picture(store: &dyn JournalStore, report: &RowReport) -> Result<Option<String>, Failure> {
    let Some(number) = report.row.filter(|_| report.status != RowStatus::Completed) else {
        return Ok(None);
    };
    let record = store.find(&RowName::Number(number)).map_err(|error| journal::failure(&error))?;
    let Some(record) = record else { return Ok(None) };
    let RowState::Completed { task, .. } = &record.state else { return Ok(None) };
    Ok(match (&report.task, kept_after_failed_order(&record)) {
        // The row is completed by the new task itself, so no earlier picture stands in for it.
        (Some(made), _) if made == task => None,
        (Some(_), failed) => failed,
        (None, _) => Some(format!("the row keeps its picture of task {task}")),
    })
}

/// What tasks without an end may cost on top, as far as is known what one does.
fn may_cost(tasks: u64, price: Option<Decimal>) -> String {
    if tasks == 0 {
        return String::new();
    }
    let (tasks, each) = (count_of(tasks, "task"), if tasks == 1 { "" } else { " each" });
    match price {
        Some(price) => format!(", and {tasks} without an end may cost about {price} USD{each}"),
        None => format!(", and what {tasks} without an end may cost is not known"),
    }
}

fn no_row(row: RowNumber) -> Failure {
    journal::failure(&JournalError::NoSuchRow(row))
}

fn unusable(message: &str) -> Failure {
    Error::new(ErrorKind::Misconfigured, format!("{message}; nothing was sent")).into()
}
