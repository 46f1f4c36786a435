//! [`EarlierLine`]: a line that an earlier run left in the folder's `manifest.jsonl`, and what of it a
//! journal can take in. [`earlier_lines`] reads the file for the batch and for `effects journal rebuild`.
//!
//! The batch looks for rows here that its journal does not know, [`Results`](super::results::Results)
//! merges these lines with those of its own run, and `effects journal rebuild` makes a journal of
//! them.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Component, Path, PathBuf};

use effects_client::is_special;
use effects_core::{
    ErrorKind, ExtraParams, Origin, ServiceCode, Size, TaskId, Template, Time, Usage,
};
use effects_jobs::{Attempt, Identity, PictureRecord, Row, Standing};
use rust_decimal::Decimal;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::known_photos::{KnownPhoto, KnownPhotos};
use super::report::Status;
use super::rows::Told;

/// A line of the manifest that an earlier run left.
#[derive(Debug, Deserialize)]
pub(crate) struct EarlierLine {
    /// Where the row begins in the order's own manifest.
    line: Option<u64>,
    template: Option<String>,
    image: Option<String>,
    width: Option<u32>,
    height: Option<u32>,
    #[serde(default)]
    params: ExtraParams,
    pub(crate) key: Option<String>,
    tag: Option<String>,
    identity: Option<String>,
    pub(crate) scope: Option<String>,
    /// Of the photo's content, or of its URL: [`Row::likeness`].
    pub(crate) photo_hash: Option<String>,
    pub(crate) task_id: Option<String>,
    pub(crate) status: Status,
    #[serde(default)]
    paths: Vec<PathBuf>,
    /// What all its tasks cost, in USD.
    cost: Option<Decimal>,
    /// What those before the last one cost.
    earlier_cost: Option<Decimal>,
    /// When its task was submitted, in milliseconds since the epoch.
    submitted_ms: Option<Time>,
    error: Option<EarlierError>,
    /// What its photo was, on this machine: a [`KnownPhoto`], if it can be one.
    photo: Option<Value>,
    /// The gateway. The first edition did not write it, nor what tells a row and a journal from others.
    pub(crate) origin: Option<String>,
    /// The journal that was used, and its id.
    pub(crate) journal: Option<String>,
    pub(crate) journal_id: Option<String>,
}

/// Why such a row had no picture.
#[derive(Debug, Deserialize)]
struct EarlierError {
    kind: String,
    message: String,
    code: Option<ServiceCode>,
    request_id: Option<String>,
    idempotency_key: Option<String>,
}

impl EarlierLine {
    /// Whether it has a task, or may have one.
    pub(crate) fn may_be_paid(&self) -> bool {
        self.task_id.is_some() || self.status == Status::Doubtful
    }

    /// By what the journal knew the row.
    pub(crate) fn identity(&self) -> Option<Identity> {
        Identity::from_digits(self.identity.as_deref()?)
    }

    /// What is told of the row.
    pub(crate) fn told(&self) -> Told {
        let (template, image, key) = (self.template.clone(), self.image.clone(), self.key.clone());
        let (scope, tag) = (self.scope.clone(), self.tag.clone());
        let (line, identity, size) = (self.line, self.identity(), self.size());
        let params = self.params.clone();
        let photo = self.photo.clone().and_then(|photo| serde_json::from_value(photo).ok());
        Told {
            line,
            template,
            image,
            size,
            params,
            key,
            scope,
            tag,
            identity,
            photo,
            ..Told::default()
        }
    }

    /// Whether it tells of this task and this sum already, with this status.
    pub(crate) fn tells(&self, task: Option<&str>, cost: Option<Decimal>, status: Status) -> bool {
        self.task_id.as_deref() == task && self.cost == cost && self.status == status
    }

    /// What its tasks before the last one cost, in USD.
    pub(crate) fn earlier_cost(&self) -> Decimal {
        self.earlier_cost.filter(believed).unwrap_or_default()
    }

    /// How the row stands, for a journal that does not know it; `None` where it has no task and no
    /// doubt, or no task's id that can be one. What the line does not tell of times happened `now`.
    pub(crate) fn standing(&self, now: Time) -> Option<Standing> {
        let submitted = self.submitted_ms.unwrap_or(now);
        let Some(task) = &self.task_id else {
            let doubtful = self.status == Status::Doubtful;
            return doubtful.then(|| self.doubt(submitted));
        };
        let task: TaskId = task.parse().ok()?;
        let cost = self.cost.map(|cost| cost - self.earlier_cost()).filter(believed);
        let failed = ErrorKind::TaskFailed.name();
        Some(match (self.status, &self.error) {
            (Status::Completed | Status::NotDownloaded, _) => {
                let pictures = self.pictures();
                Standing::Completed { task, submitted, finished: now, cost, pictures }
            }
            (Status::Failed, Some(error)) if error.kind == failed => {
                let (code, message) = (error.code.clone(), error.message.clone());
                Standing::Failed { task, submitted, finished: now, code, message, cost }
            }
            // A look at the task tells more, and costs nothing.
            _ => Standing::Created { task, submitted },
        })
    }

    /// The row, as far as the line tells of it, or what is missing: the field and its rule. The
    /// manifest is in this folder.
    pub(crate) fn row(&self, folder: &Path) -> Result<Row, String> {
        let missing = |field: &str| {
            format!("it has no usable `{field}`: an earlier version of this program wrote the line")
        };
        let origin = self.origin.clone().and_then(|origin| Origin::try_from(origin).ok());
        let id = self.template.as_deref().ok_or_else(|| missing("template"))?;
        let template = id.parse().or_else(|_| Template::unlisted(id));
        let photo_hash = self.photo_hash.as_deref().and_then(Identity::from_digits);
        Ok(Row {
            identity: self.identity().ok_or_else(|| missing("identity"))?,
            origin: origin.ok_or_else(|| missing("origin"))?,
            template: template.map_err(|_| format!("template {id:?} cannot be one"))?,
            size: self.size(),
            params: self.params.clone(),
            image: self.image.clone().ok_or_else(|| missing("image"))?,
            likeness: photo_hash.ok_or_else(|| missing("photo_hash"))?,
            key: self.key.clone(),
            tag: self.tag.clone(),
            target: Some(self.target(folder)),
        })
    }

    /// Where its picture is wanted: where it was, unless that is outside of the folder, which may have
    /// been moved since.
    fn target(&self, folder: &Path) -> PathBuf {
        let is_within = |path: &&PathBuf| {
            path.starts_with(folder) && !path.components().any(|part| part == Component::ParentDir)
        };
        self.paths.first().filter(is_within).map_or_else(|| folder.to_owned(), PathBuf::clone)
    }

    fn size(&self) -> Size {
        Size { width: self.width, height: self.height }
    }

    fn doubt(&self, at: Time) -> Standing {
        let error = self.error.as_ref();
        let text = |of: fn(&EarlierError) -> &Option<String>| {
            error.and_then(|error| of(error).clone()).unwrap_or_default()
        };
        // One attempt at least, since it may be billed and so counts in budgets.
        let attempt = Attempt {
            request_id: text(|error| &error.request_id),
            idempotency_key: text(|error| &error.idempotency_key),
            at,
        };
        let trouble = "the answer to its submission was lost, says the folder's manifest";
        Standing::Doubtful { attempts: vec![attempt], trouble: trouble.to_owned() }
    }

    fn pictures(&self) -> Vec<PictureRecord> {
        let picture = |path| PictureRecord { url: String::new(), path, content: None };
        match self.status {
            Status::Completed if !self.paths.is_empty() => {
                self.paths.iter().cloned().map(|path| picture(Some(path))).collect()
            }
            // Not saved: a look at the task tells how many there are.
            _ => vec![picture(None)],
        }
    }
}

/// A line of the file, of a row or not, without its line break.
pub(crate) struct Text {
    /// Counted from 1.
    pub(crate) number: usize,
    pub(crate) text: Vec<u8>,
    /// What it says of a row; `None` for what is no line of one.
    pub(crate) line: Option<EarlierLine>,
}

/// The lines of the folder's manifest; none where there is no such file. Empty ones are left out, and
/// those that a run wrote before a later one of the same row, or did not write to their end.
pub(crate) fn earlier_lines(
    manifest: &Path,
) -> io::Result<impl Iterator<Item = io::Result<Text>> + use<>> {
    let (mut last, mut superseded) = (HashMap::new(), HashSet::new());
    for text in all_lines(manifest)? {
        let Text { number, line: Some(line), .. } = text? else { continue };
        let Some(identity) = line.identity().filter(|_| line.status != Status::Invalid) else {
            continue;
        };
        let (task, may_be_paid) = (line.task_id.clone(), line.may_be_paid());
        let this = (number, task.clone(), may_be_paid, line.journal_id.clone());
        let before = last.insert((line.origin, identity), this);
        if let Some((before, before_task, was_paid, before_journal)) = before
            // One journal knows all tasks of a row, and its later line has the costs of those before.
            && (before_task.is_none()
                || before_task == task
                || task.is_some() && line.journal_id.is_some() && before_journal == line.journal_id)
            && (may_be_paid || !was_paid)
        {
            superseded.insert(before);
        }
    }
    let lines = all_lines(manifest)?;
    Ok(lines
        .filter(move |line| line.as_ref().map_or(true, |line| !superseded.contains(&line.number))))
}

/// The photos that a manifest remembers; none where it cannot be read, which others tell, or where reading
/// it would wait.
pub(crate) fn remembered_photos(manifest: &Path) -> KnownPhotos {
    match is_special(manifest) {
        true => KnownPhotos::default(),
        false => KnownPhotos::of(photos_of_lines(manifest).unwrap_or_default()),
    }
}

/// The photos that lines remember, by the images of their rows.
fn photos_of_lines(manifest: &Path) -> io::Result<HashMap<String, KnownPhoto>> {
    let mut photos = HashMap::new();
    for text in all_lines(manifest)? {
        let Some(EarlierLine { image: Some(image), photo: Some(photo), .. }) = text?.line else {
            continue;
        };
        photos.extend(serde_json::from_value(photo).ok().map(|photo| (image, photo)));
    }
    Ok(photos)
}

/// Every line of a row that was written to its end, and everything that is none.
fn all_lines(manifest: &Path) -> io::Result<impl Iterator<Item = io::Result<Text>> + use<>> {
    let file = match File::open(manifest) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        file => Some(file?),
    };
    let lines = file.into_iter().flat_map(|file| BufReader::new(file).split(b'\n'));
    let is_empty = |text: &[u8]| text.iter().all(u8::is_ascii_whitespace);
    let lines = lines.zip(1..).map(|(text, number)| {
        let text = text?;
        let line = serde_json::from_slice(&text).ok();
        Ok(Text { number, text, line })
    });
    let is_torn = |text: &Text| {
        text.line.is_none()
            && text.text.starts_with(BEGINNING)
            && serde_json::from_slice::<IgnoredAny>(&text.text).is_err()
    };
    let is_line = move |text: &Text| !is_empty(&text.text) && !is_torn(text);
    Ok(lines.filter(move |line| line.as_ref().map_or(true, is_line)))
}

/// How the line of a row begins.
const BEGINNING: &[u8] = br#"{"schema":"effects.row.v1""#;

/// A cost that can be one of a task, or of a few.
fn believed(cost: &Decimal) -> bool {
    (Decimal::ZERO..=Usage::MOST_COST).contains(cost)
}
