//! `Wire::write`.

use super::Scope;
use crate::model::{Field, Kind};

impl Scope<'_> {
    /// Writes field after field, then the tagged section.
    pub(super) fn write(self) -> String {
        let mut body = String::new();
        for field in &self.one.fields {
            body += &self.guard_version(field);
        }
        for field in self.one.inline() {
            body += &self.write_inline(field);
        }
        body += &self.write_tags();
        body += "Ok(())\n";
        format!(
            "fn write(&self, w: &mut Writer, v: i16) -> Result<(), EncodeError> {{\n{}{body}}}\n",
            self.bind_flexible(&body)
        )
    }

    /// In requests, a value that the version would drop is an error, unless the spec allows it;
    /// an answer simply lacks what its version lacks.
    fn guard_version(self, field: &Field) -> String {
        let Some(condition) = field.versions.condition(self.within()) else { return String::new() };
        if self.owns_texts() || field.ignorable {
            return String::new();
        }
        format!(
            "if !({condition}) && ({}) {{\nreturn Err(EncodeError::FieldNotInVersion {{ field: {:?}, version: v }});\n}}\n",
            self.differs_from_default(field),
            self.label(field)
        )
    }

    fn label(self, field: &Field) -> String {
        format!("{}.{}", self.one.name, field.kafka_name)
    }

    fn write_inline(self, field: &Field) -> String {
        let value = self.write_field(field);
        match field.versions.condition(self.within()) {
            None => value,
            Some(condition) => format!("if {condition} {{\n{value}}}\n"),
        }
    }

    fn write_field(self, field: &Field) -> String {
        let flexible = self.flexible(field);
        if !self.is_option(field) {
            return self.write_plain(&field.kind, &field.name, flexible);
        }
        self.guard_null(field) + &self.write_option(field, flexible)
    }

    fn guard_null(self, field: &Field) -> String {
        let within = self.field_within(field);
        let Some(condition) = field.nullable.condition(within) else { return String::new() };
        format!(
            "if !({condition}) && self.{}.is_none() {{\nreturn Err(EncodeError::NullNotAllowed {{ field: {:?}, version: v }});\n}}\n",
            field.name,
            self.label(field)
        )
    }

    fn write_plain(self, kind: &Kind, name: &str, flexible: &str) -> String {
        match kind {
            Kind::Fixed(_, method, _) => format!("w.{method}(self.{name});\n"),
            Kind::String => format!("w.string({flexible}, Some(&*self.{name}))?;\n"),
            Kind::Bytes => format!("w.bytes({flexible}, Some(&*self.{name}))?;\n"),
            Kind::Records => format!("w.records({flexible}, Some(self.{name}))?;\n"),
            Kind::Struct(_) => format!("self.{name}.write(w, v)?;\n"),
            Kind::Array(element) => {
                let value = format!("Some(self.{name}.as_slice())");
                self.write_array(element, &value, flexible)
            }
        }
    }

    fn write_option(self, field: &Field, flexible: &str) -> String {
        let name = &field.name;
        match &field.kind {
            Kind::Fixed(..) => unreachable!("fixed-size values are never null"),
            Kind::String => format!("w.string({flexible}, self.{name}.as_deref())?;\n"),
            Kind::Bytes => format!("w.bytes({flexible}, self.{name}.as_deref())?;\n"),
            Kind::Records => format!("w.records({flexible}, self.{name})?;\n"),
            Kind::Struct(_) => self.write_option_struct(field),
            Kind::Array(element) => {
                self.write_array(element, &format!("self.{name}.as_deref()"), flexible)
            }
        }
    }

    /// A nullable struct has a marker byte, but only in versions that allow null. In a tagged field
    /// the marker is a varint: 1, or 0 for null.
    fn write_option_struct(self, field: &Field) -> String {
        let name = &field.name;
        let null = if field.tag.is_some() { 0 } else { -1 };
        let marker = |value: i8| match field.nullable.condition(self.field_within(field)) {
            None => format!("w.i8({value});\n"),
            Some(condition) => format!("if {condition} {{ w.i8({value}); }}\n"),
        };
        format!(
            "match &self.{name} {{\nSome(inner) => {{\n{}inner.write(w, v)?;\n}}\nNone => {{\n{}}}\n}}\n",
            marker(1),
            marker(null)
        )
    }

    fn write_array(self, element: &Kind, value: &str, flexible: &str) -> String {
        let each = match element {
            Kind::Fixed(_, method, _) => format!("{{\nw.{method}(*each);\nOk(())\n}}"),
            Kind::String => format!("w.string({flexible}, Some(&**each))"),
            Kind::Bytes => format!("w.bytes({flexible}, Some(&**each))"),
            Kind::Records => format!("w.records({flexible}, Some(*each))"),
            Kind::Struct(_) => "each.write(w, v)".to_owned(),
            Kind::Array(_) => unreachable!("no spec has arrays of arrays"),
        };
        format!("w.array({flexible}, {value}, |w, each| {each})?;\n")
    }

    fn write_tags(self) -> String {
        let flexible = self.flexible_struct();
        if flexible == "false" {
            return String::new();
        }
        let fields = self.one.tagged();
        let body = if fields.is_empty() { "w.uvarint(0);\n".to_owned() } else { self.tagged() };
        if flexible == "true" { body } else { format!("if flex {{\n{body}}}\n") }
    }

    /// Presence first (its count leads the section), then the fields by tag. A field that equals
    /// its default is not sent: old clients stumble over such tags.
    fn tagged(self) -> String {
        let (mut bind, mut count, mut write) = (String::new(), Vec::new(), String::new());
        for field in self.one.tagged() {
            let tag = field.tag.expect("tagged() yields tagged fields");
            let differs = self.differs_from_default(field);
            let within = self.within().and(self.message.flexible);
            let present = match field.versions.condition(within) {
                None => differs,
                Some(condition) => format!("{condition} && ({differs})"),
            };
            bind += &format!("let has_{tag} = {present};\n");
            count.push(format!("u32::from(has_{tag})"));
            write += &format!(
                "if has_{tag} {{\nw.tag({tag}, |w| {{\n{}Ok(())\n}})?;\n}}\n",
                self.write_field(field)
            );
        }
        format!("{bind}w.uvarint({});\n{write}", count.join(" + "))
    }
}
