//! [`ForkHandle`]: closes a journal's file or connection for a while ([`ClosedForFork`]), so that its
//! process can be forked. `SqliteJournal` and `PostgresStore` give one out; the Python package
//! (`python/rust/journal.rs`) closes each of its journals with it before a fork.
//!
//! What SQLite knows of a file is shared by the whole process: which locks are held, which of its
//! own mutexes are taken. A fork has the memory of it, and neither the locks nor the threads: it
//! would wait for a mutex for ever, or write without a lock. So nothing of a file that a fork may
//! open is open while the process is forked.

use std::fmt;
use std::sync::Weak;
use std::sync::mpsc::{Sender, channel};

use crate::oneshot::oneshot;
use crate::writer_thread::{ForkPause, WriterMessage};

/// Closes a journal before the program forks the process. It does not keep the journal open.
#[derive(Clone)]
pub struct ForkHandle {
    messages: Sender<WriterMessage>,
    writer: Weak<()>,
}

/// Proof that a journal's file is closed; dropping it lets the journal open the file again. Requests made
/// meanwhile wait.
#[derive(Debug)]
#[must_use = "the journal opens its file again when this is dropped"]
pub struct ClosedForFork {
    _until: Sender<()>,
}

impl ForkHandle {
    pub(crate) fn new(messages: Sender<WriterMessage>, writer: Weak<()>) -> Self {
        Self { messages, writer }
    }

    /// Whether the journal is closed for good.
    pub fn is_gone(&self) -> bool {
        self.writer.strong_count() == 0
    }

    /// Waits until the requests made before are done and the file is closed. `None` if the journal is
    /// closed for good.
    pub fn close_for_fork(&self) -> Option<ClosedForFork> {
        // Nothing is sent through `until`: the thread waits until `ClosedForFork` drops it.
        let ((receiver, closed), (until, until_receiver)) = (oneshot(), channel());
        self.messages
            .send(WriterMessage::CloseForFork(ForkPause { closed, until: until_receiver }))
            .ok()?;
        receiver.wait().map(|()| ClosedForFork { _until: until })
    }
}

impl fmt::Debug for ForkHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForkHandle").field("is_gone", &self.is_gone()).finish_non_exhaustive()
    }
}
