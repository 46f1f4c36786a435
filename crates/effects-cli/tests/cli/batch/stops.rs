//! What ends a batch before its rows do: a refused key, no credit, Ctrl-C, a journal that is none.

use std::fs;

use effects_emulator::{Endpoint, ErrorBody, Fault, FaultPlan, FaultRule};

use super::site::{Site, count, rows_and_batch};
use crate::world::CommandOutput;

#[test]
fn a_refused_key_stops_it_at_once() {
    let site = Site::new();
    site.rows("rows.csv", 500);
    let mut command = site.command(&["batch", "rows.csv", "--out", "out", "--json"]);
    let ran = CommandOutput::of(command.env("EFFECTS_API_KEY", "another-key")).exits(3);
    let (rows, batch) = rows_and_batch(&ran);
    // Those in flight, and those that took their place before the first refusal was read.
    assert!(rows.len() < 100 && !rows.is_empty(), "{}", rows.len());
    assert_eq!(batch["refused"].as_u64().unwrap() + batch["not_submitted"].as_u64().unwrap(), 500);
    assert_eq!(site.emulator.requests().len(), rows.len());
    // Every row stands in the manifest all the same.
    assert_eq!((site.results().len(), site.accepted_once()), (500, 0));
    assert!(batch["resume"].as_str().unwrap().starts_with("effects batch rows.csv --out out"));
    assert!(!ran.stdout.contains("another-key") && !ran.stderr.contains("another-key"));
}

#[test]
fn a_refused_key_leaves_finished_rows_finished() {
    let site = Site::new();
    site.rows("rows.csv", 3).batch("rows.csv", &[]).exits(0);
    let before = site.results();
    for row in &before[..2] {
        fs::remove_file(row["path"].as_str().unwrap()).unwrap();
    }
    let line = ["batch", "rows.csv", "--out", "out", "--json", "--poll", "0.05"];
    let ran = CommandOutput::of(site.command(&line).env("EFFECTS_API_KEY", "another-key")).exits(3);
    let (_, batch) = rows_and_batch(&ran);
    let counts = ["completed", "not_downloaded", "running"].map(|it| batch[it].as_u64().unwrap());
    assert_eq!((counts, &batch["cost"]), ([1, 2, 0], &"0.09".into()), "{ran:?}");
    for (row, before) in site.results().iter().zip(&before) {
        assert_eq!((&row["task_id"], &row["cost"]), (&before["task_id"], &"0.03".into()), "{row}");
    }
    site.batch("rows.csv", &[]).exits(0);
    assert_eq!(site.accepted_once(), 3);
}

#[test]
fn a_deadline_leaves_rows_as_they_are_and_the_same_line_goes_on() {
    let slow = FaultRule::on(Endpoint::Create, Fault::Take { seconds: 3600.0 });
    let site = Site::with(FaultPlan::none().with(slow));
    site.rows("rows.csv", 3);
    let ran = site.batch("rows.csv", &["--deadline", "2s", "--in-flight", "1"]).exits(7);
    let (rows, batch) = rows_and_batch(&ran);
    assert_eq!((count(&rows, "running"), &batch["not_submitted"]), (1, &2.into()), "{ran:?}");
    assert_eq!(batch["refused"], 0);
    assert!(count(&rows, "not_submitted") > 0, "{ran:?}");
    assert!(rows.iter().all(|row| row["status"] == "running" || row["how"].is_null()), "{rows:?}");
    let task = rows.iter().find_map(|row| row["task_id"].as_str()).unwrap();
    assert_eq!(ran.stderr.matches(task).count(), 1, "{ran:?}");
    let again =
        "the same line goes on, and pays for nothing twice: effects batch rows.csv --out out";
    assert!(ran.stderr.contains(again), "{ran:?}");
    assert_eq!(site.accepted_once(), 1);
}

#[test]
fn one_page_of_a_firewall_stops_no_batch() {
    for status in [401, 403] {
        let page = || Fault::status_with(status, ErrorBody::Html, None);
        let site = Site::with(
            FaultPlan::none()
                .with(FaultRule::on(Endpoint::Create, page()).nth(2))
                .with(FaultRule::on(Endpoint::Task, page()).first(3)),
        );
        site.rows("rows.csv", 40);
        let (rows, batch) = rows_and_batch(&site.batch("rows.csv", &["--json"]).exits(3));
        assert_eq!((count(&rows, "completed"), count(&rows, "refused")), (39, 1), "{batch}");
        assert_eq!(batch["not_submitted"], 0);
        site.batch("rows.csv", &[]).exits(0);
        assert_eq!(site.accepted_once(), 40);
    }
}

#[test]
fn a_batch_whose_pictures_cannot_be_found_pays_for_a_few_and_no_more() {
    let bare = FaultRule::on(Endpoint::Create, Fault::NoUrl);
    let site = Site::with(FaultPlan::none().with(bare));
    site.rows("rows.csv", 200);
    let (rows, batch) =
        rows_and_batch(&site.batch("rows.csv", &["--json", "--in-flight", "4"]).exits(4));
    let paid = site.accepted_once();
    assert!((3..=7).contains(&paid), "{paid} of {batch}");
    assert_eq!(count(&rows, "failed") as u64, paid);
    let refused: Vec<_> = rows.iter().filter(|row| row["status"] == "refused").collect();
    assert_eq!(refused.len() as u64, 200 - paid);
    for row in refused {
        assert_eq!(row["error"]["kind"], "no_picture", "{row}");
        assert!(row["error"]["message"].as_str().unwrap().contains("nothing is billed"), "{row}");
    }
}

#[test]
fn without_credit_nothing_more_is_tried_and_what_is_paid_for_is_fetched() {
    let site = Site::with(FaultPlan::none().balance("0.30".parse().unwrap()));
    site.rows("rows.csv", 200);
    let (rows, batch) = rows_and_batch(&site.batch("rows.csv", &["--json"]).exits(6));
    assert_eq!((count(&rows, "completed"), site.accepted_once()), (10, 10));
    assert!(batch["not_submitted"].as_u64().unwrap() > 100, "{batch}");
    site.pictures_are_there();
}

#[test]
fn a_picture_that_cannot_be_fetched_is_fetched_by_the_next_run() {
    let broken = FaultRule::on(Endpoint::File, Fault::status(403)).first(1);
    let site = Site::with(FaultPlan::none().with(broken));
    site.rows("rows.csv", 3);
    let (rows, _) = rows_and_batch(&site.batch("rows.csv", &["--json"]).exits(7));
    assert_eq!((count(&rows, "completed"), count(&rows, "not_downloaded")), (2, 1));
    assert!(rows.iter().all(|row| row["cost"] == "0.03"), "{rows:?}");
    site.batch("rows.csv", &[]).exits(0);
    assert_eq!(site.accepted_once(), 3);
}

#[test]
fn a_doubtful_row_without_a_known_price_keeps_a_budget_from_being_spent() {
    let lost = FaultRule::on(Endpoint::Create, Fault::lost()).first(1);
    let site = Site::with(FaultPlan::none().with(lost));
    site.rows("rows.csv", 1).batch("rows.csv", &[]).exits(8);
    site.rows("rows.csv", 5);
    let ran = site.batch("rows.csv", &["--json", "--budget", "0.06"]).exits(6);
    assert!(ran.object()["message"].as_str().unwrap().contains("--price"), "{ran:?}");
    assert_eq!(site.accepted_once(), 1);
    // With a price, what is doubtful keeps its part.
    let priced = ["--json", "--budget", "0.06", "--price", "0.03"];
    let (rows, _) = rows_and_batch(&site.batch("rows.csv", &priced).exits(8));
    assert_eq!((count(&rows, "completed"), count(&rows, "refused")), (1, 3));
    assert_eq!(site.accepted_once(), 2);
}

#[test]
fn an_unwritable_journal_stops_a_batch_before_anything_is_sent() {
    let site = Site::new();
    site.rows("rows.csv", 2).write("file", "not a folder").write("none.db", [b'x'; 4096]);
    for (state, more) in [
        ("file", &[][..]),
        ("state", &["--journal", "none.db"]),
        ("state", &["--journal", "file/where.db"]),
    ] {
        let arguments = [&["batch", "rows.csv", "--out", "out", "--json"][..], more].concat();
        let ran =
            CommandOutput::of(site.command(&arguments).env("EFFECTS_STATE_DIR", site.path(state)));
        let ran = ran.exits(2);
        assert_eq!(ran.object()["kind"], "misconfigured", "{ran:?}");
    }
    assert!(site.emulator.requests().is_empty());
    // A single run goes on: its id is printed.
    let mut submit = site.command(&["submit", "glass_ball", "https://example.com/a.jpg"]);
    let ran = CommandOutput::of(submit.env("EFFECTS_STATE_DIR", site.path("file"))).exits(0);
    assert!(ran.stderr.contains("warning: this task is not journaled"), "{ran:?}");
    // Nor does a journal that cannot be read keep `wait` from its task.
    site.write("broken/journal.db", [b'x'; 4096]);
    let id = ran.stdout.trim();
    let arguments = ["wait", id, "--no-download", "--poll", "0.05"];
    for (quiet, said) in [(&[][..], true), (&["--quiet"], false)] {
        let waits = [&arguments[..], quiet].concat();
        let submits = [&["submit", "glass_ball", "https://example.com/a.jpg"][..], quiet].concat();
        for arguments in [waits, submits] {
            let mut command = site.command(&arguments);
            let ran = CommandOutput::of(command.env("EFFECTS_STATE_DIR", site.path("broken")));
            let ran = ran.exits(0);
            assert_eq!(ran.stderr.contains("not journaled"), said, "{arguments:?}: {ran:?}");
            assert!(said || ran.stderr.is_empty(), "{ran:?}");
        }
    }
    assert_eq!(fs::read_to_string(site.path("file")).unwrap(), "not a folder");
}

#[cfg(unix)]
mod interrupted {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::world::{RunningCommand, TIMEOUT};

    fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !done() {
            assert!(begun.elapsed() < TIMEOUT, "never {what}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    #[test]
    fn the_first_ctrl_c_submits_nothing_more_and_the_same_line_goes_on() {
        let slow = FaultRule::on(Endpoint::Create, Fault::Take { seconds: 3600.0 });
        let site = Site::with(FaultPlan::none().with(slow.first(5)));
        site.rows("rows.csv", 200);
        // The key of the command line is not for the line to run again.
        let key = site.emulator.api_key();
        let line =
            ["batch", "rows.csv", "--out", "out", "--json", "--api-key", key, "--poll", "0.05"];
        let mut command = site.command(&line);
        command.env_remove("EFFECTS_API_KEY");
        let mut run = RunningCommand::new(command);
        wait_until("busy", || site.emulator.counts().accepted >= 12);
        run.signal("INT");
        run.wait_for_text("nothing more is submitted");
        let ran = run.end().exits(130);
        assert!(ran.stderr.contains("go on with the same line, nothing is paid twice: effects batch rows.csv --out out --json --poll 0.05"), "{ran:?}");
        assert!(!ran.stderr.contains(key) && !ran.stdout.contains(key));
        let (rows, batch) = rows_and_batch(&ran);
        let accepted = site.accepted_once();
        assert!(accepted < 200);
        assert_eq!(
            count(&rows, "running") + count(&rows, "completed") + count(&rows, "not_downloaded"),
            usize::try_from(accepted).unwrap(),
            "each paid task is known: {batch}"
        );
        assert_eq!((site.results().len(), batch["doubtful"].as_u64()), (200, Some(0)));
        assert_eq!(site.run(&["tasks", "--doubtful"]).exits(0).stdout, "");
        let unfinished = site.run(&["tasks", "--unfinished"]).exits(0);
        assert_eq!(
            unfinished.stdout.lines().count(),
            accepted as usize - count(&rows, "completed")
        );
    }

    #[test]
    fn open_tasks_of_earlier_runs_count_in_the_budget_before_their_price_is_known() {
        let slow = FaultRule::on(Endpoint::Create, Fault::Take { seconds: 2.0 });
        let site = Site::with(FaultPlan::none().with(slow));
        site.rows("rows.csv", 10);
        let line = ["batch", "rows.csv", "--out", "out", "--poll", "0.05", "--in-flight", "4"];
        let run = RunningCommand::new(site.command(&line));
        wait_until("busy", || site.emulator.counts().accepted >= 4);
        run.signal("INT");
        run.end().exits(130);
        assert_eq!(site.accepted_once(), 4);
        site.emulator.follow(FaultPlan::none()).unwrap();
        let (rows, batch) =
            rows_and_batch(&site.batch("rows.csv", &["--json", "--budget", "0.15"]).exits(6));
        assert_eq!((count(&rows, "completed"), count(&rows, "refused")), (5, 5), "{batch}");
        assert_eq!((site.accepted_once(), batch["cost"].as_str()), (5, Some("0.15")));
    }

    #[test]
    fn resuming_can_be_interrupted_and_loses_nothing() {
        let slow = FaultRule::on(Endpoint::Create, Fault::Take { seconds: 3600.0 });
        let site = Site::with(FaultPlan::none().with(slow));
        site.run(&["submit", "glass_ball", "https://example.com/a.jpg"]).exits(0);
        let run = RunningCommand::new(site.command(&["resume", "--poll", "0.05"]));
        wait_until("looked at", || site.emulator.requests().len() >= 3);
        run.signal("INT");
        let ran = run.end().exits(130);
        assert!(ran.stderr.contains("wait on with: effects resume --poll 0.05"), "{ran:?}");
        assert_eq!(site.run(&["tasks", "--unfinished"]).exits(0).stdout.lines().count(), 1);
        assert_eq!(site.accepted_once(), 1);
    }

    #[test]
    fn the_second_one_leaves_at_once_and_says_that_tasks_may_exist() {
        let hangs = FaultRule::on(
            Endpoint::Create,
            Fault::Hang { when: effects_emulator::Moment::After, seconds: 3600.0 },
        );
        let site = Site::with(FaultPlan::none().with(hangs));
        site.rows("rows.csv", 50);
        let mut run =
            RunningCommand::new(site.command(&["batch", "rows.csv", "--out", "out", "--json"]));
        wait_until("submitting", || site.emulator.counts().accepted >= 1);
        run.signal("INT");
        run.wait_for_text("interrupt again to leave at once");
        run.signal("INT");
        let ran = run.end().exits(130);
        assert!(ran.stderr.contains("those tasks may exist and may be billed"), "{ran:?}");
        let ran = site.run(&["tasks", "--doubtful", "--json"]).exits(0);
        assert!(ran.stdout.lines().count() as u64 >= site.accepted_once(), "{ran:?}");
        // Nothing of it is sent again by itself.
        site.emulator.follow(FaultPlan::none()).unwrap();
        let (rows, batch) = rows_and_batch(&site.batch("rows.csv", &["--json"]).exits(8));
        assert_eq!(count(&rows, "completed") + count(&rows, "doubtful"), 50, "{batch}");
        site.accepted_once();
    }

    #[test]
    fn what_is_printed_after_the_second_ctrl_c_is_what_the_journal_says() {
        let hangs = FaultRule::on(
            Endpoint::Create,
            Fault::Hang { when: effects_emulator::Moment::After, seconds: 3600.0 },
        );
        let site = Site::with(FaultPlan::none().with(hangs));
        site.photo("cat.png", 1);
        let mut rows = "template,image\nglass_ball,cat.png\n".to_owned();
        (0..50).for_each(|row| rows.push_str(&format!("my_world,https://example.com/{row}.jpg\n")));
        site.write("rows.csv", rows);
        let mut run =
            RunningCommand::new(site.command(&["batch", "rows.csv", "--out", "out", "--json"]));
        wait_until("submitting", || site.emulator.counts().accepted >= 4);
        run.signal("INT");
        run.wait_for_text("interrupt again to leave at once");
        run.signal("INT");
        let ran = run.end().exits(130);
        let (_, batch) = rows_and_batch(&ran);
        let listed = site.run(&["tasks", "--doubtful", "--json"]).exits(0);
        let listed: Vec<u64> = super::super::site::objects(&listed.stdout)
            .iter()
            .map(|row| row["row"].as_u64().unwrap())
            .collect();
        assert!(listed.len() >= 4);
        assert_eq!(batch["doubtful"].as_u64(), Some(listed.len() as u64), "{batch}");
        let results = site.results();
        assert_eq!(results.len(), 51);
        let mut doubtful: Vec<u64> = results
            .iter()
            .filter(|row| row["status"] == "doubtful")
            .map(|row| row["row"].as_u64().unwrap())
            .collect();
        doubtful.sort_unstable();
        assert_eq!(doubtful, listed);
        for row in results.iter().filter(|row| row["status"] == "doubtful") {
            let why = row["error"]["message"].as_str().unwrap();
            assert!(why.contains("effects resolve") && row["error"]["exit_code"] == 8, "{row}");
            assert!(why.starts_with("it was being submitted when this run was left"), "{row}");
        }
    }

    /// An interrupted run that did not come to every row says of those what earlier runs wrote.
    #[test]
    fn rows_that_an_interrupted_run_did_not_come_to_are_told_as_the_journal_has_them() {
        let site = Site::new();
        // Of the last one only its photo's content tells which row it is.
        let mut done: String =
            (0..4).map(|row| format!("glass_ball,https://example.com/{row}.jpg\n")).collect();
        done.push_str("glass_ball,cat.png\n");
        site.photo("cat.png", 1).write("done.csv", format!("template,image\n{done}"));
        site.batch("done.csv", &[]).exits(0);
        let slow = FaultRule::on(Endpoint::Create, Fault::Take { seconds: 3600.0 });
        site.emulator.follow(FaultPlan::none().with(slow)).unwrap();
        let mut rows = "template,image\n".to_owned();
        (0..300)
            .for_each(|row| rows.push_str(&format!("my_world,https://example.com/{row}.jpg\n")));
        site.write("rows.csv", rows + &done);
        let line = ["batch", "rows.csv", "--out", "out", "--json", "--poll", "0.05"];
        let run = RunningCommand::new(site.command(&line));
        wait_until("busy", || site.emulator.counts().accepted >= 5 + 16);
        run.signal("INT");
        let ran = run.end().exits(130);
        let (_, batch) = rows_and_batch(&ran);
        let left = &batch["errors"]["detached"];
        let words = format!("errors: {left} detached (stopped before the end)");
        assert!(left.is_u64() && ran.stderr.contains(&words), "{words}: {}", ran.stderr);
        let done: Vec<_> = site.results()[300..].to_vec();
        assert!(done.iter().all(|row| row["status"] == "completed"), "{done:?}");
        assert!(done.iter().all(|row| row["task_id"].is_string()), "{done:?}");
        assert_eq!((batch["completed"].as_u64(), batch["cost"].as_str()), (Some(5), Some("0.15")));
    }

    #[test]
    fn what_an_interrupted_run_has_spent_is_told_whether_or_not_its_pictures_were_fetched() {
        let hangs = Fault::Hang { when: effects_emulator::Moment::Before, seconds: 3600.0 };
        let site = Site::with(FaultPlan::none().with(FaultRule::on(Endpoint::File, hangs)));
        site.rows("rows.csv", 3);
        let line = ["batch", "rows.csv", "--out", "out", "--json", "--poll", "0.05"];
        let mut run = RunningCommand::new(site.command(&line));
        let downloads = || {
            let seen = site.emulator.requests();
            seen.iter().filter(|seen| seen.endpoint == Endpoint::File).count()
        };
        wait_until("downloading", || downloads() == 3);
        run.signal("INT");
        run.wait_for_text("interrupt again to leave at once");
        run.signal("INT");
        let (rows, batch) = rows_and_batch(&run.end().exits(130));
        assert_eq!((batch["spent"].as_str(), batch["cost"].as_str()), (Some("0.09"), Some("0.09")));
        assert_eq!(count(&rows, "not_downloaded"), 3);
        assert!(rows.iter().all(|row| row["how"] == "submitted"), "{rows:?}");
    }

    #[test]
    fn a_hang_up_is_an_interruption_unless_it_is_ignored() {
        let slow = FaultRule::on(Endpoint::Create, Fault::Take { seconds: 3600.0 });
        let site = Site::with(FaultPlan::none().with(slow));
        site.rows("rows.csv", 1);
        let line = ["batch", "rows.csv", "--out", "out", "--json", "--poll", "0.05"];
        let mut run = RunningCommand::new(site.command(&line));
        wait_until("busy", || site.emulator.counts().accepted >= 1);
        run.signal("HUP");
        run.wait_for_text("nothing more is submitted");
        let (rows, _) = rows_and_batch(&run.end().exits(130));
        assert_eq!(count(&rows, "running"), 1);

        // As `nohup` starts it.
        site.emulator.follow(FaultPlan::none()).unwrap();
        let short = FaultRule::on(Endpoint::Create, Fault::Take { seconds: 2.0 });
        site.emulator.follow(FaultPlan::none().with(short)).unwrap();
        site.write("rows.csv", "template,image\nmy_world,https://example.com/x.jpg\n");
        let inner = site.command(&line);
        let words: Vec<&str> = std::iter::once(inner.get_program())
            .chain(inner.get_args())
            .map(|word| word.to_str().unwrap())
            .collect();
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", &format!("trap '' HUP; exec {}", words.join(" "))]).env_clear();
        shell.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        shell.current_dir(site.folder.path());
        let run = RunningCommand::new(shell);
        wait_until("busy", || site.emulator.counts().accepted >= 2);
        run.signal("HUP");
        run.end().exits(0);
    }
}
