//! Where a batch plays: a folder, a state folder, and an emulator that paints nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use effects_emulator::{Emulator, FaultPlan, Pictures};
use effects_testkit::http::ScriptedServer;
use rusqlite::Connection;
use serde_json::Value;
use tempfile::TempDir;

use super::proxy::{self, Finished};
use crate::world::{CommandOutput, PHOTO};

pub(crate) struct Site {
    pub(crate) folder: TempDir,
    pub(crate) state: TempDir,
    pub(crate) emulator: Emulator,
    /// What the command talks to instead, if it does.
    pub(crate) proxy: Option<ScriptedServer>,
}

impl Site {
    pub(crate) fn new() -> Self {
        Self::with(FaultPlan::none())
    }

    pub(crate) fn with(faults: FaultPlan) -> Self {
        Self::showing(Pictures::Stub, faults)
    }

    /// One whose pictures differ, as those of the service do.
    pub(crate) fn painting() -> Self {
        Self::showing(Pictures::Painted, FaultPlan::none())
    }

    fn showing(pictures: Pictures, faults: FaultPlan) -> Self {
        let emulator = Emulator::builder()
            .pictures(pictures)
            .faults(faults)
            .options(|options| options.limits.requests = 1_000_000);
        let (folder, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        Self { folder, state, emulator: emulator.start().unwrap(), proxy: None }
    }

    /// A service whose every task that has ended has the `usage` that `bill` says.
    pub(crate) fn billing(
        faults: FaultPlan,
        bill: impl Fn(&Finished<'_>) -> Value + Send + Sync + 'static,
    ) -> Self {
        let site = Self::with(faults);
        let proxy = proxy::billing(site.emulator.address(), Arc::new(bill));
        Self { proxy: Some(proxy), ..site }
    }

    /// Where the command finds the service.
    pub(crate) fn base_url(&self) -> String {
        let proxy = self.proxy.as_ref().map(ScriptedServer::base_url);
        proxy.unwrap_or_else(|| self.emulator.base_url().to_owned())
    }

    /// The command, not yet started.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_effects"));
        command
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("EFFECTS_STATE_DIR", self.state.path())
            .env("EFFECTS_API_KEY", self.emulator.api_key())
            .env("EFFECTS_BASE_URL", self.base_url())
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> CommandOutput {
        CommandOutput::of(&mut self.command(arguments))
    }

    /// `effects batch MANIFEST --out out` and more.
    pub(crate) fn batch(&self, manifest: &str, more: &[&str]) -> CommandOutput {
        self.run(&[&["batch", manifest, "--out", "out", "--poll", "0.05"][..], more].concat())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> &Self {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    /// A manifest of so many rows, each of another photo.
    pub(crate) fn rows(&self, name: &str, count: usize) -> &Self {
        let mut text = "template,image\n".to_owned();
        for row in 0..count {
            text.push_str(&format!("glass_ball,https://example.com/{row}.jpg\n"));
        }
        self.write(name, text)
    }

    /// A photo of its own, by its last byte.
    pub(crate) fn photo(&self, name: &str, last: u8) -> &Self {
        self.write(name, [PHOTO, &[last]].concat())
    }

    /// The database of its journal.
    pub(crate) fn journal(&self) -> Connection {
        Connection::open(self.state.path().join("journal.db")).unwrap()
    }

    /// The lines of the folder's own manifest.
    pub(crate) fn results(&self) -> Vec<Value> {
        objects(&fs::read_to_string(self.path("out/manifest.jsonl")).unwrap())
    }

    /// How many creates were accepted, and that none was for a row that had one before.
    pub(crate) fn accepted_once(&self) -> u64 {
        let counts = self.emulator.counts();
        let twice: BTreeMap<_, _> =
            counts.by_body.iter().filter(|(_, count)| **count > 1).collect();
        assert!(twice.is_empty(), "accepted more than once: {twice:?}");
        counts.accepted
    }

    /// Every picture that the results name is there.
    pub(crate) fn pictures_are_there(&self) {
        for row in self.results().iter().filter(|row| row["status"] == "completed") {
            let path = row["path"].as_str().unwrap();
            assert!(fs::metadata(path).unwrap().len() > 0, "{row}");
        }
    }
}

/// Each line as an object.
pub(crate) fn objects(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The objects of rows, and the last one, of the batch.
pub(crate) fn rows_and_batch(ran: &CommandOutput) -> (Vec<Value>, Value) {
    let mut objects = objects(&ran.stdout);
    let batch = objects.pop().unwrap();
    assert_eq!(batch["schema"], "effects.batch.v1", "{ran:?}");
    assert!(objects.iter().all(|row| row["schema"] == "effects.row.v1"), "{ran:?}");
    (objects, batch)
}

/// How many rows have this status.
pub(crate) fn count(rows: &[Value], status: &str) -> usize {
    rows.iter().filter(|row| row["status"] == status).count()
}
