//! What rows cost, and what a budget makes of it: costs that cannot be read, prices that differ and
//! rise, rows with several tasks. Paid is what the emulator accepted.

use std::fs;
use std::str::FromStr;

use effects_core::journal::RowOutcome;
use effects_core::{Size, Template};
use effects_emulator::{Endpoint, Fault, FaultPlan, FaultRule};
use effects_jobs::{Identity, JournalStore, RowDraft, RowPhoto};
use effects_journal::SqliteJournal;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::proxy::Finished;
use super::site::{Site, count, objects, rows_and_batch};
use crate::world::CommandOutput;

fn usd(text: &str) -> Decimal {
    Decimal::from_str(text).unwrap()
}

/// A bill that is the same for every task.
fn each(cost: &'static str) -> impl Fn(&Finished<'_>) -> Value + Send + Sync + 'static {
    move |_| json!({"cost": cost, "discount": 1})
}

/// What tasks were accepted for, by a price list.
fn paid(site: &Site, price: impl Fn(&str, u32) -> Decimal) -> Decimal {
    let tasks = site.emulator.tasks();
    tasks.iter().map(|task| price(task.template_id.as_deref().unwrap(), task.width)).sum()
}

/// So many rows of a template, of square pictures with this side.
fn rows_of(template: &str, side: u32, count: usize) -> String {
    let row = |row| format!("{template},https://example.com/{template}-{row}.jpg,{side},{side}\n");
    (0..count).map(row).collect()
}

fn manifest(parts: &[String]) -> String {
    format!("template,image,width,height\n{}", parts.concat())
}

fn refusals(ran: &CommandOutput) -> Vec<String> {
    let (rows, _) = rows_and_batch(ran);
    let refused = rows.iter().filter(|row| row["status"] == "refused");
    refused.map(|row| row["error"]["message"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_cost_that_cannot_be_read_ends_what_a_budget_without_a_price_buys() {
    for usage in [
        Value::Null,
        json!({}),
        json!({"cost": ""}),
        json!({"cost": null}),
        json!({"cost": "0.02 USD"}),
    ] {
        let bill = usage.clone();
        let site = Site::billing(FaultPlan::none(), move |_| bill.clone());
        site.rows("rows.csv", 8);
        let ran = site.batch("rows.csv", &["--json", "--budget", "0.05"]);
        assert_eq!(site.accepted_once(), 1, "{usage}: {ran:?}");
        let ran = ran.exits(6);
        let (rows, batch) = rows_and_batch(&ran);
        assert_eq!((count(&rows, "completed"), count(&rows, "refused")), (1, 7), "{usage}");
        assert!(refusals(&ran).iter().all(|why| why.contains("--price")), "{ran:?}");
        // The same line again buys nothing either, and is not told to go on.
        assert!(batch["resume"].is_null(), "{batch}");
        let again = site.batch("rows.csv", &["--json", "--budget", "0.05"]).exits(6);
        assert!(again.stderr.contains("--price"), "{again:?}");
        assert_eq!(site.accepted_once(), 1, "{usage}");
        assert_eq!(batch["unpriced"], 1, "{usage}: {batch}");
    }
}

#[test]
fn a_cost_that_cannot_be_read_is_said_and_counts_as_the_price_that_was_given() {
    let site = Site::billing(FaultPlan::none(), |_| json!({"cost": "0.02 USD"}));
    site.rows("rows.csv", 5);
    let ran = site.batch("rows.csv", &["--json", "--budget", "0.05", "--price", "0.02"]).exits(6);
    assert_eq!(site.accepted_once(), 2);
    let (_, batch) = rows_and_batch(&ran);
    assert_eq!((batch["spent"].as_str(), batch["unpriced"].as_u64()), (Some("0"), Some(2)));
    assert!(ran.stderr.contains("the cost of 2 pictures could not be read"), "{ran:?}");

    // Without a budget nothing is kept from being bought, but it is said all the same.
    let ran = site.batch("rows.csv", &["--json"]).exits(0);
    assert_eq!(site.accepted_once(), 5);
    assert_eq!(rows_and_batch(&ran).1["unpriced"], 5, "those of earlier runs as well");
    assert!(ran.stderr.contains("the cost of 5 pictures could not be read"), "{ran:?}");
}

#[test]
fn a_single_run_says_that_its_cost_could_not_be_read() {
    let site = Site::billing(FaultPlan::none(), |_| json!({"cost": "0.02 USD"}));
    let ran = site.run(&["run", "glass_ball", "https://example.com/a.jpg", "--json"]).exits(0);
    assert_eq!(ran.object()["cost"], Value::Null);
    assert!(ran.stderr.contains("at a cost that cannot be read"), "{ran:?}");
    let cost = site.run(&["cost", "--json"]).exits(0).object();
    assert_eq!((cost["tasks"].as_u64(), cost["unpriced"].as_u64()), (Some(1), Some(1)));
}

#[test]
fn a_price_that_was_only_seen_does_not_stand_in_for_a_cost_that_cannot_be_read() {
    let site = Site::billing(FaultPlan::none(), |task| match task.nth {
        0..3 => json!({"cost": "0.03"}),
        _ => Value::Null,
    });
    site.rows("rows.csv", 12);
    let line = ["--json", "--budget", "9.00", "--in-flight", "1"];
    let ran = site.batch("rows.csv", &line).exits(6);
    assert_eq!(site.accepted_once(), 4, "{ran:?}");
    assert!(refusals(&ran).iter().all(|why| why.contains("--price")), "{ran:?}");
    let ran = site.batch("rows.csv", &["--budget", "9.00"]).exits(6);
    assert!(ran.stderr.contains("--price"), "{ran:?}");
    assert_eq!(site.accepted_once(), 4);
}

#[test]
fn a_row_has_paid_for_all_its_tasks_the_failed_ones_too() {
    let fails = FaultRule::on(Endpoint::Create, Fault::fail("3009095")).first(1);
    let site = Site::billing(FaultPlan::none().with(fails), each("0.50"));
    site.rows("rows.csv", 1);
    let ran = site.batch("rows.csv", &["--json", "--retry-failed", "1"]).exits(0);
    let (rows, batch) = rows_and_batch(&ran);
    assert_eq!((rows[0]["cost"].as_str(), batch["cost"].as_str()), (Some("1.00"), Some("1.00")));
    assert_eq!(batch["spent"], "1.00");

    let plan = ["--plan", "--json", "--budget", "1.50"];
    let ran = site.rows("rows.csv", 3).batch("rows.csv", &plan).exits(0);
    let plan = objects(&ran.stdout).pop().unwrap();
    assert_eq!((plan["spent"].as_str(), plan["over_budget"].as_u64()), (Some("1.00"), Some(1)));

    let ran = site.batch("rows.csv", &["--json", "--budget", "1.50"]).exits(6);
    let (rows, batch) = rows_and_batch(&ran);
    assert_eq!(site.emulator.counts().accepted, 3, "{ran:?}");
    assert_eq!((count(&rows, "completed"), count(&rows, "refused")), (2, 1));
    assert_eq!((batch["cost"].as_str(), batch["spent"].as_str()), (Some("1.50"), Some("0.50")));
    assert_eq!(site.results()[0]["cost"], "1.00");
    let cost = site.run(&["cost", "--json"]).exits(0).object();
    assert_eq!((cost["cost"].as_str(), cost["tasks"].as_u64()), (Some("1.50"), Some(3)));
}

#[test]
fn each_task_of_a_row_that_fails_to_the_end_is_spent_once() {
    let fails = FaultRule::on(Endpoint::Create, Fault::fail("3009099"));
    let site = Site::billing(FaultPlan::none().with(fails), each("0.50"));
    site.rows("rows.csv", 1);
    let line = ["--json", "--retry-failed", "2", "--budget", "9.00"];
    let (rows, batch) = rows_and_batch(&site.batch("rows.csv", &line).exits(4));
    assert_eq!(site.emulator.counts().accepted, 3);
    assert_eq!((batch["spent"].as_str(), batch["cost"].as_str()), (Some("1.50"), Some("1.50")));
    assert_eq!(rows[0]["cost"], "1.50");
}

#[test]
fn a_row_that_the_budget_does_not_reach_keeps_no_cheaper_one_from_it() {
    let price = |template: &str| if template == "my_world" { "0.50" } else { "0.03" };
    let site =
        Site::billing(FaultPlan::none(), move |task| json!({"cost": price(task.template())}));
    site.write("seen.csv", manifest(&[rows_of("my_world", 512, 1), rows_of("glass_ball", 512, 1)]));
    site.batch("seen.csv", &[]).exits(0);
    let dear = rows_of("my_world", 512, 3).replace("my_world-", "other-");
    let cheap = rows_of("glass_ball", 512, 9).replace("glass_ball-", "other-");
    site.write("rows.csv", manifest(&[dear, cheap]));
    let ran = site.batch("rows.csv", &["--json", "--budget", "0.30"]).exits(6);
    let (rows, batch) = rows_and_batch(&ran);
    assert_eq!((count(&rows, "completed"), count(&rows, "refused")), (9, 3), "{batch}");
    assert_eq!(batch["cost"], "0.27");
}

#[test]
fn what_a_failed_task_cost_counts_while_its_row_is_submitted_anew() {
    let plan = FaultPlan::none()
        .with(FaultRule::on(Endpoint::Create, Fault::fail("3009095")).first(1))
        .with(FaultRule::on(Endpoint::Create, Fault::lost()).first(1));
    let site = Site::billing(plan, each("0.50"));
    site.rows("rows.csv", 1);
    let ran = site.batch("rows.csv", &["--json", "--retry-failed", "1"]).exits(8);
    assert_eq!(site.emulator.counts().accepted, 2);
    let said = "0.50 USD spent, and 1 task without an end may be billed";
    assert!(ran.stderr.contains(said), "{ran:?}");
    // One task is paid for, and a second may be.
    let ran = site.rows("rows.csv", 4).batch("rows.csv", &["--json", "--budget", "1.50"]).exits(8);
    assert_eq!(site.emulator.counts().accepted, 3, "{ran:?}");
    assert_eq!(rows_and_batch(&ran).1["cost"], "1.00");
}

#[test]
fn a_price_of_another_template_or_size_is_not_this_rows() {
    let price = |template: &str, side: u32| match (template, side) {
        ("glass_ball", 512) => usd("0.03"),
        ("glass_ball", _) => usd("0.12"),
        _ => usd("0.10"),
    };
    let bill = move |task: &Finished<'_>| {
        let side = u32::try_from(task.request["width"].as_u64().unwrap()).unwrap();
        json!({"cost": price(task.template(), side).to_string()})
    };
    for (template, side, budget, rows) in
        [("my_world", 512, "0.53", 5), ("glass_ball", 2048, "0.63", 5)]
    {
        let site = Site::billing(FaultPlan::none(), bill);
        let known = rows_of("glass_ball", 512, 1);
        site.write("rows.csv", manifest(std::slice::from_ref(&known)));
        site.batch("rows.csv", &[]).exits(0);
        site.write("rows.csv", manifest(&[known, rows_of(template, side, 20)]));
        let ran = site.batch("rows.csv", &["--json", "--budget", budget]);
        let paid = paid(&site, price);
        assert!(paid <= usd(budget), "{paid} of {budget}: {}", ran.stderr);
        assert_eq!(site.accepted_once(), 1 + rows, "{template} {side}");
        let batch = rows_and_batch(&ran.exits(6)).1;
        assert_eq!(batch["cost"].as_str(), Some(paid.to_string().as_str()));
    }
}

#[test]
fn a_dear_template_does_not_keep_a_cheap_one_from_its_budget() {
    let price = |template: &str, _| usd(if template == "my_world" { "0.50" } else { "0.03" });
    let site = Site::billing(
        FaultPlan::none(),
        move |task| json!({"cost": price(task.template(), 0).to_string()}),
    );
    site.write("dear.csv", manifest(&[rows_of("my_world", 512, 1)]));
    site.batch("dear.csv", &[]).exits(0);
    site.write("cheap.csv", manifest(&[rows_of("glass_ball", 512, 30)]));
    site.run(&["batch", "cheap.csv", "--out", "cheap", "--poll", "0.05", "--budget", "0.60"])
        .exits(6);
    assert_eq!(site.accepted_once(), 1 + 20);
}

#[test]
fn a_price_that_rose_between_two_runs_costs_no_more_than_what_was_in_flight() {
    let price = |nth: usize| if nth < 2 { "0.03" } else { "0.10" };
    let site = Site::billing(FaultPlan::none(), move |task| json!({"cost": price(task.nth)}));
    site.rows("rows.csv", 2).batch("rows.csv", &[]).exits(0);
    site.rows("rows.csv", 200);
    let line = ["--json", "--budget", "3.00", "--in-flight", "64"];
    let ran = site.batch("rows.csv", &line).exits(6);
    let accepted = site.accepted_once();
    let paid = usd("0.06") + usd("0.10") * Decimal::from(accepted - 2);
    // One task alone was submitted at the price that was known.
    assert!(paid <= usd("3.07"), "{paid}");
    assert!(paid > usd("2.90"), "{paid}: {ran:?}");
}

/// The journal has seen what such a picture costs: a lower word of the user's has to show first.
#[test]
fn with_a_price_below_what_was_paid_before_one_row_goes_first() {
    let row = |row| format!("glass_ball,https://example.com/{row}.jpg\n");
    let more = (10..30).map(row).collect::<String>();
    for price in ["0", "0.001"] {
        let site = Site::new();
        site.rows("rows.csv", 1).batch("rows.csv", &[]).exits(0);
        site.write("more.csv", format!("template,image\n{more}"));
        let line = ["--json", "--budget", "0.07", "--price", price];
        let (_, batch) = rows_and_batch(&site.batch("more.csv", &line).exits(6));
        assert_eq!((site.accepted_once(), batch["cost"].as_str()), (3, Some("0.06")), "{batch}");
    }
}

#[test]
fn more_spent_than_allowed_is_said_and_is_no_success() {
    let site = Site::billing(FaultPlan::none(), each("0.05"));
    site.rows("rows.csv", 2);
    let line = ["--json", "--budget", "0.06", "--price", "0.03"];
    let ran = site.batch("rows.csv", &line).exits(6);
    let (rows, batch) = rows_and_batch(&ran);
    assert_eq!((count(&rows, "completed"), batch["cost"].as_str()), (2, Some("0.10")));
    assert_eq!(batch["exit_code"], 6);
    assert!(ran.stderr.contains("0.10 USD, more than the budget of 0.06 USD"), "{ran:?}");
    // It stays so, although nothing is left to do.
    let ran = site.batch("rows.csv", &line).exits(6);
    assert!(ran.stderr.contains("0.10 USD, more than the budget of 0.06 USD"), "{ran:?}");
    assert_eq!(site.accepted_once(), 2);
}

#[cfg(unix)]
#[test]
fn a_price_that_is_too_low_is_told_while_the_batch_goes_on() {
    let slow = FaultRule::on(Endpoint::Create, Fault::Take { seconds: 3600.0 }).nth(2);
    let site = Site::billing(FaultPlan::none().with(slow), each("0.05"));
    site.rows("rows.csv", 2);
    let line = ["batch", "rows.csv", "--out", "out", "--poll", "0.05", "--price", "0.03"];
    let mut run = crate::world::RunningCommand::new(site.command(&line));
    run.wait_for_text("a picture cost 0.05 USD, more than --price 0.03");
    run.signal("INT");
    run.end().exits(130);
}

#[test]
fn each_higher_cost_is_told_once_and_what_is_reserved_only_with_a_budget() {
    let costs = ["0.05", "0.04", "0.05", "0.06"];
    let site = Site::billing(FaultPlan::none(), move |task| json!({"cost": costs[task.nth]}));
    site.rows("rows.csv", 4);
    let line = ["--price", "0.03", "--in-flight", "1"];
    let ran = site.batch("rows.csv", &[&line[..], &["--budget", "1"]].concat()).exits(0);
    let price_warnings = |ran: &CommandOutput| -> Vec<String> {
        let lines = ran.stderr.lines().filter_map(|line| line.split_once("a picture cost "));
        lines.map(|(_, warning)| warning.to_owned()).collect()
    };
    let reserved = "USD, more than --price 0.03: from now on so much is reserved for each";
    assert_eq!(
        price_warnings(&ran),
        [format!("0.05 {reserved}"), format!("0.06 {reserved}")],
        "{ran:?}"
    );

    let site = Site::billing(FaultPlan::none(), each("0.05"));
    site.rows("rows.csv", 1);
    let ran = site.batch("rows.csv", &line).exits(0);
    assert_eq!(price_warnings(&ran), ["0.05 USD, more than --price 0.03"], "{ran:?}");
}

#[test]
fn each_open_attempt_of_a_row_keeps_its_price() {
    let site = Site::new();
    site.rows("rows.csv", 5);
    doubtful_twice(&site, "https://example.com/0.jpg");
    let line = ["--json", "--budget", "0.12", "--price", "0.03"];
    let (rows, batch) = rows_and_batch(&site.batch("rows.csv", &line).exits(8));
    assert_eq!((count(&rows, "doubtful"), count(&rows, "completed")), (1, 2), "{batch}");
    assert!(batch["resume"].is_null(), "a person decides on both: {batch}");
    assert_eq!(site.accepted_once(), 2);
}

/// Leaves a row in the journal, two attempts of which may each have made a task: what
/// `Repeat::Always` comes to when both answers are lost.
fn doubtful_twice(site: &Site, image: &str) -> Identity {
    let store = SqliteJournal::open(site.state.path().join("journal.db")).unwrap();
    let draft = RowDraft {
        origin: site.base_url().try_into().unwrap(),
        template: Template::GlassBall,
        size: Size::DEFAULT,
        params: Default::default(),
        photo: RowPhoto::Url(image.parse().unwrap()),
        key: None,
        tag: None,
        target: None,
    };
    let row = draft.row(0).unwrap();
    let effects_jobs::Opened::Submit(journal) = store.open(&row).unwrap() else {
        panic!("it is there already")
    };
    for attempt in 0..2_u32 {
        let request = json!({"image": {"url": image}, "template_id": "glass_ball"});
        let fact = json!({"intent": {
            "request": request, "attempt": attempt,
            "request_id": format!("r-{attempt}"), "idempotency_key": "k",
        }});
        let entry = json!({"id": attempt + 1, "at": 1_764_000_000_000_u64, "fact": fact});
        effects_core::journal::Journal::write(&*journal, &serde_json::from_value(entry).unwrap())
            .unwrap();
    }
    journal.settle(&RowOutcome::Unknown { reason: "no answer".to_owned() }).unwrap();
    store.flush().unwrap();
    row.identity
}

#[test]
fn a_budget_counts_what_was_paid_for_rows_that_nothing_is_sent_for_now() {
    let budget = ["--budget", "0.06", "--price", "0.03", "--json"];
    let url = "glass_ball,https://example.com/0.jpg";
    // A photo that cannot be read just now, with the journal that paid for it and with another.
    for journal in [&[][..], &["--journal", "new.db"]] {
        let site = Site::new();
        site.photo("cat.png", 1).photo("dog.png", 2);
        site.write(
            "rows.csv",
            format!("template,image,width\nglass_ball,cat.png,512\nglass_ball,dog.png\n{url}\n"),
        );
        site.batch("rows.csv", &["--pilot", "2"]).exits(0);
        for photo in ["cat.png", "dog.png"] {
            fs::rename(site.path(photo), site.path("away.png")).unwrap();
        }
        let (plan, more) = (["--plan"], [&budget[..], journal].concat());
        let plan = objects(&site.batch("rows.csv", &[&plan[..], &more].concat()).exits(2).stdout);
        let plan = plan.last().unwrap();
        assert_eq!((&plan["spent"], &plan["over_budget"]), (&"0.06".into(), &1.into()), "{plan}");
        let ran = site.batch("rows.csv", &more).exits(6);
        let (rows, _) = rows_and_batch(&ran);
        assert_eq!((count(&rows, "invalid"), count(&rows, "refused")), (2, 1), "{ran:?}");
        assert_eq!(site.accepted_once(), 2);
    }
    // Rows that are left out now and were not before.
    let site = Site::new();
    site.write("rows.csv", format!("template,image\n{url}\n{url}\n"));
    site.batch("rows.csv", &[]).exits(0);
    site.write(
        "rows.csv",
        format!("template,image\n{url}\n{url}\nmy_world,https://example.com/1.jpg\n"),
    );
    let ran = site.batch("rows.csv", &[&budget[..], &["--skip-duplicates"]].concat()).exits(6);
    let (rows, _) = rows_and_batch(&ran);
    assert_eq!((count(&rows, "skipped"), count(&rows, "refused")), (1, 1), "{ran:?}");
    assert_eq!(site.emulator.counts().accepted, 2);
}

#[test]
fn what_was_paid_for_rows_that_are_left_out_now_is_in_the_sums_of_the_end() {
    let site = Site::new();
    let url = "glass_ball,https://example.com/cat.jpg";
    site.write(
        "rows.csv",
        format!("template,image\n{url}\n{url}\n{url}\nmy_world,https://example.com/1.jpg\n"),
    );
    site.batch("rows.csv", &["--pilot", "2"]).exits(0);
    for nth in 0..2 {
        let line = ["--skip-duplicates", "--json", "--report", "report.html"];
        let ran = site.batch("rows.csv", &line).exits(0);
        let (rows, batch) = rows_and_batch(&ran);
        assert_eq!((count(&rows, "completed"), count(&rows, "skipped")), (2, 2), "{ran:?}");
        let spent = if nth == 0 { "0.03" } else { "0" };
        assert_eq!((&batch["spent"], &batch["cost"]), (&spent.into(), &"0.09".into()), "{batch}");
        assert!(ran.stderr.contains(", 0.09 USD for these rows in all"), "{ran:?}");
        let costs = |line: u64| {
            let row = rows.iter().find(|row| row["line"] == line).unwrap();
            (row["status"].clone(), row["cost"].clone())
        };
        assert_eq!(costs(3), ("skipped".into(), "0.03".into()));
        assert_eq!(costs(4), ("skipped".into(), Value::Null));
    }
}

#[test]
fn the_days_of_a_report_add_up_to_what_the_rows_cost_doubts_and_refusals_among_them() {
    // Of three rows one is bought once more and is in doubt, one failed with a bill and its second task is
    // refused by the budget, and one failed with a bill and its second is in doubt.
    let site = Site::billing(FaultPlan::none(), |_| json!({"cost": "0.03", "discount": 1}));
    let lost = || FaultRule::on(Endpoint::Create, Fault::status(500)).first(1);
    let fails = || FaultRule::on(Endpoint::Create, Fault::fail("3009095")).first(1);
    site.rows("rows.csv", 1).batch("rows.csv", &[]).exits(0);
    site.emulator.follow(FaultPlan::none().with(lost())).unwrap();
    site.run(&["reorder", "1"]).exits(8);
    site.emulator.follow(FaultPlan::none().with(fails()).with(lost())).unwrap();
    site.rows("rows.csv", 2).batch("rows.csv", &["--retry-failed", "1"]).exits(8);
    site.emulator.follow(FaultPlan::none().with(fails())).unwrap();
    site.rows("rows.csv", 3);
    let line = ["--json", "--retry-failed", "1", "--budget", "0.16", "--price", "0.03"];
    for _ in 0..2 {
        let line = [&line[..], &["--report", "report.html"]].concat();
        let (rows, batch) = rows_and_batch(&site.batch("rows.csv", &line).exits(8));
        let ends = ["doubtful", "refused"].map(|status| count(&rows, status));
        assert_eq!((ends, &batch["cost"]), ([2, 1], &"0.09".into()), "{rows:?}");
        let page = fs::read_to_string(site.path("report.html")).unwrap();
        for table in super::report_page::data(&page, "costs").as_array().unwrap() {
            let groups = table["groups"].as_array().unwrap();
            let sum: Decimal = groups
                .iter()
                .map(|group| group["cost"].as_str().unwrap().parse::<Decimal>().unwrap())
                .sum();
            assert_eq!(sum.to_string(), "0.09", "{table}");
        }
    }
}

#[test]
fn a_failed_task_without_a_bill_is_no_task_without_a_cost() {
    let fails = FaultRule::on(Endpoint::Create, Fault::fail("3009095")).first(1);
    let site = Site::with(FaultPlan::none().with(fails));
    site.rows("rows.csv", 2).batch("rows.csv", &["--in-flight", "1"]).exits(4);
    let ran = site.run(&["cost"]).exits(0);
    assert!(ran.stdout.contains("2 tasks  ") && !ran.stdout.contains("without"), "{ran:?}");
    let cost = site.run(&["cost", "--json"]).exits(0).object();
    assert_eq!((&cost["tasks"], &cost["unpriced"]), (&2.into(), &0.into()));
}
