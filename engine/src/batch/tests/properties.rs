//! What must hold for any records, any bytes and any damage.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::super::*;
use super::{CRC, sealed};
use crate::types::{LeaderEpoch, Offset};

#[derive(Clone, Debug, PartialEq)]
struct Owned {
    timestamp_ms: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

fn bytes_of(max: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..max)
}

fn record() -> impl Strategy<Value = Owned> {
    let headers = vec((bytes_of(4), option::of(bytes_of(6))), 0..4);
    (any::<i64>(), option::of(bytes_of(20)), option::of(bytes_of(200)), headers)
        .prop_map(|(timestamp_ms, key, value, headers)| Owned { timestamp_ms, key, value, headers })
}

fn codec() -> impl Strategy<Value = Codec> {
    proptest::sample::select(Codec::ALL.to_vec())
}

fn built(codec: Codec, records: &[Owned]) -> Vec<u8> {
    let mut builder = BatchBuilder::new(codec);
    for record in records {
        let headers: Vec<_> = record
            .headers
            .iter()
            .map(|(key, value)| Header { key, value: value.as_deref() })
            .collect();
        builder.push(&NewRecord {
            timestamp_ms: record.timestamp_ms,
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            headers: &headers,
        });
    }
    builder.build()
}

fn read_back(bytes: &[u8]) -> Result<Vec<Owned>, BatchError> {
    let view = BatchView::only(bytes)?;
    let mut records = view.records(1 << 20)?;
    let mut out = Vec::new();
    while let Some(record) = records.next() {
        let record = record?;
        out.push(Owned {
            timestamp_ms: record.timestamp_ms,
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
            headers: record
                .headers
                .map(|header| (header.key.to_vec(), header.value.map(<[u8]>::to_vec)))
                .collect(),
        });
    }
    Ok(out)
}

fn rules() -> Rules {
    Rules { decompressed_bytes_max: 1 << 20, ..Rules::default() }
}

proptest! {
    #[test]
    fn what_is_built_is_read_back(codec in codec(), records in vec(record(), 1..30)) {
        let bytes = built(codec, &records);
        prop_assert_eq!(read_back(&bytes).expect("well formed"), records.clone());
        let info = check(&bytes, &rules()).expect("well formed");
        prop_assert_eq!(info.count as usize, records.len());
        let max = records.iter().map(|record| record.timestamp_ms).max().expect("not empty");
        prop_assert_eq!(info.max_timestamp, max.max(-1));
    }

    #[test]
    fn content_survives_every_codec(codec in codec(), input in vec(any::<u8>(), 0..100_000)) {
        let compressed = compress(codec, None, &input);
        prop_assert_eq!(decompress(codec, &compressed, 100_000).expect("own output"), input);
    }

    #[test]
    fn a_stamp_leaves_the_records_and_a_valid_checksum(
        codec in codec(),
        records in vec(record(), 1..10),
        base in 0..i64::MAX,
        epoch in any::<i32>(),
        time in any::<i64>(),
        which in 0..3,
    ) {
        let before = built(codec, &records);
        let mut after = before.clone();
        let time = match which {
            0 => StampTime::Keep,
            1 => StampTime::CreateTime(time),
            _ => StampTime::LogAppendTime(time),
        };
        // Only the header is handed over: the records may lie elsewhere.
        stamp(
            &mut after[..HEADER_BYTES],
            &Stamp { base_offset: Offset(base), leader_epoch: LeaderEpoch(epoch), time },
        );
        let view = BatchView::only(&after).expect("still framed");
        prop_assert!(view.verify_crc().is_ok());
        prop_assert_eq!((view.base_offset().0, view.leader_epoch().0), (base, epoch));
        prop_assert_eq!(&after[HEADER_BYTES..], &before[HEADER_BYTES..]);
        if let StampTime::LogAppendTime(now) = time {
            prop_assert_eq!(view.timestamp_type(), TimestampType::LogAppendTime);
            let read = read_back(&after).expect("well formed");
            prop_assert!(read.iter().all(|record| record.timestamp_ms == now));
        }
    }

    #[test]
    fn damage_is_found_by_the_checksum(
        codec in codec(),
        records in vec(record(), 1..5),
        at in any::<proptest::sample::Index>(),
        bit in 0..8,
    ) {
        let mut bytes = built(codec, &records);
        let at = at.index(bytes.len() - CRC) + CRC;
        bytes[at] ^= 1_u8 << bit;
        let error = check(&bytes, &rules());
        // An unknown codec is named before the checksum is looked at.
        let found =
            matches!(error, Err(BatchError::Crc { .. } | BatchError::UnknownCodec { .. }));
        prop_assert!(found, "{:?}", error);
    }

    #[test]
    fn no_damage_behind_a_valid_checksum_panics(
        codec in codec(),
        records in vec(record(), 1..8),
        damage in vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<proptest::sample::Index>(),
    ) {
        let mut bytes = built(codec, &records);
        for (at, byte) in damage {
            let at = at.index(bytes.len() - 12) + 12;
            bytes[at] = byte;
        }
        let whole = sealed(bytes.clone());
        let _ = check(&whole, &rules());
        let _ = read_back(&whole);
        // Cut short, with the length put right, so that the damage reaches the records.
        let size = HEADER_BYTES + cut.index(bytes.len() - HEADER_BYTES + 1);
        bytes.truncate(size);
        bytes[8..12].copy_from_slice(&((size - 12) as i32).to_be_bytes());
        let short = sealed(bytes);
        let _ = check(&short, &rules());
        let _ = read_back(&short);
    }

    #[test]
    fn no_bytes_panic(codec in codec(), bytes in vec(any::<u8>(), 0..300)) {
        let _ = check(&bytes, &rules());
        let _ = decompress(codec, &bytes, 1 << 16);
        let _ = Batches::new(&bytes).count();
        let mut framed = super::around(codec, &bytes, 1 + i32::from(bytes.len() as u8));
        let _ = check(&framed, &rules());
        framed.truncate(bytes.len());
        let _ = check(&framed, &rules());
    }
}
