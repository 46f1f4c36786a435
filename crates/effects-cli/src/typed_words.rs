//! [`problems`]: finds where the command line, as typed, repeats the API key outside the options that give
//! it: it would be kept in the journal, a manifest or a report, be shown, or be sent. `commands::main`
//! refuses such a line before a command begins, `Gateway::open` again with its client's key;
//! `effects check` lists the problems. `batch/rows.rs` reports keys in the rows of a manifest by
//! [`holds_key`].

use std::ffi::OsString;
use std::sync::OnceLock;

use clap::{Arg, Command};
use effects_client::key_refusal;
use effects_core::{Error, Reference};

use crate::problem::InputProblem;

/// Remembers the command line, and how it is read; a process has one command.
pub(crate) fn remember(arguments: &[OsString], command: MakeCommand) {
    // A second command in one process is asked for the first one's words.
    let _ = TYPED.set((arguments.to_vec(), command));
}

/// Where the command line repeats the key, but for the options that give it, or a program that may need it.
pub(crate) fn problems(is_key: impl Fn(&str) -> bool) -> Vec<InputProblem> {
    let Some((words, command)) = TYPED.get() else { return Vec::new() };
    let words: Vec<_> = words.iter().skip(1).map(|word| word.to_string_lossy()).collect();
    // Nearly always so, and then no definition of the command line is made.
    if !words.iter().any(|word| is_key(word)) {
        return Vec::new();
    }
    let command = command();
    let (mut problems, mut plain, mut is_request, mut words) = (Vec::new(), 0, false, words.iter());
    while let Some(word) = words.next() {
        let (option, value) = match word.split_once('=') {
            Some((option, value)) if option.starts_with("--") => (option, Some(value)),
            // A value may look like an option or like a plain
            // word, so the definition says which words are values.
            None if takes_value(&command, word) => {
                (&**word, Some(words.next().map_or("", |word| word)))
            }
            _ => (&**word, None),
        };
        let (description, text) = match value {
            Some(_) if MAY_HAVE_KEY.contains(&option) => continue,
            Some(value) => (describe_value(option, value, &is_key), value),
            None => {
                plain += u8::from(!word.starts_with('-'));
                // The command's name, which global options may stand before.
                is_request |= plain == 1 && REQUESTS.contains(&&**word);
                (describe_argument(plain, word, is_request), &**word)
            }
        };
        if is_key(text) {
            problems.push(holds_key(description.1, &description.0));
        }
    }
    problems
}

/// The problem of a text that repeats the key; `description` says which text it is.
pub(crate) fn holds_key(field: Option<&'static str>, description: &str) -> InputProblem {
    InputProblem { field, ..Error::into(key_refusal(description)) }
}

/// What a photo is called that is given by this text.
pub(crate) fn photo(given: &str) -> &'static str {
    if Reference::is_url(given) { "the URL of the photo" } else { "the name of the photo" }
}

type WordDescription = (String, Option<&'static str>);

fn describe_value(option: &str, value: &str, is_key: impl Fn(&str) -> bool) -> WordDescription {
    match (option, value.split_once('=')) {
        ("--param", Some((name, _))) if is_key(name) => {
            ("the name of a parameter".to_owned(), None)
        }
        ("--param", Some((name, _))) => (format!("parameter {name:?}"), Some("params")),
        _ => (option.to_owned(), None),
    }
}

/// A word behind no option: the command, and then what it is about.
fn describe_argument(count: u8, word: &str, is_request: bool) -> WordDescription {
    match count {
        2 if is_request => ("the template".to_owned(), Some("template_id")),
        3 if is_request => (photo(word).to_owned(), Some("image_input1")),
        _ => ("an argument".to_owned(), None),
    }
}

/// Whether a word is an option, of any command, whose value is the next word.
fn takes_value(command: &Command, word: &str) -> bool {
    let is_meant = |option: &Arg| {
        let long = option.get_long().is_some_and(|long| word.strip_prefix("--") == Some(long));
        let short = |short: char| word.strip_prefix('-').is_some_and(|it| it == short.to_string());
        option.get_action().takes_values() && (long || option.get_short().is_some_and(short))
    };
    let mut options = command.get_arguments();
    let mut of_commands = command.get_subcommands().flat_map(Command::get_arguments);
    options.any(is_meant) || of_commands.any(is_meant)
}

/// The commands that are about a template and a photo.
const REQUESTS: [&str; 3] = ["run", "submit", "check"];
/// Options that say what the key is, or where, and those of programs and proxies that may need it.
const MAY_HAVE_KEY: [&str; 6] =
    ["--api-key", "--api-key-file", "--api-key-command", "--header", "--uploads", "--on-done"];

/// How command lines are read.
type MakeCommand = fn() -> Command;

static TYPED: OnceLock<(Vec<OsString>, MakeCommand)> = OnceLock::new();
