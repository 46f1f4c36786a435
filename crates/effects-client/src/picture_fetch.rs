//! [`PictureFetch`]: one download of a picture over an exchange that returns it whole (a caller's HTTP
//! stack, middleware or a cassette, not the client's own, which streams): it makes the requests, follows
//! redirects and returns an [`ArrivedPicture`]. [`ObservedDownload`] reports any download to the client's
//! `ExchangeObserver`. The `transfer.rs` of both clients use both; their `http_client.rs` use
//! [`answer_of`].

use std::fmt;
use std::time::{Duration, Instant};

use bytes::Bytes;
use effects_core::Picture;
use effects_core::gateway::{Answer, Endpoint, FetchOptions, ObserveEnd};
use effects_core::wire::ExchangeError;
use effects_jobs::Download;
use http::header::{ACCEPT, HeaderValue, LOCATION, USER_AGENT};
use http::{HeaderMap, Request, StatusCode};
use url::Url;

/// A download under way.
#[derive(Debug)]
pub struct PictureFetch {
    url: Url,
    redirects: u32,
    quiet: Duration,
    whole: Duration,
    begun: Instant,
}

/// What arrived of a picture.
#[derive(Debug)]
pub struct ArrivedPicture {
    /// The answer's status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// What came of its body.
    pub body: Bytes,
    /// How the body ended.
    pub end: Result<(), ExchangeError>,
}

impl PictureFetch {
    /// A download from this URL. It may go for the time `quiet` without a byte and take the time `whole`
    /// in all.
    ///
    /// # Errors
    ///
    /// The error, where the URL is none.
    pub fn new(url: &str, quiet: Duration, whole: Duration) -> Result<Self, ExchangeError> {
        let url = Url::parse(url).map_err(|_| unreadable_url())?;
        Ok(Self { url, redirects: 0, quiet, whole, begun: Instant::now() })
    }

    /// The next request, and how long its exchange may take.
    ///
    /// # Errors
    ///
    /// The error, where no HTTP library can have this URL.
    pub fn request(&self) -> Result<(Request<Bytes>, Duration), ExchangeError> {
        let mut request = Request::new(Bytes::new());
        *request.uri_mut() = self.url.as_str().parse().map_err(|_| unreadable_url())?;
        // No key: pictures are at storages of any host.
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        headers.insert(USER_AGENT, HeaderValue::from_static(USER_AGENT_VALUE));
        let (most_bytes, quiet) = (Download::MAX_BYTES, self.quiet);
        request.extensions_mut().insert(FetchOptions { most_bytes, quiet });
        Ok((request, self.whole.saturating_sub(self.begun.elapsed())))
    }

    /// What an answer brought; `None` where it leads elsewhere, to be fetched next.
    ///
    /// # Errors
    ///
    /// The error, where nothing came.
    pub fn answered(&mut self, answer: Answer) -> Result<Option<ArrivedPicture>, ExchangeError> {
        match answer {
            Answer::Answered { status, headers, body } => {
                if status.is_redirection() && self.follow(&headers) {
                    return Ok(None);
                }
                Ok(Some(ArrivedPicture { status, headers, body, end: Ok(()) }))
            }
            Answer::BrokenOff { status, headers, body, reason } => {
                let end = Err(ExchangeError::Lost { reason });
                Ok(Some(ArrivedPicture { status, headers, body, end }))
            }
            Answer::NotSent(reason) => Err(ExchangeError::NotSent { reason }),
            Answer::Untrusted(reason) => Err(ExchangeError::Untrusted { reason }),
            Answer::NotRecorded(reason) => Err(ExchangeError::NotRecorded { reason }),
            Answer::Lost(reason) => Err(ExchangeError::Lost { reason }),
        }
    }

    /// Goes where these headers lead, if they do, and it was not led too often.
    fn follow(&mut self, headers: &HeaderMap) -> bool {
        let location = headers.get(LOCATION).and_then(|value| value.to_str().ok());
        let next = location.and_then(|location| self.url.join(location).ok());
        // A `file:` URL would read from this machine.
        let Some(next) = next.filter(|next| matches!(next.scheme(), "http" | "https")) else {
            return false;
        };
        self.redirects += 1;
        self.url = next;
        // One too many is taken as the answer, whose status then says what it is.
        self.redirects <= MAX_REDIRECTS
    }
}

/// One attempt at a download, of which the client's observer is told, if it has one.
pub struct ObservedDownload<'a> {
    endpoint: &'a Endpoint,
    observe: Option<ObserveEnd>,
    head: Option<(StatusCode, HeaderMap)>,
}

impl fmt::Debug for ObservedDownload<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ObservedDownload({})", if self.observe.is_some() { "…" } else { "none" })
    }
}

impl<'a> ObservedDownload<'a> {
    /// It begins.
    pub fn begin(endpoint: &'a Endpoint, picture: &Picture) -> Self {
        let observe = endpoint.begins_download(&picture.url, &picture.task_id);
        Self { endpoint, observe, head: None }
    }

    /// Its answer has begun.
    pub fn answered(&mut self, status: StatusCode, headers: &HeaderMap) {
        if self.observe.is_some() {
            self.head = Some((status, headers.clone()));
        }
    }

    /// It has ended; one that this machine gave up is dropped instead.
    pub fn ended(self, end: Result<(), &ExchangeError>) {
        let Some(observe) = self.observe else { return };
        // The picture's bytes go to its file; an observer is told of status and headers.
        let body = Bytes::new();
        let answer = match (self.head, end) {
            (Some((status, headers)), Err(ExchangeError::Lost { reason })) => {
                Answer::BrokenOff { status, headers, body, reason: reason.clone() }
            }
            (Some((status, headers)), _) => Answer::Answered { status, headers, body },
            (None, Err(error)) => answer_of(error.clone()),
            (None, Ok(())) => return,
        };
        observe(&self.endpoint.result(answer));
    }
}

/// The answer of a stack whose download ended with this error.
pub fn answer_of(error: ExchangeError) -> Answer {
    match error {
        ExchangeError::NotSent { reason } => Answer::NotSent(reason),
        ExchangeError::Untrusted { reason } => Answer::Untrusted(reason),
        ExchangeError::NotRecorded { reason } => Answer::NotRecorded(reason),
        error => Answer::Lost(error.to_string()),
    }
}

fn unreadable_url() -> ExchangeError {
    ExchangeError::NotSent { reason: "the picture's URL cannot be read".to_owned() }
}

/// As many as the clients' own stacks follow.
const MAX_REDIRECTS: u32 = 5;
const USER_AGENT_VALUE: &str = concat!("effects/", env!("CARGO_PKG_VERSION"));

#[cfg(test)]
mod tests {
    use super::*;

    fn redirect(location: &str) -> Answer {
        let headers = HeaderMap::from_iter([(LOCATION, location.parse().unwrap())]);
        Answer::Answered { status: StatusCode::FOUND, headers, body: Bytes::new() }
    }

    fn fetch(url: &str) -> PictureFetch {
        PictureFetch::new(url, Duration::from_secs(1), Duration::from_secs(9)).unwrap()
    }

    #[test]
    fn redirects_are_followed_five_times_and_nowhere_but_to_http() {
        let mut under_way = fetch("https://example.com/a/b.png#c");
        assert_eq!(under_way.request().unwrap().0.uri(), "https://example.com/a/b.png");
        assert!(under_way.answered(redirect("c.png?d=e")).unwrap().is_none());
        assert_eq!(under_way.request().unwrap().0.uri(), "https://example.com/a/c.png?d=e");
        for _ in 1..MAX_REDIRECTS {
            assert!(under_way.answered(redirect("http://other.example/f.png")).unwrap().is_none());
        }
        let arrived = under_way.answered(redirect("/g.png")).unwrap().unwrap();
        assert_eq!(arrived.status, StatusCode::FOUND);
        let arrived = fetch("https://example.com/").answered(redirect("file:///etc/passwd"));
        assert!(arrived.unwrap().is_some());
    }
}
