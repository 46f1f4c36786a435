//! [`Checker`]: checks the rows of a manifest, and finds everything that is wrong with each at once,
//! without a network: a [`Wanted`] row or a [`Bad`] one. [`RowLabel`] is what is told of a row, and
//! [`Common`] what all rows share. `preflight.rs`, `run.rs` and `watch.rs` check rows with it, among
//! others in this folder.

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
use crate::report_place::ReportPlace;
use crate::request::whole_number;
use crate::typed_words;

/// A row that breaks no rule.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) told: RowLabel,
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

impl Wanted {
    /// What is told of the row, and its job; with its row of the journal, where there is one.
    pub(crate) fn into_job(self, row: Option<Row>) -> (RowLabel, Job) {
        let Self { mut told, checked, photo, target, is_named, .. } = self;
        told.identity = row.as_ref().map(|row| row.identity);
        let job = Job::of(checked, photo.map(PhotoSource::File));
        // A made name may be replaced by the one that an earlier run gave the row, so that a manifest
        // that was sorted or has grown moves no picture.
        let job = match is_named {
            true => job.saved_to(target),
            false => job.saved_as_before_or_to(target),
        };
        let claim = Claim { index: told.index, line: told.line.unwrap_or_default() };
        let job = job.claimed_as(claim);
        let job = match row {
            Some(row) => job.known_as(row),
            None => job,
        };
        (told, job)
    }
}

/// A row that cannot be sent.
#[derive(Clone, Debug)]
pub(crate) struct Bad {
    pub(crate) told: Box<RowLabel>,
    /// Everything that is wrong with it; never empty.
    pub(crate) problems: Vec<InputProblem>,
}

/// What is told of a row at every end.
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

    /// The same with `[key]` where it repeats the API key: such a row is refused, and told of all the same.
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
    pub(crate) fn place(&self, row: Option<RowNumber>) -> String {
        match (self.line, row) {
            (Some(line), _) => format!("line {line}"),
            (None, Some(row)) => format!("row {row}"),
            (None, None) => "a row".to_owned(),
        }
    }
}

/// What all rows of a manifest have in common.
#[derive(Clone, Debug)]
pub(crate) struct Common {
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
    pub(crate) report_csv: Option<ReportPlace>,
    /// Where a page of it goes.
    pub(crate) report: Option<ReportPlace>,
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
    common: &'a Common,
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

impl Common {
    /// Where reports go.
    pub(crate) fn reports(&self) -> impl Iterator<Item = &ReportPlace> {
        self.report_csv.iter().chain(&self.report)
    }

    /// The row as the journal knows it, with this photo.
    pub(super) fn draft(&self, wanted: &Wanted, photo: RowPhoto) -> RowDraft {
        let mut draft = self.bare(&wanted.checked, photo);
        (draft.key, draft.tag) = (wanted.told.key.clone(), wanted.told.tag.clone());
        draft.target = Some(wanted.target.clone());
        draft
    }

    /// The hash of a row's photo, as the folder's manifest has it; `None` where it cannot be read.
    pub(super) fn photo_hash(&self, wanted: &Wanted) -> Option<String> {
        let photo = match (&wanted.checked.reference, &wanted.photo) {
            (Some(url), _) => RowPhoto::Url(url.clone()),
            (None, Some(path)) => {
                RowPhoto::content(&effects_client::read_photo(path).ok()?, String::new())
            }
            (None, None) => return None,
        };
        // The likeness is of the photo alone. The sixteen bytes make an identity, which is not used here.
        Some(self.bare(&wanted.checked, photo).unique([0; 16]).likeness.to_string())
    }

    /// By what the journal knows a row, as far as that is known without reading a photo.
    pub(super) fn identity(
        &self,
        wanted: &Wanted,
        equal: &mut Occurrences,
        look: JournalLookup<'_>,
    ) -> Option<Identity> {
        let photo = match (&wanted.checked.reference, &wanted.told.key) {
            (Some(url), _) => RowPhoto::Url(url.clone()),
            // The key alone counts.
            (None, Some(_)) => RowPhoto::Content { digest: [0; 32], shown: String::new() },
            (None, None) => return None,
        };
        let mut draft = self.bare(&wanted.checked, photo);
        draft.key.clone_from(&wanted.told.key);
        Some(equal.row(draft, look).ok()?.row.identity)
    }

    /// The row of a key, whose photo cannot be read any more, as the journal knows it: to go on with its
    /// task needs no photo. `None` where there is nothing to go on with.
    pub(super) fn known_row(
        &self,
        wanted: &Wanted,
        look: JournalLookup<'_>,
    ) -> Result<Option<Row>, InputProblem> {
        // A count of its own will do: a key names one row, so that no equal ones are counted.
        let mut order = Occurrences::within(self.scope.clone());
        let Some(identity) = self.identity(wanted, &mut order, look) else { return Ok(None) };
        let record = look(&identity).map_err(|error| journal_problem(&error))?;
        // A released row has no task to go on with, and to submit it takes the photo.
        let begun = |it: &Record| !matches!(it.state, RowState::Released { .. });
        Ok(record.filter(begun).map(|record| {
            let shown = record.row.image.clone();
            // The photo's hash is unknown here; the likeness is put in from the journal's row below.
            let draft = self.draft(wanted, RowPhoto::Content { digest: [0; 32], shown });
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
    pub(crate) fn new(common: &'a Common) -> Self {
        let mut claims = Claims::default();
        let own = [RESULTS, SHEET].map(|name| common.out.join(name));
        for path in own.iter().chain(common.reports().map(|place| &place.path)) {
            // No row was before it.
            let _ = claims.picture(path, Claim { index: 0, line: 0 });
        }
        Self {
            common,
            claims,
            keys: HashMap::new(),
            seen: HashMap::new(),
            first: HashMap::new(),
            count: 0,
            checks_anew: false,
        }
    }

    /// Checks the next row.
    pub(crate) fn check(&mut self, line: ManifestLine) -> Result<Wanted, Bad> {
        let index = self.count;
        // Bad rows have a place too: `{row}` in `--name` is the same whichever other rows are good.
        self.count += 1;
        self.check_at(index, line)
    }

    /// Checks the row at this place among the rows once more: nothing was sent for it, and its photo is
    /// another now.
    pub(crate) fn check_anew(&mut self, index: usize, line: ManifestLine) -> Result<Wanted, Bad> {
        self.checks_anew = true;
        let checked = self.check_at(index, line);
        self.checks_anew = false;
        checked
    }

    fn check_at(&mut self, index: usize, line: ManifestLine) -> Result<Wanted, Bad> {
        let mut told = RowLabel { index, line: Some(line.number), ..RowLabel::default() };
        let cells = match line.cells {
            Ok(cells) => cells,
            Err(why) => {
                let why = self.common.api_key.redact(why).into_owned();
                let problems = vec![InputProblem::row(None, why)];
                return Err(Bad { told: told.into(), problems });
            }
        };
        told.template = cells.template.clone().or_else(|| self.common.template.clone());
        told.tag = cells.tag.clone().or_else(|| self.common.tag.clone());
        told.key.clone_from(&cells.key);
        // A link can be a permission, and what is told of a row is written down.
        let shown = |image: &String| {
            if Reference::is_url(image) { signed_url::shown(image) } else { image.clone() }
        };
        told.image = cells.image.as_ref().map(shown);
        told.scope = told.key.as_ref().and_then(|_| self.common.scope.clone());
        let repeated = self.repeated_key(&told, &cells);
        // Checked to its end all the same, so that a person is told everything that is wrong with it at
        // once.
        let checked = self.check_cells(line.number, &mut told, cells);
        if repeated.is_empty() {
            return checked.map_err(|problems| Bad { told: told.into(), problems });
        }
        let api_key = &self.common.api_key;
        let others = checked.err().into_iter().flatten();
        // The other problems may quote a cell that holds the key.
        let others = others.map(|problem| problem.without_key(api_key));
        let told = told.without_key(|text| api_key.is_in(text));
        Err(Bad { told: told.into(), problems: repeated.into_iter().chain(others).collect() })
    }

    /// Where a row repeats the API key: what is told of it is kept, and what is asked is sent.
    fn repeated_key(&self, told: &RowLabel, cells: &Cells) -> Vec<InputProblem> {
        let mut problems = Vec::new();
        let mut look = |field, place: &str, text: &str| {
            if self.common.api_key.is_in(text) {
                problems.push(typed_words::holds_key(Some(field), place));
            }
        };
        let image = cells.image.as_deref();
        // The fields have the service's names for them, as in all problems of a row.
        for (field, place, text) in [
            ("template_id", "the template", told.template.as_deref()),
            ("image_input1", typed_words::photo(image.unwrap_or_default()), image),
            ("width", "the width", cells.width.as_deref()),
            ("height", "the height", cells.height.as_deref()),
            ("key", "the row's own key", cells.key.as_deref()),
            ("tag", "the tag", told.tag.as_deref()),
            ("out", "the column \"out\"", cells.out.as_deref()),
        ] {
            look(field, place, text.unwrap_or_default());
        }
        for (name, value) in cells.params.iter().flatten() {
            if self.common.api_key.is_in(name) {
                look("params", "the name of a parameter", name);
            } else {
                look("params", &format!("parameter {name:?}"), &value.to_string());
            }
        }
        problems
    }

    fn check_cells(
        &mut self,
        line: u64,
        told: &mut RowLabel,
        cells: Cells,
    ) -> Result<Wanted, Vec<InputProblem>> {
        let mut problems = Vec::new();
        let (image, photo, mut unreadable) =
            self.image(cells.image.as_deref(), cells.file.as_deref(), &mut problems);
        // With a key the journal may have the row: to fetch its picture takes no photo (`known_row`).
        if told.key.is_none() {
            problems.extend(unreadable.take());
        }
        let mut side = |field, given: Option<String>| {
            let number = whole_number(field, given.as_deref());
            number.map_err(|violation| problems.push(violation.into())).ok().flatten()
        };
        let (width, height) = (side("width", cells.width), side("height", cells.height));
        // Also where the row is bad: by this it is known which row of an earlier run it is.
        let whole = |side: Option<i64>| side.and_then(|side| u32::try_from(side).ok());
        told.size = Size { width: whole(width), height: whole(height) };
        let template_id = told.template.clone();
        let bad_params = cells.bad_params.into_iter();
        problems.extend(bad_params.map(|why| InputProblem::row(Some("params"), why)));
        let params = cells.params.map(ExtraParams::try_from).transpose();
        let params = params.map_err(|invalid| {
            problems.push(InputProblem::row(Some("params"), invalid.to_string()));
        });
        let params = params.ok().flatten().unwrap_or_default();
        told.params.clone_from(&params);
        let draft = Draft { image, template_id, width, height, params, ..Draft::default() };
        let checked = draft.check().map_err(|invalid| {
            problems.extend(problem::violations(&invalid));
        });
        if let Some(key) = &told.key {
            self.key(line, key, &mut problems);
        }
        let given = cells.image.as_deref().unwrap_or_default();
        let name = match (&cells.out, &self.common.name) {
            (Some(out), _) => Some(output_paths::asked_for(out)),
            (None, Some(name)) => Some(name.name(&NameFields {
                stem: file_names::stem(given),
                template: told.template.as_deref().unwrap_or_default(),
                key: told.key.as_deref(),
                row: told.index + 1,
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
        let name = name.unwrap_or_else(|| match &told.key {
            Some(key) => file_names::of_key(key),
            None => {
                let Checked { template, size, params, .. } = &checked;
                file_names::of_row(given, template, *size, params, before)
            }
        });
        let target = self.common.out.join(cells.folder.unwrap_or_default()).join(name);
        let mut told = told.clone();
        told.size = checked.size;
        if told.key.is_none() {
            told.before = before;
            told.duplicate_of = self.duplicate_of(line, &photo_name, &checked);
        }
        told.image = Some(self.common.shown(&checked, told.image.take().unwrap_or_default()));
        let claim = Claim { index: told.index, line };
        let mut wanted = Wanted { told, checked, photo, target, is_named, unreadable };
        // A row that is left out gets no picture, so it must not take a name from another row.
        if wanted.told.duplicate_of.is_none() || !self.common.skips_duplicates {
            problems.extend(self.claim(claim, &mut wanted).err());
        }
        if problems.is_empty() { Ok(wanted) } else { Err(problems) }
    }

    /// What is said of the image, and its path if it is on this machine, and why it cannot be read there.
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
        let path = self.common.folder.join(file.unwrap_or(Path::new(given)));
        let unreadable = peek(&path).err().map(|error| InputProblem::photo(given, &error));
        if let Err(error) = &self.common.uploads {
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
        let asked = file_names::hash_of_ask(image, template, *size, params);
        let count = self.seen.entry(asked).or_default();
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
        let asked = file_names::hash_of_ask(image, template, *size, params);
        let first = *self.first.entry(asked).or_insert(line);
        (first != line).then_some(first)
    }

    fn claim(&mut self, claim: Claim, wanted: &mut Wanted) -> Result<(), InputProblem> {
        // Only noted here: that an earlier row's picture would replace this photo shows in
        // `Claims::conflicts`, once all rows were read.
        if let Some(photo) = &wanted.photo {
            self.claims.photo(photo, claim.line);
        }
        let Err(other) = self.claims.picture(&wanted.target, claim) else { return Ok(()) };
        // The name of a key is another row's, on a system that takes "Cat" for "cat", say. (Other
        // made names hold a hash of the row.)
        if !wanted.is_named
            && wanted.told.key.is_some()
            && let Some(identity) = self.common.identity(
                wanted,
                &mut Occurrences::within(self.common.scope.clone()),
                &|_| Ok(None),
            )
        {
            let own = file_names::of_identity(&wanted.target, &identity);
            if self.claims.picture(&own, claim).is_ok() {
                wanted.target = own;
                return Ok(());
            }
        }
        let name = wanted.target.strip_prefix(&self.common.out).unwrap_or(&wanted.target).display();
        let why = match other.line {
            0 => format!("out \"{name}\" is a file of the batch itself"),
            line if self.common.name.is_some() => format!(
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
pub(crate) fn looking_in(
    store: Option<&dyn JournalStore>,
) -> impl Fn(&Identity) -> Result<Option<Record>, JournalError> {
    move |identity| store.map_or(Ok(None), |store| store.find(&RowName::Identity(*identity)))
}

/// A problem of the journal, told with a row.
pub(super) fn journal_problem(error: &JournalError) -> InputProblem {
    Error::new(ErrorKind::Journal, error.to_string()).into()
}

/// Whether the photo of a row is whole, found out by decoding it.
pub(super) fn check_whole(wanted: &Wanted) -> Result<(), InputProblem> {
    let Some(path) = &wanted.photo else { return Ok(()) };
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
fn peek(path: &Path) -> Result<(), Error> {
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
            let (length, most) = (found.len(), Photo::MAX_BYTES);
            fail(format!("has {length} bytes, and at most {most} are uploaded: shrink it"))
        }
        Ok(_) if ImageFormat::sniff(&start).is_none() => fail(Photo::why_none(&start)),
        Ok(_) => Ok(()),
    }
}

/// How much of a file tells what it is where it is no picture.
const START_BYTES: u64 = 1024;
