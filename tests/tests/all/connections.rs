//! Which connections the clients make: few, however many runs there are, and one for each submission.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use effects_core::{EffectRequest, Template};
use effects_reqwest::Client;
use effects_testkit::http::{Behaviour, ReceivedRequest, unused_address};
use effects_tests::{KEY, PHOTO_URL, ScenarioWorld, TASK};
use tokio::task::JoinSet;

/// The clients' own stacks say it; an exchange of the caller's has its own words.
#[test]
fn where_nothing_listens_both_clients_say_so_in_the_same_words() {
    let base_url = format!("http://{}", unused_address());
    let request = || EffectRequest::new(Template::GlassBall, PHOTO_URL).unwrap();
    let wait = Duration::from_millis(50);
    let client = effects_ureq::Client::builder().api_key(KEY).base_url(&base_url);
    let blocking = client.wait_timeout(wait).build().unwrap().run(request()).unwrap_err();
    let client = Client::builder().api_key(KEY).base_url(&base_url);
    let client = client.wait_timeout(wait).build().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let asynchronous = runtime.block_on(client.run(request())).unwrap_err();
    for error in [blocking, asynchronous].map(|error| error.to_string()) {
        let words = "never left this machine: nothing listens there (connection refused)";
        assert!(error.contains(words), "{error}");
        assert!(!error.contains("io: ") && !error.contains("os error"), "{error}");
    }
}

#[test]
fn thousands_of_runs_at_once_share_a_few_hundred_connections() {
    const RUNS: usize = 2_000;
    let server = SlowServer::start(1);
    run(&server, RUNS);
    assert_eq!(server.exchanges.load(Ordering::SeqCst), RUNS);
    // A connection may be made that turns out not to be needed, as another became free meanwhile.
    let max_open = server.max_open.load(Ordering::SeqCst);
    assert!((2..=2 * 256).contains(&max_open), "{max_open} connections at once");
}

/// A gateway that takes long over each answer is not asked by a few at a time.
#[test]
fn exchanges_that_last_make_room_for_others() {
    // None is answered before so many are under way.
    let server = SlowServer::start(200);
    run(&server, 200);
    assert_eq!(server.exchanges.load(Ordering::SeqCst), 200);
}

/// Each answer is followed by a reset as soon as another request comes on its connection.
#[test]
fn a_gateway_that_closes_kept_connections_as_the_next_submission_comes_leaves_none_in_doubt() {
    const RUNS: usize = 60;
    let world = ScenarioWorld::new().unwrap();
    world.gateway.otherwise(Behaviour::RespondThenReset(world.completed()));
    let request = || EffectRequest::new(Template::GlassBall, PHOTO_URL).unwrap();
    let base_url = world.gateway.base_url();

    let client = effects_ureq::Client::builder().api_key(KEY).base_url(&base_url).build().unwrap();
    let blocking = (0..RUNS).filter_map(|_| client.run(request()).err()).count();

    let client = Client::builder().api_key(KEY).base_url(&base_url).build().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let asynchronous =
        (0..RUNS).filter_map(|_| runtime.block_on(client.run(request())).err()).count();

    assert_eq!((blocking, asynchronous), (0, 0), "rows in doubt, blocking and async");
    let creates = world.gateway.requests();
    assert_eq!(creates.len(), 2 * RUNS);
    // Nothing was said about keeping a connection: each was simply not used again.
    assert!(creates.iter().all(|seen: &ReceivedRequest| seen.header("connection").is_none()));
    assert_eq!(world.gateway.connections(), 2 * RUNS);
}

/// So many runs at once, to their ends.
fn run(server: &SlowServer, runs: usize) {
    let base_url = format!("http://{}", server.address);
    let client = Client::builder().api_key(KEY).base_url(base_url).build().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut running = JoinSet::new();
        for _ in 0..runs {
            let client = client.clone();
            let request = EffectRequest::new(Template::GlassBall, PHOTO_URL).unwrap();
            running.spawn(async move { client.run(request).await });
        }
        while let Some(run) = running.join_next().await {
            assert_eq!(run.unwrap().unwrap().task_id.as_str(), TASK);
        }
    });
}

/// A gateway that takes its time over each answer, in which every task is completed. It ends with
/// the process.
struct SlowServer {
    address: SocketAddr,
    /// The most connections that were open at once.
    max_open: Arc<AtomicUsize>,
    exchanges: Arc<AtomicUsize>,
}

impl SlowServer {
    /// Starts one that answers nothing before so many exchanges have begun.
    fn start(answer_after: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (max_open, exchanges) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let server =
            Self { address, max_open: Arc::clone(&max_open), exchanges: Arc::clone(&exchanges) };
        thread::spawn(move || {
            let open = Arc::<AtomicUsize>::default();
            for stream in listener.incoming() {
                let (open, exchanges) = (Arc::clone(&open), Arc::clone(&exchanges));
                max_open.fetch_max(open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                thread::spawn(move || {
                    // A client that hangs up ends its connection, and nothing else.
                    serve_connection(&stream.unwrap(), &exchanges, answer_after).ok();
                    open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        server
    }
}

fn serve_connection(
    mut stream: &TcpStream,
    seen: &AtomicUsize,
    answer_after: usize,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    loop {
        let mut length = 0;
        line.clear();
        while line != "\r\n" {
            line.clear();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        reader.read_exact(&mut vec![0; length])?;
        seen.fetch_add(1, Ordering::SeqCst);
        // It takes its time in any case.
        thread::sleep(Duration::from_millis(5));
        while seen.load(Ordering::SeqCst) < answer_after {
            thread::sleep(Duration::from_millis(5));
        }
        let body = format!(
            r#"{{"id":"{TASK}","status":"completed","output":[{{"content":[{{"url":"https://example.com/ball.png"}}]}}]}}"#
        );
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())?;
    }
}
