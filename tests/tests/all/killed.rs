//! A program of one screen (`examples/folder.rs`) that is killed and started again, several at once too:
//! each photo is paid once, all within one budget, and every picture is whole.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use effects_emulator::{Emulator, Latency, Pictures};

struct KilledBatch {
    emulator: Emulator,
    folder: tempfile::TempDir,
}

impl KilledBatch {
    fn new(photos: u32) -> Self {
        let emulator = Emulator::builder()
            .pictures(Pictures::Stub)
            // Long enough that tasks are under way whenever the program is killed.
            .latency(Latency::fixed(Duration::from_millis(150)))
            .start()
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("photos")).unwrap();
        for number in 0..photos {
            // Each photo is another one by what comes after its signature.
            let photo = [b"\x89PNG\r\n\x1a\n".as_slice(), &number.to_be_bytes()].concat();
            std::fs::write(folder.path().join(format!("photos/{number:02}.png")), photo).unwrap();
        }
        Self { emulator, folder }
    }

    fn start(&self, budget: &str) -> Child {
        Command::new(example("folder"))
            .args(["photos", "out", budget])
            .current_dir(self.folder.path())
            .env("EFFECTS_BASE_URL", self.emulator.base_url())
            .env("EFFECTS_API_KEY", self.emulator.api_key())
            .env("EFFECTS_STATE_DIR", self.folder.path().join("state"))
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    }

    fn pictures(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.folder.path().join("out")).into_iter().flatten();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths.filter(|path| path.extension().is_some_and(|it| it == "png")).collect()
    }

    fn accepted(&self) -> u64 {
        self.emulator.counts().accepted
    }
}

/// A program among the examples, which are built with the tests.
pub(crate) fn example(name: &str) -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let built = tests.ancestors().nth(2).unwrap().join("examples").join(name);
    assert!(built.is_file(), "{} is not built", built.display());
    built
}

fn wait_until(done: impl Fn() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it never came");
        std::thread::yield_now();
    }
}

fn is_whole(path: &Path) -> bool {
    let bytes = std::fs::read(path).unwrap();
    bytes.starts_with(b"\x89PNG") && bytes.ends_with(b"IEND\xaeB`\x82")
}

#[test]
fn a_program_that_is_killed_and_started_again_pays_each_photo_once() {
    let world = KilledBatch::new(30);
    for pictures in [3, 12] {
        let mut killed = world.start("1.00");
        wait_until(|| world.pictures().len() >= pictures);
        killed.kill().unwrap();
        killed.wait().unwrap();
    }
    assert!(world.start("1.00").wait().unwrap().success());
    let counts = world.emulator.counts();
    assert!(counts.by_body.values().all(|paid| *paid == 1), "{:?}", counts.by_body);
    // What was on its way when the program was killed may be in doubt: it is not paid again.
    let doubtful = 30 - world.pictures().len() as u64;
    assert!(counts.accepted >= 30 - doubtful && doubtful <= 8, "{} {doubtful}", counts.accepted);
    assert!(world.pictures().iter().all(|path| is_whole(path)));
}

#[test]
fn programs_that_run_at_once_share_one_budget() {
    for programs in [2, 4] {
        let world = KilledBatch::new(40);
        let running: Vec<Child> = (0..programs).map(|_| world.start("1.00")).collect();
        for mut program in running {
            assert!(program.wait().unwrap().success());
        }
        // 33 pictures at 0.03 USD.
        assert_eq!((world.accepted(), world.pictures().len()), (33, 33), "{programs} programs");
    }
}
