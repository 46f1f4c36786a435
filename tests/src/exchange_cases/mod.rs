//! [`ExchangeCase`]: one thing that a network can do to a submission, and what an HTTP stack must then say
//! became of it (not sent, lost, or answered), since a second submission costs money.
//! `tests/all/exchanges.rs` plays the list [`exchange_cases`] (`table.rs`) over both stacks under test,
//! [`Ureq`] and [`Reqwest`]; the cases of HTTP/2 over [`Reqwest`] alone.
//!
//! An [`ExchangeCase`] builds a [`Network`] on this machine (a gateway that misbehaves, perhaps behind
//! a proxy) and names what a submission to it must come to. [`exchange_cases`] is the list; a client
//! joins by implementing [`ExchangeUnderTest`].

mod http2_frames;
mod table;
mod tls_server;

use std::any::Any;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use effects_client::{BuildClient, ClientBuilder, Proxy, Settings, Transport};
use effects_core::gateway::{Answer, AsyncExchange, Call, CallKind, DynExchange, Exchange};
use effects_core::{EffectRequest, Error, Policy, Run, Seed, Step, Template, Time};
use effects_reqwest::ReqwestExchange;
use effects_ureq::UreqExchange;

use crate::world::{KEY, PHOTO_URL};

pub use table::exchange_cases;

/// One thing that can happen to a submission, and what an HTTP stack must say of it.
#[must_use]
pub struct ExchangeCase {
    name: &'static str,
    expected: Expected,
    network: Box<dyn Fn() -> Network>,
    body_bytes: usize,
    needs_http2: bool,
}

/// What an HTTP stack must say of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Expected {
    /// Nothing of it left this machine, or the gateway provably did nothing with it.
    NotSent,
    /// The certificate is not trusted, and nothing left.
    Untrusted,
    /// It left, or began to, and no answer came.
    Lost,
    /// It was answered with this status, whether it was sent to its end or not.
    Answered(u16),
}

/// The servers of a case and the way to them.
struct Network {
    base_url: String,
    proxy: Proxy,
    /// Whether the client trusts the gateway's certificate.
    trusts: bool,
    limit: Duration,
    /// How many requests reached the gateway.
    arrived: Box<dyn Fn() -> usize>,
    /// Whether the proxy was shown the key.
    leaked: Box<dyn Fn() -> bool>,
    /// Keeps the servers running.
    _servers: Box<dyn Any>,
}

/// A client whose exchanges are examined.
pub trait ExchangeUnderTest {
    /// Its name in reports.
    fn name(&self) -> &'static str;

    /// Whether it offers HTTP/2 to a gateway behind TLS.
    fn offers_http2(&self) -> bool;

    /// Makes one exchange with these settings.
    ///
    /// # Errors
    ///
    /// Why an HTTP stack cannot be set up so.
    fn exchange(&self, settings: Settings, call: &Call) -> Result<Answer, Error>;
}

impl ExchangeCase {
    /// Its name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Whether this client can play it.
    pub fn suits(&self, client: &dyn ExchangeUnderTest) -> bool {
        client.offers_http2() || !self.needs_http2
    }

    /// Sends a submission into the case's network; says what was wrong with what the client said.
    ///
    /// # Errors
    ///
    /// What the client said, if it is not what the case expects.
    pub fn check(&self, client: &dyn ExchangeUnderTest) -> Result<(), String> {
        // Made anew for each client, so that none meets what another has left.
        let network = (self.network)();
        let settings = network.settings().map_err(|error| error.to_string())?;
        let call = submission(self.body_bytes, network.limit);
        let answer = client.exchange(settings, &call).map_err(|error| error.to_string())?;
        let said = match &answer {
            Answer::NotSent(_) => Expected::NotSent,
            // No case has a cassette, so none comes to `NotRecorded`.
            Answer::Untrusted(_) | Answer::NotRecorded(_) => Expected::Untrusted,
            // What arrived of an answer is the core's to read; as an exchange it is lost.
            Answer::Lost(_) | Answer::BrokenOff { .. } => Expected::Lost,
            Answer::Answered { status, .. } => Expected::Answered(status.as_u16()),
        };
        // That nothing was sent is not believed: the servers say what they saw.
        let arrived = (network.arrived)();
        if said != self.expected {
            return Err(format!("expected {:?}, got {answer:?}", self.expected));
        }
        // With HTTP/2 a request may arrive and provably nothing be done with it.
        if matches!(said, Expected::NotSent | Expected::Untrusted)
            && arrived > 0
            && !self.needs_http2
        {
            return Err(format!("{arrived} requests reached the gateway, yet: {answer:?}"));
        }
        if (network.leaked)() {
            return Err("the proxy was shown the key".to_owned());
        }
        Ok(())
    }
}

impl fmt::Debug for ExchangeCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ExchangeCase").field(&self.name).finish()
    }
}

impl Network {
    fn settings(&self) -> Result<Settings, Error> {
        let builder = ClientBuilder::<TakenSettings>::new()
            .api_key(KEY)
            .base_url(&self.base_url)
            .proxy(self.proxy.clone())
            .request_timeout(self.limit)
            .connect_timeout(self.limit);
        let builder = if self.trusts { builder.ca_bundle(certificate("ca.pem")) } else { builder };
        builder.build().map(|TakenSettings(settings)| settings)
    }
}

/// Takes the settings that a client would be made of.
struct TakenSettings(Settings);

impl BuildClient for TakenSettings {
    type Exchange = DynExchange;

    fn from_settings(settings: Settings, _: Transport<DynExchange>) -> Result<Self, Error> {
        Ok(Self(settings))
    }
}

/// A submission as a run makes it, but with a body of this length.
fn submission(body_bytes: usize, timeout: Duration) -> Call {
    let request = EffectRequest::new(Template::GlassBall, PHOTO_URL).expect("the request is valid");
    let policy = Arc::new(Policy { request_timeout: timeout, ..Policy::default() });
    let mut run = Run::submit(request, policy, Seed::from(1), Time::default());
    // The run makes the call, so that it has all that a real submission has.
    let mut call = loop {
        match run.step(Time::default()) {
            Step::Send(call) => break call,
            Step::Record(entry) => run.recorded(entry.id),
            Step::Notify(_) => {}
            step => panic!("a run that begins does not submit but {step:?}"),
        }
    };
    if let CallKind::Submit { body, .. } = &mut call.kind {
        // Only its length matters: no server of a case reads what it says.
        *body = Bytes::from(vec![b' '; body_bytes]);
    }
    call
}

fn certificate(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("certificates").join(name)
}

/// `effects-ureq`.
#[derive(Clone, Copy, Debug)]
pub struct Ureq;

impl ExchangeUnderTest for Ureq {
    fn name(&self) -> &'static str {
        "ureq"
    }

    fn offers_http2(&self) -> bool {
        false
    }

    fn exchange(&self, settings: Settings, call: &Call) -> Result<Answer, Error> {
        Ok(UreqExchange::new(&settings)?.exchange(settings.endpoint.request(call), call.timeout))
    }
}

/// `effects-reqwest`, on a tokio runtime of its own.
#[derive(Clone, Copy, Debug)]
pub struct Reqwest;

impl ExchangeUnderTest for Reqwest {
    fn name(&self) -> &'static str {
        "reqwest"
    }

    fn offers_http2(&self) -> bool {
        true
    }

    fn exchange(&self, settings: Settings, call: &Call) -> Result<Answer, Error> {
        let exchange = ReqwestExchange::new(&settings)?;
        let request = settings.endpoint.request(call);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("the machine has a runtime to give");
        Ok(runtime.block_on(exchange.exchange(request, call.timeout)))
    }
}
