//! [`ServerScript`]: the state of a `ScriptedServer`: it picks the next [`Behaviour`] for a request (from
//! the script of its method and path, else the common script, else the default), and records each request
//! received. `server.rs` fills it for the test and reads it; the threads of the connections
//! (`connection.rs`) ask it about each request.

use std::collections::{HashMap, VecDeque};
use std::net::TcpStream;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::behaviour::Behaviour;
use super::request::ReceivedRequest;
use crate::response::Response;

/// What to do with requests, and what was seen of them.
#[derive(Debug, Default)]
pub(super) struct ServerScript {
    pub(super) state: Mutex<ScriptState>,
    pub(super) changed: Condvar,
}

#[derive(Debug)]
pub(super) struct ScriptState {
    pub(super) routes: Vec<ScriptRoute>,
    pub(super) script: VecDeque<Behaviour>,
    pub(super) otherwise: Behaviour,
    pub(super) requests: Vec<ReceivedRequest>,
    pub(super) connections: usize,
    /// A handle of each open connection, so that the end of the server ends them.
    pub(super) open: HashMap<usize, TcpStream>,
    pub(super) releases: u64,
    pub(super) stopping: bool,
}

#[derive(Debug)]
pub(super) struct ScriptRoute {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) script: VecDeque<Behaviour>,
}

impl Default for ScriptState {
    fn default() -> Self {
        Self {
            routes: Vec::new(),
            script: VecDeque::new(),
            otherwise: Response::new(404).body("nothing is scripted for this request").into(),
            requests: Vec::new(),
            connections: 0,
            open: HashMap::new(),
            releases: 0,
            stopping: false,
        }
    }
}

impl ScriptState {
    /// The script that the next behaviour for this request comes from.
    fn script(&mut self, seen: &ReceivedRequest) -> &mut VecDeque<Behaviour> {
        match self.routes.iter_mut().find(|route| route.matches(seen)) {
            Some(route) => &mut route.script,
            None => &mut self.script,
        }
    }

    /// What comes next for this request.
    fn peek(&mut self, seen: &ReceivedRequest) -> Behaviour {
        let next = self.script(seen).front().cloned();
        next.unwrap_or_else(|| self.otherwise.clone())
    }

    /// The same, and takes it from its script.
    fn next(&mut self, seen: &ReceivedRequest) -> Behaviour {
        let next = self.script(seen).pop_front();
        next.unwrap_or_else(|| self.otherwise.clone())
    }
}

impl ServerScript {
    /// What to do with a request that is not whole, where the script says not to wait for that; and
    /// the last release before it.
    pub(super) fn early_behaviour(&self, head: &ReceivedRequest) -> Option<(Behaviour, u64)> {
        let mut state = self.lock();
        let is_early = matches!(state.peek(head), Behaviour::Early { .. });
        is_early.then(|| (state.next(head), state.releases))
    }

    /// Keeps a request and returns what to do with it, which may have been found out early.
    ///
    /// The number is the last release before the request: one that comes after, but before the
    /// request has begun to hang, releases it as well.
    pub(super) fn record_request(
        &self,
        seen: &ReceivedRequest,
        early_behaviour: Option<(Behaviour, u64)>,
    ) -> (Behaviour, u64) {
        let mut state = self.lock();
        state.requests.push(seen.clone());
        let (behaviour, releases) =
            early_behaviour.unwrap_or_else(|| (state.next(seen), state.releases));
        // The decision below is the test's code, which may ask the server and so needs the lock.
        drop(state);
        self.changed.notify_all();
        match behaviour {
            Behaviour::Decide(decide) => ((decide.0)(seen), releases),
            behaviour => (behaviour, releases),
        }
    }

    /// Waits until there is a release after this one.
    pub(super) fn wait_for_release(&self, releases: u64) {
        let mut state = self.lock();
        // A condition variable may wake without a reason, or for another change.
        while !state.stopping && state.releases == releases {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits, but not beyond the end of the server.
    pub(super) fn pause(&self, pause: Duration) {
        let until = Instant::now() + pause;
        let mut state = self.lock();
        while !state.stopping {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = self.wait(state, left);
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, ScriptState> {
        // Every change is one assignment or one push: a panic elsewhere leaves nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn wait<'a>(
        &self,
        state: MutexGuard<'a, ScriptState>,
        limit: Duration,
    ) -> MutexGuard<'a, ScriptState> {
        let waited = self.changed.wait_timeout(state, limit);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

impl ScriptRoute {
    fn matches(&self, seen: &ReceivedRequest) -> bool {
        let path = seen.path();
        self.method == seen.method
            // One that is used up leaves its requests to the common script.
            && !self.script.is_empty()
            && match self.path.strip_suffix('*') {
                Some(prefix) => path.starts_with(prefix),
                None => path == self.path,
            }
    }
}
