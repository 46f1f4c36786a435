//! [`CommandResult`]: what every command in `commands/` returns, and `Batch::run`, `plan` and `watch` too:
//! how it ended ([`CommandEnd`]) or its [`Failure`]. `commands::main` makes the exit code of it, and prints
//! a failure.

use effects_core::ErrorKind;

use crate::failure::Failure;

/// How a command ended that did what it was asked.
pub(crate) enum CommandEnd {
    /// It succeeded.
    Ok,
    /// It was asked for a judgement (`effects check`), and what it judged would fail with this kind of error.
    Invalid(ErrorKind),
    /// It did many things, and this is the exit code of them all.
    Code(u8),
}

impl From<CommandEnd> for u8 {
    fn from(done: CommandEnd) -> Self {
        match done {
            CommandEnd::Ok => 0,
            CommandEnd::Invalid(kind) => kind.exit_code(),
            CommandEnd::Code(code) => code,
        }
    }
}

/// What every command returns.
pub(crate) type CommandResult = Result<CommandEnd, Failure>;
