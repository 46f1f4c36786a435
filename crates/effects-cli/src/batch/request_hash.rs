//! [`RequestHash`]: a hash of what a row asks for (key, template, image, size, parameters, scope), with
//! its number among equal rows. It stands in for the row's `Identity`, by which a journal knows it, where
//! that is not known: where the photo is not read, or a line of an earlier run's `manifest.jsonl` has
//! none. `results.rs`, `preflight.rs`, `other_journal.rs` and `reporter.rs` find rows by it;
//! `running_mark.rs` lists a running batch's rows by it.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::Path;

use effects_client::file_names;
use effects_core::{Origin, Size};
use effects_jobs::Identity;
use serde::{Deserialize, Serialize};

use super::earlier_line::earlier_lines;
use super::report::RowStatus;
use super::rows::RowLabel;

/// What a row asks for, hashed, and how many equal rows came before it: by this it is known again in
/// the manifest that an earlier run left, where its identity is not there.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub(crate) struct RequestHash(pub(super) u64, u32);

impl RequestHash {
    pub(crate) fn of(label: &RowLabel) -> Self {
        let (key, template, image) = (&label.key, &label.template, &label.image);
        let Size { width, height } = label.size;
        let mut request = format!("{:?}", (key, template, image, width, height));
        // Only where there is one, and so with the parameters: other rows keep the hash that earlier
        // versions wrote into the marks of running batches.
        request.extend(label.scope.as_ref().map(|scope| format!("{scope:?}")));
        if !label.params.is_empty() {
            request.push_str(&label.params.to_string());
        }
        Self(file_names::hash(&request), label.before)
    }

    /// The same, for the next of equal rows; `before` counts them.
    pub(crate) fn counted(self, before: &mut HashMap<u64, u32>) -> Self {
        let count = before.entry(self.0).or_default();
        *count += 1;
        Self(self.0, *count - 1)
    }
}

/// The identities that a manifest has of rows at this gateway, by what the rows ask for.
pub(super) fn earlier_identities(
    manifest: &Path,
    origin: &str,
) -> io::Result<HashMap<RequestHash, Identity>> {
    let (mut identities, mut before) = (HashMap::new(), HashMap::new());
    let mut seen = HashSet::new();
    for text in earlier_lines(manifest)? {
        let Some(line) = text?.line else { continue };
        // Two tasks of one row are no two rows.
        if line.identity().is_some_and(|identity| !seen.insert(identity)) {
            continue;
        }
        // Nothing was sent for an invalid row, so it is not counted among equal ones.
        if line.origin.as_deref() == Some(origin) && line.status != RowStatus::Invalid {
            let request_hash = RequestHash::of(&line.label()).counted(&mut before);
            identities.extend(line.identity().map(|identity| (request_hash, identity)));
        }
    }
    Ok(identities)
}

/// The identities that a manifest has of all rows that ask for the same as one of these, equal ones too.
///
/// # Errors
///
/// When it cannot be read.
pub(super) fn identities_of(
    request_hashes: &[RequestHash],
    manifest: &Path,
    origin: &Origin,
) -> io::Result<Vec<Identity>> {
    let hashes: HashSet<u64> = request_hashes.iter().map(|request_hash| request_hash.0).collect();
    if hashes.is_empty() {
        return Ok(Vec::new());
    }
    let known = earlier_identities(manifest, &origin.to_string())?.into_iter();
    let known = known.filter(|(known, _)| hashes.contains(&known.0));
    Ok(known.map(|(_, identity)| identity).collect())
}
