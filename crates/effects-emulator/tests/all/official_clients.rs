//! The gateway's official Python clients, unchanged, against the emulator in both dialects.
//!
//! They need a Python with both installed, which is why this test is ignored unless asked for; `.ci/run`
//! sets that up and runs `cargo test -p effects-emulator --test all -- --ignored official_clients`.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::*;
use effects_emulator::Dialect;

/// Runs a command to its end and shows what it said if that is not well.
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}\n{said}\n{complained}");
    said
}

/// A Python that has the clients: tests fetch nothing, so they are installed by hand before this one runs.
fn python() -> PathBuf {
    let python = std::env::var_os(PYTHON_VARIABLE);
    let missing = "names no Python: `python3 -m venv clients`, `clients/bin/pip install -r \
                   crates/effects-emulator/tests/official/requirements.txt`, and set it to \
                   clients/bin/python";
    python.unwrap_or_else(|| panic!("{PYTHON_VARIABLE} {missing}")).into()
}

#[test]
#[ignore = "needs a Python with the official clients, which `.ci/run` installs"]
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

const PYTHON_VARIABLE: &str = "OFFICIAL_CLIENTS_PYTHON";
