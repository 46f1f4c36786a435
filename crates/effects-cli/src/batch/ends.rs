//! Ends of runs: the journal is told, pictures are fetched on threads of their own, and a failed row
//! is perhaps paid for anew.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use effects_client::{Ended, Ending};
use effects_core::{Cause, Effect, Error, ErrorKind, Event, JournalError, Refused};
use effects_ureq::RunMany;

use super::course::{Course, Wake};
use super::item::{InHand, Source};
use super::prepare::ends_all;
use super::report::{Report, RowError, Status};

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
    for Ended { index, result } in ends {
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
            course.effects.push_at_once((in_hand, effect));
            return;
        }
        Err(error) => error,
    };
    if may_renew(course, &in_hand, &error) {
        return renew(course, in_hand, &error);
    }
    if let Cause::Refused(Refused { kind, .. }) = error.cause()
        && matches!(kind, ErrorKind::BudgetExceeded | ErrorKind::NoPicture)
    {
        // A batch that pays for nothing more does not begin again: the rest need not be prepared.
        course.set_broke(&error);
    }
    if ends_all(&error) {
        course.halt();
    }
    let number = in_hand.number(course);
    let report = Report::of_error(in_hand.item.told, &error);
    course.report(report.numbered(number).by(in_hand.how));
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

fn renew(course: &Course, in_hand: InHand, error: &Error) {
    let InHand { mut item, open, how } = in_hand;
    let cost = Report::of_error(item.told.clone(), error).cost;
    (item.renewals, item.how) = (item.renewals + 1, Some(how));
    course.tell(Wake::FailedOnce { line: item.told.line, why: error.to_string(), cost });
    // Let go of, so that it can be opened again.
    drop(open);
    course.again(item);
}

/// Fetches the pictures of a row to where they belong.
fn download(course: &Course, in_hand: InHand, effect: &Effect) {
    let (mut paths, mut failure, mut warning) = (Vec::new(), None, None);
    for (index, picture) in effect.pictures.iter().enumerate() {
        let path = in_hand.item.path(index, &effect.task_id, &course.claims);
        let on_event = |event: Event| {
            let place = in_hand.item.told.place(in_hand.number(course));
            course.tell(Wake::Odd(format!("{place}: {event}")));
            if let Event::Warning { message } = event {
                warning = Some(message);
            }
        };
        let fetched =
            make_folder(&path).and_then(|()| course.client.download_with(picture, &path, on_event));
        match fetched {
            Ok(path) => {
                let noted = in_hand.open.as_ref().map(|open| open.landed(index, &path));
                if let Some(Err(error)) = noted {
                    journal_fails(course, &error);
                }
                paths.push(path);
            }
            Err(error) => failure = Some(RowError::of(&error)),
        }
    }
    let status = if failure.is_none() { Status::Completed } else { Status::NotDownloaded };
    let number = in_hand.number(course);
    let report = Report::new(in_hand.item.told, status).billed(&effect.usage);
    let mut report = report.numbered(number).by(in_hand.how);
    report.task = Some(effect.task_id.clone());
    report.paths = paths;
    (report.error, report.warning) = (failure, warning);
    course.report(report);
}

fn make_folder(path: &std::path::Path) -> Result<(), Error> {
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
