//! The tokio task that drives a [`Batch`], wherever its runs come from and whoever waits for them.
//!
//! Exchanges run in tasks of their own, and so do journal writes that take their time, so that
//! writes which wait for the disk side by side are committed together.

use std::sync::Arc;
use std::time::Duration;

use effects_client::{Begin, Job, Rows, telemetry, unrecorded};
use effects_core::{
    Admission, AsyncClock, AsyncJournal, Batch, BatchStep, Call, CallId, CallResult, Effect, Entry,
    Error, JournalError, Outcome, RowEnd, RunId, Time,
};
use futures_util::FutureExt;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tracing::Instrument;

use crate::client::Client;

/// A job of the async client.
pub(crate) type AsyncJob = Job<Arc<dyn AsyncJournal>>;

/// Where a driver's runs come from, and who waits for them.
pub(crate) trait Crowd: Send + 'static {
    /// What it sends to its driver.
    type Word: Send + 'static;
    /// What it knows of a run.
    type Known: Send + 'static;

    /// Something it sent arrived.
    fn hear(&mut self, word: Self::Word, driver: &mut Driving<Self::Known>);
    /// There is room for so many more runs.
    fn make_room(&mut self, room: u32);
    /// A run is over.
    fn end(&mut self, known: Self::Known, result: Result<Effect, Error>, client: &Client);
    /// Called before every step.
    fn before_step(&mut self, _batch: &Batch) {}
}

/// What comes back to the driver. Thousands may come at once, so each is small.
pub(crate) enum Arrival<W> {
    Answered(Box<(RunId, CallId, CallResult)>),
    Written(Box<(RunId, Entry, Result<Admission, JournalError>)>),
    Word(W),
}

/// A driver, and the crowd it works for.
pub(crate) struct Driver<C: Crowd> {
    crowd: C,
    driving: Driving<C::Known>,
    arrive: UnboundedSender<Arrival<C::Word>>,
    arrivals: UnboundedReceiver<Arrival<C::Word>>,
}

/// A batch being driven.
pub(crate) struct Driving<K> {
    client: Client,
    pub(crate) batch: Batch,
    rows: Rows<K, Arc<dyn AsyncJournal>>,
}

impl<K> Driving<K> {
    /// Begins a job. Where it cannot, it gives back whom it was for.
    pub(crate) fn begin(
        &mut self,
        job: AsyncJob,
        known: K,
        begin: Begin,
    ) -> Result<(), (K, Error)> {
        let now = self.now();
        self.rows.begin(&mut self.batch, job, known, begin, now)
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Stops watching the runs of which this holds.
    pub(crate) fn detach_those(&mut self, which: impl Fn(&K) -> bool) {
        let now = self.now();
        for (run, known) in self.rows.iter() {
            if which(known) {
                self.batch.detach_run(run, now);
            }
        }
    }

    pub(crate) fn with_resume_line(&self, error: Error) -> Error {
        self.client.with_resume_line(error)
    }

    pub(crate) fn now(&self) -> Time {
        self.client.shared().clock.now()
    }
}

impl<C: Crowd> Driver<C> {
    /// A driver, and what it is sent words with.
    pub(crate) fn new(
        client: &Client,
        batch: Batch,
        crowd: C,
    ) -> (Self, UnboundedSender<Arrival<C::Word>>) {
        let (arrive, arrivals) = unbounded_channel();
        let batch = batch.with_pacer(client.pacer().clone());
        let driving = Driving { client: client.clone(), batch, rows: Rows::new() };
        (Self { crowd, driving, arrive: arrive.clone(), arrivals }, arrive)
    }

    /// Drives until every run is over and no more are to come.
    pub(crate) async fn run(mut self) {
        loop {
            // Every answer that is there is told before the batch looks at its time limits: an
            // answer that waited for the driver is not late.
            while let Ok(arrival) = self.arrivals.try_recv() {
                self.take(arrival);
            }
            self.crowd.before_step(&self.driving.batch);
            let now = self.driving.now();
            match self.driving.batch.step(now) {
                BatchStep::Record(run, entry) => self.write(run, entry),
                BatchStep::Send(run, call) => self.send(run, call),
                BatchStep::WantRuns(room) => self.crowd.make_room(room),
                BatchStep::Sleep(until) => {
                    let wait = until.since(self.driving.now()).min(LONGEST_SLEEP);
                    if let Ok(Some(arrival)) =
                        tokio::time::timeout(wait, self.arrivals.recv()).await
                    {
                        self.take(arrival);
                    }
                }
                BatchStep::Notify(run, event) => {
                    telemetry::tell(&self.driving.rows.span(run), &event);
                }
                BatchStep::Done(run, outcome) => {
                    self.settle(run, &outcome);
                    self.end(run, outcome.into_result());
                }
                BatchStep::Empty => return,
            }
        }
    }

    /// Writes an entry: at once where the journal needs no waiting for, else in a task of its own.
    fn write(&mut self, run: RunId, entry: Entry) {
        let own = self.driving.rows.journal(run).cloned();
        let client = self.driving.client.clone();
        let mut writing = Box::pin(async move {
            let journal = own.as_deref().unwrap_or_else(|| client.journal());
            let written = journal.write(&entry).await;
            (entry, written)
        });
        if let Some((entry, written)) = (&mut writing).now_or_never() {
            return self.written(run, &entry, written);
        }
        let arrive = self.arrive.clone();
        tokio::spawn(async move {
            let (entry, written) = writing.await;
            // The driver outlives every run whose entry is awaited.
            let _ = arrive.send(Arrival::Written(Box::new((run, entry, written))));
        });
    }

    fn send(&self, run: RunId, call: Call) {
        let span = self.driving.rows.span(run);
        let (client, arrive) = (self.driving.client.clone(), self.arrive.clone());
        let exchange = async move {
            let result = client.shared().gateway.call_async(&call).await;
            let _ = arrive.send(Arrival::Answered(Box::new((run, call.id, result))));
        };
        tokio::spawn(exchange.instrument(span));
    }

    fn take(&mut self, arrival: Arrival<C::Word>) {
        match arrival {
            Arrival::Answered(answered) => {
                let (run, call, result) = *answered;
                let now = self.driving.now();
                self.driving.batch.reply(now, run, call, &result);
            }
            Arrival::Written(written) => {
                let (run, entry, written) = *written;
                self.written(run, &entry, written);
            }
            Arrival::Word(word) => self.crowd.hear(word, &mut self.driving),
        }
    }

    fn written(&mut self, run: RunId, entry: &Entry, written: Result<Admission, JournalError>) {
        match written {
            Ok(admission) => {
                let now = self.driving.now();
                self.driving.batch.admission(now, run, entry.id, &admission);
            }
            Err(error) => {
                // Nothing is sent that is not on record, so this is the end of the run.
                self.driving.batch.give_up(run);
                let error = self.driving.with_resume_line(unrecorded(&error, entry));
                telemetry::tell_unrecorded(&self.driving.rows.span(run), &error);
                self.end(run, Err(error));
            }
        }
    }

    /// Tells the journal how a run ended, before any other run asks whether its budget has changed.
    fn settle(&self, run: RunId, outcome: &Outcome) {
        let journal = self.driving.rows.journal(run).map(Arc::as_ref);
        let settled = journal
            .unwrap_or_else(|| self.driving.client.journal())
            .ended(&RowEnd::of_outcome(outcome));
        if let Err(error) = settled {
            // The run has its outcome all the same, and the journal's next flush fails.
            tracing::warn!("the end of a run could not be recorded: {error}");
        }
    }

    fn end(&mut self, run: RunId, result: Result<Effect, Error>) {
        if let Some(known) = self.driving.rows.remove(run) {
            let result = result.map_err(|error| self.driving.with_resume_line(error));
            self.crowd.end(known, result, &self.driving.client);
        }
    }
}

/// The timer stands still while a laptop sleeps; the wall clock does not.
const LONGEST_SLEEP: Duration = Duration::from_secs(10);
