//! `effects resume` ([`resume`]): waits for the journal's unfinished tasks at this gateway and downloads
//! their pictures; nothing is submitted. It starts the rows as jobs of a batch `Session`, prints each row's
//! end, and notes it in the row's folder (`FolderRows`). `commands::main` calls it; `effects reorder`
//! shares [`print_row`] and [`resume_line`].

use std::path::Path;
use std::sync::{Arc, mpsc};

use clap::Args;
use effects_client::{Job, JournalSession, Save, SaveFiles};
use effects_core::{Error, ErrorKind, Origin, TaskBill};
use effects_jobs::{Filter, Which};

use crate::batch::{
    self, BatchSummary, FolderRows, InterruptibleEnd, PROGRESS_EVERY, ProgressLine, RowCount,
    RowLabel, RowNews, RowReport, RowStatus, Session, SessionMessage,
};
use crate::command_result::{CommandEnd, CommandResult};
use crate::failure::Failure;
use crate::gateway::{self, Gateway};
use crate::gateway_location::GatewayLocation;
use crate::global::GlobalOptions;
use crate::journal::{self, JournalChoice, each};
use crate::output::Output;
use crate::rerun_line::{keyed_line, line_to_run_again, quoted};
use crate::signals;

#[derive(Args)]
#[command(after_help = "\
Examples:
  effects resume
  effects resume --journal batch.db --json

It goes on with every unfinished task of this gateway in the journal, whichever command submitted it. \
A picture goes where that command wanted it; where it wanted none, TEMPLATE-TASKID.png in the current \
folder. Nothing is submitted, so it may be repeated freely. It exits like `batch`.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    journal: JournalChoice,
}

pub(crate) fn resume(
    global: &GlobalOptions,
    arguments: &Arguments,
    output: &Output,
) -> CommandResult {
    let location = GatewayLocation::of(global)?;
    let origin = location.origin()?;
    let replayed = global.cassette().filter(|_| location.is_replay());
    // Only a journal that was named can have tasks of a replay: the usual one and a profile's have none.
    if let Some(cassette) = replayed.filter(|_| !arguments.journal.is_given()) {
        output.note_always(&format!(
            "replaying {}: it looks at no real task, and a replay leaves none to go on with; leave the \
             cassette out (--cassette, EFFECTS_CASSETTE) to go on with the tasks of the journal",
            cassette.display()
        ));
        return Ok(CommandEnd::Ok);
    }
    let Some(store) = arguments.journal.existing(output)? else { return Ok(CommandEnd::Ok) };
    // Counted first: where nothing is unfinished, neither key nor gateway is needed.
    let mut rows = 0;
    each(&*store, unfinished(&origin), |_| {
        rows += 1;
        Ok(true)
    })?;
    if rows == 0 {
        output.note(&format!("nothing of {origin} is unfinished"));
        return Ok(CommandEnd::Ok);
    }
    let gateway = Gateway::open(global, &location, gateway::policy(global))?;
    let (sender, messages) = mpsc::channel();
    let signal = sender.clone();
    // Before the first job: from here on Ctrl-C waits for downloads under way.
    signals::listen(move || drop(signal.send(SessionMessage::Signal))).map_err(Failure::system)?;
    let journal = arguments.journal.path_for_batch(&location)?;
    let folders = FolderRows::new(&*store, journal.as_deref());
    let mut folders = folders.map_err(|error| journal::failure(&error))?;
    let rows_store = Arc::clone(&store);
    let session = Session::new(
        gateway.client.clone(),
        Some(JournalSession::new(Arc::clone(&store))),
        None,
        sender,
    );
    let session = Arc::new(session);
    let jobs = gateway.client.jobs().in_flight(IN_FLIGHT).save(Save::Files(SaveFiles::default()));
    let started = session.start(jobs, move |starter| {
        let mut index = 0;
        // The journal is read once more, page by page, rather than all its rows kept in memory.
        let begun = each(&*rows_store, unfinished(&origin), |record| {
            let label = RowLabel::of_record(index, record);
            index += 1;
            Ok(starter.begin(label, Some(record.number), Job::resume(record)))
        });
        begun.map_err(|failure| Error::new(ErrorKind::Journal, failure.to_string()))
    })?;
    let progress = ProgressLine::new(output, PROGRESS_EVERY);
    let on_news = |news: RowNews<'_>| {
        let RowNews::Ended(report) = news else { return Ok(()) };
        let noted = folders.note(report);
        // The row is printed even where its folder's manifest
        // cannot be written; that ends the command after it.
        print_row(report, &report.line(), &progress, output).and(noted.map_err(Failure::from))
    };
    let max_wait = gateway.client.policy().request_timeout;
    let rows = RowCount::Known(rows);
    let ended = batch::interruptible(
        &started,
        max_wait,
        &messages,
        &progress,
        rows,
        BatchSummary::new(),
        on_news,
    );
    note_open_tasks(&ended, &location, output, || {
        let line = line_to_run_again();
        format!("the tasks go on, and nothing is paid twice; wait on with: {line}")
    });
    Ok(CommandEnd::Code(ended.summary.exit_code()))
}

/// Says that not all rows are done, if so, and how their tasks go on, which they do in no replay.
pub(super) fn note_open_tasks(
    ended: &InterruptibleEnd,
    location: &GatewayLocation,
    output: &Output,
    goes_on: impl FnOnce() -> String,
) {
    let summary = &ended.summary;
    // A picture that was not downloaded counts as open: it is paid for, and its link expires.
    let open = summary.count(RowStatus::Running) + summary.count(RowStatus::NotDownloaded);
    if ended.interrupted || open > 0 {
        let why = if ended.interrupted { "interrupted" } else { "not all is done" };
        let what = match location.is_replay() {
            true => TaskBill::Replayed(None).to_string(),
            false => goes_on(),
        };
        output.note_always(&format!("{why}; {what}"));
    }
}

/// The line that goes on with the unfinished tasks of a journal at this gateway.
pub(super) fn resume_line(location: &GatewayLocation, journal: Option<&Path>) -> String {
    let mut line = "effects resume".to_owned();
    if let Some(path) = journal {
        line.push_str(&format!(" --journal {}", quoted(&path.to_string_lossy())));
    }
    if let GatewayLocation::At(base) = location {
        line.push_str(&base.command_options());
    }
    keyed_line(&line)
}

fn unfinished(origin: &Origin) -> Filter {
    Filter { which: Which::Unfinished, origin: Some(origin.clone()), ..Filter::default() }
}

/// Prints what became of a row: its object, or its paths. Where it has no picture, `line` is said of it.
pub(super) fn print_row(
    report: &RowReport,
    line: &str,
    progress: &ProgressLine,
    output: &Output,
) -> Result<(), Failure> {
    if report.status != RowStatus::Completed {
        progress.note_always(line);
    }
    if let Some(line) = report.cost_line() {
        progress.note_always(&line);
    }
    if output.json {
        return progress.suspended(|| output.json_line(&report.json()));
    }
    let mut paths = report.paths.iter();
    paths.try_for_each(|path| progress.suspended(|| output.line(&path.display().to_string())))
}

/// Tasks followed at once.
const IN_FLIGHT: u32 = 64;
