//! Rows that the folder's own manifest has as paid for and the journal does not know: another journal
//! was used for them, and this one would pay for them again.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use effects_core::{Error, ErrorKind, Identity, JournalStore, RowName};

use super::names::RESULTS;
use super::results::{Asked, EarlierLine};
use super::rows::{Checker, Counted};
use super::work::Batch;
use crate::failure::Failure;
use crate::journal;

impl Batch<'_> {
    /// Refuses to pay for rows that another journal has paid for at this gateway.
    pub(super) fn check_journal(&self, store: Option<&dyn JournalStore>) -> Result<(), Failure> {
        let manifest = self.common.out.join(RESULTS);
        let Some(own) = self.journal.filter(|_| !self.options.pay_again) else { return Ok(()) };
        let unknown = self.unknown_to(store, &manifest)?;
        let (mut count, mut journals) = (0_u64, BTreeSet::new());
        for row in self.rows_like(&unknown)? {
            if let Some(written_by) = unknown.get(&row) {
                count += 1;
                journals.extend(written_by.journal.clone());
            }
        }
        if count == 0 {
            return Ok(());
        }
        let (rows, them) = match count {
            1 => ("1 row is".to_owned(), "it"),
            count => (format!("{count} rows are"), "them"),
        };
        let journals: Vec<String> = journals.into_iter().collect();
        let way_out = if journals.is_empty() || journals == [own.to_string_lossy()] {
            "it was deleted or replaced since; give the one that does".to_owned()
        } else {
            format!("{} does; give that one", journals.join(" or "))
        };
        let message = format!(
            "{rows} paid for already, says {}, and the journal {} does not know {them}: {way_out} \
             with --journal, or pay once more with --pay-again; nothing was sent",
            manifest.display(),
            own.display()
        );
        Err(Error::new(ErrorKind::Misconfigured, message).into())
    }

    /// The paid rows of the folder's manifest, at this gateway, that the journal does not know.
    fn unknown_to(
        &self,
        store: Option<&dyn JournalStore>,
        manifest: &Path,
    ) -> Result<HashMap<Identity, EarlierLine>, Failure> {
        let origin = self.common.origin.to_string();
        let mut unknown = HashMap::new();
        let Ok(file) = File::open(manifest) else { return Ok(unknown) };
        for line in BufReader::new(file).lines().map_while(Result::ok) {
            // What is no line of a row says nothing of one.
            let Ok(line) = serde_json::from_str::<EarlierLine>(&line) else { continue };
            let here = line.origin.as_ref() == Some(&origin);
            let Some(identity) = line.identity().filter(|_| here && line.may_be_paid()) else {
                continue;
            };
            let name = RowName::Identity(identity);
            let known = store.map(|store| store.look(&name)).transpose();
            if known.map_err(|error| journal::failure(&error))?.flatten().is_none() {
                unknown.insert(identity, line);
            }
        }
        Ok(unknown)
    }

    /// The rows of this batch that ask for what one of these asked for. Only their photos are read.
    fn rows_like(&self, lines: &HashMap<Identity, EarlierLine>) -> Result<Vec<Identity>, Failure> {
        let mut rows = Vec::new();
        if lines.is_empty() {
            return Ok(rows);
        }
        let wanted: Vec<u64> = lines.values().map(|line| Asked::of(&line.told()).hash()).collect();
        let (mut checker, mut counted) = (Checker::new(self.common), Counted::default());
        for line in self.manifest.lines(self.common.template.is_some())? {
            // What is wrong with a row is told elsewhere.
            let Ok(found) = checker.check(line?) else { continue };
            if wanted.contains(&Asked::of(&found.told).hash())
                && let Ok((row, _)) = counted.row(self.common, &found)
            {
                rows.push(row.identity);
            }
        }
        Ok(rows)
    }
}
