//! [`EarlierLine`]: a line that an earlier run wrote into the output folder's `manifest.jsonl`: the task,
//! status and cost of a row. [`earlier_lines`] reads them, without those that a later line of the same row
//! replaces. Batches and `effects watch` look in them for rows that are paid for already, and for hashes of
//! photos ([`remembered_photos`]); `results.rs` and `folder_rows.rs` update the file by them, and
//! `effects journal rebuild` imports them into a journal, as [`ImportableRow`]s.
//!
//! `other_journal.rs` looks for rows that another journal has, and imports them; `other_scope.rs` looks for
//! those of another order. `request_hash.rs` finds the identities of rows in these lines, and `run.rs`
//! refuses by them to replay a recording into the folder of a real batch.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Component, Path, PathBuf};

use effects_client::is_special;
use effects_core::journal::JournalError;
use effects_core::{
    ErrorKind, ExtraParams, Origin, ServiceCode, Size, TaskId, Template, Time, Usage,
};
use effects_jobs::{
    Attempt, Identity, JournalStore, PictureRecord, Record, Resolution, Row, RowName, RowState,
};
use rust_decimal::Decimal;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::known_photos::{KnownPhoto, KnownPhotos};
use super::manifest_line::FailedTask;
use super::paid_picture::PaidPicture;
use super::report::RowStatus;
use super::rows::RowLabel;

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
    pub(crate) status: RowStatus,
    #[serde(default)]
    paths: Vec<PathBuf>,
    /// What all its tasks cost, in USD.
    cost: Option<Decimal>,
    /// What those before the last one cost.
    earlier_cost: Option<Decimal>,
    /// When its task was submitted, in milliseconds since the epoch.
    submitted_ms: Option<Time>,
    error: Option<EarlierError>,
    /// Its submissions of unknown outcome. Earlier versions wrote the last one's names alone, in `error`.
    #[serde(default)]
    attempts: Vec<Attempt>,
    /// Why its task failed, where `error` is of something else.
    failed_task: Option<FailedTask>,
    /// The picture that it keeps while a new order of it has no end: a [`PaidPicture`], if it can be one.
    // As a value: were it decoded with the line and failed, the line would be no row's, and its task
    // unknown.
    paid_picture: Option<Value>,
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
        self.task_id.is_some() || self.status == RowStatus::Doubtful
    }

    /// The row's identity in the journal.
    pub(crate) fn identity(&self) -> Option<Identity> {
        Identity::from_digits(self.identity.as_deref()?)
    }

    /// What identifies the row.
    pub(crate) fn label(&self) -> RowLabel {
        let (template, image, key) = (self.template.clone(), self.image.clone(), self.key.clone());
        let (scope, tag) = (self.scope.clone(), self.tag.clone());
        let (line, identity, size) = (self.line, self.identity(), self.size());
        let params = self.params.clone();
        let photo = self.photo.clone().and_then(|photo| serde_json::from_value(photo).ok());
        RowLabel {
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
            ..RowLabel::default()
        }
    }

    /// Whether it has this task and this sum already, with this status and these submissions of unknown
    /// outcome.
    pub(crate) fn has_same_state(
        &self,
        task: Option<&str>,
        cost: Option<Decimal>,
        status: RowStatus,
        attempts: &[Attempt],
    ) -> bool {
        self.task_id.as_deref() == task
            && self.cost == cost
            && self.status == status
            && self.attempts == attempts
    }

    /// What a journal can take in of it, if there is a task or a doubt; the manifest is in this folder.
    /// What the line does not tell of times happened `now`.
    ///
    /// # Errors
    ///
    /// What is missing: the field and its rule.
    pub(crate) fn importable(&self, folder: &Path, now: Time) -> Result<ImportableRow, String> {
        let importable = self.importable_as(self.row(folder)?, now);
        importable.ok_or_else(|| "its `task_id` cannot be one".to_owned())
    }

    /// The same, of a row that is known already.
    pub(crate) fn importable_as(&self, row: Row, now: Time) -> Option<ImportableRow> {
        let (state, earlier, order) = (self.state(now)?, self.earlier_cost(), self.order(now));
        Some(ImportableRow { row, state, earlier, order, journal_id: self.journal_id.clone() })
    }

    /// Whether a journal knows what the line tells of this row: its task, and of a doubt what became of it.
    /// The journal's id is not asked for: a backup of a journal has the id of the one that wrote the line.
    ///
    /// # Errors
    ///
    /// When the journal cannot be read.
    pub(crate) fn is_known_to(
        &self,
        store: &dyn JournalStore,
        identity: Identity,
        origin: &Origin,
    ) -> Result<bool, JournalError> {
        let Some(record) = store.find(&RowName::Identity(identity))? else { return Ok(false) };
        // Of another row, then, in another order of the same key.
        let is_released = matches!(record.state, RowState::Released { .. });
        if !is_released
            && self.row(Path::new("")).is_ok_and(|row| row.differs_from(&record.row).is_some())
        {
            return Ok(true);
        }
        let at = self.submitted_ms.unwrap_or(Time::from_millis(0));
        if self.is_doubt()
            && let RowState::Doubtful { attempts, .. } = self.doubt(at)
        {
            if is_news(&attempts, &record, self.journal_id.as_deref(), store)? {
                return Ok(false);
            }
            // An id beside a doubt without a picture is of that doubt.
            if self.paid_picture().is_none() {
                return Ok(true);
            }
        }
        let task = self.task_id.as_ref().and_then(|id| id.parse().ok());
        let Some(task) = task else { return Ok(true) };
        if record.state.task() == Some(&task) {
            return Ok(true);
        }
        Ok(store.find(&RowName::Task(origin.clone(), task))?.is_some())
    }

    /// Whether an order of it is of unknown outcome, whatever task it has beside.
    pub(crate) fn is_doubt(&self) -> bool {
        self.status == RowStatus::Doubtful && (self.task_id.is_none() || !self.attempts.is_empty())
    }

    fn paid_picture(&self) -> Option<PaidPicture> {
        if matches!(
            self.status,
            RowStatus::Completed | RowStatus::NotDownloaded | RowStatus::Failed
        ) {
            return None;
        }
        serde_json::from_value(self.paid_picture.clone()?).ok()
    }

    /// What its tasks cost, in USD, that are neither its order's nor that of its picture.
    fn earlier_cost(&self) -> Decimal {
        let all = self.cost.unwrap_or_default();
        let earlier = match self.paid_picture() {
            Some(paid) => Some(all - paid.cost.unwrap_or_default()),
            None if self.is_doubt() => self.cost,
            None => self.earlier_cost,
        };
        earlier.filter(is_plausible).unwrap_or_default()
    }

    /// The order that has no end, of a row that has a picture beside.
    fn order(&self, now: Time) -> Option<RowState> {
        self.paid_picture()?;
        if self.status != RowStatus::Running {
            return Some(self.doubt(now));
        }
        let task = self.task_id.as_ref()?.parse().ok()?;
        Some(RowState::Created { task, submitted: self.submitted_ms.unwrap_or(now) })
    }

    /// How the row stands, for a journal that does not know it, whatever order of it has no end beside;
    /// `None` where it has no task and no doubt, or no task's id that can be one. What the line does not
    /// tell of times happened `now`.
    pub(crate) fn state(&self, now: Time) -> Option<RowState> {
        if let Some(paid) = self.paid_picture() {
            return Some(paid.state(now));
        }
        let submitted = self.submitted_ms.unwrap_or(now);
        if self.is_doubt() {
            return Some(self.doubt(submitted));
        }
        let task = self.task_id.as_ref()?;
        let task: TaskId = task.parse().ok()?;
        // The line has the sum of all tasks of the row, and a state the cost of the last one: beside others,
        // one that is not known adds nothing to the sum.
        let earlier = self.earlier_cost();
        let last = self.cost.filter(|all| earlier.is_zero() || *all != earlier);
        let cost = last.map(|all| all - earlier).filter(is_plausible);
        let failed = ErrorKind::TaskFailed.name();
        if let Some(FailedTask { code, message }) = &self.failed_task {
            let (code, message) = (code.clone(), message.clone());
            return Some(RowState::Failed { task, submitted, finished: now, code, message, cost });
        }
        Some(match (self.status, &self.error) {
            (RowStatus::Completed | RowStatus::NotDownloaded, _) => {
                let pictures = self.pictures();
                RowState::Completed { task, submitted, finished: now, cost, pictures }
            }
            // Only a verdict of the service ends a row. A task that was not found, say, is looked at
            // again.
            (RowStatus::Failed, Some(error)) if error.kind == failed => {
                let (code, message) = (error.code.clone(), error.message.clone());
                RowState::Failed { task, submitted, finished: now, code, message, cost }
            }
            // A look at the task tells more, and costs nothing.
            _ => RowState::Created { task, submitted },
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
        // The line may be of a version that lists more templates.
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
            // It compares names alone: `folder/../x` starts with `folder` too.
            path.starts_with(folder) && !path.components().any(|part| part == Component::ParentDir)
        };
        self.paths.first().filter(is_within).map_or_else(|| folder.to_owned(), PathBuf::clone)
    }

    fn size(&self) -> Size {
        Size { width: self.width, height: self.height }
    }

    fn doubt(&self, at: Time) -> RowState {
        let reason = "the answer to its submission was lost, says the folder's manifest".to_owned();
        if !self.attempts.is_empty() {
            return RowState::Doubtful { attempts: self.attempts.clone(), reason };
        }
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
        RowState::Doubtful { attempts: vec![attempt], reason }
    }

    fn pictures(&self) -> Vec<PictureRecord> {
        let picture = |path| PictureRecord { url: String::new(), path, content: None };
        match self.status {
            RowStatus::Completed if !self.paths.is_empty() => {
                self.paths.iter().cloned().map(|path| picture(Some(path))).collect()
            }
            // Not saved: a look at the task tells how many there are.
            _ => vec![picture(None)],
        }
    }
}

/// What a journal takes in of a line.
pub(crate) struct ImportableRow {
    pub(crate) row: Row,
    pub(crate) state: RowState,
    /// What its tasks before cost, in USD.
    earlier: Decimal,
    /// A new order of it that has no end.
    order: Option<RowState>,
    /// The journal that the line is of.
    journal_id: Option<String>,
}

impl ImportableRow {
    /// Takes it into a journal; whether that did not know of it.
    ///
    /// # Errors
    ///
    /// Those of [`JournalStore::import`].
    pub(crate) fn import_into(&self, store: &dyn JournalStore) -> Result<bool, JournalError> {
        let is_new =
            store.import(&self.row, &self.state, self.earlier)? || self.settle_doubt(store)?;
        let (Some(order), Some(paid)) = (&self.order, self.state.task()) else {
            return Ok(is_new);
        };
        // What became of its own orders a journal knows better.
        if !is_new
            && let RowState::Doubtful { attempts, .. } = order
            && let Some(record) = store.find(&RowName::Identity(self.row.identity))?
            && !is_news(attempts, &record, self.journal_id.as_deref(), store)?
        {
            return Ok(false);
        }
        Ok(store.import_order(&self.row.identity, paid, order)? || is_new)
    }

    /// Whether it is an order of a row that has a picture beside.
    pub(crate) fn has_order(&self) -> bool {
        self.order.is_some()
    }

    /// Takes it into a journal that has the row, which counts what it cost; one that has not is left as it
    /// is, the store of a plan, say. Whether it tells the journal of a task.
    ///
    /// # Errors
    ///
    /// Those of [`JournalStore::import`].
    pub(crate) fn import_costs_into(&self, store: &dyn JournalStore) -> Result<bool, JournalError> {
        let is_there = store.find(&RowName::Identity(self.row.identity))?.is_some();
        Ok(is_there && self.import_into(store)?)
    }

    /// Settles a doubt of a journal that is an older copy of the one that wrote the line, by the line's task;
    /// whether it did. No command goes on with a row in doubt: the task is that of the submission in doubt, or
    /// a person settled the doubt in between.
    fn settle_doubt(&self, store: &dyn JournalStore) -> Result<bool, JournalError> {
        let newest = self.order.as_ref().unwrap_or(&self.state);
        let (Some(task), Some(submitted)) = (newest.task(), newest.submitted()) else {
            return Ok(false);
        };
        let Some(record) = store.find(&RowName::Identity(self.row.identity))? else {
            return Ok(false);
        };
        let RowState::Doubtful { attempts, .. } = &record.state else { return Ok(false) };
        let is_later = attempts.last().is_none_or(|attempt| attempt.at <= submitted);
        let is_copy = self.journal_id.is_some() && self.journal_id == store.id()?;
        if !is_later || !is_copy {
            return Ok(false);
        }
        // A row has one task once: the costs of an earlier one were taken in before.
        let name = RowName::Task(self.row.origin.clone(), task.clone());
        if store.find(&name)?.is_some() {
            return Ok(false);
        }
        store.resolve(record.number, &Resolution::Task(task.clone())).map(|()| true)
    }
}

/// Whether a journal does not know of these submissions of unknown outcome, which a line tells of, and has
/// not gone on with their row since: then a person has settled there what became of them, since no command
/// goes on with a row in doubt.
fn is_news(
    attempts: &[Attempt],
    record: &Record,
    journal_id: Option<&str>,
    store: &dyn JournalStore,
) -> Result<bool, JournalError> {
    let known = record.state.attempts();
    let is_here = |attempt: &Attempt| known.iter().any(|it| it.request_id == attempt.request_id);
    let last = attempts.last().map_or(Time::from_millis(0), |attempt| attempt.at);
    if record.changed >= last || !known.is_empty() && attempts.iter().all(is_here) {
        return Ok(false);
    }
    // What `reorder` writes before its submission leaves has no names. The journal that it used has the
    // submission, if it left.
    let has_left = attempts.iter().any(|attempt| !attempt.request_id.is_empty());
    Ok(has_left || journal_id.is_none() || journal_id != store.id()?.as_deref())
}

/// A line of the file, of a row or not, without its line break.
pub(crate) struct ManifestText {
    /// Counted from 1.
    pub(crate) number: usize,
    pub(crate) text: Vec<u8>,
    /// What it says of a row; `None` for what is no line of one.
    pub(crate) line: Option<EarlierLine>,
}

/// What a later line of the same row is compared with.
struct LatestLine {
    number: usize,
    task: Option<String>,
    may_be_paid: bool,
    is_doubt: bool,
    journal: Option<String>,
}

/// The lines of the folder's manifest; none where there is no such file. Empty ones are left out, and
/// those that a run wrote before a later one of the same row, or did not write to their end.
pub(crate) fn earlier_lines(
    manifest: &Path,
) -> io::Result<impl Iterator<Item = io::Result<ManifestText>> + use<>> {
    let (mut last, mut superseded) = (HashMap::<_, Vec<LatestLine>>::new(), HashSet::new());
    // A first reading finds which lines later ones replace, so that the second need not hold them all.
    for text in all_lines(manifest)? {
        let ManifestText { number, line: Some(line), .. } = text? else { continue };
        let Some(identity) = line.identity().filter(|_| line.status != RowStatus::Invalid) else {
            continue;
        };
        let (task, may_be_paid) = (line.task_id.clone(), line.may_be_paid());
        let (is_doubt, journal) = (line.is_doubt(), line.journal_id.clone());
        let is_superseded = |before: &LatestLine| {
            // One journal knows all tasks of a row, and its later line has the costs of those before.
            (before.task.is_none()
                || before.task == task
                || task.is_some() && journal.is_some() && before.journal == journal)
                // A line that may be paid for is never replaced by one that may not.
                && (may_be_paid || !before.may_be_paid)
                // Another journal does not know what became of a doubt.
                && (!before.is_doubt || before.journal == journal)
        };
        // Those of several journals stay beside each other.
        let of_row = last.entry((line.origin, identity)).or_default();
        let replaced = of_row.extract_if(.., |before| is_superseded(before));
        superseded.extend(replaced.map(|before| before.number));
        of_row.push(LatestLine { number, task, may_be_paid, is_doubt, journal });
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
fn all_lines(
    manifest: &Path,
) -> io::Result<impl Iterator<Item = io::Result<ManifestText>> + use<>> {
    let file = match File::open(manifest) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        file => Some(file?),
    };
    // Bytes and not text: a line that this program did not write may be no UTF-8, and is kept as it is.
    let lines = file.into_iter().flat_map(|file| BufReader::new(file).split(b'\n'));
    let is_empty = |text: &[u8]| text.iter().all(u8::is_ascii_whitespace);
    let lines = lines.zip(1..).map(|(text, number)| {
        let mut text = text?;
        if number == 1 && text.starts_with(BYTE_ORDER_MARK) {
            text.drain(..BYTE_ORDER_MARK.len());
        }
        let line = serde_json::from_slice(&text).ok();
        Ok(ManifestText { number, text, line })
    });
    // A line that a kill cut. What is whole JSON and no line of this version is kept: a later version may
    // have written it.
    let is_torn = |text: &ManifestText| {
        text.line.is_none()
            && text.text.starts_with(LINE_START)
            && serde_json::from_slice::<IgnoredAny>(&text.text).is_err()
    };
    let is_line = move |text: &ManifestText| !is_empty(&text.text) && !is_torn(text);
    Ok(lines.filter(move |line| line.as_ref().map_or(true, is_line)))
}

/// Some editors begin a file with it.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// How the line of a row begins.
const LINE_START: &[u8] = br#"{"schema":"effects.row.v1""#;

/// A cost that can be one of a task, or of a few.
fn is_plausible(cost: &Decimal) -> bool {
    (Decimal::ZERO..=Usage::MAX_COST).contains(cost)
}
