//! All that the endpoints share.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use effects_core::Template;
use http::HeaderMap;
use http::header::HOST;

use crate::clock::{Clock, millis};
use crate::ids;
use crate::keys::Keys;
use crate::options::Options;
use crate::painter::Painter;
use crate::studio::Studio;
use crate::task::Task;
use crate::tasks::Tasks;
use crate::vault::Vault;
use crate::wire::task::Telling;

/// The state of one emulator.
pub(crate) struct Gateway {
    pub(crate) options: Options,
    pub(crate) keys: Keys,
    pub(crate) clock: Clock,
    pub(crate) tasks: Tasks,
    pub(crate) vault: Vault,
    pub(crate) studio: Studio,
    address: SocketAddr,
    origin: String,
    cost: String,
    accepted: AtomicU64,
}

impl Gateway {
    pub(crate) fn new(options: Options, address: SocketAddr, painter: Arc<dyn Painter>) -> Self {
        let key = options.api_key.clone().unwrap_or_else(|| format!("emulator-{}", ids::fresh(32)));
        Self {
            keys: Keys::new(key),
            clock: Clock::start(options.clock, 0),
            tasks: Tasks::new(options.limits.tasks),
            vault: Vault::new(&options.limits),
            studio: Studio::new(&options, address, painter),
            address,
            origin: format!("http://{address}"),
            cost: options.price.to_string(),
            accepted: AtomicU64::new(0),
            options,
        }
    }

    /// Scheme, host and port it is reached at from this machine.
    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Scheme, host and port for links in an answer. A gateway that listens on all addresses
    /// cannot know which of them a client sees; the client's own `Host` says.
    pub(crate) fn origin_for(&self, headers: &HeaderMap) -> String {
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        match host {
            Some(host) if self.address.ip().is_unspecified() => format!("http://{host}"),
            _ => self.origin.clone(),
        }
    }

    /// When a task accepted now may be seen finished.
    pub(crate) fn due(&self, template: &Template, now: u64) -> u64 {
        let count = self.accepted.fetch_add(1, Ordering::Relaxed);
        now + millis(self.options.latency.sample(template, self.options.seed, count))
    }

    /// Looks at a task and tells what `tell` makes of it.
    pub(crate) fn look<R>(
        &self,
        id: &str,
        headers: &HeaderMap,
        tell: impl FnOnce(&Task, Telling<'_>) -> R,
    ) -> Option<R> {
        let telling = Telling {
            now: self.clock.now(),
            dialect: self.options.dialect,
            origin: &self.origin_for(headers),
            cost: &self.cost,
        };
        self.tasks.with(id, |task| tell(task, telling))
    }
}
