//! [`HttpClient`]: ureq's agents, set up for a paid API: one for requests that must have a new connection
//! (submissions, uploads), one for looks at a task, one for downloads, each once per proxy route. It
//! repeats no request, and of a failed one it says whether any of it may have reached the service.
//! `UreqExchange` sends requests with its `exchange`; `transfer.rs` streams downloads from its `open`,
//! with [`read_chunks`].
//!
//! No redirect is followed and no status is an error on requests that carry the key; environment
//! proxies never catch this machine; everything but a look at a task leaves on a connection of its own;
//! and a failed exchange says truthfully whether the request can have left.
//!
//! A connection that is kept may be closed by the gateway at the moment of the next request, and then
//! the fate of that request is not known: HTTP/1.1 has no way to tell. That costs nothing where a look is
//! repeated, and a task in doubt where a submission is lost. A new connection costs a round trip, two
//! with TLS, and CPU time that `tests/examples/bench_connections.rs` measures: at most four milliseconds
//! a submission in an unoptimised build, where a task takes seconds.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use effects_client::certificate::{lost, lost_fetch, unsent, unsent_fetch};
use effects_client::telemetry::OutageNotice;
use effects_client::{CaBundle, ClientCert, EnvironmentProxies, Proxy, Settings, answer_of};
use effects_core::gateway::{Answer, FetchOptions, FreshConnection};
use effects_core::wire::ExchangeError;
use effects_core::{BaseUrl, Error, ErrorKind};
use http::response::Parts;
use http::uri::{Authority, Scheme};
use http::{Request, Response, Uri};
use ureq::config::{Config, ConfigBuilder};
use ureq::tls::{Certificate, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};
use ureq::typestate::AgentScope;
use ureq::{Agent, Body};

use crate::connection::{self, GatewayConnector, NO_SOCKS, ResolvedByConnector, body_reason};

/// The agents of a client, one for each kind of exchange.
#[derive(Debug)]
pub(crate) struct HttpClient {
    submit: ByRoute,
    poll: ByRoute,
    transfer: ByRoute,
    environment: EnvironmentProxies,
    /// Nearly every exchange goes there, so that its route is found out once.
    gateway: Option<(Authority, ProxyRoute)>,
    outage: OutageNotice,
}

/// One for each [`ProxyRoute`].
#[derive(Debug)]
struct ByRoute {
    direct: Agent,
    http: Agent,
    https: Agent,
}

impl ByRoute {
    fn by(&self, route: ProxyRoute) -> &Agent {
        match route {
            ProxyRoute::Direct => &self.direct,
            ProxyRoute::Http => &self.http,
            ProxyRoute::Https => &self.https,
        }
    }
}

/// By which proxy of the environment a request goes. A proxy that the caller gave is that of all three.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum ProxyRoute {
    /// By none: to this machine, and to what `no_proxy` names.
    Direct,
    Http,
    Https,
}

impl ProxyRoute {
    fn of(uri: &Uri, environment: &EnvironmentProxies) -> Self {
        let is_secure = uri.scheme() == Some(&Scheme::HTTPS);
        let port = uri.port_u16().unwrap_or(if is_secure { 443 } else { 80 });
        let is_bypassed = |host: &str| environment.are_bypassed_by(host, port);
        // A proxy elsewhere cannot reach this machine's loopback, and would get the key.
        if is_here(uri) || uri.host().is_some_and(is_bypassed) {
            return Self::Direct;
        }
        if is_secure { Self::Https } else { Self::Http }
    }
}

impl HttpClient {
    pub(crate) fn new(settings: &Settings) -> Result<Self, Error> {
        let roots = roots(settings.ca_bundle.as_ref())?;
        let client_cert = settings.client_cert.as_ref().map(client_cert).transpose()?;
        let environment = EnvironmentProxies::from_env();
        let proxy = |named| proxy(&settings.proxy, named);
        let (direct, http, https) =
            (proxy(None)?, proxy(environment.http())?, proxy(environment.https())?);
        let base = |proxy: &Option<ureq::Proxy>| {
            Config::builder()
                .proxy(proxy.clone())
                .tls_config(
                    TlsConfig::builder()
                        .root_certs(roots.clone())
                        .client_cert(client_cert.clone())
                        .build(),
                )
                .timeout_connect(Some(settings.connect_timeout))
                // The core reads answers of every status.
                .http_status_as_error(false)
                .input_buffer_size(INPUT_BUFFER)
                .output_buffer_size(OUTPUT_BUFFER)
                .max_idle_connections(IDLE_CONNECTIONS)
                .max_idle_connections_per_host(IDLE_CONNECTIONS)
        };
        let by_route = |make: &dyn Fn(ConfigBuilder<AgentScope>) -> ConfigBuilder<AgentScope>| {
            let agent = |proxy| agent(make(base(proxy)));
            ByRoute { direct: agent(&direct), http: agent(&http), https: agent(&https) }
        };
        let keyed = |idle| {
            by_route(&|config| {
                config
                    // A redirect may lead to another host, and the key must not go there.
                    .max_redirects(0)
                    // The redirect itself is the answer then.
                    .max_redirects_will_error(false)
                    .max_idle_age(POLL_IDLE)
                    .max_idle_connections(idle)
            })
        };
        let gateway = settings.endpoint.base().to_string().parse::<Uri>().ok();
        Ok(Self {
            // No connection is kept, so that each submission makes one of its own.
            submit: keyed(0),
            poll: keyed(IDLE_CONNECTIONS),
            // Downloads carry no key, and storage often redirects them.
            transfer: by_route(&|config| config.max_redirects(5)),
            gateway: gateway.and_then(|uri| {
                let route = ProxyRoute::of(&uri, &environment);
                Some((uri.into_parts().authority?, route))
            }),
            environment,
            outage: OutageNotice::default(),
        })
    }

    /// Makes an exchange that carries the key, or a presigned permission.
    pub(crate) fn exchange(&self, mut request: Request<Bytes>, timeout: Duration) -> Answer {
        if let Some(options) = request.extensions().get::<FetchOptions>() {
            return self.fetch(&request.uri().to_string(), *options, timeout);
        }
        // A connection that was kept may be closed under a submission, which is then in doubt.
        let is_fresh = request.extensions().get::<FreshConnection>().is_some();
        let agents = if is_fresh { &self.submit } else { &self.poll };
        let url = request.uri().clone();
        let agent = agents.by(self.route(&url));
        // Before ureq has the request, all of which it may log.
        let under = connection::begin(Some(request.headers_mut()), Some(timeout));
        let answer = send(agent, request).map(|response| {
            let (parts, body) = response.into_parts();
            let (status, headers, mut bytes) = (parts.status, parts.headers, Vec::new());
            let mut body = body.into_with_config().limit(MAX_ANSWER_BYTES).reader();
            match body.read_to_end(&mut bytes) {
                // What arrived of a body that broke off is kept: a task's id may be in it.
                Ok(_) => Answer::Answered { status, headers, body: bytes.into() },
                Err(error) => {
                    let (body, reason) = (bytes.into(), body_reason(&error));
                    Answer::BrokenOff { status, headers, body, reason }
                }
            }
        });
        let answer = under.restore(answer.unwrap_or_else(|error| {
            let reason = under.reason(&error);
            if under.has_left() { lost(reason) } else { unsent(reason) }
        }));
        self.outage.note(&url, &answer);
        answer
    }

    /// Makes a download whose picture is kept in memory.
    fn fetch(&self, url: &str, options: FetchOptions, whole: Duration) -> Answer {
        let response = match self.open(url, options.quiet, whole) {
            Ok(response) => response,
            Err(error) => return answer_of(error),
        };
        let (Parts { status, headers, .. }, body) = response.into_parts();
        let mut bytes = Vec::new();
        let end = read_chunks(body, |chunk| {
            if (bytes.len() + chunk.len()) as u64 > options.most_bytes {
                let reason = format!("an answer longer than {} bytes", options.most_bytes);
                return Err(ExchangeError::Lost { reason });
            }
            bytes.extend_from_slice(chunk);
            Ok(())
        });
        let body = bytes.into();
        match end {
            Ok(()) => Answer::Answered { status, headers, body },
            Err(ExchangeError::Lost { reason }) => {
                Answer::BrokenOff { status, headers, body, reason }
            }
            Err(error) => answer_of(error),
        }
    }

    /// Opens a download. It carries no key, and may go for the time `quiet` without a byte and take the
    /// time `whole` in all.
    pub(crate) fn open(
        &self,
        url: &str,
        quiet: Duration,
        whole: Duration,
    ) -> Result<Response<Body>, ExchangeError> {
        let Ok(uri) = url.parse::<Uri>() else {
            // An odd link fails its own picture; the task is done and paid for.
            return Err(ExchangeError::NotSent {
                reason: "the picture's URL cannot be read".to_owned(),
            });
        };
        let quiet = Some(quiet);
        let request = self.transfer.by(self.route(&uri)).get(uri).config();
        let request = request
            // A large picture on a slow line may take long; silence may not.
            .timeout_recv_response(quiet)
            .timeout_per_read(quiet)
            .timeout_global(Some(whole))
            .build();
        let under = connection::begin(None, None);
        request.call().map_err(|error| {
            let reason = under.reason(&error);
            if under.has_left() { lost_fetch(reason) } else { unsent_fetch(reason) }
        })
    }

    fn route(&self, uri: &Uri) -> ProxyRoute {
        match &self.gateway {
            Some((gateway, route)) if uri.authority() == Some(gateway) => *route,
            _ => ProxyRoute::of(uri, &self.environment),
        }
    }
}

fn send(agent: &Agent, request: Request<Bytes>) -> Result<Response<Body>, ureq::Error> {
    match *request.method() {
        http::Method::GET => agent.run(request.map(|_| ())),
        _ => agent.run(request.map(Vec::from)),
    }
}

/// Reads a body chunk by chunk.
pub(crate) fn read_chunks(
    body: Body,
    mut each: impl FnMut(&[u8]) -> Result<(), ExchangeError>,
) -> Result<(), ExchangeError> {
    let mut reader = body.into_reader();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => each(&buffer[..count])?,
            Err(error) => {
                return Err(ExchangeError::Lost { reason: body_reason(&error) });
            }
        }
    }
}

fn is_here(uri: &Uri) -> bool {
    // Only the host matters, so any scheme will do.
    uri.host().is_some_and(|host| {
        BaseUrl::parse(&format!("http://{host}"), true)
            .is_ok_and(|base| base.origin().is_loopback())
    })
}

fn agent(config: ConfigBuilder<AgentScope>) -> Agent {
    let connector = GatewayConnector::with_defaults();
    Agent::with_parts(config.build(), connector, ResolvedByConnector)
}

/// The proxy to go by, where the environment names this one, if any.
fn proxy(proxy: &Proxy, named: Option<&str>) -> Result<Option<ureq::Proxy>, Error> {
    match proxy {
        // As everywhere, one that cannot be read is none.
        Proxy::System => Ok(named.and_then(|url| ureq::Proxy::new(url).ok())),
        Proxy::Direct => Ok(None),
        Proxy::Url(url) => {
            // The URL may hold a password.
            // The error is made of the reason alone.
            let unusable = |reason: &dyn std::fmt::Display| {
                let message = format!("the proxy's URL is unusable: {reason}");
                Error::new(ErrorKind::Misconfigured, message)
            };
            let proxy = ureq::Proxy::new(url).map_err(|error| unusable(&error))?;
            if connection::speaks_http(&proxy) { Ok(Some(proxy)) } else { Err(unusable(&NO_SOCKS)) }
        }
    }
}

/// A client's certificate as ureq has it.
fn client_cert(read: &ClientCert) -> Result<ureq::tls::ClientCert, Error> {
    let chain: Vec<_> =
        read.chain().iter().map(|link| Certificate::from_der(link).to_owned()).collect();
    let key = PrivateKey::from_pem(read.key_pem()).map_err(|error| {
        let message = format!("the client certificate's key cannot be used: {error}");
        Error::new(ErrorKind::Misconfigured, message)
    })?;
    Ok(ureq::tls::ClientCert::new_with_certs(&chain, key))
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

/// Connections kept for the next exchange, a host: as many as a thread pool has exchanges in flight.
const IDLE_CONNECTIONS: usize = 64;

/// What each connection has for what it reads and writes, of which ureq fills every byte with 0 before the
/// first: half of ureq's own, since each submission has a connection. An answer's head has room in the first
/// beyond the 64 KiB that ureq lets it have, so that a longer one is refused for what it is.
const INPUT_BUFFER: usize = 72 * 1024;
const OUTPUT_BUFFER: usize = 64 * 1024;

/// How long a connection is kept for the next look. One that the gateway closes just then costs a look,
/// which is made again.
const POLL_IDLE: Duration = Duration::from_secs(30);

/// No answer about a task is longer.
const MAX_ANSWER_BYTES: u64 = 8 * 1024 * 1024;
