//! [`EffectRequest`]: a checked request for one picture: the photo's URL, template, size, extra parameters.
//! Rust programs make requests, and both clients submit them. [`Draft::check`] makes a [`Checked`] of what
//! a user gave, or names every [`Violation`] at once; with the URL of its photo, that becomes the request.
//! The command and the Python package check drafts, and jobs keep a `Checked` until its photo is uploaded.
//! A saved [`Submission`] is read and written here, too.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::model::extra_params::{ExtraParams, InvalidParam};
use crate::model::reference::{InvalidReference, Reference};
use crate::model::size::{DEFAULT_SIDE, SIDE_RANGE, Size};
use crate::model::template::{TEMPLATES, Template, UnknownTemplate};
use crate::pace::Label;
use crate::run::submission::Submission;
use crate::wire::code::ServiceCode;

/// One picture to make: reference, template, size. Nothing invalid can be one.
///
/// ```
/// use effects_core::{EffectRequest, Size, Template};
///
/// let request = EffectRequest::new(Template::GlassBall, "https://example.com/cat.jpg")?
///     .sized(Size::new(1024, 768))?;
/// assert_eq!(
///     request.body(),
///     concat!(
///         r#"{"model":"spark_img_effects","input":[{"params":{"#,
///         r#""image_input1":"https://example.com/cat.jpg","template_id":"glass_ball","#,
///         r#""width":1024,"height":768}}]}"#,
///     ),
/// );
/// # Ok::<(), effects_core::InvalidRequest>(())
/// ```
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(try_from = "Draft", into = "Draft")]
pub struct EffectRequest {
    reference: Reference,
    template: Template,
    size: Size,
    params: ExtraParams,
}

impl EffectRequest {
    /// A request for a picture of the default size.
    ///
    /// # Errors
    ///
    /// [`InvalidRequest`] when `image` is not a URL the service could fetch.
    pub fn new(template: Template, image: &str) -> Result<Self, InvalidRequest> {
        let reference =
            image.parse().map_err(|error| InvalidRequest::one(Violation::from(error)))?;
        Ok(Self { reference, template, size: Size::DEFAULT, params: ExtraParams::default() })
    }

    /// The same request for a picture of this size.
    ///
    /// # Errors
    ///
    /// [`InvalidRequest`] when a side is out of [`SIDE_RANGE`]; both sides are named.
    pub fn sized(self, size: Size) -> Result<Self, InvalidRequest> {
        let violations: Vec<Violation> = size_violations(size).collect();
        if violations.is_empty() {
            Ok(Self { size, ..self })
        } else {
            Err(InvalidRequest(violations))
        }
    }

    /// The same request with a parameter that this library does not know.
    ///
    /// # Errors
    ///
    /// [`InvalidParam`] for one that it knows, or that looks like one.
    pub fn with_param(self, name: &str, value: impl Into<Value>) -> Result<Self, InvalidParam> {
        Ok(Self { params: self.params.with(name, value)?, ..self })
    }

    /// The URL of the input picture.
    pub fn reference(&self) -> &Reference {
        &self.reference
    }

    /// The look.
    pub fn template(&self) -> &Template {
        &self.template
    }

    /// The size asked for.
    pub fn size(&self) -> Size {
        self.size
    }

    /// The parameters that this library does not know.
    pub fn params(&self) -> &ExtraParams {
        &self.params
    }

    /// The JSON body of the submission, in this exact form: the four documented parameters in the
    /// gateway's envelope (docs/reference/service.md), `width` and `height` only if given, then the extra
    /// ones.
    pub fn body(&self) -> Bytes {
        let params = Params {
            image_input1: self.reference.as_str().into(),
            template_id: self.template.id().into(),
            size: self.size,
            extra: self.params.clone().into(),
        };
        let body = RequestBody { model: super::MODEL.into(), input: [RequestInput { params }] };
        // Writing strings and integers into memory cannot fail.
        Bytes::from(serde_json::to_vec(&body).unwrap_or_default())
    }

    /// The request that has this body, if one has.
    fn of_body(body: &[u8]) -> Option<Self> {
        let RequestBody { input: [RequestInput { params }], .. } =
            serde_json::from_slice(body).ok()?;
        let draft = Draft {
            image: DraftImage::Url(params.image_input1.into()),
            template_id: Some(params.template_id.into()),
            width: params.size.width.map(i64::from),
            height: params.size.height.map(i64::from),
            // A template that the catalogue does not list was let through when this request was
            // made.
            allow_unlisted: true,
            params: params.extra.try_into().ok()?,
        };
        // Only a body that is written again letter for letter is this model's: another one is saved
        // as it is.
        Self::try_from(draft).ok().filter(|request| request.body() == body)
    }
}

#[derive(Deserialize, Serialize)]
struct RequestBody<'a> {
    model: Cow<'a, str>,
    input: [RequestInput<'a>; 1],
}

#[derive(Deserialize, Serialize)]
struct RequestInput<'a> {
    params: Params<'a>,
}

#[derive(Deserialize, Serialize)]
struct Params<'a> {
    image_input1: Cow<'a, str>,
    template_id: Cow<'a, str>,
    #[serde(flatten)]
    size: Size,
    #[serde(flatten)]
    extra: BTreeMap<String, Value>,
}

impl From<EffectRequest> for Submission {
    fn from(request: EffectRequest) -> Self {
        Self { body: request.body(), label: request.template.into() }
    }
}

/// A submission as it is saved: this model's as its request, which is checked again when it is read;
/// another's as it is.
#[derive(Deserialize, Serialize)]
// Untagged, since version 1 of a saved run has a bare draft here; only another model's has a
// `body`.
#[serde(untagged)]
enum SavedSubmission {
    Other { body: String, label: Label },
    Request(Draft),
}

impl Serialize for Submission {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let request = EffectRequest::of_body(&self.body);
        let saved = match request.filter(|request| self.label == Label::from(&request.template)) {
            Some(request) => SavedSubmission::Request(request.into()),
            None => {
                let body = str::from_utf8(&self.body).map_err(S::Error::custom)?.to_owned();
                SavedSubmission::Other { body, label: self.label.clone() }
            }
        };
        saved.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Submission {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match SavedSubmission::deserialize(deserializer)? {
            SavedSubmission::Other { body, label } => Ok(Self { body: body.into(), label }),
            SavedSubmission::Request(draft) => {
                EffectRequest::try_from(draft).map(Self::from).map_err(D::Error::custom)
            }
        }
    }
}

/// The unchecked fields of a request; [`Draft::check`] reports every mistake at once.
///
/// ```
/// use effects_core::ServiceCode;
/// use effects_core::model::{Draft, DraftImage};
///
/// let draft = Draft {
///     image: DraftImage::Missing,
///     template_id: Some("glas_ball".into()),
///     width: Some(4096),
///     ..Draft::default()
/// };
/// let error = draft.check().unwrap_err();
/// let codes: Vec<&str> = error.violations().iter().map(|v| v.code.as_str()).collect();
/// assert_eq!(codes, ["3009001", "3009003", "3009004"]);
/// ```
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Draft {
    /// The input picture.
    pub image: DraftImage,
    /// The exact id of a template.
    pub template_id: Option<String>,
    /// Pixels across; 1328 when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<i64>,
    /// Pixels down; 1328 when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<i64>,
    /// Lets ids pass that the catalogue does not list.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_unlisted: bool,
    /// Parameters that this library does not know.
    #[serde(default, skip_serializing_if = "ExtraParams::is_empty")]
    pub params: ExtraParams,
}

/// The input picture of a [`Draft`].
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DraftImage {
    /// None was given.
    #[default]
    Missing,
    /// A URL, to be checked.
    Url(String),
    /// A photo on this machine, to be uploaded once the rest is known to be valid.
    Local,
}

impl Draft {
    /// Checks everything there is to check, without a network.
    ///
    /// # Errors
    ///
    /// [`InvalidRequest`] with every violation, in the order of the service's codes.
    pub fn check(&self) -> Result<Checked, InvalidRequest> {
        let mut violations = Vec::new();
        let mut note = |violation: Violation| violations.push(violation);
        // The checks are in the order of the codes 3009001 to 3009004, in which the violations are
        // told.
        let reference = match &self.image {
            // Nothing to check yet: the upload that gives it a URL comes after everything else was
            // found valid.
            DraftImage::Local => None,
            DraftImage::Missing => {
                note(Violation::new(
                    ServiceCode::MissingImage,
                    "image_input1",
                    None,
                    MISSING_IMAGE,
                ));
                None
            }
            DraftImage::Url(url) => url.parse().map_err(|e: InvalidReference| note(e.into())).ok(),
        };
        let template = match self.template_id.as_deref() {
            None | Some("") => {
                let code = ServiceCode::MissingTemplateId;
                let rule = Violation::new(code, "template_id", None, MISSING_TEMPLATE);
                note(Violation { lists_templates: true, ..rule });
                None
            }
            // Still checked for what no id can have.
            Some(id) if self.allow_unlisted => {
                Template::unlisted(id).map_err(|e| note(e.into())).ok()
            }
            Some(id) => id.parse().map_err(|e: UnknownTemplate| note(e.into())).ok(),
        };
        let mut side = |field, value: Option<i64>| {
            let side = value.map(u32::try_from);
            match side {
                None => None,
                Some(Ok(side)) if SIDE_RANGE.contains(&side) => Some(side),
                Some(_) => {
                    note(Violation::out_of_range(field, value.unwrap_or_default()));
                    None
                }
            }
        };
        let size = Size { width: side("width", self.width), height: side("height", self.height) };
        match template {
            Some(template) if violations.is_empty() => {
                Ok(Checked { reference, template, size, params: self.params.clone() })
            }
            _ => Err(InvalidRequest(violations)),
        }
    }
}

/// What a valid [`Draft`] says: a request; without the photo's URL if the photo is still local.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Checked {
    /// The reference, unless the photo is local.
    pub reference: Option<Reference>,
    /// The template.
    pub template: Template,
    /// The size, in range.
    pub size: Size,
    /// The parameters that this library does not know.
    pub params: ExtraParams,
}

impl Checked {
    /// The request with this reference.
    pub fn with_reference(self, reference: Reference) -> EffectRequest {
        EffectRequest { reference, template: self.template, size: self.size, params: self.params }
    }
}

impl TryFrom<Draft> for EffectRequest {
    type Error = InvalidRequest;

    fn try_from(draft: Draft) -> Result<Self, Self::Error> {
        let checked = draft.check()?;
        let Some(reference) = checked.reference.clone() else {
            let code = ServiceCode::MissingImage;
            let rule = "is still a local photo: upload it first";
            return Err(InvalidRequest::one(Violation::new(code, "image_input1", None, rule)));
        };
        Ok(checked.with_reference(reference))
    }
}

/// What is saved of a request; reading it back checks it again.
impl From<EffectRequest> for Draft {
    fn from(request: EffectRequest) -> Self {
        Self {
            image: DraftImage::Url(request.reference.into()),
            // What was let through on purpose is let through again when it is read back.
            allow_unlisted: matches!(request.template, Template::Unlisted(_)),
            template_id: Some(request.template.into()),
            width: request.size.width.map(i64::from),
            height: request.size.height.map(i64::from),
            params: request.params,
        }
    }
}

/// A request the service would refuse, with every reason. Nothing was sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InvalidRequest(Vec<Violation>);

impl InvalidRequest {
    /// The one reason there is.
    pub fn one(violation: Violation) -> Self {
        Self(vec![violation])
    }

    /// Every reason, in the order of the service's codes; never empty.
    pub fn violations(&self) -> &[Violation] {
        &self.0
    }
}

impl fmt::Display for InvalidRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, violation) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            violation.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for InvalidRequest {}

/// One rule a request breaks, under the code the service has for it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Violation {
    /// The service's code: 3009001 to 3009004.
    pub code: ServiceCode,
    /// The parameter's name on the wire.
    pub field: &'static str,
    /// What was given, if anything was.
    pub value: Option<String>,
    /// The rule, and the way out, but for the list of templates.
    pub message: String,
    /// Ids of templates that were probably meant; empty for other fields.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub suggestions: Vec<Template>,
    /// Whether the list of templates is the way out: [`message_with`](Self::message_with) names it.
    #[serde(skip)]
    pub lists_templates: bool,
}

impl Violation {
    /// A violation without suggestions.
    pub fn new(code: ServiceCode, field: &'static str, value: Option<&str>, rule: &str) -> Self {
        let message = value
            .map_or_else(|| format!("{field} {rule}"), |value| format!("{field} {value:?} {rule}"));
        let (value, suggestions) = (value.map(str::to_owned), Vec::new());
        Self { code, field, value, message, suggestions, lists_templates: false }
    }

    /// The message, which names this as what lists the templates, where that is the way out: `effects
    /// templates` when it is shown, and in a library its own function.
    ///
    /// ```
    /// use effects_core::{EffectRequest, Template};
    ///
    /// let unknown = "spaceship".parse::<Template>().unwrap_err();
    /// let rule = effects_core::Violation::from(unknown);
    /// assert!(rule.message_with("`Template::ALL`").ends_with("`Template::ALL` lists them"));
    /// ```
    pub fn message_with(&self, list: &str) -> String {
        let message = &self.message;
        if self.lists_templates { format!("{message}: {list} lists them") } else { message.clone() }
    }

    fn out_of_range(field: &'static str, value: i64) -> Self {
        let (least, most) = (SIDE_RANGE.start(), SIDE_RANGE.end());
        Self {
            code: ServiceCode::InvalidSize,
            field,
            value: Some(value.to_string()),
            message: format!(
                "{field} {value} is out of range: give {least} to {most} pixels, or leave it out \
                 for {DEFAULT_SIDE}"
            ),
            suggestions: Vec::new(),
            lists_templates: false,
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message_with(TEMPLATES), self.code)
    }
}

impl From<InvalidReference> for Violation {
    fn from(error: InvalidReference) -> Self {
        let value = Some(error.given.as_str()).filter(|given| !given.is_empty());
        // The service has no code for an image that is no URL; 3009001 is the nearest of its nine.
        Self::new(ServiceCode::MissingImage, "image_input1", value, error.rule)
    }
}

impl From<UnknownTemplate> for Violation {
    fn from(error: UnknownTemplate) -> Self {
        Self {
            code: ServiceCode::InvalidTemplateId,
            field: "template_id",
            value: Some(error.given().to_owned()),
            message: error.message(),
            suggestions: error.suggestions().to_vec(),
            lists_templates: error.suggestions().is_empty(),
        }
    }
}

fn size_violations(size: Size) -> impl Iterator<Item = Violation> {
    [("width", size.width), ("height", size.height)]
        .into_iter()
        .filter_map(|(field, side)| side.map(|side| (field, side)))
        .filter(|(_, side)| !SIDE_RANGE.contains(side))
        .map(|(field, side)| Violation::out_of_range(field, side.into()))
}

const MISSING_IMAGE: &str = "is missing: give the URL of a picture, or a photo to upload";
const MISSING_TEMPLATE: &str = "is missing; there are thirty templates";

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> EffectRequest {
        EffectRequest::new(Template::MyWorld, "https://example.com/cat.jpg").unwrap()
    }

    #[test]
    fn the_body_is_exactly_what_is_documented() {
        assert_eq!(
            request().body(),
            "{\"model\":\"spark_img_effects\",\"input\":[{\"params\":{\"image_input1\":\
             \"https://example.com/cat.jpg\",\"template_id\":\"my_world\"}}]}"
        );
        let seeded = request().with_param("seed", 3).unwrap();
        assert!(seeded.body().ends_with(b"\"template_id\":\"my_world\",\"seed\":3}}]}"));
        assert_eq!(EffectRequest::of_body(&seeded.body()), Some(seeded.clone()));
        let saved = serde_json::to_string(&Submission::from(seeded.clone())).unwrap();
        assert_eq!(serde_json::from_str::<Submission>(&saved).unwrap(), seeded.into());
        let wide = request().sized(Size { width: Some(512), height: None }).unwrap();
        assert!(wide.body().ends_with(b"\"template_id\":\"my_world\",\"width\":512}}]}"));
    }

    #[test]
    fn sizes_are_checked_at_both_ends_and_both_sides_are_named() {
        assert!(request().sized(Size::new(512, 2048)).is_ok());
        let error = request().sized(Size::new(511, 2049)).unwrap_err();
        let fields: Vec<&str> = error.violations().iter().map(|v| v.field).collect();
        assert_eq!(fields, ["width", "height"]);
        for width in [0, -1, i64::MAX] {
            let draft = Draft { width: Some(width), ..Draft::from(request()) };
            assert!(draft.check().unwrap_err().to_string().contains(&width.to_string()));
        }
    }

    #[test]
    fn a_saved_request_is_checked_when_it_is_read() {
        let saved = serde_json::to_string(&request()).unwrap();
        assert_eq!(serde_json::from_str::<EffectRequest>(&saved).unwrap(), request());
        let broken = saved.replace("my_world", "their_world");
        assert!(serde_json::from_str::<EffectRequest>(&broken).is_err());
    }
}
