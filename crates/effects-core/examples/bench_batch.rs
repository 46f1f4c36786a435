//! What a batch costs, by how many runs are in flight: a program, not a timed test.
//!
//! `cargo run --release -p effects-core --example bench_batch [RUNS…]`
//!
//! Everything happens in virtual time: a service is played that answers at once, each task takes
//! about 12 s, and for each that ends a new one is submitted, so that the number in flight stays. An
//! event is a step that the batch hands out (an entry, a call, news, an end) or something it is told
//! (an answer, a confirmation); asking for rows and sleeping count for nothing. Every answer is
//! parsed. Times are processor time of this thread, the playing of the service included.
//!
//! Memory is what the runs add to this process, measured when each is waiting and has been looked
//! at. With a number of runs given, only that is measured: memory is best measured in a process
//! that has done nothing else.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "a benchmark tells the time and prints"
)]
#![allow(clippy::unwrap_used, clippy::cast_precision_loss, reason = "a program of one screen")]

#[path = "support/measure.rs"]
mod measure;

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use effects_core::batch::{Batch, BatchLimits, BatchStep, RunId};
use effects_core::gateway::{Answer, CallKind};
use effects_core::{EffectRequest, Pace, Policy, Seed, TaskId, Template, Time};
use effects_testkit::result_of;
use http::{HeaderMap, StatusCode};
use measure::{Watch, resident_bytes};

fn main() {
    let asked: Vec<u32> = std::env::args().skip(1).map(|runs| runs.parse().unwrap()).collect();
    let sizes = if asked.is_empty() { vec![1_000, 10_000, 100_000, 1_000_000] } else { asked };
    println!("                 bytes    fixed pace                learned pace");
    println!("     runs      per run    ns/event  million/s       ns/event  million/s");
    for runs in sizes {
        let (fixed, bytes) = measured(runs, Pace::fixed(Duration::from_secs(3)));
        let (learned, _) = measured(runs, Pace::learned());
        let bytes = bytes.map_or_else(|| "?".to_owned(), |bytes| format!("{bytes:.0}"));
        println!(
            "{runs:>9} {bytes:>12} {fixed:>11.0} {:>10.2} {learned:>14.0} {:>10.2}",
            1e3 / fixed,
            1e3 / learned
        );
    }
    println!(
        "goals: 1024 bytes a run at 100,000; 1 million events a second; ns/event from 10^3 to"
    );
    println!("10^6 growing no faster than log n, that is at most twofold");
}

/// Nanoseconds an event, best of some, and bytes a run.
fn measured(runs: u32, pace: Pace) -> (f64, Option<f64>) {
    let before = resident_bytes();
    let mut world = World::new(runs, pace);
    world.fill();
    let bytes = before.zip(resident_bytes());
    let bytes = bytes.map(|(before, after)| after.saturating_sub(before) as f64 / f64::from(runs));
    // What disturbs a measurement only ever makes it slower.
    let best =
        (0..5).map(|_| world.stretch(1_000_000.max(u64::from(runs) * 3))).fold(f64::MAX, f64::min);
    (best, bytes)
}

/// A batch, and the service it talks to.
struct World {
    batch: Batch,
    now: Time,
    runs: u32,
    seeds: u64,
    made: u32,
    looked: u32,
    text: String,
}

impl World {
    fn new(runs: u32, pace: Pace) -> Self {
        let now = Time::from_millis(START);
        let policy = Arc::new(Policy { pace, ..Policy::default() });
        let limits =
            BatchLimits { submissions: runs, tasks: runs, polls_per_second: f64::INFINITY };
        let batch = Batch::new(policy, limits, now);
        let text = String::new();
        Self { batch, now, runs, seeds: 0, made: 0, looked: 0, text }
    }

    /// Until there are as many runs as wanted, each looked at once.
    fn fill(&mut self) {
        while self.looked < self.runs {
            self.step();
        }
    }

    /// Nanoseconds an event, over so many events.
    fn stretch(&mut self, events: u64) -> f64 {
        let watch = Watch::start();
        let mut done = 0;
        while done < events {
            done += self.step();
        }
        watch.seconds() * 1e9 / done as f64
    }

    /// One step: how many events it was.
    fn step(&mut self) -> u64 {
        match self.batch.step(self.now) {
            BatchStep::Record(run, entry) => {
                self.batch.recorded(run, entry.id);
                2
            }
            BatchStep::Send(run, call) => {
                match &call.kind {
                    CallKind::Submit { .. } => self.submitted(),
                    CallKind::Poll { task } => self.looked_at(task),
                }
                self.reply(run, call.id);
                2
            }
            BatchStep::Notify(..) | BatchStep::Done(..) => 1,
            BatchStep::WantRuns(room) => {
                for _ in 0..room {
                    self.seeds += 1;
                    self.batch.submit(request(), Seed::from(self.seeds), self.now);
                }
                0
            }
            BatchStep::Sleep(until) => {
                self.now = until;
                0
            }
            BatchStep::Empty => unreachable!("rows never end"),
        }
    }

    /// A new task. Its id says when it was made and how long it takes, so that the service need
    /// remember nothing.
    fn submitted(&mut self) {
        self.made += 1;
        // The sum of two dice, 6 to 18 s, from a multiplicative hash.
        let hash = self.made.wrapping_mul(2_654_435_769);
        let lasts = 6_000 + (hash >> 16) % 6_000 + (hash & 0xffff) % 6_000;
        let made = self.now.as_millis() - START;
        self.text.clear();
        write!(
            self.text,
            r#"{{"id":"{made:010}{lasts:05}","created_at":1764000000,"status":"in_progress"}}"#
        )
        .unwrap();
    }

    fn looked_at(&mut self, task: &TaskId) {
        self.looked += 1;
        let (made, lasts) = task.as_str().split_at(10);
        let ends: u64 = made.parse::<u64>().unwrap() + lasts.parse::<u64>().unwrap();
        let done = self.now.as_millis() - START >= ends;
        self.text.clear();
        self.text.push_str(if done { COMPLETED } else { RUNNING });
    }

    fn reply(&mut self, run: RunId, call: effects_core::gateway::CallId) {
        let (status, headers) = (StatusCode::OK, HeaderMap::new());
        let answer = Answer::Answered { status, headers, body: self.text.clone().into() };
        self.batch.reply(self.now, run, call, &result_of(answer));
    }
}

fn request() -> EffectRequest {
    EffectRequest::new(Template::GlassBall, "https://example.com/cat.jpg").unwrap()
}

const START: u64 = 1_764_000_000_000;
const RUNNING: &str = r#"{"model":"spark_img_effects","created_at":1764000000,"status":"in_progress","progress":0.4}"#;
const COMPLETED: &str = r#"{"model":"spark_img_effects","created_at":1764000000,"status":"completed","progress":1,"output":[{"content":[{"type":"image","url":"https://example.com/r.png","size":123456,"jobId":"j"}]}],"usage":{"cost":"0.03","discount":1},"metadata":{}}"#;
