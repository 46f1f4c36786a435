//! [`Runs`]: a client's [`ClientCore`], and the [`SharedRuns`] that drives its runs, started with the
//! first run in a tokio runtime. `Client` and its `TaskHandle`s and `Watch`es hold it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use effects_core::journal::AsyncJournal;

use crate::client_core::ClientCore;
use crate::shared_runs::SharedRuns;

/// A client's core and the driver of its runs.
#[derive(Debug)]
pub(crate) struct Runs {
    core: ClientCore,
    /// Made with the first run. Clients that differ in their journals alone share it.
    driven: Arc<Mutex<Option<Arc<SharedRuns>>>>,
}

impl Runs {
    /// No runs yet.
    pub(crate) fn of(core: ClientCore) -> Arc<Self> {
        Arc::new(Self { core, driven: Arc::default() })
    }

    /// The same runs, whose entries go to another journal from now on.
    pub(crate) fn with_journal(&self, journal: Arc<dyn AsyncJournal>) -> Arc<Self> {
        let core = self.core.with_journal(journal);
        Arc::new(Self { core, driven: Arc::clone(&self.driven) })
    }

    pub(crate) fn core(&self) -> &ClientCore {
        &self.core
    }

    /// The runs that the next one joins, in the runtime that is entered. Another runtime has others, since
    /// each drives its own.
    pub(crate) fn here(&self) -> Arc<SharedRuns> {
        // Locked over the start, so that two first runs start one driver.
        let mut driven = self.driven();
        match &*driven {
            Some(runs) if runs.is_here() => Arc::clone(runs),
            _ => {
                // Each run brings its journal; a driver that kept this one would keep some run's own.
                let core = self.core.without_journal();
                Arc::clone(driven.insert(Arc::new(SharedRuns::start(&core))))
            }
        }
    }

    /// The runs begun last, if there are any.
    pub(crate) fn begun(&self) -> Option<Arc<SharedRuns>> {
        self.driven().clone()
    }

    fn driven(&self) -> MutexGuard<'_, Option<Arc<SharedRuns>>> {
        self.driven.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
