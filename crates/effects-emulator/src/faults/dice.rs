//! Which fault a request meets, if any.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use effects_core::Template;

use super::fault::Fault;
use super::plan::{BadPlan, FaultPlan, RateLimit, When};
use crate::endpoint::Endpoint;
use crate::rng;

/// The faults of an emulator: its plan, what is scripted next, and how often keys have asked.
#[derive(Debug)]
pub(crate) struct Faults {
    inner: Mutex<Inner>,
    /// Whether there is anything to decide at all: requests are many, faults are few.
    quiet: AtomicBool,
    seed: u64,
}

#[derive(Debug, Default)]
struct Inner {
    plan: Arc<FaultPlan>,
    /// How many requests came to each rule.
    counts: Vec<AtomicU64>,
    next: HashMap<Endpoint, VecDeque<Option<Fault>>>,
    buckets: HashMap<u64, Bucket>,
}

/// A bucket of the rate limit: it leaks evenly and overflows.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    level: f64,
    at: u64,
}

impl Faults {
    pub(crate) fn new(plan: FaultPlan, seed: u64) -> Self {
        let faults = Self { inner: Mutex::default(), quiet: AtomicBool::new(true), seed };
        faults.follow(plan);
        faults
    }

    /// Follows another plan from its beginning.
    pub(crate) fn follow(&self, plan: FaultPlan) {
        let mut inner = self.lock();
        inner.counts = plan.rules.iter().map(|_| AtomicU64::new(0)).collect();
        inner.plan = Arc::new(plan);
        inner.buckets.clear();
        self.listen(&inner);
    }

    /// What the next requests of an endpoint meet, after those scripted before; `None` is none.
    /// All of them are scripted, or none.
    pub(crate) fn script(&self, on: Endpoint, faults: Vec<Option<Fault>>) -> Result<(), BadPlan> {
        if let Some(why) = faults.iter().flatten().find_map(|fault| fault.objection(on)) {
            return Err(BadPlan::new(why));
        }
        let mut inner = self.lock();
        let queue = inner.next.entry(on).or_default();
        if queue.len() + faults.len() > MOST_SCRIPTED {
            let why = format!("at most {MOST_SCRIPTED} requests of an endpoint are scripted ahead");
            return Err(BadPlan::new(why));
        }
        queue.extend(faults);
        self.listen(&inner);
        Ok(())
    }

    /// Starts the plan again and forgets what is scripted.
    pub(crate) fn reset(&self) {
        let plan = self.lock().plan.clone();
        self.lock().next.clear();
        self.follow(FaultPlan::clone(&plan));
    }

    pub(crate) fn plan(&self) -> Arc<FaultPlan> {
        self.lock().plan.clone()
    }

    /// The fault that a request at an endpoint meets. `of_key` is what its key stands for.
    pub(crate) fn decide(
        &self,
        on: Endpoint,
        of_key: Option<&Fault>,
        template: impl FnOnce() -> Option<Template>,
    ) -> Option<Fault> {
        let of_key = of_key.filter(|_| on.creates());
        if self.quiet.load(Ordering::Relaxed) {
            return of_key.cloned();
        }
        let mut inner = self.lock();
        if let Some(scripted) = inner.next.get_mut(&on).and_then(VecDeque::pop_front) {
            return scripted;
        }
        if let Some(fault) = of_key {
            return Some(fault.clone());
        }
        let plan = inner.plan.clone();
        let about_templates = plan.rules.iter().any(|rule| rule.template.is_some());
        let template = if about_templates { template() } else { None };
        let seed = plan.seed.unwrap_or(self.seed);
        let watching = |on_rule: Endpoint| on_rule == on;
        for (place, rule) in plan.rules.iter().enumerate() {
            let meant = rule.template.is_none() || rule.template == template;
            if !watching(rule.on) || !meant {
                continue;
            }
            let count = inner.counts[place].fetch_add(1, Ordering::Relaxed) + 1;
            if fires(rule.when, seed, place as u64, count) {
                return Some(rule.fault.clone());
            }
        }
        None
    }

    /// Seconds a key has to wait before it may ask again; `None` if it may ask now.
    pub(crate) fn wait<'a>(
        &self,
        on: Endpoint,
        key: impl FnOnce() -> &'a [u8],
        now: u64,
    ) -> Option<u32> {
        if self.quiet.load(Ordering::Relaxed) {
            return None;
        }
        let mut inner = self.lock();
        let limit = inner.plan.rate_limit.filter(|limit| limit.on.is_none_or(|at| at == on))?;
        let key = hash(key());
        if inner.buckets.len() >= MOST_BUCKETS && !inner.buckets.contains_key(&key) {
            inner.forget_emptiest(limit, now);
        }
        let bucket = inner.buckets.entry(key).or_insert(Bucket { level: 0.0, at: now });
        bucket.pour(limit, now)
    }

    fn listen(&self, inner: &Inner) {
        let idle = inner.plan.rules.is_empty()
            && inner.plan.rate_limit.is_none()
            && inner.next.values().all(VecDeque::is_empty);
        self.quiet.store(idle, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Makes room for the bucket of another key. Keys are easily made up, so a key that has asked
    /// often must not be let off because many others come.
    fn forget_emptiest(&mut self, limit: RateLimit, now: u64) {
        let level = |bucket: &Bucket| bucket.level_at(limit, now);
        let least = self.buckets.iter().min_by(|a, b| level(a.1).total_cmp(&level(b.1)));
        if let Some(key) = least.map(|(key, _)| *key) {
            self.buckets.remove(&key);
        }
    }
}

impl Bucket {
    /// What has not leaked yet.
    fn level_at(&self, limit: RateLimit, now: u64) -> f64 {
        #[allow(clippy::cast_precision_loss, reason = "milliseconds between requests are few")]
        let passed = now.saturating_sub(self.at) as f64 / 1000.0;
        (self.level - passed * f64::from(limit.requests) / limit.seconds).max(0.0)
    }

    /// Pours one request in; if it would overflow, the seconds until there is room.
    fn pour(&mut self, limit: RateLimit, now: u64) -> Option<u32> {
        let size = f64::from(limit.requests);
        self.level = self.level_at(limit, now);
        self.at = now;
        if self.level + 1.0 <= size {
            self.level += 1.0;
            return None;
        }
        let seconds = (self.level + 1.0 - size) * limit.seconds / size;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
        Some((seconds.ceil() as u32).max(1))
    }
}

fn fires(when: When, seed: u64, rule: u64, count: u64) -> bool {
    match when {
        When::Always => true,
        When::Chance(chance) => rng::unit(seed, rule, count) < chance,
        When::Nth(nth) => count == nth,
        When::First(first) => count <= first,
        When::Every(every) => count.is_multiple_of(every),
    }
}

fn hash(key: &[u8]) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

/// Outcomes scripted ahead for one endpoint; more are not taken.
pub(crate) const MOST_SCRIPTED: usize = 100_000;

/// Keys whose rate is watched at once.
const MOST_BUCKETS: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::super::plan::FaultRule;
    use super::*;

    fn kinds(faults: &Faults, on: Endpoint, count: usize) -> Vec<&'static str> {
        let fault = |_| faults.decide(on, None, || None).map_or("-", |fault| fault.kind());
        (0..count).map(fault).collect()
    }

    #[test]
    fn rules_fire_by_count_and_chance_and_repeat_with_their_seed() {
        let plan = FaultPlan::seeded(3)
            .with(FaultRule::on(Endpoint::Task, Fault::Garbage).nth(2))
            .with(FaultRule::on(Endpoint::Task, Fault::Stale).every(3))
            .with(FaultRule::on(Endpoint::Create, Fault::NoUrl).first(2))
            .with(FaultRule::on(Endpoint::File, Fault::status(503)).chance(0.5));
        let faults = Faults::new(plan, 0);
        // The rule of every third counts what the rule of the second has left to it.
        let task = kinds(&faults, Endpoint::Task, 7);
        assert_eq!(task, ["-", "garbage", "-", "stale", "-", "-", "stale"]);
        assert_eq!(kinds(&faults, Endpoint::Create, 3), ["no-url", "no-url", "-"]);
        let thrown = kinds(&faults, Endpoint::File, 100);
        let hits = thrown.iter().filter(|kind| **kind == "status").count();
        assert!((30..70).contains(&hits), "{hits}");
        faults.reset();
        assert_eq!(kinds(&faults, Endpoint::File, 100), thrown);
    }

    #[test]
    fn a_script_comes_before_a_key_and_a_key_before_the_plan() {
        let plan = FaultPlan::none().with(FaultRule::on(Endpoint::Create, Fault::Garbage));
        let faults = Faults::new(plan, 0);
        faults.script(Endpoint::Create, vec![Some(Fault::NoUrl), None]).unwrap();
        let of_key = Fault::lost();
        let decide = || faults.decide(Endpoint::Create, Some(&of_key), || None);
        assert_eq!(decide(), Some(Fault::NoUrl));
        assert_eq!(decide(), None);
        assert_eq!(decide(), Some(Fault::lost()));
        assert_eq!(faults.decide(Endpoint::Create, None, || None), Some(Fault::Garbage));
        assert_eq!(faults.decide(Endpoint::Task, Some(&of_key), || None), None);
    }

    #[test]
    fn what_cannot_be_scripted_is_scripted_not_even_in_part() {
        let faults = Faults::new(FaultPlan::none(), 0);
        let decide = |on| faults.decide(on, None, || None);
        assert!(
            faults.script(Endpoint::Task, vec![Some(Fault::Garbage), Some(Fault::NoUrl)]).is_err()
        );
        assert_eq!(decide(Endpoint::Task), None);
        faults.script(Endpoint::Task, vec![None; MOST_SCRIPTED - 1]).unwrap();
        assert!(faults.script(Endpoint::Task, vec![Some(Fault::Garbage), None]).is_err());
        faults.script(Endpoint::Task, vec![Some(Fault::Garbage)]).unwrap();
        assert_eq!(faults.lock().next[&Endpoint::Task].len(), MOST_SCRIPTED);
    }

    #[test]
    fn templates_are_asked_for_only_if_a_rule_is_about_one() {
        let rule = FaultRule::on(Endpoint::Create, Fault::NoUrl).template(Template::GlassBall);
        let faults = Faults::new(FaultPlan::none().with(rule), 0);
        let decide = |template| faults.decide(Endpoint::Create, None, || template);
        assert_eq!(decide(Some(Template::GlassBall)), Some(Fault::NoUrl));
        assert_eq!(decide(Some(Template::MyWorld)), None);
        assert_eq!(decide(None), None);
    }

    #[test]
    fn a_key_that_asks_too_often_is_told_how_long_to_wait() {
        let limit = RateLimit { requests: 2, seconds: 4.0, on: None };
        let faults = Faults::new(FaultPlan::none().rate_limit(limit), 0);
        let wait = |key: &'static str, now| faults.wait(Endpoint::Create, || key.as_bytes(), now);
        assert_eq!(wait("a", 0), None);
        assert_eq!(wait("a", 0), None);
        assert_eq!(wait("a", 0), Some(2));
        assert_eq!(wait("b", 0), None);
        assert_eq!(wait("a", 2_000), None);
        assert_eq!(wait("a", 2_000), Some(2));
    }

    #[test]
    fn keys_that_are_made_up_let_no_other_off() {
        let limit = RateLimit { requests: 2, seconds: 1e6, on: None };
        let faults = Faults::new(FaultPlan::none().rate_limit(limit), 0);
        let wait = |key: &[u8]| faults.wait(Endpoint::Create, || key, 0);
        assert_eq!((wait(b"own"), wait(b"own")), (None, None));
        for made_up in 0..3 * MOST_BUCKETS {
            assert_eq!(wait(format!("test_status_{made_up}").as_bytes()), None);
        }
        assert!(wait(b"own").is_some());
        assert_eq!(faults.lock().buckets.len(), MOST_BUCKETS);
    }
}
