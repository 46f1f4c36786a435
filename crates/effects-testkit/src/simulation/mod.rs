//! [`Simulation`]: plays a seeded schedule of a simulated world (`world.rs`): several processes do the same
//! paid jobs over one journal and one budget, crash, sleep and start again, against a service that loses
//! requests and answers; after every step it checks that nothing is paid twice, lost or over budget. This
//! crate's `tests/all/simulation.rs` and the workspace's `tests/examples/simulate.rs` run it.
//!
//! The store is the one in memory, with the rules of a row that all stores keep, behind what a database that
//! many machines share adds to them: the time is the store's, and the clocks of the machines are up to two
//! hours off; a process that does not reach it for longer than its lease passes for gone; and the answer to
//! a commit may be lost, whether the commit arrived or not. It is looked up then, or done again.
//!
//! A seed is a schedule: [`Simulation::run`] plays it on virtual time and checks after every step, by the
//! *service's* own ledger, that no row was paid twice, that no task is lost, that no budget is exceeded and
//! that no picture is recorded that is not on the disk. The same seed always plays the same. A
//! [`Mutation`] breaks the world on purpose, to show that the checks would notice.
//!
//! ```
//! use effects_testkit::simulation::Simulation;
//!
//! let report = Simulation::new(7).run().expect("every invariant holds");
//! assert!(report.accepted > 0);
//! ```

mod disk;
mod faulty_row_journal;
mod service;
mod world;

use std::fmt;

use world::SimulatedWorld;

/// One schedule of a simulated world.
#[derive(Debug)]
pub struct Simulation {
    seed: u64,
    mutation: Option<Mutation>,
}

/// A way to break the world on purpose.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mutation {
    /// An intent is said to be durable and is not.
    SkipIntent,
    /// A task's id is said to be durable and is not.
    SkipCreated,
    /// A submission of unknown outcome is booked as one that made nothing.
    ReleaseDoubtful,
    /// Submissions are charged to no budget.
    ForgetReservation,
    /// A submission that should wait for its budget leaves.
    IgnoreWait,
    /// A submission that is over the budget leaves.
    IgnoreOverBudget,
    /// A task that was billed is booked as free.
    ForgetCost,
    /// A finished task is booked twice.
    SettleTwice,
    /// A row whose submission another process has under way is submitted here as well.
    TakeOverIntent,
    /// The bill of a failed task that is paid for anew is dropped.
    DropRenewedBill,
    /// A picture is recorded before it is on the disk.
    RecordBeforeSync,
    /// A process that is there is taken for gone.
    IgnoreLease,
    /// A process that is started again passes for the one that crashed.
    ReuseOwner,
    /// A picture is saved to the file of another row.
    SaveToWrongFile,
    /// A clock stands still while its process sleeps, so that an old intent is sent.
    SleeperSendsLate,
    /// A write whose answer was lost is taken for done, and not looked up.
    TrustLostCommit,
    /// Leases are read by the clock of a process, and not by the store's.
    LeaseByOwnClock,
}

impl Mutation {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::SkipIntent,
        Self::SkipCreated,
        Self::ReleaseDoubtful,
        Self::ForgetReservation,
        Self::IgnoreWait,
        Self::IgnoreOverBudget,
        Self::ForgetCost,
        Self::SettleTwice,
        Self::TakeOverIntent,
        Self::DropRenewedBill,
        Self::RecordBeforeSync,
        Self::IgnoreLease,
        Self::ReuseOwner,
        Self::SaveToWrongFile,
        Self::SleeperSendsLate,
        Self::TrustLostCommit,
        Self::LeaseByOwnClock,
    ];
}

/// What a schedule came to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ScheduleReport {
    /// Steps taken.
    pub steps: u64,
    /// Tasks the service made.
    pub accepted: u64,
    /// Processes that crashed.
    pub crashes: u64,
    /// Pictures on the disk at the end.
    pub pictures: u64,
}

/// An invariant that did not hold.
#[derive(Clone, Debug)]
pub struct BrokenInvariant {
    /// The seed that plays it again.
    pub seed: u64,
    /// What did not hold.
    pub what: String,
    /// What happened before, the latest last.
    pub transcript: Vec<String>,
}

impl fmt::Display for BrokenInvariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}: {}", self.seed, self.what)?;
        self.transcript.iter().try_for_each(|line| writeln!(f, "  {line}"))
    }
}

impl std::error::Error for BrokenInvariant {}

impl Simulation {
    /// The schedule of a seed.
    pub fn new(seed: u64) -> Self {
        Self { seed, mutation: None }
    }

    /// The same schedule in a broken world.
    #[must_use]
    pub fn broken_by(self, mutation: Mutation) -> Self {
        Self { mutation: Some(mutation), ..self }
    }

    /// Plays the schedule to its end.
    ///
    /// # Errors
    ///
    /// [`BrokenInvariant`], at the first step after which an invariant does not hold.
    pub fn run(self) -> Result<ScheduleReport, BrokenInvariant> {
        SimulatedWorld::new(self.seed, self.mutation).play()
    }
}
