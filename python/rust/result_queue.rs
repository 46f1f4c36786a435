//! [`ResultQueue`]: the results of many jobs on their way to Python, in the order of the jobs if that was
//! asked for. [`Many`](crate::many::Many) and `RowSource` send them through a [`ResultSender`]; the
//! `Operation`s that `Many::next` returns read them. Each result that is read lets another row be drawn.
//!
//! A waiting reader is an [`Address`] in the queue: reading takes no future and does not wake the
//! runtime's thread. A result that arrived before its reader is handed over at once.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use effects_core::Error;
use tokio::runtime::Handle;

use crate::address::{Address, ReadStart, ReaderId, ValueSource};
use crate::many_shared::ManyShared;
use crate::value::{OperationValue, RowOutcomeValue};

/// Results, and the readers who wait for them.
pub(crate) struct ResultQueue {
    /// The process that fills it: in a fork, its lock may be held for ever.
    process: u32,
    shared: Arc<ManyShared>,
    ordered: bool,
    state: Mutex<QueueState>,
}

#[derive(Default)]
struct QueueState {
    /// Results whose turn it is.
    results: VecDeque<RowOutcomeValue>,
    /// Results that came before their turn, where the order matters.
    out_of_turn: BTreeMap<usize, RowOutcomeValue>,
    /// The row whose turn is next, where the order matters.
    next: usize,
    /// Readers who wait, in order; none while there are results.
    readers: VecDeque<(ReaderId, Address)>,
    last_reader: u64,
    /// No sender is left, or one has closed it.
    is_closed: bool,
    /// No reader comes any more.
    is_abandoned: bool,
}

/// Puts results into a queue. The queue is closed once every clone of it is gone, or one closes it.
#[derive(Clone)]
pub(crate) struct ResultSender(Arc<QueueCloser>);

struct QueueCloser(Arc<ResultQueue>);

impl Drop for QueueCloser {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl ResultSender {
    pub(crate) fn send(&self, end: RowOutcomeValue) {
        self.0.0.put(end);
    }

    /// No more results come, also where another sender is still held.
    pub(crate) fn close(&self) {
        self.0.0.close();
    }
}

impl ResultQueue {
    pub(crate) fn new(shared: Arc<ManyShared>, ordered: bool) -> (Arc<Self>, ResultSender) {
        let state = Mutex::default();
        let queue = Arc::new(Self { process: std::process::id(), shared, ordered, state });
        let sender = ResultSender(Arc::new(QueueCloser(Arc::clone(&queue))));
        (queue, sender)
    }

    /// No reader comes any more: results are dropped from here on.
    pub(crate) fn abandon(&self) {
        let mut state = self.state();
        state.is_abandoned = true;
        let dropped = (std::mem::take(&mut state.results), std::mem::take(&mut state.out_of_turn));
        drop(state);
        // They hold objects of Python, whose ends may come back here.
        drop(dropped);
    }

    fn put(&self, end: RowOutcomeValue) {
        let mut state = self.state();
        if state.is_abandoned || state.is_closed {
            // Unlocked before the result is dropped: it holds an object of Python's, whose end may
            // come back here.
            drop(state);
            return;
        }
        match end {
            RowOutcomeValue::Ended(row, ..) if self.ordered => {
                let QueueState { out_of_turn, next, results, .. } = &mut *state;
                out_of_turn.insert(row, end);
                while let Some(end) = out_of_turn.remove(next) {
                    *next += 1;
                    results.push_back(end);
                }
            }
            // After every row: results that came before their turn are still given first.
            RowOutcomeValue::IteratorFailed(_) if self.ordered => {
                drop(state.out_of_turn.insert(usize::MAX, end))
            }
            end => state.results.push_back(end),
        }
        self.hand_over(&mut state);
    }

    /// No more results come: those that came before their turn are given as they are.
    fn close(&self) {
        let mut state = self.state();
        state.is_closed = true;
        // A row that was never begun leaves a gap in the order: the results after it are given all
        // the same.
        let out_of_turn = std::mem::take(&mut state.out_of_turn);
        state.results.extend(out_of_turn.into_values());
        self.hand_over(&mut state);
    }

    fn hand_over(&self, state: &mut QueueState) {
        while !state.readers.is_empty() {
            let end = state.results.pop_front();
            if end.is_none() && !state.is_closed {
                return;
            }
            let Some((_, mut address)) = state.readers.pop_front() else { return };
            address.deliver_one(self.taken(end), !state.is_closed);
        }
    }

    /// A result, or the end of them, as a reader gets it.
    fn taken(&self, end: Option<RowOutcomeValue>) -> Result<OperationValue, Error> {
        if matches!(end, Some(RowOutcomeValue::Ended(..))) {
            self.shared.draw_permits.add_permits(1);
        }
        match end {
            Some(RowOutcomeValue::BatchFailed(error)) => Err(error),
            end => Ok(OperationValue::Row(end.map(Box::new))),
        }
    }

    fn state(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ValueSource for ResultQueue {
    fn read(&self, _runtime: &Handle, mut address: Address) -> ReadStart {
        let mut state = self.state();
        let end = state.results.pop_front();
        if end.is_some() || state.is_closed {
            drop(state);
            // Dropped with its reader in it, the address would deliver an error as well.
            address.forget();
            return ReadStart::Known(Box::new(self.taken(end)));
        }
        state.last_reader += 1;
        let reader = ReaderId(state.last_reader);
        state.readers.push_back((reader, address));
        ReadStart::Waits(reader)
    }

    fn leave(&self, reader: ReaderId) {
        // In a fork, a thread that is not there may hold the lock for ever.
        if self.process != std::process::id() {
            return;
        }
        let mut state = self.state();
        let position = state.readers.iter().position(|(waiting, _)| *waiting == reader);
        let left = position.and_then(|position| state.readers.remove(position));
        drop(state);
        if let Some((_, mut address)) = left {
            address.forget();
        }
    }
}
