//! A segment's batches, checked against their own checksums and its sidecar, and the sidecar's
//! pages. Where a segment ends is what checkpoint and journal say; without them, a walk ends where
//! no batch begins, which is then said with what stands there.

use super::{Inspection, Row};
use crate::batch::BatchView;
use crate::journal::format::{BLOCK_BYTES, FormatError};
use crate::log::sidecar::{PAGE_BYTES, decode_page};

/// Lists the batches of a segment file. With its sidecar's bytes, its blocks are checked too.
#[must_use]
pub fn segment(bytes: &[u8], sidecar_bytes: Option<&[u8]>) -> Inspection {
    let mut found = Inspection::default();
    batches(bytes, is_compacted(sidecar_bytes), &mut found);
    if let Some(side) = sidecar_bytes {
        blocks(bytes, side, &mut found);
    }
    found
}

/// Whether its sidecar says that compaction wrote it, so that its offsets may have gaps.
fn is_compacted(sidecar_bytes: Option<&[u8]>) -> bool {
    let first = sidecar_bytes.and_then(|bytes| decode_page(bytes).ok());
    first.is_some_and(|page| page.whose.segment.is_compacted())
}

fn batches(bytes: &[u8], may_have_gaps: bool, found: &mut Inspection) {
    let mut at = 0;
    let mut due = None;
    while at < bytes.len() {
        let Ok(batch) = BatchView::first(&bytes[at..]) else { break };
        let base = batch.base_offset();
        let row = Row::new("batch", at as u64, batch.size() as u64)
            .field("offsets", format!("{}..={}", base, batch.last_offset()))
            .field("leader_epoch", batch.leader_epoch())
            .field("records", batch.count())
            .field("max_timestamp", batch.max_timestamp())
            .field("producer", format!("{}/{}", batch.producer_id(), batch.producer_epoch()))
            .field("sequence", batch.base_sequence())
            .field("codec", batch.codec().map_or("unknown", |codec| codec.name()))
            .field("crc", format!("{:08x}", batch.crc()));
        let gap = due.filter(|due| *due != base && !(may_have_gaps && *due < base));
        found.push(match (batch.verify_crc(), gap) {
            (Err(error), _) => row.problem(error),
            (Ok(()), Some(due)) => row.problem(format!("offset {due} is due here")),
            (Ok(()), None) => row,
        });
        due = Some(crate::types::Offset(batch.last_offset().0.saturating_add(1)));
        at += batch.size();
    }
    let rest = &bytes[at..];
    if rest.is_empty() {
        return;
    }
    let row = Row::new("rest", at as u64, rest.len() as u64);
    found.push(if rest.iter().all(|&byte| byte == 0) {
        row.field("content", "zeros: padding, or space allocated ahead")
    } else {
        row.field("content", "no batch begins here: whether it should, the checkpoint says")
    });
}

fn blocks(bytes: &[u8], side: &[u8], found: &mut Inspection) {
    for page in side.chunks(PAGE_BYTES) {
        let Ok(page) = decode_page(page) else { continue };
        for (index, crc) in page.table.block_crcs.iter().enumerate() {
            let number = page.first_block as usize + index;
            let at = number * BLOCK_BYTES;
            let block = bytes.get(at..at + BLOCK_BYTES);
            if block.is_none_or(|block| crc32c::crc32c(block) != *crc) {
                let row = Row::new("block", at as u64, BLOCK_BYTES as u64);
                found.push(row.problem("the sidecar has another checksum for this block"));
            }
        }
    }
}

/// Lists the pages of a sidecar.
#[must_use]
pub fn sidecar(bytes: &[u8]) -> Inspection {
    let mut found = Inspection::default();
    for (number, page) in bytes.chunks(PAGE_BYTES).enumerate() {
        let at = (number * PAGE_BYTES) as u64;
        let row = Row::new("page", at, page.len() as u64);
        match decode_page(page) {
            Ok(page) => found.push(page_row(row, &page)),
            Err(FormatError::Empty) => {
                found.push(Row::new("empty", at, bytes.len() as u64 - at));
                break;
            }
            Err(error) => found.push(row.problem(error)),
        }
    }
    found
}

fn page_row(row: Row, page: &crate::log::sidecar::SidePage) -> Row {
    let segment = page.whose.segment;
    let row = row
        .field("partition", page.whose.partition)
        .field("segment", format!("{}-{}", segment.base, segment.term))
        .field("generation", segment.generation)
        .field("page", page.number)
        .field("first_block", page.first_block)
        .field("blocks", page.table.block_crcs.len())
        .field("index_entries", page.table.index.len());
    match page.table.end {
        None => row,
        Some(end) => row.field("end_offset", end.end_offset).field("length", end.length),
    }
}
