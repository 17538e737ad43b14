//! What was found in one file.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::output::Table;

/// One file, or one journal as a whole.
pub(super) struct Report {
    /// Where it lies.
    pub(super) path: PathBuf,
    /// What it is.
    pub(super) kind: &'static str,
    /// Its size; `None` for a directory.
    pub(super) bytes: Option<u64>,
    /// What it holds, in one line.
    pub(super) summary: String,
    /// What is worth knowing and no damage.
    pub(super) notes: Vec<String>,
    /// What is damaged or cannot be read.
    pub(super) problems: Vec<String>,
    /// What is inside, row by row.
    pub(super) detail: Option<Table>,
}

impl Report {
    pub(super) fn new(path: &Path, kind: &'static str) -> Self {
        let found = path.metadata().ok().filter(std::fs::Metadata::is_file);
        let bytes = found.map(|found| found.len());
        Self {
            path: path.to_owned(),
            kind,
            bytes,
            summary: String::new(),
            notes: Vec::new(),
            problems: Vec::new(),
            detail: None,
        }
    }

    pub(super) fn with_summary(mut self, summary: &str) -> Self {
        summary.clone_into(&mut self.summary);
        self
    }

    pub(super) fn to_json(&self, detail: bool) -> Value {
        let mut value = json!({
            "path": self.path.display().to_string(),
            "kind": self.kind,
            "bytes": self.bytes,
            "summary": self.summary,
            "notes": self.notes,
            "problems": self.problems,
        });
        if let Some(table) = self.detail.as_ref().filter(|_| detail) {
            value["detail"] = table.to_json();
        }
        value
    }
}
