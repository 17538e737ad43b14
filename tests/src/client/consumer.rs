//! Fetching: one topic, positions that the caller keeps.

use engine::batch::{Batches, Record};
use net::wire::errors::ErrorCode;
use net::wire::messages::FetchResponse;

use super::connection::{Connection, Lost};
use super::dial::Dial;
use super::request::{Position, TopicName, decode, fetch};
use super::session::{FetchSession, SESSIONS_FROM};
use crate::history::Seen;
use crate::payload::{NAME_HEADER, RecordName};

/// No batch of a workload unpacks to more.
const UNPACKED_BYTES_MAX: u64 = 16 << 20;

/// How a consumer fetches (`fetch.max.wait.ms`, `fetch.min.bytes`, `fetch.max.bytes`,
/// `max.partition.fetch.bytes`).
#[derive(Clone, Copy, Debug)]
pub struct FetchOptions {
    /// Milliseconds that the broker may wait for `bytes_min`.
    pub wait_ms: i32,
    /// Least bytes worth answering.
    pub bytes_min: i32,
    /// Most bytes of an answer.
    pub bytes_max: i32,
    /// Most bytes of a partition.
    pub partition_bytes_max: i32,
}

/// What a fetch says of one partition.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// Which.
    pub partition: i32,
    /// Its error.
    pub code: ErrorCode,
    /// Its records at or past the offset asked for; `Err` says what is wrong with the bytes.
    pub records: Result<Vec<Seen>, String>,
    /// Offset after the last batch that came, if any came: where to go on. Past the last record where
    /// compaction took what was behind it.
    pub next: Option<i64>,
    /// Its high watermark.
    pub high_watermark: i64,
    /// Its log start, -1 before version 5.
    pub log_start: i64,
}

/// Fetches from one topic.
pub struct Consumer {
    dial: Dial,
    connection: Option<Connection>,
    session: Option<FetchSession>,
}

impl Consumer {
    /// A consumer; connects at its first poll.
    #[must_use]
    pub fn new(dial: Dial) -> Self {
        let dialect = dial.dialect;
        let has_session = dialect.fetch_sessions && dialect.fetch >= SESSIONS_FROM;
        Self { dial, connection: None, session: has_session.then(FetchSession::default) }
    }

    /// The client's surroundings.
    #[must_use]
    pub fn dial(&self) -> &Dial {
        &self.dial
    }

    /// Gives the connection up; the next poll makes a new one.
    pub fn disconnect(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.abandon();
        }
    }

    /// One fetch, of several partitions from these offsets.
    ///
    /// # Errors
    /// [`Lost`].
    pub async fn poll(
        &mut self,
        topic: &TopicName,
        positions: &[(i32, i64)],
        options: FetchOptions,
    ) -> Result<Vec<Fetched>, Lost> {
        if self.connection.as_ref().is_none_or(Connection::is_broken) {
            self.connection = Some(self.dial.once().await?);
        }
        let fetched = self.ask(topic, positions, options).await;
        if fetched.is_err()
            && let Some(session) = &mut self.session
        {
            session.start_anew();
        }
        fetched
    }

    async fn ask(
        &mut self,
        topic: &TopicName,
        positions: &[(i32, i64)],
        options: FetchOptions,
    ) -> Result<Vec<Fetched>, Lost> {
        let connection = self.connection.clone().expect("connected above");
        let version = self.dial.dialect.fetch;
        let bytes_max = options.partition_bytes_max;
        let wanted: Vec<Position> = positions
            .iter()
            .map(|&(partition, offset)| Position { partition, offset, bytes_max })
            .collect();
        let FetchOptions { wait_ms, bytes_min, bytes_max, .. } = options;
        let mut asked = wanted.clone();
        if let Some(session) = &mut self.session {
            asked = session.changes(topic, &wanted);
        }
        let mut request = fetch(version, topic, &asked, wait_ms, bytes_min, bytes_max);
        if let Some(session) = &mut self.session {
            session.join(&mut request, topic, &wanted, version);
        }
        let patience = self.dial.patience + std::time::Duration::from_millis(wait_ms as u64);
        let frame = connection.call(version, &request, patience).await?;
        self.take_apart(&frame, topic, positions).map_err(|what| {
            self.dial.history.misbehaved("answer-malformed", format!("{}: {what}", self.dial.who));
            Lost
        })
    }

    fn take_apart(
        &mut self,
        frame: &[u8],
        topic: &TopicName,
        positions: &[(i32, i64)],
    ) -> Result<Vec<Fetched>, String> {
        let version = self.dial.dialect.fetch;
        let answer: FetchResponse<'_> = decode(frame, version)
            .map_err(|Lost| "a fetch answer that cannot be read".to_owned())?;
        let code = ErrorCode(answer.error_code);
        if code != ErrorCode::NONE {
            let may = self.session.as_mut().is_some_and(|session| session.may_refuse(code));
            return if may { Ok(Vec::new()) } else { Err(format!("a fetch answered {code}")) };
        }
        let mut fetched = read(&answer, version, topic, positions)?;
        match &mut self.session {
            Some(session) => session.take(answer.session_id, &mut fetched)?,
            None if answer.session_id != 0 => return Err("a session nobody asked for".to_owned()),
            None => {}
        }
        Ok(fetched)
    }
}

/// What an answer says of each partition.
fn read(
    answer: &FetchResponse<'_>,
    version: i16,
    topic: &TopicName,
    positions: &[(i32, i64)],
) -> Result<Vec<Fetched>, String> {
    let mut all = Vec::new();
    for part in &answer.responses {
        let named =
            if version >= 13 { part.topic_id == topic.id.0 } else { part.topic == topic.name };
        if !named {
            return Err(format!("a topic that was not asked for: {part:?}"));
        }
        for data in &part.partitions {
            let asked = positions.iter().find(|(index, _)| *index == data.partition_index);
            let Some(&(partition, from)) = asked else {
                return Err(format!("partition {} was not asked for", data.partition_index));
            };
            let bytes = data.records.and_then(|records| records.here()).unwrap_or_default();
            all.push(Fetched {
                partition,
                code: ErrorCode(data.error_code),
                records: unpack(bytes, from),
                next: Batches::new(bytes).last().map(|batch| batch.last_offset().0 + 1),
                high_watermark: data.high_watermark,
                log_start: data.log_start_offset,
            });
        }
    }
    Ok(all)
}

fn read_deletion(record: &Record<'_>) -> Option<RecordName> {
    let mut headers = record.headers;
    let header = headers.next().filter(|header| header.key == NAME_HEADER)?;
    RecordName::read_deletion(record.key, header.value?)
}

/// The records of whole batches, from `from` on. A cut batch at the end is a broker's right.
fn unpack(bytes: &[u8], from: i64) -> Result<Vec<Seen>, String> {
    let mut seen = Vec::new();
    let mut batches = Batches::new(bytes);
    for batch in batches.by_ref() {
        batch.verify_crc().map_err(|error| format!("at {}: {error}", batch.base_offset()))?;
        let mut records = batch.records(UNPACKED_BYTES_MAX).map_err(|error| error.to_string())?;
        while let Some(record) = records.next() {
            let record = record.map_err(|error| error.to_string())?;
            if record.offset.0 >= from {
                let name = match record.value {
                    None => read_deletion(&record),
                    value => RecordName::read(record.key, value),
                };
                let (offset, timestamp_ms) = (record.offset.0, record.timestamp_ms);
                seen.push(Seen { offset, name, timestamp_ms });
            }
        }
    }
    let rest = batches.rest();
    match rest.len() {
        0 => Ok(seen),
        len => {
            Err(format!("{len} bytes after the last whole batch: {:02x?}", &rest[..len.min(32)]))
        }
    }
}
