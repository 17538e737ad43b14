//! Broker addresses as people write them: `host`, `host:port`, `[::1]:9092`, comma-separated.

/// Kafka's port.
const PORT: u16 = 9092;

/// Splits a list and adds the port where it is missing.
pub(crate) fn parse_list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(with_port).collect()
}

fn with_port(text: &str) -> String {
    let after_bracket = text.rsplit_once(']').map_or(text, |(_, rest)| rest);
    let bare_v6 = !text.starts_with('[') && text.matches(':').count() > 1;
    if bare_v6 {
        format!("[{text}]:{PORT}")
    } else if after_bracket.contains(':') {
        text.to_owned()
    } else {
        format!("{text}:{PORT}")
    }
}

/// `host:port` of a broker that the cluster named.
pub(crate) fn join(host: &str, port: i32) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_added_only_where_missing() {
        let all = parse_list("a, b:1,[::1],[::1]:2,::1,10.0.0.1:3,");
        assert_eq!(all, ["a:9092", "b:1", "[::1]:9092", "[::1]:2", "[::1]:9092", "10.0.0.1:3"]);
        assert_eq!(join("::1", 5), "[::1]:5");
        assert_eq!(join("h", 5), "h:5");
    }
}
