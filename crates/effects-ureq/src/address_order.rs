//! [`AddressOrder`]: sorts a host's addresses before a connection so that a family (IPv4 or IPv6) that
//! cannot be reached from this network comes last. It tries the first address for 250 ms, and remembers for
//! its family whether that worked (ten minutes) or not (one minute). `GatewayConnector` (`connection.rs`)
//! calls it for each connection, unless a proxy resolves the host.
//!
//! Many networks give IPv6 addresses and carry nothing to them. ureq tries addresses one after the other,
//! and gives the first half of the time to connect; browsers begin with the next after 250 ms (RFC 8305). So
//! the first address is tried here for so long, and what is found out of its family is remembered.

use std::net::{SocketAddr, TcpStream};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What is known of the two families of addresses.
#[derive(Debug, Default)]
pub(crate) struct AddressOrder {
    ipv4: Mutex<Option<KnownAddress>>,
    ipv6: Mutex<Option<KnownAddress>>,
}

#[derive(Clone, Copy, Debug)]
struct KnownAddress {
    leads_there: bool,
    until: Instant,
}

impl AddressOrder {
    /// Puts addresses of a family that leads nowhere behind the others. One family alone, and this
    /// machine's own addresses, stay as they are.
    pub(crate) fn arrange(&self, addresses: &mut [SocketAddr]) {
        if !addresses.iter().any(|address| address.ip().is_loopback()) {
            self.arrange_all(addresses);
        }
    }

    fn arrange_all(&self, addresses: &mut [SocketAddr]) {
        let Some(first) = addresses.first().copied() else { return };
        let is_first_s = |address: &SocketAddr| address.is_ipv6() == first.is_ipv6();
        if !addresses.iter().all(is_first_s) && !self.leads_there(&first) {
            // `false` comes first, and the resolver's order stays within a family.
            addresses.sort_by_key(is_first_s);
        }
    }

    /// Whether a connection to this address comes about, by what is known of its family; else tried.
    fn leads_there(&self, address: &SocketAddr) -> bool {
        let family = if address.is_ipv6() { &self.ipv6 } else { &self.ipv4 };
        let known = *family.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.filter(|known| Instant::now() < known.until) {
            return known.leads_there;
        }
        // Not locked meanwhile: two threads may try at once, and neither waits for the other.
        let leads_there = TcpStream::connect_timeout(address, HEAD_START).is_ok();
        let lasts = if leads_there { WORKS_FOR } else { BROKEN_FOR };
        let known = KnownAddress { leads_there, until: Instant::now() + lasts };
        *family.lock().unwrap_or_else(PoisonError::into_inner) = Some(known);
        leads_there
    }
}

const HEAD_START: Duration = Duration::from_millis(250);

const WORKS_FOR: Duration = Duration::from_secs(600);

/// A network may come back.
const BROKEN_FOR: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// An address that takes no more connections and refuses none: its queue is full.
    fn silent() -> (TcpListener, Vec<TcpStream>) {
        let listening = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listening.local_addr().unwrap();
        let mut waiting = Vec::new();
        // More than any system keeps for a listener of Rust's.
        while let Ok(one) = TcpStream::connect_timeout(&address, Duration::from_millis(100)) {
            assert!(waiting.len() < 10_000, "the queue has no end");
            waiting.push(one);
        }
        (listening, waiting)
    }

    #[test]
    fn a_family_that_leads_nowhere_comes_last_after_a_quarter_of_a_second() {
        let (listening, _waiting) = silent();
        let nowhere = listening.local_addr().unwrap();
        let there: SocketAddr = "[::1]:9".parse().unwrap();
        let order = AddressOrder::default();
        for limit in [Duration::from_millis(300), Duration::from_millis(50)] {
            let mut addresses = [nowhere, there];
            let begun = Instant::now();
            order.arrange_all(&mut addresses);
            assert_eq!(addresses, [there, nowhere]);
            // The second time it is known.
            assert!(begun.elapsed() < limit, "{:?}", begun.elapsed());
        }
    }

    #[test]
    fn a_family_that_leads_there_stays_first_and_one_alone_is_not_tried() {
        let listening = TcpListener::bind("127.0.0.1:0").unwrap();
        let there = listening.local_addr().unwrap();
        let other: SocketAddr = "[::1]:9".parse().unwrap();
        let order = AddressOrder::default();
        let mut addresses = [there, other];
        order.arrange_all(&mut addresses);
        assert_eq!(addresses, [there, other]);

        let (silent, _waiting) = silent();
        let (begun, mut alone) = (Instant::now(), [silent.local_addr().unwrap(); 2]);
        AddressOrder::default().arrange_all(&mut alone);
        AddressOrder::default().arrange(&mut [silent.local_addr().unwrap(), other]);
        assert!(begun.elapsed() < Duration::from_millis(100), "nothing is tried");
    }
}
