//! `Wire::size_min` and `Wire::read`.

use super::Scope;
use crate::model::{Field, Kind, Message, Struct};
use crate::versions::Versions;

impl Scope<'_> {
    /// The least wire size per version: it bounds how many elements an array may claim.
    pub(super) fn size_min(self) -> String {
        let within = self.within();
        let mut arms: Vec<(i16, i16, usize)> = Vec::new();
        for version in within.min..=within.max {
            let size = struct_size_min(self.message, self.one, version);
            match arms.last_mut() {
                Some((_, to, last)) if *last == size => *to = version,
                _ => arms.push((version, version, size)),
            }
        }
        let body = match arms.as_slice() {
            [] => "0".to_owned(),
            [(.., size)] => size.to_string(),
            [earlier @ .., (.., last)] => {
                let earlier: String =
                    earlier.iter().map(|(_, to, size)| format!("..={to} => {size},\n")).collect();
                format!("match v {{\n{earlier}_ => {last},\n}}")
            }
        };
        format!("fn size_min(v: i16) -> usize {{\n{body}\n}}\n")
    }

    /// Reads field after field, then the tagged section.
    pub(super) fn read(self) -> String {
        let mut body = String::new();
        for field in &self.one.fields {
            body += &match field.tag {
                None => self.read_inline(field),
                Some(_) => format!("let mut {} = {};\n", field.name, self.default_of(field)),
            };
        }
        body += &self.read_tags();
        let names: Vec<&str> = self.one.fields.iter().map(|field| field.name.as_str()).collect();
        body += &format!("Ok(Self {{ {} }})\n", names.join(", "));
        format!(
            "fn read(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {{\n{}{body}}}\n",
            self.bind_flexible(&body)
        )
    }

    fn read_inline(self, field: &Field) -> String {
        let value = self.read_value(field, self.field_within(field));
        match field.versions.condition(self.within()) {
            None => format!("let {} = {value};\n", field.name),
            Some(condition) => {
                let default = self.default_of(field);
                format!("let {} = if {condition} {{ {value} }} else {{ {default} }};\n", field.name)
            }
        }
    }

    /// The field's value, its version being in `within`.
    fn read_value(self, field: &Field, within: Versions) -> String {
        let flexible = self.flexible(field);
        if !self.is_option(field) {
            return format!("{}?", self.read_kind(&field.kind, flexible));
        }
        let plain = format!("Some({}?)", self.read_kind(&field.kind, flexible));
        let nullable = format!("{}?", self.read_nullable(&field.kind, flexible));
        match field.nullable.condition(within) {
            None if matches!(field.kind, Kind::Struct(_)) && field.tag.is_some() => {
                format!("if r.uvarint()? != 0 {{ {plain} }} else {{ None }}")
            }
            None if matches!(field.kind, Kind::Struct(_)) => {
                self.read_nullable(&field.kind, flexible)
            }
            None => nullable,
            Some(condition) if matches!(field.kind, Kind::Struct(_)) => {
                let nullable = self.read_nullable(&field.kind, flexible);
                format!("if {condition} {{ {nullable} }} else {{ {plain} }}")
            }
            Some(condition) => format!("if {condition} {{ {nullable} }} else {{ {plain} }}"),
        }
    }

    /// A `Result` of the plain value.
    fn read_kind(self, kind: &Kind, flexible: &str) -> String {
        let cow = if self.owns_texts() { ".map(Cow::Borrowed)" } else { "" };
        match kind {
            Kind::Fixed(_, method, _) => format!("r.{method}()"),
            Kind::String => format!("r.string({flexible}){cow}"),
            Kind::Bytes => format!("r.bytes({flexible}){cow}"),
            Kind::Records => format!("r.records({flexible})"),
            Kind::Struct(name) => format!("{name}::read(r, v)"),
            Kind::Array(element) => self.read_array("array", element, flexible),
        }
    }

    /// A `Result` of an `Option` (for structs the `Option` itself).
    fn read_nullable(self, kind: &Kind, flexible: &str) -> String {
        let cow = if self.owns_texts() { ".map(|text| text.map(Cow::Borrowed))" } else { "" };
        match kind {
            Kind::Fixed(..) => unreachable!("fixed-size values are never null"),
            Kind::String => format!("r.nullable_string({flexible}){cow}"),
            Kind::Bytes => format!("r.nullable_bytes({flexible}){cow}"),
            Kind::Records => format!("r.nullable_records({flexible})"),
            Kind::Struct(name) => {
                format!("if r.present()? {{ Some({name}::read(r, v)?) }} else {{ None }}")
            }
            Kind::Array(element) => self.read_array("nullable_array", element, flexible),
        }
    }

    fn read_array(self, method: &str, element: &Kind, flexible: &str) -> String {
        let by_length = |compact: usize, plain: usize| match flexible {
            "true" => compact.to_string(),
            "false" => plain.to_string(),
            _ => format!("if flex {{ {compact} }} else {{ {plain} }}"),
        };
        let size_min = match element {
            Kind::Fixed(.., size) => size.to_string(),
            Kind::String => by_length(1, 2),
            Kind::Struct(name) => format!("{name}::size_min(v)"),
            Kind::Bytes | Kind::Records | Kind::Array(_) => by_length(1, 4),
        };
        let read = match element {
            Kind::Fixed(_, method, _) => format!("Reader::{method}"),
            other => format!("|r| {}", self.read_kind(other, flexible)),
        };
        format!("r.{method}({flexible}, {size_min}, {read})")
    }

    fn read_tags(self) -> String {
        let flexible = self.flexible_struct();
        if flexible == "false" {
            return String::new();
        }
        let arms: String = self.one.tagged().into_iter().map(|field| self.tag_arm(field)).collect();
        let call = if arms.is_empty() {
            "r.tags(|_, _| Ok(false))?;\n".to_owned()
        } else {
            format!(
                "r.tags(|r, tag| {{\nmatch tag {{\n{arms}_ => return Ok(false),\n}}\nOk(true)\n}})?;\n"
            )
        };
        if flexible == "true" { call } else { format!("if flex {{\n{call}}}\n") }
    }

    fn tag_arm(self, field: &Field) -> String {
        let tag = field.tag.expect("only tagged fields come here");
        let guard = match field.versions.condition(self.within().and(self.message.flexible)) {
            Some(condition) => format!(" if {condition}"),
            None => String::new(),
        };
        let value = self.read_value(field, self.field_within(field));
        format!("{tag}{guard} => {{\n{} = {value};\n}}\n", field.name)
    }
}

/// The least number of bytes of a struct in one version.
fn struct_size_min(message: &Message, one: &Struct, version: i16) -> usize {
    let fields: usize = one
        .inline()
        .filter(|field| field.versions.has(version))
        .map(|field| field_size_min(message, field, version))
        .sum();
    fields + usize::from(message.flexible.has(version))
}

fn field_size_min(message: &Message, field: &Field, version: i16) -> usize {
    let compact = field.flexible.has(version);
    match &field.kind {
        Kind::Fixed(.., size) => *size,
        Kind::String => {
            if compact {
                1
            } else {
                2
            }
        }
        Kind::Bytes | Kind::Records | Kind::Array(_) => {
            if compact {
                1
            } else {
                4
            }
        }
        Kind::Struct(_) if field.nullable.has(version) => 1,
        Kind::Struct(name) => struct_size_min(message, message.find(name), version),
    }
}
