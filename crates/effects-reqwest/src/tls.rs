//! [`settings`]: the TLS settings of a client: the certificates to trust, which are the caller's or the
//! system's (read once, and not before TLS is needed), and the client's own. `HttpClient` gives them to
//! reqwest and to `Connector`.

use std::sync::{Arc, OnceLock};

use effects_client::{CaBundle, Settings};
use effects_core::{Error, ErrorKind};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_platform_verifier::Verifier;

/// The TLS settings of a client: the caller's certificates, else the system's.
///
/// Reading the system's takes longer than everything else about a client, and reqwest would do so
/// for each of its own. A base URL that needs no TLS, which is this machine's gateway, puts it off
/// to the first https URL of a picture; so a machine without any certificates, such as a slim
/// container, can still talk to it.
pub(crate) fn settings(settings: &Settings, secure: bool) -> Result<ClientConfig, Error> {
    let installed = CryptoProvider::get_default().cloned();
    let provider = installed.unwrap_or_else(|| Arc::new(ring::default_provider()));
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&error))?;
    let builder = match &settings.ca_bundle {
        Some(bundle) => builder.with_root_certificates(certificates(bundle)?),
        None => {
            let system = SystemTrust { provider, verifier: OnceLock::new() };
            // A machine without certificates is told of when the client is made, not at its first
            // request.
            if secure {
                system.verifier().map_err(|error| unusable(&error))?;
            }
            // rustls calls every verifier of one's own dangerous; this one asks the system's.
            builder.dangerous().with_custom_certificate_verifier(Arc::new(system))
        }
    };
    let mut config = match &settings.client_cert {
        Some(cert) => builder
            .with_client_auth_cert(cert.chain().to_vec(), cert.key().clone_key())
            .map_err(|error| unusable(&error))?,
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// The system's certificates, read when they are first asked for.
#[derive(Debug)]
struct SystemTrust {
    provider: Arc<CryptoProvider>,
    verifier: OnceLock<Verifier>,
}

impl SystemTrust {
    fn verifier(&self) -> Result<&Verifier, rustls::Error> {
        if let Some(verifier) = self.verifier.get() {
            return Ok(verifier);
        }
        let verifier = Verifier::new(Arc::clone(&self.provider))?;
        // Of two threads that read the certificates at once, the first one's stay.
        Ok(self.verifier.get_or_init(|| verifier))
    }
}

/// Everything is the system verifier's to decide; nothing is decided here.
impl ServerCertVerifier for SystemTrust {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verifier = self.verifier()?;
        verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier()?.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier()?.verify_tls13_signature(message, certificate, signature)
    }

    /// The provider's own, which is what the system verifier answers too.
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn certificates(CaBundle { path, pem }: &CaBundle) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    // Bundles often have old certificates among them that rustls cannot read; the others count.
    let (added, _) =
        roots.add_parsable_certificates(CertificateDer::pem_slice_iter(pem).filter_map(Result::ok));
    if added == 0 {
        let message = format!("ca_bundle {} holds no certificate in PEM form", path.display());
        return Err(Error::new(ErrorKind::Misconfigured, message));
    }
    Ok(roots)
}

fn unusable(error: &rustls::Error) -> Error {
    let message = format!(
        "TLS cannot be set up here: {error}; where the system has no certificates, give a ca_bundle"
    );
    Error::new(ErrorKind::Misconfigured, message)
}
