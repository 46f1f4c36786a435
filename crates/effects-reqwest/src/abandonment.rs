//! [`Abandonment`]: set when the caller drops a run whose submission is under way. [`AbandonableClock`]
//! ends the run's sleep then.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use effects_core::Time;
use effects_core::driver::AsyncClock;
use futures_util::future::select;
use tokio::sync::Notify;

use crate::clock::TokioClock;

/// Whether whoever waited for a run has left.
#[derive(Debug, Default)]
pub(crate) struct Abandonment {
    come: AtomicBool,
    comes: Notify,
}

impl Abandonment {
    /// Nobody waits any more; a sleep ends.
    pub(crate) fn comes(&self) {
        self.come.store(true, Ordering::SeqCst);
        self.comes.notify_one();
    }

    pub(crate) fn has_come(&self) -> bool {
        self.come.load(Ordering::SeqCst)
    }
}

/// A clock whose sleep ends when nobody waits any more: a run that is between two attempts has
/// nothing left to do then.
pub(crate) struct AbandonableClock {
    pub(crate) clock: TokioClock,
    pub(crate) abandonment: Arc<Abandonment>,
}

impl AsyncClock for AbandonableClock {
    type Sleeping<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

    fn now(&self) -> Time {
        self.clock.now()
    }

    fn sleep_until(&self, until: Time) -> Self::Sleeping<'_> {
        let (sleep, comes) = (self.clock.sleep_until(until), self.abandonment.comes.notified());
        Box::pin(async move {
            select(pin!(sleep), pin!(comes)).await;
        })
    }
}
