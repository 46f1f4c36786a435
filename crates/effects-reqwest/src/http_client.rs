//! [`HttpClient`]: makes the async client's HTTP exchanges as a paid API needs them: it repeats nothing and
//! follows no redirect with the key. `ReqwestExchange` sends each request with its `exchange`, which limits
//! how many are under way at once ([`ConnectionLimits`]); it uses reqwest, but for submissions and uploads
//! [`Submitter`], which opens a connection for each. `transfer.rs` streams downloads from its `open`,
//! without that limit.
//!
//! No redirect is followed and nothing is repeated on requests that carry the key; environment
//! proxies never catch this machine; and a failed exchange says truthfully whether the request can have
//! left. Looks at tasks and downloads share reqwest's connections, over HTTP/2 one for all; everything
//! else leaves on a connection of its own, [without reqwest](crate::submission).

use std::collections::VecDeque;
use std::fmt::Display;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use effects_client::certificate::{lost, lost_fetch, unsent, unsent_fetch};
use effects_client::telemetry::OutageNotice;
use effects_client::{EnvironmentProxies, Proxy, Settings, answer_of};
use effects_core::gateway::{Answer, FetchOptions, FreshConnection};
use effects_core::wire::ExchangeError;
use effects_core::{BaseUrl, Error, ErrorKind};
use http::{Request, Uri};
use reqwest::redirect::Policy as Redirects;
use reqwest::{ClientBuilder, Response, Url};
use tokio::sync::{Mutex, Notify, Semaphore, SemaphorePermit};

use crate::connector::{Connector, is_here};
use crate::error_description::describe;
use crate::submission::{MAX_ANSWER_BYTES, Submitter};
use crate::tls;

/// reqwest's clients of a client, one for each kind of exchange.
#[derive(Debug)]
pub(crate) struct HttpClient {
    submit: Submitter,
    poll: ClientsByRoute,
    gateway: KnownGateway,
    transfer: ClientsByRoute,
    limits: ConnectionLimits,
    outage: OutageNotice,
}

/// Limits how many exchanges are under way: each has a connection where the gateway speaks HTTP/1.
///
/// A process may open so many files only; and a connection takes as much memory as fifty waiting
/// runs, so that none is made to a gateway that answers at once: few exchanges are enough there, and
/// each that lasts longer makes room for another.
///
/// Only an exchange that waits for a permit sets a timer.
#[derive(Debug)]
struct ConnectionLimits {
    all: Semaphore,
    /// Held by the exchange whose turn it is to begin.
    turn: Mutex<()>,
    recent: std::sync::Mutex<RecentExchanges>,
    /// A recent exchange ended.
    ended: Notify,
}

/// The exchanges that began a short while ago.
#[derive(Debug)]
struct RecentExchanges {
    begun: VecDeque<(u64, Instant)>,
    /// How many ever began; each is named by its number.
    count: u64,
}

/// An exchange's permit, until it is dropped.
struct ConnectionPermit<'a> {
    limits: &'a ConnectionLimits,
    number: u64,
    _of_all: SemaphorePermit<'a>,
}

impl ConnectionLimits {
    const fn new() -> Self {
        Self {
            all: Semaphore::const_new(MAX_EXCHANGES),
            turn: Mutex::const_new(()),
            recent: std::sync::Mutex::new(RecentExchanges { begun: VecDeque::new(), count: 0 }),
            ended: Notify::const_new(),
        }
    }

    /// A permit, if there is one and no other exchange waits for it.
    fn try_enter(&self, now: Instant) -> Option<ConnectionPermit<'_>> {
        let _of_all = self.all.try_acquire().ok()?;
        // Held while an exchange waits for its turn: a later one does not go before it.
        let _first = self.turn.try_lock().ok()?;
        let number = self.recent().begin(now).ok()?;
        Some(ConnectionPermit { limits: self, number, _of_all })
    }

    /// Waits for a permit among all, and for one among the recent exchanges.
    async fn enter(&self) -> Option<ConnectionPermit<'_>> {
        let _of_all = self.all.acquire().await.ok()?;
        // tokio's lock is fair, so exchanges begin in the order in which they came.
        let _first = self.turn.lock().await;
        loop {
            let begun = self.recent().begin(Instant::now());
            match begun {
                Ok(number) => return Some(ConnectionPermit { limits: self, number, _of_all }),
                Err(wait) => {
                    // Whether one ended or the oldest is recent no longer, there is room.
                    let _ = tokio::time::timeout(wait, self.ended.notified()).await;
                }
            }
        }
    }

    fn recent(&self) -> MutexGuard<'_, RecentExchanges> {
        // Nothing in here is left half-done.
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RecentExchanges {
    /// The number of an exchange that begins now; or, where there are too many, the time until the
    /// oldest is recent no longer.
    fn begin(&mut self, now: Instant) -> Result<u64, Duration> {
        let age = |begun: Instant| now.saturating_duration_since(begun);
        while self.begun.pop_front_if(|(_, begun)| age(*begun) >= RECENT).is_some() {}
        match self.begun.front() {
            Some((_, oldest)) if self.begun.len() >= MAX_RECENT => Err(RECENT - age(*oldest)),
            _ => {
                self.count += 1;
                self.begun.push_back((self.count, now));
                Ok(self.count)
            }
        }
    }

    /// Whether an exchange that ends was recent.
    fn end(&mut self, number: u64) -> bool {
        let before = self.begun.len();
        self.begun.retain(|(recent, _)| *recent != number);
        self.begun.len() < before
    }
}

impl Drop for ConnectionPermit<'_> {
    fn drop(&mut self) {
        // Where no exchange waits just now, the notice is kept for the next: no end falls between
        // look and wait.
        if self.limits.recent().end(self.number) {
            self.limits.ended.notify_one();
        }
    }
}

/// Two clients of reqwest: one for this machine and for what `no_proxy` names, which no proxy of the
/// environment may catch, and one for all other hosts.
#[derive(Debug)]
struct ClientsByRoute {
    here: reqwest::Client,
    there: reqwest::Client,
    environment: Arc<EnvironmentProxies>,
}

impl ClientsByRoute {
    fn of(&self, url: &Url) -> &reqwest::Client {
        self.at(is_direct(url, &self.environment))
    }

    fn at(&self, is_here: bool) -> &reqwest::Client {
        if is_here { &self.here } else { &self.there }
    }
}

/// The gateway, to which nearly every exchange goes: its URL and its route are found out once.
#[derive(Debug)]
struct KnownGateway {
    uri: Uri,
    url: Url,
    is_here: bool,
}

impl KnownGateway {
    fn of(base: &BaseUrl, environment: &EnvironmentProxies) -> Result<Self, Error> {
        let unusable = |error: &dyn Display| {
            Error::new(ErrorKind::Misconfigured, format!("{base} is no URL: {error}"))
        };
        let text = base.to_string();
        let url: Url = text.parse().map_err(|error| unusable(&error))?;
        Ok(Self {
            uri: text.parse().map_err(|error: http::uri::InvalidUri| unusable(&error))?,
            is_here: base.origin().is_loopback() || is_direct(&url, environment),
            url,
        })
    }

    /// The URL of a resource at the gateway; `None` for any other host.
    fn url_of(&self, uri: &Uri) -> Option<Url> {
        if uri.scheme() != self.uri.scheme() || uri.authority() != self.uri.authority() {
            return None;
        }
        let mut url = self.url.clone();
        url.set_path(uri.path());
        url.set_query(uri.query());
        Some(url)
    }
}

impl HttpClient {
    pub(crate) fn new(settings: &Settings) -> Result<Self, Error> {
        let secure = settings.endpoint.base().to_string().starts_with("https:");
        let tls = tls::settings(settings, secure)?;
        let client = |here: bool, redirects: Redirects, idle| -> Result<reqwest::Client, Error> {
            let builder = reqwest::Client::builder()
                .tls_backend_preconfigured(tls.clone())
                .connect_timeout(settings.connect_timeout)
                .pool_idle_timeout(idle)
                .redirect(redirects)
                // By default reqwest repeats what a server refused to process. Here the run decides
                // on each attempt, counts it and tells of it.
                .retry(reqwest::retry::never())
                // Where a download is redirected, the next host would be told the picture's URL,
                // which may be a permission.
                .referer(false);
            build(proxied(builder, &settings.proxy, here)?)
        };
        let environment = Arc::new(EnvironmentProxies::from_env());
        let by_place = |redirects: fn() -> Redirects, idle| -> Result<ClientsByRoute, Error> {
            let (here, there) =
                (client(true, redirects(), idle)?, client(false, redirects(), idle)?);
            Ok(ClientsByRoute { here, there, environment: Arc::clone(&environment) })
        };
        Ok(Self {
            submit: Submitter::new(Connector::new(settings, &tls)?),
            // A redirect may lead to another host, and the key must not go there.
            poll: by_place(Redirects::none, POLL_IDLE)?,
            gateway: KnownGateway::of(settings.endpoint.base(), &environment)?,
            // Downloads carry no key, and storages often redirect them.
            transfer: by_place(|| Redirects::limited(5), TRANSFER_IDLE)?,
            limits: ConnectionLimits::new(),
            outage: OutageNotice::default(),
        })
    }

    /// Where a request goes that needs no fresh connection, and by which client.
    fn target(&self, uri: &Uri) -> Result<(&reqwest::Client, Url), impl Display> {
        if let Some(url) = self.gateway.url_of(uri) {
            return Ok((self.poll.at(self.gateway.is_here), url));
        }
        uri.to_string().parse::<Url>().map(|url| (self.poll.of(&url), url))
    }

    /// Makes an exchange that carries the key, or a presigned permission.
    pub(crate) async fn exchange(&self, request: Request<Bytes>, timeout: Duration) -> Answer {
        // Waiting for room is part of the exchange's time; until then nothing has left.
        let begun = Instant::now();
        if let Some(_place) = self.limits.try_enter(begun) {
            return self.exchange_in(timeout, request).await;
        }
        let Ok(Some(_place)) = tokio::time::timeout(timeout, self.limits.enter()).await else {
            let reason = format!("too many other exchanges were under way for {timeout:?}");
            return Answer::NotSent(reason);
        };
        self.exchange_in(timeout.saturating_sub(begun.elapsed()), request).await
    }

    async fn exchange_in(&self, limit: Duration, request: Request<Bytes>) -> Answer {
        let url = request.uri().clone();
        let answer = self.answer(limit, request).await;
        self.outage.note(&url, &answer);
        answer
    }

    async fn answer(&self, limit: Duration, request: Request<Bytes>) -> Answer {
        if let Some(options) = request.extensions().get::<FetchOptions>() {
            return Box::pin(self.fetch(&request.uri().to_string(), *options, limit)).await;
        }
        if request.extensions().get::<FreshConnection>().is_some() {
            // What a submission holds while it is under way is large, and a look should not carry
            // the room for it.
            return Box::pin(self.submit.exchange(request, limit)).await;
        }
        let (parts, body) = request.into_parts();
        let (client, url) = match self.target(&parts.uri) {
            Ok(target) => target,
            Err(error) => return Answer::NotSent(error.to_string()),
        };
        let mut request = reqwest::Request::new(parts.method, url);
        *request.headers_mut() = parts.headers;
        *request.body_mut() = (!body.is_empty()).then(|| body.into());
        *request.timeout_mut() = Some(limit);
        let mut response = match client.execute(request).await {
            Ok(response) => response,
            Err(error) if failed_before_sending(&error) => return unsent(describe(&error)),
            Err(error) => return lost(describe(&error)),
        };
        let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
        let mut body = BytesMut::new();
        match read(&mut response, &mut body).await {
            Ok(()) => Answer::Answered { status, headers, body: body.freeze() },
            Err(reason) => Answer::BrokenOff { status, headers, body: body.freeze(), reason },
        }
    }

    /// Makes a download whose picture is kept in memory.
    async fn fetch(&self, url: &str, options: FetchOptions, whole: Duration) -> Answer {
        let begun = Instant::now();
        let mut fetch = match self.open(url, options.quiet, whole).await {
            Ok(fetch) => fetch,
            Err(error) => return answer_of(error),
        };
        let status = fetch.response.status();
        let (headers, mut body) = (std::mem::take(fetch.response.headers_mut()), BytesMut::new());
        loop {
            let left = whole.saturating_sub(begun.elapsed());
            let chunk = within(left, fetch.chunk()).await.and_then(|chunk| chunk);
            let reason = match chunk {
                Ok(None) => return Answer::Answered { status, headers, body: body.freeze() },
                Ok(Some(chunk)) if (body.len() + chunk.len()) as u64 <= options.most_bytes => {
                    body.extend_from_slice(&chunk);
                    continue;
                }
                Ok(Some(_)) => format!("an answer longer than {} bytes", options.most_bytes),
                Err(ExchangeError::Lost { reason }) => reason,
                Err(error) => error.to_string(),
            };
            return Answer::BrokenOff { status, headers, body: body.freeze(), reason };
        }
    }

    /// Opens a download. It carries no key, and may go for the time `quiet` without a byte and take the
    /// time `whole` in all.
    pub(crate) async fn open(
        &self,
        url: &str,
        quiet: Duration,
        whole: Duration,
    ) -> Result<Fetch, ExchangeError> {
        let Ok(url) = url.parse::<Url>() else {
            return Err(ExchangeError::NotSent {
                reason: "the picture's URL cannot be read".to_owned(),
            });
        };
        let request = self.transfer.of(&url).get(url).timeout(whole).send();
        let response = within(quiet.min(whole), request).await?.map_err(|error| {
            let reason = describe(&error);
            if failed_before_sending(&error) { unsent_fetch(reason) } else { lost_fetch(reason) }
        })?;
        Ok(Fetch { response, quiet })
    }
}

/// A download under way.
#[derive(Debug)]
pub(crate) struct Fetch {
    pub(crate) response: Response,
    /// How long it may go without a byte.
    quiet: Duration,
}

impl Fetch {
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, ExchangeError> {
        let chunk = within(self.quiet, self.response.chunk()).await?;
        chunk.map_err(|error| ExchangeError::Lost { reason: describe(&error) })
    }
}

async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> Result<T, ExchangeError> {
    let done = tokio::time::timeout(limit, work).await;
    done.map_err(|_| ExchangeError::Lost { reason: format!("nothing came for {limit:?}") })
}

fn is_direct(url: &Url, environment: &EnvironmentProxies) -> bool {
    let port = url.port_or_known_default().unwrap_or_default();
    url.host_str().is_some_and(|host| is_here(host) || environment.are_bypassed_by(host, port))
}

/// A name, a connection or a TLS session that could not be had: reqwest's connector does all three
/// before the first byte of a request.
fn failed_before_sending(error: &reqwest::Error) -> bool {
    error.is_connect() || error.is_builder()
}

async fn read(response: &mut Response, body: &mut BytesMut) -> Result<(), String> {
    while let Some(chunk) = response.chunk().await.map_err(|error| describe(&error))? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_ANSWER_BYTES {
            return Err(format!("an answer longer than {MAX_ANSWER_BYTES} bytes"));
        }
    }
    Ok(())
}

fn proxied(builder: ClientBuilder, proxy: &Proxy, here: bool) -> Result<ClientBuilder, Error> {
    match proxy {
        // reqwest reads the environment's proxies by itself.
        Proxy::System if !here => Ok(builder),
        Proxy::System | Proxy::Direct => Ok(builder.no_proxy()),
        Proxy::Url(url) => {
            let proxy = reqwest::Proxy::all(url).map_err(|error| {
                // The URL may hold a password.
                let message = format!("the proxy's URL is unusable: {}", describe(&error));
                Error::new(ErrorKind::Misconfigured, message)
            })?;
            Ok(builder.proxy(proxy))
        }
    }
}

fn build(builder: ClientBuilder) -> Result<reqwest::Client, Error> {
    builder.build().map_err(|error| {
        let message = format!("no HTTP client can be set up here: {}", describe(&error));
        Error::new(ErrorKind::Misconfigured, message)
    })
}

/// How long a connection is kept for the next look. One that the gateway closes just then costs a look,
/// which is made again.
const POLL_IDLE: Duration = Duration::from_secs(30);

/// Connections to hosts of pictures are seldom used again.
const TRANSFER_IDLE: Duration = Duration::from_secs(30);

/// Exchanges at once. With the connections that wait for their next use, this stays well below the
/// thousand files that a process may usually open.
pub(crate) const MAX_EXCHANGES: usize = 256;
/// Of them, those that began less than [`RECENT`] ago. With four, exchanges waited for each other and took
/// a tenth more CPU time; with 64, as much as with 16.
const MAX_RECENT: usize = 16;
/// How long an exchange counts as recent.
const RECENT: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn a_recent_exchange_keeps_others_out_until_it_ends_or_is_recent_no_longer() {
        let mut recent = RecentExchanges { begun: VecDeque::new(), count: 0 };
        let start = Instant::now();
        let late = start + RECENT / 2;
        assert_eq!(recent.begin(start), Ok(1));
        for number in 2..=MAX_RECENT as u64 {
            assert_eq!(recent.begin(late), Ok(number));
        }
        assert_eq!(recent.begin(late), Err(RECENT / 2), "until the oldest is recent no longer");
        assert!(recent.end(2), "its permit is free");
        assert!(!recent.end(2), "it ended before");
        let next = MAX_RECENT as u64 + 1;
        assert_eq!(recent.begin(late), Ok(next));
        assert_eq!(recent.begin(late), Err(RECENT / 2));
        assert_eq!(recent.begin(start + RECENT), Ok(next + 1), "the oldest is recent no longer");
        assert!(!recent.end(1), "its permit was taken");
        assert_eq!(recent.begin(start + RECENT), Err(RECENT / 2));
    }

    #[test]
    fn an_exchange_that_waits_begins_when_a_recent_one_ends_and_before_any_later_one() {
        let limits = ConnectionLimits::new();
        // Far in the future, so that none of them grows old while the test runs.
        let now = Instant::now() + Duration::from_secs(3_600);
        let mut permits: Vec<_> = (0..MAX_RECENT).map(|_| limits.try_enter(now).unwrap()).collect();
        assert!(limits.try_enter(now).is_none());
        let mut waiting = Box::pin(limits.enter());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let begun = runtime.block_on(async { (&mut waiting).now_or_never() });
        assert!(begun.is_none());
        drop(permits.pop());
        assert!(limits.try_enter(now).is_none(), "the one that waits comes first");
        assert!(runtime.block_on(waiting).is_some());
    }

    #[test]
    fn a_url_at_the_gateway_is_what_its_text_reads_as() {
        for base in ["https://cloud.vtrix.ai", "http://127.0.0.1:8080/proxy", "http://[::1]"] {
            let gateway = KnownGateway::of(
                &BaseUrl::parse(base, true).unwrap(),
                &EnvironmentProxies::default(),
            )
            .unwrap();
            for path in ["/model/v1/generation/task/a%25b", "/a?b=c", "/"] {
                let text = format!("{base}{path}");
                let url = gateway.url_of(&text.parse().unwrap()).unwrap();
                assert_eq!(url, text.parse().unwrap());
            }
            for elsewhere in ["https://example.com/", "ftp://[::1]/", "http://127.0.0.1:8081/"] {
                assert_eq!(gateway.url_of(&elsewhere.parse().unwrap()), None, "{elsewhere}");
            }
        }
    }
}
