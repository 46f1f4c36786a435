//! Being a good citizen of a shell: help, completions, pipes that end, quiet.

use std::process::Command;

use crate::world::{CommandOutput, IMAGE, World};

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
    let unread = || {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        writer
    };
    for arguments in [&["templates"][..], &["completions", "zsh"], &["check", "my_world", IMAGE]] {
        let ran = CommandOutput::of(world.command(arguments).stdout(unread())).exits(0);
        assert!(!ran.stderr.contains("panicked"), "{ran:?}");
    }
    let mut command = world.command(&["submit", "glass_ball", IMAGE, "-q"]);
    let ran = CommandOutput::of(command.stdout(unread())).exits(0);
    assert!(ran.stderr.contains("task-1"), "{ran:?}");
    // Nor where stderr is not read.
    let status = world.command(&["run", "nope"]).stderr(unread()).stdout(unread()).status();
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

/// What the help of a command shows under its own heading.
fn global_options(help: &str) -> Vec<&str> {
    let (_, globals) = help.split_once("Global options:").unwrap();
    let words = globals.lines().filter(|line| line.trim_start().starts_with('-'));
    words.flat_map(str::split_whitespace).filter(|word| word.starts_with("--")).collect()
}

#[test]
fn each_command_shows_the_options_it_uses_and_takes_them_all() {
    let world = World::new();
    for (command, unused, used) in [
        ("templates", &["--uploads", "--emulator", "--api-key", "--poll", "--tag"][..], "--json"),
        ("tasks", &["--uploads", "--emulator", "--base-url", "--api-key-file"], "--quiet"),
        ("status", &["--uploads", "--emulator", "--poll", "--tag"], "--base-url"),
        ("submit", &["--emulator", "--poll"], "--uploads"),
        ("check", &["--api-key", "--poll", "--tag"], "--emulator"),
        ("completions", &["--uploads", "--emulator", "--base-url"], "--verbose..."),
        ("run", &[], "--emulator"),
    ] {
        let help = world.run(&[command, "--help"]).exits(0).stdout;
        let shown = global_options(&help);
        assert!(shown.contains(&used), "{command}: {shown:?}");
        for option in unused {
            assert!(!shown.contains(option), "{command}: {shown:?}");
        }
    }
    let nested = world.run(&["journal", "backup", "--help"]).exits(0).stdout;
    assert!(!nested.contains("--uploads") && nested.contains("--json"), "{nested}");
    // A line that a user keeps before every command goes on to work.
    for words in [
        &["--uploads", "gateway", "--tag", "x", "templates", "spring"][..],
        &["templates", "spring", "--poll", "2", "--base-url", "http://127.0.0.1:1"],
    ] {
        world.run(words).exits(0);
    }
}

#[test]
fn an_emulator_that_a_command_would_ignore_is_refused_with_the_reason() {
    let world = World::new();
    for command in [
        &["templates"][..],
        &["tasks"],
        &["cost"],
        &["resolve", "1", "--not-billed"],
        &["journal", "prune", "--older-than", "90d"],
        &["sampler", "cat.png"],
        &["emulator"],
        &["completions", "bash"],
    ] {
        for words in [&[command, &["--emulator"]].concat(), &[&["--emulator"], command].concat()] {
            let ran = world.run(words).exits(2);
            let said = format!("--emulator says nothing to `effects {}`", command[0]);
            assert!(ran.stderr.contains(&said) && ran.stderr.contains("leave it out"), "{ran:?}");
        }
    }
}

/// Bash's own answer to a tab.
#[test]
fn bash_completes_the_words_that_a_value_may_be() {
    let world = World::new();
    let script = world.path("effects.bash");
    std::fs::write(&script, world.run(&["completions", "bash"]).exits(0).stdout).unwrap();
    let offers = |words: &str, begun: &str| {
        let line = format!(
            "source '{}'; COMP_WORDS=({words} '{begun}'); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
             _effects effects '{begun}' \"${{COMP_WORDS[COMP_CWORD - 1]}}\"; echo \"${{COMPREPLY[*]}}\"",
            script.display()
        );
        let output = Command::new("bash").args(["-c", &line]).output();
        output.ok().map(|output| String::from_utf8(output.stdout).unwrap().trim().to_owned())
    };
    for (words, begun, offered) in [
        ("effects run", "gl", "glass_ball"),
        ("effects batch rows.csv --template", "my_world_", "my_world_universal"),
        ("effects emulator --clock", "", "real virtual"),
        ("effects emulator --validation", "", "task http"),
        ("effects cost --by", "t", "template tag"),
        ("effects run --poll", "", "auto"),
        ("effects run --uploads", "", "gateway data-url command= presigned-put="),
        ("effects templates", "--", "--json --quiet --verbose --help"),
    ] {
        // Where there is a bash.
        let Some(found) = offers(words, begun) else { return };
        assert_eq!(found, offered, "{words} {begun}");
    }
}
