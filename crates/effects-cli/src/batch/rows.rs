//! [`Checker`]: checks the rows of a manifest without a network: each becomes a [`CheckedRow`], or an
//! [`InvalidRow`] with everything that is wrong with it. Each step of `batch/` that reads the manifest has
//! one (the preflight, `Batch::run`, `Batch::watch`, the checks against earlier and running batches,
//! `Reporter`). [`BatchSettings`], from `commands/batch.rs`, hold for all rows; [`RowLabel`] identifies a
//! row in messages and reports, also of `effects resume` and `effects reorder`.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use effects_client::{Claim, Claims, Job, PhotoSource, file_names, is_special};
use effects_core::journal::{JournalError, RowNumber};
use effects_core::model::{Checked, Draft, DraftImage};
use effects_core::{
    Error, ErrorKind, ExtraParams, ImageFormat, Origin, Reference, Size, signed_url,
};
use effects_jobs::{
    Identity, JournalStore, Occurrences, Photo, Record, Row, RowDraft, RowName, RowPhoto, RowState,
    Uploads,
};

use effects_render::PaintError;

use super::known_photos::{KnownPhoto, KnownPhotos};
use super::manifest::{Cells, ManifestLine};
use super::output_paths::{self, NameFields, NameTemplate, RESULTS, SHEET};
use crate::known_key::KnownKey;
use crate::problem::{self, InputProblem};
use crate::report_file::ReportFile;
use crate::request::whole_number;
use crate::typed_words;

/// A row that breaks no rule.
#[derive(Clone, Debug)]
pub(crate) struct CheckedRow {
    pub(crate) label: RowLabel,
    pub(crate) checked: Checked,
    /// The photo, if it is on this machine.
    pub(crate) photo: Option<PathBuf>,
    /// Where its picture goes.
    pub(crate) target: PathBuf,
    /// Whether the row itself names that place; otherwise another one may do.
    pub(crate) is_named: bool,
    /// Why its photo cannot be read: then the row can be gone on with only where its key is known.
    pub(crate) unreadable: Option<InputProblem>,
}

impl CheckedRow {
    /// The label of the row, and its job; with its row of the journal, where there is one.
    pub(crate) fn into_job(self, row: Option<Row>) -> (RowLabel, Job) {
        let Self { mut label, checked, photo, target, is_named, .. } = self;
        label.identity = row.as_ref().map(|row| row.identity);
        let job = Job::of(checked, photo.map(PhotoSource::File));
        // A made name may be replaced by the one that an earlier run gave the row, so that a manifest
        // that was sorted or has grown moves no picture.
        let job = match is_named {
            true => job.saved_to(target),
            false => job.saved_as_before_or_to(target),
        };
        let claim = Claim { index: label.index, line: label.line.unwrap_or_default() };
        let job = job.claimed_as(claim);
        let job = match row {
            Some(row) => job.known_as(row),
            None => job,
        };
        (label, job)
    }
}

/// A row that cannot be sent.
#[derive(Clone, Debug)]
pub(crate) struct InvalidRow {
    pub(crate) label: Box<RowLabel>,
    /// Everything that is wrong with it; never empty.
    pub(crate) problems: Vec<InputProblem>,
}

/// What identifies a row to people and programs, in messages, in `--json` and in the manifest.
#[derive(Clone, Debug, Default)]
pub(crate) struct RowLabel {
    /// Its place among the rows, from 0.
    pub(crate) index: usize,
    /// The line it begins on.
    pub(crate) line: Option<u64>,
    pub(crate) key: Option<String>,
    pub(crate) template: Option<String>,
    pub(crate) image: Option<String>,
    pub(crate) size: Size,
    pub(crate) params: ExtraParams,
    pub(crate) tag: Option<String>,
    /// The scope that its key counts in.
    pub(crate) scope: Option<String>,
    /// How many rows before it ask for the same in the same words, where no key tells it from them.
    pub(crate) before: u32,
    /// The line of the first row that asks for the same, where no key tells it from that.
    pub(crate) duplicate_of: Option<u64>,
    /// Its identity in the journal, once that is known.
    pub(crate) identity: Option<Identity>,
    /// What its photo on this machine is, once it is read.
    pub(crate) photo: Option<KnownPhoto>,
}

impl RowLabel {
    /// Of a row the journal tells of, which is the row of this place among them.
    pub(crate) fn of_record(index: usize, record: &Record) -> Self {
        let row = &record.row;
        Self {
            index,
            line: None,
            key: row.key.clone(),
            template: Some(row.template.id().to_owned()),
            image: Some(row.image.clone()),
            size: row.size,
            params: row.params.clone(),
            tag: row.tag.clone(),
            identity: Some(row.identity),
            ..Self::default()
        }
    }

    /// The same with `[key]` where it repeats the API key: such a row is refused, and reported all the same.
    pub(crate) fn without_key(self, repeats_key: impl Fn(&str) -> bool) -> Self {
        let clean = |text: Option<String>| {
            text.map(|text| if repeats_key(&text) { "[key]".to_owned() } else { text })
        };
        let params = self.params.iter().filter(|(name, _)| !repeats_key(name));
        let params = params.fold(ExtraParams::default(), |all, (name, value)| {
            let is_key = repeats_key(&value.to_string());
            let value = if is_key { "[key]".into() } else { value.clone() };
            // The name was one before.
            all.clone().with(name, value).unwrap_or(all)
        });
        let (key, image, tag) = (clean(self.key), clean(self.image), clean(self.tag));
        let template = clean(self.template);
        Self { key, template, image, tag, params, ..self }
    }

    /// What a person finds the row by: its line, else its number in the journal.
    pub(crate) fn position(&self, row: Option<RowNumber>) -> String {
        match (self.line, row) {
            (Some(line), _) => format!("line {line}"),
            (None, Some(row)) => format!("row {row}"),
            (None, None) => "a row".to_owned(),
        }
    }
}

/// The settings of a batch that hold for all its rows.
#[derive(Clone, Debug)]
pub(crate) struct BatchSettings {
    /// The folder that paths start from.
    pub(crate) folder: PathBuf,
    /// The folder that pictures go to, absolute.
    pub(crate) out: PathBuf,
    /// The template of rows that name none.
    pub(crate) template: Option<String>,
    /// The scope that keys count in.
    pub(crate) scope: Option<String>,
    /// Whether a row is left out that asks for what an earlier one asks for.
    pub(crate) skips_duplicates: bool,
    /// What pictures are called whose rows name no file.
    pub(crate) name: Option<NameTemplate>,
    /// The tag of rows that have none.
    pub(crate) tag: Option<String>,
    /// The API key, if it is at hand: no row may repeat it.
    pub(crate) api_key: KnownKey,
    /// Where a table of what became of each row goes.
    pub(crate) report_csv: Option<ReportFile>,
    /// Where a page of it goes.
    pub(crate) report: Option<ReportFile>,
    /// The gateway.
    pub(crate) origin: Origin,
    /// The photos that earlier runs have read.
    pub(crate) known_photos: Arc<KnownPhotos>,
    /// How photos on this machine are uploaded, or why they cannot be.
    pub(crate) uploads: Result<Uploads, Error>,
}

/// Checks the rows of a manifest one after the other: a key or a file that one row has, no later row may
/// have.
pub(crate) struct Checker<'a> {
    settings: &'a BatchSettings,
    claims: Claims,
    keys: HashMap<String, u64>,
    /// How often equal rows came, by what they ask for.
    seen: HashMap<u64, u32>,
    /// The first lines of rows without a key, by what they ask for, however their URL is written.
    first: HashMap<u64, u64>,
    count: usize,
    /// Whether the row was checked before.
    checks_anew: bool,
}

impl BatchSettings {
    /// Where reports go.
    pub(crate) fn reports(&self) -> impl Iterator<Item = &ReportFile> {
        self.report_csv.iter().chain(&self.report)
    }

    /// The row as the journal knows it, with this photo.
    pub(super) fn draft(&self, checked_row: &CheckedRow, photo: RowPhoto) -> RowDraft {
        let mut draft = self.bare(&checked_row.checked, photo);
        (draft.key, draft.tag) = (checked_row.label.key.clone(), checked_row.label.tag.clone());
        draft.target = Some(checked_row.target.clone());
        draft
    }

    /// The hash of a row's photo, as the folder's manifest has it; `None` where it cannot be read.
    pub(super) fn photo_hash(&self, checked_row: &CheckedRow) -> Option<String> {
        let photo = match (&checked_row.checked.reference, &checked_row.photo) {
            (Some(url), _) => RowPhoto::Url(url.clone()),
            (None, Some(path)) => {
                RowPhoto::content(&effects_client::read_photo(path).ok()?, String::new())
            }
            (None, None) => return None,
        };
        // The likeness is of the photo alone. The sixteen bytes make an identity, which is not used here.
        Some(self.bare(&checked_row.checked, photo).unique([0; 16]).likeness.to_string())
    }

    /// By what the journal knows a row, as far as that is known without reading a photo.
    pub(super) fn identity(
        &self,
        checked_row: &CheckedRow,
        equal: &mut Occurrences,
        lookup: JournalLookup<'_>,
    ) -> Option<Identity> {
        let photo = match (&checked_row.checked.reference, &checked_row.label.key) {
            (Some(url), _) => RowPhoto::Url(url.clone()),
            // The key alone counts.
            (None, Some(_)) => RowPhoto::Content { digest: [0; 32], shown: String::new() },
            (None, None) => return None,
        };
        let mut draft = self.bare(&checked_row.checked, photo);
        draft.key.clone_from(&checked_row.label.key);
        Some(equal.row(draft, lookup).ok()?.row.identity)
    }

    /// The row of a key, whose photo cannot be read any more, as the journal knows it: to go on with its
    /// task needs no photo. `None` where there is nothing to go on with.
    pub(super) fn known_row(
        &self,
        checked_row: &CheckedRow,
        lookup: JournalLookup<'_>,
    ) -> Result<Option<Row>, InputProblem> {
        // A count of its own will do: a key names one row, so that no equal ones are counted.
        let mut order = Occurrences::within(self.scope.clone());
        let Some(identity) = self.identity(checked_row, &mut order, lookup) else {
            return Ok(None);
        };
        let record = lookup(&identity).map_err(|error| journal_problem(&error))?;
        // A released row has no task to go on with, and to submit it takes the photo.
        let begun = |it: &Record| !matches!(it.state, RowState::Released { .. });
        Ok(record.filter(begun).map(|record| {
            let shown = record.row.image.clone();
            // The photo's hash is unknown here; the likeness is put in from the journal's row below.
            let draft = self.draft(checked_row, RowPhoto::Content { digest: [0; 32], shown });
            Row { identity, likeness: record.row.likeness, ..draft.unique([0; 16]) }
        }))
    }

    /// The image as people may see it.
    fn shown(&self, checked: &Checked, given: String) -> String {
        match &checked.reference {
            Some(url) => self.bare(checked, RowPhoto::Url(url.clone())).unique([0; 16]).image,
            None => given,
        }
    }

    fn bare(&self, checked: &Checked, photo: RowPhoto) -> RowDraft {
        RowDraft {
            origin: self.origin.clone(),
            template: checked.template.clone(),
            size: checked.size,
            params: checked.params.clone(),
            photo,
            key: None,
            tag: None,
            target: None,
        }
    }
}

impl<'a> Checker<'a> {
    pub(crate) fn new(settings: &'a BatchSettings) -> Self {
        let mut claims = Claims::default();
        let own = [RESULTS, SHEET].map(|name| settings.out.join(name));
        for path in own.iter().chain(settings.reports().map(|report| &report.path)) {
            // No row was before it.
            let _ = claims.picture(path, Claim { index: 0, line: 0 });
        }
        Self {
            settings,
            claims,
            keys: HashMap::new(),
            seen: HashMap::new(),
            first: HashMap::new(),
            count: 0,
            checks_anew: false,
        }
    }

    /// Checks the next row.
    pub(crate) fn check(&mut self, line: ManifestLine) -> Result<CheckedRow, InvalidRow> {
        let index = self.count;
        // Bad rows have a place too: `{row}` in `--name` is the same whichever other rows are good.
        self.count += 1;
        self.check_at(index, line)
    }

    /// Checks the row at this place among the rows once more: nothing was sent for it, and its photo is
    /// another now.
    pub(crate) fn check_anew(
        &mut self,
        index: usize,
        line: ManifestLine,
    ) -> Result<CheckedRow, InvalidRow> {
        self.checks_anew = true;
        let checked = self.check_at(index, line);
        self.checks_anew = false;
        checked
    }

    fn check_at(&mut self, index: usize, line: ManifestLine) -> Result<CheckedRow, InvalidRow> {
        let mut label = RowLabel { index, line: Some(line.number), ..RowLabel::default() };
        let cells = match line.cells {
            Ok(cells) => cells,
            Err(why) => {
                let why = self.settings.api_key.redact(why).into_owned();
                let problems = vec![InputProblem::row(None, why)];
                return Err(InvalidRow { label: label.into(), problems });
            }
        };
        label.template = cells.template.clone().or_else(|| self.settings.template.clone());
        label.tag = cells.tag.clone().or_else(|| self.settings.tag.clone());
        label.key.clone_from(&cells.key);
        // A link can be a permission, and labels are written to files.
        let shown = |image: &String| {
            if Reference::is_url(image) { signed_url::shown(image) } else { image.clone() }
        };
        label.image = cells.image.as_ref().map(shown);
        label.scope = label.key.as_ref().and_then(|_| self.settings.scope.clone());
        let repeated = self.repeated_key(&label, &cells);
        // Checked to its end all the same, so that a person is told everything that is wrong with it at
        // once.
        let checked = self.check_cells(line.number, &mut label, cells);
        if repeated.is_empty() {
            return checked.map_err(|problems| InvalidRow { label: label.into(), problems });
        }
        let api_key = &self.settings.api_key;
        let others = checked.err().into_iter().flatten();
        // The other problems may quote a cell that holds the key.
        let others = others.map(|problem| problem.without_key(api_key));
        let label = label.without_key(|text| api_key.is_in(text));
        Err(InvalidRow {
            label: label.into(),
            problems: repeated.into_iter().chain(others).collect(),
        })
    }

    /// Where a row repeats the API key: its label is kept, and its request is sent.
    fn repeated_key(&self, label: &RowLabel, cells: &Cells) -> Vec<InputProblem> {
        let mut problems = Vec::new();
        let mut check_text = |field, description: &str, text: &str| {
            if self.settings.api_key.is_in(text) {
                problems.push(typed_words::holds_key(Some(field), description));
            }
        };
        let image = cells.image.as_deref();
        // The fields have the service's names for them, as in all problems of a row.
        for (field, description, text) in [
            ("template_id", "the template", label.template.as_deref()),
            ("image_input1", typed_words::photo(image.unwrap_or_default()), image),
            ("width", "the width", cells.width.as_deref()),
            ("height", "the height", cells.height.as_deref()),
            ("key", "the row's own key", cells.key.as_deref()),
            ("tag", "the tag", label.tag.as_deref()),
            ("out", "the column \"out\"", cells.out.as_deref()),
        ] {
            check_text(field, description, text.unwrap_or_default());
        }
        for (name, value) in cells.params.iter().flatten() {
            if self.settings.api_key.is_in(name) {
                check_text("params", "the name of a parameter", name);
            } else {
                check_text("params", &format!("parameter {name:?}"), &value.to_string());
            }
        }
        problems
    }

    fn check_cells(
        &mut self,
        line: u64,
        label: &mut RowLabel,
        cells: Cells,
    ) -> Result<CheckedRow, Vec<InputProblem>> {
        let mut problems = Vec::new();
        let (image, photo, mut unreadable) =
            self.image(cells.image.as_deref(), cells.file.as_deref(), &mut problems);
        // With a key the journal may have the row: to fetch its picture takes no photo (`known_row`).
        if label.key.is_none() {
            problems.extend(unreadable.take());
        }
        let mut side = |field, given: Option<String>| {
            let number = whole_number(field, given.as_deref());
            number.map_err(|violation| problems.push(violation.into())).ok().flatten()
        };
        let (width, height) = (side("width", cells.width), side("height", cells.height));
        // Also where the row is bad: by this it is known which row of an earlier run it is.
        let whole = |side: Option<i64>| side.and_then(|side| u32::try_from(side).ok());
        label.size = Size { width: whole(width), height: whole(height) };
        let template_id = label.template.clone();
        let bad_params = cells.bad_params.into_iter();
        problems.extend(bad_params.map(|why| InputProblem::row(Some("params"), why)));
        let params = cells.params.map(ExtraParams::try_from).transpose();
        let params = params.map_err(|invalid| {
            problems.push(InputProblem::row(Some("params"), invalid.to_string()));
        });
        let params = params.ok().flatten().unwrap_or_default();
        label.params.clone_from(&params);
        let draft = Draft { image, template_id, width, height, params, ..Draft::default() };
        let checked = draft.check().map_err(|invalid| {
            problems.extend(problem::violations(&invalid));
        });
        if let Some(key) = &label.key {
            self.key(line, key, &mut problems);
        }
        let given = cells.image.as_deref().unwrap_or_default();
        let name = match (&cells.out, &self.settings.name) {
            (Some(out), _) => Some(output_paths::checked_name(out)),
            (None, Some(name)) => Some(name.name(&NameFields {
                stem: file_names::stem(given),
                template: label.template.as_deref().unwrap_or_default(),
                key: label.key.as_deref(),
                row: label.index + 1,
            })),
            (None, None) => None,
        };
        let name = name.transpose();
        let name = name.map_err(|why| problems.push(InputProblem::row(Some("out"), why)));
        let (Ok(checked), Ok(name)) = (checked, name) else { return Err(problems) };
        // A path that is no text is told from another whose name is written like it.
        let bytes = cells.file.as_ref().map_or(&[][..], |path| path.as_os_str().as_encoded_bytes());
        let photo_name = format!("{given}{}", bytes.escape_ascii());
        let before = self.before(&photo_name, &checked);
        let is_named = name.is_some();
        let name = name.unwrap_or_else(|| match &label.key {
            Some(key) => file_names::of_key(key),
            None => {
                let Checked { template, size, params, .. } = &checked;
                file_names::of_row(given, template, *size, params, before)
            }
        });
        let target = self.settings.out.join(cells.folder.unwrap_or_default()).join(name);
        let mut label = label.clone();
        label.size = checked.size;
        if label.key.is_none() {
            label.before = before;
            label.duplicate_of = self.duplicate_of(line, &photo_name, &checked);
        }
        label.image = Some(self.settings.shown(&checked, label.image.take().unwrap_or_default()));
        let claim = Claim { index: label.index, line };
        let mut checked_row = CheckedRow { label, checked, photo, target, is_named, unreadable };
        // A row that is left out gets no picture, so it must not take a name from another row.
        if checked_row.label.duplicate_of.is_none() || !self.settings.skips_duplicates {
            problems.extend(self.claim(claim, &mut checked_row).err());
        }
        if problems.is_empty() { Ok(checked_row) } else { Err(problems) }
    }

    /// The image of the draft, and its path if it is on this machine, and why it cannot be read there.
    fn image(
        &self,
        given: Option<&str>,
        file: Option<&Path>,
        problems: &mut Vec<InputProblem>,
    ) -> (DraftImage, Option<PathBuf>, Option<InputProblem>) {
        let given = match given {
            None => return (DraftImage::Missing, None, None),
            Some(url) if Reference::is_url(url) => {
                return (DraftImage::Url(url.to_owned()), None, None);
            }
            Some(path) => path,
        };
        if given == "-" {
            let why = "image \"-\" would be stdin, which a manifest cannot mean".to_owned();
            problems.push(InputProblem::row(Some("image_input1"), why));
            return (DraftImage::Local, None, None);
        }
        let path = self.settings.folder.join(file.unwrap_or(Path::new(given)));
        let unreadable =
            check_photo_file(&path).err().map(|error| InputProblem::photo(given, &error));
        if let Err(error) = &self.settings.uploads {
            problems.push(error.clone().into());
        }
        (DraftImage::Local, Some(path), unreadable)
    }

    fn key(&mut self, line: u64, key: &str, problems: &mut Vec<InputProblem>) {
        let first = *self.keys.entry(key.to_owned()).or_insert(line);
        if first != line {
            let why = format!("key {key:?} is that of line {first}: a key names one row");
            problems.push(InputProblem::row(Some("key"), why));
        }
    }

    /// How often a row that asks for the same came before.
    fn before(&mut self, image: &str, checked: &Checked) -> u32 {
        let Checked { template, size, params, .. } = checked;
        let ask_hash = file_names::hash_of_ask(image, template, *size, params);
        let count = self.seen.entry(ask_hash).or_default();
        // A row that is checked anew was counted, unless it was bad then.
        if !self.checks_anew || *count == 0 {
            *count += 1;
        }
        *count - 1
    }

    /// The line of the first row that asks for the same.
    fn duplicate_of(&mut self, line: u64, image: &str, checked: &Checked) -> Option<u64> {
        let Checked { reference, template, size, params } = checked;
        let url = reference.as_ref().map(Reference::canonical);
        let image = url.as_deref().unwrap_or(image);
        let ask_hash = file_names::hash_of_ask(image, template, *size, params);
        let first = *self.first.entry(ask_hash).or_insert(line);
        (first != line).then_some(first)
    }

    fn claim(&mut self, claim: Claim, checked_row: &mut CheckedRow) -> Result<(), InputProblem> {
        // Only noted here: that an earlier row's picture would replace this photo shows in
        // `Claims::conflicts`, once all rows were read.
        if let Some(photo) = &checked_row.photo {
            self.claims.photo(photo, claim.line);
        }
        let Err(other) = self.claims.picture(&checked_row.target, claim) else { return Ok(()) };
        // The name of a key is another row's, on a system that takes "Cat" for "cat", say. (Other
        // made names hold a hash of the row.)
        if !checked_row.is_named
            && checked_row.label.key.is_some()
            && let Some(identity) = self.settings.identity(
                checked_row,
                &mut Occurrences::within(self.settings.scope.clone()),
                &|_| Ok(None),
            )
        {
            let own = file_names::of_identity(&checked_row.target, &identity);
            if self.claims.picture(&own, claim).is_ok() {
                checked_row.target = own;
                return Ok(());
            }
        }
        let name = checked_row
            .target
            .strip_prefix(&self.settings.out)
            .unwrap_or(&checked_row.target)
            .display();
        let why = match other.line {
            0 => format!("out \"{name}\" is a file of the batch itself"),
            line if self.settings.name.is_some() => format!(
                "its picture \"{name}\" is that of line {line} too: tell them apart with {{row}} or \
                 {{key}} in --name, or give one an `out`"
            ),
            line => format!("its picture \"{name}\" is that of line {line} too: give one an `out`"),
        };
        Err(InputProblem::row(Some("out"), why))
    }

    /// Every file that a row or the batch itself has claimed.
    pub(crate) fn into_claims(self) -> Claims {
        self.claims
    }
}

/// What a journal has under an identity.
pub(crate) type JournalLookup<'a> = &'a dyn Fn(&Identity) -> Result<Option<Record>, JournalError>;

/// Looks in a store, or in none.
pub(crate) fn lookup_in(
    store: Option<&dyn JournalStore>,
) -> impl Fn(&Identity) -> Result<Option<Record>, JournalError> {
    move |identity| store.map_or(Ok(None), |store| store.find(&RowName::Identity(*identity)))
}

/// A problem of the journal, reported with a row.
pub(super) fn journal_problem(error: &JournalError) -> InputProblem {
    Error::new(ErrorKind::Journal, error.to_string()).into()
}

/// Whether the photo of a row is whole, found out by decoding it.
pub(super) fn check_whole(checked_row: &CheckedRow) -> Result<(), InputProblem> {
    let Some(path) = &checked_row.photo else { return Ok(()) };
    let fail = |error: &Error| InputProblem::photo(&file_names::shown(path), error);
    let photo = effects_client::read_photo(path).map_err(|error| fail(&error))?;
    decode(&photo).map_err(|why| {
        let message = format!("photo {}: {why}", path.display());
        fail(&Error::new(ErrorKind::UnusablePhoto, message))
    })
}

/// Decodes a photo to its end, one at a time since the pixels take room. Only what is damaged is
/// refused: the service may take formats that are not decoded here.
pub(crate) fn decode(photo: &Photo) -> Result<(), String> {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    match effects_render::photo_size(photo.bytes()) {
        Err(error @ PaintError::Corrupt { .. }) => {
            Err(format!("{error}; --no-photo-check sends it as it is"))
        }
        _ => Ok(()),
    }
}

/// Whether a file can be a photo, by its length and its first bytes.
pub(super) fn check_photo_file(path: &Path) -> Result<(), Error> {
    let fail = |why: String| {
        let message = format!("photo {} {why}", path.display());
        Err(Error::new(ErrorKind::UnusablePhoto, message))
    };
    // Before it is opened: to open a pipe that nothing is written to waits for ever.
    if is_special(path) {
        return fail(
            "is no regular file, and a batch reads a photo more than once: save it as a file"
                .to_owned(),
        );
    }
    let mut start = Vec::new();
    let found = File::open(path).and_then(|file| {
        let found = file.metadata()?;
        file.take(START_BYTES).read_to_end(&mut start)?;
        Ok(found)
    });
    match found {
        Err(error) => fail(format!("cannot be read: {error}")),
        Ok(found) if found.len() > Photo::MAX_BYTES as u64 => {
            let (length, max_bytes) = (found.len(), Photo::MAX_BYTES);
            fail(format!("has {length} bytes, and at most {max_bytes} are uploaded: shrink it"))
        }
        Ok(_) if ImageFormat::sniff(&start).is_none() => fail(Photo::why_none(&start)),
        Ok(_) => Ok(()),
    }
}

/// How much of a file tells what it is where it is no picture.
const START_BYTES: u64 = 1024;
