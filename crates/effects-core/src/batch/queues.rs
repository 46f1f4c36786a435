//! [`Queues`]: the runs of a `Batch` that wait to submit or to poll. The methods of `Batch` in this file,
//! which `Batch::step` calls, queue runs and let the next one go within the limits. `start_submission`
//! takes runs of `Batch::submit_at_once` first, then repeated submissions, then first ones. `start_poll`
//! takes last polls first, else the poll that most likely finds its task ended. Runs that may no longer
//! submit are ended here.
//!
//! No run is held here beyond its own wait. When that ends, a run that waits to repeat its submission
//! gives it up, and one that waits to poll makes its last poll. Last polls go before all others; once
//! half their time is over they go whatever the limits, so that their answers come in time.

use std::collections::VecDeque;
use std::time::Duration;

use super::circuit_breaker::{Outage, Permission};
use super::slots::{Slots, Ticket};
use super::{Batch, BatchStep};
use crate::error_kind::ErrorKind;
use crate::run::Run;
use crate::run::outcome::{Outcome, Refused};
use crate::run::submit::DEADLINE_OVER;
use crate::time::Time;
use crate::wire::exchange_error::ExchangeError;

/// Runs that wait for leave.
#[derive(Debug, Default)]
pub(super) struct Queues {
    /// To submit although the circuit breaker holds others back: a caller waits for each.
    at_once: VecDeque<Ticket>,
    /// To submit again: they have room already, so runs that wait for room do not hold them up.
    retries: VecDeque<Ticket>,
    /// To submit for the first time.
    fresh: VecDeque<Ticket>,
    /// To look for the last time.
    last_looks: VecDeque<Ticket>,
    /// To look, in no order: the likeliest to have ended goes first.
    looks: Vec<Ticket>,
    /// When a look may leave, as long as some wait.
    look_at: Option<Time>,
}

impl Batch {
    pub(super) fn ask_for_submission(&mut self, index: u32, deadline: Time) -> Option<BatchStep> {
        let ticket = self.slots.ticket(index);
        if !self.slots.slot(index).active {
            // Its wait has not begun, so it needs no timer.
            self.timers.clear(index);
            self.queues.fresh.push_back(ticket);
            return None;
        }
        // One whose wait has no length may still leave in its first moment.
        let patient = !self.policy.wait_timeout.is_zero();
        if self.now > deadline || (patient && self.now == deadline) {
            return Some(self.refuse_expired(index));
        }
        // A timer set to this very moment would ring in the same step, and the run ask again
        // without end.
        self.timers.set(index, deadline.max(self.now + TICK));
        if self.slots.slot(index).at_once {
            self.queues.at_once.push_back(ticket);
        } else {
            self.queues.retries.push_back(ticket);
        }
        None
    }

    fn refuse_expired(&mut self, index: u32) -> BatchStep {
        let (kind, reason) = if self.policy.waits_until(self.now) <= self.now {
            (ErrorKind::DeadlineExceeded, DEADLINE_OVER)
        } else if self.now < self.throttle.until() {
            (ErrorKind::RateLimited, "the service asked for a pause beyond the end of the wait")
        } else {
            (ErrorKind::Transport, "others were submitting for the whole of the wait")
        };
        self.refuse(index, kind, reason.to_owned())
    }

    pub(super) fn ask_for_poll(&mut self, index: u32, deadline: Time) -> Option<BatchStep> {
        let free = self.queues.looks.is_empty() && self.queues.last_looks.is_empty();
        if free && self.looks_left().is_ok_and(|left| left >= f64::from(self.live)) {
            // There are polls left for all runs, so this one delays no other.
            self.throttle.spend_poll();
            return self.step_run(index);
        }
        let ticket = self.slots.ticket(index);
        // At the end of its wait it asks for its last poll instead.
        self.timers.set(index, deadline);
        self.queues.looks.push(ticket);
        None
    }

    pub(super) fn ask_for_last_poll(&mut self, index: u32, latest: Time) -> Option<BatchStep> {
        if self.now >= latest {
            self.throttle.spend_poll();
            return self.step_run(index);
        }
        // It has a last look of its own: what the leader sees may come too late for it.
        self.set_leader(index, None);
        let ticket = self.slots.ticket(index);
        // When this rings it is asked once more, and polls whatever the limits.
        self.timers.set(index, latest);
        self.queues.last_looks.push_back(ticket);
        None
    }

    /// Lets the next submission leave, if there is room for it and the gateway answers.
    pub(super) fn start_submission(&mut self) -> Option<BatchStep> {
        if self.now < self.throttle.until() {
            return None;
        }
        while self.submitting < self.throttle.width(self.limits.submissions, self.now) {
            // A caller waits for each of these, so the breaker is not asked; the width and the
            // throttle apply to them, too.
            let index = match next(&mut self.queues.at_once, &self.slots) {
                Some(index) => index,
                None => match self.breaker.pass(self.submitting, self.now) {
                    Permission::Later(_) => return None,
                    Permission::Never(outage) => return self.refuse_all(&outage),
                    // Repeats before first submissions: their time is running.
                    Permission::Granted => match next(&mut self.queues.retries, &self.slots) {
                        Some(again) => again,
                        None => match self.admit()? {
                            Ok(index) => index,
                            Err(refused) => return Some(refused),
                        },
                    },
                },
            };
            if let Some(step) = self.step_run(index) {
                return Some(step);
            }
        }
        None
    }

    /// Ends the next run that waits to submit and never will. One with an attempt of unknown outcome
    /// ends as such, at its next step.
    fn refuse_all(&mut self, outage: &Outage) -> Option<BatchStep> {
        loop {
            let waiting = next(&mut self.queues.retries, &self.slots);
            let index = waiting.or_else(|| next(&mut self.queues.fresh, &self.slots))?;
            // An earlier attempt may have made a task, so `Refused`, which means that none was
            // made, would be untrue.
            if self.slots.run(index).is_some_and(Run::has_unknown_attempt) {
                self.detach_slot(index);
                continue;
            }
            let error = ExchangeError::NotSent { reason: outage.to_string() };
            let refused = Refused::new(outage.kind(), error, 0);
            return Some(self.finish(index, Outcome::Refused(refused)));
        }
    }

    /// Lets the look leave that is likeliest to see an end.
    pub(super) fn start_poll(&mut self) -> Option<BatchStep> {
        self.queues.look_at = None;
        loop {
            // The rate is asked before a run is taken out. All tickets may turn out to be stale below,
            // and then no run polls.
            if self.queues.last_looks.is_empty() && self.queues.looks.is_empty() {
                return None;
            }
            let left = match self.looks_left() {
                Ok(left) => left,
                Err(until) => {
                    self.queues.look_at = Some(until);
                    return None;
                }
            };
            // They cannot wait, and there is one for each run.
            let last = next(&mut self.queues.last_looks, &self.slots);
            let index = last.or_else(|| self.likeliest(left))?;
            self.throttle.spend_poll();
            if let Some(step) = self.step_run(index) {
                return Some(step);
            }
        }
    }

    /// When the next run may have a turn of those that wait for time alone.
    pub(super) fn next_turn(&self) -> Option<Time> {
        let pause = Some(self.throttle.until()).filter(|until| self.now < *until);
        // The circuit breaker holds rows back, and no run that was begun at once.
        let at_once = pause.filter(|_| !self.queues.at_once.is_empty());
        let rows_wait = !self.queues.retries.is_empty() || !self.queues.fresh.is_empty();
        let row = pause.max(self.breaker.until(self.now)).filter(|_| rows_wait);
        [at_once, row, self.queues.look_at].into_iter().flatten().min()
    }

    /// The first submission of a run that has room; or its end, where nothing more is paid for.
    fn admit(&mut self) -> Option<Result<u32, BatchStep>> {
        // A task under way is money under way; the width bounds how much of it an error can cost.
        if self.active >= self.width_of_tasks() {
            return None;
        }
        let index = next(&mut self.queues.fresh, &self.slots)?;
        if self.pictureless >= MAX_PICTURELESS {
            // What is under way may bring a picture after all.
            if self.active > 0 {
                let ticket = self.slots.ticket(index);
                self.queues.fresh.push_front(ticket);
                return None;
            }
            let reason = format!(
                "the last {} completed tasks had no picture that can be found",
                self.pictureless
            );
            return Some(Err(self.refuse(index, ErrorKind::NoPicture, reason)));
        }
        self.activate(index);
        Some(Ok(index))
    }

    /// Ends a run whose submission may not leave.
    fn refuse(&mut self, index: u32, kind: ErrorKind, reason: String) -> BatchStep {
        let error = ExchangeError::NotSent { reason };
        self.finish(index, Outcome::Refused(Refused::new(kind, error, 0)))
    }

    /// How many looks may leave now; if none, when to ask again.
    fn looks_left(&mut self) -> Result<f64, Time> {
        match self.throttle.until() {
            until if self.now < until => Err(until),
            _ => self.throttle.polls(self.limits.polls_per_second, self.now),
        }
    }

    /// Takes the run out that is likeliest to have ended since its last look. Of very many, it is
    /// the likeliest of some drawn by lot: asking all would cost more than it finds.
    fn likeliest(&mut self, left: f64) -> Option<u32> {
        let plenty = left >= self.queues.looks.len() as f64;
        // The whole list is gone through anyway, so its stale tickets are swept out on the way.
        if plenty || self.queues.looks.len() <= DRAWS {
            self.queues.looks.retain(|ticket| self.slots.holds(*ticket));
        }
        let count = self.queues.looks.len();
        let mut best: Option<(f64, usize)> = None;
        let mut stale = 0;
        // Where all that wait may leave, their order does not matter.
        for nth in 0..count.min(if plenty { 1 } else { DRAWS }) {
            let position = if count <= DRAWS { nth } else { self.draw(count) };
            let ticket = self.queues.looks[position];
            if !self.slots.holds(ticket) {
                stale += 1;
                continue;
            }
            let chance = if plenty { 1.0 } else { self.chance(ticket.index) };
            if best.is_none_or(|(highest, _)| chance > highest) {
                best = Some((chance, position));
            }
        }
        let chosen = best.map(|(_, position)| self.queues.looks.swap_remove(position).index);
        // Each stale ticket that is drawn is a comparison lost; at a quarter of them a sweep pays
        // off.
        if stale > DRAWS / 4 {
            self.queues.looks.retain(|ticket| self.slots.holds(*ticket));
            // If all that were drawn were stale, others may wait: none is stale after the sweep, so
            // this ends.
            return chosen.or_else(|| self.likeliest(left));
        }
        chosen
    }

    fn draw(&mut self, count: usize) -> usize {
        usize::try_from(self.rng.next() % count as u64).unwrap_or_default()
    }

    /// The chance that a run's task has ended since it was last seen running.
    fn chance(&mut self, index: u32) -> f64 {
        let label_index = self.slots.slot(index).label_index;
        let curve = self.curves.curve(label_index, &self.policy.pace, self.now);
        self.slots.run(index).map_or(0.0, |run| run.chance(self.now, curve))
    }
}

/// The first of a queue that still waits there.
fn next(queue: &mut VecDeque<Ticket>, slots: &Slots) -> Option<u32> {
    while let Some(ticket) = queue.pop_front() {
        if slots.holds(ticket) {
            return Some(ticket.index);
        }
    }
    None
}

/// The shortest time there is.
const TICK: Duration = Duration::from_millis(1);
/// So many tasks in a row that are completed without a picture are paid for; the service's answers have
/// changed then, and each further one would be paid for in vain.
const MAX_PICTURELESS: u32 = 3;
/// How many that wait to look are compared for each look that is scarce.
const DRAWS: usize = 128;
