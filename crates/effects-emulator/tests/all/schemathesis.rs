//! The stateless parts of the emulator against its own description, by a tool that makes requests up
//! out of it.
//!
//! It needs schemathesis, which is why this test is ignored unless asked for; `.ci/run` sets that up.

use std::process::Command;

use effects_emulator::{Emulator, Pictures};

#[test]
#[ignore = "needs schemathesis, which `.ci/run` installs"]
fn schemathesis_finds_nothing_on_the_stateless_parts() {
    let program =
        std::env::var_os("SCHEMATHESIS").expect("SCHEMATHESIS is its path: see `.ci/run`");
    let emulator = Emulator::builder().pictures(Pictures::Stub).start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(program);
    command.current_dir(folder.path());
    command.args(["run", &format!("{}/openapi.json", emulator.base_url())]);
    command.args(["--header", &format!("Authorization: Bearer {}", emulator.api_key())]);
    command.args(["--phases", "examples,coverage,fuzzing", "--max-examples", "30", "--seed", "1"]);
    command.args(["--include-path-regex", STATELESS]);
    // A wrong method is 404, since clients find their way by probing, and a catalogue that is asked
    // for a page with a name answers with the first, as the service's does.
    command.args(["--exclude-checks", "unsupported_method,negative_data_rejection"]);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("Tested"), "{said}");
}

/// What answers alike, no matter what was asked before.
const STATELESS: &str =
    "^/(api/v1/skill/|model/v1/models/|healthz|_emulator/(requests|tasks|verify|counts|looks|)$)";
