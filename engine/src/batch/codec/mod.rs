//! The five compression codecs of record batches, as capped streams.
//!
//! A broker decompresses only to *verify*, and a client only to read, so the one shape offered is a
//! [`Decompressor`]: an [`io::Read`] over the compressed bytes that yields at most a given number of
//! bytes and then fails. What a compressed stream claims about its own size is never believed with
//! memory: output is taken as it comes.
//!
//! Memory besides the output: gzip about 40 KiB, snappy one block (bounded by the cap and by 64 times
//! the input, the most that snappy can expand), lz4 up to three blocks of at most 4 MiB. zstd
//! *reserves* the window that the frame asks for (at most 128 MiB, as Kafka's own decoder accepts),
//! but touches no more of it than it puts out, so what becomes resident stays under the cap too.
//!
//! Not covered: the legacy LZ4 header checksum of message format v0 and v1, and zstd dictionaries.

mod snappy;

use std::fmt;
use std::io::{self, Read, Write};

use super::BatchError;

/// How the records of a batch are compressed; the discriminants are the wire's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Codec {
    /// Not at all.
    #[default]
    None = 0,
    /// RFC 1952, several members allowed.
    Gzip = 1,
    /// Snappy blocks in xerial framing; a single raw block is understood as well.
    Snappy = 2,
    /// The LZ4 frame format.
    Lz4 = 3,
    /// RFC 8878.
    Zstd = 4,
}

impl Codec {
    /// All of them, by wire id.
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// Kafka's name of the codec, as in `compression.type`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    /// The codec of that name; `uncompressed` is Kafka's other word for none.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let name = if name == "uncompressed" { "none" } else { name };
        Self::ALL.into_iter().find(|codec| codec.name() == name)
    }

    pub(super) fn from_attributes(attributes: u16) -> Result<Self, BatchError> {
        let id = (attributes & 0x7) as u8;
        Self::ALL.get(usize::from(id)).copied().ok_or(BatchError::UnknownCodec { id })
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Compresses `input` whole; `level` is the codec's own (gzip 1 to 9, zstd -131072 to 22), `None` its
/// default.
///
/// For clients and tests, and for brokers that recompress. Snappy and lz4 have no level here.
///
/// # Panics
/// Never for the levels named above: writing into memory cannot fail.
#[must_use]
pub fn compress(codec: Codec, level: Option<i32>, input: &[u8]) -> Vec<u8> {
    match codec {
        Codec::None => input.to_vec(),
        Codec::Gzip => gzip(level, input),
        Codec::Snappy => snappy::compress(input),
        Codec::Lz4 => lz4(input),
        Codec::Zstd => zstd::bulk::compress(input, level.unwrap_or(3))
            .expect("zstd compresses any input into a buffer of the bound that it asks for"),
    }
}

/// Decompresses `input` whole, at most `bytes_max` bytes of it.
///
/// # Errors
/// [`BatchError::Undecodable`] and [`BatchError::Bomb`].
pub fn decompress(codec: Codec, input: &[u8], bytes_max: u64) -> Result<Vec<u8>, BatchError> {
    let mut source = Decompressor::open(codec, input, bytes_max)?;
    let mut out = Vec::new();
    loop {
        let filled = out.len();
        out.resize(filled + READ_BYTES.min(filled.max(READ_BYTES_MIN)), 0);
        let taken = source.read(&mut out[filled..])?;
        out.truncate(filled + taken);
        if taken == 0 {
            return Ok(out);
        }
    }
}

const READ_BYTES_MIN: usize = 4 << 10;
const READ_BYTES: usize = 256 << 10;
/// The largest window a zstd frame may ask for, as a power of two.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;
/// Kafka needs independent blocks; 64 KiB is what its clients use.
const LZ4_BLOCK: lz4_flex::frame::BlockSize = lz4_flex::frame::BlockSize::Max64KB;

fn gzip(level: Option<i32>, input: &[u8]) -> Vec<u8> {
    let level = level.map_or(flate2::Compression::default(), |level| {
        flate2::Compression::new(level.clamp(0, 9) as u32)
    });
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
    encoder.write_all(input).expect("writing into memory does not fail");
    encoder.finish().expect("writing into memory does not fail")
}

fn lz4(input: &[u8]) -> Vec<u8> {
    let info = lz4_flex::frame::FrameInfo::new()
        .block_size(LZ4_BLOCK)
        .block_mode(lz4_flex::frame::BlockMode::Independent);
    let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(input).expect("writing into memory does not fail");
    encoder.finish().expect("writing into memory does not fail")
}

/// A capped stream of decompressed bytes.
pub(super) struct Decompressor<'a> {
    codec: Codec,
    source: Source<'a>,
    bytes_left: u64,
    bytes_max: u64,
}

enum Source<'a> {
    Plain(&'a [u8]),
    Gzip(Box<flate2::bufread::MultiGzDecoder<&'a [u8]>>),
    Snappy(snappy::Blocks<'a>),
    Lz4(Box<lz4_flex::frame::FrameDecoder<&'a [u8]>>),
    Zstd(zstd::stream::read::Decoder<'static, &'a [u8]>),
}

impl<'a> Decompressor<'a> {
    /// Starts reading `input`, which yields at most `bytes_max` bytes.
    pub(super) fn open(codec: Codec, input: &'a [u8], bytes_max: u64) -> Result<Self, BatchError> {
        let source = match codec {
            Codec::None => Source::Plain(input),
            Codec::Gzip => Source::Gzip(Box::new(flate2::bufread::MultiGzDecoder::new(input))),
            Codec::Snappy => Source::Snappy(snappy::Blocks::open(input)),
            Codec::Lz4 => Source::Lz4(Box::new(lz4_flex::frame::FrameDecoder::new(input))),
            Codec::Zstd => {
                Source::Zstd(open_zstd(input).map_err(|_| BatchError::Undecodable { codec })?)
            }
        };
        Ok(Self { codec, source, bytes_left: bytes_max, bytes_max })
    }

    /// Fills `out` from its front; 0 means the end of the content (`out` must not be empty).
    pub(super) fn read(&mut self, out: &mut [u8]) -> Result<usize, BatchError> {
        assert!(!out.is_empty());
        let undecodable = BatchError::Undecodable { codec: self.codec };
        // One byte past the cap is asked for, so that content of exactly the cap still ends well.
        let allowed = usize::try_from(self.bytes_left.saturating_add(1)).unwrap_or(usize::MAX);
        let room = out.len().min(allowed);
        let taken = match self.source.read(&mut out[..room], self.bytes_left) {
            Ok(taken) => taken as u64,
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => return Err(self.bomb()),
            Err(_) => return Err(undecodable),
        };
        self.bytes_left = self.bytes_left.checked_sub(taken).ok_or_else(|| self.bomb())?;
        Ok(taken as usize)
    }

    fn bomb(&self) -> BatchError {
        BatchError::Bomb { codec: self.codec, bytes_max: self.bytes_max }
    }
}

impl Source<'_> {
    /// `bytes_left` lets a block codec refuse before it takes memory, with `FileTooLarge`.
    fn read(&mut self, out: &mut [u8], bytes_left: u64) -> io::Result<usize> {
        match self {
            Self::Plain(bytes) => bytes.read(out),
            Self::Gzip(decoder) => decoder.read(out),
            Self::Snappy(blocks) => blocks.read(out, bytes_left),
            Self::Lz4(decoder) => decoder.read(out),
            Self::Zstd(decoder) => decoder.read(out),
        }
    }
}

fn open_zstd(input: &[u8]) -> io::Result<zstd::stream::read::Decoder<'static, &[u8]>> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(input)?;
    decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
    Ok(decoder)
}
