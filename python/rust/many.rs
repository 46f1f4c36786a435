//! [`Many`]: the Rust side of `map` and `as_completed`. It runs the jobs within their budget, records their
//! ends in the journal, and queues their results.
//!
//! Two bounds hold however slow the reader of the results is: a permit for each row that is drawn and
//! not yet taken bounds memory, and one for each job that is begun and not yet taken bounds what is paid
//! ahead of the reader.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use effects_client::{Ending, Found, Ledger, OpenRow};
use effects_core::{
    BaseUrl, Effect, Error, ErrorKind, MemoryStore, Occurrences, Origin, Row, SpendBy, TaskId,
    Template, Widths, printable,
};
use effects_reqwest::{Client, RunMany};
use futures_util::FutureExt;
use futures_util::future::{Either, select};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyIterator;
use rust_decimal::Decimal;
use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;

use crate::drawer::{self, Drawer, Journal};
use crate::journal::{self, Slot, TaskRows};
use crate::note::Note;
use crate::operation::{Operation, given_up};
use crate::purse::{GivenPrice, Purse, REPRICED, WHY_OVER, cost};
use crate::result_queue::{ResultQueue, ResultSender};
use crate::stake::{JobAttempts, Lent};
use crate::value::{Made, task_id};
use crate::{failure, warnings};

/// What many rows have in common.
#[derive(Debug)]
pub struct Plan {
    pub client: Client,
    pub base: Arc<BaseUrl>,
    pub widths: Widths,
    /// Results that may wait for their reader beside the tasks in flight.
    pub ahead: u32,
    pub funds: Funds,
    pub given: Given,
    pub slot: Option<Arc<Slot>>,
    pub fetch: bool,
    /// Whether ends come in the order of the rows.
    pub ordered: bool,
}

/// What many rows may cost.
#[derive(Debug)]
pub enum Funds {
    /// So much, if at all limited, and what one costs at most, if that is known.
    Own(Option<Decimal>, Option<Decimal>),
    /// What the client's own budget holds for all of it.
    Lent(Lent),
    /// The same, at most so much, once it is known what one costs, unless the last says it.
    Later(Arc<Purse>, Option<Decimal>, Option<Decimal>),
}

/// What the call itself was given for its money. A client warns of its own budget and price.
#[derive(Clone, Copy, Debug)]
pub struct Given {
    pub budget: Option<Decimal>,
    pub price: GivenPrice,
}

/// How a row ended.
#[derive(Debug)]
pub enum JobEnd {
    /// Its number, what Python gave for it, and its effect or what went wrong.
    Ended(usize, Py<PyAny>, Result<Box<Made>, Error>),
    /// The iterator raised: no more rows come.
    Broken(PyErr),
    /// All of it could not be begun, or the journal not be written to its end.
    Wrong(Error),
}

/// Many rows under way.
#[pyclass(frozen, module = "spark_effects._native")]
pub struct Many {
    /// The process that began it: a fork has the memory, and not the thread that fills it.
    process: u32,
    shared: Arc<Shared>,
    results: Arc<ResultQueue>,
}

/// What the parts of many rows share.
pub struct Shared {
    pub base: Arc<BaseUrl>,
    journal: Option<PathBuf>,
    /// One for each row that may be drawn before others are taken.
    pub permits: Semaphore,
    /// One for each job that may begin before others are taken.
    pub begins: Semaphore,
    pub stopped: AtomicBool,
    /// No caller takes a result any more.
    abandoned: AtomicBool,
    stop: Notify,
    /// Rows in the batch, by the numbers of their jobs.
    open: Mutex<HashMap<usize, Open>>,
    /// What is known of the jobs whose results were not taken, by the numbers of their rows.
    untaken: Mutex<BTreeMap<usize, Arc<Note>>>,
}

/// A row in the batch.
pub struct Open {
    pub row: usize,
    pub job: Py<PyAny>,
    pub note: Arc<Note>,
    /// Apart, since it is large and most have none.
    pub known: Option<Box<(OpenRow, Row)>>,
    /// Whether this call submits it, so that its cost counts here.
    pub is_submitted: bool,
    /// Its attempts, where it is submitted within the client's budget.
    pub counted: Option<Arc<JobAttempts>>,
    pub template: Option<Template>,
    pub begun: Instant,
}

impl Many {
    /// Begins; rows are drawn from `rows`, which gives plain dicts.
    pub fn start(runtime: &Handle, plan: Plan, rows: Py<PyIterator>) -> Self {
        let (tasks, ahead) = (plan.widths.tasks as usize, plan.ahead as usize);
        let permits = |count: usize| Semaphore::new(count.min(Semaphore::MAX_PERMITS));
        let shared = Arc::new(Shared {
            base: plan.base.clone(),
            journal: plan.slot.as_ref().map(|slot| slot.path().to_owned()),
            // As many as may begin are drawn, also while the drawer waits for a group.
            permits: permits(
                tasks.saturating_add(ahead.saturating_add(drawer::GROUP as usize).max(SPARE)),
            ),
            begins: permits(tasks.saturating_add(ahead)),
            stopped: AtomicBool::new(false),
            abandoned: AtomicBool::new(false),
            stop: Notify::new(),
            open: Mutex::default(),
            untaken: Mutex::default(),
        });
        let (results, sender) = ResultQueue::new(Arc::clone(&shared), plan.ordered);
        let uploads = plan.widths.submissions.max(1) as usize;
        let drawer = Drawer {
            shared: Arc::clone(&shared),
            runtime: runtime.clone(),
            client: plan.client.clone(),
            ledger: None,
            memory: None,
            counts: false,
            rows,
            fetch: plan.fetch,
            results: sender.clone(),
            uploads: Arc::new(Semaphore::new(uploads)),
            occurrences: Occurrences::default(),
            drawn: 0,
            permitted: 0,
        };
        runtime.spawn(finish_all(Arc::clone(&shared), plan, drawer, sender));
        Self { process: std::process::id(), shared, results }
    }

    fn is_elsewhere(&self) -> bool {
        self.process != std::process::id()
    }
}

#[pymethods]
impl Many {
    /// The next end, `None` after the last.
    fn next(&self) -> PyResult<Operation> {
        if self.is_elsewhere() {
            return Err(PyRuntimeError::new_err(
                "these results come to the process that began the jobs; begin jobs of its own here",
            ));
        }
        let results = Arc::clone(&self.results);
        Ok(Operation::reading(None, results))
    }

    /// The caller has the result of this row: there is room for another job.
    fn taken(&self, row: usize) {
        if self.shared.untaken().remove(&row).is_some() {
            self.shared.begins.add_permits(1);
        }
    }

    /// Results that were taken and then lost to the caller: the ids of their tasks are logged.
    fn lost(&self, py: Python<'_>, tasks: Vec<String>) -> PyResult<()> {
        for task in tasks {
            let task = task_id(&task).map_err(|error| failure::exception(py, &error))?;
            let note = Note::about(Arc::clone(&self.shared.base), task, Arc::default());
            if let Some(text) = note.unlogged() {
                warnings::warn(py, &text);
            }
        }
        Ok(())
    }

    /// Stops the watching. What was not submitted is not; what is under way goes on.
    fn stop(&self) {
        if !self.is_elsewhere() {
            self.shared.stop();
        }
    }

    /// Stops the watching for good: no result is taken any more. The ids of the tasks whose results are
    /// lost to their caller are logged, now or as they come. Returns what the caller should know.
    fn leave(&self, py: Python<'_>) -> Option<String> {
        if self.is_elsewhere() {
            return None;
        }
        self.shared.abandon();
        if let Some(text) = self.shared.unlogged() {
            warnings::warn(py, &text);
        }
        Some(self.shared.hint())
    }
}

impl std::fmt::Debug for Many {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Many").field("base_url", &self.shared.base).finish_non_exhaustive()
    }
}

/// No caller takes the ends any more.
impl Drop for Many {
    fn drop(&mut self) {
        if self.is_elsewhere() {
            // A parent's is let go of without being told.
            std::mem::forget((Arc::clone(&self.shared), Arc::clone(&self.results)));
        } else {
            self.shared.abandon();
            self.results.abandon();
        }
    }
}

impl Shared {
    fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        self.permits.close();
        self.begins.close();
        self.stop.notify_one();
    }

    /// Stops, and no caller waits any more.
    fn abandon(&self) {
        self.stop();
        self.abandoned.store(true, Ordering::SeqCst);
        for note in self.untaken().values() {
            note.abandon();
        }
    }

    fn hint(&self) -> String {
        let hints: Vec<String> =
            self.untaken().values().filter_map(|note| note.goes_on()).collect();
        let more = hints.len().saturating_sub(MOST_HINTS);
        let mut hints: Vec<String> = hints.into_iter().take(MOST_HINTS).collect();
        if more > 0 {
            hints.push(format!("and {more} more"));
        }
        if hints.is_empty() {
            hints.push("nothing that was submitted is still running".to_owned());
        }
        hints.extend(self.journal_hint());
        hints.join("\n")
    }

    /// What to log of the tasks whose results no caller takes: each of them, since nothing else may have
    /// their ids.
    fn unlogged(&self) -> Option<String> {
        let mut texts: Vec<String> =
            self.untaken().values().filter_map(|note| note.unlogged()).collect();
        // Of those that are not answered yet, each id is logged when it comes.
        if texts.is_empty() && !self.untaken().values().any(|note| note.is_under_way()) {
            return None;
        }
        texts.extend(self.journal_hint());
        (!texts.is_empty()).then(|| texts.join("\n"))
    }

    fn journal_hint(&self) -> Option<String> {
        let path = self.journal.as_ref()?.display();
        let hint = format!(
            "run the same jobs with the same journal to go on, or: effects resume --journal {path}"
        );
        Some(printable(&hint).into_owned())
    }

    /// A job begins: what is known of it, until its result is taken.
    pub fn begin(&self, row: usize, note: &Arc<Note>) {
        self.untaken().insert(row, Arc::clone(note));
        // All before it were abandoned already.
        if self.abandoned.load(Ordering::SeqCst) {
            note.abandon();
        }
    }

    fn untaken(&self) -> MutexGuard<'_, BTreeMap<usize, Arc<Note>>> {
        self.untaken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn open(&self) -> MutexGuard<'_, HashMap<usize, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Drives the batch, settles what ends and tells it.
async fn finish_all(shared: Arc<Shared>, plan: Plan, mut drawer: Drawer, results: ResultSender) {
    let Plan { client, base, widths, funds, mut given, slot, fetch, .. } = plan;
    let rows = slot.map(|slot| TaskRows::new(slot, base.origin().clone()));
    let begun = async {
        let (ledger, known) = match &rows {
            Some(rows) => opened(rows).await?,
            None => (None, None),
        };
        let (lent, budget) = funds.ready(&client, rows.as_ref(), known).await?;
        let Some((limit, price)) = budget else { return Ok((ledger, None, lent)) };
        let with_budget = move |ledger: Ledger| {
            ledger.with_budget(limit, price).map_err(|error| journal::failed(&error))
        };
        Ok::<_, Error>(match ledger {
            Some(ledger) => {
                let budgeted = tokio::task::spawn_blocking(move || with_budget(ledger)).await;
                (Some(budgeted.map_err(|_| given_up())??), None, lent)
            }
            None => {
                let memory = Ledger::new(Arc::new(MemoryStore::new()));
                (None, Some(with_budget(memory)?), lent)
            }
        })
    };
    let (begun, stop) = (std::pin::pin!(begun), std::pin::pin!(shared.stop.notified()));
    let (ledger, memory, mut lent) = match select(begun, stop).await {
        Either::Left((Ok(begun), _)) => begun,
        Either::Left((Err(error), _)) => return results.send(JobEnd::Wrong(error)),
        // Nothing was drawn: there is nothing to tell.
        Either::Right(_) => return,
    };
    drawer.ledger.clone_from(&ledger);
    drawer.memory.clone_from(&memory);
    let is_budgeted =
        ledger.as_ref().or(memory.as_ref()).is_some_and(|of| !of.budgets().is_empty());
    drawer.counts = lent.is_some();
    let ahead = widths.submissions as usize;
    let mut many = client.run_many(drawer.start(ahead), widths);
    if shared.stopped.load(Ordering::SeqCst) {
        many.stop();
    }
    let mut finishing = JoinSet::new();
    while let Some(ended) = next(&mut many, &shared).await {
        let Some(open) = shared.open().remove(&ended.index) else { continue };
        open.note.settle();
        if let Some(lent) = &mut lent {
            lent.settle(open.counted.as_deref(), &ended.result);
        }
        if open.is_submitted
            && let Some(cost) = cost(&ended.result, None)
            && let Some(price) = given.price.exceeded_by(cost)
        {
            let then = if is_budgeted { format!(": {REPRICED}") } else { String::new() };
            warnings::pass_on(format!("a picture cost {cost} USD, more than price={price}{then}"));
        }
        let (client, results) = (client.clone(), results.clone());
        let (ledger, rows) = (ledger.clone(), rows.clone());
        let mut last = Box::pin(async move {
            if let (Some(rows), None, Some(task)) = (&rows, &open.known, open.note.task()) {
                // A task that was given as one: the journal may have its row all the same.
                rows.settle(&task, &ended.result).await;
            }
            let result = settled(&client, ledger.as_ref(), &open, ended.result).await;
            let made = made(&client, result, fetch, open.template, open.begun).await;
            // A reader who has left takes it no more; its id is logged.
            results.send(JobEnd::Ended(open.row, open.job, made));
        });
        // Most have nothing left to wait for.
        if (&mut last).now_or_never().is_none() {
            finishing.spawn(last);
        }
        while finishing.len() >= MOST_DOWNLOADS {
            finishing.join_next().await;
        }
    }
    while finishing.join_next().await.is_some() {}
    drop(lent);
    if let (Some(limit), Some(of)) = (given.budget, ledger.clone().or(memory)) {
        match paid(of).await {
            Ok(paid) if paid > limit => warnings::pass_on(format!(
                "these jobs cost {paid} USD, more than the budget of {limit} USD: {WHY_OVER}"
            )),
            Ok(_) => {}
            Err(error) => results.send(JobEnd::Wrong(error)),
        }
    }
    if let Some(ledger) = ledger {
        let store = Arc::clone(ledger.store());
        let flushed = tokio::task::spawn_blocking(move || journal::flush(&store)).await;
        if let Ok(Err(error)) = flushed {
            results.send(JobEnd::Wrong(error));
        }
    }
}

impl Funds {
    /// What is held for the batch, and its limit and the price of one, if it has any; `known` is what
    /// the journal says that one costs.
    async fn ready(
        self,
        client: &Client,
        rows: Option<&TaskRows>,
        known: Option<Decimal>,
    ) -> Result<(Option<Lent>, Option<(Decimal, Option<Decimal>)>), Error> {
        let lent = match self {
            Self::Own(limit, price) => return Ok((None, limit.map(|limit| (limit, price)))),
            Self::Lent(lent) => lent,
            Self::Later(purse, most, price) => loop {
                if let Some(lent) = purse.lend(most, price, known)? {
                    break lent;
                }
                purse.find_price(client, rows).await?;
            },
        };
        let budget = (lent.amount(), lent.price());
        Ok((Some(lent), Some(budget)))
    }
}

/// What the jobs of a ledger's budget have cost, in USD.
async fn paid(ledger: Ledger) -> Result<Decimal, Error> {
    let Some(scope) = ledger.budgets().first().map(|budget| budget.scope) else {
        return Ok(Decimal::ZERO);
    };
    let asked = tokio::task::spawn_blocking(move || ledger.store().scope(scope)).await;
    let state = asked.map_err(|_| given_up())?.map_err(|error| journal::failed(&error))?;
    Ok(state.paid)
}

/// The next end of the batch; a stop comes between.
async fn next(many: &mut RunMany, shared: &Shared) -> Option<effects_client::Ended> {
    loop {
        {
            let stop = std::pin::pin!(shared.stop.notified());
            let ended = std::pin::pin!(many.next());
            if let Either::Left((ended, _)) = select(ended, stop).await {
                return ended;
            }
        }
        many.stop();
    }
}

/// The result, once the journal knows it.
async fn settled(
    client: &Client,
    ledger: Option<&Ledger>,
    open: &Open,
    result: Result<Effect, Error>,
) -> Result<Effect, Error> {
    let (Some(ledger), Some(known)) = (ledger, &open.known) else { return result };
    let (known, row) = &**known;
    match known.settle(&result) {
        Ok(Ending::Told) => result,
        Ok(Ending::Taken) => attend(client, ledger, row).await,
        Err(error) => {
            let error = journal::failed(&error);
            if let Ok(effect) = &result {
                // An effect that was paid for is worth more than the word that it was.
                journal::warn_unrecorded(&effect.task_id, &error);
                return result;
            }
            Err(error)
        }
    }
}

/// Waits for a row that is in other hands: until they let go of it, or it is settled.
pub async fn attend(client: &Client, ledger: &Ledger, row: &Row) -> Result<Effect, Error> {
    let begun = Instant::now();
    loop {
        let (ledger, again) = (ledger.clone(), row.clone());
        let found = tokio::task::spawn_blocking(move || ledger.open(&again)).await;
        let found = found.unwrap_or_else(|_| {
            Err(effects_core::JournalError::Unreadable("it was given up half-way".to_owned()))
        });
        match found.map_err(|error| journal::failed(&error))? {
            Found::Watch(open) | Found::Settled(open) => {
                if let Some(error) = open.record().and_then(journal::verdict) {
                    return Err(error);
                }
                let task = open.record().and_then(|record| record.standing.task().cloned());
                let Some(task) = task else { return Err(no_task()) };
                return follow(client, &open, task).await;
            }
            Found::Doubtful(record) => return Err(journal::doubtful(&record)),
            Found::Elsewhere(record) if begun.elapsed() > client.policy().wait_timeout => {
                let holder = record.holder.map(|holder| format!(" ({holder})")).unwrap_or_default();
                let message = format!(
                    "row {} of the journal is still in other hands{holder}; the wait is over",
                    record.number
                );
                return Err(Error::new(ErrorKind::WaitTimeout, message));
            }
            Found::Elsewhere(_) => tokio::time::sleep(BETWEEN_LOOKS).await,
            Found::Submit(_) => {
                let message = "another process had this row in hand and let go of it before \
                    anything was paid for: run the same jobs again";
                return Err(Error::new(ErrorKind::Journal, message));
            }
        }
    }
}

async fn follow(client: &Client, open: &OpenRow, task: TaskId) -> Result<Effect, Error> {
    let result = client.with_journal(open.journal::<Journal>()).task(task).wait().await;
    open.settle(&result).map_err(|error| journal::failed(&error))?;
    result
}

/// The effect of a row, with its pictures if they are wanted.
pub async fn made(
    client: &Client,
    result: Result<Effect, Error>,
    fetch: bool,
    template: Option<Template>,
    begun: Instant,
) -> Result<Box<Made>, Error> {
    let template = template.map(|template| template.id().to_owned());
    Made::fetched(client, result?, fetch, template, begun).await
}

pub fn no_task() -> Error {
    Error::new(ErrorKind::Journal, "the journal's row has no task to follow")
}

/// The ledger of a journal, and what it says that a picture costs at this origin.
async fn opened(rows: &TaskRows) -> Result<(Option<Ledger>, Option<Decimal>), Error> {
    let ledger = rows.ledger().await?;
    let (asked, origin) = (ledger.clone(), rows.origin().clone());
    let known = tokio::task::spawn_blocking(move || highest(&asked, &origin)).await;
    let given_up = |_| Err(Error::new(ErrorKind::Journal, "its costs were not read"));
    Ok((Some(ledger), known.unwrap_or_else(given_up)?))
}

/// The highest cost of a picture that a journal knows at this origin, in USD.
fn highest(ledger: &Ledger, origin: &Origin) -> Result<Option<Decimal>, Error> {
    let spends = ledger.store().spend(SpendBy::Template, Some(origin));
    let spends = spends.map_err(|error| journal::failed(&error))?;
    Ok(spends.into_iter().filter_map(|spend| spend.highest).max())
}

/// Rows drawn beyond those in flight at least, so that one that is slow to come holds up no other.
const SPARE: usize = 64;
/// Pictures fetched at once.
const MOST_DOWNLOADS: usize = 32;
/// Tasks named in the note of an exception.
const MOST_HINTS: usize = 20;
/// Between two looks at a row in other hands.
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);
