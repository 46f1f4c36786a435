//! Every scenario over the Python clients. `SPARK_EFFECTS_PYTHON` names an interpreter that has the
//! package; the checks install it.

use effects_tests::scenarios::{create, dialects, downloads, echoes, looks, uploads};
use effects_tests::{Python, Style, check_all};

/// One test for each list and face, so that what breaks is named.
macro_rules! conformance {
    ($($name:ident: $list:ident over $face:expr;)*) => {
        $(
            #[test]
            fn $name() {
                check_all(&$face, &$list::scenarios());
            }
        )*
    };
}

conformance! {
    creates_blocking_run: create over Python::blocking(Style::Run);
    creates_blocking_submit: create over Python::blocking(Style::Submit);
    creates_async_run: create over Python::awaited(Style::Run);
    creates_async_submit: create over Python::awaited(Style::Submit);
    looks_blocking_run: looks over Python::blocking(Style::Run);
    looks_blocking_submit: looks over Python::blocking(Style::Submit);
    looks_async_run: looks over Python::awaited(Style::Run);
    looks_async_submit: looks over Python::awaited(Style::Submit);
    dialects_blocking: dialects over Python::blocking(Style::Run);
    dialects_async: dialects over Python::awaited(Style::Run);
    downloads_blocking: downloads over Python::blocking(Style::Run);
    downloads_async: downloads over Python::awaited(Style::Run);
    echoes_blocking: echoes over Python::blocking(Style::Run);
    echoes_async: echoes over Python::awaited(Style::Run);
    uploads_blocking: uploads over Python::blocking(Style::Run);
    uploads_async: uploads over Python::awaited(Style::Run);
}
