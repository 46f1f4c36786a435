//! [`ClientCore`]: the parts of a [`Client`](crate::Client): its policy, its journal, and in [`Shared`] the
//! gateway, clock, settings and upload memory, which it shares with all clients made from it by
//! `with_policy` or `with_journal`. `Runs` holds one, and each `Driver` a copy; `Client`, `TaskHandle`,
//! `Watch`, `jobs.rs` and `transfer.rs` work with it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use effects_client::{Settings, Transport, telemetry};
use effects_core::driver::AsyncClock;
use effects_core::gateway::{DynAsyncExchange, Gateway};
use effects_core::journal::{AsyncJournal, NoJournal};
use effects_core::pace::Pacer;
use effects_core::{BaseUrl, Error, Policy, TaskId, Time};

use crate::clock::TokioClock;
use crate::http_stack::HttpStack;
use crate::uploads::UploadMemory;

/// The parts of a client. Cloning it is cheap.
#[derive(Clone)]
pub(crate) struct ClientCore {
    shared: Arc<Shared>,
    policy: Arc<Policy>,
    journal: Arc<dyn AsyncJournal>,
    /// Whether a journal keeps the ids of tasks.
    is_journaled: bool,
}

/// What all clients that were made of one share.
pub(crate) struct Shared {
    pub(crate) gateway: Gateway<HttpStack>,
    pub(crate) clock: TokioClock,
    pub(crate) settings: Settings,
    pub(crate) uploads: UploadMemory,
}

impl ClientCore {
    /// The parts that these settings make.
    ///
    /// # Errors
    ///
    /// What the HTTP stack has against them.
    pub(crate) fn new(
        settings: Settings,
        transport: Transport<DynAsyncExchange>,
    ) -> Result<Self, Error> {
        let policy = Arc::new(settings.policy.clone());
        let stack = HttpStack::new(&settings, transport)?;
        let shared = Shared {
            gateway: Gateway::new(settings.endpoint.clone(), stack),
            clock: TokioClock::default(),
            uploads: UploadMemory::default(),
            settings,
        };
        let journal = Arc::new(NoJournal);
        Ok(Self { shared: Arc::new(shared), policy, journal, is_journaled: false })
    }

    /// The same under another policy.
    pub(crate) fn with_policy(&self, policy: Arc<Policy>) -> Self {
        Self { policy: self.shared.settings.policy_here(policy), ..self.clone() }
    }

    /// The same for one call that begins now, whose parts share one deadline.
    pub(crate) fn anchored(&self) -> Self {
        match self.policy.deadline {
            None => self.clone(),
            Some(_) => Self { policy: Arc::new(self.policy.anchored(self.now())), ..self.clone() },
        }
    }

    /// How long it is to the deadline of a call that was [anchored](Self::anchored).
    pub(crate) fn time_left(&self) -> Duration {
        let now = self.now();
        self.policy.ends_by(now).since(now)
    }

    /// The same with another journal.
    pub(crate) fn with_journal(&self, journal: Arc<dyn AsyncJournal>) -> Self {
        Self { journal, is_journaled: true, ..self.clone() }
    }

    /// The same for those who must not hold the journal, which its program may open again once a run is over.
    pub(crate) fn without_journal(&self) -> Self {
        Self { journal: Arc::new(NoJournal), ..self.clone() }
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    pub(crate) fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    pub(crate) fn journal(&self) -> Arc<dyn AsyncJournal> {
        Arc::clone(&self.journal)
    }

    /// Tells of a task that goes on with no caller that waits for it: its id must not be lost, where it is
    /// not known to the caller and no journal has it. A replay has no such task.
    pub(crate) fn tell_of_left(&self, task: &TaskId, is_known: bool) {
        if self.shared.settings.is_replay {
            return;
        }
        let line = self.shared.gateway.resume_line(task);
        let text = format!("stopped watching task {task}; the task goes on; resume with: {line}");
        if is_known || self.is_journaled {
            tracing::info!("{text}");
        } else {
            telemetry::warn(&text);
        }
    }

    pub(crate) fn base_url(&self) -> &BaseUrl {
        self.shared.settings.endpoint.base()
    }

    pub(crate) fn pacer(&self) -> &Pacer {
        &self.shared.settings.pacer
    }

    pub(crate) fn now(&self) -> Time {
        self.shared.clock.now()
    }

    /// The error, with its task and the line that resumes it.
    pub(crate) fn resumable(&self, error: Error, task: &TaskId) -> Error {
        self.with_resume_line(error.about(task))
    }

    pub(crate) fn with_resume_line(&self, error: Error) -> Error {
        // A replay's task is nowhere.
        if self.shared.settings.is_replay {
            return error.replayed();
        }
        error.with_resume_line(|task| self.shared.gateway.resume_line(task))
    }
}

/// Without the key.
impl fmt::Debug for ClientCore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCore")
            .field("base_url", &self.base_url().to_string())
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}
