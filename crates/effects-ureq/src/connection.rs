//! [`GatewayConnector`]: opens the connections of ureq's agents: it resolves the host itself, finds out
//! whether a request has begun to leave (where it has not, nothing was submitted), and watches the time of
//! an exchange. `HttpClient` gives it to its agents, and begins each exchange with [`begin`], whose
//! [`ExchangeGuard`] says whether the request left and why it failed.
//!
//! It adds two layers to what ureq connects with by default. [`GatewayConnection`] lies around the
//! whole, so that its first byte is the request's: a proxy's CONNECT and the TLS handshake have passed
//! below it. [`KeptReadable`] lies around the socket, below TLS: a gateway may answer a request it has
//! not read to its end, and close or read no more, which makes the client's next write fail or stall.
//! Its answer is then still there to be read, so what happened to the write is remembered and the rest
//! of the request dropped. It watches the time as well: ureq asks its clock before it looks into the
//! socket, and would lose an answer that came while the process stood still.
//!
//! The API key, which ureq would log, is put in only by the outer layer ([`KeyStandIn`]).
//!
//! Names are resolved here, too: [`GatewayConnector`] asks for a host's addresses where it connects.
//! ureq by itself asks before it looks for a kept connection, so that each look at a task would ask a
//! name server, and make a thread to do so.

use std::cell::RefCell;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use effects_client::{TimeToSend, certificate, io_reason, no_tunnel, time_to_read};
use effects_core::gateway::Answer;
use http::Uri;
use http::header::HeaderMap;
use ureq::config::Config;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::time::Duration;
use ureq::unversioned::transport::{
    Buffers, ConnectProxyConnector, ConnectionDetails, Connector, NextTimeout, RustlsConnector,
    TcpConnector, Transport,
};
use ureq::{Proxy, ProxyProtocol, Timeout};

use crate::address_order::AddressOrder;
use crate::key_stand_in::KeyStandIn;

/// What is known of the exchange that this thread makes.
#[derive(Default)]
struct ExchangeState {
    /// Whether a connection is being made. ureq connects to a proxy by calling the whole connector
    /// again while it connects to the gateway.
    connecting: bool,
    /// Whether bytes of the request were handed to a connection to the gateway.
    left: bool,
    /// When its time is over, where ureq does not watch that.
    deadline: Option<Instant>,
    is_prolonged: bool,
    time_to_send: Option<TimeToSend>,
    /// Why the request could not be sent to its end.
    cut_short: Option<String>,
    /// What ureq has in place of the key.
    stand_in: KeyStandIn,
}

impl ExchangeState {
    /// What is left of the time of a phase, within that of the exchange.
    fn time_left(&self, phase: NextTimeout) -> NextTimeout {
        match self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
            Some(left) if left < *phase.after => {
                NextTimeout { after: Duration::Exact(left), reason: Timeout::Global, ..phase }
            }
            Some(_) | None => phase,
        }
    }

    /// Whether there is a little more time, once: the answer may lie in the socket, all the more where the
    /// process stood still.
    fn has_more_time(&mut self) -> bool {
        let late = self.deadline.and_then(|it| Instant::now().checked_duration_since(it));
        let Some(late) = late.filter(|_| self.left && !self.is_prolonged) else { return false };
        self.deadline = Some(Instant::now() + time_to_read(late));
        self.is_prolonged = true;
        true
    }
}

thread_local! {
    static EXCHANGE: RefCell<ExchangeState> = RefCell::default();
}

fn time_left(phase: NextTimeout) -> NextTimeout {
    EXCHANGE.with_borrow(|exchange| exchange.time_left(phase))
}

/// Begins an exchange in this thread, with its time if ureq does not watch that. It ends when the guard is
/// dropped, with the answer's last byte read.
pub(crate) fn begin(
    headers: Option<&mut HeaderMap>,
    time: Option<std::time::Duration>,
) -> ExchangeGuard {
    let stand_in = headers.map(KeyStandIn::replace_key_in).unwrap_or_default();
    let deadline = time.and_then(|time| Instant::now().checked_add(time));
    let time_to_send = time.map(TimeToSend::begin);
    EXCHANGE.set(ExchangeState { stand_in, deadline, time_to_send, ..ExchangeState::default() });
    ExchangeGuard
}

/// An exchange under way in this thread.
pub(crate) struct ExchangeGuard;

impl ExchangeGuard {
    /// Whether the request began to leave.
    pub(crate) fn has_left(&self) -> bool {
        EXCHANGE.with_borrow(|exchange| exchange.left)
    }

    /// The answer as the gateway gave it.
    pub(crate) fn restore(&self, answer: Answer) -> Answer {
        EXCHANGE.with_borrow(|exchange| exchange.stand_in.restore(answer))
    }

    /// Why the exchange failed with this error.
    pub(crate) fn reason(&self, error: &ureq::Error) -> String {
        let why = certificate::with_way_out(describe(error));
        EXCHANGE.with_borrow(|exchange| match &exchange.cut_short {
            Some(cut) if exchange.left => format!("the request was cut short ({cut}); {why}"),
            Some(_) | None => why,
        })
    }
}

/// What an error of ureq says, without its names for the system's errors and its time limits.
fn describe(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Timeout(Timeout::Resolve | Timeout::Connect) => {
            "timed out while connecting".to_owned()
        }
        ureq::Error::Timeout(_) => "timed out".to_owned(),
        ureq::Error::Io(error) => io_reason(error),
        // It has the status twice.
        ureq::Error::ConnectProxyFailed(why) => match why.rsplit_once('/') {
            Some((_, status)) => no_tunnel(&format!("HTTP {status}")),
            None => no_tunnel(why),
        },
        error => error.to_string(),
    }
}

/// Why an answer's body broke off.
pub(crate) fn body_reason(error: &io::Error) -> String {
    let inner = error.get_ref().and_then(|error| error.downcast_ref::<ureq::Error>());
    inner.map_or_else(|| io_reason(error), describe)
}

impl Drop for ExchangeGuard {
    fn drop(&mut self) {
        EXCHANGE.take();
    }
}

/// The resolver to give an agent whose connector is a [`GatewayConnector`]: it finds no address, since
/// the connector asks its own when it needs one.
#[derive(Debug)]
pub(crate) struct ResolvedByConnector;

impl Resolver for ResolvedByConnector {
    fn resolve(
        &self,
        _uri: &Uri,
        _config: &Config,
        _timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        Ok(self.empty())
    }
}

/// Makes connections, and knows which of them lead to the gateway.
#[derive(Debug)]
pub(crate) struct GatewayConnector<C, R> {
    connector: C,
    resolver: R,
    order: AddressOrder,
}

impl GatewayConnector<(), DefaultResolver> {
    /// As [`ureq::unversioned::transport::DefaultConnector`] makes them, with both layers.
    pub(crate) fn with_defaults() -> impl Connector {
        with_resolver(DefaultResolver::default())
    }
}

fn with_resolver<R: Resolver>(resolver: R) -> GatewayConnector<impl Connector, R> {
    let chain = ().chain(ConnectProxyConnector::default()).chain(TcpConnector::default());
    let connector = chain.chain(KeepReadable).chain(RustlsConnector::default());
    GatewayConnector { connector, resolver, order: AddressOrder::default() }
}

impl<C, R: Resolver> GatewayConnector<C, R> {
    /// What ureq says of a connection to make to the gateway, with the gateway's addresses unless a
    /// proxy finds them. The time this takes counts as the connection's.
    fn with_addresses<'a>(
        &'a self,
        details: &'a ConnectionDetails<'a>,
        is_proxied: bool,
    ) -> Result<ConnectionDetails<'a>, ureq::Error> {
        let (begun, limit) = (Instant::now(), time_left(details.timeout));
        let mut addrs = if is_proxied {
            self.resolver.empty()
        } else {
            // An address is read and not asked for: without a time limit, ureq makes no thread for it.
            let timeout = match is_address(details.uri) {
                true => NextTimeout { after: Duration::NotHappening, ..limit },
                false => limit,
            };
            self.resolver.resolve(details.uri, details.config, timeout)?
        };
        self.order.arrange(&mut addrs);
        let after = match limit.after {
            Duration::Exact(limit) => Duration::Exact(limit.saturating_sub(begun.elapsed())),
            Duration::NotHappening => Duration::NotHappening,
        };
        Ok(ConnectionDetails {
            uri: details.uri,
            addrs,
            config: details.config,
            request_level: details.request_level,
            resolver: &self.resolver,
            now: (details.current_time)(),
            timeout: NextTimeout { after, ..limit },
            current_time: Arc::clone(&details.current_time),
            run_connector: Arc::clone(&details.run_connector),
            register_shutdown: Arc::clone(&details.register_shutdown),
        })
    }
}

impl<C: Connector, R: Resolver> Connector for GatewayConnector<C, R> {
    type Out = Box<dyn Transport>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        _chained: Option<()>,
    ) -> Result<Option<Self::Out>, ureq::Error> {
        let proxy = details.config.proxy().filter(|proxy| !proxy.is_no_proxy(details.uri));
        if !proxy.is_none_or(speaks_http) {
            // ureq would go around it.
            return Err(ureq::Error::Other(NO_SOCKS.into()));
        }
        let is_gateways =
            EXCHANGE.with_borrow_mut(|exchange| !std::mem::replace(&mut exchange.connecting, true));
        // The connection to a proxy, made on the way to the gateway: what leaves on it is no part
        // of the request.
        if !is_gateways {
            let connected = self.connector.connect(details, None)?;
            return Ok(connected.map(|transport| Box::new(transport) as Self::Out));
        }
        let connected = self
            .with_addresses(details, proxy.is_some())
            .and_then(|details| self.connector.connect(&details, None));
        EXCHANGE.with_borrow_mut(|exchange| exchange.connecting = false);
        Ok(connected?.map(|transport| Box::new(GatewayConnection(transport)) as Self::Out))
    }
}

pub(crate) fn speaks_http(proxy: &Proxy) -> bool {
    matches!(proxy.protocol(), ProxyProtocol::Http | ProxyProtocol::Https)
}

/// Whether the host is an IP address, which no name server has to be asked for.
fn is_address(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    host.parse::<IpAddr>().is_ok()
}

/// The layer around a connection to the gateway.
#[derive(Debug)]
struct GatewayConnection<In>(In);

impl<In: Transport> Transport for GatewayConnection<In> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.0.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        EXCHANGE.with_borrow_mut(|exchange| {
            // Where the process stood still meanwhile, nothing leaves.
            if !exchange.left && exchange.time_to_send.is_some_and(|time| time.is_over()) {
                return Err(ureq::Error::Timeout(Timeout::Global));
            }
            // Before the write: of one that fails, a part may have left.
            exchange.left = true;
            exchange.stand_in.put_key_into(&mut self.0.buffers().output()[..amount]);
            Ok(())
        })?;
        self.0.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        let come = self.0.await_input(timeout)?;
        EXCHANGE.with_borrow_mut(|exchange| exchange.stand_in.mark(self.0.buffers()));
        Ok(come)
    }

    fn is_open(&mut self) -> bool {
        self.0.is_open()
    }

    fn is_tls(&self) -> bool {
        self.0.is_tls()
    }
}

/// Puts the layer around a socket.
#[derive(Debug)]
struct KeepReadable;

impl<In: Transport> Connector<In> for KeepReadable {
    type Out = KeptReadable<In>;

    fn connect(
        &self,
        _details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, ureq::Error> {
        Ok(chained.map(|socket| KeptReadable { socket, is_cut: false }))
    }
}

/// The layer around a socket that stays readable when it takes no more, or its time was over while the
/// process stood still.
#[derive(Debug)]
struct KeptReadable<In> {
    socket: In,
    is_cut: bool,
}

impl<In: Transport> Transport for KeptReadable<In> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.socket.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        if self.is_cut {
            return Ok(());
        }
        // ureq reads only after it has written all, so a write that stalls leaves time to read.
        let left = time_left(timeout);
        let timeout = NextTimeout { after: with_time_to_read(left.after), ..left };
        match self.socket.transmit_output(amount, timeout) {
            Err(error @ (ureq::Error::Io(_) | ureq::Error::Timeout(_))) => {
                self.is_cut = true;
                let reason = describe(&error);
                EXCHANGE.with_borrow_mut(|exchange| exchange.cut_short = Some(reason));
                Ok(())
            }
            sent => sent,
        }
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        loop {
            match self.socket.await_input(time_left(timeout)) {
                Err(ureq::Error::Timeout(_))
                    if EXCHANGE.with_borrow_mut(ExchangeState::has_more_time) => {}
                come => return come,
            }
        }
    }

    fn is_open(&mut self) -> bool {
        // No other request may leave on a connection that has half of one in it.
        !self.is_cut && self.socket.is_open()
    }

    fn is_tls(&self) -> bool {
        self.socket.is_tls()
    }
}

/// How long a write may stall, of the time that is left. A socket that takes a part of what it is given
/// stalls twice: after that part, and with the rest.
fn with_time_to_read(left: Duration) -> Duration {
    match left {
        // After two stalls more than a third of the time is left to read.
        Duration::Exact(left) => Duration::Exact(left.mul_f32(0.4)),
        Duration::NotHappening => left,
    }
}

pub(crate) const NO_SOCKS: &str = "only proxies that speak HTTP can be used, none that speak SOCKS";
#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::{SocketAddr, TcpListener};
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Knows one name, and counts how often it is asked.
    #[derive(Debug)]
    struct CountingResolver(Arc<AtomicUsize>, SocketAddr);

    impl Resolver for CountingResolver {
        fn resolve(
            &self,
            uri: &Uri,
            _config: &Config,
            _timeout: NextTimeout,
        ) -> Result<ResolvedSocketAddrs, ureq::Error> {
            assert_eq!(uri.host(), Some("gateway.example"));
            self.0.fetch_add(1, Ordering::SeqCst);
            let mut addresses = self.empty();
            addresses.push(self.1);
            Ok(addresses)
        }
    }

    #[test]
    fn a_name_is_resolved_for_a_new_connection_alone() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            // Two exchanges on one connection, then one on another.
            for exchanges in [2, 1] {
                let (stream, _) = listener.accept().unwrap();
                let mut lines = BufReader::new(&stream).lines();
                for left in (0..exchanges).rev() {
                    while lines.next().unwrap().unwrap() != "" {}
                    // A connection that ends unsaid may be taken for the next request.
                    let close = if left == 0 { "connection: close\r\n" } else { "" };
                    let head = format!("HTTP/1.1 200 OK\r\n{close}content-length: 2\r\n\r\n");
                    (&stream).write_all(format!("{head}{{}}").as_bytes()).unwrap();
                }
            }
        });
        let asked = Arc::new(AtomicUsize::new(0));
        let connector = with_resolver(CountingResolver(Arc::clone(&asked), address));
        let config = Config::builder().proxy(None).build();
        let agent = ureq::Agent::with_parts(config, connector, ResolvedByConnector);
        let url = format!("http://gateway.example:{}/", address.port());
        for asked_by_then in [1, 1, 2] {
            let under = begin(None, None);
            let mut answer = agent.get(&url).call().unwrap();
            assert_eq!(answer.body_mut().read_to_string().unwrap(), "{}");
            assert!(under.has_left());
            assert_eq!(asked.load(Ordering::SeqCst), asked_by_then);
        }
        server.join().unwrap();
    }

    #[test]
    fn an_address_is_told_from_a_name() {
        for (url, is_one) in [
            ("http://127.0.0.1:8080/", true),
            ("http://[::1]:8080/", true),
            ("https://gateway.example/", false),
            ("https://1.2.3.4.example/", false),
        ] {
            assert_eq!(is_address(&url.parse().unwrap()), is_one, "{url}");
        }
    }
}
