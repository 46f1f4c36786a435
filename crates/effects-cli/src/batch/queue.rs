//! A queue between threads, with an end that everybody sees.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// A queue with room for so many: whoever brings more waits.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
    room: usize,
}

#[derive(Debug)]
struct State<T> {
    items: VecDeque<T>,
    closed: bool,
}

impl<T> Queue<T> {
    pub(crate) fn with_room(room: usize) -> Self {
        let state = State { items: VecDeque::new(), closed: false };
        Self { state: Mutex::new(state), changed: Condvar::new(), room }
    }

    /// Adds one once there is room; says whether it was taken, which it is not after the end.
    pub(crate) fn push(&self, item: T) -> bool {
        let mut state = self.lock();
        while state.items.len() >= self.room && !state.closed {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        self.add(state, item)
    }

    /// Adds one at once, room or no room: for whoever must not wait.
    pub(crate) fn push_at_once(&self, item: T) -> bool {
        self.add(self.lock(), item)
    }

    fn add(&self, mut state: MutexGuard<'_, State<T>>, item: T) -> bool {
        if !state.closed {
            state.items.push_back(item);
            self.changed.notify_all();
        }
        !state.closed
    }

    /// The next one, once there is one; none after the last.
    pub(crate) fn pop(&self) -> Option<T> {
        let mut state = self.lock();
        loop {
            if let Some(item) = state.items.pop_front() {
                self.changed.notify_all();
                return Some(item);
            }
            if state.closed {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits until there is room, or the end.
    pub(crate) fn wait_for_room(&self) {
        let mut state = self.lock();
        while state.items.len() >= self.room && !state.closed {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// No more come; those that are there are still handed out.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// No more come, and those that are there are handed to the caller.
    pub(crate) fn abandon(&self) -> VecDeque<T> {
        let mut state = self.lock();
        state.closed = true;
        self.changed.notify_all();
        std::mem::take(&mut state.items)
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;

    #[test]
    fn what_is_there_is_handed_out_after_the_end_and_nothing_more_is_taken() {
        let queue = Queue::with_room(1);
        assert!(queue.push(1) && queue.push_at_once(2));
        queue.close();
        assert!(!queue.push(3));
        assert_eq!((queue.pop(), queue.pop(), queue.pop()), (Some(1), Some(2), None));
    }

    #[test]
    fn whoever_waits_for_room_gets_it_or_the_end() {
        let queue = Arc::new(Queue::with_room(1));
        assert!(queue.push(1));
        let other = Arc::clone(&queue);
        let waits = thread::spawn(move || (other.push(2), other.push(3)));
        assert_eq!((queue.pop(), queue.pop()), (Some(1), Some(2)));
        // Ends, or the test does not.
        while queue.abandon().is_empty() && !waits.is_finished() {
            thread::yield_now();
        }
        assert!(waits.join().unwrap().0);
    }
}
