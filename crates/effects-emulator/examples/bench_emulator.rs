//! How fast looks at tasks are answered, and what a task weighs.
//!
//! `cargo run --release -p effects-emulator --example bench_emulator` prints how long an emulator takes to
//! start, the processor time of a look as a ratio to an axum handler that returns a constant, both
//! measured side by side in rounds, and the memory of a hundred thousand tasks. It reads `/proc` and
//! so needs Linux.

use std::error::Error;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use effects_emulator::{Emulator, Latency, Pictures};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tower_service::Service;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Result<()> {
    starts()?;
    looks()?;
    weight()
}

/// How long it takes to have an emulator, and to be rid of it: tests start one each.
fn starts() -> Result<()> {
    let mut took = Vec::new();
    for _ in 0..50 {
        let begun = Instant::now();
        let emulator = Emulator::builder().pictures(Pictures::Stub).start()?;
        TcpStream::connect(emulator.address())?;
        let started = begun.elapsed();
        emulator.stop();
        took.push((started, begun.elapsed() - started));
    }
    took.sort_unstable();
    let (started, stopped) = took[took.len() / 2];
    println!("an emulator starts in {started:.1?} and stops in {stopped:.1?} (median of 50)");
    Ok(())
}

/// Alternates between both servers, so that whatever else the machine does hits both.
fn looks() -> Result<()> {
    let hour = Latency::fixed(Duration::from_secs(3600));
    let emulator = Emulator::builder().pictures(Pictures::Stub).latency(hour).start()?;
    let key = emulator.api_key().to_owned();
    let mut stream = TcpStream::connect(emulator.address())?;
    let tasks = (0..CLIENTS).map(|number| {
        let id = create(&mut stream, &key, number)?;
        Ok(format!("GET /model/v1/generation/task/{id}"))
    });
    let tasks: Vec<String> = tasks.collect::<Result<_>>()?;
    let nothing = vec!["GET /".to_owned(); CLIENTS];
    let constant = serve_constant()?;
    let mut ratios = Vec::new();
    println!(
        "round  constant µs/GET  emulator µs/GET  ratio (emulator's GETs a core / constant's)"
    );
    for round in 0..=ROUNDS {
        let plain = time_per_request("constant", constant, &nothing, &key)?;
        let ours = time_per_request("effects-emulato", emulator.address(), &tasks, &key)?;
        if round == 0 {
            continue;
        }
        ratios.push(plain / ours);
        println!("{round:5}  {plain:15.2}  {ours:15.2}  {:.2}", plain / ours);
    }
    ratios.sort_by(f64::total_cmp);
    println!("median ratio {:.2}", ratios[ratios.len() / 2]);
    Ok(())
}

/// Processor time of a server's threads for one GET, in microseconds; each client asks for its own.
fn time_per_request(
    threads: &str,
    address: SocketAddr,
    requests: &[String],
    key: &str,
) -> Result<f64> {
    let rest = format!(
        "HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {key}\r\nUser-Agent: bench\r\nAccept: application/json\r\n\r\n"
    );
    let before = ticks(threads)?;
    let clients = std::thread::scope(|scope| -> Result<()> {
        let send_request = |line: &String| {
            let request = format!("{line} {rest}");
            scope.spawn(move || send_request(address, &request))
        };
        let running: Vec<_> = requests.iter().map(send_request).collect();
        running
            .into_iter()
            .try_for_each(|client| client.join().map_err(|_| "a client broke down")?)
    });
    clients?;
    let spent = (ticks(threads)? - before) as f64 * MICROSECONDS_A_TICK;
    Ok(spent / (CLIENTS * GETS) as f64)
}

fn send_request(address: SocketAddr, request: &str) -> Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    for _ in 0..GETS {
        stream.write_all(request.as_bytes())?;
        let (head, _) = read_answer(&mut stream)?;
        if !head.starts_with("HTTP/1.1 200") {
            return Err(head.into());
        }
    }
    Ok(())
}

/// The handler to compare with: it answers with as many bytes as a look does.
fn serve_constant() -> Result<SocketAddr> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("constant")
        .enable_all()
        .build()?;
    std::thread::spawn(move || {
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            let header = [("content-type", "application/json")];
            let handler = get(move || async move { (header, CONSTANT) });
            let router = Router::new().route("/", handler);
            while let Ok((stream, _)) = listener.accept().await {
                let router = router.clone();
                let service = service_fn(move |request| router.clone().call(request));
                let builder = http1::Builder::new();
                tokio::spawn(builder.serve_connection(TokioIo::new(stream), service));
            }
            Ok::<_, std::io::Error>(())
        })
    });
    Ok(address)
}

/// Clock ticks of all threads whose name begins so.
fn ticks(threads: &str) -> Result<u64> {
    let mut sum = 0;
    for task in fs::read_dir("/proc/self/task")? {
        let path = task?.path();
        let Ok(stat) = fs::read_to_string(path.join("stat")) else { continue };
        let Some((name, rest)) = stat.rsplit_once(") ") else { continue };
        if name.contains(&format!("({threads}")) {
            let fields: Vec<&str> = rest.split(' ').collect();
            sum += fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
        }
    }
    Ok(sum)
}

/// Creates tasks over one connection and looks at what the process has grown by.
fn weight() -> Result<()> {
    let emulator = Emulator::builder().pictures(Pictures::Stub).start()?;
    let mut stream = TcpStream::connect(emulator.address())?;
    stream.set_nodelay(true)?;
    // The record of requests has an end; it is filled before, since it is no part of a task.
    for number in 0..20_000 {
        create(&mut stream, emulator.api_key(), number)?;
    }
    let before = resident_kibibytes()?;
    for number in 20_000..20_000 + TASKS {
        create(&mut stream, emulator.api_key(), number)?;
    }
    let grown = resident_kibibytes()? - before;
    println!(
        "{TASKS} tasks, finished, each of its own body: {grown} KiB, {:.3} KiB a task",
        grown as f64 / TASKS as f64
    );
    Ok(())
}

fn create(stream: &mut TcpStream, key: &str, number: usize) -> Result<String> {
    let body = format!(
        r#"{{"model":"spark_img_effects","input":[{{"params":{{"image_input1":"https://photos.invalid/{number}.jpg","template_id":"glass_ball"}}}}]}}"#
    );
    let length = body.len();
    write!(
        stream,
        "POST /model/v1/generation HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\nIdempotency-Key: {number:032}\r\nContent-Length: {length}\r\n\r\n{body}"
    )?;
    let (head, body) = read_answer(stream)?;
    let id = body.split('"').nth(3).filter(|_| head.starts_with("HTTP/1.1 200"));
    id.map(str::to_owned).ok_or_else(|| head.into())
}

fn read_answer(stream: &mut TcpStream) -> Result<(String, String)> {
    let mut bytes = Vec::with_capacity(1024);
    let mut chunk = [0; 4096];
    loop {
        let read = stream.read(&mut chunk)?;
        if read == 0 {
            return Err("the connection ended".into());
        }
        bytes.extend_from_slice(&chunk[..read]);
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
        let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
        let length: usize = length.unwrap_or("0").parse()?;
        if bytes.len() >= end + 4 + length {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            return Ok((head, String::from_utf8_lossy(&bytes[end + 4..]).into_owned()));
        }
    }
}

fn resident_kibibytes() -> Result<i64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

const ROUNDS: usize = 7;
const CLIENTS: usize = 4;
const GETS: usize = 20_000;
const TASKS: usize = 100_000;
const MICROSECONDS_A_TICK: f64 = 10_000.0;
const CONSTANT: &str = r#"{"id":"d758n65e878c73cmdg20","model":"spark_img_effects","created_at":1764000000,"status":"in_progress","progress":0.4}"#;
