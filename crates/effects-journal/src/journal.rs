//! The journal itself: opened, and asked for rows.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use effects_core::journal::{JournalError, RowNumber};
use effects_core::{Origin, Time};
use effects_jobs::{
    Filter, Identity, JournalStore, Opened, Record, Resolution, Row, RowJournal, RowName,
    ScopeNumber, ScopeState, Spend, SpendBy, Standing,
};

use rust_decimal::Decimal;

use crate::counter::Counter;
use crate::database::values;
use crate::desk::{Desk, Owner};
use crate::door::Door;
use crate::keeper::{Counters, Keeper, Needs, Stats};
use crate::process::Process;
use crate::row::OpenRow;
use crate::spill::Spill;
use crate::steps::Claim;
use crate::{books, budget, compact, file, rows, steps};

/// A journal in a file of SQLite's. The crate's front page says what it promises.
///
/// Dropping the last of it and of its rows writes what is left to write and closes the file.
pub struct SqliteJournal {
    counter: Arc<Counter>,
    counters: Arc<Counters>,
    claims: AtomicI64,
    path: PathBuf,
}

/// Opens a [`SqliteJournal`] otherwise than usual.
#[must_use = "a builder opens a journal when `open` is called"]
pub struct JournalBuilder {
    process: Process,
    lease: Duration,
    now: Arc<dyn Fn() -> Time + Send + Sync>,
}

impl SqliteJournal {
    /// Opens a journal, and makes it if it is not there: for this user alone, with its folder.
    /// `:memory:` is one that is gone with the process.
    ///
    /// # Errors
    ///
    /// [`JournalError::Newer`]; [`JournalError::Unreadable`] when the file cannot be opened or is
    /// none; [`JournalError::Unwritable`] when it cannot be written.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, JournalError> {
        Self::builder().open(path)
    }

    /// Opens a journal otherwise than usual.
    pub fn builder() -> JournalBuilder {
        JournalBuilder { process: Process::current(), lease: LEASE, now: Arc::new(wall) }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its door, for whoever forks the process.
    pub fn door(&self) -> Door {
        self.counter.door()
    }

    /// What it did so far.
    pub fn stats(&self) -> Stats {
        self.counters.read()
    }

    /// Writes a whole copy of the journal to `target`, a file for this user alone, while other
    /// processes may write the journal. Once this returns, the copy is on the disk. The copy is the
    /// same journal, with the same [`id`](JournalStore::id). (A plain copy of the file misses what
    /// is still in the log beside it, `journal.db-wal`.)
    ///
    /// ```
    /// use effects_journal::SqliteJournal;
    ///
    /// let folder = tempfile::tempdir()?;
    /// let journal = SqliteJournal::open(folder.path().join("journal.db"))?;
    /// journal.backup(folder.path().join("copy.db"))?;
    /// // What is there is never replaced.
    /// assert!(journal.backup(folder.path().join("copy.db")).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`JournalError::NotCopied`] when `target` exists, is a file of the journal itself, or cannot be
    /// written; [`JournalError::Unwritable`] when the journal's own file vanished.
    pub fn backup(&self, target: impl AsRef<Path>) -> Result<(), JournalError> {
        // Ids that are beside the journal belong into the copy.
        self.counter.take_spilled()?;
        self.counter.backup(target.as_ref())
    }

    /// Forgets the bulky parts of rows finished at least `age` ago: the names of their submissions,
    /// reasons, and links to pictures that were downloaded. What was paid for, when, and where it
    /// went is never forgotten. Then gives room back to the file system if that is worth while.
    ///
    /// Done by itself when a journal of more than 4 MB is opened, once a day, with an age of 30
    /// days.
    ///
    /// # Errors
    ///
    /// [`JournalError::Unwritable`].
    pub fn compact(&self, age: Duration) -> Result<(), JournalError> {
        self.counter.ask(Needs::Writing, move |desk| compact::forget(desk, age))?;
        self.counter.shrink().map(drop)
    }

    fn claim(&self, row: &Row, renews: Option<i64>) -> Claim {
        let number = self.claims.fetch_add(1, Ordering::Relaxed);
        Claim { row: row.clone(), number, renews }
    }

    fn in_hand(&self, claim: Claim, holds: bool) -> Arc<dyn RowJournal> {
        Arc::new(OpenRow::new(Arc::clone(&self.counter), claim, holds))
    }

    fn find(&self, name: RowName) -> Result<Option<Record>, JournalError> {
        self.counter.ask(Needs::Reading, move |desk| rows::find(desk, &name))
    }

    /// What a record says there is to do. Another process may be faster than the answer, so a row
    /// that could not be taken over is looked at once more.
    fn opened(&self, mut record: Record) -> Result<Opened, JournalError> {
        loop {
            let held = record.holder.is_some();
            match &record.standing {
                Standing::Doubtful { .. } => return Ok(Opened::Doubtful(record)),
                Standing::Intent { .. } => return Ok(Opened::Elsewhere(record)),
                Standing::Created { .. } | Standing::Released { .. } if held => {
                    return Ok(Opened::Elsewhere(record));
                }
                Standing::Released { .. } => {
                    let claim = self.claim(&record.row, None);
                    return Ok(Opened::Submit(self.in_hand(claim, false)));
                }
                Standing::Completed { .. } | Standing::Failed { .. } => {
                    let claim = self.claim(&record.row, None);
                    return Ok(Opened::Finished(record, self.in_hand(claim, false)));
                }
                Standing::Created { .. } => {
                    let claim = self.claim(&record.row, None);
                    if self.take_over(&record.row.identity, claim.number)? {
                        return Ok(Opened::Watch(record, self.in_hand(claim, true)));
                    }
                }
            }
            let number = record.number;
            record = self.counter.ask(Needs::Reading, move |desk| rows::get(desk, number))?;
        }
    }

    fn take_over(&self, identity: &Identity, claim: i64) -> Result<bool, JournalError> {
        let identity = *identity;
        self.counter.ask(Needs::Writing, move |desk| steps::take_over(desk, &identity, claim))
    }
}

impl JournalStore for SqliteJournal {
    fn open(&self, row: &Row) -> Result<Opened, JournalError> {
        let Some(mut record) = self.find(RowName::Identity(row.identity))? else {
            return Ok(Opened::Submit(self.in_hand(self.claim(row, None), false)));
        };
        if let (Some(key), Some(differs)) = (&row.key, row.differs_from(&record.row)) {
            // Nothing was made under the key yet: it may be for another picture now.
            let (row, key) = (row.clone(), key.clone());
            if !self.counter.ask(Needs::Writing, move |desk| steps::replace(desk, &row))? {
                return Err(JournalError::KeyReused { key, row: record.number, differs });
            }
        }
        if let Some(target) = row.target.clone()
            && record.row.target.as_ref() != Some(&target)
        {
            let (identity, aim) = (row.identity, target.clone());
            self.counter.ask(Needs::Writing, move |desk| steps::aim(desk, &identity, &aim))?;
            record.row.target = Some(target);
        }
        self.opened(record)
    }

    fn take(&self, row: RowNumber) -> Result<Opened, JournalError> {
        let record = self.counter.ask(Needs::Reading, move |desk| rows::get(desk, row))?;
        match record.standing {
            Standing::Released { .. } => Err(wrong(&record, "one with a task")),
            _ => self.opened(record),
        }
    }

    fn renew(&self, row: RowNumber) -> Result<Arc<dyn RowJournal>, JournalError> {
        let find = move |desk: &Desk<'_>| {
            let record = rows::get(desk, row)?;
            let task = steps::current_task(desk, &record.row.identity)?;
            Ok((record, task))
        };
        let (record, task) = self.counter.ask(Needs::Reading, find)?;
        if !record.standing.may_be_renewed() {
            return Err(wrong(&record, "one that failed in a way a new task may mend"));
        }
        Ok(self.in_hand(self.claim(&record.row, task), false))
    }

    fn resolve(&self, row: RowNumber, found: &Resolution) -> Result<(), JournalError> {
        let found = found.clone();
        // Not before it has every id there is: a person may know less.
        self.counter.take_spilled()?;
        self.counter.ask(Needs::Safety, move |desk| {
            let record = rows::get(desk, row)?;
            match record.standing {
                Standing::Doubtful { .. } => steps::resolve(desk, &record.row, row, &found),
                _ => Err(wrong(&record, "doubtful").into()),
            }
        })
    }

    fn import(
        &self,
        row: &Row,
        standing: &Standing,
        earlier: Decimal,
    ) -> Result<bool, JournalError> {
        let (row, standing) = (row.clone(), standing.clone());
        // Not synced by itself: the caller can tell of it once more, and the next flush makes sure.
        self.counter.ask(Needs::Writing, move |desk| steps::import(desk, &row, &standing, earlier))
    }

    fn id(&self) -> Result<Option<String>, JournalError> {
        self.counter.ask(Needs::Reading, |desk| {
            let found = desk.database.find("SELECT id FROM journal", values![])?;
            Ok(found.map(|row| row.get(0)).transpose()?)
        })
    }

    fn look(&self, row: &RowName) -> Result<Option<Record>, JournalError> {
        self.find(row.clone())
    }

    fn list(&self, filter: &Filter) -> Result<Vec<Record>, JournalError> {
        let filter = filter.clone();
        self.counter.ask(Needs::Reading, move |desk| books::list(desk, &filter))
    }

    fn spend(&self, by: SpendBy, origin: Option<&Origin>) -> Result<Vec<Spend>, JournalError> {
        let origin = origin.cloned();
        self.counter.ask(Needs::Reading, move |desk| books::spend(desk, by, origin.as_ref()))
    }

    fn open_scope(&self, name: Option<&str>) -> Result<ScopeNumber, JournalError> {
        let name = name.map(str::to_owned);
        self.counter.ask(Needs::Writing, move |desk| budget::open_scope(desk, name.as_deref()))
    }

    fn add_to_scope(&self, scope: ScopeNumber, rows: &[Identity]) -> Result<(), JournalError> {
        let rows = rows.to_vec();
        self.counter.ask(Needs::Writing, move |desk| {
            rows.iter().try_for_each(|row| budget::add_to_scope(desk, scope, row))
        })
    }

    fn scope(&self, scope: ScopeNumber) -> Result<ScopeState, JournalError> {
        self.counter.ask(Needs::Reading, move |desk| budget::scope_state(desk, scope, None))
    }

    fn flush(&self) -> Result<(), JournalError> {
        // Synced, so that everything before it is.
        self.counter.ask(Needs::Safety, |desk| Ok(desk.renew_lease()?))?;
        self.counter.lost()
    }
}

impl fmt::Debug for SqliteJournal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteJournal").field("path", &self.path).finish_non_exhaustive()
    }
}

impl JournalBuilder {
    /// The process that writes, instead of this one: for a place where this one cannot be told from
    /// others.
    pub fn process(self, process: Process) -> Self {
        Self { process, ..self }
    }

    /// How long a process that cannot be seen from elsewhere is believed to be there; 30 seconds
    /// unless said otherwise. It renews this three times in that time.
    pub fn lease(self, lease: Duration) -> Self {
        Self { lease, ..self }
    }

    /// The clock, instead of the machine's: what it tells is compared with what other processes
    /// wrote by theirs.
    pub fn clock(self, now: impl Fn() -> Time + Send + Sync + 'static) -> Self {
        Self { now: Arc::new(now), ..self }
    }

    /// Opens the journal.
    ///
    /// # Errors
    ///
    /// Those of [`SqliteJournal::open`].
    pub fn open(self, path: impl AsRef<Path>) -> Result<SqliteJournal, JournalError> {
        let path = path.as_ref().to_owned();
        let unwritable = |error: &dyn fmt::Display| {
            JournalError::Unwritable(format!("{}: {error}", path.display()))
        };
        let owner = Owner::new(self.process).map_err(|error| unwritable(&error))?;
        let database = file::open(&path)?;
        let counters = Arc::<Counters>::default();
        // The process may change its working folder later.
        let whole = match file::in_file(&path) {
            Some(path) => Some(std::path::absolute(path).map_err(|error| unwritable(&error))?),
            None => None,
        };
        let (spill, id) = (Arc::new(Spill::beside(whole.as_deref())), owner.id);
        let mut keeper = Keeper {
            database,
            file: whole.as_deref().and_then(file::FileNumber::of),
            path: whole,
            kept_tasks: None,
            away: false,
            owner,
            spill: Arc::clone(&spill),
            lease: self.lease,
            now: self.now,
            counters: Arc::clone(&counters),
            renew_at: Time::MAX,
            company: false,
            synced: false,
        };
        keeper.enter().map_err(|error| unwritable(&error))?;
        // What the database still does not take stays where it is safe; whoever writes next is told.
        let _ = keeper.take_spilled(file::PATIENCE);
        let (sender, errands) = channel();
        let here = Arc::new(());
        let there = Arc::downgrade(&here);
        let thread = thread::Builder::new()
            .name("effects-journal".to_owned())
            .spawn(move || {
                keeper.work(&errands);
                drop(here);
            })
            .map_err(|error| unwritable(&error))?;
        let counter = Arc::new(Counter::new(sender, thread, there, spill, id));
        let forget = |desk: &Desk<'_>| compact::forget_when_due(desk, A_MONTH);
        if counter.ask(Needs::Writing, forget)? {
            // Others at work on the file may stand in the way: tomorrow is another day.
            let _ = counter.shrink();
        }
        Ok(SqliteJournal { counter, counters, claims: AtomicI64::new(1), path })
    }
}

impl fmt::Debug for JournalBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (process, lease) = (&self.process, self.lease);
        f.debug_struct("JournalBuilder")
            .field("process", process)
            .field("lease", &lease)
            .finish_non_exhaustive()
    }
}

fn wrong(record: &Record, wanted: &'static str) -> JournalError {
    let (row, standing) = (record.number, record.standing.name());
    JournalError::WrongStanding { row, standing, wanted }
}

fn wall() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

const LEASE: Duration = Duration::from_secs(30);
const A_MONTH: Duration = Duration::from_secs(30 * 24 * 3600);
