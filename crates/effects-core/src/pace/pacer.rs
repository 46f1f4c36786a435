//! [`Pacer`]: makes the [`Curve`] of each label at one gateway, and learns from every run that ends or is
//! dropped. A client has one for all its runs and jobs; runs and `Batch` get their curves from it.
//! `PaceFile` of `effects-client` saves what it learnt, and the report of `effects batch` shows it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Pace;
use super::curve::Curve;
use super::history::{Histories, History};
use super::label::Label;
use super::learned::Learned;
use super::model::enough_is_new;
use super::observation::Observation;
use crate::time::Time;

/// Hands out curves for the labels of one origin, and learns. Cloning shares.
///
/// A run that is [paced by it](crate::Run::paced_by) asks for one before each look, and teaches it
/// what it saw when it is over or dropped:
///
/// ```
/// use std::sync::Arc;
/// use effects_core::{Policy, Run, Seed, Time};
/// use effects_core::pace::Pacer;
///
/// let (pacer, policy) = (Pacer::new(), Arc::new(Policy::default()));
/// let now = Time::from_millis(0);
/// let run = Run::attach("task".parse()?, None, policy, Seed::from(1), now).paced_by(&pacer);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A label without a history of its own begins from nothing. A task of unknown label is paced by what
/// all labels of the origin show together.
#[derive(Clone, Debug, Default)]
pub struct Pacer(Arc<Mutex<KnownPaces>>);

#[derive(Debug, Default)]
struct KnownPaces {
    labels: BTreeMap<Option<Label>, LabelHistory>,
    news: Histories,
}

/// What is known of one label.
#[derive(Debug, Default)]
struct LabelHistory {
    history: History,
    /// How often it learnt.
    learnt: u64,
    curves: Vec<MadeCurve>,
}

/// A curve made for some settings.
#[derive(Debug)]
struct MadeCurve {
    settings: Learned,
    curve: Arc<Curve>,
    at: Time,
    /// What [`LabelHistory::learnt`] said then.
    learnt: u64,
}

impl Pacer {
    /// A pacer that knows nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// A pacer that knows what these histories say.
    pub fn knowing(histories: Histories) -> Self {
        let entry = |history| LabelHistory { history, ..LabelHistory::default() };
        let labels = histories.into_iter().map(|(key, history)| (key, entry(history)));
        let known = KnownPaces { labels: labels.collect(), news: Histories::new() };
        Self(Arc::new(Mutex::new(known)))
    }

    /// The curve for a label. Under a pace that is not learned it is made with the default settings, to
    /// estimate the duration.
    ///
    /// It is made again where enough is new to matter, but for each label at most twice a second
    /// at first and every two seconds once it is well known, however many tasks end meanwhile.
    pub fn curve(&self, label: Option<&Label>, pace: &Pace, now: Time) -> Arc<Curve> {
        let settings = match pace {
            Pace::Learned(settings) => *settings,
            _ => Learned::default(),
        };
        self.lock().curve(label, settings, now)
    }

    /// Learns what a run saw of the duration of a task with this label.
    pub fn learn(&self, label: Option<&Label>, observation: Observation) {
        let mut known = self.lock();
        let key = label.cloned();
        known.news.entry(key.clone()).or_default().learn(observation);
        // What tasks of unknown label show is shown for all together.
        if let Some(all) = known.labels.get_mut(&None).filter(|_| key.is_some()) {
            all.learnt += 1;
        }
        let entry = known.labels.entry(key).or_default();
        entry.history.learn(observation);
        entry.learnt += 1;
    }

    /// What is known, by label.
    pub fn histories(&self) -> Histories {
        let known = self.lock();
        let seen = known.labels.iter().filter(|(_, entry)| !entry.history.is_empty());
        seen.map(|(key, entry)| (key.clone(), entry.history.clone())).collect()
    }

    /// What was learnt since this was last asked: what to add to what is kept.
    pub fn take_news(&self) -> Histories {
        std::mem::take(&mut self.lock().news)
    }

    fn lock(&self) -> MutexGuard<'_, KnownPaces> {
        // A panic elsewhere leaves nothing half-done here that matters.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KnownPaces {
    fn curve(&mut self, label: Option<&Label>, settings: Learned, now: Time) -> Arc<Curve> {
        let key = label.cloned();
        let entry = self.labels.entry(key).or_default();
        if let Some(made) = entry.curves.iter().find(|made| made.settings == settings)
            && !made.is_stale(entry, now)
        {
            return Arc::clone(&made.curve);
        }
        let curve = match label {
            Some(_) => entry.history.curve(&settings),
            None => {
                let all = self.labels.values().map(|entry| &entry.history);
                History::blend(all).curve(&settings)
            }
        };
        let entry = self.labels.entry(label.cloned()).or_default();
        let made = MadeCurve { settings, curve: Arc::new(curve), at: now, learnt: entry.learnt };
        entry.keep(made)
    }
}

impl LabelHistory {
    fn keep(&mut self, made: MadeCurve) -> Arc<Curve> {
        let curve = Arc::clone(&made.curve);
        self.curves.retain(|old| old.settings != made.settings);
        if self.curves.len() == MAX_SETTINGS {
            // The first is the one made longest ago, since a new one is put last.
            self.curves.remove(0);
        }
        self.curves.push(made);
        curve
    }
}

impl MadeCurve {
    fn is_stale(&self, entry: &LabelHistory, now: Time) -> bool {
        let news = usize::try_from(entry.learnt - self.learnt).unwrap_or(usize::MAX);
        // What is well known changes slowly.
        let least = if entry.history.len() < WELL_KNOWN { LEAST_AGE } else { 4 * LEAST_AGE };
        // A time before the curve's own is another clock's: the curve counts as old.
        let rested = now < self.at || now.since(self.at) >= least;
        rested && enough_is_new(news, entry.history.len())
    }
}

/// A curve younger than this is not made again.
const LEAST_AGE: Duration = Duration::from_millis(500);

/// From so many observations on a label is well known.
const WELL_KNOWN: usize = 128;

/// For how many settings curves are kept at once. A client has one, and a few for single calls.
const MAX_SETTINGS: usize = 4;
