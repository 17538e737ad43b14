//! Kafka's upper camel case names as Rust names.

/// Snake case: `ISRNodes` and `IsrNodes` both become `isr_nodes`; keywords get an underscore.
pub(crate) fn snake(name: &str) -> String {
    let chars: Vec<char> = name.chars().collect();
    let mut out = String::with_capacity(name.len() + 8);
    for (index, c) in chars.iter().enumerate() {
        let starts_word = c.is_ascii_uppercase()
            && index > 0
            && (chars[index - 1].is_ascii_lowercase()
                || chars[index - 1].is_ascii_digit()
                || chars.get(index + 1).is_some_and(char::is_ascii_lowercase));
        if starts_word {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    match out.as_str() {
        "type" | "match" | "move" | "ref" | "where" | "use" => out + "_",
        _ => out,
    }
}

/// Upper case with underscores, for constants.
pub(crate) fn shout(name: &str) -> String {
    snake(name).trim_end_matches('_').to_ascii_uppercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_where_a_reader_would() {
        assert_eq!(snake("ThrottleTimeMs"), "throttle_time_ms");
        assert_eq!(snake("ISRNodes"), "isr_nodes");
        assert_eq!(snake("HostV4Address"), "host_v4_address");
        assert_eq!(snake("Type"), "type_");
        assert_eq!(shout("ApiVersions"), "API_VERSIONS");
    }
}
