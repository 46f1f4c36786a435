//! [`ExchangeObserver`]: a caller's callback for each exchange with the gateway and each download of a
//! picture. It gets a [`RequestExcerpt`], without secrets, before the request leaves, and the result
//! through [`ObserveEnd`]; it changes nothing. `ClientBuilder::on_exchange` sets it on the `Endpoint`;
//! `Gateway`, and for downloads `picture_fetch.rs` of `effects-client`, call it. The hooks of the Python
//! package are one; Rust programs write others.

use std::fmt;

use bytes::Bytes;
use http::{Method, Request};

use crate::gateway::call::CallResult;
use crate::task_id::TaskId;

/// Watches exchanges with the gateway: submissions, looks at tasks, uploads. It changes nothing of them.
/// Downloads, which carry no key and may come from elsewhere, it watches too
/// ([`RequestExcerpt::is_download`]).
///
/// It is called on the thread that makes the exchange and must not block.
///
/// ```
/// use std::sync::Arc;
/// use effects_core::{ApiKey, BaseUrl};
/// use effects_core::gateway::{Endpoint, ExchangeObserver, ObserveEnd, RequestExcerpt};
///
/// struct Printer;
///
/// impl ExchangeObserver for Printer {
///     fn begins(&self, request: RequestExcerpt) -> Option<ObserveEnd> {
///         Some(Box::new(move |result| match result.arrived() {
///             Ok(status) => println!("{} {}: {status}", request.method, request.url),
///             Err(error) => println!("{} {}: {error}", request.method, request.url),
///         }))
///     }
/// }
///
/// let base = BaseUrl::parse(BaseUrl::DEFAULT, false)?;
/// let endpoint = Endpoint::new(base, ApiKey::new("key-of-the-account")?).observed_by(Arc::new(Printer));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait ExchangeObserver: Send + Sync {
    /// Whether it wants to be told of an exchange that begins now: it is asked before anything is made for
    /// it.
    fn is_watching(&self) -> bool {
        true
    }

    /// A request is about to leave. What is returned is called with what became of it, unless the exchange
    /// is given up on the way.
    fn begins(&self, request: RequestExcerpt) -> Option<ObserveEnd>;
}

/// Is told what became of an exchange; see [`ExchangeObserver`]. `CallResult::arrived` and
/// `CallResult::response` say it without the key.
pub type ObserveEnd = Box<dyn FnOnce(&CallResult) + Send>;

/// A part of a request, without the key and other secrets.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RequestExcerpt {
    /// Its method.
    pub method: Method,
    /// Its URL, without user, password and query.
    pub url: String,
    /// Headers by their names in small letters. The values of the key's and of the caller's own are
    /// replaced by `[redacted]`.
    pub headers: Vec<(String, String)>,
    /// The task that it looks at.
    pub task_id: Option<TaskId>,
    /// The length of its body, in bytes.
    pub body_length: usize,
    /// Whether it fetches a picture: the client's own headers are not among [`headers`](Self::headers) then,
    /// and redirects that it follows are a part of it.
    pub is_download: bool,
}

impl RequestExcerpt {
    /// The excerpt of a request, which looks at this task.
    pub fn of(request: &Request<Bytes>, task: Option<&TaskId>) -> Self {
        let uri = request.uri();
        let host = uri.authority().map_or("", |authority| authority.as_str());
        let host = host.rsplit('@').next().unwrap_or_default();
        let headers = request.headers().iter().map(|(name, value)| {
            let shown = match value.to_str() {
                // The key and the caller's own headers are marked as sensitive where they are made.
                Ok(text) if !value.is_sensitive() => text,
                _ => REDACTED,
            };
            (name.as_str().to_owned(), shown.to_owned())
        });
        Self {
            method: request.method().clone(),
            url: format!("{}://{host}{}", uri.scheme_str().unwrap_or("https"), uri.path()),
            headers: headers.collect(),
            task_id: task.cloned(),
            body_length: request.body().len(),
            is_download: false,
        }
    }

    /// The excerpt of a download of a task's picture from this URL.
    pub(crate) fn of_download(url: &str, task: &TaskId) -> Self {
        let mut request = Request::new(Bytes::new());
        // One that cannot be read leads nowhere, which the end of the download tells.
        *request.uri_mut() = url.parse().unwrap_or_default();
        Self { is_download: true, ..Self::of(&request, Some(task)) }
    }

    /// Whether it submits, which costs money.
    pub fn is_submission(&self) -> bool {
        self.header("idempotency-key").is_some()
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let known = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        known.map(|(_, value)| value.as_str())
    }
}

impl fmt::Debug for dyn ExchangeObserver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ExchangeObserver(…)")
    }
}

/// What stands where a secret stood.
const REDACTED: &str = "[redacted]";
