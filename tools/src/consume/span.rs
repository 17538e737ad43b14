//! `-o`: from where to where records are read.

use std::str::FromStr;

use crate::text::{ms_from_date, ms_from_duration};

/// Help text for `--help`.
pub(crate) const HELP: &str = "\
From where: start, end, an offset, +N (N after the start), -N (N before the end), @TIME (first \
record not older): milliseconds or seconds since 1970, a UTC date as 2022-02-14 or \
2022-02-14T10:00:00Z, or back from now as @-1h; FROM:UNTIL reads a span, :UNTIL from the start";

/// What to read of each partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// First offset.
    pub(crate) from: Edge,
    /// The offset before which reading ends, if it ends.
    pub(crate) until: Option<Edge>,
}

/// One end of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Edge {
    Start,
    End,
    Offset(i64),
    AfterStart(i64),
    BeforeEnd(i64),
    /// Unix milliseconds.
    Time(i64),
    /// Milliseconds back from now.
    Ago(i64),
}

impl Edge {
    /// The time to look up, if this edge is one.
    pub(crate) fn time(self, now_ms: i64) -> Option<i64> {
        match self {
            Self::Time(ms) => Some(ms),
            Self::Ago(ms) => Some(now_ms.saturating_sub(ms).max(0)),
            _ => None,
        }
    }

    /// The offset it means in a partition from `start` to `end`, `at_time` being the offset of
    /// its time.
    pub(crate) fn offset(self, start: i64, end: i64, at_time: i64) -> i64 {
        match self {
            Self::Start => start,
            Self::End => end,
            Self::Offset(offset) => offset,
            Self::AfterStart(count) => start.saturating_add(count).min(end),
            Self::BeforeEnd(count) => end.saturating_sub(count).max(start),
            Self::Time(_) | Self::Ago(_) => at_time,
        }
    }
}

impl FromStr for Span {
    type Err = String;

    /// A time may hold colons, so a text that is one edge as a whole is that; else the first colon
    /// that leaves an edge on both sides divides it.
    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(from) = edge(text) {
            return Ok(Self { from, until: None });
        }
        for (at, _) in text.match_indices(':') {
            let (before, after) = (&text[..at], &text[at + 1..]);
            let from = if before.is_empty() { Some(Edge::Start) } else { edge(before) };
            if let (Some(from), Some(until)) = (from, edge(after)) {
                return Ok(Self { from, until: Some(until) });
            }
        }
        Err("it is none of start, end, N, +N, -N, @TIME, FROM:UNTIL".to_owned())
    }
}

impl FromStr for Edge {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        edge(text).ok_or_else(|| "it is none of start, end, N, +N, -N, @TIME".to_owned())
    }
}

fn edge(text: &str) -> Option<Edge> {
    let number = |text: &str| {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if is_number { text.parse::<i64>().ok() } else { None }
    };
    match text {
        "start" | "beginning" | "earliest" => return Some(Edge::Start),
        "end" | "latest" => return Some(Edge::End),
        _ => {}
    }
    if let Some(count) = text.strip_prefix('+') {
        return number(count).map(Edge::AfterStart);
    }
    if let Some(count) = text.strip_prefix('-') {
        return number(count).map(Edge::BeforeEnd);
    }
    let Some(time) = text.strip_prefix('@') else { return number(text).map(Edge::Offset) };
    if let Some(ago) = time.strip_prefix('-') {
        return ms_from_duration(ago).map(Edge::Ago);
    }
    match number(time) {
        // Ten digits are seconds until the year 2286, thirteen are milliseconds.
        Some(seconds) if time.len() <= 10 => Some(Edge::Time(seconds * 1000)),
        Some(ms) => Some(Edge::Time(ms)),
        None => ms_from_date(time).map(Edge::Time),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(text: &str) -> Edge {
        let span: Span = text.parse().unwrap();
        assert_eq!(span.until, None, "{text}");
        span.from
    }

    #[test]
    fn every_edge_is_understood() {
        assert_eq!(from("start"), Edge::Start);
        assert_eq!(from("end"), Edge::End);
        assert_eq!(from("47"), Edge::Offset(47));
        assert_eq!(from("+2"), Edge::AfterStart(2));
        assert_eq!(from("-3"), Edge::BeforeEnd(3));
        assert_eq!(from("@-1h"), Edge::Ago(3_600_000));
        assert_eq!(from("@1582934400000"), Edge::Time(1_582_934_400_000));
        assert_eq!(from("@1582934400"), Edge::Time(1_582_934_400_000));
        assert_eq!(from("@2020-02-29"), Edge::Time(1_582_934_400_000));
        assert_eq!(from("@2020-02-29T00:00:00Z"), Edge::Time(1_582_934_400_000));
    }

    #[test]
    fn spans_are_understood() {
        let span = |text: &str| text.parse::<Span>().unwrap();
        let both = |from, until| Span { from, until: Some(until) };
        assert_eq!(span("10:20"), both(Edge::Offset(10), Edge::Offset(20)));
        assert_eq!(span(":end"), both(Edge::Start, Edge::End));
        assert_eq!(span("-5:end"), both(Edge::BeforeEnd(5), Edge::End));
        let day = Edge::Time(1_582_934_400_000);
        assert_eq!(span("@2020-02-29T00:00:00Z:end"), both(day, Edge::End));
        assert_eq!(span("@2020-02-29:@2020-02-29T00:00:00Z"), both(day, day));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "x", "+", "-", "@", "@x", "--1", "1:", "10:x", "0x1", "@-"] {
            assert!(text.parse::<Span>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn edges_stay_inside_the_log() {
        let offset = |edge: Edge| edge.offset(10, 20, 15);
        assert_eq!(offset(Edge::Start), 10);
        assert_eq!(offset(Edge::End), 20);
        assert_eq!(offset(Edge::Offset(5)), 5);
        assert_eq!(offset(Edge::AfterStart(3)), 13);
        assert_eq!(offset(Edge::AfterStart(30)), 20);
        assert_eq!(offset(Edge::BeforeEnd(3)), 17);
        assert_eq!(offset(Edge::BeforeEnd(30)), 10);
        assert_eq!(offset(Edge::Ago(1)), 15);
        assert_eq!(Edge::Ago(5).time(100), Some(95));
        assert_eq!(Edge::Ago(500).time(100), Some(0));
        assert_eq!(Edge::Start.time(100), None);
    }
}
