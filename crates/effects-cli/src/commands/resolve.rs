//! `effects resolve` ([`resolve`]): records in the journal (`JournalStore::resolve`) what a person found
//! out about rows whose submission may or may not have made a task: the id of that task, or that there is
//! none and nothing was billed. [`Looks`] looks at each task that was found first, since a mistyped id
//! cannot be taken back. Such a task it also notes in the row's batch folder (`FolderRows`).
//! `commands::main` calls it.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use effects_client::key_refusal;
use effects_core::journal::{JournalError, RowNumber};
use effects_core::{Error, ErrorKind, TaskId, printable};
use effects_jobs::{Filter, JournalStore, Record, Resolution, RowName, RowState, Which};
use serde::Serialize;
use utoipa::ToSchema;

use crate::batch::FolderRows;
use crate::command_result::{CommandEnd, CommandResult};
use crate::failure::Failure;
use crate::gateway::{self, Gateway};
use crate::gateway_location::GatewayLocation;
use crate::global::GlobalOptions;
use crate::journal::{self, JournalChoice};
use crate::known_key::KnownKey;
use crate::output::Output;
use crate::values::{TemplateIdParser, row_number};

#[derive(Args)]
#[command(after_help = "\
Examples:
  effects tasks --doubtful
  effects resolve 17 --task d758n65e878c73cmdg20
  effects resolve 18 19 20 --not-billed
  effects resolve --all --tag spring --not-billed
  effects resolve --from found.txt

With --task the next `effects batch` or `effects resume` waits for that task and downloads its \
picture; with --not-billed the next batch submits the row again, which costs. A task is looked at \
before it is recorded, which costs nothing; one that the gateway does not know is refused, unless \
--allow-unseen insists.

A file has a line for each row: its number, and then its task's id or `not-billed`. Empty lines and \
those that begin with # are left out. --all can be narrowed by --tag, --template and --base-url.")]
pub(crate) struct Arguments {
    /// Rows' numbers, as `effects tasks` prints them
    #[arg(value_name = "ROW", value_parser = row_number)]
    rows: Vec<RowNumber>,

    /// Every doubtful row of the journal
    #[arg(long)]
    all: bool,

    /// With --all: only rows of this template
    #[arg(long, value_name = "T", hide_possible_values = true, value_parser = TemplateIdParser)]
    template: Option<String>,

    /// A file of rows and what was found of each
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,

    #[command(flatten)]
    found: Finding,

    /// Record a task also where the gateway does not know it, or cannot be asked about it
    #[arg(long)]
    allow_unseen: bool,

    #[command(flatten)]
    journal: JournalChoice,
}

#[derive(Args)]
#[group(multiple = false)]
struct Finding {
    /// It made this task
    #[arg(long, value_name = "ID")]
    task: Option<TaskId>,

    /// They made none, and nothing was billed
    #[arg(long)]
    not_billed: bool,
}

#[derive(Serialize, ToSchema)]
pub(super) struct ResolveObject<'a> {
    schema: &'static str,
    row: u64,
    standing: &'static str,
    /// What was ordered, so that a wrong number or journal shows.
    template: &'a str,
    image: &'a str,
    /// The name of its last submission of unknown outcome.
    request_id: Option<&'a str>,
    #[schema(value_type = Option<String>)]
    task_id: Option<&'a TaskId>,
}

/// Which rows are meant, and what was found of them.
enum RowSelection {
    Named(Vec<(RowNumber, Resolution)>),
    AllNotBilled,
}

pub(crate) fn resolve(
    global: &GlobalOptions,
    arguments: &Arguments,
    output: &Output,
) -> CommandResult {
    let selection = arguments.selection()?;
    if let RowSelection::Named(rows) = &selection {
        let key = KnownKey::of(global);
        for (row, found) in rows {
            // The journal would keep the key as a task's id, and
            // every look at the task would send it in a URL.
            if matches!(found, Resolution::Task(task) if key.is_in(task.as_str())) {
                return Err(key_refusal(&format!("the task's id of row {row}")).into());
            }
        }
    }
    let Some(store) = arguments.journal.existing(output)? else {
        return match selection {
            RowSelection::Named(rows) if !rows.is_empty() => Err(no_row(rows[0].0)),
            _ => Ok(CommandEnd::Ok),
        };
    };
    let rows = match selection {
        // Rows that were named are not looked up here: each
        // one that is not doubtful is an error of its own.
        RowSelection::Named(rows) => rows,
        RowSelection::AllNotBilled => doubtful(&*store, global, arguments)?,
    };
    if rows.is_empty() {
        output.note("none of the rows that were meant is doubtful, so nothing was changed");
    }
    let folders = FolderRows::new(&*store, Some(&arguments.journal.whole_path()?));
    let mut folders = folders.map_err(|error| journal::failure(&error))?;
    let mut looks = Looks::new(global, arguments.allow_unseen);
    // A row that cannot be resolved does not stop the others.
    let mut failures = Vec::new();
    for (row, found) in &rows {
        if let Err(failure) = resolve_one(&*store, &mut folders, &mut looks, *row, found, output) {
            failures.push(failure);
        }
    }
    let last = failures.pop();
    for failure in failures {
        // The last one becomes the command's own failure, and decides the exit code.
        output.note_always(&format!("error: {failure}"));
    }
    last.map_or(Ok(CommandEnd::Ok), Err)
}

impl Arguments {
    /// Whether a task may have to be looked at, for which the gateway is asked.
    pub(crate) fn may_look(&self) -> bool {
        self.found.task.is_some() || self.from.is_some()
    }

    fn selection(&self) -> Result<RowSelection, Failure> {
        let Self { rows, all, template, from, found, .. } = self;
        if template.is_some() && !*all {
            return Err(unusable("--template narrows --all, which is missing"));
        }
        if self.allow_unseen && !self.may_look() {
            return Err(unusable("--allow-unseen is about the task of --task or --from: give one"));
        }
        // Each way to name rows goes with one kind of finding alone; everything else is refused in the end.
        match (&rows[..], *all, from, &found.task, found.not_billed) {
            ([], false, Some(path), None, false) => Ok(RowSelection::Named(read(path)?)),
            ([], true, None, None, true) => Ok(RowSelection::AllNotBilled),
            ([_, ..], false, None, None, true) => {
                let not_billed = |row: &RowNumber| (*row, Resolution::NotBilled);
                Ok(RowSelection::Named(rows.iter().map(not_billed).collect()))
            }
            ([row], false, None, Some(task), false) => {
                Ok(RowSelection::Named(vec![(*row, Resolution::Task(task.clone()))]))
            }
            _ => Err(unusable(
                "give rows or --all with --not-billed, one row with --task, or a file with --from",
            )),
        }
    }
}

fn resolve_one(
    store: &dyn JournalStore,
    folders: &mut FolderRows<'_>,
    looks: &mut Looks<'_>,
    row: RowNumber,
    found: &Resolution,
    output: &Output,
) -> Result<(), Failure> {
    let failed = |error| journal::failure(&error);
    let lookup = || store.find(&RowName::Number(row)).map_err(failed)?.ok_or_else(|| no_row(row));
    // Looked up now: afterwards the row has no doubtful submission to name.
    let before = store.find(&RowName::Number(row)).map_err(failed)?;
    let request_id = before.as_ref().and_then(last_request);
    // The journal refuses every other row.
    let doubtful = before.as_ref().filter(|it| matches!(it.state, RowState::Doubtful { .. }));
    if let (Resolution::Task(task), Some(record)) = (found, doubtful) {
        looks.check(record, task, output)?;
    }
    store.resolve(row, found).map_err(|error| match (&error, lookup()) {
        (JournalError::WrongRowState { .. }, Ok(record)) => {
            // It says what to do about the state that the row has now.
            unusable(&format!("{error}: {}", journal::way_out(&record)))
        }
        _ => failed(error),
    })?;
    let record = lookup()?;
    // A task that was found is noted in the row's batch folder, too; that none was made, the next batch
    // notes there.
    if !matches!(record.state, RowState::Released { .. })
        && let Err(error) = folders.note_state(row)
    {
        output.note_always(&format!("warning: row {row} is resolved, and {error}"));
    }
    let state = record.state.name();
    let object = ResolveObject {
        schema: "effects.resolve.v1",
        row: row.0,
        standing: state,
        template: record.row.template.id(),
        image: &record.row.image,
        request_id,
        task_id: record.state.task(),
    };
    let (template, image) = (object.template, printable(object.image));
    let sent = request_id.map(|id| format!(", sent with X-Request-Id {id}")).unwrap_or_default();
    output.result(&object, &[format!("row {row} is {state}: {template} of {image}{sent}")])
}

/// Looks at tasks before they are recorded.
struct Looks<'a> {
    global: &'a GlobalOptions,
    allow_unseen: bool,
    /// The client that looks, once one task was to be looked at.
    gateway: Option<Result<Gateway, Error>>,
    /// Why no task is looked at any more.
    given_up: Option<Error>,
}

impl<'a> Looks<'a> {
    const fn new(global: &'a GlobalOptions, allow_unseen: bool) -> Self {
        Self { global, allow_unseen, gateway: None, given_up: None }
    }

    /// Whether a task may be recorded as that of a row: the gateway knows it, or `--allow-unseen` insists.
    fn check(&mut self, record: &Record, task: &TaskId, output: &Output) -> Result<(), Failure> {
        let (row, of) = (record.number, &record.row.origin);
        let Err(error) = self.look(record, task)? else { return Ok(()) };
        if error.kind() == ErrorKind::TaskNotFound {
            // A task that was billed may be gone by now: recorded, its row is not paid for again.
            if self.allow_unseen {
                output.note_always(&format!(
                    "warning: row {row} gets task {task}, though {of} knows no such task (404)"
                ));
                return Ok(());
            }
            return Err(unusable(&format!(
                "row {row}, task {task}: {of} knows no such task (404), and a row can only be given a task \
                 that exists; nothing was recorded: copy the id once more, or record it all the same with \
                 --allow-unseen; --not-billed only if no task was made: the next batch pays then"
            )));
        }
        let (kind, why) = (error.kind(), Failure::from(error));
        if !self.allow_unseen {
            let message = format!(
                "row {row}, task {task} was not seen: {why}; nothing was recorded: try again, or record it \
                 unseen with --allow-unseen"
            );
            return Err(Error::new(kind, message).into());
        }
        output.note_always(&format!("warning: row {row} gets task {task} unseen: {why}"));
        Ok(())
    }

    /// Looks at a task once; the inner error says why it was not seen.
    fn look(&mut self, record: &Record, task: &TaskId) -> Result<Result<(), Error>, Failure> {
        let location = GatewayLocation::of(self.global)?;
        let (of, origin) = (&record.row.origin, location.origin()?);
        if *of != origin {
            let why = format!("its row is of {of}, not {origin}: give --base-url {of}");
            return Ok(Err(Error::new(ErrorKind::Misconfigured, why)));
        }
        if let Some(error) = &self.given_up {
            return Ok(Err(error.clone()));
        }
        let gateway = match &mut self.gateway {
            Some(gateway) => gateway,
            none => {
                let opened = Gateway::open(self.global, &location, gateway::policy(self.global));
                none.insert(match opened {
                    Ok(gateway) => Ok(gateway),
                    Err(Failure::Error(error)) => Err(error),
                    Err(failure) => return Err(failure),
                })
            }
        };
        let client = match gateway {
            Ok(gateway) => &gateway.client,
            Err(error) => return Ok(Err(error.clone())),
        };
        // Also a key that only its program or a keyring knew.
        if client.repeats_key(task.as_str()) {
            return Err(key_refusal(&format!("the task's id of row {}", record.number)).into());
        }
        let seen = client.task(task.clone()).status().map(drop);
        // A gateway that is not there is waited for once, and not for each row of a file.
        self.given_up = seen.as_ref().err().filter(|it| it.kind() == ErrorKind::Transport).cloned();
        Ok(seen)
    }
}

/// The name of the last submission of unknown outcome, also where it is of a new order of the row.
fn last_request(record: &Record) -> Option<&str> {
    let RowState::Doubtful { attempts, .. } = &record.state else { return None };
    attempts.last().map(|attempt| attempt.request_id.as_str())
}

/// Every doubtful row, as far as the options narrow that.
fn doubtful(
    store: &dyn JournalStore,
    global: &GlobalOptions,
    arguments: &Arguments,
) -> Result<Vec<(RowNumber, Resolution)>, Failure> {
    let location = global.base_url.is_some().then(|| GatewayLocation::of(global)).transpose()?;
    let origin = location.map(|location| location.origin()).transpose()?;
    let filter =
        Filter { which: Which::Doubtful, origin, tag: global.tag.clone(), ..Filter::default() };
    let mut rows = Vec::new();
    journal::each(store, filter, |record| {
        if arguments.template.as_deref().is_none_or(|id| id == record.row.template.id()) {
            rows.push((record.number, Resolution::NotBilled));
        }
        Ok(true)
    })?;
    Ok(rows)
}

/// Rows of a file, and what was found of each. One line that cannot be read resolves none.
fn read(path: &Path) -> Result<Vec<(RowNumber, Resolution)>, Failure> {
    let shown = path.display();
    let text = fs::read_to_string(path)
        .map_err(|error| unusable(&format!("--from {shown} cannot be read: {error}")))?;
    // Some editors and shells begin a file with the mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut rows = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let found = match words[..] {
            [] => continue,
            [first, ..] if first.starts_with('#') => continue,
            [row, "not-billed"] => row.parse().ok().map(|row| (row, Resolution::NotBilled)),
            [row, task] => row.parse().ok().zip(task.parse().ok().map(Resolution::Task)),
            _ => None,
        };
        rows.push(found.ok_or_else(|| {
            unusable(&format!(
                "--from {shown}, line {}: {line:?} is not a row's number and then its task's id or \
                 `not-billed`",
                index + 1
            ))
        })?);
    }
    Ok(rows)
}

fn no_row(row: RowNumber) -> Failure {
    unusable(&format!("the journal has no row {row}"))
}

fn unusable(why: &str) -> Failure {
    Error::new(ErrorKind::Misconfigured, why).into()
}
