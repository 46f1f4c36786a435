//! [`Connector`]: makes a new [`Connection`] to a host: name, TCP, a proxy's tunnel, TLS. `Submitter`
//! (`submission.rs`) makes one for each request that it sends, so that none leaves on a connection that the
//! gateway is about to close. `http_client.rs` too asks [`is_here`] whether a host is this machine.
//!
//! Looks and downloads leave on reqwest's connections instead. Proxies are chosen by the same rules,
//! those of hyper-util, which reqwest goes by too.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use effects_client::{EnvironmentProxies, Proxy, Settings, no_tunnel};
use effects_core::BaseUrl;
use effects_core::{Error, ErrorKind};
use http::header::HeaderValue;
use http::uri::{Scheme, Uri};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_rustls::TlsConnector;
use tower_service::Service;

use crate::kept_readable::{CutShort, KeptReadable};

pub(crate) type BoxError = Box<dyn StdError + Send + Sync>;

/// Makes connections for one request each.
pub(crate) struct Connector {
    tcp: HttpConnector,
    tls: TlsConnector,
    /// No HTTP/2 with a proxy: a CONNECT is written by hand.
    tls_to_proxy: TlsConnector,
    proxies: Proxies,
    limit: Duration,
}

/// A connection, ready for a request.
pub(crate) struct Connection {
    pub(crate) stream: Box<dyn Stream>,
    /// Whether the gateway chose HTTP/2.
    is_http2: bool,
    /// A proxy that is to be given the request itself, since the gateway is not behind TLS.
    forwarder: Option<Intercept>,
}

/// Both directions of a connection.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Which proxy a request goes through.
enum Proxies {
    None,
    /// The environment's and the system's, but never for this machine. The matcher reads `no_proxy`, too,
    /// and knows no ports.
    System(Box<Matcher>, EnvironmentProxies),
    One(Intercept),
}

impl Connector {
    pub(crate) fn new(settings: &Settings, tls: &ClientConfig) -> Result<Self, Error> {
        let mut tcp = HttpConnector::new();
        // It would refuse https URLs: it does not know that TLS is put around its sockets.
        tcp.enforce_http(false);
        // Nagle's algorithm would hold a small write back until the one before is acknowledged.
        tcp.set_nodelay(true);
        let mut tls_to_proxy = tls.clone();
        tls_to_proxy.alpn_protocols.clear();
        Ok(Self {
            tcp,
            tls: Arc::new(tls.clone()).into(),
            tls_to_proxy: Arc::new(tls_to_proxy).into(),
            proxies: Proxies::new(&settings.proxy)?,
            limit: settings.connect_timeout,
        })
    }

    /// Connects. Nothing of a request has left when it fails.
    pub(crate) async fn connect(
        &self,
        uri: &Uri,
        cut_short: &CutShort,
    ) -> Result<Connection, BoxError> {
        let connected = tokio::time::timeout(self.limit, self.connect_in_time(uri, cut_short));
        connected.await.map_err(|_| format!("no connection within {:?}", self.limit))?
    }

    async fn connect_in_time(
        &self,
        uri: &Uri,
        cut_short: &CutShort,
    ) -> Result<Connection, BoxError> {
        let is_secure = uri.scheme() == Some(&Scheme::HTTPS);
        let proxy = self.proxies.of(uri);
        let mut stream = match &proxy {
            None => self.connect_to(uri, cut_short).await?,
            Some(proxy) => self.connect_to_proxy(proxy.uri(), cut_short).await?,
        };
        if !is_secure {
            return Ok(Connection { stream, is_http2: false, forwarder: proxy });
        }
        if let Some(proxy) = &proxy {
            open_tunnel(&mut *stream, uri, proxy.basic_auth()).await?;
        }
        let stream = self.tls.connect(server_name(uri)?, stream).await?;
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        Ok(Connection { stream: Box::new(stream), is_http2, forwarder: None })
    }

    async fn connect_to(
        &self,
        uri: &Uri,
        cut_short: &CutShort,
    ) -> Result<Box<dyn Stream>, BoxError> {
        let socket = self.tcp.clone().call(uri.clone()).await?.into_inner();
        Ok(Box::new(KeptReadable::new(socket, Arc::clone(cut_short))))
    }

    async fn connect_to_proxy(
        &self,
        uri: &Uri,
        cut_short: &CutShort,
    ) -> Result<Box<dyn Stream>, BoxError> {
        let is_secure = is_secure_proxy(uri)?;
        let stream = self.connect_to(uri, cut_short).await?;
        if !is_secure {
            return Ok(stream);
        }
        Ok(Box::new(self.tls_to_proxy.connect(server_name(uri)?, stream).await?))
    }
}

/// Without the proxies, whose URLs may hold passwords.
impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").field("limit", &self.limit).finish_non_exhaustive()
    }
}

impl Connection {
    pub(crate) fn is_http2(&self) -> bool {
        self.is_http2
    }

    /// Whether the request goes to a proxy that forwards it, and what the proxy wants to be told.
    pub(crate) fn forwarder(&self) -> Option<Option<&HeaderValue>> {
        self.forwarder.as_ref().map(Intercept::basic_auth)
    }
}

impl Proxies {
    fn new(proxy: &Proxy) -> Result<Self, Error> {
        let url = match proxy {
            Proxy::Direct => return Ok(Self::None),
            Proxy::System => {
                let matcher = Box::new(Matcher::from_system());
                return Ok(Self::System(matcher, EnvironmentProxies::from_env()));
            }
            Proxy::Url(url) => url,
        };
        // Any URL will do, since the matcher is told of one proxy for all.
        let any = Uri::from_static("https://gateway");
        let proxy = Matcher::builder().all(url.as_str()).build().intercept(&any);
        // The URL may hold a password.
        let unusable = |reason: &str| {
            let message = format!("the proxy's URL is unusable: {reason}");
            Error::new(ErrorKind::Misconfigured, message)
        };
        let proxy = proxy.ok_or_else(|| unusable("it is not one"))?;
        is_secure_proxy(proxy.uri()).map_err(unusable)?;
        Ok(Self::One(proxy))
    }

    fn of(&self, uri: &Uri) -> Option<Intercept> {
        match self {
            Self::None => None,
            Self::System(_, environment) if is_direct(uri, environment) => None,
            Self::System(proxies, _) => proxies.intercept(uri),
            Self::One(proxy) => Some(proxy.clone()),
        }
    }
}

fn is_direct(uri: &Uri, environment: &EnvironmentProxies) -> bool {
    let usual = if uri.scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 };
    let port = uri.port_u16().unwrap_or(usual);
    uri.host().is_some_and(|host| is_here(host) || environment.are_bypassed_by(host, port))
}

/// Whether a proxy is behind TLS.
fn is_secure_proxy(uri: &Uri) -> Result<bool, &'static str> {
    match uri.scheme_str() {
        Some("http") => Ok(false),
        Some("https") => Ok(true),
        _ => Err("only proxies that speak HTTP can be used, none that speak SOCKS"),
    }
}

/// Asks a proxy for a tunnel to the gateway (RFC 9110, section 9.3.6).
async fn open_tunnel(
    stream: &mut dyn Stream,
    gateway: &Uri,
    authorization: Option<&HeaderValue>,
) -> Result<(), BoxError> {
    let host = gateway.host().ok_or("the URL has no host")?;
    let port = gateway.port_u16().unwrap_or(443);
    let mut head =
        format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n").into_bytes();
    if let Some(authorization) = authorization {
        head.extend_from_slice(b"Proxy-Authorization: ");
        head.extend_from_slice(authorization.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    stream.write_all(&head).await?;
    // TLS to a proxy may hold bytes back until it is flushed.
    stream.flush().await?;

    // Behind the head comes nothing yet: in TLS, the client speaks first.
    let mut answer = Vec::new();
    while !answer.windows(4).any(|window| window == b"\r\n\r\n") {
        if answer.len() > MAX_PROXY_HEAD_BYTES {
            return Err("the proxy's answer has no end".into());
        }
        if stream.read_buf(&mut answer).await? == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the proxy hung up").into());
        }
    }
    let line = answer.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    match line.split_once(' ') {
        Some((version, status)) if version.starts_with("HTTP/1") && status.starts_with('2') => {
            Ok(())
        }
        Some((version, status)) if version.starts_with("HTTP/1") => {
            Err(no_tunnel(&format!("HTTP {status}")).into())
        }
        _ => Err("the proxy's answer is no HTTP".into()),
    }
}

fn server_name(uri: &Uri) -> Result<ServerName<'static>, BoxError> {
    let host = uri.host().unwrap_or_default();
    // rustls takes IPv6 addresses without their brackets.
    let name = host.trim_start_matches('[').trim_end_matches(']');
    Ok(ServerName::try_from(name.to_owned())?)
}

/// Bytes of a proxy's answer.
const MAX_PROXY_HEAD_BYTES: usize = 16 * 1024;

/// Whether a host is this machine.
pub(crate) fn is_here(host: &str) -> bool {
    // Only the host matters, so any scheme will do.
    BaseUrl::parse(&format!("http://{host}"), true).is_ok_and(|base| base.origin().is_loopback())
}
