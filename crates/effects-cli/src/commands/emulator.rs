//! `effects emulator` ([`emulator`]): serves the local gateway of `effects-emulator` on this machine
//! until it is stopped, and prints its URL and key. `commands::main` calls it.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::Args;
use effects_core::{Error, ErrorKind};
use effects_emulator::{
    BadPlan, ClockKind, Dialect, Emulator, FaultPlan, Latency, Options, Pictures, Validation, serve,
};
use rust_decimal::Decimal;
use serde::Serialize;
use utoipa::ToSchema;

use crate::command_result::{CommandEnd, CommandResult};
use crate::failure::Failure;
use crate::gateway;
use crate::global::GlobalOptions;
use crate::output::{Output, write_stderr};
use crate::secret_variables::without_secrets;
use crate::values::{usd, whole, with_words};

#[derive(Args)]
#[command(after_help = "\
Examples:
  effects emulator --open
  effects emulator --port 8600 --api-key any-test-key
  effects emulator --latency lognormal:12s:0.5 --dialect sdk
  effects emulator --json | head -1 | jq -r .base_url

It paints locally, with a renderer that stands in for the service's generative model; its pictures \
say so. It accepts the key of --api-key or --api-key-file, never the environment's; without one, a \
fresh key. Ctrl-C or SIGTERM stops it.")]
pub(crate) struct Arguments {
    /// The address to listen on
    #[arg(long, value_name = "ADDRESS")]
    host: Option<IpAddr>,

    /// The port to listen on; 0 takes a free one
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = whole(0, u16::MAX))]
    port: u16,

    /// Keep tasks, files and spend in this folder, across restarts
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// How long tasks take beyond their painting: 2s, 2s..9s, lognormal:12s:0.5
    ///
    /// One spread for all templates, then any number of template=spread, separated by commas.
    #[arg(long, value_name = "SPEC", value_parser = spelt::<Latency>)]
    latency: Option<Latency>,

    /// The clock that tasks live by: real, or virtual, which moves only when told to
    #[arg(long, value_name = "real|virtual", hide_possible_values = true,
          value_parser = with_words(["real", "virtual"], spelt::<ClockKind>))]
    clock: Option<ClockKind>,

    /// A plan of what goes wrong, in TOML
    #[arg(long, value_name = "FILE")]
    faults: Option<PathBuf>,

    /// Pictures: painted, or stub, one constant picture for tests at scale
    #[arg(long, value_name = "painted|stub", hide_possible_values = true,
          value_parser = with_words(["painted", "stub"], spelt::<Pictures>))]
    pictures: Option<Pictures>,

    /// How answers are spelt: spec, as the service's page has it, or sdk, as its clients read it
    #[arg(long, value_name = "spec|sdk", hide_possible_values = true,
          value_parser = with_words(["spec", "sdk"], spelt::<Dialect>))]
    dialect: Option<Dialect>,

    /// Where a bad request fails: task, as a failed task, or http, with HTTP 400
    #[arg(long, value_name = "task|http", hide_possible_values = true,
          value_parser = with_words(["task", "http"], spelt::<Validation>))]
    validation: Option<Validation>,

    /// Paint a test card where a photo cannot be fetched
    #[arg(long)]
    placeholder: bool,

    /// Let photos be fetched from private networks
    #[arg(long)]
    allow_private: bool,

    /// Where clients reach it, for the links in its answers: behind a proxy, say
    ///
    /// Without it links have the host that a request was sent to, so forwarded ports need nothing.
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,

    /// Let pages of this origin ask it from a browser, http://localhost:3000 say; * for all
    #[arg(long, value_name = "ORIGIN")]
    cors: Vec<String>,

    /// Give each key KEY.NAME a world of its own, for tests that run beside each other
    ///
    /// NAME has 1 to 256 visible ASCII characters, as a test's name has. Tasks, files, requests,
    /// spend, scripts, plan and clock of one key are seen by no other. It does not go with
    /// --data-dir.
    #[arg(long, conflicts_with = "data_dir")]
    isolate_keys: bool,

    /// Open the emulator's page in the browser
    #[arg(long)]
    open: bool,

    /// What a picture costs
    #[arg(long, value_name = "USD", value_parser = usd)]
    price: Option<Decimal>,

    /// What all dice are thrown from
    #[arg(long, value_name = "N", value_parser = whole(0, u64::MAX))]
    seed: Option<u64>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct EmulatorObject<'a> {
    schema: &'static str,
    base_url: &'a str,
    api_key: &'a str,
    pid: u32,
}

pub(crate) fn emulator(
    global: &GlobalOptions,
    arguments: Arguments,
    output: &Output,
) -> CommandResult {
    let opens = arguments.open;
    // Never the environment's key, which may be a real one: `announce` prints what it accepts.
    // Trimmed, since a file's line break is not part of the key.
    let options = arguments.options(gateway::key(global)?.map(|key| key.trim().to_owned()))?;
    let mut printed = Ok(());
    serve(options, |emulator| {
        for warning in emulator.warnings() {
            write_stderr(&format!("warning: {warning}"));
        }
        // An error is kept for the end: the gateway serves until it is stopped, also where stdout is closed.
        printed = announce(emulator, output);
        if opens {
            open_page(emulator.base_url());
        }
    })
    .map_err(|error| gateway::cannot_start(&error))?;
    printed.map(|()| CommandEnd::Ok)
}

impl Arguments {
    fn options(self, api_key: Option<String>) -> Result<Options, Error> {
        let mut options = Options::default();
        options.host = self.host.unwrap_or(options.host);
        options.port = self.port;
        options.api_key = api_key;
        options.data_dir = self.data_dir;
        options.latency = self.latency.unwrap_or(options.latency);
        options.clock = self.clock.unwrap_or(options.clock);
        if let Some(path) = &self.faults {
            options.faults = read_plan(path)?;
        }
        options.pictures = self.pictures.unwrap_or(options.pictures);
        options.dialect = self.dialect.unwrap_or(options.dialect);
        options.validation = self.validation.unwrap_or(options.validation);
        options.placeholder = self.placeholder;
        options.allow_private = self.allow_private;
        options.public_url = self.public_url;
        options.cors = self.cors;
        options.isolate_keys = self.isolate_keys;
        options.price = self.price.unwrap_or(options.price);
        options.seed = self.seed.unwrap_or(options.seed);
        Ok(options)
    }
}

/// Says where it is: lines for a shell to take over, or an object.
fn announce(emulator: &Emulator, output: &Output) -> Result<(), Failure> {
    let (base_url, api_key) = (emulator.base_url(), emulator.api_key());
    let pid = std::process::id();
    let object = EmulatorObject { schema: "effects.emulator.v1", base_url, api_key, pid };
    let lines = [
        format!("export EFFECTS_BASE_URL={base_url}"),
        format!("export EFFECTS_API_KEY={api_key}"),
    ];
    output.result(&object, &lines)?;
    output.note(&format!("its page: {base_url}/"));
    output.note("the emulator runs until Ctrl-C");
    Ok(())
}

/// Opens the page with the program that this system has for it. Where there is none the page is a
/// link to follow by hand.
fn open_page(base_url: &str) {
    let (program, first): (&str, &[&str]) = if cfg!(target_os = "macos") {
        ("open", &[])
    } else if cfg!(windows) {
        // `start` takes a first argument in quotes for the window's title, so it gets an empty one.
        ("cmd", &["/C", "start", ""])
    } else {
        ("xdg-open", &[])
    };
    let page = format!("{base_url}/");
    let mut command = Command::new(program);
    command.args(first).arg(&page);
    without_secrets(&mut command, &[]);
    // A browser writes what it likes, and a program reads URL and key from this command's stdout.
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // Not waited for: some of these programs run for as long as the browser does.
    if let Err(error) = command.spawn() {
        write_stderr(&format!(
            "warning: cannot open {page} ({program}: {error}): open it yourself"
        ));
    }
}

fn read_plan(path: &Path) -> Result<FaultPlan, Error> {
    let fail = |why: String| {
        Error::new(ErrorKind::Misconfigured, format!("--faults {}: {why}", path.display()))
    };
    let text = fs::read_to_string(path).map_err(|error| fail(error.to_string()))?;
    text.parse().map_err(|error: BadPlan| fail(one_line(&error)))
}

/// What is wrong with a plan, without the drawing that points at it.
fn one_line(error: &BadPlan) -> String {
    let error = error.to_string();
    let is_drawing = |line: &&str| line.chars().all(|c| " |^".contains(c));
    let words: Vec<&str> = error.lines().filter(|line| !is_drawing(line)).map(str::trim).collect();
    words.join("; ")
}

fn spelt<T: std::str::FromStr>(text: &str) -> Result<T, T::Err> {
    text.parse()
}
