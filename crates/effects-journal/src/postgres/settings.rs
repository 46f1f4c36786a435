//! [`DatabaseSettings`]: how to reach a Postgres server: hosts, login, timeouts and TLS, read from a
//! `postgres://` URL and, where that leaves something open, from `PGHOST` and its like and the password
//! file, as libpq does. TLS is stricter than libpq's: it verifies the server's certificate, and only a
//! server on this machine goes without by default. `PostgresBuilder` reads them once; `Writer` keeps
//! them, and `PreparedConnection` connects with them.

use std::ffi::OsString;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use effects_core::journal::JournalError;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

use crate::database_url::{decoded, without_password};
use crate::postgres::tls::Tls;

/// Where a database is, and how to speak to it.
#[derive(Clone)]
pub(crate) struct DatabaseSettings {
    pub(crate) config: Config,
    pub(crate) tls: Tls,
    /// The URL without its password.
    pub(crate) shown: String,
    /// Why a password file was not read.
    pub(crate) passed_over: Option<String>,
}

/// Looks a variable of the environment up.
pub(crate) type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;

impl DatabaseSettings {
    /// Reads a URL, and the environment where the URL is silent.
    ///
    /// TLS is stricter than libpq's: where it is used, the server's certificate and name are always
    /// verified. Without `sslmode` it is used for every server that is not on this machine.
    pub(crate) fn read(url: &str, environment: Environment<'_>) -> Result<Self, JournalError> {
        let shown = without_password(url);
        let refuse = |why: String| JournalError::Unreadable(format!("{shown}: {why}"));
        let var = |name: &str| {
            let value = environment(name).filter(|value| !value.is_empty());
            value.map(|value| value.to_string_lossy().into_owned())
        };
        // The driver refuses a URL with parameters of libpq's that it does not know.
        let (plain, ours) = split(url);
        let ours = |name: &str, variable: &str| {
            let named = ours.iter().find(|(known, _)| known == name);
            named.map(|(_, value)| value.clone()).or_else(|| var(variable))
        };
        let number = |name: &str, text: String| {
            text.parse::<u16>().map_err(|_| refuse(format!("{name}={text} is not a whole number")))
        };
        let port = var("PGPORT").map(|port| number("PGPORT", port)).transpose()?;
        // The driver reads port 5432 for a host without one, which then cannot be told from a port
        // that was given.
        let plain = port.map_or(plain.clone(), |port| with_port(&plain, port));
        let parsed = plain.parse::<Config>();
        let mut config = parsed.map_err(|error| refuse(words(&error)))?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            for host in var("PGHOST").unwrap_or_else(usual_host).split(',') {
                config.host(host);
            }
        }
        if config.get_hosts().is_empty() {
            // By its address a server is verified, and looked up in a password file, as by its name.
            for address in config.get_hostaddrs().to_vec() {
                config.host(address.to_string());
            }
        }
        if let Some(port) = port.filter(|_| config.get_ports().is_empty()) {
            config.port(port);
        }
        if let Some(user) = var("PGUSER").filter(|_| config.get_user().is_none()) {
            config.user(&user);
        }
        if let Some(name) = var("PGDATABASE").filter(|_| config.get_dbname().is_none()) {
            config.dbname(&name);
        }
        if let Some(options) = var("PGOPTIONS").filter(|_| config.get_options().is_none()) {
            config.options(&options);
        }
        if config.get_application_name().is_none() {
            config.application_name(var("PGAPPNAME").unwrap_or_else(|| "effects".to_owned()));
        }
        if config.get_connect_timeout().is_none() {
            let seconds = var("PGCONNECT_TIMEOUT").map(|text| number("PGCONNECT_TIMEOUT", text));
            let seconds = seconds.transpose()?.map_or(CONNECT, |it| Duration::from_secs(it.into()));
            config.connect_timeout(seconds);
        }
        // A server that is gone without a word is found gone within half a minute.
        config.keepalives_idle(Duration::from_secs(10));
        config.keepalives_interval(Duration::from_secs(5)).keepalives_retries(3);
        config.tcp_user_timeout(Duration::from_secs(25));

        let mut passed_over = None;
        if config.get_password().is_none() {
            if let Some(password) = var("PGPASSWORD") {
                config.password(password);
            } else {
                let file = ours("passfile", "PGPASSFILE").map(PathBuf::from).or_else(|| {
                    environment("HOME").map(|home| PathBuf::from(home).join(".pgpass"))
                });
                match file.map(|file| password_in(&file, &config, &var)) {
                    Some(Ok(Some(password))) => drop(config.password(password)),
                    Some(Err(why)) => passed_over = Some(why),
                    Some(Ok(None)) | None => {}
                }
            }
        }

        let mode = ours("sslmode", "PGSSLMODE");
        // Where there is an address, the driver connects to that and resolves no name.
        let is_here = config.get_hosts().iter().all(is_here)
            && config.get_hostaddrs().iter().all(|address| address.to_canonical().is_loopback());
        let secure = match mode.as_deref() {
            Some("disable") => false,
            Some("require" | "verify-ca" | "verify-full") => true,
            // With libpq these two may come to plain text; here they are the same as no mode.
            None | Some("allow" | "prefer") => !is_here,
            Some(other) => {
                return Err(refuse(format!(
                    "sslmode={other} is none: disable, require, verify-ca or verify-full"
                )));
            }
        };
        config.ssl_mode(if secure { SslMode::Require } else { SslMode::Disable });
        let root = ours("sslrootcert", "PGSSLROOTCERT");
        let tls = Tls::new(secure, root.as_deref()).map_err(refuse)?;
        Ok(Self { config, tls, shown, passed_over })
    }
}

/// The URL without the parameters that are read here, and those.
fn split(url: &str) -> (String, Vec<(String, String)>) {
    let Some((location, query)) = url.split_once('?') else { return (url.to_owned(), Vec::new()) };
    let mut ours = Vec::new();
    let kept = query.split('&').filter(|part| {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let name = decoded(name);
        let is_ours = matches!(name.as_str(), "sslmode" | "sslrootcert" | "passfile");
        if is_ours {
            ours.push((name, decoded(value)));
        }
        !is_ours && !part.is_empty()
    });
    let kept = kept.collect::<Vec<_>>().join("&");
    (if kept.is_empty() { location.to_owned() } else { format!("{location}?{kept}") }, ours)
}

/// The URL with a port for each of its hosts that has none.
fn with_port(url: &str, port: u16) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (location, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let (login, hosts) = location.rfind('@').map_or(("", location), |at| location.split_at(at + 1));
    let with_port = |host: &str| {
        let has_port = host.rsplit(']').next().is_some_and(|after| after.contains(':'));
        if has_port || host.is_empty() { host.to_owned() } else { format!("{host}:{port}") }
    };
    let hosts = hosts.split(',').map(with_port).collect::<Vec<_>>().join(",");
    format!("{scheme}://{login}{hosts}{rest}")
}

/// Where libpq looks for a server that no one has named.
fn usual_host() -> String {
    let sockets = ["/var/run/postgresql", "/tmp"];
    let there = |folder: &&str| Path::new(folder).join(".s.PGSQL.5432").exists();
    let found = if cfg!(unix) { sockets.iter().find(|folder| there(folder)) } else { None };
    (*found.unwrap_or(&"localhost")).to_owned()
}

/// Whether a host is this machine.
fn is_here(host: &Host) -> bool {
    match host {
        // Parsed, since `127.example.com` is a name.
        Host::Tcp(name) => {
            name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
        }
        #[cfg(unix)]
        Host::Unix(_) => true,
    }
}

/// The password that a file has for these settings. Like libpq, a file that others may read is passed
/// over; why, so that it can be told where no password is the end of it.
fn password_in(
    file: &Path,
    config: &Config,
    var: &dyn Fn(&str) -> Option<String>,
) -> Result<Option<String>, String> {
    let Ok(found) = fs::metadata(file) else { return Ok(None) };
    #[cfg(unix)]
    if std::os::unix::fs::PermissionsExt::mode(&found.permissions()) & 0o077 != 0 {
        return Err(format!(
            "{} was passed over, since others may read it: chmod 0600 it",
            file.display()
        ));
    }
    if !found.is_file() {
        return Ok(None);
    }
    let text = fs::read_to_string(file)
        .map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(name)) => name.clone(),
        #[cfg(unix)]
        // libpq looks sockets up in the file under this name.
        Some(Host::Unix(_)) => "localhost".to_owned(),
        None => String::new(),
    };
    let port = config.get_ports().first().map_or("5432".to_owned(), u16::to_string);
    let user = config.get_user().map(str::to_owned).or_else(|| var("USER")).unwrap_or_default();
    let database = config.get_dbname().unwrap_or(&user).to_owned();
    let wanted = [host, port, database, user];
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    Ok(lines.map(fields).find_map(|fields| {
        let (password, location) = fields.split_last()?;
        let fits = location.len() == wanted.len()
            && location.iter().zip(&wanted).all(|(is, wanted)| is == "*" || is == wanted);
        fits.then(|| password.clone())
    }))
}

/// The fields of a line, which `:` parts; `\` takes the next letter as it is. The last is the rest.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        let count = fields.len();
        let Some(last) = fields.last_mut() else { break };
        match letter {
            '\\' => last.extend(letters.next()),
            ':' if count < 5 => fields.push(String::new()),
            _ => last.push(letter),
        }
    }
    fields
}

/// An error with its causes.
pub(crate) fn words(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words.push_str(": ");
        words.push_str(&error.to_string());
        cause = error.source();
    }
    words
}

/// How long a server is waited for that answers nothing.
const CONNECT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str, environment: &[(&str, &str)]) -> Result<DatabaseSettings, JournalError> {
        DatabaseSettings::read(url, &|name| {
            let found = environment.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| value.into())
        })
    }

    #[test]
    fn a_url_wins_over_the_environment_which_fills_in_what_it_leaves_open() {
        let environment = [("PGUSER", "env"), ("PGPASSWORD", "s3cret"), ("PGPORT", "6543")];
        let found = read("postgres://me@localhost/x", &environment).unwrap().config;
        assert_eq!((found.get_user(), found.get_dbname()), (Some("me"), Some("x")));
        assert_eq!(found.get_password(), Some(&b"s3cret"[..]));
        assert_eq!(found.get_ports(), [6543]);
        let found = read("postgres://localhost:7000", &environment).unwrap().config;
        assert_eq!((found.get_user(), found.get_ports()), (Some("env"), &[7000][..]));
        let found = read("postgres:///x", &[("PGHOST", "/run/pg")]).unwrap().config;
        assert_eq!(found.get_hosts(), [Host::Unix("/run/pg".into())]);
    }

    #[test]
    fn a_server_elsewhere_is_spoken_to_in_tls_unless_that_is_said_otherwise() {
        let secure = |url: &str| {
            let mode = read(url, &[]).unwrap().config.get_ssl_mode();
            mode == SslMode::Require
        };
        assert!(secure("postgres://db.example/x"));
        assert!(!secure("postgres://db.example/x?sslmode=disable"));
        assert!(!secure("postgres://127.0.0.1/x") && !secure("postgres:///x?host=/run/pg"));
        assert!(secure("postgres://127.0.0.1/x?sslmode=verify-full"));
        assert!(read("postgres://db/x", &[("PGSSLMODE", "disable")]).is_ok());
        for elsewhere in [
            "postgres:///x?hostaddr=192.0.2.7",
            "postgres://localhost/x?hostaddr=192.0.2.7",
            "postgres:///x?host=/run/pg&hostaddr=192.0.2.7",
            "postgres://localhost,localhost/x?hostaddr=127.0.0.1,192.0.2.7",
            "postgres://db.example/x?hostaddr=127.0.0.1",
            "postgres://127.example.com/x",
            "postgres://127.0.0.1.example.com/x",
        ] {
            assert!(secure(elsewhere), "{elsewhere}");
        }
        assert!(!secure("postgres:///x?hostaddr=127.0.0.1") && !secure("postgres://[::1]/x"));
        assert!(!secure("postgres://db.example/x?ssl%6Dode=disable"));
        // The driver verifies no server without a name.
        let found = read("postgres:///x?hostaddr=192.0.2.7", &[]).unwrap().config;
        assert_eq!(found.get_hosts(), [Host::Tcp("192.0.2.7".into())]);
        let refused = read("postgres://me:s3cret@db/x?sslmode=maybe", &[]).err().unwrap();
        assert!(refused.to_string().contains("sslmode=maybe"), "{refused}");
        assert!(!refused.to_string().contains("s3cret"));
        let refused = read("postgres://me:s3cret@db/x?sslrootcert=/nowhere", &[]).err().unwrap();
        assert!(refused.to_string().contains("/nowhere"), "{refused}");
    }

    #[test]
    #[cfg(unix)]
    fn a_password_file_is_read_as_libpq_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pgpass");
        let lines =
            "# mine\nelsewhere:*:*:me:no\nlocalhost:5432:x:me:a\\:b\\\\c:d\n*:*:*:*:other\n";
        fs::write(&file, lines).unwrap();
        let mode = |mode| {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
            fs::set_permissions(&file, mode).unwrap();
        };
        let password = |url: &str| {
            let found = read(url, &[("PGPASSFILE", file.to_str().unwrap())]).unwrap();
            let password = found.config.get_password().map(|it| String::from_utf8(it.to_vec()));
            (password.map(Result::unwrap), found.passed_over.is_some())
        };
        mode(0o600);
        assert_eq!(password("postgres://me@localhost/x").0.as_deref(), Some("a:b\\c:d"));
        assert_eq!(password("postgres://me@/x?host=/run").0.as_deref(), Some("a:b\\c:d"));
        assert_eq!(password("postgres://you@localhost/x").0.as_deref(), Some("other"));
        assert_eq!(password("postgres://me:own@localhost/x").0.as_deref(), Some("own"));
        mode(0o640);
        assert_eq!(password("postgres://me@localhost/x"), (None, true));
    }
}
