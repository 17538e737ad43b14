//! The rows of `group describe`: what a group has committed, what its members hold, and where the
//! logs end, put together.
//!
//! A row stands for a partition that was committed or is assigned; a member that holds nothing has
//! a row of its own, without a partition. Pure functions over what the brokers answered.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::client::{ConsumerGroup, Member, Offsets};
use crate::output::{Table, or_dash};

/// Where the log of each partition of a topic starts and ends, or why nobody knows.
pub(super) type Log = Result<LogOffsets, String>;

/// Where the logs of a topic's partitions start and end.
#[derive(Debug, Default)]
pub(super) struct LogOffsets {
    /// First offsets.
    pub(super) starts: BTreeMap<i32, i64>,
    /// Offsets after the last ones that a consumer sees.
    pub(super) ends: BTreeMap<i32, i64>,
    /// Partitions that nobody leads just now.
    pub(super) leaderless: BTreeSet<i32>,
}

/// One row. What is `None` is not there or not known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Row {
    topic: Option<String>,
    partition: Option<i32>,
    current_offset: Option<i64>,
    log_start_offset: Option<i64>,
    log_end_offset: Option<i64>,
    lag: Option<i64>,
    consumer_id: Option<String>,
    group_instance_id: Option<String>,
    host: Option<String>,
    client_id: Option<String>,
    error: Option<String>,
}

/// The topics that have rows.
pub(super) fn topics(consumer_group: &ConsumerGroup, committed: &Offsets) -> BTreeSet<String> {
    let assigned = consumer_group.members.iter().filter_map(|member| member.assignment.as_ref());
    let assigned = assigned.flat_map(BTreeMap::keys);
    assigned.chain(committed.keys()).cloned().collect()
}

/// All rows, by topic and partition; members that hold nothing come last.
pub(super) fn rows(
    consumer_group: &ConsumerGroup,
    committed: &Offsets,
    logs: &BTreeMap<String, Log>,
) -> Vec<Row> {
    let mut rows: BTreeMap<(&str, i32), Row> = BTreeMap::new();
    for (topic, offsets) in committed {
        for (partition, offset) in offsets {
            let row = Row { current_offset: Some(*offset), ..Row::default() };
            rows.insert((topic, *partition), row);
        }
    }
    let mut idle = Vec::new();
    for member in &consumer_group.members {
        let mut holds = false;
        for (topic, partition) in held(member) {
            rows.entry((topic, partition)).or_default().held_by(member);
            holds = true;
        }
        if !holds {
            let mut row = Row::default();
            row.held_by(member);
            idle.push(row);
        }
    }
    let partitions = rows.into_iter().map(|((topic, partition), mut row)| {
        (row.topic, row.partition) = (Some(topic.to_owned()), Some(partition));
        row.measure(partition, logs.get(topic));
        row
    });
    partitions.chain(idle).collect()
}

fn held(member: &Member) -> impl Iterator<Item = (&str, i32)> {
    let topics = member.assignment.iter().flatten();
    topics.flat_map(|(topic, partitions)| partitions.iter().map(|index| (topic.as_str(), *index)))
}

impl Row {
    fn held_by(&mut self, member: &Member) {
        self.consumer_id = Some(member.id.clone());
        self.group_instance_id = member.instance.clone();
        self.host = Some(member.host.clone());
        self.client_id = Some(member.client_id.clone());
    }

    fn measure(&mut self, partition: i32, log: Option<&Log>) {
        let offsets = match log {
            Some(Ok(offsets)) => offsets,
            Some(Err(why)) => return self.error = Some(why.clone()),
            None => return,
        };
        let Some(end) = offsets.ends.get(&partition).copied() else {
            let leaderless = offsets.leaderless.contains(&partition);
            let why = if leaderless { "no leader just now" } else { "no such partition" };
            return self.error = Some(why.to_owned());
        };
        self.log_start_offset = offsets.starts.get(&partition).copied();
        self.log_end_offset = Some(end);
        self.lag = self.current_offset.map(|offset| end.saturating_sub(offset));
        if self.lag.is_some_and(|lag| lag < 0) {
            self.error = Some("committed past the end of the log".to_owned());
        }
    }
}

/// The lag of all partitions together, if it is known of any. What was committed past the end of a
/// log takes nothing off.
pub(super) fn total(rows: &[Row]) -> Option<i64> {
    let lags = rows.iter().filter_map(|row| row.lag).map(|lag| lag.max(0));
    lags.reduce(i64::saturating_add)
}

/// The rows under Kafka's column names in Kafka's order; what Kafka's own tool does not show
/// follows, where it is news.
pub(super) fn table(consumer_group: &str, rows: &[Row]) -> Table {
    let mut table = Table::new(&[
        "GROUP",
        "TOPIC",
        "PARTITION",
        "CURRENT-OFFSET",
        "LOG-END-OFFSET",
        "LAG",
        "CONSUMER-ID",
        "HOST",
        "CLIENT-ID",
        "GROUP-INSTANCE-ID",
        "LOG-START-OFFSET",
        "ERROR",
    ]);
    // A log that still has its first record hides nothing from the group.
    let start_is_news = rows.iter().any(|row| row.log_start_offset.is_some_and(|start| start > 0));
    for row in rows {
        table.row(vec![
            consumer_group.to_owned(),
            or_dash(row.topic.as_ref()),
            or_dash(row.partition),
            or_dash(row.current_offset),
            or_dash(row.log_end_offset),
            or_dash(row.lag),
            or_dash(row.consumer_id.as_ref()),
            or_dash(row.host.as_ref()),
            or_dash(row.client_id.as_ref()),
            or_dash(row.group_instance_id.as_ref()),
            or_dash(row.log_start_offset.filter(|_| start_is_news)),
            or_dash(row.error.as_ref()),
        ]);
    }
    ["GROUP-INSTANCE-ID", "LOG-START-OFFSET", "ERROR"]
        .into_iter()
        .fold(table, |table, header| table.without_column_of(header, "-"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Assignment;

    fn assignment(partitions: &[(&str, &[i32])]) -> Option<Assignment> {
        let entry = |(topic, partitions): &(&str, &[i32])| {
            ((*topic).to_owned(), partitions.iter().copied().collect())
        };
        Some(partitions.iter().map(entry).collect())
    }

    fn member(id: &str, assignment: Option<Assignment>) -> Member {
        Member {
            id: id.to_owned(),
            instance: None,
            host: "/h".to_owned(),
            client_id: "c".to_owned(),
            assignment,
        }
    }

    fn consumer_group(members: Vec<Member>) -> ConsumerGroup {
        ConsumerGroup {
            name: "g".to_owned(),
            coordinator: 1,
            coordinator_address: "h:9092".to_owned(),
            kind: "classic",
            state: "Stable".to_owned(),
            strategy: "range".to_owned(),
            members,
        }
    }

    fn committed(offsets: &[(&str, i32, i64)]) -> Offsets {
        let mut all = Offsets::new();
        for (topic, partition, offset) in offsets {
            all.entry((*topic).to_owned()).or_default().insert(*partition, *offset);
        }
        all
    }

    /// A topic whose partitions all go from one offset to another.
    fn log(partitions: i32, start: i64, end: i64) -> Log {
        let all = |offset: i64| (0..partitions).map(|index| (index, offset)).collect();
        Ok(LogOffsets { starts: all(start), ends: all(end), leaderless: BTreeSet::new() })
    }

    fn shown(members: Vec<Member>, offsets: &Offsets, logs: &[(&str, Log)]) -> String {
        let clone = |log: &Log| match log {
            Ok(LogOffsets { starts, ends, leaderless }) => {
                let (starts, ends) = (starts.clone(), ends.clone());
                Ok(LogOffsets { starts, ends, leaderless: leaderless.clone() })
            }
            Err(why) => Err(why.clone()),
        };
        let logs = logs.iter().map(|(topic, log)| ((*topic).to_owned(), clone(log)));
        let rows = rows(&consumer_group(members), offsets, &logs.collect());
        format!("{}total {}\n", table("g", &rows), or_dash(total(&rows)))
    }

    #[test]
    fn committed_assigned_and_idle_are_all_shown() {
        let members = vec![
            member("a", assignment(&[("t", &[0, 2])])),
            member("b", assignment(&[])),
            member("c", None),
        ];
        let offsets = committed(&[("t", 0, 5), ("t", 1, 10)]);
        let expected = "\
GROUP  TOPIC  PARTITION  CURRENT-OFFSET  LOG-END-OFFSET  LAG  CONSUMER-ID  HOST  CLIENT-ID
g      t      0          5               10              5    a            /h    c
g      t      1          10              10              0    -            -     -
g      t      2          -               10              -    a            /h    c
g      -      -          -               -               -    b            /h    c
g      -      -          -               -               -    c            /h    c
total 5
";
        assert_eq!(shown(members, &offsets, &[("t", log(3, 0, 10))]), expected);
    }

    #[test]
    fn topics_and_partitions_that_are_gone_are_marked() {
        let offsets = committed(&[("gone", 0, 5), ("t", 0, 12), ("t", 1, 3), ("t", 7, 3)]);
        let mut logs =
            [("gone", Err("topic gone does not exist".to_owned())), ("t", log(1, 4, 10))];
        logs[1].1.as_mut().unwrap().leaderless.insert(1);
        let expected = "\
GROUP  TOPIC  PARTITION  CURRENT-OFFSET  LOG-END-OFFSET  LAG  CONSUMER-ID  HOST  CLIENT-ID  LOG-START-OFFSET  ERROR
g      gone   0          5               -               -    -            -     -          -                 topic gone does not exist
g      t      0          12              10              -2   -            -     -          4                 committed past the end of the log
g      t      1          3               -               -    -            -     -          -                 no leader just now
g      t      7          3               -               -    -            -     -          -                 no such partition
total 0
";
        assert_eq!(shown(Vec::new(), &offsets, &logs), expected);
    }

    #[test]
    fn an_instance_id_is_news() {
        let mut fixed = member("a", assignment(&[("t", &[0])]));
        fixed.instance = Some("one".to_owned());
        let text = shown(vec![fixed], &Offsets::new(), &[("t", log(1, 0, 10))]);
        assert!(text.contains("CLIENT-ID  GROUP-INSTANCE-ID\n"), "{text}");
        assert!(text.contains("c          one\ntotal -\n"), "{text}");
    }

    #[test]
    fn every_topic_that_has_rows_is_asked_for() {
        let members = vec![member("a", assignment(&[("t", &[0])])), member("b", None)];
        let found = topics(&consumer_group(members), &committed(&[("u", 0, 5)]));
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["t", "u"]);
    }
}
