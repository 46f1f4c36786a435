//! [`promise`]: a one-shot channel: a [`Promise`], awaited by a thread or by a future of any runtime,
//! and the [`PromiseKeeper`] that gives it its value. The writer threads answer `WriterHandle`,
//! `RowLease` and `ForkHandle` through one.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// A promise and the side that keeps it.
pub(crate) fn promise<T>() -> (Promise<T>, PromiseKeeper<T>) {
    let shared = Arc::new(PromiseShared {
        state: Mutex::new(PromiseState::Open(None)),
        changed: Condvar::new(),
    });
    (Promise(Arc::clone(&shared)), PromiseKeeper(Some(shared)))
}

/// Waits for the value; `None` if the keeper of the promise was dropped without one.
#[derive(Debug)]
pub(crate) struct Promise<T>(Arc<PromiseShared<T>>);

/// Keeps the promise, or breaks it when dropped.
#[derive(Debug)]
pub(crate) struct PromiseKeeper<T>(Option<Arc<PromiseShared<T>>>);

#[derive(Debug)]
struct PromiseShared<T> {
    state: Mutex<PromiseState<T>>,
    changed: Condvar,
}

#[derive(Debug)]
enum PromiseState<T> {
    /// Not kept yet; a future may wait.
    Open(Option<Waker>),
    /// Over: kept, broken, or taken.
    Over(Option<T>),
}

impl<T> Promise<T> {
    /// Blocks the thread.
    pub(crate) fn wait(self) -> Option<T> {
        let mut state = self.0.lock();
        loop {
            if let PromiseState::Over(value) = &mut *state {
                return value.take();
            }
            state = self.0.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl<T> Future for Promise<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let mut state = self.0.lock();
        match &mut *state {
            PromiseState::Over(value) => Poll::Ready(value.take()),
            PromiseState::Open(waker) => {
                // The waker of the last poll counts: the future may have moved to another task
                // since the one before.
                *waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl<T> PromiseKeeper<T> {
    pub(crate) fn keep(mut self, value: T) {
        self.end(Some(value));
    }

    fn end(&mut self, value: Option<T>) {
        // `keep` ended it already: dropping the keeper then breaks no promise.
        let Some(shared) = self.0.take() else {
            return;
        };
        // The lock is free again after this statement: the side that is woken takes it at once.
        let before = std::mem::replace(&mut *shared.lock(), PromiseState::Over(value));
        shared.changed.notify_all();
        if let PromiseState::Open(Some(waker)) = before {
            waker.wake();
        }
    }
}

impl<T> Drop for PromiseKeeper<T> {
    fn drop(&mut self) {
        self.end(None);
    }
}

impl<T> PromiseShared<T> {
    fn lock(&self) -> MutexGuard<'_, PromiseState<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_promise_is_kept_across_threads_or_broken() {
        let (promise, keep) = promise();
        let keeper = std::thread::spawn(move || keep.keep(7));
        assert_eq!(promise.wait(), Some(7));
        keeper.join().unwrap();

        let (promise, keep) = super::promise::<u8>();
        drop(keep);
        assert_eq!(promise.wait(), None);
    }

    #[test]
    fn a_future_is_woken() {
        let (promise, keep) = promise();
        let keeper = std::thread::spawn(move || keep.keep("kept"));
        assert_eq!(block_on(promise), Some("kept"));
        keeper.join().unwrap();
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
