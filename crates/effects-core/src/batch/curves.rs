//! [`Curves`]: the learnt curves of task durations that a `Batch` paces its runs by, one for each label (a
//! template, for example): copies from the shared [`Pacer`], at most a quarter of a second old, so that few
//! polls take its lock. What the runs see of durations is passed on to the [`Pacer`]. Only `Batch` uses it.

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
    curves: Vec<LabelCurve>,
    known: HashMap<Option<Label>, u32>,
}

#[derive(Debug)]
struct LabelCurve {
    label: Option<Label>,
    curve: Arc<Curve>,
    asked: Time,
}

impl Curves {
    pub(super) fn new(pacer: Pacer) -> Self {
        Self { pacer, curves: Vec::new(), known: HashMap::new() }
    }

    pub(super) fn pacer(&self) -> &Pacer {
        &self.pacer
    }

    /// Goes by another pacer from now on.
    pub(super) fn set_pacer(&mut self, pacer: Pacer) {
        self.pacer = pacer;
        // So old that each curve is fetched from the new pacer when it is next asked for.
        self.curves.iter_mut().for_each(|curve| curve.asked = Time::default());
    }

    /// Learns what a run with this label saw.
    pub(super) fn learn(&self, label_index: u32, observation: Observation) {
        self.pacer.learn(self.curves[label_index as usize].label.as_ref(), observation);
    }

    /// The number of a label.
    pub(super) fn of(&mut self, label: Option<&Label>, pace: &Pace, now: Time) -> u32 {
        let label = label.cloned();
        if let Some(&label_index) = self.known.get(&label) {
            return label_index;
        }
        let curve = self.pacer.curve(label.as_ref(), pace, now);
        let label_index = u32::try_from(self.curves.len()).unwrap_or(u32::MAX);
        self.curves.push(LabelCurve { label: label.clone(), curve, asked: now });
        self.known.insert(label, label_index);
        label_index
    }

    /// The curve of a label, as of a short while ago at most.
    pub(super) fn curve(&mut self, label_index: u32, pace: &Pace, now: Time) -> &Arc<Curve> {
        let known = &mut self.curves[label_index as usize];
        if now.since(known.asked) >= REFRESH_EVERY {
            known.curve = self.pacer.curve(known.label.as_ref(), pace, now);
            // Also where the pacer gave the same curve: its lock is left alone for another quarter
            // of a second.
            known.asked = now;
        }
        &known.curve
    }
}

/// How old a curve may be before the pacer is asked for a newer one.
const REFRESH_EVERY: Duration = Duration::from_millis(250);
