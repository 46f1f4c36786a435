//! [`Endpoint`]: the gateway's URL and the API key. It makes an HTTP request of a [`Call`], with the key,
//! and a [`CallResult`] of the answer, from which the core takes the key out of every text it keeps.
//! `ClientBuilder` of `effects-client` makes one for a client's `Gateway`; uploads, jobs and
//! `effects doctor` use that, too. A cassette's player, `effects-testkit` and programs that embed the core
//! make their own.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, USER_AGENT};
use http::{HeaderMap, Method, Request, StatusCode, Uri};

use crate::gateway::api_key::ApiKey;
use crate::gateway::call::{Answer, Call, CallKind, CallResult, FreshConnection};
use crate::gateway::key_ring::{AskKey, KeyRing, TellTime};
use crate::gateway::observer::{ExchangeObserver, ObserveEnd, RequestExcerpt};
use crate::gateway::origin::BaseUrl;
use crate::task_id::TaskId;

/// Where a gateway is, and the key to it. A [`Gateway`](crate::gateway::Gateway) has one; runs, calls
/// and everything saved never see the key.
///
/// ```
/// use effects_core::{ApiKey, BaseUrl};
/// use effects_core::gateway::Endpoint;
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
    keys: KeyRing,
    /// The base URL as requests carry it, read once.
    uri: Uri,
    user_agent: HeaderValue,
    observer: Option<Arc<dyn ExchangeObserver>>,
}

impl Endpoint {
    /// The gateway at `base`, with its key.
    pub fn new(base: BaseUrl, key: ApiKey) -> Self {
        // The base was a URI when it was read.
        let uri = base.to_string().parse().unwrap_or_default();
        let user_agent = HeaderValue::from_static(USER_AGENT_VALUE);
        Self { base, keys: KeyRing::new(key), uri, user_agent, observer: None }
    }

    /// The same, whose exchanges this observer is told of.
    #[must_use]
    pub fn observed_by(self, observer: Arc<dyn ExchangeObserver>) -> Self {
        Self { observer: Some(observer), ..self }
    }

    /// Tells the observer, if there is one, of a request that is about to leave.
    pub(crate) fn begins(
        &self,
        request: &Request<Bytes>,
        task: Option<&TaskId>,
    ) -> Option<ObserveEnd> {
        let observer = self.observer.as_ref().filter(|observer| observer.is_watching())?;
        observer.begins(RequestExcerpt::of(request, task))
    }

    /// Tells the observer, if there is one, of a download that is about to begin; what is returned is called
    /// with its end.
    pub fn begins_download(&self, url: &str, task: &TaskId) -> Option<ObserveEnd> {
        let observer = self.observer.as_ref().filter(|observer| observer.is_watching())?;
        observer.begins(RequestExcerpt::of_download(url, task))
    }

    /// The same, with another key where the gateway refuses the one in use (HTTP 401): `source` is asked, unless
    /// the key was replaced meanwhile, and the refused request sent once more with the new key, if half of its time
    /// is left then by `now`. Clones share it.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::time::Instant;
    /// use effects_core::{ApiKey, BaseUrl, Time};
    /// use effects_core::gateway::Endpoint;
    ///
    /// let base = BaseUrl::parse(BaseUrl::DEFAULT, false)?;
    /// let source = Arc::new(|| ApiKey::new("the-key-of-today").ok());
    /// let begun = Instant::now();
    /// let now = Arc::new(move || Time::from_millis(begun.elapsed().as_millis() as u64));
    /// let endpoint = Endpoint::new(base, ApiKey::new("the-key-of-yesterday")?);
    /// let endpoint = endpoint.with_key_source(source, now);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn with_key_source(self, source: Arc<AskKey>, now: Arc<TellTime>) -> Self {
        Self { keys: self.keys.asking(source, now), ..self }
    }

    pub(crate) fn keys(&self) -> &KeyRing {
        &self.keys
    }

    /// Whether a text repeats the key in use, as [`ApiKey::find_in`] finds it.
    pub fn repeats_key(&self, text: &str) -> bool {
        self.keys.current_key().find_in(text.as_bytes()).is_some()
    }

    /// The text with `[key]` in place of every repetition of the key in use.
    pub fn redact_key<'a>(&self, text: impl Into<Cow<'a, str>>) -> Cow<'a, str> {
        self.keys.current_key().redact(text)
    }

    /// The gateway.
    pub fn base(&self) -> &BaseUrl {
        &self.base
    }

    /// The request for a call, authorised. Send it as it is and follow no redirect with it.
    pub fn request(&self, call: &Call) -> Request<Bytes> {
        let mut request = match &call.kind {
            CallKind::Submit { body, request_id, idempotency_key } => {
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
            CallKind::Poll { task } => {
                let path = [GENERATION, "/task/", &path_segment(task.as_str())].concat();
                self.authorised(Method::GET, &path, Bytes::new())
            }
        };
        // Of the headers set above only `User-Agent` can be replaced: `RequestHeaders` refuses the
        // others.
        call.headers.add_to(request.headers_mut());
        request
    }

    /// An authorised request for a path below the base URL: `/api/v1/storage/files`, say.
    pub fn authorised(&self, method: Method, path: &str, body: Bytes) -> Request<Bytes> {
        let mut request = Request::new(body);
        // A GET may be repeated, so it leaves on a kept connection.
        if method != Method::GET {
            request.extensions_mut().insert(FreshConnection);
        }
        *request.method_mut() = method;
        // The path is made of what needs no encoding.
        let mut uri = self.uri.clone().into_parts();
        uri.path_and_query = [self.base.path(), path].concat().try_into().ok();
        *request.uri_mut() = Uri::from_parts(uri).unwrap_or_default();
        let headers = request.headers_mut();
        headers.insert(AUTHORIZATION, self.keys.current().header);
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(USER_AGENT, self.user_agent.clone());
        request
    }

    /// What became of a call, from what an HTTP stack says of it: the only way into the core. A
    /// [`Gateway`](crate::gateway::Gateway) asks for it; so does a program with an event loop of its own.
    ///
    /// The core decodes an answer as it came. Of every text it keeps of it (in an outcome, an
    /// event, an error, a saved run, a task's `raw`) it then takes out what repeats the key. A
    /// task's id alone stays as it is: it is what was paid for.
    ///
    /// ```
    /// use effects_core::{ApiKey, BaseUrl, Task};
    /// use effects_core::gateway::{Answer, Endpoint};
    /// use http::{HeaderMap, StatusCode};
    ///
    /// let base = BaseUrl::parse(BaseUrl::DEFAULT, false)?;
    /// let endpoint = Endpoint::new(base, ApiKey::new("secret/key")?);
    /// let body = br#"{"id":"t-1","status":"failed","error":"no such key: secret\/key"}"#;
    /// let (status, headers) = (StatusCode::OK, HeaderMap::new());
    /// let answer = Answer::Answered { status, headers, body: body.as_slice().into() };
    ///
    /// let task = Task::read(&"t-1".parse()?, endpoint.base(), &endpoint.result(answer))?;
    /// assert_eq!(task.error.unwrap().message, "no such key: [key]");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn result(&self, answer: Answer) -> CallResult {
        self.result_for(self.keys.current_key(), answer)
    }

    /// What became of a call that was sent with this key.
    pub(crate) fn result_for(&self, key: ApiKey, answer: Answer) -> CallResult {
        // An HTTP stack may quote in its reason what it sent or read.
        let clean = |reason: String| key.clean(reason).into_owned();
        let answer = match answer {
            // Not cleaned here: the core decodes it as it came and cleans what it keeps.
            answered @ Answer::Answered { .. } => answered,
            Answer::BrokenOff { status, headers, body, reason } => {
                Answer::BrokenOff { status, headers, body, reason: clean(reason) }
            }
            Answer::NotSent(reason) => Answer::NotSent(clean(reason)),
            Answer::Untrusted(reason) => Answer::Untrusted(clean(reason)),
            Answer::NotRecorded(reason) => Answer::NotRecorded(clean(reason)),
            Answer::Lost(reason) => Answer::Lost(clean(reason)),
        };
        CallResult::new(answer, key)
    }

    /// A task's JSON that came by itself, for [`Run::observed`](crate::Run::observed).
    pub fn pushed(&self, body: Bytes) -> CallResult {
        let (status, headers) = (StatusCode::OK, HeaderMap::new());
        self.result(Answer::Answered { status, headers, body })
    }

    /// The command line that resumes watching a task at this gateway.
    pub fn resume_line(&self, task: &TaskId) -> String {
        self.base.resume_line(task)
    }
}

/// Everything but letters, digits and `-._~` percent-encoded (RFC 3986, section 2.3).
fn path_segment(text: &str) -> Cow<'_, str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    if text.bytes().all(is_plain) {
        return text.into();
    }
    let mut segment = String::with_capacity(text.len());
    for byte in text.bytes() {
        if is_plain(byte) {
            segment.push(char::from(byte));
        } else {
            segment.push_str(&format!("%{byte:02X}"));
        }
    }
    segment.into()
}

const GENERATION: &str = "/model/v1/generation";
const USER_AGENT_VALUE: &str = concat!("effects/", env!("CARGO_PKG_VERSION"));

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::gateway::call::CallId;
    use crate::time::Time;

    fn endpoint(base: &str) -> Endpoint {
        Endpoint::new(BaseUrl::parse(base, true).unwrap(), ApiKey::new(" test-key\n").unwrap())
    }

    fn call(kind: CallKind) -> Call {
        let (timeout, limit, headers) = (Duration::ZERO, Time::MAX, Default::default());
        Call { id: CallId(1), kind, timeout, limit, headers }
    }

    #[test]
    fn calls_become_requests_below_the_base_url() {
        // An id has no spaces, so the second text is taken; its `%` would be an escape if it were
        // not encoded.
        let poll = call(CallKind::Poll { task: "a/b c".parse().unwrap_or("a%b".parse().unwrap()) });
        let request = endpoint("https://example.com/proxy/").request(&poll);
        let expected = "https://example.com/proxy/model/v1/generation/task/a%25b";
        assert_eq!(request.uri().to_string(), expected);
        assert_eq!(request.headers()["authorization"], "Bearer test-key");

        let submit = call(CallKind::Submit {
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
}
