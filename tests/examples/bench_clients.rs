//! What the clients cost beside a hand-written loop: `cargo run --profile dist -p effects-tests
//! --example bench_clients`. The profile matters: `release` is built to be ready soon.
//!
//! Each client is set against a loop written by hand on the same HTTP library with the same settings,
//! which does what a careful user would write and nothing else: send, read the body, parse it, look at
//! the status. Both send the same headers but for the name in `User-Agent`, and have the same time
//! limits. Three pairs are measured for each library:
//!
//! - *looks alone*: a task is waited for. Both sides keep their connection.
//! - *a run*: a request is submitted and its task waited for. Both sides submit on a connection of its
//!   own, as the clients always do, since a kept one may be closed under a submission, whose fate is
//!   unknown then.
//! - *a run, loop that submits on its kept connection*: what that care costs beside. The goal is not
//!   for this pair: the sides do not do the same.
//!
//! An exchange's cost is the CPU time of the one thread that makes it; the server is another process.
//! All sides take turns run by run, so that whatever the machine does in between happens to all, and a
//! ratio is the median of the rounds' ratios.

use std::env;
use std::error::Error;
use std::fs;
use std::hint::black_box;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use effects_core::{EffectRequest, Pace, TaskId, Template};
use serde_json::Value;
use tokio::runtime::Runtime;

/// What a client may cost, as a multiple of a loop that does the same.
const GOAL: f64 = 1.10;

/// Looks before a task is completed; with its create, a run makes one exchange more.
const LOOKS: usize = 49;
const RUNS_A_ROUND: usize = 40;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// One of the programs that are compared: its exchanges a turn, and a turn.
type Side<'a> = (usize, &'a dyn Fn() -> Result<()>);

fn main() -> Result<()> {
    if env::args().nth(1).as_deref() == Some("serve") {
        return serve();
    }
    let rounds = env::args().nth(1).map_or(Ok(15), |rounds| rounds.parse())?;
    let server = Server::start()?;
    let generation = format!("{}/model/v1/generation", server.base_url);
    let task: TaskId = TASK.parse()?;
    measure_ureq(rounds, &server.base_url, &generation, &task)?;
    measure_reqwest(rounds, &server.base_url, &generation, &task)
}

fn measure_ureq(rounds: usize, base: &str, generation: &str, task: &TaskId) -> Result<()> {
    let client = effects_ureq::Client::builder().api_key(KEY).base_url(base).pace(PACE).build()?;
    let (kept, single) = (ureq_by_hand(3), ureq_by_hand(0));
    let wait_by_hand = |id: &str| loop_on_ureq(&kept, generation, id);
    let wait = || Ok(drop(black_box(client.task(task.clone()).wait()?)));
    let run = || Ok(drop(black_box(client.run(request()?)?)));
    compare(
        "ureq",
        rounds,
        [
            (LOOKS, &wait),
            (LOOKS, &|| wait_by_hand(TASK)),
            (LOOKS + 1, &run),
            (LOOKS + 1, &|| wait_by_hand(&submit_on_ureq(&single, generation)?)),
            (LOOKS + 1, &|| wait_by_hand(&submit_on_ureq(&kept, generation)?)),
        ],
    )
}

fn measure_reqwest(rounds: usize, base: &str, generation: &str, task: &TaskId) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let client =
        effects_reqwest::Client::builder().api_key(KEY).base_url(base).pace(PACE).build()?;
    let (kept, single) = (reqwest_by_hand(usize::MAX)?, reqwest_by_hand(0)?);
    let run_by_hand = |submitting: &reqwest::Client| {
        runtime.block_on(async {
            let id = submit_on_reqwest(submitting, generation).await?;
            loop_on_reqwest(&kept, generation, &id).await
        })
    };
    let wait = || Ok(drop(black_box(runtime.block_on(client.task(task.clone()).wait())?)));
    let run = || run_on(&runtime, &client);
    compare(
        "reqwest",
        rounds,
        [
            (LOOKS, &wait),
            (LOOKS, &|| runtime.block_on(loop_on_reqwest(&kept, generation, TASK))),
            (LOOKS + 1, &run),
            (LOOKS + 1, &|| run_by_hand(&single)),
            (LOOKS + 1, &|| run_by_hand(&kept)),
        ],
    )
}

fn run_on(runtime: &Runtime, client: &effects_reqwest::Client) -> Result<()> {
    let effect = runtime.block_on(client.run(request()?))?;
    black_box(effect);
    Ok(())
}

fn request() -> std::result::Result<EffectRequest, effects_core::InvalidRequest> {
    EffectRequest::new(Template::GlassBall, PHOTO)
}

/// Lets the sides take turns, and prints how the clients' compare with the loops'.
fn compare(library: &str, rounds: usize, sides: [Side<'_>; 5]) -> Result<()> {
    let mut costs = Vec::new();
    // The first round warms up and does not count.
    for round in 0..=rounds {
        let mut spent = [0; 5];
        for _ in 0..RUNS_A_ROUND {
            for (spent, (_, turn)) in spent.iter_mut().zip(sides) {
                let before = cpu_nanos()?;
                turn()?;
                *spent += cpu_nanos()? - before;
            }
        }
        if round > 0 {
            costs.push(spent);
        }
    }
    let [wait, wait_by_hand, run, run_by_hand, run_on_kept] = [0, 1, 2, 3, 4];
    let micros = |side: usize| {
        let exchanges = RUNS_A_ROUND * sides[side].0;
        median(costs.iter().map(|spent| spent[side] as f64 / 1e3 / exchanges as f64).collect())
    };
    let report = |what: &str, client: usize, by_hand: usize, has_goal: bool| {
        let ratio = |spent: &[u64; 5]| spent[client] as f64 / spent[by_hand] as f64;
        let ratios: Vec<f64> = costs.iter().map(ratio).collect();
        let least = ratios.iter().copied().fold(f64::MAX, f64::min);
        let most = ratios.iter().copied().fold(0.0, f64::max);
        let median = median(ratios);
        let goal = match has_goal {
            true if median <= GOAL => format!("goal {GOAL:.2} met"),
            true => format!("goal {GOAL:.2} MISSED"),
            false => "no goal".to_owned(),
        };
        let (client, by_hand) = (micros(client), micros(by_hand));
        println!(
            "{library:8}{what:48}{median:.3} ({least:.3} to {most:.3})  {goal:16}{client:6.1} / \
             {by_hand:.1} µs an exchange"
        );
    };
    report("looks alone", wait, wait_by_hand, true);
    report("a run", run, run_by_hand, true);
    report("a run, loop that submits on its kept connection", run, run_on_kept, false);
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The kernel's count of what this thread has run, in nanoseconds.
fn cpu_nanos() -> Result<u64> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(text.split(' ').next().unwrap_or_default().parse()?)
}

/// ureq as the client sets it up, keeping so many connections.
fn ureq_by_hand(kept: usize) -> ureq::Agent {
    ureq::Agent::config_builder()
        .proxy(None)
        .timeout_connect(Some(Duration::from_secs(10)))
        .timeout_global(Some(Duration::from_secs(30)))
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .max_idle_connections(kept)
        .build()
        .into()
}

/// Submits, and gives the task's id.
fn submit_on_ureq(agent: &ureq::Agent, generation: &str) -> Result<String> {
    let mut answer = agent
        .post(generation)
        .header("authorization", format!("Bearer {KEY}"))
        .header("accept", "application/json")
        .header("content-type", "application/json")
        .header("x-request-id", ID)
        .header("idempotency-key", ID)
        .header("user-agent", "by-hand/1")
        .send(body().as_bytes())?;
    let task: Value = serde_json::from_slice(&answer.body_mut().read_to_vec()?)?;
    Ok(task["id"].as_str().unwrap_or_default().to_owned())
}

fn loop_on_ureq(agent: &ureq::Agent, generation: &str, task: &str) -> Result<()> {
    let url = format!("{generation}/task/{task}");
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

/// reqwest as the client sets it up, keeping so many connections.
fn reqwest_by_hand(kept: usize) -> Result<reqwest::Client> {
    // Fails where a provider is installed already, which will do as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Ok(reqwest::Client::builder()
        .no_proxy()
        .connect_timeout(Duration::from_secs(10))
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .pool_max_idle_per_host(kept)
        .build()?)
}

/// Submits, and gives the task's id.
async fn submit_on_reqwest(client: &reqwest::Client, generation: &str) -> Result<String> {
    let answer = client
        .post(generation)
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
    Ok(task["id"].as_str().unwrap_or_default().to_owned())
}

async fn loop_on_reqwest(client: &reqwest::Client, generation: &str, task: &str) -> Result<()> {
    let url = format!("{generation}/task/{task}");
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
    fn start() -> Result<Self> {
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

fn serve() -> Result<()> {
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
/// The id in the answers.
const TASK: &str = "d758n65e878c73cmdg20";
const PHOTO: &str = "https://photos.example.com/cat.jpg";
const PACE: Pace = Pace::fixed(Duration::ZERO);
const RUNNING: &str = r#"{"id":"d758n65e878c73cmdg20","model":"spark_img_effects","created_at":1764000000,"status":"in_progress","progress":0.4}"#;
const COMPLETED: &str = r#"{"id":"d758n65e878c73cmdg20","model":"spark_img_effects","created_at":1764000000,"status":"completed","progress":1,"output":[{"content":[{"type":"image","url":"https://files.example.com/r.png","size":123456,"jobId":"job-1"}]}],"usage":{"cost":"0.03","discount":1},"metadata":{"in_queue_at":0.1,"upload_at":0.5,"completed_at":4.2}}"#;
