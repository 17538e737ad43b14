//! Batches made here are accepted, and every field is where Kafka puts it.

use super::*;

fn sample(codec: Codec) -> Vec<u8> {
    let mut builder = BatchBuilder::new(codec);
    for index in 0..50_i64 {
        let value = vec![b'v'; 20 + index as usize];
        builder.push(&NewRecord {
            timestamp_ms: 1_000 + (index % 7),
            key: (index % 3 != 0).then_some(b"key"),
            value: Some(&value),
            headers: &[],
        });
    }
    builder.build()
}

#[test]
fn every_codec_makes_batches_that_pass() {
    for codec in Codec::ALL {
        let bytes = sample(codec);
        let info = check(&bytes, &Rules::default()).expect("a well-formed batch");
        assert_eq!((info.codec, info.count, info.last_offset_delta), (codec, 50, 49));
        assert_eq!((info.first_timestamp, info.max_timestamp), (1_000, 1_006));
        assert_eq!(info.max_timestamp_delta, 6);
        assert!(!info.max_timestamp_is_wrong);
    }
}
