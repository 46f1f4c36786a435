//! [`Tls`]: TLS to a Postgres server, or none. It gives the Postgres driver a stream of rustls, which
//! verifies the server by the platform's certificates or those of a file. `DatabaseSettings` makes it,
//! from `sslmode` and `sslrootcert`, and `PreparedConnection` connects with it.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::Socket;
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_rustls::TlsConnector;

/// What TLS is spoken with; `None` where none is.
#[derive(Clone)]
pub(crate) struct Tls(Option<Arc<ClientConfig>>);

impl Tls {
    /// `root` is a file of certificates in PEM, or `system`, as is said of `sslrootcert`.
    pub(crate) fn new(secure: bool, root: Option<&str>) -> Result<Self, String> {
        if !secure && root.is_none() {
            return Ok(Self(None));
        }
        // Named, since rustls finds one by itself only where the crates of the program bring a single
        // one, and panics otherwise.
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let builder = match root.filter(|root| *root != "system") {
            None => builder.with_platform_verifier().map_err(|error| {
                format!("the system's certificates cannot be read: {error}; name a file with sslrootcert")
            })?,
            Some(file) => builder.with_root_certificates(certificates(Path::new(file))?),
        };
        Ok(Self(Some(Arc::new(builder.with_no_client_auth()))))
    }
}

fn certificates(file: &Path) -> Result<RootCertStore, String> {
    let refuse = |why: &dyn std::fmt::Display| format!("sslrootcert={}: {why}", file.display());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(|error| refuse(&error))? {
        let certificate = certificate.map_err(|error| refuse(&error))?;
        roots.add(certificate).map_err(|error| refuse(&error))?;
    }
    if roots.is_empty() { Err(refuse(&"there is no certificate in it")) } else { Ok(roots) }
}

impl MakeTlsConnect<Socket> for Tls {
    type Stream = Stream;
    type TlsConnect = Handshake;
    type Error = io::Error;

    fn make_tls_connect(&mut self, host: &str) -> io::Result<Handshake> {
        // Asked for every connection, and used where TLS is spoken.
        Ok(Handshake { settings: self.0.clone(), host: host.to_owned() })
    }
}

/// A handshake that is to be made.
pub(crate) struct Handshake {
    settings: Option<Arc<ClientConfig>>,
    host: String,
}

impl TlsConnect<Socket> for Handshake {
    type Stream = Stream;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Stream>> + Send>>;

    fn connect(self, socket: Socket) -> Self::Future {
        Box::pin(async move {
            let settings = self.settings.ok_or(io::ErrorKind::Unsupported)?;
            let name = ServerName::try_from(self.host).map_err(io::Error::other)?;
            TlsConnector::from(settings).connect(name, socket).await.map(Stream)
        })
    }
}

/// A connection in TLS.
pub(crate) struct Stream(tokio_rustls::client::TlsStream<Socket>);

impl TlsStream for Stream {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
