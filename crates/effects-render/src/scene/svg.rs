//! [`tree`] reads the SVG of a scene and [`draw`] draws it, each after a check, since scenes may be
//! anyone's: only shapes, paints, masks and clip paths, nothing outside referred to, and nesting, layers
//! and patterns within limits of memory. The painter of scenes (`painter.rs`) calls them.
//!
//! The first checks a document before the SVG library reads it, the second a tree before the library
//! draws it. The library opens files that an `<image>` names, follows nesting and references by
//! recursion, and makes patterns as large as they say they are.

use std::collections::HashMap;

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::roxmltree::{Attribute, Document, Node, NodeId, ParsingOptions};
use resvg::usvg::{self, Group, ImageHrefResolver, Paint, Path, Tree};

use super::SceneError;

/// Reads an SVG document, or says what in it a scene may not draw.
pub(super) fn tree(source: &str) -> Result<Tree, SceneError> {
    let unreadable =
        |error: &dyn std::fmt::Display| SceneError::new(format!("{error} in the SVG `{source}`"));
    // Document types are refused by default, and with them the entities they declare.
    let options = ParsingOptions { nodes_limit: MAX_ELEMENTS, ..ParsingOptions::default() };
    let document =
        Document::parse_with_options(source, options).map_err(|error| unreadable(&error))?;
    SvgCheck::of(&document).element(document.root_element(), 1)?;
    let options = usvg::Options {
        // No image passes the check. The library's own resolver would open files.
        image_href_resolver: ImageHrefResolver {
            resolve_data: Box::new(|_, _, _| None),
            resolve_string: Box::new(|_, _| None),
        },
        ..usvg::Options::default()
    };
    Tree::from_xmltree(&document, &options).map_err(|error| unreadable(&error))
}

/// Draws a tree, unless that would take more memory than a picture may.
pub(super) fn draw(
    tree: &Tree,
    transform: Transform,
    target: &mut Pixmap,
) -> Result<(), SceneError> {
    check_group(tree.root(), transform, 0)?;
    resvg::render(tree, transform, &mut target.as_mut());
    Ok(())
}

/// The check of a document's elements.
struct SvgCheck<'a, 'input> {
    /// The elements of each id; a scene that repeats a part repeats its ids.
    named: HashMap<&'a str, Vec<Node<'a, 'input>>>,
    costs: HashMap<NodeId, Cost>,
}

/// What an element takes to draw, with all that is inside it and all that it refers to.
#[derive(Clone, Copy, Debug)]
struct Cost {
    elements: u64,
    /// The longest way down, by nesting and by references.
    levels: usize,
}

impl<'a, 'input> SvgCheck<'a, 'input> {
    fn of(document: &'a Document<'input>) -> Self {
        let mut named: HashMap<_, Vec<_>> = HashMap::new();
        for node in document.descendants() {
            if let Some(id) = node.attribute("id") {
                named.entry(id).or_default().push(node);
            }
        }
        Self { named, costs: HashMap::new() }
    }

    /// The cost of an element that lies `depth` levels down.
    fn element(&mut self, node: Node<'a, 'input>, depth: usize) -> Result<Cost, SceneError> {
        if depth > MAX_LEVELS {
            return Err(too_deep());
        }
        if let Some(cost) = self.costs.get(&node.id()) {
            // This way down may be longer than the one on which the cost was found.
            return if depth + cost.levels > MAX_LEVELS { Err(too_deep()) } else { Ok(*cost) };
        }
        check_name(node, depth)?;
        let mut cost = Cost { elements: 1, levels: 0 };
        // What an element inherits, its children are drawn with as well: paints and masks count
        // once for each of them.
        let mut paints: u64 = 1;
        for child in node.children().filter(Node::is_element) {
            let inside = self.element(child, depth + 1)?;
            cost.elements = cost.elements.saturating_add(inside.elements);
            cost.levels = cost.levels.max(inside.levels + 1);
        }
        for attribute in node.attributes() {
            for (id, is_paint) in references(node, &attribute)? {
                // Of several elements with one id any may be the one that is drawn, so
                // all are counted.
                let targets = self.named.get(id).cloned().unwrap_or_default();
                for target in targets {
                    let inside = self.element(target, depth + 1)?;
                    let sum = if is_paint { &mut paints } else { &mut cost.elements };
                    *sum = sum.saturating_add(inside.elements);
                    cost.levels = cost.levels.max(inside.levels + 1);
                }
            }
        }
        cost.elements = cost.elements.saturating_mul(paints);
        if cost.elements > u64::from(MAX_ELEMENTS) {
            return Err(SceneError::new(format!(
                "<{}> draws more than {MAX_ELEMENTS} SVG elements",
                node.tag_name().name()
            )));
        }
        self.costs.insert(node.id(), cost);
        Ok(cost)
    }
}

fn too_deep() -> SceneError {
    SceneError::new(format!(
        "SVG elements are nested, or refer to each other, over more than {MAX_LEVELS} levels"
    ))
}

fn check_name(node: Node<'_, '_>, depth: usize) -> Result<(), SceneError> {
    let name = node.tag_name();
    let known = if depth == 1 { name.name() == "svg" } else { ELEMENTS.contains(&name.name()) };
    if known && name.namespace() == Some(SVG) {
        return Ok(());
    }
    Err(SceneError::new(format!(
        "<{}> is no SVG element of scenes, which draw {}",
        name.name(),
        ELEMENTS.join(", ")
    )))
}

/// The ids that an attribute refers to, and whether each is a paint, a mask or the like.
fn references<'a>(
    node: Node<'_, '_>,
    attribute: &Attribute<'a, '_>,
) -> Result<Vec<(&'a str, bool)>, SceneError> {
    let outside = || {
        SceneError::new(format!(
            "{}=\"{}\" of <{}> leads out of the scene: a reference is `#` and an id",
            attribute.name(),
            attribute.value(),
            node.tag_name().name()
        ))
    };
    // The name without its prefix, so that this is `xlink:href` as well.
    if attribute.name() == "href" {
        let id = attribute.value().strip_prefix('#').ok_or_else(outside)?;
        return Ok(vec![(id, false)]);
    }
    let mut found = Vec::new();
    let mut rest = attribute.value();
    while let Some(at) = find_url(rest) {
        let (inside, after) = rest[at + URL.len()..].split_once(')').ok_or_else(outside)?;
        let id = inside.trim().trim_matches(['"', '\'']).trim();
        found.push((id.strip_prefix('#').ok_or_else(outside)?, true));
        rest = after;
    }
    Ok(found)
}

/// Where `url(` begins, in capitals or small letters.
fn find_url(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    bytes.windows(URL.len()).position(|window| window.eq_ignore_ascii_case(URL.as_bytes()))
}

/// Checks the pictures that drawing a group makes on the way: layers and patterns.
fn check_group(group: &Group, transform: Transform, layers: usize) -> Result<(), SceneError> {
    let transform = transform.pre_concat(group.transform());
    let layers = layers + usize::from(group.should_isolate());
    if layers > MAX_LAYERS {
        return Err(SceneError::new(format!(
            "more than {MAX_LAYERS} SVG elements with opacity, masks, clip paths or patterns lie in \
             each other"
        )));
    }
    if let Some(clip) = group.clip_path() {
        for clip in [Some(clip), clip.clip_path()].into_iter().flatten() {
            check_group(clip.root(), transform.pre_concat(clip.transform()), layers)?;
        }
    }
    if let Some(mask) = group.mask() {
        for mask in [Some(mask), mask.mask()].into_iter().flatten() {
            check_group(mask.root(), transform, layers)?;
        }
    }
    for node in group.children() {
        match node {
            usvg::Node::Group(group) => check_group(group, transform, layers)?,
            usvg::Node::Path(path) => check_paints(path, transform, layers)?,
            // The check of the document lets neither through.
            usvg::Node::Image(_) | usvg::Node::Text(_) => {}
        }
    }
    Ok(())
}

fn check_paints(path: &Path, transform: Transform, layers: usize) -> Result<(), SceneError> {
    let paints = [path.fill().map(usvg::Fill::paint), path.stroke().map(usvg::Stroke::paint)];
    for paint in paints.into_iter().flatten() {
        let Paint::Pattern(pattern) = paint else { continue };
        let (across, down) = transform.pre_concat(pattern.transform()).get_scale();
        let (width, height) = (pattern.rect().width() * across, pattern.rect().height() * down);
        // Negated as a whole, so that a size that is no number is refused as well.
        if !(width <= MAX_PATTERN_SIDE && height <= MAX_PATTERN_SIDE) {
            return Err(SceneError::new(format!(
                "the pattern {} is {width:.0} by {height:.0} pixels large; {MAX_PATTERN_SIDE} are enough",
                pattern.id()
            )));
        }
        // A pattern is drawn on a picture of its own, without the turns of the shape.
        check_group(pattern.root(), Transform::from_scale(across, down), layers + 1)?;
    }
    Ok(())
}

/// What a scene may draw, and what that may be drawn with.
const ELEMENTS: [&str; 18] = [
    "circle",
    "clipPath",
    "defs",
    "desc",
    "ellipse",
    "g",
    "line",
    "linearGradient",
    "mask",
    "path",
    "pattern",
    "polygon",
    "polyline",
    "radialGradient",
    "rect",
    "stop",
    "title",
    "use",
];

const SVG: &str = "http://www.w3.org/2000/svg";
const URL: &str = "url(";

/// Elements of a document, and elements drawn for it once references are followed.
const MAX_ELEMENTS: u32 = 200_000;

/// Levels of nesting and references. The library takes a part of the stack for each.
const MAX_LEVELS: usize = 40;

/// Layers that are drawn on while those around them wait, each as large as the canvas or larger.
const MAX_LAYERS: usize = 4;

/// Pixels of a pattern's side.
const MAX_PATTERN_SIDE: f32 = 4096.0;
