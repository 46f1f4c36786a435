//! What the clients cost beside a hand-written loop: `cargo run --release -p effects-tests --example
//! bench_clients`.
//!
//! Four programs make the same exchanges with the same server: each client, and for each a loop
//! written by hand on the same HTTP library with the same settings, which does what a careful user
//! would write and nothing else: send, read the body, parse it, look at the status. An exchange's
//! cost is the CPU time of the one thread that makes it; the server is another process. Rounds are
//! interleaved, so that whatever the machine does in between happens to all, and a ratio is the
//! median of the rounds' ratios.

use std::env;
use std::error::Error;
use std::fs;
use std::hint::black_box;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use effects_core::{EffectRequest, Pace, Template};
use serde_json::Value;
use tokio::runtime::Runtime;

/// Looks before a task is completed; with its create, a run makes one exchange more.
const LOOKS: usize = 49;
const RUNS_A_ROUND: usize = 40;

fn main() -> Result<(), Box<dyn Error>> {
    if env::args().nth(1).as_deref() == Some("serve") {
        return serve();
    }
    let rounds = env::args().nth(1).map_or(Ok(15), |rounds| rounds.parse())?;
    let server = Server::start()?;
    let base = &server.base_url;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let blocking =
        effects_ureq::Client::builder().api_key(KEY).base_url(base).pace(PACE).build()?;
    let asynchronous =
        effects_reqwest::Client::builder().api_key(KEY).base_url(base).pace(PACE).build()?;
    let (agent, http) = (ureq_by_hand(), reqwest_by_hand()?);

    let mut rows = Vec::new();
    // The first round warms up and does not count.
    for round in 0..=rounds {
        let row = [
            cost(|| {
                blocking.run(request()?).map(|effect| drop(black_box(effect))).map_err(Into::into)
            })?,
            cost(|| loop_on_ureq(&agent, base))?,
            cost(|| run_on(&runtime, &asynchronous))?,
            cost(|| runtime.block_on(loop_on_reqwest(&http, base)))?,
        ];
        if round > 0 {
            rows.push(row);
        }
    }
    report("blocking client / loop on ureq", &rows, 0, 1);
    report("async client / loop on reqwest", &rows, 2, 3);
    Ok(())
}

fn run_on(runtime: &Runtime, client: &effects_reqwest::Client) -> Result<(), Box<dyn Error>> {
    let effect = runtime.block_on(client.run(request()?))?;
    black_box(effect);
    Ok(())
}

fn request() -> Result<EffectRequest, effects_core::InvalidRequest> {
    EffectRequest::new(Template::GlassBall, PHOTO)
}

/// Microseconds of this thread's CPU time an exchange takes.
fn cost(run: impl Fn() -> Result<(), Box<dyn Error>>) -> Result<f64, Box<dyn Error>> {
    let before = cpu_nanos()?;
    for _ in 0..RUNS_A_ROUND {
        run()?;
    }
    let spent = cpu_nanos()? - before;
    Ok(spent as f64 / 1e3 / (RUNS_A_ROUND * (LOOKS + 1)) as f64)
}

/// The kernel's count of what this thread has run, in nanoseconds.
fn cpu_nanos() -> Result<u64, Box<dyn Error>> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(text.split(' ').next().unwrap_or_default().parse()?)
}

fn report(name: &str, rows: &[[f64; 4]], ours: usize, theirs: usize) {
    let median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let column = |index: usize| median(rows.iter().map(|row| row[index]).collect());
    let ratios: Vec<f64> = rows.iter().map(|row| row[ours] / row[theirs]).collect();
    let (least, most) = ratios
        .iter()
        .fold((f64::MAX, 0.0_f64), |(least, most), ratio| (least.min(*ratio), most.max(*ratio)));
    println!(
        "{name}: {:.3} ({least:.3} to {most:.3} in {} rounds), {:.1} against {:.1} µs an exchange",
        median(ratios.clone()),
        rows.len(),
        column(ours),
        column(theirs),
    );
}

/// ureq as the client sets it up.
fn ureq_by_hand() -> ureq::Agent {
    ureq::Agent::config_builder()
        .proxy(None)
        .timeout_connect(Some(Duration::from_secs(10)))
        .timeout_global(Some(Duration::from_secs(30)))
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .build()
        .into()
}

fn loop_on_ureq(agent: &ureq::Agent, base: &str) -> Result<(), Box<dyn Error>> {
    let url = format!("{base}/model/v1/generation");
    let mut answer = agent
        .post(&url)
        .header("authorization", format!("Bearer {KEY}"))
        .header("accept", "application/json")
        .header("content-type", "application/json")
        .header("x-request-id", ID)
        .header("idempotency-key", ID)
        .header("user-agent", "by-hand/1")
        .send(body().as_bytes())?;
    let task: Value = serde_json::from_slice(&answer.body_mut().read_to_vec()?)?;
    let url = format!("{url}/task/{}", task["id"].as_str().unwrap_or_default());
    loop {
        let mut answer = agent
            .get(&url)
            .header("authorization", format!("Bearer {KEY}"))
            .header("accept", "application/json")
            .header("user-agent", "by-hand/1")
            .call()?;
        let task: Value = serde_json::from_slice(&answer.body_mut().read_to_vec()?)?;
        if task["status"] == "completed" {
            black_box(task);
            return Ok(());
        }
    }
}

/// reqwest as the client sets it up.
fn reqwest_by_hand() -> Result<reqwest::Client, Box<dyn Error>> {
    // Fails where a provider is installed already, which will do as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Ok(reqwest::Client::builder()
        .no_proxy()
        .connect_timeout(Duration::from_secs(10))
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .build()?)
}

async fn loop_on_reqwest(client: &reqwest::Client, base: &str) -> Result<(), Box<dyn Error>> {
    let url = format!("{base}/model/v1/generation");
    let answer = client
        .post(&url)
        .timeout(Duration::from_secs(30))
        .header("authorization", format!("Bearer {KEY}"))
        .header("accept", "application/json")
        .header("content-type", "application/json")
        .header("x-request-id", ID)
        .header("idempotency-key", ID)
        .header("user-agent", "by-hand/1")
        .body(body())
        .send()
        .await?;
    let task: Value = serde_json::from_slice(&answer.bytes().await?)?;
    let url = format!("{url}/task/{}", task["id"].as_str().unwrap_or_default());
    loop {
        let answer = client
            .get(&url)
            .timeout(Duration::from_secs(30))
            .header("authorization", format!("Bearer {KEY}"))
            .header("accept", "application/json")
            .header("user-agent", "by-hand/1")
            .send()
            .await?;
        let task: Value = serde_json::from_slice(&answer.bytes().await?)?;
        if task["status"] == "completed" {
            black_box(task);
            return Ok(());
        }
    }
}

fn body() -> String {
    format!(
        r#"{{"model":"spark_img_effects","input":[{{"params":{{"image_input1":"{PHOTO}","template_id":"glass_ball"}}}}]}}"#
    )
}

/// The server, in a process of its own.
struct Server {
    process: Child,
    base_url: String,
}

impl Server {
    fn start() -> Result<Self, Box<dyn Error>> {
        let mut process =
            Command::new(env::current_exe()?).arg("serve").stdout(Stdio::piped()).spawn()?;
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

fn serve() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("http://{}", listener.local_addr()?);
    for stream in listener.incoming() {
        let stream = stream?;
        thread::spawn(move || talk(&stream).ok());
    }
    Ok(())
}

/// Answers each create with a task and each task's last look with its picture: the last request of
/// a task is told by its number alone, so every connection counts for itself.
fn talk(mut stream: &TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    let (mut line, mut looks) = (String::new(), 0);
    loop {
        let (mut length, mut is_look) = (0, false);
        line.clear();
        while line != "\r\n" {
            line.clear();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            is_look |= line.starts_with("GET ");
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        reader.read_exact(&mut vec![0; length])?;
        looks += usize::from(is_look);
        let body = if is_look && looks % LOOKS == 0 { COMPLETED } else { RUNNING };
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
        let answer = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(answer.as_bytes())?;
    }
}

const KEY: &str = "sk-0123456789abcdef0123456789abcdef";
const ID: &str = "7d9f7a2e-3a68-4b0b-8f0e-1b0f5f0b7a11";
const PHOTO: &str = "https://photos.example.com/cat.jpg";
const PACE: Pace = Pace::fixed(Duration::ZERO);
const RUNNING: &str = r#"{"id":"d758n65e878c73cmdg20","model":"spark_img_effects","created_at":1764000000,"status":"in_progress","progress":0.4}"#;
const COMPLETED: &str = r#"{"id":"d758n65e878c73cmdg20","model":"spark_img_effects","created_at":1764000000,"status":"completed","progress":1,"output":[{"content":[{"type":"image","url":"https://files.example.com/r.png","size":123456,"jobId":"job-1"}]}],"usage":{"cost":"0.03","discount":1},"metadata":{"in_queue_at":0.1,"upload_at":0.5,"completed_at":4.2}}"#;
