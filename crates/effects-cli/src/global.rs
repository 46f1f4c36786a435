//! [`GlobalOptions`]: the options that may stand with every command, such as `--json`, `--base-url` and
//! `--poll`. `Cli` parses them, and `profile::apply` fills in what they leave open from the profile in use
//! ([`ActiveProfile`]). Most commands get them, and make `Output`, `GatewayLocation`, `Gateway` and
//! `KnownKey` from them.

use std::path::PathBuf;

use clap::Args;
use effects_client::{Profile, cassette_of_the_environment};
use effects_core::BaseUrl;
use effects_jobs::Uploads;

use crate::values::{Poll, header, with_words};

/// The profile in use.
#[derive(Clone, Debug)]
pub(crate) struct ActiveProfile {
    /// Without the proxy and certificates for which the environment comes first.
    pub(crate) profile: Profile,
    /// Whether its key is the one to use.
    pub(crate) has_key: bool,
}

/// What every command takes.
#[derive(Args, Clone)]
#[command(next_help_heading = "Global options")]
pub(crate) struct GlobalOptions {
    /// The API key; other users of this machine may see it there
    ///
    /// Better in a file (--api-key-file) or in the environment: EFFECTS_API_KEY, else
    /// VTRIX_API_KEY.
    #[arg(long, global = true, value_name = "KEY")]
    pub(crate) api_key: Option<String>,

    /// A file that holds the API key and nothing else
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) api_key_file: Option<PathBuf>,

    /// A program that prints the API key; else EFFECTS_API_KEY_COMMAND
    ///
    /// Its arguments are parted by spaces, and no shell reads it. It is asked again once when the gateway
    /// refuses the key.
    #[arg(long, global = true, value_name = "PROGRAM")]
    pub(crate) api_key_command: Option<String>,

    /// Settings under this name; else EFFECTS_PROFILE, else the profile `default` if there is one
    ///
    /// Profiles are tables of profiles.toml in EFFECTS_CONFIG_DIR, else $XDG_CONFIG_HOME/effects, else
    /// ~/.config/effects: base_url, allow_http, api_key_file, api_key_command, api_key, uploads, proxy,
    /// ca_bundle, client_cert, client_key, journal. `effects login` stores a key for one.
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) profile: Option<String>,

    #[arg(
        long,
        global = true,
        value_name = "URL",
        help = format!("The gateway; else EFFECTS_BASE_URL, else {}", BaseUrl::DEFAULT)
    )]
    pub(crate) base_url: Option<String>,

    /// A PEM file of certificates to trust instead of the system's; else EFFECTS_CA_BUNDLE
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) ca_bundle: Option<PathBuf>,

    /// A PEM file with the certificate to show to a gateway that asks for one; else EFFECTS_CLIENT_CERT
    ///
    /// Its chain stands behind it, and its private key too, unless --client-key names that.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) client_cert: Option<PathBuf>,

    /// The PEM file of the certificate's private key; else EFFECTS_CLIENT_KEY
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) client_key: Option<PathBuf>,

    /// Record all exchanges in this file where it is not there, else replay it; else EFFECTS_CASSETTE
    ///
    /// A recording holds no key; pictures are files beside it. A replay sends nothing, needs no key, waits
    /// for nothing, and is in no journal but one of --journal. A request that the recording has not is an
    /// error that shows the difference.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) cassette: Option<PathBuf>,

    /// Let the base URL be http on another machine: the key travels in the clear
    #[arg(long, global = true)]
    pub(crate) allow_http: bool,

    /// Use a gateway inside this command, in place of the key and base URL that are set
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
    #[arg(long, global = true, value_name = "NAME", hide_possible_values = true,
          value_parser = with_words(UPLOADS, str::parse::<Uploads>))]
    pub(crate) uploads: Option<Uploads>,

    /// When to look at a running task: auto, or every so many seconds
    ///
    /// auto looks when tasks of the template usually end, as learnt from earlier ones, and about
    /// every 3 s until there were some; with --emulator it is every 0.1 s.
    #[arg(long, global = true, value_name = "auto|SECONDS", default_value = "auto", hide_possible_values = true,
          value_parser = with_words(["auto"], str::parse::<Poll>))]
    pub(crate) poll: Poll,

    /// A header on each request to the gateway, 'NAME: VALUE'; may be given several times
    ///
    /// For a proxy in between, say, or a User-Agent. Headers that the command sets itself cannot be given,
    /// such as Authorization. Other users of this machine may see its value.
    #[arg(long = "header", global = true, value_name = "NAME: VALUE", value_parser = header)]
    pub(crate) headers: Vec<(String, String)>,

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

    /// The profile in use, once it is read, and whether its key is.
    #[arg(skip)]
    pub(crate) active_profile: Option<ActiveProfile>,
}

impl GlobalOptions {
    /// The cassette of the command line or of the environment.
    pub(crate) fn cassette(&self) -> Option<PathBuf> {
        self.cassette.clone().or_else(cassette_of_the_environment)
    }
}

/// How values of `--uploads` begin.
const UPLOADS: [&str; 4] = ["gateway", "data-url", "command=", "presigned-put="];
