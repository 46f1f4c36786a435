//! `effects journal prune`: what was forgotten and comes back from the folder's manifest counts once in the
//! budget of its scope.

use std::fs;

use serde_json::Value;

use super::site::{Site, count, objects, rows_and_batch};

const MARCH: [&str; 4] = ["--scope", "march", "--price", "0.03"];

impl Site {
    /// Forgets every row of the journal, as if all had ended long ago; how many.
    fn forget(&self) -> u64 {
        let long_ago = "UPDATE rows SET begun = 0, changed = 0";
        self.journal().execute(long_ago, []).unwrap();
        let ran = self.run(&["journal", "prune", "--older-than", "1d", "--json"]).exits(0);
        ran.object()["rows"].as_u64().unwrap()
    }

    /// What `--plan` says of a line, and then what the line does.
    fn plan_and_batch(&self, more: &[&str], code: i32) -> (u64, u64) {
        let line = [&MARCH[..], &["--json"], more].concat();
        let plan = self.batch("rows.csv", &[&line[..], &["--plan"]].concat()).exits(0);
        let over = objects(&plan.stdout).pop().unwrap()["over_budget"].as_u64().unwrap();
        let (rows, _) = rows_and_batch(&self.batch("rows.csv", &line).exits(code));
        (over, count(&rows, "refused") as u64)
    }
}

#[test]
fn what_was_forgotten_counts_once_in_its_scope_where_the_folder_brings_it_back() {
    let site = Site::new();
    let march = [&MARCH[..], &["--budget", "9"]].concat();
    site.rows("rows.csv", 3).batch("rows.csv", &march).exits(0);
    assert_eq!(site.forget(), 3);
    // Three are paid for, and the budget has room for two more.
    site.rows("rows.csv", 6);
    assert_eq!(site.plan_and_batch(&["--budget", "0.15"], 6), (1, 1));
    assert_eq!(site.accepted_once(), 5);
    // The same line again does nothing, and so does one with a little more.
    assert_eq!(site.plan_and_batch(&["--budget", "0.17"], 6), (1, 1));
    assert_eq!(site.plan_and_batch(&["--budget", "0.18"], 0), (0, 0));
    assert_eq!(site.accepted_once(), 6);
}

#[test]
fn so_it_does_where_the_journal_is_rebuilt_from_the_folder() {
    let site = Site::new();
    let march = [&MARCH[..], &["--budget", "9"]].concat();
    site.rows("rows.csv", 3).batch("rows.csv", &march).exits(0);
    assert_eq!(site.forget(), 3);
    site.run(&["journal", "rebuild", "--from", "out/manifest.jsonl"]).exits(0);
    site.run(&["journal", "rebuild", "--from", "out/manifest.jsonl"]).exits(0);
    let cost = site.run(&["cost", "--by", "scope", "--json"]).exits(0).object();
    assert_eq!((&cost["group"], &cost["cost"]), (&"march".into(), &"0.09".into()));
    site.rows("rows.csv", 5);
    assert_eq!(site.plan_and_batch(&["--budget", "0.12"], 6), (1, 1));
    assert_eq!(site.accepted_once(), 4);
}

#[test]
fn what_nothing_brings_back_stays_counted_and_is_paid_for_on_top() {
    let site = Site::new();
    let march = [&MARCH[..], &["--budget", "9"]].concat();
    site.rows("rows.csv", 2).batch("rows.csv", &march).exits(0);
    assert_eq!(site.forget(), 2);
    fs::remove_dir_all(site.path("out")).unwrap();
    assert_eq!(site.plan_and_batch(&["--budget", "0.09"], 6), (1, 1));
    assert_eq!(site.emulator.counts().accepted, 3);
}

#[test]
fn what_is_forgotten_is_told_of_its_scope() {
    let site = Site::new();
    let march = [&MARCH[..], &["--budget", "9"]].concat();
    site.rows("rows.csv", 2).batch("rows.csv", &march).exits(0);
    assert_eq!(site.forget(), 2);
    let costs = || objects(&site.run(&["cost", "--by", "scope", "--json"]).exits(0).stdout);
    let forgotten = |rows: &[Value]| {
        let [row] = rows else { panic!("{rows:?}") };
        assert_eq!((&row["group"], &row["forgotten"]), (&"march".into(), &true.into()));
        // Its gateway is forgotten, too.
        assert_eq!(row["origin"], Value::Null);
        row["cost"].as_str().unwrap().to_owned()
    };
    assert_eq!(forgotten(&costs()), "0.06");
    let shown = site.run(&["cost", "--by", "scope"]).exits(0).stdout;
    assert!(shown.starts_with("march  0.06 USD  of rows that `effects journal prune`"), "{shown}");
    let page = site.run(&["cost", "--html", "-"]).exits(0).stdout;
    assert!(page.contains("rows that effects journal prune has forgotten"), "{page}");
    // Other sums do not have it, and say so.
    for line in [&["cost"][..], &["cost", "--by", "tag", "--json"]] {
        let ran = site.run(line).exits(0);
        assert_eq!(ran.stdout, "");
        assert!(ran.stderr.contains("0.06 USD of rows that `effects journal prune`"), "{ran:?}");
        assert!(ran.stderr.contains("`effects cost --by scope`"), "{ran:?}");
    }
    // Rows that come later stand beside it, and what a folder brings back is forgotten no more.
    fs::rename(site.path("out"), site.path("before")).unwrap();
    site.batch("rows.csv", &march).exits(0);
    let rows = costs();
    assert_eq!((&rows[0]["cost"], rows[0].get("forgotten")), (&"0.06".into(), None));
    assert_eq!(forgotten(&rows[1..]), "0.06");
    assert!(
        site.run(&["cost", "--by", "template", "--json"])
            .exits(0)
            .object()
            .get("forgotten")
            .is_none()
    );
}

#[test]
fn where_all_rows_were_forgotten_no_words_say_that_there_was_no_task() {
    let site = Site::new();
    site.rows("rows.csv", 1).batch("rows.csv", &[]).exits(0);
    assert_eq!(site.forget(), 1);
    for line in [&["cost"][..], &["cost", "--by", "scope"]] {
        let ran = site.run(line).exits(0);
        assert_eq!(ran.stdout, "");
        assert!(ran.stderr.contains("the journal has no task: "), "{ran:?}");
        assert!(ran.stderr.contains("`effects journal prune` has forgotten all"), "{ran:?}");
    }
    let page = site.run(&["cost", "--html", "-"]).exits(0).stdout;
    assert!(page.contains("The journal has no task") && !page.contains("journaled yet"));
}

#[test]
fn a_plan_counts_what_other_orders_of_the_scope_have_paid() {
    let site = Site::new();
    site.photo("cat.png", 1).write("other.csv", "template,image\nmy_world,cat.png\n");
    site.batch("other.csv", &[&MARCH[..], &["--budget", "9"]].concat()).exits(0);
    site.rows("rows.csv", 3);
    assert_eq!(site.plan_and_batch(&["--budget", "0.09"], 6), (1, 1));
    // Rows that were paid for before they were of the scope count as they join it.
    site.batch("rows.csv", &["--in-flight", "1"]).exits(0);
    site.rows("rows.csv", 5);
    assert_eq!(site.plan_and_batch(&["--budget", "0.15"], 6), (1, 1));
}
