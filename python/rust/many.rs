//! [`Many`]: the Rust side of `map` and `as_completed` of both Python clients. It runs the jobs of a
//! [`Plan`] with the async Rust client (`run_jobs`), which journals their rows, within their budget
//! ([`Funds`]) and with bounds on the jobs that are ahead of the reader, and queues their results. The end
//! of a task that was given as a job it records in the journal itself. `Engine::run_many` starts it, and
//! `_many.py` reads from it.
//!
//! Two bounds hold however slow the reader of the results is: a permit for each row that is drawn and
//! not yet taken bounds memory, and one for each job that is begun and not yet taken bounds what is paid
//! ahead of the reader.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use effects_client::{
    JobJournals, JobNotice, JobOptions, JobResult, JournalSession, RunJobs, Save,
};
use effects_core::batch::BatchLimits;
use effects_core::journal::{AsyncJournal, NoJournal};
use effects_core::run::Detached;
use effects_core::{BaseUrl, Cause, Effect, Error, ErrorKind, Origin, Template};
use effects_jobs::{JobLimits, JobOutcome, Method, Occurrences, RowState, SpendBy};
use effects_reqwest::{Client, JobResults};
use futures_util::future::{Either, select};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyIterator;
use rust_decimal::Decimal;
use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;

use crate::address::given_up;
use crate::drawing_threads::draw_within_interpreter;
use crate::journal::{self, OpenJournal, TaskRows};
use crate::many_shared::ManyShared;
use crate::operation::Operation;
use crate::reservation::Allotment;
use crate::result_queue::{ResultQueue, ResultSender};
use crate::row_source::{self, RowSource};
use crate::shared_budget::{GivenPrice, REPRICED, SharedBudget, WHY_OVER};
use crate::submission_tracker::SubmissionNote;
use crate::traces::ParentContext;
use crate::value::{FinishedEffect, RowOutcomeValue, task_id};
use crate::{failure, warnings};

/// What many rows have in common.
#[derive(Debug)]
pub struct Plan {
    pub client: Client,
    pub base: Arc<BaseUrl>,
    pub batch_limits: BatchLimits,
    /// Results that may wait for their reader beside the tasks in flight.
    pub ahead: u32,
    pub funds: Funds,
    pub call_budget: CallBudget,
    /// The name of the order in the journal that its budget and its keys belong to.
    pub scope: Option<String>,
    pub journal: Option<Arc<OpenJournal>>,
    pub fetch: bool,
    /// Whether ends come in the order of the rows.
    pub ordered: bool,
    /// The call, where it is traced.
    pub parent: Option<ParentContext>,
}

/// What many rows may cost.
#[derive(Debug)]
pub enum Funds {
    /// A budget of the call's own, if it has one, and what one costs at most, if the caller said so.
    Own(Option<Decimal>, Option<Decimal>),
    /// What the client's own budget holds for all of it.
    Allotted(Allotment),
    /// What the client's budget will hold, once the journal or a running task has shown what one costs: at
    /// most the first number; the second is the price of one, if the caller said it.
    Later(Arc<SharedBudget>, Option<Decimal>, Option<Decimal>),
}

/// What the call itself was given for its money. A client warns of its own budget and price.
#[derive(Clone, Copy, Debug)]
pub struct CallBudget {
    pub budget: Option<Decimal>,
    pub price: GivenPrice,
}

/// Many rows under way.
#[pyclass(frozen, module = "spark_effects._native")]
pub struct Many {
    /// The process that began it: a fork has the memory, and not the thread that fills it.
    process: u32,
    shared: Arc<ManyShared>,
    results: Arc<ResultQueue>,
}

impl Many {
    /// Begins; rows are drawn from `rows`, which gives plain dicts.
    pub fn start(runtime: &Handle, plan: Plan, rows: Py<PyIterator>) -> Self {
        let (tasks, ahead) = (plan.batch_limits.tasks as usize, plan.ahead as usize);
        // A semaphore panics above its limit, and `in_flight` may be any `u32`.
        let permits = |count: usize| Semaphore::new(count.min(Semaphore::MAX_PERMITS));
        let shared = Arc::new(ManyShared {
            base: plan.base.clone(),
            journal: plan.journal.as_ref().map(|journal| journal.shown()),
            // As many as may begin are drawn, also while the source waits for a group.
            draw_permits: permits(tasks.saturating_add(
                ahead.saturating_add(row_source::PERMIT_GROUP as usize).max(MIN_ROWS_AHEAD),
            )),
            begin_permits: permits(tasks.saturating_add(ahead)),
            permitted: Mutex::default(),
            stopped: AtomicBool::new(false),
            abandoned: AtomicBool::new(false),
            stop: Notify::new(),
            open: Mutex::default(),
            untaken: Mutex::default(),
            parent: plan.parent.clone(),
        });
        let (results, sender) = ResultQueue::new(Arc::clone(&shared), plan.ordered);
        let source = RowSource {
            shared: Arc::clone(&shared),
            runtime: runtime.clone(),
            session: None,
            seek: None,
            rows,
            results: sender.clone(),
            occurrences: Occurrences::within(plan.scope.clone()),
            drawn: 0,
            begun: 0,
            permitted: 0,
        };
        runtime.spawn(finish_all(Arc::clone(&shared), plan, source, sender));
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
        self.shared.untaken().remove(&row);
        if self.shared.permitted().remove(&row) {
            self.shared.begin_permits.add_permits(1);
        }
    }

    /// Results that were taken and then lost to the caller: the ids of their tasks are logged.
    fn lost(&self, py: Python<'_>, tasks: Vec<String>) -> PyResult<()> {
        for task in tasks {
            let task = task_id(&task).map_err(|error| failure::exception(py, &error))?;
            // Its run's own note was let go of by `taken`.
            let note = SubmissionNote::about(Arc::clone(&self.shared.base), task, Arc::default());
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
        // First: an id that comes while those that are there are collected is logged by its own
        // note.
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
            // A parent's is forgotten: clones that are never dropped keep the fields' counts above zero.
            std::mem::forget((Arc::clone(&self.shared), Arc::clone(&self.results)));
        } else {
            self.shared.abandon();
            self.results.abandon();
        }
    }
}

/// Runs the jobs, settles each end with the client's budget, and sends its result.
async fn finish_all(shared: Arc<ManyShared>, plan: Plan, source: RowSource, results: ResultSender) {
    let (limit, origin) = (plan.call_budget.budget, plan.base.origin().clone());
    let rows = plan.journal.clone().map(|journal| TaskRows::new(journal, origin));
    let (mut jobs, allotted) = match begin_jobs(&shared, plan, rows.as_ref(), source).await {
        Ok(Some(begun)) => begun,
        // Nothing was drawn: there is no result.
        Ok(None) => return,
        Err(error) => return results.send(RowOutcomeValue::BatchFailed(error)),
    };
    // A stop that came before there were jobs to stop.
    if shared.stopped.load(Ordering::SeqCst) {
        jobs.stop();
    }
    send_results(&shared, &mut jobs, allotted, rows.as_ref(), &results).await;
    if let (Some(limit), Some(of)) = (limit, jobs.context().budgeted().cloned()) {
        match paid(of).await {
            Ok(paid) if paid > limit => warnings::queue_warning(format!(
                "these jobs cost {paid} USD, more than the budget of {limit} USD: {WHY_OVER}"
            )),
            Ok(_) => {}
            Err(error) => results.send(RowOutcomeValue::BatchFailed(error)),
        }
    }
    // Other errors are in the results, since `keeps_going` gives each job its own. That the journal
    // was not written to its end is in none of them.
    if let Some(error) = jobs.halted_by()
        && error.kind() == ErrorKind::Journal
    {
        results.send(RowOutcomeValue::BatchFailed(error));
    }
    if shared.stopped.load(Ordering::SeqCst) {
        // The source has a sender, too, and may wait for the iterator's next row for ever.
        results.close();
    }
}

/// Opens the journal, finds the money and begins the jobs; with what the client's budget holds for them.
/// `None` where they are stopped first.
async fn begin_jobs(
    shared: &Arc<ManyShared>,
    plan: Plan,
    rows: Option<&TaskRows>,
    mut source: RowSource,
) -> Result<Option<(JobResults, Option<Allotment>)>, Error> {
    let Plan { client, batch_limits, funds, call_budget, scope, fetch, .. } = plan;
    let begun = async {
        let (session, known) = match rows {
            Some(rows) => open_session(rows).await?,
            None => (None, None),
        };
        let (allotted, budget) = funds.ready(&client, rows, known).await?;
        Ok::<_, Error>((session, allotted, budget))
    };
    let (begun, stop) = (std::pin::pin!(begun), std::pin::pin!(shared.stop.notified()));
    let (session, allotted, budget) = match select(begun, stop).await {
        Either::Left((begun, _)) => begun?,
        Either::Right(_) => return Ok(None),
    };
    source.seek = allotted.as_ref().map(|allotted| Arc::clone(allotted.seek()));
    source.session.clone_from(&session);
    let observer = Arc::new(Observer {
        shared: Arc::clone(shared),
        price: Mutex::new(call_budget.price),
        is_budgeted: budget.is_some(),
    });
    let noticed = Arc::clone(&observer);
    let options = JobOptions {
        budget: budget.map(|(limit, _)| limit),
        price: budget.and_then(|(_, price)| price),
        scope,
        limits: Some(job_limits(batch_limits)),
        save: if fetch { Save::Bytes } else { Save::Nothing },
        on_notice: Some(Arc::new(move |notice| noticed.on_notice(notice))),
        journals: Some(observer),
        draw_within: Some(Arc::new(draw_within_interpreter)),
        session,
        ..JobOptions::default()
    };
    // Opening the budget's scope may wait for the disk.
    let (client, entered) = (client.clone(), Handle::current());
    let begun = tokio::task::spawn_blocking(move || {
        let _inside = entered.enter();
        client.run_jobs(options, source)
    });
    let jobs = begun.await.unwrap_or_else(|_| Err(given_up()))?;
    Ok(Some((jobs, allotted)))
}

fn job_limits(batch_limits: BatchLimits) -> JobLimits {
    JobLimits {
        // Photos of as many jobs as may be submitted at once are uploaded before there is room for
        // them.
        ahead: batch_limits.submissions,
        uploads: batch_limits.submissions.max(1),
        downloads: MAX_DOWNLOADS,
        // Every job has a result, also after an error that is every other job's too.
        keeps_going: true,
        ..JobLimits::from(batch_limits)
    }
}

/// Settles each job that ends with the client's budget, and sends its result. What the budget holds for all
/// of them is given back before the results are closed: a caller that has read the last of them may spend
/// the rest at once.
async fn send_results(
    shared: &ManyShared,
    jobs: &mut JobResults,
    mut allotted: Option<Allotment>,
    rows: Option<&TaskRows>,
    results: &ResultSender,
) {
    let mut settling = JoinSet::new();
    while let Some(mut result) = next(jobs, shared).await {
        let Some(open) = shared.open().remove(&result.index) else { continue };
        open.note.settle();
        if matches!(result.outcome, JobOutcome::NotBegun) {
            // All of it was stopped before its turn.
            continue;
        }
        let is_submitted = result.method == Some(Method::Submitted);
        if let Some(allotted) = &mut allotted {
            let attempts = open.attempts.as_deref().filter(|_| is_submitted);
            allotted.settle(attempts, &task_result(&result));
            result.outcome = result.outcome.map_error(|error| allotted.explain(error));
            // Nothing is under way, and nothing begins before its reader takes a result, which may be never.
            if shared.open().is_empty() && shared.begin_permits.available_permits() == 0 {
                allotted.seek_no_more();
            }
        }
        let given_task = open.note.task().filter(|_| result.row.is_none() && !is_submitted);
        // A task that was given as one: the journal may have its row all the same.
        let recorded = match (rows, given_task) {
            (Some(rows), Some(task)) => Some((rows.clone(), task, task_result(&result))),
            _ => None,
        };
        let made = result_value(result, open.template, open.begun);
        let end = RowOutcomeValue::Ended(open.row, open.job, made);
        // A reader who has left takes it no more; its id is logged.
        let Some((rows, task, ended)) = recorded else {
            results.send(end);
            continue;
        };
        let results = results.clone();
        settling.spawn(async move {
            rows.settle(&task, &ended).await;
            results.send(end);
        });
    }
    while settling.join_next().await.is_some() {}
}

/// Gets the notices of the jobs before their results come: what is submitted for them, and their tasks.
struct Observer {
    shared: Arc<ManyShared>,
    /// What one costs at most, as the caller said.
    price: Mutex<GivenPrice>,
    is_budgeted: bool,
}

impl Observer {
    fn on_notice(&self, notice: JobNotice) {
        match notice {
            JobNotice::Begun { index, method, task } => {
                let Some((row, note)) = self.shared.noted(index) else { return };
                if let (Method::Resumed, Some(task)) = (method, task) {
                    note.is_about(task);
                }
                self.shared.begin(row, &note);
            }
            // Downloads are logged by their events; the events of runs are logged where they come
            // up.
            JobNotice::Event { is_download: true, event, .. } => warnings::log_event(event),
            JobNotice::Outage { outage } => warnings::queue_warning(outage.to_string()),
            JobNotice::Billed { method: Method::Submitted, cost, .. } => {
                let mut price = self.price.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(price) = price.exceeded_by(cost) {
                    let then =
                        if self.is_budgeted { format!(": {REPRICED}") } else { String::new() };
                    let what = "a picture cost";
                    warnings::queue_warning(format!(
                        "{what} {cost} USD, more than price={price}{then}"
                    ));
                }
            }
            JobNotice::Event { .. }
            | JobNotice::Billed { .. }
            | JobNotice::Renewing { .. }
            | JobNotice::Kept { .. } => {}
        }
    }
}

impl JobJournals for Observer {
    fn journal(&self, index: usize, inner: Option<Arc<dyn AsyncJournal>>) -> Arc<dyn AsyncJournal> {
        let open = self.shared.open();
        let Some(open) = open.get(&index) else { return inner.unwrap_or(Arc::new(NoJournal)) };
        let inner = match &open.attempts {
            Some(attempts) => Some(attempts.journal(inner)),
            None => inner,
        };
        open.note.journal(inner)
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
    ) -> Result<(Option<Allotment>, Option<(Decimal, Option<Decimal>)>), Error> {
        let allotted = match self {
            Self::Own(limit, price) => return Ok((None, limit.map(|limit| (limit, price)))),
            Self::Allotted(allotted) => allotted,
            Self::Later(shared_budget, most, price) => loop {
                if let Some(allotted) = Allotment::of(&shared_budget, most, price, known)? {
                    break allotted;
                }
                shared_budget.find_price(client, rows).await?;
            },
        };
        let budget = (allotted.amount(), allotted.price());
        Ok((Some(allotted), Some(budget)))
    }
}

/// What the jobs of a session's budget have cost, in USD.
async fn paid(session: JournalSession) -> Result<Decimal, Error> {
    let Some(scope) = session.budgets().first().map(|budget| budget.scope) else {
        return Ok(Decimal::ZERO);
    };
    let asked = tokio::task::spawn_blocking(move || session.store().scope(scope)).await;
    let state = asked.map_err(|_| given_up())?.map_err(|error| journal::failed(&error))?;
    Ok(state.paid)
}

/// The next result; a stop comes between.
async fn next(jobs: &mut JobResults, shared: &ManyShared) -> Option<JobResult> {
    loop {
        {
            // In a block, since the future borrows the jobs that are stopped below. Dropping it
            // loses no result: a channel gives one up only when it is received.
            let stop = std::pin::pin!(shared.stop.notified());
            let result = std::pin::pin!(jobs.next());
            if let Either::Left((result, _)) = select(result, stop).await {
                return result;
            }
        }
        jobs.stop();
    }
}

/// What a job's last task came to, for the client's budget.
fn task_result(result: &JobResult) -> Result<Effect, Error> {
    match &result.outcome {
        JobOutcome::Completed(effect) | JobOutcome::NotFetched(effect, _) => Ok((**effect).clone()),
        JobOutcome::Failed(error) | JobOutcome::Refused(error) | JobOutcome::NotReady(error) => {
            Err(error.clone())
        }
        JobOutcome::Kept | JobOutcome::Recorded(_) | JobOutcome::NotBegun => {
            // It changes no money: what these cost, an earlier call has counted, or nothing was
            // sent.
            Err(Cause::Detached(Detached::before_submission()).into())
        }
    }
}

/// A result as Python gets it: the effect of a row, with its pictures if they were wanted.
fn result_value(
    result: JobResult,
    template: Option<Template>,
    begun: Instant,
) -> Result<Box<FinishedEffect>, Error> {
    let template = template.map(|template| template.id().to_owned());
    match &result.outcome {
        JobOutcome::Kept => {
            if let Some(made) = result.record.as_deref().and_then(journal::completed_effect) {
                return Ok(Box::new(made));
            }
        }
        JobOutcome::Recorded(record) => {
            return Err(journal::verdict(record).unwrap_or_else(|| match record.state {
                RowState::Doubtful { .. } => journal::doubtful(record),
                _ => journal::held_elsewhere(record),
            }));
        }
        _ => {}
    }
    let mut result = result;
    let pictures = std::mem::take(&mut result.pictures);
    result.into_result().map(|effect| FinishedEffect::new(effect, pictures, template, begun))
}

/// The session of a journal, and what it says that a picture costs at this origin.
async fn open_session(rows: &TaskRows) -> Result<(Option<JournalSession>, Option<Decimal>), Error> {
    let session = rows.journal_session().await?;
    let (asked, origin) = (session.clone(), rows.origin().clone());
    let known = tokio::task::spawn_blocking(move || highest_cost(&asked, &origin)).await;
    let given_up = |_| Err(Error::new(ErrorKind::Journal, "its costs were not read"));
    Ok((Some(session), known.unwrap_or_else(given_up)?))
}

/// The highest cost of a picture that a journal knows at this origin, in USD.
fn highest_cost(session: &JournalSession, origin: &Origin) -> Result<Option<Decimal>, Error> {
    let spends = session.store().spend(SpendBy::Template, Some(origin));
    let spends = spends.map_err(|error| journal::failed(&error))?;
    Ok(spends.into_iter().filter_map(|spend| spend.highest).max())
}

/// Rows drawn beyond those in flight at least, so that one that is slow to come holds up no other.
const MIN_ROWS_AHEAD: usize = 64;
/// Pictures fetched at once.
const MAX_DOWNLOADS: u32 = 32;
