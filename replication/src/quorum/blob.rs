//! The snapshot of a metadata log: everything a node needs to go on from it, in one piece.
//!
//! ```text
//!  | magic RMSN | version u16 | 0 u16 | body bytes u32 | crc32c u32 |
//!  body: | raft id u64 | node i32 | directory 16 | index u64 | term u64
//!        | hard state: term, vote, commit u64
//!        | voters u32 n, n × u64 | learners u32 n, n × u64
//!        | image u32 n, n bytes (records) | tail u32 n, n × (u32 len, item) |
//! ```
//!
//! Little-endian. It holds what lies after the snapshot's index too (hard state, entries not yet
//! applied), so that replacing the log by it is one step for the journal below. Who this node is
//! stands in it as well: the raft id is drawn when the directory is formatted, and a directory under
//! another name is refused (design D8).

use engine::types::NodeId;

use super::item::{Item, ItemError, StoredHardState, u64_at};

const MAGIC: [u8; 4] = *b"RMSN";
const VERSION: u16 = 1;
const HEADER_BYTES: usize = 16;

/// Who a replica of the metadata log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Random and non-zero, drawn when the directory is formatted.
    pub raft_id: u64,
    /// Kafka's node id.
    pub node: NodeId,
    /// Identity of the data directory.
    pub directory: [u8; 16],
}

/// A snapshot and what follows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    /// Who wrote it.
    pub identity: Identity,
    /// Last index that the image holds.
    pub index: u64,
    /// Term of that index.
    pub term: u64,
    /// Hard state when it was taken.
    pub hard_state: StoredHardState,
    /// Raft ids that vote.
    pub voters: Vec<u64>,
    /// Raft ids that only follow.
    pub learners: Vec<u64>,
    /// The image's records, encoded.
    pub image: Vec<u8>,
    /// Entries past `index`.
    pub tail: Vec<Item>,
}

/// Why a snapshot was not understood: the metadata log refuses to start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlobError {
    /// Not the length that it says, or above the limit.
    #[error("a metadata snapshot of {0} bytes does not have the length it claims")]
    Length(usize),
    /// Not a snapshot.
    #[error("a metadata snapshot starts with the wrong magic")]
    Magic,
    /// Written by a newer program.
    #[error(
        "a metadata snapshot of version {0}; this program reads version {VERSION}: start a newer one"
    )]
    Version(u16),
    /// Not the bytes that were written.
    #[error("a metadata snapshot fails its checksum")]
    Checksum,
    /// An item of its tail.
    #[error("the tail of a metadata snapshot: {0}")]
    Tail(#[from] ItemError),
}

impl Blob {
    /// The stored form.
    ///
    /// # Errors
    /// The size it would have, when that is above `bytes_max`.
    pub fn encode(&self, bytes_max: usize) -> Result<Vec<u8>, usize> {
        let mut body = Vec::with_capacity(self.image.len() + 256);
        body.extend_from_slice(&self.identity.raft_id.to_le_bytes());
        body.extend_from_slice(&self.identity.node.0.to_le_bytes());
        body.extend_from_slice(&self.identity.directory);
        let state = self.hard_state;
        for value in [self.index, self.term, state.term, state.vote, state.commit] {
            body.extend_from_slice(&value.to_le_bytes());
        }
        for ids in [&self.voters, &self.learners] {
            put_len(&mut body, ids.len());
            ids.iter().for_each(|id| body.extend_from_slice(&id.to_le_bytes()));
        }
        put_len(&mut body, self.image.len());
        body.extend_from_slice(&self.image);
        put_len(&mut body, self.tail.len());
        for item in self.tail.iter().map(Item::encode) {
            put_len(&mut body, item.len());
            body.extend_from_slice(&item);
        }
        let bytes = HEADER_BYTES + body.len();
        if bytes > bytes_max { Err(bytes) } else { Ok(with_header(&body)) }
    }

    /// The snapshot stored in `bytes`.
    ///
    /// # Errors
    /// [`BlobError`]; nothing is allocated before length and checksum are right.
    pub fn decode(bytes: &[u8], bytes_max: usize) -> Result<Self, BlobError> {
        let mut body = Reader { bytes: checked_body(bytes, bytes_max)?, whole: bytes.len() };
        let identity = Identity {
            raft_id: body.u64()?,
            node: NodeId(body.u32()? as i32),
            directory: body.take(16)?.try_into().expect("sixteen bytes"),
        };
        let (index, term) = (body.u64()?, body.u64()?);
        let hard_state =
            StoredHardState { term: body.u64()?, vote: body.u64()?, commit: body.u64()? };
        let (voters, learners) = (body.ids()?, body.ids()?);
        let image = body.chunk()?.to_vec();
        let tail = body.items()?;
        body.end()?;
        Ok(Self { identity, index, term, hard_state, voters, learners, image, tail })
    }
}

fn put_len(out: &mut Vec<u8>, len: usize) {
    out.extend_from_slice(&(len as u32).to_le_bytes());
}

fn with_header(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER_BYTES + body.len());
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&[0, 0]);
    put_len(&mut out, body.len());
    let crc = crc32c::crc32c_append(crc32c::crc32c(&out), body);
    out.extend_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(body);
    out
}

fn checked_body(bytes: &[u8], bytes_max: usize) -> Result<&[u8], BlobError> {
    let Some((header, body)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
        return Err(BlobError::Length(bytes.len()));
    };
    if bytes.len() > bytes_max {
        return Err(BlobError::Length(bytes.len()));
    }
    if header[..4] != MAGIC {
        return Err(BlobError::Magic);
    }
    let version = u16::from_le_bytes([header[4], header[5]]);
    if version != VERSION {
        return Err(BlobError::Version(version));
    }
    if u32_of(&header[8..12]) as usize != body.len() {
        return Err(BlobError::Length(bytes.len()));
    }
    let crc = crc32c::crc32c_append(crc32c::crc32c(&header[..12]), body);
    if crc == u32_of(&header[12..]) { Ok(body) } else { Err(BlobError::Checksum) }
}

fn u32_of(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(bytes.try_into().expect("four bytes"))
}

/// Takes fields off the front; a field that is not there is a wrong length, whatever was claimed.
struct Reader<'a> {
    bytes: &'a [u8],
    whole: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], BlobError> {
        let (head, rest) = self.bytes.split_at_checked(n).ok_or(BlobError::Length(self.whole))?;
        self.bytes = rest;
        Ok(head)
    }

    fn u32(&mut self) -> Result<u32, BlobError> {
        self.take(4).map(u32_of)
    }

    fn u64(&mut self) -> Result<u64, BlobError> {
        self.take(8).map(|bytes| u64_at(bytes, 0))
    }

    fn chunk(&mut self) -> Result<&'a [u8], BlobError> {
        let len = self.u32()? as usize;
        self.take(len)
    }

    fn ids(&mut self) -> Result<Vec<u64>, BlobError> {
        let bytes = (self.u32()? as usize).checked_mul(8).ok_or(BlobError::Length(self.whole))?;
        Ok(self.take(bytes)?.chunks_exact(8).map(|id| u64_at(id, 0)).collect())
    }

    fn items(&mut self) -> Result<Vec<Item>, BlobError> {
        let mut out = Vec::new();
        for _ in 0..self.u32()? {
            out.push(Item::decode(self.chunk()?)?);
        }
        Ok(out)
    }

    fn end(&self) -> Result<(), BlobError> {
        if self.bytes.is_empty() { Ok(()) } else { Err(BlobError::Length(self.whole)) }
    }
}
