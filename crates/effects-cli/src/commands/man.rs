//! `effects man` ([`man`]): writes the manual pages into a folder, one for each command, or prints the page
//! of `effects` itself, made of the same definitions as `--help`. `commands::main` calls it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Command};
use clap_mangen::Man;
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
        let page = page(&Man::new(command.clone()), &command).map_err(Failure::system)?;
        return output::script(page.as_bytes()).map(|()| CommandEnd::Ok);
    };
    // No page for clap's own command `help`.
    let mut command = command.disable_help_subcommand(true);
    // Gives each command its whole name, which its page is called by.
    command.build();
    let written = fs::create_dir_all(folder).and_then(|()| write_pages(&command, folder));
    written.map_err(|error| {
        let why = format!("the manual pages cannot be written to {}: {error}", folder.display());
        Error::new(ErrorKind::Misconfigured, why)
    })?;
    Ok(CommandEnd::Ok)
}

/// Writes the page of a command and those of the commands below it.
fn write_pages(command: &Command, folder: &Path) -> io::Result<()> {
    for below in command.get_subcommands().filter(|command| !command.is_hide_set()) {
        write_pages(below, folder)?;
    }
    let man = Man::new(command.clone());
    fs::write(folder.join(man.get_filename()), page(&man, command)?)
}

/// The page of a command, whose synopsis has the values of its options, which clap_mangen leaves out.
fn page(man: &Man, command: &Command) -> io::Result<String> {
    let mut page = Vec::new();
    man.render(&mut page)?;
    let page = String::from_utf8(page).map_err(io::Error::other)?;
    let Some((before, rest)) = page.split_once(SYNOPSIS) else { return Ok(page) };
    let (synopsis, after) = rest.split_once('\n').unwrap_or((rest, ""));
    let options = command.get_arguments().filter(|option| option.get_action().takes_values());
    let with_values = options.fold(synopsis.to_owned(), |line, option| {
        let Some(values) = option.get_value_names() else { return line };
        // As clap_mangen writes an option: in bold, with its hyphens escaped, a short one with a blank.
        let (written, name) = match (option.get_long(), option.get_short()) {
            (Some(long), _) => {
                let name = format!("\\-\\-{}", long.replace('-', "\\-"));
                (format!("\\fB{name}\\fR"), name)
            }
            (None, Some(short)) => (format!("\\fB\\-{short} \\fR"), format!("\\-{short}")),
            (None, None) => return line,
        };
        let value = values.join(" ").replace('-', "\\-");
        line.replace(&written, &format!("\\fB{name}\\fR \\fI{value}\\fR"))
    });
    Ok(format!("{before}{SYNOPSIS}{with_values}\n{after}"))
}

const SYNOPSIS: &str = ".SH SYNOPSIS\n";
