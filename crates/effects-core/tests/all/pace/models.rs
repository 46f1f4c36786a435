//! Models and pacers: what is kept, what is shared, what each costs.

use std::sync::Arc;
use std::time::Duration;

use effects_core::pace::{Histories, Label, Learned, Models, Observation, Pacer};
use effects_core::{BaseUrl, Origin, Pace, Template, Time};

use crate::common::seconds;

fn ball() -> Option<Label> {
    Some(Template::GlassBall.into())
}

fn tree() -> Option<Label> {
    Some(Template::ChristmasTree.into())
}

fn origin(url: &str) -> Origin {
    BaseUrl::parse(url, true).unwrap().origin().clone()
}

fn took(duration: u64) -> Observation {
    let last_running = Some(seconds(duration - 1));
    Observation::Ended { last_running, first_ended: seconds(duration) }
}

fn typical(pacer: &Pacer, label: &Option<Label>, now: Time) -> Option<f64> {
    let curve = pacer.curve(label.as_ref(), &Pace::learned(), now);
    curve.eta(Duration::ZERO).map(|eta| eta.typical.as_secs_f64())
}

fn taught(label: &Option<Label>, duration: u64, times: usize) -> Histories {
    let pacer = Pacer::new();
    (0..times).for_each(|_| pacer.learn(label.as_ref(), took(duration)));
    pacer.take_news()
}

#[test]
fn each_template_is_learnt_by_itself_and_an_unknown_one_from_all() {
    let (pacer, now) = (Pacer::new(), Time::from_millis(1_000_000));
    for _ in 0..30 {
        pacer.clone().learn(ball().as_ref(), took(12));
        pacer.learn(tree().as_ref(), took(60));
    }
    let near = |found: Option<f64>, wanted: f64| (found.unwrap() / wanted - 1.0).abs() < 0.1;
    assert!(near(typical(&pacer, &ball(), now), 11.5));
    assert!(near(typical(&pacer, &tree(), now), 59.5));
    assert_eq!(typical(&pacer, &Some(Template::MyWorld.into()), now), None);
    let any = pacer.curve(None, &Pace::learned(), now);
    let by = |age| any.chance(Duration::ZERO, seconds(age));
    assert!((0.4..0.6).contains(&by(30)), "{}", by(30));
    // What is learnt of a template later is seen there too.
    for _ in 0..300 {
        pacer.learn(ball().as_ref(), took(12));
    }
    let any = pacer.curve(None, &Pace::learned(), now + seconds(1));
    assert!(any.chance(Duration::ZERO, seconds(30)) > 0.7);
}

#[test]
fn a_curve_is_made_again_for_news_but_seldom_however_many_there_are() {
    let (pacer, start) = (Pacer::new(), Time::from_millis(1_000_000));
    let curve = |now| pacer.curve(ball().as_ref(), &Pace::learned(), now);
    let mut made: Vec<Arc<_>> = vec![curve(start)];
    // Ten thousand tasks a second, for ten seconds.
    for millis in 0..10_000 {
        for _ in 0..10 {
            pacer.learn(ball().as_ref(), took(12));
        }
        let now = curve(start + Duration::from_millis(millis));
        if !Arc::ptr_eq(&now, &made[made.len() - 1]) {
            made.push(now);
        }
    }
    assert!((4..=7).contains(&made.len()), "{}", made.len());
    // Without news it stays, however long.
    assert!(Arc::ptr_eq(&curve(start + seconds(3_600)), &curve(start + seconds(7_200))));
    // Another clock, earlier, is not stuck with what was made later.
    pacer.learn(ball().as_ref(), took(12));
    for _ in 0..20 {
        pacer.learn(ball().as_ref(), took(12));
    }
    assert!(!Arc::ptr_eq(&curve(start), &made[made.len() - 1]));
}

#[test]
fn each_settings_have_their_curve_and_few_are_kept() {
    let (pacer, now) = (Pacer::new(), Time::from_millis(1_000_000));
    let curve = |millis: u64| {
        let worth = Some(Duration::from_millis(millis));
        pacer.curve(ball().as_ref(), &Pace::Learned(Learned { worth, ..Learned::default() }), now)
    };
    assert_eq!(curve(300).worth(), Duration::from_millis(300));
    assert!(Arc::ptr_eq(&curve(300), &curve(300)));
    let first = curve(300);
    (1..=100).for_each(|millis| drop(curve(millis)));
    assert!(!Arc::ptr_eq(&curve(300), &first), "a hundred settings later it is made anew");
}

#[test]
fn news_are_taken_once_and_added_after_what_is_kept() {
    let pacer = Pacer::knowing(taught(&ball(), 12, 40));
    assert!(pacer.take_news().is_empty());
    pacer.learn(ball().as_ref(), took(13));
    pacer.learn(None, took(14));
    let news = pacer.take_news();
    assert_eq!((news.len(), news[&ball()].len()), (2, 1));
    assert!(pacer.take_news().is_empty());
    assert_eq!(pacer.histories()[&ball()].len(), 41);

    let home = origin(BaseUrl::DEFAULT);
    let mut models = Models::new();
    models.add(&home, &taught(&ball(), 12, 40));
    models.add(&home, &news);
    assert_eq!(*models.at(&home).unwrap(), pacer.histories());
    assert_eq!(models.pacer(&home).histories(), pacer.histories());
}

#[test]
fn models_merge_as_if_seen_side_by_side() {
    let (home, other) = (origin(BaseUrl::DEFAULT), origin("https://example.com"));
    let mut here = Models::new();
    here.add(&home, &taught(&ball(), 10, 100));
    let mut there = Models::new();
    there.add(&home, &taught(&ball(), 40, 100));
    there.add(&other, &taught(&tree(), 5, 3));
    here.merge(&there);
    assert_eq!(here.at(&home).unwrap()[&ball()].len(), 200);
    assert_eq!(here.at(&other), there.at(&other));
    let curve = here.pacer(&home).curve(ball().as_ref(), &Pace::learned(), Time::from_millis(0));
    assert!((0.4..0.6).contains(&curve.chance(Duration::ZERO, seconds(20))));
}

#[test]
fn nothing_learnt_from_loopback_counts_elsewhere_or_is_kept() {
    let mut models = Models::new();
    for url in ["http://127.0.0.1:8080", "http://localhost:9", "http://[::1]", BaseUrl::DEFAULT] {
        models.add(&origin(url), &taught(&ball(), 1 + url.len() as u64, 20));
    }
    let pacer = models.pacer(&origin(BaseUrl::DEFAULT));
    assert_eq!(pacer.histories(), *models.at(&origin(BaseUrl::DEFAULT)).unwrap());
    let kept = models.without_loopback();
    let written = serde_json::to_string(&kept).unwrap();
    assert!(!written.contains("127.0.0.1") && !written.contains("localhost"), "{written}");
    assert!(kept.at(&origin(BaseUrl::DEFAULT)).is_some() && !kept.is_empty());
    assert!(kept.at(&origin("http://[::1]")).is_none());
}

#[test]
fn models_are_written_with_their_version_and_read_back() {
    let mut models = Models::new();
    models.add(&origin(BaseUrl::DEFAULT), &taught(&ball(), 12, 2));
    models.add(&origin("https://example.com:8443"), &taught(&None, 3, 1));
    let new_look = Template::unlisted("moon_base").unwrap();
    models.add(&origin(BaseUrl::DEFAULT), &taught(&Some(new_look.into()), 4, 1));
    let written = serde_json::to_string(&models).unwrap();
    assert!(
        written.starts_with(r#"{"version":1,"origins":{"https://cloud.vtrix.ai":{"glass_ball":{"#),
        "{written}"
    );
    assert!(written.contains(r#""https://example.com:8443":{"":{"#), "{written}");
    assert_eq!(serde_json::from_str::<Models>(&written).unwrap(), models);
    for (spoilt, reason) in [
        (written.replacen("\"version\":1", "\"version\":9", 1), "version 9 are not known"),
        (written.replace("https://example.com:8443", "example"), "base URL"),
        (written.replace("moon_base", "moon base"), "moon base"),
        (written.replacen(r#""spans":["#, r#""spans":[7,"#, 1), "are not pairs"),
    ] {
        let error = serde_json::from_str::<Models>(&spoilt).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
    assert_eq!(serde_json::to_string(&Models::new()).unwrap(), r#"{"version":1,"origins":{}}"#);
}
