//! [`Submission`]: the body of a create request and the label of its task. `Run::submit` and
//! `Batch::submit` take one, and the intent in the journal holds it. It is all that a run knows of what it
//! pays for, so that runs of any model of the gateway are alike: `EffectRequest` converts into one, as the
//! request of another model can (`examples/other_model.rs`).

use bytes::Bytes;

use crate::pace::Label;

/// The body of a request, and the label that its run's pace goes by.
///
/// A model makes it of a checked request; reading a saved one checks the request again.
///
/// ```
/// use effects_core::{EffectRequest, Submission, Template};
///
/// let request = EffectRequest::new(Template::GlassBall, "https://example.com/cat.jpg")?;
/// let submission = Submission::from(request.clone());
/// assert_eq!(submission.body, request.body());
/// assert_eq!(submission.label.as_str(), "glass_ball");
/// # Ok::<(), effects_core::InvalidRequest>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Submission {
    /// The JSON body.
    pub body: Bytes,
    /// What the durations of such tasks are learnt by.
    pub label: Label,
}
