//! What a driver replies to the steps of a [`JobMachine`], and what the job does next: its row was opened
//! ([`JobMachine::opened`]), its photo uploaded, a seed drawn for its run, an entry written, a call
//! answered, the end of its run recorded, its pictures fetched. The drivers of both clients and the
//! simulation call these; [`JobMachine::observed`] is for programs whose service pushes the states of
//! tasks. Where a run failed, `failed_run.rs` goes on.

use effects_core::batch::RunId;
use effects_core::gateway::{CallId, CallResult};
use effects_core::journal::{Admission, Entry, Fact, JournalError};
use effects_core::{Effect, Error, ErrorKind, Problem, Reference, Seed, Time};
use rust_decimal::Decimal;

use super::{JobMachine, OPEN_AGAIN_AFTER};
use crate::end::{JobOutcome, Method};
use crate::halt::ends_all;
use crate::journal::{Record, RowState};
use crate::row::{Found, OpenRow};
use crate::step::{FetchError, JobId, PrepareError};
use crate::work::Work;

impl<K> JobMachine<K> {
    /// What opening a job's row found; `None` where nothing is journaled.
    pub fn opened(
        &mut self,
        now: Time,
        id: JobId,
        known: K,
        found: Result<Option<Found>, PrepareError>,
    ) {
        if !self.take_back(now, id, known) {
            return;
        }
        match found {
            Ok(None) => self.submit(id, None),
            Ok(Some(Found::Submit(row))) => {
                self.submit(id, Some(row));
            }
            // Following a task costs nothing, so neither a budget nor an earlier refusal is in
            // its way.
            Ok(Some(Found::Watch(row))) => {
                if let Some(plan) = self.plan(id) {
                    plan.earlier_cost = earlier_cost(&row);
                    plan.method = Some(Method::Resumed);
                    plan.row = Some(row);
                }
                self.ready.push_back(id);
            }
            Ok(Some(Found::Settled(row))) => {
                let record = row.record().cloned();
                let plan = self.plan(id);
                let outcome = match record {
                    Some(Record { state: RowState::Completed { .. }, .. }) => {
                        if let Some(plan) = plan {
                            plan.method = Some(Method::Kept);
                            plan.earlier_cost = earlier_cost(&row);
                            plan.row = Some(row);
                        }
                        JobOutcome::Kept
                    }
                    Some(record) => JobOutcome::Recorded(Box::new(record)),
                    None => JobOutcome::NotBegun,
                };
                self.end(id, outcome);
            }
            Ok(Some(Found::Doubtful(record))) => {
                self.end(id, JobOutcome::Recorded(Box::new(record)));
            }
            Ok(Some(Found::Elsewhere(record))) => self.held_elsewhere(id, record),
            Err(error) => self.not_ready(id, error),
        }
    }

    /// Where a job's photo was put.
    pub fn uploaded(
        &mut self,
        now: Time,
        id: JobId,
        known: K,
        uploaded: Result<Reference, PrepareError>,
    ) {
        if !self.take_back(now, id, known) {
            return;
        }
        match uploaded {
            Ok(reference) => {
                if let Some(plan) = self.plan(id)
                    && let Work::Upload(checked) = &plan.work
                {
                    plan.work = Work::Submit(checked.clone().with_reference(reference));
                }
                self.ready.push_back(id);
            }
            Err(error) => self.not_ready(id, error),
        }
    }

    /// Begins a job's run with this seed, drawn anew; or ends the job where none could be drawn.
    pub fn begin(&mut self, id: JobId, seed: Result<Seed, Error>, now: Time) {
        self.now = self.now.max(now);
        let Some(plan) = self.plan(id) else { return };
        let seed = match seed {
            Ok(seed) => seed,
            // Two runs of one seed would send the same idempotency key, so without randomness
            // nothing leaves.
            Err(error) => return self.end(id, JobOutcome::NotReady(error)),
        };
        // The row was opened after the work was made, and may have got a task since: that one is
        // followed, and none is paid for beside it.
        let watched = plan.row.as_ref().and_then(|row| {
            let record = row.record()?;
            let task = record.state.task().filter(|_| plan.method == Some(Method::Resumed))?;
            let (template, submitted) = (record.row.template.clone(), row.submitted());
            Some(Work::Watch { task: task.clone(), template: Some(template), submitted })
        });
        let run = match watched.unwrap_or_else(|| plan.work.clone()) {
            Work::Submit(request) => {
                plan.method = Some(Method::Submitted);
                self.batch.submit(request, seed, self.now)
            }
            Work::Watch { task, template, submitted } => {
                plan.method = Some(Method::Resumed);
                self.batch.attach(task, template.map(Into::into), submitted, seed, self.now)
            }
            Work::Upload(_) | Work::Resume => return self.end(id, JobOutcome::NotBegun),
        };
        self.room = self.room.saturating_sub(1);
        self.runs_as(id, run);
    }

    /// What the journal answered to an entry. Where it did not take it, nothing more is sent for the run.
    pub fn recorded(
        &mut self,
        now: Time,
        run: RunId,
        entry: &Entry,
        written: Result<Admission, JournalError>,
    ) {
        self.now = self.now.max(now);
        let error = match written {
            Ok(admission) => return self.batch.admission(self.now, run, entry.id, &admission),
            Err(error) => error,
        };
        // What the journal did not take must not be sent: after a crash no process would know of
        // the task.
        self.batch.give_up(run);
        let Some(id) = self.take_run(run) else { return };
        if matches!(error, JournalError::Taken { .. }) && self.plan(id).is_some_and(|it| it.opens) {
            // Another process was faster: sooner or later it is known what became of the row.
            return self.wait_for_row(id);
        }
        self.run_failed(id, unrecorded(&error, entry));
    }

    /// What became of a call. A run or a call that is not awaited is ignored.
    pub fn reply(&mut self, now: Time, run: RunId, call: CallId, result: &CallResult) {
        self.now = self.now.max(now);
        self.batch.reply(self.now, run, call, result);
    }

    /// Takes a state of a run's task that came by itself.
    pub fn observed(&mut self, now: Time, run: RunId, pushed: &CallResult) {
        self.now = self.now.max(now);
        self.batch.observed(self.now, run, pushed);
    }

    /// Whether the journal took the end of a job's run.
    pub fn settled(&mut self, id: JobId, settled: Result<(), JournalError>, fetches: bool) {
        let outcome = self.slot(id).and_then(|slot| slot.outcome.take());
        // Taken above, so a job whose end is told twice goes on once.
        let Some(outcome) = outcome else { return };
        if let Err(error) = settled
            && self.plan(id).is_some_and(|plan| plan.row.is_some())
        {
            // The job has its outcome all the same, and the journal's next flush fails.
            self.halt_by(Error::new(ErrorKind::Journal, error.to_string()));
        }
        match outcome.into_result() {
            // The end is on record before the download begins: a crash in it pays for nothing
            // twice.
            Ok(effect) if fetches => self.to_fetch.push_back((id, Box::new(effect))),
            Ok(effect) => self.end(id, JobOutcome::Completed(Box::new(effect))),
            Err(error) => self.run_failed(id, error),
        }
    }

    /// Whether a job's pictures were fetched.
    pub fn fetched(
        &mut self,
        now: Time,
        id: JobId,
        known: K,
        effect: Box<Effect>,
        fetched: Result<(), FetchError>,
    ) {
        self.now = self.now.max(now);
        self.fetching -= 1;
        if let Some(slot) = self.slot(id) {
            slot.known = Some(known);
        }
        match fetched {
            Ok(()) => self.end(id, JobOutcome::Completed(effect)),
            Err(FetchError { error, is_local }) => {
                // A machine that cannot save what it has paid for must buy no more. A job that only
                // follows a task buys nothing, so it ends none but itself.
                if is_local && self.plan(id).is_some_and(|plan| plan.work.submits()) {
                    let paid = if self.is_replay { "" } else { " that is paid for" };
                    let why = format!(
                        "a picture{paid} cannot be saved, so nothing more is submitted; it \
                         is fetched by the same line once there is a place for it: {}",
                        Error::from(error.cause().clone())
                    );
                    self.halt_by(Error::new(ErrorKind::Download, why));
                }
                self.end(id, JobOutcome::NotFetched(effect, error));
            }
        }
    }

    /// Lets a job have a new paid task, unless it would be refused as one before it was.
    fn submit(&mut self, id: JobId, row: Option<OpenRow>) {
        let Some(plan) = self.plan(id) else { return };
        // The task that it followed before, if any, failed.
        plan.method = None;
        if let Some(record) = row.as_ref().and_then(OpenRow::record) {
            plan.earlier_cost = record.paid;
        }
        plan.row = row;
        match self.work(id).and_then(|work| self.refusals.of(work)).cloned() {
            Some(error) => self.end(id, JobOutcome::Failed(error)),
            None => self.make_ready(id),
        }
    }

    /// Another process has the row: it is looked at again for as long as a run would be watched.
    fn held_elsewhere(&mut self, id: JobId, record: Record) {
        let (now, row_wait_limit) = (self.now, self.row_wait_limit);
        let waits = self.plan(id).is_some_and(|plan| {
            let is_patient =
                plan.waiting_since.is_none_or(|since| now.since(since) <= row_wait_limit);
            plan.work.submits() && is_patient
        });
        if waits {
            self.wait_for_row(id);
        } else {
            self.end(id, JobOutcome::Recorded(Box::new(record)));
        }
    }

    fn wait_for_row(&mut self, id: JobId) {
        if self.is_halted {
            return self.end(id, JobOutcome::NotBegun);
        }
        let now = self.now;
        let Some(plan) = self.plan(id) else { return };
        plan.waiting_since.get_or_insert(now);
        // Dropped, since the row is opened anew by what is known of it then.
        plan.row = None;
        // The first that waits sets the time for all: they are opened together.
        if self.waiting.is_empty() {
            self.open_again_at = now + OPEN_AGAIN_AFTER;
        }
        self.waiting.push(id);
    }

    fn not_ready(&mut self, id: JobId, error: PrepareError) {
        let outcome = match error {
            // The job's own mistake, in a journal that works: the others go on.
            PrepareError::Journal(error @ JournalError::KeyReused { .. }) => {
                let error = Error::new(ErrorKind::InvalidRequest, error.to_string());
                JobOutcome::Refused(error.in_field("key"))
            }
            PrepareError::Journal(error) => {
                let error = Error::new(ErrorKind::Journal, error.to_string());
                self.halt_by(error.clone());
                JobOutcome::NotReady(error)
            }
            PrepareError::Refused(error) => JobOutcome::Refused(error),
            PrepareError::Failed(error) => {
                if ends_all(&error) {
                    self.halt_by(error.clone());
                }
                JobOutcome::NotReady(error)
            }
        };
        self.end(id, outcome);
    }

    /// Takes back what a step handed out. Whether the job goes on: where nothing more is begun, it is
    /// over.
    fn take_back(&mut self, now: Time, id: JobId, known: K) -> bool {
        self.now = self.now.max(now);
        self.preparing -= 1;
        if let Some(slot) = self.slot(id) {
            slot.known = Some(known);
        }
        if self.is_halted {
            self.end(id, JobOutcome::NotBegun);
        }
        !self.is_halted
    }
}

/// What the tasks of a row cost before the one it goes on with.
fn earlier_cost(row: &OpenRow) -> Decimal {
    row.record()
        // `paid` has the cost of the current task in it, which the job's own end tells.
        .map_or(Decimal::ZERO, |record| record.paid - record.state.cost().unwrap_or_default())
}

/// The error of a run whose entry the journal did not take, with the task the entry names.
fn unrecorded(error: &JournalError, entry: &Entry) -> Error {
    let task_id = match &entry.fact {
        Fact::Created { task_id, .. } => Some(task_id.clone()),
        _ => None,
    };
    let (kind, message) = (ErrorKind::Journal, error.to_string());
    Problem { kind, message, way_out: None, field: None, task_id, error: None }.into()
}
