//! What is forgotten: old offsets, offsets of deleted topics, groups in which nothing is left.

use std::sync::Arc;

use super::super::api::{Effect, GroupError, GroupReply, Now, Record, Ticket};
use super::super::classic::{ClassicGroup, State};
use super::super::consumer::ConsumerGroup;
use super::super::offsets::OffsetKey;
use super::super::records::{self, CommittedOffset};
use super::{Coordinator, OpenWrite, Phase, Timer, consumers, turn};

/// From when on the retention of a group's offsets counts.
#[derive(Clone, Copy)]
enum Since {
    /// From the commit.
    Commit,
    /// From this moment, in milliseconds since 1970.
    Moment(i64),
}

impl Coordinator {
    /// Looks for offsets that have outlived `offsets.retention.minutes`, and for groups without
    /// members and offsets.
    pub(super) fn expire_offsets(&mut self, now: Now, out: &mut Vec<Effect>) {
        let mut expired: Vec<OffsetKey> = Vec::new();
        let mut doomed: Vec<Arc<str>> = Vec::new();
        self.expire_of_consumers(now, &mut expired, &mut doomed);
        let changing = |id: &Arc<str>| self.consumers.contains_key(id);
        for group in self.groups.values().filter(|group| !changing(&group.id)) {
            let before = expired.len();
            let mut kept = 0;
            for (key, offset) in self.offsets.latest_of(&group.id) {
                match self.is_expired(group, &key.topic, offset, now) {
                    true => expired.push(key),
                    false => kept += 1,
                }
            }
            if kept == 0 && group.is_deserted() {
                // Its offsets are deleted with it.
                expired.truncate(before);
                doomed.push(Arc::clone(&group.id));
            }
        }
        tracing::debug!(offsets = expired.len(), groups = doomed.len(), "retention of offsets");
        self.delete(now, &expired, doomed, None, out);
        let mut turn = turn!(self, now, out);
        let after = turn.settings.offsets_retention_check_interval;
        turn.set(after, Timer::Retention);
    }

    /// The same of groups of the consumer protocol: of these one always knows which topics they have
    /// left, and their offsets age from the commit on.
    fn expire_of_consumers(
        &self,
        now: Now,
        expired: &mut Vec<OffsetKey>,
        doomed: &mut Vec<Arc<str>>,
    ) {
        for group in self.consumers.values().filter(|group| !group.is_busy) {
            let before = expired.len();
            let mut kept = 0;
            for (key, offset) in self.offsets.latest_of(&group.id) {
                let is_old = match offset.expire_ms {
                    Some(end) => now.wall_ms >= end,
                    None => self.has_aged(now, offset.commit_ms),
                };
                match is_old && !group.state.reads(&key.topic) {
                    true => expired.push(key),
                    false => kept += 1,
                }
            }
            if kept == 0 && group.is_deserted() {
                expired.truncate(before);
                doomed.push(Arc::clone(&group.id));
            }
        }
    }

    fn has_aged(&self, now: Now, since_ms: i64) -> bool {
        now.wall_ms.saturating_sub(since_ms) >= self.settings.offsets_retention_ms
    }

    fn is_expired(
        &self,
        group: &ClassicGroup,
        topic: &str,
        offset: &CommittedOffset,
        now: Now,
    ) -> bool {
        let Some(since) = retention_since(group) else { return false };
        if group.reads(topic) {
            return false;
        }
        if let Some(end) = offset.expire_ms {
            return now.wall_ms >= end;
        }
        let since = match since {
            Since::Commit => offset.commit_ms,
            Since::Moment(moment) => moment,
        };
        self.has_aged(now, since)
    }

    /// These topics were deleted: forgets the offsets committed for them.
    pub fn topics_deleted(&mut self, now: Now, names: &[String], out: &mut Vec<Effect>) {
        if self.phase == Phase::Serving {
            let gone: Vec<OffsetKey> =
                names.iter().flat_map(|name| self.offsets.latest_of_topic(name)).collect();
            self.delete(now, &gone, Vec::new(), None, out);
        }
    }

    /// Deletes offsets, and groups with all of theirs, in as many writes as that takes; answers
    /// when the last one is written. The groups are gone at once, their offsets when written.
    pub(super) fn delete(
        &mut self,
        now: Now,
        offsets: &[OffsetKey],
        groups: Vec<Arc<str>>,
        answer: Option<(Ticket, GroupReply)>,
        out: &mut Vec<Effect>,
    ) {
        let mut batches = vec![Batch::default()];
        let most = self.settings.deletion_batch_bytes;
        for key in offsets {
            add(&mut batches, most, offset_record(key), Some(key.clone()));
        }
        for id in groups {
            for (key, _) in self.offsets.latest_of(&id) {
                add(&mut batches, most, offset_record(&key), Some(key));
            }
            if let Some(mut group) = self.consumers.remove(&id) {
                for record in consumers::ends(&group).expect("what was written can be ended") {
                    add(&mut batches, most, record, None);
                }
                group.close(GroupError::UnknownMemberId, &mut turn!(self, now, out));
                batches.last_mut().expect("there is one").removed_consumers.push(group);
                continue;
            }
            let record = records::group(&id, None).expect("the id of a group can be written");
            add(&mut batches, most, record, None);
            let mut group = self.groups.remove(&id).expect("the caller found it");
            group.close(GroupError::UnknownMemberId, &mut turn!(self, now, out));
            batches.last_mut().expect("there is one").removed.push(group);
        }
        self.write_batches(now, batches, answer, out);
    }

    fn write_batches(
        &mut self,
        now: Now,
        mut batches: Vec<Batch>,
        answer: Option<(Ticket, GroupReply)>,
        out: &mut Vec<Effect>,
    ) {
        batches.retain(|batch| !batch.records.is_empty());
        let Some(last) = batches.len().checked_sub(1) else {
            out.extend(answer.map(|(ticket, reply)| Effect::Answer(ticket, reply)));
            return;
        };
        let mut answer = answer;
        for (index, batch) in batches.into_iter().enumerate() {
            for key in &batch.offsets {
                self.offsets.open(key, None);
            }
            let open = OpenWrite {
                offsets: batch.offsets,
                removed: batch.removed,
                removed_consumers: batch.removed_consumers,
                answer: answer.take_if(|_| index == last),
                continues: index < last,
                ..OpenWrite::default()
            };
            turn!(self, now, out).write(batch.records, open);
        }
    }
}

/// One write of a deletion.
#[derive(Default)]
struct Batch {
    records: Vec<Record>,
    bytes: usize,
    offsets: Vec<OffsetKey>,
    removed: Vec<ClassicGroup>,
    removed_consumers: Vec<ConsumerGroup>,
}

fn add(batches: &mut Vec<Batch>, most: usize, record: Record, key: Option<OffsetKey>) {
    let bytes = record.key.len();
    let last = batches.last().expect("there is one");
    if !last.records.is_empty() && last.bytes + bytes > most {
        batches.push(Batch::default());
    }
    let last = batches.last_mut().expect("there is one");
    last.bytes += bytes;
    last.records.push(record);
    last.offsets.extend(key);
}

fn offset_record(key: &OffsetKey) -> Record {
    records::offset(&key.group, &key.topic, key.partition, None)
        .expect("what was written has a key that can be written")
}

/// Since when the offsets of a group age; `None` while they do not.
fn retention_since(group: &ClassicGroup) -> Option<Since> {
    if group.protocol_type.is_none() {
        return Some(Since::Commit);
    }
    match group.state {
        State::Empty => Some(group.state_since_ms.map_or(Since::Commit, Since::Moment)),
        // Of consumers one knows which topics they have left.
        State::Stable if group.is_of_consumers() && group.knows_topics() => Some(Since::Commit),
        _ => None,
    }
}
