//! [`Events`]: follows one task, or a run from its submission on, event by event, for Python; its `finish`
//! gives the effect at the end. `Engine` makes it; `_task.py` reads it for `events` of `Task` and
//! `AsyncTask`, `_observed_run.py` for `run` with `on_event=` or `progress=`.
//!
//! The run begins with the first read, and is one event ahead of its reader at most: then it looks no more
//! until that one is read.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use effects_core::{Effect, Error, Event};
use effects_reqwest::{Client, PollControl, RunTicket};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use tokio::runtime::Handle;
use tokio::sync::Notify;

use crate::address::{Address, ReadStart, ReaderId, ValueSource, given_up};
use crate::operation::Operation;
use crate::run_operation::{Joined, Launch, ResultReceiver};
use crate::submission_tracker::SubmissionNote;
use crate::value::{FinishedEffect, OperationValue};

/// The events of a task, one operation each, and how it ended.
#[pyclass(frozen, module = "spark_effects._native")]
pub struct Events {
    /// The process that began it: a fork has the memory, and not the thread that follows.
    process: u32,
    stream: Arc<EventStream>,
    client: Client,
    template: Option<String>,
    note: Arc<SubmissionNote>,
    begun: Instant,
}

/// What readers of the events share. Once it is dropped, the run is stopped.
struct EventStream(Arc<WatchShared>);

/// What readers share with the run.
struct WatchShared {
    process: u32,
    client: Client,
    state: Mutex<WatchState>,
    ended: Notify,
}

#[derive(Default)]
struct WatchState {
    run: WatchedRun,
    /// No reader is left.
    has_left: bool,
    /// Events that wait for their reader, and the run that does not look before they are read.
    events: VecDeque<Event>,
    paused: Option<RunTicket>,
    /// Readers who wait, in order; none while there is an event or the end.
    readers: VecDeque<(ReaderId, Address)>,
    last_reader: u64,
    /// Those who wait for the end alone: the events pass.
    draining: usize,
    end: Option<Result<Effect, Error>>,
}

/// The run whose events these are.
#[derive(Default)]
enum WatchedRun {
    /// Nothing was read yet.
    Before(Box<Launch>),
    Joined(Joined),
    /// Being begun, or over.
    #[default]
    Gone,
}

impl Events {
    /// The events of a run, whose pictures its client fetches and whose end its budget and its journal
    /// record.
    pub(crate) fn new(launch: Launch, template: Option<String>) -> Self {
        let (process, client) = (std::process::id(), launch.client.clone());
        let note = Arc::clone(&launch.note);
        let state =
            WatchState { run: WatchedRun::Before(Box::new(launch)), ..WatchState::default() };
        let (state, ended) = (Mutex::new(state), Notify::new());
        let shared = WatchShared { process, client: client.clone(), state, ended };
        let stream = Arc::new(EventStream(Arc::new(shared)));
        Self { process, stream, client, template, note, begun: Instant::now() }
    }

    fn check_process(&self) -> PyResult<()> {
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
        self.check_process()?;
        let stream = Arc::clone(&self.stream);
        Ok(Operation::reading(Some(Arc::clone(&self.note)), stream))
    }

    /// What the following came to, once it is over; with `fetch`, the pictures' bytes as well.
    fn finish(&self, fetch: bool) -> PyResult<Operation> {
        self.check_process()?;
        let (template, begun) = (self.template.clone(), self.begun);
        // An end that is known is given at once, without a turn of the runtime's thread.
        let known = self.stream.0.state().end.clone();
        let note = Some(Arc::clone(&self.note));
        match known {
            Some(Err(error)) => return Ok(Operation::known(note, Err(error))),
            Some(Ok(effect)) if !fetch => {
                let made = FinishedEffect::new(effect, Vec::new(), template, begun);
                return Ok(Operation::known(note, Ok(OperationValue::Effect(made))));
            }
            Some(Ok(_)) | None => {}
        }
        let (stream, client) = (Arc::clone(&self.stream), self.client.clone());
        Ok(Operation::new(note, async move {
            let effect = stream.end().await?;
            FinishedEffect::fetched(&client, effect, fetch, template, begun)
                .await
                .map(OperationValue::Effect)
        }))
    }
}

impl EventStream {
    /// How it ended. The events on the way there pass, unless this future is dropped before.
    async fn end(&self) -> Result<Effect, Error> {
        let _draining = Draining::begin(&self.0);
        self.0.begin(&Handle::current());
        loop {
            // Made before the end is looked for: an end that comes in between wakes it.
            let mut ended = pin!(self.0.ended.notified());
            ended.as_mut().enable();
            if let Some(end) = self.0.state().end.clone() {
                return end;
            }
            ended.await;
        }
    }
}

impl ValueSource for EventStream {
    fn read(&self, runtime: &Handle, mut address: Address) -> ReadStart {
        self.0.begin(runtime);
        let mut state = self.0.state();
        let event = state.events.pop_front();
        if event.is_none() && state.end.is_none() {
            state.last_reader += 1;
            let reader = ReaderId(state.last_reader);
            state.readers.push_back((reader, address));
            return ReadStart::Waits(reader);
        }
        // The last event that waited is being read: the run may look at its task again.
        if state.events.is_empty()
            && let Some(run) = state.paused.take()
        {
            self.0.client.resume_polling(run);
        }
        address.forget();
        ReadStart::Known(Box::new(Ok(OperationValue::Event(event.map(Box::new)))))
    }

    fn leave(&self, reader: ReaderId) {
        // In a fork, a thread that is not there may hold the lock for ever.
        if self.0.process != std::process::id() {
            return;
        }
        let mut state = self.0.state();
        let position = state.readers.iter().position(|(waiting, _)| *waiting == reader);
        let left = position.and_then(|position| state.readers.remove(position));
        // Unlocked before the address is dropped: it holds an object of Python's, whose end may
        // come back here.
        drop(state);
        if let Some((_, mut address)) = left {
            address.forget();
        }
    }
}

impl Drop for EventStream {
    fn drop(&mut self) {
        let mut state = self.0.state();
        // Set first: `leave` has the driver ask `has_left` of every run.
        state.has_left = true;
        let run = std::mem::take(&mut state.run);
        drop(state);
        if let WatchedRun::Joined(joined) = run {
            joined.leave();
        }
    }
}

impl WatchShared {
    /// Begins the run, if that was not begun.
    fn begin(self: &Arc<Self>, runtime: &Handle) {
        let launch = {
            let mut state = self.state();
            match std::mem::take(&mut state.run) {
                WatchedRun::Before(launch) => launch,
                begun => {
                    state.run = begun;
                    return;
                }
            }
        };
        // Without the lock, which `EventsReceiver::on_end` takes: the end may be known and come at once.
        let joined = launch.begin(runtime, EventsReceiver(Arc::clone(self)));
        let mut state = self.state();
        if state.end.is_none() {
            state.run = WatchedRun::Joined(joined);
        }
    }

    fn state(&self) -> MutexGuard<'_, WatchState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Hands the events and the end of the run to its readers. Dropped without an end, it gives them an error.
struct EventsReceiver(Arc<WatchShared>);

impl ResultReceiver for EventsReceiver {
    fn has_left(&self) -> bool {
        self.0.state().has_left
    }

    fn reads(&self) -> bool {
        true
    }

    fn on_event(&self, event: Event, run: RunTicket) -> PollControl {
        let mut state = self.0.state();
        if state.draining > 0 {
            return PollControl::Continue;
        }
        if let Some((_, mut address)) = state.readers.pop_front() {
            address.deliver(Ok(OperationValue::Event(Some(Box::new(event)))));
            return PollControl::Continue;
        }
        state.events.push_back(event);
        state.paused = Some(run);
        PollControl::Pause
    }

    fn on_end(&self, result: Result<Effect, Error>) {
        let mut state = self.0.state();
        (state.end, state.run) = (Some(result), WatchedRun::Gone);
        for (_, mut address) in std::mem::take(&mut state.readers) {
            address.deliver(Ok(OperationValue::Event(None)));
        }
        drop(state);
        self.0.ended.notify_waiters();
    }
}

impl Drop for EventsReceiver {
    fn drop(&mut self) {
        if self.0.state().end.is_none() {
            self.on_end(Err(given_up()));
        }
    }
}

/// As long as it is there, events pass unread.
struct Draining<'a>(&'a WatchShared);

impl<'a> Draining<'a> {
    fn begin(shared: &'a WatchShared) -> Self {
        let mut state = shared.state();
        state.draining += 1;
        state.events.clear();
        if let Some(run) = state.paused.take() {
            shared.client.resume_polling(run);
        }
        Self(shared)
    }
}

impl Drop for Draining<'_> {
    fn drop(&mut self) {
        self.0.state().draining -= 1;
    }
}

/// In a fork, a parent's run is forgotten, not stopped: its connections end in a thread of the parent's.
impl Drop for Events {
    fn drop(&mut self) {
        if self.process != std::process::id() {
            // Clones that are never dropped keep the counts above zero: the fields' own drops end nothing.
            std::mem::forget((Arc::clone(&self.stream), self.client.clone()));
        }
    }
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events").field("note", &self.note).finish_non_exhaustive()
    }
}
