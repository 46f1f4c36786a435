//! Results on stdout, everything else on stderr, and no panic where nobody reads either.

use std::io::{self, ErrorKind, IsTerminal, Write};

use serde::Serialize;

use crate::args::Global;
use crate::failure::{ErrorObject, Failure};

/// How this command speaks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    pub(crate) json: bool,
    pub(crate) quiet: bool,
    pub(crate) verbose: bool,
}

impl Output {
    /// As the global options say.
    pub(crate) fn new(global: &Global) -> Self {
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
        let text = if self.json {
            let json = serde_json::to_string(object);
            json.map_err(|error| Failure::Unforeseen(format!("JSON: {error}")))?
        } else {
            lines.join("\n")
        };
        if text.is_empty() {
            return Ok(());
        }
        match write_line(&mut io::stdout().lock(), &text) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                say(&format!("nobody reads stdout; the result: {text}"));
                Ok(())
            }
            Err(error) => Err(Failure::Unforeseen(format!(
                "stdout cannot be written: {error}; the result: {text}"
            ))),
        }
    }

    /// Prints one of many results that can be had again. Says whether anybody reads on.
    pub(crate) fn listing(&self, object: &impl Serialize, line: &str) -> Result<bool, Failure> {
        let json = || serde_json::to_string(object);
        let text = if self.json { json() } else { Ok(line.to_owned()) };
        let text = text.map_err(|error| Failure::Unforeseen(format!("JSON: {error}")))?;
        match write_line(&mut io::stdout().lock(), &text) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
            Err(error) => Err(Failure::Unforeseen(format!("stdout cannot be written: {error}"))),
        }
    }

    /// Prints one of many results that are written down elsewhere too, so that a reader that is gone
    /// misses nothing.
    pub(crate) fn line(&self, text: &str) -> Result<(), Failure> {
        match write_line(&mut io::stdout().lock(), text) {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => {
                Err(Failure::Unforeseen(format!("stdout cannot be written: {error}")))
            }
            _ => Ok(()),
        }
    }

    /// Says something that a person must know, quiet or not.
    pub(crate) fn urge(&self, text: &str) {
        say(text);
    }

    /// Says something on stderr, unless it is to be quiet.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            say(text);
        }
    }

    /// Tells a failure: on stderr for a person, and with `--json` as an object on stdout, so that a
    /// program finds one object there whatever happens.
    pub(crate) fn failure(&self, failure: &Failure) {
        for line in failure.lines() {
            say(&format!("error: {line}"));
        }
        if self.json {
            error_object(&failure.object());
        }
    }
}

/// Prints an error's object on stdout. It was said on stderr too, so a reader that is gone misses
/// nothing.
pub(crate) fn error_object(object: &ErrorObject<'_>) {
    if let Ok(text) = serde_json::to_string(object) {
        let _ = write_line(&mut io::stdout().lock(), &text);
    }
}

/// Says something on stderr, come what may. Where stderr is gone there is nobody to tell.
pub(crate) fn say(text: &str) {
    let _ = write_line(&mut io::stderr().lock(), text);
}

fn write_line(to: &mut impl Write, text: &str) -> io::Result<()> {
    // One write a line: lines of several processes do not mix.
    to.write_all(format!("{text}\n").as_bytes())?;
    to.flush()
}
