//! A row on its way through the machine.

use std::path::{Path, PathBuf};
use std::time::Instant;

use effects_client::OpenRow;
use effects_core::{Record, Row, RowName, RowNumber, TaskId};
use rust_decimal::Decimal;

use super::course::Course;
use super::names::Claims;
use super::report::How;
use super::rows::{Told, Wanted};
use crate::input_file::InputFile;
use crate::naming::{self, Names};

/// A row to do: one of a manifest, or one the journal tells of.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) told: Told,
    pub(crate) source: Source,
    /// New paid tasks that were made for it where no journal counts them.
    pub(crate) renewals: u32,
    /// What its tasks before the current one cost, in USD.
    pub(crate) earlier: Decimal,
    /// How it was gone on with before, in this run.
    pub(crate) how: Option<How>,
    /// Since when it has been in the hands of another process.
    pub(crate) aside: Option<Instant>,
}

/// Where a row comes from.
#[derive(Debug)]
pub(crate) enum Source {
    /// A manifest; known to the journal as the row beside it, where there is a journal.
    Manifest(Box<Wanted>, Option<Box<Row>>),
    /// The journal.
    Journal(Box<Record>),
}

/// A row that the batch machine has.
#[derive(Debug)]
pub(crate) struct InHand {
    pub(crate) item: Item,
    pub(crate) open: Option<OpenRow>,
    pub(crate) how: How,
}

impl Item {
    pub(crate) fn new(told: Told, source: Source) -> Self {
        Self { told, source, renewals: 0, earlier: Decimal::ZERO, how: None, aside: None }
    }

    /// A row the journal tells of; rows are counted from 1.
    pub(crate) fn of_record(index: usize, record: Record) -> Self {
        let row = &record.row;
        let told = Told {
            index: index - 1,
            line: None,
            key: row.key.clone(),
            template: Some(row.template.id().to_owned()),
            image: Some(row.image.clone()),
            size: row.size,
            tag: row.tag.clone(),
            before: 0,
            identity: Some(row.identity),
        };
        Self::new(told, Source::Journal(Box::new(record)))
    }

    /// The row of the journal, as it is known before it is opened.
    pub(crate) fn row(&self) -> Option<&Row> {
        match &self.source {
            Source::Manifest(_, row) => row.as_deref(),
            Source::Journal(record) => Some(&record.row),
        }
    }

    /// Whether a picture that was saved at `path` is where the row wants the one that goes to `place`.
    pub(crate) fn is_in_place(&self, path: &Path, place: &Path, task: &TaskId) -> bool {
        match &self.source {
            // The name that an earlier run made stays, also where another would be made today.
            Source::Manifest(wanted, _) if !wanted.is_named => path.parent() == place.parent(),
            _ => naming::is_at_or_beside(path, place, task),
        }
    }

    /// Where the picture of this index goes; `task` names it where the row does not.
    pub(crate) fn path(&self, index: usize, task: &TaskId, claims: &Claims) -> PathBuf {
        let target = match &self.source {
            Source::Manifest(wanted, _) => Some(wanted.target.as_path()),
            Source::Journal(record) => record.row.target.as_deref(),
        };
        let named = |folder: Option<&Path>| {
            let template = match &self.source {
                Source::Manifest(wanted, _) => &wanted.checked.template,
                Source::Journal(record) => &record.row.template,
            };
            let names = Names::default_for(Some(template), task);
            folder.map_or_else(|| names.path(index), |folder| folder.join(names.path(index)))
        };
        let path = match target {
            Some(folder) if folder.is_dir() => named(Some(folder)),
            Some(file) => Names::chosen(file.to_owned()).path(index),
            None => named(None),
        };
        let is_taken = match &self.source {
            // A second picture whose usual name is another row's; a first one's own was claimed.
            Source::Manifest(..) => index > 0 && claims.has(&path),
            Source::Journal(record) => InputFile::of(Some(&record.row.image)).is_at(&path),
        };
        if is_taken {
            let hash = naming::hash(&path.to_string_lossy());
            return path.with_extension(format!("{hash:016x}.png"));
        }
        path
    }
}

impl InHand {
    /// The row's number in the journal.
    pub(crate) fn number(&self, course: &Course) -> Option<RowNumber> {
        if let Some(record) = self.open.as_ref().and_then(OpenRow::record) {
            return Some(record.number);
        }
        let Source::Manifest(_, Some(row)) = &self.item.source else { return None };
        // A row that was begun by this run got its number with its intent.
        let name = RowName::Identity(row.identity);
        let found = course.ledger.as_ref()?.store().look(&name);
        found.ok().flatten().map(|record| record.number)
    }
}
