//! Every scenario over the Python clients. `SPARK_EFFECTS_PYTHON` names an interpreter that has the
//! package; the checks install it.

use effects_tests::scenarios::{create, deadlines, dialects, downloads, echoes, looks, uploads};
use effects_tests::{Face, Python, Style, check_all, unplayed};

/// One test for each list and face, so that what breaks is named.
macro_rules! conformance {
    ($($name:ident: $list:ident over $face:expr;)*) => {
        $(
            #[test]
            #[ignore = "needs a Python with the package, which `.ci/run` installs"]
            fn $name() {
                check_all(&$face, &$list::scenarios());
            }
        )*
    };
}

conformance! {
    creates_blocking_run: create over Python::blocking(Style::Run);
    creates_blocking_events: create over Python::blocking(Style::Events);
    creates_blocking_submit: create over Python::blocking(Style::Submit);
    creates_async_run: create over Python::awaited(Style::Run);
    creates_async_events: create over Python::awaited(Style::Events);
    creates_async_submit: create over Python::awaited(Style::Submit);
    looks_blocking_run: looks over Python::blocking(Style::Run);
    looks_blocking_events: looks over Python::blocking(Style::Events);
    looks_blocking_submit: looks over Python::blocking(Style::Submit);
    looks_async_run: looks over Python::awaited(Style::Run);
    looks_async_events: looks over Python::awaited(Style::Events);
    looks_async_submit: looks over Python::awaited(Style::Submit);
    dialects_blocking: dialects over Python::blocking(Style::Events);
    dialects_async: dialects over Python::awaited(Style::Events);
    downloads_blocking: downloads over Python::blocking(Style::Run);
    downloads_async: downloads over Python::awaited(Style::Run);
    echoes_blocking: echoes over Python::blocking(Style::Events);
    echoes_async: echoes over Python::awaited(Style::Events);
    deadlines_blocking: deadlines over Python::blocking(Style::Run);
    deadlines_async: deadlines over Python::awaited(Style::Run);
    uploads_blocking: uploads over Python::blocking(Style::Run);
    uploads_async: uploads over Python::awaited(Style::Run);
}

/// What one style leaves out, another plays: no scenario is left out by a client altogether.
#[test]
fn every_scenario_plays_over_both_clients() {
    let lists = [
        (create::scenarios(), &[Style::Run, Style::Events, Style::Submit][..]),
        (looks::scenarios(), &[Style::Run, Style::Events, Style::Submit]),
        (dialects::scenarios(), &[Style::Events]),
        (downloads::scenarios(), &[Style::Run]),
        (echoes::scenarios(), &[Style::Events]),
        (uploads::scenarios(), &[Style::Run]),
        (deadlines::scenarios(), &[Style::Run]),
    ];
    for client in [Python::blocking, Python::awaited] {
        for (scenarios, styles) in &lists {
            let faces: Vec<Python> = styles.iter().map(|style| client(*style)).collect();
            let faces: Vec<&dyn Face> = faces.iter().map(|face| face as &dyn Face).collect();
            let left = unplayed(&faces, scenarios);
            assert!(left.is_empty(), "{left:?}");
        }
    }
}
