//! [`Blocking`]: the [`Face`] of the blocking client, `effects-ureq`: it does a [`FaceJob`] with `run`,
//! event by event or with `submit`. `tests/all/conformance.rs` plays every list of scenarios over it, also
//! wrapped by `caller_stack.rs`; the tests of faults, the emulator, spans and secrets use it through
//! `faces` of `suite.rs`.

use std::fs;

use effects_client::ClientBuilder;
use effects_core::{Effect, Error, ErrorKind};
use effects_jobs::Photo;
use effects_ureq::{Client, Watch};

use crate::face::{Ask, ClientSetup, Ended, Face, FaceEvent, FaceJob, Style};

/// `effects-ureq`, in one of its styles.
#[derive(Clone, Copy, Debug)]
pub struct Blocking(pub Style);

impl Face for Blocking {
    fn name(&self) -> String {
        format!("blocking {:?}", self.0)
    }

    fn style(&self) -> Style {
        self.0
    }

    fn run(
        &self,
        setup: &ClientSetup,
        job: &FaceJob,
        report: &mut dyn FnMut(FaceEvent<'_>),
    ) -> Ended {
        self.run_with(setup.builder(), job, report)
    }
}

impl Blocking {
    /// The same with a client of this builder.
    pub(crate) fn run_with(
        self,
        builder: Result<ClientBuilder<Client>, Error>,
        job: &FaceJob,
        report: &mut dyn FnMut(FaceEvent<'_>),
    ) -> Ended {
        let mut ended = Ended { downloads: Some(Vec::new()), ..Ended::default() };
        let done = builder.and_then(|builder| self.run_job(builder, job, report, &mut ended));
        if let Err(error) = done {
            ended.set_failure(&error);
        }
        ended
    }

    fn run_job(
        self,
        builder: ClientBuilder<Client>,
        job: &FaceJob,
        report: &mut dyn FnMut(FaceEvent<'_>),
        ended: &mut Ended,
    ) -> Result<(), Error> {
        // All that can be printed is printed, since the key must be in none of it.
        ended.add_printed(&builder);
        let client = builder.build()?;
        ended.add_printed(&client);
        // Making a client asks the gateway for nothing yet.
        report(FaceEvent::Begun);
        for _ in 0..job.times {
            if let Ask::Look(task) = &job.ask {
                let task = client.task(parsed(task)?).status()?;
                ended.set_status(&task);
                continue;
            }
            let effect = self.effect(&client, &job.ask, report, ended)?;
            ended.set_effect(effect.clone());
            match &job.save_to {
                Some(path) => {
                    let on_event = |event| ended.add_download_event(&event);
                    let path = client.download_with(&effect.pictures[0], path, on_event)?;
                    ended.pictures.push(read(&path)?.into());
                }
                None => {
                    for picture in &effect.pictures {
                        let on_event = |event| ended.add_download_event(&event);
                        let bytes = client.fetch_with(picture, on_event)?;
                        ended.pictures.push(bytes);
                    }
                }
            }
        }
        Ok(())
    }

    fn effect(
        self,
        client: &Client,
        ask: &Ask,
        report: &mut dyn FnMut(FaceEvent<'_>),
        ended: &mut Ended,
    ) -> Result<Effect, Error> {
        let (draft, uploaded) = match ask {
            Ask::Wait(task) | Ask::Look(task) => {
                let handle = client.task(parsed(task)?);
                ended.add_printed(&handle);
                return match self.0 {
                    Style::Events => read_events(handle.events(), report, ended),
                    Style::Run | Style::Submit => handle.wait(),
                };
            }
            Ask::Effect(draft) => (draft, None),
            Ask::EffectOf(photo, draft) => {
                (draft, Some(client.upload(&Photo::new(photo.clone(), "photo.png")?)?))
            }
        };
        let request = Ask::request(draft, uploaded.as_ref())?;
        match self.0 {
            Style::Run => client.run(request),
            Style::Events => read_events(client.watch(request), report, ended),
            Style::Submit => {
                let handle = client.submit(request)?;
                ended.add_printed(&handle);
                handle.wait()
            }
        }
    }
}

fn read_events(
    mut watch: Watch,
    report: &mut dyn FnMut(FaceEvent<'_>),
    ended: &mut Ended,
) -> Result<Effect, Error> {
    ended.add_printed(&watch);
    while let Some(event) = watch.next() {
        // At each step, since what it holds changes.
        ended.add_printed(&watch);
        ended.add_printed(&event);
        ended.printed.push(event.to_string());
        report(FaceEvent::Event(&event.to_string()));
    }
    watch.finish()
}

pub(crate) fn parsed(task: &str) -> Result<effects_core::TaskId, Error> {
    let misconfigured = |error: effects_core::InvalidTaskId| {
        Error::new(ErrorKind::Misconfigured, error.to_string())
    };
    task.parse().map_err(misconfigured)
}

pub(crate) fn read(path: &std::path::Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|error| Error::new(ErrorKind::Download, error.to_string()))
}
