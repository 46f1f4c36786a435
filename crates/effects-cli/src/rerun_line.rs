//! [`line_to_run_again`]: the command line as it was typed, without key, headers and password. `batch` and
//! `resume` print it when they are interrupted or leave rows unfinished.

use std::ffi::OsString;
use std::sync::OnceLock;

use effects_journal::without_password;

/// Remembers the command line; a process has one command.
pub(crate) fn remember(arguments: &[OsString]) {
    // A second command in one process prints the first one's line.
    let _ = TYPED.set(line(arguments));
}

/// The line to run again: as it was typed, without the key and headers, and without a database's password.
pub(crate) fn line_to_run_again() -> &'static str {
    TYPED.get().map_or("effects", String::as_str)
}

fn line(arguments: &[OsString]) -> String {
    let mut words = vec!["effects".to_owned()];
    let mut arguments = arguments.iter().skip(1).map(|word| word.to_string_lossy());
    while let Some(word) = arguments.next() {
        if SECRETS.contains(&&*word) {
            arguments.next();
        } else if !SECRETS.iter().any(|secret| is_given_with_value(&word, secret)) {
            words.push(quoted(&shown(&word)));
        }
    }
    words.join(" ")
}

/// Whether a word is this option with its value behind an equals sign.
fn is_given_with_value(word: &str, option: &str) -> bool {
    word.strip_prefix(option).is_some_and(|rest| rest.starts_with('='))
}

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

static TYPED: OnceLock<String> = OnceLock::new();

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
        let line = |words: &str| line(&words.split(' ').map(OsString::from).collect::<Vec<_>>());
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
}
