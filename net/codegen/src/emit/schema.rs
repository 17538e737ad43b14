//! The schema table for tests: the same facts as the structs, as data.
//!
//! Tests make random bytes from it, for every message in every version, and know where counts
//! and lengths lie; so they need no handwritten sample per message.

use super::GENERATED;
use crate::model::{Field, Kind, Message, Struct};

/// `net/tests/wire/schema.rs`.
pub(crate) fn schema(messages: &[&Message]) -> String {
    let mut out = format!(
        "{GENERATED}\n\nuse kafka_protocol::messages as kafka;\nuse net::wire::messages as ours;\n\nuse crate::support::{{FieldSchema, Kind, MessageSchema, oracle_recode, recode}};\n\n"
    );
    let rows: String = messages.iter().map(|message| message_row(message)).collect();
    out += &format!("pub(crate) static MESSAGES: &[MessageSchema] = &[\n{rows}];\n\n");
    for message in messages {
        for one in &message.structs {
            out += &struct_table(message, one);
        }
    }
    out
}

fn table_name(message: &Message, one: &Struct) -> String {
    let plain = |name: &str| crate::names::shout(name);
    if one.name == message.name {
        plain(&message.name)
    } else {
        format!("{}__{}", plain(&message.name), plain(&one.name))
    }
}

fn message_row(message: &Message) -> String {
    let name = &message.name;
    let lifetime = if message.structs[0].borrows { "<'_>" } else { "" };
    // The oracle has no records of coordinators.
    let oracle = match message.record_type {
        Some(_) => "|_, _| None".to_owned(),
        None => format!("|bytes, version| oracle_recode::<kafka::{name}>(bytes, version)"),
    };
    format!(
        "MessageSchema {{\nname: {name:?},\nkey: {},\nversions: ({}, {}),\nflexible: ({}, {}),\nfields: {},\nours: |bytes, version| recode::<ours::{name}{lifetime}>(bytes, version),\noracle: {oracle},\n}},\n",
        message.key.unwrap_or(-1),
        message.valid.min,
        message.valid.max,
        message.flexible.min,
        message.flexible.max,
        table_name(message, &message.structs[0]),
    )
}

fn struct_table(message: &Message, one: &Struct) -> String {
    let fields: String =
        one.inline().chain(one.tagged()).map(|field| field_row(message, field)).collect();
    format!("static {}: &[FieldSchema] = &[\n{fields}];\n\n", table_name(message, one))
}

fn field_row(message: &Message, field: &Field) -> String {
    format!(
        "FieldSchema {{ name: {:?}, versions: ({}, {}), nullable: ({}, {}), flexible: ({}, {}), tag: {:?}, kind: {} }},\n",
        field.name,
        field.versions.min,
        field.versions.max,
        field.nullable.min,
        field.nullable.max,
        field.flexible.min,
        field.flexible.max,
        field.tag,
        kind(message, &field.kind),
    )
}

fn kind(message: &Message, kind_of: &Kind) -> String {
    match kind_of {
        Kind::Fixed("bool", ..) => "Kind::Bool".to_owned(),
        Kind::Fixed("f64", ..) => "Kind::Float".to_owned(),
        Kind::Fixed(.., size) => format!("Kind::Fixed({size})"),
        Kind::String => "Kind::String".to_owned(),
        Kind::Bytes | Kind::Records => "Kind::Bytes".to_owned(),
        Kind::Struct(name) => format!("Kind::Struct({})", table_name(message, message.find(name))),
        Kind::Array(element) => format!("Kind::Array(&{})", kind(message, element)),
    }
}
