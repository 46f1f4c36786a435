//! [`check_all`]: plays a list of scenarios over a [`Face`] (one way to use one client), several at once
//! and without those that it does not support, and panics with the names of those that ended wrongly;
//! `tests/all/conformance.rs`, `tests/all/python.rs` and `tests/secrets.rs` call it. [`faces`]: both Rust
//! clients, each in three styles (`run`, event by event, `submit`), for the tests of spans, secrets, faults
//! and the emulator. [`unplayed`]: the scenarios that no given face can play, for `tests/all/python.rs`.

use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::asynchronous::Async;
use crate::blocking::Blocking;
use crate::face::{Face, Style};
use crate::scenario::Scenario;

/// Every way to use every client.
pub fn faces() -> Vec<Box<dyn Face>> {
    let styles = [Style::Run, Style::Events, Style::Submit];
    let blocking = styles.map(|style| Box::new(Blocking(style)) as Box<dyn Face>);
    let asynchronous = styles.map(|style| Box::new(Async(style)) as Box<dyn Face>);
    blocking.into_iter().chain(asynchronous).collect()
}

/// Plays every scenario that the face supports, several at once, since most of their time is
/// waiting; says how many it played, and which it did not and why.
///
/// # Panics
///
/// When one does not end as it must: with the names of all that did not.
pub fn check_all(face: &dyn Face, scenarios: &[Scenario]) {
    let next = AtomicUsize::new(0);
    let broken = Mutex::new(Vec::new());
    let player = || {
        while let Some(scenario) = scenarios.get(next.fetch_add(1, Ordering::SeqCst)) {
            if scenario.unsupported_by(face).is_none() && !plays(scenario, face) {
                broken.lock().unwrap_or_else(PoisonError::into_inner).push(scenario.name());
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..PLAYERS {
            scope.spawn(player);
        }
    });
    report(face, scenarios);
    let broken = broken.into_inner().unwrap_or_else(PoisonError::into_inner);
    assert!(broken.is_empty(), "{} fails: {broken:#?}", face.name());
}

/// The scenarios that none of these faces can play.
pub fn unplayed<'a>(faces: &[&dyn Face], scenarios: &'a [Scenario]) -> Vec<&'a Scenario> {
    let unsupported_by_all =
        |scenario: &&Scenario| faces.iter().all(|face| scenario.unsupported_by(*face).is_some());
    scenarios.iter().filter(unsupported_by_all).collect()
}

/// Says what was played, past the test harness, which keeps the words of what succeeds to itself.
fn report(face: &dyn Face, scenarios: &[Scenario]) {
    let unsupported_by =
        |scenario: &Scenario| Some((scenario.name(), scenario.unsupported_by(face)?));
    let left: Vec<_> = scenarios.iter().filter_map(unsupported_by).collect();
    let (name, count) = (face.name(), scenarios.len());
    let mut text = format!("{name}: {} of {count} scenarios\n", count - left.len());
    for (scenario, why) in left {
        text.push_str(&format!("{name}: not {scenario:?}: {why}\n"));
    }
    // One write, so that reports do not mix; where stderr is gone there is no reader.
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// Plays in a thread of the scenario's name, which a panic prints.
fn plays(scenario: &Scenario, face: &dyn Face) -> bool {
    thread::scope(|scope| {
        let named = thread::Builder::new().name(scenario.name().to_owned());
        // A panic ends this thread alone, so the scenarios after it are played too.
        let played = named.spawn_scoped(scope, || scenario.play(face));
        played.expect("the machine has threads to give").join().is_ok()
    })
}

const PLAYERS: usize = 12;
