//! [`Scenario`]: a test case of the clients: what the scripted servers do, mostly wrong, a job, how it must
//! end, and what must hold always. It plays over a [`Face`], and its checks read a [`Witness`]. The lists
//! in `scenarios/` are made of it, and `check_all` in `suite.rs` plays them. Other tests make a client's
//! settings with [`setup`] or [`setup_at`].

use std::collections::HashSet;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use effects_core::model::{Draft, DraftImage};
use effects_core::{Backoff, ErrorKind, Pace, Policy};
use effects_testkit::http::ReceivedRequest;

use crate::face::{Ask, ClientSetup, Ended, EventScope, Face, FaceEvent, FaceFailure, FaceJob};
use crate::world::{KEY, PHOTO_URL, ScenarioWorld, TASK, picture};

/// One thing that can happen: a world, a job, and how it must end.
///
/// Unless it is said otherwise, the job is one effect, the task is accepted at once, one POST is
/// sent, and the picture arrives byte for byte.
#[must_use]
pub struct Scenario {
    name: &'static str,
    arrange: Box<dyn Fn(&ScenarioWorld) + Send + Sync>,
    adjust: Vec<Adjust>,
    ask: Box<dyn Fn(&ScenarioWorld) -> Ask + Send + Sync>,
    task: &'static str,
    times: usize,
    ends: Ends,
    posts: usize,
    looks: Option<usize>,
    reports: Option<&'static str>,
    /// What each picture is; the world's own when `None`.
    picture: Option<Bytes>,
    needs_one_run: bool,
    refused_at_first: bool,
    key_is_a_word: bool,
    checks: Vec<WitnessCheck>,
}

type Adjust = Box<dyn Fn(&mut ClientSetup, &ScenarioWorld) + Send + Sync>;
type WitnessCheck = Box<dyn Fn(&Witness<'_>) + Send + Sync>;

#[derive(Clone, Copy, Debug)]
enum Ends {
    Completed,
    Looked,
    Failed { kind: ErrorKind, task: bool },
}

/// What a scenario came to.
#[derive(Debug)]
pub struct Witness<'a> {
    /// Where it played.
    pub world: &'a ScenarioWorld,
    /// What the client was made of.
    pub setup: &'a ClientSetup,
    /// How it ended.
    pub ended: Ended,
    /// The creates the gateway saw.
    pub posts: Vec<ReceivedRequest>,
    /// The looks the gateway saw.
    pub looks: Vec<ReceivedRequest>,
    /// What the hosts of the pictures saw.
    pub downloads: Vec<ReceivedRequest>,
    /// How long it took.
    pub elapsed: Duration,
}

impl Witness<'_> {
    /// What went wrong.
    ///
    /// # Panics
    ///
    /// When nothing did.
    pub fn failure(&self) -> &FaceFailure {
        match &self.ended.failure {
            Some(failure) => failure,
            None => panic!("nothing went wrong"),
        }
    }

    /// The cost, as text.
    pub fn cost(&self) -> Option<String> {
        self.ended.effect.as_ref()?.usage.cost.map(|cost| cost.to_string())
    }

    /// What the service sent for a cost that cannot be read, if it did.
    pub fn unreadable_cost(&self) -> Option<&str> {
        self.ended.effect.as_ref()?.usage.unreadable_cost.as_deref()
    }
}

impl Scenario {
    /// A scenario with this arrangement of the world.
    pub fn new(
        name: &'static str,
        arrange: impl Fn(&ScenarioWorld) + Send + Sync + 'static,
    ) -> Self {
        Self {
            name,
            arrange: Box::new(arrange),
            adjust: Vec::new(),
            ask: Box::new(|_| Ask::Effect(draft())),
            task: TASK,
            times: 1,
            ends: Ends::Completed,
            posts: 1,
            looks: None,
            reports: None,
            picture: None,
            needs_one_run: false,
            refused_at_first: false,
            key_is_a_word: false,
            checks: Vec::new(),
        }
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Changes what the client is made of.
    pub fn with(
        mut self,
        adjust: impl Fn(&mut ClientSetup, &ScenarioWorld) + Send + Sync + 'static,
    ) -> Self {
        self.adjust.push(Box::new(adjust));
        self
    }

    /// The key is a word that stands in answers and messages for other reasons, so it is not looked
    /// for there.
    pub fn keyed_by_a_word(mut self, word: &'static str) -> Self {
        self.key_is_a_word = true;
        self.with(move |setup, _| word.clone_into(&mut setup.api_key))
    }

    /// Changes how its runs behave.
    pub fn policy(self, adjust: impl Fn(&mut Policy) + Send + Sync + 'static) -> Self {
        self.with(move |setup, _| adjust(&mut setup.policy))
    }

    /// Asks for something else.
    pub fn asks(mut self, ask: impl Fn(&ScenarioWorld) -> Ask + Send + Sync + 'static) -> Self {
        self.ask = Box::new(ask);
        self
    }

    /// Waits for the task, submitted before; no POST is sent.
    pub fn waits(self) -> Self {
        self.asks(|_| Ask::Wait(TASK.to_owned())).posts(0)
    }

    /// Looks once at the task, submitted before; no POST is sent.
    pub fn only_looks(mut self) -> Self {
        self.ends = Ends::Looked;
        self.asks(|_| Ask::Look(TASK.to_owned())).posts(0)
    }

    /// The gateway gives the task this id.
    pub fn task(mut self, task: &'static str) -> Self {
        self.task = task;
        self
    }

    /// Does it so often.
    pub fn times(mut self, times: usize) -> Self {
        self.times = times;
        self
    }

    /// It ends with an error, and there is no task.
    pub fn fails(mut self, kind: ErrorKind) -> Self {
        self.ends = Ends::Failed { kind, task: false };
        self
    }

    /// It ends with an error that knows the task.
    pub fn fails_with_task(mut self, kind: ErrorKind) -> Self {
        self.ends = Ends::Failed { kind, task: true };
        self
    }

    /// So many POSTs are sent, exactly.
    pub fn posts(mut self, posts: usize) -> Self {
        self.posts = posts;
        self
    }

    /// So many looks are taken, exactly.
    pub fn looks(mut self, looks: usize) -> Self {
        self.looks = Some(looks);
        self
    }

    /// The gateway refuses connections until the client has reported a refusal. A face that does not
    /// report it, since it reports no events or none before the task is there, is refused for a while:
    /// that it was reported is then not checked, all else is.
    pub fn refused_at_first(mut self) -> Self {
        self.refused_at_first = true;
        self.with(|setup, world| setup.base_url = format!("http://{}", world.closed))
    }

    /// One run submits and waits: for faces that do not part the two, since each run begins to wait
    /// with a look of its own.
    pub fn in_one_run(mut self) -> Self {
        self.needs_one_run = true;
        self
    }

    /// An event or error with these words must be reported: for faces that report events of tasks.
    pub fn reports(mut self, words: &'static str) -> Self {
        self.reports = Some(words);
        self.then(move |witness| {
            let reported = witness.ended.printed.iter().filter(|text| text.contains(words)).count();
            assert!(reported > 0, "{words:?} was not reported: {:#?}", witness.ended.printed);
        })
    }

    /// An event of the download with these words must be reported: for faces that report downloads.
    pub fn reports_download(self, words: &'static str) -> Self {
        self.then(move |witness| {
            let reported = witness.ended.downloads.as_ref();
            let words_are_there =
                |reported: &Vec<String>| reported.iter().any(|text| text.contains(words));
            assert!(
                reported.is_none_or(words_are_there),
                "{words:?} was not reported: {reported:#?}"
            );
        })
    }

    /// The picture that is saved is this one.
    pub fn saves(mut self, picture: Bytes) -> Self {
        self.picture = Some(picture);
        self
    }

    /// Something that must hold in the end.
    pub fn then(mut self, check: impl Fn(&Witness<'_>) + Send + Sync + 'static) -> Self {
        self.checks.push(Box::new(check));
        self
    }

    /// Why this face cannot play it, if it cannot.
    pub fn unsupported_by(&self, face: &dyn Face) -> Option<&'static str> {
        if self.reports.is_some() && face.event_scope() < EventScope::Tasks {
            return Some("it is about events, and this face reports none");
        }
        if self.needs_one_run && face.waits_in_second_run() {
            return Some("it counts the looks of one run, and this face waits in another");
        }
        None
    }

    /// Plays it.
    ///
    /// # Panics
    ///
    /// When it does not end as it must.
    pub fn play(&self, face: &dyn Face) {
        let world = match ScenarioWorld::new() {
            Ok(world) => world,
            Err(error) => panic!("no servers: {error}"),
        };
        (self.arrange)(&world);
        let mut setup = setup(&world);
        self.adjust.iter().for_each(|adjust| adjust(&mut setup, &world));
        let job = FaceJob { ask: (self.ask)(&world), times: self.times, save_to: None };
        let begun = Instant::now();
        let ended = thread::scope(|scope| {
            let event_scope = self.reports_refusals(face, &job.ask);
            // A face that reports the refusal opens the gateway by it; for any other one it is
            // opened in time.
            let mut open = self.refused_at_first.then_some(|| {
                world.open().expect("this machine listens");
            });
            face.run(&setup, &job, &mut |event| match event {
                FaceEvent::Begun if !event_scope => {
                    if let Some(open) = open.take() {
                        // In a thread of its own, since the face makes its first
                        // attempt once this returns.
                        scope.spawn(move || {
                            thread::sleep(REFUSING);
                            open();
                        });
                    }
                }
                FaceEvent::Event(event) if event_scope => {
                    if let Some(open) = open.take() {
                        assert!(event.contains("never left this machine"), "{event}");
                        open();
                    }
                }
                _ => {}
            })
        });
        let elapsed = begun.elapsed();
        let of = |method: &str| -> Vec<ReceivedRequest> {
            let requests = world.gateway.requests();
            requests.into_iter().filter(|seen| seen.method == method).collect()
        };
        // Uploads are POSTs as well, and make no task.
        let posts = of("POST").into_iter().filter(|seen| seen.path().ends_with("/v1/generation"));
        // A gateway may have the picture itself.
        let (looks, here): (Vec<ReceivedRequest>, Vec<ReceivedRequest>) =
            of("GET").into_iter().partition(|seen| seen.path().contains("/generation/task/"));
        let witness = Witness {
            world: &world,
            setup: &setup,
            ended,
            posts: posts.collect(),
            looks,
            downloads: world.pictures.requests().into_iter().chain(here).collect(),
            elapsed,
        };
        self.check_end(&witness);
        check_requests(&job.ask, &witness);
        check_strangers(&witness);
        // A key such as `id` is in every answer, so finding it proves nothing.
        if !self.key_is_a_word {
            check_secrets(&witness);
        }
        self.checks.iter().for_each(|check| check(&witness));
    }

    /// Whether the face reports connections that are refused.
    fn reports_refusals(&self, face: &dyn Face, ask: &Ask) -> bool {
        match ask {
            // A refusal is then an event of the task, and else one of the submission.
            Ask::Wait(_) => face.event_scope() >= EventScope::Tasks,
            Ask::Effect(_) | Ask::EffectOf(..) => face.event_scope() >= EventScope::Everything,
            Ask::Look(_) => false,
        }
    }

    fn check_end(&self, witness: &Witness<'_>) {
        let ended = &witness.ended;
        match (self.ends, &ended.failure) {
            (Ends::Completed, None) => {
                let effect = ended.effect.as_ref().expect("a completed run has an effect");
                assert_eq!(effect.task_id.as_str(), self.task);
                assert_eq!(ended.pictures.len(), effect.pictures.len() * self.times);
                let whole = self.picture.clone().unwrap_or_else(picture);
                assert!(ended.pictures.iter().all(|picture| *picture == whole), "other bytes");
            }
            (Ends::Looked, None) => assert!(ended.effect.is_none()),
            (Ends::Failed { kind, task }, Some(failure)) => {
                assert_eq!(failure.kind, kind, "{failure:#?}");
                assert_eq!(failure.exit_code, kind.exit_code());
                // Both ways: an error that can know no task must not name one.
                assert_eq!(failure.task_id.as_deref(), task.then_some(self.task), "{failure:#?}");
                check_resume_line(failure, witness);
                check_names(failure, witness);
            }
            (ends, failure) => panic!("{ends:?} expected, but {failure:#?}"),
        }
        assert_eq!(witness.posts.len(), self.posts, "POSTs: {:#?}", witness.posts);
        if let Some(looks) = self.looks {
            assert_eq!(witness.looks.len(), looks, "looks: {:#?}", witness.looks);
        }
    }
}

impl std::fmt::Debug for Scenario {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Scenario({:?})", self.name)
    }
}

/// How long the gateway refuses connections of a face that does not hear of it: many attempts.
const REFUSING: Duration = Duration::from_millis(300);

/// What every scenario asks for unless it says otherwise.
pub(crate) fn draft() -> Draft {
    Draft {
        image: DraftImage::Url(PHOTO_URL.to_owned()),
        template_id: Some("glass_ball".to_owned()),
        ..Draft::default()
    }
}

/// What a scenario's client is made of unless it says otherwise.
pub fn setup(world: &ScenarioWorld) -> ClientSetup {
    setup_at(&world.gateway.base_url(), KEY)
}

/// What a client of this gateway is made of unless it is said otherwise: limits so long that a busy
/// machine does not reach them, waits too short for a person to notice.
pub fn setup_at(base_url: &str, api_key: &str) -> ClientSetup {
    let retry = Backoff {
        first: Duration::from_millis(5),
        factor: 2.0,
        most: Duration::from_millis(20),
        jitter: 0.5,
    };
    ClientSetup {
        base_url: base_url.to_owned(),
        api_key: api_key.to_owned(),
        policy: Policy {
            pace: Pace::fixed(Duration::from_millis(5)),
            retry,
            request_timeout: Duration::from_secs(20),
            wait_timeout: Duration::from_secs(40),
            ..Policy::default()
        },
        connect_timeout: Duration::from_secs(10),
        uploads: None,
        allow_http: false,
    }
}

/// An error that leaves something to wait for says how.
fn check_resume_line(failure: &FaceFailure, witness: &Witness<'_>) {
    // After a verdict there is nothing left to wait for, nor of a task that the service does not know.
    let ends = [ErrorKind::TaskFailed, ErrorKind::NoPicture, ErrorKind::TaskNotFound];
    let expected = failure.task_id.as_ref().filter(|_| !ends.contains(&failure.kind)).map(|task| {
        format!("effects wait {task} --base-url {}", witness.setup.base_url.trim_end_matches('/'))
    });
    assert_eq!(failure.resume_line, expected);
    if let Some(line) = expected {
        assert!(failure.message.contains(&line), "{}", failure.message);
    }
}

/// An unknown outcome names the exchange by which the service's support may find it.
fn check_names(failure: &FaceFailure, witness: &Witness<'_>) {
    if failure.kind != ErrorKind::OutcomeUnknown {
        return;
    }
    let named =
        |seen: &&ReceivedRequest| seen.header("x-request-id") == failure.request_id.as_deref();
    let post = witness.posts.iter().find(named).expect("an unknown outcome is one of a POST");
    for name in ["x-request-id", "idempotency-key"] {
        let name = post.header(name).unwrap_or_default();
        assert!(failure.message.contains(name), "{}", failure.message);
    }
}

/// What leaves is what is documented, whatever comes back.
fn check_requests(ask: &Ask, witness: &Witness<'_>) {
    for seen in witness.posts.iter().chain(&witness.looks) {
        let key = format!("Bearer {}", witness.setup.api_key);
        assert_eq!(seen.header("authorization"), Some(key.as_str()));
        assert_eq!(seen.header("accept"), Some("application/json"));
        let agent = seen.header("user-agent").unwrap_or_default();
        assert!(agent.starts_with("effects/"), "{agent}");
        // The third part of `http://host:port/path`.
        let authority = witness.setup.base_url.split('/').nth(2);
        assert_eq!(seen.header("host"), authority);
    }
    for seen in &witness.looks {
        assert!(seen.body.is_empty(), "a look has a body: {seen:?}");
        assert_eq!(seen.header("idempotency-key"), None);
    }
    let mut names = HashSet::new();
    for seen in &witness.posts {
        assert_eq!(seen.header("content-type"), Some("application/json"));
        // The length is known, so no gateway is asked to take chunks.
        assert_eq!(seen.header("transfer-encoding"), None);
        assert_eq!(seen.header("content-length"), Some(seen.body.len().to_string().as_str()));
        let name = seen.header("x-request-id").unwrap_or_default();
        assert_eq!(name.len(), 36, "a UUID: {name:?}");
        // Each attempt has a name of its own, by which the service's support may find it.
        assert!(names.insert(name.to_owned()), "two attempts under the name {name}");
        assert_eq!(seen.header("idempotency-key").map(str::len), Some(36));
        // With an uploaded photo the body has a URL that only the upload knows.
        if let Ask::Effect(draft) = ask {
            assert_eq!(seen.text(), documented(draft));
        }
    }
}

/// The body of a create as it is documented, spelt without the core's help.
pub(crate) fn documented(draft: &Draft) -> String {
    let DraftImage::Url(image) = &draft.image else { return String::new() };
    let template = draft.template_id.as_deref().unwrap_or_default();
    let side = |name: &str, side: Option<i64>| {
        side.map(|side| format!(r#","{name}":{side}"#)).unwrap_or_default()
    };
    format!(
        r#"{{"model":"spark_img_effects","input":[{{"params":{{"image_input1":"{image}","template_id":"{template}"{}{}}}}}]}}"#,
        side("width", draft.width),
        side("height", draft.height),
    )
}

/// Only the gateway is sent a key.
fn check_strangers(witness: &Witness<'_>) {
    let others = [&witness.world.pictures, &witness.world.elsewhere];
    for seen in others.iter().flat_map(|server| server.requests()) {
        assert_eq!(seen.header("authorization"), None);
    }
}

/// The key is known to the gateway alone.
fn check_secrets(witness: &Witness<'_>) {
    let key = witness.setup.api_key.as_str();
    let others = [&witness.world.pictures, &witness.world.elsewhere];
    for seen in others.iter().flat_map(|server| server.requests()) {
        assert!(!format!("{seen:?}").contains(key), "a stranger got the key: {seen:?}");
        assert!(!holds(&seen.body, key));
    }
    for seen in &witness.downloads {
        assert_eq!(seen.header("authorization"), None, "a picture needs no key: {seen:?}");
    }
    for text in &witness.ended.printed {
        assert!(!text.contains(key), "the key is printed: {text}");
    }
}

fn holds(bytes: &Bytes, text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}
