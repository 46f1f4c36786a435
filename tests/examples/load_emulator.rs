//! Whether the emulator bears a batch at scale: `cargo run --release -p effects-tests --example
//! load_emulator [ROWS] [TASKS]`.
//!
//! One async client submits so many rows (20,000), so many tasks in flight (10,000), to an emulator
//! in the same process whose pictures are stubs. It ends with an error unless every row has its
//! picture and is paid once. What it prints is for reading: seconds, requests, memory, and how long
//! the control API takes with all of it in its memory. It reads `/proc` and so needs Linux.

use std::env;
use std::error::Error;
use std::fs;
use std::time::{Duration, Instant};

use effects_core::batch::BatchLimits;
use effects_core::{EffectRequest, Pace, Template};
use effects_emulator::{Emulator, Latency, Pictures, Spread};
use effects_reqwest::Client;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Result<()> {
    let mut arguments = env::args().skip(1);
    let rows = arguments.next().map_or(Ok(20_000), |rows| rows.parse())?;
    let tasks = arguments.next().map_or(Ok(10_000), |tasks| tasks.parse())?;
    let (shortest, longest) = (Duration::from_secs(30), Duration::from_secs(60));
    let latency = Latency::of(Spread::Range { shortest, longest });
    let emulator = Emulator::builder().pictures(Pictures::Stub).latency(latency).start()?;
    let before = resident_mebibytes()?;
    let begun = Instant::now();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let max_at_once = runtime.block_on(submit_all(&emulator, rows, tasks))?;
    println!(
        "{rows} rows, {max_at_once} tasks at once at most: {:.1} s",
        begun.elapsed().as_secs_f64()
    );

    let counts = emulator.counts();
    let once = counts.by_body.len() == rows && counts.by_body.values().all(|paid| *paid == 1);
    if counts.accepted != rows as u64 || !once {
        return Err(format!("{} accepted, {} bodies", counts.accepted, counts.by_body.len()).into());
    }
    println!("resident: {before} MiB before, {} MiB after, client included", resident_mebibytes()?);
    timed("every request remembered", || emulator.requests().len());
    timed("every task", || emulator.tasks().len());
    timed("counts", || emulator.counts().by_body.len());
    timed("stop", || {
        drop(emulator);
        1
    });
    Ok(())
}

/// Runs every row to its picture's URL, and tells how many tasks were under way at once at most.
async fn submit_all(emulator: &Emulator, rows: usize, tasks: u32) -> Result<usize> {
    let pace = Pace::fixed(Duration::from_secs(5));
    let base_url = emulator.base_url();
    let key = emulator.api_key();
    let client = Client::builder().base_url(base_url).api_key(key).pace(pace).build()?;
    let requests: Vec<EffectRequest> = (0..rows)
        .map(|row| {
            let photo = format!("https://photos.example.com/{row}.jpg");
            EffectRequest::new(Template::GlassBall, photo.as_str())
        })
        .collect::<std::result::Result<_, _>>()?;
    let batch_limits = BatchLimits { submissions: 256, tasks, polls_per_second: 50_000.0 };
    let mut many = client.jobs().limits(batch_limits).run(requests)?;
    let mut every = tokio::time::interval(Duration::from_secs(1));
    let (mut ended, mut max_at_once) = (0, 0);
    loop {
        tokio::select! {
            end = many.next() => {
                let Some(end) = end else { break };
                if end.into_result()?.pictures.is_empty() {
                    return Err("a row without a picture".into());
                }
                ended += 1;
            }
            _ = every.tick() => {
                let accepted = usize::try_from(emulator.counts().accepted)?;
                max_at_once = max_at_once.max(accepted.saturating_sub(ended));
            }
        }
    }
    if ended == rows {
        Ok(max_at_once)
    } else {
        Err(format!("{ended} of {rows} rows ended").into())
    }
}

fn timed(what: &str, work: impl FnOnce() -> usize) {
    let begun = Instant::now();
    let count = work();
    println!("{what}: {count} in {:.0} ms", begun.elapsed().as_secs_f64() * 1000.0);
}

fn resident_mebibytes() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? / 1024)
}
