//! [`Slots`]: the store of the runs of a `Batch`. [`RunId`] is the handle of a run, never reused for
//! another, which `JobMachine` and the drivers keep, too. [`Ticket`] marks a run's place in the batch's
//! `ready` list or in one of the `Queues`, and is void once the run is moved. [`PollRole`] says whether a
//! run polls its task or another does for it (`shared_polls.rs`). `Batch` alone uses the rest.

use crate::run::Run;

/// The handle of a run in a batch. One that is over never becomes another's.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct RunId {
    pub(super) index: u32,
    generation: u32,
}

impl RunId {
    /// Its index: less than the most runs that were ever in the batch at once, and no other's as
    /// long as this run is. For a driver's own table of runs.
    pub fn slot_index(self) -> usize {
        self.index as usize
    }
}

/// A place in a queue. It counts as long as the run has not been moved since, so that a run can be
/// moved without a search for its old place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Ticket {
    pub(super) index: u32,
    number: u32,
}

/// A run's part in polling its task.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum PollRole {
    /// It polls, for every run that follows the same task.
    Leader,
    /// Another run polls for it.
    Follower,
    /// It polls for itself alone, so that each look is reported.
    Alone,
    /// The same, but not before it is released, or its wait ends.
    Paused,
}

/// A run and where it stands, which no other run's shares a line of memory with.
#[derive(Debug)]
// A cache line has 64 bytes on x86-64 and on most ARM cores.
#[repr(align(64))]
pub(super) struct RunSlot {
    generation: u32,
    ticket: u32,
    /// Which of the batch's curves it is paced by: its label, numbered by `Curves`.
    pub(super) label_index: u32,
    /// It has a submission or a task under way.
    pub(super) active: bool,
    /// It has a submission in flight, from its intent on.
    pub(super) submitting: bool,
    /// A caller waits for its submission, so that nothing but the width holds it back.
    pub(super) at_once: bool,
    /// Its part in polling its task.
    pub(super) poll_role: PollRole,
    /// Empty in a free slot.
    pub(super) run: Option<Run>,
}

/// All slots, the free ones to be used again. They lie in pages, so that more of them move none.
#[derive(Debug, Default)]
pub(super) struct Slots {
    pages: Vec<Vec<RunSlot>>,
    free: Vec<u32>,
}

impl Slots {
    /// Gives a run a slot.
    pub(super) fn add(&mut self, run: Run, label_index: u32) -> RunId {
        let index = self.free.pop().unwrap_or_else(|| self.new_slot());
        let slot = self.slot(index);
        (slot.run, slot.label_index) = (Some(run), label_index);
        RunId { index, generation: slot.generation }
    }

    fn new_slot(&mut self) -> u32 {
        if self.pages.last().is_none_or(|page| page.len() == PAGE) {
            self.pages.push(Vec::with_capacity(PAGE));
        }
        let full = (self.pages.len() - 1) * PAGE;
        let page = &mut self.pages[full / PAGE];
        page.push(RunSlot::empty());
        // A batch of more than four thousand million runs has other troubles first.
        u32::try_from(full + page.len() - 1).unwrap_or(u32::MAX)
    }

    /// Frees a slot and drops what is in it. Its handle and its tickets count no more.
    pub(super) fn remove(&mut self, index: u32) {
        self.free.push(index);
        let slot = self.slot(index);
        slot.run = None;
        // A handle of the run that was here finds another generation, and so no run.
        slot.generation = slot.generation.wrapping_add(1);
        slot.ticket = slot.ticket.wrapping_add(1);
        (slot.active, slot.submitting, slot.at_once) = (false, false, false);
        slot.poll_role = PollRole::Leader;
    }

    /// The index behind a handle, if that still counts.
    pub(super) fn find(&self, id: RunId) -> Option<u32> {
        let slot = self.pages.get(page(id.index))?.get(offset_in_page(id.index))?;
        (slot.generation == id.generation && slot.run.is_some()).then_some(id.index)
    }

    pub(super) fn id(&self, index: u32) -> RunId {
        RunId { index, generation: self.at(index).generation }
    }

    pub(super) fn slot(&mut self, index: u32) -> &mut RunSlot {
        &mut self.pages[page(index)][offset_in_page(index)]
    }

    fn at(&self, index: u32) -> &RunSlot {
        &self.pages[page(index)][offset_in_page(index)]
    }

    pub(super) fn run(&self, index: u32) -> Option<&Run> {
        self.at(index).run.as_ref()
    }

    /// Whether another run looks at its task for it.
    pub(super) fn follows(&self, index: u32) -> bool {
        self.at(index).poll_role == PollRole::Follower
    }

    /// Whether it looks for itself alone.
    pub(super) fn is_alone(&self, index: u32) -> bool {
        matches!(self.at(index).poll_role, PollRole::Alone | PollRole::Paused)
    }

    /// A new ticket, which takes the place of the last.
    pub(super) fn ticket(&mut self, index: u32) -> Ticket {
        let slot = self.slot(index);
        slot.ticket = slot.ticket.wrapping_add(1);
        Ticket { index, number: slot.ticket }
    }

    /// Whether a ticket still counts.
    pub(super) fn holds(&self, ticket: Ticket) -> bool {
        self.at(ticket.index).ticket == ticket.number
    }

    /// The runs that are not over, by index.
    pub(super) fn indices(&self) -> Vec<u32> {
        let all = (0_u32..).zip(self.pages.iter().flatten());
        // Collected, since callers change the slots while they go through them.
        all.filter(|(_, slot)| slot.run.is_some()).map(|(index, _)| index).collect()
    }
}

impl RunSlot {
    const fn empty() -> Self {
        Self {
            generation: 0,
            ticket: 0,
            label_index: 0,
            active: false,
            submitting: false,
            at_once: false,
            poll_role: PollRole::Leader,
            run: None,
        }
    }
}

/// Slots in a page.
const PAGE: usize = 256;

const fn page(index: u32) -> usize {
    index as usize / PAGE
}

const fn offset_in_page(index: u32) -> usize {
    index as usize % PAGE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_four_lines_of_memory() {
        assert!(size_of::<RunSlot>() <= 4 * 64, "{}", size_of::<RunSlot>());
    }
}
