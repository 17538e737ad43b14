//! One log line per mistake and client, not one per request.
//!
//! A misconfigured client reconnects many times a second, and each attempt would write the same
//! line. Here a line is written when its key (what went wrong, from whom) was not seen for a
//! while; the next line of that key says how many were kept back. The table is bounded: when it is
//! full, the key that was silent longest makes room, so a flood of made-up client ids costs memory
//! of a fixed size and evicts itself. What is kept of a client's own text is bounded too.
//!
//! Pure: `now` is handed in, and the caller writes the line.

use hashbrown::HashMap;

/// Bytes kept of a client id, software name or software version in keys and log lines.
pub const TEXT_BYTES_MAX: usize = 64;

/// What a line is about. Two mistakes with equal keys are told once per interval.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// The kind of mistake.
    pub kind: &'static str,
    /// Who made it: an address, a client id; cut by [`clip`].
    pub who: String,
    /// API key and version, where there is one.
    pub api: Option<(i16, i16)>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    told_ns: u64,
    last_ns: u64,
    kept_back: u64,
}

/// The table of lines told lately.
#[derive(Debug)]
pub struct Reporter {
    interval_ns: u64,
    entries_max: usize,
    seen: HashMap<Key, Seen, foldhash::fast::FixedState>,
}

impl Reporter {
    /// `interval_ns`: the least time between two lines of one key. `entries_max`: above zero.
    #[must_use]
    pub fn new(interval_ns: u64, entries_max: usize, seed: u64) -> Self {
        assert!(entries_max > 0);
        let hasher = foldhash::fast::FixedState::with_seed(seed);
        Self { interval_ns, entries_max, seen: HashMap::with_hasher(hasher) }
    }

    /// Whether to write the line now: `Some(kept_back)` with the number of lines of this key that
    /// were not written since the last one.
    pub fn tell(&mut self, now_ns: u64, key: &Key) -> Option<u64> {
        if let Some(seen) = self.seen.get_mut(key) {
            seen.last_ns = now_ns;
            if now_ns.saturating_sub(seen.told_ns) < self.interval_ns {
                seen.kept_back += 1;
                return None;
            }
            seen.told_ns = now_ns;
            return Some(std::mem::take(&mut seen.kept_back));
        }
        if self.seen.len() >= self.entries_max {
            self.forget_quietest();
        }
        self.seen.insert(key.clone(), Seen { told_ns: now_ns, last_ns: now_ns, kept_back: 0 });
        Some(0)
    }

    fn forget_quietest(&mut self) {
        let quietest = self.seen.iter().min_by_key(|(_, seen)| seen.last_ns);
        if let Some(key) = quietest.map(|(key, _)| key.clone()) {
            self.seen.remove(&key);
        }
    }
}

/// At most [`TEXT_BYTES_MAX`] bytes of a peer's text, control characters replaced, so that a log
/// line neither grows with the input nor breaks the terminal it is read on.
#[must_use]
pub fn clip(text: &str) -> String {
    let mut kept = String::new();
    for character in text.chars() {
        let shown = if character.is_control() { '?' } else { character };
        if kept.len() + shown.len_utf8() > TEXT_BYTES_MAX {
            break;
        }
        kept.push(shown);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(who: &str) -> Key {
        Key { kind: "unsupported version", who: who.into(), api: Some((0, 2)) }
    }

    #[test]
    fn a_line_is_told_once_per_interval_and_counts_what_it_kept_back() {
        let mut reporter = Reporter::new(60, 8, 1);
        assert_eq!(reporter.tell(0, &key("a")), Some(0));
        assert_eq!(reporter.tell(1, &key("a")), None);
        assert_eq!(reporter.tell(59, &key("a")), None);
        assert_eq!(reporter.tell(59, &key("b")), Some(0), "another client is another line");
        assert_eq!(reporter.tell(60, &key("a")), Some(2));
    }

    #[test]
    fn a_flood_of_names_stays_bounded() {
        let mut reporter = Reporter::new(60, 8, 1);
        for number in 0..1000 {
            reporter.tell(number, &key(&number.to_string()));
        }
        assert_eq!(reporter.seen.len(), 8);
    }

    #[test]
    fn text_is_cut_at_characters_and_cleaned() {
        assert_eq!(clip("kcat\n\u{1b}[31m"), "kcat??[31m");
        assert!(clip(&"ä".repeat(100)).len() <= TEXT_BYTES_MAX);
    }
}
