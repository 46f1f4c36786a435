//! [`line_to_run_again`] and its like: the `effects …` lines that messages print for the user to paste.
//! They are this command's own line again, without key, headers, passwords, secrets of URLs and the cassette that it
//! recorded, or another command's line ([`journal_line`], [`gateway_line`] and others) with this one's
//! journal, gateway, profile and key options ([`GivenOptions`]). `commands::main` keeps the typed line by
//! [`remember`]; batches, `resume`, `submit`, `cost`, `doctor`, and the messages of failures and of the
//! journal print them.

use std::borrow::Cow;
use std::ffi::OsString;
use std::path::Path;
use std::sync::OnceLock;

use clap::ArgMatches;
use effects_client::{CASSETTE_VARIABLE, cassette_of_the_environment};

use effects_core::journal::RowNumber;
use effects_core::signed_url::{redacted, redacted_in};
use effects_journal::{is_database_url, without_password};

/// Remembers the command line; a process has one command.
pub(crate) fn remember(arguments: &[OsString], options: GivenOptions) {
    // Asked now: once the command recorded, the file is there and looks like one to be replayed.
    let records = cassette_of_the_environment().is_some_and(|path| !path.exists());
    let typed = TypedLine { line: line(arguments, Path::exists), options, records };
    // A second command in one process prints the first one's line.
    let _ = TYPED.set(typed);
}

/// The line to run again: as it was typed, without the key and headers, without a database's password and the
/// secrets of the URLs of posts and uploads, and without the cassette that it recorded.
pub(crate) fn line_to_run_again() -> String {
    without_recording(TYPED.get().map_or("effects", |typed| &typed.line))
}

/// A line that reads the journal of this command or writes to it, and asks no gateway.
pub(crate) fn journal_line(line: &str) -> String {
    completed(line, |given| vec![&given.journal, &given.profile])
}

/// The two lines for a doubtful row of this command's journal: it made a task, or nothing was billed.
pub(crate) fn resolve_lines(row: RowNumber) -> String {
    let line = |found: &str| format!("effects resolve {row} {found}");
    // A task is looked at before it is recorded.
    format!("`{}` or `{}`", rows_line(&line("--task ID")), journal_line(&line("--not-billed")))
}

/// A line that asks the gateway of this command, with its key; the key itself stays out of it.
pub(crate) fn gateway_line(line: &str) -> String {
    without_recording(&completed(line, |given| vec![&given.gateway, &given.profile, &given.key]))
}

/// A line about rows of the journal of this command that asks its gateway, with its key.
pub(crate) fn rows_line(line: &str) -> String {
    without_recording(&completed(line, |given| {
        vec![&given.journal, &given.gateway, &given.profile, &given.key]
    }))
}

/// A line that names its gateway already, and asks it with the key of this command.
pub(crate) fn keyed_line(line: &str) -> String {
    without_recording(&completed(line, |given| vec![&given.profile, &given.key]))
}

/// The line that waits for a task of this command and names its gateway already: its picture goes where this
/// command wanted it, its end into this command's journal.
pub(crate) fn task_line(line: &str) -> String {
    without_recording(&completed(line, |given| {
        vec![&given.picture, &given.journal, &given.profile, &given.key]
    }))
}

fn completed(line: &str, options: impl Fn(&GivenOptions) -> Vec<&String>) -> String {
    let given = TYPED.get().map(|typed| options(&typed.options)).unwrap_or_default();
    given.into_iter().fold(line.to_owned(), |line, options| line + options)
}

/// Options that a command was given and a later line needs too, each after a blank, and quoted. Headers
/// are not among them: their values may be secrets.
#[derive(Debug, Default)]
pub(crate) struct GivenOptions {
    journal: String,
    gateway: String,
    profile: String,
    key: String,
    picture: String,
}

impl GivenOptions {
    /// Those of a command line that was read.
    pub(crate) fn of(matches: &ArgMatches) -> Self {
        let mut command = matches;
        // The innermost command has the global options, too, also those that stand before its name.
        while let Some((_, inner)) = command.subcommand() {
            command = inner;
        }
        let raw = |id: &str| {
            // `try_`, since not every command has the option, for which clap panics in debug builds.
            let mut values = command.try_get_raw(id).ok().flatten()?;
            Some(values.next()?.to_string_lossy().into_owned())
        };
        let valued = |options: &[(&str, &str)]| -> String {
            let given = options.iter().filter_map(|(option, id)| Some((option, raw(id)?)));
            given.map(|(option, value)| format!(" {option} {}", quoted(&value))).collect()
        };
        let flag = |option: &str, id: &str| {
            let is_given = command.try_get_one::<bool>(id).ok().flatten() == Some(&true);
            if is_given { format!(" {option}") } else { String::new() }
        };
        // As a whole path: reports keep such lines in files, which are read from other folders.
        let journal = raw("journal").map(|named| match is_database_url(&named) {
            true => without_password(&named),
            false => std::path::absolute(&named)
                .map_or(named, |path| path.to_string_lossy().into_owned()),
        });
        Self {
            journal: journal.map(|it| format!(" --journal {}", quoted(&it))).unwrap_or_default(),
            gateway: valued(&[("--base-url", "base_url")]) + &flag("--allow-http", "allow_http"),
            profile: valued(&[("--profile", "profile")]),
            key: valued(&[
                ("--api-key-file", "api_key_file"),
                ("--api-key-command", "api_key_command"),
                ("--ca-bundle", "ca_bundle"),
                ("--client-cert", "client_cert"),
                ("--client-key", "client_key"),
            ]),
            picture: valued(&[("-o", "output")]) + &flag("--no-download", "no_download"),
        }
    }
}

/// A line for later, which records and replays nothing where this command recorded to the cassette of the
/// environment.
fn without_recording(line: &str) -> String {
    match TYPED.get() {
        // An empty variable counts as unset.
        Some(typed) if typed.records => format!("{CASSETTE_VARIABLE}= {line}"),
        _ => line.to_owned(),
    }
}

/// The command line as it was typed.
struct TypedLine {
    line: String,
    options: GivenOptions,
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
        // With its value, which is the next word.
        if SECRETS.contains(&&*word) {
            arguments.next();
        } else if word == CASSETTE {
            // One that is there is replayed, and the line is nothing without it.
            if let Some(path) = arguments.next().filter(|path| is_there(Path::new(&**path))) {
                words.extend([word.into_owned(), quoted(&path)]);
            }
        } else if URLS.contains(&&*word) {
            let url = arguments.next().map(|value| quoted(&without_secrets(&word, &value)));
            words.push(word.into_owned());
            words.extend(url);
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

/// Options whose values have URLs, which may be permissions.
const URLS: [&str; 2] = [POST_TO, "--uploads"];
const POST_TO: &str = "--post-to";

/// The value of such an option with `redacted` in place of the secrets of its URLs, and without their user names and
/// passwords.
fn without_secrets<'a>(option: &str, value: &'a str) -> Cow<'a, str> {
    // A scheme in capitals is looked for in no text, and `--post-to` takes it.
    if option == POST_TO { redacted(value).into() } else { redacted_in(value) }
}

/// A word without the password of a database's URL that it may have, and without secrets of other URLs.
fn shown(word: &str) -> String {
    match word.split_once('=') {
        Some((option, value)) if URLS.contains(&option) => {
            format!("{option}={}", without_secrets(option, value))
        }
        Some((option, url)) if option.starts_with("--") => {
            format!("{option}={}", without_password(url))
        }
        _ => without_password(word),
    }
}

/// The word as a shell takes it for one.
pub(crate) fn quoted(word: &str) -> String {
    // A POSIX shell gives these no meaning within a word; `~`, `*` and `$` are not among them.
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        // Within single quotes a shell has no escape: the
        // quote ends, `\'` stands outside, and another begins.
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
            // No path is there; only cassettes are looked for.
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
