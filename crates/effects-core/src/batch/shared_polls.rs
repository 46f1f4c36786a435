//! [`SharedPolls`]: deduplicates polling in a `Batch`. Of the runs that follow one task, only the leader
//! polls it, and the others end with the verdict that the leader sees; if the leader leaves without a
//! verdict, one of them leads. A run that polls for itself alone (`Batch::look_alone`) gets the verdict,
//! too. Only `Batch` uses it.
//!
//! A follower is a complete run with its own wait. The end that the leader sees, or a run that polls for
//! itself alone, is that of all others, so that no task is polled after it. A leader leaves without an
//! end where its wait is over or it was cancelled.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};

use super::Batch;
use super::slots::{PollRole, RunId};
use crate::run::outcome::Outcome;
use crate::task_id::TaskId;

/// Who leads and who follows.
#[derive(Debug, Default)]
pub(super) struct SharedPolls {
    /// Which run looks at a task, by the hash of the task's id: a hundred thousand ids need not be
    /// kept twice, nor hashed.
    leaders: HashMap<u64, RunId, BuildHasherDefault<IdentityHasher>>,
    hashes: RandomState,
    /// The runs that get the end from a leader: its followers, and those that look for themselves
    /// alone.
    followers: HashMap<RunId, Vec<RunId>>,
    /// Whom a run follows, by its index; those that do say so in their slots.
    followed: HashMap<u32, RunId>,
    /// What the leaders of these saw.
    verdicts: HashMap<RunId, Box<Outcome>>,
}

impl SharedPolls {
    /// What the leader of a run saw, taken once.
    pub(super) fn take_verdict(&mut self, id: RunId) -> Option<Outcome> {
        if self.verdicts.is_empty() {
            return None;
        }
        self.verdicts.remove(&id).map(|outcome| *outcome)
    }
}

impl Batch {
    /// Lets a run follow the run that looks at its task already; else it leads. Whether it follows. One that
    /// looks for itself alone does neither, but it gets the end, and passes it on.
    pub(super) fn follow(&mut self, index: u32, task: &TaskId) -> bool {
        let (id, key) = (self.slots.id(index), self.shared_polls.hashes.hash_one(task));
        let leader = self.shared_polls.leaders.get(&key).copied();
        let leads = |leader: &RunId| {
            // A run that is over, or that polls for itself alone, leads no other.
            *leader != id && self.is_about(*leader, task) && !self.slots.is_alone(leader.index)
        };
        // Two ids may have one hash: the two then look each for itself.
        let leader = leader.filter(leads);
        let followed = leader.filter(|_| !self.slots.is_alone(index));
        self.set_leader(index, followed);
        let delivery = match leader {
            Some(leader) => Some((leader, id)),
            // The run that stood there is over or polls for itself alone; `pass_on_outcome` leaves those
            // out that are over.
            None => self.shared_polls.leaders.insert(key, id).map(|alone| (id, alone)),
        };
        if let Some((leader, recipient)) =
            delivery.filter(|(leader, recipient)| leader != recipient)
        {
            self.shared_polls.followers.entry(leader).or_default().push(recipient);
        }
        followed.is_some()
    }

    /// A run has left: those that followed it end as it did, or one of them leads. `waited` says
    /// whether its own wait was over.
    pub(super) fn pass_on_outcome(&mut self, leader: RunId, outcome: &Outcome, waited: bool) {
        // A verdict that was not taken belongs to a run that is over now.
        self.shared_polls.take_verdict(leader);
        let Some(task) = outcome.task_id() else { return };
        let key = self.shared_polls.hashes.hash_one(task);
        // What ended one wait ends no other; what the service said of the task is said of all. A run
        // that breaks at the end of its wait only says that it never saw the task.
        let is_final = outcome.is_verdict() || (matches!(outcome, Outcome::Broken(_)) && !waited);
        let mut recipients = match self.shared_polls.followers.is_empty() {
            true => Vec::new(),
            false => self.shared_polls.followers.remove(&leader).unwrap_or_default(),
        };
        match self.shared_polls.leaders.get(&key).copied() {
            Some(leading) if leading == leader => drop(self.shared_polls.leaders.remove(&key)),
            // It looked for itself alone.
            Some(leading) if is_final => recipients.push(leading),
            _ => {}
        }
        // Some may be over by now, or be about another task whose id has the same hash.
        recipients.retain(|id| self.is_about(*id, task));
        if is_final {
            for id in recipients {
                self.shared_polls.verdicts.insert(id, Box::new(outcome.clone()));
                self.lead(id, None);
            }
        } else if let Some(position) = recipients.iter().position(|id| self.follows(*id, leader)) {
            // Only a follower leads next; a run that polls for itself alone goes on so.
            let next = recipients.remove(position);
            self.shared_polls.leaders.insert(key, next);
            self.lead(next, None);
            // The new leader polls from now on, so it counts among the tasks.
            self.activate(next.index);
            for id in &recipients {
                if self.follows(*id, leader) {
                    self.lead(*id, Some(next));
                }
            }
            if !recipients.is_empty() {
                self.shared_polls.followers.insert(next, recipients);
            }
        }
    }

    /// Whether a run that is not over is about this task.
    fn is_about(&self, id: RunId, task: &TaskId) -> bool {
        let run = self.slots.find(id).and_then(|index| self.slots.run(index));
        run.and_then(|run| run.task_id()) == Some(task)
    }

    fn follows(&self, id: RunId, leader: RunId) -> bool {
        let index = self.slots.find(id).filter(|index| self.slots.follows(*index));
        index.is_some_and(|index| self.shared_polls.followed.get(&index) == Some(&leader))
    }

    fn lead(&mut self, id: RunId, leader: Option<RunId>) {
        self.set_leader(id.index, leader);
        self.make_ready(id.index);
    }

    /// Notes which run looks at a run's task for it, if one does.
    pub(super) fn set_leader(&mut self, index: u32, leader: Option<RunId>) {
        let slot = self.slots.slot(index);
        let followed = slot.poll_role == PollRole::Follower;
        match leader {
            Some(leader) => {
                slot.poll_role = PollRole::Follower;
                self.shared_polls.followed.insert(index, leader);
            }
            None if followed => {
                slot.poll_role = PollRole::Leader;
                self.shared_polls.followed.remove(&index);
            }
            None => {}
        }
    }
}

/// The hasher of what is a hash already.
#[derive(Clone, Copy, Debug, Default)]
struct IdentityHasher(u64);

impl Hasher for IdentityHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // The trait demands it; the keys are `u64` and go through `write_u64`.
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}
