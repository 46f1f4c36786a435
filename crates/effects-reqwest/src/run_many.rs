//! Many runs at once, in one tokio task.
//!
//! That task drives the core's [`Batch`]; exchanges and journal writes run in tasks of their own,
//! so that writes which wait for the disk side by side are committed together. Jobs are drawn as
//! room comes, on a thread of their own, so that one that takes long to come (a photo to upload, a
//! file to read) holds up no poll; and only as far as ends are read: neither a long list of jobs nor
//! a slow reader of ends takes memory.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc;
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use effects_client::{Backlog, Ended, Job, Work, fresh_seed, telemetry, unrecorded};
use effects_core::{
    Answer, AsyncClock, AsyncJournal, AsyncTransport, Batch, BatchStep, Budget, Call, CallId,
    Cause, Detached, Effect, Entry, Error, JournalError, RunId, Time, Widths,
};
use futures_util::Stream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tracing::{Instrument, Span};

use crate::client::Client;

/// The ends of many runs, as they come: a [`Stream`]. Made by [`Client::run_many`].
///
/// Dropping it stops the watching: what has not been submitted is not, and a submission in flight
/// runs in its task to its answer.
#[derive(Debug)]
pub struct RunMany {
    ends: UnboundedReceiver<Ended>,
    backlog: Backlog,
    stop: UnboundedSender<Arrival>,
}

impl RunMany {
    pub(crate) fn start<I>(client: &Client, jobs: I, widths: Widths, budget: Budget) -> Self
    where
        I: Iterator<Item = Job<Arc<dyn AsyncJournal>>> + Send + 'static,
    {
        let (tell, ends) = unbounded_channel();
        let backlog = Backlog::default();
        let (arrive, arrivals) = unbounded_channel();
        let stop = arrive.clone();
        let now = client.shared().clock.now();
        let batch = Batch::new(client.shared_policy(), widths, fresh_seed(), now);
        let driver = Driver {
            client: client.clone(),
            batch: batch.with_budget(budget).with_pacer(client.pacer().clone()),
            tell,
            backlog: backlog.clone(),
            rows: HashMap::new(),
            arrive: arrive.clone(),
            arrivals,
            drawn: 0,
            hungry: 0,
            wished: 0,
            detached: false,
        };
        let (wish, wishes) = mpsc::channel();
        thread::spawn(move || draw(jobs, &wishes, &arrive));
        tokio::spawn(driver.run(wish));
        Self { ends, backlog, stop }
    }

    /// The next end; `None` when every job has ended.
    pub async fn next(&mut self) -> Option<Ended> {
        let ended = self.ends.recv().await;
        self.was_read(ended.as_ref());
        ended
    }

    /// Stops the watching: the ends still to come tell what was known of each.
    pub fn stop(&self) {
        // The driver is gone only when everything has ended.
        let _ = self.stop.send(Arrival::Stop);
    }

    fn was_read(&self, ended: Option<&Ended>) {
        if ended.is_some() && self.backlog.read() {
            // The driver is gone where nothing is left to draw.
            let _ = self.stop.send(Arrival::Room);
        }
    }
}

impl Stream for RunMany {
    type Item = Ended;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Ended>> {
        let polled = self.ends.poll_recv(context);
        if let Poll::Ready(ended) = &polled {
            self.was_read(ended.as_ref());
        }
        polled
    }
}

impl Drop for RunMany {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What comes back to the driver.
enum Arrival {
    Answered(RunId, CallId, Answer),
    Written(RunId, Entry, Result<(), JournalError>),
    /// The next job; `None` after the last.
    Drawn(Option<Box<Job<Arc<dyn AsyncJournal>>>>),
    /// The reader of ends has caught up.
    Room,
    Stop,
}

struct Driver {
    client: Client,
    batch: Batch,
    tell: UnboundedSender<Ended>,
    backlog: Backlog,
    rows: HashMap<RunId, Row>,
    arrive: UnboundedSender<Arrival>,
    arrivals: UnboundedReceiver<Arrival>,
    drawn: usize,
    /// Jobs there is room for, and of them those asked for that have not come.
    hungry: u32,
    wished: u32,
    detached: bool,
}

/// What the driver knows of a run beside the batch.
struct Row {
    index: usize,
    span: Span,
    journal: Option<Arc<dyn AsyncJournal>>,
}

impl Driver {
    async fn run(mut self, wish: mpsc::Sender<u32>) {
        loop {
            // Every answer that is there is told before the batch looks at its time limits: an
            // answer that waited for the driver is not late.
            while let Ok(arrival) = self.arrivals.try_recv() {
                self.take(arrival);
            }
            self.wish(&wish);
            match self.batch.step(self.now()) {
                BatchStep::Record(run, entry) => self.write(run, entry),
                BatchStep::Send(run, call) => self.send(run, call),
                BatchStep::Hungry(room) => self.hungry = room,
                BatchStep::Sleep(until) => {
                    let wait = until.since(self.now()).min(LONGEST_SLEEP);
                    if let Ok(Some(arrival)) =
                        tokio::time::timeout(wait, self.arrivals.recv()).await
                    {
                        self.take(arrival);
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
                    self.end(run, result);
                }
                BatchStep::Empty => return,
            }
        }
    }

    /// Asks for as many jobs as there is room for, if somebody reads the ends of those before.
    fn wish(&mut self, wish: &mpsc::Sender<u32>) {
        if self.hungry > 0 && !self.backlog.is_full() {
            let room = std::mem::take(&mut self.hungry);
            // The thread that draws ends only after the last job.
            let _ = wish.send(room.saturating_sub(self.wished));
            self.wished = self.wished.max(room);
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

    fn feed(&mut self, job: Option<Box<Job<Arc<dyn AsyncJournal>>>>) {
        let Some(job) = job else { return self.batch.feed_no_more() };
        self.wished = self.wished.saturating_sub(1);
        let index = self.drawn;
        self.drawn += 1;
        let Job { work, journal } = *job;
        if self.detached {
            // It came too late to be begun.
            let task_id = match work {
                Work::Submit(_) => None,
                Work::Watch { task, .. } => Some(task),
            };
            let error = Error::from(Cause::Detached(Detached { task_id }));
            return self.tell(index, Err(self.client.with_resume_line(error)));
        }
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
        self.rows.insert(run, Row { index, span, journal });
    }

    fn take(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Answered(run, call, answer) => {
                self.batch.reply(self.now(), run, call, answer.as_reply());
            }
            Arrival::Written(run, entry, Ok(())) => self.batch.recorded(run, entry.id),
            Arrival::Written(run, entry, Err(error)) => {
                // Nothing is sent that is not on record, so this is the end of the run.
                self.batch.give_up(run);
                let error = unrecorded(&error, &entry);
                self.end(run, Err(self.client.with_resume_line(error)));
            }
            Arrival::Drawn(job) => self.feed(job),
            // The next wish is granted.
            Arrival::Room => {}
            Arrival::Stop => {
                self.detached = true;
                self.batch.detach(self.now());
            }
        }
    }

    fn end(&mut self, run: RunId, result: Result<Effect, Error>) {
        if let Some(Row { index, .. }) = self.rows.remove(&run) {
            self.tell(index, result);
        }
    }

    fn tell(&self, index: usize, result: Result<Effect, Error>) {
        self.backlog.told();
        // Where nobody listens any more, what is in flight is still awaited.
        let _ = self.tell.send(Ended { index, result });
    }

    fn now(&self) -> Time {
        self.client.shared().clock.now()
    }
}

/// Draws as many jobs as are wished for, until there are no more or the driver is gone.
fn draw(
    mut jobs: impl Iterator<Item = Job<Arc<dyn AsyncJournal>>>,
    wishes: &mpsc::Receiver<u32>,
    arrive: &UnboundedSender<Arrival>,
) {
    while let Ok(wished) = wishes.recv() {
        for _ in 0..wished {
            let job = jobs.next().map(Box::new);
            let last = job.is_none();
            if arrive.send(Arrival::Drawn(job)).is_err() || last {
                return;
            }
        }
    }
}

/// The timer stands still while a laptop sleeps; the wall clock does not.
const LONGEST_SLEEP: Duration = Duration::from_secs(10);
