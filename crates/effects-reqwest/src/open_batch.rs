//! Runs that come one by one and are driven together.
//!
//! Ten thousand futures of [`Client::run`] are ten thousand state machines, timers and tasks. Here
//! they are rows of one [`Batch`], in one tokio task: a run that waits between two looks takes well
//! under a kilobyte. What a run may do is the same as alone: its wait begins at once, and only what
//! the gateway refuses for now holds all of them back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use effects_client::{Begin, Job, fresh_seed};
use effects_core::{AsyncClock, AsyncJournal, Batch, Effect, Error, Widths};
use tokio::sync::mpsc::UnboundedSender;

use crate::client::Client;
use crate::driver::{Arrival, AsyncJob, Crowd, Driver, Driving};
use crate::http_client::MOST_AT_ONCE;

/// A batch that stays open for runs that come one by one. Made by [`Client::open_batch`].
///
/// Each run has somebody of its own who waits for it. Dropping the batch lets the runs in it go on
/// to their ends.
///
/// ```no_run
/// use std::sync::{Arc, Mutex};
/// use effects_reqwest::{Client, Effect, EffectRequest, Error, Template, Waiter};
/// use tokio::sync::oneshot;
///
/// struct Asker(Mutex<Option<oneshot::Sender<Result<Effect, Error>>>>);
///
/// impl Waiter for Asker {
///     fn has_left(&self) -> bool {
///         self.0.lock().unwrap().as_ref().is_none_or(oneshot::Sender::is_closed)
///     }
///
///     fn tell(&self, result: Result<Effect, Error>, _client: &Client) {
///         if let Some(asker) = self.0.lock().unwrap().take() {
///             let _ = asker.send(result);
///         }
///     }
/// }
///
/// # async fn example() -> Result<(), Error> {
/// let batch = Client::from_env()?.open_batch();
/// let request = EffectRequest::new(Template::GlassBall, "https://example.com/cat.jpg")?;
/// let (asker, answer) = oneshot::channel();
/// batch.add(request, Arc::new(Asker(Mutex::new(Some(asker)))));
/// let effect = answer.await.expect("every run has an end")?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct OpenBatch {
    words: UnboundedSender<Arrival<Word>>,
    shared: Arc<Shared>,
}

/// Whoever waits for a run of an [`OpenBatch`].
pub trait Waiter: Send + Sync {
    /// Whether nobody waits any more. Asked when [`OpenBatch::look_who_left`] was called.
    fn has_left(&self) -> bool;

    /// The run's end, told once, on the thread that drives: it must not block. `client` is the
    /// batch's own.
    fn tell(&self, result: Result<Effect, Error>, client: &Client);
}

#[derive(Debug, Default)]
struct Shared {
    runs: AtomicUsize,
    /// Somebody left, and the driver has not looked since.
    somebody_left: AtomicBool,
}

impl OpenBatch {
    pub(crate) fn start(client: &Client) -> Self {
        // Exchanges beyond these would wait in the transport, and their time limits would not.
        let submissions = u32::try_from(MOST_AT_ONCE).unwrap_or(u32::MAX);
        let widths = Widths { submissions, tasks: u32::MAX, polls_per_second: UNLIMITED };
        let now = client.shared().clock.now();
        let batch = Batch::new(client.shared_policy(), widths, fresh_seed(), now);
        let shared = Arc::<Shared>::default();
        let (driver, words) = Driver::new(client, batch, Newcomers { shared: Arc::clone(&shared) });
        tokio::spawn(driver.run());
        Self { words, shared }
    }

    /// Adds a run: a request to submit, or the id of a task to follow. Its wait begins now.
    ///
    /// Where the runtime is shut down, the waiter is dropped without having been told.
    pub fn add(&self, job: impl Into<Job<Arc<dyn AsyncJournal>>>, waiter: Arc<dyn Waiter>) {
        self.shared.runs.fetch_add(1, Ordering::SeqCst);
        let word = Word::Begin(Box::new(job.into()), waiter);
        if self.words.send(Arrival::Word(word)).is_err() {
            self.shared.runs.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// Stops watching the runs whose waiters have left: what of them has not been submitted is not,
    /// a submission in flight is awaited and its task's id recorded.
    pub fn look_who_left(&self) {
        if !self.shared.somebody_left.swap(true, Ordering::SeqCst) {
            // A driver that is gone has no runs left.
            let _ = self.words.send(Arrival::Word(Word::Left));
        }
    }

    /// How many runs are in it.
    pub fn runs(&self) -> usize {
        self.shared.runs.load(Ordering::SeqCst)
    }
}

impl Drop for OpenBatch {
    fn drop(&mut self) {
        let _ = self.words.send(Arrival::Word(Word::NoMore));
    }
}

/// What the driver is told.
enum Word {
    Begin(Box<AsyncJob>, Arc<dyn Waiter>),
    Left,
    NoMore,
}

/// Runs that came by themselves.
struct Newcomers {
    shared: Arc<Shared>,
}

impl Crowd for Newcomers {
    type Word = Word;
    type Known = Arc<dyn Waiter>;

    fn hear(&mut self, word: Word, driving: &mut Driving<Self::Known>) {
        match word {
            Word::Begin(job, waiter) => driving.begin(*job, waiter, Begin::AtOnce),
            Word::Left => {
                self.shared.somebody_left.store(false, Ordering::SeqCst);
                driving.detach_those(|waiter| waiter.has_left());
            }
            Word::NoMore => driving.batch.feed_no_more(),
        }
    }

    /// They come when they come.
    fn make_room(&mut self, _room: u32) {}

    fn end(&mut self, waiter: Self::Known, result: Result<Effect, Error>, client: &Client) {
        self.shared.runs.fetch_sub(1, Ordering::SeqCst);
        waiter.tell(result, client);
    }
}

/// Looks a second: each run looks as its pace says.
const UNLIMITED: f64 = 1e9;
