//! Runs that come one by one and are driven together.
//!
//! Ten thousand futures of [`Client::run`] are ten thousand state machines, timers and tasks. Here
//! they are rows of one [`Batch`], in one tokio task: a run that waits between two looks takes well
//! under a kilobyte. What a run may do is the same as alone: its wait begins at once, and only what
//! the gateway refuses for now holds all of them back.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use effects_core::batch::Widths;
use effects_core::journal::AsyncJournal;
use effects_core::{Effect, Error, ErrorKind};
use effects_jobs::{JobEnd, JobOutcome, Work};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

use crate::client::Client;
use crate::driver::{Arrival, Crowd, Driver, Driving, Known, WaitedFor};
use crate::http_client::MOST_AT_ONCE;

/// A batch that stays open for runs that come one by one. Made by [`Client::open_batch`].
///
/// Each run has somebody of its own who waits for it. Dropping the batch lets the runs in it go on
/// to their ends.
///
/// ```no_run
/// use std::sync::Arc;
/// use effects_reqwest::{Client, EffectRequest, Error, Template};
///
/// # async fn example(photos: Vec<String>) -> Result<(), Error> {
/// let batch = Arc::new(Client::from_env()?.open_batch());
/// for photo in photos {
///     let request = EffectRequest::new(Template::GlassBall, &photo)?;
///     let batch = Arc::clone(&batch);
///     tokio::spawn(async move {
///         match batch.run(request).await {
///             Ok(effect) => println!("{photo}: {}", effect.pictures[0].url),
///             Err(error) => eprintln!("{photo}: {error}"),
///         }
///     });
/// }
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
        // More would wait in the HTTP client, where the time limits of their exchanges already run.
        let submissions = u32::try_from(MOST_AT_ONCE).unwrap_or(u32::MAX);
        let widths = Widths { submissions, tasks: u32::MAX, polls_per_second: UNLIMITED };
        let shared = Arc::<Shared>::default();
        let crowd = Newcomers { shared: Arc::clone(&shared) };
        let (driver, words) = Driver::new(client, client.shared_policy(), widths.into(), crowd);
        tokio::spawn(driver.run());
        Self { words, shared }
    }

    /// Does one run: a request to submit, or the id of a task to follow.
    ///
    /// Dropping the future stops the watching and loses nothing, as with [`Client::run`].
    ///
    /// # Errors
    ///
    /// Those of [`Client::run`].
    pub async fn run(&self, work: impl Into<Work>) -> Result<Effect, Error> {
        let (ear, end) = oneshot::channel();
        self.add(work, None, Arc::new(Ear(Mutex::new(Some(ear)))));
        let mut hearing = Hearing { batch: self, end: Some(end) };
        let Some(end) = &mut hearing.end else { return Err(given_up()) };
        let heard = end.await;
        hearing.end = None;
        heard.unwrap_or_else(|_| Err(given_up()))
    }

    /// Adds a run, with whoever is told its end: for callers that have no future each. Its wait
    /// begins now. Its entries go to `journal`, else to the client's.
    ///
    /// Where the runtime is shut down, the waiter is dropped without having been told.
    pub fn add(
        &self,
        work: impl Into<Work>,
        journal: Option<Arc<dyn AsyncJournal>>,
        waiter: Arc<dyn Waiter>,
    ) {
        self.shared.runs.fetch_add(1, Ordering::SeqCst);
        let word = Word::Begin(Box::new((work.into(), WaitedFor { waiter, journal, span: None })));
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

/// Hears a run's end for a future.
struct Ear(Mutex<Option<oneshot::Sender<Result<Effect, Error>>>>);

impl Ear {
    fn ear(&self) -> MutexGuard<'_, Option<oneshot::Sender<Result<Effect, Error>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiter for Ear {
    fn has_left(&self) -> bool {
        self.ear().as_ref().is_none_or(oneshot::Sender::is_closed)
    }

    fn tell(&self, result: Result<Effect, Error>, _client: &Client) {
        if let Some(ear) = self.ear().take() {
            // A future that was dropped meanwhile hears nothing.
            let _ = ear.send(result);
        }
    }
}

/// A future that waits to hear a run's end, and may be dropped before.
struct Hearing<'a> {
    batch: &'a OpenBatch,
    end: Option<oneshot::Receiver<Result<Effect, Error>>>,
}

impl Drop for Hearing<'_> {
    fn drop(&mut self) {
        // Closed first: it is what the driver looks at.
        if self.end.take().is_some() {
            self.batch.look_who_left();
        }
    }
}

fn given_up() -> Error {
    let message = "the runtime gave up what was under way; a submission may exist";
    Error::new(ErrorKind::OutcomeUnknown, message)
}

/// What the driver is told.
enum Word {
    Begin(Box<(Work, WaitedFor)>),
    Left,
    NoMore,
}

/// Runs that came by themselves.
struct Newcomers {
    shared: Arc<Shared>,
}

impl Newcomers {
    fn finish(&self, waiter: &dyn Waiter, result: Result<Effect, Error>, client: &Client) {
        self.shared.runs.fetch_sub(1, Ordering::SeqCst);
        waiter.tell(result, client);
    }
}

impl Crowd for Newcomers {
    type Word = Word;

    fn hear(&mut self, word: Word, driving: &mut Driving) {
        match word {
            Word::Begin(begun) => {
                let (work, run) = *begun;
                if let Err((run, error)) = driving.begin_at_once(work, Box::new(run)) {
                    self.finish(&*run.waiter, Err(error), &driving.client);
                }
            }
            Word::Left => {
                self.shared.somebody_left.store(false, Ordering::SeqCst);
                let now = driving.now();
                driving.machine.detach_those(now, |known| match known {
                    Known::Run(run) => run.waiter.has_left(),
                    Known::Job(_) => false,
                });
            }
            Word::NoMore => driving.machine.no_more_jobs(),
        }
    }

    /// They come when they come.
    fn make_room(&mut self, _room: u32) {}

    fn before_step(&mut self, _driving: &mut Driving) {}

    fn end(&mut self, known: Known, end: JobEnd, client: &Client) {
        let Known::Run(run) = known else { return };
        let result = match end.outcome {
            JobOutcome::Completed(effect) => Ok(*effect),
            JobOutcome::Failed(error) => Err(error),
            // What has to be made ready first is no run.
            _ => {
                Err(Error::new(ErrorKind::Misconfigured, "no run could be begun; nothing was sent"))
            }
        };
        self.finish(&*run.waiter, result, client);
    }
}

/// Looks a second: each run looks as its pace says.
const UNLIMITED: f64 = 1e9;
