//! [`Timers`]: the one heap of timers of a `Batch`, with at most one time for each run. The batch takes
//! from it the runs whose time has come, and the time to sleep until.

use crate::time::Time;

/// A heap of (time, run), in which each run knows its position: setting its timer anew moves it, and
/// nothing stale is ever in the way. Four children to a node: fewer levels, and those of one node
/// lie side by side.
#[derive(Debug, Default)]
pub(super) struct Timers {
    heap: Vec<Timer>,
    /// Where each run stands in the heap, by its index; `NOWHERE` if it does not.
    positions: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Timer {
    at: Time,
    index: u32,
}

impl Timers {
    /// Sets the timer of a run. One that never rings is none.
    pub(super) fn set(&mut self, index: u32, at: Time) {
        if at == Time::MAX {
            return self.clear(index);
        }
        if self.positions.len() <= index as usize {
            self.positions.resize(index as usize + 1, NOWHERE);
        }
        let timer = Timer { at, index };
        match self.positions[index as usize] {
            NOWHERE => {
                self.heap.push(timer);
                self.rise(self.heap.len() - 1, timer);
            }
            position => self.settle(position as usize, timer),
        }
    }

    /// Takes the timer of a run away.
    pub(super) fn clear(&mut self, index: u32) {
        let Some(position) = self.positions.get_mut(index as usize) else { return };
        let position = std::mem::replace(position, NOWHERE);
        if position == NOWHERE {
            return;
        }
        // A position that is taken is within the heap, so the heap is not empty.
        let Some(last) = self.heap.pop() else { return };
        // The last timer fills the hole, unless it is the one that was taken away.
        if last.index != index {
            self.settle(position as usize, last);
        }
    }

    /// The next timer: when it rings.
    pub(super) fn next(&self) -> Option<Time> {
        self.heap.first().map(|timer| timer.at)
    }

    /// Takes a timer that has rung by now: whose it was.
    pub(super) fn ring(&mut self, now: Time) -> Option<u32> {
        let timer = *self.heap.first().filter(|timer| timer.at <= now)?;
        self.clear(timer.index);
        Some(timer.index)
    }

    /// Puts a timer where another stood or a hole is, and from there where it belongs.
    fn settle(&mut self, position: usize, timer: Timer) {
        if position > 0 && timer.at < self.heap[(position - 1) / CHILDREN].at {
            self.rise(position, timer);
        } else {
            self.sink(position, timer);
        }
    }

    fn rise(&mut self, mut position: usize, timer: Timer) {
        while position > 0 {
            let parent = (position - 1) / CHILDREN;
            if self.heap[parent].at <= timer.at {
                break;
            }
            self.put(position, self.heap[parent]);
            position = parent;
        }
        self.put(position, timer);
    }

    fn sink(&mut self, mut position: usize, timer: Timer) {
        loop {
            let first = position * CHILDREN + 1;
            let children = first..(first + CHILDREN).min(self.heap.len());
            let Some(least) = children.min_by_key(|&child| self.heap[child].at) else { break };
            if timer.at <= self.heap[least].at {
                break;
            }
            self.put(position, self.heap[least]);
            position = least;
        }
        self.put(position, timer);
    }

    fn put(&mut self, position: usize, timer: Timer) {
        self.heap[position] = timer;
        // There are no more timers than runs, and those are counted in 32 bits.
        self.positions[timer.index as usize] = position as u32;
    }
}

const CHILDREN: usize = 4;
const NOWHERE: u32 = u32::MAX;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::seed::Seed;

    fn at(millis: u64) -> Time {
        Time::from_millis(millis)
    }

    #[test]
    fn it_rings_as_a_sorted_list_would_whatever_is_set_moved_and_cleared() {
        // Two hundred runs fill several levels of the heap. Time moves a millisecond in ten rounds
        // and timers lie up to 500 ms ahead, so most of them are moved or cleared before they ring.
        let (mut timers, mut rng) = (Timers::default(), Seed::from(3).rng());
        let mut model: BTreeSet<(Time, u32)> = BTreeSet::new();
        let mut set_at = [None; 200];
        for round in 0..40_000u64 {
            let index = (rng.next() % 200) as u32;
            let old: &mut Option<Time> = &mut set_at[index as usize];
            if let Some(old) = old.take() {
                model.remove(&(old, index));
            }
            if rng.next() % 4 == 0 {
                timers.clear(index);
            } else {
                let time = at(round / 10 + rng.next() % 500);
                timers.set(index, time);
                model.insert((time, index));
                set_at[index as usize] = Some(time);
            }
            let now = at(round / 10);
            while let Some(rung) = timers.ring(now) {
                let time = set_at[rung as usize].take().unwrap();
                assert!(time <= now && model.remove(&(time, rung)));
            }
            assert_eq!(timers.next(), model.first().map(|(time, _)| *time));
            assert!(timers.next().is_none_or(|next| next > now));
        }
    }

    #[test]
    fn what_never_rings_is_not_kept() {
        let mut timers = Timers::default();
        timers.set(3, Time::MAX);
        timers.set(2, at(5));
        timers.set(2, Time::MAX);
        timers.clear(9);
        assert_eq!((timers.next(), timers.ring(Time::MAX)), (None, None));
    }
}
