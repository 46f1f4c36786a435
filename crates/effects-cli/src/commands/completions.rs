//! `effects completions`: a script that teaches a shell this command.

use std::io::{self, Write};

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::args::Cli;
use crate::commands::{CommandResult, Done};
use crate::failure::Failure;

#[derive(Args)]
#[command(after_help = "\
Examples:
  effects completions bash > ~/.local/share/bash-completion/completions/effects
  effects completions zsh > ~/.zfunc/_effects
  effects completions fish > ~/.config/fish/completions/effects.fish")]
pub(crate) struct Arguments {
    /// The shell
    shell: Shell,
}

pub(crate) fn completions(arguments: &Arguments) -> CommandResult {
    // Into memory first: the generator panics where nobody reads.
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "effects", &mut script);
    let mut stdout = io::stdout().lock();
    match stdout.write_all(&script).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::system(error)),
        _ => Ok(Done::Well),
    }
}
