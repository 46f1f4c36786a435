//! [`printable`]: escapes what a terminal would obey or hide (control characters and the like) in a text
//! from outside. The command writes every line for people through it, and the Python package its messages,
//! warnings and progress; `Error` and `Event` write through [`Escaping`], which does the same piece by
//! piece.

use std::borrow::Cow;
use std::fmt::{self, Write};

/// The text with everything escaped that a terminal would obey or hide: control characters (line
/// breaks too), marks that reorder what follows, and characters that show nothing. Letters of every
/// script stay as they are, and so do the joiners within them and within emoji.
///
/// What is escaped once stays so when it is escaped again.
///
/// ```
/// use effects_core::printable;
///
/// assert_eq!(printable("Größe 尺寸 👩‍🚀"), "Größe 尺寸 👩‍🚀");
/// assert_eq!(printable("a\u{1b}[31m\u{202e}b\n"), r"a\u{1b}[31m\u{202e}b\n");
/// ```
pub fn printable(text: &str) -> Cow<'_, str> {
    // What needs no look at what comes before it.
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return text.into();
    }
    let mut escaped = String::with_capacity(text.len());
    // Writing into a text cannot fail.
    let _ = Escaping::new(&mut escaped).write_str(text);
    if escaped == text { text.into() } else { escaped.into() }
}

/// Escapes what is written to it, as [`printable`] does, and passes it on.
pub(crate) struct Escaping<'a, W: ?Sized> {
    to: &'a mut W,
    /// The last character, after which a joiner may stand.
    last: char,
}

impl<'a, W: Write + ?Sized> Escaping<'a, W> {
    pub(crate) fn new(to: &'a mut W) -> Self {
        Self { to, last: ' ' }
    }
}

impl<W: Write + ?Sized> Write for Escaping<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut shown = 0;
        for (at, character) in text.char_indices() {
            // Scripts and emoji that need joiners are outside ASCII; behind a letter of ASCII one
            // only hides.
            let joins = matches!(character, '\u{200c}' | '\u{200d}') && !self.last.is_ascii();
            if !joins && is_hidden(character) {
                self.to.write_str(&text[shown..at])?;
                write!(self.to, "{}", character.escape_default())?;
                shown = at + character.len_utf8();
            }
            self.last = character;
        }
        self.to.write_str(&text[shown..])
    }
}

/// Whether a terminal would not show a character, but obey it, hide it, or let it reorder others.
fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            // The soft hyphen, the Arabic letter mark, the Mongolian vowel separator.
            '\u{ad}' | '\u{61c}' | '\u{180e}'
            // Spaces without width, joiners, marks of direction.
            | '\u{200b}'..='\u{200f}'
            // Ends of lines and paragraphs; embeddings and overrides of direction.
            | '\u{2028}'..='\u{202e}'
            // The word joiner, invisible operators, isolates, deprecated marks.
            | '\u{2060}'..='\u{206f}'
            // The mark at the beginning of a file, annotations, fillers.
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{3164}' | '\u{ffa0}'
            // Shorthand and musical marks.
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            // Tags: a whole alphabet of invisible characters.
            | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_or_hides_is_escaped() {
        let harmful = ('\0'..='\u{1f}')
            .chain('\u{7f}'..='\u{9f}')
            .chain('\u{200e}'..='\u{200f}')
            .chain('\u{2028}'..='\u{202e}')
            .chain('\u{2066}'..='\u{2069}')
            .chain(['\u{61c}', '\u{200b}', '\u{2060}', '\u{feff}', '\u{ad}', '\u{e0041}']);
        for character in harmful {
            for around in ["a", "ü"] {
                let text = format!("{around}{character}{around}");
                let escaped = format!("{around}{}{around}", character.escape_default());
                assert_eq!(printable(&text), escaped);
                assert_eq!(printable(&escaped), escaped, "escaped twice");
            }
        }
    }

    #[test]
    fn letters_of_every_script_and_joined_emoji_stay() {
        for text in [
            "naïve café, Größe",
            "尺寸错误 サイズ 크기",
            "خطا: می\u{200c}خواهم",
            "क्\u{200d}ष त्रुटि",
            "👩\u{200d}🚀 ❤\u{fe0f} 1\u{fe0f}\u{20e3}",
            "no-break\u{a0}space, \u{3000}wide",
        ] {
            assert!(matches!(printable(text), Cow::Borrowed(same) if same == text), "{text:?}");
        }
    }

    #[test]
    fn a_joiner_that_joins_nothing_is_hidden_text() {
        assert_eq!(printable("task\u{200d}-1"), r"task\u{200d}-1");
        assert_eq!(printable("\u{200c}task"), r"\u{200c}task");
    }

    #[test]
    fn a_text_in_pieces_is_escaped_like_a_whole_one() {
        let mut escaped = String::new();
        let mut pieces = Escaping::new(&mut escaped);
        for piece in ["👩", "\u{200d}", "🚀", "a", "\u{200d}"] {
            pieces.write_str(piece).unwrap();
        }
        assert_eq!(escaped, "👩\u{200d}🚀a\\u{200d}");
    }
}
