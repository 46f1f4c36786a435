//! `effects templates` ([`templates`]): lists the thirty templates, or those that `Template::search`
//! finds. `commands::main` calls it.

use clap::Args;
use effects_core::{Group, Template};
use serde::Serialize;
use utoipa::ToSchema;

use crate::command_result::{CommandEnd, CommandResult};
use crate::output::Output;

#[derive(Args)]
#[command(after_help = "\
Examples:
  effects templates
  effects templates spring wall
  effects templates --json | jq -r .id")]
pub(crate) struct Arguments {
    /// Words to look for in ids, titles and groups; all of them must be there
    query: Vec<String>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct TemplateObject<'a> {
    schema: &'static str,
    id: &'a str,
    title: &'a str,
    #[schema(value_type = Option<String>)]
    group: Option<Group>,
}

pub(crate) fn templates(arguments: &Arguments, output: &Output) -> CommandResult {
    let query = arguments.query.join(" ");
    let found = Template::search(&query);
    let widest = found.iter().map(|template| template.id().len()).max().unwrap_or_default();
    for template in &found {
        let (id, title, group) = (template.id(), template.title(), template.group());
        let object = TemplateObject { schema: "effects.template.v1", id, title, group };
        let group = group.map(Group::name).unwrap_or_default();
        // The list can be had again, so a reader that is gone (`| head`) ends it without an error.
        if !output.listing(&object, &[format!("{id:widest$}  {group:11}  {title}")])? {
            break;
        }
    }
    if found.is_empty() {
        let near: Vec<String> =
            Template::suggestions(&query).iter().map(|near| format!("{:?}", near.id())).collect();
        let hint = if near.is_empty() {
            String::new()
        } else {
            format!("; did you mean {}?", near.join(" or "))
        };
        output.note(&format!("no template matches {query:?}{hint}"));
    }
    Ok(CommandEnd::Ok)
}
