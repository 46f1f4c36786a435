//! [`PageSession`]: the session cookie by which the emulator's own web page is let in without the API
//! key. `surfaces/page.rs` gives it to browsers where only this machine reaches the emulator, and
//! elsewhere to a page that has brought the key; `middleware.rs` checks it on requests that bring no
//! key ([`CookieCheck`]), and refuses one that another site's page made the browser send.
//!
//! The cookie holds a random token and not the key, since browsers send the cookies of one host to
//! all of its ports. It counts only if the request was made by a page of this very origin: another
//! site's page can reach loopback too, under this machine's address or under a name of its own.

use std::net::SocketAddr;

use http::header::{COOKIE, HOST, ORIGIN};
use http::{HeaderMap, HeaderName, HeaderValue};
use subtle::ConstantTimeEq;

use crate::auth::comes_by_name;
use crate::ids;

/// The session of an emulator's page.
pub(crate) struct PageSession {
    /// The cookie's name: it has the port in it, so that two emulators do not take each other's away.
    name: String,
    token: String,
    /// Only this machine reaches it.
    is_local: bool,
    /// The host that it is known by elsewhere.
    public_host: Option<String>,
}

/// What a request's cookie is worth.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum CookieCheck {
    /// There is none, or another's.
    None,
    /// It was sent by a page of this emulator.
    Own,
    /// It was sent by another site's page.
    Foreign,
}

impl PageSession {
    pub(crate) fn new(address: SocketAddr, public_host: Option<String>) -> Self {
        let name = format!("effects-emulator-{}", address.port());
        let is_local = address.ip().is_loopback();
        Self { name, token: ids::random_id(32), is_local, public_host }
    }

    /// The header that gives a browser its cookie.
    pub(crate) fn cookie(&self) -> HeaderValue {
        let Self { name, token, .. } = self;
        // No script can read it, and browsers send it with no request of another site. It is not
        // `Secure`, since the emulator speaks plain HTTP.
        let cookie = format!("{name}={token}; Path=/; HttpOnly; SameSite=Strict");
        HeaderValue::from_str(&cookie).expect("a cookie is plain ASCII")
    }

    /// Whether the page gives out the cookie to a browser that asks for nothing but the page.
    pub(crate) fn is_open_to(&self, headers: &HeaderMap) -> bool {
        self.is_local && self.is_own_host(headers)
    }

    /// Whether a request was sent to this emulator's own address, or to a name it is known by. One
    /// that others reach asks for the key instead, and is reached by any name.
    pub(crate) fn is_own_host(&self, headers: &HeaderMap) -> bool {
        let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        !self.is_local || !comes_by_name(headers) || self.public_host.as_deref() == Some(host)
    }

    /// What the cookie of a request is worth.
    pub(crate) fn check_cookie(&self, headers: &HeaderMap) -> CookieCheck {
        let cookies = headers.get_all(COOKIE).iter().flat_map(|line| {
            let line = line.to_str().unwrap_or_default();
            line.split(';').filter_map(|pair| pair.trim().split_once('='))
        });
        let mut ours = cookies.filter(|(name, _)| *name == self.name);
        // A browser may send several cookies of one name; one that is right is enough.
        if !ours.any(|(_, token)| self.token.as_bytes().ct_eq(token.as_bytes()).into()) {
            return CookieCheck::None;
        }
        if self.is_own_host(headers) && is_same_origin(headers) {
            CookieCheck::Own
        } else {
            CookieCheck::Foreign
        }
    }
}

/// Whether `Origin` and `Sec-Fetch-Site`, where they are sent, say that a page of this origin or the
/// address bar made the request. Every browser sends one of them; a client that sends neither is no
/// browser, and no other site can use its cookie.
fn is_same_origin(headers: &HeaderMap) -> bool {
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let host = text(HOST).unwrap_or_default();
    let is_own = |origin: &str| {
        // Behind a proxy the page's origin is https.
        let rest = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        rest.is_some_and(|rest| rest.eq_ignore_ascii_case(host))
    };
    let site = text(HeaderName::from_static("sec-fetch-site"));
    text(ORIGIN).is_none_or(is_own)
        && site.is_none_or(|site| ["same-origin", "none"].contains(&site))
}

/// Leaves the token out, so that no log shows it.
impl std::fmt::Debug for PageSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PageSession").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_cookie(session: &PageSession, headers: &[(&str, &str)]) -> CookieCheck {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            map.insert(name, value.parse().unwrap());
        }
        session.check_cookie(&map)
    }

    #[test]
    fn a_cookie_counts_only_from_the_emulators_own_page() {
        let session =
            PageSession::new(([127, 0, 0, 1], 8600).into(), Some("demo.example".to_owned()));
        let cookie = session.cookie();
        let cookie = cookie.to_str().unwrap();
        assert!(cookie.ends_with("; HttpOnly; SameSite=Strict"), "{cookie}");
        let cookie = &format!("a=b; {}", cookie.split(';').next().unwrap());
        let here = ("host", "127.0.0.1:8600");
        assert_eq!(check_cookie(&session, &[here]), CookieCheck::None);
        assert_eq!(
            check_cookie(&session, &[here, ("cookie", "effects-emulator-8600=x")]),
            CookieCheck::None
        );
        let with = |headers: &[(&str, &str)]| {
            check_cookie(&session, &[&[("cookie", cookie.as_str())], headers].concat())
        };
        let own = ("origin", "http://127.0.0.1:8600");
        for good in [
            &[here][..],
            &[here, own],
            &[here, ("sec-fetch-site", "same-origin")],
            // A port that is forwarded to the emulator's.
            &[("host", "localhost:9000"), ("origin", "http://localhost:9000")],
            &[("host", "demo.example"), ("origin", "https://demo.example")],
        ] {
            assert_eq!(with(good), CookieCheck::Own, "{good:?}");
        }
        for bad in [
            &[here, ("origin", "http://127.0.0.1:3000")][..],
            &[here, ("origin", "http://evil.example")],
            &[here, ("origin", "null")],
            &[here, ("sec-fetch-site", "same-site")],
            &[("host", "evil.example:8600")],
            &[("host", "evil.example:8600"), ("origin", "http://evil.example:8600")],
        ] {
            assert_eq!(with(bad), CookieCheck::Foreign, "{bad:?}");
        }
        assert!(!format!("{session:?}").contains(&session.token));
    }
}
