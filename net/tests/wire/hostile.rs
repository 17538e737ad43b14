//! Bytes that lie: cut short, claiming too much, flipped. None may panic or be believed.

use net::wire::DecodeErrorKind;

use crate::random::{LengthPlace, Random, Width, sample};
use crate::schema::MESSAGES;

#[test]
fn every_prefix_is_refused() {
    for message in MESSAGES {
        for version in message.versions.0..=message.versions.1 {
            let bytes = sample(message, version, 3, false).bytes;
            for cut in 0..bytes.len() {
                let found = (message.ours)(&bytes[..cut], version);
                assert!(found.is_err(), "{} v{version} cut at {cut}", message.name);
            }
        }
    }
}

#[test]
fn every_lying_length_is_refused() {
    let mut lies = 0;
    for message in MESSAGES {
        for version in message.versions.0..=message.versions.1 {
            let honest = sample(message, version, 5, false);
            for place in &honest.lengths {
                for lie in lies_for(*place) {
                    let end = place.at + width_bytes(place.width);
                    let mut bytes = honest.bytes.clone();
                    bytes.splice(place.at..end, lie.iter().copied());
                    let found = (message.ours)(&bytes, version);
                    assert!(found.is_err(), "{} v{version} {place:?} {lie:?}", message.name);
                    lies += 1;
                }
            }
        }
    }
    assert!(lies > 3_000, "only {lies} lies were told");
}

fn width_bytes(width: Width) -> usize {
    match width {
        Width::Compact => 1,
        Width::Short => 2,
        Width::Long => 4,
    }
}

/// Huge, negative, and varints that do not end or overflow.
fn lies_for(place: LengthPlace) -> Vec<Vec<u8>> {
    match place.width {
        Width::Short => vec![vec![0x7f, 0xff], vec![0xff, 0xfe], vec![0x80, 0]],
        Width::Long => {
            vec![vec![0x7f, 0xff, 0xff, 0xff], vec![0xff, 0xff, 0xff, 0xfe], vec![0x80, 0, 0, 0]]
        }
        Width::Compact => vec![
            vec![0xff, 0xff, 0xff, 0xff, 0x0f],
            vec![0xff, 0xff, 0xff, 0xff, 0x1f],
            vec![0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
        ],
    }
}

#[test]
fn flipped_bytes_never_panic_and_what_decodes_is_stable() {
    let mut random = Random(11);
    let (mut refused, mut read) = (0, 0);
    for message in MESSAGES {
        for version in message.versions.0..=message.versions.1 {
            for seed in 0..30 {
                let mut bytes = sample(message, version, seed, seed % 2 == 0).bytes;
                for _ in 0..=random.below(3) {
                    if bytes.is_empty() {
                        break;
                    }
                    let at = random.below(bytes.len());
                    bytes[at] = random.next() as u8;
                }
                let Ok(once) = (message.ours)(&bytes, version) else {
                    refused += 1;
                    continue;
                };
                let twice = (message.ours)(&once.bytes, version).unwrap();
                assert_eq!(once.text, twice.text, "{} v{version}", message.name);
                assert_eq!(once.bytes, twice.bytes);
                read += 1;
            }
        }
    }
    assert!(refused > 1_000 && read > 1_000, "{refused} refused, {read} read");
}

#[test]
fn pure_noise_never_panics() {
    let mut random = Random(12);
    for message in MESSAGES {
        for version in message.versions.0 - 1..=message.versions.1 + 1 {
            for _ in 0..50 {
                let length = random.below(80);
                let bytes: Vec<u8> = (0..length).map(|_| random.next() as u8).collect();
                let _ = (message.ours)(&bytes, version);
            }
        }
    }
}

#[test]
fn a_version_outside_the_spec_is_refused() {
    for message in MESSAGES {
        for version in [message.versions.0 - 1, message.versions.1 + 1, i16::MIN, i16::MAX] {
            let error = (message.ours)(&[0; 64], version).unwrap_err();
            assert_eq!(error.kind, DecodeErrorKind::UnknownVersion(version), "{}", message.name);
        }
    }
}

#[test]
fn bytes_after_the_message_are_counted_and_ignored() {
    for message in MESSAGES {
        let version = message.versions.1;
        let mut bytes = sample(message, version, 3, false).bytes;
        let honest = bytes.clone();
        bytes.extend_from_slice(&[1, 2, 3]);
        let found = (message.ours)(&bytes, version).unwrap();
        assert_eq!((found.trailing, found.bytes), (3, honest));
    }
}
