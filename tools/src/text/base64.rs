//! Base64 (RFC 4648): the padded standard alphabet for record bytes, the unpadded URL alphabet for
//! Kafka's ids.

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// With padding.
pub(crate) fn to_base64(bytes: &[u8]) -> String {
    let mut text = encode(bytes, STANDARD);
    while !text.len().is_multiple_of(4) {
        text.push('=');
    }
    text
}

/// URL alphabet without padding: how Kafka shows topic and cluster ids.
pub(crate) fn to_base64_url(bytes: &[u8]) -> String {
    encode(bytes, URL)
}

fn encode(bytes: &[u8], alphabet: &[u8; 64]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let mut group = [0; 3];
        group[..chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes([0, group[0], group[1], group[2]]);
        for index in 0..=chunk.len() {
            let six = bits >> (18 - 6 * index) & 0x3f;
            text.push(alphabet[six as usize] as char);
        }
    }
    text
}

/// Standard alphabet, padding optional; `None` if it is no base64.
pub(crate) fn from_base64(text: &[u8]) -> Option<Vec<u8>> {
    let text = text.strip_suffix(b"==").or_else(|| text.strip_suffix(b"=")).unwrap_or(text);
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    for chunk in text.chunks(4) {
        let mut bits = 0u32;
        for byte in chunk {
            let six = STANDARD.iter().position(|letter| letter == byte)?;
            bits = bits << 6 | six as u32;
        }
        bits <<= 6 * (4 - chunk.len());
        let group = bits.to_be_bytes();
        match chunk.len() {
            4 => bytes.extend_from_slice(&group[1..4]),
            3 => bytes.extend_from_slice(&group[1..3]),
            2 => bytes.extend_from_slice(&group[1..2]),
            _ => return None,
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of RFC 4648, section 10.
    #[test]
    fn the_rfcs_examples_hold() {
        let pairs = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ];
        for (plain, text) in pairs {
            assert_eq!(to_base64(plain.as_bytes()), text);
            assert_eq!(from_base64(text.as_bytes()).as_deref(), Some(plain.as_bytes()));
        }
        assert_eq!(to_base64_url(&[0xfb, 0xff]), "-_8");
        assert_eq!(from_base64(b"Zg"), Some(b"f".to_vec()));
        assert_eq!(from_base64(b"Z"), None);
        assert_eq!(from_base64(b"Z!=="), None);
    }
}
