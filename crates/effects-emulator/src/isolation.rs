//! [`IsolatedEmulators`]: chooses the emulator that answers a request: the main one or, with
//! [`Options::isolate_keys`](crate::Options::isolate_keys), one of its own for each `NAME` of a key
//! `KEY.NAME` (`KEY` is the main one's key; at most 1,000 names), so that tests that run at the same time
//! can share one server. `runtime_thread.rs` makes it, and `server.rs` passes every request through it,
//! which also answers browsers' CORS preflights.
//!
//! An isolated emulator has tasks, files, requests, counts, spend, scripts, plan and clock of its own, and
//! begins with the first request that brings its key.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::response::Response;
use http::Request;
use hyper::body::Incoming;

use crate::routes::Routes;
use crate::state::EmulatorState;
use crate::{auth, cors};

/// The routes of the main emulator, and of the emulators of isolated keys beside it.
#[derive(Clone)]
pub(crate) struct IsolatedEmulators {
    main: Routes,
    state: Arc<EmulatorState>,
    isolated: Arc<Mutex<IsolatedByName>>,
}

#[derive(Default)]
struct IsolatedByName {
    emulators: HashMap<Box<str>, IsolatedEmulator>,
    /// Counts requests, so that the emulator that was used longest ago is known.
    requests: u64,
}

struct IsolatedEmulator {
    state: Arc<EmulatorState>,
    routes: Routes,
    last_used: u64,
}

impl IsolatedEmulators {
    pub(crate) fn new(state: &Arc<EmulatorState>) -> Self {
        let main = Routes::new(state);
        Self { main, state: Arc::clone(state), isolated: Arc::default() }
    }

    /// The answer to a request.
    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Response {
        let origin = cors::allowed(&self.state.options.cors, request.headers());
        let Some(origin) = origin else { return self.of(&request).answer(request).await };
        // Before an emulator is chosen: a browser's preflight brings no key.
        if let Some(answer) = cors::preflight(&request, &origin) {
            return answer;
        }
        let mut answer = self.of(&request).answer(request).await;
        cors::allow_origin(&mut answer, &origin);
        answer
    }

    /// Lets go of files that are too old, of each emulator.
    pub(crate) fn sweep(&self) {
        self.state.sweep();
        let states: Vec<_> = {
            let isolated = self.isolated.lock().unwrap_or_else(PoisonError::into_inner);
            isolated.emulators.values().map(|emulator| Arc::clone(&emulator.state)).collect()
        };
        // Without the lock, which each request takes.
        states.iter().for_each(|state| state.sweep());
    }

    /// The routes of the emulator that a request is for.
    fn of<B>(&self, request: &Request<B>) -> Routes {
        if !self.state.options.isolate_keys {
            return self.main.clone();
        }
        if let Some(name) = self.name(request) {
            return self.isolated_emulator(name);
        }
        // A picture is asked for without a key; its name is in one file store alone.
        let file = request.uri().path().strip_prefix("/files/");
        file.and_then(|file| self.emulator_with_file(file)).unwrap_or_else(|| self.main.clone())
    }

    /// The name behind the key, if there is one.
    fn name<'a, B>(&self, request: &'a Request<B>) -> Option<&'a str> {
        let name = self.state.keys.name_behind_own(request.headers())?;
        std::str::from_utf8(name).ok().filter(|_| auth::is_name(name))
    }

    fn isolated_emulator(&self, name: &str) -> Routes {
        let mut isolated = self.isolated.lock().unwrap_or_else(PoisonError::into_inner);
        isolated.requests += 1;
        let now = isolated.requests;
        if let Some(emulator) = isolated.emulators.get_mut(name) {
            emulator.last_used = now;
            return emulator.routes.clone();
        }
        let mut replaced = None;
        if isolated.emulators.len() >= MAX_ISOLATED {
            // Only the first request of a new name searches through all of them.
            let oldest = isolated.emulators.iter().min_by_key(|(_, emulator)| emulator.last_used);
            if let Some(name) = oldest.map(|(name, _)| name.clone()) {
                // An exchange under way holds its routes, and comes to its end there.
                replaced = isolated.emulators.remove(&name);
            }
        }
        // Made under the lock, so that two first requests of a name share one emulator.
        let state = Arc::new(self.state.isolated(name));
        let routes = Routes::new(&state);
        let emulator = IsolatedEmulator { state, routes: routes.clone(), last_used: now };
        isolated.emulators.insert(name.into(), emulator);
        // Without the lock, which each request takes: its files are erased from the folder.
        drop(isolated);
        drop(replaced);
        routes
    }

    fn emulator_with_file(&self, file: &str) -> Option<Routes> {
        let isolated = self.isolated.lock().unwrap_or_else(PoisonError::into_inner);
        let emulator = isolated.emulators.values().find(|emulator| emulator.state.files.has(file));
        emulator.map(|emulator| emulator.routes.clone())
    }
}

/// Emulators beside the main one; beyond it, the one that was used longest ago is dropped.
const MAX_ISOLATED: usize = 1_000;

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use bytes::Bytes;
    use tokio::sync::watch;

    use super::*;
    use crate::clock::ClockKind;
    use crate::options::{Limits, Options};
    use crate::painter::LocalPainter;

    fn files(folder: &Path) -> usize {
        std::fs::read_dir(folder.join("files")).unwrap().count()
    }

    #[tokio::test]
    async fn files_of_isolated_emulators_leave_the_folder_by_age_and_with_their_emulator() {
        let folder = tempfile::tempdir().unwrap();
        let options = Options {
            data_dir: Some(folder.path().to_owned()),
            isolate_keys: true,
            clock: ClockKind::Virtual,
            limits: Limits { file_age: Duration::from_secs(10), ..Limits::default() },
            ..Options::default()
        };
        let (_stop, stopped) = watch::channel(false);
        let address = "127.0.0.1:9".parse().unwrap();
        let painter = Arc::new(LocalPainter);
        let (main, _) = EmulatorState::open(options, address, painter, stopped).unwrap();
        let main = Arc::new(main);
        let emulators = IsolatedEmulators::new(&main);
        let isolated = |name: &str| {
            emulators.isolated_emulator(name);
            let isolated = emulators.isolated.lock().unwrap();
            Arc::clone(&isolated.emulators[name].state)
        };
        let keep = async |state: &EmulatorState| {
            state.keep(Bytes::from_static(b"GIF89a")).await.unwrap();
        };
        keep(&main).await;
        let one = isolated("one");
        keep(&one).await;
        emulators.sweep();
        assert_eq!(files(folder.path()), 2);
        one.clock.advance(Duration::from_secs(11)).unwrap();
        emulators.sweep();
        assert_eq!(files(folder.path()), 1, "the main one's is not as old");

        keep(&one).await;
        keep(&isolated("two")).await;
        assert_eq!(files(folder.path()), 3);
        // As the one that was used longest ago makes way for another; what is under way holds it.
        emulators.isolated.lock().unwrap().emulators.clear();
        assert_eq!(files(folder.path()), 2);
        drop(one);
        assert_eq!(files(folder.path()), 1);
        drop((emulators, main));
        assert_eq!(files(folder.path()), 1, "the main one's stay for the next start");
    }
}
