//! [`Settings`]: the checked settings of a client: its gateway and key, how runs behave and are paced,
//! where local photos go, how it connects ([`Proxy`], [`CaBundle`], client certificate), and the callback
//! for events ([`EventObserver`]). `ClientBuilder::build` makes them. Both clients and their HTTP stacks,
//! and the command's `doctor` and webhooks, are built from them. The clients ask them to refuse work that
//! repeats the key, to warn of photos that the gateway cannot reach, to report events, and for the policy
//! at this gateway, which `doctor` asks for too.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use effects_core::gateway::Endpoint;
use effects_core::pace::Pacer;
use effects_core::{Backoff, Error, Event, Pace, Policy};
use effects_jobs::{Uploads, Work};
use tracing::Span;

use crate::caller_panic::guarded;
use crate::client_cert::ClientCert;
use crate::key_in_request::refuse_key;
use crate::telemetry;
use crate::unreachable_photos::UnreachablePhotos;

/// The settings of a client, checked.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// The gateway and its key.
    pub endpoint: Endpoint,
    /// How runs behave.
    pub policy: Policy,
    /// What is known of how long tasks take at this gateway.
    pub pacer: Pacer,
    /// The longest a connection may take to be made: name, TCP and TLS.
    pub connect_timeout: Duration,
    /// Where local photos are put.
    pub uploads: Uploads,
    /// The proxy to connect through.
    pub proxy: Proxy,
    /// Certificates to trust instead of the system's.
    pub ca_bundle: Option<CaBundle>,
    /// The client's certificate, shown to a server that asks for one.
    pub client_cert: Option<ClientCert>,
    /// Whether http passes to other machines.
    pub allow_http: bool,
    /// Whether a cassette is replayed: then nothing is sent, and nothing is waited for.
    pub is_replay: bool,
    /// Warns of photos that the gateway cannot reach.
    pub unreachable_photos: Arc<UnreachablePhotos>,
    /// Called with each event of a run.
    pub event_observer: EventObserver,
}

impl Settings {
    /// Warns of a work's photo that the gateway cannot reach.
    pub fn warn_of(&self, work: &Work) {
        if let Work::Submit(request) = work {
            let gateway = self.endpoint.base().origin();
            self.unreachable_photos.warn_of(request.reference(), gateway);
        }
    }

    /// Refuses work that repeats the API key, in its template, in a parameter, in its photo's URL, or in
    /// one of the `words` that are kept with it, each with its field and name. Each submission is asked by itself;
    /// a caller who uploads a photo or keeps a row first asks before.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidRequest`](effects_core::ErrorKind::InvalidRequest), with the place and without
    /// the key.
    pub fn refuse_key(
        &self,
        work: &Work,
        words: &[(&'static str, &str, Option<&str>)],
    ) -> Result<(), Error> {
        refuse_key(&self.endpoint, work, words)
    }

    /// Reports an event of a run to `tracing`, inside its task's span, and to the caller's callback.
    pub fn report(&self, span: &Span, event: &Event) {
        telemetry::report(span, event);
        if let Some(observe) = &self.event_observer.0 {
            guarded("the function of on_event", || observe(event));
        }
    }

    /// The policy at this gateway, which links to pictures are resolved against. One that is of no client of
    /// this gateway has this client's headers beside its own.
    pub fn policy_here(&self, policy: Arc<Policy>) -> Arc<Policy> {
        let here = self.endpoint.base();
        // The usual case: the caller's policy is shared and not copied for each call.
        if policy.gateway.as_ref() == Some(here) && !self.is_replay {
            return policy;
        }
        let headers = policy.headers.over(&self.policy.headers);
        let policy = Policy { gateway: Some(here.clone()), headers, ..Policy::clone(&policy) };
        Arc::new(if self.is_replay { replay_policy(policy) } else { policy })
    }
}

/// The callback for each event of a client's runs, if there is one.
#[derive(Clone, Default)]
pub struct EventObserver(Option<Arc<ObserveEvent>>);

type ObserveEvent = dyn Fn(&Event) + Send + Sync;

impl EventObserver {
    pub(crate) fn of(observe: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(observe)))
    }
}

impl fmt::Debug for EventObserver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EventObserver({})", if self.0.is_some() { "…" } else { "none" })
    }
}

/// The proxy to connect through, if any.
#[derive(Clone, Default, Eq, PartialEq)]
pub enum Proxy {
    /// What the environment or the system says; never for this machine.
    #[default]
    System,
    /// No proxy.
    Direct,
    /// This proxy, for everything.
    Url(String),
}

/// Without the URL, which may hold a password.
impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::System => "System",
            Self::Direct => "Direct",
            Self::Url(_) => "Url(…)",
        })
    }
}

/// Certificates to trust, as the PEM file they came in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CaBundle {
    /// Where it was read.
    pub path: PathBuf,
    /// Its text.
    pub pem: Vec<u8>,
}

/// The policy of a replay: what was waited for when the cassette was recorded is not waited for again, and a
/// wait that ran into its end then soon does so again.
pub(crate) fn replay_policy(policy: Policy) -> Policy {
    let at_once = Duration::from_millis(1);
    let retry = Backoff { first: at_once, factor: 2.0, most: REPLAY_WAIT / 50, jitter: 0.0 };
    let wait_timeout = policy.wait_timeout.min(REPLAY_WAIT);
    Policy { pace: Pace::fixed(at_once), retry, wait_timeout, is_replay: true, ..policy }
}

/// The longest wait for a task in a replay.
const REPLAY_WAIT: Duration = Duration::from_secs(10);
