//! [`Launch`]: one run before it starts: a new submission ([`SingleSubmission`]) or a task to follow
//! ([`FollowedTask`]). `Engine` makes it; `Operation` and `Events` start it, and the Rust client then
//! drives it together with the other runs of its policy. When it ends, the budget and the journal are
//! settled first; then a [`ResultReceiver`] gets the result.
//!
//! A run joins those under way of its client and policy, so that ten thousand of them are rows and not
//! ten thousand futures. What has to come first (a photo to read
//! and upload, a price to reserve, a row to open) is a short future of its own.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use effects_client::JournalSession;
use effects_core::journal::AsyncJournal;
use effects_core::{
    Effect, EffectRequest, Error, ErrorKind, Event, Origin, TaskId, Template, Time,
};
use effects_jobs::OpenRow;
use effects_reqwest::{Client, PollControl, RunTicket, TaskHandle, Waiter};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use crate::address::Address;
use crate::journal::{self, OpenJournal, TaskRows};
use crate::reservation::Reservation;
use crate::shared_budget::SharedBudget;
use crate::submission::CheckedRequest;
use crate::submission_tracker::SubmissionNote;
use crate::value::{FinishedEffect, OperationValue, SubmittedHandle};

/// One submission by itself, checked.
pub(crate) struct SingleSubmission {
    pub client: Client,
    pub request: CheckedRequest,
    pub note: Arc<SubmissionNote>,
    pub journal: Option<Arc<OpenJournal>>,
    pub origin: Origin,
    pub shared_budget: Option<Arc<SharedBudget>>,
}

/// A submission that may leave.
pub(crate) struct ReadySubmission {
    pub request: EffectRequest,
    pub journal: Arc<dyn AsyncJournal>,
    pub settlement: RunSettlement,
}

/// A task that was submitted before, to be followed.
pub(crate) struct FollowedTask {
    pub client: Client,
    pub task: TaskHandle,
    pub shared_budget: Option<Arc<SharedBudget>>,
    pub rows: Option<TaskRows>,
}

/// What has to know how a run ends: the budget's reservation, the journal's row, and the task's handle.
#[derive(Default)]
pub(crate) struct RunSettlement {
    reservation: Option<Arc<Reservation>>,
    row: Option<OpenRow>,
    /// The journal stays open for others as long as there is a run in it.
    session: Option<JournalSession>,
    followed: Option<FollowedTask>,
}

impl SingleSubmission {
    /// Reads, uploads, reserves and opens what the submission needs, before its deadline.
    pub async fn prepare(self) -> Result<ReadySubmission, Error> {
        let now = self.client.now();
        let left = self.client.policy().ends_by(now).since(now);
        // Dropped at the deadline, it gives back what it reserved and lets go of its row: no
        // submission has left before it is ready.
        tokio::time::timeout(left, self.prepare_in_time()).await.unwrap_or_else(|_| {
            let why = "the deadline was over first; nothing was submitted, and nothing is billed";
            Err(Error::new(ErrorKind::DeadlineExceeded, why))
        })
    }

    async fn prepare_in_time(self) -> Result<ReadySubmission, Error> {
        let loaded = self.request.load_off_thread().await?;
        // Before a row is kept or a photo uploaded: a request that repeats the API key must be
        // written nowhere.
        self.client.refuse_key(&loaded.work(), &[])?;
        // The money first, then the row, the upload last: what the budget refuses opens no row and
        // uploads nothing.
        let mut settlement = RunSettlement::default();
        if let Some(shared_budget) = &self.shared_budget {
            let rows =
                self.journal.clone().map(|journal| TaskRows::new(journal, self.origin.clone()));
            settlement.reservation =
                Some(Reservation::of(shared_budget, &self.client, rows.as_ref()).await?);
        }
        if let Some(journal) = self.journal {
            let session = journal.open().await?;
            settlement.session = Some(session.clone());
            let draft = loaded.row(&self.origin, None, None)?;
            settlement.row = Some(journal.begin(session, draft).await?);
        }
        // From the inside out. The reservation admits an intent before the row has it, and the note
        // takes it down once both have.
        let mut inner = settlement.row.as_ref().map(OpenRow::journal);
        if let Some(reservation) = &settlement.reservation {
            inner = Some(reservation.journal(inner));
        }
        let journal = self.note.journal(inner);
        match loaded.request(&self.client).await {
            Ok(request) => Ok(ReadySubmission { request, journal, settlement }),
            // What went wrong first matters more.
            Err(error) => match settlement.settle(&Err(error.clone())) {
                Ok(()) | Err(_) => Err(error),
            },
        }
    }

    /// Whether it is ready as it stands.
    fn is_plain(&self) -> bool {
        self.request.is_remote() && self.shared_budget.is_none() && self.journal.is_none()
    }
}

impl RunSettlement {
    /// Where the end of a task that was submitted before is to be recorded, which may take a while.
    fn rows(&self) -> Option<(TaskRows, TaskId)> {
        let FollowedTask { task, rows, .. } = self.followed.as_ref()?;
        Some((rows.clone()?, task.id().clone()))
    }

    /// Passes on how the run ended, to the task's handle, the budget and the journal.
    pub(crate) fn settle(self, end: &Result<Effect, Error>) -> Result<(), Error> {
        let Self { reservation, row, session: _open, followed } = self;
        if let Some(FollowedTask { task, shared_budget, .. }) = &followed {
            task.saw_end(end);
            if let Some(shared_budget) = shared_budget {
                shared_budget.settle_task(task.id(), end);
            }
        }
        if let Some(reservation) = &reservation {
            reservation.settle(end);
        }
        match row {
            Some(row) => row.settle(end).map_err(|error| journal::failed(&error)),
            None => Ok(()),
        }
    }

    /// The result, once the budget and the journal know it.
    fn settled(self, result: Result<Effect, Error>) -> Result<Effect, Error> {
        let Err(error) = self.settle(&result) else { return result };
        let task = match &result {
            Ok(effect) => Some(&effect.task_id),
            Err(error) => error.task_id(),
        };
        match task {
            // The task is paid for: its result is given, and that the journal does not have it is a warning.
            Some(task) => {
                journal::warn_unrecorded(task, &error);
                result
            }
            None => Err(error),
        }
    }
}

/// A run about to join its client's others.
pub(crate) struct Launch {
    pub purpose: RunPurpose,
    pub note: Arc<SubmissionNote>,
    pub client: Client,
}

/// What a run is for.
pub(crate) enum RunPurpose {
    Submit(Box<SingleSubmission>),
    Follow(Box<FollowedTask>),
}

/// A run that joined.
pub(crate) enum Joined {
    Running(Client),
    /// It joins once its photo, its money and its row are ready.
    Preparing(Box<(AbortHandle, Client)>),
}

/// What gets the events and the result of a run.
pub(crate) trait ResultReceiver: Send + Sync + 'static {
    /// Whether it waits no more.
    fn has_left(&self) -> bool;

    /// Whether it gets the event of each look.
    fn reads(&self) -> bool {
        false
    }

    /// An event; how the run goes on.
    fn on_event(&self, _event: Event, _run: RunTicket) -> PollControl {
        PollControl::Continue
    }

    /// The end, which the budget and the journal know.
    fn on_end(&self, result: Result<Effect, Error>);
}

impl Launch {
    /// Begins the run; its result goes to `receiver`.
    pub fn begin(self, runtime: &Handle, receiver: impl ResultReceiver) -> Joined {
        let Self { purpose, note, client } = self;
        let waiter = move |settlement| {
            Arc::new(RunWaiter { note, settlement: Mutex::new(settlement), receiver })
        };
        // This is a thread of Python's, and `Client::begin` starts its driver in the runtime that
        // is entered.
        let _inside = runtime.enter();
        match purpose {
            RunPurpose::Submit(single) if single.is_plain() => {
                let journal = single.note.journal(None);
                match single.request.into_request() {
                    Ok(request) => client.begin(request, Some(journal), waiter(None)),
                    Err(error) => waiter(None).receiver.on_end(Err(error)),
                }
                Joined::Running(client)
            }
            RunPurpose::Submit(single) => {
                let joining = client.clone();
                let preparing = Box::pin(async move {
                    match single.prepare().await {
                        Ok(ReadySubmission { request, journal, settlement }) => {
                            let waiter = waiter(Some(Box::new(settlement)));
                            joining.begin(request, Some(journal), waiter);
                        }
                        Err(error) => waiter(None).on_end(Err(error)),
                    }
                });
                Joined::Preparing(Box::new((runtime.spawn(preparing).abort_handle(), client)))
            }
            RunPurpose::Follow(followed) => {
                let (work, known) = (followed.task.work(), followed.task.known_end());
                let settlement =
                    RunSettlement { followed: Some(*followed), ..RunSettlement::default() };
                let waiter = waiter(Some(Box::new(settlement)));
                match known {
                    // An earlier call saw the end: nothing is asked of the service again.
                    Some(end) => waiter.on_end(end),
                    None => client.begin(work, None, waiter),
                }
                Joined::Running(client)
            }
        }
    }
}

impl Joined {
    /// Stops the watching, once the note says that no caller waits.
    pub fn leave(self) {
        match self {
            Self::Running(client) => client.stop_abandoned(),
            Self::Preparing(both) => {
                let (preparing, client) = *both;
                // No submission has left yet: dropping this gives back what it reserved and lets go
                // of its row.
                preparing.abort();
                // It may have joined meanwhile.
                client.stop_abandoned();
            }
        }
    }
}

/// Waits for a run on behalf of its receiver, and settles it with the budget and the journal.
struct RunWaiter<T> {
    note: Arc<SubmissionNote>,
    /// Taken once the run is over.
    settlement: Mutex<Option<Box<RunSettlement>>>,
    receiver: T,
}

impl<T: ResultReceiver> Waiter for RunWaiter<T> {
    fn has_left(&self) -> bool {
        self.receiver.has_left()
    }

    fn reads(&self) -> bool {
        self.receiver.reads()
    }

    fn on_event(&self, event: Event, run: RunTicket) -> PollControl {
        self.receiver.on_event(event, run)
    }

    fn on_end(self: Arc<Self>, result: Result<Effect, Error>) {
        self.note.settle();
        // Settled before the caller gets the end: a call that it makes at once, perhaps in another
        // process, must find the row closed.
        let settlement = self.settlement.lock().unwrap_or_else(PoisonError::into_inner).take();
        let rows = settlement.as_ref().and_then(|settlement| settlement.rows());
        let result = match settlement {
            Some(settlement) => settlement.settled(result),
            None => result,
        };
        let Some((rows, task)) = rows else { return self.receiver.on_end(result) };
        // This is the thread that drives all runs, and must not wait for a journal that another
        // process holds.
        tokio::spawn(async move {
            rows.settle(&task, &result).await;
            self.receiver.on_end(result);
        });
    }
}

/// A caller who waits for one result, with the pictures' bytes if it wants them.
pub(crate) struct EffectReceiver {
    client: Client,
    note: Arc<SubmissionNote>,
    template: Option<Template>,
    begun: Instant,
    fetch: bool,
    address: Mutex<Option<Address>>,
}

impl EffectReceiver {
    /// One who waits for this run.
    pub fn new(launch: &Launch, template: Option<Template>, fetch: bool, address: Address) -> Self {
        let (client, note) = (launch.client.clone(), Arc::clone(&launch.note));
        Self {
            client,
            note,
            template,
            begun: Instant::now(),
            fetch,
            address: Mutex::new(Some(address)),
        }
    }
}

impl ResultReceiver for EffectReceiver {
    fn has_left(&self) -> bool {
        self.note.is_abandoned()
    }

    fn on_end(&self, result: Result<Effect, Error>) {
        let address = self.address.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut address) = address else { return };
        let template = self.template.as_ref().map(|template| template.id().to_owned());
        // A picture that no caller takes is not downloaded.
        let (begun, fetch) = (self.begun, self.fetch && !self.note.is_abandoned());
        let effect = match result {
            Ok(effect) if fetch => effect,
            result => {
                let made =
                    result.map(|effect| FinishedEffect::new(effect, Vec::new(), template, begun));
                return address.deliver(made.map(OperationValue::Effect));
            }
        };
        let client = self.client.clone();
        tokio::spawn(async move {
            let made = FinishedEffect::fetched(&client, effect, fetch, template, begun).await;
            address.deliver(made.map(OperationValue::Effect));
        });
    }
}

/// A caller who waits for a task's id, with which the run ends.
pub(crate) struct SubmissionReceiver {
    client: Client,
    note: Arc<SubmissionNote>,
    template: Template,
    created: OnceLock<(TaskId, Time)>,
    address: Mutex<Option<Address>>,
}

impl SubmissionReceiver {
    /// One who waits for this submission.
    pub fn new(launch: &Launch, template: Template, address: Address) -> Self {
        let (client, note) = (launch.client.clone(), Arc::clone(&launch.note));
        let address = Mutex::new(Some(address));
        Self { client, note, template, created: OnceLock::new(), address }
    }

    /// The task that the result of the submission names, as a value for Python.
    fn task(&self, result: Result<Effect, Error>) -> Result<OperationValue, Error> {
        let created = self.created.get().cloned();
        let (task, at) = match (created, &result) {
            // The journal did not take the id: the caller must not take it for recorded.
            (_, Err(error)) if error.kind() == ErrorKind::Journal => return Err(error.clone()),
            (Some(created), _) => created,
            (None, Ok(effect)) => (effect.task_id.clone(), self.client.now()),
            (None, Err(error)) => return Err(error.clone()),
        };
        let template = self.template.id().to_owned();
        let handle = self.client.task(task).of_template(self.template.clone()).submitted_at(at);
        // The answer to a submission may show a task that is over: the wait that follows has
        // nothing to ask.
        handle.saw_end(&result);
        Ok(OperationValue::Handle(Box::new(SubmittedHandle { handle, template, at })))
    }
}

impl ResultReceiver for SubmissionReceiver {
    fn has_left(&self) -> bool {
        self.note.is_abandoned()
    }

    fn on_event(&self, event: Event, _run: RunTicket) -> PollControl {
        let Event::Submitted { task_id } = event else { return PollControl::Continue };
        // A run reports one task here; of a second one it warns.
        self.created.get_or_init(|| (task_id, self.client.now()));
        // The id is all that this caller wants: the run ends before its first look.
        PollControl::Stop
    }

    fn on_end(&self, result: Result<Effect, Error>) {
        let address = self.address.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut address) = address {
            address.deliver(self.task(result));
        }
    }
}
