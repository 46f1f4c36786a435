//! What the Effects clients share beside an HTTP library.
//!
//! [`effects_core`] performs no I/O and a client crate should be about HTTP, so what both clients
//! need from this machine lives here: settings and the environment ([`ClientBuilder`]), the wall
//! clock ([`WallClock`]), photos and landing files
//! ([`read_photo`], [`Landing`], [`FileId`]), the uploader's programs and cache ([`run_uploader`],
//! [`UploadCache`]), the folder of this user's state ([`state_dir`]), what is kept there of durations
//! ([`PaceFile`]), rows of a journal on their way through a client ([`Ledger`]), whether a picture is still the one
//! that was saved ([`PictureState`]), what a driver of a
//! batch knows of its runs ([`Rows`]) and of jobs still to come ([`Queue`]), spans ([`telemetry`]). It knows no HTTP library and no async runtime.

mod backlog;
mod builder;
mod clock;
mod file_id;
pub mod file_names;
mod jobs;
mod landing;
mod ledger;
mod pace_file;
mod program;
mod queue;
mod random;
mod run;
mod saved_picture;
mod state;
pub mod telemetry;
mod upload_cache;

pub use backlog::Backlog;
pub use builder::{
    BuildClient, CaBundle, ClientBuilder, Proxy, Settings, base_url_of_the_environment,
};
pub use clock::{StoppableClock, Stopper, WallClock};
pub use file_id::FileId;
pub use jobs::{
    Claim, Claims, Job, JobContext, JobJournals, JobNotice, JobOptions, JobResult, Jobs,
    JobsHandle, PhotoSource, RunJobs, Save, SaveFiles, TrackedJob,
};
pub use landing::{Landing, Sink, read_photo, write_file};
pub use ledger::Ledger;
pub use pace_file::{PaceFile, PaceFileError};
pub use program::{PresignedUrls, run_presigner, run_uploader};
pub use queue::{Queue, draw};
pub use random::{fresh_seed, random_name};
pub use run::begin_run;
pub use saved_picture::{PictureState, is_picture, record_picture};
pub use state::{make_private_dir, state_dir};
pub use upload_cache::UploadCache;
