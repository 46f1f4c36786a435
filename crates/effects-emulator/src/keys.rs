//! Who may ask: the key of this emulator, compared in constant time.

use http::HeaderMap;
use http::header::AUTHORIZATION;
use subtle::ConstantTimeEq;

/// The keys an emulator accepts.
pub(crate) struct Keys {
    own: String,
}

/// Whose key a request carries.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Bearer {
    /// The key this emulator was started with.
    Own,
    /// None, or one it does not accept.
    Nobody,
}

impl Keys {
    pub(crate) fn new(own: String) -> Self {
        Self { own }
    }

    pub(crate) fn own(&self) -> &str {
        &self.own
    }

    /// Reads `Authorization: Bearer KEY`, or `Key KEY` as the queue's clients may write it.
    pub(crate) fn bearer(&self, headers: &HeaderMap) -> Bearer {
        match presented(headers) {
            Some(key) if self.is_own(key) => Bearer::Own,
            _ => Bearer::Nobody,
        }
    }

    fn is_own(&self, key: &[u8]) -> bool {
        self.own.as_bytes().ct_eq(key).into()
    }
}

/// The key behind the scheme, as bytes.
fn presented(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(AUTHORIZATION)?.as_bytes();
    let space = value.iter().position(|byte| *byte == b' ')?;
    let (scheme, key) = value.split_at(space);
    let known = scheme.eq_ignore_ascii_case(b"bearer") || scheme.eq_ignore_ascii_case(b"key");
    known.then(|| key.trim_ascii())
}

/// Keys are for comparing, not for showing.
impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_schemes_open_and_nothing_else_does() {
        let keys = Keys::new("secret".to_owned());
        let bearer = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, value.parse().unwrap());
            keys.bearer(&headers)
        };
        for good in ["Bearer secret", "bearer secret", "Key secret", "Bearer  secret "] {
            assert_eq!(bearer(good), Bearer::Own, "{good}");
        }
        for bad in ["secret", "Basic secret", "Bearer", "Bearer ", "Bearer secre", "Bearer secrets"]
        {
            assert_eq!(bearer(bad), Bearer::Nobody, "{bad}");
        }
        assert_eq!(keys.bearer(&HeaderMap::new()), Bearer::Nobody);
        assert!(!format!("{keys:?}").contains("secret"));
    }
}
