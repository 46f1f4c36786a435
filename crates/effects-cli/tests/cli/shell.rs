//! Being a good citizen of a shell: help, completions, pipes that end, quiet.

use std::process::Command;

use crate::world::{IMAGE, Ran, World};

const COMMANDS: [&str; 10] = [
    "run",
    "submit",
    "status",
    "wait",
    "reorder",
    "check",
    "doctor",
    "templates",
    "emulator",
    "completions",
];

#[test]
fn help_goes_to_stdout_with_examples_and_exits_0() {
    let world = World::new();
    let ran = world.run(&["--help"]).exits(0);
    for word in COMMANDS.iter().chain(&["Exit codes", "--emulator", "Examples"]) {
        assert!(ran.stdout.contains(word), "{word}");
    }
    for command in COMMANDS {
        let ran = world.run(&[command, "--help"]).exits(0);
        assert!(ran.stdout.contains("Examples:"), "{command}");
        assert!(ran.stdout.contains(&format!("effects {command}")), "{command}");
    }
    assert!(world.run(&["--version"]).exits(0).stdout.starts_with("effects "));
}

#[test]
fn completions_are_scripts_of_their_shells() {
    let world = World::new();
    for shell in ["bash", "zsh", "fish"] {
        let ran = world.run(&["completions", shell]).exits(0);
        for command in COMMANDS {
            assert!(ran.stdout.contains(command), "{shell}: {command}");
        }
        std::fs::write(world.path(shell), &ran.stdout).unwrap();
    }
    let bash = world.path("bash");
    // Where there is a bash, it can read its script.
    if let Ok(status) = Command::new("bash").arg("-n").arg(bash).status() {
        assert!(status.success());
    }
    world.run(&["completions", "tcsh"]).exits(2);
}

#[test]
fn a_reader_that_is_gone_is_no_panic_and_loses_no_task() {
    let world = World::with_service();
    let nobody = || {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        writer
    };
    for arguments in [&["templates"][..], &["completions", "zsh"], &["check", "my_world", IMAGE]] {
        let ran = Ran::of(world.command(arguments).stdout(nobody())).exits(0);
        assert!(!ran.stderr.contains("panicked"), "{ran:?}");
    }
    let mut command = world.command(&["submit", "glass_ball", IMAGE, "-q"]);
    let ran = Ran::of(command.stdout(nobody())).exits(0);
    assert!(ran.stderr.contains("task-1"), "{ran:?}");
    // Nor where nobody reads stderr.
    let status = world.command(&["run", "nope"]).stderr(nobody()).stdout(nobody()).status();
    assert_eq!(status.unwrap().code(), Some(2));
}

#[test]
fn quiet_says_nothing_and_no_display_is_drawn_into_a_pipe() {
    let world = World::with_service();
    let run = ["run", "glass_ball", IMAGE, "--poll", "0.05"];
    let ran = world.run(&[&run[..], &["-q"]].concat()).exits(0);
    assert_eq!(ran.stderr, "");
    world.accepts();
    world.looks([world.completed()]);
    world.serves_picture();
    let ran = world.run(&run).exits(0);
    assert_eq!(ran.stderr, "task task-1 submitted\ntask task-1 completed, 0.030 USD\n");
}

#[test]
fn verbose_logs_what_happens() {
    let world = World::with_service();
    let ran = world.run(&["run", "glass_ball", IMAGE, "--poll", "0.05", "-v"]).exits(0);
    assert!(ran.stderr.contains("INFO task{template=\"glass_ball\""), "{ran:?}");
    assert!(!ran.stderr.contains("\x1b["), "{ran:?}");
}
