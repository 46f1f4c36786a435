//! [`Download`]: decides how one picture is downloaded: when a fetch is made or repeated, when it has
//! failed for good, and whether what came is accepted as the picture, by what a [`Receiver`] noted of
//! the bytes. It makes no I/O; the `transfer.rs` of both clients do what each [`DownloadStep`] says,
//! for jobs and for single downloads.
//!
//! A download carries no key, costs nothing and may be repeated. Two things must not happen: that
//! something else than the picture ends up under its name, and that a paid picture is thrown away
//! because the service described it wrongly.

use std::time::Duration;

use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use http::{HeaderMap, StatusCode, Version};

use effects_core::run::NOTHING_OWED;
use effects_core::wire::ExchangeError;
use effects_core::{
    Error, ErrorKind, Event, ImageFormat, Picture, Policy, Problem, Retries, Seed, Time, count_of,
};

/// One picture's download: which attempt comes when, and what is accepted.
///
/// A picture is accepted at once if it ends as its format demands. One that does not is fetched three
/// times, since a later attempt may bring the rest; what came is then accepted with a warning, unless
/// the answer proves that a part is missing. What is no picture is never accepted.
///
/// ```
/// # use effects_core::{Policy, Seed, Time};
/// # use effects_core::wire::ExchangeError;
/// # use effects_jobs::{Download, DownloadStep};
/// # let picture: effects_core::Picture = serde_json::from_str(
/// #     r#"{"task_id":"t","url":"https://x/y.png","size":null,"job_id":null}"#)?;
/// let now = Time::from_millis(0);
/// let mut download = Download::new(&picture, &Policy::default(), Seed::from(1), now);
/// assert_eq!(download.step(now), DownloadStep::Fetch);
/// // The driver makes the exchange: a `Receiver` notes what comes, and `received` judges it.
/// download.failed(now, ExchangeError::Lost { reason: "reset".to_owned() });
/// assert!(matches!(download.step(now), DownloadStep::Notify(_)));
/// assert!(matches!(download.step(now), DownloadStep::Sleep { .. }));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug)]
pub struct Download {
    picture: Picture,
    /// The longest a fetch may take.
    longest_fetch: Duration,
    request_timeout: Duration,
    /// When all of it must be over.
    end: Time,
    retries: Retries,
    /// Whether the picture is one of a recording that is replayed.
    is_replay: bool,
    not_found_until: Time,
    /// How often what arrived was no picture.
    not_pictures: u32,
    /// How often what arrived was a picture without its end.
    unfinished: u32,
    /// The most bytes that such a picture had.
    longest: u64,
    /// To be told before anything else is done.
    event: Option<Event>,
    next: DownloadStep,
}

/// What to do next for a [`Download`].
#[derive(Clone, Debug, PartialEq)]
pub enum DownloadStep {
    /// Fetch the picture's URL from its beginning. Call [`Download::received`] once the body has ended
    /// or broken off, and [`Download::failed`] if it never came to that.
    Fetch,
    /// Pass this event on to the caller.
    Notify(Event),
    /// Nothing to do before this time.
    Sleep {
        /// Until when.
        until: Time,
    },
    /// What the last fetch brought is the picture; its format is `None` where none known here is it.
    Done(Option<ImageFormat>),
    /// It failed for good.
    Failed(Error),
}

impl Download {
    /// The longest picture that is accepted, in bytes: four times an uncompressed one of the
    /// largest size.
    pub const MAX_BYTES: u64 = 64 * 1024 * 1024;

    /// A download of this picture, repeated within one `wait_timeout` from now.
    pub fn new(picture: &Picture, policy: &Policy, seed: Seed, now: Time) -> Self {
        Self {
            picture: picture.clone(),
            longest_fetch: policy.wait_timeout.max(policy.request_timeout),
            request_timeout: policy.request_timeout,
            end: policy.ends_by(now),
            retries: Retries::new(policy, seed, now),
            is_replay: policy.is_replay,
            not_found_until: now + policy.not_found_grace,
            not_pictures: 0,
            unfinished: 0,
            longest: 0,
            event: None,
            next: DownloadStep::Fetch,
        }
    }

    /// How long a fetch may go without a byte.
    pub fn request_timeout(&self) -> Duration {
        self.request_timeout
    }

    /// How long a fetch may take that begins now.
    pub fn time_for_fetch(&self, now: Time) -> Duration {
        self.longest_fetch.min(self.end.since(now))
    }

    /// What to do next.
    pub fn step(&mut self, now: Time) -> DownloadStep {
        if let Some(event) = self.event.take() {
            return DownloadStep::Notify(event);
        }
        if let DownloadStep::Sleep { until } = self.next
            && now >= until
        {
            self.next = DownloadStep::Fetch;
        }
        // A fetch without time would be reported as lost, and the deadline as the network's
        // fault.
        if self.next == DownloadStep::Fetch && now >= self.end {
            let reason = "the deadline is over".to_owned();
            self.next = DownloadStep::Failed(self.error(ExchangeError::NotSent { reason }));
        }
        self.next.clone()
    }

    /// The answer has begun: what receives its body.
    ///
    /// # Errors
    ///
    /// The error, when it is not the answer of a picture; hand it to [`failed`](Self::failed).
    pub fn receive(
        &self,
        status: StatusCode,
        version: Version,
        headers: &HeaderMap,
    ) -> Result<Receiver, ExchangeError> {
        if status != StatusCode::OK {
            // A download carries no key, so no answer can repeat it.
            return Err(ExchangeError::rejected(status, headers));
        }
        let length =
            headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        // Before its body is read, which may be meant to fill the memory.
        if length.is_some_and(|length| length > Self::MAX_BYTES) {
            return Err(too_long(length.unwrap_or_default()));
        }
        // In later versions of HTTP a body that is cut off is always an error of the exchange.
        let old = version <= Version::HTTP_11;
        let framed = !old || length.is_some() || headers.contains_key(TRANSFER_ENCODING);
        let kind = headers.get(CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
        Ok(Receiver {
            image_type: kind.len() >= 6 && kind[..6].eq_ignore_ascii_case(b"image/"),
            // The length of a compressed body is not the picture's, and the service may have
            // meant either.
            packed: length.filter(|_| headers.contains_key(CONTENT_ENCODING)),
            framed,
            received: 0,
            start: Vec::with_capacity(ImageFormat::SNIFF_BYTES),
            end: Vec::with_capacity(2 * ImageFormat::END_BYTES),
        })
    }

    /// The body has ended, or has broken off with this error.
    pub fn received(&mut self, now: Time, receiver: &Receiver, end: Result<(), ExchangeError>) {
        let received = receiver.received;
        // A service that says 0 does not know.
        let size = self.picture.size.filter(|size| *size > 0);
        let is_size = |length| size == Some(length);
        let format = ImageFormat::sniff(&receiver.start);
        let (lacks, is_whole) = match format {
            Some(format) if format.has_end_marker() => {
                (format!("does not end as a {format} must"), receiver.is_whole(format))
            }
            Some(format) => (format!("has the format {format}, whose end tells nothing"), false),
            // A format that is newer than this library is kept: it is paid for, and other
            // programs may read it.
            None if receiver.is_called_image() => ("has a format not known here".to_owned(), false),
            None => {
                let beginning = String::from_utf8_lossy(&receiver.start).escape_debug().to_string();
                let excerpt = format!("not a picture: it begins with \"{beginning}\"");
                return self.failed(now, end.err().unwrap_or(unreadable(excerpt)));
            }
        };
        match end {
            Ok(()) if is_whole => {
                if let Some(size) = size
                    && !is_size(received)
                    && !receiver.packed.is_some_and(is_size)
                {
                    let has = count_of(received, "byte");
                    self.warn(&format!(
                        "has {has} where the service said {size}; it is whole by its format and kept"
                    ));
                }
                self.next = DownloadStep::Done(format);
            }
            // Two witnesses against a format that tells nothing: the length and the end of the
            // exchange.
            Ok(()) if is_size(received) => {
                self.warn(&format!(
                    "{lacks}; it has the {} that the service said and is kept",
                    count_of(received, "byte")
                ));
                self.next = DownloadStep::Done(format);
            }
            Ok(()) if receiver.framed => {
                let what = format!("{lacks}, after {}", count_of(received, "byte"));
                self.unfinished(now, format, received, unreadable(what));
            }
            // Nothing but its format says where it ends, so a part of it is missing.
            Ok(()) => {
                let received = count_of(received, "byte");
                let reason = format!("the connection ended after {received}; it {lacks}");
                self.failed(now, ExchangeError::Lost { reason });
            }
            // The picture arrived, and the connection broke after it; only another attempt shows
            // whether more was to come.
            Err(error @ ExchangeError::Lost { .. }) if is_whole => {
                self.unfinished(now, format, received, error);
            }
            Err(error) => self.failed(now, error),
        }
    }

    /// A picture came that may lack its end: the next attempt may bring it, and if not, it is kept.
    fn unfinished(
        &mut self,
        now: Time,
        format: Option<ImageFormat>,
        received: u64,
        error: ExchangeError,
    ) {
        self.unfinished += 1;
        self.longest = self.longest.max(received);
        // The wait before the next attempt is that of a lost answer, whatever is odd about this
        // one.
        let passing = ExchangeError::Lost { reason: String::new() };
        match self.retries.next(&passing, now) {
            // One shorter than an earlier one is not the best that the service has.
            Some(until) if self.unfinished < MAX_BAD_FETCHES || received < self.longest => {
                self.repeat(now, until, error);
            }
            _ => {
                self.warn(&format!(
                    "may be damaged ({error}); the service has nothing better, so it is kept"
                ));
                self.next = DownloadStep::Done(format);
            }
        }
    }

    /// A fetch went wrong.
    pub fn failed(&mut self, now: Time, error: ExchangeError) {
        let is_no_picture = matches!(error, ExchangeError::Unreadable { .. });
        // Counted apart from lost answers: a page in the picture's place is fast, and would be
        // asked for all through the wait.
        self.not_pictures += u32::from(is_no_picture);
        // A result may take a moment to reach where it is fetched from; and a proxy's page in its
        // place may pass too, but not for long.
        let lagging = error.status() == Some(404) && now < self.not_found_until;
        let retried = if lagging || (is_no_picture && self.not_pictures < MAX_BAD_FETCHES) {
            let passing = ExchangeError::Lost { reason: String::new() };
            self.retries.next(&passing, now)
        } else {
            self.retries.next(&error, now)
        };
        match retried {
            Some(until) => self.repeat(now, until, error),
            None => self.next = DownloadStep::Failed(self.error(error)),
        }
    }

    fn repeat(&mut self, now: Time, until: Time, error: ExchangeError) {
        let (task_id, after) = (self.picture.task_id.clone(), until.since(now));
        self.event = Some(Event::DownloadRetrying { task_id, error, after });
        self.next = DownloadStep::Sleep { until };
    }

    fn warn(&mut self, what: &str) {
        let message = format!("the picture of task {} {what}", self.picture.task_id);
        self.event = Some(Event::Warning { message });
    }

    /// The error of a download that failed for good, with the picture's URL: what is paid for can
    /// still be fetched by hand.
    pub fn error(&self, error: ExchangeError) -> Error {
        let Picture { url, task_id, .. } = &self.picture;
        if matches!(error, ExchangeError::NotRecorded { .. }) {
            let message =
                format!("the picture of task {task_id} is not in the recording; {NOTHING_OWED}");
            let (kind, task_id) = (ErrorKind::NotRecorded, Some(task_id.clone()));
            return Problem {
                kind,
                message,
                way_out: None,
                field: None,
                task_id,
                error: Some(error),
            }
            .into();
        }
        let expired = match error.status() {
            Some(401 | 403 | 404 | 410) if !self.is_replay => {
                "; the link may have expired: a new look may give a new one"
            }
            _ => "",
        };
        let way_out = match self.is_replay {
            true => "it is a replay, which pays nothing",
            false => "it is paid for: open that link in a browser, or download it again",
        };
        Problem {
            kind: ErrorKind::Download,
            message: format!(
                "the picture of task {task_id} could not be downloaded from {url}{expired}; {way_out}"
            ),
            way_out: None,
            field: None,
            task_id: Some(task_id.clone()),
            error: Some(error),
        }
        .into()
    }
}

/// Notes of a picture, while it arrives, what tells whether it is one and whether it is whole.
#[derive(Debug)]
pub struct Receiver {
    /// Whether the answer calls itself an image.
    image_type: bool,
    /// The length of a body that was packed on its way.
    packed: Option<u64>,
    /// Whether HTTP says where the body ends; else it ends with the connection, broken or not.
    framed: bool,
    received: u64,
    start: Vec<u8>,
    end: Vec<u8>,
}

impl Receiver {
    /// Some bytes arrived.
    ///
    /// # Errors
    ///
    /// The error, when they are too many; stop reading and hand it to [`Download::received`].
    pub fn chunk(&mut self, bytes: &[u8]) -> Result<(), ExchangeError> {
        self.received += bytes.len() as u64;
        // Beginning and end tell format and wholeness; the bytes between them are not kept here.
        let missing = ImageFormat::SNIFF_BYTES.saturating_sub(self.start.len());
        self.start.extend_from_slice(&bytes[..bytes.len().min(missing)]);
        self.end.extend_from_slice(&bytes[bytes.len().saturating_sub(ImageFormat::END_BYTES)..]);
        self.end.drain(..self.end.len().saturating_sub(ImageFormat::END_BYTES));
        if self.received > Download::MAX_BYTES {
            return Err(too_long(self.received));
        }
        Ok(())
    }

    /// How many bytes arrived.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Whether it can be an image of a format not known here. A page or an object in an image's clothes
    /// is none.
    fn is_called_image(&self) -> bool {
        let first = self.start.iter().find(|byte| !byte.is_ascii_whitespace());
        self.image_type && !matches!(first, None | Some(b'<' | b'{'))
    }

    fn is_whole(&self, format: ImageFormat) -> bool {
        format.is_whole(&self.start, &self.end, self.received)
    }
}

fn too_long(length: u64) -> ExchangeError {
    unreadable(format!("{length} bytes, and at most {} are accepted", Download::MAX_BYTES))
}

fn unreadable(excerpt: String) -> ExchangeError {
    ExchangeError::Unreadable { status: StatusCode::OK.as_u16(), excerpt, response: None }
}

/// So many fetches that bring no whole picture are made: the next would bring the same.
const MAX_BAD_FETCHES: u32 = 3;
