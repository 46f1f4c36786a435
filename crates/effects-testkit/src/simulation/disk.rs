//! [`Disk`]: a simulated disk: what was written and not synced is lost in a crash. `SimulatedWorld` saves
//! the pictures of its processes to it, and checks that every picture recorded in the journal is on it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Files by their paths; of each picture, the task that it is of.
#[derive(Debug, Default)]
pub(super) struct Disk {
    durable: HashMap<PathBuf, String>,
    /// Written by a process, and not synced.
    unsynced: HashMap<PathBuf, String>,
}

impl Disk {
    pub(super) fn write(&mut self, path: &Path, task: &str) {
        self.unsynced.insert(path.to_owned(), task.to_owned());
    }

    pub(super) fn sync(&mut self, path: &Path) {
        if let Some(task) = self.unsynced.remove(path) {
            self.durable.insert(path.to_owned(), task);
        }
    }

    pub(super) fn crash(&mut self) {
        self.unsynced.clear();
    }

    /// The task whose picture is in a file, for good.
    pub(super) fn task_in(&self, path: &Path) -> Option<&str> {
        self.durable.get(path).map(String::as_str)
    }

    pub(super) fn pictures(&self) -> u64 {
        self.durable.len() as u64
    }
}
