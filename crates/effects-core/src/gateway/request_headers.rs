//! [`RequestHeaders`]: headers that a caller adds to requests to the gateway (for a proxy in between, or a
//! `User-Agent`); those that the client sets itself are refused. `ClientBuilder`, the command's `--header`
//! and Python fill it in, and a [`Policy`](crate::Policy) holds it. [`Endpoint`](super::Endpoint) puts the
//! headers on submissions and polls, and the `transfer.rs` of both clients on uploads to the gateway's
//! storage.

use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};

/// Headers beside those that a request has by itself; none to begin with. They go to the gateway alone,
/// and neither to where pictures are nor to a presigned URL.
///
/// ```
/// use effects_core::gateway::RequestHeaders;
///
/// let headers = RequestHeaders::default().with("X-Team", "studio")?;
/// // Their values may be secrets.
/// assert_eq!(format!("{headers:?}"), r#"RequestHeaders(["x-team"])"#);
/// assert!(headers.with("Authorization", "Bearer mine").is_err());
/// # Ok::<(), effects_core::gateway::InvalidHeader>(())
/// ```
#[derive(Clone, Default, Eq, PartialEq)]
pub struct RequestHeaders(Option<Arc<Vec<(HeaderName, HeaderValue)>>>);

impl RequestHeaders {
    /// The same with one more, or with another value of it.
    ///
    /// # Errors
    ///
    /// [`InvalidHeader`] for one that the library sets itself, the authorisation above all, and for what is no
    /// header.
    pub fn with(self, name: &str, value: &str) -> Result<Self, InvalidHeader> {
        let refuse = |why: &str| InvalidHeader(format!("header {name:?} {why}"));
        let known: HeaderName =
            name.parse().map_err(|_| refuse("cannot be one: give a name such as X-Team"))?;
        // `Proxy-Authorization` and its kin are for a proxy in between, and would be sent on to the
        // gateway.
        if OWN.contains(&known.as_str()) || known.as_str().starts_with("proxy-") {
            return Err(refuse("is set by the client itself and cannot be given"));
        }
        // Without the value: it may be a secret.
        let mut value = HeaderValue::from_str(value).map_err(|_| {
            refuse("has a value that no header can have, such as one with a line break")
        })?;
        value.set_sensitive(true);
        let mut all = self.0.map(Arc::unwrap_or_clone).unwrap_or_default();
        all.retain(|(other, _)| *other != known);
        all.push((known, value));
        Ok(Self(Some(Arc::new(all))))
    }

    /// These, and of `others` those that have other names.
    ///
    /// ```
    /// use effects_core::gateway::RequestHeaders;
    ///
    /// let usual = RequestHeaders::default().with("X-Team", "studio")?.with("X-Cost-Centre", "7")?;
    /// let mut sent = http::HeaderMap::new();
    /// RequestHeaders::default().with("X-Team", "booth")?.over(&usual).add_to(&mut sent);
    /// assert_eq!((&sent["x-team"], &sent["x-cost-centre"]), (&"booth".parse()?, &"7".parse()?));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn over(&self, others: &Self) -> Self {
        let (Some(own), Some(others)) = (&self.0, &others.0) else {
            return Self(self.0.clone().or_else(|| others.0.clone()));
        };
        let has = |name: &HeaderName| own.iter().any(|(known, _)| known == name);
        let further = others.iter().filter(|(name, _)| !has(name)).cloned();
        Self(Some(Arc::new(further.chain(own.iter().cloned()).collect())))
    }

    /// Puts them on a request.
    pub fn add_to(&self, headers: &mut HeaderMap) {
        for (name, value) in self.0.iter().flat_map(|all| all.iter()) {
            headers.insert(name, value.clone());
        }
    }
}

/// The names alone.
impl fmt::Debug for RequestHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> =
            self.0.iter().flat_map(|all| all.iter()).map(|(name, _)| name.as_str()).collect();
        f.debug_tuple("RequestHeaders").field(&names).finish()
    }
}

/// A header that is not sent: its name and the rule.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InvalidHeader(String);

impl fmt::Display for InvalidHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidHeader {}

/// What the client sets itself: the authorisation, what names an exchange, and what HTTP is made of.
const OWN: [&str; 18] = [
    "accept",
    "accept-encoding",
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "host",
    "idempotency-key",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-api-key",
    "x-request-id",
];
