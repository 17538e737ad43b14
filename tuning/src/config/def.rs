//! What a row of the config table holds, and the small language in which rows are written.
//!
//! Rows are constants, built by chaining: `ConfigDef::topic(name, kind, default, doc).synonym(..)`.

/// Which resource a key belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Topics: the TOPIC resource.
    Topic,
    /// Brokers: the BROKER resource and the configuration file.
    Broker,
    /// Consumer, share and streams groups: the GROUP resource.
    Group,
}

impl Scope {
    /// The word used in messages.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Topic => "topic",
            Self::Broker => "broker",
            Self::Group => "group",
        }
    }
}

/// Type and range of a value. Ranges include both ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// `true` or `false`.
    Bool,
    /// 32 bits; `also` is one value outside the range that is allowed too.
    Int {
        /// Smallest.
        min: i32,
        /// Largest.
        max: i32,
        /// One more allowed value.
        also: Option<i32>,
    },
    /// 64 bits.
    Long {
        /// Smallest.
        min: i64,
        /// Largest.
        max: i64,
    },
    /// A number with a fraction.
    Double {
        /// Smallest.
        min: f64,
        /// Largest.
        max: f64,
    },
    /// Any text.
    Text,
    /// Text that is never shown.
    Password,
    /// One of these words.
    Enum(&'static [&'static str]),
    /// Comma-separated words; of these only, if any are named.
    List(&'static [&'static str]),
}

/// When a change takes effect, in the words of Kafka's documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Update {
    /// At once, through IncrementalAlterConfigs.
    Dynamic,
    /// Needs another start: only the configuration file can set it.
    ReadOnly,
}

/// Does setting the key do what its documentation says?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Honoured {
    /// It does.
    Yes,
    /// It will; until then it is stored and shown, and this says what is missing.
    NotYet(&'static str),
    /// It is accepted for the sake of tools and has no effect, for this reason.
    NoOp(&'static str),
    /// Only the default is accepted, for this reason.
    DefaultOnly(&'static str),
}

/// A broker key that stands in for a topic or group key, or for another broker key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Synonym {
    /// The broker key.
    pub name: &'static str,
    /// What its value is multiplied with: 60 000 for minutes that stand in for milliseconds.
    pub factor: i64,
}

/// One key.
#[derive(Clone, Copy, Debug)]
pub struct ConfigDef {
    /// Kafka's name.
    pub name: &'static str,
    /// Level.
    pub scope: Scope,
    /// Type and range.
    pub kind: Kind,
    /// As text; `None` where nothing is set by default (null in DescribeConfigs).
    pub default: Option<&'static str>,
    /// When a change takes effect.
    pub update: Update,
    /// Whether it does anything.
    pub honoured: Honoured,
    /// Broker keys that stand in, the first one set wins.
    pub synonyms: &'static [Synonym],
    /// What it does, in our words.
    pub doc: &'static str,
}

impl ConfigDef {
    pub(super) const fn topic(
        name: &'static str,
        kind: Kind,
        default: &'static str,
        doc: &'static str,
    ) -> Self {
        Self::new(name, Scope::Topic, kind, Some(default), doc)
    }

    pub(super) const fn group(
        name: &'static str,
        kind: Kind,
        default: &'static str,
        doc: &'static str,
    ) -> Self {
        Self::new(name, Scope::Group, kind, Some(default), doc)
    }

    /// A broker key that may change while the broker runs.
    pub(super) const fn broker(
        name: &'static str,
        kind: Kind,
        default: &'static str,
        doc: &'static str,
    ) -> Self {
        Self::new(name, Scope::Broker, kind, Some(default), doc)
    }

    const fn new(
        name: &'static str,
        scope: Scope,
        kind: Kind,
        default: Option<&'static str>,
        doc: &'static str,
    ) -> Self {
        Self {
            name,
            scope,
            kind,
            default,
            update: Update::Dynamic,
            honoured: Honoured::Yes,
            synonyms: &[],
            doc,
        }
    }

    /// Nothing is set by default.
    pub(super) const fn unset(mut self) -> Self {
        self.default = None;
        self
    }

    pub(super) const fn read_only(mut self) -> Self {
        self.update = Update::ReadOnly;
        self
    }

    pub(super) const fn synonyms(mut self, synonyms: &'static [Synonym]) -> Self {
        self.synonyms = synonyms;
        self
    }

    pub(super) const fn no_op(mut self, why: &'static str) -> Self {
        self.honoured = Honoured::NoOp(why);
        self
    }

    pub(super) const fn not_yet(mut self, what: &'static str) -> Self {
        self.honoured = Honoured::NotYet(what);
        self
    }

    pub(super) const fn default_only(mut self, why: &'static str) -> Self {
        self.honoured = Honoured::DefaultOnly(why);
        self
    }

    /// Must its value be hidden?
    #[must_use]
    pub fn is_sensitive(&self) -> bool {
        matches!(self.kind, Kind::Password)
    }

    /// What DescribeConfigs says about the key: what it does, and what is missing or without effect.
    #[must_use]
    pub fn documentation(&self) -> String {
        match self.honoured {
            Honoured::Yes => self.doc.to_owned(),
            Honoured::NotYet(what) => format!("{} Not in effect yet: {what}", self.doc),
            Honoured::NoOp(why) => format!("{} Accepted without effect: {why}", self.doc),
            Honoured::DefaultOnly(why) => {
                format!("{} Only the default is accepted: {why}", self.doc)
            }
        }
    }
}

impl Kind {
    /// Any 32-bit number from `min` on.
    pub(super) const fn int(min: i32) -> Self {
        Self::Int { min, max: i32::MAX, also: None }
    }

    /// A 32-bit number in a range.
    pub(super) const fn int_in(min: i32, max: i32) -> Self {
        Self::Int { min, max, also: None }
    }

    /// Any 64-bit number from `min` on.
    pub(super) const fn long(min: i64) -> Self {
        Self::Long { min, max: i64::MAX }
    }

    /// The type as a word for messages, with its range.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Bool => "true or false".to_owned(),
            Self::Int { min, max, also } => {
                let also = also.map_or(String::new(), |value| format!(", or {value}"));
                format!(
                    "a whole number {}{also}",
                    range(i64::from(*min), i64::from(*max), i64::from(i32::MAX))
                )
            }
            Self::Long { min, max } => format!("a whole number {}", range(*min, *max, i64::MAX)),
            Self::Double { min, max } => format!("a number from {min} to {max}"),
            Self::Text | Self::Password => "text".to_owned(),
            Self::Enum(words) => format!("one of {}", words.join(", ")),
            Self::List([]) => "a comma-separated list".to_owned(),
            Self::List(words) => format!("a comma-separated list of {}", words.join(", ")),
        }
    }
}

fn range(min: i64, max: i64, open: i64) -> String {
    if max == open { format!("of at least {min}") } else { format!("from {min} to {max}") }
}

/// A synonym in the same unit.
pub(super) const fn same(name: &'static str) -> Synonym {
    Synonym { name, factor: 1 }
}

/// A synonym in minutes that stands in for milliseconds.
pub(super) const fn minutes(name: &'static str) -> Synonym {
    Synonym { name, factor: 60_000 }
}

/// A synonym in hours that stands in for milliseconds.
pub(super) const fn hours(name: &'static str) -> Synonym {
    Synonym { name, factor: 3_600_000 }
}
