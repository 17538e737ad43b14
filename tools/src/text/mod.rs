//! Bytes and times as text, and back: hexadecimal, base64, UTC times, durations.

mod base64;
mod time;

pub(crate) use base64::{from_base64, to_base64, to_base64_url};
pub(crate) use time::{iso_from_ms, ms_from_date, ms_from_duration};

/// Lower-case hexadecimal.
pub(crate) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes of a hexadecimal text of even length.
pub(crate) fn from_hex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| (byte as char).to_digit(16).map(|digit| digit as u8);
    let pair = |pair: &[u8]| Some(digit(pair[0])? << 4 | digit(pair[1])?);
    if !text.len().is_multiple_of(2) {
        return None;
    }
    text.chunks_exact(2).map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_goes_both_ways() {
        assert_eq!(to_hex(&[0, 0xab, 7]), "00ab07");
        assert_eq!(from_hex(b"00aB07"), Some(vec![0, 0xab, 7]));
        assert_eq!(from_hex(b"0"), None);
        assert_eq!(from_hex(b"0x"), None);
    }
}
