//! A picture on its way to this machine: the rules, without the I/O.
//!
//! A download carries no key, costs nothing and may be repeated; what must not happen is that
//! something else than the picture ends up under its name.

use std::time::Duration;

use http::header::CONTENT_LENGTH;
use http::{HeaderMap, StatusCode};

use crate::answer::rejected;
use crate::effect::Picture;
use crate::error::{Error, ErrorKind, Problem};
use crate::format::ImageFormat;
use crate::policy::Policy;
use crate::retry::Retries;
use crate::seed::Seed;
use crate::time::Time;
use crate::trouble::Trouble;

/// One picture's download: which attempt comes when, and what is accepted.
///
/// ```
/// # use effects_core::{Download, DownloadStep, Policy, Seed, Time, Trouble};
/// # let picture: effects_core::Picture = serde_json::from_str(
/// #     r#"{"task_id":"t","url":"https://x/y.png","size":null,"job_id":null}"#)?;
/// let now = Time::from_millis(0);
/// let mut download = Download::new(&picture, &Policy::default(), Seed::from(1), now);
/// assert_eq!(download.step(now), DownloadStep::Fetch);
/// // The driver makes the exchange: a `Receiver` checks what comes, a failure is told.
/// download.failed(now, Trouble::Lost { reason: "reset".to_owned() });
/// assert!(matches!(download.step(now), DownloadStep::Sleep { .. }));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug)]
pub struct Download {
    picture: Picture,
    request_timeout: Duration,
    most_bytes: u64,
    retries: Retries,
    not_found_until: Time,
    /// How often what arrived was not the picture.
    impostors: u32,
    next: DownloadStep,
}

/// What to do next for a [`Download`].
#[derive(Clone, Debug, PartialEq)]
pub enum DownloadStep {
    /// Fetch the picture's URL, then call [`Download::failed`] if that went wrong.
    Fetch,
    /// Nothing to do before this time.
    Sleep {
        /// Until when.
        until: Time,
    },
    /// It failed for good.
    Failed(Error),
}

impl Download {
    /// The longest picture that is accepted, in bytes: four times an uncompressed one of the
    /// largest size.
    pub const MOST_BYTES: u64 = 64 * 1024 * 1024;

    /// A download of this picture, repeated within one `wait_timeout` from now.
    pub fn new(picture: &Picture, policy: &Policy, seed: Seed, now: Time) -> Self {
        Self {
            picture: picture.clone(),
            request_timeout: policy.request_timeout,
            most_bytes: Self::MOST_BYTES,
            retries: Retries::new(policy, seed, now),
            not_found_until: now + policy.not_found_grace,
            impostors: 0,
            next: DownloadStep::Fetch,
        }
    }

    /// How long a fetch may go without a byte.
    pub fn request_timeout(&self) -> Duration {
        self.request_timeout
    }

    /// What to do next.
    pub fn step(&mut self, now: Time) -> DownloadStep {
        if let DownloadStep::Sleep { until } = self.next
            && now >= until
        {
            self.next = DownloadStep::Fetch;
        }
        self.next.clone()
    }

    /// The answer has begun: what receives its body.
    ///
    /// # Errors
    ///
    /// The trouble, when it is not the answer of a picture; hand it to [`failed`](Self::failed).
    pub fn receive(&self, status: StatusCode, headers: &HeaderMap) -> Result<Receiver, Trouble> {
        if status != StatusCode::OK {
            return Err(rejected(status, headers, b""));
        }
        let length =
            headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        let encoded = headers.contains_key("content-encoding");
        let expected = self.picture.size.or(length.filter(|_| !encoded));
        let receiver = Receiver {
            expected,
            most_bytes: self.most_bytes,
            received: 0,
            start: Vec::with_capacity(ImageFormat::SNIFF_BYTES),
        };
        match expected.or(length) {
            Some(length) if length > self.most_bytes => Err(receiver.too_long(length)),
            _ => Ok(receiver),
        }
    }

    /// A fetch went wrong.
    pub fn failed(&mut self, now: Time, trouble: Trouble) {
        let impostor = matches!(trouble, Trouble::Unreadable { .. });
        self.impostors += u32::from(impostor);
        // A result may take a moment to reach where it is fetched from; and a proxy's page in its
        // place may pass too, but not for long.
        let lagging = trouble.status() == Some(404) && now < self.not_found_until;
        let retried = if lagging || (impostor && self.impostors < MOST_IMPOSTORS) {
            let passing = Trouble::Lost { reason: String::new() };
            self.retries.next(&passing, now)
        } else {
            self.retries.next(&trouble, now)
        };
        self.next = match retried {
            Some(until) => DownloadStep::Sleep { until },
            None => DownloadStep::Failed(self.error(trouble)),
        };
    }

    /// The error of a download that failed for good, with the picture's URL: what is paid for can
    /// still be fetched by hand.
    pub fn error(&self, trouble: Trouble) -> Error {
        let Picture { url, task_id, .. } = &self.picture;
        let expired = match trouble.status() {
            Some(401 | 403 | 404 | 410) => {
                "; the link may have expired: a new look may give a new one"
            }
            _ => "",
        };
        Problem {
            kind: ErrorKind::Download,
            message: format!(
                "the picture of task {task_id} could not be downloaded from {url}{expired}"
            ),
            task_id: Some(task_id.clone()),
            trouble: Some(trouble),
        }
        .into()
    }
}

/// Checks a picture while it arrives: its length, its bound, its first bytes.
#[derive(Debug)]
pub struct Receiver {
    expected: Option<u64>,
    most_bytes: u64,
    received: u64,
    start: Vec<u8>,
}

impl Receiver {
    /// Some bytes arrived.
    ///
    /// # Errors
    ///
    /// The trouble, when they are too many; stop reading and hand it to [`Download::failed`].
    pub fn chunk(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        self.received += bytes.len() as u64;
        let missing = ImageFormat::SNIFF_BYTES.saturating_sub(self.start.len());
        self.start.extend_from_slice(&bytes[..bytes.len().min(missing)]);
        if self.received > self.most_bytes {
            return Err(self.too_long(self.received));
        }
        Ok(())
    }

    /// The body has ended.
    ///
    /// # Errors
    ///
    /// The trouble, when it is not a whole picture; hand it to [`Download::failed`].
    pub fn finish(&self) -> Result<ImageFormat, Trouble> {
        let Some(format) = ImageFormat::sniff(&self.start) else {
            let beginning = String::from_utf8_lossy(&self.start).escape_debug().to_string();
            return Err(self.impostor(format!("not a picture: it begins with \"{beginning}\"")));
        };
        match self.expected {
            Some(expected) if expected > self.received => Err(Trouble::Lost {
                reason: format!("{} of {expected} bytes arrived", self.received),
            }),
            Some(expected) if expected < self.received => Err(self.impostor(format!(
                "{} bytes where the service promised {expected}",
                self.received
            ))),
            _ => Ok(format),
        }
    }

    /// How many bytes arrived.
    pub fn received(&self) -> u64 {
        self.received
    }

    fn too_long(&self, length: u64) -> Trouble {
        self.impostor(format!("{length} bytes, and at most {} are accepted", self.most_bytes))
    }

    fn impostor(&self, excerpt: String) -> Trouble {
        Trouble::Unreadable { status: StatusCode::OK.as_u16(), excerpt }
    }
}

/// After so many answers that were not the picture, the next would not be either.
const MOST_IMPOSTORS: u32 = 3;
