//! [`paint`]: walks a scene's nodes and paints them onto a new white canvas, with the photo, size and title
//! of a [`SceneInput`]. `painting.rs` calls it for every picture, `test_card.rs` for its own. [`draw_over`]
//! paints a scene without a photo over a picture, for the labels of `contact_sheet.rs`.
//!
//! SVG text is gathered until a directive needs pixels (a photo, a soft shadow, a texture); then
//! what was gathered is drawn and the directive works on the canvas itself. `place` scopes put a
//! transform on everything inside.

use std::cell::OnceCell;

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg;

use super::SceneError;
use super::expression::{Bindings, SceneValue, evaluate};
use super::lettering::{LetteringLine, pixels_to_svg};
use super::markup::{self, Directive, Node};
use super::svg;
use super::wash::wash;
use crate::cutout::Cutout;
use crate::pixels::{PhotoPixels, new_pixmap};
use crate::raster::{self, Blend};
use crate::subject::Saliency;
use crate::tiles::Tile;
use crate::{filters, looks, scale};

/// What a scene is painted from.
#[derive(Debug)]
pub(crate) struct SceneInput<'a> {
    pub(crate) photo: &'a PhotoPixels,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) id: &'a str,
    pub(crate) title: &'a str,
}

/// Paints a scene; the result is opaque and of the stage's size.
pub(crate) fn paint(scene: &str, input: &SceneInput<'_>) -> Result<Pixmap, SceneError> {
    let nodes = markup::parse(scene)?;
    let mut canvas = new_pixmap(input.width, input.height);
    canvas.fill(resvg::tiny_skia::Color::WHITE);
    let mut painter = ScenePainter {
        canvas,
        photo: input.photo,
        saliency: Saliency::of(input.photo),
        cutout: OnceCell::new(),
        names: first_names(input),
        svg: String::new(),
        definitions: String::new(),
        transforms: Vec::new(),
        depth: 0,
        steps: 0,
    };
    painter.walk(&nodes)?;
    painter.flush()?;
    Ok(painter.canvas)
}

/// Draws scene text (no photo) over a finished picture.
pub(crate) fn draw_over(canvas: &mut Pixmap, scene: &str) -> Result<(), SceneError> {
    let nodes = markup::parse(scene)?;
    let blank = PhotoPixels { width: 1, height: 1, rgb: vec![255; 3] };
    let mut painter = ScenePainter {
        // The painter owns its canvas; one pixel stands in for the caller's while it draws.
        canvas: std::mem::replace(canvas, new_pixmap(1, 1)),
        photo: &blank,
        saliency: Saliency::of(&blank),
        cutout: OnceCell::new(),
        names: Bindings::default(),
        svg: String::new(),
        definitions: String::new(),
        transforms: Vec::new(),
        depth: 0,
        steps: 0,
    };
    let drawn = painter.walk(&nodes).and_then(|()| painter.flush());
    // In either case: a faulty label must not cost the caller its picture.
    *canvas = painter.canvas;
    drawn
}

/// The names every scene starts with.
fn first_names(input: &SceneInput<'_>) -> Bindings {
    let (width, height) = (f64::from(input.width), f64::from(input.height));
    let shorter = width.min(height);
    let mut names = Bindings::default();
    for (name, number) in [
        ("w", width),
        ("h", height),
        ("cx", width / 2.0),
        ("cy", height / 2.0),
        ("m", shorter),
        ("u", shorter / 1000.0),
        ("aspect", width / height),
        ("photo_aspect", f64::from(input.photo.width) / f64::from(input.photo.height)),
    ] {
        names.bind(name, SceneValue::Number(number));
    }
    names.bind("title", SceneValue::Text(input.title.to_owned()));
    names.bind("id", SceneValue::Text(input.id.to_owned()));
    names
}

struct ScenePainter<'a> {
    canvas: Pixmap,
    photo: &'a PhotoPixels,
    saliency: Saliency,
    /// The photo's subject without its background, once a scene has asked for it.
    cutout: OnceCell<Option<Cutout>>,
    names: Bindings,
    /// SVG gathered but not yet drawn.
    svg: String,
    definitions: String,
    transforms: Vec<Transform>,
    /// Parts within parts.
    depth: usize,
    /// Nodes painted so far, each as often as loops repeat it.
    steps: usize,
}

impl ScenePainter<'_> {
    fn walk(&mut self, nodes: &[Node]) -> Result<(), SceneError> {
        for node in nodes {
            self.steps += 1;
            if self.steps > MAX_STEPS {
                return Err(SceneError::new(format!(
                    "loops repeat over more than {MAX_STEPS} steps"
                )));
            }
            match node {
                Node::Svg(text) => {
                    let text = self.expand(text)?;
                    self.svg.push_str(&text);
                    // The steps do not bound this: each of them may write a long text.
                    if self.svg.len() > MAX_SVG_BYTES {
                        return Err(SceneError::new(format!(
                            "loops make over {MAX_SVG_BYTES} bytes of SVG"
                        )));
                    }
                }
                Node::Let(bindings) => {
                    for (name, source) in bindings {
                        let value = evaluate(source, &self.names)?;
                        self.names.bind(name, value);
                    }
                }
                Node::Directive(directive) => self.direct(directive)?,
            }
        }
        Ok(())
    }

    fn direct(&mut self, directive: &Directive) -> Result<(), SceneError> {
        match directive.name.as_str() {
            "for" => self.repeat(directive),
            "if" => self.choose(directive),
            "place" => self.place(directive),
            "part" => self.part(directive),
            "letters" => self.letters(directive),
            "pixels" => self.pixels(directive),
            "defs" => {
                let body = self.gather(directive)?;
                self.definitions.push_str(&body);
                Ok(())
            }
            "wash" => self.wash(directive),
            "subject" => {
                self.name_subject();
                Ok(())
            }
            "photo" => self.photo(directive),
            "layer" => self.layer(directive),
            "soft" => self.soft(directive),
            "tile" => self.tile(directive),
            "grade" => {
                self.flush()?;
                let filters = self.text(directive, "filters", "")?;
                // Filters take a picture and give one back; a pixel stands in meanwhile.
                let canvas = std::mem::replace(&mut self.canvas, new_pixmap(1, 1));
                self.canvas = filters::apply_all(canvas, &filters)?;
                Ok(())
            }
            other => Err(SceneError::new(format!("no directive is called `{other}`"))),
        }
    }

    fn body<'d>(&self, directive: &'d Directive) -> &'d [Node] {
        directive.body.as_deref().unwrap_or_default()
    }

    /// `<?for i="12"?>`: the body with i = 0, 1, … 11.
    fn repeat(&mut self, directive: &Directive) -> Result<(), SceneError> {
        let Some((name, count)) = directive.attributes.first() else {
            return Err(SceneError::new("for needs name=\"count\"".to_owned()));
        };
        let count = evaluate(count, &self.names)?.number(count)?;
        // The bound of one loop. Loops in loops are bounded by `MAX_STEPS`.
        for i in 0..(count.clamp(0.0, 4000.0) as u32) {
            let mark = self.names.mark();
            self.names.bind(name, SceneValue::Number(f64::from(i)));
            self.walk(self.body(directive))?;
            self.names.forget_since(mark);
        }
        Ok(())
    }

    /// `<?if test="aspect > 1"?>`
    fn choose(&mut self, directive: &Directive) -> Result<(), SceneError> {
        if self.number(directive, "test", 0.0)? != 0.0 {
            let mark = self.names.mark();
            self.walk(self.body(directive))?;
            self.names.forget_since(mark);
        }
        Ok(())
    }

    /// `<?place x y rotate scale scale_y?>`: a coordinate system of its own.
    fn place(&mut self, directive: &Directive) -> Result<(), SceneError> {
        let scale = self.number(directive, "scale", 1.0)?;
        let scale_y = self.number(directive, "scale_y", scale)?;
        let transform = Transform::from_translate(
            self.number(directive, "x", 0.0)? as f32,
            self.number(directive, "y", 0.0)? as f32,
        )
        .pre_rotate(self.number(directive, "rotate", 0.0)? as f32)
        .pre_scale(scale as f32, scale_y as f32);
        let mark = self.names.mark();
        self.svg.push_str(&open_group(transform));
        // Twice: SVG gets the transform as a group, photos and textures take it from this list.
        self.transforms.push(transform);
        let walked = self.check_transform().and_then(|()| self.walk(self.body(directive)));
        self.transforms.pop();
        self.svg.push_str("</g>");
        self.names.forget_since(mark);
        walked
    }

    /// `<?part name="lantern" x="…" colour="'#c00'"?>`: a shared piece; attributes become names.
    fn part(&mut self, directive: &Directive) -> Result<(), SceneError> {
        let name = &self.text(directive, "name", "")?;
        let source = looks::part(name)
            .ok_or_else(|| SceneError::new(format!("no part is called `{name}`")))?;
        // A part that names itself would go on without end.
        if self.depth > 4 {
            return Err(SceneError::new(format!("part {name} contains itself")));
        }
        // Computed before any of them is bound, so that one attribute does not change the next.
        let mut values = Vec::new();
        for (key, source) in directive.attributes.iter().filter(|(key, _)| key != "name") {
            values.push((key, evaluate(source, &self.names)?));
        }
        let mark = self.names.mark();
        for (key, value) in values {
            self.names.bind(key, value);
        }
        self.depth += 1;
        let walked = markup::parse(source).and_then(|nodes| self.walk(&nodes));
        self.depth -= 1;
        self.names.forget_since(mark);
        walked.map_err(|fault| SceneError::new(format!("part {name}: {fault}")))
    }

    fn letters(&mut self, directive: &Directive) -> Result<(), SceneError> {
        let text = self.text(directive, "text", "")?;
        let anchor = self.text(directive, "anchor", "middle")?;
        let colour = self.text(directive, "colour", "#000")?;
        let line = LetteringLine {
            text: &text,
            x: self.number(directive, "x", 0.0)?,
            y: self.number(directive, "y", 0.0)?,
            size: self.number(directive, "size", 20.0)?,
            weight: self.number(directive, "weight", 0.14)?,
            anchor: &anchor,
            colour: &colour,
            max_width: self.number(directive, "max_width", 1e9)?,
            opacity: self.number(directive, "opacity", 1.0)?,
        };
        self.svg.push_str(&line.to_svg());
        Ok(())
    }

    /// `<?pixels x y size rows=".aa./abba" colours="a#ff0000 b#00ff00"?>`: pixel art.
    fn pixels(&mut self, directive: &Directive) -> Result<(), SceneError> {
        let rows = self.text(directive, "rows", "")?;
        let colours = self.text(directive, "colours", "")?;
        let x = self.number(directive, "x", 0.0)?;
        let y = self.number(directive, "y", 0.0)?;
        let size = self.number(directive, "size", 1.0)?;
        self.svg.push_str(&pixels_to_svg(&rows, &colours, x, y, size));
        Ok(())
    }

    /// `<?wash fill="sky"/?>`: a gradient over everything, or over the body, which is one shape.
    fn wash(&mut self, directive: &Directive) -> Result<(), SceneError> {
        let gradient = self.text(directive, "fill", "")?;
        let body = self.mask_source(directive)?;
        self.flush()?;
        let (width, height) = (self.canvas.width(), self.canvas.height());
        let Some(body) = body else {
            let tree = self.document(&format!(
                "<rect width=\"{width}\" height=\"{height}\" fill=\"url(#{gradient})\"/>"
            ))?;
            return wash(&mut self.canvas, &tree, None);
        };
        let group = open_group(self.transform());
        let tree = self.document(&format!("<g fill=\"url(#{gradient})\">{group}{body}</g></g>"))?;
        let outline = self.document(&format!("{group}{body}</g>"))?;
        match self.outline(&outline)? {
            Some((shape, corner)) => wash(&mut self.canvas, &tree, Some((&shape, corner))),
            None => Ok(()),
        }
    }

    /// What of a tree lies on the canvas, drawn on its own, and where its corner is.
    fn outline(&self, tree: &usvg::Tree) -> Result<Option<Outline>, SceneError> {
        let bounds = tree.root().abs_layer_bounding_box();
        let (width, height) = (self.canvas.width() as f32, self.canvas.height() as f32);
        let left = bounds.left().floor().clamp(0.0, width);
        let top = bounds.top().floor().clamp(0.0, height);
        let columns = bounds.right().ceil().clamp(0.0, width) - left;
        let rows = bounds.bottom().ceil().clamp(0.0, height) - top;
        if columns < 1.0 || rows < 1.0 {
            return Ok(None);
        }
        let mut shape = new_pixmap(columns as u32, rows as u32);
        svg::draw(tree, Transform::from_translate(-left, -top), &mut shape)?;
        Ok(Some((shape, (left as usize, top as usize))))
    }

    fn cutout(&self) -> Option<&Cutout> {
        self.cutout.get_or_init(|| Cutout::of(self.photo)).as_ref()
    }

    /// `<?subject?>`: names what is known of the photo's subject, for `cut="subject"`.
    fn name_subject(&mut self) {
        // Without a subject the names have values all the same, so that a scene may
        // compute with them.
        let values = self.cutout().map_or([0.0, 1.0, 0.0, 0.5], |cutout| {
            [1.0, cutout.aspect(), f64::from(cutout.is_bust), cutout.head]
        });
        for (name, value) in ["subject", "subject_aspect", "bust", "head"].into_iter().zip(values) {
            self.names.bind(name, SceneValue::Number(value));
        }
    }

    /// The photo: cropped, filtered, masked by the body (in the coordinates of the scene), laid.
    /// With `mask="before"` the filters see the masked photo, and may paint over its edge.
    fn photo(&mut self, directive: &Directive) -> Result<(), SceneError> {
        let mut frame = self.frame(directive)?;
        let zoom = self.number(directive, "zoom", 1.0)?;
        let filters = self.text(directive, "filters", "")?;
        let before = self.text(directive, "mask", "after")? == "before";
        let cut = self.text(directive, "cut", "")? == "subject";
        let mask = self.mask_source(directive)?;
        self.flush()?;
        if cut && let Some(cutout) = self.cutout() {
            let finish = self.text(directive, "finish", "")?;
            let margin = self.number(directive, "margin", 0.0)?;
            let picture = subject_in(&mut frame, self.photo, cutout, &filters, margin)?;
            let mut picture = filters::apply_all(picture, &finish)?;
            if let Some(mask) = &mask {
                self.cut_out(&mut picture, mask, &frame)?;
            }
            return self.lay_in_frame(&picture, &frame);
        }
        // The crop has the frame's shape, so the photo is never stretched.
        let crop = self.saliency.crop(frame.width / frame.height, zoom);
        let mut picture = scale::crop_resized(self.photo, crop, frame.columns, frame.rows);
        if before && let Some(mask) = &mask {
            self.cut_out(&mut picture, mask, &frame)?;
        }
        picture = filters::apply_all(picture, &filters)?;
        if !before && let Some(mask) = &mask {
            self.cut_out(&mut picture, mask, &frame)?;
        }
        self.lay_in_frame(&picture, &frame)
    }

    /// `<?layer x y w h filters?>`: the body drawn on its own, filtered, laid.
    fn layer(&mut self, directive: &Directive) -> Result<(), SceneError> {
        let frame = self.frame(directive)?;
        let filters = self.text(directive, "filters", "")?;
        self.flush()?;
        let body = self.gather(directive)?;
        let mut picture = new_pixmap(frame.columns, frame.rows);
        svg::draw(&self.document(&body)?, frame.onto(&picture), &mut picture)?;
        picture = filters::apply_all(picture, &filters)?;
        self.lay_in_frame(&picture, &frame)
    }

    fn frame(&self, directive: &Directive) -> Result<PhotoFrame, SceneError> {
        let width = self.number(directive, "w", 100.0)?.max(1.0);
        let height = self.number(directive, "h", 100.0)?.max(1.0);
        let detail = self.number(directive, "detail", 1.0)?;
        let scale = f64::from(scale_of(self.transform()));
        // Twice the longest side of a painting is the most that can be seen.
        let pixels = |side: f64| (side * scale * detail).round().clamp(1.0, 4096.0) as u32;
        Ok(PhotoFrame {
            x: self.number(directive, "x", 0.0)?,
            y: self.number(directive, "y", 0.0)?,
            width,
            height,
            columns: pixels(width),
            rows: pixels(height),
            opacity: self.number(directive, "opacity", 1.0)? as f32,
            blend: self.blend(directive)?,
        })
    }

    fn cut_out(
        &self,
        picture: &mut Pixmap,
        mask: &str,
        frame: &PhotoFrame,
    ) -> Result<(), SceneError> {
        let mut shape = new_pixmap(picture.width(), picture.height());
        svg::draw(&self.document(mask)?, frame.onto(picture), &mut shape)?;
        raster::mask(picture, shape.data().chunks_exact(4).map(|pixel| pixel[3]));
        Ok(())
    }

    /// A filter may have changed the picture's height: its width is what the frame decides.
    fn lay_in_frame(&mut self, picture: &Pixmap, frame: &PhotoFrame) -> Result<(), SceneError> {
        let scale = frame.width as f32 / picture.width() as f32;
        let reshaped = picture.height() != frame.rows;
        let down = if reshaped { scale } else { (frame.height / f64::from(frame.rows)) as f32 };
        let placed =
            self.transform().pre_translate(frame.x as f32, frame.y as f32).pre_scale(scale, down);
        self.lay(picture, placed, frame.opacity, frame.blend)
    }

    /// Lays a picture through any transform, the cheap way where there is one.
    fn lay(
        &mut self,
        picture: &Pixmap,
        placed: Transform,
        opacity: f32,
        blend: Blend,
    ) -> Result<(), SceneError> {
        // Neither turned nor mirrored: rows can be laid as they are.
        if placed.kx == 0.0 && placed.ky == 0.0 && placed.sx > 0.0 && placed.sy > 0.0 {
            let width = (picture.width() as f32 * placed.sx).round().max(1.0);
            let height = (picture.height() as f32 * placed.sy).round().max(1.0);
            if width > MAX_LAID_SIDE || height > MAX_LAID_SIDE {
                return Err(SceneError::new(format!(
                    "a picture is laid {width} by {height} pixels large; {MAX_LAID_SIDE} are enough"
                )));
            }
            let (width, height) = (width as u32, height as u32);
            let (left, top) = (placed.tx.round() as i32, placed.ty.round() as i32);
            if (width, height) == (picture.width(), picture.height()) {
                raster::lay(&mut self.canvas, picture, left, top, opacity, blend);
            } else {
                let size = (width as usize, height as usize);
                raster::lay_resized(&mut self.canvas, picture, size, (left, top), opacity, blend);
            }
            return Ok(());
        }
        raster::lay_turned(&mut self.canvas, picture, placed, opacity, blend);
        Ok(())
    }

    /// `<?soft blur="20" opacity blend dx dy?>`: the body, blurred: shadows, glows, light.
    fn soft(&mut self, directive: &Directive) -> Result<(), SceneError> {
        let radius = self.number(directive, "blur", 8.0)? as f32;
        let opacity = self.number(directive, "opacity", 1.0)? as f32;
        let shift = (self.number(directive, "dx", 0.0)?, self.number(directive, "dy", 0.0)?);
        let blend = self.blend(directive)?;
        self.flush()?;
        let body = self.gather(directive)?;
        let transform = self.transform();
        // A wider blur leaves nothing that could be seen.
        let radius = (radius * scale_of(transform)).clamp(0.5, MAX_BLUR);
        let tree = self.document(&format!(
            "{}<g transform=\"translate({:.2} {:.2})\">{body}</g></g>",
            open_group(transform),
            shift.0,
            shift.1
        ))?;
        let bounds = tree.root().abs_layer_bounding_box();
        // The three box passes of a blur reach about 1.8 radii, so nothing is cut off.
        let margin = radius * 2.5;
        // What lies further outside than the blur reaches cannot come onto the canvas.
        let left = (bounds.left() - margin).max(-margin).floor();
        let top = (bounds.top() - margin).max(-margin).floor();
        let right = (bounds.right() + margin).min(self.canvas.width() as f32 + margin).ceil();
        let bottom = (bounds.bottom() + margin).min(self.canvas.height() as f32 + margin).ceil();
        if right <= left || bottom <= top {
            return Ok(());
        }
        // Drawn and blurred small: after the blur the larger picture would show no more.
        let factor = (radius / 3.0).clamp(1.0, 32.0);
        let columns = ((right - left) / factor).ceil();
        let rows = ((bottom - top) / factor).ceil();
        let mut small = new_pixmap(columns as u32, rows as u32);
        let onto_small =
            Transform::from_scale(1.0 / factor, 1.0 / factor).pre_translate(-left, -top);
        svg::draw(&tree, onto_small, &mut small)?;
        raster::blur_in_place(&mut small, radius / factor);
        let placed = Transform::from_translate(left, top).pre_scale(factor, factor);
        self.lay(&small, placed, opacity, blend)
    }

    /// `<?tile name="felt" strength="0.4"?>`: a texture over everything, or over the body's shape.
    fn tile(&mut self, directive: &Directive) -> Result<(), SceneError> {
        let name = self.text(directive, "name", "grain")?;
        // Changes of brightness are numbers of 32 bits.
        let strength = self.number(directive, "strength", 0.3)?.clamp(-1e3, 1e3) as f32;
        let shift = (
            self.number(directive, "dx", 0.0)?.max(0.0) as usize,
            self.number(directive, "dy", 0.0)?.max(0.0) as usize,
        );
        let tile = Tile::named(&name)
            .ok_or_else(|| SceneError::new(format!("no texture is called `{name}`")))?;
        let mask = self.mask_source(directive)?;
        self.flush()?;
        let Some(mask) = mask else {
            tile.lay(&mut self.canvas, strength, shift);
            return Ok(());
        };
        let tree = self.document(&format!("{}{mask}</g>", open_group(self.transform())))?;
        if let Some((shape, corner)) = self.outline(&tree)? {
            tile.lay_within(&mut self.canvas, strength, shift, corner, &shape);
        }
        Ok(())
    }

    /// Draws the gathered SVG; open groups are closed and opened again.
    fn flush(&mut self) -> Result<(), SceneError> {
        let mut body = std::mem::take(&mut self.svg);
        for transform in &self.transforms {
            self.svg.push_str(&open_group(*transform));
        }
        // White space between two directives draws nothing.
        if body.contains('<') {
            body.push_str(&"</g>".repeat(self.transforms.len()));
            let tree = self.document(&body)?;
            svg::draw(&tree, Transform::identity(), &mut self.canvas)?;
        }
        Ok(())
    }

    fn document(&self, body: &str) -> Result<usvg::Tree, SceneError> {
        let (width, height) = (self.canvas.width(), self.canvas.height());
        let source = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" \
             xmlns:xlink=\"http://www.w3.org/1999/xlink\" width=\"{width}\" height=\"{height}\">\
             <defs>{}</defs>{body}</svg>",
            self.definitions
        );
        svg::tree(&source)
    }

    /// A body as SVG text; it may compute and repeat, but not use pixels.
    fn gather(&mut self, directive: &Directive) -> Result<String, SceneError> {
        let kept = std::mem::take(&mut self.svg);
        let mark = self.names.mark();
        let walked = self.walk(self.body(directive));
        self.names.forget_since(mark);
        let body = std::mem::replace(&mut self.svg, kept);
        walked.map(|()| body)
    }

    fn mask_source(&mut self, directive: &Directive) -> Result<Option<String>, SceneError> {
        if directive.body.is_some() { self.gather(directive).map(Some) } else { Ok(None) }
    }

    /// Each number of a place is bounded, and so is the product of places in places.
    fn check_transform(&self) -> Result<(), SceneError> {
        let Transform { sx, kx, ky, sy, tx, ty } = self.transform();
        if [sx, kx, ky, sy, tx, ty].iter().all(|number| number.abs() <= MAX_TRANSFORM) {
            return Ok(());
        }
        Err(SceneError::new(format!(
            "places in places enlarge or move more than {MAX_TRANSFORM} times"
        )))
    }

    fn transform(&self) -> Transform {
        self.transforms.iter().fold(Transform::identity(), |all, next| all.pre_concat(*next))
    }

    fn number(&self, directive: &Directive, key: &str, default: f64) -> Result<f64, SceneError> {
        match directive.attribute(key) {
            None => Ok(default),
            Some(source) => evaluate(source, &self.names)?.number(source),
        }
    }

    fn text(&self, directive: &Directive, key: &str, default: &str) -> Result<String, SceneError> {
        directive.attribute(key).map_or_else(|| Ok(default.to_owned()), |text| self.expand(text))
    }

    fn blend(&self, directive: &Directive) -> Result<Blend, SceneError> {
        let name = self.text(directive, "blend", "normal")?;
        Blend::named(&name).ok_or_else(|| SceneError::new(format!("no blend is called `{name}`")))
    }

    /// Replaces each `{expression}` by its value.
    fn expand(&self, text: &str) -> Result<String, SceneError> {
        let mut result = String::with_capacity(text.len() * 2);
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (expression, after) = after
                .split_once('}')
                .ok_or_else(|| SceneError::new(format!("`{{` is not closed in `{text}`")))?;
            result.push_str(before);
            result.push_str(&evaluate(expression, &self.names)?.written());
            rest = after;
        }
        result.push_str(rest);
        Ok(result)
    }
}

/// A shape drawn on its own, and where its corner lies on the canvas.
type Outline = (Pixmap, (usize, usize));

/// Where a photo or a layer goes, in the scene's coordinates, and how many pixels it gets.
struct PhotoFrame {
    x: f64,
    y: f64,
    width: f64,
    height: f64,
    columns: u32,
    rows: u32,
    opacity: f32,
    blend: Blend,
}

impl PhotoFrame {
    /// From the scene's coordinates to the picture's pixels.
    fn onto(&self, picture: &Pixmap) -> Transform {
        let across = picture.width() as f32 / self.width as f32;
        let down = picture.height() as f32 / self.height as f32;
        Transform::from_scale(across, down).pre_translate(-self.x as f32, -self.y as f32)
    }
}

/// The photo's subject without its background, filtered, as large as fits into the frame, in the
/// middle of its lower edge; the frame becomes the picture's own, with the margin round it.
fn subject_in(
    frame: &mut PhotoFrame,
    photo: &PhotoPixels,
    cutout: &Cutout,
    filters: &str,
    margin: f64,
) -> Result<Pixmap, SceneError> {
    let fitting = (frame.width / cutout.bounds.width).min(frame.height / cutout.bounds.height);
    let (width, height) = (cutout.bounds.width * fitting, cutout.bounds.height * fitting);
    let pixels = f64::from(frame.columns) / frame.width;
    let count = |length: f64| (length * pixels).round().clamp(1.0, 4096.0) as u32;
    let picture = scale::crop_resized(photo, cutout.bounds, count(width), count(height));
    let shares = cutout.shares(&picture, cutout.bounds);
    let mut picture = filters::apply_all(picture, filters)?;
    raster::mask(&mut picture, shares.into_iter());
    let edge = count(margin.clamp(0.0, width.min(height) / 4.0));
    let picture = raster::with_margin(&picture, edge);
    // Back from whole pixels, so that the frame grows by just the margin that was added.
    let edge = f64::from(edge) / pixels;
    frame.x += (frame.width - width) / 2.0 - edge;
    frame.y += frame.height - height - edge;
    (frame.width, frame.height) = (width + 2.0 * edge, height + 2.0 * edge);
    (frame.columns, frame.rows) = (picture.width(), picture.height());
    Ok(picture)
}

fn open_group(transform: Transform) -> String {
    let Transform { sx, ky, kx, sy, tx, ty } = transform;
    format!("<g transform=\"matrix({sx} {ky} {kx} {sy} {tx} {ty})\">")
}

/// Nodes that are painted, loops included.
const MAX_STEPS: usize = 200_000;

/// Bytes of SVG that are gathered before they are drawn.
const MAX_SVG_BYTES: usize = 16 << 20;

/// How far places in places may enlarge and move.
const MAX_TRANSFORM: f32 = 1e6;

/// Pixels of a picture's side once it is laid, of which the canvas shows a part.
const MAX_LAID_SIDE: f32 = 1e6;

/// Pixels of a blur's radius.
const MAX_BLUR: f32 = 4096.0;

/// How much a transform enlarges, sides averaged.
fn scale_of(transform: Transform) -> f32 {
    // The root of the determinant, by which areas grow: it is the same however the
    // picture is turned.
    (transform.sx * transform.sy - transform.kx * transform.ky).abs().sqrt()
}
