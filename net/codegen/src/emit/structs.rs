//! Declarations: the struct, its docs (facts only), its default.

use super::Scope;
use crate::model::{Field, Kind};

impl Scope<'_> {
    /// The struct and its `Default`.
    pub(super) fn declaration(self) -> String {
        let derivable = self.one.fields.iter().all(|field| self.default_is_rusts(field));
        let derive = if derivable { ", Default" } else { "" };
        let fields: String = self.one.fields.iter().map(|field| self.field_line(field)).collect();
        let mut out = format!(
            "/// Kafka's `{}`, versions {}.\n#[derive(Clone, Debug, PartialEq{derive})]\npub struct {} {{\n{fields}}}\n\n",
            self.one.name,
            self.within().words(),
            self.type_of_struct(&self.one.name),
        );
        if !derivable {
            out += &self.default_impl();
        }
        out
    }

    fn field_line(self, field: &Field) -> String {
        let mut facts = format!(
            "/// `{}`: {}, versions {}",
            field.kafka_name,
            field.kind_text.replace("[]", "array of "),
            self.field_within(field).words()
        );
        if self.is_option(field) {
            facts += &format!(", null in {}", field.nullable.and(self.field_within(field)).words());
        }
        if let Some(tag) = field.tag {
            facts += &format!(", tag {tag}");
        }
        if let Some(default) = field.default.as_ref().filter(|text| !text.is_empty()) {
            facts += &format!(", default {default}");
        }
        format!("{facts}.\npub {}: {},\n", field.name, self.type_of(field))
    }

    pub(super) fn type_of(self, field: &Field) -> String {
        let plain = self.type_of_kind(&field.kind);
        if self.is_option(field) { format!("Option<{plain}>") } else { plain }
    }

    fn default_impl(self) -> String {
        let fields: String = self
            .one
            .fields
            .iter()
            .map(|field| format!("{}: {},\n", field.name, self.default_of(field)))
            .collect();
        let name = &self.one.name;
        let lifetime = if self.one.borrows { "<'_>" } else { "" };
        format!(
            "impl Default for {name}{lifetime} {{\nfn default() -> Self {{\nSelf {{\n{fields}}}\n}}\n}}\n\n"
        )
    }

    /// The value of a field that was not sent, as Kafka defines it.
    pub(super) fn default_of(self, field: &Field) -> String {
        if self.default_is_null(field) {
            return "None".to_owned();
        }
        let plain = self.plain_default(field);
        if self.is_option(field) { format!("Some({plain})") } else { plain }
    }

    pub(super) fn default_is_null(self, field: &Field) -> bool {
        let said = field.default.as_deref() == Some("null");
        self.is_option(field) && (said || field.kind == Kind::Records)
    }

    fn plain_default(self, field: &Field) -> String {
        let text = field.default.as_deref().filter(|text| *text != "null").unwrap_or_default();
        match &field.kind {
            Kind::Fixed(name, ..) => fixed_default(name, text),
            Kind::String if self.owns_texts() => format!("Cow::Borrowed({text:?})"),
            Kind::String => format!("{text:?}"),
            Kind::Bytes if self.owns_texts() => "Cow::Borrowed(&[])".to_owned(),
            Kind::Bytes => "&[]".to_owned(),
            Kind::Records => "Records::default()".to_owned(),
            Kind::Struct(name) => format!("{name}::default()"),
            Kind::Array(_) => "Vec::new()".to_owned(),
        }
    }

    /// Whether `#[derive(Default)]` would give the same value.
    fn default_is_rusts(self, field: &Field) -> bool {
        let default = self.default_of(field);
        match &field.kind {
            _ if self.is_option(field) => default == "None",
            Kind::Fixed(..) => ["0", "false", "0.0", "[0; 16]"].contains(&default.as_str()),
            Kind::String => default.contains("\"\""),
            _ => true,
        }
    }

    /// The Rust condition that `field` holds something else than its default.
    pub(super) fn differs_from_default(self, field: &Field) -> String {
        let name = &field.name;
        let default = self.default_of(field);
        match &field.kind {
            _ if default == "None" => format!("self.{name}.is_some()"),
            _ if self.is_option(field) => format!("self.{name} != {default}"),
            Kind::Fixed("bool", ..) if default == "false" => format!("self.{name}"),
            Kind::Fixed("bool", ..) => format!("!self.{name}"),
            Kind::String if default.contains("\"\"") => format!("!self.{name}.is_empty()"),
            Kind::Bytes | Kind::Records | Kind::Array(_) => format!("!self.{name}.is_empty()"),
            _ => format!("self.{name} != {default}"),
        }
    }
}

fn fixed_default(name: &str, text: &str) -> String {
    let zero = match name {
        "bool" => "false",
        "f64" => "0.0",
        "[u8; 16]" => "[0; 16]",
        _ => "0",
    };
    match text {
        "" => zero.to_owned(),
        _ => match text.strip_prefix("0x") {
            Some(digits) => format!("0x{digits}"),
            None => text.to_owned(),
        },
    }
}
