//! The moment from which nobody waits for a run that goes on by itself.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use effects_core::{AsyncClock, Time};
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
pub(crate) struct AbandonableClock<'a> {
    pub(crate) clock: &'a TokioClock,
    pub(crate) abandonment: &'a Abandonment,
}

#[async_trait]
impl AsyncClock for AbandonableClock<'_> {
    fn now(&self) -> Time {
        self.clock.now()
    }

    async fn sleep_until(&self, until: Time) {
        select(self.clock.sleep_until(until), pin!(self.abandonment.comes.notified())).await;
    }
}
