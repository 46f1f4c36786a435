//! `--cassette` and `EFFECTS_CASSETTE`: a command is recorded once and replayed without key and network.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use effects_emulator::{ClockKind, Emulator, Latency, Pictures};
use serde_json::Value;

use crate::world::{KEY, Ran, World};

/// The cassette that every client of this library replays in its tests.
fn shared() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/cassettes/one-run.json")
}

fn emulator() -> Emulator {
    let emulator = Emulator::builder().pictures(Pictures::Stub).api_key(KEY);
    emulator.latency(Latency::fixed(Duration::from_millis(200))).start().unwrap()
}

/// The command with nothing set but a cassette: by the environment or by its option.
fn replays(world: &World, cassette: &Path, by_option: bool, arguments: &[&str]) -> Ran {
    let mut command = world.bare(arguments);
    if by_option {
        command.arg("--cassette").arg(cassette);
    } else {
        command.env("EFFECTS_CASSETTE", cassette);
    }
    Ran::of(&mut command)
}

#[test]
fn a_run_is_recorded_and_replayed_without_key_and_network() {
    let world = World::new();
    let (photo, emulator) = (world.photo(), emulator());
    let cassette = world.path("run.json");
    let mut command = world.bare(&["run", "glass_ball", photo, "-vvv", "-o", "first.png"]);
    command.env("EFFECTS_API_KEY", KEY).env("EFFECTS_BASE_URL", emulator.base_url());
    let recorded = Ran::of(command.env("EFFECTS_CASSETTE", &cassette)).exits(0);
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
    // The journal keeps a replay apart from the gateway where it was paid.
    let ran = Ran::of(&mut world.bare(&["tasks", "--json"])).exits(0);
    assert!(ran.stdout.contains("http://replay.localhost"), "{}", ran.stdout);
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
    for words in ["never left this machine", "width is 1024", "512 in the cassette", "one-run.json"]
    {
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
    }
    fs::write(world.path("broken.json"), "{").unwrap();
    let ran = replays(&world, &world.path("broken.json"), true, &line).exits(2);
    assert!(ran.stderr.contains("no whole cassette"), "{}", ran.stderr);
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
    Ran::of(&mut command).exits(0);
    emulator.stop();
    let line = ["batch", "rows.csv", "--out", "again", "--cassette", "run.json"];
    Ran::of(&mut world.bare(&line)).exits(0);
    let pictures = |folder: &str| {
        let names = crate::world::names(&world.path(folder)).into_iter();
        names.filter(|name| name.ends_with(".png")).count()
    };
    assert_eq!((pictures("first"), pictures("again")), (8, 8));
}

#[test]
fn a_recording_that_ends_early_names_a_line_that_does_not_replay_it() {
    let world = World::new();
    let emulator = Emulator::builder().pictures(Pictures::Stub).api_key(KEY);
    let emulator = emulator.latency(Latency::fixed(Duration::from_secs(60)));
    let emulator = emulator.clock(ClockKind::Virtual).start().unwrap();
    let cassette = world.path("run.json");
    let rows = "template,image\nglass_ball,https://example.com/cat.jpg\n";
    fs::write(world.path("rows.csv"), rows).unwrap();
    let batch = ["batch", "rows.csv", "--out", "out", "--deadline", "2s", "--poll", "0.02"];
    let runs = |arguments: &[&str], variable: Option<&Path>| {
        let mut command = world.bare(arguments);
        command.env("EFFECTS_API_KEY", KEY).env("EFFECTS_BASE_URL", emulator.base_url());
        command.envs(variable.map(|path| ("EFFECTS_CASSETTE", path)));
        Ran::of(&mut command)
    };
    let given = [&batch[..], &["--cassette", cassette.to_str().unwrap()]].concat();
    let left = runs(&given, None);
    let line = batch.join(" ");
    let told = format!("pays for nothing twice: effects {line}\n");
    assert!(left.stderr.contains(&told), "{}", left.stderr);
    fs::remove_file(&cassette).unwrap();
    let left = runs(&batch, Some(&cassette));
    let told = format!("pays for nothing twice: EFFECTS_CASSETTE= effects {line}\n");
    assert!(left.stderr.contains(&told), "{}", left.stderr);
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
