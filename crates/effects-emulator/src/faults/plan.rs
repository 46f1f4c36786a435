//! [`FaultPlan`]: [`FaultRule`]s that say which fault happens at which endpoint and how often ([`When`]),
//! with a [`RateLimit`] and a balance; built in Rust or read from TOML or JSON, and checked ([`BadPlan`]).
//! Tests, the Python package and `effects emulator --faults` start an emulator with one; `Emulator::follow`
//! and the control API set another. `FaultInjector` follows it.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use effects_core::Template;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::fault::Fault;
use crate::endpoint::Endpoint;
use crate::template_id::{self, TemplateId};

/// What goes wrong, and when.
///
/// ```
/// use effects_core::Template;
/// use effects_emulator::{Endpoint, Fault, FaultPlan, FaultRule};
///
/// let plan = FaultPlan::seeded(7)
///     .with(FaultRule::on(Endpoint::Create, Fault::lost()).nth(2))
///     .with(FaultRule::on(Endpoint::Task, Fault::status(503)).chance(0.1))
///     .with(FaultRule::on(Endpoint::Create, Fault::fail("3009095")).template(Template::GlassBall));
///
/// let same: FaultPlan = r#"
///     seed = 7
///
///     [[fault]]
///     on = "create"
///     nth = 2
///     kind = "reset"
///     when = "after"
///
///     [[fault]]
///     on = "task"
///     chance = 0.1
///     kind = "status"
///     status = 503
///
///     [[fault]]
///     on = "create"
///     template = "glass_ball"
///     kind = "fail"
///     code = "3009095"
/// "#.parse()?;
/// assert_eq!(plan, same);
/// # Ok::<(), effects_emulator::BadPlan>(())
/// ```
///
/// Rules are tried in order, and the first that fires decides. A rule counts the requests that
/// come to it: those at its endpoint, for its template, that no rule before it has taken.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct FaultPlan {
    /// What the dice are thrown from; the emulator's own seed when `None`.
    #[serde(default)]
    pub seed: Option<u64>,
    /// The rules, first to last.
    #[serde(default, rename = "fault")]
    #[schema(value_type = Vec<WrittenRule>)]
    pub rules: Vec<FaultRule>,
    /// How often a key may ask.
    #[serde(default)]
    pub rate_limit: Option<RateLimit>,
    /// What can be spent, in USD, before creates are refused with 402.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub balance: Option<Decimal>,
}

impl FaultPlan {
    /// No faults.
    pub fn none() -> Self {
        Self::default()
    }

    /// No faults yet, with a seed for those to come.
    pub fn seeded(seed: u64) -> Self {
        Self { seed: Some(seed), ..Self::default() }
    }

    /// The same plan with one more rule, tried last.
    #[must_use]
    pub fn with(mut self, rule: FaultRule) -> Self {
        self.rules.push(rule);
        self
    }

    /// The same plan with a limit to how often a key may ask.
    #[must_use]
    pub fn rate_limit(mut self, limit: RateLimit) -> Self {
        self.rate_limit = Some(limit);
        self
    }

    /// The same plan with a limit to what can be spent.
    #[must_use]
    pub fn balance(mut self, usd: Decimal) -> Self {
        self.balance = Some(usd);
        self
    }

    /// Reads a plan from a TOML file and checks it.
    ///
    /// # Errors
    ///
    /// [`BadPlan`] when the file cannot be read, or the plan cannot be followed.
    pub fn from_file(path: &Path) -> Result<Self, BadPlan> {
        let wrong = |why: String| BadPlan(format!("{}: {why}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
        text.parse().map_err(|BadPlan(why)| wrong(why))
    }

    /// Checks what the types cannot: that each fault can happen where its rule wants it.
    ///
    /// # Errors
    ///
    /// [`BadPlan`], naming the rule by its place, from 1.
    pub fn check(&self) -> Result<(), BadPlan> {
        for (place, rule) in self.rules.iter().enumerate() {
            let wrong = rule.when.wrong().map(str::to_owned);
            if let Some(why) = rule.fault.objection(rule.on).or(wrong) {
                return Err(BadPlan(format!("fault {}: {why}", place + 1)));
            }
        }
        let idle = |limit: &RateLimit| limit.requests == 0 || limit.seconds <= 0.0;
        // NaN is not below 0 and is found by asking whether the number is finite.
        if self.rate_limit.as_ref().is_some_and(|limit| idle(limit) || !limit.seconds.is_finite()) {
            let why = "rate_limit: both `requests` and `seconds` are above 0";
            return Err(BadPlan(why.to_owned()));
        }
        Ok(())
    }
}

/// Reads a plan from TOML and checks it.
impl FromStr for FaultPlan {
    type Err = BadPlan;

    fn from_str(text: &str) -> Result<Self, BadPlan> {
        let plan: Self = toml::from_str(text).map_err(|error| BadPlan(error.to_string()))?;
        plan.check()?;
        Ok(plan)
    }
}

/// One rule: this fault, here, this often.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(try_from = "WrittenRule", into = "WrittenRule")]
#[non_exhaustive]
pub struct FaultRule {
    /// The endpoint it watches.
    pub on: Endpoint,
    /// The template it is for; any when `None`.
    pub template: Option<Template>,
    /// How often it fires.
    pub when: When,
    /// What happens then.
    pub fault: Fault,
}

impl FaultRule {
    /// A rule that fires at every request of an endpoint.
    pub fn on(endpoint: Endpoint, fault: Fault) -> Self {
        Self { on: endpoint, template: None, when: When::Always, fault }
    }

    /// The same for one template alone.
    #[must_use]
    pub fn template(mut self, template: Template) -> Self {
        self.template = Some(template);
        self
    }

    /// The same with this probability, in 0..=1.
    #[must_use]
    pub fn chance(self, chance: f64) -> Self {
        self.when(When::Chance(chance))
    }

    /// The same at the n-th request alone, from 1.
    #[must_use]
    pub fn nth(self, nth: u64) -> Self {
        self.when(When::Nth(nth))
    }

    /// The same at the first so many requests.
    #[must_use]
    pub fn first(self, count: u64) -> Self {
        self.when(When::First(count))
    }

    /// The same at every n-th request.
    #[must_use]
    pub fn every(self, nth: u64) -> Self {
        self.when(When::Every(nth))
    }

    fn when(mut self, when: When) -> Self {
        self.when = when;
        self
    }
}

/// How often a rule fires.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum When {
    /// At every request.
    Always,
    /// With this probability, in 0..=1.
    Chance(f64),
    /// At the n-th request alone, from 1.
    Nth(u64),
    /// At the first so many requests.
    First(u64),
    /// At every n-th request.
    Every(u64),
}

impl When {
    fn wrong(self) -> Option<&'static str> {
        match self {
            Self::Chance(chance) if !(0.0..=1.0).contains(&chance) => Some("chance is in 0..=1"),
            Self::Nth(0) | Self::First(0) | Self::Every(0) => Some("requests are counted from 1"),
            _ => None,
        }
    }
}

/// So many requests of a key within so many seconds; one more is answered 429 with `Retry-After`.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// How many requests.
    pub requests: u32,
    /// Within how long.
    #[serde(default = "one")]
    pub seconds: f64,
    /// Which endpoint they are counted at; all that need a key when `None`.
    #[serde(default)]
    pub on: Option<Endpoint>,
}

fn one() -> f64 {
    1.0
}

/// Why a plan cannot be followed: the rule, the field, what is wrong with it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BadPlan(String);

impl BadPlan {
    pub(crate) fn new(why: String) -> Self {
        Self(why)
    }
}

impl fmt::Display for BadPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the plan of faults: {}", self.0)
    }
}

impl std::error::Error for BadPlan {}

/// A rule as it is written: how often is one of several keys.
#[derive(Clone, Deserialize, Serialize, utoipa::ToSchema)]
#[schema(as = FaultRule)]
pub(crate) struct WrittenRule {
    on: Endpoint,
    #[serde(
        default,
        deserialize_with = "template_id::deserialize",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(value_type = Option<TemplateId>)]
    template: Option<Template>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    chance: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nth: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    first: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    every: Option<u64>,
    #[serde(flatten)]
    #[schema(value_type = Fault)]
    // A table and not a `Fault`: beside `flatten` serde would pass over misspelt keys, which
    // `Fault::read` refuses.
    fault: Map<String, Value>,
}

impl TryFrom<WrittenRule> for FaultRule {
    type Error = String;

    fn try_from(row: WrittenRule) -> Result<Self, String> {
        let said = [
            row.chance.map(When::Chance),
            row.nth.map(When::Nth),
            row.first.map(When::First),
            row.every.map(When::Every),
        ];
        let mut said = said.into_iter().flatten();
        let when = said.next().unwrap_or(When::Always);
        if said.next().is_some() {
            return Err("say one of `chance`, `nth`, `first`, `every`, not several".to_owned());
        }
        let fault = Fault::read(&row.fault)?;
        Ok(Self { on: row.on, template: row.template, when, fault })
    }
}

impl From<FaultRule> for WrittenRule {
    fn from(rule: FaultRule) -> Self {
        let FaultRule { on, template, when, fault } = rule;
        let fault = fault.write();
        let mut row =
            Self { on, template, chance: None, nth: None, first: None, every: None, fault };
        match when {
            When::Always => {}
            When::Chance(chance) => row.chance = Some(chance),
            When::Nth(nth) => row.nth = Some(nth),
            When::First(first) => row.first = Some(first),
            When::Every(every) => row.every = Some(every),
        }
        row
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        text.parse::<FaultPlan>().unwrap_err().to_string()
    }

    #[test]
    fn what_cannot_be_followed_is_named() {
        let rule = |rest: &str| format!("[[fault]]\n{rest}");
        let cases = [
            (rule("on = \"create\"\nkind = \"stale\""), "queue-status"),
            (rule("on = \"task\"\nkind = \"no-url\""), "queue-submit"),
            (rule("on = \"control\"\nkind = \"garbage\""), "control"),
            (rule("on = \"task\"\nkind = \"status\"\nstatus = 99"), "200..=599"),
            (rule("on = \"task\"\nkind = \"truncate\"\nkeep = 1.0"), "keep"),
            (rule("on = \"task\"\nkind = \"garbage\"\nchance = 1.5"), "chance"),
            (rule("on = \"task\"\nkind = \"garbage\"\nnth = 0"), "counted from 1"),
            (rule("on = \"task\"\nkind = \"garbage\"\nnth = 1\nevery = 2"), "not several"),
            (rule("on = \"tsak\"\nkind = \"garbage\""), "tsak"),
            (rule("on = \"task\"\nkind = \"gargbage\""), "gargbage"),
            (rule("on = \"task\"\nkind = \"garbage\"\nchanse = 0.5"), "chanse"),
            (rule("on = \"create\"\nkind = \"no-url\"\ntemplate = \"glas_ball\""), "glass_ball"),
            ("sede = 7".to_owned(), "sede"),
            ("[rate_limit]\nrequests = 0".to_owned(), "rate_limit"),
        ];
        for (text, named) in cases {
            let error = refused(&text);
            assert!(error.contains(named), "{text}\n{error}");
        }
    }

    #[test]
    fn the_readme_shows_a_valid_plan_and_every_kind_of_fault() {
        let readme = include_str!("../../README.md");
        let (_, rest) = readme.split_once("```toml\n").unwrap();
        let (plan, _) = rest.split_once("```").unwrap();
        let plan: FaultPlan = plan.parse().unwrap();
        assert_eq!(plan.rules.len(), 3);
        // serde's error for an unknown kind lists the kinds that there are.
        let error = refused("[[fault]]\non = \"task\"\nkind = \"nonsense\"");
        let (_, kinds) = error.split_once("expected one of ").unwrap();
        // Each kind stands between backticks, so every second part is one.
        let kinds: Vec<&str> = kinds.split('`').skip(1).step_by(2).collect();
        // There are eighteen: fewer means that serde words this error in another way.
        assert!(kinds.len() >= 18, "{kinds:?}");
        for kind in kinds {
            assert!(readme.contains(&format!("`{kind}`")), "the README knows no `{kind}`");
        }
    }

    #[test]
    fn every_fault_reads_back_from_what_it_writes() {
        let text = r#"
            balance = "0.30"
            [rate_limit]
            requests = 10
            on = "create"
            [[fault]]
            on = "file"
            first = 3
            kind = "status"
            status = 429
            body = "error-word"
            retry_after = { date = 2 }
            [[fault]]
            on = "task"
            every = 4
            kind = "status"
            status = 502
            body = { raw = "{\"a\":1}" }
            [[fault]]
            on = "create"
            kind = "missing"
            looks = 3
        "#;
        let plan: FaultPlan = text.parse().unwrap();
        assert_eq!(plan.rules.len(), 3);
        let again: FaultPlan =
            serde_json::from_str(&serde_json::to_string(&plan).unwrap()).unwrap();
        assert_eq!(plan, again);
    }
}
