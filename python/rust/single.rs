//! One submission by itself: made ready, sent, and settled with the budget and the journal.
//!
//! A run joins those under way of its client and policy, so that ten thousand of them are rows and not
//! ten thousand futures. What has to come first (a photo to read
//! and upload, a price to reserve, a row to open) is a short future of its own.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use effects_client::Ledger;
use effects_core::journal::AsyncJournal;
use effects_core::{Effect, EffectRequest, Error, Origin, TaskId, Template};
use effects_jobs::OpenRow;
use effects_reqwest::{Client, TaskHandle, Waiter};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use crate::journal::{self, Slot, TaskRows};
use crate::note::Note;
use crate::operation::Address;
use crate::purse::Purse;
use crate::stake::Reserved;
use crate::submission::Order;
use crate::value::{Made, Value};

/// One submission by itself, checked.
pub(crate) struct Single {
    pub client: Client,
    pub order: Order,
    pub note: Arc<Note>,
    pub slot: Option<Arc<Slot>>,
    pub origin: Origin,
    pub purse: Option<Arc<Purse>>,
}

/// A submission that may leave.
pub(crate) struct Ready {
    pub request: EffectRequest,
    pub journal: Arc<dyn AsyncJournal>,
    pub stakes: Stakes,
}

/// A task that was submitted before, to be followed.
pub(crate) struct Followed {
    pub client: Client,
    pub task: TaskHandle,
    pub purse: Option<Arc<Purse>>,
    pub rows: Option<TaskRows>,
}

/// Who has to know how a run ends: the budget, the journal, and whoever has the task.
#[derive(Default)]
pub(crate) struct Stakes {
    reserved: Option<Arc<Reserved>>,
    row: Option<OpenRow>,
    /// The journal stays open for others as long as there is a run in it.
    ledger: Option<Ledger>,
    followed: Option<Followed>,
}

impl Single {
    /// Reads, uploads, reserves and opens what the submission needs.
    pub async fn ready(self) -> Result<Ready, Error> {
        let loaded = self.order.load_aside().await?;
        let mut stakes = Stakes::default();
        if let Some(purse) = &self.purse {
            let rows = self.slot.clone().map(|slot| TaskRows::new(slot, self.origin.clone()));
            stakes.reserved = Some(purse.reserve(&self.client, rows.as_ref()).await?);
        }
        if let Some(slot) = self.slot {
            let ledger = slot.open().await?;
            stakes.ledger = Some(ledger.clone());
            let draft = loaded.row(&self.origin, None, None)?;
            stakes.row = Some(slot.begin(ledger, draft).await?);
        }
        let mut inner = stakes.row.as_ref().map(OpenRow::journal);
        if let Some(reserved) = &stakes.reserved {
            inner = Some(reserved.journal(inner));
        }
        let journal = self.note.journal(inner);
        match loaded.request(&self.client).await {
            Ok(request) => Ok(Ready { request, journal, stakes }),
            // What went wrong first matters more.
            Err(error) => match stakes.settle(&Err(error.clone())) {
                Ok(()) | Err(_) => Err(error),
            },
        }
    }

    /// Whether it is ready as it stands.
    fn is_plain(&self) -> bool {
        self.order.is_remote() && self.purse.is_none() && self.slot.is_none()
    }
}

impl Stakes {
    /// Where the end of a task that was submitted before is to be recorded, which may take a while.
    fn rows(&self) -> Option<(TaskRows, TaskId)> {
        let Followed { task, rows, .. } = self.followed.as_ref()?;
        Some((rows.clone()?, task.id().clone()))
    }

    /// Tells how the run ended.
    pub(crate) fn settle(self, end: &Result<Effect, Error>) -> Result<(), Error> {
        let Self { reserved, row, ledger: _open, followed } = self;
        if let Some(Followed { task, purse, .. }) = &followed {
            task.saw_end(end);
            if let Some(purse) = purse {
                purse.saw(task.id(), end);
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
        let settled = self.settle(&result);
        if let (Err(error), Ok(effect)) = (&settled, &result) {
            // An effect that was paid for is worth more than the word that it was.
            journal::warn_unrecorded(&effect.task_id, error);
            return result;
        }
        settled.and(result)
    }
}

/// A run about to join its client's others.
pub(crate) struct Launch {
    pub errand: Errand,
    pub note: Arc<Note>,
    pub template: Option<Template>,
    pub client: Client,
    pub fetch: bool,
}

/// What a run is for.
pub(crate) enum Errand {
    Submit(Box<Single>),
    Follow(Box<Followed>),
}

/// A run that joined.
pub(crate) enum Joined {
    Among(Client),
    /// As soon as what comes first is done.
    Readying(Box<(AbortHandle, Client)>),
}

impl Launch {
    /// Joins; the result goes to `address`.
    pub fn begin(self, runtime: &Handle, mut address: Address) -> Joined {
        let Self { errand, note, template, client, fetch } = self;
        let begun = Instant::now();
        let runner = move |address, stakes| {
            Arc::new(Runner {
                note,
                template,
                begun,
                fetch,
                end: Mutex::new(Some((address, stakes))),
            })
        };
        match errand {
            Errand::Submit(single) if single.is_plain() => {
                let journal = single.note.journal(None);
                match single.order.into_request() {
                    Ok(request) => {
                        let _inside = runtime.enter();
                        client.begin(request, Some(journal), runner(address, None));
                    }
                    Err(error) => address.deliver(Err(error)),
                }
                Joined::Among(client)
            }
            Errand::Submit(single) => {
                let joining = client.clone();
                let readying = Box::pin(async move {
                    match single.ready().await {
                        Ok(Ready { request, journal, stakes }) => {
                            let runner = runner(address, Some(Box::new(stakes)));
                            joining.begin(request, Some(journal), runner);
                        }
                        Err(error) => address.deliver(Err(error)),
                    }
                });
                Joined::Readying(Box::new((runtime.spawn(readying).abort_handle(), client)))
            }
            Errand::Follow(followed) => {
                let (work, known) = (followed.task.work(), followed.task.known_end());
                let stakes = Stakes { followed: Some(*followed), ..Stakes::default() };
                let runner = runner(address, Some(Box::new(stakes)));
                let _inside = runtime.enter();
                match known {
                    Some(end) => runner.tell(end, &client),
                    None => client.begin(work, None, runner),
                }
                Joined::Among(client)
            }
        }
    }
}

impl Joined {
    /// Stops the watching, once the note says that nobody waits.
    pub fn leave(self) {
        match self {
            Self::Among(client) => client.look_who_left(),
            Self::Readying(both) => {
                let (readying, client) = *both;
                readying.abort();
                // It may have joined meanwhile.
                client.look_who_left();
            }
        }
    }
}

/// Waits for a run in its caller's place.
struct Runner {
    note: Arc<Note>,
    template: Option<Template>,
    begun: Instant,
    fetch: bool,
    /// Taken once the run is over.
    end: Mutex<Option<(Address, Option<Box<Stakes>>)>>,
}

impl Waiter for Runner {
    fn has_left(&self) -> bool {
        self.note.is_abandoned()
    }

    fn tell(&self, result: Result<Effect, Error>, client: &Client) {
        self.note.settle();
        let end = self.end.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((mut address, stakes)) = end else { return };
        let rows = stakes.as_ref().and_then(|stakes| stakes.rows());
        let result = match stakes {
            Some(stakes) => stakes.settled(result),
            None => result,
        };
        let template = self.template.as_ref().map(|template| template.id().to_owned());
        let (begun, fetch) = (self.begun, self.fetch && !self.note.is_abandoned());
        if rows.is_none() && (!fetch || result.is_err()) {
            let made = result.map(|effect| Made::new(effect, Vec::new(), template, begun));
            return address.deliver(made.map(Value::Effect));
        }
        let client = client.clone();
        tokio::spawn(async move {
            if let Some((rows, task)) = rows {
                rows.settle(&task, &result).await;
            }
            let made = match result {
                Ok(effect) => Made::fetched(&client, effect, fetch, template, begun).await,
                Err(error) => Err(error),
            };
            address.deliver(made.map(Value::Effect));
        });
    }
}
