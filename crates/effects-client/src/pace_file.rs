//! [`PaceFile`]: a file that keeps the learnt durations of tasks, by gateway, from one process to the next;
//! those of a gateway on this machine are never in it. The command's `gateway.rs` loads it into a `Pacer`
//! when it opens a client, and adds what was learnt when the client is done; Rust programs may do the same.

use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use effects_core::Origin;
use effects_core::pace::{Models, Pacer};

use crate::atomic_file::{AtomicFile, Sink};
use crate::state::{make_private_dir, state_dir};

/// A file of [`Models`]: read when a program begins, added to when it ends.
///
/// Nothing learnt at a gateway on this machine is ever in it. The file is replaced whole, so that a
/// reader never sees half of one; of two programs that end in the same instant, one may lose what
/// it learnt, which only costs learning it again.
///
/// ```no_run
/// # use effects_client::PaceFile;
/// # use effects_core::BaseUrl;
/// # let base = BaseUrl::parse(BaseUrl::DEFAULT, false)?;
/// # let file = PaceFile::in_state_dir().ok_or("no home")?;
/// let pacer = file.load()?.pacer(base.origin());
/// // … give it to a client's builder, use the client, and in the end:
/// file.keep(base.origin(), &pacer)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PaceFile {
    path: PathBuf,
}

impl PaceFile {
    /// The file at this path, whether it is there or not.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// `pace.json` in this user's [`state_dir`]; `None` where there is none.
    pub fn in_state_dir() -> Option<Self> {
        Some(Self::at(state_dir()?.join(FILE_NAME)))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it says. A file that is not there says nothing.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is no file of this kind and version.
    pub fn load(&self) -> Result<Models, PaceFileError> {
        let text = match fs::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Models::new()),
            Err(error) => return Err(self.fail("read", &error)),
        };
        let models: Models =
            serde_json::from_slice(&text).map_err(|error| self.fail("read", &error))?;
        Ok(models.without_loopback())
    }

    /// Adds what a pacer has learnt at an origin since its news were last taken. Where there is
    /// nothing to add, nothing is written, and nothing is made.
    ///
    /// # Errors
    ///
    /// The file cannot be read or written; the news stay with the pacer if it cannot be read.
    pub fn keep(&self, origin: &Origin, pacer: &Pacer) -> Result<(), PaceFileError> {
        if origin.is_loopback() {
            return Ok(());
        }
        // Read anew, since another process may have added to it; and before the news are taken,
        // which stay with the pacer where the file cannot be read.
        let mut models = self.load()?;
        let news = pacer.take_news();
        if news.is_empty() {
            return Ok(());
        }
        models.add(origin, &news);
        let text = serde_json::to_vec(&models).map_err(|error| self.fail("written", &error))?;
        if let Some(folder) = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            make_private_dir(folder).map_err(|error| self.fail("written", &error))?;
        }
        let save = || {
            let mut output = AtomicFile::begin(&self.path)?;
            output.write(&text)?;
            output.finish()
        };
        // Its errors name the file themselves.
        save().map_err(|error| PaceFileError(error.to_string()))?;
        Ok(())
    }

    fn fail(&self, done: &str, error: &dyn fmt::Display) -> PaceFileError {
        PaceFileError(format!("{} cannot be {done}: {error}", self.path.display()))
    }
}

/// Why a [`PaceFile`] cannot be used. Every client works without one, only with less foresight.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PaceFileError(String);

impl fmt::Display for PaceFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for PaceFileError {}

const FILE_NAME: &str = "pace.json";

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use effects_core::pace::{Label, Observation};
    use effects_core::{BaseUrl, Template};

    use super::*;

    fn ball() -> Option<Label> {
        Some(Template::GlassBall.into())
    }

    fn origin(url: &str) -> Origin {
        BaseUrl::parse(url, true).unwrap().origin().clone()
    }

    fn learn(pacer: &Pacer) {
        let (last_running, first_ended) = (None, Duration::from_secs(9));
        pacer.learn(ball().as_ref(), Observation::Ended { last_running, first_ended });
    }

    #[test]
    fn what_is_learnt_is_added_to_what_is_kept_even_by_two_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = PaceFile::at(folder.path().join("state/pace.json"));
        let home = origin(BaseUrl::DEFAULT);
        assert!(file.load().unwrap().is_empty());
        let pacers = [(); 2].map(|()| file.load().unwrap().pacer(&home));
        for pacer in &pacers {
            (0..3).for_each(|_| learn(pacer));
            file.keep(&home, pacer).unwrap();
            // Once said is said.
            file.keep(&home, pacer).unwrap();
        }
        let kept = file.load().unwrap();
        assert_eq!(kept.at(&home).unwrap()[&ball()].len(), 6);
        let names: Vec<_> = fs::read_dir(folder.path().join("state")).unwrap().collect();
        assert_eq!(names.len(), 1, "nothing is left beside it");
    }

    #[test]
    fn nothing_of_this_machine_is_kept_or_read_and_nothing_is_made_for_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = PaceFile::at(folder.path().join("state/pace.json"));
        let here = origin("http://127.0.0.1:8080");
        let pacer = Pacer::new();
        file.keep(&origin(BaseUrl::DEFAULT), &pacer).unwrap();
        learn(&pacer);
        file.keep(&here, &pacer).unwrap();
        assert!(!folder.path().join("state").exists());

        // Also not where a caller put it there.
        let mut models = Models::new();
        models.add(&here, &pacer.take_news());
        fs::create_dir(folder.path().join("state")).unwrap();
        fs::write(file.path(), serde_json::to_string(&models).unwrap()).unwrap();
        assert!(file.load().unwrap().is_empty());
    }

    #[test]
    fn a_file_of_another_kind_is_reported_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = PaceFile::at(folder.path().join("pace.json"));
        let pacer = Pacer::new();
        learn(&pacer);
        for text in ["", "{", "[]", r#"{"version":99,"origins":{}}"#] {
            fs::write(file.path(), text).unwrap();
            let error = file.load().unwrap_err().to_string();
            assert!(error.contains("pace.json cannot be read"), "{error}");
            assert!(file.keep(&origin(BaseUrl::DEFAULT), &pacer).is_err());
            assert_eq!(fs::read_to_string(file.path()).unwrap(), text);
        }
        assert!(file.load().unwrap_err().to_string().contains("version 99"));
        assert!(!pacer.take_news().is_empty(), "they can still be kept elsewhere");
    }

    #[test]
    fn a_file_that_cannot_be_written_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        let file = PaceFile::at(folder.path().join("file/pace.json"));
        let pacer = Pacer::new();
        learn(&pacer);
        let error = file.keep(&origin(BaseUrl::DEFAULT), &pacer).unwrap_err().to_string();
        assert!(error.contains("pace.json cannot be"), "{error}");
    }
}
