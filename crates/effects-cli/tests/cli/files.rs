//! Photos in, pictures out.

use std::fs;

use effects_testkit::http::{Behaviour, Response};

use crate::world::{CREATE, CommandOutput, IMAGE, PHOTO, World};

const STORAGE: &str = "/api/v1/storage/files";

#[test]
fn an_existing_file_is_replaced_whole_or_not_at_all() {
    let world = World::new();
    world.accepts();
    world.looks([world.completed(), world.completed()]);
    let half = Behaviour::Truncate { response: Response::new(200).body(PHOTO), body_bytes: 1000 };
    world.server.on("GET", "/out.png", [half, Response::new(410).into()]);
    fs::write(world.path("ball.png"), "before").unwrap();
    let run = ["run", "glass_ball", IMAGE, "--poll", "0.05", "-o", "ball.png"];
    world.run(&run).exits(7);
    assert_eq!(fs::read(world.path("ball.png")).unwrap(), b"before");
    assert_eq!(world.names(), ["ball.png"]);

    world.serves_picture();
    let ran = world.run(&["wait", "task-1", "-o", "ball.png"]).exits(0);
    assert_eq!(ran.stdout, "ball.png\n");
    assert_eq!(fs::read(world.path("ball.png")).unwrap(), PHOTO);
    assert_eq!(world.names(), ["ball.png"]);
}

#[test]
fn a_picture_of_another_length_than_the_service_said_is_saved_with_a_warning() {
    let world = World::new();
    world.accepts();
    let length = format!("\"size\":{}", PHOTO.len());
    let completed = String::from_utf8(world.completed_body()).unwrap();
    world.looks([Response::json(completed.replace(&length, "\"size\":7"))]);
    world.serves_picture();
    let run = ["run", "glass_ball", IMAGE, "--poll", "0.05", "-o", "ball.png", "--json"];
    let ran = world.run(&run).exits(0);
    assert!(ran.stderr.contains("bytes where the service said 7"), "{ran:?}");
    let picture = &ran.object()["pictures"][0];
    assert!(picture["warning"].as_str().unwrap().contains("where the service said 7"), "{picture}");
    assert_eq!(picture["bytes"], PHOTO.len());
    assert!(fs::read(world.path("ball.png")).unwrap() == PHOTO);
}

/// Names are bytes on most systems.
#[cfg(target_os = "linux")]
#[test]
fn a_photo_whose_name_is_no_text_works_in_every_command() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let world = World::new();
    let (name, saved) = (OsStr::from_bytes(b"ca\xff t.png"), OsStr::from_bytes(b"o\xff.png"));
    world.accepts();
    fs::write(world.path("").join(name), PHOTO).unwrap();
    for (command, is_saved) in [
        (&["check", "glass_ball", "--emulator"][..], false),
        (&["submit", "glass_ball", "--uploads", "data-url"], false),
        (&["run", "glass_ball", "--emulator", "--json"], true),
        (&["sampler"], true),
    ] {
        let is_here = !command.contains(&"submit");
        let mut command = if is_here { world.bare(command) } else { world.command(command) };
        command.arg(name);
        if is_saved {
            command.arg("-o").arg(saved);
        }
        let ran = CommandOutput::of(&mut command).exits(0);
        assert!(!is_saved || fs::remove_file(world.path("").join(saved)).is_ok(), "{ran:?}");
    }
    let mut missing = world.bare(&["check", "glass_ball", "--json"]);
    let object = CommandOutput::of(missing.arg(OsStr::from_bytes(b"\xff.png"))).exits(2).object();
    assert_eq!(object["image"], "\u{fffd}.png");
}

#[cfg(target_os = "linux")]
#[test]
fn a_pipe_or_a_device_as_a_photo_is_refused_and_what_the_shell_has_opened_is_read() {
    let world = World::new();
    let pipe = world.path("pipe.png");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for photo in ["pipe.png", "/dev/zero"] {
        for command in [
            &["check", "glass_ball", photo][..],
            &["run", "glass_ball", photo, "--emulator"],
            &["submit", "glass_ball", photo, "--uploads", "data-url"],
            &["sampler", photo],
        ] {
            let ran = CommandOutput::of(&mut world.command(command)).exits(2);
            let said = format!("photo {photo} is not a regular file");
            assert!(ran.stderr.contains(&said) || ran.stdout.contains(&said), "{ran:?}");
        }
    }
    assert!(world.server.requests().is_empty());
    fs::write(world.path("cat.png"), PHOTO).unwrap();
    let effects = env!("CARGO_BIN_EXE_effects");
    let line = format!("cat cat.png | {effects} check glass_ball /dev/fd/0 --emulator");
    let mut shell = std::process::Command::new("sh");
    CommandOutput::of(shell.args(["-c", &line]).current_dir(world.path(""))).exits(0);
}

#[test]
fn names_of_any_script_keep_their_letters() {
    let world = World::new();
    fs::write(world.path("кошка 猫.png"), PHOTO).unwrap();
    let run = ["run", "glass_ball", "кошка 猫.png", "--emulator", "--journal", "runs.db"];
    let ran = world.run(&run).exits(0);
    assert!(ran.stderr.contains("uploading кошка 猫.png"), "{ran:?}");
    let ran = world.run(&["tasks", "--journal", "runs.db"]).exits(0);
    assert!(ran.stdout.contains("кошка 猫.png"), "{ran:?}");
}

#[test]
fn a_download_that_is_repeated_is_told() {
    let world = World::new();
    world.accepts();
    world.looks([world.completed()]);
    let half = Behaviour::Truncate { response: Response::new(200).body(PHOTO), body_bytes: 1000 };
    world.server.on("GET", "/out.png", [half]);
    world.serves_picture();
    let ran = world.run(&["run", "glass_ball", IMAGE, "--poll", "0.05"]).exits(0);
    assert!(ran.stderr.contains("downloading the picture of task task-1 again in"), "{ran:?}");
}

#[test]
fn no_download_prints_the_url_and_saves_nothing() {
    let world = World::with_service();
    let ran = world.run(&["run", "glass_ball", IMAGE, "--no-download", "--poll", "0.05"]).exits(0);
    assert_eq!(ran.stdout, format!("{}\n", world.server.url("/out.png")));
    assert!(world.names().is_empty());
}

#[test]
fn several_pictures_are_numbered() {
    let world = World::new();
    world.accepts();
    let url = world.server.url("/out.png");
    let content = format!(r#"{{"url":"{url}"}},{{"url":"{url}"}}"#);
    let body =
        format!(r#"{{"id":"task-1","status":"completed","output":[{{"content":[{content}]}}]}}"#);
    world.looks([Response::json(body)]);
    world.serves_picture();
    world.serves_picture();
    let ran = world.run(&["run", "glass_ball", IMAGE, "--poll", "0.05", "-o", "b.png"]).exits(0);
    assert_eq!(ran.stdout, "b.png\nb-2.png\n");
    assert_eq!(world.names(), ["b-2.png", "b.png"]);
}

#[test]
fn an_id_that_is_a_path_leads_nowhere() {
    let world = World::new();
    let created = r#"{"id":"../../evil/x","status":"in_progress"}"#;
    world.server.on("POST", CREATE, [Response::json(created)]);
    let looked = "/model/v1/generation/task/..%2F..%2Fevil%2Fx";
    world.server.on("GET", looked, [world.completed()]);
    world.serves_picture();
    let ran = world.run(&["run", "glass_ball", IMAGE, "--poll", "0.05"]);
    let ran = ran.exits(0);
    let names = world.names();
    assert_eq!(ran.stdout, format!("{}\n", names[0]));
    assert!(names.len() == 1 && names[0].starts_with("glass_ball-_._.._evil_x-"), "{names:?}");
}

#[test]
fn local_photos_are_uploaded_first_from_a_file_and_from_stdin() {
    for from_stdin in [false, true] {
        let world = World::with_service();
        let stored = Response::json(r#"{"url":"https://files.example.com/cat.png"}"#);
        world.server.on("POST", STORAGE, [stored]);
        let ran = if from_stdin {
            world.run_with_stdin(&["run", "glass_ball", "-", "--poll", "0.05"], PHOTO)
        } else {
            let photo = world.photo();
            world.run(&["run", "glass_ball", photo, "--poll", "0.05"])
        };
        ran.exits(0);
        let requests = world.server.requests();
        assert_eq!((requests[0].path(), requests[1].path()), (STORAGE, CREATE));
        assert!(requests[0].body.windows(PHOTO.len()).any(|window| window == PHOTO));
        let body = String::from_utf8_lossy(&requests[1].body);
        assert!(body.contains(r#""image_input1":"https://files.example.com/cat.png""#), "{body}");
    }
}

#[test]
fn an_empty_stdin_is_no_photo() {
    let world = World::new();
    let ran = world.run_with_stdin(&["run", "glass_ball", "-"], b"").exits(2);
    assert!(ran.stderr.contains("stdin is empty") && ran.stderr.contains("3009001"), "{ran:?}");
    assert_eq!(world.server.connections(), 0);
}
