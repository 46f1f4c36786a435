//! Every fault the emulator knows, met by both clients: each ends as the money rules say, and
//! whatever happens, nothing is paid for twice.
//!
//! A [`case::Case`] is a row: a plan as its file has it, or a key that chooses an outcome, and the
//! end. [`table`] holds the rows, [`statuses`] walks every status in every form of body.

mod case;
mod statuses;
mod table;

use self::case::{Case, play_all};
use effects_tests::{Async, Blocking, Face, Style, faces};

#[test]
fn faults_of_creates() {
    play_all(&faces(), &table::creates());
}

#[test]
fn faults_of_tasks() {
    play_all(&faces(), &table::tasks());
}

#[test]
fn faults_of_looks() {
    play_all(&faces(), &table::looks());
}

#[test]
fn faults_of_downloads() {
    play_all(&faces(), &table::downloads());
}

#[test]
fn faults_of_uploads() {
    play_all(&one_style(), &table::uploads());
}

#[test]
fn keys_that_choose_an_outcome() {
    play_all(&faces(), &table::keys());
}

#[test]
fn every_kind_of_fault_is_provoked() {
    let lists =
        [table::creates(), table::tasks(), table::looks(), table::downloads(), table::uploads()];
    let cases: Vec<Case> = lists.into_iter().flatten().collect();
    let kinds = [
        "status",
        "reset",
        "close",
        "hang",
        "slow",
        "truncate",
        "garbage",
        "drip",
        "fail",
        "no-url",
        "wrong-size",
        "wrong-sides",
        "expired-link",
        "missing",
        "take",
        "finished",
        "stale",
        "word",
    ];
    for kind in kinds {
        let line = format!("kind = \"{kind}\"");
        assert!(cases.iter().any(|case| case.plan.contains(&line)), "no case provokes `{kind}`");
    }
    let mut names: Vec<&str> = cases.iter().map(|case| case.name).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count, "two cases have one name");
}

/// Both clients, each used in one way.
fn one_style() -> Vec<Box<dyn Face>> {
    vec![Box::new(Blocking(Style::Run)), Box::new(Async(Style::Run))]
}
