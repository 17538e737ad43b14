//! Sidecars: block checksums, index, and where the segment ended.

use std::fs;
use std::path::Path;

use anyhow::Result;
use engine::journal::format::FormatError;
use engine::log::sidecar::{PAGE_BYTES, SideTable, decode_page};

use super::report::Report;
use crate::output::Table;

pub(super) fn file(path: &Path) -> Result<Report> {
    let mut report = Report::new(path, "sidecar");
    let (table, pages) = match read(path)? {
        Ok(found) => found,
        Err((page, error)) => {
            report.problems.push(format!("page {page}: {error}"));
            return Ok(report);
        }
    };
    let end = table.end.map_or("not rolled".to_owned(), |end| {
        format!("rolled at {} bytes, end offset {}", end.length, end.end_offset)
    });
    report.summary = format!(
        "{pages} pages, {} block checksums, {} index entries, {end}",
        table.block_crcs.len(),
        table.index.len()
    );
    let mut detail = Table::new(&["OFFSET", "POSITION", "MAX-TIMESTAMP-BEFORE"]);
    for entry in &table.index {
        let cells = [entry.offset.0, i64::from(entry.position), entry.max_timestamp_before];
        detail.row(cells.iter().map(i64::to_string).collect());
    }
    report.detail = Some(detail);
    Ok(report)
}

/// The pages of a sidecar as one table, and how many there are; or which page is wrong. Space
/// that is allocated behind the last page is no page.
pub(super) fn read(path: &Path) -> Result<Result<(SideTable, usize), (usize, FormatError)>> {
    let bytes = fs::read(path)?;
    let mut table = SideTable::default();
    let mut whose = None;
    for (number, page) in bytes.chunks(PAGE_BYTES).enumerate() {
        let found = match decode_page(page) {
            Ok(found) => found,
            Err(FormatError::Empty) => return Ok(Ok((table, number))),
            Err(error) => return Ok(Err((number, error))),
        };
        let first = *whose.get_or_insert(found.whose);
        let fits = found.whose == first
            && found.number as usize == number
            && found.first_block as usize == table.block_crcs.len();
        if !fits {
            let error = FormatError::Field { what: "sidecar page", field: "identity" };
            return Ok(Err((number, error)));
        }
        table.extend(&found.table);
    }
    Ok(Ok((table, bytes.len().div_ceil(PAGE_BYTES))))
}
