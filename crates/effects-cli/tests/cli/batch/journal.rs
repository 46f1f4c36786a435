//! The journal by its commands: what `run` and `submit` leave in it, `tasks`, `resume`, `resolve`,
//! `cost`.

use std::fs;

use effects_emulator::{Endpoint, Fault, FaultPlan, FaultRule};
use serde_json::Value;

use super::site::{Site, count, objects, rows_and_batch};
use crate::world::CommandOutput;

const IMAGE: &str = "https://example.com/cat.jpg";

fn tasks(site: &Site, more: &[&str]) -> Vec<Value> {
    objects(&site.run(&[&["tasks", "--json"][..], more].concat()).exits(0).stdout)
}

#[test]
fn run_and_submit_are_journaled_unless_told_otherwise() {
    let site = Site::new();
    site.run(&["run", "glass_ball", IMAGE, "-o", "ball.png", "--tag", "spring"]).exits(0);
    site.run(&["run", "my_world", IMAGE, "--no-journal"]).exits(0);
    let ran = site.run(&["submit", "my_world", IMAGE, "--json"]).exits(0);
    let rows = tasks(&site, &[]);
    let fields: Vec<[&Value; 3]> =
        rows.iter().map(|row| [&row["standing"], &row["template"], &row["tag"]]).collect();
    assert_eq!(
        fields,
        [
            ["completed", "glass_ball", "spring"].map(Value::from).each_ref(),
            [&"created".into(), &"my_world".into(), &Value::Null]
        ]
    );
    assert_eq!(rows[0]["cost"], "0.03");
    assert_eq!(rows[0]["paths"][0].as_str(), site.path("ball.png").to_str());
    assert_eq!(rows[1]["task_id"], ran.object()["task_id"]);
    assert_eq!(tasks(&site, &["--unfinished"]).len(), 1);

    // The same command again is another picture, on purpose.
    site.run(&["run", "glass_ball", IMAGE, "-o", "ball.png"]).exits(0);
    assert_eq!((tasks(&site, &[]).len(), site.emulator.counts().accepted), (3, 4));
    let own = site.run(&["run", "glass_ball", IMAGE, "--journal", "own.db"]).exits(0);
    assert!(site.path("own.db").is_file(), "{own:?}");
    assert_eq!(tasks(&site, &["--journal", "own.db"]).len(), 1);
}

#[test]
fn what_was_submitted_is_resumed_into_the_current_folder_and_never_submitted() {
    let site = Site::new();
    let id = site.run(&["submit", "glass_ball", IMAGE]).exits(0).stdout.trim().to_owned();
    let ran = site.run(&["resume"]).exits(0);
    let path = site.path(&format!("glass_ball-{id}.png"));
    assert_eq!(ran.stdout.trim(), path.file_name().unwrap().to_str().unwrap());
    assert!(path.is_file());
    assert_eq!(site.accepted_once(), 1);
    let again = site.run(&["resume"]).exits(0);
    assert!(again.stdout.is_empty() && again.stderr.contains("unfinished"), "{again:?}");

    // `wait` tells the journal as well.
    let id = site.run(&["submit", "my_world", IMAGE]).exits(0).stdout.trim().to_owned();
    site.run(&["wait", &id, "-o", "world.png"]).exits(0);
    assert!(tasks(&site, &["--unfinished"]).is_empty());
    let ran = site.run(&["cost", "--json"]).exits(0);
    assert_eq!(
        (ran.object()["cost"].as_str(), ran.object()["tasks"].as_u64()),
        (Some("0.06"), Some(2))
    );
}

#[test]
fn a_run_that_did_not_wait_long_enough_is_resumed_to_where_it_wanted_its_picture() {
    let slow = FaultRule::on(Endpoint::Create, Fault::Take { seconds: 2.0 });
    let site = Site::with(FaultPlan::none().with(slow));
    let run = ["run", "glass_ball", IMAGE, "--wait-timeout", "0.2", "--poll", "0.05"];
    site.run(&[&run[..], &["-o", "ball.png"]].concat()).exits(5);
    let ran = site.run(&run).exits(5);
    let id = tasks(&site, &[])[1]["task_id"].as_str().unwrap().to_owned();
    assert!(ran.stderr.contains(&format!("effects wait {id}")), "{ran:?}");
    let mut command = site.command(&["resume", "--poll", "0.05"]);
    fs::create_dir(site.path("elsewhere")).unwrap();
    CommandOutput::of(command.current_dir(site.path("elsewhere"))).exits(0);
    assert!(site.path("ball.png").is_file());
    assert!(site.path(&format!("glass_ball-{id}.png")).is_file(), "where it was run");
    assert_eq!((site.emulator.counts().accepted, tasks(&site, &["--unfinished"]).len()), (2, 0));
}

#[test]
fn a_picture_goes_where_the_row_wanted_it() {
    let broken = FaultRule::on(Endpoint::File, Fault::status(403)).first(3);
    let site = Site::with(FaultPlan::none().with(broken));
    site.rows("rows.csv", 3);
    site.batch("rows.csv", &[]).exits(7);
    assert_eq!(tasks(&site, &["--unfinished"]).len(), 3);
    fs::create_dir(site.path("elsewhere")).unwrap();
    let mut command = site.command(&["resume", "--json"]);
    let ran = CommandOutput::of(command.current_dir(site.path("elsewhere"))).exits(0);
    let rows = objects(&ran.stdout);
    assert_eq!(count(&rows, "completed"), 3);
    for row in &rows {
        assert!(
            row["path"].as_str().unwrap().starts_with(site.path("out").to_str().unwrap()),
            "{row}"
        );
    }
    let (rows, _) = rows_and_batch(&site.batch("rows.csv", &["--json"]).exits(0));
    assert!(rows.iter().all(|row| row["how"] == "kept"), "{rows:?}");
}

#[test]
fn a_doubtful_row_is_resolved_by_a_person_alone() {
    let lost = FaultRule::on(Endpoint::Create, Fault::lost()).first(2);
    let site = Site::with(FaultPlan::none().with(lost));
    site.rows("rows.csv", 3);
    let (rows, batch) = rows_and_batch(&site.batch("rows.csv", &["--json"]).exits(8));
    assert_eq!((count(&rows, "doubtful"), batch["doubtful"].as_u64()), (2, Some(2)));
    let doubtful = rows.iter().find(|row| row["status"] == "doubtful").unwrap();
    assert!(doubtful["error"]["request_id"].is_string(), "{doubtful}");
    let number = doubtful["row"].as_u64().unwrap();
    assert!(
        doubtful["error"]["message"]
            .as_str()
            .unwrap()
            .contains(&format!("effects resolve {number}"))
    );

    // No run touches it.
    site.batch("rows.csv", &[]).exits(8);
    site.run(&["resume"]).exits(8);
    assert_eq!(site.accepted_once(), 3);
    let listed = tasks(&site, &["--doubtful"]);
    assert_eq!(listed.len(), 2);
    let sent = listed[0]["attempts"][0]["request_id"].as_str().unwrap();
    assert!(site.emulator.requests().iter().any(|seen| {
        seen.headers.iter().any(|(name, value)| name == "x-request-id" && value == sent)
    }));

    // One was found at the service, and the other was never billed, they say.
    let rows: Vec<String> = listed.iter().map(|row| row["row"].to_string()).collect();
    let known: Vec<Value> = tasks(&site, &[]).iter().map(|row| row["task_id"].clone()).collect();
    let id = effects_ids(&site).into_iter().find(|id| !known.contains(&Value::from(id.as_str())));
    let id = id.unwrap();
    for wrong in [
        &["resolve", &rows[0]][..],
        &["resolve", &rows[0], "--task", &id, "--not-billed"],
        &["resolve", "999", "--not-billed"],
        &["resolve", "three", "--not-billed"],
        &["resolve", &rows[0], "--task", known.iter().find_map(Value::as_str).unwrap()],
    ] {
        site.run(wrong).exits(2);
    }
    let ran = site.run(&["resolve", &rows[0], "--task", &id, "--json"]).exits(0);
    assert_eq!(
        (ran.object()["standing"].as_str(), ran.object()["task_id"].as_str()),
        (Some("created"), Some(id.as_str()))
    );
    site.run(&["resolve", &rows[1], "--not-billed"]).exits(0);
    site.run(&["resolve", &rows[1], "--not-billed"]).exits(2);
    site.batch("rows.csv", &[]).exits(0);
    assert_eq!(site.emulator.counts().accepted, 4, "the second one was submitted again");
}

#[test]
fn a_task_is_looked_at_before_it_is_recorded_for_a_row() {
    let lost = FaultRule::on(Endpoint::Create, Fault::lost()).first(1);
    let refused = FaultRule::on(Endpoint::Task, Fault::status(401)).first(2);
    let site = Site::with(FaultPlan::none().with(lost).with(refused));
    site.rows("rows.csv", 1).batch("rows.csv", &[]).exits(8);
    let id = effects_ids(&site).remove(0);
    let standing = || tasks(&site, &[])[0]["standing"].as_str().unwrap().to_owned();
    let resolve = |more: &[&str]| site.run(&[&["resolve", "1"][..], more].concat());

    // The gateway shows nothing for now; then it does not know the id.
    let ran = resolve(&["--task", &id]).exits(3);
    for said in ["was not seen", "nothing was recorded", "--allow-unseen"] {
        assert!(ran.stderr.contains(said), "{said}: {ran:?}");
    }
    assert_eq!(standing(), "doubtful");
    let ran = resolve(&["--task", &id, "--base-url", "http://127.0.0.1:1"]).exits(2);
    let way_out = format!("give --base-url {}", site.emulator.base_url());
    assert!(ran.stderr.contains(&way_out), "{ran:?}");
    resolve(&["--not-billed", "--allow-unseen"]).exits(2);
    let ran = resolve(&["--task", &id, "--emulator"]).exits(2);
    assert!(ran.stderr.contains("--emulator ends with this command"), "{ran:?}");
    let ran = resolve(&["--task", &id, "--allow-unseen"]).exits(0);
    assert!(ran.stderr.contains(&format!("row 1 gets task {id} unseen")), "{ran:?}");
    let ran = resolve(&["--not-billed"]).exits(2);
    assert!(ran.stderr.contains(&format!("it has task {id}")), "{ran:?}");
    site.batch("rows.csv", &[]).exits(0);

    let lost = FaultRule::on(Endpoint::Create, Fault::lost()).first(1);
    let site = Site::with(FaultPlan::none().with(lost));
    site.rows("rows.csv", 1).batch("rows.csv", &[]).exits(8);
    let id = effects_ids(&site).remove(0);
    let mistyped = format!("{id}x");
    site.write("found.txt", format!("1 {mistyped}\n"));
    for line in [&["resolve", "1", "--task", &mistyped][..], &["resolve", "--from", "found.txt"]] {
        let ran = site.run(line).exits(2);
        for said in [
            &mistyped,
            "knows no such task (404)",
            "nothing was recorded",
            "row 1",
            "with --allow-unseen; --not-billed only if no task was made: the next batch pays then",
        ] {
            assert!(ran.stderr.contains(said), "{said}: {ran:?}");
        }
        assert_eq!(tasks(&site, &[])[0]["standing"], "doubtful");
    }
    site.run(&["resolve", "1", "--task", &id]).exits(0);
    site.batch("rows.csv", &[]).exits(0);
    assert_eq!(site.accepted_once(), 1);

    // A task that was billed and that the gateway has forgotten since: the row is not paid for again.
    let id = "d758n65e878c73cmdg20";
    for from_file in [false, true] {
        let lost = FaultRule::on(Endpoint::Create, Fault::lost()).first(1);
        let site = Site::with(FaultPlan::none().with(lost));
        site.rows("rows.csv", 1).batch("rows.csv", &[]).exits(8);
        site.write("found.txt", format!("1 {id}\n"));
        let line = match from_file {
            false => &["resolve", "1", "--task", id, "--allow-unseen"][..],
            true => &["resolve", "--from", "found.txt", "--allow-unseen"],
        };
        let ran = site.run(line).exits(0);
        let warning = format!("warning: row 1 gets task {id}, though ");
        for said in [&warning, "knows no such task (404)"] {
            assert!(ran.stderr.contains(said), "{said}: {ran:?}");
        }
        assert_eq!(tasks(&site, &[])[0]["standing"], "created");
    }
}

/// The ids of all tasks the emulator has.
fn effects_ids(site: &Site) -> Vec<String> {
    let mut ids = Vec::new();
    let answer =
        get(&format!("{}/_emulator/tasks", site.emulator.base_url()), site.emulator.api_key());
    let tasks: Vec<Value> = serde_json::from_str(&answer).unwrap();
    ids.extend(tasks.iter().map(|task| task["id"].as_str().unwrap().to_owned()));
    ids
}

/// The body of a plain GET.
fn get(url: &str, key: &str) -> String {
    use std::io::{Read, Write};
    let rest = url.strip_prefix("http://").unwrap();
    let (host, path) = rest.split_once('/').unwrap();
    let mut stream = std::net::TcpStream::connect(host).unwrap();
    write!(stream, "GET /{path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

#[test]
fn costs_are_added_up_by_template_tag_and_day_to_the_digit() {
    let site = Site::new();
    let csv = "template,image,tag\nglass_ball,https://example.com/1.jpg,a\n\
               glass_ball,https://example.com/2.jpg,b\nmy_world,https://example.com/3.jpg,\n";
    site.write("rows.csv", csv);
    site.batch("rows.csv", &["--tag", "b"]).exits(0);
    let by = |what: &str| {
        let rows = objects(&site.run(&["cost", "--by", what, "--json"]).exits(0).stdout);
        assert!(rows.iter().all(|row| row["by"] == what && row["schema"] == "effects.cost.v1"));
        let pair = |row: &Value| {
            format!("{} {}", row["group"].as_str().unwrap(), row["cost"].as_str().unwrap())
        };
        rows.iter().map(pair).collect::<Vec<_>>()
    };
    assert_eq!(by("template"), ["glass_ball 0.06", "my_world 0.03"]);
    assert_eq!(by("tag"), ["a 0.03", "b 0.06"]);
    let days = by("day");
    assert!(days.len() <= 2 && days[0].starts_with("20"), "{days:?}");
    site.run(&["cost", "--by", "colour"]).exits(2);
}

#[test]
fn without_a_journal_there_is_nothing_to_tell_and_none_is_made() {
    let site = Site::new();
    for command in [&["tasks"][..], &["cost"], &["resume"]] {
        let ran = site.run(command).exits(0);
        assert!(
            ran.stdout.is_empty() && ran.stderr.contains("nothing is journaled yet"),
            "{ran:?}"
        );
    }
    site.run(&["tasks", "--journal", "none.db"]).exits(2);
    site.run(&["resolve", "1", "--not-billed"]).exits(2);
    site.run(&["resume", "--emulator"]).exits(2);
    site.run(&["tasks", "--unfinished", "--doubtful"]).exits(2);
    assert_eq!(fs::read_dir(site.state.path()).unwrap().count(), 0);
    assert_eq!(fs::read_dir(site.folder.path()).unwrap().count(), 0);
}
