//! Cassettes: what one client recorded of the emulator, both replay without a network, and neither file nor
//! replay has a secret.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use effects_client::{BuildClient, ClientBuilder};
use effects_core::{Effect, EffectRequest, Error, ErrorKind, Pace, Template};
use effects_emulator::{Emulator, Latency, Pictures};
use effects_jobs::{Photo, Uploads};
use effects_testkit::http::{Response, ScriptedServer};
use effects_tests::{KEY, picture};
use futures_util::StreamExt;
use serde_json::Value;
use tempfile::TempDir;

#[derive(Clone, Copy, Debug)]
enum ClientKind {
    Blocking,
    Async,
}

const KINDS: [ClientKind; 2] = [ClientKind::Blocking, ClientKind::Async];

/// A client of either kind.
enum Client {
    Blocking(effects_ureq::Client),
    Async(effects_reqwest::Client, tokio::runtime::Runtime),
}

type SetBuilders<'a> = dyn Fn(Builders) -> Builders + 'a;

/// The builder of either client, so that one function sets both up.
enum Builders {
    Blocking(ClientBuilder<effects_ureq::Client>),
    Async(ClientBuilder<effects_reqwest::Client>),
}

macro_rules! on_both {
    ($self:expr, $builder:ident => $change:expr) => {
        match $self {
            Builders::Blocking($builder) => Builders::Blocking($change),
            Builders::Async($builder) => Builders::Async($change),
        }
    };
}

impl Client {
    fn new(kind: ClientKind, settings: &SetBuilders<'_>) -> Result<Self, Error> {
        let builder = match kind {
            ClientKind::Blocking => Builders::Blocking(effects_ureq::Client::builder()),
            ClientKind::Async => Builders::Async(effects_reqwest::Client::builder()),
        };
        Ok(match settings(builder) {
            Builders::Blocking(builder) => Self::Blocking(builder.build()?),
            Builders::Async(builder) => {
                let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
                Self::Async(builder.build()?, runtime.unwrap())
            }
        })
    }

    /// At this emulator, recording.
    fn recording(kind: ClientKind, emulator: &Emulator, cassette: &Path) -> Result<Self, Error> {
        Self::new(
            kind,
            &|builder| on_both!(builder, builder => at(builder, emulator).cassette(cassette)),
        )
    }

    /// With nothing but the cassette: neither key nor gateway.
    fn replaying(kind: ClientKind, cassette: &Path) -> Result<Self, Error> {
        Self::new(kind, &|builder| on_both!(builder, builder => builder.cassette(cassette)))
    }

    fn upload(&self, photo: &Photo) -> Result<String, Error> {
        let reference = match self {
            Self::Blocking(client) => client.upload(photo)?,
            Self::Async(client, runtime) => runtime.block_on(client.upload(photo))?,
        };
        Ok(reference.as_str().to_owned())
    }

    fn run(&self, request: EffectRequest) -> Result<Effect, Error> {
        match self {
            Self::Blocking(client) => client.run(request),
            Self::Async(client, runtime) => runtime.block_on(client.run(request)),
        }
    }

    fn fetch(&self, effect: &Effect) -> Result<Bytes, Error> {
        match self {
            Self::Blocking(client) => client.fetch(&effect.pictures[0]),
            Self::Async(client, runtime) => runtime.block_on(client.fetch(&effect.pictures[0])),
        }
    }

    /// Uploads a photo, has it made, looks at the task once more, and fetches the picture.
    fn everything(&self) -> Result<(Effect, Bytes), Error> {
        let photo = self.upload(&Photo::new(picture(), "photo.png")?)?;
        let effect = self.run(EffectRequest::new(Template::GlassBall, &photo)?)?;
        let id = effect.task_id.clone();
        let task = match self {
            Self::Blocking(client) => client.task(id).status()?,
            Self::Async(client, runtime) => runtime.block_on(client.task(id).status())?,
        };
        assert!(task.status.unwrap().is_final());
        let bytes = self.fetch(&effect)?;
        Ok((effect, bytes))
    }

    /// Has twenty pictures of one photo made at once; gives task and file of each, in order.
    fn many(&self, folder: &Path) -> Vec<(String, Bytes)> {
        let jobs = (0..20).map(|_| effects_ureq::Job::url(Template::GlassBall, SIGNED).unwrap());
        let mut done: Vec<_> = match self {
            Self::Blocking(client) => client.jobs().save_to(folder).run(jobs).unwrap().collect(),
            Self::Async(client, runtime) => runtime.block_on(async {
                client.jobs().save_to(folder).run(jobs).unwrap().collect().await
            }),
        };
        done.sort_by_key(|result: &effects_ureq::JobResult| result.index);
        let taken = done.into_iter().map(|result| {
            assert!(result.is_completed(), "{result}");
            let bytes = fs::read(&result.files[0]).unwrap();
            (result.into_result().unwrap().task_id.to_string(), bytes.into())
        });
        taken.collect()
    }
}

fn at<C: BuildClient>(builder: ClientBuilder<C>, emulator: &Emulator) -> ClientBuilder<C> {
    let builder = builder.base_url(emulator.base_url()).api_key(emulator.api_key());
    builder.uploads(Uploads::Gateway(None)).pace(Pace::fixed(Duration::from_millis(50)))
}

fn emulator() -> Emulator {
    let latency = Latency::fixed(Duration::from_millis(200));
    let emulator = Emulator::builder().pictures(Pictures::Stub).latency(latency).api_key(KEY);
    emulator.start().unwrap()
}

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let cassette = folder.path().join("run.json");
    (folder, cassette)
}

/// Whether a file, or one beside it, has a secret.
fn check_secrets(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            check_secrets(&path);
        } else {
            let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
            for secret in [KEY, "hunter2"] {
                assert!(!text.contains(secret), "{} has {secret}", path.display());
            }
        }
    }
}

fn request(template: Template, image: &str) -> EffectRequest {
    EffectRequest::new(template, image).unwrap()
}

/// Records a run of one picture, which was not fetched.
fn record_one_run(cassette: &Path) {
    let emulator = emulator();
    let client = Client::recording(ClientKind::Blocking, &emulator, cassette).unwrap();
    client.run(request(Template::GlassBall, SIGNED)).unwrap();
}

#[test]
fn what_one_client_recorded_both_replay_without_a_network() {
    for recorder in KINDS {
        let (folder, cassette) = folder();
        let emulator = emulator();
        let client = Client::recording(recorder, &emulator, &cassette).unwrap();
        let (effect, bytes) = client.everything().unwrap();
        drop(client);
        emulator.stop();
        check_secrets(folder.path());
        let before = fs::read(&cassette).unwrap();
        for player in KINDS {
            let client = Client::replaying(player, &cassette).unwrap();
            let (again, same) = client.everything().unwrap();
            assert_eq!(again.task_id, effect.task_id);
            assert_eq!(again.usage, effect.usage);
            assert_eq!(same, bytes, "{recorder:?} to {player:?}");
            // A picture may be fetched as often as one likes.
            assert_eq!(client.fetch(&again).unwrap(), bytes);
        }
        assert_eq!(fs::read(&cassette).unwrap(), before, "a replay records nothing");
    }
}

#[test]
fn many_tasks_at_once_have_each_its_own_answers() {
    let (folder, cassette) = folder();
    let emulator = emulator();
    let client = Client::recording(ClientKind::Blocking, &emulator, &cassette).unwrap();
    let mut recorded = client.many(&folder.path().join("recorded"));
    drop(client);
    emulator.stop();
    check_secrets(folder.path());
    // The requests are equal, so which task answers which job is left open.
    recorded.sort();
    for kind in KINDS {
        let client = Client::replaying(kind, &cassette).unwrap();
        let mut replayed = client.many(&folder.path().join(format!("{kind:?}")));
        replayed.sort();
        assert_eq!(replayed, recorded, "{kind:?}");
    }
}

#[test]
fn a_request_that_was_not_recorded_is_an_error_that_shows_the_difference() {
    let (_folder, cassette) = folder();
    let emulator = emulator();
    let client = Client::recording(ClientKind::Async, &emulator, &cassette).unwrap();
    client.run(request(Template::GlassBall, SIGNED)).unwrap();
    let sent = emulator.requests().len();
    for kind in KINDS {
        let begun = Instant::now();
        // The key and the gateway are there, and are not used.
        let other = Client::new(
            kind,
            &|builder| on_both!(builder, builder => at(builder, &emulator).cassette(&cassette)),
        )
        .unwrap();
        let error = other.run(request(Template::MyWorld, SIGNED)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotRecorded, "{error}");
        let text = error.to_string();
        for words in
            ["no such exchange", "template_id is \"my_world\"", "\"glass_ball\"", "is owed"]
        {
            assert!(text.contains(words), "{text}");
        }
        let image = request(Template::GlassBall, "https://example.com/other.jpg?sig=hunter2");
        let text = other.run(image).unwrap_err().to_string();
        assert!(text.contains("other.jpg?sig=redacted") && !text.contains("hunter2"), "{text}");
        // Another signature of the same photo is the same request.
        other.run(request(Template::GlassBall, &SIGNED.replace("hunter2", "hunter3"))).unwrap();
        let text = other.run(request(Template::GlassBall, SIGNED)).unwrap_err().to_string();
        assert!(text.contains("more often than it was recorded"), "{text}");
        assert!(begun.elapsed() < Duration::from_secs(5), "nothing is tried again");
    }
    assert_eq!(emulator.requests().len(), sent, "nothing was sent");
}

#[test]
fn a_cassette_is_whole_after_each_exchange_and_shared_while_it_is_recorded() {
    let (_folder, cassette) = folder();
    let emulator = emulator();
    let read = || -> Vec<Value> {
        let text = fs::read_to_string(&cassette).unwrap();
        let tape: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&tape["format"], &tape["version"]), (&"effects-cassette".into(), &1.into()));
        tape["exchanges"].as_array().unwrap().clone()
    };
    let client = Client::recording(ClientKind::Blocking, &emulator, &cassette).unwrap();
    let other = Client::recording(ClientKind::Async, &emulator, &cassette).unwrap();
    let elsewhere = self::emulator();
    let error = Client::recording(ClientKind::Async, &elsewhere, &cassette).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Misconfigured);
    assert!(error.to_string().contains("being recorded at"), "{error}");
    assert!(!cassette.exists(), "what sends nothing leaves no cassette");
    let Client::Blocking(blocking) = &client else { unreachable!() };
    blocking.submit(request(Template::GlassBall, SIGNED)).unwrap();
    assert_eq!(read().len(), 1);
    other.run(request(Template::MyWorld, SIGNED)).unwrap();
    let exchanges = read();
    let creates = exchanges.iter().filter(|exchange| exchange["request"]["method"] == "POST");
    assert_eq!(creates.count(), 2, "{exchanges:#?}");
    // Once there is a file, a client replays it.
    let sent = emulator.requests().len();
    Client::replaying(ClientKind::Async, &cassette)
        .unwrap()
        .run(request(Template::MyWorld, SIGNED))
        .unwrap();
    assert_eq!(emulator.requests().len(), sent);
}

#[test]
fn what_was_waited_for_is_not_waited_for_again() {
    let (_folder, cassette) = folder();
    let emulator = Emulator::builder().pictures(Pictures::Stub);
    let emulator = emulator.latency(Latency::fixed(Duration::from_millis(2_500))).start().unwrap();
    // A pause longer than a replay may take, so that a wait for it would show.
    let slow = Pace::fixed(Duration::from_secs(3));
    let client = Client::new(
        ClientKind::Blocking,
        &|builder| on_both!(builder, builder => at(builder, &emulator).cassette(&cassette).pace(slow.clone())),
    );
    client.unwrap().run(request(Template::GlassBall, SIGNED)).unwrap();
    for kind in KINDS {
        let begun = Instant::now();
        let client = Client::new(
            kind,
            &|builder| on_both!(builder, builder => builder.cassette(&cassette).pace(slow.clone())),
        );
        client.unwrap().run(request(Template::GlassBall, SIGNED)).unwrap();
        assert!(begun.elapsed() < Duration::from_secs(2), "{kind:?}: {:?}", begun.elapsed());
    }
}

#[test]
fn a_wait_that_was_not_recorded_to_its_end_ends_at_once_and_says_so() {
    let (_folder, cassette) = folder();
    let emulator = emulator();
    let client = Client::recording(ClientKind::Blocking, &emulator, &cassette).unwrap();
    let Client::Blocking(blocking) = client else { unreachable!() };
    let task = blocking.submit(request(Template::GlassBall, SIGNED)).unwrap().id().clone();
    assert!(!blocking.task(task).status().unwrap().status.unwrap().is_final());
    drop(blocking);
    for kind in KINDS {
        let begun = Instant::now();
        let client = Client::replaying(kind, &cassette).unwrap();
        let error = client.run(request(Template::GlassBall, SIGNED)).unwrap_err();
        assert_eq!((error.kind(), error.exit_code()), (ErrorKind::NotRecorded, 7), "{error}");
        assert!(error.to_string().contains("more often than it was recorded"), "{error}");
        assert!(error.to_string().contains("nothing is owed"), "{error}");
        assert!(error.task_id().is_some() && error.resume_line().is_none(), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    }
}

#[test]
fn a_picture_that_is_not_beside_the_cassette_is_told_by_its_hash() {
    let (folder, cassette) = folder();
    let emulator = emulator();
    let client = Client::recording(ClientKind::Blocking, &emulator, &cassette).unwrap();
    client.everything().unwrap();
    drop(client);
    fs::remove_dir_all(folder.path().join("run.files")).unwrap();
    for kind in KINDS {
        let error = Client::replaying(kind, &cassette).unwrap().everything().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Download, "{error}");
        assert!(error.to_string().contains("only the hash"), "{error}");
    }
}

#[test]
fn uploads_and_downloads_that_were_not_recorded_are_told_like_any_request() {
    let (_folder, cassette) = folder();
    record_one_run(&cassette);
    for kind in KINDS {
        let client = Client::replaying(kind, &cassette).unwrap();
        let error = client.upload(&Photo::new(picture(), "photo.png").unwrap()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotRecorded, "{error}");
        let effect = client.run(request(Template::GlassBall, SIGNED)).unwrap();
        let error = client.fetch(&effect).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotRecorded, "{error}");
        for words in ["not in the recording", "nothing is owed"] {
            assert!(error.to_string().contains(words), "{error}");
        }
        assert!(error.resume_line().is_none(), "{error}");
    }
}

#[test]
fn jobs_of_a_replay_end_with_the_first_request_that_was_not_recorded() {
    let (_folder, cassette) = folder();
    record_one_run(&cassette);
    for kind in KINDS {
        let begun = Instant::now();
        let jobs = (0..50).map(|_| effects_ureq::Job::url(Template::MyWorld, SIGNED).unwrap());
        let (results, halted_by): (Vec<_>, _) = match Client::replaying(kind, &cassette).unwrap() {
            Client::Blocking(client) => {
                let results = client.jobs().in_flight(1).run(jobs).unwrap();
                let handle = results.handle();
                (results.collect(), handle.halted_by())
            }
            Client::Async(client, runtime) => runtime.block_on(async {
                let results = client.jobs().in_flight(1).run(jobs).unwrap();
                let handle = results.handle();
                (results.collect().await, handle.halted_by())
            }),
        };
        let halted_by = halted_by.unwrap();
        assert_eq!(halted_by.kind(), ErrorKind::NotRecorded, "{halted_by}");
        assert!(results.iter().all(|result: &effects_ureq::JobResult| !result.is_completed()));
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    }
}

#[test]
fn a_cassette_that_another_process_begins_to_record_is_refused_as_such() {
    for kind in KINDS {
        let (_folder, cassette) = folder();
        let emulator = emulator();
        let client = Client::recording(kind, &emulator, &cassette).unwrap();
        // A lock of this process stands for that of another one.
        let other = fs::File::create(&cassette).unwrap();
        other.lock().unwrap();
        let error = client.run(request(Template::GlassBall, SIGNED)).unwrap_err();
        assert!(error.to_string().contains("another process records it just now"), "{error}");
        drop(client);
        // So is a client that comes while it is there.
        let error = Client::replaying(kind, &cassette).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Misconfigured, "{error}");
        assert!(error.to_string().contains("another process records it just now"), "{error}");
        assert!(emulator.requests().is_empty(), "nothing was sent");
    }
}

#[test]
fn a_cassette_of_an_earlier_version_that_kept_more_of_a_url_is_replayed() {
    let (_folder, cassette) = folder();
    let emulator = emulator();
    let photo = "https://photos.example.com/cat.jpg?size=512&pw=hunter2";
    let client = Client::recording(ClientKind::Blocking, &emulator, &cassette).unwrap();
    let task = client.run(request(Template::GlassBall, photo)).unwrap().task_id;
    drop(client);
    let text = fs::read_to_string(&cassette).unwrap();
    assert!(text.contains("size=512&pw=redacted") && !text.contains("hunter2"), "{text}");
    // As an earlier version wrote it, which did not take this parameter for a permission.
    fs::write(&cassette, text.replace("pw=redacted", "pw=hunter2")).unwrap();
    for kind in KINDS {
        let client = Client::replaying(kind, &cassette).unwrap();
        assert_eq!(client.run(request(Template::GlassBall, photo)).unwrap().task_id, task);
    }
}

#[test]
fn a_request_that_holds_the_key_is_refused_by_both_clients_and_their_jobs() {
    let emulator = emulator();
    let with_key = || {
        let request = request(Template::GlassBall, "https://example.com/cat.jpg");
        request.with_param("token", format!("is {KEY}")).unwrap()
    };
    for kind in KINDS {
        let client =
            Client::new(kind, &|builder| on_both!(builder, builder => at(builder, &emulator)));
        let client = client.unwrap();
        let alone = client.run(with_key()).unwrap_err();
        let jobs = [effects_ureq::Job::from(with_key())];
        let results: Vec<effects_ureq::JobResult> = match &client {
            Client::Blocking(client) => client.jobs().run(jobs).unwrap().collect(),
            Client::Async(client, runtime) => {
                runtime.block_on(async { client.jobs().run(jobs).unwrap().collect().await })
            }
        };
        let among_many = results.into_iter().next().unwrap().into_result().unwrap_err();
        for error in [alone, among_many] {
            assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{error}");
            assert!(error.to_string().contains("parameter \"token\" holds the API key"), "{error}");
            assert!(!error.to_string().contains(KEY), "{error}");
        }
    }
    assert!(emulator.requests().is_empty());
}

#[test]
fn what_is_no_cassette_is_refused_and_left_alone() {
    let (folder, cassette) = folder();
    for (text, words) in [
        ("{}", "it is no cassette: name another file"),
        (r#"{"format":"effects-cassette","version":2,"base_url":"x","exchanges":[]}"#, "version 2"),
        ("[1, 2", "it is no cassette: name another file"),
    ] {
        fs::write(&cassette, text).unwrap();
        for kind in KINDS {
            let error = Client::replaying(kind, &cassette).err().unwrap();
            assert_eq!(error.kind(), ErrorKind::Misconfigured);
            assert!(error.to_string().contains(words), "{error}");
        }
        assert_eq!(fs::read_to_string(&cassette).unwrap(), text);
    }
    let nowhere = folder.path().join("nowhere").join("run.json");
    let error = Client::recording(ClientKind::Blocking, &emulator(), &nowhere).err().unwrap();
    assert!(error.to_string().contains("folder does not exist"), "{error}");
}

#[test]
fn a_presigned_upload_is_replayed_whatever_its_signature() {
    let (folder, cassette) = folder();
    let (emulator, storage) = (emulator(), ScriptedServer::start().unwrap());
    storage.otherwise(Response::new(200));
    let program = folder.path().join("presign.sh");
    let signs = |signature: &str| {
        let url = storage.url(&format!("/photo.png?X-Amz-Signature={signature}"));
        fs::write(&program, format!("echo '{url}'\necho '{url}'\n")).unwrap();
    };
    let uploads = Uploads::PresignedPut(format!("sh {}", program.display()));
    signs("hunter2");
    let everything = |kind: ClientKind| {
        let client = Client::new(
            kind,
            &|builder| on_both!(builder, builder => at(builder, &emulator).uploads(uploads.clone()).cassette(&cassette)),
        );
        client.unwrap().everything().unwrap()
    };
    let (recorded, _) = everything(ClientKind::Async);
    let text = fs::read_to_string(&cassette).unwrap();
    assert!(text.contains("/photo.png?X-Amz-Signature=redacted"), "{text}");
    assert!(!text.contains("hunter2") && !text.contains(KEY), "{text}");
    assert_eq!(storage.requests().len(), 1);
    signs("hunter3");
    for kind in KINDS {
        assert_eq!(everything(kind).0.task_id, recorded.task_id);
    }
    assert_eq!(storage.requests().len(), 1, "nothing was sent");
}

/// A photo behind a signed link.
const SIGNED: &str = "https://photos.example.com/cat.jpg?size=512&X-Amz-Signature=hunter2";
