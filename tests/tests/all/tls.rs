//! TLS: the caller's certificates are trusted, no others are, and what fails before a session
//! stands never left.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use effects_client::ClientBuilder;
use effects_core::wire::ExchangeError;
use effects_core::{EffectRequest, Error, ErrorKind, Template};
use effects_tests::{KEY, PHOTO_URL, TASK};
use effects_ureq::{Photo, Uploads};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoClientAuth, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{
    DEFAULT_VERSIONS, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    SupportedProtocolVersion,
};

#[test]
fn the_callers_certificates_are_trusted() {
    let gateway = serve();
    for base_url in [format!("https://{gateway}"), format!("https://localhost:{}", gateway.port())]
    {
        let bundle = folder().join("ca.pem");
        assert_eq!(blocking(&base_url, Some(&bundle)), Ok(()), "{base_url}");
        assert_eq!(asynchronous(&base_url, Some(&bundle)), Ok(()), "{base_url}");
    }
}

#[test]
fn a_stranger_never_gets_the_request() {
    let gateway = serve();
    for run in [blocking, asynchronous] {
        let error = run(&format!("https://{gateway}"), None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Transport, "{error}");
        assert!(error.to_string().contains("never left this machine"), "{error}");
        assert!(error.to_string().to_lowercase().contains("certificate"), "{error}");
        assert!(error.to_string().contains("SSL_CERT_FILE"), "{error}");
        assert!(error.to_string().contains("ca_bundle"), "{error}");
    }
}

#[test]
fn a_certificate_that_is_not_trusted_ends_a_run_and_all_jobs_at_once() {
    let base_url = format!("https://{}", serve());
    let begun = std::time::Instant::now();
    let builder = || effects_ureq::Client::builder().api_key(KEY).base_url(&base_url);
    let client = builder().uploads(Uploads::Gateway(None)).build().unwrap();
    let error = client.run(request()).unwrap_err();
    assert!(matches!(error.exchange_error(), Some(ExchangeError::Untrusted { .. })), "{error}");
    let photo = Photo::new(effects_tests::picture(), "a.png").unwrap();
    let error = client.upload(&photo).unwrap_err();
    assert!(error.to_string().contains("SSL_CERT_FILE"), "{error}");
    let error = client.task(TASK.parse().unwrap()).wait().unwrap_err();
    assert!(matches!(error.exchange_error(), Some(ExchangeError::Untrusted { .. })), "{error}");
    let jobs = (0..2_000).map(|number| {
        effects_ureq::Job::url(Template::GlassBall, &format!("{PHOTO_URL}?{number}")).unwrap()
    });
    let mut results = client.jobs().run(jobs).unwrap();
    let ended = results.by_ref().filter(|result| !result.is_completed()).count();
    assert!((1..2_000).contains(&ended), "{ended}");
    let error = results.halted_by().unwrap();
    assert!(error.to_string().contains("ca_bundle"), "{error}");
    // Nothing was tried again.
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

#[test]
fn a_bundle_without_certificates_is_refused_at_once() {
    for run in [blocking, asynchronous] {
        let error = run("https://localhost:1", Some(&folder().join("README.md"))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Misconfigured, "{error}");
        assert!(error.to_string().contains("README.md"), "{error}");
    }
}

#[test]
fn a_gateway_that_asks_for_a_certificate_is_shown_the_clients() {
    let pem = fs::read_to_string(folder().join("client.pem")).unwrap();
    let apart = tempfile::tempdir().unwrap();
    let (certificate, key) = pem.split_at(pem.find("-----BEGIN PRIVATE KEY").unwrap());
    let (cert_path, key_path) = (apart.path().join("client.crt"), apart.path().join("client.key"));
    fs::write(&cert_path, certificate).unwrap();
    fs::write(&key_path, key).unwrap();
    for version in [&TLS13, &TLS12] {
        let base_url = format!("https://{}", serve_mutual(version));
        for run in [blocking_as, asynchronous_as] {
            let together = folder().join("client.pem");
            assert_eq!(run(&base_url, Some(&together), None), Ok(()));
            assert_eq!(run(&base_url, Some(&cert_path), Some(&key_path)), Ok(()));
        }
    }
}

#[test]
fn a_certificate_that_the_gateway_does_not_accept_is_told_as_such_and_costs_nothing() {
    for version in [&TLS13, &TLS12] {
        let base_url = format!("https://{}", serve_mutual(version));
        for run in [blocking_as, asynchronous_as] {
            for (cert, words) in [
                (None, "asks for a client certificate"),
                (Some("stranger.pem"), "does not accept the client certificate"),
            ] {
                let cert = cert.map(|name| folder().join(name));
                let begun = std::time::Instant::now();
                let error = run(&base_url, cert.as_deref(), None).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Transport, "{version:?}: {error}");
                assert!(
                    matches!(error.exchange_error(), Some(ExchangeError::Untrusted { .. })),
                    "{error}"
                );
                // TLS 1.2 has one alert for both.
                let is_told = error.to_string().contains(words) || version.version == TLS12.version;
                assert!(is_told, "{version:?}: {error}");
                assert_eq!(error.to_string().matches(" client_cert").count(), 1, "{error}");
                assert!(begun.elapsed() < WAIT, "nothing is tried again");
            }
        }
    }
}

#[test]
fn a_refusal_that_comes_while_a_photo_is_written_says_what_to_do_too() {
    let base_url = format!("https://{}", serve_mutual(&TLS13));
    // More than sockets hold, so that the write is under way when the server closes the connection.
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    bytes.resize(16 << 20, 0);
    let photo = Photo::new(bytes.into(), "large.png").unwrap();
    let bundle = folder().join("ca.pem");
    let builder = effects_ureq::Client::builder().api_key(KEY).base_url(&base_url);
    let builder = builder.uploads(Uploads::Gateway(None)).wait_timeout(WAIT).ca_bundle(&bundle);
    let blocking = builder.build().unwrap().upload(&photo).unwrap_err();
    let builder = effects_reqwest::Client::builder().api_key(KEY).base_url(&base_url);
    let builder = builder.uploads(Uploads::Gateway(None)).wait_timeout(WAIT).ca_bundle(&bundle);
    let client = builder.build().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let asynchronous = runtime.block_on(client.upload(&photo)).unwrap_err();
    for error in [blocking, asynchronous] {
        let text = error.to_string();
        assert!(text.contains("CertificateRequired") && text.contains("client_cert"), "{text}");
        assert!(!text.contains("io:"), "{text}");
    }
}

#[test]
fn a_client_certificate_that_cannot_be_used_is_refused_with_its_file_and_what_is_missing() {
    let apart = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = apart.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let pem = fs::read_to_string(folder().join("client.pem")).unwrap();
    let stranger = fs::read_to_string(folder().join("stranger.pem")).unwrap();
    let key_at = |pem: &str| pem.find("-----BEGIN PRIVATE KEY").unwrap();
    let (certificate, key) = pem.split_at(key_at(&pem));
    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIHs\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let no_key = file("no-key.pem", certificate);
    let other_key = file("other.key", &stranger[key_at(&stranger)..]);
    for (cert, key, words) in [
        (apart.path().join("none.pem"), None, ["none.pem", "cannot be read"]),
        (file("no-cert.pem", key), None, ["no-cert.pem", "no certificate"]),
        (no_key.clone(), None, ["no-key.pem", "no private key"]),
        (no_key.clone(), Some(no_key.clone()), ["client_key", "no private key"]),
        (
            file("locked.pem", &[certificate, encrypted].concat()),
            None,
            ["locked.pem", "openssl pkey"],
        ),
        (no_key, Some(other_key), ["other.key", "do not go together"]),
    ] {
        for run in [blocking_as, asynchronous_as] {
            let error = run("https://localhost:1", Some(&cert), key.as_deref()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Misconfigured, "{error}");
            for words in words {
                assert!(error.to_string().contains(words), "{error}");
            }
            let text = format!("{error:?} {error}");
            assert!(!text.contains(&pem[key_at(&pem) + 40..key_at(&pem) + 60]), "no key is told");
        }
    }
}

fn blocking_as(base_url: &str, cert: Option<&Path>, key: Option<&Path>) -> Result<(), Error> {
    let builder = effects_ureq::Client::builder().api_key(KEY).base_url(base_url);
    let builder = builder.wait_timeout(WAIT).ca_bundle(folder().join("ca.pem"));
    let builder = cert.into_iter().fold(builder, ClientBuilder::client_cert);
    let builder = key.into_iter().fold(builder, ClientBuilder::client_key);
    builder.build()?.run(request()).map(drop)
}

fn asynchronous_as(base_url: &str, cert: Option<&Path>, key: Option<&Path>) -> Result<(), Error> {
    let builder = effects_reqwest::Client::builder().api_key(KEY).base_url(base_url);
    let builder = builder.wait_timeout(WAIT).ca_bundle(folder().join("ca.pem"));
    let builder = cert.into_iter().fold(builder, ClientBuilder::client_cert);
    let builder = key.into_iter().fold(builder, ClientBuilder::client_key);
    let client = builder.build()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(client.run(request())).map(drop)
}

fn blocking(base_url: &str, bundle: Option<&Path>) -> Result<(), Error> {
    let builder = effects_ureq::Client::builder().api_key(KEY).base_url(base_url);
    let builder = builder.wait_timeout(WAIT);
    let builder = bundle.into_iter().fold(builder, ClientBuilder::ca_bundle);
    let effect = builder.build()?.run(request())?;
    assert_eq!(effect.task_id.as_str(), TASK);
    Ok(())
}

fn asynchronous(base_url: &str, bundle: Option<&Path>) -> Result<(), Error> {
    let builder = effects_reqwest::Client::builder().api_key(KEY).base_url(base_url);
    let builder = builder.wait_timeout(WAIT);
    let builder = bundle.into_iter().fold(builder, ClientBuilder::ca_bundle);
    let client = builder.build()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let effect = runtime.block_on(client.run(request()))?;
    assert_eq!(effect.task_id.as_str(), TASK);
    Ok(())
}

fn request() -> EffectRequest {
    EffectRequest::new(Template::GlassBall, PHOTO_URL).unwrap()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("certificates")
}

/// A gateway behind TLS where every task is completed at once. It ends with the process.
fn serve() -> SocketAddr {
    serve_with(DEFAULT_VERSIONS, None)
}

/// The same, for clients with a certificate of the test's authority alone.
fn serve_mutual(version: &'static SupportedProtocolVersion) -> SocketAddr {
    let mut authorities = RootCertStore::empty();
    let authority = CertificateDer::from_pem_file(folder().join("client-ca.pem")).unwrap();
    authorities.add(authority).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), provider);
    serve_with(&[version], Some(verifier.build().unwrap()))
}

fn serve_with(
    versions: &[&'static SupportedProtocolVersion],
    verifier: Option<Arc<dyn ClientCertVerifier>>,
) -> SocketAddr {
    let certificates = CertificateDer::pem_file_iter(folder().join("server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(folder().join("server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_client_cert_verifier(verifier.unwrap_or_else(|| Arc::new(NoClientAuth)))
        .with_single_cert(certificates.map(Result::unwrap).collect(), key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let stream = StreamOwned::new(connection, stream.unwrap());
            // A client that does not trust the certificate hangs up.
            thread::spawn(move || answer(stream).ok());
        }
    });
    address
}

fn answer<S: Read + Write>(stream: S) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let (mut line, mut length) = (String::new(), 0);
    while line != "\r\n" {
        line.clear();
        reader.read_line(&mut line)?;
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    reader.read_exact(&mut vec![0; length])?;
    let body = format!(
        r#"{{"id":"{TASK}","status":"completed","output":[{{"content":[{{"url":"https://example.com/ball.png"}}]}}]}}"#
    );
    let mut stream = reader.into_inner();
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())?;
    stream.flush()
}

/// Long enough for a session and an exchange; what cannot be had is tried again for so long.
const WAIT: Duration = Duration::from_secs(2);
