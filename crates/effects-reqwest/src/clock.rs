//! [`TokioClock`]: the machine's clock, slept on with tokio's timer. `ClientCore` has one: runs take the
//! time from it, and `TaskHandle::status` and `transfer.rs` also sleep on it between attempts. A program
//! that drives a run by itself can use it (`examples/embed_hyper.rs`).

use std::sync::Arc;
use std::time::Duration;

use effects_client::WallClock;
use effects_core::Time;
use effects_core::driver::AsyncClock;
use tokio::time::Sleep;

/// The machine's clock, slept on with tokio's timer.
#[derive(Clone, Debug, Default)]
pub struct TokioClock(Arc<WallClock>);

impl TokioClock {
    /// Waits until then, however often it wakes on the way.
    pub(crate) async fn sleep_fully(&self, until: Time) {
        while self.now() < until {
            self.sleep_until(until).await;
        }
    }
}

impl AsyncClock for TokioClock {
    type Sleeping<'a> = Sleep;

    fn now(&self) -> Time {
        self.0.now()
    }

    fn sleep_until(&self, until: Time) -> Sleep {
        // The timer stands still while a laptop sleeps; the wall clock does not.
        tokio::time::sleep(until.since(self.now()).min(LONGEST_SLEEP))
    }
}

const LONGEST_SLEEP: Duration = Duration::from_secs(10);
