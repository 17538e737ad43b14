//! Storing a batch in another codec than it came in (`compression.type` of a topic).
//!
//! Only the compression changes: the records stay the bytes that they are, and so does the header but for
//! codec, length and checksum. Kafka writes every record anew instead; readers cannot tell.
//!
//! The records are in memory uncompressed while this works, at most as many bytes as the caller allows.

use super::view::{AT_ATTRIBUTES, AT_CRC, AT_LENGTH, HEADER_BYTES, LENGTH_OVERHEAD};
use super::{BatchError, BatchInfo, Codec, Rules, compress, decompress};

/// The low bits of the attributes: the codec.
const CODEC_BITS: u16 = 0x7;

/// The batch that [`check`](super::check) described by `info` under `rules`, in another codec, and what it
/// is then. `level` is as for [`compress`].
///
/// # Errors
/// If it is larger than `rules` allow in the new codec, or does not decompress within them.
///
/// # Panics
/// If `bytes` are not what `info` describes.
pub fn recompress(
    bytes: &[u8],
    info: &BatchInfo,
    codec: Codec,
    level: Option<i32>,
    rules: &Rules,
) -> Result<(Vec<u8>, BatchInfo), BatchError> {
    assert_eq!(bytes.len(), info.size as usize, "the batch was checked");
    let (header, body) = bytes.split_at(HEADER_BYTES);
    let plain = match info.codec {
        Codec::None => body,
        from => &decompress(from, body, rules.decompressed_bytes_max)?,
    };
    let body = compress(codec, level, plain);
    let size = HEADER_BYTES + body.len();
    if size > rules.batch_bytes_max as usize {
        return Err(BatchError::TooLarge { bytes: size, bytes_max: rules.batch_bytes_max });
    }
    if size > rules.segment_bytes_max as usize {
        let bytes_max = rules.segment_bytes_max;
        return Err(BatchError::TooLargeForSegment { bytes: size, bytes_max });
    }
    let mut out = Vec::with_capacity(size);
    out.extend_from_slice(header);
    out.extend_from_slice(&body);
    seal(&mut out, codec);
    let size = u32::try_from(size).expect("it passed a limit of 32 bits");
    Ok((out, BatchInfo { size, codec, ..*info }))
}

/// Puts codec, length and checksum right.
fn seal(batch: &mut [u8], codec: Codec) {
    let length = (batch.len() - LENGTH_OVERHEAD) as u32;
    batch[AT_LENGTH..AT_LENGTH + 4].copy_from_slice(&length.to_be_bytes());
    let attributes = u16::from_be_bytes([batch[AT_ATTRIBUTES], batch[AT_ATTRIBUTES + 1]]);
    let attributes = (attributes & !CODEC_BITS) | codec as u16;
    batch[AT_ATTRIBUTES..AT_ATTRIBUTES + 2].copy_from_slice(&attributes.to_be_bytes());
    let crc = crc32c::crc32c(&batch[AT_ATTRIBUTES..]);
    batch[AT_CRC..AT_CRC + 4].copy_from_slice(&crc.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::super::{BatchBuilder, BatchView, NewRecord, check};
    use super::*;
    use crate::types::{ProducerEpoch, ProducerId};

    fn batch(codec: Codec, value: &[u8]) -> Vec<u8> {
        let mut builder = BatchBuilder::new(codec).producer(ProducerId(4), ProducerEpoch(2), 70);
        for timestamp_ms in [500, 900, 700] {
            let (key, value) = (Some(b"key".as_slice()), Some(value));
            builder.push(&NewRecord { timestamp_ms, key, value, headers: &[] });
        }
        builder.build()
    }

    #[test]
    fn from_every_codec_to_every_codec_only_the_compression_changes() {
        for from in Codec::ALL {
            for to in Codec::ALL {
                let sent = batch(from, &[7; 3000]);
                let rules = Rules::default();
                let info = check(&sent, &rules).unwrap();
                let (stored, told) = recompress(&sent, &info, to, None, &rules).unwrap();
                assert_eq!(check(&stored, &rules), Ok(told), "{from} to {to}");
                assert_eq!(told, BatchInfo { size: stored.len() as u32, codec: to, ..info });
                let view = BatchView::only(&stored).unwrap();
                let plain = decompress(to, &stored[HEADER_BYTES..], 1 << 20).unwrap();
                assert_eq!(plain, batch(Codec::None, &[7; 3000])[HEADER_BYTES..]);
                assert_eq!((view.base_sequence(), view.count()), (70, 3));
            }
        }
    }

    #[test]
    fn what_grows_past_a_limit_is_refused() {
        let sent = batch(Codec::Gzip, &[7; 3000]);
        let info = check(&sent, &Rules::default()).unwrap();
        let to_none = |rules: &Rules| recompress(&sent, &info, Codec::None, None, rules);
        let small = Rules { batch_bytes_max: 9000, ..Rules::default() };
        assert!(matches!(to_none(&small), Err(BatchError::TooLarge { bytes_max: 9000, .. })));
        let small = Rules { segment_bytes_max: 9000, ..Rules::default() };
        assert!(matches!(to_none(&small), Err(BatchError::TooLargeForSegment { .. })));
        let small = Rules { decompressed_bytes_max: 8000, ..Rules::default() };
        assert!(matches!(to_none(&small), Err(BatchError::Bomb { .. })));
    }

    #[test]
    fn a_level_is_honoured() {
        let value: Vec<u8> = (0..60_000u32).flat_map(|n| (n * n % 251).to_le_bytes()).collect();
        let sent = batch(Codec::None, &value);
        let rules = Rules { batch_bytes_max: 8 << 20, ..Rules::default() };
        let info = check(&sent, &rules).unwrap();
        for (codec, fast, dense) in [(Codec::Gzip, 1, 9), (Codec::Zstd, -5, 19)] {
            let size = |level| recompress(&sent, &info, codec, Some(level), &rules).unwrap().1.size;
            assert!(size(fast) > size(dense), "{codec}: {} {}", size(fast), size(dense));
        }
    }
}
