//! The simulated world: thousands of schedules hold, and broken journals are found out.

use effects_testkit::simulation::{Mutation, Simulation};

#[test]
fn thousands_of_schedules_pay_nothing_twice_and_exceed_no_budget() {
    let (mut accepted, mut crashes) = (0, 0);
    for seed in 0..2_000 {
        match Simulation::new(seed).run() {
            Ok(report) => {
                accepted += report.accepted;
                crashes += report.crashes;
            }
            Err(violation) => panic!("{violation}"),
        }
    }
    // The world is not a kind one.
    assert!(accepted > 2_000 && crashes > 500, "{accepted} {crashes}");
}

#[test]
fn the_same_seed_plays_the_same() {
    for seed in 0..20 {
        assert_eq!(Simulation::new(seed).run().unwrap(), Simulation::new(seed).run().unwrap());
    }
}

#[test]
fn every_way_to_break_the_journal_is_found_out() {
    for mutation in Mutation::ALL {
        let found =
            (0..3_000).find(|seed| Simulation::new(*seed).broken_by(mutation).run().is_err());
        assert!(found.is_some(), "{mutation:?} is not found: the world is too kind");
    }
}
