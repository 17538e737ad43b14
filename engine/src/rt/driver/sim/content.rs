//! The bytes of one simulated file: what reads see now, and what a power cut would leave.
//!
//! `now` is the file as the running system sees it. `safe` is what is certainly on the medium.
//! Between them stand the completed writes that nothing has made durable yet, in order. A sync
//! moves writes to `safe`; a durable write goes there at once and clips what it covers; a crash lets
//! chance decide about each of the others, sector by sector.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::random::Random;

pub(super) const BLOCK: u64 = 4096;
/// What a device writes whole or not at all.
const SECTOR: usize = 512;

/// Sparse bytes with a length; blocks are shared between copies.
#[derive(Clone, Debug, Default)]
pub(super) struct Bytes {
    len: u64,
    blocks: BTreeMap<u64, Rc<[u8; BLOCK as usize]>>,
}

impl Bytes {
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn extend_to(&mut self, len: u64) {
        self.len = self.len.max(len);
    }

    /// Fills `into` from `offset`; returns how much lies before the end.
    pub(super) fn read(&self, offset: u64, into: &mut [u8]) -> usize {
        let count = (self.len.saturating_sub(offset)).min(into.len() as u64) as usize;
        let mut done = 0;
        while done < count {
            let at = offset + done as u64;
            let (block, inside) = (at / BLOCK, (at % BLOCK) as usize);
            let part = (BLOCK as usize - inside).min(count - done);
            match self.blocks.get(&block) {
                Some(bytes) => {
                    into[done..done + part].copy_from_slice(&bytes[inside..inside + part]);
                }
                None => into[done..done + part].fill(0),
            }
            done += part;
        }
        count
    }

    pub(super) fn write(&mut self, offset: u64, from: &[u8]) {
        let mut done = 0;
        while done < from.len() {
            let at = offset + done as u64;
            let (block, inside) = (at / BLOCK, (at % BLOCK) as usize);
            let part = (BLOCK as usize - inside).min(from.len() - done);
            let bytes = self.blocks.entry(block).or_insert_with(|| Rc::new([0; BLOCK as usize]));
            Rc::make_mut(bytes)[inside..inside + part].copy_from_slice(&from[done..done + part]);
            done += part;
        }
        self.extend_to(offset + from.len() as u64);
    }
}

/// A completed write that no sync has covered, or a growth of the file (no data).
#[derive(Clone, Debug)]
struct Loose {
    order: u64,
    offset: u64,
    data: Rc<[u8]>,
    /// Which part of `data` still counts; later durable writes clip it.
    part: std::ops::Range<usize>,
    grows_to: u64,
}

/// What a crash does to the writes that nothing made durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// All are lost.
    Lost,
    /// Chance decides: lost, whole, or torn at 512 B or 4 KiB; `garbage`: a torn write may leave
    /// one sector of noise at its tear.
    Chance { garbage: bool },
}

/// The bytes of a file.
#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    now: Bytes,
    safe: Bytes,
    loose: Vec<Loose>,
    order: u64,
}

impl Content {
    pub(super) fn now(&self) -> &Bytes {
        &self.now
    }

    /// The order of the latest completed write, for [`sync`](Self::sync).
    pub(super) fn order(&self) -> u64 {
        self.order
    }

    /// A completed write.
    pub(super) fn write(&mut self, offset: u64, data: &[u8], durable: bool) {
        self.now.write(offset, data);
        if durable {
            self.clip(offset, data.len());
            self.safe.write(offset, data);
        } else {
            self.push(offset, data, 0);
        }
    }

    /// The file grew without data.
    pub(super) fn grow(&mut self, len: u64) {
        self.now.extend_to(len);
        self.push(0, &[], len);
    }

    /// What completed at or before `order` is durable from now on.
    pub(super) fn sync(&mut self, order: u64) {
        for loose in self.take_until(order) {
            apply(&mut self.safe, &loose);
        }
    }

    /// What completed at or before `order` will never be made durable by a sync any more, although
    /// reads still see it: a failed flush forgets what it could not write.
    pub(super) fn forget(&mut self, order: u64) {
        drop(self.take_until(order));
    }

    /// Rot: flips one bit at `offset`, now and for good.
    pub(super) fn flip(&mut self, offset: u64, bit: u8) {
        for bytes in [&mut self.now, &mut self.safe] {
            let mut byte = [0];
            if bytes.read(offset, &mut byte) == 1 {
                bytes.write(offset, &[byte[0] ^ (1 << (bit % 8))]);
            }
        }
    }

    /// A crash: chance decides what the medium holds.
    pub(super) fn crash(&mut self, fate: Fate, random: &mut Random) {
        let loose = std::mem::take(&mut self.loose);
        for write in loose {
            match fate {
                Fate::Lost => {}
                Fate::Chance { garbage } => tear(&mut self.safe, &write, garbage, random),
            }
        }
        self.now = self.safe.clone();
    }

    fn push(&mut self, offset: u64, data: &[u8], grows_to: u64) {
        self.order += 1;
        let (data, part) = (Rc::from(data), 0..data.len());
        self.loose.push(Loose { order: self.order, offset, data, part, grows_to });
    }

    fn take_until(&mut self, order: u64) -> Vec<Loose> {
        let (covered, rest) =
            std::mem::take(&mut self.loose).into_iter().partition(|w| w.order <= order);
        self.loose = rest;
        covered
    }

    /// Takes [offset, offset + len) out of every loose write.
    fn clip(&mut self, offset: u64, len: usize) {
        let (start, end) = (offset, offset + len as u64);
        let mut rest = Vec::with_capacity(self.loose.len());
        for write in self.loose.drain(..) {
            let from = write.offset + write.part.start as u64;
            let to = write.offset + write.part.end as u64;
            if write.part.is_empty() || to <= start || end <= from {
                rest.push(write);
                continue;
            }
            if from < start {
                let until = (start - write.offset) as usize;
                rest.push(Loose { part: write.part.start..until, ..write.clone() });
            }
            if end < to {
                let since = (end - write.offset) as usize;
                rest.push(Loose { part: since..write.part.end, ..write });
            }
        }
        self.loose = rest;
    }
}

fn apply(to: &mut Bytes, write: &Loose) {
    to.extend_to(write.grows_to);
    if !write.part.is_empty() {
        to.write(write.offset + write.part.start as u64, &write.data[write.part.clone()]);
    }
}

fn tear(to: &mut Bytes, write: &Loose, garbage: bool, random: &mut Random) {
    match random.index(4) {
        0 => return,
        1 => return apply(to, write),
        _ if write.part.is_empty() => return,
        _ => {}
    }
    let unit = if random.chance(500) { SECTOR } else { BLOCK as usize };
    let prefix_only = random.chance(500);
    let cut = random.index(write.part.len() / unit + 1);
    let mut torn = false;
    for (index, start) in write.part.clone().step_by(unit).enumerate() {
        let end = (start + unit).min(write.part.end);
        let keep = if prefix_only { index < cut } else { random.chance(500) };
        let at = write.offset + start as u64;
        if keep {
            to.write(at, &write.data[start..end]);
        } else if garbage && !torn && random.chance(300) {
            let noise: Vec<u8> = (start..end).map(|_| random.next_u64() as u8).collect();
            to.write(at, &noise);
            torn = true;
        }
    }
}
