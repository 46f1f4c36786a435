//! The exchange cases over the blocking and the async client; those of HTTP/2 over the async one.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use effects_tests::{ExchangeUnderTest, Reqwest, Ureq, exchange_cases};

#[test]
fn the_blocking_client_says_truthfully_what_became_of_a_request() {
    check_all(&Ureq);
}

#[test]
fn the_async_client_says_truthfully_what_became_of_a_request() {
    check_all(&Reqwest);
}

#[test]
fn every_case_has_a_name_of_its_own() {
    let cases = exchange_cases();
    let mut names: Vec<&str> = cases.iter().map(effects_tests::ExchangeCase::name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), cases.len());
}

/// Plays every case that suits the client, several at once, since the slow ones only wait.
fn check_all(client: &(dyn ExchangeUnderTest + Sync)) {
    const PLAYERS: usize = 6;
    let next = AtomicUsize::new(0);
    let wrong = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..PLAYERS {
            scope.spawn(|| {
                // The list is made anew each time, since a case cannot move between threads.
                while let Some(case) =
                    exchange_cases().into_iter().nth(next.fetch_add(1, Ordering::SeqCst))
                {
                    if !case.suits(client) {
                        continue;
                    }
                    if let Err(why) = case.check(client) {
                        wrong.lock().expect("no player panics").push((case.name().to_owned(), why));
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().expect("no player panics");
    assert!(wrong.is_empty(), "{}: {} cases: {wrong:#?}", client.name(), wrong.len());
}
