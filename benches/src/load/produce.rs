//! Producing: as fast as a window of open requests allows, or at a fixed rate.
//!
//! Every request carries the same batch, built once, for one partition; requests go round the
//! connection's partitions. So the generator spends its time in the kernel and hardly any of its own.
//!
//! Open loop: request `k` is *meant* to leave at `k / rate`, whatever became of those before it, and
//! its latency counts from then. A broker that stalls for a second thus gets a second's worth of slow
//! answers, where a closed loop would record one (coordinated omission).

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use futures_lite::io::{AsyncRead, AsyncWriteExt, ReadHalf, WriteHalf};
use glommio::net::TcpStream;
use glommio::sync::Semaphore;
use net::wire::api::ApiKey;
use net::wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use net::wire::messages::{ProduceRequest, ProduceResponse};
use net::wire::{Records, decode_response, encode_request};

use super::connection::{Connection, read_frame};
use super::topic::{self, Partition};
use super::window::Progress;
use super::{batches, on_executor};
use crate::cli::{Acks, OpenLoopOptions, ProduceOptions, Shape, Target};

/// Newest version without tagged fields: nothing follows the records.
const PRODUCE_VERSION: i16 = 8;
/// Open requests of a connection that keeps to a rate; beyond, it sends late, and that is measured.
pub(super) const OPEN_LOOP_IN_FLIGHT: u64 = 100_000;
/// Smaller batches are sent together with their header.
const JOINED_BYTES_MAX: usize = 64 << 10;
/// Where a request's correlation id stands: after size, key and version.
const CORRELATION_ID_AT: usize = 8;
/// How long answers are waited for after the last request.
const DRAIN_MAX: Duration = Duration::from_secs(30);

/// Closed loop.
pub(crate) fn produce(options: &ProduceOptions) -> Result<()> {
    let options = options.clone();
    on_executor(options.target.core, move || async move {
        let progress = Progress::by_bytes(
            options.target.pid,
            options.warmup_mib << 20,
            options.total_mib << 20,
        );
        let plan = Plan { in_flight: options.in_flight, pace: None };
        run(&options.target, &options.shape, plan, Rc::new(progress), "produce").await
    })
}

/// Open loop.
pub(crate) fn open_loop(options: &OpenLoopOptions) -> Result<()> {
    let options = options.clone();
    if !(options.rate > 0.0 && options.shape.acks != Acks::None) {
        bail!("open-loop needs a rate above 0 and answers (--acks 1 or all)");
    }
    on_executor(options.target.core, move || async move {
        let pace = Pace {
            rate: options.rate,
            warmup: Duration::from_secs_f64(options.warmup_seconds),
            measured: Duration::from_secs_f64(options.seconds),
        };
        let plan = Plan { in_flight: OPEN_LOOP_IN_FLIGHT, pace: Some(pace) };
        let progress = Rc::new(Progress::by_time(options.target.pid));
        run(&options.target, &options.shape, plan, progress, "open-loop").await
    })
}

#[derive(Clone, Copy)]
struct Plan {
    in_flight: u64,
    pace: Option<Pace>,
}

#[derive(Clone, Copy)]
struct Pace {
    rate: f64,
    warmup: Duration,
    measured: Duration,
}

async fn run(
    target: &Target,
    shape: &Shape,
    plan: Plan,
    progress: Rc<Progress>,
    workload: &'static str,
) -> Result<()> {
    let partitions = topic::prepare(target).await?;
    let (batches, records) = batches(shape);
    let batches: Vec<_> = batches.into_iter().map(Rc::new).collect();
    let mut lanes = Vec::new();
    for share in topic::share(&partitions, target.connections) {
        lanes.push(Lane::open(shape, &share, &batches, records, plan.in_flight).await?);
    }
    let start = Instant::now();
    if let Some(pace) = plan.pace {
        let from = start + pace.warmup;
        glommio::spawn_local(Rc::clone(&progress).measure(from, from + pace.measured)).detach();
    }
    let count = lanes.len();
    let tasks: Vec<_> = lanes
        .into_iter()
        .enumerate()
        .map(|(at, lane)| {
            let clock = plan.pace.map(|pace| Clock::new(start, pace, at, count));
            glommio::spawn_local(lane.run(Rc::clone(&progress), clock))
        })
        .collect();
    for task in tasks {
        task.await?;
    }
    progress.close()?;
    progress.report(workload).print(target.json)?;
    if target.delete_topic {
        topic::delete(target).await?;
    }
    Ok(())
}

/// When the requests of one connection are meant to leave.
pub(super) struct Clock {
    next: Instant,
    step: Duration,
    end: End,
}

enum End {
    At(Instant),
    When(Rc<Cell<bool>>),
}

impl Clock {
    fn new(start: Instant, pace: Pace, at: usize, connections: usize) -> Self {
        let between = Duration::from_secs_f64(1.0 / pace.rate);
        Self {
            next: start + between * at as u32,
            step: between * connections as u32,
            end: End::At(start + pace.warmup + pace.measured),
        }
    }

    /// `rate` requests per second from now on, until it is told to stop.
    pub(super) fn until(rate: f64, stop: Rc<Cell<bool>>) -> Self {
        let step = Duration::from_secs_f64(1.0 / rate);
        Self { next: Instant::now(), step, end: End::When(stop) }
    }

    /// The next intended time, after waiting for it; `None` at the end.
    async fn tick(&mut self) -> Option<Instant> {
        let intended = self.next;
        let is_over = match &self.end {
            End::At(end) => intended >= *end,
            End::When(stop) => stop.get(),
        };
        if is_over {
            return None;
        }
        self.next += self.step;
        let now = Instant::now();
        if intended > now {
            glommio::timer::sleep(intended - now).await;
        }
        Some(intended)
    }
}

/// One connection and its share of the partitions.
pub(super) struct Lane {
    reader: ReadHalf<TcpStream>,
    writer: WriteHalf<TcpStream>,
    /// Everything before the records, for each partition and batch; correlation ids are patched in.
    heads: Vec<Head>,
    in_flight: u64,
    answers: Answers,
}

/// A request but for its records.
struct Head {
    bytes: Vec<u8>,
    batch: Rc<Vec<u8>>,
}

/// What the receiving half of a lane knows.
#[derive(Clone)]
struct Answers {
    version: i16,
    acks: Acks,
    /// Of one batch; those with keys differ by a few bytes.
    batch_bytes: u64,
    records: u64,
    /// A permit for each request that may be open; closed when answers end.
    window: Rc<Semaphore>,
    /// When the open requests were sent, or meant to be, in order.
    open: Rc<RefCell<VecDeque<Instant>>>,
}

impl Lane {
    pub(super) async fn open(
        shape: &Shape,
        share: &[Partition],
        batches: &[Rc<Vec<u8>>],
        records: u64,
        in_flight: u64,
    ) -> Result<Self> {
        let leader = &share.first().context("a connection without a partition")?.leader;
        let connection = Connection::open(leader).await?;
        let version = connection.version(ApiKey::PRODUCE, PRODUCE_VERSION)?;
        let mut heads = Vec::with_capacity(share.len() * batches.len());
        for batch in batches {
            for partition in share {
                let bytes = head(shape.acks, partition, batch.len(), version)?;
                heads.push(Head { bytes, batch: Rc::clone(batch) });
            }
        }
        let (reader, writer) = futures_lite::io::split(connection.into_stream());
        let answers = Answers {
            version,
            acks: shape.acks,
            batch_bytes: batches[0].len() as u64,
            records,
            window: Rc::new(Semaphore::new(in_flight)),
            open: Rc::default(),
        };
        Ok(Self { reader, writer, heads, in_flight, answers })
    }

    /// Sends and receives until the run is over.
    pub(super) async fn run(self, progress: Rc<Progress>, clock: Option<Clock>) -> Result<()> {
        let Self { reader, writer, heads, in_flight, answers } = self;
        let receiving = glommio::spawn_local(answers.clone().receive(reader, Rc::clone(&progress)));
        let sender = Sender { writer, heads, joined: Vec::new(), answers };
        let sent = sender.send(&progress, clock, in_flight).await;
        match (sent, receiving.cancel().await) {
            // Why the answers ended says more than that they did.
            (Err(_), Some(Err(error))) => Err(error),
            (sent, _) => sent,
        }
    }
}

struct Sender {
    writer: WriteHalf<TcpStream>,
    heads: Vec<Head>,
    joined: Vec<u8>,
    answers: Answers,
}

impl Sender {
    /// Sends until the run is over, then waits for the answers that are still out.
    async fn send(
        mut self,
        progress: &Progress,
        mut clock: Option<Clock>,
        in_flight: u64,
    ) -> Result<()> {
        for number in 0_u32.. {
            let intended = match &mut clock {
                None if !progress.claim(self.answers.batch_bytes) => break,
                None => None,
                Some(clock) => match clock.tick().await {
                    None => break,
                    intended => intended,
                },
            };
            self.answers.slots(1).await?;
            let at = intended.unwrap_or_else(Instant::now);
            self.answers.open.borrow_mut().push_back(at);
            self.write(number).await?;
            if self.answers.acks == Acks::None {
                self.answers.take_open(progress)?;
                // Nothing else gives the executor back while the socket takes everything.
                glommio::yield_if_needed().await;
            }
        }
        let all = self.answers.slots(in_flight);
        if glommio::timer::timeout(DRAIN_MAX, async { Ok(all.await) }).await.is_ok() {
            return Ok(());
        }
        self.answers.give_up(progress)
    }

    async fn write(&mut self, number: u32) -> Result<()> {
        let head = &self.heads[number as usize % self.heads.len()];
        self.joined.clear();
        self.joined.extend_from_slice(&head.bytes);
        self.joined[CORRELATION_ID_AT..CORRELATION_ID_AT + 4]
            .copy_from_slice(&number.to_be_bytes());
        if head.batch.len() <= JOINED_BYTES_MAX {
            self.joined.extend_from_slice(&head.batch);
            self.writer.write_all(&self.joined).await?;
        } else {
            self.writer.write_all(&self.joined).await?;
            self.writer.write_all(&head.batch).await?;
        }
        Ok(())
    }
}

impl Answers {
    async fn slots(&self, count: u64) -> Result<()> {
        let acquired = self.window.acquire(count).await;
        acquired.map_err(|error| anyhow!("the answers ended: {error}"))
    }

    /// Counts the oldest open request as answered.
    fn take_open(&self, progress: &Progress) -> Result<()> {
        let sent = self.open.borrow_mut().pop_front().context("an answer to no request")?;
        self.window.signal(1);
        progress.done(self.batch_bytes, self.records, sent)
    }

    /// Counts what was never answered with the time that it has waited.
    fn give_up(&self, progress: &Progress) -> Result<()> {
        let unanswered = self.open.borrow().len();
        for _ in 0..unanswered {
            self.take_open(progress)?;
        }
        eprintln!("{unanswered} requests had no answer {} s after the end", DRAIN_MAX.as_secs());
        Ok(())
    }

    async fn receive(
        self,
        mut reader: impl AsyncRead + Unpin,
        progress: Rc<Progress>,
    ) -> Result<()> {
        let ended = self.receive_all(&mut reader, &progress).await;
        self.window.close();
        ended
    }

    async fn receive_all(
        &self,
        reader: &mut (impl AsyncRead + Unpin),
        progress: &Progress,
    ) -> Result<()> {
        let mut frame = Vec::new();
        for number in 0_u32.. {
            read_frame(reader, &mut frame).await?;
            let (correlation_id, answer) =
                decode_response::<ProduceResponse<'_>>(&frame, self.version)?;
            if correlation_id as u32 != number {
                bail!("answer {correlation_id} to request {number}: out of order");
            }
            check(&answer)?;
            self.take_open(progress)?;
        }
        Ok(())
    }
}

fn check(answer: &ProduceResponse<'_>) -> Result<()> {
    let partitions = answer.responses.iter().flat_map(|topic| &topic.partition_responses);
    let mut count = 0;
    for partition in partitions {
        count += 1;
        if partition.error_code != 0 {
            let why = partition.error_message.as_deref().unwrap_or("no message");
            bail!("partition {}: error {}, {why}", partition.index, partition.error_code);
        }
    }
    if count != 1 { bail!("{count} partitions in an answer about one") } else { Ok(()) }
}

/// The front of a request for one partition, up to its records.
fn head(acks: Acks, partition: &Partition, batch_bytes: usize, version: i16) -> Result<Vec<u8>> {
    let records = Some(Records::Apart(batch_bytes));
    let data = PartitionProduceData { index: partition.index, records };
    let request = ProduceRequest {
        acks: acks.wire(),
        timeout_ms: 30_000,
        topic_data: vec![TopicProduceData {
            name: &partition.topic,
            partition_data: vec![data],
            ..TopicProduceData::default()
        }],
        ..ProduceRequest::default()
    };
    let encoded = encode_request(0, Some("ringmain-bench"), version, &request)?;
    assert!(encoded.apart.len() == 1 && encoded.apart[0].at == encoded.bytes.len());
    Ok(encoded.bytes.to_vec())
}
