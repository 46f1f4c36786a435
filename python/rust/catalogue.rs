//! [`templates`] and [`errors`]: the core's tables of templates and error kinds, as Python values. The
//! package's tests `test_values.py` and `test_errors.py` compare its own classes with them.

use effects_core::{ErrorKind, Template};
use pyo3::prelude::*;

/// The thirty templates as (id, title, group), in the order of the service's page.
#[pyfunction]
pub fn templates() -> Vec<(String, String, &'static str)> {
    let row = |template: Template| {
        let group = template.group().map_or("", effects_core::Group::name);
        (template.id().to_owned(), template.title().to_owned(), group)
    };
    Template::ALL.into_iter().map(row).collect()
}

/// Every kind of error as (name, class, exit code).
#[pyfunction]
pub fn errors() -> Vec<(&'static str, &'static str, u8)> {
    ErrorKind::TABLE.iter().map(|row| (row.name, row.python_class, row.exit_code)).collect()
}
