//! `ringmain produce`: standard input → records of a topic.
//!
//! A thread reads records from standard input into a small queue; the main thread writes what has
//! come in as one batch per partition. So a pipe is written in large batches, and a line typed at
//! the terminal at once.

use std::io::{self, BufReader, IsTerminal};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use clap::Args;
use engine::batch::Codec;
use serde::Serialize;

use crate::cli::Common;
use crate::client::{Acks, OwnedRecord, Producer, ProducerOptions, Written};
use crate::output::{Format, Output, remark};
use crate::template::{self, RecordReader, Template};
use crate::topic::key_value;

/// Records that wait between reading and writing.
const QUEUE_RECORDS: usize = 4096;
/// A round of writing begins at the latest with this many bytes of records.
const ROUND_BYTES: usize = 768 << 10;
/// How long a round waits for more records.
const LINGER: Duration = Duration::from_millis(5);

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Topic.
    topic: String,
    #[arg(short, long, value_name = "FORMAT", default_value = "%v\\n", help = format_help())]
    format_in: Template,
    /// Each line is KEY, this text, VALUE; a line without it is a value without a key.
    #[arg(short = 'K', long, value_name = "TEXT", conflicts_with_all = ["format_in", "key"])]
    key_separator: Option<String>,
    /// The key of every record.
    #[arg(short, long)]
    key: Option<String>,
    /// A header of every record; may be repeated.
    #[arg(short = 'H', long = "header", value_name = "NAME=VALUE", value_parser = key_value)]
    headers: Vec<(String, String)>,
    /// Write an empty value as null, which deletes the key on a compacted topic.
    #[arg(short = 'Z', long)]
    tombstone: bool,
    /// All records to this partition [default: by key, or in turn].
    #[arg(short, long)]
    partition: Option<i32>,
    /// Compression: none, gzip, snappy, lz4 or zstd.
    #[arg(short = 'z', long, value_parser = codec, default_value = "none")]
    compression: Codec,
    /// Who must have a record before it counts as written.
    #[arg(long, value_enum, default_value_t = Acks::All)]
    acks: Acks,
    /// Create the topic, with the broker's defaults, if it does not exist.
    #[arg(long)]
    create: bool,
    /// Print nothing on success.
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    common: Common,
}

/// One batch that was written, as `--format json` shows it.
#[derive(Serialize)]
struct Report<'t> {
    topic: &'t str,
    partition: i32,
    records: usize,
    base_offset: Option<i64>,
}

#[derive(Default)]
struct Totals {
    records: usize,
    batches: usize,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<()> {
        ensure!(!self.topic.is_empty(), "the topic's name is empty");
        let mut cluster = self.common.cluster();
        let options = ProducerOptions {
            acks: self.acks,
            codec: self.compression,
            partition: self.partition,
            create_topic: self.create,
        };
        let mut producer = Producer::open(&mut cluster, &self.topic, options)?;
        let records = self.read_in_background()?;
        let mut out = self.common.output();
        let mut totals = Totals::default();
        while let Some(round) = self.next_round(&records)? {
            let mut failed = None;
            let written = producer.write(&mut cluster, round, |written| {
                totals.records += written.count;
                totals.batches += 1;
                let printed = self.print(&mut out, written);
                failed = failed.take().or(printed.err());
            });
            out.flush()?;
            written
                .with_context(|| format!("{} records were written before this", totals.records))?;
            if let Some(error) = failed {
                return Err(error);
            }
        }
        self.print_totals(&totals);
        Ok(())
    }

    fn read_in_background(&self) -> Result<Receiver<Result<OwnedRecord>>> {
        if io::stdin().is_terminal() && !self.quiet {
            remark("one record per line; end with Ctrl-D");
        }
        let template = match &self.key_separator {
            Some(_) => "%v\\n".parse().expect("a constant format"),
            None => self.format_in.clone(),
        };
        // Refuse a format that cannot be read by before the first record is waited for.
        RecordReader::new(io::empty(), template.clone())?;
        let (sender, receiver) = sync_channel(QUEUE_RECORDS);
        std::thread::spawn(move || {
            let input = BufReader::with_capacity(1 << 16, io::stdin());
            let Ok(mut reader) = RecordReader::new(input, template) else { return };
            while let Some(record) = reader.next().transpose() {
                let is_last = record.is_err();
                if sender.send(record).is_err() || is_last {
                    return;
                }
            }
        });
        Ok(receiver)
    }

    /// The records of one round, `None` at the end of the input.
    fn next_round(
        &self,
        records: &Receiver<Result<OwnedRecord>>,
    ) -> Result<Option<Vec<OwnedRecord>>> {
        let Ok(first) = records.recv() else { return Ok(None) };
        let mut round = vec![self.complete(first?)?];
        let mut bytes = round[0].size();
        while bytes < ROUND_BYTES {
            match records.recv_timeout(LINGER) {
                Ok(record) => {
                    let record = self.complete(record?)?;
                    bytes += record.size();
                    round.push(record);
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
        }
        Ok(Some(round))
    }

    /// Adds what the command line says of every record.
    fn complete(&self, mut record: OwnedRecord) -> Result<OwnedRecord> {
        if let Some(separator) = &self.key_separator {
            split_key(&mut record, separator.as_bytes());
        }
        if let Some(key) = &self.key {
            record.key = Some(key.clone().into_bytes());
        }
        if self.tombstone && record.value.as_ref().is_some_and(Vec::is_empty) {
            record.value = None;
        }
        let header = |(name, value): &(String, String)| {
            (name.clone().into_bytes(), Some(value.clone().into_bytes()))
        };
        record.headers = self.headers.iter().map(header).collect();
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        record.timestamp_ms =
            now.context("this machine's clock is before 1970")?.as_millis() as i64;
        Ok(record)
    }

    fn print(&self, out: &mut Output, written: Written) -> Result<()> {
        let Written { partition, count, base_offset } = written;
        if self.quiet {
            return Ok(());
        }
        if out.format == Format::Json {
            let topic = &self.topic;
            out.json_line(&Report { topic, partition, records: count, base_offset })?;
            return Ok(());
        }
        let place = format!("{}-{partition}", self.topic);
        let line = match (base_offset, count) {
            (None, 1) => format!("wrote 1 record to {place}"),
            (None, _) => format!("wrote {count} records to {place}"),
            (Some(offset), 1) => format!("wrote 1 record to {place} at offset {offset}"),
            (Some(offset), _) => {
                let last = offset + count as i64 - 1;
                format!("wrote {count} records to {place} at offsets {offset} to {last}")
            }
        };
        Ok(out.line(&line)?)
    }

    fn print_totals(&self, totals: &Totals) {
        if !self.quiet && totals.records == 0 {
            remark("nothing written: the input was empty");
        } else if !self.quiet && totals.batches > 1 {
            remark(&format!("{} records in {} batches", totals.records, totals.batches));
        }
    }
}

/// Splits a line at the first separator; without one it stays a value without a key.
fn split_key(record: &mut OwnedRecord, separator: &[u8]) {
    let Some(line) = &record.value else { return };
    let found = (!separator.is_empty())
        .then(|| line.windows(separator.len()).position(|window| window == separator))
        .flatten();
    if let Some(at) = found {
        record.key = Some(line[..at].to_vec());
        record.value = Some(line[at + separator.len()..].to_vec());
    }
}

fn codec(name: &str) -> Result<Codec, String> {
    Codec::from_name(name).ok_or_else(|| "known are none, gzip, snappy, lz4 and zstd".to_owned())
}

fn format_help() -> String {
    format!("How records stand in the input: %k, %v and %p of {}", template::HELP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_end_at_the_first_separator() {
        let split = |line: &str| {
            let mut record = OwnedRecord { value: Some(line.into()), ..Default::default() };
            split_key(&mut record, b"::");
            (record.key, record.value.unwrap())
        };
        assert_eq!(split("a::b::c"), (Some(b"a".to_vec()), b"b::c".to_vec()));
        assert_eq!(split("::b"), (Some(Vec::new()), b"b".to_vec()));
        assert_eq!(split("a:b"), (None, b"a:b".to_vec()));
    }
}
