//! Many runs at once, in one tokio task.
//!
//! Jobs are drawn as room comes, on a thread of its own, so that one that takes long to come (a
//! photo to upload, a file to read) holds up no poll; and only as far as ends are read: neither a
//! long list of jobs nor a slow reader of ends takes memory.

use std::mem::{Discriminant, discriminant};
use std::pin::Pin;
use std::sync::mpsc;
use std::task::{Context, Poll};
use std::thread;

use effects_client::{Backlog, Begin, Ended, Queue, draw, telemetry, too_late};
use effects_core::{AsyncClock, Batch, Effect, Error, Outage, OutageFailure, Widths};
use futures_util::Stream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::client::Client;
use crate::driver::{Arrival, AsyncJob, Crowd, Driver, Driving};

/// The ends of many runs, as they come: a [`Stream`]. Made by [`Client::run_many`].
///
/// Dropping it stops the watching: what has not been submitted is not, and a submission in flight
/// runs in its task to its answer.
#[derive(Debug)]
pub struct RunMany {
    ends: UnboundedReceiver<Ended>,
    backlog: Backlog,
    words: Words,
}

type Words = UnboundedSender<Arrival<Word>>;

impl RunMany {
    pub(crate) fn start<I>(client: &Client, jobs: I, widths: Widths) -> Self
    where
        I: Iterator<Item = AsyncJob> + Send + 'static,
    {
        let (tell, ends) = unbounded_channel();
        let (wish, wishes) = mpsc::channel();
        let queue = Queue::default();
        let backlog = queue.backlog().clone();
        let drawn = Drawn { tell, wish, queue, detached: false, outage: None };
        let now = client.shared().clock.now();
        let batch = Batch::new(client.shared_policy(), widths, now);
        let (driver, words) = Driver::new(client, batch, drawn);
        let drawer = words.clone();
        thread::spawn(move || {
            draw(jobs, wishes, |job| drawer.send(Arrival::Word(Word::Drawn(job))).is_ok());
        });
        tokio::spawn(driver.run());
        Self { ends, backlog, words }
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
        let _ = self.words.send(Arrival::Word(Word::Stop));
    }

    fn was_read(&self, ended: Option<&Ended>) {
        if ended.is_some() && self.backlog.read() {
            // The driver is gone where nothing is left to draw.
            let _ = self.words.send(Arrival::Word(Word::Room));
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

/// What the driver is told.
enum Word {
    /// The next job; `None` after the last.
    Drawn(Option<Box<AsyncJob>>),
    /// The reader of ends has caught up.
    Room,
    Stop,
}

/// Jobs that are drawn one after the other, each known by its place.
struct Drawn {
    tell: UnboundedSender<Ended>,
    wish: mpsc::Sender<u32>,
    queue: Queue,
    detached: bool,
    /// Why submissions are held back, as it was last seen, and whether for good.
    outage: Option<(Discriminant<OutageFailure>, bool)>,
}

impl Drawn {
    fn feed(&mut self, job: Option<Box<AsyncJob>>, driving: &mut Driving<usize>) {
        let Some(job) = job else { return driving.batch.feed_no_more() };
        let index = self.queue.came();
        if self.detached {
            return self.tell(index, Err(driving.with_resume_line(too_late(&job))));
        }
        if let Err((index, error)) = driving.begin(*job, index, Begin::InTurn) {
            self.tell(index, Err(error));
        }
    }

    /// Warns of an outage once, however often its count changes.
    fn warn_of(&mut self, outage: Option<&Outage>) {
        let kind = outage.map(|outage| (discriminant(&outage.failure), outage.is_final));
        let before = std::mem::replace(&mut self.outage, kind);
        if let Some(outage) = outage
            && before != kind
        {
            telemetry::warn(&outage.to_string());
        }
    }

    fn tell(&self, index: usize, result: Result<Effect, Error>) {
        self.queue.backlog().told();
        // Where nobody listens any more, what is in flight is still awaited.
        let _ = self.tell.send(Ended { index, result });
    }
}

impl Crowd for Drawn {
    type Word = Word;
    type Known = usize;

    fn hear(&mut self, word: Word, driving: &mut Driving<usize>) {
        match word {
            Word::Drawn(job) => self.feed(job, driving),
            // The next wish is granted.
            Word::Room => {}
            Word::Stop => {
                self.detached = true;
                driving.batch.detach(driving.now());
            }
        }
    }

    fn make_room(&mut self, room: u32) {
        self.queue.make_room(room);
    }

    fn before_step(&mut self, batch: &Batch) {
        self.warn_of(batch.outage());
        if let Some(wish) = self.queue.wish() {
            // The thread that draws ends only after the last job.
            let _ = self.wish.send(wish);
        }
    }

    fn end(&mut self, index: usize, result: Result<Effect, Error>, _client: &Client) {
        self.tell(index, result);
    }
}
