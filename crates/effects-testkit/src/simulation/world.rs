//! [`SimulatedWorld`]: plays one schedule of a simulation: it steps a [`JobMachine`] for each process in a
//! drawn order, on virtual time, over a store in memory, crashes and restarts them, delivers late answers,
//! and after each change checks the invariants (no row paid twice, no task lost, no budget exceeded).
//! [`Simulation::run`](super::Simulation::run) plays it.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;

use effects_core::batch::{BatchLimits, RunId};
use effects_core::gateway::{Answer, Call, CallId, CallKind};
use effects_core::journal::{Admission, Entry, Fact, Journal, JournalError};
use effects_core::model::Checked;
use effects_core::{
    BaseUrl, Effect, Error, ErrorKind, Pace, Policy, Seed, Size, TaskId, Template, Time,
};
use effects_jobs::{
    Budget, FetchError, Found, JobEnd, JobId, JobLimits, JobMachine, JobStep, JournalStore,
    MemoryStore, OpenRow, Opened, PrepareError, Record, Resolution, Row, RowDraft, RowName,
    RowPhoto, RowState, Work,
};
use rust_decimal::Decimal;

use super::disk::Disk;
use super::faulty_row_journal::FaultyRowJournal;
use super::service::{ServiceLedger, TaskEnd};
use super::{BrokenInvariant, Mutation, ScheduleReport};
use crate::faults::SplitMix64;
use crate::response::result_of;

pub(super) struct SimulatedWorld {
    seed: u64,
    rng: SplitMix64,
    mutation: Option<Mutation>,
    now: Time,
    store: MemoryStore,
    rows: Vec<Row>,
    /// Rows whose photos have to be uploaded.
    is_local: Vec<bool>,
    retry_failed: u32,
    /// The limit and the price that is given, in USD.
    budget: Option<(Decimal, Option<Decimal>)>,
    service: ServiceLedger,
    disk: Disk,
    processes: Vec<Option<SimulatedProcess>>,
    /// What crashed processes hold for ever, where the world is broken so.
    leaked: Vec<Arc<dyn effects_jobs::RowJournal>>,
    events_scheduled: u64,
    steps: u64,
    crashes: u64,
    passes: u32,
    /// Something happened since the last check.
    has_changed: bool,
    transcript: Vec<String>,
}

/// A process that does all jobs, as the same command given again does.
struct SimulatedProcess {
    machine: JobMachine<usize>,
    budget: Option<Budget>,
    row_journals: Vec<(usize, Weak<FaultyRowJournal>)>,
    /// What is on its way, by when it arrives.
    pending: BTreeMap<(Time, u64), PendingEvent>,
    rows: VecDeque<usize>,
    wakes_at: Time,
    /// Its computer sleeps until then.
    sleeps_until: Option<Time>,
    /// How far its clock is behind, since it stood still.
    lag: Duration,
    /// How far its clock is ahead of the store's, in milliseconds.
    ahead: i64,
    /// A write whose answer was lost, to be looked up once the store is reached again.
    lost: Option<LostWrite>,
    is_over: bool,
}

/// A write of a run whose answer was lost, with its connection.
struct LostWrite {
    run: RunId,
    entry: Entry,
    /// The answer, where the store did what was asked; `None` where it was never asked.
    answer: Option<Result<Admission, JournalError>>,
    /// How long the store was not reached.
    unreachable_for: Duration,
}

enum PendingEvent {
    Answer(RunId, CallId, Answer, Option<usize>),
    Uploaded(JobId, usize, bool),
    /// The picture is written; it is recorded a moment later.
    Written(JobId, usize, Box<Effect>),
    Saved(JobId, usize, Box<Effect>),
    NotFetched(JobId, usize, Box<Effect>),
}

impl SimulatedWorld {
    pub(super) fn new(seed: u64, mutation: Option<Mutation>) -> Self {
        // The order of the draws below is part of every schedule:
        // in another order each seed plays another one.
        let mut rng = SplitMix64(seed);
        // One to seven rows: schedules are short, and processes often meet at a row.
        let rows: Vec<Row> = (0..=rng.below(7)).map(row).collect();
        let is_local = rows.iter().map(|_| rng.below(3) == 0).collect();
        // What a billed task costs in `service.rs`.
        let price = Decimal::new(3, 2);
        // One to six tasks, so that half of the budgets end before the rows do. In half of them no price is
        // given, so that one task has to show it.
        let affordable = Decimal::from(1 + rng.below(6));
        let budget =
            (rng.below(4) > 0).then(|| (price * affordable, (rng.below(2) == 0).then_some(price)));
        // One process or two, which are started by their first step.
        let processes = (0..=rng.below(2)).map(|_| None).collect();
        Self {
            seed,
            mutation,
            now: START,
            store: MemoryStore::new(),
            rows,
            is_local,
            retry_failed: u32::from(rng.below(2) == 0),
            budget,
            service: ServiceLedger::default(),
            disk: Disk::default(),
            processes,
            leaked: Vec::new(),
            events_scheduled: 0,
            steps: 0,
            crashes: 0,
            passes: 0,
            has_changed: false,
            transcript: Vec::new(),
            rng,
        }
    }

    pub(super) fn play(mut self) -> Result<ScheduleReport, BrokenInvariant> {
        for _ in 0..MAX_STEPS {
            self.steps += 1;
            // Which process steps next is drawn, so that seeds
            // differ in the order in which processes meet the store.
            let chosen = self.below(self.processes.len());
            match &self.processes[chosen] {
                None => self.start(chosen),
                // Crashes have an end, since a schedule must have one, too.
                Some(_) if self.crashes < MAX_CRASHES && self.rng.below(120) == 0 => {
                    self.crash(chosen);
                }
                Some(_) => self.step(chosen),
            }
            // What a person resolves is gone on with by the next pass, so that there has to be one.
            if self.rng.below(100) == 0 && self.passes < MAX_PASSES {
                self.resolve_doubtful_row();
            }
            // The check goes through all tasks and rows, so it is made only where something happened.
            if std::mem::take(&mut self.has_changed) {
                self.check()?;
            }
            if self.processes.iter().all(|it| it.as_ref().is_some_and(|it| it.is_over)) {
                // The user runs the same again, until nothing is left to do.
                if self.passes < MAX_PASSES && self.is_unfinished() {
                    self.passes += 1;
                    self.note("the same is run again");
                    self.processes.iter_mut().for_each(|process| *process = None);
                    continue;
                }
                self.check_end()?;
                let (steps, crashes) = (self.steps, self.crashes);
                let accepted = self.service.tasks.len() as u64;
                return Ok(ScheduleReport {
                    steps,
                    accepted,
                    crashes,
                    pictures: self.disk.pictures(),
                });
            }
        }
        Err(self.violation("it does not end".to_owned()))
    }

    fn start(&mut self, chosen: usize) {
        self.note(format!("process {chosen} starts"));
        let policy = Policy {
            pace: Pace::fixed(Duration::from_secs(3)),
            // Longer than any task lasts (20 s) and any process
            // sleeps (64 s), so that few waits end before their task.
            wait_timeout: Duration::from_secs(90),
            ..Policy::default()
        };
        // Fewer than there are rows in most schedules, so that
        // jobs wait for each other. No poll waits for its rate.
        let batch = BatchLimits { submissions: 2, tasks: 3, polls_per_second: 1e6 };
        let limits = JobLimits {
            ahead: 1,
            uploads: 2,
            retry_failed: self.retry_failed,
            ..JobLimits::from(batch)
        };
        let budget = self.budget.map(|(limit, price)| {
            // A scope with a name is the same for every process and for each time the same is run again.
            let scope = self.store.open_scope(Some("the rows")).expect("memory takes it");
            let identities: Vec<_> = self.rows.iter().map(|row| row.identity).collect();
            self.store.add_to_scope(scope, &identities).expect("memory takes it");
            Budget { scope, limit, price }
        });
        let ahead = match self.rng.below(3) {
            // Up to two hours behind or ahead.
            0 => self.rng.below(14_400_000) as i64 - 7_200_000,
            _ => 0,
        };
        let now = Time::from_millis(self.now.as_millis().saturating_add_signed(ahead));
        self.processes[chosen] = Some(SimulatedProcess {
            machine: JobMachine::new(Arc::new(policy), limits, now),
            budget,
            row_journals: Vec::new(),
            pending: BTreeMap::new(),
            rows: (0..self.rows.len()).collect(),
            wakes_at: self.now,
            sleeps_until: None,
            lag: Duration::ZERO,
            ahead,
            lost: None,
            is_over: false,
        });
    }

    fn crash(&mut self, chosen: usize) {
        self.note(format!("process {chosen} crashes"));
        self.crashes += 1;
        self.disk.crash();
        // Its leases go with it, by which the store sees that it is gone.
        let Some(process) = self.processes[chosen].take() else { return };
        if self.mutation == Some(Mutation::ReuseOwner) {
            // Held on, they make its rows look as if the process that crashed went on.
            let held = process.row_journals.iter().filter_map(|(_, journal)| journal.upgrade());
            self.leaked.extend(held.map(|journal| journal as Arc<dyn effects_jobs::RowJournal>));
        }
    }

    /// One step of a process; where all wait, time passes.
    fn step(&mut self, chosen: usize) {
        // Taken out for its step, which needs the whole world; what
        // goes through the processes meanwhile sees the others.
        let Some(mut process) = self.processes[chosen].take() else { return };
        if process.sleeps_until.is_some_and(|until| until > self.now) {
            process.wakes_at = process.sleeps_until.unwrap_or(self.now);
        } else {
            process.sleeps_until = None;
            process.wakes_at = self.now;
            if let Some(lost) = process.lost.take() {
                self.look_up_write(chosen, &mut process, lost);
            }
            self.deliver(chosen, &mut process);
            self.do_step(chosen, &mut process);
        }
        self.processes[chosen] = Some(process);
        let awake =
            self.processes.iter().flatten().any(|it| !it.is_over && it.wakes_at <= self.now);
        // A process that is to be started has something to do now.
        if !awake && self.processes.iter().all(Option::is_some) {
            let running = self.processes.iter().flatten().filter(|it| !it.is_over);
            if let Some(next) = running.map(|it| it.wakes_at).min().filter(|at| *at < Time::MAX) {
                self.now = next;
            }
        }
    }

    fn do_step(&mut self, chosen: usize, process: &mut SimulatedProcess) {
        let now = self.clock(process);
        match process.machine.step(now) {
            JobStep::WantJobs(room) => {
                for _ in 0..room {
                    let Some(row) = process.rows.pop_front() else { break };
                    process.machine.add(self.work(row), true, row);
                }
                if process.rows.is_empty() {
                    process.machine.close();
                }
            }
            JobStep::Open(id, row) => {
                let found = self.open(chosen, process, row);
                process.machine.opened(now, id, row, Ok(Some(found)));
            }
            JobStep::Upload(id, row) => {
                let fails = self.rng.below(20) == 0;
                self.schedule(process, PendingEvent::Uploaded(id, row, !fails));
            }
            JobStep::Begin(id) => {
                // As a process draws one from its operating system.
                let seed = Seed::from(self.rng.next());
                process.machine.begin(id, Ok(seed), now);
            }
            JobStep::Record(run, entry) => self.record(chosen, process, run, &entry),
            JobStep::Send(run, call) => self.send(chosen, process, run, &call),
            JobStep::Settle(id, end) => {
                let row = process.machine.row_of(id).cloned();
                let journal: Option<Arc<dyn Journal>> = row.map(|row| row.journal());
                let settled = journal.map_or(Ok(()), |journal| journal.ended(&end));
                self.note(format!("process {chosen}: a run ends: {end:?}"));
                process.machine.settled(id, settled, true);
            }
            JobStep::Renewing(..) => self.note(format!("process {chosen} pays for a row anew")),
            JobStep::Fetch(id, row, effect) => {
                let event = match self.rng.below(10) {
                    0 => PendingEvent::NotFetched(id, row, effect),
                    _ => PendingEvent::Written(id, row, effect),
                };
                self.schedule(process, event);
            }
            JobStep::Notify(..) => {}
            JobStep::Done(row, JobEnd { outcome, .. }) => {
                self.note(format!("process {chosen}: row {row} is over: {outcome:?}"));
            }
            JobStep::Sleep(until) => {
                let arrival = process.pending.keys().next().map_or(Time::MAX, |(at, _)| *at);
                // The machine names a time by its own clock, and the world needs it by the world's.
                let until = until.as_millis().saturating_add_signed(-process.ahead);
                process.wakes_at = (Time::from_millis(until) + process.lag).min(arrival);
            }
            JobStep::Empty => process.is_over = true,
        }
    }

    fn work(&self, row: usize) -> Work {
        let checked = Checked {
            reference: None,
            template: Template::GlassBall,
            size: Size::DEFAULT,
            params: Default::default(),
        };
        if self.is_local[row] {
            return Work::Upload(checked);
        }
        Work::Submit(checked.with_reference(photo(row as u64).parse().expect("a URL")))
    }

    /// What a process takes the time for.
    fn clock(&self, process: &SimulatedProcess) -> Time {
        let now = self.now.as_millis().saturating_add_signed(process.ahead);
        Time::from_millis(now - process.lag.as_millis() as u64)
    }

    /// Schedules an event of a process, a random while from now.
    fn schedule(&mut self, process: &mut SimulatedProcess, event: PendingEvent) {
        self.events_scheduled += 1;
        let after = Duration::from_millis(20 + self.rng.below(2_000));
        // The number keeps apart, and in order, what arrives in the same millisecond.
        process.pending.insert((self.now + after, self.events_scheduled), event);
    }

    fn deliver(&mut self, chosen: usize, process: &mut SimulatedProcess) {
        let now = self.clock(process);
        while let Some(first) = process.pending.first_entry()
            && first.key().0 <= self.now
        {
            match first.remove() {
                PendingEvent::Answer(run, call, answer, _) => {
                    process.machine.reply(now, run, call, &result_of(answer));
                }
                PendingEvent::Uploaded(id, row, is_well) => {
                    let uploaded = match is_well {
                        true => Ok(photo(row as u64).parse().expect("a URL")),
                        false => {
                            let error = Error::new(ErrorKind::Upload, "the upload failed");
                            Err(PrepareError::Failed(error))
                        }
                    };
                    process.machine.uploaded(now, id, row, uploaded);
                }
                PendingEvent::Written(id, row, effect) => {
                    let path = self.file_of(row);
                    // Written and recorded are two events: a crash between them leaves a picture that the
                    // store does not know.
                    self.disk.write(&path, effect.task_id.as_str());
                    if self.mutation == Some(Mutation::RecordBeforeSync) {
                        self.record_saved_picture(process, id, row);
                    } else {
                        self.disk.sync(&path);
                    }
                    self.note(format!("process {chosen}: the picture of row {row} is written"));
                    self.schedule(process, PendingEvent::Saved(id, row, effect));
                }
                PendingEvent::Saved(id, row, effect) => {
                    // There is something to sync only where the mutation has recorded it before.
                    self.disk.sync(&self.file_of(row));
                    self.record_saved_picture(process, id, row);
                    self.note(format!("process {chosen}: the picture of row {row} is saved"));
                    process.machine.fetched(now, id, row, effect, Ok(()));
                }
                PendingEvent::NotFetched(id, row, effect) => {
                    let error = Error::new(ErrorKind::Download, "the download failed");
                    let failed = Err(FetchError { error, is_local: false });
                    process.machine.fetched(now, id, row, effect, failed);
                }
            }
        }
    }

    fn record_saved_picture(&self, process: &SimulatedProcess, id: JobId, row: usize) {
        if let Some(open) = process.machine.row_of(id) {
            open.picture_saved(0, &self.file_of(row), None).expect("memory takes it");
        }
    }

    /// The file that a process saves a row's picture to.
    fn file_of(&self, row: usize) -> PathBuf {
        match self.mutation {
            // Two rows share a file, so that the second picture replaces the first.
            Some(Mutation::SaveToWrongFile) => file(row / 2 * 2),
            _ => file(row),
        }
    }

    /// Opens a row; what there is to do for it.
    fn open(&mut self, chosen: usize, process: &mut SimulatedProcess, row: usize) -> Found {
        let opened = self.store.open(&self.rows[row]).expect("memory opens it");
        let found = self.found(process, row, opened);
        self.note(format!("process {chosen} opens row {row}: {}", name_of(&found)));
        found
    }

    fn found(&mut self, process: &mut SimulatedProcess, row: usize, opened: Opened) -> Found {
        let mut wrap = |inner: Arc<dyn effects_jobs::RowJournal>, record: Option<Record>| {
            let journal = FaultyRowJournal::new(inner, self.mutation, process.ahead);
            process.row_journals.push((row, Arc::downgrade(&journal)));
            OpenRow::new(journal, record)
        };
        let charged = |inner: &Arc<dyn effects_jobs::RowJournal>| {
            if self.mutation != Some(Mutation::ForgetReservation)
                && let Some(budget) = &process.budget
            {
                inner.charge_to(std::slice::from_ref(budget));
            }
        };
        match opened {
            Opened::Submit(inner) => {
                charged(&inner);
                Found::Submit(wrap(inner, None))
            }
            Opened::Watch(record, inner) => Found::Watch(wrap(inner, Some(record))),
            Opened::Finished(record, inner) => {
                if record.state.may_be_renewed() && record.renewals < self.retry_failed {
                    let inner = self.store.renew(record.number).expect("it may be renewed");
                    charged(&inner);
                    return Found::Submit(wrap(inner, Some(record)));
                }
                // As the command does: what was saved is looked for on the disk and not only in the journal.
                let is_saved = picture_of(&record).is_none_or(|(task, path)| {
                    path.is_some_and(|path| self.disk.task_in(path) == Some(task.as_str()))
                });
                match is_saved {
                    true => Found::Settled(wrap(inner, Some(record))),
                    false => Found::Watch(wrap(inner, Some(record))),
                }
            }
            Opened::Doubtful(record) => Found::Doubtful(record),
            Opened::Elsewhere(record) => {
                if let RowState::Intent { .. } = record.state {
                    match self.mutation {
                        Some(Mutation::TakeOverIntent) => {
                            // It is no row of the store, so that nothing hinders its submission.
                            return Found::Submit(OpenRow::new(
                                FaultyRowJournal::unrecorded(),
                                None,
                            ));
                        }
                        Some(Mutation::IgnoreLease) => self.expire_owners_of(row),
                        // By a clock that is further ahead than a lease lasts, every owner looks gone.
                        Some(Mutation::LeaseByOwnClock)
                            if process.ahead > LEASE.as_millis() as i64 =>
                        {
                            self.expire_owners_of(row);
                        }
                        _ => {}
                    }
                }
                Found::Elsewhere(record)
            }
        }
    }

    /// Lets every owner of a row pass for gone.
    fn expire_owners_of(&self, row: usize) {
        for process in self.processes.iter().flatten() {
            let held = process.row_journals.iter().filter(|(of, _)| *of == row);
            held.filter_map(|(_, journal)| journal.upgrade()).for_each(|journal| journal.release());
        }
    }

    fn record(&mut self, chosen: usize, process: &mut SimulatedProcess, run: RunId, entry: &Entry) {
        let Some(&row) = process.machine.known(run) else { return };
        let journal: Option<Arc<dyn Journal>> = process.machine.row(run).map(OpenRow::journal);
        if self.rng.below(60) == 0 {
            // In half the cases the write arrived, and its answer alone is lost.
            let answer = (self.rng.below(2) == 0).then(|| write(journal.as_deref(), entry));
            return self.lose_store(chosen, process, (run, entry.clone(), answer));
        }
        let answer = write(journal.as_deref(), entry);
        self.note(format!("process {chosen}: row {row} records {:?}: {answer:?}", entry.fact));
        let is_intent = matches!(entry.fact, Fact::Intent { .. }) && answer.is_ok();
        let now = self.clock(process);
        process.machine.recorded(now, run, entry, answer);
        // The moment that matters: the intent is durable, and nothing of it has left.
        if is_intent && self.rng.below(40) == 0 {
            self.suspend(chosen, process);
        }
    }

    /// The connection of a process to the store is lost, and with it the answer to a write.
    fn lose_store(
        &mut self,
        chosen: usize,
        process: &mut SimulatedProcess,
        (run, entry, answer): (RunId, Entry, Option<Result<Admission, JournalError>>),
    ) {
        // Shorter and longer than a lease (30 s), and than the third of one that `look_up_write` trusts.
        let unreachable_for = Duration::from_secs(1 + self.rng.below(60));
        let done = if answer.is_some() { "done" } else { "not done" };
        let (fact, seconds) = (&entry.fact, unreachable_for.as_secs());
        self.note(format!(
            "process {chosen} loses the store for {seconds} s: {fact:?} is {done}, its answer lost"
        ));
        process.lost = Some(LostWrite { run, entry, answer, unreachable_for });
        self.disconnect_for(process, unreachable_for);
    }

    /// The store is reached again: a write whose answer was lost is looked up. Found, it is done, unless the
    /// lease may have ended since; else it is done again.
    fn look_up_write(&mut self, chosen: usize, process: &mut SimulatedProcess, lost: LostWrite) {
        let LostWrite { run, entry, answer, unreachable_for } = lost;
        let journal: Option<Arc<dyn Journal>> = process.machine.row(run).map(OpenRow::journal);
        // The rule of the Postgres store (`is_fresh`): an older lease may end before the submission has left.
        let answer = match answer.filter(|_| unreachable_for < LEASE / 3) {
            _ if self.mutation == Some(Mutation::TrustLostCommit) => Ok(Admission::Admitted),
            Some(found) => found,
            None => write(journal.as_deref(), &entry),
        };
        self.note(format!("process {chosen} looks {:?} up: {answer:?}", entry.fact));
        let now = self.clock(process);
        process.machine.recorded(now, run, &entry, answer);
    }

    /// The computer of a process sleeps, with an intent that is not sent.
    fn suspend(&mut self, chosen: usize, process: &mut SimulatedProcess) {
        // Shorter and longer than the 10 s within which a recorded intent may be sent, and than a lease.
        let suspended_for = Duration::from_secs(5 + self.rng.below(60));
        self.note(format!("process {chosen} sleeps for {} s", suspended_for.as_secs()));
        if self.mutation == Some(Mutation::SleeperSendsLate) {
            // The clock that stood still does not tell the run that its intent is old.
            process.lag += suspended_for;
        }
        self.disconnect_for(process, suspended_for);
    }

    /// A process renews no lease for this long.
    fn disconnect_for(&self, process: &mut SimulatedProcess, unreachable_for: Duration) {
        process.sleeps_until = Some(self.now + unreachable_for);
        process.wakes_at = self.now + unreachable_for;
        if unreachable_for > LEASE {
            // Other processes take it for gone meanwhile.
            let journals = process.row_journals.iter().filter_map(|(_, journal)| journal.upgrade());
            journals.for_each(|journal| journal.release());
        }
    }

    fn send(&mut self, chosen: usize, process: &mut SimulatedProcess, run: RunId, call: &Call) {
        let Some(&row) = process.machine.known(run) else { return };
        let (answer, exchange_outcome, submits) = match &call.kind {
            CallKind::Submit { .. } => {
                // The service acts now and its answer comes later: a
                // crash in between loses the answer and not the task.
                let (answer, exchange_outcome) = self.service.create(row, self.now, &mut self.rng);
                (answer, exchange_outcome, Some(row))
            }
            CallKind::Poll { .. } if self.rng.below(100) < 15 => {
                (Answer::Lost("reset".to_owned()), "is lost", None)
            }
            CallKind::Poll { task } => {
                (self.service.look(task.as_str(), self.now), "is answered", None)
            }
        };
        self.note(format!("process {chosen}: row {row}'s call {exchange_outcome}"));
        self.schedule(process, PendingEvent::Answer(run, call.id, answer, submits));
    }

    /// A person finds out what became of a doubtful row, by the service's ledger.
    fn resolve_doubtful_row(&mut self) {
        let doubtful = (0..self.rows.len()).find_map(|row| {
            let record = self.record_of(row)?;
            matches!(record.state, RowState::Doubtful { .. }).then_some((row, record))
        });
        let Some((row, record)) = doubtful else { return };
        // The task that no row has is the one whose answer was lost.
        let unknown = self
            .service
            .tasks
            .iter()
            .enumerate()
            .find(|(number, task)| task.row == row && self.row_of_task(*number).is_none());
        let found = match unknown {
            Some((number, _)) => Resolution::Task(task_id(number)),
            None => Resolution::NotBilled,
        };
        let resolved = self.store.resolve(record.number, &found);
        self.note(format!("a person resolves row {row}: {found:?}: {resolved:?}"));
    }

    fn record_of(&self, row: usize) -> Option<Record> {
        self.store.find(&RowName::Identity(self.rows[row].identity)).ok().flatten()
    }

    fn row_of_task(&self, number: usize) -> Option<Record> {
        let name = RowName::Task(self.rows[0].origin.clone(), task_id(number));
        self.store.find(&name).ok().flatten()
    }

    /// Whether another run may come further: a row without a verdict, or without its picture.
    fn is_unfinished(&self) -> bool {
        (0..self.rows.len()).filter_map(|row| self.record_of(row)).any(|record| {
            let has_picture = picture_of(&record).is_none_or(|(_, path)| path.is_some());
            matches!(record.state, RowState::Created { .. } | RowState::Intent { .. })
                || !has_picture
        })
    }

    /// What must be true after every step.
    fn check(&self) -> Result<(), BrokenInvariant> {
        let fail = |what: String| Err(self.violation(what));
        // By row, the task before: a second one is allowed for
        // a failure that was seen, where failures are retried.
        let mut before: Vec<Option<&super::service::LedgerTask>> = vec![None; self.rows.len()];
        for (number, task) in self.service.tasks.iter().enumerate() {
            if let Some(earlier) = before[task.row].replace(task) {
                let failed = matches!(earlier.end, TaskEnd::Failed | TaskEnd::FailedAndBilled);
                if !(failed && earlier.is_seen && self.retry_failed > 0) {
                    return fail(format!("row {} was paid twice", task.row));
                }
            }
            if self.row_of_task(number).is_some() {
                continue;
            }
            let state = self.record_of(task.row).map(|record| record.state);
            // A task without a row is not lost while an intent or a doubt stands for it, and nothing asked
            // for it by its id.
            let may_be_known =
                matches!(state, Some(RowState::Intent { .. } | RowState::Doubtful { .. }));
            if task.is_polled || !may_be_known {
                return fail(format!("task {number} of row {} is lost: {state:?}", task.row));
            }
        }
        for row in 0..self.rows.len() {
            let Some(record) = self.record_of(row) else { continue };
            if let Some((task, Some(path))) = picture_of(&record)
                && self.disk.task_in(path) != Some(task.as_str())
            {
                let there = self.disk.task_in(path);
                return fail(format!("the picture of row {row} is not there, but {there:?}"));
            }
            // A process that slept may pass for gone with an answer on its way; one that is awake must not.
            if matches!(record.state, RowState::Doubtful { .. }) && self.is_submitting(row) {
                return fail(format!("row {row} is in doubt, and its answer is on its way"));
            }
        }
        let Some((limit, _)) = self.budget else { return Ok(()) };
        // By the service's ledger: the store's sums are what is being tested.
        let billed = self.service.tasks.iter().filter(|task| task.is_billed(self.now)).count();
        let cost = Decimal::from(billed as u64) * Decimal::new(3, 2);
        if cost > limit {
            return fail(format!("{cost} USD are billed, and the budget is {limit}"));
        }
        Ok(())
    }

    /// Whether a process that has not slept awaits the answer to a submission of a row.
    fn is_submitting(&self, row: usize) -> bool {
        let is_of =
            |it: &PendingEvent| matches!(it, PendingEvent::Answer(.., Some(of)) if *of == row);
        let awake = self.processes.iter().flatten().filter(|it| it.sleeps_until.is_none());
        awake.flat_map(|process| process.pending.values()).any(is_of)
    }

    /// What must be true at the end, too: every row is over, and what the store says was paid is what the
    /// service billed.
    fn check_end(&self) -> Result<(), BrokenInvariant> {
        for row in 0..self.rows.len() {
            let state = self.record_of(row).map(|record| record.state);
            if let Some(RowState::Intent { .. } | RowState::Created { .. }) = state {
                return Err(self.violation(format!("row {row} is held by no process: {state:?}")));
            }
        }
        let Some(scope) = self.processes.iter().flatten().find_map(|it| it.budget.as_ref()) else {
            return Ok(());
        };
        let state = self.store.scope(scope.scope).expect("memory knows it");
        let price = Decimal::new(3, 2);
        // The store may know of too much, since a lost submission stays reserved, and never of too little.
        let known = state.paid + state.reserved + price * Decimal::from(state.unpriced);
        let billed = self.service.tasks.iter().filter(|it| it.end != TaskEnd::Failed).count();
        let billed = price * Decimal::from(billed as u64);
        if known < billed || state.paid > billed {
            let what =
                format!("{billed} USD are billed, and the store knows of {known}: {state:?}");
            return Err(self.violation(what));
        }
        Ok(())
    }

    fn note(&mut self, line: impl fmt::Display) {
        let at = self.now.since(START);
        self.has_changed = true;
        self.transcript.push(format!("{:>8.3} s  {line}", at.as_secs_f64()));
    }

    fn violation(&self, what: String) -> BrokenInvariant {
        BrokenInvariant { seed: self.seed, what, transcript: self.transcript.clone() }
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.rng.below(bound as u64)).unwrap_or_default()
    }
}

/// Writes an entry of a run, whose row may have no journal.
fn write(journal: Option<&dyn Journal>, entry: &Entry) -> Result<Admission, JournalError> {
    journal.map_or(Ok(Admission::Admitted), |journal| journal.write(entry))
}

/// The task of a completed row, and the file of its picture where it was saved.
fn picture_of(record: &Record) -> Option<(&TaskId, Option<&PathBuf>)> {
    let RowState::Completed { task, pictures, .. } = &record.state else { return None };
    Some((task, pictures.first().and_then(|picture| picture.path.as_ref())))
}

fn row(number: u64) -> Row {
    let draft = RowDraft {
        origin: BaseUrl::parse(BaseUrl::DEFAULT, false).expect("a base URL").origin().clone(),
        template: Template::GlassBall,
        size: Size::DEFAULT,
        params: Default::default(),
        photo: RowPhoto::Url(photo(number).parse().expect("a URL")),
        key: None,
        tag: None,
        target: None,
    };
    draft.row(0).expect("a row")
}

fn photo(row: u64) -> String {
    format!("https://example.com/{row}.jpg")
}

fn file(row: usize) -> PathBuf {
    format!("/pictures/{row}.png").into()
}

fn task_id(number: usize) -> TaskId {
    format!("task-{number}").parse().expect("a task id")
}

fn name_of(found: &Found) -> &'static str {
    match found {
        Found::Submit(_) => "to be submitted",
        Found::Watch(..) => "to be followed",
        Found::Settled(..) => "finished",
        Found::Doubtful(_) => "doubtful",
        Found::Elsewhere(_) => "held by another run",
    }
}

const START: Time = Time::from_millis(1_764_000_000_000);
const MAX_STEPS: u64 = 200_000;
const MAX_CRASHES: u64 = 4;
/// How often the same is run again at most.
const MAX_PASSES: u32 = 3;
/// After this long without a renewal the owner of a row passes for gone.
const LEASE: Duration = Duration::from_secs(30);
