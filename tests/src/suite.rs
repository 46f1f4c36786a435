//! Plays lists of scenarios.

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

/// Plays every scenario that suits the face, several at once, since most of their time is waiting.
///
/// # Panics
///
/// When one does not end as it must: with the names of all that did not.
pub fn check_all(face: &dyn Face, scenarios: &[Scenario]) {
    let next = AtomicUsize::new(0);
    let broken = Mutex::new(Vec::new());
    let player = || {
        while let Some(scenario) = scenarios.get(next.fetch_add(1, Ordering::SeqCst)) {
            if scenario.suits(face) && !plays(scenario, face) {
                broken.lock().unwrap_or_else(PoisonError::into_inner).push(scenario.name());
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..PLAYERS {
            scope.spawn(player);
        }
    });
    let broken = broken.into_inner().unwrap_or_else(PoisonError::into_inner);
    assert!(broken.is_empty(), "{} fails: {broken:#?}", face.name());
}

/// Plays in a thread of the scenario's name, which a panic prints.
fn plays(scenario: &Scenario, face: &dyn Face) -> bool {
    thread::scope(|scope| {
        let named = thread::Builder::new().name(scenario.name().to_owned());
        let played = named.spawn_scoped(scope, || scenario.play(face));
        played.expect("the machine has threads to give").join().is_ok()
    })
}

const PLAYERS: usize = 12;
