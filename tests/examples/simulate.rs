//! Plays schedules of the simulated world: several processes, one journal, one budget, crashes.
//!
//! ```sh
//! cargo run --release -p effects-tests --example simulate -- --seeds 1000000
//! cargo run --release -p effects-tests --example simulate -- --seed 7      # one, with its transcript
//! ```
//!
//! It prints how many schedules a second it played. At the first invariant that does not hold it
//! prints the seed and what happened, and exits with 1.

use std::process::ExitCode;
use std::time::Instant;

use effects_testkit::simulation::{Mutation, Simulation};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |name: &str| -> Option<u64> {
        let place = arguments.iter().position(|argument| argument == name)?;
        arguments.get(place + 1)?.parse().ok()
    };
    let (first, seeds) = match (number("--seed"), number("--seeds")) {
        (Some(seed), _) => (seed, 1),
        (None, seeds) => (0, seeds.unwrap_or(10_000)),
    };
    let begun = Instant::now();
    let (mut steps, mut accepted, mut crashes) = (0, 0, 0);
    for seed in first..first + seeds {
        match Simulation::new(seed).run() {
            Ok(report) => {
                steps += report.steps;
                accepted += report.accepted;
                crashes += report.crashes;
            }
            Err(violation) => {
                println!("{violation}");
                return ExitCode::FAILURE;
            }
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    #[allow(clippy::cast_precision_loss, reason = "a rate for people to read")]
    let rate = seeds as f64 / seconds;
    println!(
        "{seeds} schedules hold ({steps} steps, {accepted} tasks, {crashes} crashes) in {seconds:.1} s: \
         {rate:.0} schedules a second"
    );
    // A world in which no fault is ever found would prove nothing: each rule is broken
    // once on purpose.
    for mutation in Mutation::ALL {
        let found =
            (0..10_000).find(|seed| Simulation::new(*seed).broken_by(mutation).run().is_err());
        match found {
            Some(seed) => println!("{mutation:?} is found by schedule {seed}"),
            None => {
                println!("{mutation:?} is not found");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}
