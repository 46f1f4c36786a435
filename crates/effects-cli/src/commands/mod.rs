//! [`main`]: reads the command line ([`Cli`]), runs the command that it names, prints its failure, if any,
//! and returns the exit code. `lib.rs` calls it. Each command has a file of its name here, with its
//! arguments; `logout` and `profile` are in `login.rs`.

pub(crate) mod batch;
pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod cost;
pub(crate) mod doctor;
pub(crate) mod emulator;
pub(crate) mod journal;
pub(crate) mod login;
pub(crate) mod man;
pub(crate) mod reorder;
pub(crate) mod resolve;
pub(crate) mod resume;
pub(crate) mod run;
pub(crate) mod sampler;
pub(crate) mod status;
pub(crate) mod submit;
pub(crate) mod tasks;
pub(crate) mod templates;
pub(crate) mod wait;
pub(crate) mod watch;

use std::ffi::OsString;

use clap::CommandFactory;
use effects_core::{ErrorKind, printable};

use crate::args::{Cli, Command};
use crate::failure::{ErrorObject, Failure};
use crate::known_key::KnownKey;
use crate::output::{self, Output};
use crate::pictures::RunObject;
use crate::problem::Problems;
use crate::schemas::SchemaCollector;
use crate::{help_json, logging, option_use, profile, rerun_line, typed_words};

/// Adds the schemas of what the commands print.
fn schemas(objects: &mut SchemaCollector) {
    objects.add::<ErrorObject<'_>>("effects.error.v1");
    objects.add::<RunObject>("effects.run.v1");
    crate::batch::schemas(objects);
    objects.add::<check::CheckObject<'_>>("effects.check.v1");
    objects.add::<cost::CostObject>("effects.cost.v1");
    objects.add::<doctor::DoctorObject>("effects.doctor.v1");
    objects.add::<emulator::EmulatorObject<'_>>("effects.emulator.v1");
    objects.add::<journal::BackupObject<'_>>("effects.backup.v1");
    objects.add::<journal::CopyObject<'_>>("effects.copy.v1");
    objects.add::<journal::PruneObject<'_>>("effects.prune.v1");
    objects.add::<journal::RebuildObject<'_>>("effects.rebuild.v1");
    objects.add::<login::LoginObject<'_>>("effects.login.v1");
    objects.add::<login::LogoutObject<'_>>("effects.logout.v1");
    objects.add::<login::ProfileObject<'_>>("effects.profile.v1");
    objects.add::<resolve::ResolveObject<'_>>("effects.resolve.v1");
    objects.add::<sampler::SamplerObject<'_>>("effects.sampler.v1");
    objects.add::<status::StatusObject>("effects.status.v1");
    objects.add::<submit::SubmitObject>("effects.submit.v1");
    objects.add::<tasks::TaskObject<'_>>("effects.task.v1");
    objects.add::<templates::TemplateObject<'_>>("effects.template.v1");
}

/// Reads the command line, runs its command, and returns the exit code.
pub(crate) fn main(arguments: &[OsString]) -> u8 {
    let Cli { mut global, command, given } = match Cli::read(arguments) {
        Ok(cli) => cli,
        Err(error) => return misread(&error, arguments),
    };
    // First of all: whatever fails below may print a line to be pasted, or look for the key in the words.
    rerun_line::remember(arguments, given);
    typed_words::remember(arguments, Cli::command);
    logging::start(global.verbose, global.quiet);
    let output = Output::new(&global);
    if command.uses_profile()
        && let Err(error) = profile::apply(&mut global)
    {
        let failure = Failure::from(error);
        output.failure(&failure);
        return failure.exit_code();
    }
    // `check` lists them among what else is wrong.
    if command.exposes_words() && !matches!(command, Command::Check(_)) {
        let known = KnownKey::of(&global);
        if let Some(problems) = Problems::among(typed_words::problems(|text| known.is_in(text))) {
            let failure = Failure::Invalid(problems);
            output.failure(&failure);
            return failure.exit_code();
        }
    }
    let done = match command {
        Command::Run(arguments) => run::run(&global, arguments, &output),
        Command::Submit(arguments) => submit::submit(&global, arguments, &output),
        Command::Status(arguments) => status::status(&global, &arguments, &output),
        Command::Wait(arguments) => wait::wait(&global, arguments, &output),
        Command::Batch(arguments) => batch::batch(&global, &arguments, &output),
        Command::Watch(arguments) => watch::watch(&global, &arguments, &output),
        Command::Tasks(arguments) => tasks::tasks(&arguments, &output),
        Command::Resume(arguments) => resume::resume(&global, &arguments, &output),
        Command::Reorder(arguments) => reorder::reorder(&global, &arguments, &output),
        Command::Resolve(arguments) => resolve::resolve(&global, &arguments, &output),
        Command::Journal(arguments) => journal::journal(&arguments, &output),
        Command::Cost(arguments) => cost::cost(&arguments, &output),
        Command::Check(arguments) => check::check(&global, &arguments, &output),
        Command::Doctor(arguments) => doctor::doctor(&global, *arguments, &output),
        Command::Templates(arguments) => templates::templates(&arguments, &output),
        Command::Sampler(arguments) => sampler::sampler(&arguments, &output),
        Command::Emulator(arguments) => emulator::emulator(&global, *arguments, &output),
        Command::Login(arguments) => login::login(&global, &arguments, &output),
        Command::Logout(arguments) => login::logout(&global, &arguments, &output),
        Command::Profile(arguments) => login::profiles(&global, &arguments, &output),
        Command::Man(arguments) => man::man(&arguments, option_use::offered(Cli::command())),
        Command::Completions(arguments) => {
            completions::completions(&arguments, &mut option_use::offered(Cli::command()))
        }
    };
    match done {
        Ok(done) => done.into(),
        Err(failure) => {
            let failure = failure.with_given_options();
            output.failure(&failure);
            failure.exit_code()
        }
    }
}

/// Prints what clap says of a command line, in its colours. It repeats what was typed, so that is
/// read once more with what a terminal would obey escaped.
fn print(error: &clap::Error, arguments: &[OsString]) {
    let escape = |argument: &OsString| printable(&argument.to_string_lossy()).into_owned().into();
    let escaped: Vec<OsString> = arguments.iter().map(escape).collect();
    let rebuilt = if escaped == arguments {
        // Where stderr is closed, the help is lost.
        return drop(error.print());
    } else {
        Cli::read(&escaped).err()
    };
    match rebuilt {
        Some(rebuilt) => drop(rebuilt.print()),
        // What cannot be read is what was escaped.
        None => error.to_string().lines().for_each(output::write_stderr),
    }
}

/// A command line that cannot be read, or that asks for help.
fn misread(error: &clap::Error, arguments: &[OsString]) -> u8 {
    let json = arguments.iter().any(|argument| argument == "--json");
    if json && error.kind() == clap::error::ErrorKind::DisplayHelp {
        return help_json::print(&mut Cli::command(), schemas);
    }
    print(error, arguments);
    if !error.use_stderr() {
        return 0;
    }
    // The options were not read, so the word itself shows that a program reads the output.
    if json {
        let text = error.to_string();
        let message = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
        output::error_object(&ErrorObject::of_usage(message.to_owned()));
    }
    ErrorKind::Misconfigured.exit_code()
}
