//! [`Events`]: Python's iterator over the events of one task, or of a run from its submission on; `finish`
//! gives the effect at its end.
//!
//! A follower on the runtime's thread looks at the task and hands each event to the reader who waits for
//! it, so that a reader who keeps up wakes that thread for none. It begins with the first read, and is one
//! event ahead of its reader at most: then it looks no more until that one is read.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use effects_core::{Effect, Error, Event};
use effects_reqwest::{Client, Watch};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::journal;
use crate::note::Note;
use crate::operation::{Address, Operation, Reader, Source, given_up};
use crate::single::{Followed, Ready, Single};
use crate::value::{Made, Value};

/// The events of a task, one operation each, and how it ended.
#[pyclass(frozen, module = "spark_effects._native")]
pub struct Events {
    /// The process that began it: a fork has the memory, and not the thread that follows.
    process: u32,
    stream: Arc<Stream>,
    client: Client,
    template: Option<String>,
    note: Arc<Note>,
    begun: Instant,
}

/// What the events are of.
pub(crate) enum Watched {
    /// A task that was submitted before.
    Task(Followed),
    /// A run, from its submission on.
    Run(Box<Single>),
}

/// What readers of the events share. Once it is dropped, the follower stops.
struct Stream(Arc<Shared>);

/// What readers share with the follower.
struct Shared {
    process: u32,
    state: Mutex<State>,
    /// The event that waited for its reader was taken.
    taken: Notify,
    ended: Notify,
}

struct State {
    follower: Follower,
    /// An event that waits for its reader.
    event: Option<Event>,
    /// Readers who wait, in order; none while there is an event or the end.
    readers: VecDeque<(Reader, Address)>,
    last_reader: u64,
    /// Those who wait for the end alone: the events pass.
    draining: usize,
    end: Option<Result<Effect, Error>>,
}

enum Follower {
    /// Nothing was read yet.
    Before(Box<Watched>),
    Under(AbortHandle),
    /// The end is known.
    Over,
}

impl Events {
    /// The events of a task or a run, whose pictures its client fetches and whose end its budget and its
    /// journal are told.
    pub(crate) fn new(watched: Watched, template: Option<String>, note: Arc<Note>) -> Self {
        let (process, client) = (std::process::id(), watched.client().clone());
        let state = Mutex::new(State {
            follower: Follower::Before(Box::new(watched)),
            event: None,
            readers: VecDeque::new(),
            last_reader: 0,
            draining: 0,
            end: None,
        });
        let shared = Shared { process, state, taken: Notify::new(), ended: Notify::new() };
        let stream = Arc::new(Stream(Arc::new(shared)));
        Self { process, stream, client, template, note, begun: Instant::now() }
    }

    fn here(&self) -> PyResult<()> {
        if self.process == std::process::id() {
            return Ok(());
        }
        Err(PyRuntimeError::new_err(
            "these events come to the process that began to follow the task; call events() here",
        ))
    }
}

#[pymethods]
impl Events {
    /// The next event, `None` at the end.
    fn next(&self) -> PyResult<Operation> {
        self.here()?;
        let stream = Arc::clone(&self.stream);
        Ok(Operation::reading(Some(Arc::clone(&self.note)), stream))
    }

    /// What the following came to, once it is over; with `fetch`, the pictures' bytes as well.
    fn finish(&self, fetch: bool) -> PyResult<Operation> {
        self.here()?;
        let (template, begun) = (self.template.clone(), self.begun);
        let known = self.stream.0.state().end.clone();
        let note = Some(Arc::clone(&self.note));
        match known {
            Some(Err(error)) => return Ok(Operation::known(note, Err(error))),
            Some(Ok(effect)) if !fetch => {
                let made = Made::new(effect, Vec::new(), template, begun);
                return Ok(Operation::known(note, Ok(Value::Effect(made))));
            }
            Some(Ok(_)) | None => {}
        }
        let (stream, client) = (Arc::clone(&self.stream), self.client.clone());
        Ok(Operation::new(note, async move {
            let effect = stream.end().await?;
            Made::fetched(&client, effect, fetch, template, begun).await.map(Value::Effect)
        }))
    }
}

impl Stream {
    /// How it ended. The events on the way there pass, unless this future is dropped before.
    async fn end(&self) -> Result<Effect, Error> {
        let _draining = Draining::begin(&self.0);
        self.0.begin(&mut self.0.state(), &Handle::current());
        loop {
            let mut ended = pin!(self.0.ended.notified());
            ended.as_mut().enable();
            if let Some(end) = self.0.state().end.clone() {
                return end;
            }
            ended.await;
        }
    }
}

impl Source for Stream {
    fn read(&self, runtime: &Handle, mut address: Address) -> Reader {
        let mut state = self.0.state();
        self.0.begin(&mut state, runtime);
        state.last_reader += 1;
        let reader = Reader(state.last_reader);
        if let Some(event) = state.event.take() {
            self.0.taken.notify_one();
            address.deliver(Ok(Value::Event(Some(Box::new(event)))));
        } else if state.end.is_some() {
            address.deliver(Ok(Value::Event(None)));
        } else {
            state.readers.push_back((reader, address));
        }
        reader
    }

    fn leave(&self, reader: Reader) {
        if self.0.process != std::process::id() {
            return;
        }
        let mut state = self.0.state();
        let place = state.readers.iter().position(|(waiting, _)| *waiting == reader);
        let left = place.and_then(|place| state.readers.remove(place));
        drop(state);
        if let Some((_, mut address)) = left {
            address.forget();
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // One that knows the end has it recorded first.
        if let Follower::Under(follower) = &self.0.state().follower {
            follower.abort();
        }
    }
}

impl Shared {
    /// Begins to follow, if that was not begun.
    fn begin(self: &Arc<Self>, state: &mut State, runtime: &Handle) {
        state.follower = match std::mem::replace(&mut state.follower, Follower::Over) {
            Follower::Before(watched) => {
                let following = Following { shared: Arc::clone(self), end: None };
                Follower::Under(runtime.spawn(following.follow(*watched)).abort_handle())
            }
            begun => begun,
        };
    }

    /// Hands an event to its reader, and waits until there is one.
    async fn tell(&self, event: Event) {
        {
            let mut state = self.state();
            if state.draining > 0 {
                return;
            }
            if let Some((_, mut address)) = state.readers.pop_front() {
                return address.deliver(Ok(Value::Event(Some(Box::new(event)))));
            }
            state.event = Some(event);
        }
        while self.state().event.is_some() {
            self.taken.notified().await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The follower's side. Dropped without an end, it says so itself.
struct Following {
    shared: Arc<Shared>,
    end: Option<Result<Effect, Error>>,
}

impl Following {
    async fn follow(mut self, watched: Watched) {
        match watched {
            Watched::Task(followed) => self.follow_task(followed).await,
            Watched::Run(single) => self.follow_run(*single).await,
        }
    }

    async fn follow_task(&mut self, followed: Followed) {
        let Followed { task, purse, rows, .. } = followed;
        let end = self.watch(task.events()).await;
        let end = self.end.insert(end);
        self.shared.state().follower = Follower::Over;
        if let Some(purse) = &purse {
            purse.saw(task.id(), end);
        }
        if let Some(rows) = &rows {
            rows.settle(task.id(), end).await;
        }
    }

    async fn follow_run(&mut self, single: Single) {
        let (client, note) = (single.client.clone(), Arc::clone(&single.note));
        let end = match single.ready().await {
            Ok(Ready { request, journal, stakes }) => {
                let end = self.watch(client.with_journal(journal).watch(request)).await;
                match (stakes.settle(&end), end) {
                    // An effect that was paid for is worth more than the word that it was.
                    (Err(error), Ok(effect)) => {
                        journal::warn_unrecorded(&effect.task_id, &error);
                        Ok(effect)
                    }
                    (settled, end) => settled.and(end),
                }
            }
            Err(error) => Err(error),
        };
        note.settle();
        self.end = Some(end);
        self.shared.state().follower = Follower::Over;
    }

    /// Hands the events to their readers; returns the end.
    async fn watch(&self, mut watch: Watch) -> Result<Effect, Error> {
        while let Some(event) = watch.next().await {
            self.shared.tell(event).await;
        }
        // The last event has passed, so this waits for nothing.
        watch.finish().await
    }
}

impl Watched {
    fn client(&self) -> &Client {
        match self {
            Self::Task(followed) => &followed.client,
            Self::Run(single) => &single.client,
        }
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.end = Some(self.end.take().unwrap_or_else(|| Err(given_up())));
        for (_, mut address) in std::mem::take(&mut state.readers) {
            address.deliver(Ok(Value::Event(None)));
        }
        drop(state);
        self.shared.ended.notify_waiters();
    }
}

/// As long as it is there, events pass unread.
struct Draining<'a>(&'a Shared);

impl<'a> Draining<'a> {
    fn begin(shared: &'a Shared) -> Self {
        let mut state = shared.state();
        state.draining += 1;
        state.event = None;
        shared.taken.notify_one();
        Self(shared)
    }
}

impl Drop for Draining<'_> {
    fn drop(&mut self) {
        self.0.state().draining -= 1;
    }
}

/// A parent's is let go of without being told: its connections end in a thread that is not here.
impl Drop for Events {
    fn drop(&mut self) {
        if self.process != std::process::id() {
            std::mem::forget((Arc::clone(&self.stream), self.client.clone()));
        }
    }
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events").field("note", &self.note).finish_non_exhaustive()
    }
}
