//! [`Writer`]: the thread that reads and writes the database of a `PostgresStore`; `PostgresBuilder` starts
//! it, and `WriterHandle` sends it requests. It does those that have come in together in one transaction
//! and answers each. Where the connection is lost, it reconnects for a limited time and does the
//! transaction anew, unless it finds it committed. In between it renews the lease by which other processes
//! know that this one is alive, and stores the task ids of the spill file.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use effects_core::Time;
use effects_core::journal::JournalError;

use crate::database::DatabaseError;
use crate::journal::wall;
use crate::postgres::connection::{PreparedConnection, TransactionStart};
use crate::postgres::settings::DatabaseSettings;
use crate::spill::{Spill, Spilled};
use crate::spilled_tasks;
use crate::transaction::{Fail, Owner, Transaction};
use crate::writer_thread::{
    Counters, Durability, ForkPause, RENEWALS_A_LEASE, StoreCommand, WriterMessage,
};

/// What the writer thread of a Postgres journal owns.
pub(crate) struct Writer {
    pub(crate) settings: DatabaseSettings,
    /// `None` while it is lost, or given up for a fork.
    pub(crate) connection: Option<PreparedConnection>,
    /// The journal's id: that of another database at the same address is another.
    pub(crate) id: String,
    pub(crate) owner: Owner,
    pub(crate) lease: Duration,
    /// For how long a lost database is waited for.
    pub(crate) patience: Duration,
    pub(crate) spill: Arc<Spill>,
    pub(crate) counters: Arc<Counters>,
    /// The number of the last transaction that wrote.
    pub(crate) commits: i64,
    /// When the lease was last renewed, and when the connection was last made anew.
    pub(crate) renewed: Instant,
    pub(crate) reconnected: Option<Instant>,
}

impl Writer {
    /// Does what the messages ask for until the journal is closed.
    pub(crate) fn work(mut self, messages: &Receiver<WriterMessage>) {
        let beat = self.lease / RENEWALS_A_LEASE;
        loop {
            // Every transaction that writes renews the lease, so the next renewal is due a beat
            // after the last of them.
            let first = match messages.recv_timeout(beat.saturating_sub(self.renewed.elapsed())) {
                Ok(message) => Some(message),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            let (mut group, mut fork_pauses, mut emptying) = (Vec::new(), Vec::new(), Vec::new());
            let mut last = false;
            // The lock is for all: what is done while it is held is kept short.
            for message in first.into_iter().chain(messages.try_iter().take(MAX_GROUP)) {
                match message {
                    WriterMessage::Command(command) => group.push(command),
                    WriterMessage::TakeSpilled(sender) => emptying.push(sender),
                    WriterMessage::CloseForFork(pause) => fork_pauses.push(pause),
                    // A file's alone: asked of no database.
                    WriterMessage::Shrink(_) | WriterMessage::Backup(..) => {}
                    WriterMessage::Close => last = true,
                }
            }
            let due = self.renewed.elapsed() >= beat;
            self.serve(group, due);
            if due {
                // What the database still does not take stays where it is safe.
                let _ = self.take_spilled();
            }
            for sender in emptying {
                sender.send(self.take_spilled());
            }
            for ForkPause { closed, until } in fork_pauses {
                self.connection = None;
                closed.send(());
                // It ends when the other side is dropped.
                let _ = until.recv();
            }
            if last {
                break;
            }
        }
        self.close();
    }

    /// Joins the owners of this journal.
    pub(crate) fn enter(&mut self) -> Result<(), JournalError> {
        // `attempt` enters the owner itself where the database does not know it.
        self.transact(Durability::Safety, &mut |tx, _| tx.delete_dead_owners()).map_err(unwritable)
    }

    /// Puts the ids into their rows that the spill file holds.
    pub(crate) fn take_spilled(&mut self) -> Result<(), JournalError> {
        let spill = Arc::clone(&self.spill);
        let taken = spill.take(Duration::ZERO, |spilled| self.store(spilled));
        taken.map_err(|error| error.into_error(false))
    }

    /// Whether each of these has its row now.
    fn store(&mut self, spilled: &[Spilled]) -> Result<Vec<bool>, Fail> {
        let mut stored = Ok(Vec::new());
        self.transact(Durability::Safety, &mut |tx, _| {
            stored =
                spilled.iter().map(|spilled| spilled_tasks::insert_spilled(tx, spilled)).collect();
            match &stored {
                Err(Fail::Database(error)) => Err(error.clone()),
                _ => Ok(()),
            }
        })?;
        stored
    }

    /// Does a group in one transaction, and answers.
    fn serve(&mut self, mut group: Vec<Box<dyn StoreCommand>>, due: bool) {
        let durability = group.iter().map(|command| command.durability()).max();
        let Some(durability) = durability.max(due.then_some(Durability::Writing)) else { return };
        self.counters.requests.fetch_add(group.len() as u64, Ordering::Relaxed);
        // Each is undone by itself where it does not go well. That is rare, and a savepoint for each would
        // be two more statements under the lock: the others are done anew without it.
        let mut failed = HashSet::new();
        // Most of what is written is answered with a later request, or the commit; where any of it fails,
        // the transaction is done anew, and each request waits for its own.
        let mut waits = false;
        let done = loop {
            let mut failing = None;
            let done = self.transact(durability, &mut |tx, again| {
                tx.waits.set(waits);
                for (index, command) in group.iter_mut().enumerate() {
                    let is_over = failed.contains(&index) || again && !command.is_repeatable();
                    let ended = if is_over { Ok(()) } else { command.run(tx) };
                    match ended {
                        Err(error) if error.passes => return Err(error),
                        Err(_) if durability > Durability::Reading => {
                            failing = waits.then_some(index);
                            return Err(DatabaseError::new("one of its requests failed"));
                        }
                        _ => {}
                    }
                }
                Ok(())
            });
            match &done {
                Err(error) if durability > Durability::Reading && !error.passes => match failing {
                    Some(index) => drop(failed.insert(index)),
                    None if !waits => waits = true,
                    None => break done,
                },
                _ => break done,
            }
        };
        let done = done.map_err(|error| {
            let reason = error.reason;
            if durability == Durability::Reading {
                JournalError::Unreadable(reason)
            } else {
                JournalError::Unwritable(reason)
            }
        });
        for command in group {
            command.reply(done.clone());
        }
    }

    /// Does something in one transaction. Where the connection is lost, it is done anew over another
    /// one, unless that finds it committed: an owner's transactions are numbered, and the number is
    /// written with them.
    ///
    /// Where it was committed some time before that is known, the lease may have ended since, and others
    /// may have decided on its rows. What can be repeated is done again then, with a lease that is new: a
    /// submission is confirmed only to who still has its row. `work` is told so.
    fn transact(
        &mut self,
        durability: Durability,
        work: &mut dyn FnMut(&Transaction<'_>, bool) -> Result<(), DatabaseError>,
    ) -> Result<(), DatabaseError> {
        if durability > Durability::Reading {
            self.commits += 1;
        }
        let until = Instant::now() + self.patience;
        loop {
            let (asked, at) = (Instant::now(), wall());
            let error = match self.attempt(durability, work) {
                // The clock counts while a machine is suspended.
                Ok(()) if self.is_fresh(asked.elapsed().max(wall().since(at))) => break,
                // Its answer was long on the way.
                Ok(()) if durability > Durability::Reading => continue,
                Ok(()) => break,
                Err(error) => error,
            };
            // Where what failed cannot be undone, it was the connection that failed.
            let undone = self.connection.as_ref().map_or(Ok(()), PreparedConnection::roll_back);
            if !error.passes && undone.is_ok() {
                return Err(error);
            }
            self.connection = None;
            if Instant::now() >= until {
                return Err(DatabaseError {
                    reason: format!(
                        "{}: {} (waited {} s for it)",
                        self.settings.shown,
                        error.reason,
                        self.patience.as_secs()
                    ),
                    passes: true,
                });
            }
            thread::sleep(RETRY_PAUSE);
        }
        if durability > Durability::Reading {
            self.renewed = Instant::now();
            self.counters.commits.fetch_add(1, Ordering::Relaxed);
            self.counters.synced.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    fn attempt(
        &mut self,
        durability: Durability,
        work: &mut dyn FnMut(&Transaction<'_>, bool) -> Result<(), DatabaseError>,
    ) -> Result<(), DatabaseError> {
        self.connect()?;
        let Some(connection) = &self.connection else {
            return Err(DatabaseError::new("it is not connected"));
        };
        let begun = connection.begin(durability, self.owner.id)?;
        let committed = begun.committed.filter(|(number, _)| *number == self.commits);
        let committed = committed.filter(|_| durability > Durability::Reading);
        if committed.is_some_and(|(_, lease)| self.is_fresh((begun.now + self.lease).since(lease)))
        {
            // Its answer was lost, and it was not.
            return connection.roll_back();
        }
        let again = committed.is_some();
        let tx = self.tx(connection, &begun);
        if durability == Durability::Reading {
            work(&tx, false)?;
            return connection.commit("SELECT 1");
        }
        if begun.committed.is_none() {
            tx.enter()?;
        }
        work(&tx, again)?;
        let (id, number) = (self.owner.id, self.commits);
        let lease = (begun.now + self.lease).as_millis();
        connection.commit(&format!(
            "UPDATE owners SET lease = {lease}, commits = {number} WHERE id = {id}"
        ))
    }

    /// Whether a lease that was renewed so long ago leaves the time that a submission may take to leave.
    fn is_fresh(&self, age: Duration) -> bool {
        age < self.lease / RENEWALS_A_LEASE
    }

    /// Connects if it is not connected.
    fn connect(&mut self) -> Result<(), DatabaseError> {
        if self.connection.is_some() {
            return Ok(());
        }
        // Whatever is wrong with a server that was there before may pass.
        let opened = PreparedConnection::open(&self.settings, false)
            .map_err(|why| DatabaseError { reason: why.error.to_string(), passes: true })?;
        let Some((connection, _)) = opened.filter(|(_, id)| *id == self.id) else {
            return Err(DatabaseError::new(
                "the database that answers now has another journal than the one that was opened",
            ));
        };
        self.connection = Some(connection);
        self.reconnected = Some(Instant::now());
        Ok(())
    }

    fn tx<'a>(
        &'a self,
        connection: &'a PreparedConnection,
        begun: &TransactionStart,
    ) -> Transaction<'a> {
        let mut tx = Transaction::new(connection, begun.now, &self.owner, self.lease);
        // While the server was away no one could renew a lease, nor while only this process could not
        // reach it: others get one more lease to come back.
        let reconnected = self.reconnected.and_then(|at| self.lease.checked_sub(at.elapsed()));
        let mine = reconnected.map_or(Time::default(), |left| begun.now + left);
        tx.believed_until = mine.max(begun.server_started + self.lease);
        tx.local = wall();
        tx.remembered = REMEMBERED;
        tx
    }

    /// Lets go of everything and leaves the owners. Where that fails, the lease ends by itself.
    fn close(mut self) {
        // The program is ending: a server that is away is not waited for.
        self.patience = Duration::ZERO;
        let _ = self.take_spilled();
        let left = self.transact(Durability::Safety, &mut |tx, _| {
            tx.release_all_holds()?;
            tx.leave()
        });
        if left.is_ok() {
            // It is not there where nothing was spilled; what cannot be taken away stays.
            let _ = self.spill.remove_if_empty();
        }
    }
}

fn unwritable(error: DatabaseError) -> JournalError {
    JournalError::Unwritable(error.reason)
}

/// Requests of one transaction.
const MAX_GROUP: usize = 64;
/// Between two attempts to reach a lost database.
const RETRY_PAUSE: Duration = Duration::from_millis(100);
/// How long an owner without a lease that holds nothing is remembered, with its scopes.
const REMEMBERED: Duration = Duration::from_secs(24 * 3600);
