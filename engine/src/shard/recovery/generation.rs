//! The new generation of journals, one per shard: the tails as CARRY, both checkpoint slots, and a first
//! frame each when all of them have got so far.

use std::path::{Path, PathBuf};

use super::{Recovery, Share, SharedPartition};
use crate::journal::Journal;
use crate::journal::entry::{EntryHeader, EntryKind};
use crate::journal::format::{Identity, whole_blocks};
use crate::journal::shell::random_identity;
use crate::journal::start::{self, StartError};
use crate::log::segment::CarryPlace;
use crate::log::state::PartitionState;
use crate::rt::Errno;
use crate::rt::sync::join_all;
use crate::types::{PartitionId, PartitionIndex, TopicId};

impl Recovery<'_> {
    /// Starts the new generation: all journals, then all checkpoints, then their first frames.
    pub(super) async fn start_generation(
        &self,
        journals_dir: &Path,
        generation: u64,
        by_shard: Vec<Vec<SharedPartition>>,
    ) -> Result<Vec<Share>, StartError> {
        let siblings: Vec<Identity> = by_shard.iter().map(|_| random_identity(self.rt)).collect();
        let started =
            join_all(by_shard.into_iter().zip(&siblings).map(|(partitions, identity)| {
                let dir = journals_dir.join(start::dir_name(generation, *identity));
                self.start_journal(dir, *identity, siblings.clone(), partitions)
            }));
        let mut complete = Vec::new();
        for started in started.await {
            complete.push(started?);
        }
        self.rt.sync_dir(journals_dir).await.map_err(StartError::io(journals_dir))?;
        let sealed = join_all(complete.into_iter().map(|(journal, partitions)| async move {
            let seal = EntryHeader::new(EntryKind::Seal, no_partition());
            journal.prepare_when_free(0).await?;
            journal.push(&seal, &[], &[]);
            Ok((journal.into_image().await?, partitions))
        }));
        let mut shares = Vec::new();
        for sealed in sealed.await {
            let (image, partitions) = sealed.map_err(StartError::Fenced)?;
            shares.push(Share { data_dir: self.data_dir.to_owned(), image, partitions });
        }
        Ok(shares)
    }

    async fn start_journal(
        &self,
        dir: PathBuf,
        identity: Identity,
        siblings: Vec<Identity>,
        mut partitions: Vec<SharedPartition>,
    ) -> Result<(Journal, Vec<SharedPartition>), StartError> {
        let config = self.config.journal;
        let journal = Journal::create(self.rt, &dir, identity, siblings, config)
            .await
            .map_err(StartError::io(&dir))?;
        for partition in &mut partitions {
            carry(&journal, partition).await.map_err(StartError::Fenced)?;
        }
        let end = journal.pushed_end();
        journal.durable_to(end).await.map_err(StartError::Fenced)?;
        let body = PartitionState::encode_all(partitions.iter().map(|partition| &partition.state));
        for _slot in 0..2 {
            let written = journal.write_checkpoint(0, end, false, &body).await;
            written.map_err(StartError::io(&dir))?;
        }
        Ok((journal, partitions))
    }
}

/// Journals a partition's tail, and notes where.
async fn carry(journal: &Journal, partition: &mut SharedPartition) -> Result<(), Errno> {
    let state = &mut partition.state;
    let active = state.segments.last().expect("a partition has an active segment");
    state.carry = None;
    if partition.tail.is_empty() {
        return Ok(());
    }
    let first = partition.marks.first();
    let skip = first.map_or(active.length, |mark| mark.position) - active.synced;
    let header = EntryHeader {
        length: partition.tail.len() as u32,
        leader_epoch: state.epochs.latest().map(|(epoch, _)| epoch).unwrap_or_default(),
        term: state.term,
        base_offset: first.map_or(active.end_offset, |mark| mark.base_offset),
        end_offset: active.end_offset,
        segment: active.name,
        segment_position: active.synced,
        head_bytes: skip,
        crc: crc32c::crc32c(&partition.tail),
        ..EntryHeader::new(EntryKind::Carry, state.id)
    };
    journal.prepare_when_free(partition.tail.len()).await?;
    let pushed = journal.push(&header, &[&partition.tail], &[]);
    state.carry = Some(CarryPlace {
        frame_position: pushed.ticket.0,
        payload_at: pushed.payload_at,
        from: header.segment_position,
        length: header.length,
        skip,
        crc: header.crc,
    });
    assert!(partition.tail.len() < whole_blocks(1), "whole blocks are in the segment");
    Ok(())
}

fn no_partition() -> PartitionId {
    PartitionId { topic: TopicId::default(), index: PartitionIndex::default() }
}
