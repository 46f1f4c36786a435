//! reqwest, set up so that it does what a paid API needs and nothing by itself.
//!
//! No redirect is followed and nothing is repeated on requests that carry the key; environment
//! proxies never catch this machine; and a failed exchange says truthfully whether the request can have
//! left. Looks at tasks and downloads share reqwest's connections, over HTTP/2 one for all; everything
//! else leaves on a connection of its own, [without reqwest](crate::submission).

use std::error::Error as StdError;
use std::pin::pin;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use effects_client::{Proxy, Settings};
use effects_core::{Answer, BaseUrl, Error, ErrorKind, FreshConnection, Policy, Trouble};
use http::Request;
use reqwest::redirect::Policy as Redirects;
use reqwest::{ClientBuilder, Response, Url};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::connector::Connector;
use crate::submission::Submitter;
use crate::tls;

/// reqwest's clients of a client, one for each kind of exchange.
#[derive(Debug)]
pub(crate) struct HttpClient {
    submit: Submitter,
    poll: ByPlace,
    transfer: ByPlace,
    room: Room,
}

/// Room for exchanges, which have a connection each where the gateway speaks HTTP/1.
///
/// A process may open so many files only; and a connection takes as much memory as fifty waiting
/// runs, so that none is made to a gateway that answers at once: few exchanges are enough there, and
/// each that lasts longer makes room for another.
#[derive(Debug)]
struct Room {
    all: Semaphore,
    young: Semaphore,
}

impl Room {
    const fn new() -> Self {
        Self { all: Semaphore::const_new(MOST_AT_ONCE), young: Semaphore::const_new(MOST_YOUNG) }
    }

    /// Waits for a place among all, and for one among the young.
    async fn enter(&self) -> Option<(SemaphorePermit<'_>, SemaphorePermit<'_>)> {
        Some((self.all.acquire().await.ok()?, self.young.acquire().await.ok()?))
    }
}

/// One for this machine, which no proxy of the environment may catch, and one for all others.
#[derive(Debug)]
struct ByPlace {
    here: reqwest::Client,
    there: reqwest::Client,
}

impl ByPlace {
    fn of(&self, url: &Url) -> &reqwest::Client {
        if url.host_str().is_some_and(is_here) { &self.here } else { &self.there }
    }
}

impl HttpClient {
    pub(crate) fn new(settings: &Settings) -> Result<Self, Error> {
        let secure = settings.endpoint.base().to_string().starts_with("https:");
        let tls = tls::settings(settings.ca_bundle.as_ref(), secure)?;
        let client = |here: bool, redirects: Redirects, idle| -> Result<reqwest::Client, Error> {
            let builder = reqwest::Client::builder()
                .tls_backend_preconfigured(tls.clone())
                .connect_timeout(settings.connect_timeout)
                .pool_idle_timeout(idle)
                .redirect(redirects)
                .retry(reqwest::retry::never())
                .referer(false);
            build(proxied(builder, &settings.proxy, here)?)
        };
        let poll = |here| client(here, Redirects::none(), POLL_IDLE);
        let transfer = |here| client(here, Redirects::limited(5), TRANSFER_IDLE);
        Ok(Self {
            submit: Submitter::new(Connector::new(settings, &tls)?),
            poll: ByPlace { here: poll(true)?, there: poll(false)? },
            transfer: ByPlace { here: transfer(true)?, there: transfer(false)? },
            room: Room::new(),
        })
    }

    /// Makes an exchange that carries the key, or a presigned permission.
    pub(crate) async fn exchange(&self, request: Request<Bytes>, timeout: Duration) -> Answer {
        // Waiting for room is part of the exchange's time; until then nothing has left.
        let begun = Instant::now();
        let Ok(Some((_place, young))) = tokio::time::timeout(timeout, self.room.enter()).await
        else {
            let reason = format!("too many other exchanges were under way for {timeout:?}");
            return Answer::NotSent(reason);
        };
        let mut exchange = pin!(self.exchange_in(timeout.saturating_sub(begun.elapsed()), request));
        match tokio::time::timeout(YOUTH, &mut exchange).await {
            Ok(answer) => answer,
            Err(_) => {
                drop(young);
                exchange.await
            }
        }
    }

    async fn exchange_in(&self, limit: Duration, request: Request<Bytes>) -> Answer {
        if request.extensions().get::<FreshConnection>().is_some() {
            return self.submit.exchange(request, limit).await;
        }
        let mut request = match reqwest::Request::try_from(request) {
            Ok(request) => request,
            Err(error) => return Answer::NotSent(words(&error)),
        };
        *request.timeout_mut() = Some(limit);
        let mut response = match self.poll.of(request.url()).execute(request).await {
            Ok(response) => response,
            Err(error) if before_sending(&error) => return Answer::NotSent(words(&error)),
            Err(error) => return Answer::Lost(words(&error)),
        };
        let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
        let mut body = BytesMut::new();
        match read(&mut response, &mut body).await {
            Ok(()) => Answer::Answered { status, headers, body: body.freeze() },
            Err(reason) => Answer::BrokenOff { status, headers, body: body.freeze(), reason },
        }
    }

    /// Opens a download. It carries no key, may go for one `request_timeout` without a byte, and
    /// ends with one `wait_timeout`.
    pub(crate) async fn open(&self, url: &str, policy: &Policy) -> Result<Fetch, Trouble> {
        let Ok(url) = url.parse::<Url>() else {
            return Err(Trouble::NotSent { reason: "the picture's URL cannot be read".to_owned() });
        };
        let quiet = policy.request_timeout;
        let whole = policy.wait_timeout.max(quiet);
        let request = self.transfer.of(&url).get(url).timeout(whole).send();
        let response = within(quiet, request).await?.map_err(|error| {
            let reason = words(&error);
            if before_sending(&error) {
                Trouble::NotSent { reason }
            } else {
                Trouble::Lost { reason }
            }
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
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, Trouble> {
        let chunk = within(self.quiet, self.response.chunk()).await?;
        chunk.map_err(|error| Trouble::Lost { reason: words(&error) })
    }
}

async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> Result<T, Trouble> {
    let done = tokio::time::timeout(limit, work).await;
    done.map_err(|_| Trouble::Lost { reason: format!("nothing came for {limit:?}") })
}

/// Whether a host is this machine.
pub(crate) fn is_here(host: &str) -> bool {
    // Only the host matters, so any scheme will do.
    BaseUrl::parse(&format!("http://{host}"), true).is_ok_and(|base| base.origin().is_loopback())
}

/// The error with its causes, but without what reqwest says of it, which holds the URL: it may be a
/// permission.
pub(crate) fn words(error: &(dyn StdError + 'static)) -> String {
    let (mut text, mut source) = match error.downcast_ref::<reqwest::Error>() {
        Some(error) if error.is_timeout() => ("timed out".to_owned(), error.source()),
        Some(error) => (String::new(), error.source()),
        None => (String::new(), Some(error)),
    };
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    if text.is_empty() { "the exchange failed".to_owned() } else { text }
}

/// A name, a connection or a TLS session that could not be had: reqwest's connector does all three
/// before the first byte of a request.
fn before_sending(error: &reqwest::Error) -> bool {
    error.is_connect() || error.is_builder()
}

async fn read(response: &mut Response, body: &mut BytesMut) -> Result<(), String> {
    while let Some(chunk) = response.chunk().await.map_err(|error| words(&error))? {
        body.extend_from_slice(&chunk);
        if body.len() > MOST_ANSWER_BYTES {
            return Err(format!("an answer longer than {MOST_ANSWER_BYTES} bytes"));
        }
    }
    Ok(())
}

fn proxied(builder: ClientBuilder, proxy: &Proxy, here: bool) -> Result<ClientBuilder, Error> {
    match proxy {
        Proxy::System if !here => Ok(builder),
        Proxy::System | Proxy::Direct => Ok(builder.no_proxy()),
        Proxy::Url(url) => {
            let proxy = reqwest::Proxy::all(url).map_err(|error| {
                // The URL may hold a password.
                let message = format!("the proxy's URL is unusable: {}", words(&error));
                Error::new(ErrorKind::Misconfigured, message)
            })?;
            Ok(builder.proxy(proxy))
        }
    }
}

fn build(builder: ClientBuilder) -> Result<reqwest::Client, Error> {
    builder.build().map_err(|error| {
        let message = format!("no HTTP client can be set up here: {}", words(&error));
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
pub(crate) const MOST_AT_ONCE: usize = 256;
/// Of them, those that are young, and how long they are.
const MOST_YOUNG: usize = 4;
const YOUTH: Duration = Duration::from_millis(10);

/// No answer about a task is longer.
pub(crate) const MOST_ANSWER_BYTES: usize = 8 * 1024 * 1024;
