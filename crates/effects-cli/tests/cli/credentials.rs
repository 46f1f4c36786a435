//! Where the key comes from: a program, a profile, what `effects login` stored; and that it goes nowhere else.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use effects_testkit::http::{Behaviour, Response, ScriptedServer};
use serde_json::Value;

use crate::world::{CREATE, CommandOutput, IMAGE, KEY, World};

const NEW_KEY: &str = "sk-the-key-of-today-that-nobody-may-see";
const RUN: [&str; 6] = ["run", "glass_ball", IMAGE, "--poll", "0.05", "--no-download"];

/// The command with a configuration folder, and no key in its environment.
fn keyless(world: &World, arguments: &[&str]) -> Command {
    let mut command = world.bare(arguments);
    command.env("EFFECTS_CONFIG_DIR", world.path("config"));
    command
}

fn profiles(world: &World, text: &str) {
    fs::create_dir_all(world.path("config")).unwrap();
    fs::write(world.path("config/profiles.toml"), text).unwrap();
}

/// A service that takes this key alone.
fn takes_only(world: &World, key: &'static str) {
    let done = String::from_utf8(world.completed_body()).unwrap();
    world.server.otherwise(Behaviour::with(move |seen| {
        if seen.header("authorization") != Some(format!("Bearer {key}").as_str()) {
            return Response::json(r#"{"error":{"message":"invalid key"}}"#).status(401).into();
        }
        if seen.method == "POST" {
            return Response::json(r#"{"id":"task-1","status":"in_progress"}"#).into();
        }
        Response::json(done.clone()).into()
    }));
}

/// A program that prints the first line of `keys` and takes it away, but for the last one; it counts.
fn key_program(world: &World, keys: &[&str]) -> &'static str {
    fs::write(world.path("keys"), keys.join("\n") + "\n").unwrap();
    let script = "echo asked >> asked\nhead -n 1 keys\nif [ $(wc -l < keys) -gt 1 ]; then tail -n +2 keys > rest; mv rest keys; fi\n";
    fs::write(world.path("key.sh"), script).unwrap();
    "sh key.sh"
}

fn asked(world: &World) -> usize {
    fs::read_to_string(world.path("asked")).unwrap_or_default().lines().count()
}

#[test]
fn a_program_gives_the_key_and_is_asked_again_once_where_it_is_refused() {
    let world = World::new();
    takes_only(&world, NEW_KEY);
    let program = key_program(&world, &[KEY, NEW_KEY]);
    let mut command =
        keyless(&world, &[&RUN[..], &["-vvv", "--api-key-command", program]].concat());
    let ran = CommandOutput::of(command.env("EFFECTS_BASE_URL", world.server.base_url())).exits(0);
    assert_eq!(
        (world.submissions(), asked(&world)),
        (2, 2),
        "refused, and sent again with the new key"
    );
    assert!(!format!("{ran:?}").contains(KEY) && !format!("{ran:?}").contains(NEW_KEY), "{ran:?}");

    // The environment's program; and one that has no other key is asked once more and no more.
    let world = World::new();
    takes_only(&world, NEW_KEY);
    let program = key_program(&world, &[KEY]);
    let mut command = keyless(&world, &RUN);
    command.env("EFFECTS_BASE_URL", world.server.base_url());
    let ran = CommandOutput::of(command.env("EFFECTS_API_KEY_COMMAND", program)).exits(3);
    assert_eq!((world.submissions(), asked(&world)), (1, 2), "{ran:?}");

    // A second refusal stands.
    let world = World::new();
    takes_only(&world, "another");
    let program = key_program(&world, &[KEY, NEW_KEY, "a-third-key-that-is-not-asked-for"]);
    let mut command = keyless(&world, &[&RUN[..], &["--api-key-command", program]].concat());
    CommandOutput::of(command.env("EFFECTS_BASE_URL", world.server.base_url())).exits(3);
    assert_eq!((world.submissions(), asked(&world)), (2, 2));
}

#[test]
fn a_refusal_that_names_a_task_is_not_sent_again() {
    let world = World::new();
    let odd = r#"{"id":"task-1","status":"in_progress","model":"spark_img_effects"}"#;
    world.server.on("POST", CREATE, [Response::json(odd).status(401)]);
    world.looks([world.completed()]);
    let program = key_program(&world, &[KEY, NEW_KEY]);
    let mut command = keyless(&world, &[&RUN[..], &["--api-key-command", program]].concat());
    CommandOutput::of(command.env("EFFECTS_BASE_URL", world.server.base_url())).exits(0);
    assert_eq!((world.submissions(), asked(&world)), (1, 1));
}

#[test]
fn a_program_that_fails_is_named_and_nothing_is_sent() {
    let world = World::new();
    for (script, why) in
        [("exit 3", "\"sh\" ended with exit status: 3"), ("true", "\"sh\" printed nothing")]
    {
        fs::write(world.path("key.sh"), script).unwrap();
        let mut command =
            keyless(&world, &[&RUN[..], &["--api-key-command", "sh key.sh"]].concat());
        let ran =
            CommandOutput::of(command.env("EFFECTS_BASE_URL", world.server.base_url())).exits(3);
        assert!(ran.stderr.contains(why), "{ran:?}");
    }
    let two = ["--api-key-command", "sh key.sh", "--api-key-file", "key"];
    CommandOutput::of(&mut keyless(&world, &[&RUN[..], &two].concat())).exits(2);
    assert_eq!(world.server.connections(), 0);
}

#[test]
fn a_profile_says_gateway_key_uploads_and_journal() {
    let world = World::with_service();
    fs::write(world.path("key"), format!("{KEY}\n")).unwrap();
    let (url, key, journal) = (world.server.base_url(), world.path("key"), world.path("studio.db"));
    profiles(
        &world,
        &format!(
            "[studio]\nbase_url = {url:?}\napi_key_file = {key:?}\njournal = {journal:?}\nuploads = \"data-url\"\n"
        ),
    );
    let ran =
        CommandOutput::of(&mut keyless(&world, &[&RUN[..], &["--profile", "studio"]].concat()))
            .exits(0);
    assert!(world.path("studio.db").is_file(), "{ran:?}");
    assert_eq!(world.submissions(), 1);
    let mut command = keyless(&world, &["tasks", "--json"]);
    let task = CommandOutput::of(command.env("EFFECTS_PROFILE", "studio")).exits(0).object();
    assert_eq!(task["task_id"], "task-1");
    let doctor = CommandOutput::of(&mut keyless(&world, &["doctor", "--profile", "studio"]));
    assert!(doctor.stdout.contains("of profile studio, from its file"), "{doctor:?}");
    assert!(
        doctor.stdout.contains("data: URL") && doctor.stdout.contains("studio.db"),
        "{doctor:?}"
    );
    assert!(!format!("{doctor:?}").contains(KEY), "{doctor:?}");
    let missing =
        CommandOutput::of(&mut keyless(&world, &["doctor", "--profile", "nope"])).exits(2);
    assert!(missing.stderr.contains("has studio"), "{missing:?}");
}

#[test]
fn the_paths_of_a_profile_start_from_its_file_or_the_home_folder() {
    let world = World::new();
    takes_only(&world, KEY);
    let url = world.server.base_url();
    let settings =
        "api_key_file = \"keys/studio\"\njournal = \"studio.db\"\nuploads = \"data-url\"\n";
    profiles(
        &world,
        &format!(
            "[studio]\nbase_url = {url:?}\n{settings}[home]\nbase_url = {url:?}\napi_key_file = \"~/key\"\n"
        ),
    );
    for key in ["config/keys/studio", "home/key"] {
        fs::create_dir_all(world.path(key).parent().unwrap()).unwrap();
        fs::write(world.path(key), format!("{KEY}\n")).unwrap();
    }
    fs::create_dir(world.path("elsewhere")).unwrap();
    // One journal, wherever the command is started.
    for folder in [world.path(""), world.path("elsewhere")] {
        let mut command = keyless(&world, &[&RUN[..], &["--profile", "studio"]].concat());
        CommandOutput::of(command.current_dir(folder)).exits(0);
    }
    assert!(world.path("config/studio.db").is_file());
    assert!(!world.path("studio.db").exists() && !world.path("elsewhere/studio.db").exists());
    let mut command = keyless(&world, &[&RUN[..], &["--profile", "home"]].concat());
    CommandOutput::of(command.env("HOME", world.path("home"))).exits(0);
}

#[test]
fn options_win_over_the_named_profile_and_that_over_the_environment() {
    let world = World::new();
    world.server.otherwise(Response::json(r#"{"error":{"message":"no such task"}}"#).status(404));
    let url = world.server.base_url();
    fs::write(world.path("key"), "of-the-profile").unwrap();
    let key = world.path("key");
    profiles(&world, &format!("[default]\nbase_url = {url:?}\napi_key_file = {key:?}\n"));
    let asked_with = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = keyless(&world, &[&["doctor"], arguments].concat());
        CommandOutput::of(command.envs(variables.iter().copied())).exits(0);
        world.server.requests().pop().unwrap().header("authorization").unwrap().to_owned()
    };
    assert_eq!(asked_with(&[], &[]), "Bearer of-the-profile");
    let environment = [("EFFECTS_API_KEY", "of-the-environment")];
    assert_eq!(asked_with(&[], &environment), "Bearer of-the-environment");
    assert_eq!(asked_with(&["--profile", "default"], &environment), "Bearer of-the-profile");
    let all = ["--profile", "default", "--api-key", "of-the-option"];
    assert_eq!(asked_with(&all, &environment), "Bearer of-the-option");
}

#[test]
fn the_proxy_and_certificates_of_the_environment_come_before_a_profile_that_no_option_names() {
    let world = World::new();
    let (of_profile, of_environment) =
        (ScriptedServer::start().unwrap(), ScriptedServer::start().unwrap());
    for proxy in [&of_profile, &of_environment] {
        proxy.otherwise(Response::json(r#"{"error":{"message":"no such task"}}"#).status(404));
    }
    let settings = format!(
        "[studio]\nbase_url = \"http://gateway.example.com\"\nallow_http = true\n\
         api_key_command = \"echo {KEY}\"\nproxy = {:?}\n",
        of_profile.base_url()
    );
    profiles(&world, &settings);
    let environment = of_environment.base_url();
    let went_by = |arguments: &[&str], variable: &str| {
        let (before, after) = (of_profile.connections(), of_environment.connections());
        let mut command = keyless(&world, &[&["doctor"], arguments].concat());
        command.env("EFFECTS_PROFILE", "studio").env(variable, &environment);
        let said = CommandOutput::of(&mut command).stdout;
        let line =
            said.lines().find(|line| line.contains(" proxy ")).unwrap_or_default().to_owned();
        (of_profile.connections() > before, of_environment.connections() > after, line)
    };
    for (arguments, variable, is_profile) in [
        (&[][..], "NOT_A_PROXY", true),
        (&[], "http_proxy", false),
        (&[], "ALL_PROXY", false),
        // The gateway is http.
        (&[], "https_proxy", true),
        (&["--profile", "studio"], "http_proxy", true),
    ] {
        let (by_profile, by_environment, line) = went_by(arguments, variable);
        assert_eq!((by_profile, by_environment), (is_profile, !is_profile), "{variable}: {line}");
        let source = if is_profile { "from profile studio" } else { "from the environment" };
        assert!(line.contains(source), "{variable}: {line}");
    }

    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/certificates");
    let file = |name: &str| format!("{folder}/{name}");
    let world = World::with_service();
    profiles(
        &world,
        "[default]\nca_bundle = \"nowhere.pem\"\nclient_cert = \"nowhere.pem\"\nclient_key = \"nowhere.key\"\n",
    );
    let with_environment = |arguments: &[&str]| {
        let mut command = world.command(arguments);
        command.env("EFFECTS_CONFIG_DIR", world.path("config"));
        command.env("EFFECTS_CA_BUNDLE", file("ca.pem"));
        CommandOutput::of(command.env("EFFECTS_CLIENT_CERT", file("client.pem")))
    };
    let ran = with_environment(&["doctor"]).stdout;
    assert!(ran.contains("ca.pem, from EFFECTS_CA_BUNDLE"), "{ran}");
    assert!(ran.contains("client.pem, from EFFECTS_CLIENT_CERT"), "{ran}");
    with_environment(&RUN).exits(0);
    let ran = with_environment(&[&RUN[..], &["--profile", "default"]].concat()).exits(2);
    assert!(ran.stderr.contains("nowhere.pem cannot be read"), "{ran:?}");

    // An option's certificate is not shown with the key of a profile's.
    let (option, bundle) = (file("client.pem"), file("ca.pem"));
    let options = ["--client-cert", &option, "--ca-bundle", &bundle];
    let mut command = world.command(&[&["doctor"], &options[..]].concat());
    let ran = CommandOutput::of(command.env("EFFECTS_CONFIG_DIR", world.path("config"))).stdout;
    assert!(ran.contains("client.pem, from --client-cert; not needed"), "{ran}");
    world.accepts();
    world.looks([world.completed()]);
    let mut command = world.command(&[&RUN[..], &options].concat());
    CommandOutput::of(command.env("EFFECTS_CONFIG_DIR", world.path("config"))).exits(0);
}

#[test]
fn the_key_of_a_profile_goes_to_its_own_gateway_alone() {
    let world = World::new();
    let other = ScriptedServer::start().unwrap();
    fs::write(world.path("key"), KEY).unwrap();
    let (url, key) = (world.server.base_url(), world.path("key"));
    profiles(&world, &format!("[default]\nbase_url = {url:?}\napi_key_file = {key:?}\n"));
    let elsewhere = other.base_url();
    for (arguments, variable) in
        [(&["--base-url", elsewhere.as_str()][..], ""), (&[], elsewhere.as_str())]
    {
        let mut command = keyless(&world, &[&RUN[..], arguments].concat());
        let ran = CommandOutput::of(command.env("EFFECTS_BASE_URL", variable)).exits(2);
        assert!(ran.stderr.contains("the key of profile default is for"), "{ran:?}");
    }
    assert_eq!(other.connections() + world.server.connections(), 0);
}

#[test]
fn a_setting_that_is_not_known_is_named_and_no_line_is_repeated() {
    let world = World::new();
    for (text, why) in [
        (format!("[studio]\n\napikey = \"{KEY}\"\n"), "line 3: unknown field `apikey`"),
        (format!("[studio]\napi_key = [\"{KEY}\"]\n"), "line 2: "),
        (format!("[studio]\napi_key = \"{KEY}\" {KEY}\n"), "line 2: "),
    ] {
        profiles(&world, &text);
        let ran =
            CommandOutput::of(&mut keyless(&world, &[&RUN[..], &["--profile", "studio"]].concat()))
                .exits(2);
        assert!(ran.stderr.contains(why), "{ran:?}");
        assert!(!format!("{ran:?}").contains(KEY), "{ran:?}");
    }
    // A key in the file is this user's alone.
    profiles(&world, &format!("[studio]\napi_key = \"{KEY}\"\n"));
    let file = world.path("config/profiles.toml");
    let list = || CommandOutput::of(&mut keyless(&world, &["profile", "list", "--json"]));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(list().exits(2).stderr.contains("chmod 600"));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(list().exits(0).object()["key"], "inline");
    assert!(!list().stdout.contains(KEY));
}

#[test]
fn login_stores_the_key_for_its_owner_alone_and_logout_forgets_it() {
    let world = World::new();
    world.server.otherwise(Response::json(r#"{"error":{"message":"no such task"}}"#).status(404));
    profiles(&world, &format!("[studio]\nbase_url = {:?}\n", world.server.base_url()));
    let login = |arguments: &[&str], key: &str| {
        fs::write(world.path("typed"), key).unwrap();
        let mut command =
            keyless(&world, &[&["login", "--store", "file", "--json"], arguments].concat());
        CommandOutput::of(command.stdin(Stdio::from(fs::File::open(world.path("typed")).unwrap())))
    };
    let ran = login(&["--profile", "studio"], &format!("{KEY}\n")).exits(0);
    assert!(!format!("{ran:?}").contains(KEY), "{ran:?}");
    let file = ran.object()["file"].as_str().unwrap().to_owned();
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let folder = std::path::Path::new(&file).parent().unwrap();
    assert_eq!(fs::metadata(folder).unwrap().permissions().mode() & 0o777, 0o700);
    // Stored anew over one with other rights.
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    login(&["--profile", "studio"], KEY).exits(0);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

    let doctor =
        CommandOutput::of(&mut keyless(&world, &["doctor", "--profile", "studio", "-vvv"]))
            .exits(0);
    assert!(doctor.stdout.contains("stored by `effects login`"), "{doctor:?}");
    let sent = world.server.requests().pop().unwrap();
    assert_eq!(sent.header("authorization"), Some(format!("Bearer {KEY}").as_str()));
    let list = CommandOutput::of(&mut keyless(&world, &["profile", "list", "--json"])).exits(0);
    let listed: Value = list.object();
    assert_eq!((&listed["profile"], &listed["key"]), (&"studio".into(), &"stored".into()));
    for ran in [&doctor, &list, &CommandOutput::of(&mut keyless(&world, &["--help", "--json"]))] {
        assert!(!format!("{ran:?}").contains(KEY), "{ran:?}");
    }

    let logout = || {
        CommandOutput::of(&mut keyless(&world, &["logout", "--profile", "studio", "--json"]))
            .exits(0)
    };
    assert_eq!(logout().object()["removed"], true);
    assert!(!std::path::Path::new(&file).exists());
    assert_eq!(logout().object()["removed"], false);
    CommandOutput::of(&mut keyless(&world, &["doctor", "--profile", "studio"])).exits(3);
}

#[test]
fn no_key_is_stored_where_it_would_never_be_used() {
    let world = World::new();
    fs::write(world.path("typed"), KEY).unwrap();
    for setting in ["api_key_command = \"pass show x\"", "api_key_file = \"key\""] {
        profiles(&world, &format!("[studio]\n{setting}\n"));
        let mut command = keyless(&world, &["login", "--profile", "studio"]);
        let typed = Stdio::from(fs::File::open(world.path("typed")).unwrap());
        let ran = CommandOutput::of(command.stdin(typed)).exits(2);
        let name = setting.split(' ').next().unwrap();
        assert!(ran.stderr.contains(&format!("profile studio has {name}")), "{ran:?}");
        assert!(ran.stderr.contains("nothing was stored"), "{ran:?}");
    }
    assert!(crate::world::names(world.state.path()).is_empty());
}

#[test]
fn a_refused_key_is_to_be_changed_where_it_comes_from() {
    let world = World::new();
    world.server.otherwise(Response::json(r#"{"error":{"message":"no such key"}}"#).status(401));
    fs::write(world.path("key.sh"), "echo a-key").unwrap();
    let mut command = keyless(&world, &["doctor", "--api-key-command", "sh key.sh"]);
    let ran = CommandOutput::of(command.env("EFFECTS_BASE_URL", world.server.base_url())).exits(3);
    let line = ran.stdout.lines().find(|line| line.contains("key accepted")).unwrap();
    assert!(line.contains("printed by the program of --api-key-command"), "{ran:?}");
    assert!(!line.contains("EFFECTS_API_KEY"), "{ran:?}");
}

#[test]
fn login_warns_of_a_key_that_is_too_short_to_be_looked_for() {
    let world = World::new();
    for (key, warnings) in [("short", 1), (KEY, 0)] {
        fs::write(world.path("typed"), key).unwrap();
        let mut command = keyless(&world, &["login", "--store", "file"]);
        let typed = fs::File::open(world.path("typed")).unwrap();
        let ran = CommandOutput::of(command.stdin(Stdio::from(typed))).exits(0);
        let warned = ran.stderr.matches("warning: the API key has 5 characters").count();
        assert_eq!(warned, warnings, "{ran:?}");
    }
}

#[test]
fn login_takes_no_key_from_the_command_line_and_no_text_that_is_none() {
    let world = World::new();
    let ran = CommandOutput::of(&mut keyless(&world, &["login", "--api-key", KEY])).exits(2);
    assert!(!format!("{ran:?}").contains(KEY), "{ran:?}");
    for command in ["login", "logout"] {
        let ran = CommandOutput::of(&mut keyless(&world, &[command, KEY, "--json"])).exits(2);
        assert!(!format!("{ran:?}").contains(KEY), "{ran:?}");
        assert!(ran.stderr.contains("takes no argument"), "{ran:?}");
    }
    CommandOutput::of(&mut keyless(&world, &["login"])).exits(2);
    let ran = CommandOutput::of(&mut keyless(&world, &["login", "--profile", "../x"])).exits(2);
    assert!(ran.stderr.contains("profile's name"), "{ran:?}");
    assert!(crate::world::names(world.state.path()).is_empty());
}
