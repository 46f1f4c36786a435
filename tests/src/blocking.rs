//! [`Blocking`]: the [`Face`] of the blocking client, `effects-ureq`. `tests/all/conformance.rs` plays
//! every list of scenarios with it, and some through the `CallerStack` and `Wrapped` of `given.rs`;
//! `tests/all/faults` and `tests/secrets.rs`, among others, use it too.

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
        tell: &mut dyn FnMut(FaceEvent<'_>),
    ) -> Ended {
        self.run_with(setup.builder(), job, tell)
    }
}

impl Blocking {
    /// The same with a client of this builder.
    pub(crate) fn run_with(
        self,
        builder: Result<ClientBuilder<Client>, Error>,
        job: &FaceJob,
        tell: &mut dyn FnMut(FaceEvent<'_>),
    ) -> Ended {
        let mut ended = Ended { downloads: Some(Vec::new()), ..Ended::default() };
        let done = builder.and_then(|builder| self.work(builder, job, tell, &mut ended));
        if let Err(error) = done {
            ended.failed(&error);
        }
        ended
    }

    fn work(
        self,
        builder: ClientBuilder<Client>,
        job: &FaceJob,
        tell: &mut dyn FnMut(FaceEvent<'_>),
        ended: &mut Ended,
    ) -> Result<(), Error> {
        // All that can be printed is printed, since the key must be in none of it.
        ended.prints(&builder);
        let client = builder.build()?;
        ended.prints(&client);
        // Making a client asks the gateway for nothing yet.
        tell(FaceEvent::Begun);
        for _ in 0..job.times {
            if let Ask::Look(task) = &job.ask {
                let task = client.task(parsed(task)?).status()?;
                ended.looked(&task);
                continue;
            }
            let effect = self.effect(&client, &job.ask, tell, ended)?;
            ended.finished(effect.clone());
            match &job.save_to {
                Some(path) => {
                    let told = |event| ended.heard_of_download(&event);
                    let path = client.download_with(&effect.pictures[0], path, told)?;
                    ended.pictures.push(read(&path)?.into());
                }
                None => {
                    for picture in &effect.pictures {
                        let told = |event| ended.heard_of_download(&event);
                        let bytes = client.fetch_with(picture, told)?;
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
        tell: &mut dyn FnMut(FaceEvent<'_>),
        ended: &mut Ended,
    ) -> Result<Effect, Error> {
        let (draft, uploaded) = match ask {
            Ask::Wait(task) | Ask::Look(task) => {
                let handle = client.task(parsed(task)?);
                ended.prints(&handle);
                return match self.0 {
                    Style::Events => followed(handle.events(), tell, ended),
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
            Style::Events => followed(client.watch(request), tell, ended),
            Style::Submit => {
                let handle = client.submit(request)?;
                ended.prints(&handle);
                handle.wait()
            }
        }
    }
}

fn followed(
    mut watch: Watch,
    tell: &mut dyn FnMut(FaceEvent<'_>),
    ended: &mut Ended,
) -> Result<Effect, Error> {
    ended.prints(&watch);
    while let Some(event) = watch.next() {
        // At each step, since what it holds changes.
        ended.prints(&watch);
        ended.prints(&event);
        ended.printed.push(event.to_string());
        tell(FaceEvent::Event(&event.to_string()));
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
