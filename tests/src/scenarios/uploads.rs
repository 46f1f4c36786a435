//! [`scenarios`]: local photos, which a client uploads to where the service can fetch them, each once.
//! `tests/all/conformance.rs` plays it over the Rust clients, `tests/all/python.rs` over the Python
//! ones; `tests/secrets.rs` plays it and looks for the key in the log.

use effects_core::ErrorKind;
use effects_testkit::http::{Behaviour, Response};

use crate::face::Ask;
use crate::scenario::{Scenario, Witness, draft};
use crate::world::{KEY, ScenarioWorld, picture};

/// Every way to upload, and what goes wrong with each.
pub fn scenarios() -> Vec<Scenario> {
    let mut all = through_the_gateway();
    all.extend(as_a_data_url());
    all.extend(by_a_program());
    all.extend(presigned());
    all.extend(not_chosen());
    all
}

/// An upload, then a task that is completed at once.
fn uploads(
    name: &'static str,
    arrange: impl Fn(&ScenarioWorld) + Send + Sync + 'static,
) -> Scenario {
    Scenario::new(name, move |world| {
        arrange(world);
        world.creates([world.completed(), world.completed()]);
    })
    .asks(|_| Ask::EffectOf(picture(), draft()))
    .looks(0)
}

/// The create asks for this image.
fn asks_for(
    scenario: Scenario,
    image: impl Fn(&ScenarioWorld) -> String + Send + Sync + 'static,
) -> Scenario {
    scenario.then(move |witness| {
        let image = format!(r#""image_input1":"{}""#, image(witness.world));
        assert!(witness.posts.iter().all(|seen| seen.text().contains(&image)), "{witness:?}");
    })
}

const STORED: &str = "https://files.example.com/photo.png";

fn stored() -> Response {
    Response::json(format!(r#"{{"url":"{STORED}"}}"#))
}

fn stores(witness: &Witness<'_>) -> Vec<effects_testkit::http::ReceivedRequest> {
    let requests = witness.world.gateway.requests().into_iter();
    requests.filter(|seen| seen.path() == "/api/v1/storage/files").collect()
}

fn through_the_gateway() -> Vec<Scenario> {
    let on = |world: &ScenarioWorld, behaviours: Vec<Behaviour>| {
        world.gateway.on("POST", "/api/v1/storage/files", behaviours);
    };
    vec![
        asks_for(
            uploads("stored by this machine's gateway", move |world| {
                on(world, vec![stored().into()]);
            }),
            |_| STORED.to_owned(),
        )
        .then(|witness| {
            let seen = stores(witness).remove(0);
            assert_eq!(seen.header("authorization"), Some(format!("Bearer {KEY}").as_str()));
            let kind = seen.header("content-type").unwrap_or_default();
            assert!(kind.starts_with("multipart/form-data; boundary="), "{kind}");
            let whole = picture();
            assert!(seen.body.windows(whole.len()).any(|bytes| bytes == whole), "other bytes");
        }),
        asks_for(
            uploads("stored in an envelope", move |world| {
                let body = format!(r#"{{"code":0,"data":{{"url":"{STORED}"}}}}"#);
                on(world, vec![Response::json(body).into()]);
            }),
            |_| STORED.to_owned(),
        ),
        // The same bytes: a client remembers where it put them.
        uploads("stored once for two runs", move |world| on(world, vec![stored().into()]))
            .times(2)
            .posts(2)
            .then(|witness| {
                assert_eq!(stores(witness).len(), 1);
                let key = |index: usize| witness.posts[index].header("idempotency-key");
                assert_ne!(key(0), key(1), "two submissions, two keys");
            }),
        // An upload costs nothing, so it is repeated whatever became of it.
        uploads("stored through trouble", move |world| {
            on(world, vec![Behaviour::Reset, Response::new(503).into(), stored().into()]);
        })
        .then(|witness| assert_eq!(stores(witness).len(), 3)),
        uploads("no storage here", |_| {}).fails(ErrorKind::Upload).posts(0).then(|witness| {
            let message = &witness.failure().message;
            for words in ["no storage endpoint", "data-url", "nothing was submitted"] {
                assert!(message.contains(words), "{message}");
            }
        }),
        uploads("the storage refuses the key", move |world| {
            on(world, vec![Response::json(r#"{"error":"who?"}"#).status(401).into()]);
        })
        .fails(ErrorKind::KeyRefused)
        .posts(0),
        // An upload through the gateway carries the key, which follows no redirect.
        uploads("the storage redirects", move |world| {
            on(world, vec![Response::redirect(307, world.elsewhere.url("/files")).into()]);
            world.elsewhere.otherwise(stored());
        })
        .fails(ErrorKind::Upload)
        .posts(0)
        .then(|witness| assert!(witness.world.elsewhere.requests().is_empty())),
        uploads("the storage answers nonsense", move |world| {
            on(world, vec![Response::html("<title>hm</title>").into()]);
        })
        .fails(ErrorKind::Upload)
        .posts(0),
    ]
}

fn as_a_data_url() -> Vec<Scenario> {
    vec![
        uploads("as a data URL", |_| {})
            .with(|setup, _| setup.uploads = Some("data-url".to_owned()))
            .then(|witness| {
                let body = witness.posts[0].text();
                // How the signature of a PNG begins in base64.
                assert!(body.contains(r#""image_input1":"data:image/png;base64,iVBORw0KGg"#));
                assert_eq!(witness.world.gateway.requests().len(), 1);
            }),
    ]
}

fn by_a_program() -> Vec<Scenario> {
    // `printf` prints its first argument for each of the others; the path is one more.
    let program = "command=printf https://files.example.com/by-program.png?%s\\n";
    vec![
        uploads("by a program", |_| {})
            .with(move |setup, _| setup.uploads = Some(program.to_owned()))
            .then(|witness| {
                let body = witness.posts[0].text();
                assert!(body.contains("https://files.example.com/by-program.png?/"), "{body}");
                assert!(body.contains("photo.png"), "{body}");
            }),
        uploads("by a program that fails", |_| {})
            .with(|setup, _| setup.uploads = Some("command=false".to_owned()))
            .fails(ErrorKind::Upload)
            .posts(0),
        uploads("by a program that is not there", |_| {})
            .with(|setup, _| setup.uploads = Some("command=/nowhere/put".to_owned()))
            .fails(ErrorKind::Upload)
            .posts(0),
    ]
}

fn presigned() -> Vec<Scenario> {
    let presigner = |scenario: Scenario| {
        scenario.with(|setup, world| {
            let (put, get) = (world.elsewhere.url("/put?signature=s3cret"), STORED);
            // `%.0s` swallows the two arguments: the file's name and its type.
            // `printf` takes a single `%` for the beginning of a format.
            let program = format!("printf {}\\n{get}\\n%.0s%.0s", put.replace('%', "%%"));
            setup.uploads = Some(format!("presigned-put={program}"));
        })
    };
    vec![
        asks_for(
            presigner(uploads("presigned", |world| {
                world.elsewhere.on("PUT", "/put", [Response::new(200)]);
            })),
            |_| STORED.to_owned(),
        )
        .then(|witness| {
            let seen = witness.world.elsewhere.requests().remove(0);
            assert_eq!(seen.target, "/put?signature=s3cret");
            assert_eq!(seen.header("content-type"), Some("image/png"));
            assert_eq!(seen.header("authorization"), None);
            assert_eq!(seen.body, picture());
        }),
        presigner(uploads("presigned, through trouble", |world| {
            world.elsewhere.on("PUT", "/put", [Behaviour::Close, Response::new(500).into()]);
            world.elsewhere.on("PUT", "/put", [Response::new(204)]);
        }))
        .then(|witness| assert_eq!(witness.world.elsewhere.requests().len(), 3)),
        presigner(uploads("presigned, and refused", |world| {
            world.elsewhere.on("PUT", "/put", [Response::new(400)]);
        }))
        .fails(ErrorKind::Upload)
        .posts(0)
        .then(|witness| {
            let message = &witness.failure().message;
            assert!(!message.contains("s3cret"), "a permission is printed: {message}");
        }),
    ]
}

/// No way to upload was chosen, and the gateway is not this machine's own.
fn not_chosen() -> Vec<Scenario> {
    vec![
        uploads("not chosen", |_| {})
            .with(|setup, _| setup.base_url = "https://gateway.example.com".to_owned())
            .fails(ErrorKind::Misconfigured)
            .posts(0)
            .then(|witness| {
                let message = &witness.failure().message;
                for choice in ["`gateway`", "`data-url`", "`command=", "`presigned-put="] {
                    assert!(message.contains(choice), "{message}");
                }
                assert!(witness.world.gateway.requests().is_empty());
            }),
    ]
}
