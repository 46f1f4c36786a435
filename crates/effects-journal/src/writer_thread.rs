//! [`WriterThread`]: the thread that reads and writes the database of a `SqliteJournal`, started when it
//! opens. It does the [`StoreCommand`]s that came in while it wrote in one transaction, answers each, and
//! renews the journal's lease; it also makes backups and closes the file for a fork. `WriterHandle` and
//! `ForkHandle` send [`WriterMessage`]s to it, or to the `Writer` of Postgres. [`Stats`] counts the
//! requests and commits of a journal of either kind.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use effects_core::Time;
use effects_core::journal::JournalError;
use rusqlite::Connection;

use crate::database::{Database, DatabaseError, values};
use crate::file::{self, FileNumber};
use crate::oneshot::{OneshotReceiver, OneshotSender, oneshot};
use crate::spill::{Spill, Spilled};
use crate::transaction::{Fail, Owner, Transaction};
use crate::{backup, compact, spilled_tasks};

/// How safe a request needs to be once it is answered. A group is as safe as its most demanding.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Durability {
    /// It reads.
    Reading,
    /// It writes what can be found out again without cost: the end of the process must not lose it,
    /// the end of the machine may.
    Writing,
    /// It writes what money hangs on: nothing may lose it.
    Safety,
}

/// A request to the writer thread, with the receiver of its answer.
pub(crate) trait StoreCommand: Send {
    fn durability(&self) -> Durability;
    /// Runs the command. Where it fails, what it wrote is undone; the error says whether it may succeed
    /// in another transaction. Where a transaction was undone as a whole, the command is run once more.
    fn run(&mut self, tx: &Transaction<'_>) -> Result<(), DatabaseError>;
    /// Whether it may be run once more after it was committed: the same again changes nothing.
    #[cfg_attr(not(feature = "postgres"), allow(dead_code, reason = "a file commits once"))]
    fn is_repeatable(&self) -> bool;
    /// Hands its answer to the caller, once the transaction is over.
    fn reply(self: Box<Self>, committed: Result<(), JournalError>);
}

/// To close the file until the sender of `until` is dropped.
#[derive(Debug)]
pub(crate) struct ForkPause {
    pub(crate) closed: OneshotSender<()>,
    pub(crate) until: Receiver<()>,
}

/// A message to the writer thread.
pub(crate) enum WriterMessage {
    /// Something to do within a transaction.
    Command(Box<dyn StoreCommand>),
    /// To give room back to the file system, which happens outside of any.
    Shrink(OneshotSender<Result<bool, JournalError>>),
    /// To write a whole copy to this file, which happens outside of any as well.
    Backup(PathBuf, OneshotSender<Result<(), JournalError>>),
    /// To empty the spill file, in a transaction of its own.
    TakeSpilled(OneshotSender<Result<(), JournalError>>),
    /// To close the file for a while.
    CloseForFork(ForkPause),
    /// To close it for good. Nothing comes after it.
    Close,
}

/// A request, with the receiver of its answer, for a caller that waits for it.
pub(crate) fn command<T, F>(
    durability: Durability,
    run: F,
) -> (Box<dyn StoreCommand>, OneshotReceiver<Result<T, JournalError>>)
where
    T: Send + 'static,
    F: FnMut(&Transaction<'_>) -> Result<T, Fail> + Send + 'static,
{
    let (receiver, sender) = oneshot();
    let reply = move |answer| OneshotSender::send(sender, answer);
    (
        Box::new(CallbackCommand { durability, run, is_repeatable: false, answer: None, reply }),
        receiver,
    )
}

/// A command for a row that a run holds, which may be done more than once; it passes its answer to a function.
pub(crate) fn command_with_callback<T, F, G>(
    durability: Durability,
    run: F,
    reply: G,
) -> Box<dyn StoreCommand>
where
    T: Send + 'static,
    F: FnMut(&Transaction<'_>) -> Result<T, Fail> + Send + 'static,
    G: FnOnce(Result<T, JournalError>) + Send + 'static,
{
    Box::new(CallbackCommand { durability, run, is_repeatable: true, answer: None, reply })
}

struct CallbackCommand<T, F, G> {
    durability: Durability,
    run: F,
    #[cfg_attr(not(feature = "postgres"), allow(dead_code, reason = "a file commits once"))]
    is_repeatable: bool,
    answer: Option<Result<T, JournalError>>,
    reply: G,
}

impl<T, F, G> StoreCommand for CallbackCommand<T, F, G>
where
    T: Send,
    F: FnMut(&Transaction<'_>) -> Result<T, Fail> + Send,
    G: FnOnce(Result<T, JournalError>) + Send,
{
    fn durability(&self) -> Durability {
        self.durability
    }

    fn run(&mut self, tx: &Transaction<'_>) -> Result<(), DatabaseError> {
        let reading = self.durability == Durability::Reading;
        let mut ended = Ok(());
        // A statement that was queued fails only when its answer is read, and is this
        // command's all the same.
        let done = (self.run)(tx).and_then(|done| Ok(tx.answered().map(|()| done)?));
        let answer = done.map_err(|fail| {
            ended = Err(match &fail {
                Fail::Database(error) => error.clone(),
                _ => DatabaseError::new("a request failed"),
            });
            fail.into_error(reading)
        });
        self.answer = Some(answer);
        ended
    }

    fn is_repeatable(&self) -> bool {
        self.is_repeatable
    }

    fn reply(self: Box<Self>, committed: Result<(), JournalError>) {
        let gone = || Err(JournalError::Unwritable("it was not begun".to_owned()));
        let answer = self.answer;
        (self.reply)(committed.and_then(|()| answer.unwrap_or_else(gone)));
    }
}

/// What a journal did so far, counted since it was opened.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Stats {
    /// Requests: reads, and writes that waited or were queued.
    pub requests: u64,
    /// Transactions that wrote.
    pub commits: u64,
    /// Those of them that were forced to the disk at once.
    pub synced: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) requests: AtomicU64,
    pub(crate) commits: AtomicU64,
    pub(crate) synced: AtomicU64,
}

impl Counters {
    pub(crate) fn read(&self) -> Stats {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            requests: count(&self.requests),
            commits: count(&self.commits),
            synced: count(&self.synced),
        }
    }
}

/// What the writer thread of an SQLite journal owns.
pub(crate) struct WriterThread {
    pub(crate) database: Connection,
    /// Where it is; `None` for a journal in memory.
    pub(crate) path: Option<PathBuf>,
    /// The file that was opened there; `None` where files have no number.
    pub(crate) file: Option<FileNumber>,
    /// What was said of the tasks under way, once the file vanished.
    pub(crate) kept_tasks: Option<String>,
    /// Whether the file is closed, to be opened with the next command.
    pub(crate) is_closed: bool,
    /// An empty database in memory that takes the place of `database` while its file is closed. Made when the
    /// journal is opened, so that nothing can keep it from closing; `None` while it is in that place, and
    /// for a journal in memory, which stays open.
    pub(crate) stand_in: Option<Connection>,
    pub(crate) owner: Owner,
    pub(crate) spill: Arc<Spill>,
    pub(crate) lease: Duration,
    pub(crate) now: Arc<dyn Fn() -> Time + Send + Sync>,
    pub(crate) counters: Arc<Counters>,
    /// When the lease is to be renewed, and whether anybody else writes this file.
    pub(crate) renew_at: Time,
    pub(crate) has_other_owners: bool,
    pub(crate) synced: bool,
}

impl WriterThread {
    /// Does what the messages ask for until the journal is closed.
    pub(crate) fn work(mut self, messages: &Receiver<WriterMessage>) {
        loop {
            // An idle journal wakes too: its lease has to be renewed for processes that
            // cannot see this one.
            let first = match messages.recv_timeout(self.lease / RENEWALS_A_LEASE) {
                Ok(message) => Some(message),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            let (mut group, mut fork_pauses) = (Vec::new(), Vec::new());
            let (mut shrinking, mut emptying) = (Vec::new(), Vec::new());
            let mut copying = Vec::new();
            let mut last = false;
            // All that came in while the last commit ran goes into the next: one wait
            // for the disk serves them.
            for message in first.into_iter().chain(messages.try_iter().take(MAX_GROUP)) {
                match message {
                    WriterMessage::Command(command) => group.push(command),
                    WriterMessage::Shrink(sender) => shrinking.push(sender),
                    WriterMessage::Backup(target, sender) => copying.push((target, sender)),
                    WriterMessage::TakeSpilled(sender) => emptying.push(sender),
                    WriterMessage::CloseForFork(pause) => fork_pauses.push(pause),
                    WriterMessage::Close => last = true,
                }
            }
            // Commands first: those sent before a copy or a fork are then in the copy, or done
            // before the fork.
            let wrote = self.serve(group);
            for sender in shrinking {
                sender.send(self.shrink());
            }
            for sender in emptying {
                sender.send(self.take_spilled(file::PATIENCE));
            }
            for (target, sender) in copying {
                sender.send(self.backup(&target));
            }
            for pause in fork_pauses {
                self.close_for_fork(pause);
            }
            if last {
                break;
            }
            if wrote && self.has_other_owners {
                // Others ask for the lock now and again, and would never find it free.
                thread::sleep(PAUSE_FOR_OTHERS);
            }
        }
        self.close();
    }

    /// Joins the owners of this file.
    pub(crate) fn enter(&mut self) -> Result<(), DatabaseError> {
        self.begin(Durability::Safety)?;
        let entered = self.tx(|tx| {
            tx.delete_dead_owners()?;
            tx.enter()
        });
        self.end(entered.is_ok())?;
        entered?;
        self.renewed()
    }

    /// Puts the ids into their rows that the spill file holds; another process that has it is waited
    /// for so long.
    pub(crate) fn take_spilled(&mut self, patience: Duration) -> Result<(), JournalError> {
        self.reopen()?;
        let spill = Arc::clone(&self.spill);
        let taken = spill.take(patience, |spilled| self.store(spilled));
        taken.map_err(|error| match error {
            Fail::File(error) => {
                JournalError::Unreadable(format!("{}: {error}", spill.path().display()))
            }
            other => other.into_error(false),
        })
    }

    /// Whether each of these has its row now.
    fn store(&mut self, spilled: &[Spilled]) -> Result<Vec<bool>, Fail> {
        self.begin(Durability::Safety)?;
        let stored = self.tx(|tx| {
            spilled
                .iter()
                .map(|spilled| spilled_tasks::insert_spilled(tx, spilled))
                .collect::<Result<_, _>>()
        });
        self.end(stored.is_ok())?;
        stored
    }

    /// Closes the file until the sender of `until` is dropped.
    fn close_for_fork(&mut self, ForkPause { closed, until }: ForkPause) {
        // A journal in memory has none: it is nowhere else, and a fork cannot open it.
        if let Some(stand_in) = self.stand_in.take() {
            // SQLite closes the file when its connection is dropped.
            drop(std::mem::replace(&mut self.database, stand_in));
            self.is_closed = true;
        }
        closed.send(());
        // Nothing is ever sent: it ends when the other side is dropped.
        let _ = until.recv();
    }

    /// Opens the file again, if it was closed.
    fn reopen(&mut self) -> Result<(), JournalError> {
        if let Some(path) = self.path.clone().filter(|_| self.is_closed) {
            // One that vanished meanwhile would be made anew, and know of nothing.
            self.check_file()?;
            let opened = file::open(&path)?;
            self.stand_in = Some(std::mem::replace(&mut self.database, opened));
            // `synchronous` is a setting of the connection, so the new one has to be told again.
            (self.is_closed, self.synced) = (false, false);
        }
        Ok(())
    }

    /// Whether the database's file is still the one at its path: one that was deleted or replaced
    /// takes what is written, and no later run reads it.
    fn check_file(&mut self) -> Result<(), JournalError> {
        let Some(path) = &self.path else { return Ok(()) };
        let Err(why) = file::check(path, self.file.as_ref()) else { return Ok(()) };
        // Kept once: later writes fail with the same words, and add no second line to
        // the spill file.
        let kept = self.kept_tasks.take().unwrap_or_else(|| self.keep_tasks());
        let why = format!("{why}{kept}");
        self.kept_tasks = Some(kept);
        Err(JournalError::Unwritable(why))
    }

    /// Keeps the ids of the tasks under way beside the database, which no later run reads; says so.
    fn keep_tasks(&self) -> String {
        if self.is_closed {
            // What was deleted while it was closed can be read no more.
            return String::new();
        }
        let held = match self.tx(spilled_tasks::held_tasks) {
            Ok(held) if held.is_empty() => return String::new(),
            Ok(held) => held,
            Err(error) => {
                let error = error.into_error(true);
                return format!("; nor could the ids of the tasks under way be read ({error})");
            }
        };
        let ids: Vec<&str> = held.iter().map(|spilled| spilled.task_id.as_str()).collect();
        let (ids, path) = (ids.join(", "), self.spill.path().display());
        match held.iter().try_for_each(|spilled| self.spill.add(spilled)) {
            Ok(()) => format!("; the ids of the tasks under way ({ids}) are kept in {path}"),
            Err(error) => format!(
                "; nor could the ids of the tasks under way ({ids}) be kept in {path}: {error}"
            ),
        }
    }

    /// Writes a whole copy to a file that is not there yet.
    fn backup(&mut self, target: &Path) -> Result<(), JournalError> {
        self.reopen()?;
        self.check_file()?;
        let fails = |reason: String| JournalError::NotCopied { target: target.to_owned(), reason };
        let path = self.path.as_deref();
        if path.is_some_and(|path| file::is_part_of(path, target)) {
            let why = "it is a file of the journal itself: name a file that is not there";
            return Err(fails(why.to_owned()));
        }
        backup::write(&self.database, target).map_err(|error| fails(error.to_string()))
    }

    fn shrink(&mut self) -> Result<bool, JournalError> {
        self.reopen()?;
        compact::shrink(&self.database).map_err(|error| JournalError::Unwritable(error.to_string()))
    }

    /// Does a group in one transaction; whether it wrote.
    fn serve(&mut self, group: Vec<Box<dyn StoreCommand>>) -> bool {
        let due = (self.now)() >= self.renew_at;
        let durability = group.iter().map(|command| command.durability()).max();
        let Some(durability) = durability.max(due.then_some(Durability::Writing)) else {
            return false;
        };
        if due {
            // Task ids that the database still refuses stay in the spill file.
            let _ = self.take_spilled(Duration::ZERO);
        }
        self.counters.requests.fetch_add(group.len() as u64, Ordering::Relaxed);
        if durability > Durability::Reading
            && let Err(gone) = self.check_file()
        {
            // What it holds can still be read.
            let (reading, writing) = group
                .into_iter()
                .partition::<Vec<_>, _>(|command| command.durability() == Durability::Reading);
            for command in writing {
                command.reply(Err(gone.clone()));
            }
            return !reading.is_empty() && self.serve_group(Durability::Reading, false, reading);
        }
        self.serve_group(durability, due, group)
    }

    fn serve_group(
        &mut self,
        durability: Durability,
        due: bool,
        mut group: Vec<Box<dyn StoreCommand>>,
    ) -> bool {
        let done = self.reopen().and_then(|()| {
            self.transact(durability, due, &mut group).map_err(|error| {
                if durability == Durability::Reading {
                    JournalError::Unreadable(error.to_string())
                } else {
                    JournalError::Unwritable(error.to_string())
                }
            })
        });
        for command in group {
            command.reply(done.clone());
        }
        durability > Durability::Reading
    }

    fn transact(
        &mut self,
        durability: Durability,
        renew: bool,
        group: &mut [Box<dyn StoreCommand>],
    ) -> Result<(), DatabaseError> {
        self.begin(durability)?;
        let acted = self.tx(|tx| {
            if renew {
                tx.renew_lease()?;
            }
            group.iter_mut().try_for_each(|command| run(command.as_mut(), tx))
        });
        self.end(acted.is_ok())?;
        acted?;
        if durability > Durability::Reading {
            self.counters.commits.fetch_add(1, Ordering::Relaxed);
        }
        if durability == Durability::Safety {
            self.counters.synced.fetch_add(1, Ordering::Relaxed);
        }
        if renew { self.renewed() } else { Ok(()) }
    }

    fn begin(&mut self, durability: Durability) -> Result<(), DatabaseError> {
        let safe = durability == Durability::Safety;
        // Outside of the transaction: SQLite does not change the level within one.
        if durability > Durability::Reading && safe != self.synced {
            let level = if safe { "FULL" } else { "NORMAL" };
            self.database.pragma_update(None, "synchronous", level)?;
            self.synced = safe;
        }
        // The lock at once: a transaction that reads first and then wants to write fails, without a
        // wait, where another process wrote meanwhile.
        let begin = if durability > Durability::Reading { "BEGIN IMMEDIATE" } else { "BEGIN" };
        self.database.run(begin, values![]).map(drop)
    }

    fn end(&mut self, well: bool) -> Result<(), DatabaseError> {
        let mut ended = Ok(());
        if well {
            ended = self.database.run("COMMIT", values![]).map(drop);
        }
        // Some failures end the transaction by themselves.
        if !self.database.is_autocommit() {
            self.database.execute_batch("ROLLBACK")?;
        }
        ended
    }

    fn tx<T>(&self, run: impl FnOnce(&Transaction<'_>) -> T) -> T {
        run(&Transaction::new(&self.database, (self.now)(), &self.owner, self.lease))
    }

    fn renewed(&mut self) -> Result<(), DatabaseError> {
        self.renew_at = (self.now)() + self.lease / RENEWALS_A_LEASE;
        let others = "SELECT count(*) FROM owners WHERE id <> ?1 AND lease > ?2";
        let values = values![self.owner.id, (self.now)().as_millis()];
        let others: u32 = self.database.get(others, values)?.get(0)?;
        self.has_other_owners = others > 0;
        Ok(())
    }

    /// Lets go of everything and leaves the owners of this file. If that fails, others find the
    /// process gone all the same.
    fn close(mut self) {
        if self.reopen().is_err() {
            return;
        }
        let left = self.begin(Durability::Writing).and_then(|()| {
            let left = self.tx(|tx| {
                tx.release_all_holds()?;
                tx.leave()?;
                tx.is_alone()
            });
            // Before the commit gives up the lock: until then no other process can join
            // and count on the file.
            if let Ok(true) = left {
                // It is not there where nothing was submitted; what cannot be taken away stays.
                let _ = self.spill.remove_if_empty();
            }
            self.end(left.is_ok())
        });
        drop(left);
    }
}

/// Runs one command within the transaction; what it wrote is undone if it fails.
fn run(command: &mut dyn StoreCommand, tx: &Transaction<'_>) -> Result<(), DatabaseError> {
    if command.durability() == Durability::Reading {
        // It has its error itself.
        let _ = command.run(tx);
        return Ok(());
    }
    let run = |sql| tx.run(sql, values![]).map(drop);
    // A failed command is undone alone: the others of its group are not its callers' concern.
    run("SAVEPOINT command")?;
    if command.run(tx).is_err() {
        run("ROLLBACK TO command")?;
    }
    run("RELEASE command")
}

/// Commands of one transaction.
const MAX_GROUP: usize = 1_000;
// One renewal that comes late ends no lease.
pub(crate) const RENEWALS_A_LEASE: u32 = 3;
/// How long the lock is left to others between two transactions, where there are others.
const PAUSE_FOR_OTHERS: Duration = Duration::from_millis(1);
