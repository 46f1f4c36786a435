//! `effects doctor` ([`doctor()`]): checks what a paid picture needs (settings, state folder, journal,
//! uploads, gateway, key), and prints each check and what to do, without spending. With `--live` it also
//! makes one real task and prints what that shows of the service. The checks are in `doctor/`.
//! `commands::main` calls it.

use std::ffi::OsString;

use clap::Args;
use effects_core::{Error, ErrorKind, Template};
use rust_decimal::Decimal;
use serde::Serialize;
use utoipa::ToSchema;

use crate::command_result::{CommandEnd, CommandResult};
use crate::doctor::live::{self, LiveOrder, LiveReport};
use crate::doctor::network::{self, Probe};
use crate::doctor::{self, Check, machine};
use crate::failure::Failure;
use crate::gateway::{self, Gateway};
use crate::gateway_location::GatewayLocation;
use crate::global::GlobalOptions;
use crate::interruptible::{WorkContext, interruptible};
use crate::journal::JournalChoice;
use crate::output::Output;
use crate::submission_tracker::SubmissionState;
use crate::values::{TemplateIdParser, usd};

#[derive(Args)]
#[command(after_help = "\
Examples:
  effects doctor
  effects doctor --json | jq '.checks[] | select(.status != \"ok\")'
  effects doctor --live --budget 0.10

It costs nothing and changes nothing, but for --live. Its exit code is that of the first check that fails: \
2 for a setting, 3 for the key, 7 for the network; 0 where none does, warnings or not.")]
pub(crate) struct Arguments {
    /// Make one real task, which costs, and say which facts of the project's table it shows
    ///
    /// The report holds no key, no URL of a photo or picture, and may be sent to the project.
    #[arg(long, requires = "budget")]
    live: bool,

    /// The most that the task of --live may cost
    #[arg(long, value_name = "USD", value_parser = usd, requires = "live")]
    budget: Option<Decimal>,

    /// What the task costs at most; else the highest cost the journal knows of this gateway
    #[arg(long, value_name = "USD", value_parser = usd, requires = "live")]
    price: Option<Decimal>,

    /// The template of the task
    #[arg(long, value_name = "ID", requires = "live", default_value = Template::GlassBall.id(),
          value_parser = TemplateIdParser, hide_possible_values = true)]
    template: String,

    /// The photo of the task: a URL, a path, or - for stdin; a test card when left out
    #[arg(long, value_name = "IMAGE", requires = "live")]
    image: Option<OsString>,

    #[command(flatten)]
    journal: JournalChoice,
}

#[derive(Serialize, ToSchema)]
pub(super) struct DoctorObject {
    schema: &'static str,
    ok: bool,
    exit_code: u8,
    version: &'static str,
    checks: Vec<Check>,
    #[serde(skip_serializing_if = "Option::is_none")]
    live: Option<LiveReport>,
}

pub(crate) fn doctor(
    global: &GlobalOptions,
    arguments: Arguments,
    output: &Output,
) -> CommandResult {
    if let Some(cassette) = global.cassette() {
        let why = format!(
            "doctor asks the gateway itself, and a cassette ({}) says nothing of it: leave --cassette and \
             EFFECTS_CASSETTE out",
            cassette.display()
        );
        return Err(Error::new(ErrorKind::Misconfigured, why).into());
    }
    let location = GatewayLocation::of(global);
    // A URL that cannot be read is a check that fails, and the others are made all the same.
    let shown = location.clone().unwrap_or(GatewayLocation::Inside);
    let (global, work_location) = (global.clone(), shown.clone());
    let object = interruptible(output, &shown, SubmissionState::Nothing(None), move |context| {
        let mut checks = vec![];
        let probe = match &location {
            Ok(location) => set_up(&global, location, &mut checks),
            Err(error) => {
                checks.push(Check::failed("base url", &error.clone().into()));
                None
            }
        };
        checks.push(machine::state());
        checks.push(machine::journal(&arguments.journal));
        if let Ok(location) = &location {
            checks.push(machine::uploads(&global, location));
        }
        // What needs no network is checked before, so that it
        // is reported even where the gateway holds requests back.
        if let Some(probe) = &probe {
            checks.extend(network::check_gateway(&probe.client, &gateway::key_source(&global))?);
        }
        let live = live(context, &global, arguments, &work_location, probe.as_ref(), &checks)?;
        let exit_code = match doctor::exit_code(&checks) {
            0 => live.as_ref().map_or(0, |live| live.exit_code),
            failed => failed,
        };
        let (schema, ok, version) =
            ("effects.doctor.v1", exit_code == 0, env!("CARGO_PKG_VERSION"));
        Ok(DoctorObject { schema, ok, exit_code, version, checks, live })
    })?;
    let mut lines: Vec<String> = object.checks.iter().map(Check::line).collect();
    lines.extend(object.live.iter().flat_map(LiveReport::lines));
    output.result(&object, &lines)?;
    Ok(CommandEnd::Code(object.exit_code))
}

/// Looks at the settings, and makes what asks the gateway of them.
fn set_up(
    global: &GlobalOptions,
    location: &GatewayLocation,
    checks: &mut Vec<Check>,
) -> Option<Gateway<Probe>> {
    match location {
        GatewayLocation::At(base) => {
            checks.push(Check::ok("base url", base.to_string()));
            checks.push(machine::proxy(base, global));
            checks.push(machine::certificates(base, global));
            checks.push(machine::client_certificate(base, global));
        }
        GatewayLocation::Inside => {
            checks.push(Check::ok("base url", "a gateway inside this command"));
        }
    }
    match Gateway::<Probe>::open_as(global, location, gateway::policy(global)) {
        Ok(probe) => {
            checks.push(Check::ok("key", gateway::key_source(global)));
            Some(probe)
        }
        Err(failure) => {
            // Exit code 3 is of keys alone.
            let is_key = failure.exit_code() == ErrorKind::MissingKey.exit_code();
            checks.push(Check::failed(if is_key { "key" } else { "settings" }, &failure));
            None
        }
    }
}

/// Makes the task of `--live`, unless something that it needs is missing.
fn live(
    context: &WorkContext,
    global: &GlobalOptions,
    arguments: Arguments,
    location: &GatewayLocation,
    probe: Option<&Gateway<Probe>>,
    checks: &[Check],
) -> Result<Option<LiveReport>, Failure> {
    let (true, Some(budget), Some(probe)) = (arguments.live, arguments.budget, probe) else {
        return Ok(None);
    };
    // A task costs, and what fails already would most likely keep it from its picture.
    if doctor::exit_code(checks) != 0 {
        context.note("no task is made: see what fails first");
        return Ok(None);
    }
    let store = arguments.journal.for_run(location, global.quiet)?;
    let Arguments { template, image, price, .. } = arguments;
    let order = LiveOrder { template, image, budget, price, tag: global.tag.clone() };
    live::run_task(context, &probe.client, store, order)
        .map(Some)
        .map_err(|failure| failure.at(location))
}
