//! [`Output`]: prints what a command has to say: results on stdout, the rest on stderr, and an error
//! with `--json` on both. Commands print through it or the functions here, such as [`write_stderr`] and
//! [`script`]; only progress (`LiveLine`) and clap's help and usage errors do not. A reader that is gone
//! never makes it panic.
//!
//! JSON is printed as it is; every line for a person is escaped by [`printable`], since services, files
//! and journals have a say in it.

#![expect(clippy::disallowed_methods, reason = "the one place that prints")]

use std::io::{self, ErrorKind, IsTerminal, Write};

use effects_core::printable;
use serde::Serialize;

use crate::failure::{ErrorObject, Failure};
use crate::global::GlobalOptions;

/// Prints what a command has to say, as the global options ask.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    pub(crate) json: bool,
    pub(crate) quiet: bool,
    pub(crate) verbose: bool,
}

impl Output {
    /// As the global options say.
    pub(crate) fn new(global: &GlobalOptions) -> Self {
        Self { json: global.json, quiet: global.quiet, verbose: global.verbose > 0 }
    }

    /// Whether a display that redraws itself makes sense.
    pub(crate) fn is_live(&self) -> bool {
        !self.quiet && !self.verbose && io::stderr().is_terminal()
    }

    /// Prints a result: the object with `--json`, the lines otherwise.
    ///
    /// A reader that is gone is no error, but a result that cost money must not go with it: it is
    /// said on stderr instead.
    pub(crate) fn result(&self, object: &impl Serialize, lines: &[String]) -> Result<(), Failure> {
        let text = self.text(object, lines)?;
        if text.is_empty() {
            return Ok(());
        }
        match write_text(&mut io::stdout().lock(), &text) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                write_stderr(&format!(
                    "stdout is closed; the result: {}",
                    text.replace('\n', ", ")
                ));
                Ok(())
            }
            // It may be of a paid task, so the error has what stdout lost.
            Err(error) => Err(Failure::Unforeseen(format!(
                "stdout cannot be written: {error}; the result: {}",
                text.replace('\n', ", ")
            ))),
        }
    }

    /// Prints one of many results that can be had again. Returns whether stdout is still read.
    pub(crate) fn listing(
        &self,
        object: &impl Serialize,
        lines: &[String],
    ) -> Result<bool, Failure> {
        match write_text(&mut io::stdout().lock(), &self.text(object, lines)?) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
            Err(error) => Err(Failure::Unforeseen(format!("stdout cannot be written: {error}"))),
        }
    }

    /// Prints one of many results that are written down elsewhere too, so that a reader that is gone
    /// misses nothing: a line for a person.
    pub(crate) fn line(&self, line: &str) -> Result<(), Failure> {
        print(printable(line).as_bytes(), true)
    }

    /// Prints such a result as the JSON that it is.
    pub(crate) fn json_line(&self, json: &str) -> Result<(), Failure> {
        print(json.as_bytes(), true)
    }

    /// Prints something on stderr that a person must know, quiet or not.
    pub(crate) fn note_always(&self, text: &str) {
        write_stderr(text);
    }

    /// Prints something on stderr, unless it is to be quiet.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            write_stderr(text);
        }
    }

    /// Prints a failure: on stderr for a person, and with `--json` as an object on stdout, so that a
    /// program finds one object there in every case.
    pub(crate) fn failure(&self, failure: &Failure) {
        for line in failure.lines() {
            write_stderr(&format!("error: {line}"));
        }
        if self.json {
            error_object(&failure.object());
        }
    }

    fn text(&self, object: &impl Serialize, lines: &[String]) -> Result<String, Failure> {
        if self.json {
            let json = serde_json::to_string(object);
            // An answer that is kept as the service wrote it may have line breaks between its words.
            return json
                .map(|json| json.replace(['\n', '\r'], " "))
                .map_err(|error| Failure::Unforeseen(format!("JSON: {error}")));
        }
        // Escaped line by line: the breaks between them are this command's own.
        let lines: Vec<_> = lines.iter().map(|line| printable(line)).collect();
        Ok(lines.join("\n"))
    }
}

/// Whether a person reads stdout.
pub(crate) fn stdout_is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Prints a script of this command's own: nothing in it comes from outside.
pub(crate) fn script(script: &[u8]) -> Result<(), Failure> {
    print(script, false)
}

/// Prints an error's object on stdout. It was said on stderr too, so a reader that is gone misses
/// nothing.
pub(crate) fn error_object(object: &ErrorObject<'_>) {
    if let Ok(text) = serde_json::to_string(object) {
        let _ = write_text(&mut io::stdout().lock(), &text);
    }
}

/// Prints a line on stderr. Where stderr is closed, the line is lost.
pub(crate) fn write_stderr(line: &str) {
    let _ = write_text(&mut io::stderr().lock(), &printable(line));
}

/// Writes lines of a log on stderr: each write is an event, and ends with a line break.
#[derive(Debug)]
pub(crate) struct LogLines;

impl Write for LogLines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        // Through `write_stderr`, which escapes: a log repeats what services and files say.
        write_stderr(text.strip_suffix('\n').unwrap_or(&text));
        // All of it, so that the log writes no rest as a line of its own.
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Prints on stdout; a reader that is gone is no error.
fn print(text: &[u8], ends_line: bool) -> Result<(), Failure> {
    let mut whole = text.to_vec();
    whole.extend(ends_line.then_some(b'\n'));
    let mut stdout = io::stdout().lock();
    match stdout.write_all(&whole).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::Unforeseen(format!("stdout cannot be written: {error}")))
        }
        _ => Ok(()),
    }
}

fn write_text(to: &mut impl Write, text: &str) -> io::Result<()> {
    // One write a line: lines of several processes do not mix.
    to.write_all(format!("{text}\n").as_bytes())?;
    to.flush()
}
