//! The gateway inside the command, and the gateway as a command.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::world::{CommandOutput, IMAGE, RunningCommand, World};

/// The sides of a PNG file.
fn sides(png: &[u8]) -> (u32, u32) {
    let picture = image::load_from_memory_with_format(png, image::ImageFormat::Png).unwrap();
    (picture.width(), picture.height())
}

#[test]
fn one_command_makes_a_picture_of_exactly_the_size_asked_for() {
    let world = World::new();
    let photo = world.photo();
    // Set, and not used.
    let run = ["run", "glass_ball", photo, "--emulator", "-o", "out.png"];
    world.run(&run).exits(0);
    assert_eq!(sides(&fs::read(world.path("out.png")).unwrap()), (1328, 1328));
    let sized = [&run[..], &["--width", "512", "--height", "2048", "--json"]].concat();
    let object = world.run(&sized).exits(0).object();
    assert_eq!(object["pictures"][0]["path"], "out.png");
    assert_eq!(sides(&fs::read(world.path("out.png")).unwrap()), (512, 2048));
    assert_eq!(world.server.connections(), 0);
}

#[test]
fn without_an_environment_it_needs_nothing() {
    let world = World::new();
    let photo = world.photo();
    let run = ["run", "my_world", photo, "--emulator", "--width", "512", "--height", "512"];
    let ran = CommandOutput::of(&mut world.bare(&run)).exits(0);
    assert!(world.path(ran.stdout.trim()).is_file(), "{ran:?}");
    assert!(ran.stderr.contains("stand-in") && !ran.stderr.contains("USD"), "{ran:?}");
}

#[test]
fn nothing_resumes_a_task_of_a_gateway_that_is_gone() {
    let world = World::new();
    // No server listens there: the photo cannot be fetched.
    let nowhere = effects_testkit::http::unused_address();
    let image = format!("http://{nowhere}/cat.png");
    let ran = world.run(&["run", "glass_ball", &image, "--emulator", "--json"]).exits(4);
    let object = ran.object();
    assert_eq!(object["code"], "3009097");
    assert!(object["resume"].is_null());
    assert!(!ran.stderr.contains("effects wait"), "{ran:?}");
    let photo = world.photo();
    let timeout = ["run", "glass_ball", photo, "--emulator", "--wait-timeout", "0", "--json"];
    let ran = world.run(&timeout);
    assert!(!format!("{ran:?}").contains("effects wait"), "{ran:?}");
}

#[cfg(unix)]
#[test]
fn the_emulator_tells_where_it_is_serves_and_stops_gracefully() {
    for signal in ["INT", "TERM"] {
        let world = World::new();
        let flags = ["--pictures", "stub", "--latency", "10ms", "--price", "0.07", "--json"];
        let mut server = RunningCommand::new(world.bare(&[&["emulator"], &flags[..]].concat()));
        let object: Value = serde_json::from_str(&server.first_line()).unwrap();
        assert_eq!(object["schema"], "effects.emulator.v1");
        assert!(object["pid"].as_u64().is_some());
        let (url, key) =
            (object["base_url"].as_str().unwrap(), object["api_key"].as_str().unwrap());

        let at = ["--base-url", url, "--api-key", key, "--json"];
        let submit = [&["submit", "glass_ball", IMAGE], &at[..]].concat();
        let submitted = CommandOutput::of(&mut world.bare(&submit)).exits(0).object();
        let id = submitted["task_id"].as_str().unwrap();
        let waited = [&["wait", id, "--poll", "0.05"], &at[..]].concat();
        let waited = CommandOutput::of(&mut world.bare(&waited)).exits(0).object();
        assert_eq!(waited["cost"], "0.07");
        assert!(world.path(waited["pictures"][0]["path"].as_str().unwrap()).is_file());
        let status = [&["status", id], &at[..]].concat();
        let status = CommandOutput::of(&mut world.bare(&status)).exits(0).object();
        assert_eq!(status["status"], "completed");
        let stranger = ["status", id, "--base-url", url, "--api-key", "wrong"];
        CommandOutput::of(&mut world.bare(&stranger)).exits(3);

        server.signal(signal);
        let ran = server.end().exits(0);
        assert!(ran.stderr.contains("until Ctrl-C"), "{ran:?}");
    }
}

/// What the container runs, run here: where there is no docker this is what can be known of it.
#[cfg(unix)]
#[test]
fn the_containers_entry_point_starts_and_its_health_check_finds_it_well() {
    let dockerfile = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Dockerfile");
    let dockerfile = fs::read_to_string(dockerfile).unwrap();
    let words = |instruction: &str| -> Vec<String> {
        let (_, rest) = dockerfile.split_once(instruction).unwrap();
        serde_json::from_str(rest.lines().next().unwrap()).unwrap()
    };
    let entry = words("ENTRYPOINT ");
    assert_eq!(entry[0], "effects");
    let world = World::new();
    let port = effects_testkit::http::unused_address().port().to_string();
    let arguments: Vec<&str> =
        entry[1..].iter().map(|word| if word == "8600" { port.as_str() } else { word }).collect();
    let flags = ["--json", "--api-key", "any-key"];
    let mut server = RunningCommand::new(world.bare(&[&arguments[..], &flags].concat()));
    server.first_line();
    let check = words("    CMD ");
    let well = |port: &str| {
        let mut command = std::process::Command::new(&check[0]);
        command.args(check[1..].iter().map(|word| word.replace("8600", port)));
        command.output().unwrap().status.success()
    };
    assert!(well(&port));
    server.signal("TERM");
    let ran = server.end().exits(0);
    assert!(ran.stderr.contains("other machines can reach"), "{ran:?}");
    assert!(!well(&port));
}

/// A stand-in for the system's own opener writes down what it is asked to open.
#[cfg(target_os = "linux")]
#[test]
fn its_page_is_opened_on_request() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new();
    let opener = world.path("xdg-open");
    fs::write(&opener, "#!/bin/sh\necho \"$1\" > opened\n").unwrap();
    fs::set_permissions(&opener, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = world.bare(&["emulator", "--open", "--json"]);
    command.env("PATH", format!("{}:/usr/bin:/bin", world.path("").display()));
    let mut server = RunningCommand::new(command);
    let object: Value = serde_json::from_str(&server.first_line()).unwrap();
    let page = format!("{}/\n", object["base_url"].as_str().unwrap());
    let begun = std::time::Instant::now();
    while fs::read_to_string(world.path("opened")).ok().as_deref() != Some(&*page) {
        assert!(begun.elapsed().as_secs() < 20, "nothing was opened");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    server.signal("TERM");
    server.end().exits(0);
    // Where there is none, it says so and runs.
    let mut command = world.bare(&["emulator", "--open", "--json"]);
    command.env("PATH", "/nowhere");
    let mut server = RunningCommand::new(command);
    server.first_line();
    server.wait_for_text("open it yourself");
    server.signal("TERM");
    server.end().exits(0);
}

#[test]
fn an_emulator_that_cannot_be_exits_2() {
    let world = World::new();
    fs::write(world.path("plan.toml"), "[[fault]]\nkind = \"earthquake\"\n").unwrap();
    let port = world.server.address().port().to_string();
    for flags in [
        &["--port", &port][..],
        &["--latency", "2 parsecs"],
        &["--faults", "plan.toml"],
        &["--faults", "nowhere.toml"],
        &["--dialect", "welsh"],
        &["--public-url", "mock.example"],
        &["--cors", "localhost:3000"],
        &["--isolate-keys", "--data-dir", "state"],
    ] {
        world.run(&[&["emulator"], flags].concat()).exits(2);
    }
}

#[test]
fn a_value_that_is_none_is_told_with_what_to_give() {
    let world = World::new();
    for (line, words) in [
        (&["emulator", "--price", "abc"][..], "'abc' for '--price <USD>': give an amount in USD"),
        (
            &["emulator", "--port", "abc"],
            "'abc' for '--port <N>': give a whole number from 0 to 65535",
        ),
        (&["emulator", "--seed", "abc"], "give a whole number from 0"),
        (
            &["reorder", "abc"],
            "'abc' for '<ROW>...': give a row's number, as `effects tasks` prints it",
        ),
        (&["resolve", "abc", "--not-billed"], "give a row's number, as `effects tasks` prints it"),
        (&["batch", "rows.csv", "--in-flight", "abc"], "give a whole number from 1 to 100000"),
        (&["batch", "rows.csv", "--in-flight", "0"], "give a whole number from 1 to 100000"),
        (&["batch", "rows.csv", "--pilot", "201"], "give a whole number from 1 to 200"),
    ] {
        let ran = world.run(line).exits(2);
        assert!(ran.stderr.contains(words), "{words:?} is missing: {}", ran.stderr);
    }
}

#[test]
fn the_sampler_paints_a_sheet_of_all_templates_without_a_key() {
    let world = World::new();
    let photo = world.photo();
    let ran = CommandOutput::of(&mut world.bare(&["sampler", photo, "-o", "looks.png"])).exits(0);
    assert_eq!(ran.stdout.trim(), "looks.png");
    // Six pictures of 320 pixels in a row, and five rows.
    let (width, height) = sides(&fs::read(world.path("looks.png")).unwrap());
    assert!(width >= 6 * 320 && height >= 5 * 320, "{width}x{height}");
    assert_eq!(world.names(), ["cat.png", "looks.png"]);
}

#[test]
fn the_sampler_refuses_what_it_cannot_paint_or_write() {
    let world = World::new();
    let url = world.run(&["sampler", IMAGE]).exits(2);
    assert!(url.stderr.contains("path of a photo"), "{url:?}");
    let text = world.run_with_stdin(&["sampler", "-"], b"not a picture").exits(2);
    assert!(text.stderr.contains("not a picture"), "{text:?}");
    let broken = world.run_with_stdin(&["sampler", "-"], b"\x89PNG\r\n\x1a\nbroken").exits(2);
    assert_eq!(broken.stdout, "");
    let photo = world.photo();
    world.run(&["sampler", photo, "-o", "nowhere/looks.png"]).exits(2);
    assert_eq!(world.names(), ["cat.png"]);
    assert_eq!(world.server.connections(), 0);
}

#[test]
fn photos_of_other_formats_are_painted_on_this_machine_or_named() {
    let world = World::new();
    let picture = image::DynamicImage::ImageRgb8(image::RgbImage::from_pixel(
        64,
        48,
        image::Rgb([200, 90, 40]),
    ));
    let run = |photo: &str| {
        let small = ["--width", "512", "--height", "512", "-o", "out.png"];
        CommandOutput::of(
            &mut world.bare(&[&["run", "glass_ball", photo, "--emulator"][..], &small].concat()),
        )
    };
    for (name, format) in [
        ("photo.gif", image::ImageFormat::Gif),
        ("photo.bmp", image::ImageFormat::Bmp),
        ("photo.tif", image::ImageFormat::Tiff),
    ] {
        picture.save_with_format(world.path(name), format).unwrap();
        run(name).exits(0);
        assert_eq!(sides(&fs::read(world.path("out.png")).unwrap()), (512, 512), "{name}");
    }
    // Without its end, and with all of its pixels.
    let photo = world.path("whole.jpg");
    picture.save_with_format(&photo, image::ImageFormat::Jpeg).unwrap();
    let whole = fs::read(&photo).unwrap();
    fs::write(world.path("no_end.jpg"), &whole[..whole.len() - 2]).unwrap();
    let ran = run("no_end.jpg").exits(0);
    assert!(ran.stderr.contains("warning: photo \"no_end.jpg\" does not end"), "{ran:?}");
    fs::write(world.path("phone.heic"), b"\0\0\0\x18ftypheic\0\0\0\0mif1heic").unwrap();
    let ran = run("phone.heic").exits(4);
    // The advice is whole, however long it is.
    let advice = "heif-convert photo.heic photo.jpg`, or let the phone save JPEG (iPhone: Settings, Camera, Formats, \
                  Most Compatible)";
    assert!(ran.stderr.contains("HEIC") && ran.stderr.contains(advice), "{ran:?}");
    let json = ["run", "glass_ball", "phone.heic", "--emulator", "--json"];
    let error = CommandOutput::of(&mut world.bare(&json)).exits(4).object();
    assert!(error["message"].as_str().unwrap().contains(advice), "{error}");
}
