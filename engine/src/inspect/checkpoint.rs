//! A checkpoint slot: its envelope, and its body as partitions or as metadata snapshot.

use super::{Inspection, Row};
use crate::journal::checkpoint::decode;
use crate::journal::meta::decode_body;
use crate::log::segment::SegmentRecord;
use crate::log::state::PartitionState;

/// Lists a checkpoint slot. `of_metadata` tells the metadata log's from a shard's.
#[must_use]
pub fn checkpoint(bytes: &[u8], of_metadata: bool) -> Inspection {
    let mut found = Inspection::default();
    let row = Row::new("checkpoint", 0, bytes.len() as u64);
    let (head, body) = match decode(bytes) {
        Ok(decoded) => decoded,
        Err(error) => {
            found.push(row.problem(error));
            return found;
        }
    };
    let siblings: Vec<String> = head.siblings.iter().map(ToString::to_string).collect();
    found.push(
        row.field("journal", head.journal)
            .field("sequence", head.sequence)
            .field("replay_from", head.replay_from)
            .field("state_position", head.state_position)
            .field("clean", head.clean)
            .field("body_bytes", body.len())
            .field("siblings", siblings.join(",")),
    );
    if of_metadata {
        metadata(body, &mut found);
    } else {
        partitions(body, &mut found);
    }
    found
}

fn metadata(body: &[u8], found: &mut Inspection) {
    let row = Row::new("metadata", 0, body.len() as u64);
    match decode_body(body) {
        Ok(state) => {
            let row = row.field("hard_state_bytes", state.hard_state.len());
            found.push(match &state.snapshot {
                None => row.field("snapshot", "none"),
                Some(snapshot) => row
                    .field("snapshot_index", snapshot.index)
                    .field("snapshot_term", snapshot.term)
                    .field("snapshot_bytes", snapshot.bytes.len()),
            });
        }
        Err(error) => found.push(row.problem(error)),
    }
}

fn partitions(body: &[u8], found: &mut Inspection) {
    let states = match PartitionState::decode_all(body) {
        Ok(states) => states,
        Err(error) => {
            return found.push(Row::new("partition", 0, body.len() as u64).problem(error));
        }
    };
    for state in states {
        let epochs: Vec<String> = state
            .epochs
            .entries()
            .iter()
            .map(|(epoch, start)| format!("{epoch}@{start}"))
            .collect();
        let row = Row::new("partition", 0, 0)
            .field("partition", state.id)
            .field("term", state.term)
            .field("log_start", state.log_start)
            .field("log_end", state.log_end())
            .field("cleaned_to", state.cleaned_to)
            .field("epochs", epochs.join(","))
            .field("producers", state.producers.len());
        found.push(match &state.carry {
            None => row,
            Some(carry) => row
                .field("carry_at", format!("{}+{}", carry.frame_position, carry.payload_at))
                .field("carry_bytes", carry.length),
        });
        for segment in &state.segments {
            found.push(segment_row(segment));
        }
    }
}

fn segment_row(segment: &SegmentRecord) -> Row {
    Row::new("segment", 0, 0)
        .field("segment", format!("{}-{}", segment.name.base, segment.name.term))
        .field("generation", segment.name.generation)
        .field("end_offset", segment.end_offset)
        .field("length", segment.length)
        .field("rolled", segment.rolled)
        .field("synced", segment.synced)
        .field("sidecar_pages", segment.sidecar_pages)
        .field("max_timestamp", segment.max_timestamp)
}
