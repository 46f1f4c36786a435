//! `--cassette` and `EFFECTS_CASSETTE`: a command is recorded once and replayed without key and network.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use effects_emulator::{ClockKind, Emulator, Latency, Pictures};
use serde_json::{Value, json};

use crate::world::{CommandOutput, KEY, World};

/// The cassette that every client of this library replays in its tests.
fn shared() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/cassettes/one-run.json")
}

fn emulator() -> Emulator {
    let emulator = Emulator::builder().pictures(Pictures::Stub).api_key(KEY);
    emulator.latency(Latency::fixed(Duration::from_millis(200))).start().unwrap()
}

/// An emulator whose tasks end when its clock is moved on.
fn stopped_emulator() -> Emulator {
    let emulator = Emulator::builder().pictures(Pictures::Stub).api_key(KEY);
    let emulator = emulator.latency(Latency::fixed(Duration::from_secs(60)));
    emulator.clock(ClockKind::Virtual).start().unwrap()
}

/// The command with nothing set but a cassette: by the environment or by its option.
fn replays(world: &World, cassette: &Path, by_option: bool, arguments: &[&str]) -> CommandOutput {
    let mut command = world.bare(arguments);
    if by_option {
        command.arg("--cassette").arg(cassette);
    } else {
        command.env("EFFECTS_CASSETTE", cassette);
    }
    CommandOutput::of(&mut command)
}

#[test]
fn a_run_is_recorded_and_replayed_without_key_and_network() {
    let world = World::new();
    let (photo, emulator) = (world.photo(), emulator());
    let cassette = world.path("run.json");
    let mut command = world.bare(&["run", "glass_ball", photo, "-vvv", "-o", "first.png"]);
    command.env("EFFECTS_API_KEY", KEY).env("EFFECTS_BASE_URL", emulator.base_url());
    let recorded = CommandOutput::of(command.env("EFFECTS_CASSETTE", &cassette)).exits(0);
    assert!(!recorded.stderr.contains(KEY));
    assert!(recorded.stderr.contains("recording to "), "{}", recorded.stderr);
    let exchanges = emulator.requests().len();
    emulator.stop();
    let text = fs::read_to_string(&cassette).unwrap();
    assert!(!text.contains(KEY) && !text.contains("uthorization"), "{text}");
    let tape: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(tape["exchanges"].as_array().unwrap().len(), exchanges);
    for by_option in [false, true] {
        let line = ["run", "glass_ball", photo, "--json", "-o", "again.png"];
        let ran = replays(&world, &cassette, by_option, &line).exits(0);
        assert!(ran.stderr.contains("nothing is sent"), "{}", ran.stderr);
        let result: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(result["cost"], "0.03", "{result}");
        assert_eq!(
            fs::read(world.path("again.png")).unwrap(),
            fs::read(world.path("first.png")).unwrap()
        );
        fs::remove_file(world.path("again.png")).unwrap();
    }
    // The journal knows what was paid, and of no replay but one that a journal is named for.
    let named = world.path("named.db");
    let named = named.to_str().unwrap();
    let line = ["run", "glass_ball", photo, "-o", "again.png", "--journal", named];
    replays(&world, &cassette, true, &line).exits(0);
    let rows = |more: &[&str]| {
        let ran =
            CommandOutput::of(&mut world.bare(&[&["tasks", "--json"], more].concat())).exits(0);
        (ran.stdout.lines().count(), ran.stdout.contains("http://replay.localhost"))
    };
    assert_eq!(rows(&[]), (1, false));
    assert_eq!(rows(&["--journal", named]), (1, true));
    let cost = CommandOutput::of(&mut world.bare(&["cost"])).exits(0);
    assert!(!cost.stdout.contains("0.06"), "{}", cost.stdout);
}

#[test]
fn the_cassette_of_all_clients_is_replayed_by_the_command() {
    let world = World::new();
    fs::write(world.path("chelsea.png"), crate::world::PHOTO).unwrap();
    let line =
        ["run", "glass_ball", "chelsea.png", "--width", "512", "--height", "512", "-o", "a.png"];
    replays(&world, &shared(), true, &line).exits(0);
    assert_eq!(fs::read(world.path("a.png")).unwrap(), picture_of(&shared()));
    // In two steps, too: a task that is over is shown as often as it is asked for.
    let ran = replays(
        &world,
        &shared(),
        false,
        &["submit", "glass_ball", "chelsea.png", "--width", "512", "--height", "512"],
    );
    let task = ran.exits(0).stdout.trim().to_owned();
    replays(&world, &shared(), false, &["wait", &task, "-o", "b.png"]).exits(0);
    assert_eq!(fs::read(world.path("b.png")).unwrap(), picture_of(&shared()));
}

/// The picture beside a cassette.
fn picture_of(cassette: &Path) -> Vec<u8> {
    let mut files = fs::read_dir(cassette.with_extension("files")).unwrap();
    fs::read(files.next().unwrap().unwrap().path()).unwrap()
}

#[test]
fn what_was_not_recorded_is_an_error_that_shows_the_difference() {
    let world = World::new();
    fs::write(world.path("chelsea.png"), crate::world::PHOTO).unwrap();
    let line = ["run", "glass_ball", "chelsea.png", "--width", "1024", "--height", "512"];
    let ran = replays(&world, &shared(), true, &line).exits(7);
    for words in ["no such exchange", "width is 1024", "512 in the cassette", "one-run.json"] {
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
    }
    ends_a_replay(&ran);
    let whole = fs::read(shared()).unwrap();
    let files: [(&str, &[u8], &str); 4] = [
        ("broken.json", &whole[..whole.len() / 2], "to record anew, remove it"),
        (
            "rows.csv",
            b"template,image\nglass_ball,chelsea.png\n",
            "it is no cassette: name another file",
        ),
        ("own.json", b"{\"rows\": 1}", "it is no cassette: name another file"),
        ("photo.png", crate::world::PHOTO, "it is no cassette: name another file"),
    ];
    for (name, content, words) in files {
        fs::write(world.path(name), content).unwrap();
        let ran = replays(&world, &world.path(name), true, &line).exits(2);
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
        assert!(!ran.stderr.contains("expected"), "{}", ran.stderr);
        assert_eq!(name != "broken.json", !ran.stderr.contains("remove"), "{}", ran.stderr);
    }
    assert_eq!(world.server.requests().len(), 0);
}

#[test]
fn a_batch_is_recorded_and_replayed() {
    let world = World::new();
    let (photo, emulator) = (world.photo(), emulator());
    let rows: String = (0..8).map(|row| format!("glass_ball,{photo},row-{row}\n")).collect();
    fs::write(world.path("rows.csv"), format!("template,image,key\n{rows}")).unwrap();
    let mut command =
        world.bare(&["batch", "rows.csv", "--out", "first", "--cassette", "run.json"]);
    command.env("EFFECTS_API_KEY", KEY).env("EFFECTS_BASE_URL", emulator.base_url());
    CommandOutput::of(&mut command).exits(0);
    emulator.stop();
    let line = ["batch", "rows.csv", "--out", "again", "--cassette", "run.json"];
    let ran = CommandOutput::of(&mut world.bare(&line)).exits(0);
    assert!(
        ran.stderr.contains("; a replay, which pays nothing: its recording says 0.24 USD; "),
        "{}",
        ran.stderr
    );
    assert!(!ran.stderr.contains("USD spent"), "{}", ran.stderr);
    let pictures = |folder: &str| {
        let names = crate::world::names(&world.path(folder)).into_iter();
        names.filter(|name| name.ends_with(".png")).count()
    };
    assert_eq!((pictures("first"), pictures("again")), (8, 8));
    // The folder that was paid for is no replay's: each line says so before anything is written.
    let files = || {
        let read = |name: String| (fs::read(world.path("first").join(&name)).ok(), name);
        crate::world::names(&world.path("first")).into_iter().map(read).collect::<Vec<_>>()
    };
    let before = files();
    let line = ["batch", "rows.csv", "--out", "first", "--cassette", "run.json", "--json"];
    let budget = ["--budget", "1", "--price", "0.05"];
    let watch = ["watch", ".", "--template", "glass_ball", "--out", "first"];
    let watch = [&watch[..], &["--cassette", "run.json"], &budget].concat();
    let own = [&line[..], &["--journal", "own.db"]].concat();
    let overwrite = [&line[..], &["--overwrite"]].concat();
    let plan = [&line[..], &["--plan"]].concat();
    for line in [&line[..], &own, &overwrite, &plan, &watch] {
        let ran = CommandOutput::of(&mut world.bare(line)).exits(2);
        for words in ["manifest.jsonl is of a batch that was not replayed", "--out DIR"] {
            assert!(ran.stderr.contains(words), "{line:?}: {}", ran.stderr);
        }
        for part in ran.stdout.lines() {
            let error: Value = serde_json::from_str(part).unwrap();
            assert_eq!(error["resume"], Value::Null, "{line:?}: {error}");
        }
        assert!(files() == before, "{line:?}");
    }
}

#[test]
fn a_replayed_order_and_report_say_that_nothing_is_paid() {
    let world = World::new();
    let photo = "https://example.com/a.jpg";
    let emulator = emulator();
    fs::write(world.path("rows.csv"), format!("template,image\nglass_ball,{photo}\n")).unwrap();
    let recorded = |line: &[&str], cassette: &str| {
        let mut command = world.bare(line);
        command.env("EFFECTS_API_KEY", KEY).env("EFFECTS_BASE_URL", emulator.base_url());
        CommandOutput::of(command.env("EFFECTS_CASSETTE", world.path(cassette))).exits(0);
        world.path(cassette)
    };
    let run = ["run", "glass_ball", photo, "-o", "a.png"];
    let (first, second) = (recorded(&run, "first.json"), recorded(&run, "second.json"));
    let batch = ["batch", "rows.csv", "--out", "out", "--report", "report.html"];
    let of_batch = recorded(&[&batch[..2], &["--out", "recorded"]].concat(), "batch.json");
    emulator.stop();

    let journal = ["--journal", "own.db"];
    replays(&world, &first, true, &[&run[..], &journal].concat()).exits(0);
    let reorder = [&["reorder", "1"][..], &journal].concat();
    let ran = replays(&world, &second, true, &reorder).exits(0);
    assert!(
        ran.stderr.contains("a replay, which pays nothing: its recording says 0.03 USD"),
        "{ran:?}"
    );
    assert!(!ran.stderr.contains("spent"), "{ran:?}");
    replays(&world, &of_batch, true, &batch).exits(0);
    let page = fs::read_to_string(world.path("report.html")).unwrap();
    assert!(page.contains(r#""is_replay":true"#), "{page}");

    // Of a row in doubt nothing has to be found out, and none that ended could be bought once more.
    let resolve = [&["resolve", "1", "--not-billed"][..], &journal].concat();
    let ran = replays(&world, &first, true, &resolve).exits(2);
    assert!(
        ran.stderr.contains("of a replay, in which nothing is open and nothing is paid"),
        "{ran:?}"
    );
    let mut tape: Value = serde_json::from_slice(&fs::read(&first).unwrap()).unwrap();
    tape["exchanges"].as_array_mut().unwrap().truncate(1);
    tape["exchanges"][0]["answer"] = json!({ "lost": "connection reset" });
    fs::write(&first, tape.to_string()).unwrap();
    replays(&world, &first, true, &[&run[..], &["--journal", "lost.db"]].concat()).exits(8);
    let ran = replays(&world, &second, true, &["reorder", "1", "--journal", "lost.db"]).exits(2);
    for words in ["of a replay, in which nothing is billed", "lets it be replayed again"] {
        assert!(ran.stderr.contains(words), "{ran:?}");
    }
    assert!(!ran.stderr.contains("may be billed"), "{ran:?}");
}

#[test]
fn a_recording_that_ends_early_names_a_line_that_does_not_replay_it() {
    let world = World::new();
    let emulator = stopped_emulator();
    let cassette = world.path("run.json");
    let rows = "template,image\nglass_ball,https://example.com/cat.jpg\n";
    fs::write(world.path("rows.csv"), rows).unwrap();
    let batch = ["batch", "rows.csv", "--out", "out", "--deadline", "2s", "--poll", "0.02"];
    let runs = |arguments: &[&str], variable: Option<&Path>| {
        let mut command = world.bare(arguments);
        command.env("EFFECTS_API_KEY", KEY).env("EFFECTS_BASE_URL", emulator.base_url());
        command.envs(variable.map(|path| ("EFFECTS_CASSETTE", path)));
        CommandOutput::of(&mut command)
    };
    let given = [&batch[..], &["--cassette", cassette.to_str().unwrap()]].concat();
    let left = runs(&given, None);
    let line = batch.join(" ");
    let hint = format!("pays for nothing twice: effects {line}\n");
    assert!(left.stderr.contains(&hint), "{}", left.stderr);
    fs::remove_file(&cassette).unwrap();
    let left = runs(&batch, Some(&cassette));
    let hint = format!("pays for nothing twice: EFFECTS_CASSETTE= effects {line}\n");
    assert!(left.stderr.contains(&hint), "{}", left.stderr);
    emulator.advance(Duration::from_secs(3600)).unwrap();
    // The line as it was told, without the deadline.
    runs(&["batch", "rows.csv", "--out", "out", "--poll", "0.02"], None).exits(0);
    let creates = emulator.requests().into_iter().filter(|seen| seen.method == "POST");
    assert_eq!(creates.filter(|seen| seen.path.ends_with("/generation")).count(), 1);
}

#[test]
fn a_cassette_that_another_process_records_or_that_is_no_file_is_refused() {
    let world = World::new();
    let cassette = world.path("run.json");
    fs::copy(shared(), &cassette).unwrap();
    let line = ["run", "glass_ball", "https://example.com/cat.jpg", "--no-download"];
    let recording = fs::File::open(&cassette).unwrap();
    recording.lock().unwrap();
    let refused = replays(&world, &cassette, true, &line).exits(2);
    assert!(refused.stderr.contains("another process records it just now"), "{}", refused.stderr);
    for by_option in [true, false] {
        let refused = replays(&world, Path::new("/dev/full"), by_option, &line).exits(2);
        assert!(refused.stderr.contains("/dev/full cannot be used"), "{}", refused.stderr);
        assert!(refused.stderr.contains("no regular file"), "{}", refused.stderr);
        let doctor = replays(&world, &cassette, by_option, &["doctor"]).exits(2);
        assert!(doctor.stderr.contains("leave --cassette and EFFECTS_CASSETTE out"), "{doctor:?}");
    }
}

/// Whether a command says that the recording ended it, in few lines, and without what cannot help.
fn ends_a_replay(ran: &CommandOutput) {
    assert!(ran.stderr.contains("nothing was sent and nothing is owed"), "{}", ran.stderr);
    assert!(ran.stderr.contains("leave the cassette out"), "{}", ran.stderr);
    for wrong in ["network", "proxy", "resume with", "the same line goes on", "again in 0"] {
        assert!(!ran.stderr.contains(wrong), "{wrong:?}: {}", ran.stderr);
    }
    assert!(ran.stderr.lines().count() < 8, "{}", ran.stderr);
}

/// A recording of this line at an emulator, cut off after its first submission.
fn cut_off(world: &World, cassette: &Path, line: &[&str]) {
    let emulator = emulator();
    let mut command = world.bare(line);
    command.env("EFFECTS_API_KEY", KEY).env("EFFECTS_BASE_URL", emulator.base_url());
    CommandOutput::of(command.arg("--cassette").arg(cassette)).exits(0);
    let mut tape: Value = serde_json::from_slice(&fs::read(cassette).unwrap()).unwrap();
    let exchanges = tape["exchanges"].as_array_mut().unwrap();
    let is_create = |exchange: &Value| {
        exchange["request"]["target"].as_str().is_some_and(|it| it.ends_with("/generation"))
    };
    let create = exchanges.iter().position(is_create).unwrap();
    exchanges.truncate(create + 1);
    fs::write(cassette, tape.to_string()).unwrap();
}

#[test]
fn a_recording_that_ends_before_the_run_ends_it_at_once() {
    let world = World::new();
    let (photo, cassette) = (world.photo(), world.path("run.json"));
    let line = ["run", "glass_ball", photo, "-o", "out.png"];
    cut_off(&world, &cassette, &line);
    let begun = Instant::now();
    let ran = replays(&world, &cassette, true, &line).exits(7);
    assert!(ran.stderr.contains("ends here: GET "), "{}", ran.stderr);
    ends_a_replay(&ran);
    let ran = replays(&world, &cassette, false, &[&line[..], &["--json"]].concat()).exits(7);
    let error: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&error["kind"], &error["resume"]), (&json!("not_recorded"), &Value::Null));
    let task = error["task_id"].as_str().unwrap();
    ends_a_replay(&replays(&world, &cassette, true, &["wait", task]).exits(7));
    ends_a_replay(&replays(&world, &cassette, true, &["status", task]).exits(7));
    // With a journal of its own, the replayed task is unfinished there.
    let named = ["--journal", "named.db"];
    let submit = ["submit", "glass_ball", photo, named[0], named[1]];
    let submitted = replays(&world, &cassette, true, &submit).exits(0);
    assert!(!submitted.stderr.contains("wait for it with"), "{}", submitted.stderr);
    let resumed = replays(&world, &cassette, true, &["resume", named[0], named[1]]).exits(7);
    ends_a_replay(&resumed);
    assert!(begun.elapsed() < Duration::from_secs(9), "{:?}", begun.elapsed());
}

#[test]
fn a_recording_that_ends_early_ends_a_batch_and_a_watch_of_it() {
    let world = World::new();
    fs::create_dir(world.path("in")).unwrap();
    for name in ["a.png", "b.png", "c.png"] {
        let mut photo = crate::world::PHOTO.to_vec();
        photo.extend_from_slice(name.as_bytes());
        fs::write(world.path("in").join(name), photo).unwrap();
    }
    let cassette = world.path("batch.json");
    let batch = ["batch", "in", "--template", "glass_ball", "--out", "first", "--in-flight", "1"];
    cut_off(&world, &cassette, &batch);
    let begun = Instant::now();
    let replay = ["batch", "in", "--template", "glass_ball", "--out", "again", "--json"];
    let ran = replays(&world, &cassette, true, &replay).exits(7);
    ends_a_replay(&ran);
    let summary: Value = serde_json::from_str(ran.stdout.lines().last().unwrap()).unwrap();
    assert_eq!((&summary["completed"], &summary["resume"]), (&json!(0), &Value::Null));
    let watch = ["watch", "in", "--template", "glass_ball", "--out", "seen", "--settle", "0"];
    let budget = ["--budget", "1", "--price", "0.05"];
    let ran = replays(&world, &cassette, false, &[&watch[..], &budget].concat()).exits(7);
    ends_a_replay(&ran);
    assert!(begun.elapsed() < Duration::from_secs(12), "{:?}", begun.elapsed());
    let rows = CommandOutput::of(&mut world.bare(&["tasks", "--json"])).exits(0).stdout;
    assert!(!rows.contains("replay.localhost"), "{rows}");
    // Of the real tasks nothing is lost: the line without the cassette finds all of them.
    assert_eq!(rows.lines().count(), 3, "{rows}");
}

#[test]
fn a_replay_of_a_batch_that_was_cut_off_ends_for_no_other_reason() {
    let world = World::new();
    let rows = ["a", "b", "c"].map(|name| format!("glass_ball,https://example.com/{name}.jpg\n"));
    fs::write(world.path("rows.csv"), format!("template,image\n{}", rows.concat())).unwrap();
    let (cassette, budget) = (world.path("batch.json"), ["--budget", "1"]);
    let batch = ["batch", "rows.csv", "--out", "first", "--in-flight", "3"];
    cut_off(&world, &cassette, &[&batch[..], &budget].concat());
    for run in 0..6 {
        let (out, journal) = (format!("again-{run}"), format!("again-{run}.db"));
        let mut line = vec!["batch", "rows.csv", "--out", &out, "--in-flight", "3", "--json"];
        line.extend(budget);
        // With a journal of its own as without.
        if run % 2 == 1 {
            line.extend(["--journal", &journal]);
        }
        let ran = replays(&world, &cassette, true, &line).exits(7);
        ends_a_replay(&ran);
        for wrong in ["--price", "may be billed", "budget"] {
            assert!(!ran.stderr.contains(wrong), "{wrong:?}: {}", ran.stderr);
        }
        let summary: Value = serde_json::from_str(ran.stdout.lines().last().unwrap()).unwrap();
        // Any row may be the first, and one that waited for its cost may be asked for before all ends.
        let counts = ["running", "refused", "not_submitted"].map(|name| &summary[name]);
        assert_eq!(counts.iter().filter_map(|count| count.as_u64()).sum::<u64>(), 3, "{summary}");
        let errors = summary["errors"].as_object().unwrap();
        assert!(errors.keys().all(|kind| kind == "not_recorded"), "{summary}");
        let manifest = fs::read_to_string(world.path(&out).join("manifest.jsonl")).unwrap();
        for line in manifest.lines().filter(|line| line.contains("not_submitted")) {
            let row: Value = serde_json::from_str(line).unwrap();
            assert!(row["how"].is_null(), "{row}");
        }
    }
}

#[test]
fn a_request_after_the_end_of_a_recording_that_was_cut_off_is_told_as_one() {
    let world = World::new();
    let (first, second) = ("https://example.com/a.jpg", "https://example.com/b.jpg");
    let cassette = world.path("run.json");
    cut_off(&world, &cassette, &["run", "glass_ball", first, "-o", "a.png"]);
    let ran =
        replays(&world, &cassette, true, &["run", "glass_ball", second, "-o", "b.png"]).exits(7);
    for words in [
        "ends here: POST ",
        "the recording was most likely cut off before that",
        "has another body now",
    ] {
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
    }
    ends_a_replay(&ran);
}

#[test]
fn a_recording_cut_off_with_many_requests_under_way_is_told_as_one() {
    let world = World::new();
    let emulator = emulator();
    fs::create_dir(world.path("in")).unwrap();
    for name in ["a.png", "b.png", "c.png"] {
        let photo = [crate::world::PHOTO, name.as_bytes()].concat();
        fs::write(world.path("in").join(name), photo).unwrap();
    }
    let line = ["batch", "in", "--template", "glass_ball", "--in-flight", "3", "--out"];
    let cassette = world.path("batch.json");
    let mut command = world.bare(&[&line[..], &["first"]].concat());
    command.env("EFFECTS_API_KEY", KEY).env("EFFECTS_BASE_URL", emulator.base_url());
    CommandOutput::of(command.arg("--cassette").arg(&cassette)).exits(0);
    let whole: Value = serde_json::from_slice(&fs::read(&cassette).unwrap()).unwrap();
    let is = |exchange: &Value, end: &str| {
        let target = exchange["request"]["target"].as_str();
        exchange["request"]["method"] == "POST" && target.is_some_and(|it| it.ends_with(end))
    };
    // Of three rows that were under way, what a kill leaves: some uploads, and as many submissions.
    for (uploads, submissions) in [(2, 0), (3, 0), (3, 1), (3, 2)] {
        let mut tape = whole.clone();
        let mut left: [(&str, u32); 2] =
            [("/storage/files", uploads), ("/generation", submissions)];
        tape["exchanges"].as_array_mut().unwrap().retain(|exchange| {
            left.iter_mut().any(|(end, left)| {
                is(exchange, end) && std::mem::replace(left, left.saturating_sub(1)) > 0
            })
        });
        fs::write(&cassette, tape.to_string()).unwrap();
        let out = format!("again-{uploads}-{submissions}");
        let ran = replays(&world, &cassette, true, &[&line[..], &[&out]].concat()).exits(7);
        assert!(ran.stderr.contains("ends here: "), "{out}: {}", ran.stderr);
        assert!(!ran.stderr.contains("no such exchange"), "{out}: {}", ran.stderr);
        ends_a_replay(&ran);
        // A look at a task of which no look is recorded.
        let creates =
            tape["exchanges"].as_array().unwrap().iter().filter(|it| is(it, "/generation"));
        for create in creates {
            let task = create["answer"]["body"]["json"]["id"].as_str().unwrap();
            let ran = replays(&world, &cassette, true, &["status", task]).exits(7);
            let words = format!(
                "/{task} was asked for, and the recording was most likely cut off before that"
            );
            assert!(ran.stderr.contains(&words), "{}", ran.stderr);
        }
    }
}

#[test]
fn photos_beyond_those_that_were_recorded_are_told_as_more_and_not_as_others() {
    let world = World::new();
    fs::create_dir(world.path("in")).unwrap();
    fs::write(world.path("in/a.png"), crate::world::PHOTO).unwrap();
    let (emulator, cassette) = (emulator(), world.path("batch.json"));
    let line = |out| ["batch", "in", "--template", "glass_ball", "--out", out, "--in-flight", "1"];
    let mut command = world.bare(&line("first"));
    command.env("EFFECTS_API_KEY", KEY).env("EFFECTS_BASE_URL", emulator.base_url());
    CommandOutput::of(command.arg("--cassette").arg(&cassette)).exits(0);
    let mut photo = crate::world::PHOTO.to_vec();
    photo.extend_from_slice(b"another");
    fs::write(world.path("in/b.png"), photo).unwrap();
    // The recorded one is done or not, however far it is when the other one ends all.
    let ran = replays(&world, &cassette, true, &line("again")).exits(7);
    assert!(!ran.stderr.contains("and it has"), "{}", ran.stderr);
    ends_a_replay(&ran);
    fs::remove_file(world.path("in/a.png")).unwrap();
    let ran = replays(&world, &cassette, true, &line("other")).exits(7);
    assert!(ran.stderr.contains("was asked for with another body: "), "{}", ran.stderr);
    assert!(!ran.stderr.contains("cut off"), "{}", ran.stderr);
}

#[test]
fn a_replay_of_a_lost_submission_and_of_a_picture_says_that_it_is_one() {
    let world = World::new();
    let photo = "https://example.com/a.jpg";
    let (emulator, cassette) = (emulator(), world.path("run.json"));
    let line = ["run", "glass_ball", photo, "-o", "a.png"];
    let mut command = world.bare(&line);
    command.env("EFFECTS_API_KEY", KEY).env("EFFECTS_BASE_URL", emulator.base_url());
    CommandOutput::of(command.arg("--cassette").arg(&cassette)).exits(0);
    let again = ["run", "glass_ball", photo, "-o", "b.png"];
    let ran = replays(&world, &cassette, true, &again).exits(0);
    assert!(ran.stderr.contains("in a replay, which pays nothing"), "{}", ran.stderr);
    let mut tape: Value = serde_json::from_slice(&fs::read(&cassette).unwrap()).unwrap();
    tape["exchanges"].as_array_mut().unwrap().truncate(1);
    for answer in [json!({ "lost": "connection reset" }), json!({ "status": 502 })] {
        tape["exchanges"][0]["answer"] = answer;
        fs::write(&cassette, tape.to_string()).unwrap();
        let ran = replays(&world, &cassette, true, &line).exits(8);
        let said = ran.stderr.lines().last().unwrap();
        assert!(said.starts_with("error: when it was recorded, the outcome"), "{}", ran.stderr);
        assert!(said.contains("this is a replay, in which nothing leaves this machine"), "{said}");
        assert!(!said.contains("left at") && !said.contains("may be billed"), "{said}");
    }
    // With a journal the row is doubtful there, and no task is left to find out about.
    let journal = ["--journal", "own.db"];
    let ran = replays(&world, &cassette, true, &[&line[..], &journal].concat()).exits(8);
    assert!(!ran.stderr.contains("resolve"), "{}", ran.stderr);
    fs::write(world.path("rows.csv"), format!("template,image\nglass_ball,{photo}\n")).unwrap();
    let batch = ["batch", "rows.csv", "--out", "out", "--journal", "batch.db"];
    for words in ["this is a replay", "this is a replay, in which nothing is billed"] {
        let ran = replays(&world, &cassette, true, &batch).exits(8);
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
        assert!(!ran.stderr.contains("resolve"), "{}", ran.stderr);
        assert!(!ran.stderr.contains("may be billed"), "{}", ran.stderr);
    }
}

#[test]
fn a_watch_that_is_killed_while_it_records_goes_on_without_its_cassette() {
    let world = World::new();
    fs::create_dir(world.path("in")).unwrap();
    fs::write(world.path("in/a.png"), crate::world::PHOTO).unwrap();
    let emulator = stopped_emulator();
    let cassette = world.path("watch.json");
    let watch = ["watch", "in", "--template", "glass_ball", "--out", "out", "--settle", "0"];
    let watch = [&watch[..], &["--budget", "1", "--price", "0.05", "--poll", "0.02"]].concat();
    let at_emulator = |arguments: &[&str]| {
        let mut command = world.bare(arguments);
        command.env("EFFECTS_API_KEY", KEY).env("EFFECTS_BASE_URL", emulator.base_url());
        command
    };
    let mut watching = at_emulator(&watch).arg("--cassette").arg(&cassette).spawn().unwrap();
    let unfinished = || {
        let ran =
            CommandOutput::of(&mut at_emulator(&["tasks", "--unfinished", "--json"])).exits(0);
        ran.stdout.lines().filter(|line| line.contains("created")).count()
    };
    until("the task is in the journal", || unfinished() == 1);
    // The one that records says so to the next one, in each command.
    for line in [&watch[..], &["resume"], &["run", "glass_ball", "https://example.com/a.jpg"]] {
        let second = replays(&world, &cassette, true, line).exits(2);
        let words = "another process records it just now";
        assert!(second.stderr.contains(words), "{line:?}: {}", second.stderr);
        assert!(!second.stderr.contains("replaying"), "{line:?}: {}", second.stderr);
    }
    watching.kill().unwrap();
    watching.wait().unwrap();
    // A replay looks at no real task, and says so.
    let ran = replays(&world, &cassette, false, &["resume"]).exits(0);
    assert!(ran.stderr.contains("it looks at no real task"), "{}", ran.stderr);
    assert!(ran.stderr.contains("leave the cassette out"), "{}", ran.stderr);
    assert_eq!(unfinished(), 1);
    emulator.advance(Duration::from_secs(3600)).unwrap();
    CommandOutput::of(&mut at_emulator(&["resume", "--poll", "0.02"])).exits(0);
    assert_eq!(unfinished(), 0);
}

/// Asks until it is so; a minute at most.
fn until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[cfg(unix)]
#[test]
fn an_interrupted_watch_that_is_replayed_says_that_nothing_is_paid() {
    let world = World::new();
    fs::create_dir(world.path("in")).unwrap();
    fs::write(world.path("in/a.png"), crate::world::PHOTO).unwrap();
    let emulator = emulator();
    let watched = |out: &str| {
        let watch = ["watch", "in", "--template", "glass_ball", "--out", out, "--budget", "1"];
        let line = ["--settle", "0", "--price", "0.05", "--poll", "0.02", "--cassette", "w.json"];
        let mut command = world.bare(&[&watch[..], &line].concat());
        command.env("EFFECTS_API_KEY", KEY).env("EFFECTS_BASE_URL", emulator.base_url());
        let watching = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
        until("the picture is there", || {
            let names = fs::read_dir(world.path(out)).into_iter().flatten();
            names
                .filter_map(Result::ok)
                .any(|entry| entry.path().extension().is_some_and(|ending| ending == "png"))
        });
        let interrupt = format!("kill -INT {}", watching.id());
        assert!(
            std::process::Command::new("sh").args(["-c", &interrupt]).status().unwrap().success()
        );
        String::from_utf8(watching.wait_with_output().unwrap().stderr).unwrap()
    };
    assert!(watched("first").contains("0.03 USD spent"));
    let said = watched("again");
    for words in [
        "it is a replay, which pays nothing: the same line replays it again: effects watch in",
        "a replay, which pays nothing: its recording says 0.03 USD",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(!said.contains("paid twice") && !said.contains("paid task"), "{said}");
    assert!(!said.contains("spent"), "{said}");
}

#[cfg(unix)]
#[test]
fn an_interrupted_watch_that_records_names_a_line_without_its_cassette() {
    let world = World::new();
    fs::create_dir(world.path("in")).unwrap();
    fs::write(world.path("in/a.png"), crate::world::PHOTO).unwrap();
    let emulator = stopped_emulator();
    let watch = ["watch", "in", "--template", "glass_ball", "--out", "out", "--budget", "1"];
    let line = [&watch[..], &["--settle", "0", "--price", "0.05", "--poll", "0.02"]].concat();
    let mut command = world.bare(&[&line[..], &["--cassette", "watch.json"]].concat());
    command.env("EFFECTS_API_KEY", KEY).env("EFFECTS_BASE_URL", emulator.base_url());
    let watching = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
    until("the task is submitted", || {
        emulator.requests().iter().any(|seen| seen.path.ends_with("/generation"))
    });
    let interrupt = format!("kill -INT {}", watching.id());
    let sent = std::process::Command::new("sh").args(["-c", &interrupt]).status().unwrap();
    assert!(sent.success());
    let output = watching.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    let hint = format!("nothing is paid twice: effects {}\n", line.join(" "));
    assert!(stderr.contains(&hint), "{stderr}");
}
