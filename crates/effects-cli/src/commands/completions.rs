//! `effects completions` ([`completions`]): prints the script by which a shell completes the arguments of
//! `effects`, each command with the options that it uses. `commands::main` calls it.

use clap::{Args, Command};
use clap_complete::Shell;

use crate::command_result::{CommandEnd, CommandResult};
use crate::output;

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

/// Prints the script for `command`.
pub(crate) fn completions(arguments: &Arguments, command: &mut Command) -> CommandResult {
    // Into memory first: the generator panics where stdout is closed.
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, command, "effects", &mut script);
    output::script(&script).map(|()| CommandEnd::Ok)
}
