//! [`JobsHandle`]: controls running jobs from another thread: `halt` begins no more, `stop` also submits
//! and fetches no more; it tells how many run, whether a submission is in flight, and why submissions are
//! held back. The job drivers of both clients (`jobs.rs`) obey it and publish there how jobs stand; their
//! `JobResults` hand it to programs. The command (`batch/interruptible.rs`) shows progress with it and
//! stops jobs on Ctrl-C, for `batch`, `watch`, `resume` and `reorder`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use effects_core::Error;
use effects_core::batch::Outage;
use effects_jobs::JobMachine;

/// Stops jobs from another thread, a signal handler's for example, and says how they stand. Clones are
/// of the same jobs.
#[derive(Clone, Default)]
pub struct JobsHandle(Arc<HandleShared>);

#[derive(Default)]
struct HandleShared {
    /// Wakes the driver, which may sleep until an answer comes.
    wake: OnceLock<Box<dyn Fn() + Send + Sync>>,
    is_stopped: AtomicBool,
    is_halted: AtomicBool,
    status: Mutex<JobsStatus>,
}

/// How jobs stand, as their driver last said.
#[derive(Clone, Debug, Default)]
struct JobsStatus {
    running: u32,
    submitting: u32,
    outage: Option<Outage>,
    halted_by: Option<Error>,
}

impl JobsHandle {
    /// Stops: nothing more is begun, submitted or fetched. A submission in flight is still awaited, and
    /// each job that was begun still has its result.
    pub fn stop(&self) {
        // Before the driver is woken, which then looks at it.
        self.0.is_stopped.store(true, Ordering::SeqCst);
        self.wake();
    }

    /// Begins nothing more; what runs goes on to its end.
    pub fn halt(&self) {
        self.0.is_halted.store(true, Ordering::SeqCst);
        self.wake();
    }

    /// Whether they were told to stop.
    pub fn is_stopped(&self) -> bool {
        self.0.is_stopped.load(Ordering::SeqCst)
    }

    /// Whether nothing more is begun.
    pub fn is_halted(&self) -> bool {
        self.0.is_halted.load(Ordering::SeqCst) || self.is_stopped()
    }

    /// Whether a submission is in flight: the moment not to leave.
    pub fn is_submitting(&self) -> bool {
        self.status().submitting > 0
    }

    /// How many jobs are submitted or followed right now.
    pub fn running(&self) -> u32 {
        self.status().running
    }

    /// Why submissions are held back; `None` as long as they reach the gateway and it answers them.
    pub fn outage(&self) -> Option<Outage> {
        self.status().outage.clone()
    }

    /// Why nothing more is begun, where an error that would be every job's is the reason.
    pub fn halted_by(&self) -> Option<Error> {
        self.status().halted_by.clone()
    }

    /// Wakes the driver by this whenever it is told something. For drivers.
    pub fn wake_by(&self, wake: impl Fn() + Send + Sync + 'static) {
        // A handle has one driver.
        let _ = self.0.wake.set(Box::new(wake));
    }

    fn wake(&self) {
        if let Some(wake) = self.0.wake.get() {
            wake();
        }
    }

    /// Publishes how a machine stands. For drivers.
    pub fn publish<K>(&self, machine: &JobMachine<K>) {
        let mut status = self.status();
        (status.running, status.submitting) = (machine.running(), machine.submitting());
        // Drivers publish at every step, so an outage is cloned only where it changed.
        if status.outage.as_ref() != machine.outage() {
            status.outage = machine.outage().cloned();
        }
        if machine.is_halted() {
            self.0.is_halted.store(true, Ordering::SeqCst);
            // The first reason stays: what comes after it is mostly its consequence.
            if status.halted_by.is_none() {
                status.halted_by = machine.halted_by().cloned();
            }
        }
    }

    /// Publishes what went wrong at the end. For drivers.
    pub fn fail(&self, error: Error) {
        self.status().halted_by.get_or_insert(error);
    }

    fn status(&self) -> MutexGuard<'_, JobsStatus> {
        self.0.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for JobsHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JobsHandle").field("status", &self.0.status).finish_non_exhaustive()
    }
}
