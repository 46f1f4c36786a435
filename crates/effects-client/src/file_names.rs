//! The names of pictures' files: [`Names`] for the pictures of one task, [`of_key`] and [`of_row`] for a
//! job whose caller chose none, [`beside`] and [`of_identity`] for another where a name is taken. Text from
//! outside is made [`harmless`] in a path. `JobContext`, `jobs/placement.rs` and the command name pictures
//! so; they, `Claims` and [`read_photo`](crate::read_photo) also show and compare paths by [`shown`],
//! [`folded`] and [`hash`].

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use effects_core::{ExtraParams, Size, TaskId, Template};
use effects_jobs::Identity;
use icu_normalizer::ComposingNormalizerBorrowed;
use icu_properties::CodePointMapData;
use icu_properties::props::{GeneralCategory, GeneralCategoryGroup};

/// Where the pictures of a task are saved.
#[derive(Clone, Debug)]
pub struct Names(PathBuf);

impl Names {
    /// At this path.
    pub fn chosen(path: PathBuf) -> Self {
        Self(path)
    }

    /// In the current folder: `TEMPLATE-TASKID.png`, or `TASKID.png` where no caller knows the
    /// template.
    ///
    /// Both names come from outside: what could act in a path becomes `_`, and a name that had to
    /// be changed or cut ends in a hash, so that no two tasks share a file.
    pub fn default_for(template: Option<&Template>, task: &TaskId) -> Self {
        let task = harmless(task.as_str());
        Self(PathBuf::from(match template {
            Some(template) => format!("{}-{task}.png", harmless(template.id())),
            None => format!("{task}.png"),
        }))
    }

    /// The path of the picture with this index: the first has the name itself, a second one ends
    /// in `-2`.
    pub fn path(&self, index: usize) -> PathBuf {
        if index == 0 { self.0.clone() } else { with_word(&self.0, &(index + 1).to_string()) }
    }
}

/// The name for the picture of a job with a key: the key.
pub fn of_key(key: &str) -> PathBuf {
    format!("{}.png", harmless(key)).into()
}

/// The name for the picture of a job without a key, the same in whatever order the jobs come:
/// `PHOTO-TEMPLATE-HASH.png`, the hash being over what the job asks for and how often an equal one
/// came before it.
pub fn of_row(
    image: &str,
    template: &Template,
    size: Size,
    params: &ExtraParams,
    before: u32,
) -> PathBuf {
    let stem: String = plain(stem(image)).chars().take(LONGEST_STEM).collect();
    let hash = hash(&format!("{}\n{before}", asked(image, template, size, params)));
    let template = harmless(template.id());
    format!("{stem}-{template}-{:012x}.png", hash & HASH_MASK).into()
}

/// A photo's name without its folders and its ending: `cat` of `a/cat.jpg` and of
/// `https://example.com/cat.jpg?v=3`; `photo` where it has none.
pub fn stem(image: &str) -> &str {
    // A query may hold slashes and dots of its own.
    let path = image.split(['?', '#']).next().unwrap_or_default();
    let last = path.rsplit(['/', '\\']).find(|part| !part.is_empty()).unwrap_or("photo");
    let stem = last.rsplit_once('.').map_or(last, |(stem, _)| stem);
    if stem.is_empty() { "photo" } else { stem }
}

/// A path as text: bytes that are not UTF-8 are percent-escaped, so that two such paths differ in it.
///
/// ```
/// use std::path::Path;
///
/// use effects_client::file_names::shown;
///
/// assert_eq!(shown(Path::new("a/Zo\u{eb}.png")), "a/Zo\u{eb}.png");
/// # #[cfg(unix)]
/// assert_eq!(
///     shown(Path::new(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"caf\xe9.png"))),
///     "caf%E9.png"
/// );
/// ```
pub fn shown(path: &Path) -> Cow<'_, str> {
    if let Some(text) = path.to_str() {
        return text.into();
    }
    let mut shown = String::new();
    for chunk in path.as_os_str().as_encoded_bytes().utf8_chunks() {
        shown.push_str(chunk.valid());
        chunk.invalid().iter().for_each(|byte| shown.push_str(&format!("%{byte:02X}")));
    }
    shown.into()
}

/// The name beside another for the picture of this task: `cat-TASKID.png` beside `cat.png`.
pub fn beside(path: &Path, task: &TaskId) -> PathBuf {
    with_word(path, &harmless(task.as_str()))
}

/// The name beside another for the picture of this row: `cat-IDENTITY.png` beside `cat.png`, with the
/// first digits of the row's identity.
pub fn of_identity(path: &Path, identity: &Identity) -> PathBuf {
    with_word(path, &identity.to_string()[..IDENTITY_DIGITS])
}

/// Whether a path is another, or one beside it for the picture of this task.
pub fn is_at_or_beside(path: &Path, place: &Path, task: &TaskId) -> bool {
    let beside = beside(place, task);
    let stem = |path: &Path| path.file_stem().unwrap_or_default().as_encoded_bytes().to_vec();
    // A second picture beside it goes on with `-2`, hence the beginning alone.
    path == place || path.parent() == beside.parent() && stem(path).starts_with(&stem(&beside))
}

fn with_word(path: &Path, word: &str) -> PathBuf {
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    name.push(format!("-{word}"));
    if let Some(ending) = path.extension().filter(|ending| !ending.is_empty()) {
        name.push(".");
        name.push(ending);
    }
    path.with_file_name(name)
}

/// A text as part of a file's name: itself if it can be one, else made plain, with a hash of what
/// it was.
pub fn harmless(text: &str) -> String {
    let mut name = plain(text);
    if name != text {
        let hash = hash(text);
        // Folded: both halves count.
        name.push_str(&format!("-{:08x}", (hash >> 32) ^ (hash & 0xffff_ffff)));
    }
    name
}

/// A text with everything replaced that could act in a path, and cut: letters, marks and digits of every
/// script stay, in the form in which a letter and its accent are one character (NFC).
pub fn plain(text: &str) -> String {
    let (category, mut bytes) = (CodePointMapData::<GeneralCategory>::new(), 0);
    // Thai and Indic vowels are marks that belong to no letter's character.
    let is_mark = |c: char| GeneralCategoryGroup::Mark.contains(category.get(c));
    let plain = |c: char| c.is_alphanumeric() || "-_.".contains(c) || is_mark(c);
    composed(text)
        .chars()
        .enumerate()
        // A dot first would hide the file, a hyphen make it look like an option.
        .map(|(index, c)| if plain(c) && (index > 0 || !".-".contains(c)) { c } else { '_' })
        .take_while(|c| {
            bytes += c.len_utf8();
            bytes <= LONGEST
        })
        .collect()
}

/// A text in the form in which a letter and its accent are one character (NFC).
fn composed(text: &str) -> Cow<'_, str> {
    ComposingNormalizerBorrowed::new_nfc().normalize(text)
}

/// A text such that two names have the same one if some file system takes them for one: their letters
/// differ in case, or an accent is a character of its own in one of them.
///
/// ```
/// use effects_client::file_names::folded;
///
/// assert_eq!(folded("Zo\u{eb}"), folded("zoe\u{308}"));
/// ```
pub fn folded(text: &str) -> String {
    // Lower case may take a letter and its mark apart (`İ`), so it is composed once more.
    composed(&composed(text).to_lowercase()).into_owned()
}

/// A hash over what a job asks for.
pub fn hash_of_ask(image: &str, template: &Template, size: Size, params: &ExtraParams) -> u64 {
    hash(&asked(image, template, size, params))
}

fn asked(image: &str, template: &Template, size: Size, params: &ExtraParams) -> String {
    let asked = format!("{image}\n{template}\n{size}");
    // Without extra parameters, names are what they were before there were any.
    if params.is_empty() { asked } else { format!("{asked}\n{params}") }
}

/// FNV-1a: the same in every version, since names are made of it.
pub fn hash(text: &str) -> u64 {
    // The offset basis and the prime of its 64-bit form.
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

const LONGEST_STEM: usize = 60;
/// 12 hexadecimal digits.
const HASH_MASK: u64 = 0xffff_ffff_ffff;

/// Enough that rows of one name differ: about four billion identities begin differently.
const IDENTITY_DIGITS: usize = 8;

/// In bytes: two of them, a number and the name of a file under way stay below 255 bytes.
const LONGEST: usize = 90;

#[cfg(test)]
mod tests {
    use super::*;

    fn name(task: &str) -> String {
        let names = Names::default_for(Some(&Template::GlassBall), &task.parse().unwrap());
        names.path(0).to_str().unwrap().to_owned()
    }

    #[test]
    fn a_plain_id_is_kept_and_nothing_leaves_the_folder() {
        assert_eq!(name("d758n65e"), "glass_ball-d758n65e.png");
        let only = Names::default_for(None, &"d758n65e".parse().unwrap());
        assert_eq!(only.path(0), Path::new("d758n65e.png"));
        for odd in ["../../etc/passwd", "/etc/passwd", "a\\b", ".hidden", "-o", "ü", "a:b"] {
            let path = Names::default_for(None, &odd.parse().unwrap()).0;
            assert_eq!(path.components().count(), 1, "{path:?}");
            let text = path.to_str().unwrap();
            assert!(!text.starts_with(['.', '-']) && !text.contains(['/', '\\', ':']), "{text}");
        }
    }

    #[test]
    fn names_that_were_changed_still_differ() {
        assert_ne!(name("a/b"), name("a_b"));
        let (one, other) = ("x".repeat(255) + "1", "x".repeat(255) + "2");
        assert_ne!(name(&one), name(&other));
        assert!(name(&one).len() < 220);
    }

    #[test]
    fn several_pictures_are_numbered() {
        let names = Names::chosen("out/ball.png".into());
        assert_eq!(names.path(0), Path::new("out/ball.png"));
        assert_eq!(names.path(1), Path::new("out/ball-2.png"));
        assert_eq!(Names::chosen("ball".into()).path(2), Path::new("ball-3"));
    }

    #[test]
    fn default_names_are_plain_and_differ_with_all_that_is_asked_for() {
        let name = |image: &str, before| {
            let path =
                of_row(image, &Template::GlassBall, Size::DEFAULT, &ExtraParams::default(), before);
            path.to_str().unwrap().to_owned()
        };
        let plain = name("https://example.com/a/cat.jpg?x=1", 0);
        assert!(plain.starts_with("cat-glass_ball-") && plain.ends_with(".png"), "{plain}");
        assert_eq!(plain.len(), "cat-glass_ball-.png".len() + 12);
        assert_eq!(plain, name("https://example.com/a/cat.jpg?x=1", 0));
        assert_ne!(plain, name("https://example.com/b/cat.jpg?x=1", 0));
        assert_ne!(plain, name("https://example.com/a/cat.jpg?x=1", 1));
        for odd in ["../../etc/passwd", "-o", ".x", "https://example.com/", "ü/ö?.png"] {
            let name = name(odd, 0);
            assert!(!name.contains(['/', '\\', '?']) && !name.starts_with(['.', '-']), "{name}");
        }
        assert_ne!(of_key("a/b"), of_key("a_b"));
        let letters = |name: &str| of_key(name).to_str().unwrap().to_owned();
        for name in ["Zoë", "猫の写真", "кот", "قطة", "บิ๊กแมว", "बिल्ली"]
        {
            assert_eq!(letters(name), format!("{name}.png"));
        }
        // Of two keys that look the same, one is told by its hash.
        assert!(letters("Zoe\u{308}").starts_with("Zoë-"));
        assert!(letters(&"猫".repeat(200)).len() < 110);
        assert_eq!(of_key("cat"), Path::new("cat.png"));
    }
}
