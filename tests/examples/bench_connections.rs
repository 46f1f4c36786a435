//! What it costs to send each submission on a connection of its own: `cargo run --release -p
//! effects-tests --example bench_connections`.
//!
//! Each client's own exchange, which makes a connection for each submission, is set against the same
//! HTTP library keeping its connection, over plain HTTP, over TLS, and for the async client over
//! HTTP/2. A submission's cost is the CPU time of the one thread that makes it; the server is another
//! process. Rounds are interleaved, so that whatever the machine does in between happens to all, and a
//! ratio is the median of the rounds' ratios. The round trips that a connection costs beside are the
//! network's: one for TCP, one for TLS.

use std::env;
use std::error::Error;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use effects_client::{BuildClient, ClientBuilder, Settings, Transport};
use effects_core::gateway::{Answer, AsyncExchange, Call, DynExchange, Endpoint, Exchange};
use effects_core::{EffectRequest, Policy, Run, Seed, Step, Template, Time};
use effects_reqwest::ReqwestExchange;
use effects_ureq::UreqExchange;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio_rustls::TlsAcceptor;

const SUBMISSIONS_A_ROUND: usize = 200;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    if let Some(protocols) = env::args().nth(1).filter(|name| PROTOCOLS.contains(&name.as_str())) {
        return runtime()?.block_on(serve(&protocols));
    }
    let rounds = env::args().nth(1).map_or(Ok(9), |rounds| rounds.parse())?;
    for protocol in PROTOCOLS {
        let server = Server::start(protocol)?;
        let settings = settings(&server.base_url)?;
        let (call, runtime) = (submission()?, runtime()?);
        let (own, kept) = (ReqwestExchange::new(&settings)?, reqwest_by_hand()?);
        let request = || settings.endpoint.request(&call);
        compare(
            &format!("async client, {protocol}"),
            rounds,
            &[&|| status(&runtime.block_on(own.exchange(request(), call.timeout))), &|| {
                runtime.block_on(kept_by_reqwest(&kept, &settings.endpoint, &call))
            }],
        )?;
        if protocol == HTTP2 {
            continue;
        }
        let (own, kept) = (UreqExchange::new(&settings)?, ureq_by_hand()?);
        compare(
            &format!("blocking client, {protocol}"),
            rounds,
            &[&|| status(&own.exchange(request(), call.timeout)), &|| {
                Ok(kept.run(request().map(Vec::from))?.body_mut().read_to_vec().map(drop)?)
            }],
        )?;
    }
    Ok(())
}

async fn kept_by_reqwest(client: &reqwest::Client, endpoint: &Endpoint, call: &Call) -> Result<()> {
    let request = reqwest::Request::try_from(endpoint.request(call))?;
    client.execute(request).await?.error_for_status()?.bytes().await?;
    Ok(())
}

fn status(answer: &Answer) -> Result<()> {
    match answer {
        Answer::Answered { status, .. } if status.is_success() => Ok(()),
        answer => Err(format!("{answer:?}").into()),
    }
}

/// Both ways in turn, round by round.
fn compare(name: &str, rounds: usize, ways: &[&dyn Fn() -> Result<()>; 2]) -> Result<()> {
    let mut costs = Vec::new();
    // The first round warms up and does not count.
    for round in 0..=rounds {
        let pair = [cost(ways[0])?, cost(ways[1])?];
        if round > 0 {
            costs.push(pair);
        }
    }
    let median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let column = |index: usize| median(costs.iter().map(|pair| pair[index]).collect());
    println!(
        "{name}: own connection {:.0} µs, kept connection {:.0} µs of CPU a submission: ratio {:.2}",
        column(0),
        column(1),
        median(costs.iter().map(|pair| pair[0] / pair[1]).collect()),
    );
    Ok(())
}

/// Microseconds of this thread's CPU time a submission takes.
fn cost(submit: &dyn Fn() -> Result<()>) -> Result<f64> {
    let before = cpu_nanos()?;
    for _ in 0..SUBMISSIONS_A_ROUND {
        submit()?;
    }
    Ok((cpu_nanos()? - before) as f64 / 1e3 / SUBMISSIONS_A_ROUND as f64)
}

/// The kernel's count of what this thread has run, in nanoseconds.
fn cpu_nanos() -> Result<u64> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(text.split(' ').next().unwrap_or_default().parse()?)
}

fn runtime() -> Result<Runtime> {
    Ok(Builder::new_current_thread().enable_all().build()?)
}

/// The settings of a client, which its exchanges are made with.
struct TakenSettings(Settings);

impl BuildClient for TakenSettings {
    type Exchange = DynExchange;

    fn from_settings(
        settings: Settings,
        _: Transport<DynExchange>,
    ) -> std::result::Result<Self, effects_core::Error> {
        Ok(Self(settings))
    }
}

fn settings(base_url: &str) -> Result<Settings> {
    let builder = ClientBuilder::<TakenSettings>::new();
    let builder = builder.api_key(KEY).base_url(base_url).ca_bundle(certificate("ca.pem"));
    Ok(builder.build()?.0)
}

fn submission() -> Result<Call> {
    let request = EffectRequest::new(Template::GlassBall, "https://photos.example.com/cat.jpg")?;
    let mut run = Run::submit(request, Arc::new(Policy::default()), Seed::from(1), Time::default());
    loop {
        match run.step(Time::default()) {
            Step::Send(call) => return Ok(call),
            Step::Record(entry) => run.recorded(entry.id),
            Step::Notify(_) => {}
            step => return Err(format!("a run that begins does not submit but {step:?}").into()),
        }
    }
}

fn ureq_by_hand() -> Result<ureq::Agent> {
    let pem = fs::read(certificate("ca.pem"))?;
    let root = ureq::tls::Certificate::from_pem(&pem)?;
    let roots = ureq::tls::RootCerts::new_with_certs(&[root]);
    Ok(ureq::Agent::config_builder()
        .proxy(None)
        .tls_config(ureq::tls::TlsConfig::builder().root_certs(roots).build())
        .timeout_global(Some(Duration::from_secs(30)))
        .build()
        .into())
}

fn reqwest_by_hand() -> Result<reqwest::Client> {
    // Fails where a provider is installed already, which will do as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let root = reqwest::Certificate::from_pem(&fs::read(certificate("ca.pem"))?)?;
    Ok(reqwest::Client::builder().no_proxy().tls_certs_only([root]).build()?)
}

fn certificate(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("certificates").join(name)
}

/// The server, in a process of its own.
struct Server {
    process: Child,
    base_url: String,
}

impl Server {
    fn start(protocol: &str) -> Result<Self> {
        let mut process =
            Command::new(env::current_exe()?).arg(protocol).stdout(Stdio::piped()).spawn()?;
        let mut base_url = String::new();
        let stdout = process.stdout.take().ok_or("the server has no output")?;
        BufReader::new(stdout).read_line(&mut base_url)?;
        Ok(Self { process, base_url: base_url.trim().to_owned() })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn serve(protocol: &str) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let scheme = if protocol == PLAIN { "http" } else { "https" };
    println!("{scheme}://{}", listener.local_addr()?);
    let acceptor = acceptor(protocol)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        // A client that hangs up ends its connection and nothing else.
        match protocol {
            PLAIN => drop(tokio::spawn(answer(stream))),
            HTTP2 => drop(tokio::spawn(answer_streams(acceptor.accept(stream).await?))),
            _ => drop(tokio::spawn(answer(acceptor.accept(stream).await?))),
        }
    }
}

fn acceptor(protocol: &str) -> Result<TlsAcceptor> {
    let chain: std::result::Result<_, _> =
        CertificateDer::pem_file_iter(certificate("server.pem"))?.collect();
    let key = PrivateKeyDer::from_pem_file(certificate("server.key"))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain?, key)?;
    if protocol == HTTP2 {
        config.alpn_protocols = vec![b"h2".to_vec()];
    }
    Ok(Arc::new(config).into())
}

async fn answer(stream: impl AsyncRead + AsyncWrite + Unpin) -> std::io::Result<()> {
    let mut stream = tokio::io::BufReader::new(stream);
    let (mut line, mut length) = (String::new(), 0);
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        if line == "\r\n" {
            stream.read_exact(&mut vec![0; length]).await?;
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", TASK.len());
            stream.write_all((head + TASK).as_bytes()).await?;
            stream.flush().await?;
        }
    }
}

async fn answer_streams(
    stream: tokio_rustls::server::TlsStream<TcpStream>,
) -> std::result::Result<(), h2::Error> {
    let mut connection = h2::server::handshake(stream).await?;
    while let Some(accepted) = connection.accept().await {
        let (request, mut respond) = accepted?;
        tokio::spawn(async move {
            let mut body = request.into_body();
            while let Some(data) = body.data().await {
                let length = data?.len();
                body.flow_control().release_capacity(length)?;
            }
            let mut sender = respond.send_response(http::Response::new(()), false)?;
            sender.send_data(Bytes::from_static(TASK.as_bytes()), true)
        });
    }
    Ok(())
}

const KEY: &str = "sk-0123456789abcdef0123456789abcdef";
const TASK: &str = r#"{"id":"d758n65e878c73cmdg20","status":"in_progress"}"#;
const PLAIN: &str = "HTTP/1.1";
const TLS: &str = "HTTP/1.1 over TLS";
const HTTP2: &str = "HTTP/2 over TLS";
const PROTOCOLS: [&str; 3] = [PLAIN, TLS, HTTP2];
