//! Runs programs that the caller names, each for a limited time: [`run_uploader`] one that uploads a photo,
//! [`run_presigner`] one that prints the URLs to upload a photo to and to fetch it from,
//! [`run_key_program`] one that prints the API key. The `transfer.rs` of both clients call the first two,
//! `ClientBuilder` and `Profile` the third. No error repeats the API key: those of uploads have `[key]` in
//! its place ([`without_keys`]), those of the third name the program and its status alone. [`KEY_VARIABLES`]
//! names the key's variables, for `ClientBuilder` and the command.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, PipeWriter, Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use effects_core::gateway::Endpoint;
use effects_core::{ApiKey, Error, ErrorKind, Reference};
use effects_jobs::Photo;
use tempfile::TempDir;

use crate::random::random_name;

/// Runs a program that uploads a photo: it gets the path of a file with the photo as its last
/// argument, and prints the URL. It is stopped after this time.
///
/// `program` may hold arguments of its own, parted by spaces; no shell reads it. Errors have `[key]` in place
/// of the key of `endpoint`.
///
/// # Errors
///
/// [`ErrorKind::Upload`] when it cannot be run, fails, or prints no URL, or one that repeats the key.
pub fn run_uploader(
    program: &str,
    photo: &Photo,
    limit: Duration,
    endpoint: &Endpoint,
) -> Result<Reference, Error> {
    let folder = temp_folder().map_err(|error| {
        upload_error(&format!("{} takes no folder: {error}", env::temp_dir().display()))
    })?;
    // Under the photo's own name, since programs go by a file's ending.
    let path = folder.path().join(photo.name());
    fs::write(&path, photo.bytes())
        .map_err(|error| upload_error(&format!("{} cannot be written: {error}", path.display())))?;
    let printed = run_for_upload(program, &[path.as_os_str()], limit, endpoint)?;
    let line = printed.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    parse(program, line, endpoint)
}

/// Where a presigner says to put a photo, and where it can be fetched then.
#[derive(Clone, Eq, PartialEq)]
pub struct PresignedUrls {
    /// To PUT the photo to; everyone who has it may write there.
    pub put: String,
    /// To fetch the photo from.
    pub fetch: Reference,
}

/// Without the URLs: they are permissions.
impl std::fmt::Debug for PresignedUrls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PresignedUrls(…)")
    }
}

/// Runs a program that makes presigned URLs: it gets a file name and a media type as its last
/// arguments, and prints the URL to PUT to and, on a second line, the URL to fetch from. It is stopped
/// after this time. Errors have `[key]` in place of the key of `endpoint`.
///
/// # Errors
///
/// [`ErrorKind::Upload`] when it cannot be run, fails, or does not print both, or where the second repeats the
/// key.
pub fn run_presigner(
    program: &str,
    photo: &Photo,
    limit: Duration,
    endpoint: &Endpoint,
) -> Result<PresignedUrls, Error> {
    let arguments = [OsStr::new(photo.name()), OsStr::new(photo.format().media_type())];
    let printed = run_for_upload(program, &arguments, limit, endpoint)?;
    let mut lines = printed.lines().map(str::trim).filter(|line| !line.is_empty());
    let (Some(put), Some(fetch)) = (lines.next(), lines.next()) else {
        let why = "must print two lines, the URL to PUT to and the URL to fetch from";
        return Err(upload_error(&without_keys(format!("{program:?} {why}"), endpoint)));
    };
    Ok(PresignedUrls { put: put.to_owned(), fetch: parse(program, fetch, endpoint)? })
}

/// Runs a program that prints the API key on its first line that is not empty, for half a minute at most. Errors name the
/// program and how it ended: its arguments, what it prints and what it says on stderr may have the key.
///
/// # Errors
///
/// [`ErrorKind::MissingKey`] when it cannot be run, fails, or prints nothing.
pub fn run_key_program(program: &str) -> Result<String, Error> {
    let name = program.split_whitespace().next().unwrap_or_default();
    let fail = |why: &str| {
        Error::new(ErrorKind::MissingKey, format!("there is no API key: {name:?} {why}"))
            .with_way_out("run the program by itself: it must print the key and end with status 0")
    };
    let ended = run(program, &[], KEY_LIMIT)
        .map_err(|error| fail(&format!("cannot be run: {error}")))?
        .ok_or_else(|| fail(NOT_IN_TIME))?;
    if !ended.status.success() {
        return Err(fail(&format!("ended with {}", ended.status)));
    }
    let key = ended.printed.lines().map(str::trim).find(|line| !line.is_empty());
    key.map(str::to_owned).ok_or_else(|| fail("printed nothing"))
}

/// The environment variables that may hold the key, the first that is set counts. Programs inherit them.
pub const KEY_VARIABLES: [&str; 2] = ["EFFECTS_API_KEY", "VTRIX_API_KEY"];

/// How long a program may take to print the key: it may ask a vault on the network, and no person.
const KEY_LIMIT: Duration = Duration::from_secs(30);

/// Runs a program that uploads or presigns; what it prints. Errors have `[key]` in place of the key.
fn run_for_upload(
    program: &str,
    arguments: &[&OsStr],
    limit: Duration,
    endpoint: &Endpoint,
) -> Result<String, Error> {
    let fail = |kind, why: &str| {
        let message = without_keys(format!("{program:?} {why}"), endpoint);
        Error::new(kind, format!("{message}; nothing was submitted"))
    };
    let ended = run(program, arguments, limit)
        .map_err(|error| fail(ErrorKind::Upload, &format!("cannot be run: {error}")))?
        .ok_or_else(|| fail(ErrorKind::DeadlineExceeded, NOT_IN_TIME))?;
    if !ended.status.success() {
        let last = ended.said.lines().rev().find(|line| !line.trim().is_empty());
        let why = format!("ended with {}: {}", ended.status, last.unwrap_or_default());
        return Err(fail(ErrorKind::Upload, &why));
    }
    Ok(ended.printed)
}

fn parse(program: &str, line: &str, endpoint: &Endpoint) -> Result<Reference, Error> {
    let fail =
        |why: &str| upload_error(&without_keys(format!("{program:?} printed {why}"), endpoint));
    // Before it is parsed: that error may cut the line, and so the key, which is not found then.
    if without_keys(line.to_owned(), endpoint) != line {
        return Err(fail("the API key where the photo's URL belongs, or in it: it would be shown"));
    }
    line.parse().map_err(|error| fail(&format!("no URL: {error}")))
}

/// The text with `[key]` in place of the endpoint's key, and of those in the environment: a program has
/// these, also where the client uses another one. Errors are shown and kept.
fn without_keys(text: String, endpoint: &Endpoint) -> String {
    let variables = KEY_VARIABLES.into_iter().filter_map(|name| env::var(name).ok());
    let mut keys: Vec<String> = variables.collect();
    // The longest first: one may begin with another.
    keys.sort_by_key(|key| std::cmp::Reverse(key.len()));
    let keys = keys.into_iter().filter_map(|key| ApiKey::new(key).ok());
    keys.fold(endpoint.redact_key(text).into_owned(), |text, key| key.redact(text).into_owned())
}

/// How a program ended, and what it wrote.
struct EndedProgram {
    status: ExitStatus,
    /// On stdout.
    printed: String,
    /// On stderr.
    said: String,
}

/// Runs a program to its end; `None` if it did not end in time, and was stopped.
fn run(program: &str, arguments: &[&OsStr], limit: Duration) -> io::Result<Option<EndedProgram>> {
    // No shell: what a file's name or a key holds is never run as a command.
    let mut words = program.split_whitespace();
    let (printed, stdout) = ReadAside::begin()?;
    let (said, stderr) = ReadAside::begin()?;
    let mut child = Command::new(words.next().unwrap_or_default())
        .args(words)
        .args(arguments)
        // What stdin has is meant for this program: a photo, say.
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(stderr)
        .spawn()?;
    // Without an end, the threads that read are left alone: a child of the program may go on writing.
    let Some(status) = wait(&mut child, limit)? else { return Ok(None) };
    let text = |aside: ReadAside| String::from_utf8_lossy(&aside.end()).into_owned();
    Ok(Some(EndedProgram { status, printed: text(printed), said: text(said) }))
}

const NOT_IN_TIME: &str = "did not end before the deadline and was stopped";

/// Reads what a program writes to a pipe, on a thread of its own: a pipe that is full would stop the program.
///
/// The pipe's end says nothing of the program's, since a process that the program started and left running
/// may hold the pipe open. So [`end`](Self::end) writes a mark behind all that the program wrote.
struct ReadAside {
    reader: thread::JoinHandle<Vec<u8>>,
    pipe: PipeWriter,
    mark: String,
}

impl ReadAside {
    /// Begins to read; also returns what the program is to write to.
    fn begin() -> io::Result<(Self, PipeWriter)> {
        let (from, pipe) = io::pipe()?;
        let mark = format!("{}{}", random_name()?, random_name()?);
        let program = pipe.try_clone()?;
        let until = mark.clone();
        let reader = thread::spawn(move || read_to_mark(from, until.as_bytes()));
        Ok((Self { reader, pipe, mark }, program))
    }

    /// What the program wrote, once it has ended.
    fn end(mut self) -> Vec<u8> {
        // Where the thread is gone already, it returns what it read.
        let _ = self.pipe.write_all(self.mark.as_bytes());
        drop(self.pipe);
        self.reader.join().unwrap_or_default()
    }
}

/// Reads to the mark, which it leaves out, or to the pipe's end.
fn read_to_mark(mut pipe: impl Read, mark: &[u8]) -> Vec<u8> {
    let (mut bytes, mut buffer) = (Vec::new(), vec![0; 64 * 1024]);
    loop {
        let count = match pipe.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            // What came before an error is all there is.
            Ok(0) | Err(_) => return bytes,
            Ok(count) => count,
        };
        // The mark may begin in what was read before.
        let from = bytes.len().saturating_sub(mark.len());
        bytes.extend_from_slice(&buffer[..count]);
        if let Some(found) = bytes[from..].windows(mark.len()).position(|part| part == mark) {
            bytes.truncate(from + found);
            return bytes;
        }
    }
}

/// How a program ended; `None` if it did not in time, and was stopped.
fn wait(child: &mut Child, limit: Duration) -> io::Result<Option<ExitStatus>> {
    let begun = Instant::now();
    loop {
        // The standard library cannot wait for a child with a limit.
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if begun.elapsed() >= limit {
            child.kill()?;
            // Without this the child would stay in the process table. It ends at once, since no program can
            // refuse this signal.
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(BETWEEN_CHECKS.min(limit.saturating_sub(begun.elapsed())));
    }
}

/// A program that uploads takes a multiple of that.
const BETWEEN_CHECKS: Duration = Duration::from_millis(10);

/// A folder that only this user can read, and that goes with this value.
fn temp_folder() -> io::Result<TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("effects-");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
    builder.tempdir()
}

fn upload_error(message: &str) -> Error {
    Error::new(ErrorKind::Upload, format!("{message}; nothing was submitted"))
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::path::Path;
    use std::sync::mpsc;

    use effects_core::BaseUrl;

    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    #[test]
    fn a_program_that_does_not_end_is_stopped_in_time_and_one_that_prints_much_is_not_stuck() {
        let folder = tempfile::tempdir().unwrap();
        let limit = Duration::from_millis(50);
        let error = run_uploader("tail -f", &photo(), limit, &endpoint()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DeadlineExceeded);
        assert!(error.to_string().contains("nothing was submitted"), "{error}");
        let program = script(folder.path(), "echo https://x/y; head -c 1000000 /dev/zero >&2");
        assert!(run_uploader(&program, &photo(), LONG, &endpoint()).is_ok());
    }

    #[test]
    fn a_process_that_a_program_leaves_behind_with_its_pipes_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let pid = folder.path().join("pid");
        let leave = format!("tail -f /dev/null & echo $! > {}; ", pid.display());
        let printed = "printf 'https://example.com/'; printf cat.png";
        let program = script(folder.path(), &format!("{leave}{printed}"));
        let url = before_the_process_ends(&pid, move || {
            run_uploader(&program, &photo(), LONG, &endpoint())
        })
        .unwrap();
        assert_eq!(url.as_str(), "https://example.com/cat.png");
        let program =
            script(folder.path(), &format!("{leave}echo the-key-1234; echo no vault >&2"));
        let key = before_the_process_ends(&pid, move || run_key_program(&program)).unwrap();
        assert_eq!(key, "the-key-1234");
        let program = script(folder.path(), &format!("{leave}echo no vault >&2; exit 3"));
        let error = before_the_process_ends(&pid, move || run_key_program(&program)).unwrap_err();
        assert!(error.to_string().contains("exit status: 3"), "{error}");
    }

    /// What the call returns, and ends the process that it left behind: a call that waits for that does not
    /// return.
    fn before_the_process_ends<T: Send + 'static>(
        pid: &Path,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || sender.send(call()));
        let returned = receiver.recv_timeout(Duration::from_secs(60));
        let pid = fs::read_to_string(pid).unwrap();
        assert!(Command::new("kill").arg(pid.trim()).status().unwrap().success());
        returned.expect("the call waits for the process that it left behind")
    }

    #[test]
    fn the_photo_that_a_program_gets_is_in_a_folder_of_this_user_alone() {
        let folder = tempfile::tempdir().unwrap();
        let text = "ls -ld \"${1%/*}\" | grep -q '^drwx------' && echo https://example.com/a";
        let program = script(folder.path(), text);
        run_uploader(&program, &photo(), LONG, &endpoint()).unwrap();
    }

    fn endpoint() -> Endpoint {
        let base = BaseUrl::parse(BaseUrl::DEFAULT, false).unwrap();
        Endpoint::new(base, ApiKey::new("key-for-tests").unwrap())
    }

    fn photo() -> Photo {
        Photo::new(bytes::Bytes::from_static(b"\x89PNG\r\n\x1a\n"), "cat.png").unwrap()
    }

    fn script(folder: &Path, text: &str) -> String {
        let path = folder.join("put.sh");
        fs::write(&path, text).unwrap();
        format!("sh {}", path.display())
    }

    #[test]
    fn a_program_gets_the_photo_and_prints_its_url() {
        let folder = tempfile::tempdir().unwrap();
        let program = script(
            folder.path(),
            "test \"$(wc -c < \"$1\")\" -eq 8 && echo https://example.com/$(basename \"$1\")",
        );
        let url = run_uploader(&program, &photo(), LONG, &endpoint()).unwrap();
        assert_eq!(url.as_str(), "https://example.com/cat.png");
    }

    #[test]
    fn a_presigner_prints_two_urls() {
        let folder = tempfile::tempdir().unwrap();
        let program = script(folder.path(), "echo https://put/$1; echo https://get/$2");
        let urls = run_presigner(&program, &photo(), LONG, &endpoint()).unwrap();
        assert_eq!(
            (urls.put.as_str(), urls.fetch.as_str()),
            ("https://put/cat.png", "https://get/image/png")
        );
        assert!(!format!("{urls:?}").contains("put/cat"));
        let one_line = script(folder.path(), "echo https://put");
        assert!(
            run_presigner(&one_line, &photo(), LONG, &endpoint())
                .unwrap_err()
                .to_string()
                .contains("two lines")
        );
    }

    #[test]
    fn a_program_that_fails_says_why_and_nothing_was_submitted() {
        let folder = tempfile::tempdir().unwrap();
        let failing = script(folder.path(), "echo no such bucket >&2; exit 3");
        let error = run_uploader(&failing, &photo(), LONG, &endpoint()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Upload);
        assert!(error.to_string().contains("no such bucket"), "{error}");
        assert!(run_uploader("/nowhere/put", &photo(), LONG, &endpoint()).is_err());
        assert!(
            run_uploader(&script(folder.path(), "echo done"), &photo(), LONG, &endpoint()).is_err()
        );
    }

    #[test]
    fn no_error_of_an_upload_repeats_the_key_of_the_client() {
        let folder = tempfile::tempdir().unwrap();
        let long = "x".repeat(400);
        for text in [
            "echo no key-for-tests >&2; exit 1".to_owned(),
            "echo key-for-tests".to_owned(),
            "echo https://example.com/key-for-tests".to_owned(),
            // An error that shows the beginning of the line alone.
            format!("echo {} key-for-tests{long}", &long[..70]),
        ] {
            let program = format!("{} key-for-tests", script(folder.path(), &text));
            for error in [
                run_uploader(&program, &photo(), LONG, &endpoint()).map(drop).unwrap_err(),
                run_presigner(&program, &photo(), LONG, &endpoint()).map(drop).unwrap_err(),
            ] {
                let error = error.to_string();
                assert!(!error.contains("key-") && error.contains("[key]"), "{text}: {error}");
            }
        }
    }

    #[test]
    fn a_key_program_that_fails_is_named_without_anything_that_may_have_the_key() {
        let folder = tempfile::tempdir().unwrap();
        for leak in [
            "echo; echo ' a-key-1234 a-key-12345'; echo oops a-key-12345, no >&2; exit 1",
            "echo '{\"key\":\"a-key-1234\"}'; echo \"the key 'a-key-1234' is over\" >&2; exit 1",
            "echo opensesame >&2; exit 1",
            "echo key=an-argument; exit 1",
        ] {
            let program = format!("{} an-argument", script(folder.path(), leak));
            let error = run_key_program(&program).unwrap_err();
            assert!(error.way_out().is_some(), "{error}");
            let said = error.without_way_out().to_string();
            assert_eq!(said, "there is no API key: \"sh\" ended with exit status: 1");
        }
    }
}
