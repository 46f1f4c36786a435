//! `effects cost` ([`cost`]): prints what the tasks of the journal cost, by template, tag, day or scope. It
//! reads `JournalStore::spend`.

use std::collections::BTreeMap;

use clap::{Args, ValueEnum};
use effects_jobs::{Spend, SpendBy};
use rust_decimal::Decimal;
use serde::Serialize;

use crate::done::{CommandResult, Done};
use crate::journal::{self, JournalChoice};
use crate::output::Output;

#[derive(Args)]
#[command(after_help = "\
Examples:
  effects cost
  effects cost --by tag --json

Sums are exact to the digit, and apart for each gateway: nothing from an emulator counts elsewhere.")]
pub(crate) struct Arguments {
    /// What to add up by; left out, everything of a gateway
    #[arg(long, value_name = "template|tag|day|scope")]
    by: Option<By>,

    #[command(flatten)]
    journal: JournalChoice,
}

#[derive(Clone, Copy, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
enum By {
    Template,
    Tag,
    /// The day (UTC) on which the task was submitted
    Day,
    /// The name of the order (--scope, with --budget); rows of several orders count in each
    Scope,
}

#[derive(Serialize)]
struct CostObject {
    schema: &'static str,
    origin: String,
    by: Option<By>,
    /// The template's id, the tag or the scope (empty for none), the day; none for everything.
    group: Option<String>,
    tasks: u64,
    /// Of them, those that have not told their cost.
    unpriced: u64,
    /// USD, exact to the digit.
    cost: Decimal,
    /// The highest cost of one task, in USD.
    highest: Option<Decimal>,
}

pub(crate) fn cost(arguments: &Arguments, output: &Output) -> CommandResult {
    let Some(store) = arguments.journal.that_is_there(output)? else { return Ok(Done::Well) };
    let by = match arguments.by {
        Some(By::Template) | None => SpendBy::Template,
        Some(By::Tag) => SpendBy::Tag,
        Some(By::Day) => SpendBy::Day,
        Some(By::Scope) => SpendBy::Scope,
    };
    let spend = store.spend(by, None).map_err(|error| journal::failure(&error))?;
    let objects = match arguments.by {
        Some(by) => spend.into_iter().map(|spend| CostObject::of(spend, Some(by))).collect(),
        None => totals(spend),
    };
    for object in objects {
        if !output.listing(&object, &[object.line()])? {
            break;
        }
    }
    Ok(Done::Well)
}

/// One sum for each gateway.
fn totals(spend: Vec<Spend>) -> Vec<CostObject> {
    let mut totals: BTreeMap<String, CostObject> = BTreeMap::new();
    for spend in spend {
        let part = CostObject::of(spend, None);
        match totals.get_mut(&part.origin) {
            Some(total) => {
                total.tasks += part.tasks;
                total.unpriced += part.unpriced;
                total.cost += part.cost;
                total.highest = total.highest.max(part.highest);
            }
            None => drop(totals.insert(part.origin.clone(), part)),
        }
    }
    totals.into_values().collect()
}

impl CostObject {
    fn of(spend: Spend, by: Option<By>) -> Self {
        Self {
            schema: "effects.cost.v1",
            origin: spend.origin.to_string(),
            by,
            group: by.map(|_| spend.group),
            tasks: spend.tasks,
            unpriced: spend.unpriced,
            cost: spend.cost,
            highest: spend.highest,
        }
    }

    fn line(&self) -> String {
        let group = match self.group.as_deref() {
            Some("") if matches!(self.by, Some(By::Scope)) => "(no scope)  ".to_owned(),
            Some("") => "(no tag)  ".to_owned(),
            Some(group) => format!("{group}  "),
            None => String::new(),
        };
        let unpriced = match self.unpriced {
            0 => String::new(),
            count => format!(", {count} of them without a cost"),
        };
        format!("{group}{} USD  {} tasks{unpriced}  {}", self.cost, self.tasks, self.origin)
    }
}
