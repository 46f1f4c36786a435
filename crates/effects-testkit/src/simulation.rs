//! A simulated world for money: several processes run the same rows over one journal and one budget,
//! crash, and are started again, against a service that loses requests and answers.
//!
//! A seed is a schedule: [`Simulation::run`] plays it on virtual time and checks after every step, by the
//! *service's* own books, that no row was paid twice, that no task is lost and that no budget is
//! exceeded. The same seed always plays the same. A [`Mutation`] breaks the journal on purpose, to show
//! that the checks would notice.
//!
//! ```
//! use effects_testkit::simulation::Simulation;
//!
//! let report = Simulation::new(7).run().expect("every invariant holds");
//! assert!(report.accepted > 0);
//! ```

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use effects_core::{
    Admission, Answer, AsyncJournal, BaseUrl, Batch, BatchStep, Budget, Call, CallId, CallKind,
    EffectRequest, Entry, Fact, Journal, JournalError, JournalStore, MemoryStore, Opened, Pace,
    Policy, Row, RowDraft, RowEnd, RowJournal, RowName, RowPhoto, RunId, Seed, Size, Standing,
    Template, Time, Widths,
};
use http::{HeaderMap, StatusCode};
use rust_decimal::Decimal;

use crate::faults::Chance;
use crate::response::result_of;

/// One schedule of a simulated world.
#[derive(Debug)]
pub struct Simulation {
    seed: u64,
    mutation: Option<Mutation>,
}

/// A way to break the journal on purpose.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mutation {
    /// An intent is said to be durable and is not.
    SkipIntent,
    /// A task's id is said to be durable and is not.
    SkipCreated,
    /// A submission of unknown outcome is booked as one that made nothing.
    ReleaseDoubtful,
    /// Submissions are charged to no budget.
    ForgetReservation,
    /// A submission that should wait for its budget leaves.
    IgnoreWait,
    /// A submission that is over the budget leaves.
    IgnoreOverBudget,
    /// A task that was billed is booked as free.
    ForgetCost,
}

impl Mutation {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::SkipIntent,
        Self::SkipCreated,
        Self::ReleaseDoubtful,
        Self::ForgetReservation,
        Self::IgnoreWait,
        Self::IgnoreOverBudget,
        Self::ForgetCost,
    ];
}

/// What a schedule came to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Report {
    /// Steps taken.
    pub steps: u64,
    /// Tasks the service made: each is billed.
    pub accepted: u64,
    /// Processes that crashed.
    pub crashes: u64,
}

/// An invariant that did not hold.
#[derive(Clone, Debug)]
pub struct Violation {
    /// The seed that plays it again.
    pub seed: u64,
    /// What did not hold.
    pub what: String,
    /// What happened before, the latest last.
    pub transcript: Vec<String>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}: {}", self.seed, self.what)?;
        self.transcript.iter().try_for_each(|line| writeln!(f, "  {line}"))
    }
}

impl std::error::Error for Violation {}

impl Simulation {
    /// The schedule of a seed.
    pub fn new(seed: u64) -> Self {
        Self { seed, mutation: None }
    }

    /// The same schedule with a broken journal.
    #[must_use]
    pub fn broken_by(self, mutation: Mutation) -> Self {
        Self { mutation: Some(mutation), ..self }
    }

    /// Plays the schedule to its end.
    ///
    /// # Errors
    ///
    /// [`Violation`], at the first step after which an invariant does not hold.
    pub fn run(self) -> Result<Report, Violation> {
        World::new(self.seed, self.mutation).play()
    }
}

/// The tasks of a simulated service, by its own books.
#[derive(Debug, Default)]
struct Books {
    tasks: Vec<Task>,
}

#[derive(Debug)]
struct Task {
    row: usize,
    ends: Time,
    end: TaskEnd,
    /// It was looked at, so its id must be durable.
    is_polled: bool,
}

#[derive(Clone, Copy, Debug)]
enum TaskEnd {
    Completed,
    /// Completed, and the answer does not say what it cost.
    CompletedWithoutCost,
    Failed,
}

struct Process {
    batch: Batch,
    budget: Option<Budget>,
    runs: HashMap<RunId, (usize, Arc<Lease>)>,
    /// Answers on their way, by when they arrive.
    answers: BTreeMap<(Time, u64), (RunId, CallId, Answer)>,
    /// Rows to open, and how many more runs there is room for.
    rows: VecDeque<usize>,
    room: u32,
    /// When a row that another process held is tried again.
    again_at: Time,
    wakes: Time,
    is_over: bool,
}

struct World {
    seed: u64,
    chance: Chance,
    mutation: Option<Mutation>,
    now: Time,
    store: MemoryStore,
    rows: Vec<Row>,
    /// The limit and the price that is given, in USD.
    budget: Option<(Decimal, Option<Decimal>)>,
    books: Books,
    processes: Vec<Option<Process>>,
    sent: u64,
    steps: u64,
    crashes: u64,
    /// Something happened since the last check.
    has_news: bool,
    transcript: Vec<String>,
}

impl World {
    fn new(seed: u64, mutation: Option<Mutation>) -> Self {
        let mut chance = Chance(seed);
        let rows = (0..=chance.below(7)).map(row).collect();
        let price = Decimal::new(3, 2);
        let affordable = Decimal::from(1 + chance.below(5));
        let budget = (chance.below(4) > 0)
            .then(|| (price * affordable, (chance.below(2) == 0).then_some(price)));
        let processes = (0..=chance.below(2)).map(|_| None).collect();
        Self {
            seed,
            chance,
            mutation,
            now: Time::from_millis(1_764_000_000_000),
            store: MemoryStore::new(),
            rows,
            budget,
            books: Books::default(),
            processes,
            sent: 0,
            steps: 0,
            crashes: 0,
            has_news: false,
            transcript: Vec::new(),
        }
    }

    fn play(mut self) -> Result<Report, Violation> {
        for _ in 0..MOST_STEPS {
            self.steps += 1;
            let chosen = self.below(self.processes.len());
            match &self.processes[chosen] {
                None => self.start(chosen),
                Some(_) if self.crashes < MOST_CRASHES && self.chance.below(120) == 0 => {
                    self.note(format!("process {chosen} crashes"));
                    self.crashes += 1;
                    self.processes[chosen] = None;
                }
                Some(_) => self.step(chosen),
            }
            if std::mem::take(&mut self.has_news) {
                self.check()?;
            }
            if self.processes.iter().flatten().all(|process| process.is_over)
                && self.processes.iter().all(Option::is_some)
            {
                self.check_end()?;
                let accepted = self.books.tasks.len() as u64;
                return Ok(Report { steps: self.steps, accepted, crashes: self.crashes });
            }
        }
        Err(self.violation("it does not end".to_owned()))
    }

    /// Starts a process that runs all rows, as the same command given again does.
    fn start(&mut self, chosen: usize) {
        self.note(format!("process {chosen} starts"));
        let widths = Widths { submissions: 2, tasks: 3, polls_per_second: 1e6 };
        let policy = Policy {
            pace: Pace::fixed(Duration::from_secs(3)),
            wait_timeout: Duration::from_secs(90),
            ..Policy::default()
        };
        let batch = Batch::new(Arc::new(policy), widths, self.now);
        let budget = self.budget.map(|(limit, price)| {
            let scope = self.store.open_scope(Some("the rows")).expect("memory takes it");
            let identities: Vec<_> = self.rows.iter().map(|row| row.identity).collect();
            self.store.add_to_scope(scope, &identities).expect("memory takes it");
            Budget { scope, limit, price }
        });
        self.processes[chosen] = Some(Process {
            batch,
            budget,
            runs: HashMap::new(),
            answers: BTreeMap::new(),
            rows: (0..self.rows.len()).collect(),
            room: 0,
            again_at: self.now,
            wakes: self.now,
            is_over: false,
        });
    }

    /// One step of a process; where it sleeps and so do all, time passes.
    fn step(&mut self, chosen: usize) {
        let Some(mut process) = self.processes[chosen].take() else { return };
        self.deliver(&mut process);
        if process.room > 0 && !process.rows.is_empty() && process.again_at <= self.now {
            self.open(chosen, &mut process);
            self.processes[chosen] = Some(process);
            return;
        }
        match process.batch.step(self.now) {
            BatchStep::Record(run, entry) => self.record(chosen, &mut process, run, &entry),
            BatchStep::Send(run, call) => self.send(chosen, &mut process, run, &call),
            BatchStep::WantRuns(room) => process.room = room,
            BatchStep::Sleep(until) => {
                let arrival = process.answers.keys().next().map_or(Time::MAX, |(at, _)| *at);
                let is_hungry = process.room > 0 && !process.rows.is_empty();
                let again = if is_hungry { process.again_at } else { Time::MAX };
                process.wakes = until.min(arrival).min(again);
            }
            BatchStep::Notify(..) => {}
            BatchStep::Done(run, outcome) => {
                if let Some((row, lease)) = process.runs.remove(&run) {
                    self.note(format!("process {chosen}: row {row} ends: {outcome:?}"));
                    lease.settle(&RowEnd::of_outcome(&outcome)).expect("memory takes it");
                }
            }
            BatchStep::Empty => process.is_over = true,
        }
        self.processes[chosen] = Some(process);
        let awake = self.processes.iter().flatten().any(|it| !it.is_over && it.wakes <= self.now);
        if !awake && self.processes.iter().all(Option::is_some) {
            let running = self.processes.iter().flatten().filter(|it| !it.is_over);
            if let Some(next) = running.map(|it| it.wakes).min().filter(|at| *at < Time::MAX) {
                self.now = next;
            }
        }
    }

    /// A seed for the next run, as a process draws one from its operating system.
    fn seed(&mut self) -> Seed {
        Seed::from(self.chance.next())
    }

    fn deliver(&mut self, process: &mut Process) {
        while let Some(first) = process.answers.first_entry()
            && first.key().0 <= self.now
        {
            let (run, call, answer) = first.remove();
            process.batch.reply(self.now, run, call, &result_of(answer));
        }
        process.wakes = self.now;
    }

    /// Opens the next row; one that another process holds is tried again later.
    fn open(&mut self, chosen: usize, process: &mut Process) {
        let Some(row) = process.rows.pop_front() else { return };
        let opened = self.store.open(&self.rows[row]).expect("memory opens it");
        self.note(format!("process {chosen} opens row {row}: {}", name_of(&opened)));
        match opened {
            Opened::Submit(inner) => {
                if self.mutation != Some(Mutation::ForgetReservation)
                    && let Some(budget) = &process.budget
                {
                    inner.charge_to(std::slice::from_ref(budget));
                }
                process.room -= 1;
                let run = process.batch.submit(request(row), self.seed(), self.now);
                process.runs.insert(run, (row, self.lease(inner)));
            }
            Opened::Watch(record, inner) => {
                if let Standing::Created { task, submitted } = record.standing {
                    process.room -= 1;
                    let label = Some(Template::GlassBall.into());
                    let seed = self.seed();
                    let run = process.batch.attach(task, label, Some(submitted), seed, self.now);
                    process.runs.insert(run, (row, self.lease(inner)));
                }
            }
            Opened::Elsewhere(_) => {
                process.rows.push_back(row);
                process.again_at = self.now + Duration::from_secs(1);
            }
            Opened::Finished(..) | Opened::Doubtful(_) => {}
        }
        if process.rows.is_empty() {
            process.batch.feed_no_more();
        }
    }

    fn lease(&self, inner: Arc<dyn RowJournal>) -> Arc<Lease> {
        Arc::new(Lease { inner, mutation: self.mutation })
    }

    fn record(&mut self, chosen: usize, process: &mut Process, run: RunId, entry: &Entry) {
        let Some((row, lease)) = process.runs.get(&run) else { return };
        let answer = Journal::write(&**lease, entry);
        let line = format!("process {chosen}: row {row} records {:?}: {answer:?}", entry.fact);
        match answer {
            Ok(admission) => process.batch.admission(self.now, run, entry.id, &admission),
            // Another process was faster.
            Err(_) => {
                process.runs.remove(&run);
                process.batch.give_up(run);
            }
        }
        self.note(line);
    }

    fn send(&mut self, chosen: usize, process: &mut Process, run: RunId, call: &Call) {
        let Some(&(row, _)) = process.runs.get(&run) else { return };
        let luck = self.chance.below(100);
        let (answer, fate) = match &call.kind {
            CallKind::Submit { .. } => match luck {
                0..6 => (Answer::NotSent("refused".to_owned()), "does not leave"),
                6..12 => (Answer::Lost("reset".to_owned()), "is lost"),
                12..18 => (json(429, "{}".to_owned()), "is throttled"),
                18..26 => {
                    self.accept(row);
                    (Answer::Lost("reset".to_owned()), "is accepted, its answer lost")
                }
                26..30 => {
                    self.accept(row);
                    (json(502, "{}".to_owned()), "is accepted, a proxy answers 502")
                }
                _ => {
                    let id = self.accept(row);
                    let body = format!(r#"{{"id":"task-{id}","status":"in_progress"}}"#);
                    (json(200, body), "is accepted")
                }
            },
            CallKind::Poll { .. } if luck < 15 => (Answer::Lost("reset".to_owned()), "is lost"),
            CallKind::Poll { task } => (self.look(task.as_str()), "is answered"),
        };
        self.note(format!("process {chosen}: row {row}'s call {fate}"));
        self.sent += 1;
        let after = Duration::from_millis(20 + self.chance.below(2_000));
        process.answers.insert((self.now + after, self.sent), (run, call.id, answer));
    }

    /// The service makes a task: it will be billed.
    fn accept(&mut self, row: usize) -> usize {
        let lasts = Duration::from_secs(1 + self.chance.below(20));
        let end = match self.chance.below(20) {
            0 => TaskEnd::Failed,
            1 => TaskEnd::CompletedWithoutCost,
            _ => TaskEnd::Completed,
        };
        self.books.tasks.push(Task { row, ends: self.now + lasts, end, is_polled: false });
        self.books.tasks.len() - 1
    }

    fn look(&mut self, id: &str) -> Answer {
        let number = id.strip_prefix("task-").and_then(|number| number.parse::<usize>().ok());
        let Some(task) = number.and_then(|number| self.books.tasks.get_mut(number)) else {
            return json(404, "{}".to_owned());
        };
        task.is_polled = true;
        let picture = r#""output":[{"content":[{"type":"image","url":"https://x/y.png"}]}]"#;
        let rest = match task.end {
            _ if self.now < task.ends => r#""status":"in_progress""#.to_owned(),
            TaskEnd::Completed => {
                format!(r#""status":"completed",{picture},"usage":{{"cost":"0.03"}}"#)
            }
            TaskEnd::CompletedWithoutCost => format!(r#""status":"completed",{picture}"#),
            TaskEnd::Failed => r#""status":"failed","error":{"code":"3009095"}"#.to_owned(),
        };
        json(200, format!(r#"{{"id":"{id}",{rest}}}"#))
    }

    /// What must be true after every step.
    fn check(&self) -> Result<(), Violation> {
        let mut accepted = vec![0_u32; self.rows.len()];
        for (number, task) in self.books.tasks.iter().enumerate() {
            accepted[task.row] += 1;
            if accepted[task.row] > 1 {
                let what = format!("row {} was paid twice", task.row);
                return Err(self.violation(what));
            }
            let name = RowName::Identity(self.rows[task.row].identity);
            let known = self.store.look(&name).ok().flatten().map(|record| record.standing);
            let is_known = known.as_ref().is_some_and(|standing| match standing {
                Standing::Intent { .. } | Standing::Doubtful { .. } => !task.is_polled,
                standing => standing.task().is_some_and(|id| {
                    id.as_str().strip_prefix("task-") == Some(&number.to_string())
                }),
            });
            if !is_known {
                let what = format!("task {number} of row {} is lost: {known:?}", task.row);
                return Err(self.violation(what));
            }
        }
        let Some((limit, _)) = self.budget else { return Ok(()) };
        // A failed task is not billed, and one may cost that much before it is known to have failed.
        let is_billed = |task: &&Task| !matches!(task.end, TaskEnd::Failed) || self.now < task.ends;
        let billed = self.books.tasks.iter().filter(is_billed).count() as u64;
        let cost = Decimal::from(billed) * Decimal::new(3, 2);
        if cost > limit {
            return Err(self.violation(format!("{cost} USD are billed, and the budget is {limit}")));
        }
        Ok(())
    }

    /// What must be true at the end, too: what the store says was paid is what the service billed.
    fn check_end(&self) -> Result<(), Violation> {
        let Some(scope) = self.processes.iter().flatten().find_map(|it| it.budget.as_ref()) else {
            return Ok(());
        };
        let state = self.store.scope(scope.scope).expect("memory knows it");
        let price = Decimal::new(3, 2);
        let known = state.paid + state.reserved + price * Decimal::from(state.unpriced);
        let billed =
            self.books.tasks.iter().filter(|it| !matches!(it.end, TaskEnd::Failed)).count();
        let billed = price * Decimal::from(billed);
        if known < billed {
            let what =
                format!("{billed} USD are billed, and the store knows of {known}: {state:?}");
            return Err(self.violation(what));
        }
        Ok(())
    }

    fn note(&mut self, line: impl fmt::Display) {
        let at = self.now.since(Time::from_millis(1_764_000_000_000));
        self.has_news = true;
        self.transcript.push(format!("{:>8.3} s  {line}", at.as_secs_f64()));
    }

    fn violation(&self, what: String) -> Violation {
        Violation { seed: self.seed, what, transcript: self.transcript.clone() }
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.chance.below(bound as u64)).unwrap_or_default()
    }
}

/// A row in the hands of a simulated run, over a journal that may be broken.
#[derive(Debug)]
struct Lease {
    inner: Arc<dyn RowJournal>,
    mutation: Option<Mutation>,
}

impl Lease {
    fn settle(&self, end: &RowEnd) -> Result<(), JournalError> {
        match (self.mutation, end) {
            (Some(Mutation::ReleaseDoubtful), RowEnd::Unknown { .. }) => {
                let fact = Fact::Released { reason: "nothing was made".to_owned() };
                let released: Entry = serde_json::from_value(serde_json::json!({
                    "id": 0, "at": 0, "fact": fact
                }))
                .expect("an entry");
                Journal::write(&*self.inner, &released)?;
                self.inner.settle(&RowEnd::LetGo)
            }
            (Some(Mutation::ForgetCost), RowEnd::Completed { task, pictures, .. }) => {
                let (task, pictures) = (task.clone(), pictures.clone());
                self.inner.settle(&RowEnd::Completed { task, cost: Some(Decimal::ZERO), pictures })
            }
            _ => self.inner.settle(end),
        }
    }
}

impl Journal for Lease {
    fn write(&self, entry: &Entry) -> Result<Admission, JournalError> {
        match (self.mutation, &entry.fact) {
            (Some(Mutation::SkipIntent), Fact::Intent { .. })
            | (Some(Mutation::SkipCreated), Fact::Created { .. }) => Ok(Admission::Admitted),
            (Some(Mutation::IgnoreWait), Fact::Intent { .. }) => {
                match Journal::write(&*self.inner, entry)? {
                    Admission::Wait { .. } => self.unbudgeted(entry),
                    answer => Ok(answer),
                }
            }
            (Some(Mutation::IgnoreOverBudget), Fact::Intent { .. }) => {
                match Journal::write(&*self.inner, entry)? {
                    Admission::OverBudget(_) => self.unbudgeted(entry),
                    answer => Ok(answer),
                }
            }
            _ => Journal::write(&*self.inner, entry),
        }
    }
}

impl Lease {
    fn unbudgeted(&self, entry: &Entry) -> Result<Admission, JournalError> {
        self.inner.charge_to(&[]);
        Journal::write(&*self.inner, entry)
    }
}

#[async_trait]
impl AsyncJournal for Lease {
    async fn write(&self, entry: &Entry) -> Result<Admission, JournalError> {
        Journal::write(self, entry)
    }
}

fn row(number: u64) -> Row {
    let draft = RowDraft {
        origin: BaseUrl::parse(BaseUrl::DEFAULT, false).expect("a base URL").origin().clone(),
        template: Template::GlassBall,
        size: Size::DEFAULT,
        photo: RowPhoto::Url(photo(number).parse().expect("a URL")),
        key: None,
        tag: None,
        target: None,
    };
    draft.row(0).expect("a row")
}

fn request(row: usize) -> EffectRequest {
    EffectRequest::new(Template::GlassBall, &photo(row as u64)).expect("a request")
}

fn photo(row: u64) -> String {
    format!("https://example.com/{row}.jpg")
}

fn json(status: u16, body: String) -> Answer {
    let status = StatusCode::from_u16(status).expect("a status");
    Answer::Answered { status, headers: HeaderMap::new(), body: body.into() }
}

fn name_of(opened: &Opened) -> &'static str {
    match opened {
        Opened::Submit(_) => "to be submitted",
        Opened::Watch(..) => "to be followed",
        Opened::Finished(..) => "finished",
        Opened::Doubtful(_) => "doubtful",
        Opened::Elsewhere(_) => "held by another run",
    }
}

const MOST_STEPS: u64 = 200_000;
const MOST_CRASHES: u64 = 4;
