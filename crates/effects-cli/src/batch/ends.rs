//! Ends of runs: the journal is told, pictures are fetched on threads of their own, and a failed row
//! is perhaps paid for anew.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, iter, thread};

use effects_client::{Ended, Ending, Landing, OpenRow, Sink, is_picture};
use effects_core::{Cause, Effect, Error, ErrorKind, Event, JournalError, Picture, Refused};
use effects_ureq::RunMany;
use rust_decimal::Decimal;

use super::course::{Course, Wake};
use super::item::{InHand, Item, Source};
use super::placement;
use super::prepare::ends_all;
use super::report::{Report, RowError, Status};
use crate::naming::{self, Names};

/// Takes the ends as they come, and returns once every picture that will be fetched is.
pub(crate) fn take(course: &Arc<Course>, ends: RunMany) {
    let downloaders: Vec<_> = (0..DOWNLOADERS)
        .map(|_| {
            let course = Arc::clone(course);
            thread::spawn(move || {
                while let Some((in_hand, effect)) = course.effects.pop() {
                    download(&course, &in_hand, &effect);
                }
            })
        })
        .collect();
    let stopper = ends.stopper();
    for Ended { index, result } in ends {
        if stopper.outage().is_some_and(|outage| outage.is_final) {
            course.halt();
        }
        if let Some(in_hand) = course.ended(index) {
            end(course, in_hand, result);
        }
    }
    course.effects.close();
    for downloader in downloaders {
        // A panic there has been told on its own thread.
        let _ = downloader.join();
    }
    if let Some(ledger) = &course.ledger
        && let Err(error) = ledger.store().flush()
    {
        course.tell(Wake::Fatal(ErrorKind::Journal.exit_code(), error.to_string()));
    }
    course.tell(Wake::Over);
}

fn end(course: &Course, in_hand: InHand, result: Result<Effect, Error>) {
    match in_hand.open.as_ref().map(|open| open.settle(&result)) {
        // Another process was faster: sooner or later it is known what became of the row.
        Some(Ok(Ending::Taken)) => return course.set_aside(in_hand.item),
        Some(Err(error)) => journal_fails(course, &error),
        Some(Ok(Ending::Told)) | None => {}
    }
    let error = match result {
        Ok(effect) => {
            course.check_price(effect.usage.cost);
            course.effects.push_at_once((in_hand, effect));
            return;
        }
        Err(error) => error,
    };
    let report = Report::of_error(in_hand.item.told.clone(), &error);
    course.check_price(report.cost);
    if may_renew(course, &in_hand, &error) {
        return renew(course, in_hand, &error, report.cost);
    }
    if let Cause::Refused(Refused { kind: ErrorKind::NoPicture, .. }) = error.cause() {
        // No picture comes, so nothing more is paid for: the rest need not be prepared.
        course.set_broke(None, &error);
    } else if error.kind() == ErrorKind::BudgetExceeded
        && let Source::Manifest(wanted, _) = &in_hand.item.source
    {
        // Nothing comes back of a budget that is used up: the rest that costs as much need not be
        // prepared.
        course.set_broke(Some(&wanted.checked), &error);
    }
    if ends_all(&error) {
        course.halt();
    }
    let mut report = report.numbered(in_hand.number(course)).after(in_hand.item.earlier);
    // What the budget refused never left.
    if error.kind() != ErrorKind::BudgetExceeded {
        report = report.by(in_hand.how);
    }
    course.report(report);
}

/// Whether a failed row may have a new paid task. Where there is a journal, it has the last word
/// when the row is opened again.
fn may_renew(course: &Course, in_hand: &InHand, error: &Error) -> bool {
    let Cause::Failed(failed) = error.cause() else { return false };
    let code = failed.error.as_ref().and_then(|error| error.code.as_ref());
    let counted = in_hand.open.is_some() || in_hand.item.renewals < course.retry_failed;
    let from_manifest = matches!(in_hand.item.source, Source::Manifest(..));
    let may_pass = code.is_some_and(effects_core::ServiceCode::may_pass);
    may_pass && counted && from_manifest && course.retry_failed > 0 && !course.is_halted()
}

fn renew(course: &Course, in_hand: InHand, error: &Error, cost: Option<Decimal>) {
    let InHand { mut item, open, how } = in_hand;
    (item.renewals, item.how) = (item.renewals + 1, Some(how));
    // Where there is a journal, it has the last word when the row is opened again.
    item.earlier += cost.unwrap_or_default();
    course.tell(Wake::FailedOnce { line: item.told.line, why: error.to_string(), cost });
    // Let go of, so that it can be opened again.
    drop(open);
    course.again(item);
}

/// Fetches the pictures of a row to where they belong, but for those that are there.
fn download(course: &Course, in_hand: &InHand, effect: &Effect) {
    let record = in_hand.open.as_ref().and_then(OpenRow::record);
    let saved = record.map(|record| placement::saved(course, &in_hand.item, record));
    let mut saved = saved.transpose().unwrap_or_else(|error| {
        journal_fails(course, &error);
        None
    });
    let number = in_hand.number(course);
    let mut report = Report::new(in_hand.item.told.clone(), Status::Completed);
    report = report.billed(&effect.usage).numbered(number).by(in_hand.how);
    for (index, picture) in effect.pictures.iter().enumerate() {
        let there = saved.as_mut().and_then(|saved| saved.get_mut(index)?.take());
        if let Some((there, open)) = there.zip(in_hand.open.as_ref()) {
            there.record(open, index);
            if let Some(warning) = there.warning() {
                report = course.warned(report, warning);
            }
            report.paths.push(there.path);
            continue;
        }
        let mut warning = None;
        let on_event = |event: Event| {
            let place = in_hand.item.told.place(number);
            course.tell(Wake::Odd(format!("{place}: {event}")));
            if let Event::Warning { message } = event {
                warning = Some(message);
            }
        };
        match save(course, &in_hand.item, index, picture, on_event) {
            Ok(path) => {
                let noted = in_hand.open.as_ref().map(|open| open.landed(index, &path));
                if let Some(Err(error)) = noted {
                    journal_fails(course, &error);
                }
                report.paths.push(path);
            }
            Err(error) => {
                let submits = matches!(in_hand.item.source, Source::Manifest(..));
                if submits && is_of_this_machine(&error) {
                    nothing_can_be_saved(course, &error);
                }
                report.status = Status::NotDownloaded;
                report.error = Some(RowError::of(&error));
            }
        }
        report.warning = warning.or(report.warning);
    }
    report.task = Some(effect.task_id.clone());
    course.report(report.after(in_hand.item.earlier));
}

/// Fetches a picture to where it belongs. A file in its way stays, unless the user said otherwise: the
/// picture is paid for, so it is saved beside it, unless it is that very file.
fn save(
    course: &Course,
    item: &Item,
    index: usize,
    picture: &Picture,
    on_event: impl FnMut(Event),
) -> Result<PathBuf, Error> {
    let path = item.path(index, &picture.task_id, &course.claims);
    make_folder(&path)?;
    let bytes = course.client.fetch_with(picture, on_event)?;
    let beside = Names::chosen(naming::beside(&path, &picture.task_id));
    let places = iter::once(path).chain((0..).map(|number| beside.path(number)));
    for place in places {
        let may_replace =
            course.overwrite && !course.claims.has_for_another(&place, item.told.index);
        if place_at(&place, &bytes, may_replace)? {
            return Ok(place);
        }
    }
    let why = format!("picture of task {}: every name for it is taken", picture.task_id);
    Err(Error::new(ErrorKind::Download, why))
}

/// Whether these bytes are in this file now: it had them before, or it is written. A picture that is
/// there is replaced only if it may be.
fn place_at(place: &Path, bytes: &[u8], may_replace: bool) -> Result<bool, Error> {
    let has_them = || fs::read(place).is_ok_and(|there| there == bytes);
    if is_picture(place) {
        let has_them = has_them();
        if has_them || !may_replace {
            return Ok(has_them);
        }
    }
    if placement::is_special(place) {
        return Ok(false);
    }
    let is_new = fs::metadata(place).is_err();
    let mut landing = Landing::begin(place)?;
    landing.write(bytes)?;
    if !is_new {
        return landing.finish().map(|_| true);
    }
    // What another process puts there meanwhile is not replaced, and may be this very picture.
    Ok(landing.finish_new()?.is_some() || has_them())
}

/// Whether a download failed for want of a place to write to: no exchange failed.
fn is_of_this_machine(error: &Error) -> bool {
    let Cause::Problem(problem) = error.cause() else { return false };
    problem.kind == ErrorKind::Download && problem.trouble.is_none()
}

/// No more is paid for as long as what is paid for has no place.
fn nothing_can_be_saved(course: &Course, error: &Error) {
    if course.is_halted() {
        return;
    }
    course.halt();
    let why = Error::from(error.cause().clone());
    course.tell(Wake::Fatal(
        ErrorKind::Download.exit_code(),
        format!(
            "a picture that is paid for cannot be saved, so nothing more is submitted; it is fetched \
             by the same line once there is a place for it: {why}"
        ),
    ));
}

/// Makes the folder of a file.
pub(crate) fn make_folder(path: &Path) -> Result<(), Error> {
    let folder: PathBuf = path.parent().map(PathBuf::from).unwrap_or_default();
    if folder.as_os_str().is_empty() {
        return Ok(());
    }
    fs::create_dir_all(&folder).map_err(|error| {
        Error::new(ErrorKind::Download, format!("{} cannot be made: {error}", folder.display()))
    })
}

fn journal_fails(course: &Course, error: &JournalError) {
    course.halt();
    course.tell(Wake::Fatal(ErrorKind::Journal.exit_code(), error.to_string()));
}

/// Downloads at once.
const DOWNLOADERS: usize = 8;
