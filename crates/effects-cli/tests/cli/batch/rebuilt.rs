//! `effects journal`: a journal made again of the folder's manifest, and a whole copy of one.

use std::fs;

use effects_emulator::{Endpoint, Fault, FaultPlan, FaultRule};
use serde_json::{Value, json};

use super::site::{Site, count, objects, rows_and_batch};
use crate::world::CommandOutput;

const NEW: [&str; 2] = ["--journal", "new.db"];

/// `effects journal rebuild --from out/manifest.jsonl --journal new.db --json`.
fn rebuild(site: &Site) -> CommandOutput {
    let line = ["journal", "rebuild", "--from", "out/manifest.jsonl", "--json"];
    site.run(&[&line[..], &NEW].concat())
}

/// What a rebuild says of its lines.
fn counts(ran: &CommandOutput) -> [u64; 5] {
    let object = objects(&ran.stdout).pop().unwrap();
    assert_eq!(object["schema"], "effects.rebuild.v1", "{ran:?}");
    ["rows", "imported", "known", "unpaid", "unusable"].map(|name| object[name].as_u64().unwrap())
}

/// The folder's manifest, with each line changed.
fn change(site: &Site, change: impl Fn(&mut Value)) {
    let changed = site.results().into_iter().map(|mut line| {
        change(&mut line);
        line.to_string() + "\n"
    });
    let changed: String = changed.collect();
    fs::write(site.path("out/manifest.jsonl"), changed).unwrap();
}

#[test]
fn rebuilding_twice_adds_nothing_and_the_costs_count_in_budgets() {
    let site = Site::new();
    site.rows("rows.csv", 3).batch("rows.csv", &[]).exits(0);
    assert_eq!(counts(&rebuild(&site).exits(0)), [3, 3, 0, 0, 0]);
    assert_eq!(counts(&rebuild(&site).exits(0)), [3, 0, 3, 0, 0]);
    let cost = |journal: &[&str]| {
        objects(&site.run(&[&["cost", "--json", "--by", "day"], journal].concat()).stdout)
    };
    assert_eq!(cost(&NEW), cost(&[]));
    // Three are paid for; the budget has room for one more.
    let spent = site.emulator.spent();
    let each = spent / rust_decimal::Decimal::from(3);
    site.rows("rows.csv", 5);
    let budget = (spent + each).to_string();
    let line = [&NEW[..], &["--json", "--budget", &budget]].concat();
    let (rows, batch) = rows_and_batch(&site.batch("rows.csv", &line).exits(6));
    assert_eq!((count(&rows, "completed"), count(&rows, "refused")), (4, 1), "{batch}");
    assert_eq!(site.accepted_once(), 4);
}

/// Some editors put one at the beginning of a file; what it stands before is paid for all the same.
#[test]
fn a_manifest_that_was_saved_with_a_byte_order_mark_tells_of_its_first_row_too() {
    let site = Site::new();
    site.rows("rows.csv", 2).batch("rows.csv", &[]).exits(0);
    let text = fs::read_to_string(site.path("out/manifest.jsonl")).unwrap();
    site.write("out/manifest.jsonl", format!("\u{feff}{text}"));
    assert_eq!(counts(&rebuild(&site).exits(0)), [2, 2, 0, 0, 0]);
    site.batch("rows.csv", &["--journal", "third.db"]).exits(0);
    assert_eq!(site.accepted_once(), 2);
}

#[test]
fn tasks_that_run_failed_or_have_no_picture_yet_are_rebuilt_as_they_stand() {
    let failing = FaultRule::on(Endpoint::Create, Fault::fail("3009095")).nth(1);
    let broken = FaultRule::on(Endpoint::File, Fault::status(403)).first(1);
    let site = Site::with(FaultPlan::none().with(failing).with(broken));
    site.rows("rows.csv", 3).batch("rows.csv", &["--in-flight", "1"]);
    let before = site.results();
    assert_eq!((count(&before, "failed"), count(&before, "not_downloaded")), (1, 1), "{before:?}");
    site.run(&["journal", "rebuild", "--from", "out/manifest.jsonl", NEW[0], NEW[1]]).exits(0);
    // Without --retry-failed nothing is paid, and the failed row is left so, with its reason.
    let (rows, _) =
        rows_and_batch(&site.batch("rows.csv", &[&NEW[..], &["--json"]].concat()).exits(4));
    assert_eq!((count(&rows, "failed"), count(&rows, "completed")), (1, 2));
    let failed = rows.iter().find(|row| row["status"] == "failed").unwrap();
    assert_eq!(failed["error"]["code"], "3009095");
    assert_eq!(site.accepted_once(), 3);
    let again = [&NEW[..], &["--json", "--retry-failed", "1"]].concat();
    let (rows, _) = rows_and_batch(&site.batch("rows.csv", &again).exits(0));
    assert_eq!((count(&rows, "completed"), site.emulator.counts().accepted), (3, 4));
}

#[test]
fn a_row_that_was_paid_for_twice_is_so_in_the_rebuilt_journal() {
    let failing = FaultRule::on(Endpoint::Create, Fault::fail("3009095")).first(1);
    let broken = FaultRule::on(Endpoint::File, Fault::status(403)).first(1);
    let plan = FaultPlan::none().with(failing).with(broken);
    let site = Site::billing(plan, |_| json!({"cost": "0.50", "discount": 1}));
    site.rows("rows.csv", 1);
    site.batch("rows.csv", &["--retry-failed", "1"]).exits(7);
    assert_eq!(site.results()[0]["cost"], "1.00");
    rebuild(&site).exits(0);
    // The last task is looked at once more for its picture, and the first still counts.
    let (rows, _) =
        rows_and_batch(&site.batch("rows.csv", &[&NEW[..], &["--json"]].concat()).exits(0));
    assert_eq!((&rows[0]["cost"], &rows[0]["status"]), (&json!("1.00"), &json!("completed")));
    let cost = objects(&site.run(&["cost", "--json", NEW[0], NEW[1]]).stdout);
    assert_eq!((&cost[0]["cost"], &cost[0]["highest"]), (&json!("1.00"), &json!("0.50")));
}

#[test]
fn what_several_tasks_of_a_row_cost_together_is_no_price_of_one() {
    let failing = FaultRule::on(Endpoint::Create, Fault::fail("3009095")).first(2);
    let site = Site::billing(FaultPlan::none().with(failing), |_| json!({"cost": "0.04"}));
    site.rows("rows.csv", 1);
    let march = ["--scope", "march", "--budget", "9", "--retry-failed", "2"];
    site.batch("rows.csv", &march).exits(0);
    assert_eq!(site.results()[0]["cost"], "0.12");
    rebuild(&site).exits(0);
    // Two tasks before the last one cost 0.08 together.
    let cost = objects(&site.run(&["cost", "--json", NEW[0], NEW[1]]).stdout);
    assert_eq!((&cost[0]["cost"], &cost[0]["highest"]), (&json!("0.12"), &json!("0.04")));
    // The plan counts with what the run would: a budget of one picture reaches one.
    site.rows("rows.csv", 2);
    let rest = ["--scope", "march", "--budget", "0.16"];
    let plan = [&NEW[..], &rest, &["--json", "--plan"]].concat();
    let plan = objects(&site.batch("rows.csv", &plan).exits(0).stdout);
    assert_eq!(plan.last().unwrap()["price"], "0.04", "{plan:?}");
    let (rows, _) =
        rows_and_batch(&site.batch("rows.csv", &[&NEW[..], &rest, &["--json"]].concat()).exits(0));
    assert_eq!((count(&rows, "completed"), site.emulator.counts().accepted), (2, 4));
}

/// A row whose second task did not say what it cost, which is no cost of 0.
#[test]
fn a_cost_that_cannot_be_read_after_another_one_is_not_known_in_the_rebuilt_journal() {
    let failing = FaultRule::on(Endpoint::Create, Fault::fail("3009095")).first(1);
    let site = Site::billing(FaultPlan::none().with(failing), |task| match task.nth {
        0 => json!({"cost": "0.03"}),
        _ => Value::Null,
    });
    site.rows("rows.csv", 1).batch("rows.csv", &["--retry-failed", "1"]).exits(0);
    assert_eq!(site.results()[0]["cost"], "0.03");
    rebuild(&site).exits(0);
    let cost = &objects(&site.run(&["cost", "--json", NEW[0], NEW[1]]).stdout)[0];
    assert_eq!((&cost["cost"], &cost["unpriced"]), (&json!("0.03"), &json!(1)));
    // Without a --price neither journal goes on.
    site.rows("rows.csv", 2);
    for journal in [&NEW[..], &[]] {
        site.batch("rows.csv", &[&["--budget", "0.90"], journal].concat()).exits(6);
    }
    assert_eq!(site.emulator.counts().accepted, 2);
}

#[test]
fn what_was_paid_before_a_doubt_is_so_in_the_rebuilt_journal() {
    let failing = FaultRule::on(Endpoint::Create, Fault::fail("3009095")).first(1);
    let lost = FaultRule::on(Endpoint::Create, Fault::lost()).first(1);
    let plan = FaultPlan::none().with(failing).with(lost);
    let site = Site::billing(plan, |_| json!({"cost": "0.50", "discount": 1}));
    site.rows("rows.csv", 1).batch("rows.csv", &["--retry-failed", "1"]).exits(8);
    let [row] = &site.results()[..] else { panic!() };
    assert_eq!((&row["status"], &row["cost"]), (&json!("doubtful"), &json!("0.50")));
    rebuild(&site).exits(0);
    let cost = objects(&site.run(&["cost", "--json", NEW[0], NEW[1]]).stdout);
    assert_eq!((&cost[0]["cost"], &cost[0]["highest"]), (&json!("0.50"), &Value::Null));
    // Beside what is paid and what the doubt may cost, the budget has no room for another row.
    let line = [&NEW[..], &["--json", "--budget", "1.40", "--price", "0.50"]].concat();
    let (rows, batch) = rows_and_batch(&site.rows("rows.csv", 2).batch("rows.csv", &line).exits(8));
    assert_eq!((count(&rows, "doubtful"), count(&rows, "refused")), (1, 1), "{rows:?}");
    assert_eq!(batch["cost"], "0.50");
}

#[test]
fn a_submission_of_unknown_outcome_is_told_beside_the_sums() {
    let lost = FaultRule::on(Endpoint::Create, Fault::status(500)).nth(1);
    let site = Site::with(FaultPlan::none().with(lost));
    site.rows("rows.csv", 3)
        .batch("rows.csv", &[&NEW[..], &["--in-flight", "1"]].concat())
        .exits(8);
    let message = format!(
        "1 row of unknown outcome may be billed, and no sum has that: `effects tasks --doubtful --journal {}` \
         lists it",
        site.path("new.db").display()
    );
    for line in [&["cost"][..], &["cost", "--by", "day", "--json"]] {
        let ran = site.run(&[line, &NEW].concat()).exits(0);
        assert!(ran.stdout.contains("0.06") && ran.stderr.contains(&message), "{ran:?}");
    }
}

#[test]
fn a_manifest_that_is_none_is_refused_whole_and_makes_no_journal() {
    let site = Site::new();
    site.rows("rows.csv", 1).batch("rows.csv", &[]).exits(0);
    let good = fs::read_to_string(site.path("out/manifest.jsonl")).unwrap();
    let odd = good.replace(r#""status":"completed""#, r#""status":"painted""#);
    for (text, why) in [
        (String::new(), "has no line"),
        ("template,image\nglass_ball,cat.png\n".to_owned(), "line 1 is no JSON object"),
        (format!("{good}\n{{\"id\": 7}}\n"), "line 3 is no JSON object with a `schema`"),
        (format!("{good}[]\n"), "line 2 is no JSON object"),
        (format!("{good}{{\"schema\":\"other.v1\"}}\n"), "of the schema \"other.v1\""),
        (format!("{good}{odd}"), "line 2 has fields that no row has"),
    ] {
        site.write("out/manifest.jsonl", text);
        let ran = rebuild(&site).exits(2);
        let object = ran.object();
        let message = object["message"].as_str().unwrap();
        for said in [why, "out/manifest.jsonl", "nothing was written"] {
            assert!(message.contains(said), "{said:?} is missing: {message}");
        }
        assert!(!site.path("new.db").exists());
    }
    for (from, why) in [("no-such.jsonl", "there is no such file"), ("out", "cannot be read")] {
        let ran = site.run(&["journal", "rebuild", "--from", from, NEW[0], NEW[1]]).exits(2);
        assert!(ran.stderr.contains(why) && ran.stderr.contains(from), "{ran:?}");
    }
    assert!(!site.path("new.db").exists());
}

#[test]
fn lines_that_do_not_tell_which_row_they_are_of_are_told_and_the_others_are_taken_in() {
    let site = Site::new();
    site.rows("rows.csv", 3).batch("rows.csv", &[]).exits(0);
    change(&site, |line| match line["line"].as_u64() {
        // As the first edition wrote it.
        Some(2) => ["identity", "origin", "journal", "journal_id", "photo_hash"]
            .iter()
            .for_each(|name| drop(line.as_object_mut().unwrap().remove(*name))),
        Some(3) => line["task_id"] = "two words".into(),
        _ => {}
    });
    let ran = rebuild(&site).exits(2);
    assert_eq!(counts(&ran), [3, 1, 0, 0, 2]);
    for said in ["line 1 (task ", "`identity`", "line 2 (task two words)", "`task_id`"] {
        assert!(ran.stderr.contains(said), "{said:?} is missing: {ran:?}");
    }
    // A task is one row's alone.
    site.batch("rows.csv", &[]).exits(0);
    let id = site.results()[2]["task_id"].clone();
    change(&site, |line| line["task_id"] = id.clone());
    let ran = rebuild(&site).exits(2);
    assert_eq!(counts(&ran), [3, 0, 1, 0, 2]);
    assert!(ran.stderr.contains("row 1 of the journal already"), "{ran:?}");
}

#[test]
fn a_manifest_of_another_gateway_is_taken_in_as_that_gateways() {
    let (other, site) = (Site::new(), Site::new());
    other.rows("rows.csv", 2).batch("rows.csv", &[]).exits(0);
    let from = other.path("out/manifest.jsonl");
    let line = ["journal", "rebuild", "--from", from.to_str().unwrap(), NEW[0], NEW[1]];
    site.run(&line).exits(0);
    site.rows("rows.csv", 2).batch("rows.csv", &NEW).exits(0);
    assert_eq!((other.accepted_once(), site.accepted_once()), (2, 2));
    let cost = objects(&site.run(&["cost", "--json", NEW[0], NEW[1]]).stdout);
    assert_eq!(cost.len(), 2, "each gateway's is apart: {cost:?}");
}

#[test]
fn a_picture_of_a_folder_that_was_moved_is_fetched_into_it_by_resume() {
    let broken = FaultRule::on(Endpoint::File, Fault::status(403)).first(1);
    let site = Site::with(FaultPlan::none().with(broken));
    site.rows("rows.csv", 2).batch("rows.csv", &[]).exits(7);
    fs::rename(site.path("out"), site.path("moved")).unwrap();
    let line = ["journal", "rebuild", "--from", "moved/manifest.jsonl", NEW[0], NEW[1]];
    site.run(&line).exits(0);
    site.run(&["resume", "--poll", "0.05", NEW[0], NEW[1]]).exits(0);
    let pictures = fs::read_dir(site.path("moved")).unwrap().filter(|entry| {
        entry.as_ref().unwrap().path().extension().is_some_and(|ending| ending == "png")
    });
    assert_eq!((pictures.count(), site.path("out").exists()), (2, false));
    assert_eq!(site.accepted_once(), 2);
}

#[test]
fn a_key_names_its_photo_in_the_rebuilt_journal_too() {
    let site = Site::new();
    let head = "template,image,key\n";
    site.photo("cat.png", 1).write("rows.csv", format!("{head}glass_ball,cat.png,cat\n"));
    site.batch("rows.csv", &[]).exits(0);
    rebuild(&site).exits(0);
    site.batch("rows.csv", &NEW).exits(0);
    site.photo("cat.png", 2);
    let ran = site.batch("rows.csv", &NEW).exits(2);
    assert!(ran.stderr.contains("with another image"), "{ran:?}");
    assert_eq!(site.accepted_once(), 1);
}

#[test]
fn a_backup_replaces_nothing_and_says_why() {
    let site = Site::new();
    let journal = site.state.path().join("journal.db");
    let none = site.run(&["journal", "backup", "copy.db"]).exits(2);
    assert!(none.stderr.contains("there is no journal"), "{none:?}");
    assert!(!journal.exists() && !site.path("copy.db").exists());
    let named = site.run(&["journal", "backup", "copy.db", NEW[0], NEW[1]]).exits(2);
    assert!(named.stderr.contains("new.db") && !site.path("new.db").exists(), "{named:?}");

    site.rows("rows.csv", 2).batch("rows.csv", &[]).exits(0);
    let own = journal.to_str().unwrap();
    for (file, why) in [
        (own, "a file of the journal itself"),
        (&format!("{own}-wal"), "a file of the journal itself"),
        ("rows.csv", "exists already"),
        ("no/folder/copy.db", "No such file"),
    ] {
        let ran = site.run(&["journal", "backup", file, "--json"]).exits(2);
        let message = ran.object()["message"].as_str().unwrap().to_owned();
        assert!(message.contains(why) && message.contains(file), "{message}");
    }
    assert_eq!(objects(&site.run(&["tasks", "--json"]).exits(0).stdout).len(), 2);
    assert_eq!(fs::read_to_string(site.path("rows.csv")).unwrap().lines().count(), 3);
    let ran = site.run(&["journal", "backup", "copy.db", "--json"]).exits(0);
    assert_eq!(
        ran.object(),
        json!({"schema": "effects.backup.v1", "journal": own, "file": "copy.db"})
    );
    // The copy is as good as the journal.
    site.batch("rows.csv", &["--journal", "copy.db"]).exits(0);
    assert_eq!(site.accepted_once(), 2);
}

/// A row that failed, was submitted anew and is in doubt since: the task that failed does not answer that.
#[test]
fn a_doubt_after_a_failed_task_stays_a_doubt_in_another_journal() {
    let failing = FaultRule::on(Endpoint::Create, Fault::fail("3009095")).nth(1);
    let lost = FaultRule::on(Endpoint::Create, Fault::status(500)).nth(1);
    let site = Site::with(FaultPlan::none().with(failing).with(lost));
    site.rows("rows.csv", 1);
    site.batch("rows.csv", &["--retry-failed", "1"]).exits(8);
    site.batch("rows.csv", &["--retry-failed", "1"]).exits(8);
    let again = [&NEW[..], &["--retry-failed", "3"]].concat();
    let stopped = site.batch("rows.csv", &again).exits(2);
    assert!(stopped.stderr.contains("take it in as doubtful"), "{stopped:?}");
    rebuild(&site).exits(0);
    let doubtful = objects(&site.run(&["tasks", "--doubtful", "--json", NEW[0], NEW[1]]).stdout);
    assert_eq!(doubtful[0]["attempts"].as_array().unwrap().len(), 1);
    site.batch("rows.csv", &again).exits(8);
    assert_eq!(site.emulator.counts().accepted, 1);
}

/// A row whose failed task has a bill, and whose new task is not sent: for the budget, for a file in the way
/// of its picture, or since its photo cannot be uploaded.
#[test]
fn a_task_that_failed_in_this_run_and_is_not_renewed_stays_with_its_bill() {
    let failing = FaultPlan::none().with(FaultRule::on(Endpoint::Create, Fault::fail("3009095")));
    let site = Site::billing(failing, |_| json!({"cost": "0.03", "discount": 1}));
    site.rows("rows.csv", 1);
    let budget = ["--json", "--budget", "0.05", "--price", "0.03", "--retry-failed", "1"];
    let (rows, batch) = rows_and_batch(&site.batch("rows.csv", &budget).exits(6));
    assert_eq!((count(&rows, "refused"), &batch["spent"]), (1, &json!("0.03")));
    for row in rows.iter().chain(&site.results()) {
        assert!(row["task_id"].is_string() && row["how"].is_null(), "{row}");
    }
    assert_eq!(site.emulator.counts().accepted, 1);
}

#[test]
fn a_failed_task_that_is_not_renewed_stays_in_the_folder_with_its_bill() {
    let failing = FaultPlan::none().with(FaultRule::on(Endpoint::Create, Fault::fail("3009095")));
    let bill = || Site::billing(failing.clone(), |_| json!({"cost": "0.03", "discount": 1}));
    let budget = ["--json", "--budget", "0.07", "--price", "0.03", "--retry-failed", "1"];
    let again = ["--json", "--retry-failed", "1"];
    let uploads = [&again[..], &["--uploads", "command=false"]].concat();
    // (what happens after the first run, the second run, the status and the error's kind of both rows)
    type Case<'a> = (fn(&Site), &'a [&'a str], &'a str, &'a str);
    let cases: [Case<'_>; 3] = [
        (|_| {}, &budget, "refused", "budget_exceeded"),
        (
            |site| {
                site.write("out/a.png", "x").write("out/b.png", "x");
            },
            &again,
            "refused",
            "misconfigured",
        ),
        (|_| {}, &uploads, "not_submitted", "upload"),
    ];
    for (between, line, status, kind) in cases {
        let site = bill();
        site.photo("one.png", 1).photo("two.png", 2).write(
            "rows.csv",
            "template,image,out\nglass_ball,one.png,a.png\nglass_ball,two.png,b.png\n",
        );
        site.batch("rows.csv", &[]).exits(4);
        between(&site);
        let ran = site.batch("rows.csv", line);
        let (rows, batch) = rows_and_batch(&ran);
        assert_eq!(count(&rows, status), 2, "{ran:?}");
        assert_eq!((&batch["spent"], &batch["cost"]), (&json!("0"), &json!("0.06")), "{ran:?}");
        for row in rows.iter().chain(&site.results()) {
            assert!(row["task_id"].is_string() && row["how"].is_null(), "{row}");
            assert_eq!((&row["error"]["kind"], &row["cost"]), (&json!(kind), &json!("0.03")));
        }
        assert_eq!(counts(&rebuild(&site).exits(0)), [2, 2, 0, 0, 0], "{kind}");
        let cost = |journal: &[&str]| site.run(&[&["cost", "--json"], journal].concat()).stdout;
        assert_eq!(cost(&NEW), cost(&[]), "{kind}");
        for journal in ["new.db", "newer.db"] {
            let line = [&budget[..], &["--journal", journal]].concat();
            let (rows, _) = rows_and_batch(&site.batch("rows.csv", &line));
            assert!(rows.iter().all(|row| row["status"] == "refused"), "{rows:?}");
            assert_eq!(site.emulator.counts().accepted, 2, "{kind} {journal}");
        }
    }
}
