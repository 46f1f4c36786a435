//! [`Async`]: the [`Face`] of the async client, `effects-reqwest`: it does a [`FaceJob`] in one of three
//! styles (`run`; `watch`, event by event; `submit`), on a tokio runtime of its own.
//! `tests/all/conformance.rs` plays every list of scenarios over it, and most of them again over the
//! wrappers in `caller_stack.rs`; the tests of faults, the emulator, spans and secrets get it from `faces`
//! of `suite.rs`.

use effects_client::ClientBuilder;
use effects_core::{Effect, Error};
use effects_jobs::Photo;
use effects_reqwest::{Client, Watch};
use tokio::runtime::Builder;

use crate::blocking::{parsed, read};
use crate::face::{Ask, ClientSetup, Ended, Face, FaceEvent, FaceJob, Style};

/// `effects-reqwest`, in one of its styles, on a tokio runtime of its own.
#[derive(Clone, Copy, Debug)]
pub struct Async(pub Style);

impl Face for Async {
    fn name(&self) -> String {
        format!("async {:?}", self.0)
    }

    fn style(&self) -> Style {
        self.0
    }

    /// # Panics
    ///
    /// When the machine has no runtime to give.
    fn run(
        &self,
        setup: &ClientSetup,
        job: &FaceJob,
        report: &mut dyn FnMut(FaceEvent<'_>),
    ) -> Ended {
        self.run_with(setup.builder(), job, report)
    }
}

impl Async {
    /// The same with a client of this builder.
    ///
    /// # Panics
    ///
    /// When the machine has no runtime to give.
    pub(crate) fn run_with(
        self,
        builder: Result<ClientBuilder<Client>, Error>,
        job: &FaceJob,
        report: &mut dyn FnMut(FaceEvent<'_>),
    ) -> Ended {
        let mut ended = Ended { downloads: Some(Vec::new()), ..Ended::default() };
        // One thread: the client has to get by without a second one.
        let runtime = match Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => panic!("no tokio runtime: {error}"),
        };
        let done = builder
            .and_then(|builder| runtime.block_on(self.run_job(builder, job, report, &mut ended)));
        if let Err(error) = done {
            ended.set_failure(&error);
        }
        ended
    }

    async fn run_job(
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
                let task = client.task(parsed(task)?).status().await?;
                ended.set_status(&task);
                continue;
            }
            let effect = self.effect(&client, &job.ask, report, ended).await?;
            ended.set_effect(effect.clone());
            match &job.save_to {
                Some(path) => {
                    let on_event = |event| ended.add_download_event(&event);
                    let path = client.download_with(&effect.pictures[0], path, on_event).await?;
                    ended.pictures.push(read(&path)?.into());
                }
                None => {
                    for picture in &effect.pictures {
                        let on_event = |event| ended.add_download_event(&event);
                        let bytes = client.fetch_with(picture, on_event).await?;
                        ended.pictures.push(bytes);
                    }
                }
            }
        }
        Ok(())
    }

    async fn effect(
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
                    Style::Events => read_events(handle.events(), report, ended).await,
                    Style::Run | Style::Submit => handle.wait().await,
                };
            }
            Ask::Effect(draft) => (draft, None),
            Ask::EffectOf(photo, draft) => {
                (draft, Some(client.upload(&Photo::new(photo.clone(), "photo.png")?).await?))
            }
        };
        let request = Ask::request(draft, uploaded.as_ref())?;
        match self.0 {
            Style::Run => client.run(request).await,
            Style::Events => read_events(client.watch(request), report, ended).await,
            Style::Submit => {
                let handle = client.submit(request).await?;
                ended.add_printed(&handle);
                handle.wait().await
            }
        }
    }
}

async fn read_events(
    mut watch: Watch,
    report: &mut dyn FnMut(FaceEvent<'_>),
    ended: &mut Ended,
) -> Result<Effect, Error> {
    ended.add_printed(&watch);
    while let Some(event) = watch.next().await {
        // At each step, since what it holds changes.
        ended.add_printed(&watch);
        ended.add_printed(&event);
        ended.printed.push(event.to_string());
        report(FaceEvent::Event(&event.to_string()));
    }
    watch.finish().await
}
