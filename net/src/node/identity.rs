//! The `directory` file: whose data this directory holds.
//!
//! It is written once, when the directory is formatted, and never again. Layout, little-endian,
//! 72 bytes:
//!
//! ```text
//!  0  magic         8  "RINGMDIR"
//!  8  version       4  1
//! 12  length        4  72
//! 16  cluster id   16  random, or that of the cluster the node joined
//! 32  directory id 16  random: a wiped disk is a new replica
//! 48  node id       4
//! 52  reserved     16  zero
//! 68  crc32c        4  of bytes 0..68
//! ```
//!
//! The raft id, drawn in the same moment, stands in the metadata journal (`replication::quorum`).
//!
//! A newer version refuses to start. A damaged file refuses to start too: guessing an identity
//! would let two directories pass for one.

use engine::types::NodeId;

/// Length of the file in bytes.
pub const IDENTITY_BYTES: usize = 72;
const MAGIC: &[u8; 8] = b"RINGMDIR";
const VERSION: u32 = 1;

/// Whose data a directory holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The cluster, 128 random bits.
    pub cluster_id: [u8; 16],
    /// This directory, 128 random bits.
    pub directory_id: [u8; 16],
    /// Kafka's node id, at least 0.
    pub node_id: NodeId,
}

/// Why a `directory` file is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// Not our file.
    #[error("it does not begin as a Ringmain directory file")]
    Magic,
    /// A later Ringmain wrote it.
    #[error("its format version {0} is newer than this binary knows (1): start a newer Ringmain")]
    Newer(u32),
    /// Cut, grown or rotten.
    #[error("it is damaged: restore it from a backup of this directory, or start in an empty one")]
    Damaged,
}

impl Identity {
    /// The file's bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; IDENTITY_BYTES] {
        let mut bytes = [0; IDENTITY_BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&(IDENTITY_BYTES as u32).to_le_bytes());
        bytes[16..32].copy_from_slice(&self.cluster_id);
        bytes[32..48].copy_from_slice(&self.directory_id);
        bytes[48..52].copy_from_slice(&self.node_id.0.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..68]);
        bytes[68..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads the file's bytes.
    ///
    /// # Errors
    /// [`IdentityError`]; each variant says what to do.
    pub fn decode(bytes: &[u8]) -> Result<Self, IdentityError> {
        let word = |at: usize| -> Option<u32> {
            Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
        };
        if bytes.get(..8) != Some(MAGIC.as_slice()) {
            return Err(IdentityError::Magic);
        }
        let version = word(8).ok_or(IdentityError::Damaged)?;
        if version > VERSION {
            return Err(IdentityError::Newer(version));
        }
        let whole: &[u8; IDENTITY_BYTES] = bytes.try_into().map_err(|_| IdentityError::Damaged)?;
        if word(68) != Some(crc32c::crc32c(&whole[..68])) || version != VERSION {
            return Err(IdentityError::Damaged);
        }
        let identity = Self {
            cluster_id: array(&whole[16..32]),
            directory_id: array(&whole[32..48]),
            node_id: NodeId(i32::from_le_bytes(array(&whole[48..52]))),
        };
        if identity.node_id.0 < 0 {
            return Err(IdentityError::Damaged);
        }
        Ok(identity)
    }
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("the caller cut exactly this many bytes")
}

/// 128 bits as Kafka writes its ids: URL-safe base64 without padding, 22 characters.
#[must_use]
pub fn kafka_id(bits: [u8; 16]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let value = u128::from_be_bytes(bits);
    // 22 characters carry 132 bits: the last one holds two bits and four zeros.
    (0..22)
        .map(|place| {
            let bits = if place == 21 { (value << 4) & 0x3f } else { value >> (122 - 6 * place) };
            char::from(ALPHABET[(bits & 0x3f) as usize])
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Identity {
        Identity { cluster_id: [7; 16], directory_id: [9; 16], node_id: NodeId(1) }
    }

    #[test]
    fn bytes_come_back_and_the_layout_is_pinned() {
        let bytes = sample().encode();
        assert_eq!(Identity::decode(&bytes), Ok(sample()));
        assert_eq!(&bytes[..16], b"RINGMDIR\x01\0\0\0\x48\0\0\0");
        assert_eq!(crc32c::crc32c(&bytes[..68]), u32::from_le_bytes(array(&bytes[68..])));
    }

    #[test]
    fn every_flipped_byte_and_every_cut_is_refused() {
        let good = sample().encode();
        for at in 0..IDENTITY_BYTES {
            let mut bad = good;
            bad[at] ^= 0x40;
            assert!(Identity::decode(&bad).is_err(), "byte {at}");
            assert!(Identity::decode(&good[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn a_newer_version_is_named() {
        let mut newer = sample().encode();
        newer[8] = 2;
        assert_eq!(Identity::decode(&newer), Err(IdentityError::Newer(2)));
    }

    #[test]
    fn ids_read_as_kafka_writes_them() {
        // Python: base64.urlsafe_b64encode(bytes(range(16)))
        let bits: [u8; 16] = std::array::from_fn(|at| at as u8);
        assert_eq!(kafka_id(bits), "AAECAwQFBgcICQoLDA0ODw");
        assert_eq!(kafka_id([0xff; 16]), "_____________________w");
    }
}
