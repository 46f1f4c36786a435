//! [`ResponseExcerpt`]: what is kept of an HTTP response for a person and the service's support: its
//! status, its request id, some of its headers and, where it is no task, the beginning of its body.
//! `answer_excerpt.rs` makes it of an answer. Errors, effects and single polls carry it; the command prints
//! it in JSON, the Python package returns it, and cassettes keep the same headers.
//!
//! Headers are kept by a list of names: one that is not on it may set a cookie or hold a permission.

use serde::{Deserialize, Serialize};

/// A part of an HTTP response, without the API key wherever the service repeats it, and without permissions
/// in the URLs that it holds.
///
/// ```
/// use effects_core::gateway::{Answer, Call, Endpoint};
/// use effects_core::{ApiKey, BaseUrl, Task};
/// use http::{HeaderMap, StatusCode};
///
/// let base = BaseUrl::parse(BaseUrl::DEFAULT, false)?;
/// let endpoint = Endpoint::new(base, ApiKey::new("key-of-the-account")?);
/// let mut headers = HeaderMap::new();
/// headers.insert("x-trace-id", "trace-7".parse()?);
/// headers.insert("set-cookie", "session=secret".parse()?);
/// let (status, body) = (StatusCode::BAD_GATEWAY, b"no upstream for key-of-the-account".as_slice());
/// let answer = Answer::Answered { status, headers, body: body.into() };
///
/// let error = Task::read(&"t-1".parse()?, endpoint.base(), &endpoint.result(answer)).unwrap_err();
/// let response = error.response().unwrap();
/// assert_eq!((response.status, response.request_id.as_deref()), (502, Some("trace-7")));
/// assert_eq!(response.header("X-Trace-Id"), Some("trace-7"));
/// assert_eq!(response.header("set-cookie"), None);
/// assert_eq!(response.body.as_deref(), Some("no upstream for [key]"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ResponseExcerpt {
    /// The HTTP status.
    pub status: u16,
    /// The service's name for the exchange: of the first of the headers that usually have it, else of the
    /// body's `request_id`.
    pub request_id: Option<String>,
    /// Headers by their names in small letters, in the order of the names. Of one that came several
    /// times, the values are joined by commas.
    pub headers: Vec<(String, String)>,
    /// The beginning of the body of a response that is no usable task: at most 2 KiB, cut between two
    /// characters. What is no UTF-8 is shown as `�`.
    pub body: Option<String>,
}

impl ResponseExcerpt {
    /// Whether a header of this name, in small letters, is kept.
    pub fn keeps(name: &str) -> bool {
        KEPT.contains(&name) || KEPT_FAMILIES.iter().any(|family| name.starts_with(family))
    }

    /// The value of a header that was kept.
    pub fn header(&self, name: &str) -> Option<&str> {
        let known = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        known.map(|(_, value)| value.as_str())
    }
}

/// The headers by which an answer is found again in a gateway's, a proxy's or a cloud's logs, and those
/// that say what it is and when to come back.
const KEPT: [&str; 21] = [
    "age",
    "content-encoding",
    "content-length",
    "content-type",
    "date",
    "request-id",
    "retry-after",
    "server",
    "server-timing",
    "traceparent",
    "via",
    "x-amz-cf-id",
    "x-amzn-trace-id",
    "x-cache",
    "x-cloud-trace-context",
    "x-correlation-id",
    "x-envoy-upstream-service-time",
    "x-request-id",
    "x-served-by",
    "x-trace-id",
    "x-tt-logid",
];

/// What the names of other such headers begin with: Cloudflare's, Amazon's, and the limits of rate.
const KEPT_FAMILIES: [&str; 6] =
    ["cf-", "ratelimit", "x-amz-request", "x-amzn-request", "x-rate-limit", "x-ratelimit"];
