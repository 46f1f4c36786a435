//! Two hundred rows in each kind of trouble, counted at the gateway: nothing is paid twice, no budget
//! is exceeded, and no row is doubtful that provably never left.

use std::process::Stdio;

use effects_emulator::{Emulator, Endpoint, Fault, FaultPlan, FaultRule, Pictures};
use effects_testkit::http::{Behaviour, Response, ScriptedServer};
use serde_json::Value;

use super::site::{Site, count, objects, rows_and_batch};
use crate::world::RunningCommand;

const ROWS: usize = 200;

fn doubtful(site: &Site) -> usize {
    objects(&site.run(&["tasks", "--doubtful", "--json"]).exits(0).stdout).len()
}

#[test]
fn behind_a_proxy_that_makes_no_connection_no_row_is_doubtful_and_it_says_so() {
    let refusals: [fn() -> Behaviour; 3] =
        [|| Response::new(407).into(), || Response::new(502).into(), || Behaviour::Close];
    for refusal in refusals {
        let site = Site::new();
        site.rows("rows.csv", ROWS);
        let proxy = ScriptedServer::start().unwrap();
        proxy.otherwise(refusal());
        let line = ["batch", "rows.csv", "--out", "out", "--json", "--in-flight", "64"];
        let mut command = site.command(&line);
        command.env("HTTPS_PROXY", proxy.base_url());
        command.env("EFFECTS_BASE_URL", "https://gateway.example.com");
        let mut run = RunningCommand::new(command);
        run.wait_for_text("warning: no submission leaves this machine (");
        // One at a time is tried from now on, and not each row.
        let tried = proxy.requests().len();
        assert!(tried < 40, "{tried}");
        run.signal("INT");
        let (_, batch) = rows_and_batch(&run.end().exits(130));
        assert_eq!((batch["doubtful"].as_u64(), doubtful(&site)), (Some(0), 0), "{batch}");
        let unsent = batch["refused"].as_u64().unwrap() + batch["not_submitted"].as_u64().unwrap();
        assert_eq!(unsent as usize, ROWS, "{batch}");
    }
}

#[test]
fn where_no_gateway_is_a_batch_ends_no_row_and_goes_on_when_there_is_one() {
    let site = Site::new();
    site.rows("rows.csv", ROWS);
    let address = effects_testkit::http::unused_address();
    let mut command = site.command(&["batch", "rows.csv", "--out", "out", "--poll", "0.05"]);
    command.env("EFFECTS_BASE_URL", format!("http://{address}"));
    let mut run = RunningCommand::new(command);
    run.wait_for_text("warning: no submission leaves this machine (");
    let key = site.emulator.api_key();
    let gateway = Emulator::builder().pictures(Pictures::Stub).options(|options| {
        (options.port, options.api_key) = (address.port(), Some(key.to_owned()));
    });
    let gateway = gateway.start().unwrap();
    run.end().exits(0);
    assert_eq!(gateway.counts().accepted, ROWS as u64);
}

#[test]
fn a_gateway_that_answers_502_for_a_while_costs_a_person_a_few_rows_and_pays_nothing_twice() {
    let fails = FaultRule::on(Endpoint::Create, Fault::status(502));
    let site = Site::with(FaultPlan::none().with(fails));
    site.rows("rows.csv", ROWS);
    site.batch("rows.csv", &[]).exits(8);
    let doubts = doubtful(&site);
    assert!((4..=7).contains(&doubts), "{doubts}");
    // It answers again, and the service has none of them on its bill.
    site.emulator.follow(FaultPlan::none()).unwrap();
    let (rows, _) = rows_and_batch(&site.batch("rows.csv", &["--json"]).exits(8));
    assert_eq!((count(&rows, "completed"), count(&rows, "doubtful")), (ROWS - doubts, doubts));
    site.run(&["resolve", "--all", "--not-billed"]).exits(0);
    site.batch("rows.csv", &[]).exits(0);
    assert_eq!((site.accepted_once(), doubtful(&site)), (ROWS as u64, 0));
}

#[test]
fn a_gateway_that_says_no_cost_sells_one_picture_under_a_budget_without_a_price() {
    let site = Site::billing(FaultPlan::none(), |_| Value::Null);
    site.rows("rows.csv", ROWS);
    let (rows, batch) =
        rows_and_batch(&site.batch("rows.csv", &["--json", "--budget", "1.00"]).exits(6));
    assert_eq!((site.accepted_once(), count(&rows, "completed")), (1, 1), "{batch}");
    // With a price, as many as it says.
    let priced = ["--json", "--budget", "1.00", "--price", "0.03"];
    let (rows, batch) = rows_and_batch(&site.batch("rows.csv", &priced).exits(6));
    assert_eq!((site.accepted_once(), count(&rows, "completed")), (33, 33), "{batch}");
}

#[test]
fn eight_processes_that_start_at_once_on_a_fresh_journal_spend_one_budget_together() {
    let site = Site::new();
    site.rows("rows.csv", ROWS);
    let line = ["batch", "rows.csv", "--out", "out", "--poll", "0.05", "--json"];
    let line = [&line[..], &["--budget", "3.00", "--price", "0.03"]].concat();
    let started = [(); 8].map(|()| {
        let mut command = site.command(&line);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    });
    for process in started {
        let output = process.wait_with_output().unwrap();
        // Some rows have no picture, since the budget is used up.
        assert_eq!(output.status.code(), Some(6), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!((site.accepted_once(), doubtful(&site)), (100, 0));
    let cost = objects(&site.run(&["cost", "--json"]).exits(0).stdout);
    assert!(format!("{cost:?}").contains("3.00"), "{cost:?}");
}
