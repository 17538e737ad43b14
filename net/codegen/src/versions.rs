//! Version ranges as the specs write them: `"none"`, `"4"`, `"2-7"`, `"9+"`.

use anyhow::{Context, Result, ensure};

/// An inclusive range of versions; `min > max` is the empty one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Versions {
    /// First version.
    pub(crate) min: i16,
    /// Last version; [`Versions::OPEN`] when the spec leaves it open.
    pub(crate) max: i16,
}

impl Versions {
    /// Stands for "and all later ones".
    pub(crate) const OPEN: i16 = i16::MAX;
    /// No version at all.
    pub(crate) const NONE: Self = Self { min: 0, max: -1 };

    /// Reads the specs' notation.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        if text == "none" {
            return Ok(Self::NONE);
        }
        let number = |part: &str| part.parse::<i16>().with_context(|| format!("version {part:?}"));
        if let Some(min) = text.strip_suffix('+') {
            return Ok(Self { min: number(min)?, max: Self::OPEN });
        }
        let (min, max) = text.split_once('-').unwrap_or((text, text));
        let range = Self { min: number(min)?, max: number(max)? };
        ensure!(range.min <= range.max, "version range {text:?} is upside down");
        Ok(range)
    }

    /// Whether there is no version in it.
    pub(crate) fn is_empty(self) -> bool {
        self.min > self.max
    }

    /// The versions in both.
    pub(crate) fn and(self, other: Self) -> Self {
        let both = Self { min: self.min.max(other.min), max: self.max.min(other.max) };
        if both.is_empty() { Self::NONE } else { both }
    }

    /// Whether `version` is in it.
    pub(crate) fn has(self, version: i16) -> bool {
        (self.min..=self.max).contains(&version)
    }

    /// The Rust condition under which `v`, known to lie in `within`, lies in this range: `None`
    /// when it always does, `Some("false")` when it never does.
    pub(crate) fn condition(self, within: Self) -> Option<String> {
        let here = self.and(within);
        if here.is_empty() {
            return Some("false".into());
        }
        match (here.min > within.min, here.max < within.max) {
            (false, false) => None,
            (true, false) => Some(format!("v >= {}", here.min)),
            (false, true) => Some(format!("v <= {}", here.max)),
            (true, true) if here.min == here.max => Some(format!("v == {}", here.min)),
            (true, true) => Some(format!("({}..={}).contains(&v)", here.min, here.max)),
        }
    }

    /// For doc comments: the specs' own notation.
    pub(crate) fn words(self) -> String {
        match self {
            _ if self.is_empty() => "none".into(),
            Self { min, max: Self::OPEN } => format!("{min}+"),
            Self { min, max } if min == max => format!("{min}"),
            Self { min, max } => format!("{min}-{max}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_notation() {
        assert_eq!(Versions::parse("none").unwrap(), Versions::NONE);
        assert_eq!(Versions::parse("4").unwrap(), Versions { min: 4, max: 4 });
        assert_eq!(Versions::parse("2-7").unwrap(), Versions { min: 2, max: 7 });
        assert_eq!(Versions::parse("9+").unwrap(), Versions { min: 9, max: Versions::OPEN });
        assert!(Versions::parse("7-2").is_err());
        assert!(Versions::parse("x+").is_err());
    }

    #[test]
    fn conditions_are_as_short_as_the_range_allows() {
        let within = Versions { min: 4, max: 18 };
        let condition = |text: &str| Versions::parse(text).unwrap().condition(within);
        assert_eq!(condition("0+"), None);
        assert_eq!(condition("4-18"), None);
        assert_eq!(condition("12+").as_deref(), Some("v >= 12"));
        assert_eq!(condition("0-12").as_deref(), Some("v <= 12"));
        assert_eq!(condition("7-9").as_deref(), Some("(7..=9).contains(&v)"));
        assert_eq!(condition("7").as_deref(), Some("v == 7"));
        assert_eq!(condition("0-3").as_deref(), Some("false"));
    }
}
