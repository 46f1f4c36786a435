//! [`Curves`]: the learnt curves of task durations that a `Batch` paces its runs by, one for each label.
//! They are copies from the shared [`Pacer`], fetched again when they are a quarter of a second old.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::pace::{Curve, Label, Observation, Pace, Pacer};
use crate::time::Time;

/// Curves by label, near at hand: a pacer is shared and behind a lock, which a look every
/// microsecond should not have to take.
#[derive(Debug)]
pub(super) struct Curves {
    pacer: Pacer,
    kinds: Vec<CurveKind>,
    known: HashMap<Option<Label>, u32>,
}

#[derive(Debug)]
struct CurveKind {
    label: Option<Label>,
    curve: Arc<Curve>,
    asked: Time,
}

impl Curves {
    pub(super) fn new(pacer: Pacer) -> Self {
        Self { pacer, kinds: Vec::new(), known: HashMap::new() }
    }

    pub(super) fn pacer(&self) -> &Pacer {
        &self.pacer
    }

    /// Goes by another pacer from now on.
    pub(super) fn go_by(&mut self, pacer: Pacer) {
        self.pacer = pacer;
        // So old that each curve is fetched from the new pacer when it is next asked for.
        self.kinds.iter_mut().for_each(|kind| kind.asked = Time::default());
    }

    /// Learns what a run of this kind saw.
    pub(super) fn learn(&self, kind: u32, observation: Observation) {
        self.pacer.learn(self.kinds[kind as usize].label.as_ref(), observation);
    }

    /// The number of a label.
    pub(super) fn of(&mut self, label: Option<&Label>, pace: &Pace, now: Time) -> u32 {
        let label = label.cloned();
        if let Some(&kind) = self.known.get(&label) {
            return kind;
        }
        let curve = self.pacer.curve(label.as_ref(), pace, now);
        let kind = u32::try_from(self.kinds.len()).unwrap_or(u32::MAX);
        self.kinds.push(CurveKind { label: label.clone(), curve, asked: now });
        self.known.insert(label, kind);
        kind
    }

    /// The curve of a kind, as of a short while ago at most.
    pub(super) fn curve(&mut self, kind: u32, pace: &Pace, now: Time) -> &Arc<Curve> {
        let kind = &mut self.kinds[kind as usize];
        if now.since(kind.asked) >= REFRESH_EVERY {
            kind.curve = self.pacer.curve(kind.label.as_ref(), pace, now);
            // Also where the pacer gave the same curve: its lock is left alone for another quarter
            // of a second.
            kind.asked = now;
        }
        &kind.curve
    }
}

/// How old a curve may be before the pacer is asked for a newer one.
const REFRESH_EVERY: Duration = Duration::from_millis(250);
