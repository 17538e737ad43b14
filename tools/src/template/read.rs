//! Records out of a stream of bytes, by a [`Template`].
//!
//! A place reaches up to the next text of the template, or to the end of the input. So every
//! place but the last needs text behind it, and only key, value and partition can be read.

use std::io::BufRead;
use std::rc::Rc;

use anyhow::{Context, Result, bail, ensure};

use super::{Encoding, Part, Place, Template};
use crate::client::OwnedRecord;
use crate::text::{from_base64, from_hex};

/// Longest key or value that is read, in bytes: well above what a broker takes.
const FIELD_BYTES_MAX: usize = 256 << 20;

/// Reads records one after the other.
pub(crate) struct RecordReader<R> {
    input: R,
    parts: Rc<[Part]>,
    /// Records read so far, for messages.
    count: u64,
}

impl<R: BufRead> RecordReader<R> {
    /// A reader; refuses a template that cannot be read by.
    pub(crate) fn new(input: R, template: Template) -> Result<Self> {
        let parts = &template.parts;
        ensure!(!parts.is_empty(), "the format is empty");
        for (index, part) in parts.iter().enumerate() {
            let Part::Place(place, _) = part else { continue };
            ensure!(
                matches!(place, Place::Key | Place::Value | Place::Partition),
                "only %k, %v and %p can be read; take the others out of the format"
            );
            ensure!(
                !matches!(parts.get(index + 1), Some(Part::Place(..))),
                "two places side by side: put a text between them that ends the first"
            );
        }
        Ok(Self { input, parts: template.parts.into(), count: 0 })
    }

    /// The next record, `None` at the end of the input. Its timestamp is not set.
    pub(crate) fn next(&mut self) -> Result<Option<OwnedRecord>> {
        if self.input.fill_buf().context("cannot read the input")?.is_empty() {
            return Ok(None);
        }
        self.count += 1;
        let record = self.record().with_context(|| format!("record {} of the input", self.count));
        record.map(Some)
    }

    fn record(&mut self) -> Result<OwnedRecord> {
        let mut record = OwnedRecord::default();
        let parts = Rc::clone(&self.parts);
        let mut parts = parts.iter().peekable();
        while let Some(part) = parts.next() {
            match part {
                Part::Text(text) => {
                    let before = self.until(Some(text), false)?;
                    ensure!(before.is_empty(), "{:?} is missing", String::from_utf8_lossy(text));
                }
                Part::Place(place, encoding) => {
                    let end = match parts.next() {
                        Some(Part::Text(text)) => Some(text.as_slice()),
                        _ => None,
                    };
                    // The last text may be missing at the end of the input: a last line without
                    // its newline.
                    let bytes = self.until(end, parts.peek().is_none())?;
                    set(&mut record, *place, decode(bytes, *encoding)?)?;
                }
            }
        }
        Ok(record)
    }

    /// The bytes up to `end`, which is consumed; to the end of the input if there is no `end`.
    fn until(&mut self, end: Option<&[u8]>, may_lack_end: bool) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let Some(end) = end else {
            self.input.read_to_end(&mut bytes)?;
            return Ok(bytes);
        };
        let last = end.last().copied().expect("texts of a template are not empty");
        loop {
            let read = self.input.read_until(last, &mut bytes)?;
            if bytes.ends_with(end) {
                bytes.truncate(bytes.len() - end.len());
                return Ok(bytes);
            }
            if read == 0 && may_lack_end {
                return Ok(bytes);
            }
            if read == 0 {
                bail!("the input ends before {:?}", String::from_utf8_lossy(end));
            }
            ensure!(bytes.len() <= FIELD_BYTES_MAX, "longer than {FIELD_BYTES_MAX} bytes");
        }
    }
}

fn decode(bytes: Vec<u8>, encoding: Encoding) -> Result<Vec<u8>> {
    match encoding {
        Encoding::Plain | Encoding::Iso => Ok(bytes),
        Encoding::Hex => from_hex(&bytes).context("is not hexadecimal"),
        Encoding::Base64 => from_base64(&bytes).context("is not base64"),
        Encoding::Json => {
            let text: String = serde_json::from_slice(&bytes).context("is not a JSON text")?;
            Ok(text.into_bytes())
        }
    }
}

fn set(record: &mut OwnedRecord, place: Place, bytes: Vec<u8>) -> Result<()> {
    match place {
        Place::Key => record.key = Some(bytes),
        Place::Value => record.value = Some(bytes),
        _ => {
            let text = String::from_utf8_lossy(&bytes);
            let number = text.trim().parse();
            record.partition = Some(number.with_context(|| format!("{text:?} is no partition"))?);
        }
    }
    Ok(())
}
