//! [`ClientCert`]: the certificate that a client shows to a gateway that asks for one (mutual TLS), with
//! its chain and private key, read from PEM files and checked. `ClientBuilder` and `effects doctor` read
//! one; `tls.rs` of the async and `http_client.rs` of the blocking client give it to their TLS.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use effects_core::{Error, ErrorKind};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

/// A client's certificate with its chain and its key. It prints without the key.
#[derive(Clone)]
pub struct ClientCert {
    path: PathBuf,
    chain: Vec<CertificateDer<'static>>,
    key: Arc<PrivateKeyDer<'static>>,
    /// What the key was read from.
    key_pem: Arc<[u8]>,
}

impl ClientCert {
    /// Reads a PEM file with the certificate, its chain behind it, and the key, unless that has a file of
    /// its own.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misconfigured`], with the file and what is missing in it; and where the key is encrypted,
    /// or another certificate's.
    pub fn read(path: &Path, key_path: Option<&Path>) -> Result<Self, Error> {
        let pem = read("client_cert", path)?;
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        let chain = chain.map_err(|error| {
            misconfigured(format!("client_cert {} cannot be read: {error}", path.display()))
        })?;
        if chain.is_empty() {
            let why = "holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)";
            return Err(misconfigured(format!("client_cert {} {why}", path.display())));
        }
        let (name, key_path, key_pem) = match key_path {
            Some(key_path) => ("client_key", key_path, read("client_key", key_path)?),
            None => ("client_cert", path, pem),
        };
        let shown = key_path.display();
        let key = PrivateKeyDer::from_pem_slice(&key_pem).map_err(|_| {
            // Both forms have the word: `BEGIN ENCRYPTED PRIVATE KEY` and `Proc-Type: 4,ENCRYPTED`.
            let is_encrypted = String::from_utf8_lossy(&key_pem).contains("ENCRYPTED");
            misconfigured(if is_encrypted {
                format!(
                    "{name} {shown} holds an encrypted private key, which cannot be used: decrypt it with \
                     `openssl pkey -in {shown} -out key.pem`, for this user alone to read"
                )
            } else if name == "client_cert" {
                format!(
                    "client_cert {shown} holds no private key: put the key into the same file, behind the \
                     certificate, or name its own file as client_key"
                )
            } else {
                format!("client_key {shown} holds no private key in PEM form")
            })
        })?;
        let installed = CryptoProvider::get_default().cloned();
        let provider = installed.unwrap_or_else(|| Arc::new(ring::default_provider()));
        // Compares key and certificate. Otherwise the first handshake would fail, and the server's
        // alert would not say why.
        CertifiedKey::from_der(chain.clone(), key.clone_key(), &provider).map_err(|error| {
            misconfigured(format!(
                "client_cert {} and the private key of {shown} do not go together: {error}",
                path.display()
            ))
        })?;
        Ok(Self { path: path.to_owned(), chain, key: Arc::new(key), key_pem: key_pem.into() })
    }

    /// The certificate, and behind it its chain.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// Its private key.
    pub fn key(&self) -> &PrivateKeyDer<'static> {
        &self.key
    }

    /// The PEM text in which its private key stands first among keys.
    pub fn key_pem(&self) -> &[u8] {
        &self.key_pem
    }
}

fn read(name: &str, path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|error| {
        misconfigured(format!("{name} {} cannot be read: {error}", path.display()))
    })
}

fn misconfigured(message: String) -> Error {
    Error::new(ErrorKind::Misconfigured, message)
}

impl fmt::Debug for ClientCert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCert").field("path", &self.path).finish_non_exhaustive()
    }
}
