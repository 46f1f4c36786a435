//! [`Door`]: closes a journal's file for a while, so that its process can be forked ([`Shut`]). The
//! Python package shuts the doors of its journals before a fork.
//!
//! What SQLite knows of a file is shared by the whole process: which locks are held, which of its
//! own mutexes are taken. A fork has the memory of it, and neither the locks nor the threads: it
//! would wait for a mutex for ever, or write without a lock. So nothing of a file that a fork may
//! open is open while the process is forked.

use std::fmt;
use std::sync::Weak;
use std::sync::mpsc::{Sender, channel};

use crate::oneshot::promise;
use crate::writer_thread::{Away, WriterMessage};

/// The door of a journal, which a program shuts before it forks the process. It does not keep the journal open.
#[derive(Clone)]
pub struct Door {
    orders: Sender<WriterMessage>,
    writer: Weak<()>,
}

/// A journal whose file is closed, until this is dropped. What it is asked meanwhile waits.
#[derive(Debug)]
#[must_use = "the journal opens its file again when this is dropped"]
pub struct Shut {
    _until: Sender<()>,
}

impl Door {
    pub(crate) fn new(orders: Sender<WriterMessage>, writer: Weak<()>) -> Self {
        Self { orders, writer }
    }

    /// Whether the journal is closed for good.
    pub fn is_gone(&self) -> bool {
        self.writer.strong_count() == 0
    }

    /// Has what was asked before finished and the file closed, and waits for it. `None` where the
    /// journal is closed for good.
    pub fn shut(&self) -> Option<Shut> {
        let ((promise, closed), (until, told)) = (promise(), channel());
        self.orders.send(WriterMessage::Away(Away { closed, until: told })).ok()?;
        promise.wait().map(|()| Shut { _until: until })
    }
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door").field("is_gone", &self.is_gone()).finish_non_exhaustive()
    }
}
