//! ureq, set up so that it does what a paid API needs and nothing by itself.
//!
//! No redirect is followed and no status is an error on requests that carry the key; environment
//! proxies never catch this machine; submissions leave on fresh connections; and a failed exchange
//! says truthfully whether the request can have left.

use std::cell::Cell;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use effects_client::{CaBundle, Proxy, Settings};
use effects_core::{Answer, BaseUrl, Error, ErrorKind, Trouble};
use http::{Request, Response};
use ureq::config::{Config, ConfigBuilder};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::typestate::AgentScope;
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, DefaultConnector, NextTimeout, Transport,
};
use ureq::{Agent, Body};

/// The agents of a client, one for each kind of exchange.
#[derive(Debug)]
pub(crate) struct HttpClient {
    submit: Agent,
    poll: Agent,
    transfer: Agent,
    transfer_here: Agent,
    timeout: Duration,
}

impl HttpClient {
    pub(crate) fn new(settings: &Settings) -> Result<Self, Error> {
        let roots = roots(settings.ca_bundle.as_ref())?;
        let loopback = settings.endpoint.base().origin().is_loopback();
        let (there, here) = (proxy(&settings.proxy, false)?, proxy(&settings.proxy, true)?);
        let timeout = settings.policy.request_timeout;
        let base = |proxy: &Option<ureq::Proxy>| {
            Config::builder()
                .proxy(proxy.clone())
                .tls_config(TlsConfig::builder().root_certs(roots.clone()).build())
                .timeout_connect(Some(settings.connect_timeout))
                .http_status_as_error(false)
                .max_idle_connections(IDLE_CONNECTIONS)
                .max_idle_connections_per_host(IDLE_CONNECTIONS)
        };
        let api = || base(if loopback { &here } else { &there }).timeout_global(Some(timeout));
        let keyed =
            |idle| agent(api().max_redirects(0).max_redirects_will_error(false).max_idle_age(idle));
        let transfer = |proxy| {
            agent(
                base(proxy)
                    .max_redirects(5)
                    .timeout_recv_response(Some(timeout))
                    .timeout_per_read(Some(timeout))
                    .timeout_global(Some(settings.policy.wait_timeout.max(timeout))),
            )
        };
        Ok(Self {
            submit: keyed(SUBMIT_IDLE),
            poll: keyed(POLL_IDLE),
            transfer: transfer(&there),
            transfer_here: transfer(&here),
            timeout,
        })
    }

    /// Makes an exchange that carries the key, or a presigned permission.
    pub(crate) fn exchange(&self, request: Request<Bytes>, timeout: Duration) -> Answer {
        let agent = if request.method() == http::Method::GET { &self.poll } else { &self.submit };
        SENT.set(false);
        let answer = self.send(agent, request, timeout).and_then(|response| {
            let (parts, body) = response.into_parts();
            let body = body.into_with_config().limit(MOST_ANSWER_BYTES).read_to_vec()?;
            Ok(Answer::Answered { status: parts.status, headers: parts.headers, body: body.into() })
        });
        answer.unwrap_or_else(|error| {
            let reason = error.to_string();
            if SENT.get() { Answer::Lost(reason) } else { Answer::NotSent(reason) }
        })
    }

    /// Opens a download. It carries no key.
    pub(crate) fn open(&self, url: &str) -> Result<Response<Body>, Trouble> {
        let host = url.parse::<http::Uri>().ok().and_then(|uri| Some(uri.host()?.to_owned()));
        let here = host.is_some_and(|host| {
            BaseUrl::parse(&format!("http://{host}"), true)
                .is_ok_and(|base| base.origin().is_loopback())
        });
        let agent = if here { &self.transfer_here } else { &self.transfer };
        SENT.set(false);
        agent.get(url).call().map_err(|error| {
            let reason = error.to_string();
            if SENT.get() { Trouble::Lost { reason } } else { Trouble::NotSent { reason } }
        })
    }

    fn send(
        &self,
        agent: &Agent,
        request: Request<Bytes>,
        timeout: Duration,
    ) -> Result<Response<Body>, ureq::Error> {
        // A request with a time limit of its own costs a copy of the agent's settings.
        let usual = timeout == self.timeout;
        if request.method() == http::Method::GET {
            let request = request.map(|_| ());
            if usual {
                return agent.run(request);
            }
            let limited = agent.configure_request(request).timeout_global(Some(timeout)).build();
            return agent.run(limited);
        }
        let request = request.map(Vec::from);
        if usual {
            return agent.run(request);
        }
        agent.run(agent.configure_request(request).timeout_global(Some(timeout)).build())
    }
}

/// Reads a body chunk by chunk.
pub(crate) fn read_chunks(
    body: Body,
    mut each: impl FnMut(&[u8]) -> Result<(), Trouble>,
) -> Result<(), Trouble> {
    let mut reader = body.into_reader();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => each(&buffer[..count])?,
            Err(error) => {
                return Err(Trouble::Lost { reason: error.to_string() });
            }
        }
    }
}

fn agent(config: ConfigBuilder<AgentScope>) -> Agent {
    let connector = DefaultConnector::default().chain(NoteSent);
    Agent::with_parts(config.build(), connector, DefaultResolver::default())
}

fn proxy(proxy: &Proxy, here: bool) -> Result<Option<ureq::Proxy>, Error> {
    match proxy {
        Proxy::System if !here => Ok(ureq::Proxy::try_from_env()),
        Proxy::System | Proxy::Direct => Ok(None),
        Proxy::Url(url) => ureq::Proxy::new(url).map(Some).map_err(|error| {
            // The URL may hold a password.
            Error::new(ErrorKind::Misconfigured, format!("the proxy's URL is unusable: {error}"))
        }),
    }
}

/// The system's certificates, or the caller's own.
fn roots(bundle: Option<&CaBundle>) -> Result<RootCerts, Error> {
    let Some(CaBundle { path, pem }) = bundle else {
        return Ok(RootCerts::PlatformVerifier);
    };
    let certificates: Vec<_> = parse_pem(pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if certificates.is_empty() {
        let message = format!("ca_bundle {} holds no certificate in PEM form", path.display());
        return Err(Error::new(ErrorKind::Misconfigured, message));
    }
    Ok(RootCerts::Specific(Arc::new(certificates)))
}

thread_local! {
    /// Whether the exchange of this thread handed bytes of its request to a connection. Connecting,
    /// a proxy's CONNECT and the TLS handshake come before that, in connectors further in.
    static SENT: Cell<bool> = const { Cell::new(false) };
}

/// The outermost connector: notes when a request begins to leave.
#[derive(Debug)]
struct NoteSent;

impl<In: Transport> Connector<In> for NoteSent {
    type Out = Noted<In>;

    fn connect(
        &self,
        _details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, ureq::Error> {
        Ok(chained.map(Noted))
    }
}

#[derive(Debug)]
struct Noted<In>(In);

impl<In: Transport> Transport for Noted<In> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.0.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        SENT.set(true);
        self.0.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.0.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.0.is_open()
    }

    fn is_tls(&self) -> bool {
        self.0.is_tls()
    }
}

/// Connections kept for the next exchange, a host: as many as a thread pool has exchanges in flight.
const IDLE_CONNECTIONS: usize = 64;

/// A submission leaves on a connection that was idle for less than this: one that a server has just
/// closed would make its fate unknown for nothing.
const SUBMIT_IDLE: Duration = Duration::from_millis(1_500);

/// A poll may try an older one: it can be made again.
const POLL_IDLE: Duration = Duration::from_secs(30);

/// No answer about a task is longer.
const MOST_ANSWER_BYTES: u64 = 8 * 1024 * 1024;
