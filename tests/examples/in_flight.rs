//! What ten thousand tasks in flight cost a client: `cargo run --release -p effects-tests --example
//! in_flight [TASKS]`.
//!
//! In real time against an emulator with stub pictures, whose tasks take 30 to 60 s. The emulator
//! and each client are processes of their own, so that the figures are the client's alone: resident
//! memory when the most tasks are in flight, against what it was before the first, and processor
//! time from the first submission to the last end. It ends with an error unless every task was in
//! flight with all others and ended with a picture. It reads `/proc` and so needs Linux.

use std::env;
use std::error::Error;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use effects_core::batch::BatchLimits;
use effects_core::journal::{Admission, AsyncJournal, Entry, Fact, Journal, JournalError};
use effects_core::{EffectRequest, Template};
use effects_emulator::{Emulator, Latency, Pictures, Spread};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        [EMULATOR] => emulate(),
        [BLOCKING, tasks, url, key] => blocking(tasks.parse()?, url, key),
        [ASYNC, tasks, url, key] => asynchronous(tasks.parse()?, url, key),
        [] => compare("10000"),
        [tasks] => compare(tasks),
        _ => Err("usage: in_flight [TASKS]".into()),
    }
}

/// Each client in turn, each against an emulator of its own.
fn compare(tasks: &str) -> Result<()> {
    for client in [BLOCKING, ASYNC] {
        let mut emulator = again(&[EMULATOR])?;
        let stdout = emulator.stdout.take().ok_or("no stdout")?;
        let mut lines = BufReader::new(stdout).lines();
        let mut line = || {
            lines
                .next()
                .ok_or("the emulator is gone")?
                .map_err(Box::<dyn Error + Send + Sync>::from)
        };
        let (url, key) = (line()?, line()?);
        let mut process = again(&[client, tasks, &url, &key])?;
        let mut said = String::new();
        process.stdout.take().ok_or("no stdout")?.read_to_string(&mut said)?;
        let status = process.wait()?;
        // Its end of input is its end.
        drop(emulator.stdin.take());
        emulator.wait()?;
        print!("{client:>8}: {said}");
        if !status.success() {
            return Err(format!("{client}: {status}").into());
        }
    }
    Ok(())
}

/// This program again, in another process.
fn again(arguments: &[&str]) -> Result<Child> {
    let mut command = Command::new(env::current_exe()?);
    Ok(command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?)
}

fn emulate() -> Result<()> {
    let (shortest, longest) = (Duration::from_secs(30), Duration::from_secs(60));
    let latency = Latency::of(Spread::Range { shortest, longest });
    let emulator = Emulator::builder().pictures(Pictures::Stub).latency(latency).start()?;
    println!("{}\n{}", emulator.base_url(), emulator.api_key());
    std::io::stdout().flush()?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

fn blocking(tasks: u32, url: &str, key: &str) -> Result<()> {
    let client = effects_ureq::Client::builder().base_url(url).api_key(key).build()?;
    let gauge = Gauge::default();
    let client = client.with_journal(Arc::new(gauge.clone()));
    let figures = Figures::begin(&gauge)?;
    for ended in client.jobs().limits(batch_limits(tasks)).run(requests(tasks))? {
        gauge.ended(ended.into_result()?.pictures.len())?;
    }
    figures.print(tasks)
}

fn asynchronous(tasks: u32, url: &str, key: &str) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let client = effects_reqwest::Client::builder().base_url(url).api_key(key).build()?;
        let gauge = Gauge::default();
        let client = client.with_journal(Arc::new(gauge.clone()));
        let figures = Figures::begin(&gauge)?;
        let mut many = client.jobs().limits(batch_limits(tasks)).run(requests(tasks))?;
        while let Some(ended) = many.next().await {
            gauge.ended(ended.into_result()?.pictures.len())?;
        }
        figures.print(tasks)
    })
}

fn requests(tasks: u32) -> impl Iterator<Item = EffectRequest> + Send {
    (0..tasks).map_while(|row| {
        let photo = format!("https://photos.example.com/{row}.jpg");
        EffectRequest::new(Template::GlassBall, photo.as_str()).ok()
    })
}

fn batch_limits(tasks: u32) -> BatchLimits {
    BatchLimits { submissions: 64, tasks, polls_per_second: 1_000.0 }
}

/// A journal that only counts: tasks that were made and have not ended, now and at most, and the
/// memory in use when they were the most.
#[derive(Clone, Debug, Default)]
struct Gauge(Arc<FlightCounts>);

#[derive(Debug, Default)]
struct FlightCounts {
    flying: AtomicUsize,
    max_in_flight: AtomicUsize,
    resident: AtomicUsize,
}

impl Gauge {
    fn count(&self, entry: &Entry) {
        if let Fact::Created { .. } = entry.fact {
            let flying = self.0.flying.fetch_add(1, Ordering::SeqCst) + 1;
            let max_in_flight = self.0.max_in_flight.fetch_max(flying, Ordering::SeqCst);
            // Reading `/proc` for each of them would be a part of what is measured.
            if flying > max_in_flight && flying.is_multiple_of(100) {
                self.0.resident.fetch_max(resident().unwrap_or_default(), Ordering::SeqCst);
            }
        }
    }

    fn ended(&self, pictures: usize) -> Result<()> {
        self.0.flying.fetch_sub(1, Ordering::SeqCst);
        if pictures == 0 { Err("a task without a picture".into()) } else { Ok(()) }
    }
}

impl Journal for Gauge {
    fn write(&self, entry: &Entry) -> std::result::Result<Admission, JournalError> {
        self.count(entry);
        Ok(Admission::Admitted)
    }
}

#[async_trait]
impl AsyncJournal for Gauge {
    async fn write(&self, entry: &Entry) -> std::result::Result<Admission, JournalError> {
        self.count(entry);
        Ok(Admission::Admitted)
    }
}

/// What a client has used since it began.
struct Figures<'a> {
    gauge: &'a Gauge,
    begun: Instant,
    resident: usize,
    ticks: u64,
}

impl<'a> Figures<'a> {
    fn begin(gauge: &'a Gauge) -> Result<Self> {
        Ok(Self { gauge, begun: Instant::now(), resident: resident()?, ticks: ticks()? })
    }

    fn print(&self, tasks: u32) -> Result<()> {
        let FlightCounts { max_in_flight, resident, .. } = &*self.gauge.0;
        let (max_in_flight, resident) =
            (max_in_flight.load(Ordering::SeqCst), resident.load(Ordering::SeqCst));
        let added = resident.saturating_sub(self.resident);
        let cpu = (ticks()? - self.ticks) as f64 / TICKS_PER_SECOND;
        println!(
            "{max_in_flight} tasks in flight at once, {:.1} s; resident {} MiB, of which {added} bytes by the \
             tasks, {} each; processor {cpu:.2} s, {:.0} us a task",
            self.begun.elapsed().as_secs_f64(),
            resident >> 20,
            added / max_in_flight.max(1),
            cpu * 1e6 / f64::from(tasks),
        );
        // The first may end while the last are still being submitted.
        if max_in_flight as f64 >= f64::from(tasks) * 0.95 {
            Ok(())
        } else {
            Err("too few at once".into())
        }
    }
}

fn resident() -> Result<usize> {
    let statm = fs::read_to_string("/proc/self/statm")?;
    Ok(statm.split(' ').nth(1).ok_or("statm")?.parse::<usize>()? * 4096)
}

/// Processor time of all threads, in hundredths of a second.
fn ticks() -> Result<u64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    // The name in parentheses may hold anything; the 12th and 13th fields after it are the times.
    let after = stat.rsplit(')').next().ok_or("stat")?;
    let fields: Vec<&str> = after.split_whitespace().collect();
    let field =
        |nth: usize| fields.get(nth).and_then(|field| field.parse::<u64>().ok()).ok_or("stat");
    Ok(field(11)? + field(12)?)
}

const TICKS_PER_SECOND: f64 = 100.0;
const EMULATOR: &str = "emulator";
const BLOCKING: &str = "blocking";
const ASYNC: &str = "async";
