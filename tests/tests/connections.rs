//! How many connections the async client makes: few, however many runs there are.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use effects_core::{EffectRequest, Template};
use effects_reqwest::Client;
use effects_tests::{KEY, PHOTO_URL, TASK};
use tokio::task::JoinSet;

#[test]
fn thousands_of_runs_at_once_share_a_few_hundred_connections() {
    const RUNS: usize = 2_000;
    let server = Server::start();
    let base_url = format!("http://{}", server.address);
    let client = Client::builder().api_key(KEY).base_url(base_url).build().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut runs = JoinSet::new();
        for _ in 0..RUNS {
            let client = client.clone();
            let request = EffectRequest::new(Template::GlassBall, PHOTO_URL).unwrap();
            runs.spawn(async move { client.run(request).await });
        }
        while let Some(run) = runs.join_next().await {
            assert_eq!(run.unwrap().unwrap().task_id.as_str(), TASK);
        }
    });
    assert_eq!(server.exchanges.load(Ordering::SeqCst), RUNS);
    // A connection may be made that turns out not to be needed, as another became free meanwhile.
    let most = server.most.load(Ordering::SeqCst);
    assert!((2..=2 * 256).contains(&most), "{most} connections at once");
}

/// A gateway that takes its time over each answer, in which every task is completed. It ends with
/// the process.
struct Server {
    address: SocketAddr,
    /// Connections at once, at most.
    most: Arc<AtomicUsize>,
    exchanges: Arc<AtomicUsize>,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (most, exchanges) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let server = Self { address, most: Arc::clone(&most), exchanges: Arc::clone(&exchanges) };
        thread::spawn(move || {
            let open = Arc::<AtomicUsize>::default();
            for stream in listener.incoming() {
                let (open, exchanges) = (Arc::clone(&open), Arc::clone(&exchanges));
                most.fetch_max(open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                thread::spawn(move || {
                    // A client that hangs up ends its connection, and nothing else.
                    talk(&stream.unwrap(), &exchanges).ok();
                    open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        server
    }
}

fn talk(mut stream: &TcpStream, seen: &AtomicUsize) -> std::io::Result<()> {
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
        thread::sleep(Duration::from_millis(5));
        let body = format!(
            r#"{{"id":"{TASK}","status":"completed","output":[{{"content":[{{"url":"https://example.com/ball.png"}}]}}]}}"#
        );
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())?;
    }
}
