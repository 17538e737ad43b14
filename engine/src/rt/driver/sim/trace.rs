//! What happened, as a running hash and, if asked for, as text.

use std::fmt::{self, Write};

/// A log of events whose hash is equal exactly when two runs were equal (64 bits wide).
#[derive(Debug)]
pub(super) struct Trace {
    hash: u64,
    lines: Option<Vec<String>>,
    scratch: String,
}

impl Trace {
    pub(super) fn new(keep_text: bool) -> Self {
        let lines = keep_text.then(Vec::new);
        Self { hash: 0xCBF2_9CE4_8422_2325, lines, scratch: String::new() }
    }

    /// Adds one event at virtual time `now`.
    pub(super) fn event(&mut self, now: u64, what: fmt::Arguments<'_>) {
        self.scratch.clear();
        write!(self.scratch, "{now} {what}").expect("writing to a string cannot fail");
        // FNV-1a over the line, line feed included.
        for byte in self.scratch.bytes().chain([b'\n']) {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
        }
        if let Some(lines) = &mut self.lines {
            lines.push(self.scratch.clone());
        }
    }

    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    pub(super) fn lines(&self) -> &[String] {
        self.lines.as_deref().unwrap_or_default()
    }
}

/// A hash of bytes for trace lines.
pub(super) fn digest(bytes: &[u8]) -> u64 {
    u64::from(crc32c::crc32c(bytes)) | (bytes.len() as u64) << 32
}
