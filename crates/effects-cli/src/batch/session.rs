//! [`Session`]: a batch under way. It starts the jobs of its rows (each given to a [`Beginner`]),
//! remembers which were begun, and sends the main thread what happens ([`BatchWake`]).
//! `Batch::carry_out` starts one for `effects batch` and `effects watch`; `effects resume` and
//! `effects reorder` start their own.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use effects_client::{Job, JobContext, JobNotice, JobResult, Jobs, JobsHandle, JournalSession};
use effects_core::journal::RowNumber;
use effects_core::{Error, Event};
use effects_jobs::{Identity, Method};
use effects_ureq::Client;
use rust_decimal::Decimal;

use super::report::{RowReport, kept_after_failed_order};
use super::rows::RowLabel;

/// What the threads of a batch share.
pub(crate) struct Session {
    client: Client,
    /// Over the journal, where there is one.
    pub(crate) journal_session: Option<JournalSession>,
    /// What a picture costs at most, as the user says.
    price: Option<MostCost>,
    state: Mutex<SessionState>,
    /// Answers that put something off.
    throttled: AtomicU64,
    tell: Sender<BatchWake>,
}

/// What a picture costs at most, as the user says.
#[derive(Clone, Copy)]
pub(crate) struct MostCost {
    pub(crate) usd: Decimal,
    /// Whether a budget reserves it for each submission.
    pub(crate) is_reserved: bool,
}

#[derive(Default)]
struct SessionState {
    /// How many jobs were begun.
    jobs: usize,
    /// The rows of jobs that have no result yet, by the jobs' places.
    rows: HashMap<usize, BegunRow>,
    /// Rows that were begun and whose result is not yet reported, by row index.
    untold: HashMap<usize, Untold>,
    /// Places among the rows of those that nothing was sent for.
    unsent: HashSet<usize>,
    /// The highest cost told that is more than the user's price.
    dearest: Option<Decimal>,
}

/// A row that was begun.
#[derive(Clone, Debug)]
struct BegunRow {
    told: RowLabel,
    number: Option<RowNumber>,
    /// How the job gets its picture: kept, submitted or resumed. `None` until the job is begun.
    method: Option<Method>,
}

/// A row that was begun and whose result is not yet reported.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Untold {
    /// By what the journal knows it.
    pub(crate) identity: Identity,
    /// How its job gets its picture, once that is known.
    pub(crate) method: Option<Method>,
}

/// A batch under way.
pub(crate) struct Started {
    pub(crate) session: Arc<Session>,
    pub(crate) handle: JobsHandle,
    pub(crate) context: Arc<JobContext>,
}

/// What a session sends the main thread.
pub(crate) enum BatchWake {
    /// What became of a row.
    Report(Box<RowReport>),
    /// A row that the journal has under this number already has a new task.
    Submitted(RowNumber),
    /// The row at this place, for which nothing was sent, is begun anew.
    BegunAnew(usize),
    /// A row's task failed, and there will be another; what the first one cost.
    FailedOnce { line: Option<u64>, why: String, cost: Option<Decimal> },
    /// Something about a download that is repeated, a picture that is kept although it is odd, or a row that
    /// asks for what another does.
    Odd(String),
    /// Something a person must know that ends nothing.
    Note(String),
    /// What ends the batch: the exit code and why.
    Fatal(u8, String),
    /// Nothing, for a while.
    Tick,
    /// Ctrl-C, SIGTERM or SIGHUP.
    Signal,
    /// Everything is over.
    Over,
}

/// Takes rows that are begun, one after the other, and sends them on their way.
pub(crate) struct Beginner<'a> {
    session: &'a Session,
    jobs: SyncSender<Job>,
    handle: JobsHandle,
}

impl Session {
    pub(crate) fn new(
        client: Client,
        journal_session: Option<JournalSession>,
        price: Option<MostCost>,
        tell: Sender<BatchWake>,
    ) -> Self {
        Self {
            client,
            journal_session,
            price,
            state: Mutex::default(),
            throttled: AtomicU64::new(0),
            tell,
        }
    }

    /// Starts everything: rows are begun by `source`, on a thread of its own.
    pub(crate) fn start(
        self: &Arc<Self>,
        jobs: Jobs<Client>,
        source: impl FnOnce(&Beginner<'_>) -> Result<(), Error> + Send + 'static,
    ) -> Result<Started, Error> {
        // Bounded, so that the manifest is read only as far ahead as the jobs need, and never held whole.
        let (send, receive) = sync_channel(READ_AHEAD);
        let (told, journal_session) = (Arc::clone(self), self.journal_session.clone());
        let jobs = jobs.on_notice(move |notice| told.note(notice));
        let jobs = match journal_session {
            Some(journal_session) => jobs.journal_session(journal_session),
            None => jobs,
        };
        let results = jobs.run(receive)?;
        let (handle, context) = (results.handle(), Arc::clone(results.context()));
        let started = Started { session: Arc::clone(self), handle: handle.clone(), context };
        let (reader, halted) = (Arc::clone(self), handle);
        thread::spawn(move || {
            let handle = halted.clone();
            let beginner = Beginner { session: &reader, jobs: send, handle };
            // A manifest that cannot be read further begins no more rows; those that run go on to their
            // ends.
            if let Err(error) = source(&beginner) {
                halted.halt();
                reader.tell(BatchWake::Fatal(error.exit_code(), error.to_string()));
            }
        });
        let taker = Arc::clone(self);
        thread::spawn(move || {
            // One thread sends the ends of all jobs and then `Over`, so that no job's end comes after it.
            results.for_each(|result| taker.end(result));
            taker.tell(BatchWake::Over);
        });
        Ok(started)
    }

    /// Sends the main thread a message.
    pub(crate) fn tell(&self, wake: BatchWake) {
        // The receiver is gone only once the process is about to end.
        let _ = self.tell.send(wake);
    }

    fn tell_of(&self, report: RowReport) {
        // A watched photo may be written anew at any time: `begins_anew` then finds its row here. Held until
        // the report is sent, so that `BegunAnew` of the same row comes after it.
        let mut state = self.lock();
        if report.is_unsent() {
            state.unsent.insert(report.told.index);
        }
        self.tell(BatchWake::Report(Box::new(report)));
        drop(state);
    }

    fn begins_anew(&self, index: usize) -> bool {
        // Taken out, since the row is begun anew once for each end that it had.
        let is_unsent = self.lock().unsent.remove(&index);
        if is_unsent {
            self.tell(BatchWake::BegunAnew(index));
        }
        is_unsent
    }

    /// A row's label as it may be told and kept.
    pub(crate) fn without_key(&self, told: RowLabel) -> RowLabel {
        told.without_key(|text| self.client.repeats_key(text))
    }

    /// How many answers put something off: a submission, or a look at a task.
    pub(crate) fn throttled(&self) -> u64 {
        self.throttled.load(Ordering::Relaxed)
    }

    /// What became of a row was told to the user.
    pub(crate) fn was_told(&self, index: usize) {
        self.lock().untold.remove(&index);
    }

    /// A row that was begun and whose result is not yet reported.
    pub(crate) fn untold(&self, index: usize) -> Option<Untold> {
        self.lock().untold.get(&index).copied()
    }

    fn end(&self, result: JobResult) {
        let Some(BegunRow { told, number, method }) = self.lock().rows.remove(&result.index) else {
            return;
        };
        // A new order of the row failed while this run followed it. The row is completed with its earlier
        // picture, so that its report alone would not tell of the failed order and its bill.
        if let (Some(Method::Resumed), Some(record)) = (method, &result.record)
            && let Some(kept) = kept_after_failed_order(record)
        {
            self.tell(BatchWake::Odd(format!("{}: {kept}", told.place(number.or(result.row)))));
        }
        let Some(report) = RowReport::of_result(told, result) else { return };
        self.tell_of(report);
    }

    fn note(&self, notice: JobNotice) {
        let of = |index: usize| self.lock().rows.get(&index).cloned();
        match notice {
            JobNotice::Begun { index, method, .. } => {
                let mut state = self.lock();
                let Some(row) = state.rows.get_mut(&index) else { return };
                row.method = Some(method);
                let place = row.told.index;
                // After Ctrl-C the row may have no result: `Reporter::note_the_rest` then tells from this
                // how far it was.
                if let Some(untold) = state.untold.get_mut(&place) {
                    untold.method = Some(method);
                }
            }
            JobNotice::Renewing { index, error } => {
                let Some(row) = of(index) else { return };
                let line = row.told.line;
                let cost = RowReport::of_error(row.told, &error).cost;
                // Told now, since the row's own report has the cost of its last task alone.
                self.tell(BatchWake::FailedOnce { line, why: error.to_string(), cost });
            }
            JobNotice::Event { index, is_download: true, event } => {
                let Some(row) = of(index) else { return };
                self.tell(BatchWake::Odd(format!("{}: {event}", row.told.place(row.number))));
            }
            JobNotice::Event { index, event: Event::Submitted { .. }, .. } => {
                // A batch knows no numbers beforehand; `reorder` does, and notes the new task in the
                // row's folder.
                if let Some(number) = of(index).and_then(|row| row.number) {
                    self.tell(BatchWake::Submitted(number));
                }
            }
            JobNotice::Billed { cost, .. } => self.check_price(cost),
            JobNotice::Event { event: Event::Retrying { error, .. }, .. }
                // The answers that put something off. A submission is repeated after a 503 only where its
                // JSON has a code of too many requests (docs/money.md).
                if error.rejection().is_some_and(|it| matches!(it.status, 425 | 429 | 503)) =>
            {
                self.throttled.fetch_add(1, Ordering::Relaxed);
            }
            // The main thread asks for outages itself.
            JobNotice::Event { .. } | JobNotice::Outage { .. } => {}
            JobNotice::Kept { index, warning } => {
                let Some(row) = of(index) else { return };
                let place = row.told.place(row.number);
                self.tell(BatchWake::Odd(format!("{place}: warning: {warning}")));
            }
        }
    }

    /// A picture cost this: more than the user said is told, at once.
    fn check_price(&self, cost: Decimal) {
        let Some(MostCost { usd: price, is_reserved }) = self.price else { return };
        let mut state = self.lock();
        if cost <= price || state.dearest >= Some(cost) {
            return;
        }
        state.dearest = Some(cost);
        drop(state);
        let reserved = if is_reserved { ": from now on so much is reserved for each" } else { "" };
        self.tell(BatchWake::Note(format!(
            "warning: a picture cost {cost} USD, more than --price {price}{reserved}"
        )));
    }

    fn lock(&self) -> MutexGuard<'_, SessionState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Beginner<'_> {
    /// Begins a row. `false` when the batch has stopped and takes no more rows.
    pub(crate) fn begin(&self, told: RowLabel, number: Option<RowNumber>, job: Job) -> bool {
        let told = self.session.without_key(told);
        // The driver names a job by how many were sent before it, so that the count and the row have to
        // be there before the job is.
        let mut state = self.session.lock();
        let index = state.jobs;
        state.jobs += 1;
        if let Some(identity) = told.identity {
            state.untold.insert(told.index, Untold { identity, method: None });
        }
        state.rows.insert(index, BegunRow { told, number, method: None });
        // The send waits while the queue is full, and the driver, which empties it, takes the lock for
        // its notices.
        drop(state);
        self.jobs.send(job).is_ok()
    }

    /// Whether the row at this place among the rows has ended and nothing was sent for it. Then it is
    /// begun anew: what was told of it does not count any more.
    pub(crate) fn begins_anew(&self, index: usize) -> bool {
        self.session.begins_anew(index)
    }

    /// Whether nothing more is begun.
    pub(crate) fn is_over(&self) -> bool {
        self.handle.is_halted()
    }

    /// Says something that ends nothing.
    pub(crate) fn say(&self, text: String) {
        self.session.tell(BatchWake::Odd(text));
    }

    /// Says something that a person must know.
    pub(crate) fn urge(&self, text: String) {
        self.session.tell(BatchWake::Note(text));
    }

    /// Warns of a row.
    pub(crate) fn warn(&self, told: &RowLabel, why: &str) {
        self.session.tell(BatchWake::Odd(format!("warning: {}: {why}", told.place(None))));
    }

    /// Tells what became of a row that is not begun.
    pub(crate) fn tell_of(&self, report: RowReport) {
        let report = RowReport { told: self.session.without_key(report.told), ..report };
        self.session.tell_of(report);
    }
}

/// Rows read ahead, their photos not.
const READ_AHEAD: usize = 64;

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use effects_core::ErrorKind;

    use super::*;

    #[test]
    fn a_row_is_told_to_be_begun_anew_only_after_what_became_of_it() {
        let (tell, woken) = mpsc::channel();
        let client = Client::builder().api_key("no-key-is-sent").build().unwrap();
        let session = Session::new(client, None, None, tell);
        for index in 0..10_000 {
            thread::scope(|scope| {
                let told = RowLabel { index, ..RowLabel::default() };
                let bad = RowReport::refused(told, ErrorKind::UnusablePhoto, String::new());
                scope.spawn(|| session.tell_of(bad));
                while !session.begins_anew(index) {
                    thread::yield_now();
                }
            });
            assert!(matches!(woken.recv(), Ok(BatchWake::Report(_))), "{index}");
            assert!(matches!(woken.recv(), Ok(BatchWake::BegunAnew(_))), "{index}");
        }
    }
}
