//! A journal in Postgres: every command that takes a journal takes its URL, and none tells its password.

use effects_testkit::http::{Behaviour, Response};
use effects_testkit::postgres::TestDatabase;
use serde_json::Value;

use crate::batch::site::{Site, count, rows_and_batch};
use crate::world::{CREATE, CommandOutput, IMAGE, World};

const PASSWORD: &str = "a-password-that-no-one-may-see";

/// An empty database and its URL, with a password, which the test's server does not ask for.
fn database() -> Option<(TestDatabase, String)> {
    let database = TestDatabase::create().inspect_err(|why| println!("skipped: {why}")).ok()?;
    let url = database.url().replace("postgres@", &format!("postgres:{PASSWORD}@"));
    Some((database, url))
}

fn tells_no_password(ran: CommandOutput) -> CommandOutput {
    assert!(!ran.stdout.contains(PASSWORD) && !ran.stderr.contains(PASSWORD), "{ran:?}");
    ran
}

#[test]
fn a_single_run_is_journaled_listed_counted_and_resumed() {
    let Some((database, url)) = database() else { return };
    let world = World::with_service();
    let run = |arguments: &[&str]| {
        tells_no_password(world.run(&[arguments, &["--journal", &url]].concat()))
    };
    let empty = run(&["tasks"]).exits(0);
    assert!(empty.stderr.contains("nothing is journaled yet"), "{empty:?}");
    let made = database.sql("SELECT count(*) FROM pg_namespace WHERE nspname = 'effects'");
    assert_eq!(made.unwrap(), "0", "to look makes nothing");
    run(&["submit", "glass_ball", IMAGE]).exits(0);
    let listed = run(&["tasks", "--json"]).exits(0).object();
    assert_eq!((&listed["standing"], &listed["task_id"]), (&"created".into(), &"task-1".into()));
    run(&["resume"]).exits(0);
    let listed = run(&["tasks", "--json"]).exits(0).object();
    assert_eq!(listed["standing"], "completed");
    let cost = run(&["cost"]).exits(0).stdout;
    assert!(cost.contains("0.03"), "{cost}");
    let page = run(&["cost", "--html", "-"]).exits(0).stdout;
    assert!(page.starts_with("<!doctype html>") && page.contains("\"cost\":\"0.03"), "{page}");
    let refused = run(&["journal", "backup", "copy.db"]).exits(2).stderr;
    assert!(refused.contains("pg_dump"), "{refused}");
}

#[test]
fn a_doubtful_row_is_told_and_resolved() {
    let Some((_database, url)) = database() else { return };
    let world = World::new();
    world.server.on("POST", CREATE, [Behaviour::from(Response::new(500))]);
    let run = |arguments: &[&str]| {
        tells_no_password(world.run(&[arguments, &["--journal", &url]].concat()))
    };
    run(&["run", "glass_ball", IMAGE]).exits(8);
    let doubtful: Value = run(&["tasks", "--doubtful", "--json"]).exits(0).object();
    let row = doubtful["row"].to_string();
    run(&["resolve", &row, "--not-billed"]).exits(0);
    assert_eq!(run(&["tasks", "--doubtful", "--json"]).exits(0).stdout, "");
}

#[test]
fn a_batch_goes_on_from_another_machine_under_one_budget() {
    let Some((database, url)) = database() else { return };
    let (here, there) = (Site::new(), Site::new());
    // Both machines have the same service, and each its own folder and state.
    let there = Site { emulator: there.emulator, proxy: None, ..there };
    here.rows("rows.csv", 12);
    there.rows("rows.csv", 12);
    let batch = |site: &Site, more: &[&str]| {
        let arguments = ["--journal", &url, "--budget", "0.18", "--json"];
        let mut command = site.command(
            &[&["batch", "rows.csv", "--out", "out", "--poll", "0.05"], &arguments[..], more]
                .concat(),
        );
        command.env("EFFECTS_BASE_URL", here.emulator.base_url());
        command.env("EFFECTS_API_KEY", here.emulator.api_key());
        tells_no_password(CommandOutput::of(&mut command))
    };
    let plan = batch(&here, &["--plan"]);
    assert!(plan.stdout.contains("postgres://postgres@"), "{plan:?}");
    let made = database.sql("SELECT count(*) FROM pg_namespace WHERE nspname = 'effects'");
    assert_eq!(made.unwrap(), "0", "to plan makes nothing");
    let first = batch(&here, &["--report", "report.html"]);
    let page = std::fs::read_to_string(here.path("report.html")).unwrap();
    // A batch that its budget ended has no line to go on with, which alone would name the database.
    assert!(page.contains("Report of a batch") && !page.contains(PASSWORD), "{page}");
    let (rows, _) = rows_and_batch(&first);
    let done = count(&rows, "completed");
    assert!(done > 0 && done < 12, "{first:?}");
    let accepted = here.emulator.counts().accepted;
    let (rows, end) = rows_and_batch(&batch(&there, &[]));
    assert_eq!(count(&rows, "completed"), done, "{end}");
    assert_eq!(here.accepted_once(), accepted, "what is paid for is paid for once, on any machine");
    let manifest = std::fs::read_to_string(here.path("out/manifest.jsonl")).unwrap();
    assert!(manifest.contains("postgres://") && !manifest.contains(PASSWORD), "{manifest}");
}

#[test]
fn hosts_with_lists_of_their_own_share_the_budget_of_a_scope() {
    let Some((_database, url)) = database() else { return };
    let (here, there) = (Site::new(), Site::new());
    here.rows("rows.csv", 6);
    there.write("rows.csv", "template,image\nmy_world,https://example.com/there.jpg\n");
    let batch = |site: &Site| {
        let arguments =
            ["--journal", &url, "--budget", "0.12", "--price", "0.03", "--scope", "spring"];
        let mut command = site.command(
            &[&["batch", "rows.csv", "--out", "out", "--poll", "0.05", "--json"], &arguments[..]]
                .concat(),
        );
        command.env("EFFECTS_BASE_URL", here.emulator.base_url());
        command.env("EFFECTS_API_KEY", here.emulator.api_key());
        tells_no_password(CommandOutput::of(&mut command))
    };
    let (rows, _) = rows_and_batch(&batch(&here).exits(6));
    assert_eq!(count(&rows, "completed"), 4);
    let (rows, end) = rows_and_batch(&batch(&there).exits(6));
    assert_eq!(count(&rows, "completed"), 0, "{end}");
    assert_eq!(here.accepted_once(), 4);
}

#[test]
fn a_journal_is_copied_from_its_file_and_used_from_the_database() {
    let Some((_database, url)) = database() else { return };
    let site = Site::new();
    site.rows("rows.csv", 3);
    site.batch("rows.csv", &["--journal", "run.db"]).exits(0);
    let accepted = site.emulator.counts().accepted;
    let copied = tells_no_password(site.run(&["journal", "copy", "run.db", &url, "--json"]));
    let object = copied.exits(0).object();
    assert_eq!((&object["schema"], &object["rows"]), (&"effects.copy.v1".into(), &3.into()));
    tells_no_password(site.run(&["journal", "copy", "run.db", &url])).exits(2);
    tells_no_password(site.batch("rows.csv", &["--journal", &url])).exits(0);
    assert_eq!(site.emulator.counts().accepted, accepted, "nothing is paid for again");
    for (from, to, why) in [
        (&*url, "x.db", "not copied back"),
        ("run.db", "x.db", "backup"),
        ("no.db", &*url, "no journal"),
    ] {
        let refused = tells_no_password(site.run(&["journal", "copy", from, to])).exits(2).stderr;
        assert!(refused.contains(why), "{refused}");
    }
}

#[test]
fn a_database_that_is_not_there_is_told_without_its_password() {
    let world = World::new();
    let url = format!("postgres://me:{PASSWORD}@127.0.0.1:1/photos");
    for command in [&["tasks"][..], &["submit", "glass_ball", IMAGE], &["resume"]] {
        let ran = tells_no_password(world.run(&[command, &["--journal", &url]].concat()));
        assert!(ran.stderr.contains("postgres://me@127.0.0.1:1/photos"), "{ran:?}");
        ran.exits(2);
    }
    assert_eq!(world.submissions(), 0);
}

#[test]
fn rows_that_ended_long_ago_are_forgotten_on_purpose() {
    let Some((database, url)) = database() else { return };
    let site = Site::new();
    site.rows("rows.csv", 3);
    tells_no_password(site.batch("rows.csv", &["--journal", &url])).exits(0);
    let prune = |age: &str| {
        tells_no_password(site.run(&[
            "journal",
            "prune",
            "--older-than",
            age,
            "--journal",
            &url,
            "--json",
        ]))
    };
    assert_eq!(prune("1d").exits(0).object()["rows"], 0);
    // The rows ended two days ago.
    let earlier =
        "UPDATE effects.rows SET begun = begun - 172800000, changed = changed - 172800000";
    database.sql(earlier).unwrap();
    assert_eq!(prune("1d").exits(0).object()["rows"], 3);
    assert_eq!(database.sql("SELECT count(*) FROM effects.tasks").unwrap(), "0");
    let refused = prune("soon").exits(2);
    assert!(refused.stdout.contains("90d"), "{refused:?}");
    // The folder knows them all the same.
    let accepted = site.emulator.counts().accepted;
    tells_no_password(site.batch("rows.csv", &["--journal", &url])).exits(0);
    assert_eq!(site.emulator.counts().accepted, accepted);
}
