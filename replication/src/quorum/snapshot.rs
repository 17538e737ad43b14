//! A snapshot of the metadata log: who this replica is, who its peers are, and the image.
//!
//! ```text
//!  | magic RMSN | version u16 | 0 u16 | body bytes u32 | crc32c u32 |
//!  body: | raft id u64 | node i32 | directory 16
//!        | voters u32 n, n × u64 | learners u32 n, n × u64
//!        | image u32 n, n bytes (records) |
//! ```
//!
//! Little-endian. Index and term stand beside it in the metadata journal. Who this replica is stands in
//! it because a raft id is drawn when a directory is formatted and lives as long as that directory: one
//! under another name, or a copy, is refused (design D8).

use engine::journal::meta::MetaSnapshot;
use engine::types::NodeId;

use super::item::u64_at;

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

/// Everything up to an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Snapshot {
    /// Whose copy this is.
    pub identity: Identity,
    /// Last index that the image holds.
    pub index: u64,
    /// Term of that index.
    pub term: u64,
    /// Raft ids that vote.
    pub voters: Vec<u64>,
    /// Raft ids that only follow.
    pub learners: Vec<u64>,
    /// The image's records, encoded; empty before the first.
    pub image: Vec<u8>,
}

/// Why a snapshot was not understood: the metadata log refuses to start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum SnapshotError {
    /// Not the length that it says, or above the limit.
    #[error("a snapshot of {0} bytes does not have the length it claims")]
    Length(usize),
    /// Not a snapshot.
    #[error("a snapshot starts with the wrong magic")]
    Magic,
    /// Written by a newer program.
    #[error("a snapshot of version {0}; this program reads version {VERSION}: start a newer one")]
    Version(u16),
    /// Not the bytes that were written.
    #[error("a snapshot fails its checksum")]
    Checksum,
}

impl Snapshot {
    /// The stored form.
    ///
    /// # Errors
    /// The size it would have, when that is above `bytes_max`.
    pub(super) fn encode(&self, bytes_max: usize) -> Result<MetaSnapshot, usize> {
        let mut body = Vec::with_capacity(self.image.len() + 256);
        body.extend_from_slice(&self.identity.raft_id.to_le_bytes());
        body.extend_from_slice(&self.identity.node.0.to_le_bytes());
        body.extend_from_slice(&self.identity.directory);
        for ids in [&self.voters, &self.learners] {
            put_len(&mut body, ids.len());
            ids.iter().for_each(|id| body.extend_from_slice(&id.to_le_bytes()));
        }
        put_len(&mut body, self.image.len());
        body.extend_from_slice(&self.image);
        let bytes = HEADER_BYTES + body.len();
        if bytes > bytes_max {
            return Err(bytes);
        }
        Ok(MetaSnapshot { index: self.index, term: self.term, bytes: with_header(&body) })
    }

    /// The snapshot stored in `stored`.
    ///
    /// # Errors
    /// [`SnapshotError`]; nothing is allocated before length and checksum are right.
    pub(super) fn decode(stored: &MetaSnapshot, bytes_max: usize) -> Result<Self, SnapshotError> {
        let whole = stored.bytes.len();
        let mut body = Reader { bytes: checked_body(&stored.bytes, bytes_max)?, whole };
        let identity = Identity {
            raft_id: body.u64()?,
            node: NodeId(body.u32()? as i32),
            directory: body.take(16)?.try_into().expect("sixteen bytes"),
        };
        let (voters, learners) = (body.ids()?, body.ids()?);
        let len = body.u32()? as usize;
        let image = body.take(len)?.to_vec();
        if !body.bytes.is_empty() {
            return Err(SnapshotError::Length(whole));
        }
        let (index, term) = (stored.index, stored.term);
        Ok(Self { identity, index, term, voters, learners, image })
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

fn checked_body(bytes: &[u8], bytes_max: usize) -> Result<&[u8], SnapshotError> {
    let Some((header, body)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
        return Err(SnapshotError::Length(bytes.len()));
    };
    if bytes.len() > bytes_max {
        return Err(SnapshotError::Length(bytes.len()));
    }
    if header[..4] != MAGIC {
        return Err(SnapshotError::Magic);
    }
    let version = u16::from_le_bytes([header[4], header[5]]);
    if version != VERSION {
        return Err(SnapshotError::Version(version));
    }
    if u32_of(&header[8..12]) as usize != body.len() {
        return Err(SnapshotError::Length(bytes.len()));
    }
    let crc = crc32c::crc32c_append(crc32c::crc32c(&header[..12]), body);
    if crc == u32_of(&header[12..]) { Ok(body) } else { Err(SnapshotError::Checksum) }
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
    fn take(&mut self, n: usize) -> Result<&'a [u8], SnapshotError> {
        let (head, rest) =
            self.bytes.split_at_checked(n).ok_or(SnapshotError::Length(self.whole))?;
        self.bytes = rest;
        Ok(head)
    }

    fn u32(&mut self) -> Result<u32, SnapshotError> {
        self.take(4).map(u32_of)
    }

    fn u64(&mut self) -> Result<u64, SnapshotError> {
        self.take(8).map(|bytes| u64_at(bytes, 0))
    }

    fn ids(&mut self) -> Result<Vec<u64>, SnapshotError> {
        let bytes = (self.u32()? as usize).checked_mul(8);
        let bytes = bytes.ok_or(SnapshotError::Length(self.whole))?;
        Ok(self.take(bytes)?.chunks_exact(8).map(|id| u64_at(id, 0)).collect())
    }
}
