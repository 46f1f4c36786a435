//! [`Reference`]: the checked URL of the input photo, which the service fetches; [`InvalidReference`]: why
//! a text is none. An [`EffectRequest`](crate::EffectRequest) has one, and an upload by a client, a program
//! or a Rust `Uploader` returns one. Journal rows tell photos given as URLs apart by it, and clients and
//! the command warn where the service cannot reach it. The command and jobs tell a URL from a path by
//! [`Reference::is_url`].

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use url::{Host, Url};

use crate::gateway::origin::broken_rule;
use crate::signed_url;

/// The URL of the input picture (`image_input1`).
///
/// The service documents a URL and nothing else (the service's page, "Reference image URL"); its
/// sibling page asks for http or https. A `data:image/…;base64,…` URL passes too, since an uploader
/// may make one on purpose, but this model was never seen to accept it (docs/reference/service.md).
///
/// ```
/// use effects_core::Reference;
///
/// let reference: Reference = "https://example.com/cat.jpg".parse()?;
/// assert_eq!(reference.as_str(), "https://example.com/cat.jpg");
///
/// let error = "cat.jpg".parse::<Reference>().unwrap_err();
/// assert!(error.to_string().contains("must be uploaded"));
/// # Ok::<(), effects_core::InvalidReference>(())
/// ```
#[derive(Clone, Eq, Hash, PartialEq, Deserialize, Serialize)]
#[serde(into = "String", try_from = "String")]
pub struct Reference(Arc<str>);

impl Reference {
    /// The URL. Letters outside ASCII stand in it percent-encoded, those of its host in punycode.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The URL in the form that all its spellings have in common: scheme and host in lower case, without the
    /// scheme's own port and without a fragment, which no server is told. What a person writes
    /// in several ways is one picture.
    ///
    /// ```
    /// use effects_core::Reference;
    ///
    /// let reference: Reference = "HTTPS://Example.com:443/Cat.jpg?v=2#top".parse()?;
    /// assert_eq!(reference.canonical(), "https://example.com/Cat.jpg?v=2");
    /// # Ok::<(), effects_core::InvalidReference>(())
    /// ```
    pub fn canonical(&self) -> Cow<'_, str> {
        // Only a data URL comes here without `//`, and it stays as it is.
        let Some((scheme, rest)) = self.0.split_once("://") else { return self.as_str().into() };
        let scheme = scheme.to_ascii_lowercase();
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (user, host) = authority.split_at(authority.rfind('@').map_or(0, |at| at + 1));
        // Written with the port of the scheme, without one, or with a bare colon, it is the same
        // place.
        let usual = if scheme == "https" { ":443" } else { ":80" };
        let host = host.strip_suffix(usual).or(host.strip_suffix(':')).unwrap_or(host);
        let canonical = format!("{scheme}://{user}{}{path}", host.to_ascii_lowercase());
        if canonical == self.as_str() { self.as_str().into() } else { canonical.into() }
    }

    /// Whether a text is meant as a URL, also one that cannot be used: a scheme of the web, or `://`. Any other
    /// text may be a path; a file whose name looks like a URL can be given as `./http:…`.
    ///
    /// ```
    /// use effects_core::Reference;
    ///
    /// assert!(Reference::is_url("HTTP:x") && Reference::is_url("ftp://x") && Reference::is_url("data:,"));
    /// assert!(!Reference::is_url("cat.jpg") && !Reference::is_url("a:b") && !Reference::is_url("./http:x"));
    /// ```
    pub fn is_url(text: &str) -> bool {
        let scheme = text.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase());
        text.contains("://") || matches!(scheme.as_deref(), Some("http" | "https" | "data"))
    }

    /// The host, if it is this machine or in a private network: a service elsewhere cannot fetch from
    /// there.
    ///
    /// ```
    /// use effects_core::Reference;
    ///
    /// let reference: Reference = "http://192.168.1.5/cat.jpg".parse()?;
    /// assert_eq!(reference.private_host().as_deref(), Some("192.168.1.5"));
    /// # Ok::<(), effects_core::InvalidReference>(())
    /// ```
    pub fn private_host(&self) -> Option<String> {
        let url = Url::parse(&self.0).ok()?;
        let is_private = match url.host()? {
            Host::Ipv4(host) => {
                host.is_loopback()
                    || host.is_private()
                    || host.is_link_local()
                    || host.is_unspecified()
            }
            Host::Ipv6(host) => {
                host.is_loopback()
                    || host.is_unique_local()
                    || host.is_unicast_link_local()
                    || host.is_unspecified()
            }
            Host::Domain(host) => {
                let host = host.trim_end_matches('.');
                // Names that no public server answers for (RFC 6761, RFC 6762, ICANN), and what
                // home routers use.
                ["localhost", "local", "internal", "lan"]
                    .iter()
                    .any(|name| host == *name || host.ends_with(&format!(".{name}")))
            }
        };
        is_private.then(|| url.host_str().unwrap_or_default().to_owned())
    }

    /// What should be told before a service that is not on this machine gets it.
    pub fn warning(&self) -> Option<String> {
        let host = self.private_host()?;
        Some(format!(
            "the photo is at {host}, which a service elsewhere cannot reach: give its file, which is \
             uploaded, or a public URL"
        ))
    }
}

impl FromStr for Reference {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // What cannot be sent is told and written down, and may be a permission all the same.
        let given = || match text.contains("://") {
            true => signed_url::shown(text),
            false => text.to_owned(),
        };
        let fail = |rule| Err(InvalidReference { given: shortened(&given()), rule });
        let text = text.trim();
        if text.is_empty() {
            return fail("is missing: give the URL of a picture");
        }
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return fail("holds white space: percent-encode it (a space is %20)");
        }
        let Some((scheme, rest)) = text.split_once(':') else {
            return fail("is not a URL: a photo on this machine must be uploaded first");
        };
        match scheme.to_ascii_lowercase().as_str() {
            "http" | "https" => {
                let Some(rest) = rest.strip_prefix("//") else {
                    return fail("is not a URL: it must begin with https:// or http://");
                };
                let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
                let (user, host) = match authority.rsplit_once('@') {
                    Some((user, host)) => (Some(user), host),
                    None => (None, authority),
                };
                if host.is_empty() || host.starts_with(':') {
                    return fail("names no host");
                }
                // It is kept as it was given: a row of a journal is known again by it.
                match Url::parse(text) {
                    // The host alone is rewritten, in punycode for HTTP clients that know ASCII
                    // only.
                    Ok(url) if !host.is_ascii() => {
                        let named = host.rsplit_once(':').map_or(host, |(name, _)| name);
                        // A user's name or password may read like the host.
                        let at = scheme.len() + "://".len() + user.map_or(0, |user| user.len() + 1);
                        let (before, after) = (&text[..at], &text[at + named.len()..]);
                        let host = url.host_str().unwrap_or(named);
                        Ok(Self(percent_encoded(&[before, host, after].concat()).into()))
                    }
                    Ok(_) => Ok(Self(percent_encoded(text).into())),
                    Err(error) => fail(broken_rule(error)),
                }
            }
            "data" if rest.starts_with("image/") && rest.contains(";base64,") => {
                Ok(Self(text.into()))
            }
            "data" => fail("is a data URL of something else than data:image/…;base64,…"),
            _ => {
                fail("is not an http or https URL: a photo on this machine must be uploaded first")
            }
        }
    }
}

impl TryFrom<String> for Reference {
    type Error = InvalidReference;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Reference> for String {
    fn from(reference: Reference) -> Self {
        reference.as_str().to_owned()
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shortened(&self.0))
    }
}

/// Shortened like [`Display`](fmt::Display): a data URL can hold megabytes.
impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reference({})", shortened(&self.0))
    }
}

/// A text that cannot be the input picture's URL.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("image_input1 {given:?} {rule}")]
pub struct InvalidReference {
    pub(crate) given: String,
    pub(crate) rule: &'static str,
}

fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii() {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

fn shortened(text: &str) -> String {
    const MOST: usize = 200;
    if text.chars().count() <= MOST {
        return text.to_owned();
    }
    let start: String = text.chars().take(MOST).collect();
    format!("{start}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_cannot_be_sent_is_told_without_what_may_be_a_permission() {
        let error = "https://me:pw@h.example/a b.jpg?sig=s3cr3t".parse::<Reference>().unwrap_err();
        assert_eq!(error.given, "https://h.example/a b.jpg?…");
    }

    #[test]
    fn only_a_url_the_service_could_fetch_passes() {
        for good in [
            "https://example.com/cat.jpg",
            "HTTP://127.0.0.1:8080/x?y=z#f",
            "https://user:pw@example.com/a%20b.png",
            "data:image/png;base64,iVBORw0KGgo=",
            "http://h:65535/x.png?a='b'|c#[d]",
            "http://[2001:db8::1]:80/x.png",
            "http://h/a/../b//c.png",
            "http://my_bucket.example/x.png",
        ] {
            assert_eq!(good.parse::<Reference>().unwrap().as_str(), good);
        }
        for bad in [
            "",
            "cat.jpg",
            "/tmp/cat.jpg",
            "C:\\cat.jpg",
            "https://",
            "https:///cat.jpg",
            "https:cat",
            "ftp://example.com/cat.jpg",
            "https://example.com/a b.png",
            "data:text/plain,hello",
            "https://:80/",
            "https://bü cher.example/x.png",
            "http://h:99999/",
            "http://h:65536/x.png",
            "http://h:port/x.png",
            "http://[::1/",
            "http://[fe80::g]/x.png",
            "http://1.2.3.256/x.png",
            "http://a^b/x.png",
        ] {
            assert!(bad.parse::<Reference>().is_err(), "{bad}");
        }
        let reference: Reference = "https://example.com/кот.jpg".parse().unwrap();
        assert_eq!(reference.as_str(), "https://example.com/%D0%BA%D0%BE%D1%82.jpg");
        for (given, sent) in [
            ("https://bücher.example/ü.png", "https://xn--bcher-kva.example/%C3%BC.png"),
            ("https://a:b@münchen.example:8080/x", "https://a:b@xn--mnchen-3ya.example:8080/x"),
            ("  https://例え.jp/x\n", "https://xn--r8jz45g.jp/x"),
            ("https://é:x@é/é", "https://%C3%A9:x@xn--9ca/%C3%A9"),
        ] {
            assert_eq!(given.parse::<Reference>().unwrap().as_str(), sent);
        }
    }

    #[test]
    fn hosts_that_a_service_elsewhere_cannot_reach_are_known() {
        for private in [
            "http://localhost/x",
            "http://a.localhost:80/x",
            "http://printer.local/x",
            "http://127.1.2.3/x",
            "http://10.0.0.1/x",
            "http://172.16.0.9/x",
            "http://192.168.1.1/x",
            "http://169.254.0.1/x",
            "http://[::1]/x",
            "http://[fd00::1]/x",
            "http://[fe80::1]/x",
        ] {
            let reference: Reference = private.parse().unwrap();
            assert!(reference.warning().unwrap().contains("cannot reach"), "{private}");
        }
        for public in ["https://example.com/x", "http://8.8.8.8/x", "http://local.example/x"] {
            assert_eq!(public.parse::<Reference>().unwrap().private_host(), None);
        }
    }
}
