//! [`IsolatedEmulators`]: chooses the emulator that answers a request: the main one or, with
//! [`Options::isolate_keys`](crate::Options::isolate_keys), another for each key, so that tests that run
//! at the same time can share one server. `server.rs` passes every request through it.
//!
//! With [`Options::isolate_keys`](crate::Options::isolate_keys), `KEY.NAME` opens an emulator beside
//! the one that `KEY` opens: with tasks, files, requests, counts, spend, scripts, plan and clock of
//! its own. It begins with the first request that brings the key.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::response::Response;
use http::Request;
use hyper::body::Incoming;
use subtle::ConstantTimeEq;

use crate::routes::Routes;
use crate::state::EmulatorState;
use crate::{auth, cors};

/// The routes of the main emulator, and of the emulators of isolated keys beside it.
#[derive(Clone)]
pub(crate) struct IsolatedEmulators {
    main: Routes,
    state: Arc<EmulatorState>,
    beside: Arc<Mutex<Beside>>,
}

#[derive(Default)]
struct Beside {
    worlds: HashMap<Box<str>, IsolatedEmulator>,
    /// Counts requests, so that the world that was used longest ago is known.
    requests: u64,
}

struct IsolatedEmulator {
    state: Arc<EmulatorState>,
    surfaces: Routes,
    last_used: u64,
}

impl IsolatedEmulators {
    pub(crate) fn new(state: &Arc<EmulatorState>) -> Self {
        let main = Routes::new(state);
        Self { main, state: Arc::clone(state), beside: Arc::default() }
    }

    /// The answer to a request.
    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Response {
        let origin = cors::allowed(&self.state.options.cors, request.headers());
        let Some(origin) = origin else { return self.of(&request).answer(request).await };
        // Before a world is chosen: a browser's preflight brings no key.
        if let Some(answer) = cors::preflight(&request, &origin) {
            return answer;
        }
        let mut answer = self.of(&request).answer(request).await;
        cors::allow_origin(&mut answer, &origin);
        answer
    }

    /// The surfaces that a request is for.
    fn of<B>(&self, request: &Request<B>) -> Routes {
        if !self.state.options.isolate_keys {
            return self.main.clone();
        }
        if let Some(name) = self.name(request) {
            return self.world(name);
        }
        // A picture is asked for without a key; its name is in one file store alone.
        let file = request.uri().path().strip_prefix("/files/");
        file.and_then(|file| self.with_file(file)).unwrap_or_else(|| self.main.clone())
    }

    /// The name behind the key, if there is one.
    fn name<'a, B>(&self, request: &'a Request<B>) -> Option<&'a str> {
        let key = auth::presented(request.headers())?;
        let own = self.state.keys.own().as_bytes();
        // By the length of the own key and not by a dot: a key may have dots in it.
        let (start, rest) = key.split_at_checked(own.len())?;
        let name = rest.strip_prefix(b".")?;
        let is_name = (1..=LONGEST_NAME).contains(&name.len())
            && name.iter().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(b));
        let is_ours = bool::from(own.ct_eq(start)) && is_name;
        std::str::from_utf8(name).ok().filter(|_| is_ours)
    }

    fn world(&self, name: &str) -> Routes {
        let mut beside = self.beside.lock().unwrap_or_else(PoisonError::into_inner);
        beside.requests += 1;
        let now = beside.requests;
        if let Some(world) = beside.worlds.get_mut(name) {
            world.last_used = now;
            return world.surfaces.clone();
        }
        if beside.worlds.len() >= MOST_WORLDS {
            // Only the first request of a new name searches through all of them.
            let oldest = beside.worlds.iter().min_by_key(|(_, world)| world.last_used);
            if let Some(name) = oldest.map(|(name, _)| name.clone()) {
                // An exchange under way holds its world, and comes to its end there.
                beside.worlds.remove(&name);
            }
        }
        // Made under the lock, so that two first requests of a name share one world.
        let state = Arc::new(self.state.beside(name));
        let surfaces = Routes::new(&state);
        let world = IsolatedEmulator { state, surfaces: surfaces.clone(), last_used: now };
        beside.worlds.insert(name.into(), world);
        surfaces
    }

    fn with_file(&self, file: &str) -> Option<Routes> {
        let beside = self.beside.lock().unwrap_or_else(PoisonError::into_inner);
        let world = beside.worlds.values().find(|world| world.state.files.has(file));
        world.map(|world| world.surfaces.clone())
    }
}

/// Worlds beside the first; the one that was used longest ago goes beyond it.
const MOST_WORLDS: usize = 1_000;

/// Characters of a world's name.
const LONGEST_NAME: usize = 128;
