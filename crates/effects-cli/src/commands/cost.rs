//! `effects cost` ([`cost`]): prints what the tasks in the journal cost, for each gateway apart: in all, or
//! by template, tag, day or scope. With `--html` it also writes all these sums as a page. It reads
//! `JournalStore::spend`, and `JournalStore::forgotten_costs` for what pruned rows cost. `commands::main`
//! calls it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use effects_client::{AtomicFile, Sink};
use effects_core::{Error, ErrorKind, count_of};
use effects_jobs::{Filter, JournalStore, Spend, SpendBy, Which};
use rust_decimal::Decimal;
use serde::Serialize;
use utoipa::ToSchema;

use crate::command_result::{CommandEnd, CommandResult};
use crate::failure::Failure;
use crate::journal::{self, JournalChoice};
use crate::output::{self, Output};
use crate::page::{CostTable, Page};
use crate::report_file::{ReportFile, ReportKind};
use crate::rerun_line::journal_line;

#[derive(Args)]
#[command(after_help = "\
Examples:
  effects cost
  effects cost --by tag --json
  effects cost --html costs.html

Sums are exact to the digit, and apart for each gateway: nothing from an emulator counts elsewhere. What \
`effects journal prune` has forgotten is in no sum but that of its scope, which says so, and submissions of \
unknown outcome are in none; stderr tells of both.")]
pub(crate) struct Arguments {
    /// What to add up by; left out, everything of a gateway
    #[arg(long, value_name = "template|tag|day|scope")]
    by: Option<By>,

    /// Write all sums as one HTML page, too: by template, tag, day and scope; `-` prints it instead
    ///
    /// It replaces an earlier page and no other file.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,

    #[command(flatten)]
    journal: JournalChoice,
}

/// What every page of costs begins with.
const COSTS: ReportKind = ReportKind {
    option: "--html",
    begins: "<!doctype html>\n<!-- A report of effects cost. -->\n",
};

#[derive(Clone, Copy, Serialize, ToSchema, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(super) enum By {
    Template,
    Tag,
    /// The day (UTC) on which the task was submitted
    Day,
    /// The name of the order (--scope, with --budget); rows of several orders count in each
    Scope,
}

#[derive(Serialize, ToSchema)]
pub(super) struct CostObject {
    schema: &'static str,
    /// None for what is forgotten, whose gateway the journal does not know any more.
    origin: Option<String>,
    by: Option<By>,
    /// The template's id, the tag or the scope (empty for none), the day; none for everything.
    group: Option<String>,
    tasks: u64,
    /// Of them, those that have not told their cost.
    unpriced: u64,
    /// USD, exact to the digit.
    #[schema(value_type = String)]
    cost: Decimal,
    /// The highest cost of one task, in USD.
    #[schema(value_type = Option<String>)]
    highest: Option<Decimal>,
    /// Whether it is what rows cost that `effects journal prune` has forgotten, and that the scope still counts.
    #[serde(skip_serializing_if = "is_not")]
    forgotten: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_not(flag: &bool) -> bool {
    !flag
}

pub(crate) fn cost(arguments: &Arguments, output: &Output) -> CommandResult {
    let is_printed = arguments.html.as_deref() == Some(Path::new("-"));
    if is_printed && output.json {
        let why = "--html - prints a page on stdout, where --json prints objects: give the name of a file";
        return Err(Error::new(ErrorKind::Misconfigured, why).into());
    }
    let report = arguments.html.as_deref().filter(|_| !is_printed);
    let report = report.map(|path| ReportFile::of(COSTS, path)).transpose()?;
    if let Some(report) = &report {
        // Before the journal is read, which takes a while for a long one.
        let unusable = report.unusable(None).map(|why| Error::new(ErrorKind::Misconfigured, why));
        unusable.map_or_else(|| report.check(&[]), Err)?;
    }
    let store = arguments.journal.existing(output)?;
    // Without a journal the page has no sums, and is printed all the same.
    if is_printed {
        let page = page(store.as_deref(), Vec::new())?;
        output::script(&page)?;
        return Ok(CommandEnd::Ok);
    }
    if let Some(report) = report {
        let path = report.put(page(store.as_deref(), AtomicFile::begin(&report.path)?)?)?;
        output.note(&format!("the page is {}", path.display()));
    }
    let Some(store) = store else { return Ok(CommandEnd::Ok) };
    let by = match arguments.by {
        // Totals are added up from templates: each task has
        // one, while a row of several orders is in each scope.
        Some(By::Template) | None => SpendBy::Template,
        Some(By::Tag) => SpendBy::Tag,
        Some(By::Day) => SpendBy::Day,
        Some(By::Scope) => SpendBy::Scope,
    };
    let spend = store.spend(by, None).map_err(|error| journal::failure(&error))?;
    let forgotten = store.forgotten_costs().map_err(|error| journal::failure(&error))?;
    let mut left_out = Vec::new();
    let mut objects = match arguments.by {
        Some(by) => spend.into_iter().map(|spend| CostObject::of(spend, Some(by))).collect(),
        None => totals(spend),
    };
    match arguments.by {
        Some(By::Scope) => objects.extend(forgotten.into_iter().map(CostObject::of_forgotten)),
        _ => left_out.extend(forgotten_left_out(&forgotten)),
    }
    // Said after the sums and on stderr, so that a program that adds up lines reads sums alone.
    left_out.extend(doubtful_left_out(&*store)?);
    if objects.is_empty() && left_out.is_empty() {
        // Of rows that counted in no scope with a name, nothing says that they were there.
        let why = "none was submitted yet, or `effects journal prune` has forgotten all";
        left_out.push(format!("the journal has no task: {why}"));
    }
    for object in objects {
        if !output.listing(&object, &[object.line()])? {
            return Ok(CommandEnd::Ok);
        }
    }
    left_out.iter().for_each(|text| output.note(text));
    Ok(CommandEnd::Ok)
}

/// What to say of forgotten rows where the sums do not have them.
fn forgotten_left_out(forgotten: &[(String, Decimal)]) -> Option<String> {
    if forgotten.is_empty() {
        return None;
    }
    let cost: Decimal = forgotten.iter().map(|(_, cost)| *cost).sum();
    Some(format!(
        "{cost} USD of rows that `effects journal prune` has forgotten are in no sum here: `{}` has \
         them with the scopes that count them",
        journal_line("effects cost --by scope")
    ))
}

/// What to say of submissions of unknown outcome, which are in no sum.
fn doubtful_left_out(store: &dyn JournalStore) -> Result<Option<String>, Failure> {
    let mut rows = 0;
    let filter = Filter { which: Which::Doubtful, ..Filter::default() };
    journal::each(store, filter, |_| {
        rows += 1;
        Ok(true)
    })?;
    if rows == 0 {
        return Ok(None);
    }
    Ok(Some(format!(
        "{} of unknown outcome may be billed, and no sum has that: `{}` lists {}",
        count_of(rows, "row"),
        journal_line("effects tasks --doubtful"),
        if rows == 1 { "it" } else { "them" }
    )))
}

/// The page of all sums, written to this.
fn page<S: Sink>(store: Option<&dyn JournalStore>, sink: S) -> Result<S, Failure> {
    let mut page = Page::begin(sink, COSTS.begins, "What tasks cost")?;
    let mut tables = Vec::new();
    let all = [
        ("template", SpendBy::Template),
        ("tag", SpendBy::Tag),
        ("day", SpendBy::Day),
        ("scope", SpendBy::Scope),
    ];
    for (by, spend_by) in all {
        let spend = store.map_or(Ok(Vec::new()), |store| store.spend(spend_by, None));
        tables.extend(CostTable::of_spend(by, spend.map_err(|error| journal::failure(&error))?));
    }
    let forgotten = store.map_or(Ok(Vec::new()), JournalStore::forgotten_costs);
    tables.extend(CostTable::of_forgotten(forgotten.map_err(|error| journal::failure(&error))?));
    page.data("costs", &tables)?;
    page.data("summary", &serde_json::json!({}))?;
    Ok(page.end()?)
}

/// One sum for each gateway.
fn totals(spend: Vec<Spend>) -> Vec<CostObject> {
    let mut totals: BTreeMap<String, CostObject> = BTreeMap::new();
    for spend in spend {
        let origin = spend.origin.to_string();
        let part = CostObject::of(spend, None);
        match totals.get_mut(&origin) {
            Some(total) => {
                total.tasks += part.tasks;
                total.unpriced += part.unpriced;
                total.cost += part.cost;
                // `None` is less than any cost, so one that is known stays.
                total.highest = total.highest.max(part.highest);
            }
            None => drop(totals.insert(origin, part)),
        }
    }
    totals.into_values().collect()
}

impl CostObject {
    fn of(spend: Spend, by: Option<By>) -> Self {
        Self {
            schema: "effects.cost.v1",
            origin: Some(spend.origin.to_string()),
            by,
            group: by.map(|_| spend.group),
            tasks: spend.tasks,
            unpriced: spend.unpriced,
            cost: spend.cost,
            highest: spend.highest,
            forgotten: false,
        }
    }

    /// What rows of a scope cost that the journal has forgotten.
    fn of_forgotten((scope, cost): (String, Decimal)) -> Self {
        Self {
            schema: "effects.cost.v1",
            origin: None,
            by: Some(By::Scope),
            group: Some(scope),
            // How many tasks it was for is forgotten, too.
            tasks: 0,
            unpriced: 0,
            cost,
            highest: None,
            forgotten: true,
        }
    }

    fn line(&self) -> String {
        if self.forgotten {
            let (group, cost) = (self.group.as_deref().unwrap_or_default(), self.cost);
            return format!(
                "{group}  {cost} USD  of rows that `effects journal prune` has forgotten; a budget of this scope \
                 counts them still"
            );
        }
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
        let tasks = count_of(self.tasks, "task");
        let origin = self.origin.as_deref().unwrap_or_default();
        format!("{group}{} USD  {tasks}{unpriced}  {origin}", self.cost)
    }
}
