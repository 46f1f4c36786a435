//! The fault cases ([`Case`]), a list for each endpoint and one for the keys that choose an outcome. The
//! tests in `mod.rs` play them.

use std::time::Duration;

use effects_core::ErrorKind;

use super::case::Case;

/// One rule of a plan, as its file has it.
fn rule(on: &str, lines: &str) -> String {
    format!("[[fault]]\non = \"{on}\"\n{lines}\n")
}

/// The exchange that costs: what is lost after its first byte is unknown, and never sent again.
pub(crate) fn creates() -> Vec<Case> {
    let on = |lines: &str| rule("create", lines);
    let limit = "[rate_limit]\nrequests = 1\nseconds = 1.0\n";
    vec![
        Case::new("reset before it is accepted", on("kind = \"reset\"")).unknown(0),
        Case::new("reset after it is accepted", on("kind = \"reset\"\nwhen = \"after\""))
            .unknown(1),
        Case::new("closed before it is accepted", on("kind = \"close\"")).unknown(0),
        Case::new("closed after it is accepted", on("kind = \"close\"\nwhen = \"after\""))
            .unknown(1),
        Case::new("hangs before it is accepted", on("kind = \"hang\"")).impatient().unknown(0),
        Case::new("hangs after it is accepted", on("kind = \"hang\"\nwhen = \"after\""))
            .impatient()
            .unknown(1),
        // Half of it holds the id.
        Case::new("an answer cut after the id", on("kind = \"truncate\"")),
        Case::new("an answer cut before the id", on("kind = \"truncate\"\nkeep = 0.1")).unknown(1),
        Case::new("an answer without a byte", on("kind = \"truncate\"\nkeep = 0.0")).unknown(1),
        Case::new("garbage in place of the task", on("kind = \"garbage\"")).unknown(1),
        Case::new("an answer in drops", on("kind = \"drip\"\npause = 0.001")),
        Case::new("drops that take too long", on("kind = \"drip\"\nbytes = 1\npause = 0.1"))
            .impatient()
            .unknown(1),
        Case::new("a late answer", on("kind = \"slow\"\nseconds = 0.05")),
        Case::new("an answer that is too late", on("kind = \"slow\"\nseconds = 60"))
            .impatient()
            .unknown(1),
        Case::new(
            "throttled for a second",
            on("first = 1\nkind = \"status\"\nstatus = 429\nretry_after = { seconds = 1 }"),
        )
        .creates(2)
        .waits(1),
        Case::new(
            "throttled until a date",
            on("first = 1\nkind = \"status\"\nstatus = 429\nretry_after = { date = 2 }"),
        )
        .creates(2)
        .waits(1),
        Case::new(
            "too busy for a second",
            on("first = 1\nkind = \"status\"\nstatus = 503\nbody = \"error-message\"\n\
                retry_after = { seconds = 1 }"),
        )
        .creates(2)
        .waits(1),
        Case::new(
            "unavailable for a second, in the words of anything in between",
            on("kind = \"status\"\nstatus = 503\nbody = \"message\"\n\
                retry_after = { seconds = 1 }"),
        )
        .unknown(0)
        .status(503),
        Case::new("unavailable, without a time to wait", on("kind = \"status\"\nstatus = 503"))
            .unknown(0)
            .status(503),
        Case::new("throttled to the end", on("kind = \"status\"\nstatus = 429"))
            .with(|setup| setup.policy.wait_timeout = Duration::from_secs(1))
            .fails(ErrorKind::RateLimited)
            .status(429)
            .creates(8),
        Case::new(
            "redirected",
            on("kind = \"status\"\nstatus = 307\nlocation = \"http://elsewhere.invalid/\""),
        )
        .fails(ErrorKind::Redirected),
        Case::new("a balance for one", "balance = \"0.05\"")
            .times(2, 1)
            .fails_after_one(ErrorKind::OutOfCredit)
            .status(402),
        Case::new("no balance at all", "balance = \"0\"").fails(ErrorKind::OutOfCredit).status(402),
        // The second create is throttled for the rest of the second, and then accepted.
        Case::new("a rate of creates", format!("{limit}on = \"create\"")).times(2, 2).waits(1),
        Case::new("a rate of everything", limit.replace("= 1\n", "= 2\n")).waits(0),
        Case::new("of another template", on("template = \"my_world\"\nkind = \"reset\""))
            .never_met(),
        Case::new("of this template", on("template = \"glass_ball\"\nkind = \"reset\"")).unknown(0),
        Case::new("at the second request", on("nth = 2\nkind = \"reset\""))
            .times(2, 1)
            .fails_after_one(ErrorKind::OutcomeUnknown),
        Case::new("at every second request", on("every = 2\nkind = \"close\""))
            .times(2, 1)
            .fails_after_one(ErrorKind::OutcomeUnknown),
    ]
}

/// What becomes of a task that was accepted: every error knows it.
pub(crate) fn tasks() -> Vec<Case> {
    let on = |lines: &str| rule("create", lines);
    let mut all: Vec<Case> = CODES
        .iter()
        .map(|(name, code)| {
            Case::new(name, on(&format!("kind = \"fail\"\ncode = \"{code}\"")))
                .fails_with_task(ErrorKind::TaskFailed)
                .code(code)
        })
        .collect();
    all.extend([
        Case::new(
            "a code that no list has",
            on("kind = \"fail\"\ncode = \"777\"\nmessage = \"eh\""),
        )
        .fails_with_task(ErrorKind::TaskFailed)
        .code("777"),
        Case::new("completed without a URL", on("kind = \"no-url\""))
            .fails_with_task(ErrorKind::NoPicture),
        // The picture is whole by its format and by HTTP, and paid for: it is handed out.
        Case::new("a size that is not the picture's", on("kind = \"wrong-size\""))
            .reports_download("bytes where the service said"),
        // Nothing in the answer tells the sides, and the picture is paid for: it is handed out.
        Case::new("sides that were not asked for", on("kind = \"wrong-sides\"")),
        Case::new("a link that has expired", on("kind = \"expired-link\""))
            .fails_with_task(ErrorKind::Download)
            .status(403),
        Case::new("a link that expires later", on("kind = \"expired-link\"\nseconds = 3600")),
        Case::new("not to be found at first", on("kind = \"missing\"")),
        Case::new(
            "not to be found to the end of the wait",
            on("kind = \"missing\"\nlooks = 1000000"),
        )
        .brief()
        .fails_with_task(ErrorKind::WaitTimeout)
        .status(404),
        Case::new("longer than the wait", on("kind = \"take\"\nseconds = 3600"))
            .brief()
            .fails_with_task(ErrorKind::WaitTimeout),
        Case::new("shorter than the wait", on("kind = \"take\"\nseconds = 0.05")),
        Case::new("finished when it is created", on("kind = \"finished\"")),
    ]);
    all
}

/// The exchange that is free: it is repeated through whatever can pass.
pub(crate) fn looks() -> Vec<Case> {
    let first = |count: u32, lines: &str| rule("task", &format!("first = {count}\n{lines}"));
    let always = |lines: &str| rule("task", lines);
    vec![
        Case::new("looks reset", first(2, "kind = \"reset\"")),
        Case::new(
            "looks reset after they were looks",
            first(2, "kind = \"reset\"\nwhen = \"after\""),
        ),
        Case::new("looks closed", first(2, "kind = \"close\"")),
        Case::new("a look that hangs", first(1, "kind = \"hang\"")).impatient(),
        Case::new("looks cut short", first(2, "kind = \"truncate\"")),
        Case::new("garbage in place of looks", first(2, "kind = \"garbage\"")),
        Case::new("looks in drops", first(2, "kind = \"drip\"\npause = 0.001")),
        Case::new(
            "a look in drops that take too long",
            first(1, "kind = \"drip\"\nbytes = 1\npause = 0.1"),
        )
        .impatient(),
        Case::new("looks that are late", first(2, "kind = \"slow\"\nseconds = 0.02")),
        Case::new("looks throttled for a second", {
            first(1, "kind = \"status\"\nstatus = 429\nretry_after = { seconds = 1 }")
        })
        .waits(1),
        Case::new("looks throttled until a date", {
            first(1, "kind = \"status\"\nstatus = 503\nretry_after = { date = 2 }")
        })
        .waits(1),
        Case::new("stale at first", first(3, "kind = \"stale\"")),
        Case::new("stale for ever", always("kind = \"stale\""))
            .brief()
            .fails_with_task(ErrorKind::WaitTimeout),
        Case::new(
            "an unknown word, at first",
            first(3, "kind = \"word\"\nstatus = \"marinating\""),
        ),
        Case::new("an unknown word, for ever", always("kind = \"word\"\nstatus = \"marinating\""))
            .brief()
            .fails_with_task(ErrorKind::WaitTimeout),
        Case::new("another word for completed", always("kind = \"word\"\nstatus = \"SUCCEEDED\"")),
        Case::new("another word for failed", always("kind = \"word\"\nstatus = \"cancelled\""))
            .fails_with_task(ErrorKind::TaskFailed),
        Case::new("looks that are not answered", always("kind = \"reset\""))
            .brief()
            .fails_with_task(ErrorKind::WaitTimeout),
        Case::new("nothing but garbage", always("kind = \"garbage\""))
            .brief()
            .fails_with_task(ErrorKind::WaitTimeout),
        // The seed fixes which looks these are; the task lasts long enough for many.
        Case::new("half of the looks, by chance", {
            format!("seed = 7\n{}", rule("task", "chance = 0.5\nkind = \"status\"\nstatus = 500"))
                + &rule("create", "kind = \"take\"\nseconds = 0.1")
        }),
    ]
}

/// The picture is paid for: it is fetched through whatever can pass.
pub(crate) fn downloads() -> Vec<Case> {
    let first = |count: u32, lines: &str| rule("file", &format!("first = {count}\n{lines}"));
    let always = |lines: &str| rule("file", lines);
    vec![
        Case::new("pictures unavailable at first", first(2, "kind = \"status\"\nstatus = 503")),
        Case::new("pictures not there yet", first(2, "kind = \"status\"\nstatus = 404")),
        Case::new("pictures gone", always("kind = \"status\"\nstatus = 410"))
            .fails_with_task(ErrorKind::Download)
            .status(410),
        Case::new("pictures reset", first(2, "kind = \"reset\"")),
        Case::new("pictures closed", first(2, "kind = \"close\"")),
        Case::new("a picture that hangs", first(1, "kind = \"hang\"")).impatient(),
        Case::new("pictures cut short", first(2, "kind = \"truncate\"")),
        Case::new("pictures in drops", first(1, "kind = \"drip\"\npause = 0.001")),
        Case::new("a late picture", first(1, "kind = \"slow\"\nseconds = 0.02")),
        Case::new("garbage in place of a picture, once", first(1, "kind = \"garbage\"")),
        Case::new("garbage in place of pictures", always("kind = \"garbage\""))
            .fails_with_task(ErrorKind::Download),
    ]
}

/// A photo is uploaded before anything costs.
pub(crate) fn uploads() -> Vec<Case> {
    let first = |count: u32, lines: &str| rule("upload", &format!("first = {count}\n{lines}"));
    let always = |lines: &str| rule("upload", lines);
    vec![
        Case::new("storage unavailable at first", first(2, "kind = \"status\"\nstatus = 503"))
            .uploads(),
        Case::new("storage resets", first(2, "kind = \"reset\"\nwhen = \"after\"")).uploads(),
        Case::new("storage that hangs", first(1, "kind = \"hang\"")).impatient().uploads(),
        Case::new("storage cut short", first(1, "kind = \"truncate\"")).uploads(),
        Case::new("no storage", always("kind = \"status\"\nstatus = 404"))
            .uploads()
            .creates(0)
            .fails(ErrorKind::Upload),
        Case::new("storage that speaks garbage", always("kind = \"garbage\""))
            .uploads()
            .creates(0)
            .fails(ErrorKind::Upload),
        Case::new("storage that knows no such key", always("kind = \"status\"\nstatus = 401"))
            .uploads()
            .creates(0)
            .fails(ErrorKind::KeyRefused),
    ]
}

/// Keys that choose an outcome, with no plan at all.
pub(crate) fn keys() -> Vec<Case> {
    let mut all: Vec<Case> = CODES
        .iter()
        .map(|(_, code)| {
            let key: &'static str = format!("test_fail_{code}").leak();
            Case::of_key(key).fails_with_task(ErrorKind::TaskFailed).code(code)
        })
        .collect();
    all.extend([
        Case::of_key("test_ok"),
        Case::of_key("test_status_400").fails(ErrorKind::Rejected).status(400),
        Case::of_key("test_status_401").fails(ErrorKind::KeyRefused).status(401),
        Case::of_key("test_status_500").unknown(0).status(500),
        Case::of_key("test_balance").fails(ErrorKind::OutOfCredit).status(402),
        Case::of_key("test_throttled").brief().fails(ErrorKind::RateLimited).status(429),
        Case::of_key("test_reset").unknown(0),
        Case::of_key("test_lost").unknown(1),
        Case::of_key("test_hang").impatient().unknown(0),
        Case::of_key("test_hang_after").impatient().unknown(1),
        Case::of_key("test_truncate"),
        Case::of_key("test_garbage").unknown(1),
        Case::of_key("test_drip"),
        Case::of_key("test_no_url").fails_with_task(ErrorKind::NoPicture),
        Case::of_key("test_wrong_size").reports_download("bytes where the service said"),
        Case::of_key("test_wrong_sides"),
        Case::of_key("test_expired_link").fails_with_task(ErrorKind::Download).status(403),
        Case::of_key("test_missing"),
        Case::of_key("test_never").brief().fails_with_task(ErrorKind::WaitTimeout),
        Case::of_key("test_finished"),
        Case::of_key("test_nonsense").fails(ErrorKind::KeyRefused).status(401),
    ]);
    all
}

/// The nine codes of the service's page.
const CODES: [(&str, &str); 9] = [
    ("missing image", "3009001"),
    ("missing template", "3009002"),
    ("invalid template", "3009003"),
    ("invalid size", "3009004"),
    ("generation error", "3009095"),
    ("result parsing error", "3009096"),
    ("HTTP error response", "3009097"),
    ("status check error", "3009098"),
    ("service unavailable", "3009099"),
];
