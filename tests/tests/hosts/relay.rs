//! [`Relay`]: a line between two addresses that can be cut, as a test wants.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// Hands bytes on to an address, unless the line is cut: then they wait, as packets do.
pub(crate) struct Relay {
    to: SocketAddr,
    is_cut: Arc<AtomicBool>,
}

impl Relay {
    pub(crate) fn to(address: impl ToSocketAddrs) -> Self {
        let to = address.to_socket_addrs().unwrap().next().unwrap();
        Self { to, is_cut: Arc::default() }
    }

    pub(crate) fn cut_by(self, is_cut: &Arc<AtomicBool>) -> Self {
        Self { is_cut: Arc::clone(is_cut), ..self }
    }

    /// Listens at an address; its port.
    pub(crate) fn listen(self, at: impl ToSocketAddrs) -> u16 {
        let listener = TcpListener::bind(at).unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                // To the client it is a connection that ends.
                let Ok(server) = TcpStream::connect(self.to) else { continue };
                let ends =
                    [(client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client)];
                for (from, to) in ends {
                    let is_cut = Arc::clone(&self.is_cut);
                    thread::spawn(move || relay_bytes(from, to, &is_cut));
                }
            }
        });
        port
    }
}

fn relay_bytes(mut from: TcpStream, mut to: TcpStream, is_cut: &AtomicBool) {
    let mut buffer = [0; 8192];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        while is_cut.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(20));
        }
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    // One that is over already has no end to shut down.
    let _ = (to.shutdown(Shutdown::Both), from.shutdown(Shutdown::Both));
}
