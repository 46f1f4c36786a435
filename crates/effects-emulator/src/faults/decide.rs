//! [`FaultInjector`]: decides which fault a request meets, by scripts, the request's key (for creates only)
//! and the plan, in this order, and how long a key over the plan's rate limit has to wait. `EmulatorState`
//! has one, and the middleware asks it about each request that it lets in. The control API and `Emulator`
//! set its scripts and its plan; creates, the account endpoints and the control API read the plan's
//! balance.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use effects_core::Template;

use super::fault::Fault;
use super::plan::{BadPlan, FaultPlan, RateLimit, When};
use super::script::{MAX_SCRIPTED, Script};
use crate::endpoint::Endpoint;
use crate::rng;
use crate::seen_request::REDACTED;

/// The faults of an emulator: its plan, what is scripted next, and how often keys have asked.
#[derive(Debug)]
pub(crate) struct FaultInjector {
    inner: Mutex<InjectorState>,
    /// Whether there is anything to decide at all: requests are many, faults are few.
    is_quiet: AtomicBool,
    seed: u64,
}

#[derive(Debug, Default)]
struct InjectorState {
    plan: Arc<FaultPlan>,
    /// How many requests came to each rule.
    counts: Vec<AtomicU64>,
    /// What is scripted, in the order it was; none of them is empty.
    scripts: Vec<Script>,
    buckets: HashMap<u64, Bucket>,
}

/// A bucket of the rate limit: it leaks evenly and overflows.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    level: f64,
    at: u64,
}

impl FaultInjector {
    pub(crate) fn new(plan: FaultPlan, seed: u64) -> Self {
        let faults = Self { inner: Mutex::default(), is_quiet: AtomicBool::new(true), seed };
        faults.follow(plan);
        faults
    }

    /// Follows another plan from its beginning.
    pub(crate) fn follow(&self, plan: FaultPlan) {
        let mut inner = self.lock();
        inner.counts = plan.rules.iter().map(|_| AtomicU64::new(0)).collect();
        inner.plan = Arc::new(plan);
        // What is in the buckets was poured in under the limit of another plan.
        inner.buckets.clear();
        self.update_quiet(&inner);
    }

    /// Scripts what the next requests meet, after those scripted before. All of it is scripted, or
    /// none.
    pub(crate) fn script(&self, script: Script) -> Result<(), BadPlan> {
        if let Some(why) = script.faults.iter().flatten().find_map(|f| f.objection(script.on)) {
            return Err(BadPlan::new(why));
        }
        if script.faults.is_empty() {
            return Ok(());
        }
        let mut inner = self.lock();
        let of_endpoint = inner.scripts.iter().filter(|before| before.on == script.on);
        let scripted: usize = of_endpoint.map(|before| before.faults.len()).sum();
        if scripted + script.faults.len() > MAX_SCRIPTED {
            let why = format!("at most {MAX_SCRIPTED} requests of an endpoint are scripted ahead");
            return Err(BadPlan::new(why));
        }
        // One script for each choice of requests, however many calls made it: each request searches
        // the list.
        match inner.scripts.iter_mut().find(|before| before.is_for_the_same(&script)) {
            Some(before) => before.faults.extend(script.faults),
            None => inner.scripts.push(script),
        }
        self.update_quiet(&inner);
        Ok(())
    }

    /// What is scripted and not met yet, without this key.
    pub(crate) fn scripts(&self, secret: &str) -> Vec<Script> {
        let mut scripts = self.lock().scripts.clone();
        for script in &mut scripts {
            if script.key.as_deref() == Some(secret) {
                script.key = Some(REDACTED.to_owned());
            }
        }
        scripts
    }

    /// Forgets what is scripted.
    pub(crate) fn unscript(&self) {
        let mut inner = self.lock();
        inner.scripts.clear();
        self.update_quiet(&inner);
    }

    pub(crate) fn plan(&self) -> Arc<FaultPlan> {
        self.lock().plan.clone()
    }

    /// The fault that a request at an endpoint meets. `key_fault` is what its key stands for.
    pub(crate) fn decide<'a>(
        &self,
        on: Endpoint,
        key: impl FnOnce() -> &'a [u8],
        key_fault: Option<&Fault>,
        template: impl FnOnce() -> Option<Template>,
    ) -> Option<Fault> {
        // A key chooses the outcome of creates alone: looks at their tasks come with the same key.
        let key_fault = key_fault.filter(|_| on.creates());
        // Read without the lock: a request that comes while a plan is being set may follow either
        // plan.
        if self.is_quiet.load(Ordering::Relaxed) {
            return key_fault.cloned();
        }
        let mut inner = self.lock();
        // To find the template a body is parsed or a task looked up. It happens under this lock,
        // and the tasks' lock is taken within it: no code under the tasks' lock may ask for faults.
        let asks_for_template = inner.scripts.iter().any(|script| script.template.is_some())
            || inner.plan.rules.iter().any(|rule| rule.template.is_some());
        let template = if asks_for_template { template() } else { None };
        let key = key();
        // A request that a script decides on is not counted by the rules of the plan.
        if let Some(scripted) = inner.scripted(on, key, template.as_ref()) {
            self.update_quiet(&inner);
            return scripted;
        }
        if let Some(fault) = key_fault {
            return Some(fault.clone());
        }
        let plan = inner.plan.clone();
        let seed = plan.seed.unwrap_or(self.seed);
        let is_rule_of = |on_rule: Endpoint| on_rule == on;
        for (index, rule) in plan.rules.iter().enumerate() {
            let is_about_template = rule.template.is_none() || rule.template == template;
            if !is_rule_of(rule.on) || !is_about_template {
                continue;
            }
            let count = inner.counts[index].fetch_add(1, Ordering::Relaxed) + 1;
            // The rule's index selects its series of random numbers, so that rules fire
            // independently of each other.
            if fires(rule.when, seed, index as u64, count) {
                return Some(rule.fault.clone());
            }
        }
        None
    }

    /// Seconds a key has to wait before it may ask again; `None` if it may ask now.
    pub(crate) fn seconds_to_wait<'a>(
        &self,
        on: Endpoint,
        key: impl FnOnce() -> &'a [u8],
        now: u64,
    ) -> Option<u32> {
        if self.is_quiet.load(Ordering::Relaxed) {
            return None;
        }
        let mut inner = self.lock();
        let limit = inner.plan.rate_limit.filter(|limit| limit.on.is_none_or(|at| at == on))?;
        // Only a hash is kept: made-up keys may be long, and so each takes the same room.
        let key = hash(key());
        if inner.buckets.len() >= MAX_BUCKETS && !inner.buckets.contains_key(&key) {
            inner.forget_emptiest(limit, now);
        }
        let bucket = inner.buckets.entry(key).or_insert(Bucket { level: 0.0, at: now });
        bucket.add_request(limit, now)
    }

    fn update_quiet(&self, inner: &InjectorState) {
        let idle = inner.plan.rules.is_empty()
            && inner.plan.rate_limit.is_none()
            && inner.scripts.is_empty();
        self.is_quiet.store(idle, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, InjectorState> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl InjectorState {
    /// What the first script that is for this request has for it.
    fn scripted(
        &mut self,
        on: Endpoint,
        key: &[u8],
        template: Option<&Template>,
    ) -> Option<Option<Fault>> {
        let index = self.scripts.iter().position(|script| script.is_for(on, key, template))?;
        let scripted = self.scripts[index].faults.pop_front();
        if self.scripts[index].faults.is_empty() {
            self.scripts.remove(index);
        }
        scripted
    }

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
    fn add_request(&mut self, limit: RateLimit, now: u64) -> Option<u32> {
        let size = f64::from(limit.requests);
        self.level = self.level_at(limit, now);
        self.at = now;
        if self.level + 1.0 <= size {
            self.level += 1.0;
            return None;
        }
        let seconds = (self.level + 1.0 - size) * limit.seconds / size;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
        // A client that is told 0 asks again at once, and is refused again.
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

/// Keys whose rate is watched at once.
const MAX_BUCKETS: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::super::plan::FaultRule;
    use super::*;

    fn no_key() -> &'static [u8] {
        b""
    }

    fn kinds(faults: &FaultInjector, on: Endpoint, count: usize) -> Vec<&'static str> {
        let fault = |_| faults.decide(on, no_key, None, || None).map_or("-", |fault| fault.kind());
        (0..count).map(fault).collect()
    }

    #[test]
    fn rules_fire_by_count_and_chance_and_repeat_with_their_seed() {
        let plan = FaultPlan::seeded(3)
            .with(FaultRule::on(Endpoint::Task, Fault::Garbage).nth(2))
            .with(FaultRule::on(Endpoint::Task, Fault::Stale).every(3))
            .with(FaultRule::on(Endpoint::Create, Fault::NoUrl).first(2))
            .with(FaultRule::on(Endpoint::File, Fault::status(503)).chance(0.5));
        let faults = FaultInjector::new(plan, 0);
        // The second rule does not count the request that the first has taken.
        let task = kinds(&faults, Endpoint::Task, 7);
        assert_eq!(task, ["-", "garbage", "-", "stale", "-", "-", "stale"]);
        assert_eq!(kinds(&faults, Endpoint::Create, 3), ["no-url", "no-url", "-"]);
        let drawn = kinds(&faults, Endpoint::File, 100);
        let hits = drawn.iter().filter(|kind| **kind == "status").count();
        // The seed is fixed, so the range need not allow for chance: it catches a rule that ignores
        // its share.
        assert!((30..70).contains(&hits), "{hits}");
        faults.follow(FaultPlan::clone(&faults.plan()));
        assert_eq!(kinds(&faults, Endpoint::File, 100), drawn);
    }

    #[test]
    fn a_script_comes_before_a_key_and_a_key_before_the_plan() {
        let plan = FaultPlan::none().with(FaultRule::on(Endpoint::Create, Fault::Garbage));
        let faults = FaultInjector::new(plan, 0);
        faults.script(Script::on(Endpoint::Create, [Some(Fault::NoUrl), None])).unwrap();
        let key_fault = Fault::lost();
        let decide = || faults.decide(Endpoint::Create, no_key, Some(&key_fault), || None);
        assert_eq!(decide(), Some(Fault::NoUrl));
        assert_eq!(decide(), None);
        assert_eq!(decide(), Some(Fault::lost()));
        assert_eq!(faults.decide(Endpoint::Create, no_key, None, || None), Some(Fault::Garbage));
        assert_eq!(faults.decide(Endpoint::Task, no_key, Some(&key_fault), || None), None);
    }

    #[test]
    fn what_cannot_be_scripted_is_scripted_not_even_in_part() {
        let faults = FaultInjector::new(FaultPlan::none(), 0);
        let decide = |on| faults.decide(on, no_key, None, || None);
        let script = |faults: Vec<Option<Fault>>| Script::on(Endpoint::Task, faults);
        assert!(faults.script(script(vec![Some(Fault::Garbage), Some(Fault::NoUrl)])).is_err());
        assert_eq!(decide(Endpoint::Task), None);
        faults.script(script(vec![None; MAX_SCRIPTED - 1])).unwrap();
        assert!(faults.script(script(vec![Some(Fault::Garbage), None])).is_err());
        faults.script(script(vec![Some(Fault::Garbage)])).unwrap();
        assert_eq!(faults.lock().scripts[0].faults.len(), MAX_SCRIPTED);
    }

    #[test]
    fn a_script_may_be_for_one_template_or_key() {
        let faults = FaultInjector::new(FaultPlan::none(), 0);
        let script = |template, key: Option<&str>, fault| {
            let key = key.map(str::to_owned);
            let script = Script { template, key, ..Script::on(Endpoint::Create, [Some(fault)]) };
            faults.script(script).unwrap();
        };
        script(Some(Template::GlassBall), None, Fault::NoUrl);
        script(None, Some("other"), Fault::Finished);
        let decide = |key: &'static str, template| {
            let fault = faults.decide(Endpoint::Create, || key.as_bytes(), None, || Some(template));
            fault.map(|fault| fault.kind())
        };
        assert_eq!(decide("own", Template::MyWorld), None);
        assert_eq!(faults.scripts("other").len(), 2);
        assert_eq!(faults.scripts("other")[1].key.as_deref(), Some(REDACTED));
        assert_eq!(decide("other", Template::GlassBall), Some("no-url"));
        assert_eq!(decide("other", Template::GlassBall), Some("finished"));
        assert_eq!(decide("other", Template::GlassBall), None);
        assert!(faults.scripts("").is_empty() && faults.is_quiet.load(Ordering::Relaxed));
    }

    #[test]
    fn templates_are_asked_for_only_if_a_rule_is_about_one() {
        let rule = FaultRule::on(Endpoint::Create, Fault::NoUrl).template(Template::GlassBall);
        let faults = FaultInjector::new(FaultPlan::none().with(rule), 0);
        let decide = |template| faults.decide(Endpoint::Create, no_key, None, || template);
        assert_eq!(decide(Some(Template::GlassBall)), Some(Fault::NoUrl));
        assert_eq!(decide(Some(Template::MyWorld)), None);
        assert_eq!(decide(None), None);
    }

    #[test]
    fn a_key_that_asks_too_often_gets_the_time_to_wait() {
        let limit = RateLimit { requests: 2, seconds: 4.0, on: None };
        let faults = FaultInjector::new(FaultPlan::none().rate_limit(limit), 0);
        let seconds_to_wait = |key: &'static str, now| {
            faults.seconds_to_wait(Endpoint::Create, || key.as_bytes(), now)
        };
        assert_eq!(seconds_to_wait("a", 0), None);
        assert_eq!(seconds_to_wait("a", 0), None);
        assert_eq!(seconds_to_wait("a", 0), Some(2));
        assert_eq!(seconds_to_wait("b", 0), None);
        assert_eq!(seconds_to_wait("a", 2_000), None);
        assert_eq!(seconds_to_wait("a", 2_000), Some(2));
    }

    #[test]
    fn keys_that_are_made_up_let_no_other_off() {
        // So slow a leak that the buckets stay as full as they are.
        let limit = RateLimit { requests: 2, seconds: 1e6, on: None };
        let faults = FaultInjector::new(FaultPlan::none().rate_limit(limit), 0);
        let seconds_to_wait = |key: &[u8]| faults.seconds_to_wait(Endpoint::Create, || key, 0);
        assert_eq!((seconds_to_wait(b"own"), seconds_to_wait(b"own")), (None, None));
        for made_up in 0..3 * MAX_BUCKETS {
            assert_eq!(seconds_to_wait(format!("test_status_{made_up}").as_bytes()), None);
        }
        assert!(seconds_to_wait(b"own").is_some());
        assert_eq!(faults.lock().buckets.len(), MAX_BUCKETS);
    }
}
