//! [`CostTable`]: the costs at one gateway, or of rows that the journal has forgotten, added up by
//! template, tag, day or scope for an HTML report; each sum is a [`CostGroup`], which counts rows or tasks
//! ([`CostUnit`]). The report of a batch (`batch/report_page.rs`) makes tables of its rows,
//! `effects cost --html` of the journal's sums.

use std::collections::BTreeMap;

use effects_jobs::Spend;
use rust_decimal::Decimal;
use serde::Serialize;

/// Costs of one gateway by template, tag, day or scope.
#[derive(Debug, Serialize)]
pub(crate) struct CostTable {
    /// What they are added up by: `template`, `tag`, `day` or `scope`.
    pub(crate) by: &'static str,
    pub(crate) origin: String,
    pub(crate) unit: CostUnit,
    pub(crate) groups: Vec<CostGroup>,
}

/// What is counted beside costs.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum CostUnit {
    Row,
    Task,
}

/// One sum.
#[derive(Debug, Default, Serialize)]
pub(crate) struct CostGroup {
    /// Empty for what has no tag or scope.
    pub(crate) name: String,
    pub(crate) count: u64,
    /// Of them, those whose cost is not known.
    pub(crate) unpriced: u64,
    /// USD, exact to the digit.
    pub(crate) cost: Decimal,
}

impl CostTable {
    /// A table for each gateway, made of a journal's sums.
    pub(crate) fn of_spend(by: &'static str, spend: Vec<Spend>) -> Vec<Self> {
        let mut tables = BTreeMap::<String, Self>::new();
        for Spend { origin, group, tasks, unpriced, cost, .. } in spend {
            let origin = origin.to_string();
            let (unit, groups) = (CostUnit::Task, Vec::new());
            let table = || Self { by, origin: origin.clone(), unit, groups };
            let groups = &mut tables.entry(origin.clone()).or_insert_with(table).groups;
            groups.push(CostGroup { name: group, count: tasks, unpriced, cost });
        }
        tables.into_values().collect()
    }

    /// A table of what scopes count of rows that the journal has forgotten, if there are such.
    pub(crate) fn of_forgotten(costs: Vec<(String, Decimal)>) -> Option<Self> {
        let group = |(name, cost)| CostGroup { name, cost, ..CostGroup::default() };
        let groups: Vec<_> = costs.into_iter().map(group).collect();
        let origin = "rows that effects journal prune has forgotten".to_owned();
        (!groups.is_empty()).then_some(Self { by: "scope", origin, unit: CostUnit::Task, groups })
    }
}
