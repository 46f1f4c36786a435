//! One emulator shared by tests that run beside each other: each key has a world of its own.
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

use crate::gateway::Gateway;
use crate::routes::Surfaces;
use crate::{cors, keys};

/// The surfaces of an emulator, and of the worlds beside it.
#[derive(Clone)]
pub(crate) struct Worlds {
    main: Surfaces,
    gateway: Arc<Gateway>,
    beside: Arc<Mutex<Beside>>,
}

#[derive(Default)]
struct Beside {
    worlds: HashMap<Box<str>, World>,
    /// Counts requests, so that the world that was used longest ago is known.
    requests: u64,
}

struct World {
    gateway: Arc<Gateway>,
    surfaces: Surfaces,
    last_used: u64,
}

impl Worlds {
    pub(crate) fn new(gateway: &Arc<Gateway>) -> Self {
        let main = Surfaces::new(gateway);
        Self { main, gateway: Arc::clone(gateway), beside: Arc::default() }
    }

    /// The answer to a request.
    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Response {
        let origin = cors::allowed(&self.gateway.options.cors, request.headers());
        let Some(origin) = origin else { return self.of(&request).answer(request).await };
        if let Some(answer) = cors::preflight(&request, &origin) {
            return answer;
        }
        let mut answer = self.of(&request).answer(request).await;
        cors::allow_origin(&mut answer, &origin);
        answer
    }

    /// The surfaces that a request is for.
    fn of<B>(&self, request: &Request<B>) -> Surfaces {
        if !self.gateway.options.isolate_keys {
            return self.main.clone();
        }
        if let Some(name) = self.name(request) {
            return self.world(name);
        }
        // A picture is asked for without a key; its name is in one vault alone.
        let file = request.uri().path().strip_prefix("/files/");
        file.and_then(|file| self.with_file(file)).unwrap_or_else(|| self.main.clone())
    }

    /// The name behind the key, if there is one.
    fn name<'a, B>(&self, request: &'a Request<B>) -> Option<&'a str> {
        let key = keys::presented(request.headers())?;
        let own = self.gateway.keys.own().as_bytes();
        let (start, rest) = key.split_at_checked(own.len())?;
        let name = rest.strip_prefix(b".")?;
        let is_name = (1..=LONGEST_NAME).contains(&name.len())
            && name.iter().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(b));
        let is_ours = bool::from(own.ct_eq(start)) && is_name;
        std::str::from_utf8(name).ok().filter(|_| is_ours)
    }

    fn world(&self, name: &str) -> Surfaces {
        let mut beside = self.beside.lock().unwrap_or_else(PoisonError::into_inner);
        beside.requests += 1;
        let now = beside.requests;
        if let Some(world) = beside.worlds.get_mut(name) {
            world.last_used = now;
            return world.surfaces.clone();
        }
        if beside.worlds.len() >= MOST_WORLDS {
            let oldest = beside.worlds.iter().min_by_key(|(_, world)| world.last_used);
            if let Some(name) = oldest.map(|(name, _)| name.clone()) {
                beside.worlds.remove(&name);
            }
        }
        let gateway = Arc::new(self.gateway.beside(name));
        let surfaces = Surfaces::new(&gateway);
        let world = World { gateway, surfaces: surfaces.clone(), last_used: now };
        beside.worlds.insert(name.into(), world);
        surfaces
    }

    fn with_file(&self, file: &str) -> Option<Surfaces> {
        let beside = self.beside.lock().unwrap_or_else(PoisonError::into_inner);
        let world = beside.worlds.values().find(|world| world.gateway.vault.has(file));
        world.map(|world| world.surfaces.clone())
    }
}

/// Worlds beside the first; the one that was used longest ago goes beyond it.
const MOST_WORLDS: usize = 1_000;

/// Characters of a world's name.
const LONGEST_NAME: usize = 128;
