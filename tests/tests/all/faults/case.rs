//! [`Case`]: one case of the fault tests: a plan of faults for the emulator, and how a run under it must
//! end. `table.rs` lists the cases, and the tests in `mod.rs` play them with [`play_all`].

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use effects_core::ErrorKind;
use effects_core::model::{Draft, DraftImage};
use effects_emulator::{Emulator, Pictures, SeenRequest};
use effects_tests::{Ask, ClientSetup, Ended, Face, FaceJob, picture, setup_at};

/// What goes wrong, and how it must end.
///
/// Unless it is said otherwise, a run that ends with its picture has one task, paid once, and
/// whatever the plan's faults are was met.
#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// The plan of faults, as its file has it.
    pub(crate) plan: String,
    /// A key that chooses an outcome, in place of the emulator's own.
    key: Option<String>,
    adjust: fn(&mut ClientSetup),
    uploads: bool,
    times: usize,
    end: CaseEnd,
    /// What an event of the download says.
    reported: Option<&'static str>,
    /// Whether the plan's faults are met.
    met: bool,
    code: Option<String>,
    status: Option<u16>,
    accepted: u64,
    /// Creates that reach the emulator, at least.
    creates: u64,
    /// The least the service asked to be waited for.
    waits: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum CaseEnd {
    Picture,
    Fails { kind: ErrorKind, task: bool },
}

impl Case {
    pub(crate) fn new(name: &'static str, plan: impl Into<String>) -> Self {
        Self {
            name,
            plan: plan.into(),
            key: None,
            adjust: |_| {},
            uploads: false,
            times: 1,
            end: CaseEnd::Picture,
            reported: None,
            met: true,
            code: None,
            status: None,
            accepted: 1,
            creates: 1,
            waits: Duration::ZERO,
        }
    }

    /// A key, and no plan at all.
    pub(crate) fn of_key(key: &'static str) -> Self {
        Self { key: Some(key.to_owned()), ..Self::new(key, "") }
    }

    /// It ends with an error that knows no task, and none was accepted.
    pub(crate) fn fails(self, kind: ErrorKind) -> Self {
        Self { end: CaseEnd::Fails { kind, task: false }, accepted: 0, ..self }
    }

    /// It ends with an error, and it is not known here that a task was accepted.
    pub(crate) fn unknown(self, accepted: u64) -> Self {
        Self { accepted, ..self.fails(ErrorKind::OutcomeUnknown) }
    }

    /// It ends with an error that knows the task.
    pub(crate) fn fails_with_task(self, kind: ErrorKind) -> Self {
        Self { end: CaseEnd::Fails { kind, task: true }, ..self }
    }

    /// The same, after a run that went well.
    pub(crate) fn fails_after_one(self, kind: ErrorKind) -> Self {
        let accepted = self.accepted;
        Self { accepted, ..self.fails(kind) }
    }

    /// An event of the download says this.
    pub(crate) fn reports_download(self, words: &'static str) -> Self {
        Self { reported: Some(words), ..self }
    }

    /// None of the plan's faults is met.
    pub(crate) fn never_met(self) -> Self {
        Self { met: false, ..self }
    }

    /// The error has this code of the service's.
    pub(crate) fn code(self, code: &str) -> Self {
        Self { code: Some(code.to_owned()), ..self }
    }

    /// The error is about an answer of this status.
    pub(crate) fn status(self, status: u16) -> Self {
        Self { status: Some(status), ..self }
    }

    /// Changes what the client is made of.
    pub(crate) fn with(self, adjust: fn(&mut ClientSetup)) -> Self {
        Self { adjust, ..self }
    }

    /// One exchange may take no longer than a moment.
    pub(crate) fn impatient(self) -> Self {
        self.with(|setup| setup.policy.request_timeout = Duration::from_millis(700))
    }

    /// The wait is over soon.
    pub(crate) fn brief(self) -> Self {
        self.with(|setup| setup.policy.wait_timeout = Duration::from_millis(400))
    }

    /// The photo is on this machine.
    pub(crate) fn uploads(self) -> Self {
        Self { uploads: true, ..self }
    }

    /// Does it so often, which is accepted so often.
    pub(crate) fn times(self, times: usize, accepted: u64) -> Self {
        Self { times, accepted, creates: times as u64, ..self }
    }

    /// At least so many creates reach the emulator.
    pub(crate) fn creates(self, creates: u64) -> Self {
        Self { creates, ..self }
    }

    /// It takes at least this long, since the service asked for it.
    pub(crate) fn waits(self, seconds: u64) -> Self {
        Self { waits: Duration::from_secs(seconds), ..self }
    }

    fn play(&self, face: &dyn Face) {
        let plan = self.plan.parse().unwrap();
        let builder = Emulator::builder().pictures(Pictures::Stub).faults(plan);
        let emulator = builder.start().unwrap();
        let key = self.key.as_deref().unwrap_or(emulator.api_key());
        let mut setup = setup_at(emulator.base_url(), key);
        (self.adjust)(&mut setup);
        let job = FaceJob { ask: self.ask(), times: self.times, save_to: None };
        let begun = Instant::now();
        let ended = face.run(&setup, &job, &mut |_| {});
        assert!(begun.elapsed() >= self.waits, "too early: {:?}", begun.elapsed());
        self.check_end(&ended, &emulator);
        self.check_record(&emulator);
    }

    fn ask(&self) -> Ask {
        let url = DraftImage::Url("https://photos.example.com/cat.jpg".to_owned());
        let template_id = Some("glass_ball".to_owned());
        let draft = Draft { image: url, template_id, ..Draft::default() };
        if self.uploads { Ask::EffectOf(picture(), draft) } else { Ask::Effect(draft) }
    }

    fn check_end(&self, ended: &Ended, emulator: &Emulator) {
        let tasks = emulator.tasks();
        match (self.end, &ended.failure) {
            (CaseEnd::Picture, None) => {
                let effect = ended.effect.as_ref().unwrap();
                assert_eq!(effect.task_id.as_str(), tasks[0].id);
                assert_eq!(effect.usage.cost.unwrap().to_string(), "0.03");
                assert_eq!(ended.pictures.len(), self.times);
                if let (Some(words), Some(reported)) = (self.reported, &ended.downloads) {
                    assert!(reported.iter().any(|text| text.contains(words)), "{reported:#?}");
                }
            }
            (CaseEnd::Fails { kind, task }, Some(failure)) => {
                assert_eq!(failure.kind, kind, "{failure:#?}");
                let known = if task { tasks.first().map(|task| task.id.clone()) } else { None };
                assert_eq!(failure.task_id, known, "{failure:#?}");
                assert_eq!(task, failure.task_id.is_some());
                if self.code.is_some() {
                    assert_eq!(failure.code, self.code);
                }
                if self.status.is_some() {
                    assert_eq!(failure.status, self.status);
                }
            }
            (end, failure) => panic!("{end:?} expected, but {failure:#?}"),
        }
    }

    /// What the other side has seen: above all, that nothing was paid for twice.
    fn check_record(&self, emulator: &Emulator) {
        let counts = emulator.counts();
        assert_eq!(counts.accepted, self.accepted, "{counts:?}");
        assert_eq!(emulator.tasks().len() as u64, self.accepted);
        // One body a run, all alike, and a key of its own for each submission.
        assert_eq!(counts.by_body.values().sum::<u64>(), self.accepted);
        assert!(counts.by_idempotency_key.values().all(|paid| *paid == 1), "{counts:?}");
        assert!(counts.creates_seen >= self.creates, "{counts:?}");
        let met: Vec<&str> = emulator.requests().iter().filter_map(|seen| seen.fault).collect();
        // A fault that is never met proves nothing, so each has to appear in what the emulator saw.
        let kinds = self.plan.lines().filter_map(|line| line.trim().strip_prefix("kind = "));
        for kind in kinds {
            let kind = kind.trim_matches('"');
            assert_eq!(
                met.contains(&kind),
                self.met,
                "no request met `{kind}`: {:#?}",
                brief(emulator.requests())
            );
        }
    }
}

fn brief(requests: Vec<SeenRequest>) -> Vec<String> {
    let line = |seen: SeenRequest| format!("{} {} {:?}", seen.method, seen.path, seen.status);
    requests.into_iter().map(line).collect()
}

/// Plays every case over every face, several at once, since most of their time is waiting.
pub(crate) fn play_all(faces: &[Box<dyn Face>], cases: &[Case]) {
    let plays: Vec<(&dyn Face, &Case)> =
        faces.iter().flat_map(|face| cases.iter().map(move |case| (&**face, case))).collect();
    let next = AtomicUsize::new(0);
    let broken = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..PLAYERS {
            scope.spawn(|| {
                while let Some((face, case)) = plays.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let name = format!("{}: {}", face.name(), case.name);
                    let named = std::thread::Builder::new().name(name.clone());
                    let played = named.spawn_scoped(scope, || case.play(*face)).unwrap().join();
                    if played.is_err() {
                        broken.lock().unwrap().push(name);
                    }
                }
            });
        }
    });
    let broken = broken.into_inner().unwrap();
    assert!(broken.is_empty(), "{broken:#?}");
}

const PLAYERS: usize = 8;
