//! The places of the runs: handles that never become another's, tickets that say what still counts.

use crate::run::Run;

/// The handle of a run in a batch. One that is over never becomes another's.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct RunId {
    pub(super) index: u32,
    generation: u32,
}

impl RunId {
    /// Its place: less than the most runs that were ever in the batch at once, and no other's as
    /// long as this run is. For a driver's own table of runs.
    pub fn place(self) -> usize {
        self.index as usize
    }
}

/// A place in a queue. It counts as long as the run has not been moved since: whoever moves it need
/// not find it elsewhere first.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Ticket {
    pub(super) index: u32,
    number: u32,
}

/// A run and where it stands.
#[derive(Debug)]
pub(super) struct Slot {
    generation: u32,
    ticket: u32,
    /// Which of the batch's kinds it is paced by.
    pub(super) kind: u32,
    /// The run that looks at its task for it, if one does.
    pub(super) leader: Option<RunId>,
    /// It has a submission or a task under way.
    pub(super) active: bool,
    /// It has a submission in flight, from its intent on.
    pub(super) posting: bool,
    /// Its price is reserved.
    pub(super) reserved: bool,
    /// Empty in a free slot.
    pub(super) run: Option<Box<Run>>,
}

/// All slots, the free ones to be used again.
#[derive(Debug, Default)]
pub(super) struct Slots {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

impl Slots {
    /// Gives a run a slot.
    pub(super) fn add(&mut self, run: Box<Run>, kind: u32) -> RunId {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::empty());
            // A batch of more than four thousand million runs has other troubles first.
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        let slot = &mut self.slots[index as usize];
        (slot.run, slot.kind) = (Some(run), kind);
        RunId { index, generation: slot.generation }
    }

    /// Frees a slot and takes out what was in it. Its handle and its tickets count no more.
    pub(super) fn remove(&mut self, index: u32) -> Slot {
        let slot = &mut self.slots[index as usize];
        let freed = Slot {
            generation: slot.generation.wrapping_add(1),
            ticket: slot.ticket.wrapping_add(1),
            ..Slot::empty()
        };
        self.free.push(index);
        std::mem::replace(slot, freed)
    }

    /// The index behind a handle, if that still counts.
    pub(super) fn find(&self, id: RunId) -> Option<u32> {
        let slot = self.slots.get(id.index as usize)?;
        (slot.generation == id.generation && slot.run.is_some()).then_some(id.index)
    }

    pub(super) fn id(&self, index: u32) -> RunId {
        RunId { index, generation: self.slots[index as usize].generation }
    }

    pub(super) fn slot(&mut self, index: u32) -> &mut Slot {
        &mut self.slots[index as usize]
    }

    pub(super) fn run(&self, index: u32) -> Option<&Run> {
        self.slots[index as usize].run.as_deref()
    }

    /// The run that looks at its task for it.
    pub(super) fn leader(&self, index: u32) -> Option<RunId> {
        self.slots[index as usize].leader
    }

    /// A new ticket, which takes the place of the last.
    pub(super) fn ticket(&mut self, index: u32) -> Ticket {
        let slot = &mut self.slots[index as usize];
        slot.ticket = slot.ticket.wrapping_add(1);
        Ticket { index, number: slot.ticket }
    }

    /// Whether a ticket still counts.
    pub(super) fn holds(&self, ticket: Ticket) -> bool {
        self.slots[ticket.index as usize].ticket == ticket.number
    }

    /// The runs that are not over, by index.
    pub(super) fn indices(&self) -> Vec<u32> {
        let all = (0_u32..).zip(&self.slots);
        all.filter(|(_, slot)| slot.run.is_some()).map(|(index, _)| index).collect()
    }
}

impl Slot {
    const fn empty() -> Self {
        Self {
            generation: 0,
            ticket: 0,
            kind: 0,
            leader: None,
            active: false,
            posting: false,
            reserved: false,
            run: None,
        }
    }
}
