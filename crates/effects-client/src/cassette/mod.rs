//! A [`Cassette`]: a file of a client's exchanges, as with vcrpy and Betamax. Where the file is missing
//! they are recorded ([`Recorded`], `recorder.rs`, around the HTTP stack); where it is there they are
//! replayed without a network ([`Player`], `player.rs`, in its place). `ClientBuilder::build` opens the one
//! that its `cassette` or `EFFECTS_CASSETTE` names. Jobs and the command ask by [`is_replay`] whether a
//! gateway is a replay's, where nothing is paid.
//!
//! Nothing but the file decides between the two. It is whole after each exchange, so that a crash loses
//! none. docs/cassettes.md has the format.

mod difference;
mod format;
mod player;
mod recorder;
mod redact;

use std::collections::HashMap;
use std::env;
use std::fmt;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf, absolute};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use effects_core::{BaseUrl, Error, ErrorKind, Origin};

use format::Tape;
pub use player::Player;
pub use recorder::Recorded;
use recorder::Recording;

/// A cassette in use.
#[derive(Clone)]
pub(crate) enum Cassette {
    /// It was not there.
    Record(Arc<Recording>),
    /// It is replayed.
    Replay(Player),
}

/// Where the path of a cassette comes from.
#[derive(Clone, Debug)]
pub(crate) enum CassettePath {
    /// From the code: clients that are made before the first exchange record together, those after it replay,
    /// each from the beginning.
    Given(PathBuf),
    /// From the environment: all clients of the process record or replay it together.
    Environment(PathBuf),
}

impl Cassette {
    /// Opens a cassette for a client of this gateway.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misconfigured`] where it cannot be read or made, and where it is being recorded at
    /// another gateway.
    pub(crate) fn open(from: &CassettePath, base: &BaseUrl) -> Result<Self, Error> {
        let (path, is_shared) = match from {
            CassettePath::Given(path) => (path, false),
            CassettePath::Environment(path) => (path, true),
        };
        let path = absolute(path).map_err(|error| unusable(path, &error.to_string()))?;
        // Held to the end: of two clients that are made at once, one begins the recording and the
        // other joins it.
        let mut open = open_cassettes().lock().unwrap_or_else(PoisonError::into_inner);
        open.forget_parents_recording(&path);
        // Once there is a file, a client that the code points there replays it, even while
        // another one still records.
        let recording = open.recordings.get(&path).and_then(Weak::upgrade);
        if let Some(recording) = recording.filter(|found| is_shared || !found.has_begun()) {
            recording.check_base(base)?;
            return Ok(Self::Record(recording));
        }
        if let Some(player) = open.players.get(&path).filter(|_| is_shared) {
            return Ok(Self::Replay(player.clone()));
        }
        if path.exists() {
            open.check_lock(&path)?;
            let player = Player::open(&path)?;
            if is_shared {
                open.players.insert(path, player.clone());
            }
            return Ok(Self::Replay(player));
        }
        // The first exchange makes the file, and would fail where there is no folder for it.
        let folder = path.parent().filter(|folder| folder.is_dir());
        folder.ok_or_else(|| unusable(&path, "its folder does not exist"))?;
        let recording = Arc::new(Recording::new(path.clone(), base));
        // Weak, so that the last client that records takes the file and its lock with it.
        open.recordings.insert(path, Arc::downgrade(&recording));
        if is_shared {
            open.kept.push(Arc::clone(&recording));
        }
        Ok(Self::Record(recording))
    }

    /// Whether it is replayed.
    pub(crate) fn is_replay(&self) -> bool {
        matches!(self, Self::Replay(_))
    }
}

impl fmt::Debug for Cassette {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_replay() { "Replay(…)" } else { "Record(…)" })
    }
}

/// The cassettes that this process has open.
#[derive(Default)]
struct OpenCassettes {
    recordings: HashMap<PathBuf, Weak<Recording>>,
    /// Those of the environment are open as long as the process lives.
    kept: Vec<Arc<Recording>>,
    players: HashMap<PathBuf, Player>,
}

impl OpenCassettes {
    /// Forgets a recording of the process that this one was forked from, which is another's here, too.
    fn forget_parents_recording(&mut self, path: &Path) {
        let recording = self.recordings.get(path).and_then(Weak::upgrade);
        if let Some(recording) = recording.filter(|recording| !recording.is_of_this_process()) {
            recording.close_in_fork();
            self.recordings.remove(path);
        }
    }

    /// Refuses a cassette that another process records.
    fn check_lock(&self, path: &Path) -> Result<(), Error> {
        // Locks belong to open files: this process would find its own and take it for another's.
        let is_recorded_here =
            self.recordings.get(path).is_some_and(|recording| recording.strong_count() > 0);
        if !is_recorded_here && is_locked(path) {
            return Err(unusable(path, RECORDED_ELSEWHERE));
        }
        Ok(())
    }
}

fn open_cassettes() -> &'static Mutex<OpenCassettes> {
    static OPEN: OnceLock<Mutex<OpenCassettes>> = OnceLock::new();
    OPEN.get_or_init(Mutex::default)
}

/// The cassette that `EFFECTS_CASSETTE` names, as far as it is set; an empty one counts as unset.
pub fn cassette_of_the_environment() -> Option<PathBuf> {
    env::var_os(CASSETTE_VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// The gateway of a client that replays this cassette; `None` where it would be recorded.
///
/// It is none of the service's, so that no journal and no budget takes a replay for what was paid.
///
/// # Errors
///
/// [`ErrorKind::Misconfigured`] where the cassette cannot be read, or is being recorded by another process.
pub fn replay_base(path: &Path) -> Result<Option<BaseUrl>, Error> {
    if !path.exists() {
        return Ok(None);
    }
    if let Ok(path) = absolute(path) {
        let mut open = open_cassettes().lock().unwrap_or_else(PoisonError::into_inner);
        open.forget_parents_recording(&path);
        open.check_lock(&path)?;
    }
    Tape::read(path)?;
    Ok(Some(replay_gateway()))
}

/// Whether this is the gateway of replays, where nothing is paid.
pub fn is_replay(origin: &Origin) -> bool {
    replay_gateway().origin() == origin
}

pub(crate) fn replay_gateway() -> BaseUrl {
    BaseUrl::parse(REPLAY_BASE, false).unwrap_or_else(|_| unreachable!("it is a URL"))
}

/// Whether a process has the lock on a cassette that it records. A file system without locks has none, and
/// what is no regular file is not opened, since opening a pipe waits for its writer.
fn is_locked(path: &Path) -> bool {
    let file = Some(path).filter(|path| path.is_file()).and_then(|path| File::open(path).ok());
    file.is_some_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

fn unusable(path: &Path, why: &str) -> Error {
    let message = format!("the cassette {} cannot be used: {why}", path.display());
    Error::new(ErrorKind::Misconfigured, message)
}

/// The environment variable that may name a cassette.
pub const CASSETTE_VARIABLE: &str = "EFFECTS_CASSETTE";
/// Why a cassette is neither replayed nor recorded.
const RECORDED_ELSEWHERE: &str = "another process records it just now";
// Names below `localhost` lead nowhere else (RFC 6761), so that http may be used here.
const REPLAY_BASE: &str = "http://replay.localhost";
/// What stands for the key where a replay is given none.
pub(crate) const NO_KEY: &str = "no-key-in-a-replay";
