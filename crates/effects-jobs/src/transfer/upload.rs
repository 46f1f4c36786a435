//! [`Uploads`]: where local photos are put so that the service can fetch them: the gateway's storage, a
//! `data:` URL in the request, a place that a user's program chooses, or an [`Uploader`] of a Rust
//! program. Both clients' `transfer.rs` act by it, with the HTTP requests of [`storage_request`] and
//! [`presigned_request`]. Client builders, profiles, the command's `--uploads` and the Python package
//! choose it; `effects doctor` reports it.
//!
//! The service documents URLs alone, so a local photo must be put somewhere first. Where is the
//! caller's choice among four; none is made for them, except on this machine's own gateway.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use effects_core::gateway::{CallResult, Endpoint, FreshConnection, check_url};
use effects_core::run::NOTHING_OWED;
use effects_core::wire::ExchangeError;
use effects_core::{BaseUrl, Error, ErrorKind, Origin, Problem, Reference};
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Uri};

use crate::transfer::photo::Photo;

/// Puts photos where the service can fetch them: a way of the caller's own, beside those of
/// [`Uploads`].
///
/// It may block; the async client runs it off the runtime. Clients remember what it returned by the
/// photo's content, so that one photo is uploaded once.
///
/// ```
/// use effects_core::{Error, Reference};
/// use effects_jobs::{Photo, Uploader, Uploads};
///
/// #[derive(Debug)]
/// struct Bucket;
///
/// impl Uploader for Bucket {
///     fn upload(&self, photo: &Photo) -> Result<Reference, Error> {
///         // … put `photo.bytes()` there …
///         let url = format!("https://bucket.example.com/{}", photo.name());
///         url.parse().map_err(|error| Error::new(effects_core::ErrorKind::Upload, format!("{error}")))
///     }
/// }
///
/// let uploads = Uploads::by(Bucket);
/// ```
pub trait Uploader: fmt::Debug + Send + Sync {
    /// Puts a photo somewhere and returns the URL.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Upload`], with what went wrong; nothing is submitted then.
    fn upload(&self, photo: &Photo) -> Result<Reference, Error>;
}

/// Where local photos are put so that the service can fetch them.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Uploads {
    /// Nowhere chosen: the gateway's own storage where the gateway is this machine, elsewhere a
    /// refusal that names the choices.
    #[default]
    Unset,
    /// The gateway's storage endpoint (docs/reference/service.md), at another URL if one is given.
    /// Proven with the local gateway; unproven for this service.
    Gateway(Option<String>),
    /// The request itself carries the photo as a `data:` URL. Unproven for this service.
    DataUrl,
    /// A program of the caller's: it gets the file's path and prints the URL.
    Command(String),
    /// A program of the caller's: it gets the file's name and media type, and prints a presigned
    /// URL to PUT the photo to and, on a second line, the URL to fetch it from.
    PresignedPut(String),
    /// A way of the caller's own.
    By(Arc<dyn Uploader>),
}

impl Uploads {
    /// A way of the caller's own.
    pub fn by(uploader: impl Uploader + 'static) -> Self {
        Self::By(Arc::new(uploader))
    }

    /// What [`Unset`](Self::Unset) means at this gateway.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Misconfigured`], with the four choices, where it means nothing.
    pub fn chosen_for(&self, origin: &Origin) -> Result<Self, Error> {
        match self {
            // There the storage is known to work, and the photo does not leave the machine.
            Self::Unset if origin.is_loopback() => Ok(Self::Gateway(None)),
            Self::Unset => Err(Error::new(ErrorKind::Misconfigured, CHOICES)),
            chosen => Ok(chosen.clone()),
        }
    }
}

/// `gateway`, `gateway=URL`, `data-url`, `command=PROGRAM`, `presigned-put=PROGRAM`.
impl FromStr for Uploads {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, value) = match text.split_once(['=', ':']) {
            Some((name, value)) => (name, Some(value).filter(|value| !value.is_empty())),
            None => (text, None),
        };
        match (name, value) {
            ("gateway", url) => Ok(Self::Gateway(url.map(str::to_owned))),
            ("data-url", None) => Ok(Self::DataUrl),
            ("command", Some(program)) => Ok(Self::Command(program.to_owned())),
            ("presigned-put", Some(program)) => Ok(Self::PresignedPut(program.to_owned())),
            _ => Err(Error::new(
                ErrorKind::Misconfigured,
                format!(
                    "uploads {text:?} is none of gateway, gateway=URL, data-url, command=PROGRAM, \
                     presigned-put=PROGRAM"
                ),
            )),
        }
    }
}

/// The request that puts a photo into the gateway's storage: multipart, field `file`.
///
/// # Errors
///
/// [`ErrorKind::Misconfigured`] when `url` is given and unusable.
pub fn storage_request(
    endpoint: &Endpoint,
    url: Option<&str>,
    allow_http: bool,
    photo: &Photo,
) -> Result<Request<Bytes>, Error> {
    let body = multipart(photo);
    let mut request = endpoint.authorised(Method::POST, STORAGE, body);
    if let Some(url) = url {
        // The key goes there, so the rules are those of the gateway's URL.
        BaseUrl::parse(url, allow_http)
            .map_err(|error| Error::new(ErrorKind::Misconfigured, format!("uploads: {error}")))?;
        *request.uri_mut() = url.parse::<Uri>().map_err(|error| {
            Error::new(ErrorKind::Misconfigured, format!("uploads URL {url:?}: {error}"))
        })?;
    }
    let kind = format!("multipart/form-data; boundary={BOUNDARY}");
    let kind =
        HeaderValue::from_str(&kind).unwrap_or(HeaderValue::from_static("multipart/form-data"));
    request.headers_mut().insert(CONTENT_TYPE, kind);
    Ok(request)
}

/// The request that PUTs a photo to a presigned URL. It carries no key.
///
/// # Errors
///
/// [`ErrorKind::Upload`] when the URL is none.
pub fn presigned_request(url: &str, photo: &Photo) -> Result<Request<Bytes>, Error> {
    // The URL is a secret of its own: everyone who has it may write there.
    let unusable = |why: &str| {
        Error::new(ErrorKind::Upload, format!("the presigned URL cannot be used: it {why}"))
    };
    check_url(url).map_err(unusable)?;
    let uri = url.parse::<Uri>().map_err(|error| unusable(&format!("cannot be read: {error}")))?;
    let mut request = Request::new(photo.bytes().clone());
    *request.method_mut() = Method::PUT;
    *request.uri_mut() = uri;
    // A host may close a kept connection at this very moment, and then it is not known whether the
    // photo arrived.
    request.extensions_mut().insert(FreshConnection);
    let kind = HeaderValue::from_static(photo.format().media_type());
    request.headers_mut().insert(CONTENT_TYPE, kind);
    Ok(request)
}

/// The URL in the answer to [`storage_request`].
///
/// # Errors
///
/// The error: no answer, a refusal, or an answer without a URL of a picture.
pub fn read_storage_answer(result: &CallResult) -> Result<Reference, ExchangeError> {
    let url = result.uploaded_url()?;
    url.parse().map_err(|_| ExchangeError::Unreadable {
        status: result.arrived().map_or(0, |status| status.as_u16()),
        excerpt: "the storage endpoint's answer holds no URL of a picture".to_owned(),
        response: None,
    })
}

/// The error of an upload that failed for good, or that did not succeed before the deadline.
pub fn upload_error(error: ExchangeError, is_too_late: bool) -> Error {
    if matches!(error, ExchangeError::NotRecorded { .. }) {
        let message = format!("the upload of the photo is not in the recording; {NOTHING_OWED}");
        let kind = ErrorKind::NotRecorded;
        return Problem {
            kind,
            message,
            way_out: None,
            field: None,
            task_id: None,
            error: Some(error),
        }
        .into();
    }
    let (kind, message) = match error.status() {
        _ if is_too_late => {
            (ErrorKind::DeadlineExceeded, "the deadline is over, and the photo is not uploaded")
        }
        Some(401 | 403) => (ErrorKind::KeyRefused, "the gateway's storage refused the key"),
        Some(404 | 405) => (
            ErrorKind::Upload,
            "this gateway has no storage endpoint: upload the photo elsewhere and give its URL, or \
             choose another of gateway=URL, data-url, command=PROGRAM, presigned-put=PROGRAM",
        ),
        Some(413) => (
            ErrorKind::UnusablePhoto,
            "the gateway's storage takes no photo of this size: make it smaller (a side of 2048 pixels is \
             enough), or give the URL of a picture",
        ),
        Some(429) => (ErrorKind::RateLimited, "the storage throttled the upload"),
        _ => (ErrorKind::Upload, "the photo could not be uploaded"),
    };
    let message = format!("{message}; nothing was submitted");
    Problem { kind, message, way_out: None, field: None, task_id: None, error: Some(error) }.into()
}

fn multipart(photo: &Photo) -> Bytes {
    let head = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{}\"\r\n\
         Content-Type: {}\r\n\r\n",
        photo.name(),
        photo.format().media_type()
    );
    let tail = format!("\r\n--{BOUNDARY}--\r\n");
    [head.as_bytes(), photo.bytes().as_ref(), tail.as_bytes()].concat().into()
}

const STORAGE: &str = "/api/v1/storage/files";

/// Long and odd enough that no picture holds it by accident: 2^-200 for each byte of one.
const BOUNDARY: &str = "effects-7f9c2ba4e88f827d616045507605853ed73b8093";

const CHOICES: &str = "the photo is on this machine, and the service fetches a URL: give the URL \
    of a picture, or choose how photos are uploaded: `gateway` (the gateway's storage endpoint, \
    unproven for this service), `data-url` (the photo inside the request, unproven), \
    `command=PROGRAM` (it gets the path and prints a URL), `presigned-put=PROGRAM` (it prints a \
    URL to PUT to and a URL to fetch from)";

#[cfg(test)]
mod tests {
    use http::{HeaderMap, StatusCode};

    use super::*;
    use effects_core::ApiKey;
    use effects_core::gateway::Answer;

    fn photo(name: &str) -> Result<Photo, Error> {
        Photo::new(Bytes::from_static(b"\x89PNG\r\n\x1a\n rest"), name)
    }

    #[test]
    fn names_are_made_harmless_and_what_is_no_picture_is_refused() {
        assert_eq!(photo("../../a b\"\r\n.png").unwrap().name(), "ab.png");
        assert_eq!(photo("…").unwrap().name(), "photo.png");
        let cat = photo("фото/кошка 猫.jpg").unwrap();
        assert_eq!((cat.name(), cat.shown()), ("photo.jpg", "кошка 猫.jpg"));
        let error = Photo::new(Bytes::from_static(b"hello"), "notes.txt").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnusablePhoto);
        assert!(error.to_string().contains("notes.txt"));
        let huge = Bytes::from(vec![0; Photo::MAX_BYTES + 1]);
        assert_eq!(Photo::new(huge, "huge").unwrap_err().exit_code(), 2);
    }

    #[test]
    fn local_photos_go_to_this_machines_gateway_by_themselves_and_nowhere_else() {
        let origin = |base| BaseUrl::parse(base, false).unwrap().origin().clone();
        let here = Uploads::Unset.chosen_for(&origin("http://127.0.0.1:9"));
        assert!(matches!(here, Ok(Uploads::Gateway(None))));
        let error = Uploads::Unset.chosen_for(&origin(BaseUrl::DEFAULT)).unwrap_err().to_string();
        for choice in ["gateway", "data-url", "command=", "presigned-put="] {
            assert!(error.contains(choice), "{error}");
        }
        let command: Uploads = "command=./put.sh".parse().unwrap();
        assert!(matches!(command, Uploads::Command(program) if program == "./put.sh"));
        assert!("command".parse::<Uploads>().is_err());
        assert!("s3".parse::<Uploads>().is_err());
    }

    #[test]
    fn a_photo_goes_to_no_port_that_was_not_named() {
        let base = BaseUrl::parse("https://example.com", false).unwrap();
        let endpoint = Endpoint::new(base, effects_core::ApiKey::new("key-for-tests").unwrap());
        let photo = photo("cat.png").unwrap();
        for url in ["https://up.example:99999/put", "https://[::1/put"] {
            let error = storage_request(&endpoint, Some(url), false, &photo).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Misconfigured);
            let error = presigned_request(url, &photo).unwrap_err();
            assert!(!error.to_string().contains("up.example"), "{error}");
        }
        assert!(presigned_request("https://up.example:65535/put?sig=a", &photo).is_ok());
    }

    #[test]
    fn a_storage_answer_gives_its_url_in_both_forms() {
        let base = BaseUrl::parse(BaseUrl::DEFAULT, false).unwrap();
        let endpoint = Endpoint::new(base, ApiKey::new("key-for-tests").unwrap());
        let answer = |status: u16, body: &'static str| {
            endpoint.result(Answer::Answered {
                status: StatusCode::from_u16(status).unwrap(),
                headers: HeaderMap::new(),
                body: Bytes::from_static(body.as_bytes()),
            })
        };
        for body in [r#"{"url":"https://x/y.png"}"#, r#"{"data":{"url":"https://x/y.png"}}"#] {
            assert_eq!(
                read_storage_answer(&answer(200, body)).unwrap().as_str(),
                "https://x/y.png"
            );
        }
        let missing = read_storage_answer(&answer(404, "{}")).unwrap_err();
        assert!(upload_error(missing, false).to_string().contains("no storage endpoint"));
        assert!(read_storage_answer(&answer(200, "{}")).is_err());
        let echo = read_storage_answer(&answer(200, r#"{"url":"https://x/key-for-tests/y.png"}"#));
        let error = upload_error(echo.unwrap_err(), false).to_string();
        assert!(error.contains("holds the API key") && !error.contains("key-for-tests"), "{error}");
    }
}
