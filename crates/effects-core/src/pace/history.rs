//! [`History`]: the durations seen of tasks with one label, the newest 256, each as a pair of polls: the
//! last that saw the task running, the first that saw its end. A `Curve` is made of it.
//! [`Pacer`](super::Pacer) and [`Models`](super::Models) keep one for each label ([`Histories`]), `Model` a
//! single one; the command's reports and estimates read those.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::label::Label;
use super::observation::Observation;
use super::scale;

/// What is known of how long the tasks of one origin and label take.
///
/// A client never sees a duration, only two looks round it: the last that saw the task running and
/// the first that saw it ended. The history keeps the newest 256 such pairs, one
/// kilobyte, and a [`Curve`](super::Curve) is fitted to all of them together. (Spreading each pair over a
/// histogram as it arrives would be smaller, but what is spread under the first, poor guess stays
/// wrong; the pairs, kept, are read again in the light of all later ones.)
///
/// ```
/// use std::time::Duration;
/// use effects_core::pace::History;
///
/// let mut history = History::new();
/// for _ in 0..20 {
///     history.observe(Some(Duration::from_secs(9)), Duration::from_secs(12));
/// }
/// let eta = history.eta(Duration::ZERO).unwrap();
/// assert!(eta.typical > Duration::from_secs(9) && eta.typical < Duration::from_secs(12));
/// ```
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(try_from = "WrittenHistory", into = "WrittenHistory")]
pub struct History {
    spans: VecDeque<Span>,
}

/// Two points of the scale that a task's end lies between.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Span {
    from: u16,
    to: u16,
}

/// Histories by label, at one origin. `None` stands for tasks whose label is not known.
pub type Histories = BTreeMap<Option<Label>, History>;

impl History {
    /// Nothing seen yet.
    pub const fn new() -> Self {
        Self { spans: VecDeque::new() }
    }

    /// Learns from what a run saw.
    pub fn learn(&mut self, observation: Observation) {
        match observation {
            Observation::Ended { last_running, first_ended } => {
                self.observe(last_running, first_ended);
            }
            Observation::Running { age } => self.observe_running(age),
        }
    }

    /// Learns from a task seen to end, whether well or not.
    ///
    /// `last_running` is its age at the last look that saw it running, `None` if there was none;
    /// `first_ended` is its age at the look that saw its end. The two may come in either order.
    pub fn observe(&mut self, last_running: Option<Duration>, first_ended: Duration) {
        let running = last_running.unwrap_or_default();
        let (early, late) = (running.min(first_ended), running.max(first_ended));
        // The last point means "not seen to end", so an end that was seen stays below it; and a
        // pair spans at least one step, over which the fit can spread it.
        let from = scale::nearest(early.as_secs_f64()).min(scale::LAST - 2);
        let to = scale::nearest(late.as_secs_f64()).clamp(from + 1, scale::LAST - 1);
        self.push(Span::new(from, to));
    }

    /// Learns from a task that was still running at this age when it was last looked at and will
    /// not be looked at again.
    pub fn observe_running(&mut self, age: Duration) {
        let from = scale::nearest(age.as_secs_f64()).min(scale::LAST - 1);
        // That a task ran at age 0 says nothing.
        if from > 0 {
            self.push(Span::new(from, scale::LAST));
        }
    }

    /// Adds what another history has seen, as if the two had been seen side by side.
    ///
    /// Where there is more than room, the oldest of both goes.
    pub fn merge(&mut self, other: &Self) {
        let (mine, theirs) = (self.spans.len(), other.spans.len());
        let mut merged: Vec<(usize, Span)> = Vec::with_capacity(mine + theirs);
        // Newest with newest: both are counted back from their ends.
        merged.extend(self.spans.iter().enumerate().map(|(i, span)| (mine - i, *span)));
        merged.extend(other.spans.iter().enumerate().map(|(i, span)| (theirs - i, *span)));
        merged.sort_by_key(|(back, _)| std::cmp::Reverse(*back));
        let spare = merged.len().saturating_sub(CAPACITY);
        self.spans = merged.into_iter().skip(spare).map(|(_, span)| span).collect();
    }

    /// Adds what another history has seen after all that this one has.
    pub fn append(&mut self, later: &Self) {
        for span in &later.spans {
            self.push(*span);
        }
    }

    /// All histories of an origin in one, each spread evenly over the whole, since it is not known which
    /// of two tasks of different kinds came first: one after the other, they would look like a
    /// change of durations.
    pub(super) fn blend<'a>(histories: impl Iterator<Item = &'a Self>) -> Self {
        let share = |i: usize, len: usize| (i + 1) as f64 / len as f64;
        let mut all: Vec<(f64, Span)> = histories
            .flat_map(|history| {
                let spans = history.spans.iter().enumerate();
                spans.map(|(i, span)| (share(i, history.len()), *span))
            })
            .collect();
        all.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        let spare = all.len().saturating_sub(CAPACITY);
        Self { spans: all.into_iter().skip(spare).map(|(_, span)| span).collect() }
    }

    /// How many observations are kept.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether nothing has been seen.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The observations, oldest first.
    pub(super) fn spans(&self) -> impl DoubleEndedIterator<Item = Span> + ExactSizeIterator {
        self.spans.iter().copied()
    }

    fn push(&mut self, span: Span) {
        if self.spans.len() == CAPACITY {
            self.spans.pop_front();
        }
        self.spans.push_back(span);
    }
}

impl Span {
    fn new(from: usize, to: usize) -> Self {
        // The scale has fewer points than a u16 has numbers.
        Self { from: from as u16, to: to as u16 }
    }

    /// The point before which the task did not end.
    pub(super) fn from(self) -> usize {
        usize::from(self.from)
    }

    /// The point by which it had ended; the last of the scale if it has not been seen to.
    pub(super) fn to(self) -> usize {
        usize::from(self.to)
    }
}

/// The written form: version 1, then the points of each pair, flat.
#[derive(Deserialize, Serialize)]
struct WrittenHistory {
    version: u32,
    spans: Vec<u16>,
}

impl From<History> for WrittenHistory {
    fn from(history: History) -> Self {
        let spans = history.spans.iter().flat_map(|span| [span.from, span.to]).collect();
        Self { version: VERSION, spans }
    }
}

impl TryFrom<WrittenHistory> for History {
    type Error = String;

    fn try_from(written: WrittenHistory) -> Result<Self, String> {
        let WrittenHistory { version, spans } = written;
        if version != VERSION {
            return Err(format!(
                "version: a pace history of version {version} is not known, only {VERSION}; \
                 delete it and it will be learnt again"
            ));
        }
        if spans.len() % 2 != 0 {
            return Err(format!("spans: {} numbers are not pairs", spans.len()));
        }
        let mut history = Self::new();
        for pair in spans.chunks_exact(2) {
            let (from, to) = (pair[0], pair[1]);
            if from >= to || usize::from(to) > scale::LAST {
                return Err(format!(
                    "spans: {from} to {to} is not a rising pair of points up to {}",
                    scale::LAST
                ));
            }
            // Of more pairs than are kept, the oldest go, as they would have when they were
            // observed.
            history.push(Span { from, to });
        }
        Ok(history)
    }
}

/// Pairs kept. The older half fades (see `fit`), so this is what about 190 tasks say.
pub(super) const CAPACITY: usize = 256;

/// The version of the written form, which counts in points of `scale`.
const VERSION: u32 = 1;
