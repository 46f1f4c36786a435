//! [`Fetcher`]: fetches the photo of a task over HTTP, within limits of time, bytes, redirects and
//! exchanges at once, and from addresses alone that `Reach` (`address.rs`) allows. `RenderQueue` makes
//! one for each emulator; painting jobs (`painting.rs`) call it where a create gives its photo as a URL
//! that is not the emulator's own.
//!
//! [`Fetcher`] resolves names and follows redirects itself, since each address has to be within reach.
//! It makes every exchange with ureq, which blocks, on a thread of its own: the runtime's threads are
//! for paintings and files, and an emulator that stops does not wait for a host that does not answer.

use std::fmt::Display;
use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Uri;
use http::header::LOCATION;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::Instant;
use ureq::config::Config;
use ureq::tls::{RootCerts, TlsConfig};
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    ConnectionDetails, Connector, NextTimeout, RustlsConnector, TcpConnector, Transport,
};
use ureq::{Agent, Body};
use url::{Host, Url};

use super::PhotoError;
use super::address::Reach;

/// Fetches photos.
#[derive(Debug)]
pub(crate) struct Fetcher {
    resolver: CheckedResolver,
    tls: SharedTls,
    /// The threads that exchanges may have.
    threads: Arc<Semaphore>,
    max_bytes: usize,
    timeout: Duration,
}

impl Fetcher {
    /// A fetcher that makes at most so many exchanges at once.
    pub(crate) fn new(reach: Reach, max_bytes: usize, timeout: Duration, at_once: usize) -> Self {
        Self {
            resolver: CheckedResolver::new(reach, addresses_of),
            tls: SharedTls::default(),
            threads: Arc::new(Semaphore::new(at_once)),
            max_bytes,
            timeout,
        }
    }

    /// The bytes behind a URL.
    pub(crate) async fn fetch(&self, url: &Url) -> Result<Bytes, PhotoError> {
        let host = url.host_str().unwrap_or("no host").to_owned();
        // One limit over all: lookups, the wait for a thread, and every hop.
        let fetched = tokio::time::timeout(self.timeout, self.follow(url.clone())).await;
        let error = match fetched {
            Ok(Ok(photo)) => return Ok(photo),
            Ok(Err(PhotoFetchError::Failed(why))) => why,
            Ok(Err(PhotoFetchError::TimedOut)) | Err(_) => {
                format!("no answer within {:?}", self.timeout)
            }
        };
        Err(PhotoError::NotFetched(format!(
            "image_input1 could not be fetched from {host}: {error}"
        )))
    }

    /// Follows redirects itself, since each hop has to be within reach.
    async fn follow(&self, mut url: Url) -> Result<Bytes, PhotoFetchError> {
        let started = Instant::now();
        for _ in 0..=MAX_REDIRECTS {
            let addresses = self.addresses(&url).await?;
            let thread = self.threads.clone().acquire_owned().await.map_err(io::Error::other)?;
            let time_left = self.timeout.saturating_sub(started.elapsed());
            match self.exchange(&url, addresses, time_left, thread).await? {
                FetchOutcome::Photo(photo) => return Ok(photo),
                FetchOutcome::Redirect(target) => {
                    let nowhere = |error| format!("a redirect to nowhere: {error}");
                    url = url.join(&target).map_err(nowhere)?;
                }
            }
        }
        Err(format!("more than {MAX_REDIRECTS} redirects").into())
    }

    /// The addresses to connect to, all of them within reach.
    async fn addresses(&self, url: &Url) -> Result<Vec<SocketAddr>, PhotoFetchError> {
        let port = match url.scheme() {
            "http" | "https" => url.port_or_known_default().unwrap_or_default(),
            // The first URL is http or https by `PhotoReference::read`, so another scheme is a
            // redirect's.
            other => return Err(format!("a redirect to a {other}: URL").into()),
        };
        let addresses = match url.host() {
            Some(Host::Domain(name)) => self.resolver.resolve(name).await?,
            Some(Host::Ipv4(address)) => self.resolver.within_reach(&[address.into()], address)?,
            Some(Host::Ipv6(address)) => self.resolver.within_reach(&[address.into()], address)?,
            None => return Err("the URL has no host".to_owned().into()),
        };
        Ok(addresses.into_iter().map(|address| SocketAddr::new(address, port)).collect())
    }

    /// Makes one exchange. Its connection is closed when this future is dropped, which ends its thread.
    async fn exchange(
        &self,
        url: &Url,
        addresses: Vec<SocketAddr>,
        time_left: Duration,
        thread: OwnedSemaphorePermit,
    ) -> Result<FetchOutcome, PhotoFetchError> {
        let uri: Uri = url.as_str().parse().map_err(io::Error::other)?;
        // Dropped with this future, which closes the connection and so ends the thread.
        let agent = AgentGuard(self.agent(addresses, time_left));
        let (inner, max_bytes) = (agent.0.clone(), self.max_bytes);
        let (answer, answered) = oneshot::channel();
        std::thread::Builder::new().name("effects-fetch".to_owned()).spawn(move || {
            let _thread = thread;
            // A receiver that is gone has given the photo up.
            let _ = answer.send(get(&inner, uri, max_bytes));
        })?;
        answered.await.map_err(io::Error::other)?
    }

    fn agent(&self, addresses: Vec<SocketAddr>, time_left: Duration) -> Agent {
        let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
        let config = Config::builder()
            // A proxy would do the resolving, and with it the choice of the address.
            .proxy(None)
            // A redirect is an answer here, since its target has to be checked before it is asked.
            .max_redirects(0)
            .max_redirects_will_error(false)
            // The status is for the words of the task's error.
            .http_status_as_error(false)
            // A photo is compressed already.
            .accept_encoding("")
            .user_agent(concat!("effects-emulator/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls)
            .timeout_global(Some(time_left))
            // Each exchange has an agent of its own, which would never use a kept connection again.
            .max_idle_connections(0)
            .build();
        let connector = ().chain(TcpConnector::default()).chain(self.tls.clone());
        // ureq does not look the name up again: the second answer might be another (DNS rebinding).
        Agent::with_parts(config, connector, CheckedAddresses(addresses))
    }
}

/// Makes an exchange and reads its answer, in a thread that it may block.
fn get(agent: &Agent, uri: Uri, max_bytes: usize) -> Result<FetchOutcome, PhotoFetchError> {
    let answer = agent.get(uri).call()?;
    let status = answer.status();
    if status.is_redirection() {
        let target = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        let target = target.ok_or_else(|| "a redirect without a readable Location".to_owned())?;
        return Ok(FetchOutcome::Redirect(target.to_owned()));
    }
    if !status.is_success() {
        return Err(format!("it answered HTTP {}", status.as_u16()).into());
    }
    read(answer.into_body(), max_bytes).map(FetchOutcome::Photo)
}

/// A server may compress what was not to be compressed, so the limit holds for what is unfolded.
fn read(body: Body, max_bytes: usize) -> Result<Bytes, PhotoFetchError> {
    let too_large = || format!("it is larger than {max_bytes} bytes").into();
    if body.content_length().is_some_and(|length| length > max_bytes as u64) {
        return Err(too_large());
    }
    let mut photo = Vec::new();
    // One byte more than is taken tells too large from just large enough.
    body.into_reader().take(max_bytes as u64 + 1).read_to_end(&mut photo)?;
    if photo.len() > max_bytes { Err(too_large()) } else { Ok(photo.into()) }
}

/// What an exchange leads to.
enum FetchOutcome {
    Photo(Bytes),
    Redirect(String),
}

/// Why a photo was not fetched.
#[derive(Debug)]
enum PhotoFetchError {
    TimedOut,
    Failed(String),
}

impl From<String> for PhotoFetchError {
    fn from(why: String) -> Self {
        Self::Failed(why)
    }
}

impl From<io::Error> for PhotoFetchError {
    fn from(error: io::Error) -> Self {
        // While a body is read, ureq hands out its own errors, time-outs too, inside an
        // `io::Error`. The conversion takes them out again.
        ureq::Error::from(error).into()
    }
}

impl From<ureq::Error> for PhotoFetchError {
    fn from(error: ureq::Error) -> Self {
        match error {
            ureq::Error::Timeout(_) => Self::TimedOut,
            ureq::Error::Io(error) => Self::Failed(error.to_string()),
            error => Self::Failed(error.to_string()),
        }
    }
}

/// The agent of one exchange, whose connection is closed when this is dropped.
struct AgentGuard(Agent);

impl Drop for AgentGuard {
    fn drop(&mut self) {
        self.0.clone().shutdown();
    }
}

/// The TLS settings of all exchanges. They are made when the first photo is behind https: where no
/// certificate authorities are installed, http works as ever, and https fails with its own words.
#[derive(Clone, Debug, Default)]
struct SharedTls(Arc<RustlsConnector>);

impl<In: Transport> Connector<In> for SharedTls {
    type Out = <RustlsConnector as Connector<In>>::Out;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, ureq::Error> {
        self.0.connect(details, chained)
    }
}

/// The addresses that were checked are the ones that are connected to.
#[derive(Debug)]
struct CheckedAddresses(Vec<SocketAddr>);

impl Resolver for CheckedAddresses {
    fn resolve(
        &self,
        _: &Uri,
        _: &Config,
        _: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let mut addresses = self.empty();
        // More than there is room for are not tried.
        for address in self.0.iter().take(MAX_ADDRESSES) {
            addresses.push(*address);
        }
        Ok(addresses)
    }
}

/// Resolves names to addresses within reach alone.
///
/// The system's lookup blocks a thread for as long as it takes, even when its fetch has timed out
/// meanwhile. So at most [`MAX_LOOKUPS`] are under way at once, and further names wait for one of them.
#[derive(Clone, Debug)]
struct CheckedResolver {
    reach: Reach,
    lookups: Arc<Semaphore>,
    lookup: Lookup,
}

/// The addresses of a name.
type Lookup = fn(&str) -> io::Result<Vec<IpAddr>>;

/// By the system's resolver.
fn addresses_of(name: &str) -> io::Result<Vec<IpAddr>> {
    // The port does not matter to the lookup; `addresses` adds the URL's.
    Ok((name, 0).to_socket_addrs()?.map(|address| address.ip()).collect())
}

impl CheckedResolver {
    fn new(reach: Reach, lookup: Lookup) -> Self {
        Self { reach, lookups: Arc::new(Semaphore::new(MAX_LOOKUPS)), lookup }
    }

    /// The addresses of a name within reach.
    async fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, PhotoFetchError> {
        let permit = self.lookups.clone().acquire_owned().await.map_err(io::Error::other)?;
        let (lookup_name, lookup) = (name.to_owned(), self.lookup);
        let found = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            lookup(&lookup_name)
        });
        self.within_reach(&found.await.map_err(io::Error::other)??, name)
    }

    /// Those of the addresses that are within reach, if there are any.
    fn within_reach(
        &self,
        found: &[IpAddr],
        host: impl Display,
    ) -> Result<Vec<IpAddr>, PhotoFetchError> {
        // A name with public and private addresses is fetched from the public ones alone.
        let within = found.iter().copied().filter(|address| self.reach.allows(*address));
        let within: Vec<IpAddr> = within.collect();
        if within.is_empty() {
            let message = format!("{host} is in a network this emulator does not fetch from");
            return Err(message.into());
        }
        Ok(within)
    }
}

const MAX_REDIRECTS: usize = 5;

/// As many as ureq takes.
const MAX_ADDRESSES: usize = 16;

/// Names that are looked up at once. Each may hold a thread for as long as the system's resolver
/// waits for servers that do not answer.
pub(crate) const MAX_LOOKUPS: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    /// The addresses a name is resolved to are the ones that are connected to: a name that means
    /// something else a moment later is checked again then.
    #[tokio::test]
    async fn names_resolve_to_addresses_within_reach_alone() {
        let resolve =
            async |reach| CheckedResolver::new(reach, addresses_of).resolve("localhost").await;
        let local = resolve(Reach { loopback: true, private: false }).await.unwrap();
        assert!(!local.is_empty() && local.iter().all(IpAddr::is_loopback), "{local:?}");
        let error = resolve(Reach { loopback: false, private: true }).await.unwrap_err();
        let PhotoFetchError::Failed(why) = error else { panic!("{error:?}") };
        assert!(why.contains("does not fetch from"), "{why}");
    }

    /// A resolver whose servers do not answer is waited for by threads that cannot be called back.
    #[test]
    fn names_that_are_looked_up_slowly_leave_threads_for_paintings_and_files() {
        static SILENCE: std::sync::Mutex<()> = std::sync::Mutex::new(());
        let stuck: Lookup = |_| {
            drop(SILENCE.lock());
            Ok(Vec::new())
        };
        // A runtime waits for its blocking threads when it is dropped. So it is made before the
        // guard that they wait for, which is then dropped first.
        let runtime = crate::runtime_thread::runtime(1).unwrap();
        let silence = SILENCE.lock().unwrap();
        let resolver = CheckedResolver::new(Reach { loopback: true, private: true }, stuck);
        runtime.block_on(async {
            let ask = || {
                let resolver = resolver.clone();
                tokio::spawn(async move { resolver.resolve("photos.example").await })
            };
            let waiting: Vec<_> = (0..100).map(|_| ask()).collect();
            while resolver.lookups.available_permits() > 0 {
                tokio::task::yield_now().await;
            }
            let others = 1 + crate::file_store::FILES_AT_ONCE;
            // They meet, so each of them has a thread.
            let meeting = Arc::new(std::sync::Barrier::new(others));
            let meet = || {
                let meeting = Arc::clone(&meeting);
                tokio::task::spawn_blocking(move || meeting.wait())
            };
            let met = futures_util::future::join_all((0..others).map(|_| meet()));
            let met = tokio::time::timeout(Duration::from_secs(20), met).await;
            assert!(met.is_ok_and(|met| met.iter().all(Result::is_ok)), "lookups have the threads");
            assert!(waiting.iter().all(|lookup| !lookup.is_finished()));
        });
        drop(silence);
    }
}
