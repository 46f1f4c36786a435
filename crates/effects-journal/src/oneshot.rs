//! [`oneshot`]: a one-shot channel: an [`OneshotReceiver`], awaited by a thread or by a future of any
//! runtime, and the [`OneshotSender`] of its value. The writer threads answer `WriterHandle`, `RowLease`
//! and `ForkHandle` through one.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Both ends of a channel for one value.
pub(crate) fn oneshot<T>() -> (OneshotReceiver<T>, OneshotSender<T>) {
    let shared = Arc::new(OneshotShared {
        state: Mutex::new(OneshotState::Open(None)),
        changed: Condvar::new(),
    });
    (OneshotReceiver(Arc::clone(&shared)), OneshotSender(Some(shared)))
}

/// Waits for the value; `None` if the sender was dropped without one.
#[derive(Debug)]
pub(crate) struct OneshotReceiver<T>(Arc<OneshotShared<T>>);

/// Sends the value; dropped without one, it ends the wait.
#[derive(Debug)]
pub(crate) struct OneshotSender<T>(Option<Arc<OneshotShared<T>>>);

#[derive(Debug)]
struct OneshotShared<T> {
    state: Mutex<OneshotState<T>>,
    changed: Condvar,
}

#[derive(Debug)]
enum OneshotState<T> {
    /// Not sent yet; a future may wait.
    Open(Option<Waker>),
    /// Over: sent, dropped, or taken.
    Over(Option<T>),
}

impl<T> OneshotReceiver<T> {
    /// Blocks the thread.
    pub(crate) fn wait(self) -> Option<T> {
        let mut state = self.0.lock();
        loop {
            if let OneshotState::Over(value) = &mut *state {
                return value.take();
            }
            state = self.0.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl<T> Future for OneshotReceiver<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let mut state = self.0.lock();
        match &mut *state {
            OneshotState::Over(value) => Poll::Ready(value.take()),
            OneshotState::Open(waker) => {
                // The waker of the last poll counts: the future may have moved to another task
                // since the one before.
                *waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl<T> OneshotSender<T> {
    pub(crate) fn send(mut self, value: T) {
        self.end(Some(value));
    }

    fn end(&mut self, value: Option<T>) {
        // `send` ended it already: dropping the sender then changes nothing.
        let Some(shared) = self.0.take() else {
            return;
        };
        // The lock is free again after this statement: the side that is woken takes it at once.
        let before = std::mem::replace(&mut *shared.lock(), OneshotState::Over(value));
        shared.changed.notify_all();
        if let OneshotState::Open(Some(waker)) = before {
            waker.wake();
        }
    }
}

impl<T> Drop for OneshotSender<T> {
    fn drop(&mut self) {
        self.end(None);
    }
}

impl<T> OneshotShared<T> {
    fn lock(&self) -> MutexGuard<'_, OneshotState<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_arrives_across_threads_or_the_sender_is_dropped() {
        let (receiver, sender) = oneshot();
        let thread = std::thread::spawn(move || sender.send(7));
        assert_eq!(receiver.wait(), Some(7));
        thread.join().unwrap();

        let (receiver, sender) = super::oneshot::<u8>();
        drop(sender);
        assert_eq!(receiver.wait(), None);
    }

    #[test]
    fn a_future_is_woken() {
        let (receiver, sender) = oneshot();
        let thread = std::thread::spawn(move || sender.send("kept"));
        assert_eq!(block_on(receiver), Some("kept"));
        thread.join().unwrap();
    }

    /// The smallest executor: parks the thread until it is woken.
    fn block_on<F: Future>(future: F) -> F::Output {
        struct Unpark(std::thread::Thread);
        impl std::task::Wake for Unpark {
            fn wake(self: Arc<Self>) {
                self.0.unpark();
            }
        }
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        let mut future = std::pin::pin!(future);
        loop {
            match future.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(output) => return output,
                Poll::Pending => std::thread::park(),
            }
        }
    }
}
