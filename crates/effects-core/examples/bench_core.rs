//! How fast the core steps and how little a waiting run weighs: a program, not a timed test.
//!
//! `cargo run --release -p effects-core --example bench_core`
//!
//! Rates are per second of processor time. Steps are those of whole runs, from the submission to the
//! picture, with every answer parsed. A waiting run is one whose task is known and was looked at once;
//! its weight is measured twice, by its type's size and by what 100,000 of them add to this process:
//! the second is the first where nothing of it lies on the heap.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "a benchmark tells the time and prints"
)]
#![allow(clippy::unwrap_used, clippy::cast_precision_loss, reason = "a program of one screen")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use effects_core::gateway::{Answer, CallKind, CallResult};
use effects_core::{EffectRequest, Outcome, Pace, Policy, Run, Seed, Step, Template, Time};
use effects_testkit::result_of;
use http::{HeaderMap, StatusCode};

#[path = "support/measure.rs"]
mod measure;

use measure::{Watch, resident_bytes};

fn main() {
    let policy =
        Arc::new(Policy { pace: Pace::fixed(Duration::from_secs(3)), ..Policy::default() });
    // Warm, then best of five: what disturbs a measurement only ever makes it slower.
    runs(&policy, 2_000);
    let best = (0..5).map(|_| runs(&policy, 20_000)).fold(0.0, f64::max);
    println!("steps per second, answers parsed   {:>10.2} million (goal 2)", best / 1e6);
    let idle = (0..5).map(|_| idle_steps(&policy)).fold(0.0, f64::max);
    println!("steps per second, nothing to do    {:>10.2} million", idle / 1e6);
    println!("size of a Run                      {:>10} bytes", size_of::<Run>());
    if let Some(bytes) = weight(&policy) {
        println!("weight of a waiting run            {bytes:>10.0} bytes (goal 512)");
    } else {
        println!("weight of a waiting run: not measured, since /proc/self/statm is Linux's");
    }
}

/// Steps per second over whole runs of twelve looks each.
fn runs(policy: &Arc<Policy>, count: u64) -> f64 {
    let mut steps = 0u64;
    let watch = Watch::start();
    for seed in 0..count {
        let (mut now, mut looks) = (Time::from_millis(1_764_000_000_000), 0);
        let mut run = Run::submit(request(), Arc::clone(policy), Seed::from(seed), now);
        loop {
            steps += 1;
            match run.step(now) {
                Step::Record(entry) => run.recorded(entry.id),
                Step::Send(call) => {
                    let body = match call.kind {
                        CallKind::Submit { .. } => SUBMITTED,
                        CallKind::Poll { .. } if looks < 12 => RUNNING,
                        CallKind::Poll { .. } => COMPLETED,
                    };
                    looks += 1;
                    run.reply(now, call.id, &answered(body));
                }
                Step::Sleep { until, .. } => now = until,
                Step::Notify(event) => {
                    black_box(event);
                }
                Step::Done(outcome) => {
                    assert!(matches!(outcome, Outcome::Completed(_)));
                    break;
                }
            }
        }
    }
    steps as f64 / watch.seconds()
}

/// Steps per second of a run that sleeps: what a driver with too many wake-ups costs.
fn idle_steps(policy: &Arc<Policy>) -> f64 {
    const STEPS: u64 = 5_000_000;
    let now = Time::from_millis(1_764_000_000_000);
    let mut run = waiting(policy, 1, now);
    let watch = Watch::start();
    for _ in 0..STEPS {
        black_box(run.step(black_box(now)));
    }
    STEPS as f64 / watch.seconds()
}

/// Bytes that a hundred thousand waiting runs add to this process, each.
fn weight(policy: &Arc<Policy>) -> Option<f64> {
    const RUNS: usize = 100_000;
    let now = Time::from_millis(1_764_000_000_000);
    let mut held = Vec::with_capacity(RUNS);
    // Pages are counted when they are touched, and the vector's are touched below: its size counts.
    let before = resident_bytes()?;
    for seed in 0..RUNS as u64 {
        held.push(waiting(policy, seed, now));
    }
    let after = resident_bytes()?;
    assert_eq!(black_box(&held).len(), RUNS);
    Some((after - before) as f64 / RUNS as f64)
}

/// A run whose task was seen running once.
fn waiting(policy: &Arc<Policy>, seed: u64, now: Time) -> Run {
    let mut run = Run::submit(request(), Arc::clone(policy), Seed::from(seed), now);
    let mut now = now;
    let mut looks = 0;
    loop {
        match run.step(now) {
            Step::Record(entry) => run.recorded(entry.id),
            Step::Send(call) => {
                let body = if call.is_submission() { SUBMITTED } else { RUNNING };
                looks += usize::from(!call.is_submission());
                run.reply(now, call.id, &answered(body));
            }
            Step::Sleep { .. } if looks == 1 => return run,
            Step::Sleep { until, .. } => now = until,
            Step::Notify(_) => {}
            Step::Done(outcome) => panic!("{outcome:?}"),
        }
    }
}

fn answered(body: &'static [u8]) -> CallResult {
    let (status, headers, body) = (StatusCode::OK, HeaderMap::new(), body.into());
    result_of(Answer::Answered { status, headers, body })
}

fn request() -> EffectRequest {
    EffectRequest::new(Template::GlassBall, "https://example.com/cat.jpg").unwrap()
}

const SUBMITTED: &[u8] =
    br#"{"id":"d758n65e878c73cmdg20","created_at":1764000000,"status":"in_progress","model":"spark_img_effects"}"#;
const RUNNING: &[u8] =
    br#"{"id":"d758n65e878c73cmdg20","model":"spark_img_effects","created_at":1764000000,"status":"in_progress","progress":0.4}"#;
const COMPLETED: &[u8] = br#"{"id":"d758n65e878c73cmdg20","model":"spark_img_effects","created_at":1764000000,"status":"completed","progress":1,"output":[{"content":[{"type":"image","url":"https://example.com/r.png","size":123456,"jobId":"j"}]}],"usage":{"cost":"0.03","discount":1},"metadata":{}}"#;
