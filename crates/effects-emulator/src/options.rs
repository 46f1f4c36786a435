//! [`Options`]: every setting of an emulator as plain data: address, key, folder, latency, faults,
//! price, and among others [`Pictures`], [`Dialect`], [`Validation`] and [`Limits`]. `effects emulator`
//! fills it in from its flags, the Python package from arguments, Rust programs and tests by the
//! methods of `EmulatorBuilder`. `EmulatorBuilder::start` checks it once, and refuses values that are
//! not possible; `EmulatorState` keeps it, where the rest of the emulator reads it.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use rust_decimal::Decimal;
use url::Url;

use crate::bad_option::BadOption;
use crate::clock::ClockKind;
use crate::cors;
use crate::faults::FaultPlan;
use crate::latency::Latency;

/// How an emulator behaves: what the flags of `effects emulator` set.
///
/// ```
/// use effects_emulator::{Dialect, Options};
///
/// let mut options = Options::default();
/// options.port = 8600;
/// options.dialect = "sdk".parse()?;
/// assert_eq!(options.dialect, Dialect::Sdk);
/// # Ok::<(), effects_emulator::BadOption>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// The address to listen on; 127.0.0.1 unless said otherwise.
    pub host: IpAddr,
    /// The port to listen on; 0 takes any free one.
    pub port: u16,
    /// The key it accepts; a fresh random one when `None`.
    pub api_key: Option<String>,
    /// Where tasks, files and spend are kept; in memory when `None`.
    pub data_dir: Option<PathBuf>,
    /// How long tasks take beyond their painting.
    pub latency: Latency,
    /// What goes wrong.
    pub faults: FaultPlan,
    /// Which clock tasks live by.
    pub clock: ClockKind,
    /// Painted pictures or one constant picture.
    pub pictures: Pictures,
    /// How answers are spelt.
    pub dialect: Dialect,
    /// Where a request with bad parameters fails.
    pub validation: Validation,
    /// Whether a test card stands in for a photo that cannot be fetched.
    pub placeholder: bool,
    /// Scheme, host and perhaps a path under which clients reach it, for the links in its answers:
    /// behind a proxy, say. Without it links have the host that a request was sent to.
    pub public_url: Option<String>,
    /// Origins whose pages may ask it from a browser, such as `http://localhost:3000`; `*` is all.
    pub cors: Vec<String>,
    /// Whether photos may be fetched from private networks; loopback may whenever the emulator
    /// itself listens on loopback.
    pub allow_private: bool,
    /// Whether `KEY.NAME` opens a world of its own, with tasks, files, requests, spend, scripts, plan
    /// and clock that no other key sees: for tests that share an emulator and run beside each other.
    /// It keeps nothing in a [`data_dir`](Self::data_dir).
    pub isolate_keys: bool,
    /// What a picture costs, in USD.
    pub price: Decimal,
    /// What all dice are thrown from: latencies, and faults whose plan has no seed of its own.
    pub seed: u64,
    /// How much of everything it takes.
    pub limits: Limits,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            host: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 0,
            api_key: None,
            data_dir: None,
            latency: Latency::none(),
            faults: FaultPlan::none(),
            clock: ClockKind::Real,
            pictures: Pictures::Painted,
            dialect: Dialect::Spec,
            validation: Validation::Task,
            placeholder: false,
            public_url: None,
            cors: Vec::new(),
            allow_private: false,
            isolate_keys: false,
            // 0.03 USD, of the order that the service takes for a picture: a few cents.
            price: Decimal::new(3, 2),
            // A fixed seed: the same tests draw the same latencies and faults at every start.
            seed: 0,
            limits: Limits::default(),
        }
    }
}

impl Options {
    /// Checks what the types cannot.
    pub(crate) fn check(&self) -> Result<(), BadOption> {
        // Spaces around a key are trimmed off when it is read, and a header cannot hold a line
        // break. Bytes beyond ASCII are left out since HTTP libraries differ over them.
        let sendable = |key: &String| !key.is_empty() && key.bytes().all(|b| b.is_ascii_graphic());
        if !self.api_key.as_ref().is_none_or(sendable) {
            // The key itself is a secret, even where it is wrong.
            let rule = "it is at least one letter, digit or sign of ASCII, without spaces";
            return Err(BadOption::new("api_key", "…", rule));
        }
        if self.price.is_sign_negative() {
            return Err(BadOption::new("price", &self.price.to_string(), "it is not below 0"));
        }
        if let Some(url) = &self.public_url {
            let is_base = Url::parse(url).is_ok_and(|url| {
                // Paths are appended to it and everybody sees the links, so it has no query and no
                // password.
                let is_http = matches!(url.scheme(), "http" | "https") && url.has_host();
                let has_more = url.query().is_some() || url.fragment().is_some();
                is_http && !has_more && url.username().is_empty() && url.password().is_none()
            });
            if !is_base {
                let rule = "it is like https://emulator.example or http://localhost:9000/path";
                return Err(BadOption::new("public_url", url, rule));
            }
        }
        if let Some(origin) = self.cors.iter().find(|origin| !cors::is_origin(origin)) {
            let rule = "it is an origin such as http://localhost:3000, or `*`";
            return Err(BadOption::new("cors", origin, rule));
        }
        // `EmulatorState::beside` opens no store: the folder would keep the tasks of the main
        // emulator alone.
        if self.isolate_keys && self.data_dir.is_some() {
            let rule = "the worlds of isolated keys are kept in memory: leave `data_dir` out";
            return Err(BadOption::new("isolate_keys", "true", rule));
        }
        Ok(())
    }
}

/// Whether photos are really painted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Pictures {
    /// The photo is fetched and painted.
    #[default]
    Painted,
    /// Every picture is the same small PNG; nothing is fetched, nothing painted. For tests at scale.
    Stub,
}

impl FromStr for Pictures {
    type Err = BadOption;

    fn from_str(text: &str) -> Result<Self, BadOption> {
        match text {
            "painted" => Ok(Self::Painted),
            "stub" => Ok(Self::Stub),
            _ => Err(BadOption::new("pictures", text, "they are `painted` or `stub`")),
        }
    }
}

/// How answers are spelt where the service's page and its clients differ.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Dialect {
    /// As the service's page says: error codes are text.
    #[default]
    Spec,
    /// As the service's official clients all read it: error codes are numbers, an error says its
    /// text twice, `metadata` holds numbers alone.
    Sdk,
}

impl FromStr for Dialect {
    type Err = BadOption;

    fn from_str(text: &str) -> Result<Self, BadOption> {
        match text {
            "spec" => Ok(Self::Spec),
            "sdk" => Ok(Self::Sdk),
            _ => Err(BadOption::new("dialect", text, "it is `spec` or `sdk`")),
        }
    }
}

/// Where a request with bad parameters fails.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Validation {
    /// It is accepted and its task fails: the place where the service documents its codes.
    #[default]
    Task,
    /// It is refused with HTTP 400.
    Http,
}

impl FromStr for Validation {
    type Err = BadOption;

    fn from_str(text: &str) -> Result<Self, BadOption> {
        match text {
            "task" => Ok(Self::Task),
            "http" => Ok(Self::Http),
            _ => Err(BadOption::new("validation", text, "it is `task` or `http`")),
        }
    }
}

/// How much an emulator takes before it refuses, waits or forgets.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of a photo, uploaded, fetched or written into the request; 48 MiB, as many as
    /// the clients upload.
    pub photo_bytes: usize,
    /// Pixels of a photo; 200 million, as many as are painted.
    pub photo_pixels: u64,
    /// How long fetching a photo may take; 5 s.
    pub fetch_time: Duration,
    /// Paintings at once; one for each core.
    pub renders: usize,
    /// Bytes of large request bodies, of more than 64 KiB, that are read or worked on at once; more
    /// wait their turn, and a body that comes slower than 256 KB a second is answered 429 then;
    /// 256 MiB.
    pub body_bytes: usize,
    /// Tasks waiting to be painted, beyond which a create is answered 429; 2,000.
    pub queue: usize,
    /// Bytes of photos, written into requests, that wait to be painted; 256 MiB.
    pub queued_bytes: usize,
    /// Tasks remembered: the oldest finished ones are forgotten beyond it; 200,000.
    pub tasks: usize,
    /// Bytes of pictures and uploads kept: the oldest go first; 512 MiB.
    pub file_bytes: u64,
    /// How long a file is kept; 24 hours.
    pub file_age: Duration,
    /// Requests with an accepted key that are remembered for `/_emulator/requests`, and as many
    /// without one; 10,000.
    pub requests: usize,
    /// Connections at once; 4,096. More wait, until one ends or one makes way that has asked nothing
    /// for a second and has never carried an accepted key.
    pub connections: usize,
    /// How long a client may take to send a request; 30 s.
    pub request_time: Duration,
    /// How long a stop waits for exchanges under way; 2 s.
    pub stop_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            photo_bytes: effects_core::MAX_PHOTO_BYTES,
            photo_pixels: effects_render::MAX_PIXELS,
            fetch_time: Duration::from_secs(5),
            // Painting computes and waits for nothing, so more at once than cores would only take
            // memory.
            renders: std::thread::available_parallelism().map_or(1, usize::from),
            body_bytes: 256 * 1024 * 1024,
            queue: 2_000,
            queued_bytes: 256 * 1024 * 1024,
            tasks: 200_000,
            file_bytes: 512 * 1024 * 1024,
            file_age: Duration::from_secs(24 * 3600),
            requests: 10_000,
            connections: 4_096,
            request_time: Duration::from_secs(30),
            stop_time: Duration::from_secs(2),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_sent_or_paid_is_refused() {
        let check = |change: fn(&mut Options)| {
            let mut options = Options::default();
            change(&mut options);
            options.check().map_err(|error| error.to_string())
        };
        assert_eq!(check(|_| ()), Ok(()));
        assert_eq!(check(|options| options.api_key = Some("k".to_owned())), Ok(()));
        assert_eq!(check(|options| options.price = Decimal::ZERO), Ok(()));
        // Empty, with a space, with a line break, beyond ASCII.
        let keys: [fn(&mut Options); 4] = [
            |options| options.api_key = Some(String::new()),
            |options| options.api_key = Some("two words".to_owned()),
            |options| options.api_key = Some("secret\n".to_owned()),
            |options| options.api_key = Some("schlüssel".to_owned()),
        ];
        for change in keys {
            let error = check(change).unwrap_err();
            // A refused key may be a real one with a line break after it, as the third, so none is
            // printed.
            assert!(error.starts_with("api_key:") && !error.contains("secret"), "{error}");
        }
        let error = check(|options| options.price = Decimal::NEGATIVE_ONE).unwrap_err();
        assert_eq!(error, "price: `-1` does not do: it is not below 0");
        for url in ["emulator.example", "ftp://a", "http://a/?b=c", "http://a:b@c"] {
            let options = Options { public_url: Some(url.to_owned()), ..Options::default() };
            assert!(options.check().unwrap_err().to_string().starts_with("public_url"), "{url}");
        }
        for origin in ["localhost:3000", "http://a/", "http://a/b", ""] {
            let options = Options { cors: vec![origin.to_owned()], ..Options::default() };
            assert!(options.check().unwrap_err().to_string().starts_with("cors"), "{origin}");
        }
    }

    #[test]
    fn words_set_options_and_others_are_named_with_the_rule() {
        assert_eq!("stub".parse(), Ok(Pictures::Stub));
        assert_eq!("http".parse(), Ok(Validation::Http));
        assert_eq!("virtual".parse(), Ok(ClockKind::Virtual));
        let error = "SDK".parse::<Dialect>().unwrap_err();
        assert_eq!(error.to_string(), "dialect: `SDK` does not do: it is `spec` or `sdk`");
    }
}
