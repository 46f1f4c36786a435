//! Many runs at once, on a few threads.
//!
//! One thread drives the core's [`Batch`] and makes no exchange itself; a few workers make them.
//! Jobs are drawn as room comes, on a thread of their own, so that one that takes long to come (a
//! photo to upload, a file to read) holds up no poll; and only as far as ends are read: neither a
//! long list of jobs nor a slow reader of ends takes memory.

use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use effects_client::{
    Backlog, Begin, Ended, Job, Queue, Rows, Stopper, draw, telemetry, too_late, unrecorded,
};
use effects_core::{
    Admission, Batch, BatchStep, Call, CallId, CallResult, Effect, Entry, Error, Journal,
    JournalError, Outage, Outcome, RowEnd, RunId, Time, Widths,
};
use tracing::Span;

use crate::client::Client;

/// The ends of many runs, as they come. Made by [`Client::run_many`].
///
/// Dropping it stops the watching: what has not been submitted is not, and a submission in flight
/// is awaited.
#[derive(Debug)]
pub struct RunMany {
    ends: Receiver<Ended>,
    backlog: Backlog,
    arrive: mpsc::Sender<Arrival>,
    stopper: Stopper,
    driver: Option<JoinHandle<()>>,
}

impl RunMany {
    pub(crate) fn start<I>(client: &Client, jobs: I, widths: Widths) -> Self
    where
        I: Iterator<Item = Job<Arc<dyn Journal>>> + Send + 'static,
    {
        let (tell, ends) = channel();
        let stopper = Stopper::default();
        let driver = Driver::new(client, widths, stopper.clone(), tell);
        let (backlog, arrive) = (driver.queue.backlog().clone(), driver.arrive.clone());
        let driver = thread::spawn(move || driver.run(jobs));
        Self { ends, backlog, arrive, stopper, driver: Some(driver) }
    }

    /// What ends it from another thread.
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }
}

impl Iterator for RunMany {
    type Item = Ended;

    fn next(&mut self) -> Option<Ended> {
        let ended = self.ends.recv().ok()?;
        if self.backlog.read() {
            // The driver is gone where nothing is left to draw.
            let _ = self.arrive.send(Arrival::Room);
        }
        Some(ended)
    }
}

impl Drop for RunMany {
    fn drop(&mut self) {
        self.stopper.stop();
        if let Some(driver) = self.driver.take() {
            // A panic there has been told on its own thread.
            let _ = driver.join();
        }
    }
}

/// What a worker does for the driver. Journals are written there too: writes that wait for the disk
/// side by side are committed together.
enum Errand {
    Exchange(RunId, Call, Span),
    Write(RunId, Entry, Option<Arc<dyn Journal>>),
}

/// What a worker brings back.
enum Arrival {
    Answered(RunId, CallId, CallResult),
    Written(RunId, Entry, Result<Admission, JournalError>),
    /// The next job; `None` after the last.
    Drawn(Option<Box<Job<Arc<dyn Journal>>>>),
    /// The reader of ends has caught up.
    Room,
}

struct Driver {
    client: Client,
    batch: Batch,
    stopper: Stopper,
    /// As the stopper was last told.
    outage: Option<Outage>,
    detached: bool,
    tell: mpsc::Sender<Ended>,
    queue: Queue,
    rows: Rows<usize, Arc<dyn Journal>>,
    errands: mpsc::Sender<Errand>,
    arrive: mpsc::Sender<Arrival>,
    arrivals: Receiver<Arrival>,
    /// Errands under way, and workers to do them: no call waits for one, since its time runs.
    out: usize,
    workers: usize,
}

impl Driver {
    fn new(client: &Client, widths: Widths, stopper: Stopper, tell: mpsc::Sender<Ended>) -> Self {
        let (errands, queue) = channel();
        let (arrive, arrivals) = channel();
        let queue = Arc::new(Mutex::new(queue));
        let workers = workers(&widths);
        for _ in 0..workers {
            let (client, queue, arrive) = (client.clone(), Arc::clone(&queue), arrive.clone());
            thread::spawn(move || work(&client, &queue, &arrive));
        }
        let now = client.shared().clock.now();
        let batch = Batch::new(client.shared_policy(), widths, now);
        Self {
            client: client.clone(),
            batch: batch.with_pacer(client.pacer().clone()),
            stopper,
            outage: None,
            detached: false,
            tell,
            queue: Queue::default(),
            rows: Rows::new(),
            errands,
            arrive,
            arrivals,
            out: 0,
            workers,
        }
    }

    fn run(mut self, jobs: impl Iterator<Item = Job<Arc<dyn Journal>>> + Send + 'static) {
        let (wish, wishes) = channel();
        let arrive = self.arrive.clone();
        thread::spawn(move || draw(jobs, wishes, |job| arrive.send(Arrival::Drawn(job)).is_ok()));
        loop {
            self.take_arrivals();
            let now = self.now();
            if self.stopper.is_stopped() && !std::mem::replace(&mut self.detached, true) {
                self.batch.detach(now);
            }
            let outage = self.batch.outage();
            if outage != self.outage.as_ref() {
                self.outage = outage.cloned();
                self.stopper.set_outage(self.outage.clone());
            }
            if let Some(wished) = self.queue.wish() {
                // The thread that draws ends only after the last job.
                let _ = wish.send(wished);
            }
            if self.out >= self.workers {
                self.wait(LONGEST_SLEEP);
                continue;
            }
            match self.batch.step(now) {
                BatchStep::Record(run, entry) => {
                    let journal = self.rows.journal(run).cloned();
                    self.give(Errand::Write(run, entry, journal));
                }
                BatchStep::Send(run, call) => {
                    let span = self.rows.span(run);
                    self.stopper.set_submitting(self.batch.posting() > 0);
                    self.give(Errand::Exchange(run, call, span));
                }
                BatchStep::WantRuns(room) => self.queue.make_room(room),
                BatchStep::Sleep(until) => {
                    self.wait(until.since(self.now()).min(LONGEST_SLEEP));
                }
                BatchStep::Notify(run, event) => telemetry::tell(&self.rows.span(run), &event),
                BatchStep::Done(run, outcome) => {
                    self.settle(run, &outcome);
                    let result = outcome.into_result();
                    self.end(run, result.map_err(|error| self.client.with_resume_line(error)));
                }
                BatchStep::Empty => return,
            }
        }
    }

    fn feed(&mut self, job: Option<Box<Job<Arc<dyn Journal>>>>) {
        let Some(job) = job else { return self.batch.feed_no_more() };
        let index = self.queue.came();
        if self.detached {
            return self.tell(index, Err(self.client.with_resume_line(too_late(&job))));
        }
        let now = self.now();
        let begun = self.rows.begin(&mut self.batch, *job, index, Begin::InTurn, now);
        if let Err((index, error)) = begun {
            self.tell(index, Err(error));
        }
    }

    /// Tells the journal how a run ended, before any other run asks whether its budget has changed.
    fn settle(&self, run: RunId, outcome: &Outcome) {
        let journal = self.rows.journal(run).map(Arc::as_ref);
        let settled =
            journal.unwrap_or_else(|| self.client.journal()).ended(&RowEnd::of_outcome(outcome));
        if let Err(error) = settled {
            // The run has its outcome all the same, and the journal's next flush fails.
            tracing::warn!("the end of a run could not be recorded: {error}");
        }
    }

    fn end(&mut self, run: RunId, result: Result<Effect, Error>) {
        if let Some(index) = self.rows.remove(run) {
            self.tell(index, result);
        }
    }

    fn tell(&self, index: usize, result: Result<Effect, Error>) {
        self.queue.backlog().told();
        // Where nobody listens any more, what is in flight is still awaited.
        let _ = self.tell.send(Ended { index, result });
    }

    fn give(&mut self, errand: Errand) {
        self.out += 1;
        // The workers end only after the driver.
        let _ = self.errands.send(errand);
    }

    /// Every answer that is there is told before the batch looks at its time limits: an answer that
    /// waited for the driver is not late.
    fn take_arrivals(&mut self) {
        while let Ok(arrival) = self.arrivals.try_recv() {
            self.arrive(arrival);
        }
    }

    fn wait(&mut self, wait: Duration) {
        match self.arrivals.recv_timeout(wait) {
            Ok(arrival) => self.arrive(arrival),
            // The workers hold the other end as long as the driver lives.
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
    }

    fn arrive(&mut self, arrival: Arrival) {
        if let Arrival::Answered(..) | Arrival::Written(..) = arrival {
            self.out -= 1;
        }
        match arrival {
            Arrival::Answered(run, call, result) => {
                self.batch.reply(self.now(), run, call, &result);
                self.stopper.set_submitting(self.batch.posting() > 0);
            }
            Arrival::Drawn(job) => self.feed(job),
            // The next wish is granted.
            Arrival::Room => {}
            Arrival::Written(run, entry, Ok(admission)) => {
                self.batch.admission(self.now(), run, entry.id, &admission);
            }
            Arrival::Written(run, entry, Err(error)) => {
                // Nothing is sent that is not on record, so this is the end of the run.
                self.batch.give_up(run);
                let error = self.client.with_resume_line(unrecorded(&error, &entry));
                telemetry::tell_unrecorded(&self.rows.span(run), &error);
                self.end(run, Err(error));
            }
        }
    }

    fn now(&self) -> Time {
        self.client.shared().clock.now()
    }
}

/// A worker: does one errand after the other until the driver is gone.
fn work(client: &Client, errands: &Mutex<Receiver<Errand>>, arrive: &mpsc::Sender<Arrival>) {
    loop {
        let errand = errands.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let arrival = match errand {
            Err(_) => return,
            Ok(Errand::Exchange(run, call, span)) => {
                let _entered = span.enter();
                Arrival::Answered(run, call.id, client.shared().gateway.call(&call))
            }
            Ok(Errand::Write(run, entry, journal)) => {
                let journal = journal.as_deref().unwrap_or_else(|| client.journal());
                let written = journal.write(&entry);
                Arrival::Written(run, entry, written)
            }
        };
        if arrive.send(arrival).is_err() {
            return;
        }
    }
}

/// Exchanges in flight at once, a thread each: as many as these widths make where an exchange takes a
/// tenth of a second.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast saturates")]
fn workers(widths: &Widths) -> usize {
    let polls = (widths.polls_per_second * 0.1) as usize;
    let submissions = usize::try_from(widths.submissions).unwrap_or(usize::MAX);
    polls.saturating_add(submissions).clamp(FEWEST_WORKERS, MOST_WORKERS)
}

const FEWEST_WORKERS: usize = 4;
const MOST_WORKERS: usize = 64;
/// A stop is noticed after this at the latest.
const LONGEST_SLEEP: Duration = Duration::from_millis(100);
