//! [`JournalChoice`]: the option `--journal`, and how the journal that it names is opened, made or only
//! found, for each command that keeps or reads one (`run`, `batch`, `tasks`, `doctor`, …).
//! [`JournaledRow`]: the row in it of a single `run`, `submit` or `wait`. [`each`] goes through the rows of
//! a journal, for `effects tasks`, `effects resume` and others; [`failure`] makes a command's failure of a
//! journal's error.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use effects_client::{JournalSession, is_replay, make_private_dir, record_picture, state_dir};
use effects_core::journal::{JournalError, RowNumber};
use effects_core::{Cause, Effect, Error, ErrorKind, Origin, TaskId, Time};
use effects_jobs::{Filter, Found, JournalStore, OpenRow, Record, RowDraft, RowState, Which};
use effects_journal::{SqliteJournal, is_database_url, without_password};

use crate::failure::Failure;
use crate::gateway_location::GatewayLocation;
use crate::input_file::InputFile;
use crate::output::{Output, write_stderr};
use crate::profile;
use crate::rerun_line::{journal_line, resolve_lines, rows_line};
use crate::state;

/// Where the journal is.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct JournalChoice {
    /// The journal: a file, or postgres://… for many machines; else journal.db in the state folder
    ///
    /// The state folder is EFFECTS_STATE_DIR, else $XDG_STATE_HOME/effects, else
    /// ~/.local/state/effects. With --emulator and in a replay (--cassette) nothing is journaled unless this
    /// is given. A URL is read as
    /// psql reads it, with PGPASSWORD and ~/.pgpass, and shown without its password.
    #[arg(long, value_name = "FILE|URL")]
    journal: Option<PathBuf>,
}

impl JournalChoice {
    /// The journal of a batch, which cannot do without: without a record, the next run would pay for
    /// everything again. Only the gateway inside the command (`--emulator`) and a replay need none. With `plan`
    /// no journal is created.
    pub(crate) fn for_batch(
        &self,
        location: &GatewayLocation,
        plan: bool,
    ) -> Result<Option<Arc<dyn JournalStore>>, Failure> {
        if self.is_without(location) {
            return Ok(None);
        }
        // `found` makes no tables: a plan leaves nothing behind in a database either.
        if let Some(url) = self.url() {
            return if plan { found(url) } else { Ok(Some(connected(url)?)) };
        }
        let Some(path) = self.path_for_batch(location)? else { return Ok(None) };
        // To open it would make it.
        if plan && !path.exists() {
            return Ok(None);
        }
        Ok(Some(Arc::new(self.open(&path)?)))
    }

    /// Whether nothing is journaled at a gateway: at one inside the command unless a journal is named, and
    /// at a replay unless the command names one, since a profile's is that of its paid tasks.
    fn is_without(&self, location: &GatewayLocation) -> bool {
        match location {
            GatewayLocation::Inside => self.named().is_none(),
            GatewayLocation::At(_) => location.is_replay() && self.journal.is_none(),
        }
    }

    /// The journal that the option names, else the profile.
    fn named(&self) -> Option<&Path> {
        self.journal.as_deref().or_else(|| profile::journal())
    }

    /// The URL of the database that was named, if one was.
    fn url(&self) -> Option<&str> {
        self.named().and_then(Path::to_str).filter(|name| is_database_url(name))
    }

    /// The journal that is there, to be copied, and where it is.
    pub(crate) fn open_for_backup(&self) -> Result<(PathBuf, SqliteJournal), Failure> {
        if let Some(url) = self.url() {
            let why = format!(
                "--journal {}: a database is copied with its own tools: pg_dump --schema=effects",
                without_password(url)
            );
            return Err(Error::new(ErrorKind::Misconfigured, why).into());
        }
        let path = self.path()?;
        self.refuse_missing(&path)?;
        let store = self.open(&path)?;
        Ok((path, store))
    }

    /// The journal that rows are taken into, made if it is not there, and where it is.
    pub(crate) fn open_for_rebuild(&self) -> Result<(PathBuf, Arc<dyn JournalStore>), Failure> {
        if let Some(url) = self.url() {
            return Ok((without_password(url).into(), connected(url)?));
        }
        let path = self.path()?;
        let store = self.open(&path)?;
        Ok((path, Arc::new(store)))
    }

    /// Forgets rows that ended at least this long ago; the journal has to exist. Returns where it is, and
    /// how many rows.
    pub(crate) fn prune(&self, age: Duration) -> Result<(PathBuf, u64), Failure> {
        if let Some(url) = self.url() {
            let rows = prune_database(url, age)?;
            return Ok((without_password(url).into(), rows));
        }
        let path = self.path()?;
        self.refuse_missing(&path)?;
        let rows = self.open(&path)?.prune(age).map_err(|error| failure(&error))?;
        Ok((path, rows))
    }

    fn refuse_missing(&self, path: &Path) -> Result<(), Failure> {
        if path.exists() {
            return Ok(());
        }
        let why = format!("there is no journal {}: --journal names another one", path.display());
        Err(Error::new(ErrorKind::Misconfigured, why).into())
    }

    fn path(&self) -> Result<PathBuf, Failure> {
        self.named().map_or_else(default_path, |path| Ok(path.to_owned()))
    }

    /// Where the journal of a batch is, as a whole path or a URL without its password; nowhere if it
    /// needs none.
    pub(crate) fn path_for_batch(
        &self,
        location: &GatewayLocation,
    ) -> Result<Option<PathBuf>, Failure> {
        if self.is_without(location) {
            return Ok(None);
        }
        self.whole_path().map(Some)
    }

    /// Where the journal is, as a whole path or a URL without its password.
    pub(crate) fn whole_path(&self) -> Result<PathBuf, Failure> {
        match self.url() {
            Some(url) => Ok(without_password(url).into()),
            None => std::path::absolute(self.path()?).map_err(Failure::system),
        }
    }

    /// The journal of a single run. One that was named must work; where the usual one does not, a
    /// person is warned and the run goes on: its id is printed in any case.
    pub(crate) fn for_run(
        &self,
        location: &GatewayLocation,
        quiet: bool,
    ) -> Result<Option<Arc<dyn JournalStore>>, Failure> {
        if self.is_without(location) {
            return Ok(None);
        }
        if let Some(url) = self.url() {
            return Ok(Some(connected(url)?));
        }
        // A person who names a journal counts on it; only the usual one may fail.
        if let Some(path) = self.named() {
            return Ok(Some(Arc::new(self.open(path)?)));
        }
        match default_path().and_then(|path| self.open(&path)) {
            Ok(store) => Ok(Some(Arc::new(store))),
            Err(failure) => {
                state::warn_once(&format!("this task is not journaled: {failure}"), quiet);
                Ok(None)
            }
        }
    }

    /// The row of the task that `wait` waits for, if the journal knows it, so that its end is recorded there.
    /// Waiting needs no journal, so that a faulty one is a warning; one that the option names must work.
    pub(crate) fn row_of(
        &self,
        origin: &Origin,
        task: &TaskId,
        output: &Output,
    ) -> Result<Option<JournaledRow>, Failure> {
        if is_replay(origin) && !self.is_given() {
            return Ok(None);
        }
        let store = if self.is_given() {
            self.existing(output)
        } else {
            self.find().map(|(_, store)| store)
        };
        let followed = store.and_then(|store| {
            let Some(store) = store else { return Ok(None) };
            let session = JournalSession::new(store);
            let found = session.follow(origin, task).map_err(|error| failure(&error))?;
            Ok(found.map(|found| (session, found)))
        });
        match followed {
            Ok(Some((session, Found::Watch(row) | Found::Settled(row)))) => {
                Ok(Some(JournaledRow { session, row }))
            }
            // Not in the journal, or not to be settled here: it is in doubt, or another process has it in
            // hand and settles it.
            Ok(_) => Ok(None),
            Err(failure) if self.is_given() => Err(failure),
            Err(failure) => {
                let why = format!("what becomes of this task is not journaled: {failure}");
                state::warn_once(&why, output.quiet);
                Ok(None)
            }
        }
    }

    /// Whether the option names one.
    pub(crate) fn is_given(&self) -> bool {
        self.journal.is_some()
    }

    /// The journal that is there, to be read and gone on with; none if nothing was journaled yet.
    pub(crate) fn existing(
        &self,
        output: &Output,
    ) -> Result<Option<Arc<dyn JournalStore>>, Failure> {
        // A name with a slip would read as a journal in which nothing is unfinished.
        if let (None, Some(path)) = (self.url(), &self.journal)
            && !path.exists()
        {
            let why = format!("--journal {}: there is no such file", path.display());
            return Err(Error::new(ErrorKind::Misconfigured, why).into());
        }
        let (location, store) = self.find()?;
        if store.is_none() {
            output.note(&format!("nothing is journaled yet ({})", location.display()));
        }
        Ok(store)
    }

    /// Where the journal is, without a password, and the journal itself if there is one. None is made.
    pub(crate) fn find(&self) -> Result<(PathBuf, Option<Arc<dyn JournalStore>>), Failure> {
        if let Some(url) = self.url() {
            return Ok((without_password(url).into(), found(url)?));
        }
        let path = self.path()?;
        if !path.exists() {
            return Ok((path, None));
        }
        let store = self.open(&path)?;
        Ok((path, Some(Arc::new(store))))
    }

    fn open(&self, path: &Path) -> Result<SqliteJournal, Failure> {
        // Only the state folder is made. A folder of a path
        // that was named and is missing is most likely a slip.
        if self.named().is_none()
            && let Some(folder) = path.parent()
        {
            make_private_dir(folder).map_err(|error| {
                unusable(&format!("the state folder {} cannot be made: {error}", folder.display()))
            })?;
        }
        let hint = "; --journal names another one";
        let opened = SqliteJournal::open(path);
        opened.map_err(|error| unusable(&format!("{}: {error}{hint}", path.display())))
    }
}

/// The journal in the database of a URL, made if there is none.
#[cfg(feature = "postgres")]
fn connected(url: &str) -> Result<Arc<dyn JournalStore>, Failure> {
    Ok(Arc::new(database()?.connect(url).map_err(|error| unusable(&error.to_string()))?))
}

/// The journal in the database of a URL, if there is one.
#[cfg(feature = "postgres")]
fn found(url: &str) -> Result<Option<Arc<dyn JournalStore>>, Failure> {
    let found = database()?.find(url).map_err(|error| unusable(&error.to_string()))?;
    Ok(found.map(|store| Arc::new(store) as Arc<dyn JournalStore>))
}

#[cfg(feature = "postgres")]
fn prune_database(url: &str, age: Duration) -> Result<u64, Failure> {
    let found = database()?.find(url).map_err(|error| unusable(&error.to_string()))?;
    found.map_or(Ok(0), |store| store.prune(age).map_err(|error| failure(&error)))
}

#[cfg(not(feature = "postgres"))]
fn prune_database(url: &str, _age: Duration) -> Result<u64, Failure> {
    connected(url).map(|_| 0)
}

/// The settings of a Postgres journal; the ids of tasks that a lost database does not take go into the
/// state folder.
#[cfg(feature = "postgres")]
pub(crate) fn database() -> Result<effects_journal::PostgresBuilder, Failure> {
    let builder = effects_journal::PostgresStore::builder();
    // Without a state folder the database works all the same;
    // an id that it does not take is in the error alone.
    let Some(folder) = state_dir() else { return Ok(builder) };
    make_private_dir(&folder).map_err(|error| {
        unusable(&format!("the state folder {} cannot be made: {error}", folder.display()))
    })?;
    Ok(builder.spill_folder(folder))
}

#[cfg(not(feature = "postgres"))]
pub(crate) fn connected(url: &str) -> Result<Arc<dyn JournalStore>, Failure> {
    let url = without_password(url);
    Err(unusable(&format!(
        "{url}: this command was built without Postgres; build it with --features postgres, or take the \
         one of the Python package"
    )))
}

#[cfg(not(feature = "postgres"))]
fn found(url: &str) -> Result<Option<Arc<dyn JournalStore>>, Failure> {
    connected(url).map(Some)
}

/// The row of a single run, if it is journaled.
pub(crate) struct JournaledRow {
    session: JournalSession,
    row: OpenRow,
}

impl JournaledRow {
    /// Begins a row.
    pub(crate) fn begin(store: Arc<dyn JournalStore>, draft: RowDraft) -> Result<Self, Failure> {
        let session = JournalSession::new(store);
        let row = session.begin(draft).map_err(|error| failure(&error))?;
        Ok(Self { session, row })
    }

    /// The file of its photo, if the path in the journal leads to one from the current folder.
    pub(crate) fn input(&self) -> InputFile {
        InputFile::of(self.row.record().map(|record| OsStr::new(&record.row.image)))
    }

    /// When its task was submitted, if it has one.
    pub(crate) fn submitted(&self) -> Option<Time> {
        self.row.submitted()
    }

    /// The row itself, for its run.
    pub(crate) fn open_row(&self) -> &OpenRow {
        &self.row
    }

    /// Records how the run ended.
    pub(crate) fn settle(&self, result: &Result<Effect, Error>) {
        self.warn_on_error(self.row.settle(result));
    }

    /// The failure that a run of this row ended with. Where its outcome is unknown, it names the row,
    /// so that a person can tell the journal what became of it.
    pub(crate) fn failure(&self, error: Error) -> Failure {
        match self.doubtful_row(&error) {
            Some(row) => Failure::Doubtful(error, row),
            None => error.into(),
        }
    }

    /// The row of a submission of unknown outcome, by the name that the submission was sent with.
    fn doubtful_row(&self, error: &Error) -> Option<RowNumber> {
        // Only a submission of unknown outcome makes a doubtful row.
        let Cause::Unknown(unknown) = error.cause() else { return None };
        // There is nothing to find out of what was only replayed.
        if unknown.is_replayed {
            return None;
        }
        let filter = Filter { which: Which::Doubtful, ..Filter::default() };
        let mut found = None;
        let listed = each(&**self.session.store(), filter, |record| {
            if let RowState::Doubtful { attempts, .. } = &record.state
                && attempts.iter().any(|attempt| attempt.request_id == unknown.request_id)
            {
                found = Some(record.number);
            }
            Ok(found.is_none())
        });
        // The error itself is reported in any case.
        listed.ok().and(found)
    }

    /// Records where a picture was saved.
    pub(crate) fn picture_saved(&self, index: usize, path: &Path) {
        self.warn_on_error(record_picture(&self.row, index, path));
    }

    /// Warns where the journal could not record something: the run is over, and its picture is there.
    fn warn_on_error(&self, recorded: Result<(), JournalError>) {
        // Flushed, since the store may write what is settled
        // later: a failure must show before the command ends.
        if let Err(error) = recorded.and_then(|()| self.session.store().flush()) {
            write_stderr(&format!("warning: {error}"));
        }
    }
}

/// What to do about a row that is not as a command needs it.
pub(crate) fn way_out(record: &Record) -> String {
    let row = record.number;
    if is_replay(&record.row.origin) {
        return way_out_of_replay(record);
    }
    match &record.state {
        RowState::Intent { .. } => {
            "a command is submitting it: wait for that command's end, or run it again if it was stopped"
                .to_owned()
        }
        RowState::Created { task, .. } => {
            let line = rows_line("effects resume");
            format!("it has task {task}, whose end is not recorded yet: `{line}` waits for it")
        }
        RowState::Doubtful { .. } => format!(
            "its task may exist and may be billed: find out, then {}",
            resolve_lines(row)
        ),
        RowState::Released { .. } => {
            "no task was made and nothing is billed: `effects batch` with its manifest, or `effects run`, \
             submits it"
                .to_owned()
        }
        RowState::Completed { .. } | RowState::Failed { .. } => {
            let line = rows_line(&format!("effects reorder {row}"));
            format!("its task has ended, so nothing is open; `{line}` would buy it once more")
        }
    }
}

/// The same, of a row that was only replayed: no task of it is open anywhere, and none costs.
fn way_out_of_replay(record: &Record) -> String {
    let row = record.number;
    match &record.state {
        RowState::Doubtful { .. } => {
            let line = journal_line(&format!("effects resolve {row} --not-billed"));
            format!("it is of a replay, in which nothing is billed: `{line}` lets it be replayed again")
        }
        RowState::Intent { .. } | RowState::Created { .. } => {
            "it is of a replay that has not come to its end: nothing is paid, and the same replay again goes on \
             with it"
                .to_owned()
        }
        RowState::Released { .. } | RowState::Completed { .. } | RowState::Failed { .. } => {
            "it is of a replay, in which nothing is open and nothing is paid".to_owned()
        }
    }
}

/// A failure of the journal.
pub(crate) fn failure(error: &JournalError) -> Failure {
    // These are what the caller asked for, the rest is the journal's own failure: exit code 2 or 1.
    let kind = match error {
        JournalError::NoSuchRow(_)
        | JournalError::WrongRowState { .. }
        | JournalError::TaskOfAnotherRow { .. }
        | JournalError::NotCopied { .. }
        | JournalError::KeyReused { .. } => ErrorKind::Misconfigured,
        _ => ErrorKind::Journal,
    };
    Error::new(kind, error.to_string()).into()
}

fn default_path() -> Result<PathBuf, Failure> {
    let folder = state_dir().ok_or_else(|| {
        unusable("there is no home folder to keep the journal in: set EFFECTS_STATE_DIR")
    })?;
    Ok(folder.join("journal.db"))
}

fn unusable(why: &str) -> Failure {
    Error::new(ErrorKind::Misconfigured, format!("the journal cannot be used: {why}")).into()
}

/// Goes through the rows of a journal, page by page, for as long as `visit` wants more.
pub(crate) fn each(
    store: &dyn JournalStore,
    mut filter: Filter,
    mut visit: impl FnMut(&Record) -> Result<bool, Failure>,
) -> Result<(), Failure> {
    loop {
        let page = store.list(&filter).map_err(|error| failure(&error))?;
        for record in &page {
            if !visit(record)? {
                return Ok(());
            }
        }
        let last: Option<RowNumber> = page.last().map(|record| record.number);
        // A page that is not full is the last one.
        if last.is_none() || page.len() < filter.limit {
            return Ok(());
        }
        filter.after = last;
    }
}
