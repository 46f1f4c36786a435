//! [`BaseUrl`]: the checked URL of a gateway, https unless it is this machine or http is allowed;
//! [`Origin`]: its scheme, host and port. Endpoints, client settings, profiles and the command's options
//! have a base URL. Errors get from it the line that resumes a task, and relative links to pictures become
//! whole by it. Journal rows, prices and learnt durations are kept apart by origin. [`check_url`] says what
//! rule a presigned URL breaks, for uploads.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

use http::Uri;
use http::uri::Scheme;
use serde::{Deserialize, Serialize};
use url::{ParseError, Url};

use crate::task_id::TaskId;

/// Where the gateway is: scheme, host, port, and perhaps a path before the API's own.
///
/// ```
/// use effects_core::BaseUrl;
///
/// let base = BaseUrl::parse("https://cloud.vtrix.ai/", false)?;
/// assert!(base.is_default());
/// assert!(BaseUrl::parse("http://127.0.0.1:8080", false)?.origin().is_loopback());
/// assert!(BaseUrl::parse("http://example.com", false).is_err());
/// assert!(BaseUrl::parse("http://example.com", true).is_ok());
/// # Ok::<(), effects_core::InvalidBaseUrl>(())
/// ```
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(into = "String")]
#[serde(try_from = "String")]
pub struct BaseUrl {
    origin: Origin,
    /// Without a slash at its end: empty for the root.
    path: String,
}

impl BaseUrl {
    /// The service's own gateway (docs/reference/service.md).
    pub const DEFAULT: &'static str = "https://cloud.vtrix.ai";

    /// Reads a base URL.
    ///
    /// # Errors
    ///
    /// [`InvalidBaseUrl`] for anything but `https://host[:port][/path]`; `http` passes for this
    /// machine, and for others only with `allow_http`, since the key would travel in the clear.
    pub fn parse(text: &str, allow_http: bool) -> Result<Self, InvalidBaseUrl> {
        // Whatever is wrong with it, a password in it is not repeated.
        let shown = match text.rsplit_once('@') {
            Some((_, rest)) => format!("…@{rest}"),
            None => text.to_owned(),
        };
        let fail = |rule| Err(InvalidBaseUrl { given: shown.clone(), rule });
        let text = text.trim();
        let url = match Url::parse(text) {
            Ok(url) => url,
            Err(error) => return fail(broken_rule(error)),
        };
        // The standard mends backslashes, line breaks and missing slashes, and other readers of URLs
        // do not: what is read in two ways is no place to send a key to.
        let Ok(uri) = text.parse::<Uri>() else {
            return fail("is not a URL: give https://host");
        };
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
            return fail("is not a URL: give https://host");
        };
        if authority.as_str().contains('@') {
            return fail("holds a user name: the key goes into a header, not into the URL");
        }
        // `http::Uri` drops a fragment without a word, so the text is asked for that.
        if uri.query().is_some() || text.contains('#') {
            return fail("holds a query or a fragment: give https://host[:port][/path]");
        }
        let secure = match scheme {
            scheme if *scheme == Scheme::HTTPS => true,
            scheme if *scheme == Scheme::HTTP => false,
            _ => return fail("must begin with https://"),
        };
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return fail("names no host");
        };
        let origin = Origin { secure, host: host.to_owned(), port };
        if !secure && !allow_http && !origin.is_loopback() {
            return fail("would send the key in the clear: use https, or allow http on purpose");
        }
        Ok(Self { origin, path: url.path().trim_end_matches('/').to_owned() })
    }

    /// Its origin.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Whether it is the service's own gateway.
    pub fn is_default(&self) -> bool {
        self.to_string() == Self::DEFAULT
    }

    /// The command line that resumes watching a task at this gateway, ready to be pasted into a
    /// shell.
    ///
    /// ```
    /// use effects_core::BaseUrl;
    ///
    /// let base = BaseUrl::parse("http://10.0.0.5:8080", true)?;
    /// assert_eq!(
    ///     base.resume_line(&"abc".parse()?),
    ///     "effects wait abc --base-url http://10.0.0.5:8080 --allow-http"
    /// );
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn resume_line(&self, task: &TaskId) -> String {
        format!("effects wait {}{}", shell_word(task.as_str()), self.command_options())
    }

    /// The options by which a command line names this gateway, each after a blank; none for the usual one.
    pub fn command_options(&self) -> String {
        let mut options = String::new();
        if !self.is_default() {
            options.push_str(" --base-url ");
            options.push_str(&shell_word(&self.to_string()));
        }
        if !self.origin.secure && !self.origin.is_loopback() {
            options.push_str(" --allow-http");
        }
        options
    }
}

impl BaseUrl {
    /// Its path, without a slash at its end: empty for the root.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// A link of the gateway's, made whole.
    pub(crate) fn join(&self, link: &str) -> Option<Url> {
        // Without the slash, `join` would replace the last part of the base's path.
        Url::parse(&format!("{self}/")).and_then(|base| base.join(link)).ok()
    }
}

impl From<BaseUrl> for String {
    fn from(base: BaseUrl) -> Self {
        base.to_string()
    }
}

impl TryFrom<String> for BaseUrl {
    type Error = InvalidBaseUrl;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        // What was saved was checked when it was given: http in it was allowed then.
        Self::parse(&text, true)
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin, self.path)
    }
}

/// Scheme, host and port: journal, prices, spend and pace are kept per origin, and nothing from an
/// emulator counts elsewhere.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(into = "String")]
#[serde(try_from = "String")]
pub struct Origin {
    secure: bool,
    host: String,
    port: u16,
}

impl Origin {
    /// Whether it is this machine: `localhost`, anything under `.localhost`, `127.0.0.0/8`, `::1`.
    pub fn is_loopback(&self) -> bool {
        // `IpAddr` parses IPv6 without brackets. RFC 6761 (6.3) gives every name under `.localhost`
        // to this machine, and a name may end in the root's dot.
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        let name = host.trim_end_matches('.');
        name == "localhost"
            || name.ends_with(".localhost")
            || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    /// Its host, lower-case; an IPv6 address in brackets.
    pub fn host(&self) -> &str {
        &self.host
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, usual) = if self.secure { ("https", 443) } else { ("http", 80) };
        write!(f, "{scheme}://{}", self.host)?;
        if self.port == usual { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

impl From<Origin> for String {
    fn from(origin: Origin) -> Self {
        origin.to_string()
    }
}

impl TryFrom<String> for Origin {
    type Error = InvalidBaseUrl;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        BaseUrl::parse(&text, true).map(|base| base.origin)
    }
}

/// Whether the URL standard takes a text for a URL.
///
/// # Errors
///
/// The rule that it breaks, to be read after the text's name: `has a port that is none: …`.
pub fn check_url(text: &str) -> Result<(), &'static str> {
    Url::parse(text).map(|_| ()).map_err(broken_rule)
}

/// What is wrong with a text that the URL standard does not take for a URL.
pub(crate) fn broken_rule(error: ParseError) -> &'static str {
    match error {
        ParseError::InvalidPort => {
            "has a port that is none: leave it out, or give a number from 0 to 65535"
        }
        ParseError::EmptyHost => "names no host",
        ParseError::InvalidIpv4Address => {
            "has a host that ends like an IPv4 address and is none: give four numbers from 0 to 255"
        }
        ParseError::InvalidIpv6Address => {
            "has a host that begins like an IPv6 address and is none: write one as [2001:db8::1]"
        }
        ParseError::IdnaError | ParseError::InvalidDomainCharacter => {
            "has a host with a character that no host has"
        }
        _ => "is not a URL: give https://host",
    }
}

/// The text as one word of a shell. The service chooses its ids, and a person pastes them: nothing
/// in one may act.
pub(crate) fn shell_word(text: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._/:@%+,".contains(c);
    if text.chars().all(plain) {
        return text.into();
    }
    // A single quote cannot stand between single quotes: it ends them, comes escaped, and opens
    // them anew.
    format!("'{}'", text.replace('\'', r"'\''")).into()
}

/// A text that cannot be a base URL.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("base URL {given:?} {rule}")]
pub struct InvalidBaseUrl {
    given: String,
    rule: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_written_one_way() {
        let origin = |text| BaseUrl::parse(text, true).unwrap().origin().to_string();
        assert_eq!(origin("https://Example.COM:443/api/"), "https://example.com");
        assert_eq!(origin("http://[::1]:8080"), "http://[::1]:8080");
        let base = BaseUrl::parse("https://example.com/proxy/", false).unwrap();
        assert_eq!(base.to_string(), "https://example.com/proxy");
    }

    #[test]
    fn a_resume_line_can_be_pasted_whatever_the_task_is_called() {
        let line = |base, task: &str| {
            BaseUrl::parse(base, true).unwrap().resume_line(&task.parse().unwrap())
        };
        assert_eq!(line(BaseUrl::DEFAULT, "d758n65e"), "effects wait d758n65e");
        assert_eq!(
            line("http://127.0.0.1:9", "a;b'c"),
            r"effects wait 'a;b'\''c' --base-url http://127.0.0.1:9"
        );
        assert!(line("http://example.com", "a").ends_with(" --allow-http"));
    }

    #[test]
    fn a_port_or_an_address_that_cannot_be_is_named() {
        for (text, named) in [
            ("http://127.0.0.1:99999", "port"),
            ("http://[::1/", "IPv6"),
            ("http://127.0.0.1.9", "IPv4"),
        ] {
            let error = BaseUrl::parse(text, true).unwrap_err().to_string();
            assert!(error.contains(named) && error.contains(text), "{error}");
        }
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for (host, loopback) in [
            ("localhost", true),
            ("api.localhost", true),
            ("127.9.9.9:1", true),
            ("[::1]", true),
            ("[0:0::1]:8080", true),
            // The URL standard completes short addresses and takes zeros out of long ones.
            ("127.1", true),
            ("localhost.example.com", false),
            ("127.0.0.1.example.com", false),
            ("notlocalhost", false),
            ("10.0.0.1", false),
        ] {
            let base = BaseUrl::parse(&format!("http://{host}"), true).unwrap();
            assert_eq!(base.origin().is_loopback(), loopback, "{host}");
        }
    }

    #[test]
    fn what_could_leak_or_mislead_is_refused_and_a_password_is_not_repeated() {
        for bad in [
            "",
            "cloud.vtrix.ai",
            "/model",
            "ftp://x",
            "https://",
            "https://x?y",
            "https://x#y",
            "http://127.0.0.1.example.com",
            "http://x\u{7f}",
            "https://h:65536",
            "https://h:99999/",
            "https://h:1e3",
            "https://[::1/",
            "https://[::g]",
            "https://1.2.3.256",
            "https://1.2.3.4.5",
            "https://a|b",
            "https:/h",
            "https:h",
            "https:\\\\h",
            "https://bücher.example",
            "https://h\n.example",
        ] {
            assert!(BaseUrl::parse(bad, false).is_err(), "{bad}");
        }
        let error = BaseUrl::parse("https://me:hunter2@example.com", false).unwrap_err();
        assert!(!error.to_string().contains("hunter2"));
    }
}
