//! `ringmain group describe`

use std::collections::BTreeMap;

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use super::lag::{self, Log, LogOffsets};
use super::or_dash;
use crate::cli::Common;
use crate::client::{Assignment, At, Cluster, ConsumerGroup, Member, Result as Asked};
use crate::output::{Format, Output, Table, fail_if_any, remark};

/// Show state, members, committed offsets and lag of consumer groups.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Names.
    #[arg(required = true, value_name = "GROUP")]
    names: Vec<String>,
    #[command(flatten)]
    sections: Sections,
    #[command(flatten)]
    common: Common,
}

/// What is shown of a group; without a word: summary and offsets.
#[derive(Clone, Copy, Debug, Args)]
struct Sections {
    /// Only the summary: coordinator, state, count of members, lag in all.
    #[arg(short, long)]
    state: bool,
    /// Only offsets and lag of each partition.
    #[arg(short, long)]
    offsets: bool,
    /// Only the members and the partitions that they hold.
    #[arg(short, long)]
    members: bool,
}

impl Sections {
    fn or_default(self) -> Self {
        let Self { state, offsets, members } = self;
        let unsaid = !state && !offsets && !members;
        Self { state: state || unsaid, offsets: offsets || unsaid, members }
    }

    fn count(self) -> usize {
        [self.state, self.offsets, self.members].into_iter().filter(|shown| *shown).count()
    }

    fn need_offsets(self) -> bool {
        self.state || self.offsets
    }
}

#[derive(Serialize)]
struct Description {
    group: String,
    coordinator: i32,
    coordinator_address: String,
    state: String,
    #[serde(rename = "type")]
    kind: &'static str,
    assignment_strategy: String,
    total_lag: Option<i64>,
    members: Vec<MemberRow>,
    /// Absent if the sections asked for do not need them.
    #[serde(skip_serializing_if = "Option::is_none")]
    offsets: Option<Vec<lag::Row>>,
}

#[derive(Serialize)]
struct MemberRow {
    consumer_id: String,
    group_instance_id: Option<String>,
    host: String,
    client_id: String,
    /// Null if the bytes of the assignment are of no protocol that this client reads.
    assignment: Option<Assignment>,
}

impl Arguments {
    pub(super) fn run(self) -> Result<()> {
        let mut cluster = self.common.cluster();
        // No broker at all is one error, not one per group.
        cluster.retry(|cluster| cluster.refresh(Some(&[])))?;
        let sections = self.sections.or_default();
        let mut out = self.common.output();
        let (mut descriptions, mut failures) = (Vec::new(), Vec::new());
        for name in &self.names {
            match describe(&mut cluster, name, sections) {
                Ok(description) => descriptions.push(description),
                Err(error) => failures.push(error),
            }
        }
        if out.format == Format::Json {
            out.json(&descriptions)?;
        } else {
            for (index, description) in descriptions.iter().enumerate() {
                if index > 0 {
                    out.line("")?;
                }
                print(&mut out, description, sections)?;
            }
        }
        out.flush()?;
        fail_if_any(failures, "groups")
    }
}

fn describe(cluster: &mut Cluster, name: &str, sections: Sections) -> Asked<Description> {
    let found = cluster.describe_consumer_group(name)?;
    let offsets = sections.need_offsets().then(|| offsets(cluster, &found)).transpose()?;
    Ok(Description {
        total_lag: offsets.as_deref().and_then(lag::total),
        offsets,
        group: found.name,
        coordinator: found.coordinator,
        coordinator_address: found.coordinator_address,
        state: found.state,
        kind: found.kind,
        assignment_strategy: found.strategy,
        members: found.members.into_iter().map(member_row).collect(),
    })
}

fn offsets(cluster: &mut Cluster, found: &ConsumerGroup) -> Asked<Vec<lag::Row>> {
    let committed = cluster.committed_offsets(&found.name)?;
    let mut logs: BTreeMap<String, Log> = BTreeMap::new();
    for topic in lag::topics(found, &committed) {
        let log = log_offsets(cluster, &topic).map_err(|error| error.to_string());
        logs.insert(topic, log);
    }
    Ok(lag::rows(found, &committed, &logs))
}

/// A topic that cannot be asked, because it was deleted for example, is an error of its own.
fn log_offsets(cluster: &mut Cluster, topic: &str) -> Asked<LogOffsets> {
    cluster.retry(|cluster| cluster.refresh(Some(&[topic])))?;
    let (mut led, mut leaderless) = (Vec::new(), Vec::new());
    for partition in &cluster.topic(topic)?.partitions {
        let list = if partition.leader >= 0 { &mut led } else { &mut leaderless };
        list.push(partition.index);
    }
    let starts = cluster.offsets(topic, &led, At::Start)?;
    let ends = cluster.offsets(topic, &led, At::End)?;
    Ok(LogOffsets { starts, ends, leaderless: leaderless.into_iter().collect() })
}

fn member_row(member: Member) -> MemberRow {
    let Member { id, instance, host, client_id, assignment } = member;
    MemberRow { consumer_id: id, group_instance_id: instance, host, client_id, assignment }
}

fn print(out: &mut Output, description: &Description, sections: Sections) -> Result<()> {
    let titled = sections.count() > 1;
    let parts = [
        (sections.state, "SUMMARY", summary(description)),
        (sections.offsets, "OFFSETS", offset_table(description)),
        (sections.members, "MEMBERS", member_table(description)),
    ];
    let mut first = true;
    for (_, title, table) in parts.into_iter().filter(|(shown, ..)| *shown) {
        if !first {
            out.line("")?;
        }
        first = false;
        if titled {
            out.title(title)?;
        }
        out.table(&table)?;
    }
    let name = &description.group;
    if sections.offsets && description.offsets.as_ref().is_none_or(Vec::is_empty) {
        remark(&format!("group {name} has committed nothing and holds no partitions"));
    }
    if sections.members && description.members.is_empty() {
        remark(&format!("group {name} has no members"));
    }
    Ok(())
}

fn summary(description: &Description) -> Table {
    let Description { coordinator, coordinator_address, .. } = description;
    let mut table = Table::new(&[
        "GROUP",
        "COORDINATOR",
        "STATE",
        "TYPE",
        "ASSIGNMENT-STRATEGY",
        "#MEMBERS",
        "TOTAL-LAG",
    ]);
    table.row(vec![
        description.group.clone(),
        format!("{coordinator}@{coordinator_address}"),
        description.state.clone(),
        description.kind.to_owned(),
        or_dash(&description.assignment_strategy),
        description.members.len().to_string(),
        crate::output::or_dash(description.total_lag),
    ]);
    table
}

fn offset_table(description: &Description) -> Table {
    lag::table(&description.group, description.offsets.as_deref().unwrap_or_default())
}

fn member_table(description: &Description) -> Table {
    let mut table = Table::new(&[
        "GROUP",
        "CONSUMER-ID",
        "GROUP-INSTANCE-ID",
        "HOST",
        "CLIENT-ID",
        "#PARTITIONS",
        "ASSIGNMENT",
    ]);
    for member in &description.members {
        let count = member.assignment.as_ref().map(|held| held.values().map(|one| one.len()).sum());
        table.row(vec![
            description.group.clone(),
            member.consumer_id.clone(),
            crate::output::or_dash(member.group_instance_id.as_ref()),
            member.host.clone(),
            member.client_id.clone(),
            count.map_or("?".to_owned(), |count: usize| count.to_string()),
            member.assignment.as_ref().map_or("?".to_owned(), held),
        ]);
    }
    table.without_column_of("GROUP-INSTANCE-ID", "-")
}

/// `orders(0,1),payments(2)`.
fn held(assignment: &Assignment) -> String {
    let topic = |(topic, partitions): (&String, &std::collections::BTreeSet<i32>)| {
        let partitions: Vec<String> = partitions.iter().map(i32::to_string).collect();
        format!("{topic}({})", partitions.join(","))
    };
    let topics: Vec<String> = assignment.iter().map(topic).collect();
    or_dash(&topics.join(","))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn member(assignment: Option<Assignment>) -> MemberRow {
        MemberRow {
            consumer_id: "a".to_owned(),
            group_instance_id: None,
            host: "/h".to_owned(),
            client_id: "c".to_owned(),
            assignment,
        }
    }

    fn description(members: Vec<MemberRow>) -> Description {
        Description {
            group: "g".to_owned(),
            coordinator: 1,
            coordinator_address: "h:9092".to_owned(),
            state: "Stable".to_owned(),
            kind: "classic",
            assignment_strategy: String::new(),
            total_lag: Some(7),
            members,
            offsets: None,
        }
    }

    #[test]
    fn members_show_what_they_hold() {
        let two = [("t", vec![2, 0]), ("u", vec![1])];
        let two = two.map(|(topic, held)| (topic.to_owned(), BTreeSet::from_iter(held)));
        let members = vec![member(Some(two.into())), member(Some(Assignment::new())), member(None)];
        let expected = "\
GROUP  CONSUMER-ID  HOST  CLIENT-ID  #PARTITIONS  ASSIGNMENT
g      a            /h    c          3            t(0,2),u(1)
g      a            /h    c          0            -
g      a            /h    c          ?            ?
";
        assert_eq!(member_table(&description(members)).to_string(), expected);
    }

    #[test]
    fn the_summary_names_the_coordinator_and_the_lag() {
        let expected = "\
GROUP  COORDINATOR  STATE   TYPE     ASSIGNMENT-STRATEGY  #MEMBERS  TOTAL-LAG
g      1@h:9092     Stable  classic  -                    0         7
";
        assert_eq!(summary(&description(Vec::new())).to_string(), expected);
    }

    #[test]
    fn without_a_word_summary_and_offsets_are_shown() {
        let none = Sections { state: false, offsets: false, members: false };
        let shown = none.or_default();
        assert!(shown.state && shown.offsets && !shown.members && shown.count() == 2);
        let one = Sections { members: true, ..none }.or_default();
        assert!(one.members && one.count() == 1 && !one.need_offsets());
    }
}
