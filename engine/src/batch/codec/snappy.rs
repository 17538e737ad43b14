//! Snappy as Kafka's clients write it: in the framing of the xerial Java library, or as one raw block.
//!
//! ```text
//! 0x82 'S' 'N' 'A' 'P' 'P' 'Y' 0x00 | version i32 | lowest compatible version i32 |
//!   ( block length i32 | raw snappy block ) *
//! ```
//! All big-endian. The Java client writes the framing, librdkafka a raw block; both are read. This
//! is not the "framing format" of the snappy project itself, which Kafka does not use.
//!
//! A raw block starts with its claimed size. The claim is checked before memory is taken: against
//! the cap, and against the most that the given bytes could expand to.

use std::io;

const MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
const HEADER_BYTES: usize = MAGIC.len() + 8;
/// What the Java library's writer puts into both version fields.
const VERSION: i32 = 1;
/// Uncompressed bytes per block when writing: the Java library's default.
const BLOCK_BYTES: usize = 32 << 10;
/// The densest snappy element makes 64 bytes out of 3; a literal makes fewer. So no input can expand
/// more than this, and a greater claim is a lie.
const EXPANSION_MAX: usize = 22;

/// Compresses with xerial framing.
pub(super) fn compress(input: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER_BYTES + input.len() / 2);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&VERSION.to_be_bytes());
    out.extend_from_slice(&VERSION.to_be_bytes());
    let mut encoder = snap::raw::Encoder::new();
    for chunk in input.chunks(BLOCK_BYTES) {
        let block = encoder.compress_vec(chunk).expect("a block of 32 KiB is never too large");
        out.extend_from_slice(&(block.len() as i32).to_be_bytes());
        out.extend_from_slice(&block);
    }
    out
}

/// Reads either form, block by block.
pub(super) struct Blocks<'a> {
    rest: &'a [u8],
    framed: bool,
    block: Vec<u8>,
    block_taken: usize,
}

impl<'a> Blocks<'a> {
    pub(super) fn open(input: &'a [u8]) -> Self {
        let framed = input.len() >= HEADER_BYTES && input.starts_with(&MAGIC);
        let rest = if framed { &input[HEADER_BYTES..] } else { input };
        Self { rest, framed, block: Vec::new(), block_taken: 0 }
    }

    /// As [`io::Read::read`]; `FileTooLarge` when the next block would pass `bytes_left`.
    pub(super) fn read(&mut self, out: &mut [u8], bytes_left: u64) -> io::Result<usize> {
        while self.block_taken == self.block.len() {
            if self.rest.is_empty() {
                return Ok(0);
            }
            self.next_block(bytes_left)?;
        }
        let ready = &self.block[self.block_taken..];
        let taken = ready.len().min(out.len());
        out[..taken].copy_from_slice(&ready[..taken]);
        self.block_taken += taken;
        Ok(taken)
    }

    fn next_block(&mut self, bytes_left: u64) -> io::Result<()> {
        let compressed = self.take_compressed()?;
        let claimed = snap::raw::decompress_len(compressed).map_err(io::Error::other)?;
        if claimed > compressed.len().saturating_mul(EXPANSION_MAX) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        if claimed as u64 > bytes_left {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.block.clear();
        self.block.resize(claimed, 0);
        self.block_taken = 0;
        let written = snap::raw::Decoder::new()
            .decompress(compressed, &mut self.block)
            .map_err(io::Error::other)?;
        self.block.truncate(written);
        Ok(())
    }

    fn take_compressed(&mut self) -> io::Result<&'a [u8]> {
        if !self.framed {
            return Ok(std::mem::take(&mut self.rest));
        }
        let short = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let (prefix, rest) = self.rest.split_at_checked(4).ok_or_else(short)?;
        let length = i32::from_be_bytes(prefix.try_into().expect("split at 4"));
        let length = usize::try_from(length).map_err(|_| io::ErrorKind::InvalidData)?;
        let (block, rest) = rest.split_at_checked(length).ok_or_else(short)?;
        self.rest = rest;
        Ok(block)
    }
}
