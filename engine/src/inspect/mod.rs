//! Our files as printable rows, for `ringmain inspect` and for checkers in tests.
//!
//! Takes bytes, never a path: the command line reads the file, this says what is in it and what
//! could not be read. Nothing here repairs or guesses; a damaged structure becomes a row with a
//! problem, and the walk goes on behind it where the format allows that.

mod checkpoint;
mod journal;
mod segment;

#[cfg(test)]
mod tests;

pub use checkpoint::checkpoint;
pub use journal::journal;
pub use segment::{segment, sidecar};

/// One structure found in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Offset of its first byte in the file.
    pub at: u64,
    /// Its bytes.
    pub bytes: u64,
    /// What it is: `file`, `frame`, `entry`, `page`, `batch`, `partition`, `empty`, …
    pub what: &'static str,
    /// Its fields in the order of the format.
    pub fields: Vec<(&'static str, String)>,
    /// Why it cannot be used, if it cannot.
    pub problem: Option<String>,
}

impl Row {
    fn new(what: &'static str, at: u64, bytes: u64) -> Self {
        Self { at, bytes, what, fields: Vec::new(), problem: None }
    }

    fn field(mut self, name: &'static str, value: impl std::fmt::Display) -> Self {
        self.fields.push((name, format!("{value}")));
        self
    }

    fn problem(mut self, why: impl std::fmt::Display) -> Self {
        self.problem = Some(format!("{why}"));
        self
    }

    /// The value of a field.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| *field == name).map(|(_, value)| value.as_str())
    }
}

impl std::fmt::Display for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:>10}  {:<10}", self.at, self.what)?;
        for (name, value) in &self.fields {
            write!(f, " {name}={value}")?;
        }
        match &self.problem {
            Some(problem) => write!(f, "  PROBLEM: {problem}"),
            None => Ok(()),
        }
    }
}

/// All rows of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inspection {
    /// What was found, in the order of the file.
    pub rows: Vec<Row>,
}

impl Inspection {
    fn push(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// Rows that cannot be used.
    pub fn problems(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.problem.is_some())
    }

    /// Rows of one kind.
    pub fn of(&self, what: &str) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(move |row| row.what == what)
    }
}

/// What a file is, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A journal file, of a shard or of the metadata log.
    Journal,
    /// A checkpoint slot; the directory tells whose (`metadata/` or `journal/`).
    Checkpoint,
    /// A segment.
    Segment,
    /// A sidecar.
    Sidecar,
}

/// What a file is, by its name.
#[must_use]
pub fn kind_of(file_name: &str) -> Option<FileKind> {
    match file_name.rsplit_once('.')? {
        (_, "jnl") => Some(FileKind::Journal),
        ("checkpoint", _) => Some(FileKind::Checkpoint),
        (_, "log") => Some(FileKind::Segment),
        (_, "side") => Some(FileKind::Sidecar),
        _ => None,
    }
}
