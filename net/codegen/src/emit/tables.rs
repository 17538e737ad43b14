//! What stands around the structs: trait impls of whole messages, the module list, API keys.

use super::GENERATED;
use crate::model::Message;
use crate::names;

/// `Message` and, for requests, `Request`; `answer_borrows` says whether the answer's struct has a
/// lifetime.
pub(super) fn message_impls(message: &Message, answer_borrows: bool) -> String {
    let name = &message.name;
    let borrows = message.structs[0].borrows;
    let (own, any) = if borrows { ("<'a>", "<'_>") } else { ("", "") };
    let key = match message.key {
        Some(_) => format!("Some(ApiKey::{})", names::shout(&api_name(name))),
        None => "None".to_owned(),
    };
    let flexible_from = match message.flexible.and(message.valid) {
        range if range.is_empty() => "None".to_owned(),
        range => format!("Some({})", range.min),
    };
    let mut out = format!(
        "impl<'a> Message<'a> for {name}{own} {{\nconst SPEC: Spec = Spec {{\nname: {name:?},\nkey: {key},\nversion_min: {},\nversion_max: {},\nflexible_from: {flexible_from},\n}};\n}}\n\n",
        message.valid.min, message.valid.max
    );
    if let Some(kind) = message.record_type {
        out += &format!(
            "impl {name}{any} {{\n/// Type of the record that this belongs to.\npub const RECORD_TYPE: i16 = {kind};\n}}\n"
        );
    }
    if message.kind == "request" {
        let api = api_name(name);
        let answer = format!("super::{}::{api}Response", names::snake(&format!("{api}Response")));
        let answer_lifetime = if answer_borrows { "<'r>" } else { "" };
        out += &format!(
            "impl Request for {name}{any} {{\nconst KEY: ApiKey = ApiKey::{};\ntype Response<'r> = {answer}{answer_lifetime};\n}}\n",
            names::shout(&api)
        );
    }
    out
}

/// `FetchRequest` → `Fetch`.
pub(crate) fn api_name(message: &str) -> String {
    let stem = message.strip_suffix("Request").or_else(|| message.strip_suffix("Response"));
    stem.unwrap_or(message).to_owned()
}

/// `messages/mod.rs`: the modules, the messages by name, and the specs of what was emitted.
pub(crate) fn module(messages: &[&Message]) -> String {
    let mut out = format!(
        "{GENERATED}\n//!\n//! One module per message; the message itself is also here by name.\n\n"
    );
    out += "#![allow(clippy::all, unused_variables, unused_qualifications)]\n\n";
    out += "mod keys;\n";
    for message in messages {
        out += &format!("pub mod {};\n", names::snake(&message.name));
    }
    out += "\n";
    for message in messages {
        out += &format!("pub use {}::{};\n", names::snake(&message.name), message.name);
    }
    out += "\npub(super) use keys::NAMES;\n\nuse super::{Message, Spec};\n\n";
    let pairs: String = messages
        .iter()
        .filter(|message| message.kind == "request")
        .map(|message| {
            let api = api_name(&message.name);
            format!("({api}Request::SPEC, {api}Response::SPEC),\n")
        })
        .collect();
    out += &format!(
        "/// Request and answer of every API that has structs here.\npub const EMITTED: &[(Spec, Spec)] = &[\n{pairs}];\n"
    );
    out
}

/// `messages/keys.rs`: every API key of the specs, removed ones too, so that logs can name them.
pub(crate) fn keys(requests: &[(i16, String)]) -> String {
    let mut out = format!(
        "{GENERATED}\n//!\n//! Every API key that Kafka ever gave out.\n\nuse crate::wire::api::ApiKey;\n\nimpl ApiKey {{\n"
    );
    for (key, api) in requests {
        out += &format!("/// `{api}`.\npub const {}: Self = Self({key});\n", names::shout(api));
    }
    out += "}\n\n/// Kafka's name of every API key, ascending.\npub(crate) const NAMES: &[(ApiKey, &str)] = &[\n";
    for (_, api) in requests {
        out += &format!("(ApiKey::{}, {api:?}),\n", names::shout(api));
    }
    out + "];\n"
}
