//! The command line as it was typed, to be run again: [`remember`] takes it in `commands::main`, and
//! [`line_to_run_again`] gives it without key, headers and password to `batch/reporter.rs` and
//! `effects resume`. [`without_recording`] keeps a later line from replaying what this command recorded;
//! [`quoted`] quotes a word.

use std::ffi::OsString;
use std::path::Path;
use std::sync::OnceLock;

use effects_client::{CASSETTE_VARIABLE, cassette_of_the_environment};

use effects_journal::without_password;

/// Remembers the command line; a process has one command.
pub(crate) fn remember(arguments: &[OsString]) {
    let records = cassette_of_the_environment().is_some_and(|path| !path.exists());
    let typed = TypedLine { line: line(arguments, Path::exists), records };
    // A second command in one process prints the first one's line.
    let _ = TYPED.set(typed);
}

/// The line to run again: as it was typed, without the key and headers, without a database's password, and
/// without the cassette that it recorded.
pub(crate) fn line_to_run_again() -> String {
    without_recording(TYPED.get().map_or("effects", |typed| &typed.line))
}

/// A line for later, which records and replays nothing where this command recorded to the cassette of the
/// environment.
pub(crate) fn without_recording(line: &str) -> String {
    match TYPED.get() {
        Some(typed) if typed.records => format!("{CASSETTE_VARIABLE}= {line}"),
        _ => line.to_owned(),
    }
}

/// The command line as it was typed.
struct TypedLine {
    line: String,
    /// Whether the cassette of the environment was not there, so that it is recorded.
    records: bool,
}

fn line(arguments: &[OsString], is_there: impl Fn(&Path) -> bool) -> String {
    let mut words = vec!["effects".to_owned()];
    let mut arguments = arguments.iter().skip(1).map(|word| word.to_string_lossy());
    let records = |word: &str| {
        let path = word.strip_prefix(CASSETTE).and_then(|value| value.strip_prefix('='));
        path.is_some_and(|path| !is_there(Path::new(path)))
    };
    while let Some(word) = arguments.next() {
        if SECRETS.contains(&&*word) {
            arguments.next();
        } else if word == CASSETTE {
            // One that is there is replayed, and the line is nothing without it.
            if let Some(path) = arguments.next().filter(|path| is_there(Path::new(&**path))) {
                words.extend([word.into_owned(), quoted(&path)]);
            }
        } else if !SECRETS.iter().any(|secret| is_given_with_value(&word, secret))
            && !records(&word)
        {
            words.push(quoted(&shown(&word)));
        }
    }
    words.join(" ")
}

/// Whether a word is this option with its value behind an equals sign.
fn is_given_with_value(word: &str, option: &str) -> bool {
    word.strip_prefix(option).is_some_and(|rest| rest.starts_with('='))
}

const CASSETTE: &str = "--cassette";

/// Options whose values may be secrets.
const SECRETS: [&str; 2] = ["--api-key", "--header"];

/// A word without the password of a database's URL that it may have.
fn shown(word: &str) -> String {
    match word.split_once('=') {
        Some((option, url)) if option.starts_with("--") => {
            format!("{option}={}", without_password(url))
        }
        _ => without_password(word),
    }
}

/// The word as a shell takes it for one.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

static TYPED: OnceLock<TypedLine> = OnceLock::new();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_quoted_where_a_shell_would_take_it_apart() {
        assert_eq!(quoted("--out=a/b.c"), "--out=a/b.c");
        assert_eq!(quoted("two words"), "'two words'");
        assert_eq!(quoted("it's"), "'it'\\''s'");
        assert_eq!(quoted(""), "''");
    }

    #[test]
    fn the_key_is_left_out_however_it_is_given() {
        let line = |words: &str| {
            line(&words.split(' ').map(OsString::from).collect::<Vec<_>>(), |_| false)
        };
        assert_eq!(line("/bin/effects batch --api-key sk-1 a.csv"), "effects batch a.csv");
        assert_eq!(
            line("x --api-key=sk-1 batch --api-key-file k"),
            "effects batch --api-key-file k"
        );
        assert_eq!(line("x batch --header=X-A:s3 --header X-B:s3 a.csv"), "effects batch a.csv");
        for given in ["--journal postgres://me:s3@db/x", "--journal=postgres://me:s3@db/x"] {
            let shown = given.replace(":s3", "");
            assert_eq!(line(&format!("x batch {given}")), format!("effects batch {shown}"));
        }
    }

    #[test]
    fn a_cassette_that_is_recorded_is_left_out_and_one_that_is_replayed_is_not() {
        let line = |words: &str| {
            let words: Vec<_> = words.split(' ').map(OsString::from).collect();
            line(&words, |path| path.ends_with("old.json"))
        };
        assert_eq!(line("x batch --cassette new.json a.csv"), "effects batch a.csv");
        assert_eq!(line("x batch --cassette=new.json a.csv"), "effects batch a.csv");
        for given in ["x batch --cassette old.json a.csv", "x batch --cassette=old.json a.csv"] {
            assert_eq!(line(given), given.replacen('x', "effects", 1));
        }
    }
}
