//! What cannot be is refused with every reason at once, and nothing is sent.

use std::fs;

use serde_json::{Value, json};

use crate::world::{CommandOutput, IMAGE, KEY, World};

fn codes(object: &Value) -> Vec<&str> {
    let problems = object["problems"].as_array().unwrap();
    problems.iter().map(|problem| problem["code"].as_str().unwrap_or("-")).collect()
}

#[test]
fn all_problems_are_named_at_once_by_run_submit_and_check() {
    let world = World::new();
    let request = ["glas_ball", "nothing.jpg", "--width", "-5", "--height", "tall"];
    for command in ["run", "submit", "check"] {
        let arguments = [&[command], &request[..]].concat();
        let ran = world.run(&arguments).exits(2);
        let said = format!("{}{}", ran.stdout, ran.stderr);
        for word in ["3009001", "nothing.jpg", "3009003", "glass_ball", "3009004", "-5", "tall"] {
            assert!(said.contains(word), "{word}: {said}");
        }
        let object = world.run(&[&arguments[..], &["--json"]].concat()).exits(2).object();
        assert_eq!(codes(&object), ["3009001", "3009003", "3009004", "3009004"]);
        assert_eq!(object["problems"][1]["suggestions"], json!(["glass_ball"]));
    }
    assert_eq!(world.server.connections(), 0);
}

#[test]
fn missing_words_have_codes_of_their_own() {
    let world = World::new();
    let object = world.run(&["run", "--json"]).exits(2).object();
    assert_eq!(codes(&object), ["3009001", "3009002"]);
    assert_eq!(object["kind"], "invalid_request");
    let object = world.run(&["check", "glass_ball", "", "--json"]).exits(2).object();
    assert_eq!(codes(&object), ["3009001"]);
    let object = world.run(&["check", "glass_ball", "ftp://x/y.png", "--json"]).exits(2).object();
    assert_eq!(codes(&object), ["3009001"]);
}

#[test]
fn an_unlisted_template_passes_only_on_purpose() {
    let world = World::with_service();
    world.run(&["check", "moon_base", IMAGE]).exits(2);
    let ran = world.run(&["check", "moon_base", IMAGE, "--allow-unlisted"]).exits(0);
    assert!(ran.stdout.starts_with("ok: moon_base"), "{ran:?}");
    assert_eq!(world.server.connections(), 0);
    world.run(&["run", "moon_base", IMAGE, "--allow-unlisted", "--poll", "0.05"]).exits(0);
    assert_eq!(world.names(), ["moon_base-task-1.png"]);
}

#[test]
fn a_photo_that_is_none_or_has_nowhere_to_go_is_found_before_anything_is_sent() {
    let world = World::new();
    fs::write(world.path("notes.png"), "these are notes").unwrap();
    let ran = world.run(&["run", "glass_ball", "notes.png"]).exits(2);
    assert!(ran.stderr.contains("not a picture"), "{ran:?}");

    let photo = world.photo();
    let mut command = world.bare(&["run", "glass_ball", photo, "--width", "1", "--json"]);
    let ran = CommandOutput::of(&mut command).exits(2);
    let object = ran.object();
    assert_eq!(codes(&object), ["3009004", "-"]);
    assert!(ran.stderr.contains("presigned-put"), "{ran:?}");
    let mut check = world.bare(&["check", "glass_ball", photo]);
    CommandOutput::of(&mut check).exits(2);
    world.run(&["check", "glass_ball", photo]).exits(0);
    CommandOutput::of(&mut world.bare(&["check", "glass_ball", photo, "--emulator"])).exits(0);
    assert_eq!(world.server.connections(), 0);
}

#[test]
fn photos_are_named_for_what_they_are() {
    let world = World::new();
    for (name, content, said) in [
        ("drawing.jpg", &b"<svg xmlns='http://www.w3.org/2000/svg'/>"[..], "rsvg-convert"),
        ("scan.jpg", b"%PDF-1.7\n", "pdftoppm"),
        ("page.jpg", b"<!doctype html><html>", "web page"),
        ("nothing.jpg", b"", "empty"),
    ] {
        fs::write(world.path(name), content).unwrap();
        let ran = world.run(&["run", "glass_ball", name]).exits(2);
        let none = if content.is_empty() { "is empty" } else { "is not a picture: it is a" };
        assert!(ran.stderr.contains(none) && ran.stderr.contains(said), "{ran:?}");
        fs::write(world.path("rows.csv"), format!("template,image\nglass_ball,{name}\n")).unwrap();
        let ran = world.run(&["batch", "rows.csv", "--out", "out", "--plan"]).exits(2);
        assert!(ran.stdout.contains(none) && ran.stdout.contains(said), "{ran:?}");
    }
    // What the service makes of these is not known, so they are only warned of.
    for (name, content, said) in [
        ("IMG_1.HEIC", &b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"[..], "heif-convert"),
        ("a.avif", b"\0\0\0\x1cftypavif\0\0\0\0", "avifdec"),
        ("a.jxl", b"\xff\x0a\0\0", "djxl"),
        ("a.bmp", b"BM\x0a\0\0\0\0\0\0\0", "magick photo.bmp photo.png"),
        ("a.gif", b"GIF89a\0;", "magick 'photo.gif[0]' photo.png"),
        ("кошка 猫.tif", b"II*\0\x08\0\0\0", "кошка 猫.tif"),
        ("cut.jpg", b"\xff\xd8\xff\xe0\0\x10JFIF", "a part of it may be missing"),
    ] {
        fs::write(world.path(name), content).unwrap();
        let elsewhere = ["--base-url", "https://api.example.com", "--uploads", "data-url"];
        let check = ["check", "glass_ball", name];
        let ran = world.run(&[&check[..], &elsewhere].concat()).exits(0);
        assert!(ran.stdout.contains("\nwarning: ") && ran.stdout.contains(said), "{ran:?}");
        let object = world.run(&[&check[..], &elsewhere, &["--json"]].concat()).exits(0).object();
        assert!(object["warnings"][0].as_str().unwrap().contains(said), "{object}");
    }
    assert_eq!(world.server.connections(), 0);
}

#[test]
fn urls_are_taken_as_people_write_them_and_those_that_no_service_reaches_are_warned_of() {
    let world = World::new();
    let elsewhere = ["--base-url", "https://api.example.com"];
    for url in ["http://localhost:8000/cat.jpg", "http://192.168.0.7/cat.jpg"] {
        let check = ["check", "glass_ball", url];
        let ran = world.run(&[&check[..], &elsewhere].concat()).exits(0);
        assert!(ran.stdout.contains("cannot reach"), "{ran:?}");
        let ran = world.run(&check).exits(0);
        assert!(!ran.stdout.contains("cannot reach"), "{ran:?}");
    }
    for url in [" https://example.com/cat.jpg ", "https://bücher.example/cat.jpg"] {
        let ran = world.run(&[&["check", "glass_ball", url][..], &elsewhere].concat()).exits(0);
        assert!(ran.stdout.starts_with("ok") && !ran.stdout.contains("warning"), "{ran:?}");
    }
    assert_eq!(world.server.connections(), 0);
}

#[test]
fn a_place_that_cannot_be_written_is_found_before_anything_is_paid() {
    let world = World::with_service();
    fs::create_dir(world.path("folder")).unwrap();
    for place in ["missing/out.png", "folder", "-"] {
        for command in [&["run", "glass_ball", IMAGE][..], &["wait", "task-1"]] {
            let ran = world.run(&[command, &["-o", place]].concat()).exits(2);
            assert!(ran.stderr.contains(place), "{ran:?}");
        }
    }
    assert_eq!(world.server.connections(), 0);
    assert_eq!(world.names(), ["folder"]);
}

/// A port that is none was once taken for the scheme's own, and the key went there.
#[test]
fn a_base_url_or_a_photo_that_no_url_standard_knows_is_refused_with_its_reason() {
    let world = World::new();
    for (url, named) in [
        ("http://127.0.0.1:99999", "port"),
        ("http://127.0.0.1:65536/", "port"),
        ("http://[::1/", "IPv6"),
        ("http://127.0.0.256", "IPv4"),
    ] {
        for command in [&["run", "glass_ball", IMAGE][..], &["status", "task-1"], &["resume"]] {
            let ran = world.run(&[command, &["--base-url", url]].concat()).exits(2);
            assert!(ran.stderr.contains(named) && ran.stderr.contains(url), "{ran:?}");
        }
        let mut command = world.bare(&["status", "task-1"]);
        let ran = CommandOutput::of(command.env("EFFECTS_BASE_URL", url)).exits(2);
        assert!(ran.stderr.contains(named), "{ran:?}");
        let ran = world.run(&["check", "glass_ball", url]).exits(2);
        assert!(ran.stdout.contains(named) && ran.stdout.contains(url), "{ran:?}");
        let uploads = format!("gateway={url}");
        let run = ["run", "glass_ball", world.photo(), "--uploads", &uploads];
        let ran = world.run(&run).exits(2);
        assert!(ran.stderr.contains(named), "{ran:?}");
    }
    assert_eq!(world.server.connections(), 0);
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_no_text_is_an_error_unless_something_else_is_given() {
    use std::os::unix::ffi::OsStrExt;

    let odd = std::ffi::OsStr::from_bytes(b"http://127.0.0.1:9\xff");
    let world = World::new();
    for name in ["EFFECTS_BASE_URL", "EFFECTS_API_KEY", "VTRIX_API_KEY"] {
        for command in [&["run", "glass_ball", IMAGE][..], &["status", "task-1"]] {
            let mut command = world.bare(command);
            if name == "EFFECTS_BASE_URL" {
                command.env("EFFECTS_API_KEY", KEY);
            } else {
                command.env("EFFECTS_BASE_URL", world.server.base_url());
            }
            let ran = CommandOutput::of(command.env(name, odd)).exits(2);
            assert!(ran.stderr.contains(name) && ran.stderr.contains("UTF-8"), "{ran:?}");
        }
    }
    assert_eq!(world.server.connections(), 0);

    world.looks([world.completed(), world.completed()]);
    let url = world.server.base_url();
    let mut given = world.bare(&["status", "task-1", "--base-url", &url, "--api-key", KEY]);
    given.env("EFFECTS_BASE_URL", odd).env("EFFECTS_API_KEY", odd);
    CommandOutput::of(&mut given).exits(0);
    // The first key that is set is the one.
    let mut first = world.command(&["status", "task-1", "-v"]);
    let ran = CommandOutput::of(first.env("VTRIX_API_KEY", odd).env("RUST_LOG", odd)).exits(0);
    assert!(ran.stderr.contains("RUST_LOG is not understood"), "{ran:?}");
}

#[test]
fn headers_of_the_callers_own_go_to_the_gateway_alone_and_never_replace_the_key() {
    let world = World::with_service();
    let run = ["run", "glass_ball", world.photo(), "--poll", "0.05", "--no-journal"];
    let stored = r#"{"url":"https://files.example.com/photo.png"}"#;
    world.server.on(
        "POST",
        "/api/v1/storage/files",
        [effects_testkit::http::Response::json(stored)],
    );
    let headers = ["--header", "X-Team: studio", "--header", "user-agent: mine/1.0"];
    world.run(&[&run[..], &["--uploads", "gateway"], &headers].concat()).exits(0);
    for seen in world.server.requests() {
        let expected = (seen.path() != "/out.png").then_some("studio");
        assert_eq!(seen.header("x-team"), expected, "{}", seen.path());
        if expected.is_some() {
            assert_eq!(seen.header("user-agent"), Some("mine/1.0"));
            assert_eq!(seen.header("authorization"), Some(format!("Bearer {KEY}").as_str()));
        }
    }
    let world = World::with_service();
    for header in
        ["Authorization: Bearer x", "host: elsewhere", "Content-Length: 1", "X-Team", ": a"]
    {
        let ran = world.run(&[&RUN_IMAGE[..], &["--header", header]].concat()).exits(2);
        assert!(!ran.stderr.contains("Bearer x ") && !ran.stderr.is_empty(), "{ran:?}");
    }
    assert_eq!(world.server.connections(), 0);
}

const RUN_IMAGE: [&str; 3] = ["run", "glass_ball", IMAGE];

#[test]
fn an_unknown_parameter_is_sent_and_a_misspelt_one_refused() {
    let world = World::with_service();
    let run = ["run", "glass_ball", IMAGE, "--poll", "0.05", "--no-journal", "--no-download"];
    let params = ["--param", "seed=3", "--param", "style=soft", "--param", r#"on=["x", 1.5]"#];
    world.run(&[&run[..], &params].concat()).exits(0);
    let sent = world.server.requests().into_iter().find(|seen| seen.method == "POST").unwrap();
    assert!(sent.text().contains(r#","on":["x",1.5],"seed":3,"style":"soft"}"#), "{}", sent.text());
    for (param, words) in [
        ("widht=512", "did you mean \"width\""),
        ("width=512", "is a documented one: give it as \"width\""),
        ("template_id=x", "give it as \"template\""),
        (r#"x={"a""#, "begins like JSON and is none"),
        (r#"x="a"#, "begins like JSON and is none"),
        ("seed=null", "is null"),
        ("seed", "NAME=VALUE"),
        ("=3", "NAME=VALUE"),
    ] {
        for command in ["run", "submit", "check"] {
            let ran = world.run(&[command, "glass_ball", IMAGE, "--param", param]).exits(2);
            let printed = [ran.stdout.as_str(), &ran.stderr].concat();
            assert!(printed.contains(words), "{param}: {ran:?}");
        }
    }
    let twice = ["--param", "seed=1", "--param", "seed=2", "--param", "height=3"];
    let ran = world.run(&[&run[..], &twice].concat()).exits(2);
    for printed in ["parameter \"seed\" is there twice", "parameter \"height\" is a documented one"]
    {
        assert!(ran.stderr.contains(printed), "{ran:?}");
    }
    assert_eq!(world.submissions(), 1);
}

#[test]
fn rows_that_have_just_ended_are_not_forgotten() {
    let world = World::new();
    for (age, said) in
        [("0d", "give at least 1d"), ("0w", "give at least 1d"), ("9h", "whole days")]
    {
        let ran = world.run(&["journal", "prune", "--older-than", age]).exits(2);
        assert!(ran.stderr.contains(said), "{age}: {ran:?}");
    }
}

#[test]
fn options_that_make_no_sense_together_exit_2() {
    let world = World::new();
    let url = world.server.base_url();
    for arguments in [
        &["--emulator", "submit", "glass_ball", IMAGE][..],
        &["status", "task-1", "--emulator"],
        &["wait", "task-1", "--emulator"],
        &["--base-url", &url, "run", "glass_ball", IMAGE, "--emulator"],
        &["run", "glass_ball", IMAGE, "--api-key", "a", "--api-key-file", "b"],
        &["run", "glass_ball", IMAGE, "-q", "-v"],
        &["run", "glass_ball", IMAGE, "-o", "x.png", "--no-download"],
        &["run", "glass_ball", IMAGE, "--wait-timeout", "soon"],
        &["run", "glass_ball", IMAGE, "--poll", "0"],
        &["run", "glass_ball", IMAGE, "--uploads", "s3"],
        &["run", "glass_ball", IMAGE, "--base-url", "http://example.com"],
        &["run", "glass_ball", IMAGE, "--api-key", ""],
        &["run", "glass_ball", IMAGE, "--api-key-file", "nowhere"],
        &["run", "glass_ball", IMAGE, "--nope"],
        &["wait", ""],
        &["paint"],
        &[],
    ] {
        world.run(arguments).exits(2);
    }
    assert_eq!(world.server.connections(), 0);
    let object = world.run(&["run", "--nope", "--json"]).exits(2).object();
    assert_eq!(object["kind"], "misconfigured");
    assert!(object["message"].as_str().unwrap().contains("--nope"));
}
