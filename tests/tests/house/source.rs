//! Reading Rust source just well enough for the house rules: comments and literals blanked, `#[cfg(test)]` items left out.
//!
//! Not a parser. It knows line and nested block comments, strings, raw strings, byte strings and character literals
//! (told from lifetimes by the closing quote), and counts braces to find the end of an item.

/// `text` with the inside of comments and literals replaced by spaces; lines and columns stay where they were.
pub(crate) fn code_of(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < bytes.len() {
        let length = blank_length(&bytes[at..], at > 0 && is_word(bytes[at - 1]));
        if length == 0 {
            code.push(if bytes[at].is_ascii() { bytes[at] as char } else { ' ' });
            at += 1;
        } else {
            let blanked = &bytes[at..at + length];
            code.extend(blanked.iter().map(|&byte| if byte == b'\n' { '\n' } else { ' ' }));
            at += length;
        }
    }
    code
}

/// `code` (from [`code_of`]) without the items that `#[cfg(test)]` guards; their lines stay, empty.
pub(crate) fn without_tests(code: &str) -> String {
    let mut out = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(start) = rest.find("#[cfg(test)]") {
        let (before, item) = rest.split_at(start);
        let (guarded, after) = item.split_at(item_length(item));
        out.push_str(before);
        out.extend(guarded.chars().filter(|&c| c == '\n'));
        rest = after;
    }
    out + rest
}

/// Whether `word` stands in `code` with no letter, digit or underscore on either side.
pub(crate) fn has_word(code: &str, word: &str) -> bool {
    let bounded = |at: usize| {
        let before = code[..at].bytes().next_back().is_some_and(is_word);
        let after = code[at + word.len()..].bytes().next().is_some_and(is_word);
        !before && !after
    };
    code.match_indices(word).any(|(at, _)| bounded(at))
}

/// Bytes of the comment or literal that opens `bytes`, 0 if none does.
fn blank_length(bytes: &[u8], in_word: bool) -> usize {
    match bytes {
        [b'/', b'/', ..] => line_length(bytes),
        [b'/', b'*', ..] => block_comment_length(bytes),
        [b'"', ..] => quoted_length(bytes, 0),
        [b'r' | b'b' | b'c', ..] if !in_word => prefixed_length(bytes),
        [b'\'', ..] => character_length(bytes),
        _ => 0,
    }
}

fn line_length(bytes: &[u8]) -> usize {
    bytes.iter().position(|&byte| byte == b'\n').unwrap_or(bytes.len())
}

fn block_comment_length(bytes: &[u8]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at + 1 < bytes.len() {
        match &bytes[at..at + 2] {
            b"/*" => (depth, at) = (depth + 1, at + 2),
            b"*/" => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    bytes.len()
}

/// Length of a string whose opening quote is `bytes[open]`.
fn quoted_length(bytes: &[u8], open: usize) -> usize {
    let mut at = open + 1;
    while at < bytes.len() && bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(bytes.len())
}

/// Length of `r"…"`, `r#"…"#`, `b"…"`, `br#"…"#`, `b'…'` and their like; 0 if this is only a word.
fn prefixed_length(bytes: &[u8]) -> usize {
    let letters = bytes.iter().take_while(|&&byte| matches!(byte, b'r' | b'b' | b'c')).count();
    let hashes = bytes[letters..].iter().take_while(|&&byte| byte == b'#').count();
    let raw = bytes[..letters].contains(&b'r');
    match bytes.get(letters + hashes) {
        Some(b'"') if raw => raw_length(bytes, letters + hashes + 1, hashes),
        Some(b'"') if hashes == 0 => quoted_length(bytes, letters),
        Some(b'\'') if hashes == 0 && letters == 1 => match character_length(&bytes[1..]) {
            0 => 0,
            length => length + 1,
        },
        _ => 0,
    }
}

fn raw_length(bytes: &[u8], from: usize, hashes: usize) -> usize {
    let mut end = vec![b'"'];
    end.resize(1 + hashes, b'#');
    let found = bytes[from..].windows(end.len()).position(|window| window == end);
    found.map_or(bytes.len(), |at| from + at + end.len())
}

/// Length of a character literal; 0 for a lifetime.
fn character_length(bytes: &[u8]) -> usize {
    if bytes.get(1) == Some(&b'\\') {
        let close = bytes[3..].iter().position(|&byte| byte == b'\'');
        return close.map_or(0, |at| at + 4);
    }
    let text = std::str::from_utf8(&bytes[1..bytes.len().min(5)]);
    let valid =
        text.unwrap_or_else(|e| std::str::from_utf8(&bytes[1..1 + e.valid_up_to()]).unwrap());
    let width = valid.chars().next().map_or(0, char::len_utf8);
    if width > 0 && bytes.get(1 + width) == Some(&b'\'') { width + 2 } else { 0 }
}

/// Length of the attribute and the item it guards: to the matching brace, or to the semicolon if that comes first.
fn item_length(item: &str) -> usize {
    let mut depth = 0;
    let attribute = "#[cfg(test)]".len();
    for (at, c) in item[attribute..].char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 && matches!(c, '}' | ';') {
            return attribute + at + 1;
        }
    }
    item.len()
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

#[test]
fn comments_and_literals_are_blanked_and_code_stays() {
    let text = "a // unsafe\n/* unsafe /* x */ y */ b \"unsafe \\\" \" c r#\"unsafe\"# d 'u' e b'\\'' &'static f";
    let code = code_of(text);
    assert!(!code.contains("unsafe"), "{code}");
    assert_eq!(
        code.split_whitespace().collect::<Vec<_>>(),
        ["a", "b", "c", "d", "e", "&'static", "f"]
    );
    assert_eq!(code.len(), text.len());
}

#[test]
fn guarded_items_are_left_out_and_lines_are_kept() {
    let code = "fn a() {}\n#[cfg(test)]\nmod tests;\nfn b() {}\n#[cfg(test)]\nmod tests {\n fn c() { d() }\n}\nfn e() {}";
    let kept = without_tests(code);
    assert!(has_word(&kept, "a") && has_word(&kept, "b") && has_word(&kept, "e"));
    assert!(!has_word(&kept, "c") && !has_word(&kept, "tests"));
    assert_eq!(kept.lines().count(), code.lines().count());
}

#[test]
fn words_are_whole_words() {
    assert!(has_word("x: Instant,", "Instant") && has_word("std::fs::read", "std::fs"));
    assert!(!has_word("InstantLike MyInstant", "Instant") && !has_word("std::fsync", "std::fs"));
}
