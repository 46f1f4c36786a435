//! Rows of a journal: by what they are known again, and what the journal may know of them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use effects_core::journal::RowOutcome;
use effects_core::{BaseUrl, Effect, Error, ErrorKind, Size, Template, Time};
use effects_jobs::{Identity, Occurrences, Photo, PictureRecord, RowDraft, RowPhoto, RowState};

fn draft(url: &str) -> RowDraft {
    RowDraft {
        origin: BaseUrl::parse(BaseUrl::DEFAULT, false).unwrap().origin().clone(),
        template: Template::GlassBall,
        size: Size::DEFAULT,
        params: Default::default(),
        photo: RowPhoto::Url(url.parse().unwrap()),
        key: None,
        tag: None,
        target: None,
    }
}

fn identity(draft: RowDraft) -> Identity {
    draft.row(0).unwrap().identity
}

#[test]
fn what_makes_another_picture_makes_another_row_and_nothing_else_does() {
    let cat = || draft("https://example.com/cat.jpg");
    let elsewhere = BaseUrl::parse("http://127.0.0.1:8080", false).unwrap();
    for other in [
        RowDraft { origin: elsewhere.origin().clone(), ..cat() },
        RowDraft { template: Template::MyWorld, ..cat() },
        RowDraft { size: Size::new(512, 1328), ..cat() },
        draft("https://example.com/cat.jpg?v=2"),
        RowDraft { key: Some("cat".to_owned()), ..cat() },
        RowDraft { params: r#"{"seed":3}"#.parse().unwrap(), ..cat() },
    ] {
        assert_ne!(identity(other.clone()), identity(cat()), "{other:?}");
    }
    for same in [
        RowDraft { size: Size::new(1328, 1328), ..cat() },
        RowDraft { tag: Some("spring".to_owned()), ..cat() },
        RowDraft { target: Some("out/cat.png".into()), ..cat() },
    ] {
        assert_eq!(identity(same), identity(cat()));
    }
}

#[test]
fn extra_parameters_are_a_part_of_the_identity_and_a_row_without_keeps_its_own() {
    let cat = || draft("https://example.com/cat.jpg");
    // As every version before there were any has hashed it.
    let before = "2a157ebe34aa068856979dd1f211789e20dfb99be62cf6bfb2502a0f79be0866";
    assert_eq!(identity(cat()).to_string(), before);
    let with = |params: &str| RowDraft { params: params.parse().unwrap(), ..cat() };
    assert_eq!(identity(with("{}")).to_string(), before);
    assert_eq!(identity(with(r#"{"seed": 3, "a": [1]}"#)), identity(with(r#"{"a":[1],"seed":3}"#)));
    assert_ne!(identity(with(r#"{"seed":3}"#)), identity(with(r#"{"seed":"3"}"#)));
    // Under one key they are told apart all the same.
    let keyed = |params| RowDraft { key: Some("1".to_owned()), ..with(params) }.row(0).unwrap();
    assert_eq!(keyed(r#"{"seed":3}"#).differs_from(&keyed("{}")), Some("params"));
}

#[test]
fn a_photo_is_known_by_its_content_wherever_it_lies() {
    let photo = |content: &'static [u8]| {
        Photo::new([b"\x89PNG\r\n\x1a\n", content].concat().into(), "any.png").unwrap()
    };
    let row = |photo: &Photo, path: &str| {
        RowDraft { photo: RowPhoto::content(photo, path), ..draft("https://x/y") }.row(0).unwrap()
    };
    let (cat, dog) = (photo(b"cat"), photo(b"dog"));
    assert_eq!(row(&cat, "a/cat.png").identity, row(&cat, "b/cat.png").identity);
    assert_ne!(row(&cat, "a/cat.png").identity, row(&dog, "a/cat.png").identity);
    assert_eq!(row(&cat, "a/cat.png").image, "a/cat.png");
}

#[test]
fn a_key_names_a_row_whatever_its_link_looks_like_today() {
    let keyed = |url: &str| RowDraft { key: Some("cat".to_owned()), ..draft(url) }.row(0).unwrap();
    let monday = keyed("https://bucket.example.com/cat.jpg?X-Amz-Signature=1");
    let tuesday = keyed("https://bucket.example.com/cat.jpg?X-Amz-Signature=2");
    assert_eq!(monday.identity, tuesday.identity);
    assert_eq!(monday.differs_from(&tuesday), None);
    assert_eq!(monday.image, "https://bucket.example.com/cat.jpg?…");

    let dog = keyed("https://bucket.example.com/dog.jpg?X-Amz-Signature=1");
    assert_eq!((dog.identity, dog.differs_from(&monday)), (monday.identity, Some("image")));
    let wide =
        RowDraft { size: Size::new(2048, 512), ..draft("https://bucket.example.com/cat.jpg") };
    assert_eq!(wide.row(0).unwrap().differs_from(&monday), Some("size"));

    let refused = draft("https://bucket.example.com/cat.jpg?sv=1&sig=s3cret").row(0).unwrap_err();
    assert_eq!(refused.parameter(), "sig");
    let told = refused.to_string();
    assert!(told.contains("`key`") && !told.contains("s3cret"), "{told}");
}

#[test]
fn equal_rows_are_told_apart_by_how_often_they_came() {
    let mut occurrences = Occurrences::default();
    let mut rows = |urls: &[&str]| -> Vec<Identity> {
        urls.iter()
            .map(|url| {
                let draft = draft(url);
                let before = occurrences.count(&draft);
                draft.row(before).unwrap().identity
            })
            .collect()
    };
    let (cat, dog) = ("https://example.com/cat.jpg", "https://example.com/dog.jpg");
    let first = rows(&[cat, dog, cat]);
    assert_ne!(first[0], first[2]);
    occurrences = Occurrences::default();
    let mut rows = |url: &str| {
        let draft = draft(url);
        let before = occurrences.count(&draft);
        draft.row(before).unwrap().identity
    };
    // In another order they are the same three.
    assert_eq!([rows(cat), rows(cat), rows(dog)], [first[0], first[2], first[1]]);
}

#[test]
fn spellings_of_one_url_are_one_row_and_a_scope_has_keys_of_its_own() {
    let urls = ["https://example.com/cat.jpg", "HTTPS://Example.COM:443/cat.jpg#top"];
    assert_eq!(identity(draft(urls[0])), identity(draft(urls[1])));
    assert_eq!(draft(urls[0]).row(0).unwrap().likeness, draft(urls[1]).row(0).unwrap().likeness);
    for other in ["https://example.com/Cat.jpg", "https://example.com:80/cat.jpg"] {
        assert_ne!(identity(draft(other)), identity(draft(urls[0])), "{other}");
    }
    let keyed = |scope: Option<&str>| {
        let draft = RowDraft { key: Some("1".to_owned()), ..draft(urls[0]) };
        let mut order = Occurrences::within(scope.map(str::to_owned));
        order.row(draft, |_| Ok(None)).unwrap().row.identity
    };
    assert_ne!(keyed(Some("march")), keyed(None));
    assert_ne!(keyed(Some("march")), keyed(Some("april")));
    assert_eq!(keyed(Some("march")), keyed(Some("march")));
}

#[test]
fn only_a_verdict_or_a_lost_answer_says_something_of_a_row() {
    for kind in [ErrorKind::Journal, ErrorKind::Download, ErrorKind::Misconfigured] {
        assert_eq!(RowOutcome::of(&Err(Error::new(kind, "beside the run"))), RowOutcome::Abandoned);
    }
    let lost = Error::new(ErrorKind::OutcomeUnknown, "the runtime is gone");
    assert!(matches!(RowOutcome::of(&Err(lost)), RowOutcome::Unknown { .. }));
}

/// As a store keeps it between the end of a run and a later one.
fn kept(urls: &[&str]) -> RowState {
    let pictures = urls.iter().map(
        |url| serde_json::json!({"task_id": "d758n65e", "url": url, "size": 7, "job_id": "j"}),
    );
    let effect = serde_json::json!({
        "task_id": "d758n65e", "pictures": pictures.collect::<Vec<_>>(), "raw": {"id": "d758n65e"},
        "usage": {"cost": "0.03", "discount": null}, "metadata": null, "warning": null,
    });
    let effect: Effect = serde_json::from_value(effect).unwrap();
    let RowOutcome::Completed { task, cost, pictures } = RowOutcome::of(&Ok(effect)) else {
        panic!()
    };
    let pictures = pictures.into_iter().map(|url| PictureRecord { url, path: None, content: None });
    let (submitted, finished) = (Time::from_millis(0), Time::from_millis(9_000));
    RowState::Completed { task, submitted, finished, cost, pictures: pictures.collect() }
}

#[test]
fn an_effect_is_told_without_a_look_where_its_links_are_kept_whole() {
    let (one, two) = ("https://example.com/1.png", "https://example.com/2.png?v=2");
    let effect = kept(&[one, two]).effect().unwrap();
    assert_eq!(effect.task_id.as_str(), "d758n65e");
    assert_eq!(effect.pictures.iter().map(|one| &*one.url).collect::<Vec<_>>(), [one, two]);
    assert_eq!(effect.usage.cost, Some("0.03".parse().unwrap()));
    assert_eq!(effect.raw.as_str(), "{}");

    let long = format!("https://example.com/{}", "a".repeat(5_000));
    for cut in ["https://example.com/1.png?X-Amz-Signature=5f", &long] {
        assert_eq!(kept(&[one, cut]).effect(), None, "{cut}");
    }
    assert_eq!(kept(&[]).effect(), None);
    let reason = "it never left".to_owned();
    assert_eq!(RowState::Released { reason }.effect(), None);
}
