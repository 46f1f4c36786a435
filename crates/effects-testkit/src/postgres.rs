//! Postgres for tests: [`TestServer`] starts a server of its own for one test, [`TestDatabase`] makes an
//! empty database in a server that all tests of this user share; both run the server programs of this
//! machine and clean up when dropped. The tests of the journal use both, its benchmarks and the tests of
//! several hosts (`tests/tests/hosts`) a `TestServer`, and the tests of the command a `TestDatabase`.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::net::TcpListener;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// A Postgres server of a test's own: to be stopped, started again, and spoken to as its owner. It is
/// stopped and its folder removed when this is dropped.
///
/// ```no_run
/// use effects_testkit::postgres::TestServer;
///
/// match TestServer::start(&[]) {
///     Ok(server) => println!("{}", server.url("postgres")),
///     Err(why) => println!("skipped: {why}"),
/// }
/// ```
#[derive(Debug)]
pub struct TestServer {
    cluster: Cluster,
}

impl TestServer {
    /// Makes a server and starts it, on a free port of the loopback interface and a socket. `settings`
    /// are those of `postgresql.conf`, such as `fsync=on`: without that, a commit does not wait for the
    /// disk.
    ///
    /// # Errors
    ///
    /// Why there is none, in one line: where this machine has no server programs, say.
    pub fn start(settings: &[&str]) -> Result<Self, String> {
        Self::start_in(&std::env::temp_dir(), settings)
    }

    /// Makes and starts one as [`start`](Self::start) does, with its data in a new folder of this one: on
    /// a disk of the test's own, say.
    ///
    /// # Errors
    ///
    /// Those of [`start`](Self::start).
    pub fn start_in(parent: &Path, settings: &[&str]) -> Result<Self, String> {
        let cluster = Cluster::at(parent.join(format!("effects-pg-{}", unique_suffix())))?;
        cluster.init_database()?;
        // The system names a free port. Another program may take
        // it before the server does, which then does not start.
        let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
        let port = listener.local_addr().map_err(|error| error.to_string())?.port();
        drop(listener);
        let server = Self { cluster: Cluster { port, ..cluster } };
        server.cluster.configure(settings)?;
        server.cluster.start()?;
        Ok(server)
    }

    /// The URL of a database, by the loopback interface.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.cluster.port)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.cluster.port
    }

    /// Its folder of data, where its settings and certificates are.
    pub fn folder(&self) -> &Path {
        &self.cluster.folder
    }

    /// Gives a file of the folder to the server's user, with these permissions.
    ///
    /// # Errors
    ///
    /// The system's, in one line.
    pub fn give(&self, file: &Path, mode: u32) -> Result<(), String> {
        let given = fs::set_permissions(file, fs::Permissions::from_mode(mode)).and_then(|()| {
            self.cluster.user.map_or(Ok(()), |(user, group)| chown(file, Some(user), Some(group)))
        });
        given.map_err(|error| format!("{}: {error}", file.display()))
    }

    /// Runs statements as the owner; what they answer.
    ///
    /// # Errors
    ///
    /// What the server refused.
    pub fn sql(&self, database: &str, sql: &str) -> Result<String, String> {
        self.cluster.sql(database, sql)
    }

    /// Stops it at once, as a crash does: what runs is cut off, and the next start recovers.
    ///
    /// # Errors
    ///
    /// Why it did not stop.
    pub fn stop(&self) -> Result<(), String> {
        self.cluster.stop()
    }

    /// Starts it again after [`stop`](Self::stop), at the same port.
    ///
    /// # Errors
    ///
    /// Why it did not start.
    pub fn start_again(&self) -> Result<(), String> {
        self.cluster.start()
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        // One that is stopped already needs no stopping; what stays is in a temporary folder.
        let _ = self.cluster.stop();
        let _ = fs::remove_dir_all(&self.cluster.folder);
    }
}

/// An empty database in a server that all tests of this user share, gone when this is dropped. The
/// first test starts the server, and it ends by itself a moment after the last.
#[derive(Debug)]
pub struct TestDatabase {
    cluster: Cluster,
    name: String,
    /// Locked, and shared, for as long as the server is used.
    _in_use: File,
}

impl TestDatabase {
    /// Makes one.
    ///
    /// # Errors
    ///
    /// Why there is none, in one line: where this machine has no server programs, say.
    pub fn create() -> Result<Self, String> {
        let temporary = std::env::temp_dir();
        // The owner of `/proc/self` is this process's user, for which `std` has no call.
        let me = fs::metadata("/proc/self").map_err(|error| error.to_string())?.uid();
        let cluster = Cluster::at(temporary.join(format!("effects-pg-shared-{me}")))?;
        let lock = |name: &str| -> io::Result<File> {
            let file = temporary.join(format!("effects-pg-{me}.{name}"));
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false).mode(0o600).open(file)
        };
        let in_use = lock("users").map_err(|error| error.to_string())?;
        // Before the server is looked for: as long as one process has this lock, it is not stopped. The
        // system lets go of the lock where a test is killed.
        in_use.lock_shared().map_err(|error| error.to_string())?;
        let starting = lock("starting").map_err(|error| error.to_string())?;
        // One process starts it; the others wait here until it answers.
        starting.lock().map_err(|error| error.to_string())?;
        // Asked, since a folder alone may be of a server that is gone.
        if cluster.sql("postgres", "SELECT 1").is_err() {
            // One that was left behind when the machine was stopped is made anew.
            let _ = fs::remove_dir_all(&cluster.folder);
            cluster.init_database()?;
            cluster.configure(&["listen_addresses=''", "max_connections=300"])?;
            cluster.start()?;
            cluster.stop_when_unused(&temporary.join(format!("effects-pg-{me}.users")))?;
        }
        // The server answers, so the next process may look for it.
        drop(starting);
        let name = format!("test_{}", unique_suffix());
        cluster.sql("postgres", &format!("CREATE DATABASE {name}"))?;
        Ok(Self { cluster, name, _in_use: in_use })
    }

    /// Its URL, by the server's socket.
    pub fn url(&self) -> String {
        let folder = self.cluster.folder.display();
        format!("postgres://postgres@/{}?host={folder}", self.name)
    }

    /// Runs statements in it as its owner; what they answer.
    ///
    /// # Errors
    ///
    /// What the server refused.
    pub fn sql(&self, sql: &str) -> Result<String, String> {
        self.cluster.sql(&self.name, sql)
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        // The server and all that is in it go a moment later in any case.
        let drop = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        let _ = self.cluster.sql("postgres", &drop);
    }
}

/// A folder of a server's data, and the programs to run it.
#[derive(Clone, Debug)]
struct Cluster {
    folder: PathBuf,
    programs: PathBuf,
    /// Whom to run it as, where this process is root: a server refuses to be.
    user: Option<(u32, u32)>,
    port: u16,
}

impl Cluster {
    fn at(folder: PathBuf) -> Result<Self, String> {
        let programs = programs().ok_or(
            "there are no server programs of PostgreSQL (initdb) here: apt-get install postgresql",
        )?;
        let me = fs::metadata("/proc/self").map_err(|error| error.to_string())?.uid();
        let user = if me == 0 { Some(ordinary_user().ok_or(NO_USER)?) } else { None };
        Ok(Self { folder, programs, user, port: 5432 })
    }

    /// Makes the data of a new server.
    fn init_database(&self) -> Result<(), String> {
        // A server refuses a folder that other users may read.
        let made = fs::DirBuilder::new().mode(0o700).create(&self.folder).and_then(|()| {
            self.user.map_or(Ok(()), |(user, group)| chown(&self.folder, Some(user), Some(group)))
        });
        made.map_err(|error| format!("{}: {error}", self.folder.display()))?;
        let mut command = self.command("initdb");
        // Nothing of a test's server has to survive the machine, so `initdb` does not wait for the disk.
        command.args(["--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8"]);
        command.args(["--locale=C", "--pgdata"]).arg(&self.folder);
        run(command).map(drop)
    }

    fn configure(&self, settings: &[&str]) -> Result<(), String> {
        let file = self.folder.join("postgresql.conf");
        let folder = self.folder.display();
        let mut text = fs::read_to_string(&file).map_err(|error| error.to_string())?;
        // Of several lines of one setting the last counts, so those of the test come last.
        text.push_str(&format!(
            "port={}\nunix_socket_directories='{folder}'\nlisten_addresses='127.0.0.1'\nfsync=off\n\
             shared_buffers=32MB\n{}\n",
            self.port,
            settings.join("\n")
        ));
        fs::write(&file, text).map_err(|error| error.to_string())
    }

    fn start(&self) -> Result<(), String> {
        let mut command = self.command("pg_ctl");
        command.args(["start", "--wait", "--silent", "--pgdata"]).arg(&self.folder);
        command.arg("--log").arg(self.folder.join("log"));
        run(command).map(drop).map_err(|why| {
            // `pg_ctl` says only that it did not work; the reason is the server's last line.
            let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            format!("{why} {}", log.lines().last().unwrap_or_default())
        })
    }

    fn stop(&self) -> Result<(), String> {
        let mut command = self.command("pg_ctl");
        // `immediate`: no connection is waited for, and nothing is written on the way out.
        command.args(["stop", "--wait", "--silent", "--mode", "immediate", "--pgdata"]);
        run_with(command.arg(&self.folder)).map(drop)
    }

    /// Starts a process that stops the server and removes its folder once no test locks this file.
    fn stop_when_unused(&self, users: &Path) -> Result<(), String> {
        let script = "while sleep 2; do flock --nonblock --exclusive \"$1\" \
            sh -c '\"$0\" stop -m immediate -s -D \"$1\"; rm -rf \"$1\"' \"$2\" \"$3\" && break; done";
        // The loop runs as this process's user, who may remove the folder; `pg_ctl` alone runs as the other
        // user, since it refuses root.
        let stop = self.folder.join("stop");
        let program = self.programs.join("pg_ctl").display().to_string();
        let as_user = match self.user {
            Some((user, group)) => format!(
                "exec setpriv --reuid={user} --regid={group} --clear-groups {program} \"$@\""
            ),
            None => format!("exec {program} \"$@\""),
        };
        let written = fs::write(&stop, format!("#!/bin/sh\n{as_user}\n"))
            .and_then(|()| fs::set_permissions(&stop, fs::Permissions::from_mode(0o755)));
        written.map_err(|error| error.to_string())?;
        let mut command = Command::new("sh");
        command.args(["-c", script, "sh"]).arg(users).arg(&stop).arg(&self.folder);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // A group of its own, so that a Ctrl-C in the terminal
        // of the tests does not end it before the server.
        command.current_dir("/").process_group(0);
        command.spawn().map(drop).map_err(|error| error.to_string())
    }

    fn sql(&self, database: &str, sql: &str) -> Result<String, String> {
        let mut command = self.command("psql");
        // Without the user's psqlrc, and with bare values as the answer.
        command.args(["-XqAt", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", database]);
        command.arg("-h").arg(&self.folder).args(["-p", &self.port.to_string(), "-c", sql]);
        run(command)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        // The server's user may not enter this folder, and its programs would say so on stderr.
        command.current_dir("/").process_group(0);
        // What is said of another server is not meant for this one.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PG") {
                command.env_remove(name);
            }
        }
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
        command
    }
}

fn run(mut command: Command) -> Result<String, String> {
    run_with(&mut command)
}

/// Runs a program whose children may live on. Its output goes to a file: a pipe would have to be read until
/// the server that `pg_ctl start` leaves behind closes it.
fn run_with(command: &mut Command) -> Result<String, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let fails = |error: io::Error| format!("{program}: {error}");
    let output = std::env::temp_dir().join(format!("effects-pg-out-{}", unique_suffix()));
    let file = File::create(&output).map_err(fails)?;
    let errors = file.try_clone().map_err(fails)?;
    let status = command.stdin(Stdio::null()).stdout(file).stderr(errors).status();
    let text = fs::read_to_string(&output);
    // A small file in a temporary folder.
    let _ = fs::remove_file(&output);
    let (status, text) = (status.map_err(fails)?, text.map_err(fails)?.trim().to_owned());
    if status.success() { Ok(text) } else { Err(format!("{program}: {status}: {text}")) }
}

/// Where the newest server's programs are.
fn programs() -> Option<PathBuf> {
    let in_path = std::env::var_os("PATH").unwrap_or_default();
    // Debian keeps the server's programs of each version there and not in PATH.
    let debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut debian: Vec<PathBuf> = debian.map(|entry| entry.path().join("bin")).collect();
    // As text, which is right as long as versions have two digits.
    debian.sort();
    let folders = std::env::split_paths(&in_path).chain(debian.into_iter().rev());
    let has_all = |folder: &PathBuf| {
        ["initdb", "pg_ctl", "postgres", "psql"].iter().all(|it| folder.join(it).exists())
    };
    folders.into_iter().find(has_all)
}

/// The user and group of the system that a server of root's runs as.
fn ordinary_user() -> Option<(u32, u32)> {
    let users = fs::read_to_string("/etc/passwd").ok()?;
    let find = |wanted: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(wanted))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    find("postgres").or_else(|| find("nobody"))
}

/// A name that no other test has.
fn unique_suffix() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{}_{:x}_{next}", process::id(), since.as_nanos())
}

const NO_USER: &str =
    "a server of PostgreSQL refuses to be root's, and there is no other user here";
