//! Ends of runs: the journal is told, pictures are fetched on threads of their own, and a failed row
//! is perhaps paid for anew.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use effects_client::{Ended, Ending, Landing, Sink, is_picture};
use effects_core::{Cause, Effect, Error, ErrorKind, Event, JournalError, Picture, Refused};
use effects_ureq::RunMany;
use rust_decimal::Decimal;

use super::course::{Course, Wake};
use super::item::{InHand, Source};
use super::prepare::ends_all;
use super::report::{Report, RowError, Status};
use crate::naming;

/// Takes the ends as they come, and returns once every picture that will be fetched is.
pub(crate) fn take(course: &Arc<Course>, ends: RunMany) {
    let downloaders: Vec<_> = (0..DOWNLOADERS)
        .map(|_| {
            let course = Arc::clone(course);
            thread::spawn(move || {
                while let Some((in_hand, effect)) = course.effects.pop() {
                    download(&course, in_hand, &effect);
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
    let number = in_hand.number(course);
    course.report(report.numbered(number).by(in_hand.how).after(in_hand.item.earlier));
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

/// Fetches the pictures of a row to where they belong.
fn download(course: &Course, in_hand: InHand, effect: &Effect) {
    let (mut paths, mut failure, mut warning) = (Vec::new(), None, None);
    for (index, picture) in effect.pictures.iter().enumerate() {
        let on_event = |event: Event| {
            let place = in_hand.item.told.place(in_hand.number(course));
            course.tell(Wake::Odd(format!("{place}: {event}")));
            if let Event::Warning { message } = event {
                warning = Some(message);
            }
        };
        match save(course, &in_hand, index, picture, on_event) {
            Ok(path) => {
                let noted = in_hand.open.as_ref().map(|open| open.landed(index, &path));
                if let Some(Err(error)) = noted {
                    journal_fails(course, &error);
                }
                paths.push(path);
            }
            Err(error) => {
                let submits = matches!(in_hand.item.source, Source::Manifest(..));
                if submits && is_of_this_machine(&error) {
                    nothing_can_be_saved(course, &error);
                }
                failure = Some(RowError::of(&error));
            }
        }
    }
    let status = if failure.is_none() { Status::Completed } else { Status::NotDownloaded };
    let number = in_hand.number(course);
    let report = Report::new(in_hand.item.told, status).billed(&effect.usage);
    let mut report = report.numbered(number).by(in_hand.how);
    report.task = Some(effect.task_id.clone());
    report.paths = paths;
    (report.error, report.warning) = (failure, warning);
    course.report(report.after(in_hand.item.earlier));
}

/// Fetches a picture to where it belongs. A file in its way that is not this row's stays: the
/// picture is paid for, so it is saved beside it, unless it is that very file.
fn save(
    course: &Course,
    in_hand: &InHand,
    index: usize,
    picture: &Picture,
    on_event: impl FnMut(Event),
) -> Result<PathBuf, Error> {
    let path = in_hand.item.path(index, &picture.task_id, &course.claims);
    make_folder(&path)?;
    let own = in_hand.saved().is_some_and(|saved| saved.contains(&Some(path.as_path())));
    if course.overwrite || own || !is_picture(&path) {
        return course.client.download_with(picture, &path, on_event);
    }
    let bytes = course.client.fetch_with(picture, on_event)?;
    if fs::read(&path).is_ok_and(|there| there == bytes) {
        return Ok(path);
    }
    let mut landing = Landing::begin(&naming::beside(&path, &picture.task_id))?;
    landing.write(&bytes)?;
    landing.finish()
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
pub(crate) fn make_folder(path: &std::path::Path) -> Result<(), Error> {
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
