//! [`paint`]: paints a photo through a template on this machine, a local stand-in for the generative model.
//! The emulator paints its pictures with it, and checks photos with [`photo_header`]. The command calls
//! [`sampler()`] for `effects sampler`, [`photo_size`], [`contact_sheet()`] and [`thumbnail()`] for
//! `effects batch`, and [`test_card()`] for `effects doctor --live`.
//!
//! The service's templates are the work of a large model. This crate paints each of them with
//! classical image processing and vector art instead, so that everything around the pictures can
//! be built and tested with no key, no network and no bill. It never pretends: every picture that it
//! paints carries a text chunk with [`NOTICE`].
//!
//! ```
//! let photo = effects_render::test_card(640, 480)?;
//! let painting = effects_render::paint(&photo, "glass_ball", 512, 768)?;
//! assert!(painting.png.starts_with(b"\x89PNG"));
//! # Ok::<(), effects_render::PaintError>(())
//! ```
//!
//! The same photo, template and size give the same bytes. Photos are untrusted: whatever the bytes
//! are, the answer is a painting or a [`PaintError`].
//!
//! # How to add a template
//!
//! 1. Write `scenes/<id>.svg` over the one-line file that is there. Nothing else needs to change.
//! 2. It is SVG with `{expressions}` in it and directives `<?name key="value"?>` between, painted
//!    from top to bottom onto a white canvas. Attributes of directives are expressions, too; a text
//!    is `'quoted'` there, but `filters`, `name`, `fill`, `text`, `colour`, `anchor`, `blend`, `mask` are
//!    plain text with `{…}`.
//!    Of SVG it takes shapes, gradients, patterns, masks, clip paths and `use`. A reference is `#id`:
//!    nothing outside the scene is read. Nesting, loops and numbers have limits, far from what
//!    pictures need.
//! 3. Names: `w h cx cy`, `m` (shorter side), `u` (m / 1000: use it for every length), `aspect`,
//!    `photo_aspect`, `title`, `id`. Own ones: `<?let a = 3*u; b = max(a, 4)?>`.
//! 4. Functions: `min max clamp mix if mod floor round ceil abs sqrt sin cos atan` (degrees),
//!    `rand(i, k)`, `pick(i, '#a00', '#0a0')`.
//! 5. `<?for i="12"?>…<?end?>`, `<?if test="aspect > 1"?>…<?end?>`, `<?place x y rotate scale?>…
//!    <?end?>` (a coordinate system), `<?defs?>…<?end?>` (gradients, shared by all that follows),
//!    `<?wash fill="sky"/?>` (a gradient over the whole canvas, or with a body over that one
//!    shape: for large ones far cheaper than to fill them).
//! 6. `<?photo x y w h zoom filters detail opacity blend?>mask shapes<?end?>` (or `…/?>`): the photo,
//!    cropped round its subject; `detail="0.25"` prepares it at a quarter of the resolution.
//!    `<?subject/?>` looks for a subject that is clear enough to be cut out of its background, and
//!    sets `subject` (1 if there is one), `subject_aspect`, `bust` (1 if it goes on below the photo)
//!    and `head` (where its upper end has its middle: 0 left, 1 right). Then
//!    `<?photo cut="subject" margin finish?>` shows it alone, as large as fits, on the frame's lower
//!    edge, after `filters`; `finish` lists filters that see its outline (`figure`, `outline`,
//!    `shade`), and `margin` is the room that they have round it. Without a clear subject the photo
//!    is shown whole.
//! 7. `<?soft blur opacity blend dx dy?>shapes<?end?>`: shadows and glows, cheap; never use an SVG
//!    filter. `<?tile name strength?>shapes<?end?>`: a texture over the shapes (felt, grain, paper,
//!    wood, weave, glitter). `<?grade filters="…"/?>`: filters over the whole canvas.
//! 8. `<?letters text x y size weight colour anchor max_width opacity?>`, `<?pixels x y size rows
//!    colours/?>` (pixel art), `<?layer x y w h filters?>shapes<?end?>` (shapes through filters), and `<?part name="bauble" x="1"/?>`
//!    for what scenes share (`scenes/parts`, named in `looks.rs`).
//! 9. A filter is a function in a file of its own under `src/filters`, named in `filters/mod.rs`.
//! 10. A scene must hold at any width and height in 512..=2048: fit the subject into a box of
//!     clamped proportions, anchor decorations to corners and edges, let backgrounds cover.
//! 11. Try it: `cargo run -p effects-render --example try_looks -- OUT_DIR PHOTO… --only <id>
//!     --scenes crates/effects-render/scenes` paints 1328x1328, 512x2048 and 2048x512 from the files
//!     as they are on disk, with no new build, and prints the time. Look at the pictures.
//! 12. The tests then hold it to its size, to its bytes and to being unlike all others.

mod contact_sheet;
mod cutout;
mod encode;
mod error;
mod filters;
mod looks;
mod noise;
mod painting;
mod photo;
mod pixels;
mod raster;
mod sampler;
mod scale;
mod scene;
mod subject;
mod test_card;
mod thumbnail;
mod tiles;

pub use contact_sheet::{CONTACT_SHEET_MARK, SheetPicture, contact_sheet};
pub use encode::NOTICE;
pub use error::PaintError;
pub use looks::{TemplateLook, is_painted, looks};
pub use painting::{Painting, SIDES, paint, paint_scene};
pub use photo::{
    DecodedPhoto, HELD_PIXELS, MAX_BYTES, MAX_PIXELS, MAX_SIDE, decode_photo, photo_header,
    photo_size,
};
pub use sampler::sampler;
pub use test_card::test_card;
pub use thumbnail::thumbnail;
