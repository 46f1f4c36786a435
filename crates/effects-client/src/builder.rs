//! [`ClientBuilder`]: collects the settings of a client, from code and from the environment. Its `build`
//! checks them before anything is sent and makes [`Settings`], from which a client makes itself
//! ([`BuildClient`]). Both clients' `Client::builder` returns one; Rust programs, `Profile`, the Python
//! package (`setup.rs`) and the command (`gateway.rs`) fill one in. `effects doctor` builds its `Probe`
//! with it, which is the settings and the HTTP stack of a client; the webhook of a batch builds an HTTP
//! stack alone.

use std::env::{self, VarError};
use std::fmt;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use effects_core::gateway::{Endpoint, ExchangeObserver};
use effects_core::pace::Pacer;
use effects_core::{
    ApiKey, BaseUrl, Deadline, Error, ErrorKind, Event, InvalidApiKey, Pace, Policy, Repeat,
};
use effects_jobs::Uploads;
use url::Url;

use crate::caller_panic::GuardedObserver;
use crate::cassette::{
    Cassette, CassettePath, NO_KEY, Player, Recorded, cassette_of_the_environment, replay_gateway,
};
use crate::client_cert::ClientCert;
use crate::clock::WallClock;
use crate::missing_key::MissingKeyAdvice;
use crate::program::{KEY_VARIABLES, run_key_program};
use crate::settings::{CaBundle, EventObserver, Proxy, Settings, replay_policy};
use crate::telemetry;
use crate::transport::{FromExchange, Transport};

/// A client that settings can be made into.
pub trait BuildClient: Sized {
    /// What its exchanges are held by: [`DynExchange`](effects_core::gateway::DynExchange) of a blocking
    /// client, [`DynAsyncExchange`](effects_core::gateway::DynAsyncExchange) of an async one.
    type Exchange: FromExchange<Player> + FromExchange<Recorded<Self::Exchange>> + 'static;

    /// Makes the client.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misconfigured`] when its HTTP library cannot be set up so.
    fn from_settings(
        settings: Settings,
        transport: Transport<Self::Exchange>,
    ) -> Result<Self, Error>;
}

/// Asks for the key as it is now.
type AskForKey = Arc<dyn Fn() -> Result<String, Error> + Send + Sync>;

/// Where a client's key comes from.
#[derive(Clone)]
enum KeyFrom {
    Text(String),
    Source(AskForKey),
}

impl KeyFrom {
    fn program(program: String) -> Self {
        Self::Source(Arc::new(move || run_key_program(&program)))
    }
}

/// Builds a client of either kind.
#[must_use = "a builder makes a client when `build` is called"]
pub struct ClientBuilder<C: BuildClient> {
    /// As it was given; or why what the environment says cannot be read.
    api_key: Result<Option<KeyFrom>, Error>,
    missing_key: MissingKeyAdvice,
    base_url: Result<Option<String>, Error>,
    allow_http: bool,
    policy: Policy,
    pacer: Pacer,
    connect_timeout: Option<Duration>,
    uploads: Uploads,
    proxy: Proxy,
    ca_bundle: Option<PathBuf>,
    client_cert: Option<PathBuf>,
    client_key: Option<PathBuf>,
    headers: Vec<(String, String)>,
    exchange_observer: Option<Arc<dyn ExchangeObserver>>,
    event_observer: EventObserver,
    transport: Transport<C::Exchange>,
    cassette: Option<CassettePath>,
    client: PhantomData<fn() -> C>,
}

impl<C: BuildClient> ClientBuilder<C> {
    /// A builder that reads nothing from the environment.
    pub fn new() -> Self {
        Self {
            api_key: Ok(None),
            missing_key: MissingKeyAdvice::default(),
            base_url: Ok(None),
            allow_http: false,
            policy: Policy::default(),
            pacer: Pacer::new(),
            connect_timeout: None,
            uploads: Uploads::default(),
            proxy: Proxy::default(),
            ca_bundle: None,
            client_cert: None,
            client_key: None,
            headers: Vec::new(),
            exchange_observer: None,
            event_observer: EventObserver::default(),
            transport: Transport::default(),
            cassette: None,
            client: PhantomData,
        }
    }

    /// A builder with the key of `EFFECTS_API_KEY` (else `VTRIX_API_KEY`, else what the program of
    /// `EFFECTS_API_KEY_COMMAND` prints), the gateway of `EFFECTS_BASE_URL`, the
    /// [`ca_bundle`](Self::ca_bundle) of `EFFECTS_CA_BUNDLE`, the
    /// [`client_cert`](Self::client_cert) of `EFFECTS_CLIENT_CERT` and `EFFECTS_CLIENT_KEY`, and the
    /// [`cassette`](Self::cassette) of `EFFECTS_CASSETTE`, as far as they are set; an
    /// empty variable counts as unset. One that is not UTF-8 is an error of [`build`](Self::build), unless
    /// what it says is given otherwise.
    pub fn from_env() -> Self {
        // A variable that cannot be read counts as set: `build` then fails, and no other key stands
        // in for the one that was meant.
        let key = KEY_VARIABLES.into_iter().map(variable).find(|key| *key != Ok(None));
        let program = || Ok(variable(KEY_COMMAND_VARIABLE)?.map(KeyFrom::program));
        let api_key = key.map_or_else(program, |key| Ok(key?.map(KeyFrom::Text)));
        let cassette = cassette_of_the_environment().map(CassettePath::Environment);
        let ca_bundle = path_variable(CA_BUNDLE_VARIABLE);
        let client_cert = path_variable(CLIENT_CERT_VARIABLE);
        // A key alone is left out, since `build` refuses one without its certificate.
        let client_key = path_variable(CLIENT_KEY_VARIABLE).filter(|_| client_cert.is_some());
        let base_url = base_url_of_the_environment();
        Self { api_key, base_url, cassette, ca_bundle, client_cert, client_key, ..Self::new() }
    }

    /// The key.
    pub fn api_key(mut self, key: impl Into<String>) -> Self {
        self.api_key = Ok(Some(KeyFrom::Text(key.into())));
        self
    }

    /// Where the key comes from: it is asked for when the client is built, and once more for each key
    /// that the gateway refuses with a 401; the request is then sent again with the new one. It may
    /// block.
    ///
    /// ```
    /// # use effects_client::{BuildClient, ClientBuilder};
    /// # fn example<C: BuildClient>() -> Result<C, effects_core::Error> {
    /// let token = || Ok(std::fs::read_to_string("/run/secrets/effects").unwrap_or_default());
    /// ClientBuilder::<C>::new().api_key_from(token).build()
    /// # }
    /// ```
    pub fn api_key_from(
        mut self,
        source: impl Fn() -> Result<String, Error> + Send + Sync + 'static,
    ) -> Self {
        self.api_key = Ok(Some(KeyFrom::Source(Arc::new(source))));
        self
    }

    /// A program that prints the key, with arguments parted by spaces; no shell reads it. It is asked like
    /// [`api_key_from`](Self::api_key_from).
    pub fn api_key_command(mut self, program: impl Into<String>) -> Self {
        self.api_key = Ok(Some(KeyFrom::program(program.into())));
        self
    }

    /// What the error of a missing key advises, in the words of a program over this client; those of
    /// Rust unless said otherwise.
    pub fn missing_key_advice(mut self, advice: MissingKeyAdvice) -> Self {
        self.missing_key = advice;
        self
    }

    /// The gateway, instead of [`BaseUrl::DEFAULT`].
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.base_url = Ok(Some(url.into()));
        self
    }

    /// Lets the base URL be http on another machine, where the key travels in the clear.
    pub fn allow_http(mut self, allow: bool) -> Self {
        self.allow_http = allow;
        self
    }

    /// How runs behave, all of it at once.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// When to look at a running task.
    pub fn pace(mut self, pace: Pace) -> Self {
        self.policy.pace = pace;
        self
    }

    /// What is known of how long tasks take at this gateway, to pace by and to add to; nothing
    /// unless said otherwise. A client keeps nothing on the disk: a caller who wants to
    /// know more next time keeps the pacer's news.
    pub fn pacer(mut self, pacer: Pacer) -> Self {
        self.pacer = pacer;
        self
    }

    /// Which submissions may be repeated.
    pub fn repeat(mut self, repeat: Repeat) -> Self {
        self.policy.repeat = repeat;
        self
    }

    /// How long one run is watched; 10 minutes unless said otherwise. The [last look](Self::last_look)
    /// at its end comes on top.
    pub fn wait_timeout(mut self, timeout: Duration) -> Self {
        self.policy.wait_timeout = timeout;
        self
    }

    /// How long the last look at the end of a wait may take, beyond the wait; 5 seconds unless said
    /// otherwise, and none with zero.
    pub fn last_look(mut self, limit: Duration) -> Self {
        self.policy.last_look = limit;
        self
    }

    /// How long each call may take in all: an upload, a run from its submission to its end, a download,
    /// or many jobs from their first upload to their last picture. The client's `with_deadline` has
    /// several calls share one. Nothing is submitted after it, and a task that is not over by then is
    /// named by the error, with the line that goes on with it.
    pub fn deadline(mut self, limit: Duration) -> Self {
        self.policy.deadline = Some(Deadline::after(limit));
        self
    }

    /// The longest one exchange may take; 30 seconds unless said otherwise.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.policy.request_timeout = timeout;
        self
    }

    /// The longest a connection may take to be made; 10 seconds unless said otherwise.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = Some(timeout);
        self
    }

    /// Where local photos are put.
    pub fn uploads(mut self, uploads: Uploads) -> Self {
        self.uploads = uploads;
        self
    }

    /// One more header on each request to the gateway; never one that the client sets itself, such as
    /// `Authorization`. Its value is not shown.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// What the client calls itself to the gateway, instead of `effects/VERSION`.
    pub fn user_agent(self, text: impl Into<String>) -> Self {
        self.header("User-Agent", text)
    }

    /// Tells this observer of each exchange with the gateway, without the key: for metrics, or a log of one's
    /// own. It must not block.
    pub fn on_exchange(mut self, observer: impl ExchangeObserver + 'static) -> Self {
        self.exchange_observer = Some(Arc::new(GuardedObserver(observer)));
        self
    }

    /// Calls this with each event of each run, jobs' runs too. It must not block.
    pub fn on_event(mut self, observe: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.event_observer = EventObserver::of(observe);
        self
    }

    /// The proxy to connect through.
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.proxy = proxy;
        self
    }

    /// A PEM file of certificates to trust instead of the system's.
    pub fn ca_bundle(mut self, path: impl AsRef<Path>) -> Self {
        self.ca_bundle = Some(path.as_ref().to_owned());
        self
    }

    /// A PEM file with the certificate to show to a gateway that asks for one, its chain, and its private
    /// key, unless [`client_key`](Self::client_key) names that. As with curl's `--cert`, each server that
    /// asks is shown it; the key leaves no client.
    pub fn client_cert(mut self, path: impl AsRef<Path>) -> Self {
        self.client_cert = Some(path.as_ref().to_owned());
        // A key of the environment is that of the environment's certificate.
        self.client_key = None;
        self
    }

    /// The PEM file of the private key of [`client_cert`](Self::client_cert), which is given first.
    pub fn client_key(mut self, path: impl AsRef<Path>) -> Self {
        self.client_key = Some(path.as_ref().to_owned());
        self
    }

    /// Makes exchanges with the caller's own HTTP stack in place of the client's: an
    /// [`Exchange`](effects_core::gateway::Exchange) for the blocking client, an
    /// [`AsyncExchange`](effects_core::gateway::AsyncExchange) with `Send` futures for the async one.
    ///
    /// It makes all of them: submissions, looks, uploads to a storage or a presigned URL, and downloads,
    /// whose requests have [`FetchOptions`](effects_core::gateway::FetchOptions) among their extensions and
    /// come back whole, where the client's own stack streams a picture into its file.
    /// Requests come authorised, those to the gateway alone; no redirect may be followed with the key, and
    /// what the exchange logs or keeps must not hold it. What connections need (proxy, certificates, time to
    /// connect) is the stack's business then, so that [`build`](Self::build) refuses it here. Programs and
    /// an [`Uploader`](effects_jobs::Uploader) that upload make connections of their own.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use bytes::Bytes;
    /// # use effects_client::{BuildClient, ClientBuilder};
    /// use effects_core::gateway::{Answer, DynExchange, Exchange};
    /// use http::Request;
    ///
    /// /// As if the network were down.
    /// struct Offline;
    ///
    /// impl Exchange for Offline {
    ///     fn exchange(&self, _request: Request<Bytes>, _limit: Duration) -> Answer {
    ///         Answer::NotSent("this program is offline".to_owned())
    ///     }
    /// }
    /// # fn example<C: BuildClient<Exchange = DynExchange>>() -> Result<C, effects_core::Error> {
    /// ClientBuilder::<C>::from_env().exchange(Offline).build()
    /// # }
    /// ```
    pub fn exchange<X>(mut self, exchange: X) -> Self
    where
        C::Exchange: FromExchange<X>,
    {
        self.transport.give(C::Exchange::from_exchange(exchange));
        self
    }

    /// Puts an exchange of the caller's around what makes the client's exchanges, its own HTTP stack or the
    /// one of [`exchange`](Self::exchange): to log them, count them, or add a header. All settings hold. Of
    /// two, the one that is given later is the outer one.
    ///
    /// What passes it is what [`exchange`](Self::exchange) makes, the key included.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use bytes::Bytes;
    /// # use effects_client::{BuildClient, ClientBuilder};
    /// use effects_core::gateway::{Answer, DynExchange, Exchange};
    /// use http::Request;
    ///
    /// struct Counted(DynExchange);
    ///
    /// impl Exchange for Counted {
    ///     fn exchange(&self, request: Request<Bytes>, limit: Duration) -> Answer {
    ///         println!("{} {}", request.method(), request.uri().path());
    ///         self.0.exchange(request, limit)
    ///     }
    /// }
    /// # fn example<C: BuildClient<Exchange = DynExchange>>() -> Result<C, effects_core::Error> {
    /// ClientBuilder::<C>::from_env().middleware(Counted).build()
    /// # }
    /// ```
    pub fn middleware<X>(
        mut self,
        around: impl FnOnce(C::Exchange) -> X + Send + Sync + 'static,
    ) -> Self
    where
        C::Exchange: FromExchange<X>,
    {
        self.transport.wrap(|inner| C::Exchange::from_exchange(around(inner)));
        self
    }

    /// Records all exchanges in this file where it is not there, and replays it without a network where
    /// it is.
    ///
    /// The file is JSON without the key, without permissions of signed URLs, and with the hashes of uploaded
    /// photos; pictures are files in a folder beside it. In a replay no key is needed, nothing is waited for,
    /// and the gateway is one of no service (`http://replay.localhost`). A request that the cassette has not
    /// is an error that shows the difference, and nothing is sent. `docs/cassettes.md` says more.
    pub fn cassette(mut self, path: impl AsRef<Path>) -> Self {
        self.cassette = Some(CassettePath::Given(path.as_ref().to_owned()));
        self
    }

    /// The client.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::MissingKey`] without a key, [`ErrorKind::Misconfigured`] for a key, base URL,
    /// environment variable, time limit, proxy or certificate file that cannot be used, and for what
    /// cannot hold with an [`exchange`](Self::exchange) of the caller's.
    pub fn build(mut self) -> Result<C, Error> {
        let mut transport = std::mem::take(&mut self.transport);
        if transport.is_given() {
            self.check_exchange()?;
        }
        // Before the settings: a replay needs no key, and has a gateway of its own.
        let cassette = match &self.cassette {
            Some(path) => Some(Cassette::open(path, &self.base()?)?),
            None => None,
        };
        let settings = self.settings(cassette.as_ref().is_some_and(Cassette::is_replay))?;
        match cassette {
            Some(Cassette::Replay(player)) => transport.give(C::Exchange::from_exchange(player)),
            // Where the player stands in a replay, so that middleware is around both and the
            // requests that are compared are those that were recorded.
            Some(Cassette::Record(recording)) => transport.wrap_innermost(|inner| {
                C::Exchange::from_exchange(Recorded::new(inner, recording))
            }),
            None => {}
        }
        C::from_settings(settings, transport)
    }

    fn base(&self) -> Result<BaseUrl, Error> {
        let base = self.base_url.clone()?;
        BaseUrl::parse(base.as_deref().unwrap_or(BaseUrl::DEFAULT), self.allow_http)
            .map_err(|error| Error::new(ErrorKind::Misconfigured, error.to_string()))
    }

    /// Refuses what only the client's own HTTP stack could do.
    fn check_exchange(&self) -> Result<(), Error> {
        let given = [
            ("proxy", self.proxy != Proxy::System),
            ("ca_bundle", self.ca_bundle.is_some()),
            ("client_cert", self.client_cert.is_some()),
            ("connect_timeout", self.connect_timeout.is_some()),
        ];
        let Some((name, _)) = given.into_iter().find(|(_, is_given)| *is_given) else {
            return Ok(());
        };
        let message = format!(
            "{name} cannot be given together with exchange, which makes the connections itself: set up \
             its own HTTP stack so, or put it around the client's with middleware"
        );
        Err(Error::new(ErrorKind::Misconfigured, message))
    }

    fn settings(self, is_replay: bool) -> Result<Settings, Error> {
        let misconfigured = |message: String| Error::new(ErrorKind::Misconfigured, message);
        let connect_timeout = self.connect_timeout.unwrap_or(CONNECT_TIMEOUT);
        let base = if is_replay { replay_gateway() } else { self.base()? };
        let (key, source) = match self.api_key? {
            // Nothing is sent in a replay, so no program is run for a key.
            None | Some(KeyFrom::Source(_)) if is_replay => (NO_KEY.to_owned(), None),
            None => {
                let error =
                    Error::new(ErrorKind::MissingKey, "there is no API key, so nothing was sent");
                return Err(error.with_way_out(self.missing_key.to_string()));
            }
            Some(KeyFrom::Text(key)) => (key, None),
            Some(KeyFrom::Source(source)) => (source()?, Some(source)),
        };
        let key = ApiKey::new(key).map_err(|error| misconfigured(error.to_string()))?;
        if let Some(warning) = key.warning() {
            telemetry::warn(&warning);
        }
        for (name, limit) in
            [("connect_timeout", connect_timeout), ("request_timeout", self.policy.request_timeout)]
        {
            if limit.is_zero() {
                return Err(misconfigured(format!("{name} is 0 s: nothing could be exchanged")));
            }
        }
        if let Proxy::Url(proxy) = &self.proxy {
            // A proxy may be given without a scheme. What an HTTP library reads another way would
            // send the proxy's password elsewhere; so the URL is not repeated either.
            let scheme = if proxy.contains("://") { "" } else { "http://" };
            Url::parse(&format!("{scheme}{proxy}"))
                .map_err(|error| misconfigured(format!("the proxy's URL is unusable: {error}")))?;
        }
        let client_cert = match (&self.client_cert, &self.client_key) {
            // A replay shows none, and need not have it.
            _ if is_replay => None,
            (Some(path), key) => Some(ClientCert::read(path, key.as_deref())?),
            (None, Some(key)) => {
                let why = "names the key of no certificate: give client_cert, too";
                return Err(misconfigured(format!("client_key {} {why}", key.display())));
            }
            (None, None) => None,
        };
        let headers =
            self.headers.iter().try_fold(self.policy.headers.clone(), |all, header| {
                let (name, value) = header;
                all.with(name, value)
            })?;
        let ca_bundle = self.ca_bundle.map(|path| match std::fs::read(&path) {
            Ok(pem) => Ok(CaBundle { path, pem }),
            Err(error) => {
                Err(misconfigured(format!("ca_bundle {} cannot be read: {error}", path.display())))
            }
        });
        let mut endpoint = Endpoint::new(base.clone(), key);
        if let Some(source) = source {
            let clock = WallClock::new();
            endpoint = endpoint.with_key_source(
                Arc::new(move || ask_again(&*source)),
                Arc::new(move || clock.now()),
            );
        }
        if let Some(observer) = self.exchange_observer {
            endpoint = endpoint.observed_by(observer);
        }
        let policy = Policy { gateway: Some(base), headers, ..self.policy };
        Ok(Settings {
            endpoint,
            // A connection that is still being made when the exchange's time is over would look
            // like a lost answer, though nothing had left.
            connect_timeout: connect_timeout.min(self.policy.request_timeout.mul_f64(0.9)),
            policy: if is_replay { replay_policy(policy) } else { policy },
            // What a replay takes is nothing to learn from.
            pacer: if is_replay { Pacer::new() } else { self.pacer },
            uploads: self.uploads,
            proxy: self.proxy,
            ca_bundle: ca_bundle.transpose()?,
            client_cert,
            allow_http: self.allow_http,
            is_replay,
            unreachable_photos: Arc::default(),
            event_observer: self.event_observer,
        })
    }
}

impl<C: BuildClient> Default for ClientBuilder<C> {
    fn default() -> Self {
        Self::new()
    }
}

/// Without the key.
impl<C: BuildClient> fmt::Debug for ClientBuilder<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("base_url", &self.base_url.as_ref().ok())
            .field("policy", &self.policy)
            .field("transport", &self.transport)
            .finish_non_exhaustive()
    }
}

/// The key that a source has now. Where it has none, the gateway's refusal of the last one stands.
fn ask_again(source: &dyn Fn() -> Result<String, Error>) -> Option<ApiKey> {
    let key = source().and_then(|key| {
        let misconfigured =
            |error: InvalidApiKey| Error::new(ErrorKind::Misconfigured, error.to_string());
        ApiKey::new(key).map_err(misconfigured)
    });
    let said =
        |error| telemetry::warn(&format!("the key is refused, and no other is to be had: {error}"));
    key.map_err(said).ok()
}

/// The gateway that `EFFECTS_BASE_URL` names, as far as it is set; an empty one counts as unset.
///
/// # Errors
///
/// [`ErrorKind::Misconfigured`] when it is not UTF-8: it was set to mean a gateway, and another must
/// not get the key.
pub fn base_url_of_the_environment() -> Result<Option<String>, Error> {
    variable(BASE_URL_VARIABLE)
}

/// The file that a variable names, as far as it is set; an empty one counts as unset.
fn path_variable(name: &str) -> Option<PathBuf> {
    env::var_os(name).filter(|path| !path.is_empty()).map(PathBuf::from)
}

fn variable(name: &str) -> Result<Option<String>, Error> {
    match env::var(name) {
        Ok(value) => Ok(Some(value).filter(|value| !value.trim().is_empty())),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => {
            let message = format!("the environment variable {name} is not UTF-8: set it anew");
            Err(Error::new(ErrorKind::Misconfigured, message))
        }
    }
}

/// The environment variable that may name a program that prints the key.
pub const KEY_COMMAND_VARIABLE: &str = "EFFECTS_API_KEY_COMMAND";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The environment variable that may name the file of the certificates to trust.
pub const CA_BUNDLE_VARIABLE: &str = "EFFECTS_CA_BUNDLE";
/// The environment variable that may name the file of a client's certificate.
pub const CLIENT_CERT_VARIABLE: &str = "EFFECTS_CLIENT_CERT";
/// The environment variable that may name the file of its private key.
pub const CLIENT_KEY_VARIABLE: &str = "EFFECTS_CLIENT_KEY";
const BASE_URL_VARIABLE: &str = "EFFECTS_BASE_URL";

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use effects_core::gateway::{Answer, DynExchange, Exchange};
    use http::Request;

    use super::*;

    #[derive(Debug)]
    struct Built(Settings);

    impl BuildClient for Built {
        type Exchange = DynExchange;

        fn from_settings(
            settings: Settings,
            _transport: Transport<DynExchange>,
        ) -> Result<Self, Error> {
            Ok(Self(settings))
        }
    }

    fn builder() -> ClientBuilder<Built> {
        ClientBuilder::new()
    }

    #[test]
    fn without_a_key_the_error_says_where_keys_are_made() {
        let error = builder().build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::MissingKey);
        assert!(error.to_string().contains("API key page"));
    }

    #[test]
    fn what_cannot_work_is_refused_before_anything_is_sent() {
        let key = || builder().api_key("key-for-tests");
        // "hunter2" stands for each secret in a setting: no refusal may repeat it.
        for broken in [
            key().base_url("http://example.com"),
            key().base_url("nowhere"),
            key().request_timeout(Duration::ZERO),
            key().ca_bundle("/nowhere/ca.pem"),
            key().client_cert("/nowhere/client.pem"),
            key().client_key("client.key"),
            key().header("Authorization", "Bearer hunter2"),
            key().header("X-Team", "hunter2\r\nHost: elsewhere"),
            key().header("no name", "hunter2"),
            builder().api_key("two words"),
            key().proxy(Proxy::Url("http://me:hunter2@proxy:99999".to_owned())),
            key().proxy(Proxy::Url("proxy:99999".to_owned())),
            key().proxy(Proxy::Url("http://[::1".to_owned())),
        ] {
            let error = broken.build().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Misconfigured);
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
        for proxy in ["http://me:hunter2@proxy:8080", "proxy:8080", "socks5://proxy", "localhost"] {
            assert!(key().proxy(Proxy::Url(proxy.to_owned())).build().is_ok(), "{proxy}");
        }
        assert!(key().base_url("http://example.com").allow_http(true).build().is_ok());
    }

    struct Offline;

    impl Exchange for Offline {
        fn exchange(&self, _request: Request<Bytes>, _limit: Duration) -> Answer {
            Answer::NotSent("offline".to_owned())
        }
    }

    #[test]
    fn what_an_exchange_of_the_callers_cannot_do_is_refused_by_name() {
        let given = || builder().api_key("key-for-tests").exchange(Offline);
        assert!(given().build().is_ok());
        for (broken, name) in [
            (given().proxy(Proxy::Direct), "proxy"),
            (given().ca_bundle("ca.pem"), "ca_bundle"),
            (given().client_cert("client.pem"), "client_cert"),
            (given().connect_timeout(Duration::from_secs(1)), "connect_timeout"),
        ] {
            let error = broken.build().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Misconfigured);
            assert!(error.to_string().contains(&format!("{name} cannot be given")), "{error}");
        }
        let around = builder().api_key("key-for-tests").middleware(|inner| inner);
        assert!(around.proxy(Proxy::Direct).build().is_ok());
    }

    #[test]
    fn connecting_ends_before_the_exchange_does_and_nothing_prints_the_key() {
        let builder = builder().api_key("key-for-tests").request_timeout(Duration::from_secs(5));
        assert!(!format!("{builder:?}").contains("key-for-tests"));
        let Built(settings) = builder.build().unwrap();
        assert!(settings.connect_timeout < settings.policy.request_timeout);
        assert!(!format!("{settings:?}").contains("key-for-tests"));
        let proxy = Proxy::Url("http://me:hunter2@proxy".to_owned());
        assert!(!format!("{proxy:?}").contains("hunter2"));
    }
}
