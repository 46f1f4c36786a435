//! Keys in the system's keyring: `effects login --store`, and what reads such a key, against a keyring of the tests'
//! own, one that is locked, one that never answers, and none.

use std::fs;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use effects_testkit::http::Response;
use serde_json::Value;

use crate::keyring_server::KeyringServer;
use crate::world::{CommandOutput, KEY, World};

const NEW_KEY: &str = "sk-the-key-of-today-that-nobody-may-see";

/// The command with a session bus, and no key in its environment.
fn on_bus(world: &World, address: &str, arguments: &[&str]) -> Command {
    let mut command = world.bare(arguments);
    command.env("EFFECTS_CONFIG_DIR", world.path("config"));
    command.env("EFFECTS_BASE_URL", world.server.base_url());
    command.env("DBUS_SESSION_BUS_ADDRESS", address);
    command
}

/// A world whose gateway takes any key.
fn world() -> World {
    let world = World::new();
    world.server.otherwise(Response::json(r#"{"error":{"message":"no such task"}}"#).status(404));
    let text = format!("[default]\nbase_url = {:?}\n", world.server.base_url());
    fs::create_dir_all(world.path("config")).unwrap();
    fs::write(world.path("config/profiles.toml"), text).unwrap();
    world
}

fn login(world: &World, mut command: Command, key: &str) -> CommandOutput {
    fs::write(world.path("typed"), key).unwrap();
    let typed = fs::File::open(world.path("typed")).unwrap();
    fs::remove_file(world.path("typed")).unwrap();
    let ran = CommandOutput::of(command.stdin(Stdio::from(typed)));
    assert!(!format!("{ran:?}").contains(key), "{ran:?}");
    ran
}

/// What every file below a folder holds.
fn texts(folder: &Path) -> String {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let read = |path: std::path::PathBuf| match path.is_dir() {
        true => texts(&path),
        false => String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned(),
    };
    entries.map(read).collect()
}

/// What the gateway was shown last.
fn key_sent(world: &World) -> String {
    let sent = world.server.requests().pop().unwrap();
    sent.header("authorization").unwrap().trim_start_matches("Bearer ").to_owned()
}

#[test]
fn login_stores_the_key_in_the_keyring_that_answers_and_logout_takes_it_out() {
    let (world, keyring) = (world(), KeyringServer::start());
    let command = |arguments: &[&str]| on_bus(&world, keyring.address(), arguments);
    let ran = login(&world, command(&["login"]), KEY).exits(0);
    assert_eq!(ran.stdout, "the key of profile default is stored in the system's keyring\n");
    assert_eq!(keyring.secrets(), [KEY]);
    assert_eq!(keyring.vault().items[0].attributes["service"], "effects");

    let connections = keyring.vault().connections;
    let listed: Value =
        CommandOutput::of(&mut command(&["profile", "list", "--json"])).exits(0).object();
    assert_eq!(listed["key"], "keyring");
    assert_eq!(keyring.vault().connections, connections, "a list asks no keyring");

    let doctor = CommandOutput::of(&mut command(&["doctor", "-vvv"])).exits(0);
    assert!(doctor.stdout.contains("of profile default, in the system's keyring"), "{doctor:?}");
    assert_eq!(key_sent(&world), KEY);
    assert!(!format!("{doctor:?}").contains(KEY), "{doctor:?}");
    assert!(!texts(world.state.path()).contains(KEY));

    // Another key takes the place of the first one.
    let object = login(&world, command(&["login", "--store", "keyring", "--json"]), NEW_KEY);
    assert_eq!(object.exits(0).object()["store"], "keyring");
    assert_eq!(keyring.secrets(), [NEW_KEY]);
    CommandOutput::of(&mut command(&["doctor"])).exits(0);
    assert_eq!(key_sent(&world), NEW_KEY);
    assert!(!format!("{}{}", texts(world.state.path()), texts(&world.path("."))).contains(NEW_KEY));

    let logout = || CommandOutput::of(&mut command(&["logout", "--json"])).exits(0).object();
    assert_eq!(logout()["removed"], true);
    assert!(keyring.secrets().is_empty());
    assert_eq!(logout()["removed"], false);
    CommandOutput::of(&mut command(&["doctor"])).exits(3);
    assert_eq!(keyring.vault().prompts, 0);
}

#[test]
fn a_key_moves_from_the_file_to_the_keyring_and_back() {
    let (world, keyring) = (world(), KeyringServer::start());
    let command = |arguments: &[&str]| on_bus(&world, keyring.address(), arguments);
    let ran = login(&world, command(&["login", "--store", "file", "--json"]), KEY).exits(0);
    assert_eq!(ran.object()["store"], "file");
    assert_eq!(keyring.vault().connections, 0);
    login(&world, command(&["login"]), NEW_KEY).exits(0);
    assert_eq!(keyring.secrets(), [NEW_KEY]);
    assert!(!texts(world.state.path()).contains(KEY));
    let ran = login(&world, command(&["login", "--store", "file"]), KEY).exits(0);
    assert!(keyring.secrets().is_empty() && ran.stderr.is_empty(), "{ran:?}");
    CommandOutput::of(&mut command(&["doctor"])).exits(0);
    assert_eq!(key_sent(&world), KEY);
}

#[test]
fn profiles_of_two_state_folders_share_no_key() {
    let (one, other, keyring) = (world(), world(), KeyringServer::start());
    login(&one, on_bus(&one, keyring.address(), &["login"]), KEY).exits(0);
    login(&other, on_bus(&other, keyring.address(), &["login"]), NEW_KEY).exits(0);
    for (world, key) in [(&one, KEY), (&other, NEW_KEY)] {
        CommandOutput::of(&mut on_bus(world, keyring.address(), &["doctor"])).exits(0);
        assert_eq!(key_sent(world), key);
    }
    CommandOutput::of(&mut on_bus(&one, keyring.address(), &["logout"])).exits(0);
    assert_eq!(keyring.secrets(), [NEW_KEY]);
}

#[test]
fn without_a_keyring_the_key_is_in_a_file_and_a_line_says_why() {
    let missing = KeyringServer::start();
    missing.vault().is_missing = true;
    for (address, why) in [
        ("", "DBUS_SESSION_BUS_ADDRESS is not set"),
        ("autolaunch:", "asks for a bus to be started"),
        ("unix:path=/nowhere/bus", "no keyring can be used"),
        (missing.address(), "no keyring"),
    ] {
        let world = world();
        let strict = on_bus(&world, address, &["login", "--store", "keyring"]);
        let ran = login(&world, strict, KEY).exits(2);
        assert!(ran.stderr.contains(why) && ran.stderr.contains("--store file"), "{ran:?}");
        assert!(ran.stderr.contains("nothing was stored"), "{ran:?}");
        assert!(crate::world::names(world.state.path()).is_empty());

        let ran = login(&world, on_bus(&world, address, &["login"]), KEY).exits(0);
        assert_eq!(ran.stderr.lines().count(), 1, "{ran:?}");
        assert!(ran.stderr.contains("not in the system's keyring"), "{ran:?}");
        assert!(ran.stderr.contains(why) && ran.stdout.contains("is stored in /"), "{ran:?}");
        CommandOutput::of(&mut on_bus(&world, address, &["doctor"])).exits(0);
        assert_eq!(key_sent(&world), KEY);
    }
}

#[test]
fn a_bus_that_never_speaks_is_given_up_in_a_few_seconds() {
    let (world, keyring) = (world(), KeyringServer::start());
    login(&world, on_bus(&world, keyring.address(), &["login"]), KEY).exits(0);
    // Connections wait in its queue.
    let listener = UnixListener::bind(world.path("silent")).unwrap();
    let address = format!("unix:path={}", world.path("silent").display());
    let begun = Instant::now();
    let ran = CommandOutput::of(&mut on_bus(&world, &address, &["doctor"])).exits(3);
    assert!(ran.stdout.contains("did not answer within 5 s"), "{ran:?}");
    assert!(ran.stdout.contains("effects login --profile default --store file"), "{ran:?}");
    // A profile that is named comes before the environment, so that this way out is a file's.
    let named = |more: &[&str]| {
        let line = [&["doctor", "--profile", "default"], more].concat();
        let mut command = on_bus(&world, "", &line);
        CommandOutput::of(command.env("EFFECTS_API_KEY", KEY))
    };
    let ran = named(&[]).exits(3);
    assert!(
        ran.stdout.contains("no keyring here (DBUS_SESSION_BUS_ADDRESS is not set)"),
        "{ran:?}"
    );
    assert!(ran.stdout.contains("(--api-key-file; "), "{ran:?}");
    std::fs::write(world.path("key"), KEY).unwrap();
    named(&["--api-key-file", "key"]).exits(0);
    // That way out works, and says what it leaves behind.
    let way_out = on_bus(&world, &address, &["login", "--store", "file", "--quiet"]);
    let ran = login(&world, way_out, NEW_KEY).exits(0);
    assert!(ran.stderr.contains("the earlier key is still in the system's keyring"), "{ran:?}");
    CommandOutput::of(&mut on_bus(&world, &address, &["doctor"])).exits(0);
    assert_eq!(key_sent(&world), NEW_KEY);
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    drop(listener);
}

#[test]
fn a_locked_keyring_asks_a_person_on_a_desktop_alone() {
    let (world, keyring) = (world(), KeyringServer::start());
    let command = |arguments: &[&str]| on_bus(&world, keyring.address(), arguments);
    login(&world, command(&["login"]), KEY).exits(0);
    keyring.vault().is_locked = true;

    let ran = CommandOutput::of(&mut command(&["doctor"])).exits(3);
    assert!(ran.stdout.contains("is locked, and there is no desktop"), "{ran:?}");
    assert!(ran.stdout.contains("EFFECTS_API_KEY"), "{ran:?}");
    let ran = CommandOutput::of(&mut command(&["doctor", "--json"])).exits(3).object();
    let key = ran["checks"].as_array().unwrap().iter().find(|it| it["name"] == "key").unwrap();
    let text = |field: &str| key[field].as_str().unwrap();
    assert!(text("message").contains("is locked") && !text("message").contains("--store"), "{key}");
    assert!(text("way_out").ends_with("effects login --profile default --store file"), "{key}");
    let ran = CommandOutput::of(&mut command(&["logout"])).exits(2);
    assert!(
        ran.stderr.contains("is locked") && ran.stderr.contains("nothing was removed"),
        "{ran:?}"
    );
    let ran = login(&world, command(&["login", "--profile", "other"]), NEW_KEY).exits(0);
    assert!(ran.stderr.contains("is locked") && ran.stdout.contains("is stored in /"), "{ran:?}");
    assert_eq!(keyring.vault().prompts, 0);
    assert_eq!(keyring.secrets(), [KEY]);

    // A person says no, and then yes.
    keyring.vault().is_dismissed = true;
    let ran = CommandOutput::of(command(&["doctor"]).env("DISPLAY", ":0")).exits(3);
    assert!(ran.stdout.contains("the keyring was not unlocked"), "{ran:?}");
    keyring.vault().is_dismissed = false;
    CommandOutput::of(command(&["doctor"]).env("WAYLAND_DISPLAY", "wayland-0")).exits(0);
    assert_eq!((key_sent(&world), keyring.vault().prompts), (KEY.to_owned(), 2));
}

#[test]
fn a_key_that_was_taken_out_of_the_keyring_is_said_to_be_gone() {
    let (world, keyring) = (world(), KeyringServer::start());
    login(&world, on_bus(&world, keyring.address(), &["login"]), KEY).exits(0);
    keyring.vault().items.clear();
    let ran = CommandOutput::of(&mut on_bus(&world, keyring.address(), &["doctor"])).exits(3);
    assert!(ran.stdout.contains("not in the system's keyring any more"), "{ran:?}");
    assert!(ran.stdout.contains("effects login --profile default"), "{ran:?}");
}

#[test]
fn the_bus_of_the_users_runtime_folder_needs_no_variable_of_its_own() {
    let (world, keyring) = (world(), KeyringServer::start());
    let mut command = on_bus(&world, "", &["login", "--store", "keyring"]);
    command.env("XDG_RUNTIME_DIR", keyring.folder());
    login(&world, command, KEY).exits(0);
    assert_eq!(keyring.secrets(), [KEY]);
}

#[test]
fn another_source_of_the_key_asks_no_keyring() {
    let (world, keyring) = (world(), KeyringServer::start());
    login(&world, on_bus(&world, keyring.address(), &["login"]), KEY).exits(0);
    let connections = keyring.vault().connections;
    let mut doctor = on_bus(&world, keyring.address(), &["doctor"]);
    CommandOutput::of(doctor.env("EFFECTS_API_KEY", NEW_KEY)).exits(0);
    assert_eq!((key_sent(&world).as_str(), keyring.vault().connections), (NEW_KEY, connections));
}
