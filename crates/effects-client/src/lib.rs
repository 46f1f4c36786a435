//! What the blocking and the async client (`effects-ureq`, `effects-reqwest`) share, beside an HTTP
//! library: their settings ([`ClientBuilder`]), many jobs at once ([`Jobs`]), and what they need of this
//! machine: files, clock, keys and programs. Both build on this crate, and so do the command
//! (`effects-cli`), the Python package and programs that drive runs themselves.
//!
//! [`effects_core`] and [`effects_jobs`] perform no I/O and a client crate should be about HTTP, so what both
//! clients need from this machine is here. It knows no HTTP library and no async runtime.
//!
//! * Settings and the environment ([`ClientBuilder`], [`EnvironmentProxies`]), client certificates
//!   ([`ClientCert`]), profiles ([`Profile`]) and the keys that are stored for them ([`StoredKey`]).
//! * HTTP stacks of the caller's ([`Transport`], [`PictureFetch`]) and recorded exchanges ([`Player`]).
//! * Jobs with their rows, photos and files ([`Jobs`], [`JobContext`]), and rows of a journal
//!   ([`JournalSession`]).
//! * Files that appear whole ([`AtomicFile`]), and whether a picture is still the one that was saved
//!   ([`PictureState`]).
//! * Programs that upload ([`run_uploader`]), and what was uploaded ([`UploadCache`]).
//! * The wall clock ([`WallClock`]), this user's state folder ([`state_dir`]) with the durations learnt
//!   ([`PaceFile`]), and spans ([`telemetry`]).

mod atomic_file;
mod backlog;
mod builder;
mod caller_panic;
mod cassette;
pub mod certificate;
mod client_cert;
mod clock;
mod connection_error;
mod environment_proxies;
mod file_id;
pub mod file_names;
mod job_demand;
mod jobs;
mod journal_session;
mod key_in_request;
#[cfg(all(
    feature = "keyring",
    any(target_os = "linux", target_os = "macos", target_os = "windows")
))]
mod keyring_calls;
mod keyring_error;
mod missing_key;
mod pace_file;
mod picture_fetch;
mod profile;
mod program;
mod random;
mod run;
mod saved_picture;
#[cfg(all(feature = "keyring", target_os = "linux"))]
mod secret_service;
mod settings;
mod state;
mod stood_still;
mod stored_key;
mod system_keyring;
pub mod telemetry;
mod transport;
mod unreachable_photos;
mod upload_cache;
mod verdict;

pub use atomic_file::{
    AtomicFile, Sink, read_opened_photo, read_photo, write_file, write_new_file,
};
pub use backlog::Backlog;
pub use builder::{
    BuildClient, CA_BUNDLE_VARIABLE, CLIENT_CERT_VARIABLE, CLIENT_KEY_VARIABLE, ClientBuilder,
    KEY_COMMAND_VARIABLE, base_url_of_the_environment,
};
pub use caller_panic::{DOWNLOAD, JOURNAL, STACK, UPLOAD, guarded, panicked, panicked_journal};
pub use cassette::{
    CASSETTE_VARIABLE, Player, Recorded, cassette_of_the_environment, is_replay, replay_base,
};
pub use client_cert::ClientCert;
pub use clock::{StoppableClock, Stopper, WallClock};
pub use connection_error::{io_reason, no_tunnel};
pub use environment_proxies::{EnvironmentProxies, UnreadableProxy};
pub use file_id::FileId;
pub use job_demand::{JobDemand, draw};
pub use jobs::{
    Claim, Claims, DrawWithin, Job, JobContext, JobJournals, JobNotice, JobOptions, JobResult,
    Jobs, JobsHandle, OutageFilter, PhotoCheck, PhotoSource, RunJobs, Save, SaveFiles, SaveWords,
    TrackedJob, is_special,
};
pub use journal_session::JournalSession;
pub use key_in_request::key_refusal;
pub use keyring_error::KeyringError;
pub use missing_key::MissingKeyAdvice;
pub use pace_file::{PaceFile, PaceFileError};
pub use picture_fetch::{ArrivedPicture, ObservedDownload, PictureFetch, answer_of};
pub use profile::{Profile, ProfileKey};
pub use program::{KEY_VARIABLES, PresignedUrls, run_key_program, run_presigner, run_uploader};
pub use random::{fresh_seed, random_name};
pub use run::begin_run;
pub use saved_picture::{PictureState, file_digest, is_picture, record_picture};
pub use settings::{CaBundle, EventObserver, Proxy, Settings};
pub use state::{config_dir, make_private_dir, state_dir};
pub use stood_still::{TimeToSend, time_to_read, time_to_take_unread};
pub use stored_key::{KeyStore, StoredKey};
pub use transport::{FromExchange, Transport};
pub use unreachable_photos::UnreachablePhotos;
pub use upload_cache::UploadCache;
pub use verdict::Verdict;
