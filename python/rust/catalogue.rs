//! [`templates`] and [`errors`]: the core's tables of templates and of error kinds, as Python values. Only
//! tests call them: `test_values.py` and `test_errors.py` check that the package's own `Template` and error
//! classes agree with the core.

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
