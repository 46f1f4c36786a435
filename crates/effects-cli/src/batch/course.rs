//! What the threads of a batch share: queues, the rows in hand, and why it ends.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use effects_client::{Job, Ledger};
use effects_core::{Checked, Effect, Error, Identity, Journal, Size, Template};
use effects_ureq::Client;
use rust_decimal::Decimal;

use super::budget::Ledgers;
use super::item::{InHand, Item};
use super::names::Claims;
use super::queue::Queue;
use super::report::{How, Report};
use super::work::Options;

/// A job and the row it is for.
pub(crate) type Prepared = (Job<Arc<dyn Journal>>, InHand);

/// What the threads of a batch share.
pub(crate) struct Course {
    pub(crate) client: Client,
    /// None where nothing is journaled.
    pub(crate) ledger: Option<Ledger>,
    /// Over memory, for a budget where nothing is journaled.
    pub(crate) memory: Option<Ledger>,
    /// How many new paid tasks a failed row may have.
    pub(crate) retry_failed: u32,
    /// What a picture costs at most, as the user says.
    price: Option<Decimal>,
    /// Files that stand where pictures go are replaced.
    pub(crate) overwrite: bool,
    /// Files that rows want.
    pub(crate) claims: Claims,
    /// Rows to open, and to upload the photos of.
    pub(crate) rows: Queue<Item>,
    /// Jobs for the batch machine.
    pub(crate) jobs: Queue<Prepared>,
    /// Effects to download.
    pub(crate) effects: Queue<(InHand, Effect)>,
    state: Mutex<State>,
    changed: Condvar,
    tell: Sender<Wake>,
}

#[derive(Default)]
struct State {
    /// Rows that were begun and are not over.
    undecided: usize,
    /// Rows in the hands of others, to be opened again later.
    aside: Vec<Item>,
    /// Rows the batch machine has, by the order it drew them in.
    in_hand: HashMap<usize, InHand>,
    drawn: usize,
    halted: bool,
    /// Why nothing more is paid for: all rows, since no picture comes, or those of a template and size
    /// that the budget does not reach.
    broke: Vec<(Option<(Template, Size)>, Error)>,
    /// Photos that are being uploaded.
    uploading: HashSet<PathBuf>,
    /// Rows that were begun and nothing was told of, by their place among the rows: what is
    /// known of them.
    untold: HashMap<usize, Untold>,
    /// The highest cost told that is more than the user's price.
    dearest: Option<Decimal>,
}

/// A row that was begun and nothing was told of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Untold {
    /// By what the journal knows it.
    pub(crate) identity: Identity,
    /// How it is gone on with, once that is known.
    pub(crate) how: Option<How>,
}

/// What the attending thread is told.
pub(crate) enum Wake {
    /// What became of a row.
    Report(Box<Report>),
    /// A row's task failed, and there will be another; what the first one cost.
    FailedOnce { line: Option<u64>, why: String, cost: Option<Decimal> },
    /// Something about a download that is repeated, or a picture that is kept although it is odd.
    Odd(String),
    /// Something a person must know that ends nothing.
    Note(String),
    /// Something nobody can go on from: the exit code and why.
    Fatal(u8, String),
    /// Ctrl-C, SIGTERM or SIGHUP.
    Signal,
    /// Everything is over.
    Over,
}

impl Course {
    pub(crate) fn new(
        client: Client,
        ledgers: Ledgers,
        claims: Claims,
        in_flight: u32,
        tell: Sender<Wake>,
    ) -> Self {
        Self {
            client,
            ledger: ledgers.journal,
            memory: ledgers.memory,
            retry_failed: 0,
            price: None,
            overwrite: false,
            claims,
            rows: Queue::with_room(PREPARED_AHEAD),
            // Enough that the machine never waits for the next, and no more: what waits here has
            // been uploaded, and may be in another process's way.
            jobs: Queue::with_room((in_flight as usize).clamp(4, 64)),
            effects: Queue::with_room(DOWNLOADS_AHEAD),
            state: Mutex::default(),
            changed: Condvar::new(),
            tell,
        }
    }

    /// The same, as these options say.
    pub(crate) fn with_options(self, options: &Options) -> Self {
        Self {
            retry_failed: options.retry_failed,
            price: options.price,
            overwrite: options.overwrite,
            ..self
        }
    }

    /// Tells the attending thread.
    pub(crate) fn tell(&self, wake: Wake) {
        // Nobody listens only once the process is about to end.
        let _ = self.tell.send(wake);
    }

    /// Tells what became of a row that was never begun.
    pub(crate) fn tell_of(&self, report: Report) {
        self.tell(Wake::Report(Box::new(report)));
    }

    /// Tells what became of a row, which is over with it.
    pub(crate) fn report(&self, report: Report) {
        self.tell(Wake::Report(Box::new(report)));
        self.decided();
    }

    /// A row is begun. Says whether it may be.
    pub(crate) fn begin(&self, item: Item) -> bool {
        let mut state = self.lock();
        state.undecided += 1;
        if let Some(row) = item.row() {
            let untold = Untold { identity: row.identity, how: None };
            state.untold.insert(item.told.index, untold);
        }
        drop(state);
        let begun = !self.is_halted() && self.rows.push(item);
        if !begun {
            self.decided();
        }
        begun
    }

    /// What became of a row was told to the user.
    pub(crate) fn was_told(&self, index: usize) {
        self.lock().untold.remove(&index);
    }

    /// By what the journal knows a row that was begun and nothing was told of.
    pub(crate) fn untold(&self, index: usize) -> Option<Untold> {
        self.lock().untold.get(&index).copied()
    }

    /// A picture cost this: more than the user said is told, at once.
    pub(crate) fn check_price(&self, cost: Option<Decimal>) {
        let (Some(price), Some(cost)) = (self.price, cost) else { return };
        if cost <= price || Some(cost) <= self.lock().dearest.replace(cost) {
            return;
        }
        self.tell(Wake::Note(format!(
            "warning: a picture cost {cost} USD, more than --price {price}: from now on so much is \
             reserved for each"
        )));
    }

    /// A report with something odd about a picture of its row, which is told at once.
    pub(crate) fn warned(&self, report: Report, warning: String) -> Report {
        let place = report.told.place(report.row);
        self.tell(Wake::Odd(format!("{place}: warning: {warning}")));
        Report { warning: Some(warning), ..report }
    }

    /// A row is over.
    pub(crate) fn decided(&self) {
        self.lock().undecided -= 1;
        self.changed.notify_all();
    }

    /// A row that was begun is to be opened once more, at once.
    pub(crate) fn again(&self, item: Item) {
        if !self.rows.push_at_once(item) {
            self.decided();
        }
    }

    /// A row is in the hands of another process: later, perhaps.
    pub(crate) fn set_aside(&self, mut item: Item) {
        item.aside.get_or_insert_with(Instant::now);
        self.lock().aside.push(item);
        self.changed.notify_all();
    }

    /// Returns once every row that was begun is over; opens those again, every second, that others
    /// had in hand.
    pub(crate) fn settle(&self) {
        loop {
            let mut state = self.lock();
            if state.undecided == 0 || state.halted {
                return;
            }
            if state.aside.is_empty() {
                drop(self.changed.wait(state).unwrap_or_else(PoisonError::into_inner));
                continue;
            }
            let waited = self.changed.wait_timeout_while(state, AGAIN_AFTER, |state| !state.halted);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            if state.halted {
                return;
            }
            let items = std::mem::take(&mut state.aside);
            drop(state);
            items.into_iter().for_each(|item| self.again(item));
        }
    }

    /// Nothing more is begun; what the batch machine has goes on.
    pub(crate) fn halt(&self) {
        self.lock().halted = true;
        // What is dropped here was opened, and nothing was written for it.
        self.rows.abandon();
        self.jobs.abandon();
        self.changed.notify_all();
    }

    pub(crate) fn is_halted(&self) -> bool {
        self.lock().halted
    }

    /// Nothing more is paid for: of this template and size, or at all.
    pub(crate) fn set_broke(&self, checked: Option<&Checked>, error: &Error) {
        let kind = checked.map(|checked| (checked.template.clone(), checked.size));
        let mut state = self.lock();
        if state.broke.iter().all(|(known, _)| *known != kind) {
            state.broke.push((kind, error.clone()));
        }
    }

    /// What a submission is told for which nothing is paid any more.
    pub(crate) fn broke(&self, checked: &Checked) -> Option<Error> {
        let state = self.lock();
        let is_meant = |kind: &Option<(Template, Size)>| {
            kind.as_ref().is_none_or(|(template, size)| {
                *template == checked.template && *size == checked.size
            })
        };
        state.broke.iter().find(|(kind, _)| is_meant(kind)).map(|(_, error)| error.clone())
    }

    /// Does this with a photo while nobody else does: whoever comes second finds it uploaded.
    pub(crate) fn alone_with<T>(&self, photo: &Path, act: impl FnOnce() -> T) -> T {
        let state = self.lock();
        let waited = self.changed.wait_while(state, |state| state.uploading.contains(photo));
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        state.uploading.insert(photo.to_owned());
        drop(state);
        let done = act();
        self.lock().uploading.remove(photo);
        self.changed.notify_all();
        done
    }

    /// How many rows the batch machine has.
    pub(crate) fn running(&self) -> usize {
        self.lock().in_hand.len()
    }

    /// The next job for the batch machine, once there is one and the downloads keep up.
    pub(crate) fn draw(&self) -> Option<Job<Arc<dyn Journal>>> {
        self.effects.wait_for_room();
        let (job, in_hand) = self.jobs.pop()?;
        let mut state = self.lock();
        let index = state.drawn;
        state.drawn += 1;
        if let Some(untold) = state.untold.get_mut(&in_hand.item.told.index) {
            untold.how = Some(in_hand.how);
        }
        state.in_hand.insert(index, in_hand);
        Some(job)
    }

    /// The row of a job that ended.
    pub(crate) fn ended(&self, index: usize) -> Option<InHand> {
        self.lock().in_hand.remove(&index)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Rows read ahead, their photos not.
const PREPARED_AHEAD: usize = 64;
/// Effects that wait for their download before no more jobs are begun.
const DOWNLOADS_AHEAD: usize = 256;
/// How soon a row is looked at again that another process has in hand.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
