//! [`Webhook`]: posts a row once to the URL of `--post-to`, signed with the secret of
//! `EFFECTS_WEBHOOK_SECRET` (which must be set) as Standard Webhooks (<https://www.standardwebhooks.com>),
//! and records in the output folder's `deliveries.jsonl` which rows the URL acknowledged, so that no later
//! run posts them again. `BatchHooks` makes it; the threads of `PostQueue` (`posts.rs`) post with it, and
//! repeat what was not acknowledged. `EndedRow` gets its `webhook-id` from [`id_of`].

use std::collections::HashSet;
use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use effects_client::{BuildClient, ClientBuilder, Settings, Transport};
use effects_core::gateway::{Answer, DynExchange, Exchange, FreshConnection};
use effects_core::{Error, ErrorKind};
use effects_ureq::UreqExchange;
use hmac::{Hmac, KeyInit, Mac};
use http::{Request, Uri};
use sha2::{Digest, Sha256};
use tracing::subscriber::{self, NoSubscriber};

use super::EndedRow;
use crate::batch::manifest_line::append;
use crate::failure::Failure;
use crate::secret_variables::WEBHOOK_SECRET;

/// Where rows are posted to.
pub(super) struct Webhook {
    url: Uri,
    secret: Vec<u8>,
    stack: UreqExchange,
    /// The URL, as the file of deliveries names it.
    target: String,
    delivered: Mutex<HashSet<String>>,
    file: PathBuf,
}

/// Why a post did not do.
pub(super) enum PostError {
    /// It is to be posted again.
    Unacknowledged(String),
    /// It was acknowledged, and a later run posts it again since that is not on record.
    Unrecorded(String),
}

/// An HTTP stack with the usual settings, and no key of a gateway.
struct Stack(UreqExchange);

impl BuildClient for Stack {
    type Exchange = DynExchange;

    fn from_settings(settings: Settings, _: Transport<DynExchange>) -> Result<Self, Error> {
        UreqExchange::new(&settings).map(Self)
    }
}

impl Webhook {
    pub(super) fn new(url: &str, out: &Path) -> Result<Self, Failure> {
        let unusable = |why: String| Failure::from(Error::new(ErrorKind::Misconfigured, why));
        let parsed = url.parse::<Uri>().ok().filter(|url| {
            matches!(url.scheme_str(), Some("https" | "http")) && url.host().is_some()
        });
        let parsed = parsed.ok_or_else(|| {
            unusable("--post-to is no URL: give https://HOST/PATH; nothing was sent".to_owned())
        })?;
        let secret = env::var(WEBHOOK_SECRET).ok().filter(|secret| !secret.trim().is_empty());
        // Standard Webhooks write a secret as `whsec_` and base64. Any other text is one as it is.
        let secret = secret.and_then(|secret| match secret.trim().strip_prefix("whsec_") {
            Some(encoded) => BASE64_STANDARD.decode(encoded).ok(),
            None => Some(secret.trim().as_bytes().to_vec()),
        });
        let secret = secret.filter(|secret| !secret.is_empty()).ok_or_else(|| {
            unusable(format!(
                "--post-to signs with the secret of {WEBHOOK_SECRET}, which is not set, or no base64 after whsec_; \
                 nothing was sent"
            ))
        })?;
        // A client cannot be built without a key; this one is made up, and no request carries it.
        let Stack(stack) = ClientBuilder::<Stack>::new().api_key("no-key-is-sent").build()?;
        let (file, target) = (out.join(DELIVERIES), id_of(&[url.to_owned()]));
        let delivered = read(&file, &target)
            .map_err(|error| unusable(format!("{} cannot be read: {error}", file.display())))?;
        Ok(Self { url: parsed, secret, stack, target, delivered: Mutex::new(delivered), file })
    }

    /// Whether a row was acknowledged, by this run or an earlier one.
    pub(super) fn was_acknowledged(&self, id: &str) -> bool {
        self.lock().contains(id)
    }

    /// Posts a row once.
    pub(super) fn post(&self, row: &EndedRow) -> Result<(), PostError> {
        // The row's object goes in as text, to the letter as stdout has it.
        let body = format!(r#"{{"type":"row.{}","data":{}}}"#, row.status, row.json);
        self.try_once(&row.id, &body).map_err(PostError::Unacknowledged)?;
        self.acknowledged(&row.id).map_err(|error| {
            let file = self.file.display();
            PostError::Unrecorded(format!("posted, and {file} cannot be written: {error}"))
        })
    }

    fn try_once(&self, id: &str, body: &str) -> Result<(), String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let signature = sign(&self.secret, id, now, body);
        let request = Request::post(self.url.clone())
            .header("content-type", "application/json")
            .header("user-agent", concat!("effects/", env!("CARGO_PKG_VERSION")))
            .header("webhook-id", id)
            .header("webhook-timestamp", now)
            .header("webhook-signature", signature)
            // A kept connection may be closed by the other side at that very moment, and then it is
            // unknown whether the post arrived.
            .extension(FreshConnection)
            .body(Bytes::from(body.to_owned()))
            .map_err(|error| error.to_string())?;
        // That the URL cannot be reached is told by the queue, which knows how it goes on.
        let unheard = NoSubscriber::default();
        match subscriber::with_default(unheard, || self.stack.exchange(request, LIMIT)) {
            Answer::Answered { status, .. } if status.is_success() => Ok(()),
            Answer::Answered { status, .. } | Answer::BrokenOff { status, .. } => {
                Err(format!("HTTP {}", status.as_u16()))
            }
            Answer::NotSent(why)
            | Answer::Untrusted(why)
            | Answer::NotRecorded(why)
            | Answer::Lost(why) => Err(why),
        }
    }

    fn acknowledged(&self, id: &str) -> io::Result<()> {
        let mut delivered = self.lock();
        let line = format!("{{\"webhook_id\":\"{id}\",\"target\":\"{}\"}}\n", self.target);
        // On record first: where that fails, a later run posts the row again.
        append(&self.file, line.into_bytes())?;
        delivered.insert(id.to_owned());
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.delivered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was acknowledged by this target before. A line that was cut by a crash is posted again.
fn read(file: &Path, target: &str) -> io::Result<HashSet<String>> {
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(HashSet::new()),
        Err(error) => return Err(error),
    };
    let lines =
        text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let ours = lines.filter(|line| line["target"] == target);
    Ok(ours.filter_map(|line| line["webhook_id"].as_str().map(str::to_owned)).collect())
}

/// The name of these words: the same in each run.
pub(super) fn id_of(words: &[String]) -> String {
    let mut hash = Sha256::new();
    for word in words {
        // With their lengths, so that no other words run together to the same bytes.
        hash.update((word.len() as u64).to_le_bytes());
        hash.update(word);
    }
    let name =
        hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect::<String>();
    format!("msg_{name}")
}

/// `webhook-signature` over the id, the time and the body.
fn sign(secret: &[u8], id: &str, timestamp: u64, body: &str) -> String {
    // HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else { return String::new() };
    mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
    format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()))
}

const DELIVERIES: &str = "deliveries.jsonl";
/// How long one post may take.
const LIMIT: Duration = Duration::from_secs(15);
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_that_of_the_standards_example() {
        let secret = BASE64_STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signed =
            sign(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
