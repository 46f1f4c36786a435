//! [`Session`]: what the threads of a batch share. Once started ([`StartedSession`]), it has its caller's
//! source begin the rows by a [`RowStarter`], remembers which were begun and for which nothing was sent, and
//! sends the main thread what happens ([`SessionMessage`]).
//! `Batch::process_rows` starts one for `effects batch` and `effects watch`; `effects resume` and
//! `effects reorder` start their own.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use effects_client::{Job, JobContext, JobNotice, JobResult, Jobs, JobsHandle, JournalSession};
use effects_core::journal::RowNumber;
use effects_core::{Error, ErrorKind, Event};
use effects_jobs::{Identity, JobOutcome, Method};
use effects_ureq::Client;
use rust_decimal::Decimal;

use super::report::{RowReport, kept_after_failed_order};
use super::rows::RowLabel;
use crate::known_key::KnownKey;

/// What the threads of a batch share.
pub(crate) struct Session {
    client: Client,
    /// Over the journal, where there is one.
    pub(crate) journal_session: Option<JournalSession>,
    /// What a picture costs at most, as the user says.
    price: Option<MaxPrice>,
    state: Mutex<SessionState>,
    /// Answers that put something off.
    throttled: AtomicU64,
    sender: Sender<SessionMessage>,
}

/// What a picture costs at most, as the user says.
#[derive(Clone, Copy)]
pub(crate) struct MaxPrice {
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
    unreported: HashMap<usize, UnreportedRow>,
    /// The rows that nothing was sent for, by their places; with its job, where it can be begun again.
    unsent: HashMap<usize, Option<UnsentJob>>,
    /// The highest cost so far that is more than the user's price.
    highest_cost: Option<Decimal>,
}

/// A row that was begun.
#[derive(Clone, Debug)]
struct BegunRow {
    label: RowLabel,
    number: Option<RowNumber>,
    /// How the job gets its picture: kept, submitted or resumed. `None` until the job is begun.
    method: Option<Method>,
    /// Its job, where it can be begun again.
    job: Option<Job>,
}

/// The job of a row that nothing was sent for.
struct UnsentJob {
    label: RowLabel,
    job: Job,
    /// Why nothing was sent, where that may pass.
    failure: Option<PassingFailure>,
}

/// Why nothing was sent for a row, where its photo need not change for the next try to do better.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PassingFailure {
    pub(crate) since: Instant,
    /// Whether the photo could not be uploaded; otherwise it could not be read when its turn came.
    is_upload: bool,
}

/// A row that was begun and whose result is not yet reported.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UnreportedRow {
    /// By what the journal knows it.
    pub(crate) identity: Identity,
    /// How its job gets its picture, once that is known.
    pub(crate) method: Option<Method>,
}

/// A batch under way.
pub(crate) struct StartedSession {
    pub(crate) session: Arc<Session>,
    pub(crate) handle: JobsHandle,
    pub(crate) context: Arc<JobContext>,
}

/// What the main thread receives: of a session, of the listener to signals, and of its own clock.
pub(crate) enum SessionMessage {
    /// What became of a row.
    Report(Box<RowReport>),
    /// A row has a new task, which goes on.
    Submitted(Box<RowReport>),
    /// The row at this place, for which nothing was sent, is begun anew.
    BegunAnew(usize),
    /// A row's task failed, and there will be another; what the first one cost.
    FailedAndRenewed { line: Option<u64>, why: String, cost: Option<Decimal> },
    /// Something about a download that is repeated, a picture that is kept although it is odd, or a row that
    /// asks for what another does.
    Note(String),
    /// A line that a person must see, with --quiet too, and that ends nothing.
    NoteAlways(String),
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
pub(crate) struct RowStarter<'a> {
    session: &'a Session,
    jobs: SyncSender<Job>,
    handle: JobsHandle,
}

impl Session {
    pub(crate) fn new(
        client: Client,
        journal_session: Option<JournalSession>,
        price: Option<MaxPrice>,
        sender: Sender<SessionMessage>,
    ) -> Self {
        Self {
            client,
            journal_session,
            price,
            state: Mutex::default(),
            throttled: AtomicU64::new(0),
            sender,
        }
    }

    /// Starts everything: rows are begun by `source`, on a thread of its own.
    pub(crate) fn start(
        self: &Arc<Self>,
        jobs: Jobs<Client>,
        source: impl FnOnce(&RowStarter<'_>) -> Result<(), Error> + Send + 'static,
    ) -> Result<StartedSession, Error> {
        // Bounded, so that the manifest is read only as far ahead as the jobs need.
        let (send, receive) = sync_channel(READ_AHEAD);
        let (session, journal_session) = (Arc::clone(self), self.journal_session.clone());
        let jobs = jobs.on_notice(move |notice| session.on_notice(notice));
        let jobs = match journal_session {
            Some(journal_session) => jobs.journal_session(journal_session),
            None => jobs,
        };
        let results = jobs.run(receive)?;
        let (handle, context) = (results.handle(), Arc::clone(results.context()));
        let started = StartedSession { session: Arc::clone(self), handle: handle.clone(), context };
        let (session, halted) = (Arc::clone(self), handle);
        // A name tells a debugger, and a test, whether rows are still being read.
        let reading = thread::Builder::new().name("rows".to_owned()).spawn(move || {
            let handle = halted.clone();
            let starter = RowStarter { session: &session, jobs: send, handle };
            // A manifest that cannot be read further begins no more rows; those that run go on to their
            // ends.
            if let Err(error) = source(&starter) {
                halted.halt();
                session.send(SessionMessage::Fatal(error.exit_code(), error.to_string()));
            }
        });
        reading.map_err(|error| {
            Error::new(ErrorKind::Transport, format!("the machine has no thread to give: {error}"))
        })?;
        let session = Arc::clone(self);
        thread::spawn(move || {
            // One thread sends the ends of all jobs and then `Over`, so that no job's end comes after it.
            results.for_each(|result| session.end(result));
            session.send(SessionMessage::Over);
        });
        Ok(started)
    }

    /// Sends the main thread a message.
    pub(crate) fn send(&self, message: SessionMessage) {
        // The receiver is gone only once the process is about to end.
        let _ = self.sender.send(message);
    }

    /// Sends what became of a row; with its job, if that can be begun again, and why nothing was sent, where that
    /// may pass.
    fn send_report(&self, report: RowReport, job: Option<Job>, failure: Option<PassingFailure>) {
        let unsent_job = job.filter(|_| report.is_unsent()).map(|job| UnsentJob {
            label: report.label.clone(),
            job,
            failure,
        });
        // A watched photo may be written anew at any time: `begins_anew` then finds its row here. Held until
        // the report is sent, so that `BegunAnew` of the same row comes after it.
        let mut state = self.lock();
        if report.is_unsent() {
            state.unsent.insert(report.label.index, unsent_job);
        }
        self.send(SessionMessage::Report(Box::new(report)));
        drop(state);
    }

    fn begins_anew(&self, index: usize) -> bool {
        // Taken out, since the row is begun anew once for each end that it had.
        let is_unsent = self.lock().unsent.remove(&index).is_some();
        if is_unsent {
            self.send(SessionMessage::BegunAnew(index));
        }
        is_unsent
    }

    /// A row's label as it may be printed and kept.
    pub(crate) fn without_key(&self, label: RowLabel) -> RowLabel {
        label.without_key(|text| self.client.repeats_key(text))
    }

    /// Whether it replays a recording, so that nothing is paid.
    pub(crate) fn is_replay(&self) -> bool {
        self.client.policy().is_replay
    }

    /// How many answers put something off: a submission, or a look at a task.
    pub(crate) fn throttled(&self) -> u64 {
        self.throttled.load(Ordering::Relaxed)
    }

    /// What became of a row was reported to the user.
    pub(crate) fn mark_reported(&self, index: usize) {
        self.lock().unreported.remove(&index);
    }

    /// A row that was begun and whose result is not yet reported.
    pub(crate) fn unreported(&self, index: usize) -> Option<UnreportedRow> {
        self.lock().unreported.get(&index).copied()
    }

    fn end(&self, result: JobResult) {
        let Some(BegunRow { label, number, method, job }) = self.lock().rows.remove(&result.index)
        else {
            return;
        };
        // A new order of the row failed while this run followed it. The row is completed with its earlier
        // picture, so that its report alone would not tell of the failed order and its bill.
        if let (Some(Method::Resumed), Some(record)) = (method, &result.record)
            && let Some(kept) = kept_after_failed_order(record)
        {
            self.send(SessionMessage::Note(format!(
                "{}: {kept}",
                label.position(number.or(result.row))
            )));
        }
        let failure = PassingFailure::of(&result.outcome);
        let Some(report) = RowReport::of_result(label, result) else { return };
        self.send_report(report, job, failure);
    }

    fn on_notice(&self, notice: JobNotice) {
        let of = |index: usize| self.lock().rows.get(&index).cloned();
        match notice {
            JobNotice::Begun { index, method, .. } => {
                let mut state = self.lock();
                let Some(row) = state.rows.get_mut(&index) else { return };
                row.method = Some(method);
                let row_index = row.label.index;
                // After Ctrl-C the row may have no result: `Reporter::report_unfinished` then tells from this
                // how far it was.
                if let Some(unreported) = state.unreported.get_mut(&row_index) {
                    unreported.method = Some(method);
                }
            }
            JobNotice::Renewing { index, error } => {
                let Some(row) = of(index) else { return };
                let line = row.label.line;
                let cost = RowReport::of_error(row.label, &error).cost;
                // Sent now, since the row's own report has the cost of its last task alone.
                self.send(SessionMessage::FailedAndRenewed { line, why: error.to_string(), cost });
            }
            JobNotice::Event { index, is_download: true, event } => {
                let Some(row) = of(index) else { return };
                self.send(SessionMessage::Note(format!("{}: {event}", row.label.position(row.number))));
            }
            JobNotice::Event { index, event: Event::Submitted { task_id }, .. } => {
                let Some(BegunRow { label, number, .. }) = of(index) else { return };
                let report = RowReport::submitted(label, task_id).numbered(number);
                self.send(SessionMessage::Submitted(Box::new(report)));
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
                let position = row.label.position(row.number);
                self.send(SessionMessage::Note(format!("{position}: warning: {warning}")));
            }
        }
    }

    /// A picture cost this: what is more than the user said is a note, at once.
    fn check_price(&self, cost: Decimal) {
        let Some(MaxPrice { usd: price, is_reserved }) = self.price else { return };
        let mut state = self.lock();
        if cost <= price || state.highest_cost >= Some(cost) {
            return;
        }
        state.highest_cost = Some(cost);
        drop(state);
        let reserved = if is_reserved { ": from now on so much is reserved for each" } else { "" };
        self.send(SessionMessage::NoteAlways(format!(
            "warning: a picture cost {cost} USD, more than --price {price}{reserved}"
        )));
    }

    fn lock(&self) -> MutexGuard<'_, SessionState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RowStarter<'_> {
    /// Begins a row. `false` when the batch has stopped and takes no more rows.
    pub(crate) fn begin(&self, label: RowLabel, number: Option<RowNumber>, job: Job) -> bool {
        self.begin_row(label, number, job, None)
    }

    /// Begins a row that can be begun again where nothing is sent for it: see [`unsent_jobs`](Self::unsent_jobs).
    pub(crate) fn begin_repeatable(&self, label: RowLabel, job: Job) -> bool {
        self.begin_row(label, None, job.clone(), Some(job))
    }

    /// The places of the rows that ended with nothing sent and can be begun again, and why, where that may pass.
    pub(crate) fn unsent_jobs(&self) -> HashMap<usize, Option<PassingFailure>> {
        let state = self.session.lock();
        let failure =
            |(index, it): (&usize, &Option<UnsentJob>)| Some((*index, it.as_ref()?.failure));
        state.unsent.iter().filter_map(failure).collect()
    }

    /// Begins the row at this place again, as the same row, with its photo in this file.
    pub(crate) fn begin_again(&self, index: usize, photo: &Path) {
        let mut state = self.session.lock();
        let Some(UnsentJob { label, job, .. }) = state.unsent.remove(&index).flatten() else {
            return;
        };
        drop(state);
        self.session.send(SessionMessage::BegunAnew(index));
        self.begin_repeatable(label, job.with_photo_in(photo));
    }

    fn begin_row(
        &self,
        label: RowLabel,
        number: Option<RowNumber>,
        job: Job,
        repeated: Option<Job>,
    ) -> bool {
        let label = self.session.without_key(label);
        // The driver names a job by how many were sent before it, so that the count and the row have to
        // be there before the job is.
        let mut state = self.session.lock();
        let index = state.jobs;
        state.jobs += 1;
        if let Some(identity) = label.identity {
            state.unreported.insert(label.index, UnreportedRow { identity, method: None });
        }
        state.rows.insert(index, BegunRow { label, number, method: None, job: repeated });
        // The send waits while the queue is full, and the driver, which empties it, takes the lock for
        // its notices.
        drop(state);
        self.jobs.send(job).is_ok()
    }

    /// Whether the row at this place among the rows has ended and nothing was sent for it. Then it is
    /// begun anew: its report does not count any more.
    pub(crate) fn begins_anew(&self, index: usize) -> bool {
        self.session.begins_anew(index)
    }

    /// Whether nothing more is begun.
    pub(crate) fn is_over(&self) -> bool {
        self.handle.is_halted()
    }

    /// Sends a line for stderr, of which only the first of many are printed.
    pub(crate) fn note(&self, text: String) {
        self.session.send(SessionMessage::Note(text));
    }

    /// Sends a line that a person must see, with --quiet too.
    pub(crate) fn note_always(&self, text: String) {
        self.session.send(SessionMessage::NoteAlways(text));
    }

    /// Warns of a row.
    pub(crate) fn warn(&self, label: &RowLabel, why: &str) {
        self.session
            .send(SessionMessage::Note(format!("warning: {}: {why}", label.position(None))));
    }

    /// Sends the report of a row that is not begun.
    pub(crate) fn send_report(&self, report: RowReport) {
        let key = KnownKey::OfClient(self.session.client.clone());
        self.session.send_report(report.without_key(&key), None, None);
    }
}

impl PassingFailure {
    /// Of a row that was begun, so that its photo could be read before.
    fn of(outcome: &JobOutcome) -> Option<Self> {
        // Not by the row's status: a photo that cannot be read is told as refused, as one that is damaged or
        // another by now is, where the row has a task that failed.
        let JobOutcome::NotReady(error) = outcome else { return None };
        let is_upload = error.kind() == ErrorKind::Upload;
        // One that a storage does not take has been read, and it takes no more of it the next time.
        let is_unread = error.kind() == ErrorKind::UnusablePhoto && error.status().is_none();
        (is_upload || is_unread).then(|| Self { since: Instant::now(), is_upload })
    }

    /// What is done again after it, in words.
    pub(crate) fn what_is_done_again(self) -> &'static str {
        match self.is_upload {
            true => "a photo whose upload failed is uploaded again",
            false => "a photo that could not be read when its turn came is read again",
        }
    }
}

/// Rows read ahead, their photos not.
const READ_AHEAD: usize = 64;

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_row_is_told_to_be_begun_anew_only_after_what_became_of_it() {
        let (sender, woken) = mpsc::channel();
        let client = Client::builder().api_key("no-key-is-sent").build().unwrap();
        let session = Session::new(client, None, None, sender);
        for index in 0..10_000 {
            thread::scope(|scope| {
                let label = RowLabel { index, ..RowLabel::default() };
                let bad = RowReport::refused(label, ErrorKind::UnusablePhoto, String::new());
                scope.spawn(|| session.send_report(bad, None, None));
                while !session.begins_anew(index) {
                    thread::yield_now();
                }
            });
            assert!(matches!(woken.recv(), Ok(SessionMessage::Report(_))), "{index}");
            assert!(matches!(woken.recv(), Ok(SessionMessage::BegunAnew(_))), "{index}");
        }
    }
}
