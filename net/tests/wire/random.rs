//! Random, fully populated wire bytes of any message in any version, from its schema.

use crate::support::{FieldSchema, Kind, MessageSchema, has};

/// A small deterministic generator (splitmix64): the same seed gives the same message.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

/// Where a length or count lies in the bytes, and how it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LengthPlace {
    pub(crate) at: usize,
    pub(crate) width: Width,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Width {
    Short,
    Long,
    /// An unsigned varint of one byte, as all made here are.
    Compact,
}

/// Random bytes of one message.
pub(crate) struct Sample {
    pub(crate) bytes: Vec<u8>,
    pub(crate) lengths: Vec<LengthPlace>,
}

/// A sample. With `unknown_tags` each tagged section also holds fields that no version knows.
pub(crate) fn sample(
    message: &MessageSchema,
    version: i16,
    seed: u64,
    unknown_tags: bool,
) -> Sample {
    let mut maker = Maker {
        random: Random(seed),
        version,
        flexible: message.flexible,
        unknown_tags,
        in_tag: false,
        out: Sample { bytes: Vec::new(), lengths: Vec::new() },
    };
    maker.fields(message.fields);
    maker.out
}

struct Maker {
    random: Random,
    version: i16,
    flexible: (i16, i16),
    unknown_tags: bool,
    /// Inside a tagged field every value must differ from its default, or it would not be sent.
    in_tag: bool,
    out: Sample,
}

impl Maker {
    fn fields(&mut self, fields: &[FieldSchema]) {
        let here = |field: &&FieldSchema| has(field.versions, self.version);
        let (inline, tagged): (Vec<_>, Vec<_>) =
            fields.iter().filter(here).partition(|field| field.tag.is_none());
        for field in inline {
            self.field(field);
        }
        if has(self.flexible, self.version) {
            self.tags(&tagged);
        }
    }

    fn tags(&mut self, fields: &[&FieldSchema]) {
        let chosen: Vec<_> = fields.iter().filter(|_| self.random.below(4) > 0).collect();
        let unknown: &[u8] = if self.unknown_tags { &[100, 3, 1, 2, 3, 101, 0] } else { &[] };
        let count = chosen.len() + if self.unknown_tags { 2 } else { 0 };
        self.varint(count);
        for field in chosen {
            let whole = std::mem::take(&mut self.out.bytes);
            let lengths = self.out.lengths.len();
            let outer = std::mem::replace(&mut self.in_tag, true);
            self.field(field);
            self.in_tag = outer;
            let value = std::mem::replace(&mut self.out.bytes, whole);
            self.varint(field.tag.expect("tagged fields have a tag") as usize);
            self.varint(value.len());
            let start = self.out.bytes.len();
            self.out.bytes.extend(value);
            self.out.lengths[lengths..].iter_mut().for_each(|place| place.at += start);
        }
        self.out.bytes.extend_from_slice(unknown);
    }

    fn field(&mut self, field: &FieldSchema) {
        let may_be_null = has(field.nullable, self.version) && !self.in_tag;
        let is_null = may_be_null && self.random.below(4) == 0;
        let compact = has(field.flexible, self.version);
        if let Kind::Struct(fields) = field.kind {
            if has(field.nullable, self.version) {
                self.out.bytes.push(if is_null { 0xff } else { 1 });
            }
            if !is_null {
                self.fields(fields);
            }
            return;
        }
        if is_null {
            self.null(&field.kind, compact);
        } else {
            self.value(&field.kind, compact);
        }
    }

    fn null(&mut self, kind: &Kind, compact: bool) {
        let bytes: &[u8] = match kind {
            _ if compact => &[0],
            Kind::String => &[0xff; 2],
            _ => &[0xff; 4],
        };
        self.out.bytes.extend_from_slice(bytes);
    }

    fn value(&mut self, kind: &Kind, compact: bool) {
        let least = usize::from(self.in_tag);
        match kind {
            Kind::Bool => {
                let value = self.in_tag || self.random.below(2) == 1;
                self.out.bytes.push(u8::from(value));
            }
            Kind::Fixed(size) => self.number(*size),
            Kind::Float => self.out.bytes.extend_from_slice(&1.5f64.to_be_bytes()),
            Kind::String => {
                let count = least + self.random.below(6);
                let text: String = (0..count).map(|_| self.letter()).collect();
                self.length(text.len(), compact, Width::Short);
                self.out.bytes.extend_from_slice(text.as_bytes());
            }
            Kind::Bytes => {
                let count = least + self.random.below(6);
                self.length(count, compact, Width::Long);
                self.number(count);
            }
            Kind::Array(element) => {
                let count = least + self.random.below(3);
                self.length(count, compact, Width::Long);
                for _ in 0..count {
                    self.value(element, compact);
                }
            }
            Kind::Struct(fields) => self.fields(fields),
        }
    }

    fn letter(&mut self) -> char {
        let letters = ['a', 'b', 'z', 'K', '0', '_', '.', 'é', '語'];
        letters[self.random.below(letters.len())]
    }

    fn number(&mut self, size: usize) {
        for index in 0..size {
            let byte = self.random.next() as u8;
            let byte = if self.in_tag && index == 0 { byte & 0x3f | 1 } else { byte };
            self.out.bytes.push(byte);
        }
    }

    fn length(&mut self, length: usize, compact: bool, plain: Width) {
        let width = if compact { Width::Compact } else { plain };
        self.out.lengths.push(LengthPlace { at: self.out.bytes.len(), width });
        match width {
            Width::Compact => self.varint(length + 1),
            Width::Short => self.out.bytes.extend_from_slice(&(length as i16).to_be_bytes()),
            Width::Long => self.out.bytes.extend_from_slice(&(length as i32).to_be_bytes()),
        }
    }

    fn varint(&mut self, value: usize) {
        let mut rest = value;
        while rest >= 0x80 {
            self.out.bytes.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        self.out.bytes.push(rest as u8);
    }
}
