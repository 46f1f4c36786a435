//! Long runs: what is told and written before their end, and what is added up at it.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;
use std::sync::mpsc;
#[cfg(unix)]
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use effects_emulator::{Endpoint, Fault, FaultPlan, FaultRule};
use serde_json::{Value, json};

use super::proxy;
use super::site::{Site, count, objects, rows_and_batch};
use crate::world::{CREATE, CommandOutput};

#[test]
fn without_a_terminal_a_line_says_now_and_again_how_far_it_is() {
    let throttled = FaultRule::on(Endpoint::Create, Fault::status(429)).first(1);
    let failed = FaultRule::on(Endpoint::Create, Fault::fail("3009003")).first(1);
    let mut site = Site::with(FaultPlan::none().with(throttled).with(failed));
    let (go_on, word) = mpsc::channel();
    // The fourth picture waits until a line was said.
    site.proxy = Some(proxy::holding_nth(site.emulator.address(), CREATE, 5, word));
    site.rows("rows.csv", 4);
    let line = ["batch", "rows.csv", "--out", "out", "--poll", "0.05", "--in-flight", "1"];
    let mut command = site.command(&[&line[..], &["--progress-every", "100ms"]].concat());
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    while !said
        .contains("2 of 4 done, 1 running, 1 failed, 0 doubtful, throttled once, 0.06 USD spent, ")
    {
        assert!(stderr.read_line(&mut said).unwrap() > 0, "{said}");
    }
    assert!(said.contains(" to go"), "{said}");
    go_on.send(()).unwrap();
    stderr.read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(4), "{said}");
    // Not where a person asked for quiet, nor where none is wanted.
    for more in [&["-q"][..], &["--progress-every", "0"]] {
        let ran = site.run(&[&line[..], more].concat());
        assert!(!ran.stderr.contains(" running, "), "{ran:?}");
    }
}

#[test]
fn the_folders_manifest_tells_of_a_run_that_goes_on_and_of_one_that_was_killed() {
    let mut site = Site::new();
    let (go_on, word) = mpsc::channel();
    site.proxy = Some(proxy::holding_nth(site.emulator.address(), CREATE, 4, word));
    site.rows("rows.csv", 1).batch("rows.csv", &[]).exits(0);
    site.rows("rows.csv", 4);
    let line =
        ["batch", "rows.csv", "--out", "out", "--json", "--poll", "0.05", "--in-flight", "1"];
    let mut child = site.command(&line).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
    // The kept row, two new ones, and one that waits for its answer.
    assert_eq!(stdout.by_ref().take(3).map(Result::unwrap).count(), 3);
    let grown = site.results();
    assert_eq!(grown.len(), 3);
    for row in &grown[1..] {
        assert_eq!(
            (&row["status"], &row["origin"]),
            (&json!("completed"), &json!(site.base_url()))
        );
        assert!(row["journal_id"].is_string() && row["photo_hash"].is_string(), "{row}");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    go_on.send(()).unwrap();
    // It may have been killed in the middle of a line.
    let text = fs::read_to_string(site.path("out/manifest.jsonl")).unwrap();
    site.write("out/manifest.jsonl", text + r#"{"schema":"effects.row.v1","line":5,"row"#);
    site.run(&["resolve", "--all", "--not-billed"]).exits(0);
    site.batch("rows.csv", &[]).exits(0);
    let end = site.results();
    let lines: Vec<_> = end.iter().map(|row| row["line"].as_u64().unwrap()).collect();
    assert_eq!(lines, [2, 3, 4, 5], "{end:?}");
    for before in &grown {
        let row = end.iter().find(|row| row["line"] == before["line"]).unwrap();
        assert_eq!((&row["task_id"], &row["path"]), (&before["task_id"], &before["path"]));
    }
}

#[test]
fn another_journal_is_told_what_a_killed_run_had_paid_for() {
    let mut site = Site::new();
    let (_go_on, word) = mpsc::channel();
    site.proxy = Some(proxy::holding_nth(site.emulator.address(), CREATE, 3, word));
    site.rows("rows.csv", 3);
    let line =
        ["batch", "rows.csv", "--out", "out", "--json", "--poll", "0.05", "--in-flight", "1"];
    let mut child = site.command(&line).stdout(Stdio::piped()).spawn().unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(stdout.take(2).map(Result::unwrap).count(), 2);
    child.kill().unwrap();
    child.wait().unwrap();
    let from =
        ["journal", "rebuild", "--from", "out/manifest.jsonl", "--journal", "new.db", "--json"];
    let rebuilt = objects(&site.run(&from).exits(0).stdout).pop().unwrap();
    assert_eq!((&rebuilt["rows"], &rebuilt["imported"]), (&json!(2), &json!(2)));
}

/// Waits until a file is so old that it is remembered: its times are those of its last change then.
#[cfg(unix)]
fn grow_old(path: &std::path::Path) {
    use std::os::unix::fs::MetadataExt;
    let changed = |path: &std::path::Path| fs::metadata(path).unwrap().ctime();
    while SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().cast_signed()
        < changed(path) + 4
    {
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[cfg(unix)]
#[test]
fn a_finished_batch_is_run_again_without_its_photos_being_read_unless_they_changed() {
    let site = Site::new();
    site.photo("a.png", 1).photo("b.png", 2).photo("c.png", 3);
    site.write("rows.csv", "template,image\nglass_ball,a.png\nglass_ball,b.png\n");
    grow_old(&site.path("c.png"));
    site.batch("rows.csv", &[]).exits(0);
    let tasks = |site: &Site| -> Vec<Value> {
        site.results().iter().map(|row| row["task_id"].clone()).collect()
    };
    let before = tasks(&site);
    // What is remembered of the two is exchanged: a run that reads them would not be misled.
    let mut lines = site.results();
    assert_eq!(lines[0]["photo"]["sha256"].as_str().unwrap().len(), 64);
    let first = lines[0]["photo"]["sha256"].take();
    lines[0]["photo"]["sha256"] = lines[1]["photo"]["sha256"].take();
    lines[1]["photo"]["sha256"] = first;
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    site.write("out/manifest.jsonl", &text);
    site.batch("rows.csv", &["--budget", "1"]).exits(0);
    assert_eq!(tasks(&site), [before[1].clone(), before[0].clone()]);
    // What is not settled is read, and so nothing is paid for under a wrong name.
    site.write("out/manifest.jsonl", &text);
    site.batch("rows.csv", &["--journal", "other.db", "--pay-again", "--overwrite"]).exits(0);
    let of = |row: &Value| row["identity"].clone();
    let identities: Vec<_> = site.results().iter().map(of).collect();
    let both = [of(&lines[0]), of(&lines[1])];
    // What the first journal paid for them stays beside what this one did.
    assert_eq!(identities, [&both[..], &both].concat());
    let paid = site.emulator.counts().accepted;
    assert_eq!(paid, 4);
    // A photo that was replaced by one of its size and its time is another one.
    let modified = fs::metadata(site.path("a.png")).unwrap().modified().unwrap();
    site.photo("a.png", 9);
    fs::File::options()
        .write(true)
        .open(site.path("a.png"))
        .unwrap()
        .set_modified(modified)
        .unwrap();
    let (rows, _) = rows_and_batch(&site.batch("rows.csv", &["--json"]).exits(0));
    assert_eq!((count(&rows, "completed"), site.emulator.counts().accepted), (2, paid + 1));
}

#[test]
fn the_end_counts_errors_by_kind_and_writes_a_table() {
    let faults = FaultPlan::none()
        .with(FaultRule::on(Endpoint::Create, Fault::fail("3009003")).first(2))
        .with(FaultRule::on(Endpoint::Create, Fault::status(400)).first(1));
    let site = Site::with(faults);
    let mut csv = "template,image,key\nglas_ball,https://example.com/0.jpg,\n".to_owned();
    for row in 1..6 {
        csv.push_str(&format!("glass_ball,https://example.com/{row}.jpg,\"k, {row}\"\n"));
    }
    site.write("rows.csv", csv);
    let line = ["--json", "--in-flight", "1", "--report-csv", "out/report.csv"];
    let ran = site.batch("rows.csv", &line).exits(4);
    let (_, batch) = rows_and_batch(&ran);
    assert_eq!(batch["errors"], json!({"invalid_request": 1, "rejected": 1, "task_failed": 2}));
    // The bad row has a code as well, which the service never said.
    assert_eq!(batch["codes"], json!({"3009003": 2, "BAD_REQUEST": 1}));
    assert!(
        ran.stderr.contains("errors: 1 invalid_request, 1 rejected, 2 task_failed (by code: "),
        "{ran:?}"
    );
    let table = fs::read_to_string(site.path("out/report.csv")).unwrap();
    let lines: Vec<&str> = table.strip_prefix('\u{feff}').unwrap().lines().collect();
    assert_eq!(lines.len(), 7, "{table}");
    assert!(lines[0].starts_with("line,key,status,how,template,image,"), "{table}");
    assert!(lines[1].starts_with("2,,invalid,,glas_ball,"), "{table}");
    // Which row meets which fault is open: the rows are made ready side by side.
    for (row, line) in lines[2..].iter().enumerate() {
        assert!(line.starts_with(&format!("{},\"k, {}\",", row + 3, row + 1)), "{table}");
    }
    let are = |status: &str| lines.iter().filter(|line| line.contains(status)).count();
    let ends = [",completed,submitted,", ",failed,submitted,", ",refused,submitted,"].map(are);
    assert_eq!(ends, [2, 2, 1], "{table}");

    // Told by the same line of the rows that are there already, in order.
    site.batch("rows.csv", &line);
    let again = fs::read_to_string(site.path("out/report.csv")).unwrap();
    assert_eq!(again.lines().count(), 7);
    // It replaces nothing but a report: no journal, no picture, none of the batch's own files.
    let picture = fs::read_dir(site.path("out")).unwrap().find_map(|entry| {
        let path = entry.unwrap().path();
        path.extension().is_some_and(|it| it == "png").then_some(path)
    });
    let picture = picture.unwrap().to_str().unwrap().to_owned();
    let journal = site.journal().path().unwrap().to_owned();
    let own = [picture.as_str(), &journal, "out/manifest.jsonl", "out/contact-sheet.png"];
    for bad in ["rows.csv", "no/such/folder.csv", "out"].into_iter().chain(own) {
        let seen = site.emulator.requests().len();
        let ran: CommandOutput = site.batch("rows.csv", &["--report-csv", bad]).exits(2);
        assert!(ran.stderr.contains("--report-csv"), "{ran:?}");
        assert_eq!(site.emulator.requests().len(), seen);
    }
}

#[test]
fn no_cell_of_the_table_is_a_formula_and_stdout_is_no_place_for_it() {
    let site = Site::new();
    site.write(
        "rows.csv",
        "template,image,key,tag\nglass_ball,https://example.com/0.jpg,=HYPERLINK(1),@SUM(1)\n\
         +1,-2.jpg,-3,plain\n",
    );
    site.batch("rows.csv", &["--report-csv", "report.csv"]).exits(2);
    let table = fs::read_to_string(site.path("report.csv")).unwrap();
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[1].starts_with("2,'=HYPERLINK(1),completed,submitted,glass_ball,"), "{table}");
    assert!(lines[1].contains(",'@SUM(1),"), "{table}");
    assert!(lines[2].starts_with("3,'-3,invalid,,'+1,'-2.jpg,,,plain,"), "{table}");
    let seen = site.emulator.requests().len();
    let ran = site.batch("rows.csv", &["--report-csv", "-"]).exits(2);
    assert!(ran.stderr.contains("--report-csv - would be stdout"), "{ran:?}");
    assert_eq!(site.emulator.requests().len(), seen);
    assert!(!site.path("-").exists());
}
