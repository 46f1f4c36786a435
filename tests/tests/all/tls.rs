//! TLS: the caller's certificates are trusted, nobody else's are, and what fails before a session
//! stands never left.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use effects_client::ClientBuilder;
use effects_core::wire::Trouble;
use effects_core::{EffectRequest, Error, ErrorKind, Template};
use effects_tests::{KEY, PHOTO_URL, TASK};
use effects_ureq::{Photo, Uploads};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

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
    assert!(matches!(error.trouble(), Some(Trouble::Untrusted { .. })), "{error}");
    let photo = Photo::new(effects_tests::picture(), "a.png").unwrap();
    let error = client.upload(&photo).unwrap_err();
    assert!(error.to_string().contains("SSL_CERT_FILE"), "{error}");
    let error = client.task(TASK.parse().unwrap()).wait().unwrap_err();
    assert!(matches!(error.trouble(), Some(Trouble::Untrusted { .. })), "{error}");
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
    let certificates = CertificateDer::pem_file_iter(folder().join("server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(folder().join("server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
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
