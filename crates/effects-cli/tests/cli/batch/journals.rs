//! Another journal than the one the rows are in, and what the folder's own manifest keeps of ids.

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;

use effects_emulator::{Endpoint, Fault, FaultPlan, FaultRule};
use serde_json::Value;

use super::site::{Site, count, objects, rows_and_batch};

#[test]
fn the_same_line_with_another_journal_pays_for_nothing_again() {
    let site = Site::new();
    site.rows("rows.csv", 3).batch("rows.csv", &[]).exits(0);
    let seen = site.emulator.requests().len();
    // Its pictures are there, and what they cost is known, so the service is not even asked.
    let ran = site.batch("rows.csv", &["--journal", "mistyped.db", "--json"]).exits(0);
    assert_eq!(site.emulator.requests().len(), seen, "{ran:?}");
    let (rows, batch) = rows_and_batch(&ran);
    assert_eq!((count(&rows, "completed"), &batch["kept"]), (3, &3.into()), "{ran:?}");
    assert_eq!(
        batch["cost"],
        rows_and_batch(&site.batch("rows.csv", &["--json"]).exits(0)).1["cost"]
    );
    let journal = site.state.path().join("journal.db");
    for said in [journal.to_str().unwrap(), "mistyped.db", "3 rows were paid for"] {
        assert!(ran.stderr.contains(said), "{said:?} is missing: {ran:?}");
    }
    assert_eq!(site.accepted_once(), 3);
    let line = ["--journal", "third.db", "--pay-again", "--overwrite"];
    site.batch("rows.csv", &line).exits(0);
    assert_eq!(site.emulator.counts().accepted, 6);
}

#[test]
fn a_row_of_unknown_outcome_stops_another_journal_before_anything_is_sent() {
    let lost = FaultRule::on(Endpoint::Create, Fault::lost()).first(1);
    let site = Site::with(FaultPlan::none().with(lost));
    site.rows("rows.csv", 3).batch("rows.csv", &["--in-flight", "1"]).exits(8);
    let seen = site.emulator.requests().len();
    let journal = site.state.path().join("journal.db");
    for more in [&[][..], &["--plan"]] {
        let line = [&["--journal", "other.db"][..], more].concat();
        let ran = site.batch("rows.csv", &line).exits(2);
        let rebuild = format!(
            "effects journal rebuild --from {} --journal {}",
            site.path("out/manifest.jsonl").display(),
            site.path("other.db").display()
        );
        for said in [journal.to_str().unwrap(), "1 row is", "--pay-again", &rebuild] {
            assert!(ran.stderr.contains(said), "{said:?} is missing: {ran:?}");
        }
    }
    assert_eq!(site.emulator.requests().len(), seen);
    // A person takes it in as doubtful; then it alone is not gone on with.
    let from = ["journal", "rebuild", "--from", "out/manifest.jsonl", "--journal", "other.db"];
    site.run(&from).exits(0);
    let ran = site.batch("rows.csv", &["--journal", "other.db", "--json"]).exits(8);
    let (rows, _) = rows_and_batch(&ran);
    assert_eq!((count(&rows, "doubtful"), count(&rows, "completed")), (1, 2));
    assert_eq!(site.accepted_once(), 3);
    let doubtful = site.run(&["tasks", "--doubtful", "--json", "--journal", "other.db"]).exits(0);
    let attempt = objects(&doubtful.stdout)[0]["attempts"][0].clone();
    assert!(attempt["request_id"].as_str().is_some_and(|id| !id.is_empty()), "{attempt}");
    // What a person found counts, whatever the other journal's line says.
    let found = ["resolve", "--all", "--not-billed", "--journal", "other.db"];
    site.run(&found).exits(0);
    site.batch("rows.csv", &["--journal", "other.db"]).exits(0);
    assert_eq!(count(&site.results(), "completed"), 3);
}

/// Two journals take turns at one folder: what one released, the other may have paid for since.
#[test]
fn a_row_that_this_journal_released_is_taken_in_from_the_one_that_paid_for_it() {
    let refused = FaultRule::on(Endpoint::Create, Fault::status(401));
    let site = Site::with(FaultPlan::none().with(refused));
    site.rows("rows.csv", 1).batch("rows.csv", &["--journal", "first.db"]).exits(3);
    site.emulator.follow(FaultPlan::none()).unwrap();
    site.batch("rows.csv", &["--journal", "second.db"]).exits(0);
    let (rows, _) =
        rows_and_batch(&site.batch("rows.csv", &["--journal", "first.db", "--json"]).exits(0));
    assert_eq!((count(&rows, "completed"), site.accepted_once()), (1, 1));
}

#[test]
fn a_journal_that_was_deleted_between_two_runs_is_made_up_for_by_the_folder() {
    let broken = FaultRule::on(Endpoint::File, Fault::status(403)).first(1);
    let site = Site::with(FaultPlan::none().with(broken));
    // One picture never reached the folder, so only its manifest tells that it is paid for.
    site.photo("cat.png", 1).write("rows.csv", "template,image\nglass_ball,cat.png\n");
    site.batch("rows.csv", &[]).exits(7);
    for entry in fs::read_dir(site.state.path()).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    // A row is known by its photo's content, whatever its name is by now.
    fs::rename(site.path("cat.png"), site.path("tom.png")).unwrap();
    site.write("rows.csv", "template,image\nglass_ball,tom.png\n");
    let ran = site.batch("rows.csv", &[]).exits(0);
    assert!(ran.stderr.contains("1 row was paid for with the journal that was there"), "{ran:?}");
    assert_eq!(site.accepted_once(), 1);
    site.pictures_are_there();
    // Another photo of that name is another row.
    site.photo("tom.png", 2).batch("rows.csv", &["--overwrite"]).exits(0);
    assert_eq!(site.accepted_once(), 2);
}

#[test]
fn rows_of_another_order_in_the_same_folder_stop_nothing() {
    let site = Site::new();
    site.rows("one.csv", 2).batch("one.csv", &[]).exits(0);
    site.write("two.csv", "template,image\nmy_world,https://example.com/9.jpg\n");
    site.batch("two.csv", &["--journal", "other.db"]).exits(0);
    assert_eq!(site.accepted_once(), 3);
}

#[test]
fn a_rehearsal_at_another_gateway_stops_nothing() {
    let (rehearsal, site) = (Site::new(), Site::new());
    site.rows("rows.csv", 2);
    let (url, key) = (rehearsal.base_url(), rehearsal.emulator.api_key().to_owned());
    let at = ["--base-url", &url, "--api-key", &key, "--journal", "rehearsal.db"];
    site.batch("rows.csv", &at).exits(0);
    for row in site.results() {
        fs::remove_file(row["path"].as_str().unwrap()).unwrap();
    }
    site.batch("rows.csv", &[]).exits(0);
    assert_eq!((rehearsal.accepted_once(), site.accepted_once()), (2, 2));
}

#[test]
fn tasks_that_only_the_folder_knows_are_followed_and_not_paid_again() {
    let broken = FaultRule::on(Endpoint::File, Fault::status(403)).first(2);
    let site = Site::with(FaultPlan::none().with(broken));
    site.rows("rows.csv", 2).batch("rows.csv", &[]).exits(7);
    let (rows, _) =
        rows_and_batch(&site.batch("rows.csv", &["--journal", "new.db", "--json"]).exits(0));
    assert_eq!((count(&rows, "completed"), site.accepted_once()), (2, 2));
}

#[test]
fn a_plan_names_its_journal() {
    let site = Site::new();
    site.rows("rows.csv", 1).batch("rows.csv", &[]).exits(0);
    let ran = site.batch("rows.csv", &["--plan", "--json"]).exits(0);
    let journal = site.state.path().join("journal.db");
    assert_eq!(objects(&ran.stdout)[0]["journal"].as_str(), journal.to_str());
    let ran = site.batch("rows.csv", &["--plan"]).exits(0);
    assert!(ran.stdout.contains(journal.to_str().unwrap()), "{ran:?}");
    // With another journal it says what the folder's manifest lets that one know, and makes nothing.
    site.rows("rows.csv", 2);
    let ran = site.batch("rows.csv", &["--plan", "--json", "--journal", "none.db"]).exits(0);
    let plan = &objects(&ran.stdout)[0];
    assert_eq!((&plan["kept"], &plan["submit"]), (&1.into(), &1.into()), "{plan}");
    assert!(ran.stderr.contains("none.db"), "{ran:?}");
    assert!(!site.path("none.db").exists());
}

#[test]
fn the_folders_manifest_keeps_the_rows_of_earlier_orders() {
    let site = Site::new();
    site.rows("one.csv", 2).batch("one.csv", &[]).exits(0);
    site.write("two.csv", "template,image\nmy_world,https://example.com/9.jpg\n");
    site.batch("two.csv", &[]).exits(0);
    let ids: Vec<Value> = site.results().iter().map(|row| row["task_id"].clone()).collect();
    assert!(ids.len() == 3 && ids.iter().all(Value::is_string), "{ids:?}");
}

#[cfg(unix)]
#[test]
fn a_journal_that_vanishes_is_noticed() {
    let slow = FaultRule::on(Endpoint::Create, Fault::Take { seconds: 1.0 });
    let site = Site::with(FaultPlan::none().with(slow));
    site.rows("rows.csv", 60);
    let line =
        ["batch", "rows.csv", "--out", "out", "--json", "--in-flight", "4", "--poll", "0.05"];
    let run = crate::world::RunningCommand::new(site.command(&line));
    let begun = std::time::Instant::now();
    while site.emulator.counts().accepted < 4 {
        assert!(begun.elapsed() < crate::world::TIMEOUT);
        std::thread::yield_now();
    }
    for entry in fs::read_dir(site.state.path()).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    let ran = run.end().exits(1);
    let (_, batch) = rows_and_batch(&ran);
    assert!(batch["error"].as_str().unwrap().contains("journal"), "{batch}");
    assert!(ran.stderr.contains("was deleted or moved while it was open"), "{ran:?}");
    let accepted = site.accepted_once();
    assert!(accepted < 60);
    // Every task's id is told, and none is paid for again.
    let ids: Vec<Value> = site.results().iter().map(|row| row["task_id"].clone()).collect();
    for task in site.emulator.tasks() {
        assert!(ids.contains(&task.id.as_str().into()), "{} is missing: {ran:?}", task.id);
    }
    site.emulator.follow(FaultPlan::none()).unwrap();
    site.batch("rows.csv", &[]).exits(0);
    assert_eq!(site.accepted_once(), 60);
}

#[test]
fn a_backup_of_a_journal_is_whole() {
    let site = Site::new();
    site.rows("rows.csv", 3).batch("rows.csv", &[]).exits(0);
    site.run(&["journal", "backup", "copy.db"]).exits(0);
    let copied = site.run(&["tasks", "--journal", "copy.db", "--json"]).exits(0);
    assert_eq!(objects(&copied.stdout).len(), 3);
}

#[test]
fn a_journal_is_rebuilt_from_the_folders_manifest() {
    let site = Site::new();
    site.rows("rows.csv", 3).batch("rows.csv", &[]).exits(0);
    let line = ["journal", "rebuild", "--from", "out/manifest.jsonl", "--journal", "new.db"];
    site.run(&line).exits(0);
    site.batch("rows.csv", &["--journal", "new.db"]).exits(0);
    assert_eq!(site.accepted_once(), 3);
}

#[test]
fn an_id_that_the_folders_manifest_knows_is_never_replaced_by_none() {
    let lost = FaultRule::on(Endpoint::Create, Fault::lost()).first(1);
    let site = Site::with(FaultPlan::none().with(lost));
    site.rows("rows.csv", 2).batch("rows.csv", &["--in-flight", "1"]).exits(8);
    // The task's id is known to its run, and the journal's disk was full: the folder alone has it.
    let results = site.results();
    let known: Vec<&str> = results.iter().filter_map(|row| row["task_id"].as_str()).collect();
    let tasks = site.emulator.tasks();
    let id = tasks.iter().find(|task| !known.contains(&task.id.as_str())).unwrap().id.clone();
    let lines: Vec<String> = results
        .iter()
        .map(|row| {
            let mut row = row.clone();
            if row["task_id"].is_null() {
                row["task_id"] = id.as_str().into();
            }
            row.to_string() + "\n"
        })
        .collect();
    fs::write(site.path("out/manifest.jsonl"), lines.concat()).unwrap();
    // The row is doubtful in the journal still, and in another place of the manifest.
    let rows = fs::read_to_string(site.path("rows.csv")).unwrap();
    let (head, rows) = rows.split_once('\n').unwrap();
    let turned: Vec<&str> = rows.lines().rev().collect();
    site.write("rows.csv", format!("{head}\n{}\n", turned.join("\n")));
    for _ in 0..2 {
        site.batch("rows.csv", &[]).exits(8);
        let results = site.results();
        let doubtful = results.iter().find(|row| row["status"] == "doubtful").unwrap();
        assert_eq!(doubtful["task_id"].as_str(), Some(id.as_str()));
        assert!(results.iter().all(|row| row["task_id"].is_string()), "{results:?}");
    }
}

/// Two orders number their rows alike, and each has a journal of its own.
#[test]
fn a_row_of_the_same_key_in_another_order_is_not_taken_for_it() {
    let site = Site::new();
    for photo in ["red", "blue"] {
        let row = format!("glass_ball,https://example.com/{photo}.jpg,K\n");
        site.write(&format!("{photo}.csv"), format!("template,image,key\n{row}"));
    }
    site.batch("red.csv", &["--journal", "first.db"]).exits(0);
    for more in [&[][..], &["--plan"]] {
        let line = [&["--journal", "second.db"][..], more].concat();
        let ran = site.batch("blue.csv", &line).exits(2);
        for said in ["key \"K\"", "another image", "--out", "--pay-again", "nothing was sent"] {
            assert!(ran.stderr.contains(said), "{said:?} is missing: {ran:?}");
        }
    }
    assert_eq!(site.accepted_once(), 1);
    let line = ["--journal", "second.db", "--pay-again", "--overwrite"];
    site.batch("blue.csv", &line).exits(0);
    assert_eq!(site.emulator.counts().accepted, 2);
    // Each order's line stays, whichever runs again.
    for (order, journal) in [("red.csv", "first.db"), ("blue.csv", "second.db")] {
        site.batch(order, &["--journal", journal]).exits(0);
        let tasks: HashSet<String> =
            site.results().iter().map(|row| row["task_id"].as_str().unwrap().to_owned()).collect();
        assert_eq!((tasks.len(), site.results().len()), (2, 2), "{:?}", site.results());
    }
    assert_eq!(site.emulator.counts().accepted, 2);
}

#[cfg(unix)]
mod of_a_batch_without_an_end {
    use std::sync::mpsc;
    use std::time::{Duration, Instant};

    use super::super::proxy::holding;
    use super::*;
    use crate::world::{CommandOutput, RunningCommand, TIMEOUT};

    const LINE: [&str; 8] =
        ["batch", "rows.csv", "--out", "out", "--poll", "0.05", "--journal", "first.db"];

    fn submitting(rows: usize) -> (Site, RunningCommand) {
        let slow = FaultRule::on(Endpoint::Create, Fault::Take { seconds: 3600.0 });
        let site = Site::with(FaultPlan::none().with(slow));
        site.rows("rows.csv", rows);
        let run = RunningCommand::new(site.command(&LINE));
        // A task is looked at once its id is in the journal.
        wait_until(|| looked_at(&site) == rows);
        (site, run)
    }

    /// How many tasks were looked at.
    fn looked_at(site: &Site) -> usize {
        let requests = site.emulator.requests();
        let looks = requests.iter().filter(|seen| seen.endpoint == Endpoint::Task);
        looks.map(|seen| &seen.path).collect::<HashSet<_>>().len()
    }

    /// How often tasks were looked at.
    fn looks(site: &Site) -> usize {
        site.emulator.requests().iter().filter(|seen| seen.endpoint == Endpoint::Task).count()
    }

    fn wait_until(mut done: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !done() {
            assert!(begun.elapsed() < TIMEOUT, "it does nothing");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn refused(site: &Site, what: &str) {
        for more in [&[][..], &["--plan"]] {
            let ran = site.batch("rows.csv", &[&["--journal", "second.db"][..], more].concat());
            let ran: CommandOutput = ran.exits(2);
            for said in [what, "first.db", "second.db", "--pay-again", "nothing was sent"] {
                assert!(ran.stderr.contains(said), "{said:?} is missing: {ran:?}");
            }
        }
    }

    fn marks(site: &Site) -> Vec<PathBuf> {
        left(site, "running")
    }

    /// The hidden files in the folder that end so.
    fn left(site: &Site, ending: &str) -> Vec<PathBuf> {
        let Ok(files) = fs::read_dir(site.path("out")) else { return Vec::new() };
        let files = files.map(|file| file.unwrap().path());
        files.filter(|path| path.extension().is_some_and(|it| it == ending)).collect()
    }

    #[test]
    fn one_that_runs_keeps_another_journal_from_its_folder() {
        let (site, run) = submitting(3);
        refused(&site, "is running in");
        run.signal("INT");
        run.end().exits(130);
        assert_eq!((site.accepted_once(), marks(&site).len()), (3, 0));
    }

    #[test]
    fn one_that_was_killed_keeps_another_journal_from_its_folder() {
        let (site, run) = submitting(3);
        run.signal("KILL");
        run.end();
        refused(&site, "was broken off in");
        // Its own journal goes on.
        let seen = site.emulator.requests().len();
        let run = RunningCommand::new(site.command(&LINE));
        wait_until(|| site.emulator.requests().len() > seen);
        run.signal("INT");
        run.end().exits(130);
        assert_eq!((site.accepted_once(), marks(&site).len()), (3, 0));
    }

    fn submitted(site: &Site) -> Vec<PathBuf> {
        left(site, "submitted")
    }

    /// Starts a batch of three rows, kills it once the folder knows of their tasks, and kills it again as it
    /// goes on and follows them.
    fn killed(site: &Site) {
        let slow = FaultRule::on(Endpoint::Create, Fault::Take { seconds: 3600.0 });
        site.emulator.follow(FaultPlan::none().with(slow)).unwrap();
        site.rows("rows.csv", 3);
        let run = RunningCommand::new(site.command(&LINE));
        wait_until(|| {
            let file = submitted(site).pop();
            file.is_some_and(|file| fs::read_to_string(file).unwrap().lines().count() == 3)
        });
        run.signal("KILL");
        run.end();
        let before = looks(site);
        let again = RunningCommand::new(site.command(&LINE));
        wait_until(|| looks(site) >= before + 3);
        again.signal("KILL");
        again.end();
    }

    /// Takes the tasks of the killed batch into a journal, as the command that refused it says.
    fn take_in(site: &Site, journal: &str, ran: &CommandOutput) {
        let from = &submitted(site)[0];
        let line = format!(
            "effects journal rebuild --from {} --journal {}",
            from.display(),
            site.path(journal).display()
        );
        assert!(ran.stderr.contains(&line), "{line} is missing: {ran:?}");
        let rebuild =
            ["journal", "rebuild", "--from", from.to_str().unwrap(), "--journal", journal];
        site.run(&rebuild).exits(0);
    }

    /// Goes on with a batch that was broken off, whose tasks are followed.
    fn go_on(site: &Site, line: &[&str], tasks: usize) {
        let before = looks(site);
        let run = RunningCommand::new(site.command(line));
        wait_until(|| looks(site) >= before + tasks);
        run.signal("INT");
        run.end().exits(130);
        assert!(marks(site).is_empty() && submitted(site).is_empty());
    }

    fn lose_journal(site: &Site) {
        for file in fs::read_dir(site.folder.path()).unwrap().map(|file| file.unwrap().path()) {
            if file.file_name().unwrap().to_string_lossy().starts_with("first.db") {
                fs::remove_file(file).unwrap();
            }
        }
    }

    /// A batch of one row, and a copy of its journal from while the row was being submitted.
    fn copied_meanwhile() -> (Site, RunningCommand) {
        submitting_while(|site| {
            site.run(&["journal", "backup", "copy.db", "--journal", "first.db"]).exits(0);
        })
    }

    /// A batch of one row, and what was done while the row was being submitted.
    fn submitting_while(done: impl FnOnce(&Site)) -> (Site, RunningCommand) {
        let slow = FaultRule::on(Endpoint::Create, Fault::Take { seconds: 3600.0 });
        let mut site = Site::with(FaultPlan::none().with(slow));
        let (go_on, word) = mpsc::channel();
        site.proxy = Some(holding(site.emulator.address(), "/model/v1/generation", word));
        site.rows("rows.csv", 1);
        let run = RunningCommand::new(site.command(&LINE));
        wait_until(|| !site.proxy.as_ref().unwrap().requests().is_empty());
        done(&site);
        go_on.send(()).unwrap();
        wait_until(|| looked_at(&site) == 1);
        (site, run)
    }

    /// To that copy the submission is of unknown outcome, until the folder tells of the task.
    #[test]
    fn a_copy_from_while_it_submitted_learns_of_the_task_from_what_a_killed_one_left() {
        let (site, run) = copied_meanwhile();
        run.signal("KILL");
        run.end();
        lose_journal(&site);
        fs::rename(site.path("copy.db"), site.path("first.db")).unwrap();
        let ran = site.run(&LINE).exits(2);
        take_in(&site, "first.db", &ran);
        go_on(&site, &LINE, 1);
        assert_eq!(site.accepted_once(), 1);
    }

    #[test]
    fn a_copy_from_while_it_submitted_learns_of_the_task_from_the_folder() {
        let (site, run) = copied_meanwhile();
        run.signal("INT");
        run.end().exits(130);
        lose_journal(&site);
        fs::rename(site.path("copy.db"), site.path("first.db")).unwrap();
        go_on(&site, &LINE, 1);
        assert_eq!(site.accepted_once(), 1);
    }

    /// Such a copy has the journal's id, and knows nothing of what was submitted since.
    #[test]
    fn a_copy_of_the_journal_from_before_is_not_taken_for_it() {
        let site = Site::new();
        site.write("before.csv", "template,image\nglass_ball,https://example.com/before.jpg\n");
        site.batch("before.csv", &["--journal", "first.db"]).exits(0);
        site.run(&["journal", "backup", "copy.db", "--journal", "first.db"]).exits(0);
        killed(&site);
        lose_journal(&site);
        let seen = site.emulator.requests().len();
        let ran = site.run(&[&LINE[..], &["--plan"]].concat()).exits(2);
        assert!(ran.stderr.contains("deleted or replaced"), "{ran:?}");
        fs::copy(site.path("copy.db"), site.path("first.db")).unwrap();
        for more in [&["--plan"][..], &[]] {
            let ran = site.run(&[&LINE[..], more].concat()).exits(2);
            for said in ["older copy", "--pay-again", "nothing was sent"] {
                assert!(ran.stderr.contains(said), "{said:?} is missing: {ran:?}");
            }
            if more.is_empty() {
                take_in(&site, "first.db", &ran);
            }
        }
        assert_eq!(site.emulator.requests().len(), seen);
        go_on(&site, &LINE, 3);
        assert_eq!(site.accepted_once(), 4);
    }

    #[test]
    fn where_its_journal_is_lost_the_folder_has_the_tasks_of_a_killed_one() {
        let site = Site::new();
        killed(&site);
        let line = LINE.map(|word| if word == "first.db" { "second.db" } else { word });
        let ran = site.run(&line).exits(2);
        take_in(&site, "second.db", &ran);
        for file in marks(&site).into_iter().chain(submitted(&site)) {
            assert!(ran.stderr.contains(file.to_str().unwrap()), "{ran:?}");
            fs::remove_file(file).unwrap();
        }
        go_on(&site, &line, 3);
        assert_eq!(site.accepted_once(), 3);
    }

    #[test]
    fn tasks_that_cannot_be_noted_beside_the_pictures_are_told_of() {
        let (site, run) = submitting_while(|site| {
            fs::create_dir(marks(site)[0].with_extension("submitted")).unwrap();
        });
        run.signal("INT");
        let ran = run.end().exits(130);
        assert!(ran.stderr.contains("its journal alone has the tasks"), "{ran:?}");
        assert_eq!((site.accepted_once(), marks(&site).len()), (1, 0));
    }

    /// Its rows are told of by nothing else there.
    #[test]
    fn one_that_cannot_write_the_manifest_leaves_its_mark() {
        let (site, run) = submitting(2);
        let manifest = site.path("out/manifest.jsonl");
        let _ = fs::remove_file(&manifest);
        fs::create_dir(&manifest).unwrap();
        run.signal("INT");
        let ran = run.end();
        assert!(ran.stderr.contains("manifest.jsonl"), "{ran:?}");
        fs::remove_dir(&manifest).unwrap();
        refused(&site, "was broken off in");
        go_on(&site, &LINE, 2);
        assert_eq!(site.accepted_once(), 2);
    }

    #[test]
    fn the_mark_of_a_killed_one_stays_where_the_next_does_not_begin() {
        let (site, run) = submitting(2);
        run.signal("KILL");
        run.end();
        site.run(&[&LINE[..], &["--on-done", "no-such-program"]].concat()).exits(2);
        refused(&site, "was broken off in");
        go_on(&site, &LINE, 2);
        assert_eq!(site.accepted_once(), 2);
    }

    #[test]
    fn other_rows_have_another_journal_beside_one_that_runs_and_after_a_kill() {
        let (site, run) = submitting(2);
        site.emulator.follow(FaultPlan::none()).unwrap();
        let others = |name: &str, photo: &str| {
            site.write(
                name,
                format!("template,image\nglass_ball,https://example.com/{photo}.jpg\n"),
            );
            site.batch(name, &["--journal", "second.db", "--json"]).exits(0);
        };
        others("beside.csv", "beside");
        run.signal("KILL");
        run.end();
        others("after.csv", "after");
        assert_eq!((site.accepted_once(), marks(&site).len()), (4, 1));
        // Nor does the first journal's own batch of other rows take the mark of these away.
        site.write("more.csv", "template,image\nglass_ball,https://example.com/more.jpg\n");
        site.batch("more.csv", &["--journal", "first.db"]).exits(0);
        assert_eq!((site.accepted_once(), marks(&site).len()), (5, 1));
        site.write("all.csv", "template,image\nglass_ball,https://example.com/1.jpg\n");
        let ran = site.batch("all.csv", &["--journal", "second.db"]).exits(2);
        assert!(ran.stderr.contains("1 of these rows"), "{ran:?}");
        assert_eq!(site.accepted_once(), 5);
    }

    #[test]
    fn a_person_may_pay_once_more_for_what_a_killed_one_has_paid_for() {
        let (site, run) = submitting(2);
        run.signal("KILL");
        run.end();
        site.emulator.follow(FaultPlan::none()).unwrap();
        let ran = site.batch("rows.csv", &["--journal", "second.db", "--pay-again"]).exits(0);
        assert_eq!((site.emulator.counts().accepted, marks(&site).len()), (4, 0));
        // The tasks that were paid for before are still to be found.
        let listed = submitted(&site).pop().unwrap();
        assert!(ran.stderr.contains(listed.to_str().unwrap()), "{ran:?}");
        assert_eq!(objects(&fs::read_to_string(listed).unwrap()).len(), 2);
    }
}
