//! [`WriterHandle`]: the sending side of a journal's writer thread. [`WriterHandle::ask`] sends a
//! [`StoreCommand`] and waits for its answer, [`WriterHandle::queue`] does not wait; `backup` and `shrink`
//! ask the thread for a copy or for a smaller file. `Store`, each `RowLease`, and the methods of the open
//! journal (`journal.rs`, `copy.rs`, `prune.rs`) send through it; dropping the last one closes the journal.

use std::path::Path;
use std::process;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;

use effects_core::journal::JournalError;

use crate::fork::ForkHandle;
use crate::oneshot::oneshot;
use crate::spill::Spill;
use crate::transaction::{Fail, Transaction};
use crate::writer_thread::{
    Durability, StoreCommand, WriterMessage, command, command_with_callback,
};

/// Hands commands to the writer thread. Dropping the last one closes the journal.
#[derive(Debug)]
pub(crate) struct WriterHandle {
    messages: Mutex<Option<Sender<WriterMessage>>>,
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
        messages: Sender<WriterMessage>,
        thread: JoinHandle<()>,
        writer: Weak<()>,
        spill: Arc<Spill>,
        owner: i64,
    ) -> Self {
        Self {
            messages: Mutex::new(Some(messages)),
            thread: Mutex::new(Some(thread)),
            lost: Arc::default(),
            writer,
            spill,
            owner,
            process: process::id(),
        }
    }

    /// Closes the journal for a fork, without keeping it open.
    pub(crate) fn fork_handle(&self) -> ForkHandle {
        // Gone only while the handle is dropped: a sender without a receiver then stands for a
        // closed journal.
        let messages = lock(&self.messages).clone();
        ForkHandle::new(messages.unwrap_or_else(|| channel().0), self.writer.clone())
    }

    /// Hands in a command and waits for its answer.
    pub(crate) fn ask<T, F>(&self, durability: Durability, run: F) -> Result<T, JournalError>
    where
        T: Send + 'static,
        F: FnMut(&Transaction<'_>) -> Result<T, Fail> + Send + 'static,
    {
        let (command, receiver) = command(durability, run);
        self.send_command(command)?;
        receiver.wait().unwrap_or_else(|| Err(self.gone()))
    }

    /// Hands in a request without waiting for its answer.
    pub(crate) fn queue<F>(&self, durability: Durability, run: F) -> Result<(), JournalError>
    where
        F: FnMut(&Transaction<'_>) -> Result<(), Fail> + Send + 'static,
    {
        let lost = Arc::clone(&self.lost);
        self.send_command(command_with_callback(
            durability,
            run,
            move |answer: Result<(), JournalError>| {
                if let Err(error) = answer {
                    lock(&lost).get_or_insert(error);
                }
            },
        ))
    }

    /// The first error of requests whose callers did not wait, returned once.
    pub(crate) fn lost(&self) -> Result<(), JournalError> {
        lock(&self.lost).take().map_or(Ok(()), Err)
    }

    /// Gives room back to the file system if that is worth while; whether it was.
    pub(crate) fn shrink(&self) -> Result<bool, JournalError> {
        let (receiver, sender) = oneshot();
        self.send(WriterMessage::Shrink(sender))?;
        receiver.wait().unwrap_or_else(|| Err(self.gone()))
    }

    /// Writes a whole copy to a file that is not there yet.
    pub(crate) fn backup(&self, target: &Path) -> Result<(), JournalError> {
        let (receiver, sender) = oneshot();
        self.send(WriterMessage::Backup(target.to_owned(), sender))?;
        receiver.wait().unwrap_or_else(|| Err(self.gone()))
    }

    /// Puts the ids into their rows that the spill file holds.
    pub(crate) fn take_spilled(&self) -> Result<(), JournalError> {
        let (receiver, sender) = oneshot();
        self.send(WriterMessage::TakeSpilled(sender))?;
        receiver.wait().unwrap_or_else(|| Err(self.gone()))
    }

    pub(crate) fn send_command(&self, command: Box<dyn StoreCommand>) -> Result<(), JournalError> {
        self.send(WriterMessage::Command(command))
    }

    fn send(&self, message: WriterMessage) -> Result<(), JournalError> {
        if process::id() != self.process {
            let reason = "it was opened before this process was forked: open it anew";
            return Err(JournalError::Unwritable(reason.to_owned()));
        }
        let is_sent =
            lock(&self.messages).as_ref().is_some_and(|sender| sender.send(message).is_ok());
        if is_sent { Ok(()) } else { Err(self.gone()) }
    }

    /// The thread ends before its handle only by a panic, which was printed when it happened.
    #[allow(clippy::unused_self, reason = "it is this handle whose thread is gone")]
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
        if let Some(messages) = lock(&self.messages).take() {
            // Fork handles send messages too, so that the thread is told of the last one. It is gone before
            // that only by a panic.
            let _ = messages.send(WriterMessage::Close);
        }
        if let Some(thread) = lock(&self.thread).take() {
            // A panic there was printed when it happened.
            let _ = thread.join();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Each mutex holds an option that is set or taken in one step: a panic leaves
    // nothing half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
