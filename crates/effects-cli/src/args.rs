//! The command line as it is typed. Each command's own arguments stand in its file.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};
use effects_core::BaseUrl;
use effects_jobs::Uploads;

use crate::commands::{
    batch, check, completions, cost, emulator, journal, reorder, resolve, resume, run, sampler,
    status, submit, tasks, templates, wait,
};
use crate::values::Poll;

/// Turns photos into styled pictures with the spark_img_effects service.
///
/// A submission costs money and its result takes a while: `run` does it all, `submit` and `wait` do
/// it in two steps. With --emulator everything happens on this machine: no key, no network, no bill.
#[derive(Parser)]
#[command(name = "effects", version, after_help = EXAMPLES, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Args, Clone)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// The API key; other users of this machine may see it there
    ///
    /// Better in a file (--api-key-file) or in the environment: EFFECTS_API_KEY, else
    /// VTRIX_API_KEY.
    #[arg(long, global = true, value_name = "KEY")]
    pub(crate) api_key: Option<String>,

    /// A file that holds the API key and nothing else
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) api_key_file: Option<PathBuf>,

    #[arg(
        long,
        global = true,
        value_name = "URL",
        help = format!("The gateway; else EFFECTS_BASE_URL, else {}", BaseUrl::DEFAULT)
    )]
    pub(crate) base_url: Option<String>,

    /// Let the base URL be http on another machine: the key travels in the clear
    #[arg(long, global = true)]
    pub(crate) allow_http: bool,

    /// Use a gateway inside this command, whatever key and base URL are set
    ///
    /// It paints locally, costs nothing, and ends with the command and everything in it; so it
    /// makes no sense with submit, status, wait, resume or --base-url.
    #[arg(long, global = true)]
    pub(crate) emulator: bool,

    /// Where local photos are put: gateway[=URL], data-url, command=PROGRAM, presigned-put=PROGRAM
    ///
    /// The service fetches a URL, so a photo on this machine must be somewhere first. `gateway` is
    /// the gateway's storage endpoint (proven with the local gateway alone), `data-url` writes the
    /// photo into the request (unproven), `command=PROGRAM` runs a program that gets the file's path
    /// and prints a URL, `presigned-put=PROGRAM` one that prints a URL to PUT to and a URL to fetch
    /// from. Left out, it is `gateway` where the gateway is this machine, and a refusal elsewhere.
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) uploads: Option<Uploads>,

    /// When to look at a running task: auto, or every so many seconds
    ///
    /// auto looks when tasks of the template usually end, as learnt from earlier ones, and about
    /// every 3 s until there were some; with --emulator it is every 0.1 s.
    #[arg(long, global = true, value_name = "auto|SECONDS", default_value = "auto")]
    pub(crate) poll: Poll,

    /// A word of yours: results repeat it, and costs are added up by it
    #[arg(long, global = true, value_name = "TEXT")]
    pub(crate) tag: Option<String>,

    /// Print one JSON object per result on stdout, errors included
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// Say nothing on stderr but errors
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,

    /// Log to stderr; -vv in detail, -vvv everything
    ///
    /// RUST_LOG, where it is set, chooses what -v logs ("effects_ureq=debug"). No key is ever
    /// logged.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
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
    /// List the templates, all or those that match
    Templates(templates::Arguments),
    /// Paint a photo through all thirty templates, on this machine
    Sampler(sampler::Arguments),
    /// Run the local gateway until it is stopped
    Emulator(Box<emulator::Arguments>),
    /// Print a completion script for a shell
    Completions(completions::Arguments),
}

impl Cli {
    /// Reads the command line, and refuses what makes no sense together.
    pub(crate) fn read(arguments: &[OsString]) -> Result<Self, clap::Error> {
        let cli = Self::try_parse_from(arguments)?;
        match cli.contradiction() {
            None => Ok(cli),
            Some(why) => Err(Self::command().error(ErrorKind::ArgumentConflict, why)),
        }
    }

    /// Global options may stand before the command and after it, where clap sees no conflict.
    fn contradiction(&self) -> Option<&'static str> {
        let Global { api_key, api_key_file, base_url, emulator, quiet, verbose, .. } = &self.global;
        if api_key.is_some() && api_key_file.is_some() {
            return Some("--api-key and --api-key-file both give the key: choose one");
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
        );
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
  id=$(effects submit my_world https://example.com/cat.jpg) && effects wait \"$id\"
  effects batch rows.csv --out pictures --budget 5.00
  effects templates festival

Exit codes:
  0 done                         5 still running when the wait ended
  1 bug or unforeseen            6 out of credit or budget
  2 bad input, refused           7 network or download
  3 key refused                  8 outcome unknown: it may be billed
  4 task failed or not found     9 throttled to the end
                               130 interrupted";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
