//! [`print()`]: `effects --help --json`, the whole command line for programs: commands and options as clap
//! has them, environment variables, exit codes, and a schema of each object that `--json` prints, made
//! of the code that prints it. `commands::main` calls it where a command line asks for help and has
//! `--json`.

use clap::{Arg, ArgAction, Command};
use effects_core::ErrorKind;
use serde::Serialize;
use serde_json::{Value, json};

use crate::failure::{EXIT_CODES, UNFORESEEN};
use crate::output;
use crate::schemas::{SchemaCollector, Schemas};

/// Prints the description of `command`, the whole program; `schemas` adds those of what it prints.
pub(crate) fn print(command: &mut Command, schemas: fn(&mut SchemaCollector)) -> u8 {
    // Clap completes the definitions here (actions, global options) and asks for it before they are read.
    command.build();
    let mut objects = SchemaCollector::default();
    schemas(&mut objects);
    let help = help(command, objects);
    match serde_json::to_vec(&help).map(|mut text| {
        text.push(b'\n');
        output::script(&text)
    }) {
        Ok(Ok(())) => 0,
        Ok(Err(failure)) => failure.exit_code(),
        Err(_) => UNFORESEEN,
    }
}

#[derive(Serialize)]
struct Help {
    schema: &'static str,
    version: &'static str,
    about: Option<String>,
    usage: String,
    /// What every command takes, before its name or after it.
    options: Vec<Parameter>,
    commands: Vec<CommandHelp>,
    environment: Vec<Variable>,
    exit_codes: Vec<ExitCode>,
    /// The schema of each object, by its `schema`. It is JSON Schema; references are to `components`.
    schemas: Schemas,
    components: Value,
}

#[derive(Serialize)]
struct CommandHelp {
    name: String,
    about: Option<String>,
    usage: String,
    arguments: Vec<Parameter>,
    options: Vec<Parameter>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    commands: Vec<Self>,
    /// What stands below the options: examples above all.
    notes: Option<String>,
    /// The objects that it prints with `--json`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    prints: Vec<&'static str>,
}

/// An option, or a positional argument, which has no flags.
#[derive(Serialize)]
struct Parameter {
    name: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    flags: Vec<String>,
    help: Option<String>,
    /// `flag`, `count`, or what its value is: `TIME`, `USD`, `FILE`.
    r#type: String,
    required: bool,
    repeatable: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    default: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    values: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    environment: Option<String>,
}

#[derive(Serialize)]
struct Variable {
    name: &'static str,
    means: &'static str,
}

#[derive(Serialize)]
struct ExitCode {
    code: u8,
    means: &'static str,
    /// The kinds of error that end so.
    kinds: Vec<&'static str>,
}

fn help(command: &Command, SchemaCollector { components, schemas }: SchemaCollector) -> Help {
    let is_global = |arg: &&Arg| arg.is_global_set();
    Help {
        schema: "effects.help.v1",
        version: env!("CARGO_PKG_VERSION"),
        about: command.get_long_about().or(command.get_about()).map(ToString::to_string),
        usage: "effects [OPTIONS] <COMMAND>".to_owned(),
        options: command.get_arguments().filter(is_global).map(parameter).collect(),
        commands: subcommands(command, &[], &schemas),
        environment: VARIABLES.map(|(name, means)| Variable { name, means }).into(),
        exit_codes: EXIT_CODES.map(exit_code).into(),
        schemas,
        components: json!({ "schemas": components }),
    }
}

fn exit_code((code, means): (u8, &'static str)) -> ExitCode {
    let kinds = ErrorKind::TABLE.iter().filter(|row| row.exit_code == code);
    ExitCode { code, means, kinds: kinds.map(|row| row.name).collect() }
}

fn subcommands(command: &Command, above: &[&str], schemas: &Schemas) -> Vec<CommandHelp> {
    let commands = command.get_subcommands().filter(|command| command.get_name() != "help");
    commands.map(|command| describe(command, above, schemas)).collect()
}

fn describe(command: &Command, above: &[&str], schemas: &Schemas) -> CommandHelp {
    let path = [above, &[command.get_name()]].concat();
    let own = || command.get_arguments().filter(|arg| !arg.is_global_set() && !is_help(arg));
    let usage = command.clone().render_usage().to_string();
    CommandHelp {
        name: path.join(" "),
        about: command.get_long_about().or(command.get_about()).map(ToString::to_string),
        usage: usage.trim_start_matches("Usage: ").to_owned(),
        arguments: own().filter(|arg| arg.is_positional()).map(parameter).collect(),
        options: own().filter(|arg| !arg.is_positional()).map(parameter).collect(),
        commands: subcommands(command, &path, schemas),
        notes: command.get_after_help().map(ToString::to_string),
        prints: prints(&path.join(" "), schemas),
    }
}

fn is_help(arg: &Arg) -> bool {
    matches!(arg.get_id().as_str(), "help" | "version")
}

fn parameter(arg: &Arg) -> Parameter {
    let short = arg.get_short().map(|short| format!("-{short}"));
    let long = arg.get_long().map(|long| format!("--{long}"));
    let takes_value = arg.get_action().takes_values();
    let r#type = match arg.get_action() {
        ArgAction::Count => "count".to_owned(),
        _ if !takes_value => "flag".to_owned(),
        _ => arg.get_value_names().unwrap_or_default().join(" "),
    };
    let shown = |value: &std::ffi::OsStr| value.to_string_lossy().into_owned();
    let many = arg.get_num_args().is_some_and(|range| range.max_values() > 1);
    Parameter {
        name: arg.get_id().to_string(),
        flags: short.into_iter().chain(long).collect(),
        help: arg.get_long_help().or(arg.get_help()).map(ToString::to_string),
        r#type,
        required: arg.is_required_set(),
        repeatable: many || matches!(arg.get_action(), ArgAction::Append | ArgAction::Count),
        default: arg
            .get_default_values()
            .iter()
            // Clap gives a flag the default `false` and the values `true` and `false`, which cannot be typed.
            .filter(|_| takes_value)
            .map(|value| shown(value))
            .collect(),
        values: arg
            .get_possible_values()
            .iter()
            .filter(|value| takes_value && !value.is_hide_set())
            .map(|value| value.get_name().to_owned())
            .collect(),
        environment: arg.get_env().map(shown),
    }
}

/// The objects that a command prints with `--json`; every one may print an error.
fn prints(command: &str, schemas: &Schemas) -> Vec<&'static str> {
    // A command prints the object of its own name but for these.
    let own: &[&str] = match command {
        "wait" => &["run"],
        "batch" => &["row", "batch", "plan"],
        "watch" => &["row", "batch"],
        "resume" | "reorder" => &["row"],
        "tasks" => &["task"],
        "templates" => &["template"],
        command => &[command.strip_prefix("journal ").unwrap_or(command)],
    };
    let named = |name: &&str| schemas.get_key_value(format!("effects.{name}.v1").as_str());
    let own: Vec<&str> = own.iter().filter_map(named).map(|(name, _)| *name).collect();
    let error = if own.is_empty() { None } else { Some("effects.error.v1") };
    own.into_iter().chain(error).collect()
}

/// The environment variables that the command reads.
const VARIABLES: [(&str, &str); 20] = [
    ("EFFECTS_API_KEY", "the API key, where no option gives one"),
    ("VTRIX_API_KEY", "the API key, where EFFECTS_API_KEY is not set either"),
    ("EFFECTS_API_KEY_COMMAND", "a program that prints the API key, where neither is set"),
    ("EFFECTS_PROFILE", "the profile, where --profile is left out"),
    ("EFFECTS_CONFIG_DIR", "the folder of profiles.toml"),
    ("XDG_CONFIG_HOME", "where that folder is, as `effects`, unless EFFECTS_CONFIG_DIR says"),
    ("EFFECTS_BASE_URL", "the gateway, where --base-url is left out"),
    ("EFFECTS_CA_BUNDLE", "the certificates to trust, where --ca-bundle is left out"),
    ("EFFECTS_CLIENT_CERT", "the certificate to show, where --client-cert is left out"),
    ("EFFECTS_CLIENT_KEY", "its private key, where that is in another file"),
    ("EFFECTS_CASSETTE", "the file to record to or to replay, where --cassette is left out"),
    ("EFFECTS_STATE_DIR", "the folder of the usual journal and of what is learnt of durations"),
    ("XDG_STATE_HOME", "where that folder is, as `effects`, unless EFFECTS_STATE_DIR says"),
    (
        "https_proxy, http_proxy, all_proxy, no_proxy",
        "the proxy, by curl's rules; never to this machine",
    ),
    ("SSL_CERT_FILE", "a PEM file of certificates to trust"),
    (
        "EFFECTS_WEBHOOK_SECRET",
        "the secret that posts of --post-to are signed with: whsec_BASE64, or text",
    ),
    ("PGPASSWORD", "the password of a journal's database"),
    ("RUST_LOG", "what -v logs"),
    ("NO_COLOR", "no colours in help and errors"),
    ("PATH", "where programs of --uploads are looked for"),
];
