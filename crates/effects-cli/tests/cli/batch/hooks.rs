//! `--on-done` and `--post-to`: a program and a signed post for each row that ends.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use effects_emulator::{Endpoint, Fault, FaultPlan, FaultRule};
use effects_testkit::http::{Behaviour, ReceivedRequest, Response, ScriptedServer, unused_address};
use serde_json::Value;

use super::proxy;
use super::site::{Site, objects, rows_and_batch};
use crate::world::{CREATE, CommandOutput, RunningCommand, TIMEOUT, World};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const SECRET_NAME: &str = "EFFECTS_WEBHOOK_SECRET";

fn post(site: &Site, url: &str) -> CommandOutput {
    let mut command = site.command(&[
        "batch",
        "rows.csv",
        "--out",
        "out",
        "--poll",
        "0.05",
        "--budget",
        "5",
        "--post-to",
        url,
    ]);
    CommandOutput::of(command.env("EFFECTS_WEBHOOK_SECRET", SECRET))
}

fn ids(seen: &[ReceivedRequest]) -> Vec<String> {
    let mut ids: Vec<String> =
        seen.iter().map(|seen| seen.header("webhook-id").unwrap().to_owned()).collect();
    ids.sort();
    ids
}

fn until(done: impl Fn() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < TIMEOUT);
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_program_is_started_for_each_row_that_ends_and_not_again_for_what_is_kept() {
    let site = Site::new();
    site.rows("rows.csv", 3).write("hook.sh", "cat >> ended.jsonl; echo said");
    let (_, batch) = rows_and_batch(&site.batch("rows.csv", &["--on-done", "sh hook.sh"]).exits(0));
    assert!(batch.get("hooks_failed").is_none(), "{batch}");
    let ended = || objects(&fs::read_to_string(site.path("ended.jsonl")).unwrap());
    let rows = ended();
    assert_eq!(rows.len(), 3);
    assert!(
        rows.iter().all(|row| row["schema"] == "effects.row.v1" && row["status"] == "completed")
    );
    site.batch("rows.csv", &["--on-done", "sh hook.sh"]).exits(0);
    assert_eq!(ended().len(), 3, "they ended in the first run");
}

#[test]
fn a_program_is_not_started_again_for_a_row_that_failed_or_became_doubtful_in_an_earlier_run() {
    let lost = FaultRule::on(Endpoint::Create, Fault::lost()).nth(1);
    let failed = FaultRule::on(Endpoint::Create, Fault::fail("3009097")).nth(2);
    let refused = FaultRule::on(Endpoint::Create, Fault::status(400));
    let site = Site::with(FaultPlan::none().with(lost).with(failed).with(refused));
    site.rows("rows.csv", 3).write("hook.sh", "cat >> ended.jsonl");
    let line = ["--on-done", "sh hook.sh", "--in-flight", "1"];
    let ended = || {
        let text = fs::read_to_string(site.path("ended.jsonl")).unwrap();
        let mut ended: Vec<_> =
            objects(&text).iter().map(|row| row["status"].to_string()).collect();
        ended.sort();
        ended
    };
    site.batch("rows.csv", &line);
    assert_eq!(ended(), ["\"doubtful\"", "\"failed\"", "\"refused\""]);
    // What was refused is sent once more, and ends once more.
    site.batch("rows.csv", &line);
    assert_eq!(ended(), ["\"doubtful\"", "\"failed\"", "\"refused\"", "\"refused\""]);
}

#[test]
fn a_program_that_fails_is_told_and_counted_and_kills_nothing() {
    for (count, said) in [(1, "1 program of --on-done"), (2, "2 programs of --on-done")] {
        let site = Site::new();
        site.rows("rows.csv", count).write("hook.sh", "exit 3");
        let ran = site.batch("rows.csv", &["--on-done", "sh hook.sh"]).exits(0);
        let (rows, batch) = rows_and_batch(&ran);
        assert_eq!(
            (rows.len(), &batch["completed"], &batch["hooks_failed"]),
            (count, &count.into(), &count.into())
        );
        assert_eq!(ran.stderr.matches("warning: line").count(), count, "{ran:?}");
        assert!(ran.stderr.contains(said), "{ran:?}");
        site.pictures_are_there();
    }
}

#[test]
fn a_program_that_has_no_end_when_the_command_has_is_no_failed_one_and_is_told_with_its_row() {
    let site = Site::new();
    // It goes on until the test lets it.
    site.rows("rows.csv", 1).write(
        "hook.sh",
        "exec 2>/dev/null; while ! test -e stop; do sleep 0.1; done; touch ended",
    );
    let ran = site.batch("rows.csv", &["--on-done", "sh hook.sh", "--deadline", "4s"]).exits(0);
    let (_, batch) = rows_and_batch(&ran);
    assert_eq!(
        (batch.get("hooks_failed"), &batch["hooks_unfinished"]),
        (None, &1.into()),
        "{ran:?}"
    );
    assert!(
        ran.stderr.contains("warning: line 2: the program of --on-done has not ended"),
        "{ran:?}"
    );
    assert!(ran.stderr.contains("1 program of --on-done had no end yet"), "{ran:?}");
    // It was left to itself.
    assert!(!site.path("ended").exists());
    site.write("stop", "");
    until(|| site.path("ended").exists());
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_the_wait_for_a_program_and_not_the_program() {
    use std::os::unix::process::CommandExt;

    let site = Site::new();
    site.rows("rows.csv", 1).write(
        "hook.sh",
        "exec 2>/dev/null; touch begun; while ! test -e stop; do sleep 0.1; done; touch ended",
    );
    let line = ["batch", "rows.csv", "--out", "out", "--poll", "0.05", "--report", "report.html"];
    let mut command = site.command(&[&line[..], &["--on-done", "sh hook.sh"]].concat());
    // A terminal sends the signal to all processes of the group.
    let running = RunningCommand::new({
        command.process_group(0);
        command
    });
    // The report is written after the last row, before the wait.
    until(|| site.path("begun").exists() && site.path("report.html").exists());
    let begun = Instant::now();
    running.signal_group("INT");
    let ran = running.end().exits(0);
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    let (_, batch) = rows_and_batch(&ran);
    assert_eq!(
        (batch.get("hooks_failed"), &batch["hooks_unfinished"]),
        (None, &1.into()),
        "{ran:?}"
    );
    site.write("stop", "");
    until(|| site.path("ended").exists());
}

#[test]
fn a_program_has_no_secret_of_the_command_unless_it_is_asked_for() {
    let secrets = ["EFFECTS_API_KEY", "VTRIX_API_KEY", SECRET_NAME, "PGPASSWORD"];
    for passed in [&[][..], &secrets[..1], &secrets] {
        let site = Site::new();
        site.rows("rows.csv", 1).write("hook.sh", "env > environment; cat > row.json");
        let mut line =
            vec!["batch", "rows.csv", "--out", "out", "--poll", "0.05", "--on-done", "sh hook.sh"];
        passed.iter().for_each(|name| line.extend(["--pass-env", name]));
        let mut command = site.command(&line);
        command.env("VTRIX_API_KEY", site.emulator.api_key()).env(SECRET_NAME, SECRET);
        command.env("PGPASSWORD", "secret of the database");
        CommandOutput::of(&mut command).exits(0);
        let environment = fs::read_to_string(site.path("environment")).unwrap();
        let names = environment.lines().filter_map(|line| line.split_once('=')).map(|it| it.0);
        let mut has: Vec<_> = names.filter(|name| secrets.contains(name)).collect();
        has.sort_by_key(|name| secrets.iter().position(|secret| secret == name));
        assert_eq!(has, passed);
        // The rest is there.
        assert!(environment.contains("EFFECTS_BASE_URL="), "{environment}");
        let is_passed = environment.contains(site.emulator.api_key());
        assert_eq!(is_passed, !passed.is_empty(), "{environment}");
        let row = fs::read_to_string(site.path("row.json")).unwrap();
        assert!(!row.contains(site.emulator.api_key()), "{row}");
    }
    let site = Site::new();
    site.rows("rows.csv", 1);
    let ran = site.batch("rows.csv", &["--on-done", "true", "--pass-env", "PATH"]).exits(2);
    assert!(ran.stderr.contains("possible values: EFFECTS_API_KEY"), "{ran:?}");
}

#[test]
fn a_program_that_is_not_there_is_refused_before_anything_is_sent() {
    let site = Site::new();
    site.rows("rows.csv", 2).write("hook.sh", "exit 0");
    // The last one may not be run.
    for hook in ["/nowhere/hook", "no-such-program --quick", "./hook.sh"] {
        let ran = site.batch("rows.csv", &["--on-done", hook]).exits(2);
        assert!(ran.stderr.contains("there is no program"), "{ran:?}");
        assert!(ran.stderr.contains("nothing was sent"), "{ran:?}");
    }
    assert!(site.emulator.requests().is_empty());
}

#[test]
fn rows_are_posted_signed_and_once_where_they_are_acknowledged() {
    let (site, server) = (Site::new(), ScriptedServer::start().unwrap());
    server.otherwise(Response::new(204));
    site.rows("rows.csv", 3);
    post(&site, &server.url("/hook")).exits(0);
    let seen = server.requests();
    assert_eq!(seen.len(), 3);
    for post in &seen {
        let body: Value = serde_json::from_slice(&post.body).unwrap();
        assert_eq!(
            (&body["type"], &body["data"]["schema"]),
            (&"row.completed".into(), &"effects.row.v1".into())
        );
        assert!(post.header("webhook-signature").unwrap().starts_with("v1,"));
        assert!(post.header("webhook-timestamp").unwrap().parse::<u64>().unwrap() > 1_700_000_000);
        assert_eq!(post.header("authorization"), None, "the key goes to the gateway alone");
        assert!(!format!("{post:?}").contains(site.emulator.api_key()));
    }
    // Run again, nothing is posted twice; another URL has had nothing yet.
    post(&site, &server.url("/hook")).exits(0);
    assert_eq!(server.requests().len(), 3);
    post(&site, &server.url("/other")).exits(0);
    assert_eq!(server.requests().len(), 6);
}

#[test]
fn an_acknowledgement_after_one_that_a_crash_cut_is_kept() {
    let (site, server) = (Site::new(), ScriptedServer::start().unwrap());
    server.otherwise(Response::new(204));
    site.rows("rows.csv", 2);
    post(&site, &server.url("/hook")).exits(0);
    let deliveries = site.path("out/deliveries.jsonl");
    let whole = fs::read_to_string(&deliveries).unwrap();
    fs::write(&deliveries, &whole[..whole.len() - 20]).unwrap();
    // The row of the line that was cut is posted again, once.
    for _ in 0..2 {
        post(&site, &server.url("/hook")).exits(0);
        assert_eq!(server.requests().len(), 3);
    }
}

#[test]
fn a_post_is_repeated_until_it_is_acknowledged_also_by_the_same_line_with_the_same_id() {
    let (site, server) = (Site::new(), ScriptedServer::start().unwrap());
    let first = AtomicUsize::new(0);
    server.otherwise(Behaviour::with(move |_| {
        let status = if first.fetch_add(1, Ordering::SeqCst) == 0 { 503 } else { 200 };
        Response::new(status).into()
    }));
    site.rows("rows.csv", 1);
    post(&site, &server.url("/hook")).exits(0);
    let seen = server.requests();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0].header("webhook-id"), seen[1].header("webhook-id"));

    // Where nothing acknowledges, the batch is done all the same, and says so.
    let (site, server) = (Site::new(), ScriptedServer::start().unwrap());
    server.otherwise(Response::new(500));
    site.rows("rows.csv", 2);
    let ran = post(&site, &server.url("/hook")).exits(7);
    let (_, batch) = rows_and_batch(&ran);
    assert_eq!((&batch["completed"], &batch["undelivered"]), (&2.into(), &2.into()));
    assert_eq!(ran.stderr.matches("does not acknowledge a row (HTTP 500)").count(), 1, "{ran:?}");
    assert!(ran.stderr.contains("--post-to has not acknowledged 2 rows"), "{ran:?}");
    assert!(ran.stderr.contains("the same line run again posts it again"), "{ran:?}");
    let mut refused = ids(&server.requests());
    refused.dedup();
    let before = server.requests().len();
    server.otherwise(Response::new(200));
    post(&site, &server.url("/hook")).exits(0);
    assert_eq!(ids(&server.requests()[before..]), refused);
    assert_eq!(site.accepted_once(), 2);
}

#[test]
fn a_post_that_is_acknowledged_and_not_recorded_ends_the_pauses_of_those_before_it() {
    let (mut site, server) = (Site::new(), ScriptedServer::start().unwrap());
    let (go_on, word) = mpsc::channel();
    site.proxy = Some(proxy::holding_nth(site.emulator.address(), CREATE, 2, word));
    // What was acknowledged cannot be written down from the first post on, and the second row comes once
    // the first one was acknowledged.
    let (deliveries, posts) = (site.path("out/deliveries.jsonl"), AtomicUsize::new(0));
    server.otherwise(Behaviour::with(move |_| match posts.fetch_add(1, Ordering::SeqCst) {
        0 => {
            fs::create_dir(&deliveries).unwrap();
            Response::new(500).into()
        }
        1 => {
            go_on.send(()).unwrap();
            Response::new(200).into()
        }
        2 => Response::new(500).into(),
        _ => Response::new(200).into(),
    }));
    site.rows("rows.csv", 2);
    let ran = post(&site, &server.url("/hook"));
    assert!(ran.stderr.contains("deliveries.jsonl cannot be written"), "{ran:?}");
    assert_eq!(ran.stderr.matches("does not acknowledge a row (HTTP 500)").count(), 2, "{ran:?}");
    assert_eq!(server.requests().len(), 4);
}

#[test]
fn a_url_that_nothing_answers_is_told_as_such_and_holds_no_batch_up_beyond_its_deadline() {
    let site = Site::new();
    site.rows("rows.csv", 1);
    let url = format!("http://{}/hook", unused_address());
    let line = ["batch", "rows.csv", "--out", "out", "--poll", "0.05", "--deadline", "5s"];
    let mut command = site.command(&[&line[..], &["--post-to", &url]].concat());
    let begun = Instant::now();
    let ran = CommandOutput::of(command.env("EFFECTS_WEBHOOK_SECRET", SECRET)).exits(7);
    // Without a deadline it would be 8 s after the row, and the row's picture takes a moment.
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    assert!(ran.stderr.contains("--post-to does not acknowledge a row ("), "{ran:?}");
    assert!(ran.stderr.contains("posted again with growing pauses"), "{ran:?}");
    assert!(ran.stderr.contains("--post-to has not acknowledged 1 row"), "{ran:?}");
    assert!(!ran.stderr.contains("cannot be reached"), "{ran:?}");
}

#[test]
fn a_row_that_is_refused_holds_up_no_other() {
    let (site, server) = (Site::new(), ScriptedServer::start().unwrap());
    server.otherwise(Behaviour::with(|seen| {
        let body = String::from_utf8_lossy(&seen.body);
        let status = if body.contains("/0.jpg") { 400 } else { 204 };
        Response::new(status).into()
    }));
    site.rows("rows.csv", 6);
    let ran = post(&site, &server.url("/hook")).exits(7);
    let (_, batch) = rows_and_batch(&ran);
    assert_eq!((&batch["completed"], &batch["undelivered"]), (&6.into(), &1.into()), "{ran:?}");
}

#[test]
fn the_line_to_run_again_has_no_secret_of_the_url_of_posts_or_uploads() {
    // A doubtful row, so that there is a line to run again.
    let lost = FaultPlan::none().with(FaultRule::on(Endpoint::Create, Fault::lost()).first(1));
    let (site, server) = (Site::with(lost), ScriptedServer::start().unwrap());
    server.otherwise(Response::new(204));
    site.rows("rows.csv", 1);
    let url = server.url("/hook?size=3&token=s3cret").replacen("//", "//a-user:s3cret@", 1);
    let uploads = format!("gateway={url}");
    let shown = server.url("/hook?size=3&token=redacted");
    let line = ["batch", "rows.csv", "--out", "out", "--poll", "0.05", "--report", "report.html"];
    for options in [
        vec!["--post-to", &url, "--uploads", &uploads],
        vec![&format!("--post-to={url}"), &format!("--uploads={uploads}")],
        vec!["--post-to", &url.replacen("http", "HTTP", 1), "--uploads", &uploads],
    ] {
        let mut command = site.command(&[&line[..], &options].concat());
        let ran = CommandOutput::of(command.env(SECRET_NAME, SECRET)).exits(8);
        let (_, batch) = rows_and_batch(&ran);
        let resume = batch["resume"].as_str().unwrap();
        assert_eq!(resume.to_lowercase().matches(&shown).count(), 2, "{resume}");
        let report = fs::read_to_string(site.path("report.html")).unwrap();
        for text in [&ran.stdout, &ran.stderr, &report] {
            assert!(!text.contains("s3cret") && !text.contains("a-user"), "{text}");
        }
    }
}

#[test]
fn without_a_secret_or_a_url_nothing_is_sent() {
    let site = Site::new();
    site.rows("rows.csv", 1);
    let ran = site.batch("rows.csv", &["--post-to", "https://example.com/hook"]).exits(2);
    assert!(ran.stderr.contains("EFFECTS_WEBHOOK_SECRET"), "{ran:?}");
    post(&site, "nowhere").exits(2);
    assert_eq!(site.emulator.counts().accepted, 0);
    let world = World::new();
    assert!(world.run(&["batch", "--help"]).exits(0).stdout.contains("--on-done"));
}
