//! The gateway's official Python clients, unchanged, against the emulator in both dialects.
//!
//! They are installed from PyPI into a virtual environment below the target folder, which is why
//! this test is behind a feature: `cargo test -p effects-emulator --features official-clients`.

#![allow(clippy::unwrap_used, reason = "what a helper cannot do fails its test")]

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::*;
use effects_emulator::Dialect;

/// Runs a command to its end and shows what it said if that is not well.
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}\n{said}\n{complained}");
    said
}

/// A Python that has the clients.
fn python() -> PathBuf {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("official-clients");
    let python = home.join("bin/python");
    let ready = home.join("ready");
    if !ready.exists() {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&home));
        run(Command::new(&python).args(["-m", "pip", "install", "--quiet"]).args(CLIENTS));
        std::fs::write(ready, "").unwrap();
    }
    python
}

#[test]
fn official_clients_run_tasks_to_their_pictures_and_see_a_bad_template_fail() {
    let python = python();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/official/run.py");
    for dialect in [Dialect::Spec, Dialect::Sdk] {
        let emulator = echoing().dialect(dialect).start().unwrap();
        let photo = upload(&emulator, PHOTO);
        let arguments = [emulator.base_url(), emulator.api_key(), &photo];
        let said = run(Command::new(&python).arg(&script).args(arguments));
        assert_eq!(said, "seaart-sdk runs\nseacloudai-sdk runs\n", "{dialect:?}");
        assert!(emulator.counts().accepted >= 3);
    }
}

const CLIENTS: [&str; 2] = ["seaart-sdk==0.1.4", "seacloudai-sdk==0.1.3"];
