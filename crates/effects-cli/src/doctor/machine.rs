//! The checks of `effects doctor` that do not ask the gateway: [`proxy`], [`certificates`],
//! [`client_certificate`], [`state`] (the state folder), [`journal()`] and [`uploads`].
//! `commands/doctor.rs` calls each and prints its [`Check`].

use std::env;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use effects_client::{
    AtomicFile, CA_BUNDLE_VARIABLE, CLIENT_CERT_VARIABLE, CLIENT_KEY_VARIABLE, ClientCert,
    EnvironmentProxies, Profile, UnreadableProxy, state_dir,
};
use effects_core::{BaseUrl, ErrorKind};
use effects_jobs::{Filter, Uploads, Which};

use super::Check;
use crate::gateway_location::GatewayLocation;
use crate::global::GlobalOptions;
use crate::journal::{self, JournalChoice};
use crate::rerun_line::{journal_line, rows_line};

/// By which proxy requests to the gateway go: the profile's, else the environment's.
pub(crate) fn proxy(base: &BaseUrl, global: &GlobalOptions) -> Check {
    let name = "proxy";
    let profile = global.active_profile.as_ref().map(|settings| &settings.profile);
    // A profile's proxy counts even where it is empty, which means none, and the environment is not asked.
    if let Some((profile, proxy)) = profile.and_then(|it| Some((it, it.proxy.as_deref()?))) {
        let name_of_profile = &profile.name;
        return match without_user(proxy) {
            "" => Check::ok(name, format!("none, says profile {name_of_profile}")),
            shown => Check::ok(name, format!("{shown}, from profile {name_of_profile}")),
        };
    }
    match EnvironmentProxies::from_env().shown_for(base) {
        Ok(None) => Check::ok(name, "none for this gateway"),
        // The HTTP stack goes through HTTP proxies alone, and with this one nothing would leave.
        Ok(Some(proxy)) if proxy.starts_with("socks") => Check::fail(
            name,
            ErrorKind::Misconfigured,
            format!("{proxy}, from the environment, speaks SOCKS"),
            "name a proxy that speaks HTTP in https_proxy, or the gateway's host in no_proxy",
        ),
        Ok(Some(proxy)) => Check::ok(name, format!("{proxy}, from the environment")),
        Err(UnreadableProxy) => Check::warn(
            name,
            "the environment's proxy is no URL, and is passed over",
            "set https_proxy to http://HOST:PORT, or unset it",
        ),
    }
}

/// A proxy's URL without the user and password in it.
fn without_user(proxy: &str) -> &str {
    // From the right: a password may have an `@`, and a host has none.
    proxy.rsplit_once('@').map_or(proxy, |(_, host)| host)
}

/// Whose certificates are trusted. Whether the gateway's is, its answer shows.
pub(crate) fn certificates(base: &BaseUrl, global: &GlobalOptions) -> Check {
    let name = "certificates";
    let bundle = SetFile::of(global, |it| &it.ca_bundle, "--ca-bundle", |it| &it.ca_bundle);
    let bundle = bundle.or_else(|| SetFile::of_variable(CA_BUNDLE_VARIABLE));
    if bundle.is_none() && is_http(base) {
        return Check::ok(name, "not needed: the gateway is http");
    }
    // A bundle is trusted instead of the system's certificates; `SSL_CERT_FILE` says which those are.
    let Some(file) = bundle.or_else(|| SetFile::of_variable("SSL_CERT_FILE")) else {
        return Check::ok(name, "those that this system trusts");
    };
    let problem = match fs::read(&file.path) {
        Ok(text) if contains(&text, b"-----BEGIN CERTIFICATE-----") => {
            return Check::ok(name, format!("those of {file}{}", not_used(base)));
        }
        Ok(_) => "holds no certificate in PEM form".to_owned(),
        Err(error) => format!("cannot be read: {error}"),
    };
    let way_out = "name a PEM file that you may read, or leave it out";
    Check::fail(name, ErrorKind::Misconfigured, format!("{file} {problem}"), way_out)
}

/// Which certificate is shown to a gateway that asks for one.
pub(crate) fn client_certificate(base: &BaseUrl, global: &GlobalOptions) -> Check {
    let name = "client cert";
    let cert = SetFile::of(global, |it| &it.client_cert, "--client-cert", |it| &it.client_cert);
    let from_option = global.client_cert.is_some();
    let from_environment = cert.is_none();
    let key = SetFile::of(global, |it| &it.client_key, "--client-key", |it| &it.client_key)
        // The profile's key belongs to the profile's certificate, and fits no other.
        .filter(|_| !from_option || global.client_key.is_some());
    let Some(cert) = cert.or_else(|| SetFile::of_variable(CLIENT_CERT_VARIABLE)) else {
        return match key {
            None => Check::ok(name, "none is shown"),
            Some(key) => {
                let message = format!("{key} is the key of no certificate");
                Check::fail(name, ErrorKind::Misconfigured, message, "name the certificate, too")
            }
        };
    };
    // The environment's key belongs to the environment's certificate, and fits no other.
    let key =
        key.or_else(|| SetFile::of_variable(CLIENT_KEY_VARIABLE).filter(|_| from_environment));
    match ClientCert::read(&cert.path, key.as_ref().map(|key| &*key.path)) {
        Ok(_) => {
            let key = key.map(|key| format!(", with the key of {key}")).unwrap_or_default();
            Check::ok(name, format!("that of {cert}{key}{}", not_used(base)))
        }
        Err(error) => Check::failed(name, &error.into()),
    }
}

fn is_http(base: &BaseUrl) -> bool {
    base.to_string().starts_with("http://")
}

fn not_used(base: &BaseUrl) -> &'static str {
    if is_http(base) { "; not needed: the gateway is http" } else { "" }
}

/// A file that a setting names, shown as `FILE, from WHERE`.
struct SetFile {
    path: PathBuf,
    source: String,
}

impl SetFile {
    /// That of an option, else of the profile in use.
    fn of(
        global: &GlobalOptions,
        option: impl Fn(&GlobalOptions) -> &Option<PathBuf>,
        name: &str,
        setting: impl Fn(&Profile) -> &Option<PathBuf>,
    ) -> Option<Self> {
        if let Some(path) = option(global) {
            return Some(Self { path: path.clone(), source: name.to_owned() });
        }
        let profile = &global.active_profile.as_ref()?.profile;
        let path = setting(profile).clone()?;
        Some(Self { path, source: format!("profile {}", profile.name) })
    }

    fn of_variable(name: &str) -> Option<Self> {
        let path = env::var_os(name).filter(|path| !path.is_empty())?;
        Some(Self { path: path.into(), source: name.to_owned() })
    }
}

impl fmt::Display for SetFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, from {}", self.path.display(), self.source)
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// The folder of what is kept between commands.
pub(crate) fn state() -> Check {
    let name = "state folder";
    let way_out = "set EFFECTS_STATE_DIR to a folder that you may write to";
    let Some(folder) = state_dir() else {
        return Check::fail(name, ErrorKind::Misconfigured, "there is no home folder", way_out);
    };
    // The folder itself, or where it will be made.
    let there = folder.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    // A file is begun and dropped, since access rights alone do not show a read-only file system.
    match AtomicFile::begin(&there.join(PROBE)) {
        Ok(_) if there == folder => Check::ok(name, folder.display().to_string()),
        Ok(_) => Check::ok(name, format!("{}, not made yet", folder.display())),
        Err(error) => {
            let message = format!("{} cannot be written: {error}", folder.display());
            Check::fail(name, ErrorKind::Misconfigured, message, way_out)
        }
    }
}

/// The journal, and what in it is unfinished.
pub(crate) fn journal(choice: &JournalChoice) -> Check {
    let name = "journal";
    // It is read and never made: a doctor changes nothing.
    let seen = choice.find().and_then(|(location, store)| {
        let Some(store) = store else { return Ok((location, None)) };
        let mut counts = [0_usize; 2];
        for (which, count) in [Which::Unfinished, Which::Doubtful].into_iter().zip(&mut counts) {
            let filter = Filter { which, ..Filter::default() };
            journal::each(&*store, filter, |_| {
                *count += 1;
                Ok(true)
            })?;
        }
        Ok((location, Some(counts)))
    });
    let shown = |location: PathBuf| location.display().to_string();
    match seen {
        Err(failure) => Check::failed(name, &failure),
        Ok((location, None)) => Check::ok(name, format!("{}, not made yet", shown(location))),
        Ok((location, Some([0, _]))) => Check::ok(name, shown(location)),
        Ok((location, Some([unfinished, 0]))) => Check::warn(
            name,
            format!("{}; unfinished: {unfinished}", shown(location)),
            format!("`{}` waits for them and fetches their pictures", rows_line("effects resume")),
        ),
        Ok((location, Some([unfinished, doubtful]))) => Check::warn(
            name,
            format!("{}; unfinished: {unfinished}, of them doubtful: {doubtful}", shown(location)),
            format!(
                "`{}` names those that may be paid for; `{}` takes the others",
                journal_line("effects tasks --doubtful"),
                rows_line("effects resume")
            ),
        ),
    }
}

/// How photos of this machine get to where the service can fetch them.
pub(crate) fn uploads(global: &GlobalOptions, location: &GatewayLocation) -> Check {
    let name = "uploads";
    match location.uploads(global.uploads.as_ref()) {
        Ok(Uploads::Gateway(_)) => Check::ok(name, "the gateway's storage endpoint"),
        Ok(Uploads::DataUrl) => Check::ok(name, "within the request, as a data: URL"),
        Ok(Uploads::Command(program) | Uploads::PresignedPut(program)) => {
            // The command is split at spaces, and no shell reads it; the first word is the program.
            let word = program.split_whitespace().next().unwrap_or_default();
            if is_program(word) {
                Check::ok(name, format!("by the program {word}"))
            } else {
                let way_out = "give its path, or put it into a folder of PATH";
                let message = format!("there is no program {word:?}");
                Check::fail(name, ErrorKind::Upload, message, way_out)
            }
        }
        Ok(_) => Check::ok(name, "chosen"),
        Err(_) => Check::warn(
            name,
            "no way is chosen, so photos must be URLs",
            "choose one with --uploads: gateway, data-url, command=PROGRAM, presigned-put=PROGRAM",
        ),
    }
}

/// Whether a word names a program, as the system looks for one.
fn is_program(word: &str) -> bool {
    // The system looks through PATH for plain names alone.
    if word.contains(std::path::MAIN_SEPARATOR) {
        return Path::new(word).is_file();
    }
    let folders = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&folders)
        .any(|folder| folder.join(format!("{word}{}", env::consts::EXE_SUFFIX)).is_file())
}

/// Never kept: it only shows whether a folder can be written.
const PROBE: &str = "effects-doctor";
