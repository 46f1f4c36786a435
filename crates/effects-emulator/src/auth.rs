//! [`ApiKeys`]: decides whose key a request carries ([`Bearer`]): the emulator's own, a test key that
//! chooses an outcome (`test_fail_3009095`; on loopback only), or none that is accepted. The middleware has
//! it decide for each request, and say why it refuses one. [`presented`] reads a request's key, for faults
//! and rate limits by key; [`is_name`] says what may stand behind the own key, for `isolation.rs`;
//! [`comes_by_name`] finds requests that a foreign site may have sent here under its own name, for test keys
//! and `session.rs`.

use std::net::IpAddr;

use http::HeaderMap;
use http::header::{AUTHORIZATION, HOST};
use subtle::ConstantTimeEq;

use crate::faults::{Fault, fault_of_key};
use crate::wire::refusal::ApiRefusal;

/// The keys an emulator accepts.
pub(crate) struct ApiKeys {
    own: String,
    /// Whether keys such as `test_fail_3009095` are accepted. Everybody knows them, so they are
    /// only where the emulator listens on loopback.
    tests: bool,
}

/// Whose key a request carries.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Bearer {
    /// The key this emulator was started with.
    Own,
    /// A key that chooses an outcome, good unless it names a fault.
    Test(Option<Box<Fault>>),
    /// None, or one it does not accept.
    None,
}

impl ApiKeys {
    pub(crate) fn new(own: String, tests: bool) -> Self {
        Self { own, tests }
    }

    pub(crate) fn own(&self) -> &str {
        &self.own
    }

    /// What a request has behind the own key and a dot, in place of that key alone.
    pub(crate) fn name_behind_own<'a>(&self, headers: &'a HeaderMap) -> Option<&'a [u8]> {
        let (key, own) = (presented(headers)?, self.own.as_bytes());
        // By the length of the own key and not by a dot: a key may have dots in it.
        let (start, rest) = key.split_at_checked(own.len())?;
        rest.strip_prefix(b".").filter(|_| own.ct_eq(start).into())
    }

    /// Why a request is refused that has no key that is accepted. `isolates` says whether `KEY.NAME` opens a world of
    /// its own.
    pub(crate) fn refusal(&self, headers: &HeaderMap, isolates: bool) -> ApiRefusal {
        ApiRefusal::unauthorized(match (self.name_behind_own(headers), isolates) {
            (None, _) => {
                "the API key is missing or wrong: send `Authorization: Bearer KEY` with the key this emulator was \
                 started with"
                    .to_owned()
            }
            (Some(_), true) => format!(
                "the API key is not accepted: the NAME of `KEY.NAME` has 1 to {MAX_NAME_CHARS} visible ASCII \
                 characters, and no spaces"
            ),
            (Some(_), false) => {
                "the API key is not accepted: `KEY.NAME` opens a world of its own only where the emulator was \
                 started with `--isolate-keys` (Python: `isolate_keys=True`)"
                    .to_owned()
            }
        })
    }

    /// Reads `Authorization: Bearer KEY`, or `Key KEY` as the queue's clients may write it.
    pub(crate) fn bearer(&self, headers: &HeaderMap) -> Bearer {
        let Some(key) = presented(headers) else { return Bearer::None };
        // In constant time: how long the answer takes must not say how much of a guess is right.
        if self.own.as_bytes().ct_eq(key).into() {
            return Bearer::Own;
        }
        // Against DNS rebinding: a site may have given its own name this machine's address, and
        // everybody knows these keys.
        let open = self.tests && !comes_by_name(headers);
        let key = std::str::from_utf8(key).ok().filter(|_| open);
        match key.and_then(fault_of_key) {
            Some(fault) => Bearer::Test(fault.map(Box::new)),
            None => Bearer::None,
        }
    }
}

/// Whether it can be the NAME of a key `KEY.NAME`: test frameworks name a test `tests/test_a.py::test_b[1-2]`.
pub(crate) fn is_name(name: &[u8]) -> bool {
    (1..=MAX_NAME_CHARS).contains(&name.len()) && name.iter().all(u8::is_ascii_graphic)
}

/// The longest NAME of a key `KEY.NAME`, in characters.
const MAX_NAME_CHARS: usize = 256;

impl Bearer {
    /// The fault a key stands for.
    pub(crate) fn fault(&self) -> Option<&Fault> {
        match self {
            Self::Test(fault) => fault.as_deref(),
            Self::Own | Self::None => None,
        }
    }
}

/// Whether a request was sent to a name that anybody can have registered.
pub(crate) fn comes_by_name(headers: &HeaderMap) -> bool {
    // A browser always names the host, so a request that names none is from no page.
    let Some(host) = headers.get(HOST).and_then(|host| host.to_str().ok()) else { return false };
    let host = host
        // An IPv6 address has colons without a port, too: what follows the last one is a port only
        // if it is a number.
        .rsplit_once(':')
        .filter(|(_, port)| port.parse::<u16>().is_ok())
        .map_or(host, |(host, _)| host);
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let local =
        // Names below `localhost` lead to this machine (RFC 6761): nobody else can register one.
        host.eq_ignore_ascii_case("localhost") || host.to_ascii_lowercase().ends_with(".localhost");
    !local && address.parse::<IpAddr>().is_err()
}

/// The key behind the scheme, as bytes.
pub(crate) fn presented(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(AUTHORIZATION)?.as_bytes();
    let space = value.iter().position(|byte| *byte == b' ')?;
    let (scheme, key) = value.split_at(space);
    let known = scheme.eq_ignore_ascii_case(b"bearer") || scheme.eq_ignore_ascii_case(b"key");
    known.then(|| key.trim_ascii())
}

/// Leaves the keys out, so that no log shows them.
impl std::fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiKeys").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(keys: &ApiKeys, value: &str) -> Bearer {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, value.parse().unwrap());
        keys.bearer(&headers)
    }

    #[test]
    fn both_schemes_open_and_nothing_else_does() {
        let keys = ApiKeys::new("secret".to_owned(), false);
        for good in ["Bearer secret", "bearer secret", "Key secret", "Bearer  secret "] {
            assert_eq!(bearer(&keys, good), Bearer::Own, "{good}");
        }
        let bad = ["secret", "Basic secret", "Bearer", "Bearer ", "Bearer secre", "Bearer secrets"];
        for bad in bad {
            assert_eq!(bearer(&keys, bad), Bearer::None, "{bad}");
        }
        assert_eq!(keys.bearer(&HeaderMap::new()), Bearer::None);
        assert!(!format!("{keys:?}").contains("secret"));
    }

    #[test]
    fn keys_that_choose_an_outcome_open_only_where_they_may() {
        let fails = "Bearer test_fail_3009095";
        let open = ApiKeys::new("secret".to_owned(), true);
        assert_eq!(bearer(&open, fails).fault(), Some(&Fault::fail("3009095")));
        assert_eq!(bearer(&open, "Bearer test_ok"), Bearer::Test(None));
        assert_eq!(bearer(&open, "Bearer test_nonsense"), Bearer::None);
        let closed = ApiKeys::new("secret".to_owned(), false);
        assert_eq!(bearer(&closed, fails), Bearer::None);
    }

    #[test]
    fn keys_of_all_open_only_by_an_address_or_as_localhost() {
        let keys = ApiKeys::new("secret".to_owned(), true);
        let sent_to = |host: &str, key: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, key.parse().unwrap());
            headers.insert(HOST, host.parse().unwrap());
            keys.bearer(&headers)
        };
        let here = [
            "127.0.0.1:8600",
            "127.0.0.1",
            "[::1]:8600",
            "localhost:1",
            "a.localhost",
            "LOCALHOST",
        ];
        for host in here {
            assert_eq!(sent_to(host, "Bearer test_ok"), Bearer::Test(None), "{host}");
        }
        for host in ["evil.example:8600", "evil.example", "127.0.0.1.evil.example", "x", ""] {
            assert_eq!(sent_to(host, "Bearer test_ok"), Bearer::None, "{host}");
            assert_eq!(sent_to(host, "Bearer secret"), Bearer::Own, "{host}");
        }
    }
}
