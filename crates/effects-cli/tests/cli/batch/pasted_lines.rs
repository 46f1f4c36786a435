//! Lines that the command tells to paste: each finds the journal, the gateway and the key of the command
//! that told it, and puts pictures where that one wanted them.

use std::process::Command;

use effects_emulator::{Endpoint, Fault, FaultPlan, FaultRule};

use super::site::{Site, objects};
use crate::world::CommandOutput;

/// A name that a shell takes apart where it is not quoted.
const JOURNAL: &str = "my journal.db";
const RUN: [&str; 3] = ["run", "glass_ball", "https://example.com/cat.jpg"];

impl Site {
    /// Runs a line in a shell, in the folder and environment of the command that told it.
    fn paste(&self, line: &str) -> CommandOutput {
        let binary = std::path::Path::new(env!("CARGO_BIN_EXE_effects"));
        let folders = std::env::var("PATH").unwrap();
        let path = format!("{}:{folders}", binary.parent().unwrap().display());
        let mut shell = Command::new("sh");
        shell
            .args(["-c", line])
            .env_clear()
            .env("PATH", path)
            .env("EFFECTS_STATE_DIR", self.state.path())
            .env("EFFECTS_API_KEY", self.emulator.api_key())
            .env("EFFECTS_BASE_URL", self.base_url())
            .current_dir(self.folder.path());
        CommandOutput::of(&mut shell)
    }

    /// The standings of the rows of a journal, by their numbers.
    fn standings(&self, journal: &[&str]) -> Vec<String> {
        let listed = self.run(&[&["tasks", "--json"], journal].concat()).exits(0);
        let rows = objects(&listed.stdout);
        rows.iter().map(|row| row["standing"].as_str().unwrap().to_owned()).collect()
    }
}

/// The lines between backticks that begin like this.
fn lines_in(text: &str, begins: &str) -> Vec<String> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted.filter(|line| line.starts_with(begins)).map(str::to_owned).collect()
}

fn lost(count: u64) -> FaultPlan {
    FaultPlan::none().with(FaultRule::on(Endpoint::Create, Fault::lost()).first(count))
}

#[test]
fn a_doubtful_row_is_resolved_in_the_journal_that_has_it() {
    let named = ["--journal", JOURNAL];
    let batch = ["batch", "rows.csv", "--out", "out", "--poll", "0.05"];
    for arguments in [&RUN[..], &batch] {
        let site = Site::with(lost(2));
        site.rows("rows.csv", 1)
            .write("other.csv", "template,image\nmy_world,https://example.com/o.jpg\n");
        // Row 1 of the usual journal is doubtful, too.
        site.run(&["batch", "other.csv", "--out", "other"]).exits(8);
        let ran = site.run(&[arguments, &named].concat()).exits(8);
        let lines = lines_in(&ran.stderr, "effects resolve 1 ");
        assert!(lines.len() >= 2, "{ran:?}");
        assert!(lines.iter().all(|line| line.contains("my journal.db'")), "{ran:?}");
        let released = lines.iter().find(|line| line.contains("--not-billed")).unwrap();
        let ran = site.paste(released).exits(0);
        assert!(ran.stdout.contains("row 1 is released: glass_ball of https://"), "{ran:?}");
        assert!(ran.stdout.contains(", sent with X-Request-Id "), "{ran:?}");
        assert_eq!(site.standings(&named), ["released"]);
        assert_eq!(site.standings(&[]), ["doubtful"]);
    }
}

#[test]
fn what_is_told_of_the_rows_of_a_journal_names_it() {
    let site = Site::with(lost(1));
    let named = ["--journal", JOURNAL];
    let batch = ["batch", "rows.csv", "--out", "out", "--poll", "0.05"];
    site.rows("rows.csv", 1).run(&[&batch[..], &named].concat()).exits(8);
    for (command, begins) in [
        (&["doctor"][..], "effects resume --journal "),
        (&["doctor"], "effects tasks --doubtful --journal "),
        (&["batch", "rows.csv", "--out", "out", "--plan"], "effects tasks --doubtful --journal "),
        (&["reorder", "1"], "effects resolve 1 --not-billed --journal "),
    ] {
        let ran = site.run(&[command, &named].concat());
        let lines = lines_in(&format!("{}{}", ran.stdout, ran.stderr), begins);
        assert!(lines.iter().any(|line| line.contains("my journal.db'")), "{begins}: {ran:?}");
        assert_eq!(site.paste(&lines[0]).code, Some(if begins.contains("resume") { 8 } else { 0 }));
    }
    assert_eq!(site.standings(&named), ["released"]);
    // A task that goes on.
    let site = Site::new();
    site.run(&[&["submit"], &RUN[1..], &named].concat()).exits(0);
    let ran = site.run(&[&["reorder", "1"][..], &named].concat()).exits(2);
    let line = lines_in(&ran.stderr, "effects resume --journal ").remove(0);
    site.paste(&line).exits(0);
    let ran = site.run(&[&["resolve", "1", "--not-billed"][..], &named].concat()).exits(2);
    let line = lines_in(&ran.stderr, "effects reorder 1 --journal ").remove(0);
    site.paste(&line).exits(0);
    assert_eq!(site.emulator.counts().accepted, 2);
}

#[test]
fn a_wait_that_goes_on_has_the_picture_and_the_end_where_they_were_wanted() {
    // Looks that are refused end a wait at once.
    let refused = |looks| {
        let rule = FaultRule::on(Endpoint::Task, Fault::status(401)).first(looks);
        Site::with(FaultPlan::none().with(rule))
    };
    let picture = ["-o", "my picture.png"];
    for journal in [&["--journal", JOURNAL][..], &[]] {
        let site = refused(2);
        let ran = site.run(&[&RUN[..], &picture, journal, &["--json"]].concat()).exits(3);
        let line = ran.object()["resume"].as_str().unwrap().to_owned();
        assert!(line.contains(" -o 'my picture.png'"), "{line}");
        assert_eq!(line.contains("--journal"), !journal.is_empty(), "{line}");
        // A line of `wait` hands them on.
        let again = site.paste(&format!("{line} --json")).exits(3).object();
        assert_eq!(again["resume"], line.as_str());
        site.paste(&line).exits(0);
        assert!(site.path("my picture.png").exists());
        assert_eq!(site.standings(journal), ["completed"]);
        assert_eq!(site.emulator.counts().accepted, 1);
    }
    let site = refused(1);
    let without = ["--no-download", "--json"];
    let ran = site.run(&[&RUN[..], &without].concat()).exits(3);
    assert!(ran.object()["resume"].as_str().unwrap().ends_with(" --no-download"), "{ran:?}");
    let submitted = site.run(&["submit", RUN[1], RUN[2], "--journal", JOURNAL, "--json"]).exits(0);
    site.paste(submitted.object()["resume"].as_str().unwrap()).exits(0);
    assert_eq!(site.standings(&["--journal", JOURNAL]), ["completed"]);
}

#[test]
fn a_wait_does_not_go_on_without_the_journal_it_is_told() {
    let site = Site::new();
    let ran = site.run(&["wait", "task-1", "--journal", "none.db"]).exits(2);
    assert!(ran.stderr.contains("--journal none.db: there is no such file"), "{ran:?}");
    assert!(site.emulator.requests().is_empty());
}
