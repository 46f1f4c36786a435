//! The threads of a batch, and the one that attends to them: it alone prints, counts, and hears
//! Ctrl-C.

use std::iter;
use std::mem::discriminant;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use effects_client::Stopper;
use effects_core::{Effect, Error, ErrorKind, Outage, Widths};

use super::books::{MOST_SAID, NEXT_SAID};
use super::course::{Course, Wake};
use super::ends;
use super::item::InHand;
use super::live::Live;
use super::prepare::prepare;
use super::report::{Report, RowError, Status};
use super::tally::Tally;
use crate::failure::Failure;

/// Starts everything; rows are begun by `source`, on a thread of its own.
pub(crate) fn start(
    course: &Arc<Course>,
    widths: Widths,
    source: impl FnOnce(&Course) -> Result<(), Error> + Send + 'static,
) -> Stopper {
    let reader = Arc::clone(course);
    thread::spawn(move || {
        if let Err(error) = source(&reader) {
            reader.halt();
            reader.tell(Wake::Fatal(error.exit_code(), error.to_string()));
        }
        reader.settle();
        reader.rows.close();
        reader.jobs.close();
    });
    for _ in 0..PREPARERS {
        let course = Arc::clone(course);
        thread::spawn(move || prepare(&course));
    }
    let drawn = Arc::clone(course);
    let ends = course.client.run_many(iter::from_fn(move || drawn.draw()), widths);
    let (stopper, course) = (ends.stopper(), Arc::clone(course));
    thread::spawn(move || ends::take(&course, ends));
    stopper
}

/// What the attending thread came back with.
pub(crate) struct Attended {
    pub(crate) tally: Tally,
    /// Somebody interrupted it.
    pub(crate) interrupted: bool,
    /// Submissions were on their way when it was left.
    pub(crate) left_submitting: bool,
    /// What ended it that is no row's: a journal or an output that cannot be written.
    pub(crate) trouble: Option<String>,
}

/// Attends to a batch until it is over or left; `hear` is told what became of each row.
pub(crate) fn attend(
    course: &Course,
    stopper: &Stopper,
    woken: &Receiver<Wake>,
    live: &Live,
    rows: u64,
    mut tally: Tally,
    mut hear: impl FnMut(&Report) -> Result<(), Failure>,
) -> Attended {
    let (mut leaving, mut left_submitting, mut trouble) = (None::<Instant>, false, None);
    let mut odd = 0_u64;
    let mut outages = Outages::default();
    loop {
        live.show(&tally, course.running(), rows);
        if let Some(outage) = outages.next(stopper.outage()) {
            live.urge(&format!("warning: {outage}"));
            if outage.is_final {
                course.halt();
                trouble.get_or_insert_with(|| outage.to_string());
            }
        }
        let wake = match woken.recv_timeout(TICK) {
            Err(RecvTimeoutError::Timeout) if leaving.is_some_and(|end| Instant::now() > end) => {
                left_submitting = stopper.is_submitting();
                break;
            }
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => break,
            Ok(wake) => wake,
        };
        match wake {
            Wake::Report(report) => {
                tally.add(&report);
                course.was_told(report.told.index);
                if let Err(failure) = hear(&report)
                    && trouble.is_none()
                {
                    course.halt();
                    tally.note(failure.exit_code());
                    live.urge(&format!("error: {failure}"));
                    trouble = Some(failure.to_string());
                }
            }
            Wake::FailedOnce { line, why, cost } => {
                tally.spend(cost.unwrap_or_default());
                let line = line.map(|line| format!("line {line}: ")).unwrap_or_default();
                live.note(&format!("{line}{why}; submitted anew"));
            }
            Wake::Odd(text) => {
                odd += 1;
                match odd {
                    ..=MOST_SAID => live.note(&text),
                    NEXT_SAID => live.note("more pictures are odd, or downloaded repeatedly"),
                    _ => {}
                }
            }
            Wake::Note(text) => live.urge(&text),
            Wake::Fatal(code, why) => {
                tally.note(code);
                if trouble.is_none() {
                    live.urge(&format!("error: {why}"));
                }
                trouble.get_or_insert(why);
            }
            Wake::Signal if leaving.is_some() => {
                left_submitting = stopper.is_submitting();
                break;
            }
            Wake::Signal => {
                leaving = Some(Instant::now() + interrupt(course, stopper, live));
            }
            Wake::Over => break,
        }
    }
    live.clear();
    let interrupted = leaving.is_some();
    if interrupted {
        tally.note(ErrorKind::Detached.exit_code());
    }
    Attended { tally, interrupted, left_submitting, trouble }
}

/// Which outages of the gateway were told: each once, however often its count changes.
#[derive(Default)]
struct Outages(Option<Outage>);

impl Outages {
    /// The outage, if it is to be told.
    fn next(&mut self, now: Option<Outage>) -> Option<Outage> {
        let kind = |outage: &Outage| (discriminant(&outage.failure), outage.is_final);
        let before = std::mem::replace(&mut self.0, now.clone());
        now.filter(|outage| before.as_ref().map(kind) != Some(kind(outage)))
    }
}

/// The first Ctrl-C: nothing more is submitted, and what is on its way is waited for. Says how long
/// at most.
fn interrupt(course: &Course, stopper: &Stopper, live: &Live) -> Duration {
    course.halt();
    stopper.stop();
    for (in_hand, effect) in course.effects.abandon() {
        course.report(not_fetched(course, in_hand, &effect));
    }
    let most = course.client.policy().request_timeout;
    live.urge(&format!(
        "interrupted: nothing more is submitted; waiting for the answers that are on their way (at \
         most {} s), so that no paid task is lost; interrupt again to leave at once",
        most.as_secs()
    ));
    // The machine books a lost answer itself, at the end of that time.
    most + Duration::from_secs(2)
}

fn not_fetched(course: &Course, in_hand: InHand, effect: &Effect) -> Report {
    let number = in_hand.number(course);
    let InHand { item, how, .. } = in_hand;
    let report = Report::new(item.told, Status::NotDownloaded).billed(&effect.usage);
    let mut report = report.numbered(number).by(how);
    report.task = Some(effect.task_id.clone());
    let why = "interrupted before its picture was downloaded; it is paid for and still there";
    report.error = Some(RowError::plain(ErrorKind::Detached, why.to_owned()));
    report.after(item.earlier)
}

/// How much is done at once for so many tasks in flight. A gateway on this machine is asked as often
/// as there is something to ask.
pub(crate) fn widths(in_flight: u32, loopback: bool) -> Widths {
    Widths {
        submissions: (in_flight / 4).clamp(1, MOST_SUBMISSIONS),
        tasks: in_flight,
        polls_per_second: if loopback { LOOPBACK_POLLS } else { f64::from(in_flight).max(20.0) },
    }
}

/// Threads that open rows and upload photos.
const PREPARERS: usize = 4;
/// Submissions in flight at most.
const MOST_SUBMISSIONS: u32 = 12;
const LOOPBACK_POLLS: f64 = 2_000.0;
/// How often the live line is drawn when nothing happens.
const TICK: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_at_once_grows_with_what_is_in_flight() {
        assert_eq!(widths(16, false), Widths { submissions: 4, tasks: 16, polls_per_second: 20.0 });
        assert_eq!(widths(1, false).submissions, 1);
        let many = Widths { submissions: 12, tasks: 1000, polls_per_second: 1000.0 };
        assert_eq!(widths(1000, false), many);
    }
}
