//! [`Page`]: writes a report as one HTML file: the data as JSON, as they come, and the script `page.js`,
//! which draws them; the content security policy of the file lets no other script run. It needs no network
//! and no other file, but the page of a large batch shows most pictures from their own files. The report of
//! `effects batch` and `effects watch` (`--report`, `batch/report_page.rs`) and `effects cost --html` are
//! such pages; both show [`CostTable`]s (`costs.rs`).

mod costs;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use effects_client::{Sink, WallClock};
use effects_core::{Error, ErrorKind};
use serde::Serialize;
use sha2::{Digest, Sha256};

pub(crate) use costs::{CostGroup, CostTable, CostUnit};

/// A page on its way to its file: its data are written as they come.
pub(crate) struct Page<S>(S);

impl<S: Sink> Page<S> {
    /// Begins a page whose first bytes are these, and whose title is plain text of this program's own.
    ///
    /// # Errors
    ///
    /// When it cannot be written, as of everything below.
    pub(crate) fn begin(sink: S, begins: &str, title: &str) -> Result<Self, Error> {
        let mut page = Self(sink);
        // The policy names both by their digest, so that no
        // other script runs, whatever a text of the data says.
        let [style, script] = [STYLE, SCRIPT].map(|text| BASE64.encode(Sha256::digest(text)));
        page.write(begins)?;
        page.write(&format!(
            "<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta http-equiv=\"Content-Security-Policy\" \
             content=\"default-src 'none'; img-src data: 'self' file:; style-src 'sha256-{style}'; \
             script-src 'sha256-{script}'; base-uri 'none'; form-action 'none'\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"referrer\" \
             content=\"no-referrer\">\n<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n"
        ))?;
        page.write(BODY)?;
        Ok(page)
    }

    /// Adds data under a name.
    pub(crate) fn data(&mut self, name: &str, data: &impl Serialize) -> Result<(), Error> {
        self.write(&format!(
            "<script type=\"application/json\" id=\"{name}\">{}</script>\n",
            json(data)?
        ))
    }

    /// Begins a list under a name, of which [`item`](Self::item) adds each item.
    pub(crate) fn list(&mut self, name: &str) -> Result<(), Error> {
        self.write(&format!("<script type=\"application/json\" id=\"{name}\">["))
    }

    /// Adds an item to the list that was begun.
    pub(crate) fn item(&mut self, item: &impl Serialize, is_first: bool) -> Result<(), Error> {
        let between = if is_first { "\n" } else { ",\n" };
        self.write(&format!("{between}{}", json(item)?))
    }

    /// Ends the list.
    pub(crate) fn end_list(&mut self) -> Result<(), Error> {
        self.write("]</script>\n")
    }

    /// Ends the page, and gives back what it was written to.
    pub(crate) fn end(mut self) -> Result<S, Error> {
        self.data("made", &WallClock::new().now().to_string())?;
        self.write(&format!("<script type=\"module\">{SCRIPT}</script>\n</body>\n</html>\n"))?;
        Ok(self.0)
    }

    fn write(&mut self, text: &str) -> Result<(), Error> {
        self.0.write(text.as_bytes())
    }
}

/// JSON in which nothing is HTML: texts of any origin are in it, and none may end the element it is in.
fn json(data: &impl Serialize) -> Result<String, Error> {
    let text = serde_json::to_string(data).map_err(|error| {
        Error::new(ErrorKind::Download, format!("the report cannot be written: {error}"))
    })?;
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        // All of these are within quotes, where an escape stands for the letter.
        match letter {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                safe.push_str(&format!("\\u{:04x}", u32::from(letter)));
            }
            letter => safe.push(letter),
        }
    }
    Ok(safe)
}

/// A picture as the page embeds it.
pub(crate) fn embedded(picture: &[u8]) -> String {
    BASE64.encode(picture)
}

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
const BODY: &str = include_str!("body.html");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_of_the_data_ends_its_element_and_each_is_read_as_it_was() {
        let hostile = "</script><!--<script>\u{2028}\u{2029}&amp;\"'\\u003c\u{202e}\0";
        let mut page = Page::begin(Vec::new(), "<!doctype html>\n", "x").unwrap();
        page.data("texts", &[hostile]).unwrap();
        let text = String::from_utf8(page.end().unwrap()).unwrap();
        let (_, rest) = text.split_once("id=\"texts\">").unwrap();
        let (data, rest) = rest.split_once("</script>").unwrap();
        assert!(rest.starts_with("\n<script "), "{rest:.100}");
        assert!(!data.contains(['<', '>', '&', '\u{2028}', '\u{2029}']), "{data}");
        assert_eq!(serde_json::from_str::<[String; 1]>(data).unwrap(), [hostile]);
    }

    #[test]
    fn the_page_has_nothing_of_another_site_and_its_policy_names_its_own_script_and_style() {
        let page = Page::begin(Vec::new(), "<!doctype html>\n", "x").unwrap();
        let text = String::from_utf8(page.end().unwrap()).unwrap();
        let foreign =
            ["https:", "//cdn", "innerHTML", "eval(", "@import", "unsafe-", " style=\"", "fetch("];
        assert!(foreign.iter().all(|no| !text.contains(no)), "{foreign:?}");
        assert_eq!(text.matches("'sha256-").count(), 2);
        assert!(text.contains("default-src 'none'"));
    }
}
