//! A consumer that reads all partitions of a topic by assignment, and now and then seeks back or asks
//! for offsets.

use std::collections::BTreeSet;

use net::wire::errors::ErrorCode;

use super::actor::{Actor, find};
use super::plan::{ConsumerPlan, TopicPlan};
use crate::client::{Admin, Consumer, FetchOptions, Fetched, TopicName};
use crate::history::{Event, Place, Poll, Reader, Shared, Topic, Wanted};

/// How a consumer fetches when it only has to come to the end: some plans wait for bytes that their
/// own limits keep away, which is slow and right.
const LAST_MILE: FetchOptions =
    FetchOptions { wait_ms: 100, bytes_min: 1, bytes_max: 8 << 20, partition_bytes_max: 1 << 20 };

/// ListOffsets' words for the two ends.
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;

pub(super) async fn run(mut actor: Actor, topics: Vec<TopicPlan>, plan: ConsumerPlan) {
    let mut admin = Admin::new(actor.dial());
    let Some((name, partitions)) = find(&mut admin, &topics[plan.topic].name).await else { return };
    let reader = Reader { reader: actor.history.lock().fresh(), assignment: 0 };
    let topic = Topic(plan.topic as u32);
    let mut reading = Reading {
        topic,
        name,
        reader,
        positions: (0..partitions as i32).map(|p| (p, 0)).collect(),
        turn: 0,
        lost: BTreeSet::new(),
    };
    let mut consumer = Consumer::new(actor.dial());
    let mut ends: Option<Vec<i64>> = None;
    loop {
        let produced = !actor.history.lock().producing();
        if produced && ends.is_none() {
            ends = reading.ends(&mut admin).await;
        }
        if ends.as_ref().is_some_and(|ends| reading.reached(ends)) {
            return;
        }
        let options = if produced { LAST_MILE } else { plan.options };
        if reading.poll(&mut consumer, options, false).await.is_err() {
            consumer.dial().back_off().await;
        }
        reading.find_again(&mut admin).await;
        if actor.random.chance(plan.seek_per_mille) && !produced {
            reading.seek_back(&mut actor);
        }
        if actor.random.chance(plan.list_per_mille) {
            let index = actor.random.index(reading.positions.len());
            let wanted = draw_wanted(&mut actor);
            let _ = reading.list(&mut admin, index, wanted).await;
        }
        if actor.random.chance(plan.disconnect_per_mille) {
            consumer.disconnect();
        }
        actor.pause(&plan.pause_ms).await;
    }
}

fn draw_wanted(actor: &mut Actor) -> Wanted {
    match actor.random.index(3) {
        0 => Wanted::Earliest,
        1 => Wanted::Latest,
        _ => Wanted::Time(actor.rt.wall_ms() - actor.random.range(0..3_000) as i64),
    }
}

/// Something that trying again may mend.
#[derive(Debug)]
pub(super) struct NotNow;

/// What a fetch was.
#[derive(Clone, Copy)]
struct Asked {
    since: usize,
    whole: bool,
    wall_ms: i64,
}

/// A reader and where it is.
pub(super) struct Reading {
    pub(super) topic: Topic,
    pub(super) name: TopicName,
    pub(super) reader: Reader,
    /// Partition and offset.
    pub(super) positions: Vec<(i32, i64)>,
    /// Polls so far: each begins with another partition, so that a small answer starves none.
    pub(super) turn: usize,
    /// Indexes of partitions whose position was out of range: retention may have passed it.
    pub(super) lost: BTreeSet<usize>,
}

impl Reading {
    fn place(&self, partition: i32) -> Place {
        Place { topic: self.topic, partition }
    }

    pub(super) fn reached(&self, ends: &[i64]) -> bool {
        self.positions.iter().zip(ends).all(|((_, position), end)| position >= end)
    }

    /// The high watermark of each partition; `None` when the broker cannot be asked now.
    pub(super) async fn ends(&self, admin: &mut Admin) -> Option<Vec<i64>> {
        let mut ends = Vec::new();
        for index in 0..self.positions.len() {
            ends.push(self.list(admin, index, Wanted::Latest).await.ok()?);
        }
        Some(ends)
    }

    /// One question for an offset.
    pub(super) async fn list(
        &self,
        admin: &mut Admin,
        index: usize,
        wanted: Wanted,
    ) -> Result<i64, NotNow> {
        let (partition, _) = self.positions[index];
        let history = admin.dial().history.clone();
        let since = history.lock().now();
        let timestamp = match wanted {
            Wanted::Latest => LATEST,
            Wanted::Earliest => EARLIEST,
            Wanted::Time(time) => time,
        };
        let (offset, timestamp_ms) =
            admin.list_offset(&self.name.name, partition, timestamp).await.map_err(|_| NotNow)?;
        let place = self.place(partition);
        history.push(Event::Listed { place, wanted, offset, timestamp_ms, since });
        Ok(offset)
    }

    /// Goes on from the start of the log where a position was out of range, as consumers do with
    /// `auto.offset.reset=earliest`. What cannot be asked now is asked the next time.
    pub(super) async fn find_again(&mut self, admin: &mut Admin) {
        for index in std::mem::take(&mut self.lost) {
            match self.list(admin, index, Wanted::Earliest).await {
                Ok(start) => {
                    self.reader.assignment += 1;
                    self.positions[index].1 = start;
                }
                Err(NotNow) => drop(self.lost.insert(index)),
            }
        }
    }

    /// One fetch of all partitions.
    pub(super) async fn poll(
        &mut self,
        consumer: &mut Consumer,
        options: FetchOptions,
        whole: bool,
    ) -> Result<(), NotNow> {
        let history = consumer.dial().history.clone();
        let since = history.lock().now();
        let mut asked = self.positions.clone();
        let first = self.turn % asked.len();
        asked.rotate_left(first);
        self.turn += 1;
        let fetched = consumer.poll(&self.name, &asked, options).await;
        let mut result = Ok(());
        let asked = Asked { since, whole, wall_ms: consumer.dial().rt.wall_ms() };
        for part in fetched.map_err(|_| NotNow)? {
            if !self.take(&history, part, asked) {
                result = Err(NotNow);
            }
        }
        result
    }

    /// Notes what came for one partition. False if nothing can come from it now.
    fn take(&mut self, history: &Shared, part: Fetched, asked: Asked) -> bool {
        let place = self.place(part.partition);
        let index = self.positions.iter().position(|(partition, _)| *partition == part.partition);
        let index = index.expect("the client answers only what was asked");
        let (_, position) = &mut self.positions[index];
        if part.code != ErrorCode::NONE {
            if part.code == ErrorCode::OFFSET_OUT_OF_RANGE {
                history.push(Event::OutOfRange { place, from: *position });
                self.lost.insert(index);
            } else if !part.code.is_retriable() {
                history.misbehaved("unexpected-error", format!("fetching {place}: {}", part.code));
            }
            return false;
        }
        let records = match part.records {
            Ok(records) => records,
            Err(what) => {
                history.misbehaved("corrupt", format!("{place} from {position}: {what}"));
                return false;
            }
        };
        let from = *position;
        if let Some(next) = part.next {
            *position = next.max(from);
        }
        history.push(Event::Polled(Poll {
            reader: self.reader,
            place,
            from,
            records,
            high_watermark: part.high_watermark,
            log_start: part.log_start,
            wall_ms: asked.wall_ms,
            since: asked.since,
            whole: asked.whole,
        }));
        true
    }

    fn seek_back(&mut self, actor: &mut Actor) {
        self.reader.assignment += 1;
        let index = actor.random.index(self.positions.len());
        let (_, position) = &mut self.positions[index];
        *position = actor.random.range(0..*position as u64 + 1) as i64;
    }
}
