//! [`parse`]: reads a scene file, SVG text with `<?directive …?>` between, into [`Node`]s and
//! [`Directive`]s. The painter of scenes (`painter.rs`) calls it and walks them.
//!
//! The file stays well-formed SVG (directives are XML processing instructions), so an editor can
//! colour it. A directive that ends in `/?>`, and `<?let …?>`, stand alone; every other one owns
//! what follows up to its `<?end?>`.

use super::SceneError;

/// One piece of a scene, in painting order.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    /// SVG text with `{expressions}` still inside.
    Svg(String),
    /// `<?let a = 1; b = a * 2?>`
    Let(Vec<(String, String)>),
    Directive(Directive),
}

/// `<?name key="value" …?> body <?end?>`
#[derive(Clone, Debug)]
pub(crate) struct Directive {
    pub(crate) name: String,
    pub(crate) attributes: Vec<(String, String)>,
    /// `None` when it stands alone.
    pub(crate) body: Option<Vec<Node>>,
}

impl Directive {
    /// The raw text of an attribute.
    pub(crate) fn attribute(&self, key: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }
}

/// Reads a whole scene.
pub(crate) fn parse(source: &str) -> Result<Vec<Node>, SceneError> {
    let mut rest = source;
    let nodes = parse_until_end(&mut rest, 0)?;
    if rest.is_empty() {
        Ok(nodes)
    } else {
        Err(SceneError::new("an <?end?> closes nothing".to_owned()))
    }
}

fn parse_until_end(rest: &mut &str, depth: usize) -> Result<Vec<Node>, SceneError> {
    // Reading, painting and dropping a body each take a part of the stack.
    if depth > MAX_DEPTH {
        return Err(SceneError::new(format!("directives lie over more than {MAX_DEPTH} levels")));
    }
    let mut nodes = Vec::new();
    loop {
        let Some((text, after)) = rest.split_once("<?") else {
            if depth > 0 {
                return Err(SceneError::new("an <?end?> is missing".to_owned()));
            }
            push_svg(&mut nodes, rest);
            *rest = "";
            return Ok(nodes);
        };
        push_svg(&mut nodes, text);
        let (inside, after) = after
            .split_once("?>")
            .ok_or_else(|| SceneError::new(format!("`<?{}` is not closed", head(after))))?;
        *rest = after;
        let (name, arguments) =
            inside.trim().split_once(char::is_whitespace).unwrap_or((inside.trim(), ""));
        match name {
            "end" if depth > 0 => return Ok(nodes),
            "end" => return Err(SceneError::new("an <?end?> closes nothing".to_owned())),
            // It never has a body, so it needs no `/` at its end.
            "let" => nodes.push(Node::Let(bindings(arguments)?)),
            _ => {
                // Without attributes the `/` is at the end of the name.
                let (name, arguments, alone) = match inside.trim().strip_suffix('/') {
                    Some(_) => (name.trim_end_matches('/'), arguments.trim_end_matches('/'), true),
                    None => (name, arguments, false),
                };
                let attributes = attributes(arguments)?;
                let body = if alone { None } else { Some(parse_until_end(rest, depth + 1)?) };
                nodes.push(Node::Directive(Directive { name: name.to_owned(), attributes, body }));
            }
        }
    }
}

fn push_svg(nodes: &mut Vec<Node>, text: &str) {
    // White space between two directives draws nothing.
    if !text.trim().is_empty() {
        nodes.push(Node::Svg(text.to_owned()));
    }
}

fn bindings(text: &str) -> Result<Vec<(String, String)>, SceneError> {
    text.split([';', '\n'])
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(|part| {
            let (name, value) = part
                .split_once('=')
                .ok_or_else(|| SceneError::new(format!("`let {part}` has no `=`")))?;
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        })
        .collect()
}

fn attributes(text: &str) -> Result<Vec<(String, String)>, SceneError> {
    let mut rest = text.trim();
    let mut attributes = Vec::new();
    while !rest.is_empty() {
        let (key, after) = rest.split_once("=\"").ok_or_else(|| {
            SceneError::new(format!("attributes are key=\"value\", not `{rest}`"))
        })?;
        let (value, after) = after
            .split_once('"')
            .ok_or_else(|| SceneError::new(format!("the quote of {key} is not closed")))?;
        attributes.push((key.trim().to_owned(), value.to_owned()));
        rest = after.trim_start();
    }
    Ok(attributes)
}

/// Levels of directives in directives.
const MAX_DEPTH: usize = 30;

fn head(text: &str) -> String {
    text.chars().take(30).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_nest_and_stand_alone() {
        let nodes = parse(
            "<a/><?let x = 1; y = x?><?for i=\"3\"?><b/><?photo x=\"1\" filters=\"felt 2\"/?><?end?>",
        )
        .unwrap();
        let [Node::Svg(_), Node::Let(bound), Node::Directive(directive)] = nodes.as_slice() else {
            panic!("{nodes:?}");
        };
        assert_eq!(bound.len(), 2);
        assert_eq!(directive.attribute("i"), Some("3"));
        let Some([Node::Svg(_), Node::Directive(photo)]) = directive.body.as_deref() else {
            panic!("{directive:?}");
        };
        assert_eq!(photo.attribute("filters"), Some("felt 2"));
        assert!(photo.body.is_none());
    }

    #[test]
    fn broken_markup_is_refused() {
        for source in ["<?for i=\"3\"?>", "<?end?>", "<?for", "<?photo x=3/?>", "<?let x?>"] {
            assert!(parse(source).is_err(), "{source}");
        }
    }
}
