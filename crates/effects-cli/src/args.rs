//! [`Cli`]: the command line, declared for clap: the global options and one [`Command`], whose own
//! arguments its file in `commands/` declares. [`Cli::read`] parses it and refuses options that contradict
//! each other. `commands::main` calls that, runs the command, and makes `--help --json`, completions and
//! manual pages of the declaration.

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::commands::{
    batch, check, completions, cost, doctor, emulator, journal, login, man, reorder, resolve,
    resume, run, sampler, status, submit, tasks, templates, wait, watch,
};
use crate::global::GlobalOptions;
use crate::option_use;
use crate::rerun_line::GivenOptions;

/// Turns photos into styled pictures with the spark_img_effects service.
///
/// A submission costs money and its result takes a while: `run` does it all, `submit` and `wait` do
/// it in two steps. With --emulator everything happens on this machine: no key, no network, no bill.
#[derive(Parser)]
#[command(name = "effects", version, after_help = EXAMPLES, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalOptions,
    #[command(subcommand)]
    pub(crate) command: Command,
    /// What lines to be pasted repeat of it.
    #[arg(skip)]
    pub(crate) given: GivenOptions,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Submit a photo, wait, and save the picture
    Run(run::Arguments),
    /// Submit a photo and print the task's id
    Submit(submit::Arguments),
    /// Look at a task once
    Status(status::Arguments),
    /// Wait for a task and save its picture
    Wait(wait::Arguments),
    /// Do a manifest of rows, each paid for once
    Batch(Box<batch::Arguments>),
    /// Do the photos that come to a folder, each paid for once
    Watch(Box<watch::Arguments>),
    /// List what the journal knows of tasks
    Tasks(tasks::Arguments),
    /// Wait for what is unfinished in the journal, and download it
    Resume(resume::Arguments),
    /// Buy pictures of the journal once more
    Reorder(reorder::Arguments),
    /// Tell the journal what became of a doubtful row
    Resolve(resolve::Arguments),
    /// Copy the journal, or make one again from a folder's manifest.jsonl
    Journal(journal::Arguments),
    /// Add up what tasks cost
    Cost(cost::Arguments),
    /// Check a request against every rule, without a network
    Check(check::Arguments),
    /// Say what is set up, reachable and accepted, without spending
    Doctor(Box<doctor::Arguments>),
    /// List the templates, all or those that match
    Templates(templates::Arguments),
    /// Paint a photo through all thirty templates, on this machine
    Sampler(sampler::Arguments),
    /// Run the local gateway until it is stopped
    Emulator(Box<emulator::Arguments>),
    /// Store the API key of a profile
    Login(login::LoginArguments),
    /// Forget the stored API key of a profile
    Logout(login::LogoutArguments),
    /// List the profiles
    Profile(login::ProfileArguments),
    /// Print a completion script for a shell
    Completions(completions::Arguments),
    /// Write the manual pages
    Man(man::Arguments),
}

impl Command {
    /// Whether words of its line are kept, sent, or shown in a line to go on with.
    pub(crate) fn exposes_words(&self) -> bool {
        matches!(
            self,
            Self::Run(_)
                | Self::Submit(_)
                | Self::Status(_)
                | Self::Wait(_)
                | Self::Batch(_)
                | Self::Watch(_)
                | Self::Resume(_)
                | Self::Reorder(_)
                | Self::Resolve(_)
                | Self::Check(_)
                | Self::Doctor(_)
        )
    }

    /// Whether the settings of a profile matter to it.
    pub(crate) fn uses_profile(&self) -> bool {
        !matches!(
            self,
            Self::Templates(_)
                | Self::Sampler(_)
                | Self::Emulator(_)
                | Self::Login(_)
                | Self::Logout(_)
                | Self::Profile(_)
                | Self::Completions(_)
                | Self::Man(_)
        )
    }
}

impl Cli {
    /// Reads the command line, and refuses what makes no sense together.
    pub(crate) fn read(arguments: &[OsString]) -> Result<Self, clap::Error> {
        let mut command = option_use::parsed(Self::command());
        let matches = command.try_get_matches_from_mut(arguments)?;
        // Formatted with the command, which gives the error its usage and its styles.
        let cli = Self::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
        let cli = Self { given: GivenOptions::of(&matches), ..cli };
        let ignored = matches.subcommand_name().filter(|name| cli.ignores_emulator(name));
        let ignored = ignored.map(|name| {
            format!(
                "--emulator says nothing to `effects {name}`, which asks no gateway: leave it out"
            )
        });
        match cli.contradiction().map(str::to_owned).or(ignored) {
            None => Ok(cli),
            Some(why) => Err(command.error(ErrorKind::ArgumentConflict, why)),
        }
    }

    fn ignores_emulator(&self, command: &str) -> bool {
        self.global.emulator && !option_use::uses(command, "emulator")
    }

    /// Global options may stand before the command and after it, where clap sees no conflict.
    fn contradiction(&self) -> Option<&'static str> {
        let GlobalOptions { api_key, api_key_file, base_url, emulator, quiet, verbose, .. } =
            &self.global;
        let keys =
            [api_key.is_some(), api_key_file.is_some(), self.global.api_key_command.is_some()];
        if keys.into_iter().filter(|given| *given).count() > 1 {
            return Some(
                "--api-key, --api-key-file and --api-key-command all give the key: choose one",
            );
        }
        if *quiet && *verbose > 0 {
            return Some("--quiet and --verbose contradict each other");
        }
        if *emulator && base_url.is_some() {
            return Some("--emulator takes the place of the gateway: leave --base-url out");
        }
        let outlives = matches!(
            self.command,
            Command::Submit(_)
                | Command::Status(_)
                | Command::Wait(_)
                | Command::Resume(_)
                | Command::Reorder(_)
        ) || matches!(&self.command, Command::Resolve(arguments) if arguments.may_look());
        (*emulator && outlives).then_some(
            "--emulator ends with this command, and its tasks with it: start one that stays with \
             `effects emulator` and give its --base-url",
        )
    }
}

const EXAMPLES: &str = "\
Examples:
  effects run glass_ball photo.jpg --emulator -o ball.png
  effects run glass_ball https://example.com/cat.jpg --width 1024 --height 768
  id=$(effects submit my_world https://example.com/a.jpg) && effects wait \"$id\"
  effects batch rows.csv --out pictures --budget 5.00
  effects templates festival

Exit codes:
  0 done                         5 still running when the wait ended
  1 bug or unforeseen            6 out of credit or budget
  2 bad input, refused           7 network or download
  3 key refused                  8 outcome unknown: it may be billed
  4 task failed or not found     9 throttled to the end
                               130 interrupted

For programs: effects --help --json";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        option_use::parsed(Cli::command()).debug_assert();
        option_use::offered(Cli::command()).debug_assert();
    }

    #[test]
    fn examples_fit_a_terminal_of_80_columns_and_paragraphs_are_wrapped_to_any() {
        fn check(command: &clap::Command) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let lines: Vec<&str> = help.lines().collect();
            for line in lines.iter().filter(|line| line.starts_with(' ')) {
                assert!(line.chars().count() <= 80, "{}: {line}", command.get_name());
            }
            let is_text = |line: &str| !line.is_empty() && !line.starts_with(' ');
            for pair in lines.windows(2) {
                let is_broken = pair.iter().all(|line| is_text(line));
                assert!(!is_broken, "{}: {pair:?}", command.get_name());
            }
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }
}
