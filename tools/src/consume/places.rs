//! Which partitions of a topic are meant, and which offsets of them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};

use super::span::Edge;
use crate::client::{At, Cluster};

/// The partitions in `wanted`, each once (a broker refuses to be asked twice for one), or all of
/// them if it is empty. The metadata of the topic is known.
pub(crate) fn chosen_partitions(
    cluster: &Cluster,
    topic: &str,
    wanted: &[i32],
) -> Result<Vec<i32>> {
    let there: Vec<i32> = cluster.topic(topic)?.partitions.iter().map(|one| one.index).collect();
    for index in wanted {
        let last = there.len().saturating_sub(1);
        ensure!(there.contains(index), "{topic} has partitions 0 to {last}, not {index}");
    }
    let once: BTreeSet<i32> = wanted.iter().copied().collect();
    Ok(if once.is_empty() { there } else { once.into_iter().collect() })
}

/// The offset that an edge means in each partition.
pub(crate) fn resolve(
    cluster: &mut Cluster,
    topic: &str,
    partitions: &[i32],
    edge: Edge,
    now_ms: i64,
) -> Result<BTreeMap<i32, i64>> {
    let starts = cluster.offsets(topic, partitions, At::Start)?;
    let ends = cluster.offsets(topic, partitions, At::End)?;
    let times = match edge.time(now_ms) {
        Some(ms) => cluster.offsets(topic, partitions, At::Time(ms))?,
        None => BTreeMap::new(),
    };
    // Each partition that was asked for has its offsets: an answer without one was an error.
    let offset = |index: &i32| {
        let (start, end) = (starts[index], ends[index]);
        // No record is as young as the time asked for: what comes next is.
        let at_time = times.get(index).copied().filter(|offset| *offset >= 0).unwrap_or(end);
        (*index, edge.offset(start, end, at_time))
    };
    Ok(partitions.iter().map(offset).collect())
}

/// Unix milliseconds.
pub(crate) fn now_ms() -> Result<i64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    Ok(now.context("this machine's clock is before 1970")?.as_millis() as i64)
}
