//! Tests of the crates' dependency trees (the core has no runtime, socket, TLS, clock or logger), of the
//! imports between source files, and of the profile that is shipped.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

#[test]
fn the_core_has_no_runtime_socket_tls_clock_dice_or_logger() {
    let tree = tree("effects-core");
    // On 64-bit ARM, SHA-256 asks libc what the processor can do.
    let unwanted = NOT_IN_THE_CORE.iter().filter(|name| X86 || **name != "libc");
    none_of(&tree, "effects-core", &unwanted.copied().collect::<Vec<_>>());
    none_of(&tree, "effects-core", &SQLITE);
    // None of ours either: arrows point to the core, not from it.
    let ours: Vec<&String> = tree.iter().filter(|name| name.starts_with("effects-")).collect();
    assert_eq!(ours, ["effects-core"]);
}

#[test]
fn the_job_floor_has_no_io_and_the_test_kit_adds_nothing_to_it() {
    let floor = tree("effects-jobs");
    // `libc` tells what the processor can do, where hashes are made.
    let unwanted = NOT_IN_THE_CORE.iter().filter(|name| **name != "libc").copied();
    none_of(&floor, "effects-jobs", &unwanted.collect::<Vec<_>>());
    let mut expected = floor;
    expected.insert("effects-testkit".to_owned());
    assert_eq!(tree("effects-testkit"), expected);
}

#[test]
fn the_blocking_client_has_no_runtime_and_no_client_has_a_database() {
    none_of(&tree("effects-ureq"), "effects-ureq", &["tokio", "mio", "async-std", "smol"]);
    for client in ["effects-ureq", "effects-reqwest", "effects-client"] {
        none_of(&tree(client), client, &SQLITE);
        // A keyring is for those who ask for one.
        none_of(&tree(client), client, &["effects-journal", "dbus", "keyring"]);
    }
}

/// A second one would make the first build of the command longer, with nothing that it does better.
#[test]
fn the_command_has_one_http_client() {
    let tree = tree("effects-cli");
    assert!(tree.contains("ureq"));
    none_of(&tree, "effects-cli", &["reqwest", "h2", "hyper-rustls", "tokio-rustls"]);
}

#[test]
fn the_journal_is_the_job_floor_and_a_database() {
    let tree = tree("effects-journal");
    assert!(tree.contains("rusqlite"));
    // What tells its owners apart comes from the operating system.
    let allowed = ["libc", "getrandom"];
    let unwanted = NOT_IN_THE_CORE.iter().filter(|name| !allowed.contains(name)).copied();
    none_of(&tree, "effects-journal", &unwanted.collect::<Vec<_>>());
    let ours: Vec<&String> = tree.iter().filter(|name| name.starts_with("effects-")).collect();
    assert_eq!(ours, ["effects-core", "effects-jobs", "effects-journal"]);
}

/// So what is tested is what ships, and the wheel is made of what was compiled for the tests.
#[test]
fn tests_switch_on_no_feature_of_a_package_that_ships() {
    let shipped = features(&["-p", "spark-effects", "-e", "normal,build"]);
    let tested = features(&["--workspace", "-e", "normal,build,dev"]);
    let differ: Vec<_> = shipped
        .iter()
        .filter(|(package, enabled)| tested[*package] != **enabled)
        .map(|(package, enabled)| format!("{package}: {enabled:?}, in tests {:?}", tested[package]))
        .collect();
    assert_eq!(differ, [""; 0]);
}

#[test]
fn what_is_shipped_is_optimised_as_a_whole() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let manifest = std::fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let manifest: toml::Table = manifest.parse().unwrap();
    let profile = &manifest["profile"];
    let level = |profile: &toml::Value| profile["opt-level"].as_integer();
    assert_eq!(level(&profile["dist"]), Some(3));
    let levels = |name: &str| -> Vec<(String, Option<i64>)> {
        let packages = profile[name]["package"].as_table().unwrap();
        packages.iter().map(|(package, set)| (package.clone(), level(set))).collect()
    };
    let shipped = levels("dist");
    for (package, _) in levels("release").into_iter().filter(|(_, level)| *level != Some(3)) {
        assert!(shipped.contains(&(package.clone(), Some(3))), "{package}: not in profile.dist");
    }
}

#[test]
fn the_files_of_the_core_import_downwards_and_never_in_a_circle() {
    let imports = imports_of_the_core();
    let room = |file: &str| {
        let room = file.split("::").next().unwrap_or_default().to_owned();
        let place = ORDER_OF_THE_CORE.iter().position(|rooms| rooms.contains(&room.as_str()));
        place.unwrap_or_else(|| panic!("where does {room} stand in ORDER_OF_THE_CORE?"))
    };
    for (file, imported) in &imports {
        let above: Vec<&String> = imported.iter().filter(|it| room(it) > room(file)).collect();
        assert!(above.is_empty(), "{file} imports what stands above it: {above:?}");
    }
    let circle = circle_of(imports);
    assert!(circle.is_empty(), "these import each other, or what does: {circle:#?}");
}

/// In these crates no two files import each other, not even by way of others.
#[test]
fn no_two_files_import_each_other() {
    for name in NO_CIRCLES {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let circle = circle_of(imports_of(&root.join(name)));
        assert!(circle.is_empty(), "{name}: these import each other, or what does: {circle:#?}");
    }
}

/// What is left of files where those that import nothing of what is left are taken away.
fn circle_of(
    mut imports: BTreeMap<String, BTreeSet<String>>,
) -> BTreeMap<String, BTreeSet<String>> {
    // A file that imports nothing of the rest is in no circle; what remains in the end is.
    while let Some(free) = imports.iter().find(|(_, imported)| imported.is_empty()) {
        let free = free.0.clone();
        imports.remove(&free);
        imports.values_mut().for_each(|imported| imported.retain(|it| *it != free));
    }
    imports
}

/// What each file of the core imports of the others, by module. What a file declares (`mod`) or hands
/// on (`pub use`) does not count, nor what parent and child import of each other.
fn imports_of_the_core() -> BTreeMap<String, BTreeSet<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let imports = imports_of(&root.join("crates/effects-core/src"));
    assert!(imports.len() > 50, "{imports:?}");
    imports
}

/// The same of the crate whose sources are in this folder.
fn imports_of(root: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let mut files = BTreeMap::new();
    read_modules(root, "", &mut files);
    let is_family = |one: &str, other: &str| one.starts_with(&format!("{other}::")) || one == other;
    let mut imports = BTreeMap::new();
    for (file, text) in &files {
        let found = paths(file, text).map(|path| {
            let modules = (1..=path.len()).rev().map(|length| path[..length].join("::"));
            let module = modules.into_iter().find(|module| files.contains_key(module));
            // The root hands on names of every room, so that a path through it would hide where it leads.
            module.unwrap_or_else(|| panic!("{file} imports {path:?} through the root"))
        });
        let others = found.filter(|it| !is_family(it, file) && !is_family(file, it));
        imports.insert(file.clone(), others.collect());
    }
    imports
}

/// The modules below a folder, without their comments and tests.
fn read_modules(folder: &Path, name: &str, files: &mut BTreeMap<String, String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap();
        let module = if name.is_empty() { stem.to_owned() } else { format!("{name}::{stem}") };
        if path.is_dir() {
            read_modules(&path, &module, files);
        } else if module != "lib" && path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            // Tests may import what they like: they are in no program that is shipped.
            let code = text.split("#[cfg(test)]").next().unwrap_or_default().lines();
            let code = code.filter(|line| !line.trim_start().starts_with("//"));
            let module = if stem == "mod" { name.to_owned() } else { module };
            files.insert(module, code.collect::<Vec<_>>().join("\n"));
        }
    }
}

/// The paths in a module that begin with `crate` or `super`, from the root on.
fn paths(module: &str, text: &str) -> impl Iterator<Item = Vec<String>> {
    let statements = text.split(';').filter(|it| !it.trim_start().starts_with("pub use "));
    let words = statements.flat_map(words);
    let paths = words.filter(|word| word.starts_with("crate::") || word.starts_with("super::"));
    paths.map(|word| {
        let mut parts = word.split("::").filter(|part| !part.is_empty()).peekable();
        let mut path: Vec<&str> = match parts.next_if_eq(&"crate") {
            Some(_) => Vec::new(),
            None => module.split("::").collect(),
        };
        while parts.next_if_eq(&"super").is_some() {
            path.pop();
        }
        path.extend(parts.filter(|part| *part != "self"));
        path.into_iter().map(str::to_owned).collect()
    })
}

/// The words of a statement; those in the braces of a `use` with what stands before the brace.
fn words(statement: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut groups = Vec::new();
    let mut word = String::new();
    for letter in statement.chars().chain([' ']) {
        if letter.is_alphanumeric() || "_:".contains(letter) {
            word.push(letter);
            continue;
        }
        let prefix: String = groups.last().cloned().unwrap_or_default();
        let whole = format!("{prefix}{}", std::mem::take(&mut word));
        match letter {
            '{' if whole.ends_with("::") => groups.push(whole),
            '{' => {
                words.push(whole);
                groups.push(String::new());
            }
            // A group's own words end with it.
            _ if whole != prefix => words.push(whole),
            _ => {}
        }
        if letter == '}' {
            groups.pop();
        }
    }
    words
}

fn none_of(tree: &BTreeSet<String>, name: &str, unwanted: &[&str]) {
    let found: Vec<&&str> = unwanted.iter().filter(|unwanted| tree.contains(**unwanted)).collect();
    assert!(
        found.is_empty(),
        "{name} depends on {found:?}: `cargo tree -p {name} -e normal -i {}` says why",
        found[0]
    );
}

/// The names of the crates a crate is built of.
fn tree(name: &str) -> BTreeSet<String> {
    let listed = listed(&["-p", name, "-e", "normal"]);
    let names = listed.lines().filter_map(|line| line.split_whitespace().next());
    let names: BTreeSet<String> = names.map(str::to_owned).collect();
    assert!(names.contains(name), "cargo tree does not list {name} itself: {listed}");
    names
}

/// The features of each package that such a build of this workspace compiles, by name and version: one list or,
/// where the build's own programs need others, two.
fn features(of: &[&str]) -> BTreeMap<String, BTreeSet<String>> {
    let mut features = BTreeMap::<String, BTreeSet<String>>::new();
    for line in listed(&[of, &["--format", "{p}|{f}"]].concat()).lines() {
        // Between the trees of two members there is an empty line.
        let Some((package, enabled)) = line.trim_end_matches(" (*)").split_once('|') else {
            continue;
        };
        let name = package.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
        features.entry(name).or_default().insert(enabled.to_owned());
    }
    features
}

fn listed(arguments: &[&str]) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    // Offline and locked: the tests were built from the same lock file a moment ago.
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--prefix", "none", "--offline", "--locked"])
        .args(arguments)
        .current_dir(root)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo tree: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

const X86: bool = cfg!(any(target_arch = "x86", target_arch = "x86_64"));

const NOT_IN_THE_CORE: [&str; 20] = [
    "tokio",
    "mio",
    "socket2",
    "hyper",
    "reqwest",
    "ureq",
    "rustls",
    "ring",
    "native-tls",
    "openssl",
    "libc",
    "rand",
    "rand_core",
    "getrandom",
    "fastrand",
    "tracing",
    "log",
    "time",
    "chrono",
    "jiff",
];

const SQLITE: [&str; 3] = ["rusqlite", "libsqlite3-sys", "sqlx"];

/// The rooms of the core, and its files outside of them, from the lowest on: each imports from its own
/// line and those before it. So what follows a task (`wire`, `pace`, `run`, `batch`) knows no model.
const ORDER_OF_THE_CORE: [&[&str]; 10] = [
    &[
        "time",
        "seed",
        "backoff",
        "printable",
        "count",
        "task_id",
        "error_kind",
        "signed_url",
        "image_format",
    ],
    &["gateway"],
    &["wire"],
    &["pace"],
    &["run"],
    &["batch"],
    &["model"],
    &["error", "retries"],
    &["journal"],
    &["driver"],
];

/// The sources beside the core's.
const NO_CIRCLES: [&str; 10] = [
    "crates/effects-jobs/src",
    "crates/effects-cli/src",
    "crates/effects-client/src",
    "crates/effects-journal/src",
    "crates/effects-ureq/src",
    "crates/effects-reqwest/src",
    "crates/effects-render/src",
    "crates/effects-emulator/src",
    "crates/effects-testkit/src",
    "python/rust",
];
