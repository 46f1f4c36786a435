//! What the learned pace saves, on durations of your own: trains a `Model` of the core, and compares its
//! `Curve` with polling every 3 or 5 seconds and with a back-off, each as a `Score`. For choosing a pace
//! by what your tasks took.
//!
//! ```text
//! cargo run --release --example pace -- --train 200 < durations.txt
//! ```
//!
//! Durations come one per line in seconds. The first N train the model the way a client would, from
//! an empty history and from its own looks alone; the rest is then watched by each pace with what was
//! learnt, and nothing more is learnt. One JSON object says, for each, the mean polls a task took
//! (the one that found it done included), and the mean and 95th percentile of the delay, the seconds
//! between the end and the poll that saw it. The learned pace appears with its default worth of a poll,
//! and with the worth, alone, tuned on the rest to the polls and then to the delay of each other pace.

use std::error::Error;
use std::io::Read;
use std::time::Duration;

use effects_core::pace::{Curve, History, Learned, Model};
use serde_json::{Map, Value, json};

/// The other paces: the wait after so many looks, in seconds.
type Wait = fn(u32) -> f64;

fn main() -> Result<(), Box<dyn Error>> {
    let train = training_size(std::env::args().skip(1))?;
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    let durations = parse(&text)?;
    if train >= durations.len() {
        return Err(
            format!("--train {train}: of {} durations none is left", durations.len()).into()
        );
    }
    let (first, rest) = durations.split_at(train);
    let history = learn(first);

    let mut paces = Map::new();
    let mut learned = Map::new();
    for (name, wait) in PACES {
        let other = Score::of(rest, |_, looks, _| wait(looks));
        paces.insert(name.into(), other.json());
        let same_polls = tune(&history, rest, |score| score.polls / other.polls);
        let same_delay = tune(&history, rest, |score| other.delay / score.delay);
        let tuned = json!({"same_polls": same_polls.json(), "same_delay": same_delay.json()});
        learned.insert(name.into(), tuned);
    }
    let default = watch(rest, &history.curve(&Learned::default()));
    paces.insert("learned_default".into(), default.json());
    paces.insert("learned".into(), learned.into());
    println!("{}", Value::Object(paces));
    Ok(())
}

/// Watches tasks one after another, each with what was learnt from those before.
fn learn(durations: &[f64]) -> History {
    let mut model = Model::new(History::new(), Learned::default());
    let mut dice = Generator(1);
    for duration in durations {
        let (mut running, mut age) = (None, Duration::ZERO);
        loop {
            age += model.curve().next_look(age, dice.roll());
            if age.as_secs_f64() >= *duration {
                break;
            }
            running = Some(age);
        }
        model.observe(running, age);
        model.refresh();
    }
    model.history().clone()
}

fn watch(durations: &[f64], curve: &Curve) -> Score {
    Score::of(durations, |age, _, roll| {
        curve.next_look(Duration::from_secs_f64(age), roll).as_secs_f64()
    })
}

/// Finds the worth of a poll that brings `ratio`, which falls with it, closest to one.
fn tune(history: &History, durations: &[f64], ratio: impl Fn(&Score) -> f64) -> Score {
    let (mut low, mut high) = (1e-5, 1e5);
    let mut best: Option<(f64, Score)> = None;
    // Each step halves what is left of 23 (the logarithm of 1e10): 32 of them leave nothing to see.
    for _ in 0..32 {
        // The middle of their logarithms, since the worth may lie anywhere over ten powers of ten.
        let middle = f64::sqrt(low * high);
        let worth = Some(Duration::from_secs_f64(middle));
        let score = watch(durations, &history.curve(&Learned { worth, ..Learned::default() }));
        let found = ratio(&score);
        if found > 1.0 {
            low = middle;
        } else {
            high = middle;
        }
        let miss = (found - 1.0).abs();
        if best.as_ref().is_none_or(|(least, _)| miss < *least) {
            best = Some((miss, score));
        }
    }
    best.map_or_else(|| Score { polls: 0.0, delay: 0.0, p95: 0.0 }, |(_, score)| score)
}

/// What a pace costs and what it brings.
struct Score {
    polls: f64,
    delay: f64,
    p95: f64,
}

impl Score {
    /// Watches every task with `wait(age, looks so far, a number from 0 to 1)`.
    fn of(durations: &[f64], wait: impl Fn(f64, u32, f64) -> f64) -> Self {
        let mut dice = Generator(2);
        let mut polls = 0.0;
        let mut delays = Vec::with_capacity(durations.len());
        for duration in durations {
            let (mut age, mut looks) = (0.0, 0);
            // A task of no length is looked at once, too.
            while looks == 0 || age < *duration {
                age += wait(age, looks, dice.roll());
                looks += 1;
            }
            polls += f64::from(looks);
            delays.push(age - duration);
        }
        delays.sort_by(f64::total_cmp);
        let count = durations.len();
        Self {
            polls: polls / count as f64,
            delay: delays.iter().sum::<f64>() / count as f64,
            p95: delays[(count * 95 / 100).min(count - 1)],
        }
    }

    fn json(&self) -> Value {
        json!({"polls": self.polls, "delay": self.delay, "p95": self.p95})
    }
}

fn training_size(mut arguments: impl Iterator<Item = String>) -> Result<usize, String> {
    let usage = || "usage: pace --train N < DURATIONS".to_owned();
    match (arguments.next().as_deref(), arguments.next(), arguments.next()) {
        (None, _, _) => Ok(200),
        (Some("--train"), Some(number), None) => {
            number.parse().map_err(|_| format!("--train {number}: not a whole number"))
        }
        _ => Err(usage()),
    }
}

fn parse(text: &str) -> Result<Vec<f64>, String> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(i, line)| match line.trim().parse() {
            Ok(seconds) if (0.0..=LONGEST).contains(&seconds) => Ok(seconds),
            _ => Err(format!("line {}: {line}: not seconds from 0 to {LONGEST}", i + 1)),
        })
        .collect()
}

/// A small generator with a fixed seed (a linear congruence), so that every run says the same.
struct Generator(u64);

impl Generator {
    fn roll(&mut self) -> f64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// The paces to compare with. The back-off doubles: 2 s, 4 s, 8 s, then 10 s.
const PACES: [(&str, Wait); 3] = [
    ("fixed_3s", |_| 3.0),
    ("fixed_5s", |_| 5.0),
    ("backoff_2_10s", |looks| f64::min(2.0 * 2f64.powi(looks.min(10) as i32), 10.0)),
];

/// The longest task believed in, in seconds.
const LONGEST: f64 = 86_400.0;
