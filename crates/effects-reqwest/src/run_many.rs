//! Many runs at once, in one tokio task.
//!
//! That task drives the core's [`Batch`]; exchanges and journal writes run in tasks of their own,
//! so that writes which wait for the disk side by side are committed together. Jobs are drawn as
//! room comes, and ends wait in a bounded channel: neither a long list of jobs nor a slow reader of
//! ends takes memory.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use effects_client::{Ended, Job, Work, fresh_seed, telemetry, unrecorded};
use effects_core::{
    Answer, AsyncClock, AsyncJournal, AsyncTransport, Batch, BatchStep, Budget, Call, CallId,
    Effect, Entry, Error, JournalError, RunId, Time, Widths,
};
use futures_util::Stream;
use tokio::sync::mpsc::{
    Receiver, Sender, UnboundedReceiver, UnboundedSender, channel, unbounded_channel,
};
use tracing::{Instrument, Span};

use crate::client::Client;

/// The ends of many runs, as they come: a [`Stream`]. Made by [`Client::run_many`].
///
/// Dropping it stops the watching: what has not been submitted is not, and a submission in flight
/// runs in its task to its answer.
#[derive(Debug)]
pub struct RunMany {
    ends: Receiver<Ended>,
    stop: UnboundedSender<Arrival>,
}

impl RunMany {
    pub(crate) fn start<I>(client: &Client, jobs: I, widths: Widths, budget: Budget) -> Self
    where
        I: Iterator<Item = Job<Arc<dyn AsyncJournal>>> + Send + 'static,
    {
        let (tell, ends) = channel(ENDS);
        let (arrive, arrivals) = unbounded_channel();
        let stop = arrive.clone();
        let now = client.shared().clock.now();
        let batch = Batch::new(client.shared_policy(), widths, fresh_seed(), now);
        let driver = Driver {
            client: client.clone(),
            batch: batch.with_budget(budget).with_pacer(client.pacer().clone()),
            tell,
            rows: HashMap::new(),
            arrive,
            arrivals,
            drawn: 0,
        };
        tokio::spawn(driver.run(jobs));
        Self { ends, stop }
    }

    /// The next end; `None` when every job has ended.
    pub async fn next(&mut self) -> Option<Ended> {
        self.ends.recv().await
    }

    /// Stops the watching: the ends still to come tell what was known of each.
    pub fn stop(&self) {
        // The driver is gone only when everything has ended.
        let _ = self.stop.send(Arrival::Stop);
    }
}

impl Stream for RunMany {
    type Item = Ended;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Ended>> {
        self.ends.poll_recv(context)
    }
}

impl Drop for RunMany {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What comes back to the driver.
#[derive(Debug)]
enum Arrival {
    Answered(RunId, CallId, Answer),
    Written(RunId, Entry, Result<(), JournalError>),
    Stop,
}

struct Driver {
    client: Client,
    batch: Batch,
    tell: Sender<Ended>,
    rows: HashMap<RunId, Row>,
    arrive: UnboundedSender<Arrival>,
    arrivals: UnboundedReceiver<Arrival>,
    drawn: usize,
}

/// What the driver knows of a run beside the batch.
struct Row {
    index: usize,
    span: Span,
    journal: Option<Arc<dyn AsyncJournal>>,
}

impl Driver {
    async fn run(mut self, mut jobs: impl Iterator<Item = Job<Arc<dyn AsyncJournal>>>) {
        loop {
            // Every answer that is there is told before the batch looks at its time limits: an
            // answer that waited for the driver is not late.
            while let Ok(arrival) = self.arrivals.try_recv() {
                self.take(arrival).await;
            }
            match self.batch.step(self.now()) {
                BatchStep::Record(run, entry) => self.write(run, entry),
                BatchStep::Send(run, call) => self.send(run, call),
                BatchStep::Hungry(room) => self.feed(&mut jobs, room),
                BatchStep::Sleep(until) => {
                    let wait = until.since(self.now()).min(LONGEST_SLEEP);
                    if let Ok(Some(arrival)) =
                        tokio::time::timeout(wait, self.arrivals.recv()).await
                    {
                        self.take(arrival).await;
                    }
                }
                BatchStep::Notify(run, event) => {
                    if let Some(row) = self.rows.get(&run) {
                        telemetry::tell(&row.span, &event);
                    }
                }
                BatchStep::Done(run, outcome) => {
                    let result = outcome.into_result();
                    let result = result.map_err(|error| self.client.with_resume_line(error));
                    self.end(run, result).await;
                }
                BatchStep::Empty => return,
            }
        }
    }

    fn write(&self, run: RunId, entry: Entry) {
        let own = self.rows.get(&run).and_then(|row| row.journal.clone());
        let (client, arrive) = (self.client.clone(), self.arrive.clone());
        tokio::spawn(async move {
            let journal = own.as_deref().unwrap_or_else(|| client.journal());
            let written = journal.write(&entry).await;
            // The driver outlives every run whose entry is awaited.
            let _ = arrive.send(Arrival::Written(run, entry, written));
        });
    }

    fn send(&self, run: RunId, call: Call) {
        let span = self.rows.get(&run).map_or_else(Span::none, |row| row.span.clone());
        let (client, arrive) = (self.client.clone(), self.arrive.clone());
        let exchange = async move {
            let answer = client.shared().transport.send(&call).await;
            let _ = arrive.send(Arrival::Answered(run, call.id, answer));
        };
        tokio::spawn(exchange.instrument(span));
    }

    fn feed(&mut self, jobs: &mut impl Iterator<Item = Job<Arc<dyn AsyncJournal>>>, room: u32) {
        for _ in 0..room {
            let Some(Job { work, journal }) = jobs.next() else {
                return self.batch.feed_no_more();
            };
            let now = self.now();
            let (run, span) = match work {
                Work::Submit(request) => {
                    let span = telemetry::task_span(Some(request.template()), None);
                    (self.batch.submit(request, now), span)
                }
                Work::Watch { task, template, submitted } => {
                    let span = telemetry::task_span(template.as_ref(), Some(&task));
                    (self.batch.attach(task, template, submitted, now), span)
                }
            };
            self.rows.insert(run, Row { index: self.drawn, span, journal });
            self.drawn += 1;
        }
    }

    async fn take(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Answered(run, call, answer) => {
                self.batch.reply(self.now(), run, call, answer.as_reply());
            }
            Arrival::Written(run, entry, Ok(())) => self.batch.recorded(run, entry.id),
            Arrival::Written(run, entry, Err(error)) => {
                // Nothing is sent that is not on record, so this is the end of the run.
                self.batch.give_up(run);
                let error = unrecorded(&error, &entry);
                self.end(run, Err(self.client.with_resume_line(error))).await;
            }
            Arrival::Stop => self.batch.detach(self.now()),
        }
    }

    async fn end(&mut self, run: RunId, result: Result<Effect, Error>) {
        if let Some(Row { index, .. }) = self.rows.remove(&run) {
            // Nobody listens any more: what is in flight is still awaited.
            let _ = self.tell.send(Ended { index, result }).await;
        }
    }

    fn now(&self) -> Time {
        self.client.shared().clock.now()
    }
}

/// Ends that wait for a reader.
const ENDS: usize = 64;
/// The timer stands still while a laptop sleeps; the wall clock does not.
const LONGEST_SLEEP: Duration = Duration::from_secs(10);
