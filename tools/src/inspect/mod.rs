//! `ringmain inspect`: what lies in the files of a data directory, and what cannot be read.
//!
//! It only reads, and never through the broker: it is for a directory whose broker is stopped, or
//! does not start any more. Beside a running broker it may see files half written; run it again
//! before you believe bad news.
//!
//! It checks what can be checked from the bytes alone: checksums of every structure, the chain of
//! a journal from its checkpoint on, block checksums of segments by their sidecars, framing and
//! CRC of every batch. It does not compare partitions with the metadata or with their replicas.

mod checkpoint;
mod journal;
mod report;
mod segment;
mod sidecar;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use net::node::identity::{self, Identity};

use crate::output::{Format, Output, Table};
use report::Report;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Files, or directories that are walked: a data directory, a journal, a partition.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Also list what is inside each file: frames and entries, batches, index, partitions.
    #[arg(short, long)]
    detail: bool,
    /// How results are written.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<()> {
        let mut reports = Vec::new();
        for path in &self.paths {
            let kind = fs::metadata(path).with_context(|| format!("{}", path.display()))?;
            if kind.is_dir() {
                directory(path, &mut reports)?;
            } else {
                reports.push(file(path));
            }
        }
        let mut out = Output::new(self.format);
        match self.format {
            Format::Json => {
                let rows: Vec<_> = reports.iter().map(|one| one.to_json(self.detail)).collect();
                out.json(&rows)?;
            }
            Format::Text => self.print(&mut out, &reports)?,
        }
        out.flush()?;
        let damaged = reports.iter().filter(|report| !report.problems.is_empty()).count();
        if damaged > 0 {
            bail!("{damaged} of {} files are damaged or cannot be read", reports.len());
        }
        Ok(())
    }

    fn print(&self, out: &mut Output, reports: &[Report]) -> Result<()> {
        let mut table = Table::new(&["FILE", "KIND", "BYTES", "STATE", "CONTENT"]);
        for report in reports {
            let state = if report.problems.is_empty() { "ok" } else { "DAMAGED" };
            let path = report.path.display().to_string();
            let bytes = report.bytes.map_or("-".to_owned(), |bytes| bytes.to_string());
            let content = report.summary.clone();
            table.row(vec![path, report.kind.to_owned(), bytes, state.to_owned(), content]);
        }
        out.table(&table)?;
        for report in reports {
            let remarks = report.notes.iter().map(|note| ("note", note));
            let problems = report.problems.iter().map(|problem| ("DAMAGE", problem));
            for (word, text) in remarks.chain(problems) {
                out.line(&format!("{word}: {}: {text}", report.path.display()))?;
            }
        }
        for report in reports.iter().filter(|_| self.detail) {
            let Some(detail) = &report.detail else { continue };
            out.line("")?;
            out.title(&report.path.display().to_string())?;
            out.table(detail)?;
        }
        Ok(())
    }
}

/// Every file below a directory, in order of names; a journal is also looked at as a whole.
fn directory(dir: &Path, reports: &mut Vec<Report>) -> Result<()> {
    let entries = fs::read_dir(dir).with_context(|| format!("{}", dir.display()))?;
    let mut paths: Vec<PathBuf> =
        entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    paths.sort();
    if paths.iter().any(|path| has_extension(path, "jnl")) {
        reports.push(journal::chain(dir, &paths));
    }
    for path in paths {
        if path.is_dir() {
            directory(&path, reports)?;
        } else {
            reports.push(file(&path));
        }
    }
    Ok(())
}

/// One file, by its name.
fn file(path: &Path) -> Report {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let inspected = match name {
        "directory" => directory_identity(path),
        "lock" => Ok(Report::new(path, "lock").with_summary("held by a broker while it runs")),
        _ if has_extension(path, "jnl") => journal::file(path),
        _ if has_extension(path, "log") => segment::file(path),
        _ if has_extension(path, "side") => sidecar::file(path),
        _ if name.starts_with("checkpoint.") => checkpoint::file(path),
        _ => Ok(Report::new(path, "other").with_summary("not a file of Ringmain's formats")),
    };
    inspected.unwrap_or_else(|error| {
        let mut report = Report::new(path, "unreadable");
        report.problems.push(format!("{error:#}"));
        report
    })
}

fn directory_identity(path: &Path) -> Result<Report> {
    let mut report = Report::new(path, "directory");
    match Identity::decode(&fs::read(path)?) {
        Ok(found) => {
            let (cluster, directory) =
                (identity::kafka_id(found.cluster_id), identity::kafka_id(found.directory_id));
            report.summary =
                format!("node {} of cluster {cluster}, directory {directory}", found.node_id);
        }
        Err(error) => report.problems.push(error.to_string()),
    }
    Ok(report)
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|found| found == extension)
}

/// Whether a path lies in the journal of the metadata log rather than of partitions.
fn is_metadata(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "metadata")
}

#[cfg(test)]
mod tests;
