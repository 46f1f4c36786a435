//! Arbitrary things done in arbitrary order by several processes, one of which may die at any
//! moment, against a model that keeps everything in memory.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use common::*;
use effects_core::journal::{Journal, RowOutcome};
use effects_jobs::{JournalStore, Opened, Resolution, Row, RowJournal};
use effects_journal::SqliteJournal;
use proptest::prelude::*;

#[derive(Clone, Copy, Debug)]
enum Operation {
    Open { journal: usize, row: usize },
    Take { journal: usize, row: usize },
    Renew { journal: usize, row: usize },
    Reorder { journal: usize, row: usize },
    Intend(usize),
    Intend2(usize),
    Create(usize),
    Release(usize),
    Complete(usize),
    Fail(usize),
    Lose(usize),
    Abandon(usize),
    Drop(usize),
    Found { row: usize },
    NotBilled { row: usize },
    Crash(usize),
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    use Operation::*;
    let hand = 0..8_usize;
    let place = || (0..2_usize, 0..ROWS);
    let operation = prop_oneof![
        6 => place().prop_map(|(journal, row)| Open { journal, row }),
        1 => place().prop_map(|(journal, row)| Take { journal, row }),
        2 => place().prop_map(|(journal, row)| Renew { journal, row }),
        2 => place().prop_map(|(journal, row)| Reorder { journal, row }),
        6 => hand.clone().prop_map(Intend),
        1 => hand.clone().prop_map(Intend2),
        5 => hand.clone().prop_map(Create),
        2 => hand.clone().prop_map(Release),
        2 => hand.clone().prop_map(Complete),
        3 => hand.clone().prop_map(Fail),
        1 => hand.clone().prop_map(Lose),
        1 => hand.clone().prop_map(Abandon),
        2 => hand.prop_map(Drop),
        1 => (0..ROWS).prop_map(|row| Found { row }),
        1 => (0..ROWS).prop_map(|row| NotBilled { row }),
        1 => (0..2_usize).prop_map(Crash),
    ];
    proptest::collection::vec(operation, 1..80)
}

/// Who holds a row: a journal by its number, and a hand by its own.
type Owner = (usize, usize);

#[derive(Clone, Debug, Default, PartialEq)]
struct ModelRow {
    state: &'static str,
    owner: Option<Owner>,
    task: Option<String>,
    former: Option<(String, &'static str)>,
    renewals: u32,
}

/// A row in hand.
struct Hand {
    journal: usize,
    row: usize,
    number: usize,
    renews: Option<(String, &'static str)>,
    holds: bool,
    open: Arc<dyn RowJournal>,
}

struct World {
    _folder: tempfile::TempDir,
    path: PathBuf,
    clock: Clock,
    rows: Vec<Row>,
    /// By number; the dead ones are kept, as a killed process's file is, and never touched again.
    journals: Vec<SqliteJournal>,
    alive: [usize; 2],
    hands: Vec<Hand>,
    dead_hands: Vec<Hand>,
    count: usize,
    model: Vec<ModelRow>,
    /// Tasks of rows that were given away.
    strays: usize,
    /// For each row: submissions that may be billed, and what excuses more than one: a renewal, or a
    /// person who answers for it. What one run repeats on purpose is one submission here.
    submissions: HashMap<usize, (i64, i64)>,
}

impl World {
    fn new() -> Self {
        // Where files cost no wait for a disk, if there is such a place.
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let (path, clock) = (folder.path().join("journal.db"), Clock::new());
        let journals =
            ["one", "two"].iter().map(|host| clock.elsewhere(&path, host)).collect::<Vec<_>>();
        Self {
            _folder: folder,
            path,
            clock,
            rows: (0..ROWS).map(|number| row(&format!("cat{number}"))).collect(),
            journals,
            alive: [0, 1],
            hands: Vec::new(),
            dead_hands: Vec::new(),
            count: 0,
            model: vec![ModelRow::default(); ROWS],
            strays: 0,
            submissions: HashMap::new(),
        }
    }

    fn fresh(&mut self) -> usize {
        self.count += 1;
        self.count
    }

    fn held(&self, row: usize) -> bool {
        self.model[row].owner.is_some_and(|(journal, _)| self.alive.contains(&journal))
    }

    fn hand(
        &mut self,
        journal: usize,
        row: usize,
        open: Arc<dyn RowJournal>,
        holds: bool,
    ) -> Owner {
        let number = self.fresh();
        let renews = None;
        self.hands.push(Hand { journal, row, number, renews, holds, open });
        (journal, number)
    }

    fn apply(&mut self, operation: Operation) {
        match operation {
            Operation::Open { journal, row } => {
                let opened = self.journals[self.alive[journal]].open(&self.rows[row]).unwrap();
                self.opened(journal, row, opened);
            }
            Operation::Take { journal, row } => self.take(journal, row),
            Operation::Renew { journal, row } => self.renew(journal, row, false),
            Operation::Reorder { journal, row } => self.renew(journal, row, true),
            Operation::Intend(hand) => self.with(hand, Self::intend),
            Operation::Intend2(hand) => self.with(hand, |world, hand| {
                world.intend(hand);
                world.intend(hand);
            }),
            Operation::Create(hand) => self.with(hand, Self::create),
            Operation::Release(hand) => self.with(hand, Self::release),
            Operation::Complete(hand) => self.with(hand, |world, hand| {
                world.conclude(hand, "completed", |task| completed(task, "0.03"));
            }),
            Operation::Fail(hand) => self.with(hand, |world, hand| {
                world.conclude(hand, "failed", |task| failed(task, "3009099"));
            }),
            Operation::Lose(hand) => self.with(hand, |world, hand| {
                world.settle(hand, &unknown());
                world.doubt(hand);
            }),
            Operation::Abandon(hand) => self.with(hand, |world, hand| {
                world.settle(hand, &RowOutcome::Abandoned);
                world.abandon(hand);
            }),
            Operation::Drop(hand) => self.with(hand, |world, hand| {
                if world.hands[hand].holds {
                    world.abandon(hand);
                }
                drop(world.hands.swap_remove(hand));
            }),
            Operation::Found { row } => self.resolve(row, true),
            Operation::NotBilled { row } => self.resolve(row, false),
            Operation::Crash(journal) => self.crash(journal),
        }
    }

    fn with(&mut self, hand: usize, act: impl FnOnce(&mut Self, usize)) {
        if !self.hands.is_empty() {
            act(self, hand % self.hands.len());
        }
    }

    fn expected_opening(&self, row: usize) -> &'static str {
        match (self.model[row].state, self.held(row)) {
            ("", _) | ("released", false) => "submit",
            ("intent" | "created" | "released", true) => "elsewhere",
            ("intent" | "doubtful", _) => "doubtful",
            ("created", false) => "watch",
            _ => "finished",
        }
    }

    fn opened(&mut self, journal: usize, row: usize, opened: Opened) {
        let journal = self.alive[journal];
        assert_eq!(name_of(&opened), self.expected_opening(row));
        match opened {
            Opened::Submit(open) | Opened::Finished(_, open) => {
                self.hand(journal, row, open, false);
            }
            Opened::Watch(_, open) => {
                self.model[row].owner = Some(self.hand(journal, row, open, true));
            }
            Opened::Doubtful(_) | Opened::Elsewhere(_) => {}
        }
    }

    fn number(&self, row: usize) -> Option<effects_core::journal::RowNumber> {
        let name = effects_jobs::RowName::Identity(self.rows[row].identity);
        Some(self.journals[self.alive[0]].find(&name).unwrap()?.number)
    }

    fn take(&mut self, journal: usize, row: usize) {
        let Some(number) = self.number(row) else { return };
        let taken = self.journals[self.alive[journal]].take(number);
        match taken {
            Ok(opened) => self.opened(journal, row, opened),
            Err(_) => assert_eq!(self.model[row].state, "released"),
        }
    }

    fn renew(&mut self, journal: usize, row: usize, reorders: bool) {
        let Some(number) = self.number(row) else { return };
        let (journal, state) = (self.alive[journal], self.model[row].state);
        let store = &self.journals[journal];
        let renewed = if reorders { store.reorder(number) } else { store.renew(number) };
        assert_eq!(renewed.is_ok(), state == "failed" || reorders && state == "completed");
        if let Ok(open) = renewed {
            self.hand(journal, row, open, false);
            let task = self.model[row].task.clone().unwrap();
            self.hands.last_mut().unwrap().renews = Some((task, state));
        }
    }

    fn intend(&mut self, hand: usize) {
        let attempt = u32::try_from(self.fresh()).unwrap();
        let (row, me, renews) = self.about(hand);
        self.hands[hand].holds = true;
        let written = Journal::write(&*self.hands[hand].open, &intent(attempt));
        let held = self.held(row);
        let model = &mut self.model[row];
        let mine = model.owner == Some(me);
        let submissions = self.submissions.entry(row).or_default();
        let allowed = match model.state {
            "" => true,
            "intent" => mine,
            "released" => mine || !held,
            "failed" | "completed"
                if renews.is_some()
                    && renews == model.task.clone().map(|task| (task, model.state)) =>
            {
                model.former = renews;
                model.task = None;
                model.renewals += u32::from(model.state == "failed");
                submissions.1 += 1;
                true
            }
            _ => false,
        };
        assert_eq!(written.is_ok(), allowed, "{written:?} {model:?}");
        if !allowed {
            assert!(self.hands[hand].open.is_taken());
            return;
        }
        if model.state != "intent" {
            submissions.0 += 1;
        }
        (model.state, model.owner) = ("intent", Some(me));
    }

    fn create(&mut self, hand: usize) {
        let task = format!("t{}", self.fresh());
        let (row, me, _) = self.about(hand);
        self.hands[hand].holds = true;
        let written = Journal::write(&*self.hands[hand].open, &created(&task));
        let model = &mut self.model[row];
        let open = matches!(model.state, "intent" | "doubtful" | "released");
        let mine = model.owner == Some(me) && open || model.state.is_empty();
        // A second task of the run that holds the row is kept without complaint, as a row of its own.
        let second = model.owner == Some(me) && !open;
        assert_eq!(written.is_ok(), mine || second, "{written:?} {model:?}");
        if mine {
            (model.state, model.owner, model.task) = ("created", Some(me), Some(task));
            model.former.take_if(|(_, state)| *state == "failed");
        } else {
            self.strays += 1;
        }
    }

    fn release(&mut self, hand: usize) {
        let (row, me, _) = self.about(hand);
        self.hands[hand].holds = true;
        Journal::write(&*self.hands[hand].open, &released("HTTP 429")).unwrap();
        if self.model[row].state == "intent" && self.model[row].owner == Some(me) {
            self.submissions.get_mut(&row).unwrap().0 -= 1;
            self.revert_intent(row);
        }
    }

    fn revert_intent(&mut self, row: usize) {
        let model = &mut self.model[row];
        model.state = "released";
        if let Some((former, state)) = model.former.take() {
            (model.state, model.task) = (state, Some(former));
            model.renewals -= u32::from(state == "failed");
            model.owner = None;
            self.submissions.get_mut(&row).unwrap().1 -= 1;
        }
    }

    fn conclude(&mut self, hand: usize, state: &'static str, end: impl Fn(&str) -> RowOutcome) {
        let (row, ..) = self.about(hand);
        let Some(task) = self.model[row].task.clone() else { return };
        self.settle(hand, &end(&task));
        let model = &mut self.model[row];
        (model.state, model.owner) = (state, None);
        if let (Some((former, before)), "failed") = (model.former.take(), state) {
            (model.state, model.task) = (before, Some(former));
        }
    }

    fn settle(&mut self, hand: usize, end: &RowOutcome) {
        let hand = &mut self.hands[hand];
        hand.open.settle(end).unwrap();
        hand.holds = false;
        // What is settled is read in order by its own journal; by others once it is written.
        self.journals[hand.journal].flush().unwrap();
    }

    fn doubt(&mut self, hand: usize) {
        let (row, me, _) = self.about(hand);
        let model = &mut self.model[row];
        if model.owner == Some(me) && model.state == "intent" {
            model.state = "doubtful";
        }
    }

    fn abandon(&mut self, hand: usize) {
        let (row, me, _) = self.about(hand);
        self.doubt(hand);
        let model = &mut self.model[row];
        if model.owner == Some(me) && matches!(model.state, "created" | "released") {
            model.owner = None;
        }
    }

    fn resolve(&mut self, row: usize, found: bool) {
        let Some(number) = self.number(row) else { return };
        let task = format!("t{}", self.fresh());
        let resolution =
            if found { Resolution::Task(task.parse().unwrap()) } else { Resolution::NotBilled };
        let resolved = self.journals[self.alive[0]].resolve(number, &resolution);
        let doubtful = self.expected_opening(row) == "doubtful";
        assert_eq!(resolved.is_ok(), doubtful, "{resolved:?} {:?}", self.model[row]);
        if !doubtful {
            return;
        }
        let submissions = self.submissions.get_mut(&row).unwrap();
        if found {
            let model = &mut self.model[row];
            (model.state, model.task) = ("created", Some(task));
            model.former.take_if(|(_, state)| *state == "failed");
        } else {
            // The person answers for it.
            submissions.1 += 1;
            self.revert_intent(row);
        }
        self.model[row].owner = None;
    }

    fn crash(&mut self, journal: usize) {
        let dead = std::mem::replace(&mut self.alive[journal], self.journals.len());
        for _ in 0..2 {
            self.clock.pass(LEASE / 2);
            self.journals[self.alive[1 - journal]].flush().unwrap();
        }
        let (gone, there) = self.hands.drain(..).partition(|hand| hand.journal == dead);
        self.hands = there;
        self.dead_hands.extend::<Vec<_>>(gone);
        let host = format!("host {}", self.journals.len());
        self.journals.push(self.clock.elsewhere(&self.path, &host));
    }

    fn about(&self, hand: usize) -> (usize, Owner, Option<(String, &'static str)>) {
        let hand = &self.hands[hand];
        (hand.row, (hand.journal, hand.number), hand.renews.clone())
    }

    fn check(&self) {
        // Whatever was let go of is let go of before anybody looks.
        for journal in self.alive {
            self.journals[journal].flush().unwrap();
        }
        for journal in self.alive {
            let journal = &self.journals[journal];
            let listed = journal.list(&Default::default()).unwrap();
            let strays = listed.iter().filter(|row| !self.rows.contains(&row.row)).count();
            assert_eq!(strays, self.strays);
            for (number, row) in self.rows.iter().enumerate() {
                let model = &self.model[number];
                let name = effects_jobs::RowName::Identity(row.identity);
                let Some(record) = journal.find(&name).unwrap() else {
                    assert_eq!(model.state, "");
                    continue;
                };
                let held = self.held(number);
                let state = if model.state == "intent" && !held { "doubtful" } else { model.state };
                assert_eq!(record.state.name(), state, "{record:?} {model:?}");
                let task = record.state.task().map(|task| task.as_str().to_owned());
                assert_eq!((&task, record.renewals), (&model.task, model.renewals));
                let holds = matches!(model.state, "intent" | "created" | "released") && held;
                assert_eq!(record.holder.is_some(), holds, "{record:?} {model:?}");
            }
        }
        for (row, (may_be_billed, excused)) in &self.submissions {
            assert!(may_be_billed - excused <= 1, "row {row}: {may_be_billed} - {excused}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_journal_is_the_model_and_nothing_is_submitted_twice(
        operations in operations()
    ) {
        let mut world = World::new();
        for operation in operations {
            world.apply(operation);
            world.check();
        }
    }
}

const ROWS: usize = 2;
