//! What an output may replace: a file that is there, and never the input, a link, or a device.

use std::fs::{self, File};
use std::os::unix::fs::{FileTypeExt, symlink};
use std::process::Command;

use effects_testkit::http::Response;

use crate::world::{CREATE, CommandOutput, IMAGE, PHOTO, World};

const STORAGE: &str = "/api/v1/storage/files";

/// A service that takes a photo as well as its task.
fn service_with_storage() -> World {
    let world = World::with_service();
    let stored = Response::json(r#"{"url":"https://files.example.com/cat.png"}"#);
    world.server.on("POST", STORAGE, [stored]);
    world
}

/// Runs with `cat.png` as the photo, saving to this path: nothing is sent, and the photo stays.
fn refuses_its_photo(world: &World, arguments: &[&str]) {
    let ran = world.run(arguments).exits(2);
    assert!(ran.stderr.contains("is the photo itself"), "{ran:?}");
    assert!(fs::read(world.path("cat.png")).unwrap() == PHOTO);
    assert_eq!(world.server.connections(), 0);
}

#[test]
fn a_picture_never_replaces_the_photo_by_whatever_path() {
    let world = World::new();
    world.photo();
    fs::create_dir(world.path("sub")).unwrap();
    fs::hard_link(world.path("cat.png"), world.path("hard.png")).unwrap();
    symlink("cat.png", world.path("soft.png")).unwrap();
    symlink("..", world.path("sub/up")).unwrap();
    for output in ["cat.png", "./cat.png", "sub/up/cat.png", "hard.png", "soft.png"] {
        refuses_its_photo(&world, &["run", "glass_ball", "cat.png", "-o", output]);
        refuses_its_photo(&world, &["sampler", "cat.png", "-o", output]);
    }
    refuses_its_photo(&world, &["run", "glass_ball", "soft.png", "-o", "hard.png"]);
    for command in [&["run", "glass_ball", "-"][..], &["sampler", "-"]] {
        let mut command = world.command(&[command, &["-o", "cat.png"]].concat());
        command.stdin(File::open(world.path("hard.png")).unwrap());
        let ran = CommandOutput::of(&mut command).exits(2);
        assert!(ran.stderr.contains("is the photo itself"), "{ran:?}");
        assert!(fs::read(world.path("cat.png")).unwrap() == PHOTO);
    }
}

#[test]
fn a_folder_that_is_missing_is_named_before_anything_is_sent() {
    let world = World::with_service();
    world.photo();
    for line in [
        &["run", "glass_ball", IMAGE, "-o", "no/such/ball.png"][..],
        &["wait", "task-1", "-o", "no/such/ball.png"],
        &["sampler", "cat.png", "-o", "no/such/ball.png"],
    ] {
        let ran = world.run(line).exits(2);
        let message =
            "no/such/ball.png cannot be written: the folder no/such is not there: make it";
        assert!(ran.stderr.contains(message), "{ran:?}");
    }
    assert_eq!(world.server.connections(), 0);
}

#[test]
fn a_task_is_not_waited_for_into_the_photo_it_was_made_of() {
    let world = service_with_storage();
    world.photo();
    world.run(&["submit", "glass_ball", "cat.png"]).exits(0);
    let ran = world.run(&["wait", "task-1", "-o", "cat.png"]).exits(2);
    assert!(ran.stderr.contains("is the photo itself"), "{ran:?}");
    assert!(fs::read(world.path("cat.png")).unwrap() == PHOTO);
}

#[test]
fn a_name_that_was_not_chosen_is_never_the_photo_s() {
    // By its default name, and by the name of a second picture.
    let url = |world: &World| world.server.url("/out.png");
    for (photo, output, saved) in [
        ("glass_ball-task-1.png", None, "glass_ball-task-1-2.png\nglass_ball-task-1-3.png\n"),
        ("b-2.png", Some("b.png"), "b.png\nb-3.png\n"),
    ] {
        let world = World::new();
        let stored = Response::json(r#"{"url":"https://files.example.com/cat.png"}"#);
        world.server.on("POST", STORAGE, [stored]);
        world.accepts();
        let content = format!(r#"{{"url":"{0}"}},{{"url":"{0}"}}"#, url(&world));
        let output_field = format!(r#""output":[{{"content":[{content}]}}]"#);
        let body = format!(r#"{{"id":"task-1","status":"completed",{output_field}}}"#);
        world.looks([Response::json(body)]);
        world.serves_picture();
        world.serves_picture();
        let mine = [PHOTO, b"mine"].concat();
        fs::write(world.path(photo), &mine).unwrap();
        let mut arguments = vec!["run", "glass_ball", photo, "--poll", "0.05"];
        arguments.extend(output.into_iter().flat_map(|output| ["-o", output]));
        let ran = world.run(&arguments).exits(0);
        assert_eq!(ran.stdout, saved);
        assert!(fs::read(world.path(photo)).unwrap() == mine, "{photo}");
        for name in saved.lines() {
            assert!(fs::read(world.path(name)).unwrap() == PHOTO, "{name}");
        }
    }
}

#[test]
fn what_is_waited_for_or_resumed_later_never_replaces_its_photo_either() {
    for (command, photo) in [("wait", "task-1.png"), ("resume", "glass_ball-task-1.png")] {
        let world = service_with_storage();
        let mine = [PHOTO, b"mine"].concat();
        fs::write(world.path(photo), &mine).unwrap();
        world.run(&["submit", "glass_ball", photo]).exits(0);
        let task = (command == "wait").then_some("task-1");
        let arguments: Vec<&str> = [command].into_iter().chain(task).collect();
        let saved = world.run(&arguments).exits(0).stdout;
        assert!(fs::read(world.path(photo)).unwrap() == mine, "{command}");
        assert!(fs::read(world.path(saved.trim_end())).unwrap() == PHOTO, "{saved}");
    }
}

#[test]
fn the_sampler_s_own_name_is_never_its_photo_s() {
    let world = World::new();
    fs::write(world.path("sheet.png"), PHOTO).unwrap();
    let ran = world.run(&["sampler", "sheet.png"]).exits(0);
    assert_eq!(ran.stdout, "sheet-2.png\n");
    assert!(fs::read(world.path("sheet.png")).unwrap() == PHOTO);
    assert_eq!(world.names(), ["sheet-2.png", "sheet.png"]);
    let ran = world.run(&["sampler", "sheet.png", "-o", "-"]).exits(2);
    assert!(ran.stderr.contains("no file"), "{ran:?}");
    assert_eq!(world.names(), ["sheet-2.png", "sheet.png"]);
}

#[test]
fn a_link_stays_a_link_and_the_picture_is_where_it_leads() {
    let world = World::with_service();
    fs::create_dir(world.path("pictures")).unwrap();
    fs::write(world.path("pictures/ball.png"), "before").unwrap();
    symlink("pictures/ball.png", world.path("link.png")).unwrap();
    let ran = world.run(&["run", "glass_ball", IMAGE, "--poll", "0.05", "-o", "link.png"]);
    assert_eq!(ran.exits(0).stdout, "link.png\n");
    assert!(world.path("link.png").symlink_metadata().unwrap().is_symlink());
    assert!(fs::read(world.path("pictures/ball.png")).unwrap() == PHOTO);
}

#[test]
fn a_pipe_and_a_device_are_written_to() {
    let world = World::with_service();
    let pipe = world.path("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let reader = std::thread::spawn({
        let pipe = pipe.clone();
        move || fs::read(pipe).unwrap()
    });
    let run = ["run", "glass_ball", IMAGE, "--poll", "0.05", "-o", "pipe"];
    assert_eq!(world.run(&run).exits(0).stdout, "pipe\n");
    assert!(reader.join().unwrap() == PHOTO);
    assert!(pipe.symlink_metadata().unwrap().file_type().is_fifo());

    // By a link: what would be replaced if it were is not the system's.
    symlink("/dev/null", world.path("null")).unwrap();
    for command in [&["wait", "task-1"][..], &["sampler", world.photo()]] {
        world.looks([world.completed()]);
        world.serves_picture();
        world.run(&[command, &["-o", "null"]].concat()).exits(0);
        assert!(world.path("null").symlink_metadata().unwrap().is_symlink());
    }
    assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
}

#[test]
fn stdout_is_no_place_for_a_picture() {
    let world = World::new();
    for output in ["-", "/dev/stdout", "/dev/fd/1"] {
        let ran = world.run(&["run", "glass_ball", IMAGE, "-o", output]).exits(2);
        assert!(ran.stderr.contains("paths to stdout"), "{ran:?}");
    }
    assert_eq!(world.server.requests().iter().filter(|seen| seen.path() == CREATE).count(), 0);
}
