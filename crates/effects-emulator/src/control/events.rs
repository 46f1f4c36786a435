//! [`events`]: the handler of `GET /_emulator/events`, a stream of server-sent events. Whenever requests or
//! tasks change, it sends one event with all that changed since the one before, and a [`Summary`] of the
//! emulator. The emulator's page (`page/api.js`) reads it.
//!
//! Each event is one JSON object: requests and tasks as their lists show them, as far as they have
//! changed, and the summary. The first one, and each after which a watcher must read the lists anew,
//! says `"anew": true`; one that comes of a reset says `"reset": true` as well.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use serde::Serialize;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use super::Summary;
use crate::changes::StateChange;
use crate::inspection::{self, SeenTask};
use crate::seen_request::SeenRequest;
use crate::state::EmulatorState;

/// `GET /_emulator/events`
pub(crate) async fn events(State(state): State<Arc<EmulatorState>>) -> Response {
    let watcher = EventClient {
        // Subscribed before the tasks are read, so that a change in between comes as an event.
        changes: state.changes.watch(),
        running: state.tasks.running(state.clock.now()),
        pending: PendingChanges { anew: true, ..PendingChanges::default() },
        state,
    };
    let events = stream::unfold(watcher, async |mut watcher| {
        let event = watcher.next().await?;
        Some((Ok::<_, Infallible>(event), watcher))
    });
    let headers = [(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-store")];
    (headers, Body::from_stream(events)).into_response()
}

/// A client of the event stream, and what it is sent next.
struct EventClient {
    state: Arc<EmulatorState>,
    changes: Receiver<StateChange>,
    /// Tasks that were running when they were last sent: the clock finishes them, without an event.
    running: BTreeSet<Box<str>>,
    pending: PendingChanges,
}

#[derive(Default)]
struct PendingChanges {
    requests: BTreeSet<u64>,
    tasks: BTreeSet<Box<str>>,
    anew: bool,
    reset: bool,
    other: bool,
}

#[derive(Serialize)]
struct WatchEvent {
    anew: bool,
    reset: bool,
    requests: Vec<SeenRequest>,
    tasks: Vec<SeenTask>,
    about: Summary,
}

impl EventClient {
    /// The next event once there is one, or a sign of life; `None` when the emulator stops.
    async fn next(&mut self) -> Option<Bytes> {
        let mut silent_for = Duration::ZERO;
        loop {
            if !self.pending.is_empty() {
                return Some(self.event());
            }
            let waited = tokio::select! {
                change = self.changes.recv() => {
                    match change {
                        Ok(change) => self.pending.add(change),
                        Err(RecvError::Lagged(_)) => self.pending.anew = true,
                        Err(RecvError::Closed) => return None,
                    }
                    // Changes at the same time go into one event.
                    tokio::time::sleep(EVENT_INTERVAL).await;
                    EVENT_INTERVAL
                }
                () = tokio::time::sleep(CLOCK_CHECK_INTERVAL) => CLOCK_CHECK_INTERVAL,
                // An open stream would hold up the stop until `Limits::stop_time` is over.
                () = self.state.stopping() => return None,
            };
            self.drain_changes();
            self.add_finished();
            silent_for += waited;
            if silent_for >= KEEP_ALIVE_INTERVAL && self.pending.is_empty() {
                // A comment, so that neither end takes the other for gone.
                return Some(Bytes::from_static(b":\n\n"));
            }
        }
    }

    fn drain_changes(&mut self) {
        loop {
            match self.changes.try_recv() {
                Ok(change) => self.pending.add(change),
                Err(TryRecvError::Lagged(_)) => self.pending.anew = true,
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
            }
        }
    }

    fn add_finished(&mut self) {
        let (now, tasks) = (self.state.clock.now(), &self.state.tasks);
        let is_running = |id: &str| tasks.with(id, |task| task.is_running(now)).unwrap_or(false);
        let finished = self.running.iter().filter(|id| !is_running(id));
        self.pending.tasks.extend(finished.cloned());
    }

    fn event(&mut self) -> Bytes {
        let pending = std::mem::take(&mut self.pending);
        let now = self.state.clock.now();
        if pending.anew {
            self.running = self.state.tasks.running(now);
        }
        let first = pending.requests.first().copied().unwrap_or(u64::MAX);
        // The record is searched from the first of them on. A watcher that reads the lists anew is
        // sent none.
        let requests = self.state.requests_where(first.saturating_sub(1), |number| {
            !pending.anew && pending.requests.contains(&number)
        });
        let tasks = pending.tasks.iter().filter(|_| !pending.anew);
        let tasks = inspection::some(&self.state, tasks.map(|id| &**id));
        for task in &tasks {
            if task.status == "in_progress" {
                self.running.insert(task.id.as_str().into());
            } else {
                self.running.remove(task.id.as_str());
            }
        }
        // A task that was forgotten meanwhile is not among those above.
        for id in pending.tasks.iter().filter(|id| self.state.tasks.with(id, |_| ()).is_none()) {
            self.running.remove(id);
        }
        let event = WatchEvent {
            anew: pending.anew,
            reset: pending.reset,
            requests,
            tasks,
            about: Summary::of(&self.state),
        };
        // Plain structs of texts and numbers always have a JSON form.
        let event = serde_json::to_string(&event).expect("an event is plain data");
        Bytes::from(format!("data: {event}\n\n"))
    }
}

impl PendingChanges {
    fn add(&mut self, change: StateChange) {
        match change {
            StateChange::Request(number) => drop(self.requests.insert(number)),
            StateChange::Task(id) => drop(self.tasks.insert(id)),
            StateChange::Other => self.other = true,
            StateChange::Reset => (self.anew, self.reset) = (true, true),
        }
    }

    fn is_empty(&self) -> bool {
        self.requests.is_empty() && self.tasks.is_empty() && !self.anew && !self.other
    }
}

/// Changes that come closer together are one event.
const EVENT_INTERVAL: Duration = Duration::from_millis(50);

/// How often tasks are looked for that time has finished.
const CLOCK_CHECK_INTERVAL: Duration = Duration::from_millis(200);

/// Less than a connection may be silent for.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(5);
