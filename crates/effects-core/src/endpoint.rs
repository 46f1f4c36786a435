//! Where credentials live: the one place that turns a [`Call`] into an HTTP request.

use std::fmt;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, USER_AGENT};
use http::{Method, Request};

use crate::call::{Answer, Call, Exchange};
use crate::origin::BaseUrl;
use crate::task_id::TaskId;

/// A gateway and the key to it. A transport owns one; runs, calls and everything saved never see
/// the key.
///
/// ```
/// use effects_core::{ApiKey, BaseUrl, Endpoint};
///
/// let base = BaseUrl::parse(BaseUrl::DEFAULT, false)?;
/// let endpoint = Endpoint::new(base, ApiKey::new("secret-key")?);
/// assert!(!format!("{endpoint:?}").contains("secret-key"));
/// assert_eq!(endpoint.resume_line(&"abc".parse()?), "effects wait abc");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Endpoint {
    base: BaseUrl,
    key: ApiKey,
    user_agent: HeaderValue,
}

impl Endpoint {
    /// The gateway at `base`, with its key.
    pub fn new(base: BaseUrl, key: ApiKey) -> Self {
        Self { base, key, user_agent: HeaderValue::from_static(USER_AGENT_VALUE) }
    }

    /// The same, under another `User-Agent`.
    #[must_use]
    pub fn with_user_agent(self, user_agent: HeaderValue) -> Self {
        Self { user_agent, ..self }
    }

    /// The gateway.
    pub fn base(&self) -> &BaseUrl {
        &self.base
    }

    /// The request for a call, authorised. Send it as it is and follow no redirect with it.
    pub fn request(&self, call: &Call) -> Request<Bytes> {
        match &call.exchange {
            Exchange::Submit { body, request_id, idempotency_key } => {
                let mut request = self.authorised(Method::POST, GENERATION, body.clone());
                let headers = request.headers_mut();
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                for (name, value) in
                    [("x-request-id", request_id), ("idempotency-key", idempotency_key)]
                {
                    // The machine makes both of hexadecimal digits and hyphens.
                    if let Ok(value) = HeaderValue::from_str(value) {
                        headers.insert(name, value);
                    }
                }
                request
            }
            Exchange::Poll { task } => {
                let path = format!("{GENERATION}/task/{}", path_segment(task.as_str()));
                self.authorised(Method::GET, &path, Bytes::new())
            }
        }
    }

    /// An authorised request for a path below the base URL.
    pub(crate) fn authorised(&self, method: Method, path: &str, body: Bytes) -> Request<Bytes> {
        let mut request = Request::new(body);
        *request.method_mut() = method;
        // The base was a URI when it was read, and the path is made of what needs no encoding.
        *request.uri_mut() = format!("{}{path}", self.base).parse().unwrap_or_default();
        let headers = request.headers_mut();
        headers.insert(AUTHORIZATION, self.key.header());
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(USER_AGENT, self.user_agent.clone());
        request
    }

    /// The answer with every occurrence of the key blotted out, in its headers and its body: what a
    /// gateway echoes must not reach an error, a log or `raw`. Every transport passes its answers
    /// through it.
    #[must_use]
    pub fn redact_answer(&self, answer: Answer) -> Answer {
        match answer {
            Answer::Answered { status, mut headers, body } => {
                for value in headers.values_mut() {
                    if find(value.as_bytes(), self.key.0.as_bytes()).is_some() {
                        let clean = self.redact(Bytes::copy_from_slice(value.as_bytes()));
                        // What stood in a header before still can, and so can the mark.
                        *value = HeaderValue::from_maybe_shared(clean)
                            .unwrap_or(HeaderValue::from_static(MARK));
                    }
                }
                Answer::Answered { status, headers, body: self.redact(body) }
            }
            Answer::NotSent(reason) => Answer::NotSent(reason.replace(&self.key.0, MARK)),
            Answer::Lost(reason) => Answer::Lost(reason.replace(&self.key.0, MARK)),
        }
    }

    /// The body with every occurrence of the key blotted out.
    pub fn redact(&self, body: Bytes) -> Bytes {
        let key = self.key.0.as_bytes();
        let mut found = find(&body, key);
        if found.is_none() {
            return body;
        }
        let (mut clean, mut rest) = (Vec::with_capacity(body.len()), &body[..]);
        while let Some(at) = found {
            clean.extend_from_slice(&rest[..at]);
            clean.extend_from_slice(MARK.as_bytes());
            rest = &rest[at + key.len()..];
            found = find(rest, key);
        }
        clean.extend_from_slice(rest);
        clean.into()
    }

    /// The command line that resumes watching a task at this gateway.
    pub fn resume_line(&self, task: &TaskId) -> String {
        self.base.resume_line(task)
    }
}

/// The key of an account. It prints as dots.
#[derive(Clone, Eq, PartialEq)]
pub struct ApiKey(String);

impl ApiKey {
    /// A key as the service's site shows it; white space around it is dropped.
    ///
    /// # Errors
    ///
    /// [`InvalidApiKey`] when it is empty, or holds what cannot stand in a header. The message
    /// does not repeat it.
    pub fn new(key: impl Into<String>) -> Result<Self, InvalidApiKey> {
        let key: String = key.into();
        let key = key.trim();
        if key.is_empty() {
            return Err(InvalidApiKey("is empty"));
        }
        if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(InvalidApiKey("holds spaces, or characters outside ASCII"));
        }
        Ok(Self(key.to_owned()))
    }

    /// The key itself, for handing it on to what needs it: another client, a child process.
    pub fn expose(&self) -> &str {
        &self.0
    }

    fn header(&self) -> HeaderValue {
        // `new` let nothing pass that cannot stand in a header.
        let mut value = HeaderValue::from_str(&format!("Bearer {}", self.0))
            .unwrap_or(HeaderValue::from_static("Bearer"));
        value.set_sensitive(true);
        value
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(…)")
    }
}

/// A text that cannot be a key.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the API key {0}: copy it again from the API key page of the service's site")]
pub struct InvalidApiKey(&'static str);

/// Everything but letters, digits and `-._~` percent-encoded (RFC 3986, section 2.3).
fn path_segment(text: &str) -> String {
    let mut segment = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            segment.push(char::from(byte));
        } else {
            segment.push_str(&format!("%{byte:02X}"));
        }
    }
    segment
}

fn find(text: &[u8], pattern: &[u8]) -> Option<usize> {
    let first = *pattern.first()?;
    let last = text.len().checked_sub(pattern.len())?;
    (0..=last).find(|&at| text[at] == first && text[at..].starts_with(pattern))
}

/// What stands where the key stood.
const MARK: &str = "[key]";
const GENERATION: &str = "/model/v1/generation";
const USER_AGENT_VALUE: &str = concat!("effects/", env!("CARGO_PKG_VERSION"));

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::call::CallId;
    use crate::time::Time;

    fn endpoint(base: &str) -> Endpoint {
        Endpoint::new(BaseUrl::parse(base, true).unwrap(), ApiKey::new(" test-key\n").unwrap())
    }

    fn call(exchange: Exchange) -> Call {
        Call { id: CallId(1), exchange, timeout: Duration::ZERO, limit: Time::MAX }
    }

    #[test]
    fn calls_become_requests_below_the_base_url() {
        let poll = call(Exchange::Poll { task: "a/b c".parse().unwrap_or("a%b".parse().unwrap()) });
        let request = endpoint("https://example.com/proxy/").request(&poll);
        let expected = "https://example.com/proxy/model/v1/generation/task/a%25b";
        assert_eq!(request.uri().to_string(), expected);
        assert_eq!(request.headers()["authorization"], "Bearer test-key");

        let submit = call(Exchange::Submit {
            body: Bytes::from_static(b"{}"),
            request_id: "one".to_owned(),
            idempotency_key: "two".to_owned(),
        });
        let request = endpoint("http://[::1]:8080").request(&submit);
        assert_eq!(request.uri().to_string(), "http://[::1]:8080/model/v1/generation");
        assert_eq!(request.headers()["x-request-id"], "one");
        assert_eq!(request.headers()["idempotency-key"], "two");
        assert!(!format!("{request:?}").contains("test-key"));
    }

    #[test]
    fn an_echoed_key_is_blotted_out() {
        let redacted = endpoint("https://x").redact(Bytes::from_static(b"test-key, test-key!"));
        assert_eq!(redacted, "[key], [key]!");
        assert_eq!(endpoint("https://x").redact(Bytes::from_static(b"test")), "test");

        let mut headers = http::HeaderMap::new();
        headers.insert("x-request-id", HeaderValue::from_static("for test-key"));
        headers.insert("date", HeaderValue::from_static("today"));
        let (status, body) = (http::StatusCode::OK, Bytes::from_static(b"test-key"));
        let answer =
            endpoint("https://x").redact_answer(Answer::Answered { status, headers, body });
        let Answer::Answered { headers, body, .. } = answer else { panic!("{answer:?}") };
        assert_eq!(
            (&headers["x-request-id"], &headers["date"]),
            (&"for [key]".parse().unwrap(), &"today".parse().unwrap())
        );
        assert_eq!(body, "[key]");
    }

    #[test]
    fn a_key_that_cannot_be_sent_is_refused_without_being_repeated() {
        for bad in ["", " \n", "two words", "schlüssel", "line\nbreak"] {
            let error = ApiKey::new(bad).unwrap_err().to_string();
            assert!(bad.trim().is_empty() || !error.contains(bad), "{error}");
        }
    }
}
