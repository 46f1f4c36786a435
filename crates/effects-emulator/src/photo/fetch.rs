//! Fetching a photo over HTTP, within limits of time, bytes and reach.

use std::error::Error as _;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use http::header::LOCATION;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, Response, redirect};
use tokio::sync::Semaphore;
use url::{Host, Url};

use super::PhotoError;
use super::address::Reach;

/// Fetches photos. Its HTTP client is made when the first photo is remote.
#[derive(Debug)]
pub(crate) struct Fetcher {
    client: OnceLock<Result<Client, String>>,
    resolver: CheckedResolver,
    most_bytes: usize,
    longest: Duration,
}

impl Fetcher {
    pub(crate) fn new(reach: Reach, most_bytes: usize, longest: Duration) -> Self {
        let resolver = CheckedResolver::new(reach, addresses_of);
        Self { client: OnceLock::new(), resolver, most_bytes, longest }
    }

    /// The bytes behind a URL.
    pub(crate) async fn fetch(&self, url: &Url) -> Result<Bytes, PhotoError> {
        let host = url.host_str().unwrap_or("no host").to_owned();
        let told = |why: &str| {
            PhotoError::NotFetched(format!("image_input1 could not be fetched from {host}: {why}"))
        };
        match tokio::time::timeout(self.longest, self.follow(url.clone())).await {
            Ok(Ok(photo)) => Ok(photo),
            Ok(Err(why)) => Err(told(&why)),
            Err(_) => Err(told(&format!("no answer within {:?}", self.longest))),
        }
    }

    /// Follows redirects itself, since each hop has to be within reach.
    async fn follow(&self, mut url: Url) -> Result<Bytes, String> {
        for _ in 0..=MOST_REDIRECTS {
            self.check(&url)?;
            let sent = self.client()?.get(url.clone()).send().await;
            let answer = sent.map_err(|error| innermost(&error))?;
            if !answer.status().is_redirection() {
                return self.read(answer).await;
            }
            let target = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok());
            let target = target.ok_or("a redirect without a readable Location")?;
            url = url.join(target).map_err(|error| format!("a redirect to nowhere: {error}"))?;
        }
        Err(format!("more than {MOST_REDIRECTS} redirects"))
    }

    /// An address in the URL itself never meets the resolver, so it is checked here.
    fn check(&self, url: &Url) -> Result<(), String> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!("a redirect to a {}: URL", url.scheme()));
        }
        let address = match url.host() {
            Some(Host::Ipv4(address)) => IpAddr::V4(address),
            Some(Host::Ipv6(address)) => IpAddr::V6(address),
            Some(Host::Domain(_)) => return Ok(()),
            None => return Err("the URL has no host".to_owned()),
        };
        if self.resolver.reach.allows(address) {
            Ok(())
        } else {
            Err(out_of_reach(&address.to_string()))
        }
    }

    async fn read(&self, answer: Response) -> Result<Bytes, String> {
        if !answer.status().is_success() {
            return Err(format!("it answered HTTP {}", answer.status().as_u16()));
        }
        let too_large = || format!("it is larger than {} bytes", self.most_bytes);
        if answer.content_length().is_some_and(|length| length > self.most_bytes as u64) {
            return Err(too_large());
        }
        let mut photo = BytesMut::new();
        let mut chunks = answer.bytes_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|error| innermost(&error))?;
            if photo.len() + chunk.len() > self.most_bytes {
                return Err(too_large());
            }
            photo.extend_from_slice(&chunk);
        }
        Ok(photo.freeze())
    }

    fn client(&self) -> Result<&Client, String> {
        self.client.get_or_init(|| build(&self.resolver)).as_ref().map_err(Clone::clone)
    }
}

/// Where no certificate authorities are installed the client is built without any: http works as
/// ever, and https fails when it is tried, with its own words.
fn build(resolver: &CheckedResolver) -> Result<Client, String> {
    // If somebody has chosen a provider of cryptography before, theirs is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = || {
        Client::builder()
            .redirect(redirect::Policy::none())
            // A proxy would do the resolving, and with it the choice of the address.
            .no_proxy()
            // A photo is compressed as it is; a small answer must not unfold into a large one.
            .no_gzip()
            .dns_resolver(Arc::new(resolver.clone()))
            .user_agent(concat!("effects-emulator/", env!("CARGO_PKG_VERSION")))
    };
    let built = builder().build().or_else(|_| builder().tls_certs_only([]).build());
    built.map_err(|error| format!("no HTTP client: {}", innermost(&error)))
}

/// Resolves names to addresses within reach alone.
///
/// The system's lookup blocks a thread for as long as it takes, whoever has lost patience with it
/// meanwhile. So at most [`LOOKUPS`] are under way at once, and further names wait for one of them.
#[derive(Clone, Debug)]
struct CheckedResolver {
    reach: Reach,
    lookups: Arc<Semaphore>,
    lookup: Lookup,
}

/// The addresses of a name.
type Lookup = fn(&str) -> io::Result<Vec<SocketAddr>>;

/// By the system's resolver.
fn addresses_of(name: &str) -> io::Result<Vec<SocketAddr>> {
    Ok((name, 0).to_socket_addrs()?.collect())
}

impl CheckedResolver {
    fn new(reach: Reach, lookup: Lookup) -> Self {
        Self { reach, lookups: Arc::new(Semaphore::new(LOOKUPS)), lookup }
    }
}

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let Self { reach, lookups, lookup } = self.clone();
        Box::pin(async move {
            let place = lookups.acquire_owned().await?;
            let asked = name.as_str().to_owned();
            let found = tokio::task::spawn_blocking(move || {
                let _place = place;
                lookup(&asked)
            });
            let found = found.await??;
            let within: Vec<SocketAddr> =
                found.into_iter().filter(|address| reach.allows(address.ip())).collect();
            if within.is_empty() {
                return Err(out_of_reach(name.as_str()).into());
            }
            Ok(Box::new(within.into_iter()) as Addrs)
        })
    }
}

fn out_of_reach(what: &str) -> String {
    format!("{what} is in a network this emulator does not fetch from")
}

/// The cause behind an error of the HTTP client, whose own words would repeat the whole URL.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = match error.source() {
        Some(source) => source,
        None => return "the exchange failed".to_owned(),
    };
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

const MOST_REDIRECTS: usize = 5;

/// Names that are looked up at once. Each may hold a thread for as long as the system's resolver
/// waits for servers that do not answer.
pub(crate) const LOOKUPS: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    /// The addresses a name is resolved to are the ones that are connected to: a name that means
    /// something else a moment later is checked again then.
    #[tokio::test]
    async fn names_resolve_to_addresses_within_reach_alone() {
        let resolve = async |reach| {
            let found = CheckedResolver::new(reach, addresses_of)
                .resolve("localhost".parse().unwrap())
                .await;
            found.map(|found| found.map(|address| address.ip()).collect::<Vec<_>>())
        };
        let local = resolve(Reach { loopback: true, private: false }).await.unwrap();
        assert!(!local.is_empty() && local.iter().all(IpAddr::is_loopback), "{local:?}");
        let error = resolve(Reach { loopback: false, private: true }).await.unwrap_err();
        assert!(error.to_string().contains("does not fetch from"), "{error}");
    }

    /// A resolver whose servers do not answer is waited for by threads that nobody can call back.
    #[test]
    fn names_that_are_looked_up_slowly_leave_threads_for_paintings_and_files() {
        static SILENCE: std::sync::Mutex<()> = std::sync::Mutex::new(());
        let stuck: Lookup = |_| {
            drop(SILENCE.lock());
            Ok(Vec::new())
        };
        // It waits for its threads when it is dropped, and so is dropped after the silence.
        let runtime = crate::host::runtime(1).unwrap();
        let silence = SILENCE.lock().unwrap();
        let resolver = CheckedResolver::new(Reach { loopback: true, private: true }, stuck);
        runtime.block_on(async {
            let name = || "photos.example".parse().unwrap();
            let asked: Vec<_> = (0..100).map(|_| tokio::spawn(resolver.resolve(name()))).collect();
            while resolver.lookups.available_permits() > 0 {
                tokio::task::yield_now().await;
            }
            let others = 1 + crate::vault::FILES_AT_ONCE;
            // They meet, so each of them has a thread.
            let meeting = Arc::new(std::sync::Barrier::new(others));
            let meet = || {
                let meeting = Arc::clone(&meeting);
                tokio::task::spawn_blocking(move || meeting.wait())
            };
            let met = futures_util::future::join_all((0..others).map(|_| meet()));
            let met = tokio::time::timeout(Duration::from_secs(20), met).await;
            assert!(met.is_ok_and(|met| met.iter().all(Result::is_ok)), "lookups have the threads");
            assert!(asked.iter().all(|asked| !asked.is_finished()));
        });
        drop(silence);
    }
}
