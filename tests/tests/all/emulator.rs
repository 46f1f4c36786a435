//! The emulator serves every client, end to end: it shares no wire types with them, so that this
//! means something.

use std::time::Duration;

use effects_core::model::{Draft, DraftImage};
use effects_core::{ErrorKind, ImageFormat};
use effects_emulator::{Dialect, Emulator, Latency, Pictures, Validation};
use effects_tests::{Ask, ClientSetup, FaceJob, faces, picture, setup_at};

fn pointed_at(emulator: &Emulator) -> ClientSetup {
    setup_at(emulator.base_url(), emulator.api_key())
}

fn stub() -> effects_emulator::EmulatorBuilder {
    Emulator::builder().pictures(Pictures::Stub)
}

fn draft(template: &str) -> Draft {
    Draft {
        image: DraftImage::Url("https://photos.example.com/cat.jpg".to_owned()),
        template_id: Some(template.to_owned()),
        ..Draft::default()
    }
}

fn job(ask: Ask) -> FaceJob {
    FaceJob { ask, times: 1, save_to: None }
}

#[test]
fn a_task_goes_from_photo_to_picture_in_every_dialect() {
    let latency = Latency::fixed(Duration::from_millis(30));
    for dialect in [Dialect::Spec, Dialect::Sdk] {
        let emulator = stub().dialect(dialect).latency(latency.clone()).start().unwrap();
        let setup = pointed_at(&emulator);
        for face in faces() {
            let draft = Draft { width: Some(512), height: Some(2048), ..draft("glass_ball") };
            // The photo is uploaded to the emulator's own storage.
            let ended = face.run(&setup, &job(Ask::EffectOf(picture(), draft)), &mut |_| {});
            let effect = ended.effect.unwrap_or_else(|| panic!("{:?}", ended.failure));
            assert_eq!(effect.usage.cost.unwrap().to_string(), "0.03", "{}", face.name());
            assert_eq!(ended.pictures.len(), 1);
            assert_eq!(ImageFormat::sniff(&ended.pictures[0]), Some(ImageFormat::Png));
            assert_eq!(effect.pictures[0].size, Some(ended.pictures[0].len() as u64));

            // And it is there by its id.
            let again = job(Ask::Wait(effect.task_id.to_string()));
            let ended = face.run(&setup, &again, &mut |_| {});
            assert_eq!(ended.effect.map(|effect| effect.task_id), Some(effect.task_id));
        }
    }
}

#[test]
fn its_refusals_are_read_for_what_they_are() {
    for dialect in [Dialect::Spec, Dialect::Sdk] {
        let by_task = stub().dialect(dialect).start().unwrap();
        let by_http = stub().dialect(dialect).validation(Validation::Http).start().unwrap();
        for face in faces() {
            // A client refuses an unknown template itself unless it is told not to.
            let unlisted = Draft { allow_unlisted: true, ..draft("their_world") };
            let ended =
                face.run(&pointed_at(&by_task), &job(Ask::Effect(unlisted.clone())), &mut |_| {});
            let failure = ended.failure.unwrap();
            assert_eq!(failure.kind, ErrorKind::TaskFailed, "{failure:?}");
            assert_eq!(failure.code.as_deref(), Some("3009003"));
            assert!(failure.task_id.is_some());

            let ended = face.run(&pointed_at(&by_http), &job(Ask::Effect(unlisted)), &mut |_| {});
            let failure = ended.failure.unwrap();
            assert_eq!(
                (failure.kind, failure.status),
                (ErrorKind::Rejected, Some(400)),
                "{failure:?}"
            );
            assert_eq!(failure.code.as_deref(), Some("3009003"));

            let stranger = ClientSetup { api_key: "sk-nobody".to_owned(), ..pointed_at(&by_task) };
            let ended = face.run(&stranger, &job(Ask::Effect(draft("glass_ball"))), &mut |_| {});
            assert_eq!(ended.failure.unwrap().kind, ErrorKind::KeyRefused);

            let setup = {
                let mut setup = pointed_at(&by_task);
                setup.policy.wait_timeout = Duration::from_millis(300);
                setup
            };
            let ended =
                face.run(&setup, &job(Ask::Wait("d0000000000000000000".to_owned())), &mut |_| {});
            assert_eq!(ended.failure.unwrap().kind, ErrorKind::TaskNotFound);
        }
    }
}
