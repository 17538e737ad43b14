//! A spec resolved for Rust: structs in order of use, field types, conditions, defaults.
//!
//! Checks here what the emitted code relies on: tags are dense, tagged fields are in flexible
//! versions only, no records in tagged fields, every struct name is known, every default fits its
//! type. A spec that breaks one of these stops the run with its name.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};

use crate::names;
use crate::spec::{SpecField, SpecFile};
use crate::versions::Versions;

/// A message ready to be emitted.
#[derive(Debug)]
pub(crate) struct Message {
    /// Kafka's name.
    pub(crate) name: String,
    /// As [`SpecFile::kind`].
    pub(crate) kind: String,
    /// API key, if it has one.
    pub(crate) key: Option<i16>,
    /// Type of the record, if it is the key or value of a coordinator's record.
    pub(crate) record_type: Option<i16>,
    /// Versions that exist.
    pub(crate) valid: Versions,
    /// Flexible versions.
    pub(crate) flexible: Versions,
    /// The message's own struct first, then those it uses, in order of first use.
    pub(crate) structs: Vec<Struct>,
}

/// One struct.
#[derive(Clone, Debug)]
pub(crate) struct Struct {
    /// Kafka's name.
    pub(crate) name: String,
    /// Fields in the order of the wire.
    pub(crate) fields: Vec<Field>,
    /// Whether it borrows from the frame.
    pub(crate) borrows: bool,
    /// Versions in which it is used at all.
    pub(crate) versions: Versions,
}

/// One field.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    /// Kafka's name.
    pub(crate) kafka_name: String,
    /// Rust's name.
    pub(crate) name: String,
    /// Type.
    pub(crate) kind: Kind,
    /// Type as the spec writes it.
    pub(crate) kind_text: String,
    /// Versions that have it.
    pub(crate) versions: Versions,
    /// Versions in which it may be null.
    pub(crate) nullable: Versions,
    /// Tag, if it is a tagged field in [`Field::tagged`].
    pub(crate) tag: Option<u32>,
    /// Versions in which it is tagged.
    pub(crate) tagged: Versions,
    /// Versions in which its lengths are compact.
    pub(crate) flexible: Versions,
    /// Default as text.
    pub(crate) default: Option<String>,
    /// May be dropped silently in versions without it.
    pub(crate) ignorable: bool,
}

/// The type of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A fixed-size value: Rust type, name of the reader's and writer's method, wire size.
    Fixed(&'static str, &'static str, usize),
    /// Text.
    String,
    /// Bytes.
    Bytes,
    /// Record batches.
    Records,
    /// A struct, by Kafka's name.
    Struct(String),
    /// An array of one of the others.
    Array(Box<Kind>),
}

impl Kind {
    fn parse(text: &str) -> Self {
        if let Some(element) = text.strip_prefix("[]") {
            return Self::Array(Box::new(Self::parse(element)));
        }
        match text {
            "bool" => Self::Fixed("bool", "bool", 1),
            "int8" => Self::Fixed("i8", "i8", 1),
            "int16" => Self::Fixed("i16", "i16", 2),
            "uint16" => Self::Fixed("u16", "u16", 2),
            "int32" => Self::Fixed("i32", "i32", 4),
            "uint32" => Self::Fixed("u32", "u32", 4),
            "int64" => Self::Fixed("i64", "i64", 8),
            "float64" => Self::Fixed("f64", "f64", 8),
            "uuid" => Self::Fixed("[u8; 16]", "uuid", 16),
            "string" => Self::String,
            "bytes" => Self::Bytes,
            "records" => Self::Records,
            name => Self::Struct(name.to_owned()),
        }
    }

    /// The struct that this type is or holds, if any.
    pub(crate) fn struct_name(&self) -> Option<&str> {
        match self {
            Self::Struct(name) => Some(name),
            Self::Array(element) => element.struct_name(),
            _ => None,
        }
    }

    fn holds_records(&self, structs: &[Struct]) -> bool {
        match self {
            Self::Records => true,
            Self::Array(element) => element.holds_records(structs),
            Self::Struct(name) => structs
                .iter()
                .filter(|one| one.name == *name)
                .any(|one| one.fields.iter().any(|field| field.kind.holds_records(structs))),
            _ => false,
        }
    }
}

impl Message {
    /// Resolves a spec.
    pub(crate) fn resolve(spec: &SpecFile) -> Result<Self> {
        let valid = Versions::parse(&spec.valid_versions)?;
        let flexible = SpecField::versions_of(spec.flexible_versions.as_ref())?;
        let mut resolver =
            Resolver { valid, flexible, common: BTreeMap::new(), structs: Vec::new() };
        for common in &spec.common_structs {
            resolver.common.insert(common.name.clone(), common.fields.clone());
        }
        resolver.add(&spec.name, &spec.fields, valid)?;
        let mut structs = resolver.structs;
        let of_record = spec.kind.starts_with("coordinator-");
        mark_borrowing(&mut structs);
        let message = Self {
            name: spec.name.clone(),
            kind: spec.kind.clone(),
            key: spec.api_key.filter(|_| !of_record),
            record_type: spec.api_key.filter(|_| of_record),
            valid,
            flexible,
            structs,
        };
        message.check()?;
        Ok(message)
    }

    /// The struct of that name.
    pub(crate) fn find(&self, name: &str) -> &Struct {
        self.structs.iter().find(|one| one.name == name).expect("resolved specs name known structs")
    }

    fn check(&self) -> Result<()> {
        for one in &self.structs {
            one.check(self).with_context(|| format!("struct {}", one.name))?;
        }
        Ok(())
    }
}

impl Struct {
    fn check(&self, message: &Message) -> Result<()> {
        let mut tags: Vec<u32> = self.fields.iter().filter_map(|field| field.tag).collect();
        tags.sort_unstable();
        ensure!(tags.iter().copied().eq(0..tags.len() as u32), "tags {tags:?} have gaps");
        for field in &self.fields {
            let in_tag = field.tagged.and(message.valid);
            let flexible = message.flexible.and(message.valid);
            ensure!(
                in_tag.is_empty() || in_tag.and(flexible) == in_tag,
                "{} is tagged in versions that are not flexible",
                field.kafka_name
            );
            ensure!(
                field.tag.is_none() || !field.kind.holds_records(&message.structs),
                "{} holds records in a tagged field",
                field.kafka_name
            );
            ensure!(
                field.tag.is_none()
                    || field.tagged.and(message.valid) == field.versions.and(message.valid),
                "{} is tagged in some of its versions only",
                field.kafka_name
            );
        }
        Ok(())
    }

    /// Fields that stand in line (not tagged), in order.
    pub(crate) fn inline(&self) -> impl Iterator<Item = &Field> {
        self.fields.iter().filter(|field| field.tag.is_none())
    }

    /// Tagged fields, by tag.
    pub(crate) fn tagged(&self) -> Vec<&Field> {
        let mut fields: Vec<&Field> = self.fields.iter().filter(|f| f.tag.is_some()).collect();
        fields.sort_by_key(|field| field.tag);
        fields
    }
}

struct Resolver {
    valid: Versions,
    flexible: Versions,
    common: BTreeMap<String, Vec<SpecField>>,
    structs: Vec<Struct>,
}

impl Resolver {
    fn add(&mut self, name: &str, fields: &[SpecField], versions: Versions) -> Result<()> {
        if let Some(known) = self.structs.iter_mut().find(|one| one.name == name) {
            known.versions = union(known.versions, versions);
            return Ok(());
        }
        // Fields that only removed versions had are gone for us, with the structs they alone use.
        let living: Result<Vec<bool>> =
            fields.iter().map(|field| Ok(!field.versions()?.and(self.valid).is_empty())).collect();
        let living = living?;
        let fields: Vec<SpecField> =
            fields.iter().zip(living).filter(|(_, lives)| *lives).map(|(f, _)| f.clone()).collect();
        let resolved: Result<Vec<Field>> = fields
            .iter()
            .map(|field| self.field(field).with_context(|| format!("{name}.{}", field.name)))
            .collect();
        let fields_resolved = resolved?;
        let place = self.structs.len();
        self.structs.push(Struct {
            name: name.to_owned(),
            fields: fields_resolved.clone(),
            borrows: false,
            versions,
        });
        for (spec, field) in fields.iter().zip(&fields_resolved) {
            let Some(inner) = field.kind.struct_name() else { continue };
            let inner_fields = match (spec.fields.is_empty(), self.common.get(inner)) {
                (false, _) => spec.fields.clone(),
                (true, Some(common)) => common.clone(),
                (true, None) => match self.structs.iter().any(|one| one.name == inner) {
                    true => Vec::new(),
                    false => bail!("{name}.{}: struct {inner} is not defined", spec.name),
                },
            };
            let used = versions.and(field.versions);
            self.add(inner, &inner_fields, used)?;
        }
        ensure!(self.structs[place].name == name);
        Ok(())
    }

    fn field(&self, spec: &SpecField) -> Result<Field> {
        let flexible = match &spec.flexible_versions {
            Some(text) => Versions::parse(text)?,
            None => self.flexible,
        };
        let tagged = SpecField::versions_of(spec.tagged_versions.as_ref())?;
        ensure!(spec.tag.is_some() != tagged.is_empty(), "tag and taggedVersions go together");
        Ok(Field {
            kafka_name: spec.name.clone(),
            name: names::snake(&spec.name),
            kind: Kind::parse(&spec.kind),
            kind_text: spec.kind.clone(),
            versions: spec.versions()?,
            nullable: SpecField::versions_of(spec.nullable_versions.as_ref())?,
            tag: spec.tag,
            tagged,
            flexible,
            default: spec.default_text(),
            ignorable: spec.ignorable,
        })
    }
}

fn union(a: Versions, b: Versions) -> Versions {
    match (a.is_empty(), b.is_empty()) {
        (true, _) => b,
        (_, true) => a,
        _ => Versions { min: a.min.min(b.min), max: a.max.max(b.max) },
    }
}

/// A struct borrows if any field does; structs are listed before those they use.
fn mark_borrowing(structs: &mut [Struct]) {
    for index in (0..structs.len()).rev() {
        let borrows = structs[index].fields.iter().any(|field| borrows(&field.kind, structs));
        structs[index].borrows = borrows;
    }
    // A struct may be used before and after the one that settles it: once more until stable.
    for index in (0..structs.len()).rev() {
        let borrows = structs[index].fields.iter().any(|field| borrows(&field.kind, structs));
        structs[index].borrows |= borrows;
    }
}

fn borrows(kind: &Kind, structs: &[Struct]) -> bool {
    match kind {
        Kind::Fixed(..) => false,
        Kind::String | Kind::Bytes | Kind::Records => true,
        Kind::Array(element) => borrows(element, structs),
        Kind::Struct(name) => structs.iter().any(|one| one.name == *name && one.borrows),
    }
}
