//! [`Reach`]: the rule that decides from which IP addresses a photo may be fetched: from public ones
//! always, from loopback where the emulator itself listens on loopback, from private networks where an
//! option allows it, from reserved ones never. `RenderQueue` makes it from the options; `Fetcher`
//! (`fetch.rs`) checks every address against it before it connects.
//!
//! A client that creates a task makes this process send a GET: without this rule it could reach services
//! of this machine and its network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What the fetcher may reach beside public addresses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reach {
    pub(crate) loopback: bool,
    pub(crate) private: bool,
}

impl Reach {
    pub(crate) fn allows(self, address: IpAddr) -> bool {
        match zone(address) {
            Zone::Public => true,
            Zone::Loopback => self.loopback,
            Zone::Private => self.private,
            Zone::Never => false,
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Zone {
    Public,
    Loopback,
    /// Private, shared, link-local and benchmarking networks.
    Private,
    /// Unspecified, multicast, reserved: nothing to fetch from.
    Never,
}

fn zone(address: IpAddr) -> Zone {
    match address {
        IpAddr::V4(address) => zone_v4(address),
        IpAddr::V6(address) => zone_v6(address),
    }
}

fn zone_v4(address: Ipv4Addr) -> Zone {
    match address.octets() {
        [127, ..] => Zone::Loopback,
        [0 | 224..=255, ..] => Zone::Never,
        // Private (RFC 1918), shared by providers (RFC 6598), link-local, protocol assignments and
        // benchmarks. At 169.254.169.254 clouds hand out credentials to every process on the
        // machine.
        [10, ..]
        | [100, 64..=127, ..]
        | [169, 254, ..]
        | [172, 16..=31, ..]
        | [192, 0, 0, _]
        | [192, 168, ..]
        | [198, 18..=19, ..] => Zone::Private,
        _ => Zone::Public,
    }
}

fn zone_v6(address: Ipv6Addr) -> Zone {
    // Before `embedded`, which would read `::1` as 0.0.0.1.
    if address == Ipv6Addr::LOCALHOST {
        return Zone::Loopback;
    }
    // Judged by where it leads, or a private address could be reached by writing it as IPv6.
    if let Some(inner) = embedded(address) {
        return zone_v4(inner);
    }
    match address.segments() {
        // Unspecified and reserved, discard-only (RFC 6666), and multicast.
        [0 | 0x100 | 0xff00.., ..] => Zone::Never,
        // Unique local, link-local, and site-local, which is no longer given out.
        [0xfc00..=0xfdff | 0xfe80..=0xfeff, ..] => Zone::Private,
        // Translation for local use (RFC 8215), and Teredo tunnels (RFC 4380), whose far end is
        // written in a way of their own.
        [0x64, 0xff9b, 1, ..] | [0x2001, 0, ..] => Zone::Private,
        _ => Zone::Public,
    }
}

/// The IPv4 address that a mapped, translated or tunnelled IPv6 address leads to.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Some(Ipv4Addr::new(a, b, c, d))
    };
    match address.segments() {
        // IPv4-mapped and IPv4-compatible.
        [0, 0, 0, 0, 0, 0xffff | 0, high, low] => v4(high, low),
        // Translated by NAT64 (RFC 6052).
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => v4(high, low),
        // Tunnelled by 6to4 (RFC 3056).
        [0x2002, high, low, ..] => v4(high, low),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_are_reached_by_default() {
        let closed = Reach { loopback: false, private: false };
        let local = Reach { loopback: true, private: false };
        let open = Reach { loopback: true, private: true };
        for public in ["93.184.216.34", "2606:2800:220:1::1", "64:ff9b::5db8:d822"] {
            assert!(closed.allows(public.parse().unwrap()), "{public}");
        }
        for loopback in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert!(!closed.allows(loopback.parse().unwrap()), "{loopback}");
            assert!(local.allows(loopback.parse().unwrap()), "{loopback}");
        }
        let private = [
            "10.0.0.1",
            "172.31.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "169.254.169.254",
            "fd00::1",
            "fe80::1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "2002:a00:1::",
            "fec0::1",
            "64:ff9b:1::5db8:d822",
            "2001::5db8:d822",
        ];
        for private in private {
            assert!(!local.allows(private.parse().unwrap()), "{private}");
            assert!(open.allows(private.parse().unwrap()), "{private}");
        }
        let never = [
            "0.0.0.0",
            "0.1.2.3",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::ffff:0.0.0.0",
            "::ffff:0:a00:1",
            "100::1",
            "ff02::1",
        ];
        for never in never {
            assert!(!open.allows(never.parse().unwrap()), "{never}");
        }
    }
}
