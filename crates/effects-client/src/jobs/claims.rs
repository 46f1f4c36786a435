//! [`Claims`]: the register of the files that jobs write or read. It refuses a picture's file that is
//! another job's already and finds pictures that would replace a photo, also under another spelling or
//! link. The command's `batch/rows.rs` and `batch/watch.rs` claim each file before its job begins, and so
//! does `JobContext` for jobs without a [`Claim`]; `jobs/placement.rs` asks before it saves a picture.

use std::collections::HashMap;
use std::path::Path;

use crate::file_id::FileId;
use crate::file_names;

/// Files that rows have claimed: their picture goes there, or their photo is there.
///
/// A file is known by its name, and where something is there already, by what the name leads to. Names
/// that differ only in their letters' case, or in how an accent is written, are one file on some systems, so
/// they are here.
#[derive(Debug, Default)]
pub struct Claims(HashMap<ClaimKey, Claimed>);

#[derive(Debug, Eq, Hash, PartialEq)]
enum ClaimKey {
    /// A path, hashed.
    Name(u64),
    File(FileId),
}

#[derive(Debug, Default)]
struct Claimed {
    picture: Option<Claim>,
    /// The line of a row whose photo it is.
    photo: Option<u64>,
}

/// The row whose picture goes somewhere.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Claim {
    /// Its place among the rows, from 0.
    pub index: usize,
    /// Its line; 0 for a file of the batch itself.
    pub line: u64,
}

impl Claims {
    /// Claims a file for a row's picture, unless another row has; a row may claim its own once more.
    pub fn picture(&mut self, path: &Path, claim: Claim) -> Result<(), Claim> {
        let keys: Vec<ClaimKey> = keys(path).collect();
        let others = keys.iter().filter_map(|key| self.0.get(key)?.picture);
        // All keys are looked up before one is claimed, so that a refusal leaves no trace.
        if let Some(other) = others.into_iter().find(|other| *other != claim) {
            return Err(other);
        }
        for key in keys {
            self.0.entry(key).or_default().picture = Some(claim);
        }
        Ok(())
    }

    /// A file is the photo of the row on this line; rows may share a photo.
    pub fn photo(&mut self, path: &Path, line: u64) {
        for key in keys(path) {
            self.0.entry(key).or_default().photo.get_or_insert(line);
        }
    }

    /// Pictures that would replace a photo, in the order of their rows, with that photo's line.
    pub fn conflicts(&self) -> Vec<(Claim, u64)> {
        let both = |claimed: &Claimed| Some((claimed.picture?, claimed.photo?));
        let mut conflicts: Vec<_> = self.0.values().filter_map(both).collect();
        conflicts.sort_by_key(|(claim, _)| claim.index);
        // A row may conflict twice, by the name of its file and by what the name leads to.
        conflicts.dedup_by_key(|(claim, _)| *claim);
        conflicts
    }

    /// Whether a file is a photo, or where the picture of another row goes than the one at this place
    /// among the rows.
    pub fn has_for_another(&self, path: &Path, index: usize) -> bool {
        keys(path).filter_map(|key| self.0.get(&key)).any(|claimed| {
            claimed.photo.is_some() || claimed.picture.is_some_and(|claim| claim.index != index)
        })
    }

    /// Whether a file is a photo.
    pub fn is_photo(&self, path: &Path) -> bool {
        keys(path).filter_map(|key| self.0.get(&key)).any(|claimed| claimed.photo.is_some())
    }

    /// Whether a job wants a file, or reads it.
    pub fn has(&self, path: &Path) -> bool {
        keys(path).any(|key| self.0.contains_key(&key))
    }
}

/// The keys that a path stands for.
fn keys(path: &Path) -> impl Iterator<Item = ClaimKey> {
    // Without looking at the disk: most pictures are not there yet.
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let name = ClaimKey::Name(file_names::hash(&file_names::folded(&file_names::shown(&whole))));
    [name].into_iter().chain(FileId::of(path).map(ClaimKey::File))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_file_is_one_rows_and_no_photo_is_replaced() {
        let claim = |index| Claim { index, line: index as u64 + 2 };
        let mut claims = Claims::default();
        assert_eq!(claims.picture(Path::new("out/Cat.png"), claim(0)), Ok(()));
        assert_eq!(claims.picture(Path::new("out/cat.PNG"), claim(1)), Err(claim(0)));
        assert_eq!(claims.picture(Path::new("out/cat.PNG"), claim(0)), Ok(()));
        assert_eq!(claims.picture(Path::new("out/Zo\u{eb}.png"), claim(3)), Ok(()));
        assert_eq!(claims.picture(Path::new("out/zoe\u{308}.png"), claim(4)), Err(claim(3)));
        claims.photo(Path::new("cat.jpg"), 2);
        claims.photo(Path::new("cat.jpg"), 3);
        assert_eq!(claims.conflicts(), []);
        assert_eq!(claims.picture(Path::new("cat.jpg"), claim(2)), Ok(()));
        assert!(!claims.has_for_another(Path::new("out/cat.png"), 0));
        assert!(claims.has_for_another(Path::new("out/cat.png"), 1));
        assert!(claims.has_for_another(Path::new("cat.jpg"), 2));
        claims.photo(Path::new("out/cat.png"), 9);
        assert_eq!(claims.conflicts(), [(claim(0), 9), (claim(2), 2)]);
        assert!(claims.has(Path::new("CAT.jpg")) && !claims.has(Path::new("dog.jpg")));
    }
}
