//! [`Launch`]: a run that is about to join the others of its client and policy: a new submission
//! ([`Single`]) or a task to follow ([`Followed`]). `Engine` makes it; `Operation` and `Events` begin
//! it, and get its result through a [`Taker`], once the budget and the journal know it.
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
use crate::handle::now;
use crate::journal::{self, OpenJournal, TaskRows};
use crate::reservation::Reserved;
use crate::shared_budget::SharedBudget;
use crate::submission::PhotoOrder;
use crate::submission_tracker::SubmissionNote;
use crate::value::{MadeEffect, OperationValue, Submitted};

/// One submission by itself, checked.
pub(crate) struct Single {
    pub client: Client,
    pub order: PhotoOrder,
    pub note: Arc<SubmissionNote>,
    pub slot: Option<Arc<OpenJournal>>,
    pub origin: Origin,
    pub shared_budget: Option<Arc<SharedBudget>>,
}

/// A submission that may leave.
pub(crate) struct ReadySubmission {
    pub request: EffectRequest,
    pub journal: Arc<dyn AsyncJournal>,
    pub stakes: Stakes,
}

/// A task that was submitted before, to be followed.
pub(crate) struct Followed {
    pub client: Client,
    pub task: TaskHandle,
    pub shared_budget: Option<Arc<SharedBudget>>,
    pub rows: Option<TaskRows>,
}

/// What has to know how a run ends: the budget, the journal, and the task's handle.
#[derive(Default)]
pub(crate) struct Stakes {
    reserved: Option<Arc<Reserved>>,
    row: Option<OpenRow>,
    /// The journal stays open for others as long as there is a run in it.
    session: Option<JournalSession>,
    followed: Option<Followed>,
}

impl Single {
    /// Reads, uploads, reserves and opens what the submission needs, before its deadline.
    pub async fn ready(self) -> Result<ReadySubmission, Error> {
        let now = now();
        let left = self.client.policy().ends_by(now).since(now);
        // Dropped at the deadline, it gives back what it reserved and lets go of its row: no
        // submission has left before it is ready.
        tokio::time::timeout(left, self.ready_in_time()).await.unwrap_or_else(|_| {
            let why = "the deadline was over first; nothing was submitted, and nothing is billed";
            Err(Error::new(ErrorKind::DeadlineExceeded, why))
        })
    }

    async fn ready_in_time(self) -> Result<ReadySubmission, Error> {
        let loaded = self.order.load_off_thread().await?;
        // Before a row is kept or a photo uploaded: a request that repeats the API key must be
        // written nowhere.
        self.client.refuse_key(&loaded.work(), &[])?;
        // The money first, then the row, the upload last: what the budget refuses opens no row and
        // uploads nothing.
        let mut stakes = Stakes::default();
        if let Some(shared_budget) = &self.shared_budget {
            let rows = self.slot.clone().map(|slot| TaskRows::new(slot, self.origin.clone()));
            stakes.reserved = Some(Reserved::of(shared_budget, &self.client, rows.as_ref()).await?);
        }
        if let Some(slot) = self.slot {
            let session = slot.open().await?;
            stakes.session = Some(session.clone());
            let draft = loaded.row(&self.origin, None, None)?;
            stakes.row = Some(slot.begin(session, draft).await?);
        }
        // From the inside out. The reservation admits an intent before the row has it, and the note
        // takes it down once both have.
        let mut inner = stakes.row.as_ref().map(OpenRow::journal);
        if let Some(reserved) = &stakes.reserved {
            inner = Some(reserved.journal(inner));
        }
        let journal = self.note.journal(inner);
        match loaded.request(&self.client).await {
            Ok(request) => Ok(ReadySubmission { request, journal, stakes }),
            // What went wrong first matters more.
            Err(error) => match stakes.settle(&Err(error.clone())) {
                Ok(()) | Err(_) => Err(error),
            },
        }
    }

    /// Whether it is ready as it stands.
    fn is_plain(&self) -> bool {
        self.order.is_remote() && self.shared_budget.is_none() && self.slot.is_none()
    }
}

impl Stakes {
    /// Where the end of a task that was submitted before is to be recorded, which may take a while.
    fn rows(&self) -> Option<(TaskRows, TaskId)> {
        let Followed { task, rows, .. } = self.followed.as_ref()?;
        Some((rows.clone()?, task.id().clone()))
    }

    /// Passes on how the run ended, to the task's handle, the budget and the journal.
    pub(crate) fn settle(self, end: &Result<Effect, Error>) -> Result<(), Error> {
        let Self { reserved, row, session: _open, followed } = self;
        if let Some(Followed { task, shared_budget, .. }) = &followed {
            task.saw_end(end);
            if let Some(shared_budget) = shared_budget {
                shared_budget.saw(task.id(), end);
            }
        }
        if let Some(reserved) = &reserved {
            reserved.settle(end);
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
    Submit(Box<Single>),
    Follow(Box<Followed>),
}

/// A run that joined.
pub(crate) enum Joined {
    Among(Client),
    /// It joins once its photo, its money and its row are ready.
    Readying(Box<(AbortHandle, Client)>),
}

/// What gets the events and the result of a run.
pub(crate) trait Taker: Send + Sync + 'static {
    /// Whether it waits no more.
    fn has_left(&self) -> bool;

    /// Whether it hears of each look.
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
    /// Begins the run; its result goes to `taker`.
    pub fn begin(self, runtime: &Handle, taker: impl Taker) -> Joined {
        let Self { purpose, note, client } = self;
        let runner = move |stakes| Arc::new(Runner { note, stakes: Mutex::new(stakes), taker });
        // This is a thread of Python's, and `Client::begin` starts its driver in the runtime that
        // is entered.
        let _inside = runtime.enter();
        match purpose {
            RunPurpose::Submit(single) if single.is_plain() => {
                let journal = single.note.journal(None);
                match single.order.into_request() {
                    Ok(request) => client.begin(request, Some(journal), runner(None)),
                    Err(error) => runner(None).taker.on_end(Err(error)),
                }
                Joined::Among(client)
            }
            RunPurpose::Submit(single) => {
                let joining = client.clone();
                let readying = Box::pin(async move {
                    match single.ready().await {
                        Ok(ReadySubmission { request, journal, stakes }) => {
                            let runner = runner(Some(Box::new(stakes)));
                            joining.begin(request, Some(journal), runner);
                        }
                        Err(error) => runner(None).on_end(Err(error)),
                    }
                });
                Joined::Readying(Box::new((runtime.spawn(readying).abort_handle(), client)))
            }
            RunPurpose::Follow(followed) => {
                let (work, known) = (followed.task.work(), followed.task.known_end());
                let stakes = Stakes { followed: Some(*followed), ..Stakes::default() };
                let runner = runner(Some(Box::new(stakes)));
                match known {
                    // An earlier call saw the end: nothing is asked of the service again.
                    Some(end) => runner.on_end(end),
                    None => client.begin(work, None, runner),
                }
                Joined::Among(client)
            }
        }
    }
}

impl Joined {
    /// Stops the watching, once the note says that no caller waits.
    pub fn leave(self) {
        match self {
            Self::Among(client) => client.stop_abandoned(),
            Self::Readying(both) => {
                let (readying, client) = *both;
                // No submission has left yet: dropping this gives back what it reserved and lets go
                // of its row.
                readying.abort();
                // It may have joined meanwhile.
                client.stop_abandoned();
            }
        }
    }
}

/// Waits for a run in its taker's place, and tells the budget and the journal how it ended.
struct Runner<T> {
    note: Arc<SubmissionNote>,
    /// Taken once the run is over.
    stakes: Mutex<Option<Box<Stakes>>>,
    taker: T,
}

impl<T: Taker> Waiter for Runner<T> {
    fn has_left(&self) -> bool {
        self.taker.has_left()
    }

    fn reads(&self) -> bool {
        self.taker.reads()
    }

    fn on_event(&self, event: Event, run: RunTicket) -> PollControl {
        self.taker.on_event(event, run)
    }

    fn on_end(self: Arc<Self>, result: Result<Effect, Error>) {
        self.note.settle();
        // Settled before the caller gets the end: a call that it makes at once, perhaps in another
        // process, must find the row closed.
        let stakes = self.stakes.lock().unwrap_or_else(PoisonError::into_inner).take();
        let rows = stakes.as_ref().and_then(|stakes| stakes.rows());
        let result = match stakes {
            Some(stakes) => stakes.settled(result),
            None => result,
        };
        let Some((rows, task)) = rows else { return self.taker.on_end(result) };
        // This is the thread that drives all runs, and must not wait for a journal that another
        // process holds.
        tokio::spawn(async move {
            rows.settle(&task, &result).await;
            self.taker.on_end(result);
        });
    }
}

/// A caller who waits for one result, with the pictures' bytes if it wants them.
pub(crate) struct Caller {
    client: Client,
    note: Arc<SubmissionNote>,
    template: Option<Template>,
    begun: Instant,
    fetch: bool,
    address: Mutex<Option<Address>>,
}

impl Caller {
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

impl Taker for Caller {
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
                    result.map(|effect| MadeEffect::new(effect, Vec::new(), template, begun));
                return address.deliver(made.map(OperationValue::Effect));
            }
        };
        let client = self.client.clone();
        tokio::spawn(async move {
            let made = MadeEffect::fetched(&client, effect, fetch, template, begun).await;
            address.deliver(made.map(OperationValue::Effect));
        });
    }
}

/// A caller who waits for a task's id, with which the run ends.
pub(crate) struct SubmissionCaller {
    client: Client,
    note: Arc<SubmissionNote>,
    template: Template,
    created: OnceLock<(TaskId, Time)>,
    address: Mutex<Option<Address>>,
}

impl SubmissionCaller {
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
            (None, Ok(effect)) => (effect.task_id.clone(), now()),
            (None, Err(error)) => return Err(error.clone()),
        };
        let template = self.template.id().to_owned();
        let handle = self.client.task(task).of_template(self.template.clone()).submitted_at(at);
        // The answer to a submission may show a task that is over: the wait that follows has
        // nothing to ask.
        handle.saw_end(&result);
        Ok(OperationValue::Handle(Box::new(Submitted { handle, template, at })))
    }
}

impl Taker for SubmissionCaller {
    fn has_left(&self) -> bool {
        self.note.is_abandoned()
    }

    fn on_event(&self, event: Event, _run: RunTicket) -> PollControl {
        let Event::Submitted { task_id } = event else { return PollControl::Continue };
        // A run tells of one task; of a second one it warns.
        self.created.get_or_init(|| (task_id, now()));
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
