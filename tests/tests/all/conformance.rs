//! Every scenario, over every client, in every style of using it that the list is about.

use effects_tests::scenarios::{create, deadlines, dialects, downloads, echoes, looks, uploads};
use effects_tests::{Async, Blocking, CallerStack, Style, WithMiddleware, check_all};

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
    creates_blocking_run: create over Blocking(Style::Run);
    creates_blocking_events: create over Blocking(Style::Events);
    creates_blocking_submit: create over Blocking(Style::Submit);
    creates_async_run: create over Async(Style::Run);
    creates_async_events: create over Async(Style::Events);
    creates_async_submit: create over Async(Style::Submit);
    looks_blocking_run: looks over Blocking(Style::Run);
    looks_blocking_events: looks over Blocking(Style::Events);
    looks_blocking_submit: looks over Blocking(Style::Submit);
    looks_async_run: looks over Async(Style::Run);
    looks_async_events: looks over Async(Style::Events);
    looks_async_submit: looks over Async(Style::Submit);
    dialects_blocking: dialects over Blocking(Style::Events);
    dialects_async: dialects over Async(Style::Events);
    downloads_blocking: downloads over Blocking(Style::Run);
    downloads_async: downloads over Async(Style::Run);
    echoes_blocking: echoes over Blocking(Style::Events);
    echoes_async: echoes over Async(Style::Events);
    deadlines_blocking: deadlines over Blocking(Style::Run);
    deadlines_async: deadlines over Async(Style::Run);
    uploads_blocking: uploads over Blocking(Style::Run);
    uploads_async: uploads over Async(Style::Run);
    creates_blocking_with_middleware: create over WithMiddleware(Blocking(Style::Run));
    creates_async_with_middleware: create over WithMiddleware(Async(Style::Run));
    looks_blocking_with_middleware: looks over WithMiddleware(Blocking(Style::Run));
    looks_async_with_middleware: looks over WithMiddleware(Async(Style::Run));
    downloads_blocking_with_middleware: downloads over WithMiddleware(Blocking(Style::Run));
    downloads_async_with_middleware: downloads over WithMiddleware(Async(Style::Run));
    uploads_blocking_with_middleware: uploads over WithMiddleware(Blocking(Style::Run));
    uploads_async_with_middleware: uploads over WithMiddleware(Async(Style::Run));
    echoes_blocking_with_middleware: echoes over WithMiddleware(Blocking(Style::Events));
    echoes_async_with_middleware: echoes over WithMiddleware(Async(Style::Events));
    looks_blocking_over_an_exchange_of_the_callers: looks over CallerStack(Blocking(Style::Run));
    looks_async_over_an_exchange_of_the_callers: looks over CallerStack(Async(Style::Run));
    downloads_blocking_over_an_exchange_of_the_callers: downloads over CallerStack(Blocking(Style::Run));
    downloads_async_over_an_exchange_of_the_callers: downloads over CallerStack(Async(Style::Run));
    creates_async_over_an_exchange_of_the_callers: create over CallerStack(Async(Style::Run));
    uploads_blocking_over_an_exchange_of_the_callers: uploads over CallerStack(Blocking(Style::Run));
    uploads_async_over_an_exchange_of_the_callers: uploads over CallerStack(Async(Style::Run));
    echoes_blocking_over_an_exchange_of_the_callers: echoes over CallerStack(Blocking(Style::Events));
    echoes_async_over_an_exchange_of_the_callers: echoes over CallerStack(Async(Style::Events));
}

#[test]
fn every_name_is_given_once() {
    let lists = [
        create::scenarios(),
        looks::scenarios(),
        dialects::scenarios(),
        downloads::scenarios(),
        echoes::scenarios(),
        uploads::scenarios(),
        deadlines::scenarios(),
    ];
    let mut names: Vec<&str> = lists.iter().flatten().map(effects_tests::Scenario::name).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
    assert!(count > 150, "{count} scenarios");
}
