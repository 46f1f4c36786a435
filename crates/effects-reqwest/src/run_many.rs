//! Many runs at once, in one tokio task.
//!
//! Jobs are drawn as room comes, on a thread of its own, so that one that takes long to come (a
//! photo to upload, a file to read) holds up no poll; and only as far as ends are read: neither a
//! long list of jobs nor a slow reader of ends takes memory.

use std::pin::Pin;
use std::sync::mpsc;
use std::task::{Context, Poll};
use std::thread;

use effects_client::{Backlog, Ended, Work, fresh_seed};
use effects_core::{AsyncClock, Batch, Budget, Cause, Detached, Effect, Error, Widths};
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
    pub(crate) fn start<I>(client: &Client, jobs: I, widths: Widths, budget: Budget) -> Self
    where
        I: Iterator<Item = AsyncJob> + Send + 'static,
    {
        let (tell, ends) = unbounded_channel();
        let backlog = Backlog::default();
        let (wish, wishes) = mpsc::channel();
        let queue = Queue {
            tell,
            backlog: backlog.clone(),
            wish,
            drawn: 0,
            hungry: 0,
            wished: 0,
            detached: false,
        };
        let now = client.shared().clock.now();
        let batch = Batch::new(client.shared_policy(), widths, fresh_seed(), now);
        let (driver, words) = Driver::new(client, batch.with_budget(budget), queue);
        let drawn = words.clone();
        thread::spawn(move || draw(jobs, &wishes, &drawn));
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
struct Queue {
    tell: UnboundedSender<Ended>,
    backlog: Backlog,
    wish: mpsc::Sender<u32>,
    drawn: usize,
    /// Jobs there is room for, and of them those asked for that have not come.
    hungry: u32,
    wished: u32,
    detached: bool,
}

impl Queue {
    fn feed(&mut self, job: Option<Box<AsyncJob>>, driving: &mut Driving<usize>) {
        let Some(job) = job else { return driving.batch.feed_no_more() };
        self.wished = self.wished.saturating_sub(1);
        let index = self.drawn;
        self.drawn += 1;
        if self.detached {
            // It came too late to be begun.
            let task_id = match job.work {
                Work::Submit(_) => None,
                Work::Watch { task, .. } => Some(task),
            };
            let error = Error::from(Cause::Detached(Detached { task_id }));
            return self.tell(index, Err(driving.with_resume_line(error)));
        }
        driving.begin(*job, index, false);
    }

    fn tell(&self, index: usize, result: Result<Effect, Error>) {
        self.backlog.told();
        // Where nobody listens any more, what is in flight is still awaited.
        let _ = self.tell.send(Ended { index, result });
    }
}

impl Crowd for Queue {
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
        self.hungry = room;
    }

    /// Asks for as many jobs as there is room for, if somebody reads the ends of those before.
    fn before_step(&mut self) {
        if self.hungry > 0 && !self.backlog.is_full() {
            let room = std::mem::take(&mut self.hungry);
            // The thread that draws ends only after the last job.
            let _ = self.wish.send(room.saturating_sub(self.wished));
            self.wished = self.wished.max(room);
        }
    }

    fn end(&mut self, index: usize, result: Result<Effect, Error>, _client: &Client) {
        self.tell(index, result);
    }
}

/// Draws as many jobs as are wished for, until there are no more or the driver is gone.
fn draw(mut jobs: impl Iterator<Item = AsyncJob>, wishes: &mpsc::Receiver<u32>, words: &Words) {
    while let Ok(wished) = wishes.recv() {
        for _ in 0..wished {
            let job = jobs.next().map(Box::new);
            let last = job.is_none();
            if words.send(Arrival::Word(Word::Drawn(job))).is_err() || last {
                return;
            }
        }
    }
}
