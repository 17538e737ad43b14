//! What readers of the log get, and whether that is right.

use engine::batch::BatchView;
use engine::rt::sim::Random;
use engine::shard::ReadError;
use engine::types::Offset;

use super::life::{ID, Life};
use super::model::{Read, Sent};

/// More than any batch of ours expands to.
const EXPANDED_BYTES_MAX: u64 = 1 << 20;

/// Somebody else changed the log while it was read, or it does not read at all, which was said.
struct Interrupted;

impl Life {
    /// Reads everything, and holds it against the model.
    pub(super) async fn check_all(&self) {
        let (start, end) = self.bounds();
        // Rounds and deletions may go on meanwhile: what was read is of no one moment then.
        let before = self.moment();
        let Ok(read) = self.read_all(start, end).await else { return };
        let mut model = self.shared.model.borrow_mut();
        if before == Some(model.moments) && model.underway == 0 {
            model.check(&read, start.0, end.0);
        } else {
            model.check_as_sent(&read);
        }
    }

    /// From any offset, also one in a gap, a reader gets what a reader from the start gets there.
    pub(super) async fn read_from(&self, random: &mut Random) {
        let (start, end) = self.bounds();
        let from = Offset(start.0 + random.range(0..(end.0 - start.0) as u64 + 1) as i64);
        let before = self.moment();
        let Ok(all) = self.read_all(start, end).await else { return };
        let Ok(some) = self.read_all(from, end).await else { return };
        if before.is_some() && before == self.moment() {
            let expected: Vec<Read> = all.into_iter().filter(|r| r.offset >= from.0).collect();
            let mut model = self.shared.model.borrow_mut();
            model.expect(some == expected, "stuck-reader", || {
                format!("from {from}: {some:?}, and from the start {expected:?}")
            });
        }
    }

    /// Searches by time find what a reader finds.
    pub(super) async fn check_lookups(&self, random: &mut Random) {
        let (start, end) = self.bounds();
        let before = self.moment();
        let wanted = self.rt.wall_ms() - [0, 50, 500, 5_000, 40_000][random.index(5)];
        let found = self.store.offset_for_timestamp(ID, wanted, end).await;
        let newest = self.store.max_timestamp(ID, end).await;
        let Ok(read) = self.read_all(start, end).await else { return };
        let mut model = self.shared.model.borrow_mut();
        let (found, newest) = match (found, newest) {
            (Ok(found), Ok(newest)) => (found, newest),
            (found, newest) => {
                let what = format!("{wanted}: {found:?}, the newest: {newest:?}");
                return model.broken("lookup", what);
            }
        };
        if before.is_none() || before != Some(model.moments) || model.underway > 0 {
            return;
        }
        let place = |read: &Read| (Offset(read.offset), read.record.timestamp_ms);
        let first = read.iter().find(|r| r.record.timestamp_ms >= wanted).map(place);
        model.expect(found == first, "lookup", || {
            format!("{wanted} is looked for: {found:?} is found, {first:?} is read")
        });
        // Of a segment that the log start cuts in two, what is below counts as well.
        let late = read.iter().map(|read| read.record.timestamp_ms).max();
        let late = late.and_then(|late| read.iter().find(|r| r.record.timestamp_ms == late));
        model.expect(start.0 > 0 || newest == late.map(place), "lookup", || {
            format!("the newest is looked for: {newest:?} is found, {late:?} is read")
        });
    }

    /// How often the log was changed by others than appends; `None` while that goes on.
    fn moment(&self) -> Option<u64> {
        let model = self.shared.model.borrow();
        (model.underway == 0).then_some(model.moments)
    }

    async fn read_all(&self, start: Offset, end: Offset) -> Result<Vec<Read>, Interrupted> {
        let (mut from, mut read) = (start, Vec::new());
        while from < end {
            let bytes_max = self.shared.plan.read_bytes_max;
            let batches = match self.store.plan_read(ID, from, end, bytes_max, true) {
                Ok(plan) => self.store.read(plan).await,
                Err(error) => Err(error),
            };
            let batches = match batches {
                Ok(batches) if !batches.views.is_empty() && batches.end > from => batches,
                // Records were deleted while this read was under way.
                Err(ReadError::OutOfRange { log_start, .. }) if log_start > start => {
                    return Err(Interrupted);
                }
                other => {
                    let what = format!("at {from}, and the log ends at {end}: {other:?}");
                    self.shared.model.borrow_mut().broken("stuck-reader", what);
                    return Err(Interrupted);
                }
            };
            let bytes: Vec<u8> = batches.views.iter().flat_map(|view| view.to_vec()).collect();
            self.take(&bytes, from, &mut read)?;
            from = batches.end;
        }
        Ok(read)
    }

    fn take(
        &self,
        mut bytes: &[u8],
        from: Offset,
        read: &mut Vec<Read>,
    ) -> Result<(), Interrupted> {
        let mut model = self.shared.model.borrow_mut();
        while !bytes.is_empty() {
            let whole = BatchView::first(bytes);
            let whole = whole.and_then(|batch| batch.verify_crc().map(|()| batch));
            let taken = whole.and_then(|batch| {
                let mut records = batch.records(EXPANDED_BYTES_MAX)?;
                while let Some(record) = records.next() {
                    let record = record?;
                    let owned = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
                    let (key, value) = (owned(record.key), owned(record.value));
                    let record_there = Sent { key, value, timestamp_ms: record.timestamp_ms };
                    if record.offset >= from {
                        read.push(Read { offset: record.offset.0, record: record_there });
                    }
                }
                Ok(batch)
            });
            let batch = taken.map_err(|error| {
                model.broken("moved-offset", format!("behind {from}: {error}"));
                Interrupted
            })?;
            model.check_bounds(batch.base_offset().0, batch.last_offset().0);
            bytes = &bytes[batch.size()..];
        }
        Ok(())
    }
}
