//! The reference page of all configs (`tuning/CONFIGS.md`), made from the table.

use std::fmt::Write;

use super::def::{ConfigDef, Honoured, Scope, Update};
use super::table::defs;

const HEAD: &str = "\
# Configs

Made from the tables in `src/config/table`; a test compares it with them. Do not edit it by hand:
`cargo test -p ringmain-tuning` says how to make it again.

Names, types and meanings are Kafka's. A key that Kafka does not have says so, and so does every
default that differs. *In effect* says whether setting the key does what is written: `yes`,
`default only` (any other value is refused), `not yet` (stored and shown, no effect so far), or
`no` (accepted for the sake of tools, will never have an effect). Unknown keys are refused.

Topic and group configs that are not set on the resource are taken from the broker keys named under
*else from*, the first one set wins, and then from the default.
";

/// The whole page, as Markdown.
#[must_use]
pub fn reference_page() -> String {
    let mut page = HEAD.to_owned();
    for (scope, title) in [
        (Scope::Topic, "Topic configs"),
        (Scope::Broker, "Broker configs"),
        (Scope::Group, "Group configs"),
    ] {
        writeln!(page, "\n## {title}").expect("writing into memory does not fail");
        for def in defs(scope) {
            section(&mut page, def).expect("writing into memory does not fail");
        }
    }
    page
}

fn section(page: &mut String, def: &ConfigDef) -> std::fmt::Result {
    let default = match def.default {
        None => "not set".to_owned(),
        Some("") => "empty".to_owned(),
        Some(default) => format!("`{default}`"),
    };
    let update = match def.update {
        Update::Dynamic => "while running",
        Update::ReadOnly => "at start only",
    };
    writeln!(page, "\n### `{}`\n", def.name)?;
    writeln!(page, "{}\n", def.documentation())?;
    writeln!(page, "- value: {}", def.kind.describe())?;
    writeln!(page, "- default: {default}")?;
    writeln!(page, "- set: {update}")?;
    if !def.synonyms.is_empty() {
        let names: Vec<_> = def.synonyms.iter().map(|other| format!("`{}`", other.name)).collect();
        writeln!(page, "- else from: {}", names.join(", "))?;
    }
    writeln!(page, "- in effect: {}", in_effect(def.honoured))
}

fn in_effect(honoured: Honoured) -> &'static str {
    match honoured {
        Honoured::Yes => "yes",
        Honoured::NotYet(_) => "not yet",
        Honoured::NoOp(_) => "no",
        Honoured::DefaultOnly(_) => "default only",
    }
}
