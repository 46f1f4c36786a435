//! [`Changes`]: a broadcast of what has changed in an emulator ([`StateChange`]: a request, a task,
//! anything else, a reset), without the new values. The middleware, `lifecycle.rs`, `settle.rs`, `state.rs`
//! and `control/faults.rs` report changes; `control/events.rs` subscribes and reads the new values, for the
//! event stream of the emulator's page.

use tokio::sync::broadcast;

/// Reports changes to its watchers. Without a watcher a report costs next to nothing.
#[derive(Debug)]
pub(crate) struct Changes {
    sender: broadcast::Sender<StateChange>,
}

/// Something that has changed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum StateChange {
    /// A request came or was answered: its number.
    Request(u64),
    /// A task was accepted or its state changed: its id.
    Task(Box<str>),
    /// The clock, the plan, the scripts or the balance.
    Other,
    /// All was forgotten.
    Reset,
}

impl Changes {
    pub(crate) fn new() -> Self {
        // A broadcast drops the oldest for a slow watcher, so that reporting a change never waits.
        Self { sender: broadcast::Sender::new(MAX_UNSEEN) }
    }

    pub(crate) fn request(&self, number: u64) {
        self.notify(|| StateChange::Request(number));
    }

    pub(crate) fn task(&self, id: &str) {
        self.notify(|| StateChange::Task(id.into()));
    }

    pub(crate) fn other(&self) {
        self.notify(|| StateChange::Other);
    }

    pub(crate) fn reset(&self) {
        self.notify(|| StateChange::Reset);
    }

    pub(crate) fn watch(&self) -> broadcast::Receiver<StateChange> {
        self.sender.subscribe()
    }

    fn notify(&self, change: impl FnOnce() -> StateChange) {
        if self.sender.receiver_count() > 0 {
            // It fails if the last watcher has gone meanwhile.
            let _ = self.sender.send(change());
        }
    }
}

/// Changes that a slow watcher may be behind; beyond it, the watcher reads everything anew.
const MAX_UNSEEN: usize = 4_096;
