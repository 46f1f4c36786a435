//! One name, one meaning: counts the names of types that are defined in more than one file of the crates
//! and the Python binding, so that a new type does not take a name that means another thing already.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// One thing that each client has, or each store, or each command.
const ONE_MEANING: [&str; 16] = [
    "Arguments",    // of a command, on its command line
    "AttemptError", // why a transfer stopped
    "Client",       // blocking and async, as are those below
    "ClientCore",   // what the parts of a client share
    "HttpClient",   // the settings of a client's HTTP library
    "HttpStack",    // a client's exchanges
    "JobResults",   // what jobs come to, as they end
    "KeptReadable", // a connection whose early answer can be read
    "LeaseState",   // of a row in the hands of a run, in memory and in a database
    "RowHold",      // of a run on a row, in memory and in a database
    "RowLease",     // a row in the hands of a run, in memory and in a database
    "RowStage",     // how far a row is, in memory and in a database
    "Shared",       // what all clones of a client share
    "Stage",        // how far a watched run is
    "TaskHandle",   // a task to wait for
    "Watch",        // the events of a run
];

/// Kin with different meanings, told apart by their crates.
const TWO_MEANINGS: [&str; 4] = [
    "Batch",    // the command's batch of rows, and the core's of runs
    "Endpoint", // where a gateway is, and what the emulator answers at
    "Gateway", // an exchange with the key, the command's client of one, and the one of an emulator in Python
    "Stream",  // bytes to the gateway, and bytes to a database
];

#[test]
fn a_type_name_has_one_meaning() {
    let mut files: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for crate_folder in fs::read_dir(root.join("crates")).unwrap() {
        read_definitions(&crate_folder.unwrap().path().join("src"), &mut files);
    }
    read_definitions(&root.join("python/rust"), &mut files);
    // A folder that moved would find none, and pass.
    assert!(files.len() > 500, "{} type names were found", files.len());
    files.retain(|_, defined| defined.len() > 1);

    let known: BTreeSet<&str> = ONE_MEANING.into_iter().chain(TWO_MEANINGS).collect();
    let twice: BTreeSet<&str> = files.keys().map(String::as_str).collect();
    let new: BTreeMap<_, _> =
        files.iter().filter(|(name, _)| !known.contains(name.as_str())).collect();
    assert!(new.is_empty(), "defined twice: choose another name for one of them: {new:#?}");
    assert_eq!(known, twice, "a name of the lists above is defined once by now");
}

/// The types defined below this folder, outside functions and tests, by name, with their files.
fn read_definitions(folder: &Path, files: &mut BTreeMap<String, BTreeSet<String>>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_definitions(&path, files);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            for line in fs::read_to_string(&path).unwrap().lines() {
                if let Some(name) = defined(line) {
                    files.entry(name.to_owned()).or_default().insert(path.display().to_string());
                }
            }
        }
    }
}

/// The name of the type that a line begins to define.
fn defined(line: &str) -> Option<&str> {
    let line = match line.strip_prefix("pub") {
        Some(rest) if rest.starts_with('(') => rest.split_once(") ")?.1,
        Some(rest) => rest.strip_prefix(' ')?,
        None => line,
    };
    let kinds = ["struct ", "enum ", "trait ", "type ", "union "];
    let named = kinds.iter().find_map(|kind| line.strip_prefix(kind))?;
    let end = named.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(named.len());
    Some(&named[..end])
}
