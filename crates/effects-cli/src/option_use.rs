//! [`uses`]: the table of which command uses which global option. [`parsed`] is the command line as
//! `Cli::read` parses it: every command accepts every global option, and its help shows only those it uses;
//! `Cli::read` also asks [`uses`], to refuse `--emulator` before a command that has no use for it.
//! [`offered`] gives each command only the options it uses: `commands::main` makes the completions and the
//! manual pages of it.

use clap::{Arg, Command};

/// The command line as it is read. An option that a command has no use for is taken and not shown, since
/// lines that people keep may have it before any command.
pub(crate) fn parsed(command: Command) -> Command {
    let globals = globals(&command);
    command.mut_subcommands(|subcommand| {
        let name = subcommand.get_name().to_owned();
        let unused = globals.iter().filter(|option| !uses(&name, option.get_id().as_str()));
        subcommand.args(unused.map(|option| option.clone().hide(true)))
    })
}

/// The command line as completions offer it: each command with the options it uses.
pub(crate) fn offered(command: Command) -> Command {
    let globals = globals(&command);
    // As clap's global options they would be offered with every command.
    let command = command.mut_args(|option| option.global(false));
    command.mut_subcommands(|subcommand| {
        let name = subcommand.get_name().to_owned();
        let used = globals.iter().filter(|option| uses(&name, option.get_id().as_str()));
        subcommand.args(used.cloned())
    })
}

/// Whether a command uses a global option, by the option's id.
pub(crate) fn uses(command: &str, option: &str) -> bool {
    let asks_a_gateway = matches!(
        command,
        "run"
            | "submit"
            | "status"
            | "wait"
            | "batch"
            | "watch"
            | "resume"
            | "reorder"
            | "resolve"
            | "doctor"
    );
    let reads_a_journal = matches!(command, "tasks" | "resolve" | "journal" | "cost");
    match option {
        "api_key" | "api_key_file" => asks_a_gateway || command == "emulator",
        "api_key_command" | "headers" | "ca_bundle" | "client_cert" | "client_key" => {
            asks_a_gateway
        }
        // What the doctor asks is new each time.
        "cassette" => asks_a_gateway && command != "doctor",
        "profile" => {
            asks_a_gateway
                || reads_a_journal
                || matches!(command, "check" | "login" | "logout" | "profile")
        }
        "base_url" | "allow_http" => asks_a_gateway || command == "check",
        "emulator" => matches!(command, "run" | "batch" | "watch" | "check" | "doctor"),
        "uploads" => {
            asks_a_gateway && !matches!(command, "status" | "wait" | "resume" | "resolve")
                || command == "check"
        }
        "poll" => asks_a_gateway && !matches!(command, "submit" | "status" | "resolve"),
        "tag" => matches!(command, "run" | "submit" | "batch" | "watch" | "resolve" | "doctor"),
        _ => true,
    }
}

fn globals(command: &Command) -> Vec<Arg> {
    command.get_arguments().filter(|option| option.is_global_set()).cloned().collect()
}
