//! Fetching: every connection reads its partitions over and over, one request at a time.
//!
//! Batches are counted by their headers and never looked into, unless asked to verify them. At the end
//! of a partition the connection starts again at its beginning, so that a run can be longer than the
//! data.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use engine::batch::Batches;
use net::wire::Records;
use net::wire::messages::fetch_request::{FetchPartition, FetchTopic};
use net::wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use net::wire::messages::{FetchRequest, ListOffsetsRequest};

use super::connection::Connection;
use super::on_executor;
use super::topic::{self, Partition};
use super::window::Progress;
use crate::cli::FetchOptions;

const FETCH_VERSION: i16 = 11;
const LIST_OFFSETS_VERSION: i16 = 5;
/// ListOffsets' words for the beginning and the end.
const EARLIEST: i64 = -2;
const LATEST: i64 = -1;
const WAIT_MS: i32 = 500;

/// Reads until the run is over.
pub(crate) fn fetch(options: &FetchOptions) -> Result<()> {
    let options = options.clone();
    on_executor(options.target.core, move || async move { run(options).await })
}

async fn run(options: FetchOptions) -> Result<()> {
    let progress =
        Progress::by_bytes(options.target.pid, options.warmup_mib << 20, options.total_mib << 20);
    let progress = Rc::new(progress);
    let partitions = topic::prepare(&options.target).await?;
    let mut tasks = Vec::new();
    let over = Rc::new(Cell::new(false));
    for share in topic::share(&partitions, options.target.connections) {
        let lane = Lane::open(&options, &share).await?;
        tasks.push(glommio::spawn_local(lane.run(Rc::clone(&progress), Rc::clone(&over))));
    }
    for task in tasks {
        task.await?;
    }
    progress.close()?;
    progress.report("fetch").print(options.target.json)?;
    if options.target.delete_topic {
        topic::delete(&options.target).await?;
    }
    Ok(())
}

struct Lane {
    connection: Connection,
    cursors: Vec<Cursor>,
    fetch_bytes: i32,
    verify: bool,
}

struct Cursor {
    topic: Rc<str>,
    partition: i32,
    begin: i64,
    end: i64,
    at: i64,
}

/// What one answer brought.
struct Taken {
    bytes: u64,
    records: u64,
    next: i64,
}

impl Lane {
    async fn open(options: &FetchOptions, share: &[Partition]) -> Result<Self> {
        let leader = &share.first().context("a connection without a partition")?.leader;
        let mut connection = Connection::open(leader).await?;
        let mut cursors = Vec::new();
        for each in share {
            let begin = offset(&mut connection, each, EARLIEST).await?;
            let end = offset(&mut connection, each, LATEST).await?;
            if begin < end {
                let (topic, partition) = (Rc::clone(&each.topic), each.index);
                cursors.push(Cursor { topic, partition, begin, end, at: begin });
            }
        }
        if cursors.is_empty() {
            bail!("nothing to read in topic {}: produce first", options.target.topic);
        }
        Ok(Self { connection, cursors, fetch_bytes: options.fetch_bytes, verify: options.verify })
    }

    async fn run(mut self, progress: Rc<Progress>, over: Rc<Cell<bool>>) -> Result<()> {
        for number in 0_usize.. {
            if over.get() {
                break;
            }
            let cursor = number % self.cursors.len();
            let sent = Instant::now();
            let taken = self.take(cursor).await?;
            let cursor = &mut self.cursors[cursor];
            cursor.at = if taken.next >= cursor.end { cursor.begin } else { taken.next };
            progress.done(taken.bytes, taken.records, sent)?;
            if !progress.claim(taken.bytes) {
                over.set(true);
            }
        }
        Ok(())
    }

    async fn take(&mut self, cursor: usize) -> Result<Taken> {
        let cursor = &self.cursors[cursor];
        let partition = FetchPartition {
            partition: cursor.partition,
            fetch_offset: cursor.at,
            partition_max_bytes: self.fetch_bytes,
            ..FetchPartition::default()
        };
        let request = FetchRequest {
            max_wait_ms: WAIT_MS,
            min_bytes: 1,
            max_bytes: self.fetch_bytes,
            topics: vec![FetchTopic {
                topic: &cursor.topic,
                partitions: vec![partition],
                ..FetchTopic::default()
            }],
            ..FetchRequest::default()
        };
        let answer = self.connection.call(FETCH_VERSION, &request).await?;
        let mut partitions = answer.responses.iter().flat_map(|topic| &topic.partitions);
        let partition = partitions.next().context("an answer about no partition")?;
        if answer.error_code != 0 || partition.error_code != 0 {
            bail!("fetch: error {}/{}", answer.error_code, partition.error_code);
        }
        let records = partition.records.and_then(|records| Records::here(&records));
        count(records.unwrap_or_default(), cursor.at, self.verify)
    }
}

/// Counts the whole batches of `records`, which were asked for from `at` on.
fn count(records: &[u8], at: i64, verify: bool) -> Result<Taken> {
    let mut batches = Batches::new(records);
    let mut taken = Taken { bytes: 0, records: 0, next: at };
    for batch in batches.by_ref() {
        if verify {
            batch.verify_crc()?;
            if batch.base_offset().0 > taken.next {
                bail!("a gap: offset {} after {}", batch.base_offset(), taken.next);
            }
        }
        taken.bytes += batch.size() as u64;
        taken.records += u64::try_from(batch.count()).unwrap_or(0);
        taken.next = batch.last_offset().0 + 1;
    }
    Ok(taken)
}

async fn offset(connection: &mut Connection, partition: &Partition, timestamp: i64) -> Result<i64> {
    let asked = ListOffsetsPartition {
        partition_index: partition.index,
        timestamp,
        ..ListOffsetsPartition::default()
    };
    let topic = ListOffsetsTopic { name: &partition.topic, partitions: vec![asked] };
    let request =
        ListOffsetsRequest { topics: vec![topic], replica_id: -1, ..ListOffsetsRequest::default() };
    let answer = connection.call(LIST_OFFSETS_VERSION, &request).await?;
    let mut partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
    let partition = partitions.next().context("an answer about no partition")?;
    if partition.error_code != 0 {
        bail!("ListOffsets: error {}", partition.error_code);
    }
    Ok(partition.offset)
}
