//! Kills, races and faults: each row is accepted once, whatever happens.

use std::collections::HashSet;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use effects_emulator::{
    Endpoint, ErrorBody, Fault, FaultPlan, FaultRule, Moment, RetryAfter, SeenRequest,
};
use serde_json::Value;

use super::site::{Site, count, objects, rows_and_batch};
use crate::world::TIMEOUT;

/// A share of all exchanges goes wrong, in every way that says nothing about a task's worth.
fn mixed_faults(share: f64) -> FaultPlan {
    // Its code says that the gateway is too busy.
    let later = Fault::status_with(503, ErrorBody::ErrorMessage, Some(RetryAfter::Seconds(0)));
    let after = Moment::After;
    let creates = [
        later,
        Fault::Reset { when: Moment::Before },
        Fault::Reset { when: after },
        Fault::Close { when: after },
        Fault::status(500),
        Fault::Garbage,
        Fault::Truncate { keep: 0.5 },
    ];
    let looks = [
        Fault::status(503),
        Fault::Reset { when: Moment::Before },
        Fault::Close { when: after },
        Fault::Garbage,
        Fault::Truncate { keep: 0.5 },
    ];
    let files = [Fault::status(500), Fault::Reset { when: after }, Fault::Truncate { keep: 0.5 }];
    let mut plan = FaultPlan::seeded(7);
    for (endpoint, faults) in
        [(Endpoint::Create, &creates[..]), (Endpoint::Task, &looks), (Endpoint::File, &files)]
    {
        // Each rule is tried where no rule before it fired, so the share is a little less.
        let each = share / faults.len() as f64;
        for fault in faults {
            plan = plan.with(FaultRule::on(endpoint, fault.clone()).chance(each));
        }
    }
    plan
}

/// A number of the environment's, for longer runs by hand.
fn number(name: &str, usually: u64) -> u64 {
    std::env::var(name).map_or(usually, |number| number.parse().unwrap())
}

/// Chance from a seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// Chance makes runs of faults that are no outage.
const NO_OUTAGE: [&str; 2] = ["--unknown-in-a-row", "1000"];

fn start(site: &Site, manifest: &str, more: &[&str]) -> Child {
    let line = ["batch", manifest, "--out", "out", "--poll", "0.05", "-q"];
    let arguments = [&line[..], &NO_OUTAGE, more].concat();
    let mut command: Command = site.command(&arguments);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Whether the answer to a create told its task's id.
fn was_answered_with_id(seen: &SeenRequest) -> bool {
    seen.status == Some(200) && seen.fault.is_none()
}

fn creates(site: &Site) -> Vec<SeenRequest> {
    let seen = site.emulator.requests();
    seen.into_iter().filter(|seen| seen.endpoint == Endpoint::Create).collect()
}

fn header<'a>(seen: &'a SeenRequest, name: &str) -> Option<&'a str> {
    seen.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

#[test]
fn killed_again_and_again_every_row_is_accepted_once_and_none_is_lost() {
    let site = Site::with(mixed_faults(0.1));
    site.rows("rows.csv", 500);
    let more = ["--in-flight", "16"];
    let (mut chance, mut kills) = (Chance(number("EFFECTS_TEST_SEED", 20)), 0_u64);
    while kills < 25 {
        let mut child = start(&site, "rows.csv", &more);
        let until = site.emulator.counts().creates_seen + chance.below(35);
        let (later, begun) = (Duration::from_millis(chance.below(120)), Instant::now());
        // The moment is drawn by what has been submitted, and by a little time beyond that.
        while site.emulator.counts().creates_seen < until && child.try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < TIMEOUT, "it stands still");
            thread::sleep(Duration::from_millis(2));
        }
        thread::sleep(later);
        if child.try_wait().unwrap().is_some() {
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
    }
    assert!(kills >= 10, "only {kills} kills");
    let ran = site.batch("rows.csv", &[&["--json"][..], &NO_OUTAGE].concat());
    let (rows, batch) = rows_and_batch(&ran);
    let doubtful = count(&rows, "doubtful");
    assert_eq!(count(&rows, "completed") + doubtful, 500, "{batch} {}", ran.stderr);
    assert_eq!(ran.code, Some(if doubtful == 0 { 0 } else { 8 }));
    site.accepted_once();
    site.pictures_are_there();

    // Each doubtful row was a create that was never answered well, or that a kill cut off: at most
    // those in flight then.
    let listed = objects(&site.run(&["tasks", "--doubtful", "--json"]).exits(0).stdout);
    assert_eq!(listed.len(), doubtful);
    let acknowledged: HashSet<String> = creates(&site)
        .iter()
        .filter(|seen| was_answered_with_id(seen))
        .filter_map(|seen| header(seen, "x-request-id").map(str::to_owned))
        .collect();
    let names = |row: &Value| {
        row["attempts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|attempt| attempt["request_id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let seen: HashSet<String> = creates(&site)
        .iter()
        .filter_map(|seen| header(seen, "x-request-id").map(str::to_owned))
        .collect();
    let cut = listed
        .iter()
        .filter(|row| {
            names(row).iter().any(|name| acknowledged.contains(name) || !seen.contains(name))
        })
        .count();
    assert!(cut as u64 <= kills * SUBMISSIONS, "{cut} of {doubtful} doubtful, {kills} kills");
    println!("{kills} kills, {doubtful} doubtful, {cut} of them cut off by a kill");
}

#[test]
fn two_processes_on_one_manifest_and_one_journal_submit_each_row_once() {
    let site = Site::with(mixed_faults(0.04));
    site.rows("rows.csv", 300);
    let mut first = start(&site, "rows.csv", &[]);
    let mut second = start(&site, "rows.csv", &["--in-flight", "8"]);
    let codes = [first.wait().unwrap().code(), second.wait().unwrap().code()];
    site.accepted_once();
    // Whichever ended last, nothing is left to do but what a person has to.
    let (rows, batch) =
        rows_and_batch(&site.batch("rows.csv", &[&["--json"][..], &NO_OUTAGE].concat()));
    assert_eq!(count(&rows, "completed") + count(&rows, "doubtful"), 300, "{batch}");
    let wanted = Some(if count(&rows, "doubtful") == 0 { 0 } else { 8 });
    assert_eq!(codes, [wanted, wanted]);
    assert_eq!(batch["spent"], "0");
    site.accepted_once();
    site.pictures_are_there();
}

/// A tenth of what `EFFECTS_TEST_ROWS=20000` makes of it, which takes minutes that a check need not
/// take each time.
#[test]
fn half_the_budget_is_never_exceeded_and_more_of_it_finishes_the_rest() {
    let rows = usize::try_from(number("EFFECTS_TEST_ROWS", 2_000)).unwrap();
    let site = Site::with(mixed_faults(0.05));
    site.rows("rows.csv", rows);
    let need = rust_decimal::Decimal::new(3, 2) * rust_decimal::Decimal::from(rows);
    let half = (need / rust_decimal::Decimal::TWO).to_string();
    let line = [&["--json", "--in-flight", "128"][..], &NO_OUTAGE, &["--budget"]].concat();
    let begun = Instant::now();
    let ran = site.batch("rows.csv", &[&line[..], &[&half]].concat()).exits(8);
    let took = begun.elapsed();
    let (row_objects, batch) = rows_and_batch(&ran);
    assert!(site.emulator.spent() <= half.parse().unwrap(), "{} of {half}", site.emulator.spent());
    let refused: Vec<&Value> =
        row_objects.iter().filter(|row| row["status"] == "refused").collect();
    assert!(
        refused
            .iter()
            .all(|row| row["error"]["kind"] == "budget_exceeded" && row["image"].is_string())
    );
    assert_eq!(row_objects.len(), rows, "each row is told of: {batch}");
    let (done, doubtful) = (count(&row_objects, "completed"), count(&row_objects, "doubtful"));
    assert_eq!(done + doubtful + refused.len(), rows, "{batch}");
    // What may have been billed stays reserved.
    assert!(done + doubtful <= rows / 2 && done + doubtful + 128 >= rows / 2, "{batch}");

    let twice = (need * rust_decimal::Decimal::TWO).to_string();
    let (row_objects, batch) =
        rows_and_batch(&site.batch("rows.csv", &[&line[..], &[&twice]].concat()).exits(8));
    assert_eq!(count(&row_objects, "completed") + count(&row_objects, "doubtful"), rows, "{batch}");
    site.accepted_once();
    site.pictures_are_there();
    println!("{rows} rows: the first half in {took:?}, both in {:?}", begun.elapsed());
}

/// Submissions in flight with 16 tasks in flight.
const SUBMISSIONS: u64 = 4;
