//! [`listen`] and [`listen_tls`]: a server on this machine that gives each connection, from its first byte
//! or after its TLS handshake, to a closure. The closure plays the gateway: it reads with [`read_request`],
//! answers with [`write_answer`], or breaks off. The cases of `table.rs` start such servers.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::certificate;

/// A connection after its handshake.
pub(super) type TlsStream = StreamOwned<ServerConnection, TcpStream>;

/// Listens, and plays each connection in a thread of its own. It ends with the process.
pub(super) fn listen(
    play: impl Fn(TcpStream) -> io::Result<()> + Send + Sync + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a port to give");
    let address = listener.local_addr().expect("a listener has an address");
    let play = Arc::new(play);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let play = Arc::clone(&play);
            // A client that hangs up ends its connection and nothing else.
            thread::spawn(move || play(stream).ok());
        }
    });
    address
}

/// Listens behind TLS, with these protocols to choose from; plays each connection after its
/// handshake. The number counts handshakes.
pub(super) fn listen_tls(
    protocols: &[&str],
    play: impl Fn(&mut TlsStream) -> io::Result<()> + Send + Sync + 'static,
) -> (SocketAddr, Arc<AtomicUsize>) {
    let config = Arc::new(server_config(protocols));
    let handshakes = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&handshakes);
    let address = listen(move |stream| {
        // An answer that waits for the session tickets to be acknowledged would be lost in a reset.
        stream.set_nodelay(true)?;
        let connection = ServerConnection::new(Arc::clone(&config)).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(connection, stream);
        // To its end before the closure plays, so that the number counts sessions and no attempts.
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        counted.fetch_add(1, Ordering::SeqCst);
        play(&mut stream)
    });
    (address, handshakes)
}

fn server_config(protocols: &[&str]) -> ServerConfig {
    let chain = CertificateDer::pem_file_iter(certificate("server.pem"))
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .expect("the tests have a certificate");
    let key = PrivateKeyDer::from_pem_file(certificate("server.key")).expect("and its key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map(rustls::ConfigBuilder::<ServerConfig, _>::with_no_client_auth)
        .and_then(|builder| builder.with_single_cert(chain, key))
        .expect("the certificate and its key fit");
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    config
}

/// Reads a request's head and this much of its body, or less if it is shorter.
pub(super) fn read_request(stream: &mut impl Read, body_bytes: usize) -> io::Result<()> {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let count = stream.read(&mut piece)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes.extend_from_slice(&piece[..count]);
        // Looked for in all that came: the blank line may be parted between two reads.
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
        let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
        let length = length.and_then(|length| length.parse().ok()).unwrap_or(0);
        if bytes.len() - end - 4 >= body_bytes.min(length) {
            return Ok(());
        }
    }
}

/// Answers without a body.
pub(super) fn write_answer(stream: &mut impl Write, status: u16) -> io::Result<()> {
    write!(stream, "HTTP/1.1 {status} Whatever\r\nContent-Length: 0\r\n\r\n")?;
    stream.flush()
}
