//! `effects journal` ([`journal`]): `backup` copies the journal to a file, `rebuild` imports the rows of a
//! folder's `manifest.jsonl` into a journal, `copy` copies a journal from its file into a Postgres
//! database, and `prune` forgets rows that ended long ago. `commands::main` calls it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use effects_client::WallClock;
use effects_core::journal::JournalError;
use effects_core::{Error, ErrorKind, count_of};
use effects_journal::is_database_url;
#[cfg(feature = "postgres")]
use effects_journal::{Copied, SqliteJournal, without_password};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::batch::{EarlierLine, ManifestText, earlier_lines};
use crate::command_result::{CommandEnd, CommandResult};
use crate::failure::Failure;
#[cfg(not(feature = "postgres"))]
use crate::journal::connected;
#[cfg(feature = "postgres")]
use crate::journal::database;
use crate::journal::{JournalChoice, failure};
use crate::output::Output;

#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: JournalCommand,
}

#[derive(Subcommand)]
enum JournalCommand {
    /// Copy the journal to a file, whole, while other commands may write it
    Backup(BackupArguments),
    /// Take the rows of a folder's manifest.jsonl into the journal
    Rebuild(RebuildArguments),
    /// Copy a journal from its file into a Postgres database, whole and verified
    Copy(CopyArguments),
    /// Forget rows that ended long ago, so that the journal does not grow for ever
    Prune(PruneArguments),
}

#[derive(Args)]
#[command(after_help = "\
Examples:
  effects journal backup journal-copy.db
  effects journal backup copy.db --journal run.db

The newest rows of a journal that is in use are in a second file beside it (journal.db-wal). A plain copy \
of the .db file alone loses them; this copy has them, and is on the disk once the command returns.")]
struct BackupArguments {
    /// The copy, which must not be there
    #[arg(value_name = "FILE")]
    file: PathBuf,

    #[command(flatten)]
    journal: JournalChoice,
}

#[derive(Args)]
#[command(after_help = "\
Examples:
  effects journal rebuild --from pictures/manifest.jsonl
  effects journal rebuild --from pictures/manifest.jsonl --journal new.db

For a journal that was lost: the next batch then waits for the tasks that the manifest lists, downloads \
their pictures, counts their costs in its budget, and pays for none of them again. Rows that the journal \
knows stay as they are. Rows of unknown outcome become doubtful; `effects resolve` settles them.

It exits 2 where a row that is paid for cannot be taken in; the others are taken in all the same.")]
struct RebuildArguments {
    /// The manifest.jsonl of a folder of pictures
    #[arg(long, value_name = "FILE")]
    from: PathBuf,

    #[command(flatten)]
    journal: JournalChoice,
}

#[derive(Args)]
#[command(after_help = "\
Examples:
  effects journal copy run.db postgres://studio@db.example/photos

Everything is copied in one transaction and read back: task ids, costs, doubtful rows, budget scopes with a \
name. The database's journal must be empty, and nothing may use the file, which stays as it is: use the \
database from then on. A database is not copied back into a file.")]
struct CopyArguments {
    /// The journal's file
    #[arg(value_name = "FROM")]
    from: PathBuf,

    /// The database: postgres://USER@HOST/DATABASE
    #[arg(value_name = "TO")]
    to: String,
}

#[derive(Args)]
#[command(after_help = "\
Examples:
  effects journal prune --older-than 90d
  effects journal prune --older-than 52w --journal postgres://db.example/photos

A forgotten row is unknown to the journal: a batch that still lists it pays for it anew, unless the \
manifest.jsonl in the folder of its pictures tells of it. `effects cost` no longer counts it; what a budget \
with a name, or of a watched folder, has paid stays counted. Kept are rows without an end, doubtful ones, those that may still be \
billed or whose cost is not known, and those whose pictures were never downloaded.")]
struct PruneArguments {
    /// How long ago a row ended at least: 90d for days, 12w for weeks
    #[arg(long, value_name = "AGE", value_parser = age)]
    older_than: Duration,

    #[command(flatten)]
    journal: JournalChoice,
}

#[derive(Serialize, ToSchema)]
pub(super) struct PruneObject<'a> {
    schema: &'static str,
    #[schema(value_type = String)]
    journal: &'a Path,
    rows: u64,
}

#[derive(Serialize, ToSchema)]
#[cfg_attr(not(feature = "postgres"), allow(dead_code, reason = "nothing is copied without it"))]
pub(super) struct CopyObject<'a> {
    schema: &'static str,
    #[schema(value_type = String)]
    from: &'a Path,
    to: &'a str,
    rows: u64,
    tasks: u64,
    pictures: u64,
}

#[derive(Serialize, ToSchema)]
pub(super) struct BackupObject<'a> {
    schema: &'static str,
    #[schema(value_type = String)]
    journal: &'a Path,
    #[schema(value_type = String)]
    file: &'a Path,
}

#[derive(Serialize, ToSchema)]
pub(super) struct RebuildObject<'a> {
    schema: &'static str,
    #[schema(value_type = String)]
    journal: &'a Path,
    #[schema(value_type = String)]
    from: &'a Path,
    /// Lines of the manifest.
    rows: u64,
    /// Lines imported now.
    imported: u64,
    /// Lines already in the journal.
    known: u64,
    /// Lines of unpaid rows, which are not imported.
    unpaid: u64,
    /// Lines of paid rows that cannot be imported.
    unusable: u64,
}

pub(crate) fn journal(arguments: &Arguments, output: &Output) -> CommandResult {
    match &arguments.command {
        JournalCommand::Backup(arguments) => backup(arguments, output),
        JournalCommand::Rebuild(arguments) => rebuild(arguments, output),
        JournalCommand::Copy(arguments) => copy(arguments, output),
        JournalCommand::Prune(arguments) => prune(arguments, output),
    }
}

fn backup(arguments: &BackupArguments, output: &Output) -> CommandResult {
    let (path, store) = arguments.journal.open_for_backup()?;
    let file = &arguments.file;
    store.backup(file).map_err(|error| failure(&error))?;
    let object = BackupObject { schema: "effects.backup.v1", journal: &path, file };
    let said = format!("the journal {} is copied to {}", path.display(), file.display());
    output.result(&object, &[said])?;
    Ok(CommandEnd::Ok)
}

fn copy(arguments: &CopyArguments, output: &Output) -> CommandResult {
    let CopyArguments { from, to } = arguments;
    let refuse = |why: &str| -> CommandResult {
        Err(Error::new(ErrorKind::Misconfigured, why.to_owned()).into())
    };
    // All three are found before a database is connected to or anything is made in it.
    if from.to_str().is_some_and(is_database_url) {
        return refuse("FROM is a database: it is not copied back; pg_dump copies a database");
    }
    if !is_database_url(to) {
        return refuse(
            "TO is no postgres:// URL: `effects journal backup` copies a journal into a file",
        );
    }
    if !from.exists() {
        return refuse(&format!("there is no journal {}", from.display()));
    }
    copy_file(from, to, output)
}

#[cfg(feature = "postgres")]
fn copy_file(from: &Path, to: &str, output: &Output) -> CommandResult {
    let source = SqliteJournal::open(from).map_err(|error| failure(&error))?;
    let target = database()?.connect(to).map_err(|error| failure(&error))?;
    let shown = without_password(to);
    let copied = source.copy_to(target).map_err(|error| failure(&error))?;
    let Copied { rows, tasks, pictures } = copied;
    let schema = "effects.copy.v1";
    let object = CopyObject { schema, from, to: &shown, rows, tasks, pictures };
    let counted = count_of(rows, "row");
    let said =
        format!("{counted} of the journal {} copied to {shown} and verified", from.display());
    output.result(&object, &[said])?;
    Ok(CommandEnd::Ok)
}

#[cfg(not(feature = "postgres"))]
fn copy_file(_from: &Path, to: &str, _output: &Output) -> CommandResult {
    connected(to).map(|_| CommandEnd::Ok)
}

fn prune(arguments: &PruneArguments, output: &Output) -> CommandResult {
    let (path, rows) = arguments.journal.prune(arguments.older_than)?;
    let object = PruneObject { schema: "effects.prune.v1", journal: &path, rows };
    let counted = count_of(rows, "row");
    output.result(&object, &[format!("{counted} of the journal {} forgotten", path.display())])?;
    Ok(CommandEnd::Ok)
}

/// A time in whole days or weeks.
fn age(text: &str) -> Result<Duration, String> {
    let days = match (text.strip_suffix('d'), text.strip_suffix('w')) {
        (Some(days), _) => days.parse::<u64>().ok(),
        (_, Some(weeks)) => weeks.parse::<u64>().ok().and_then(|weeks| weeks.checked_mul(7)),
        _ => None,
    };
    // A row that is forgotten may be paid for again by a batch that still lists it.
    if days == Some(0) {
        return Err("that would forget rows that have just ended: give at least 1d".to_owned());
    }
    // A number of days may overflow as seconds; then it is refused, not wrapped to a short age.
    let seconds = days.and_then(|days| days.checked_mul(24 * 3600));
    seconds.map(Duration::from_secs).ok_or_else(|| "give whole days or weeks: 90d, 12w".to_owned())
}

fn rebuild(arguments: &RebuildArguments, output: &Output) -> CommandResult {
    let from = &arguments.from;
    // All of it is read before a journal is made or written.
    let lines = read(from)?;
    let (path, store) = arguments.journal.open_for_rebuild()?;
    let whole = std::path::absolute(from).map_err(Failure::system)?;
    let folder = whole.parent().unwrap_or(Path::new("/"));
    let (schema, rows) = ("effects.rebuild.v1", lines.len() as u64);
    let (imported, known, unpaid, unusable) = (0, 0, 0, 0);
    let mut object =
        RebuildObject { schema, journal: &path, from, rows, imported, known, unpaid, unusable };
    for (number, line) in lines {
        // A row that nothing was paid for is submitted by the next batch anyway.
        if !line.may_be_paid() {
            object.unpaid += 1;
            continue;
        }
        let taken = match line.importable(folder, WallClock::new().now()) {
            Ok(row) => match row.import_into(&*store) {
                // A conflict of this row alone; any other error
                // is of the journal itself and ends the command.
                Err(error @ JournalError::TaskOfAnotherRow { .. }) => Err(error.to_string()),
                taken => Ok(taken.map_err(|error| failure(&error))?),
            },
            Err(why) => Err(why),
        };
        match taken {
            Ok(true) => object.imported += 1,
            Ok(false) => object.known += 1,
            Err(why) => {
                object.unusable += 1;
                output.note_always(&format!("error: {}", unusable_row(from, number, &line, &why)));
            }
        }
    }
    // What is counted as taken in is durable before it is printed.
    store.flush().map_err(|error| failure(&error))?;
    output.result(&object, &[object.words()])?;
    Ok(if object.unusable == 0 {
        CommandEnd::Ok
    } else {
        CommandEnd::Invalid(ErrorKind::InvalidRequest)
    })
}

impl RebuildObject<'_> {
    fn words(&self) -> String {
        let rows = count_of(self.rows, "row");
        let mut words =
            format!("{rows}: the journal {} took in {}", self.journal.display(), self.imported);
        for (count, what) in [
            (self.known, "it knew already"),
            (self.unpaid, "nothing was paid for"),
            (self.unusable, "cannot be taken in"),
        ] {
            if count > 0 {
                words.push_str(&format!(", {count} {what}"));
            }
        }
        words
    }
}

fn unusable_row(from: &Path, number: usize, line: &EarlierLine, why: &str) -> String {
    let task = line.task_id.as_ref().map(|id| format!(" (task {id})")).unwrap_or_default();
    format!(
        "--from {}, line {number}{task}: {why}; the journal does not know this row, and its task can \
         still be followed with `effects wait`",
        from.display()
    )
}

/// The lines of a folder's manifest, with their numbers. A file that is no manifest is refused as a
/// whole.
fn read(from: &Path) -> Result<Vec<(usize, EarlierLine)>, Failure> {
    let refuse = |why: String| -> Failure {
        let why = format!("--from {}{why}; nothing was written", from.display());
        Error::new(ErrorKind::Misconfigured, why).into()
    };
    if !from.exists() {
        return Err(refuse(": there is no such file".to_owned()));
    }
    let unreadable = |error: std::io::Error| refuse(format!(" cannot be read: {error}"));
    let mut lines = Vec::new();
    for text in earlier_lines(from).map_err(unreadable)? {
        let ManifestText { number, text, line } = text.map_err(unreadable)?;
        let schema = serde_json::from_slice::<Schema>(&text).ok().and_then(|it| it.schema);
        match (schema.as_deref(), line) {
            (Some(ROW), Some(line)) => lines.push((number, line)),
            // Its task may be paid for, and a row that is left out would be paid for again.
            (Some(ROW), None) => {
                return Err(refuse(format!(", line {number} has fields that no row has")));
            }
            (schema, _) => {
                let found = schema.map_or("no JSON object with a `schema`".to_owned(), |schema| {
                    format!("of the schema {schema:?}")
                });
                return Err(refuse(format!(
                    ", line {number} is {found}, not {ROW:?}: give the manifest.jsonl that `effects \
                     batch` left in the folder of --out"
                )));
            }
        }
    }
    if lines.is_empty() { Err(refuse(" has no line".to_owned())) } else { Ok(lines) }
}

#[derive(Deserialize)]
struct Schema {
    schema: Option<String>,
}

const ROW: &str = "effects.row.v1";
