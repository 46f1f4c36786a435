//! Rows into jobs: what the journal knows of each, and its photo uploaded, a few at a time.

use std::path::{Path, PathBuf};
use std::time::Duration;

use effects_client::{Found, Job, OpenRow, Work, is_picture, read_photo};
use effects_core::{
    EffectRequest, Error, ErrorKind, JournalError, Photo, Record, Row, RowDraft, RowName, RowPhoto,
    Standing, Trouble,
};
use rust_decimal::Decimal;

use super::course::{Course, Prepared, Wake};
use super::ends::make_folder;
use super::item::{InHand, Item, Source};
use super::placement::{self, SavedPicture};
use super::report::{How, Report, RowError, Status};
use super::rows::{Bad, Wanted};
use crate::input_file::InputFile;
use crate::pictures;
use crate::problem::Problem;

/// Prepares one row after the other until there are no more.
pub(crate) fn prepare(course: &Course) {
    while let Some(mut item) = course.rows.pop() {
        match placement::choose(course, &mut item).and_then(|()| open(course, &item)) {
            Ok(None) => submit(course, item, None),
            Ok(Some(found)) => go_on(course, item, found),
            Err(error @ JournalError::KeyReused { .. }) => {
                let problems = vec![Problem::row(Some("key"), error.to_string())];
                course.report(Report::of_bad(Bad { told: item.told.into(), problems }));
            }
            Err(error) => journal_fails(course, &error),
        }
    }
}

/// The journal cannot be read: nothing more is begun, this row neither.
fn journal_fails(course: &Course, error: &JournalError) {
    course.halt();
    course.tell(Wake::Fatal(ErrorKind::Journal.exit_code(), error.to_string()));
    course.decided();
}

/// What the journal knows of a row; none where nothing is journaled.
fn open(course: &Course, item: &Item) -> Result<Option<Found>, JournalError> {
    match (&item.source, &course.ledger) {
        (Source::Manifest(_, Some(row)), Some(ledger)) => ledger.open(row).map(Some),
        (Source::Journal(record), Some(ledger)) => ledger.resume(record.number).map(Some),
        _ => Ok(None),
    }
}

fn go_on(course: &Course, mut item: Item, found: Found) {
    item.earlier = earlier(&found);
    match found {
        Found::Submit(open) => submit(course, item, Some(open)),
        Found::Watch(open) => match moved(course, &item, &open) {
            Ok(Some(pictures)) => kept(course, item, &open, pictures),
            Ok(None) => watch(course, item, open),
            Err(error) => journal_fails(course, &error),
        },
        Found::Settled(open) => settled(course, item, open),
        Found::Doubtful(record) => course.report(Report::of_record(item.told, &record)),
        Found::Elsewhere(record) => elsewhere(course, item, &record),
    }
}

/// What the tasks of a row cost before the one it goes on with.
fn earlier(found: &Found) -> Decimal {
    match found {
        Found::Submit(open) => open.record().map_or(Decimal::ZERO, |record| record.paid),
        Found::Watch(open) | Found::Settled(open) => {
            open.record().map_or(Decimal::ZERO, |record| {
                record.paid - record.standing.cost().unwrap_or_default()
            })
        }
        // Told by the record itself.
        Found::Doubtful(_) | Found::Elsewhere(_) => Decimal::ZERO,
    }
}

/// A row with a verdict: its picture is kept if it is where this manifest wants it.
fn settled(course: &Course, item: Item, open: OpenRow) {
    let Some(record) = open.record() else { return course.decided() };
    if !matches!(record.standing, Standing::Completed { .. }) {
        let mut report = Report::of_record(item.told, record);
        (report.how, report.is_counted) = (item.how, item.how.is_some());
        return course.report(report);
    }
    match placement::saved(course, &item, record) {
        Ok(saved) => match saved.into_iter().collect() {
            Some(saved) => kept(course, item, &open, saved),
            None => watch(course, item, open),
        },
        Err(error) => journal_fails(course, &error),
    }
}

/// Its pictures, if the folder they were downloaded to was moved to where they belong now.
fn moved(
    course: &Course,
    item: &Item,
    open: &OpenRow,
) -> Result<Option<Vec<SavedPicture>>, JournalError> {
    open.record().map_or(Ok(None), |record| placement::moved(course, item, record))
}

fn kept(course: &Course, item: Item, open: &OpenRow, pictures: Vec<SavedPicture>) {
    let mut report = Report::new(item.told, Status::Completed);
    if let Some(record) = open.record() {
        report = report.numbered(Some(record.number));
        report.task = record.standing.task().cloned();
        report.cost = record.standing.cost();
    }
    for (index, picture) in pictures.into_iter().enumerate() {
        picture.record(open, index);
        if let Some(warning) = picture.warning() {
            report = course.warned(report, warning);
        }
        report.paths.push(picture.path);
    }
    report.how = Some(How::Kept);
    course.report(report.after(item.earlier));
}

fn watch(course: &Course, item: Item, open: OpenRow) {
    match open.watch() {
        Some(job) => push(course, (job, InHand { item, open: Some(open), how: How::Resumed })),
        // What is to be watched has a task.
        None => course.decided(),
    }
}

/// Another process has it: it is looked at again for as long as a run would be watched.
fn elsewhere(course: &Course, item: Item, record: &Record) {
    let patience = course.client.policy().wait_timeout.max(Duration::from_secs(1));
    // `resume` goes on with what nobody goes on with.
    let waits = matches!(item.source, Source::Manifest(..));
    if !waits || item.aside.is_some_and(|since| since.elapsed() > patience) {
        course.report(Report::of_record(item.told, record));
    } else {
        course.set_aside(item);
    }
}

fn submit(course: &Course, item: Item, open: Option<OpenRow>) {
    let Source::Manifest(wanted, row) = &item.source else { return course.decided() };
    if let Some(error) = course.broke(&wanted.checked) {
        return course.report(Report::of_error(item.told, &error).after(item.earlier));
    }
    if let Some(problem) = no_place(course, &wanted.target) {
        if is_begun(course, row.as_deref()) {
            // Another process was faster, and what is in the way is its picture of this row.
            return course.set_aside(item);
        }
        let report = Report::refused(item.told, problem.kind, problem.message);
        return course.report(report.after(item.earlier));
    }
    match request(course, wanted, row.as_deref()) {
        Ok(request) => {
            let job = match (&open, &course.memory) {
                (Some(open), _) => open.submit(request),
                (None, Some(memory)) => match memory
                    .begin_request(course.client.base_url().origin(), &request)
                {
                    Ok(open) => open.submit(request),
                    Err(error) => {
                        course.tell(Wake::Fatal(ErrorKind::Journal.exit_code(), error.to_string()));
                        return course.decided();
                    }
                },
                (None, None) => Job { work: Work::Submit(request), journal: None },
            };
            push(course, (job, InHand { item, open, how: How::Submitted }));
        }
        Err(Unsent::PhotoChanged(path)) => {
            let why = format!(
                "photo {} changed since the row was read: nothing was sent; run the same line again, \
                 and the row is the one of the new photo",
                path.display()
            );
            let report = Report::refused(item.told, ErrorKind::UnusablePhoto, why);
            course.report(report.after(item.earlier));
        }
        Err(Unsent::Error(error)) => {
            if ends_all(&error) {
                course.halt();
            }
            let mut report = Report::of_error(item.told, &error);
            if report.status != Status::Invalid {
                report.status = Status::NotSubmitted;
            }
            report.error = Some(RowError::of(&error));
            course.report(report.after(item.earlier));
        }
    }
}

/// Whether the journal has by now a submission or a task of a row.
fn is_begun(course: &Course, row: Option<&Row>) -> bool {
    let (Some(ledger), Some(row)) = (&course.ledger, row) else { return false };
    let known = ledger.store().look(&RowName::Identity(row.identity));
    known.ok().flatten().is_some_and(|record| {
        !matches!(record.standing, Standing::Released { .. } | Standing::Failed { .. })
    })
}

/// Why a picture could not be saved where the row wants it: found out before it is paid for.
fn no_place(course: &Course, target: &Path) -> Option<Problem> {
    if !course.overwrite && is_picture(target) {
        return Some(Problem::option(format!(
            "{} is there already and is no picture of this row: move it, give the row an `out` of \
             its own, or replace it with --overwrite; nothing was sent",
            target.display()
        )));
    }
    if target.is_dir() {
        return None;
    }
    if placement::is_special(target) {
        return Some(Problem::option(format!(
            "{} is no regular file, so it keeps no picture: move it, or give the row an `out` of its \
             own; nothing was sent",
            target.display()
        )));
    }
    match make_folder(target) {
        // That it is no row's photo was found when the manifest was read.
        Ok(()) => pictures::unwritable(target, &InputFile::of(None)),
        Err(error) => Some(Problem { kind: ErrorKind::Misconfigured, ..Problem::from(error) }),
    }
}

/// Why a row was not sent.
enum Unsent {
    /// The photo is not the one that the row is known by.
    PhotoChanged(PathBuf),
    Error(Error),
}

/// The request, its photo uploaded if it is on this machine.
fn request(course: &Course, wanted: &Wanted, row: Option<&Row>) -> Result<EffectRequest, Unsent> {
    let reference = match (&wanted.checked.reference, &wanted.photo) {
        (Some(reference), _) => reference.clone(),
        (None, Some(path)) => course.alone_with(path, || {
            let photo = read_photo(path).map_err(Unsent::Error)?;
            if row.is_some_and(|row| !is_photo_of(row, &photo)) {
                return Err(Unsent::PhotoChanged(path.clone()));
            }
            course.client.upload(&photo).map_err(Unsent::Error)
        })?,
        (None, None) => unreachable!("a checked row has a reference or a photo"),
    };
    Ok(wanted.checked.clone().with_reference(reference))
}

/// Whether a row is known by this photo: it was hashed when the manifest was read.
fn is_photo_of(row: &Row, photo: &Photo) -> bool {
    let draft = RowDraft {
        origin: row.origin.clone(),
        template: row.template.clone(),
        size: row.size,
        photo: RowPhoto::content(photo, ""),
        key: None,
        tag: None,
        target: None,
    };
    draft.unique([0; 16]).likeness == row.likeness
}

fn push(course: &Course, job: Prepared) {
    if !course.jobs.push(job) {
        course.decided();
    }
}

/// Whether an error would be every other row's too: then the rest is not even tried.
///
/// A 401 or 403 that is not the gateway's own is the page of something in between, such as a
/// firewall's challenge: it says nothing of the key, and the next row may not meet it.
pub(crate) fn ends_all(error: &Error) -> bool {
    let rejection = error.trouble().and_then(Trouble::rejection);
    if rejection.is_some_and(|it| matches!(it.status, 401 | 403) && !it.is_json) {
        return false;
    }
    matches!(
        error.kind(),
        ErrorKind::MissingKey
            | ErrorKind::KeyRefused
            | ErrorKind::Forbidden
            | ErrorKind::OutOfCredit
            | ErrorKind::NoSuchEndpoint
            | ErrorKind::Redirected
            | ErrorKind::Journal
    )
}
