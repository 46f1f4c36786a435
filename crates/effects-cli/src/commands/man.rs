//! `effects man` ([`man`]): writes the manual pages into a folder, one for each command, or prints the page
//! of `effects` itself, made of the same definitions as `--help`. `commands::main` calls it.

use std::fs;
use std::path::PathBuf;

use clap::{Args, Command};
use effects_core::{Error, ErrorKind};

use crate::command_result::{CommandEnd, CommandResult};
use crate::failure::Failure;
use crate::output;

#[derive(Args)]
#[command(after_help = "\
Examples:
  effects man ~/.local/share/man/man1
  effects man | man -l -")]
pub(crate) struct Arguments {
    /// The folder for the pages of all commands; left out, the page of `effects` is printed
    dir: Option<PathBuf>,
}

/// Writes the pages of `command`, or prints its own.
pub(crate) fn man(arguments: &Arguments, command: Command) -> CommandResult {
    let Some(folder) = &arguments.dir else {
        let mut page = Vec::new();
        clap_mangen::Man::new(command).render(&mut page).map_err(Failure::system)?;
        return output::script(&page).map(|()| CommandEnd::Ok);
    };
    let written = fs::create_dir_all(folder)
        // No page for clap's own command `help`.
        .and_then(|()| clap_mangen::generate_to(command.disable_help_subcommand(true), folder));
    written.map_err(|error| {
        let why = format!("the manual pages cannot be written to {}: {error}", folder.display());
        Error::new(ErrorKind::Misconfigured, why)
    })?;
    Ok(CommandEnd::Ok)
}
