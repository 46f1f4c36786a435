//! [`EnvironmentProxies`]: the proxies that the environment names, and the hosts that its `no_proxy`
//! excepts, by curl's rules, except that variables in capitals come first. The blocking client's
//! `http_client.rs` takes both from it; the async client's `http_client.rs` and `connector.rs` take the
//! exceptions alone, since reqwest and hyper-util read the proxies themselves. `effects doctor` shows by
//! which proxy a gateway is reached.
//!
//! The rules are curl's: `https_proxy` for https and `http_proxy` for http alone, `all_proxy` for what has
//! none of its own, and `no_proxy` with hosts, their domains, addresses, networks and ports. Unlike curl,
//! each name in capitals comes before the same in small letters.

use std::env;
use std::net::IpAddr;

use effects_core::BaseUrl;
use url::Url;

/// The proxies that the environment names, and what goes without.
#[derive(Clone, Default)]
pub struct EnvironmentProxies {
    http: Option<String>,
    https: Option<String>,
    no_proxy: Vec<NoProxyEntry>,
}

/// A proxy of the environment whose URL cannot be read. It may hold a password, so it is not repeated.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct UnreadableProxy;

/// An entry of `no_proxy`.
#[derive(Clone, Debug, Eq, PartialEq)]
struct NoProxyEntry {
    hosts: Hosts,
    /// Any port, where it names none.
    port: Option<u16>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Hosts {
    All,
    /// A name, and all names that end in it.
    Domain(String),
    /// An address, or a network by the length of its prefix.
    Network(IpAddr, u8),
}

impl EnvironmentProxies {
    /// What the environment says now. A variable that is empty says nothing.
    pub fn from_env() -> Self {
        Self::of(|name| env::var(name).ok())
    }

    fn of(variable: impl Fn(&str) -> Option<String>) -> Self {
        let find = |name: &str| {
            // Capitals first, as in hyper-util, by which the async client finds its proxies: where
            // both are set, both clients go by the same one.
            [name.to_uppercase(), name.to_owned()]
                .iter()
                .find_map(|name| variable(name).filter(|value| !value.trim().is_empty()))
        };
        let all = find("all_proxy");
        // Where this is a CGI program, its client names `HTTP_PROXY` by a header.
        let is_cgi = variable("REQUEST_METHOD").is_some();
        let http = if is_cgi { None } else { find("http_proxy") };
        let list = find("no_proxy").unwrap_or_default();
        Self {
            http: http.or_else(|| all.clone()),
            https: find("https_proxy").or(all),
            no_proxy: list
                .split(|c: char| c == ',' || c.is_whitespace())
                .filter_map(NoProxyEntry::parse)
                .collect(),
        }
    }

    /// The proxy for http, as the environment gives it.
    pub fn http(&self) -> Option<&str> {
        self.http.as_deref()
    }

    /// The proxy for https, as the environment gives it.
    pub fn https(&self) -> Option<&str> {
        self.https.as_deref()
    }

    /// The proxy that a request to this URL goes by, in words that repeat no user and no password: its
    /// scheme, host and port. None where it goes by none: to this machine, and to what `no_proxy` names.
    ///
    /// # Errors
    ///
    /// What the variable says cannot be read as a proxy's URL; the clients take that for none.
    pub fn shown_for(&self, url: &BaseUrl) -> Result<Option<String>, UnreadableProxy> {
        let Ok(target) = Url::parse(&url.to_string()) else { return Ok(None) };
        let (host, port) = (target.host_str().unwrap_or_default(), target.port_or_known_default());
        if url.origin().is_loopback() || self.are_bypassed_by(host, port.unwrap_or_default()) {
            return Ok(None);
        }
        let proxy = if target.scheme() == "https" { self.https() } else { self.http() };
        let Some(proxy) = proxy else { return Ok(None) };
        // As for curl, a proxy without a scheme is an http one.
        let scheme = if proxy.contains("://") { "" } else { "http://" };
        let proxy = Url::parse(&format!("{scheme}{proxy}")).map_err(|_| UnreadableProxy)?;
        let port = proxy.port().map_or(String::new(), |port| format!(":{port}"));
        let host = proxy.host_str().ok_or(UnreadableProxy)?;
        Ok(Some(format!("{}://{host}{port}", proxy.scheme())))
    }

    /// Whether `no_proxy` names this host, or its domain, at this port.
    pub fn are_bypassed_by(&self, host: &str, port: u16) -> bool {
        self.no_proxy.iter().any(|entry| entry.matches(host, port))
    }
}

/// Without the proxies, whose URLs may hold passwords.
impl std::fmt::Debug for EnvironmentProxies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EnvironmentProxies")
            .field("no_proxy", &self.no_proxy)
            .finish_non_exhaustive()
    }
}

impl NoProxyEntry {
    fn parse(entry: &str) -> Option<Self> {
        if entry.is_empty() {
            return None;
        }
        // Before a port is looked for: an IPv6 address has colons of its own.
        if let Some(network) = network(entry) {
            return Some(Self { hosts: network, port: None });
        }
        let (host, port) = match entry.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse().ok()?)),
            None => (entry, None),
        };
        // `*.corp.org`, `.corp.org` and `corp.org` are the same entry.
        let domain = host.strip_prefix('*').unwrap_or(host).trim_matches('.').to_ascii_lowercase();
        let hosts = match network(host) {
            Some(network) => network,
            None if domain.is_empty() && host.starts_with('*') => Hosts::All,
            None if domain.is_empty() => return None,
            None => Hosts::Domain(domain),
        };
        Some(Self { hosts, port })
    }

    fn matches(&self, host: &str, port: u16) -> bool {
        if self.port.is_some_and(|own| own != port) {
            return false;
        }
        // URLs have IPv6 addresses in brackets.
        let host = host.trim_matches(['[', ']']);
        match &self.hosts {
            Hosts::All => true,
            Hosts::Domain(domain) => {
                let host = host.trim_end_matches('.').to_ascii_lowercase();
                let before = host.strip_suffix(domain.as_str());
                // `notexample.com` ends in `example.com` and is no part of that domain.
                before.is_some_and(|before| before.is_empty() || before.ends_with('.'))
            }
            Hosts::Network(network, prefix) => {
                host.parse().is_ok_and(|host: IpAddr| is_in(host, *network, *prefix))
            }
        }
    }
}

/// An address, perhaps in brackets, or a network such as `10.0.0.0/8`.
fn network(text: &str) -> Option<Hosts> {
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix.parse().ok()?)),
        None => (text, None),
    };
    let address: IpAddr = address.trim_matches(['[', ']']).parse().ok()?;
    let whole = if address.is_ipv4() { 32 } else { 128 };
    let prefix = prefix.unwrap_or(whole);
    (prefix <= whole).then_some(Hosts::Network(address, prefix))
}

fn is_in(host: IpAddr, network: IpAddr, prefix: u8) -> bool {
    // Addresses of one network differ in no bit before the end of its prefix.
    let prefix = u32::from(prefix);
    match (host, network) {
        (IpAddr::V4(host), IpAddr::V4(network)) => {
            let differs = host.to_bits() ^ network.to_bits();
            differs.leading_zeros() >= prefix
        }
        (IpAddr::V6(host), IpAddr::V6(network)) => {
            let differs = host.to_bits() ^ network.to_bits();
            differs.leading_zeros() >= prefix
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(variables: &[(&str, &str)]) -> EnvironmentProxies {
        EnvironmentProxies::of(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn each_scheme_has_its_own_proxy_and_all_proxy_stands_in() {
        let both = |variables: &[_]| {
            let proxies = proxies(variables);
            (proxies.http().map(str::to_owned), proxies.https().map(str::to_owned))
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(both(&[("HTTP_PROXY", "a")]), (some("a"), None));
        assert_eq!(both(&[("https_proxy", "b")]), (None, some("b")));
        assert_eq!(both(&[("ALL_PROXY", "c"), ("http_proxy", "a")]), (some("a"), some("c")));
        assert_eq!(both(&[("HTTPS_PROXY", " "), ("all_proxy", "c")]), (some("c"), some("c")));
        assert_eq!(both(&[("HTTP_PROXY", "a"), ("REQUEST_METHOD", "GET")]), (None, None));
    }

    #[test]
    fn a_proxy_is_shown_without_its_user_where_one_is_used() {
        let shown = |variables: &[_], url: &str| {
            proxies(variables).shown_for(&BaseUrl::parse(url, true).unwrap())
        };
        let variables = [
            ("https_proxy", "http://me:hunter2@proxy:3128"),
            ("http_proxy", "me:hunter2@[::1]:80:80"),
            ("no_proxy", "inside.example"),
        ];
        let shown = |url: &str| shown(&variables, url);
        assert_eq!(shown("https://example.com"), Ok(Some("http://proxy:3128".to_owned())));
        assert_eq!(shown("http://example.com"), Err(UnreadableProxy));
        assert_eq!(shown("https://inside.example"), Ok(None));
        assert_eq!(shown("http://127.0.0.1:8080"), Ok(None));
    }

    #[test]
    fn no_proxy_may_have_blanks_domains_ports_and_networks() {
        let list =
            " example.com ,.corp.org, *.wild.net 10.0.0.0/8,host:8443,[::1]:99, fe80::/10,x:y,";
        let proxies = proxies(&[("no_proxy", list)]);
        for (host, port, is_bypassed) in [
            ("example.com", 443, true),
            ("api.EXAMPLE.com", 80, true),
            ("notexample.com", 443, false),
            ("example.com.", 443, true),
            ("corp.org", 443, true),
            ("a.b.corp.org", 443, true),
            ("a.wild.net", 443, true),
            ("10.1.2.3", 443, true),
            ("11.1.2.3", 443, false),
            ("host", 8443, true),
            ("host", 443, false),
            ("[::1]", 99, true),
            ("[::1]", 98, false),
            ("fe80::1", 1, true),
            ("x", 443, false),
        ] {
            assert_eq!(proxies.are_bypassed_by(host, port), is_bypassed, "{host}:{port}");
        }
        assert!(super::tests::proxies(&[("NO_PROXY", "*")]).are_bypassed_by("any.where", 1));
        assert!(!super::tests::proxies(&[("NO_PROXY", "  ")]).are_bypassed_by("any.where", 1));
    }

    #[test]
    fn a_password_is_not_printed() {
        let proxies = proxies(&[("HTTP_PROXY", "http://me:hunter2@proxy")]);
        assert!(!format!("{proxies:?}").contains("hunter2"));
    }
}
