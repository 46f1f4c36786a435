//! [`WriterHandle`]: the sending side of a journal's writer thread: it hands in an [`StoreCommand`] and waits for
//! the answer. `Store` and the rows (`RowLease`) of a journal share it; dropping the last one closes the
//! journal.

use std::path::Path;
use std::process;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;

use effects_core::journal::JournalError;

use crate::fork::Door;
use crate::oneshot::promise;
use crate::spill::Spill;
use crate::transaction::{Fail, Transaction};
use crate::writer_thread::{Needs, StoreCommand, WriterMessage, errand, errand_telling};

/// Where errands are handed in. The last of its holders closes the journal.
#[derive(Debug)]
pub(crate) struct WriterHandle {
    errands: Mutex<Option<Sender<WriterMessage>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// The first error since the last flush of a request whose caller did not wait for the answer.
    lost: Arc<Mutex<Option<JournalError>>>,
    /// There as long as the thread is.
    writer: Weak<()>,
    /// Where ids go that the database does not take, and the owner they are of.
    pub(crate) spill: Arc<Spill>,
    pub(crate) owner: i64,
    /// The process the thread is in: a fork has the memory, and not the thread.
    process: u32,
}

impl WriterHandle {
    pub(crate) fn new(
        errands: Sender<WriterMessage>,
        thread: JoinHandle<()>,
        writer: Weak<()>,
        spill: Arc<Spill>,
        owner: i64,
    ) -> Self {
        Self {
            errands: Mutex::new(Some(errands)),
            thread: Mutex::new(Some(thread)),
            lost: Arc::default(),
            writer,
            spill,
            owner,
            process: process::id(),
        }
    }

    /// The door of the journal.
    pub(crate) fn door(&self) -> Door {
        let orders = lock(&self.errands).clone();
        Door::new(orders.unwrap_or_else(|| channel().0), self.writer.clone())
    }

    /// Hands in an errand and waits for its answer.
    pub(crate) fn ask<T, F>(&self, needs: Needs, act: F) -> Result<T, JournalError>
    where
        T: Send + 'static,
        F: FnMut(&Transaction<'_>) -> Result<T, Fail> + Send + 'static,
    {
        let (errand, promise) = errand(needs, act);
        self.give(errand)?;
        promise.wait().unwrap_or_else(|| Err(self.gone()))
    }

    /// Hands in a request without waiting for its answer.
    pub(crate) fn queue<F>(&self, needs: Needs, act: F) -> Result<(), JournalError>
    where
        F: FnMut(&Transaction<'_>) -> Result<(), Fail> + Send + 'static,
    {
        let lost = Arc::clone(&self.lost);
        self.give(errand_telling(needs, act, move |answer: Result<(), JournalError>| {
            if let Err(error) = answer {
                lock(&lost).get_or_insert(error);
            }
        }))
    }

    /// The first error of requests whose callers did not wait, returned once.
    pub(crate) fn lost(&self) -> Result<(), JournalError> {
        lock(&self.lost).take().map_or(Ok(()), Err)
    }

    /// Gives room back to the file system if that is worth while; whether it was.
    pub(crate) fn shrink(&self) -> Result<bool, JournalError> {
        let (promise, keep) = promise();
        self.order(WriterMessage::Shrink(keep))?;
        promise.wait().unwrap_or_else(|| Err(self.gone()))
    }

    /// Writes a whole copy to a file that is not there yet.
    pub(crate) fn backup(&self, target: &Path) -> Result<(), JournalError> {
        let (promise, keep) = promise();
        self.order(WriterMessage::Backup(target.to_owned(), keep))?;
        promise.wait().unwrap_or_else(|| Err(self.gone()))
    }

    /// Puts the ids into their rows that the spill file holds.
    pub(crate) fn take_spilled(&self) -> Result<(), JournalError> {
        let (promise, keep) = promise();
        self.order(WriterMessage::TakeSpilled(keep))?;
        promise.wait().unwrap_or_else(|| Err(self.gone()))
    }

    pub(crate) fn give(&self, errand: Box<dyn StoreCommand>) -> Result<(), JournalError> {
        self.order(WriterMessage::Errand(errand))
    }

    fn order(&self, order: WriterMessage) -> Result<(), JournalError> {
        if process::id() != self.process {
            let reason = "it was opened before this process was forked: open it anew";
            return Err(JournalError::Unwritable(reason.to_owned()));
        }
        let given = lock(&self.errands).as_ref().is_some_and(|sender| sender.send(order).is_ok());
        if given { Ok(()) } else { Err(self.gone()) }
    }

    /// The thread ends before its counter only by a panic, which was printed when it happened.
    #[allow(clippy::unused_self, reason = "the counter is whose thread is gone")]
    pub(crate) fn gone(&self) -> JournalError {
        JournalError::Unwritable("its thread is gone".to_owned())
    }
}

/// Everything handed in is done before the journal is closed.
impl Drop for WriterHandle {
    fn drop(&mut self) {
        // A fork's thread is elsewhere.
        if process::id() != self.process {
            return;
        }
        if let Some(errands) = lock(&self.errands).take() {
            // Doors hand in orders too, so that the thread is told of the last one. It is gone before
            // that only by a panic.
            let _ = errands.send(WriterMessage::Close);
        }
        if let Some(thread) = lock(&self.thread).take() {
            // A panic there was printed when it happened.
            let _ = thread.join();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
