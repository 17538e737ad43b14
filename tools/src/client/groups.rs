//! Consumer groups: who coordinates one, which there are, what one looks like, and its end.
//!
//! A group's coordinator is asked for anew before every attempt: one small request more, and no
//! answer of an old coordinator is ever believed. Groups of the classic protocol and of KIP-848 are
//! both described; share and streams groups are listed only.

use net::wire::api::ApiKey;
use net::wire::errors::ErrorCode;
use net::wire::messages::consumer_group_describe_response as modern;
use net::wire::messages::describe_groups_response as classic;
use net::wire::messages::{
    ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, DeleteGroupsRequest,
    DeleteGroupsResponse, DescribeGroupsRequest, DescribeGroupsResponse, FindCoordinatorRequest,
    FindCoordinatorResponse, ListGroupsRequest, ListGroupsResponse,
};

use super::admin::Done;
use super::assignment::{Assignment, decode_assignment};
use super::{ClientError, Cluster, Result, address};

/// What a coordinator says the state of a group is that does not exist, before DescribeGroups 6.
const DEAD: &str = "Dead";
/// The protocol type of groups whose assignments this client can read.
const CONSUMER: &str = "consumer";

/// One line of the list of groups. A text is empty if the broker is too old to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListedConsumerGroup {
    /// Its name.
    pub(crate) name: String,
    /// `classic`, `consumer` and so on, as the broker writes it.
    pub(crate) kind: String,
    /// The protocol type that its members agreed on; empty if it never had members.
    pub(crate) protocol: String,
    /// `Stable`, `Empty` and so on.
    pub(crate) state: String,
    /// Broker that coordinates it.
    pub(crate) broker: i32,
}

/// One group, as its coordinator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConsumerGroup {
    /// Its name.
    pub(crate) name: String,
    /// Broker that coordinates it.
    pub(crate) coordinator: i32,
    /// `host:port` of that broker.
    pub(crate) coordinator_address: String,
    /// `classic` or `consumer`.
    pub(crate) kind: &'static str,
    /// `Stable`, `Empty` and so on.
    pub(crate) state: String,
    /// How partitions are assigned; empty without members.
    pub(crate) strategy: String,
    /// Its members.
    pub(crate) members: Vec<Member>,
}

/// One member of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    /// The id that the coordinator gave it.
    pub(crate) id: String,
    /// `group.instance.id`, if it has one.
    pub(crate) instance: Option<String>,
    /// Where it connects from.
    pub(crate) host: String,
    /// `client.id`.
    pub(crate) client_id: String,
    /// Its partitions; `None` if they cannot be read.
    pub(crate) assignment: Option<Assignment>,
}

impl Cluster {
    /// Runs `call` with the broker that coordinates the group; again, with the coordinator asked
    /// for anew, while that may help.
    pub(super) fn at_coordinator<T>(
        &mut self,
        consumer_group: &str,
        mut call: impl FnMut(&mut Self, i32) -> Result<T>,
    ) -> Result<T> {
        self.retry(|cluster| {
            let node = cluster.find_coordinator(consumer_group)?;
            call(cluster, node)
        })
    }

    fn find_coordinator(&mut self, consumer_group: &str) -> Result<i32> {
        let coordinator_keys = vec![consumer_group];
        let request = FindCoordinatorRequest { coordinator_keys, ..Default::default() };
        let old = FindCoordinatorRequest { key: consumer_group, ..Default::default() };
        let reply = match self.call_any(i16::MAX, &request) {
            Err(ClientError::TooOld(_)) => self.call_any(i16::MAX, &old)?,
            other => other?,
        };
        let answer: FindCoordinatorResponse<'_> = reply.message()?;
        let (code, message, node, host, port) = match answer.coordinators.first() {
            Some(found) => {
                (found.error_code, &found.error_message, found.node_id, &found.host, found.port)
            }
            None => {
                let (code, message) = (answer.error_code, &answer.error_message);
                (code, message, answer.node_id, &answer.host, answer.port)
            }
        };
        let doing = || format!("coordinator of group {consumer_group}");
        ClientError::check(code, message.as_deref(), doing)?;
        if host.is_empty() {
            let nobody = format!("no broker coordinates group {consumer_group} just now");
            return Err(ClientError::NoLeader(nobody));
        }
        self.learn_broker(node, address::join(host, port));
        Ok(node)
    }

    /// The groups that each broker of the cluster coordinates, in some of these states and of some
    /// of these types, none given meaning all. A broker that does not answer hides only its own.
    pub(crate) fn list_consumer_groups(
        &mut self,
        states: &[&str],
        types: &[&str],
    ) -> Result<(Vec<ListedConsumerGroup>, Vec<ClientError>)> {
        self.retry(|cluster| cluster.refresh(Some(&[])))?;
        let request =
            ListGroupsRequest { states_filter: states.to_vec(), types_filter: types.to_vec() };
        let (mut found, mut failures) = (Vec::new(), Vec::new());
        for broker in self.broker_ids() {
            match self.retry_on(&[], |cluster| cluster.list_at(broker, &request)) {
                Ok(listed) => found.extend(listed),
                Err(error) => failures.push(error),
            }
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok((found, failures))
    }

    fn list_at(
        &mut self,
        broker: i32,
        request: &ListGroupsRequest<'_>,
    ) -> Result<Vec<ListedConsumerGroup>> {
        let reply = self.call(broker, i16::MAX, request)?;
        let answer: ListGroupsResponse<'_> = reply.message()?;
        ClientError::check(answer.error_code, None, || format!("groups of broker {broker}"))?;
        let listed = answer.groups.into_iter().map(|one| ListedConsumerGroup {
            name: one.group_id.into_owned(),
            kind: one.group_type.into_owned(),
            protocol: one.protocol_type.into_owned(),
            state: one.group_state.into_owned(),
            broker,
        });
        Ok(listed.collect())
    }

    /// What a group looks like.
    pub(crate) fn describe_consumer_group(&mut self, name: &str) -> Result<ConsumerGroup> {
        self.at_coordinator(name, |cluster, node| {
            let found = match cluster.describe_classic(name, node)? {
                Some(found) => Some(found),
                None => cluster.describe_modern(name, node)?,
            };
            found.ok_or_else(|| ClientError::NoGroup(name.to_owned()))
        })
    }

    /// `None`: no group of the classic protocol.
    fn describe_classic(&mut self, name: &str, node: i32) -> Result<Option<ConsumerGroup>> {
        let request = DescribeGroupsRequest { groups: vec![name], ..Default::default() };
        let reply = self.call(node, i16::MAX, &request)?;
        let answer: DescribeGroupsResponse<'_> = reply.message()?;
        let Some(group) = answer.groups.into_iter().find(|one| one.group_id == name) else {
            return Ok(None);
        };
        let is_there = is_there(group.error_code, group.error_message.as_deref(), name)?;
        if !is_there || group.group_state == DEAD {
            return Ok(None);
        }
        let is_readable = group.protocol_type == CONSUMER;
        let members = group.members.into_iter().map(|one| classic_member(one, is_readable));
        Ok(Some(ConsumerGroup {
            name: name.to_owned(),
            coordinator: node,
            coordinator_address: self.broker_address(node),
            kind: "classic",
            state: group.group_state.into_owned(),
            strategy: group.protocol_data.into_owned(),
            members: members.collect(),
        }))
    }

    /// `None`: no group of KIP-848, or a broker without them.
    fn describe_modern(&mut self, name: &str, node: i32) -> Result<Option<ConsumerGroup>> {
        let request = ConsumerGroupDescribeRequest { group_ids: vec![name], ..Default::default() };
        let reply = match self.call(node, i16::MAX, &request) {
            Err(ClientError::NoCommonVersion { .. }) => return Ok(None),
            other => other?,
        };
        let answer: ConsumerGroupDescribeResponse<'_> = reply.message()?;
        let Some(group) = answer.groups.into_iter().find(|one| one.group_id == name) else {
            return Ok(None);
        };
        if !is_there(group.error_code, group.error_message.as_deref(), name)? {
            return Ok(None);
        }
        Ok(Some(ConsumerGroup {
            name: name.to_owned(),
            coordinator: node,
            coordinator_address: self.broker_address(node),
            kind: "consumer",
            state: group.group_state.into_owned(),
            strategy: group.assignor_name.into_owned(),
            members: group.members.into_iter().map(modern_member).collect(),
        }))
    }

    /// Deletes a group with all its offsets.
    pub(crate) fn delete_consumer_group(&mut self, name: &str) -> Result<Done> {
        let request = DeleteGroupsRequest { groups_names: vec![name] };
        let mut was_lost = false;
        self.at_coordinator(name, |cluster, node| {
            let reply = cluster
                .call(node, i16::MAX, &request)
                .inspect_err(|error| was_lost |= error.is_lost_answer_to(ApiKey::DELETE_GROUPS))?;
            let answer: DeleteGroupsResponse<'_> = reply.message()?;
            let result = answer.results.first();
            let result = result.ok_or_else(|| reply.omits(format!("group {name}")))?;
            match check_group(result.error_code, result.error_message.as_deref(), name) {
                Err(ClientError::NoGroup(_)) if was_lost => Ok(Done::Found),
                other => other.map(|()| Done::Confirmed),
            }
        })
    }
}

/// A refusal that is about a group as a whole, if `code` is an error.
pub(super) fn check_group(code: i16, message: Option<&str>, name: &str) -> Result<()> {
    if code == ErrorCode::GROUP_ID_NOT_FOUND.0 {
        return Err(ClientError::NoGroup(name.to_owned()));
    }
    ClientError::check(code, message, || format!("group {name}"))
}

/// Whether the broker knows such a group; other errors are errors.
fn is_there(code: i16, message: Option<&str>, name: &str) -> Result<bool> {
    match check_group(code, message, name) {
        Err(ClientError::NoGroup(_)) => Ok(false),
        other => other.map(|()| true),
    }
}

fn classic_member(one: classic::DescribedGroupMember<'_>, is_readable: bool) -> Member {
    let assignment = if is_readable { decode_assignment(&one.member_assignment) } else { None };
    Member {
        id: one.member_id.into_owned(),
        instance: one.group_instance_id.map(std::borrow::Cow::into_owned),
        host: one.client_host.into_owned(),
        client_id: one.client_id.into_owned(),
        assignment,
    }
}

fn modern_member(one: modern::Member<'_>) -> Member {
    let mut assignment = Assignment::new();
    for topic in one.assignment.topic_partitions {
        assignment.entry(topic.topic_name.into_owned()).or_default().extend(topic.partitions);
    }
    Member {
        id: one.member_id.into_owned(),
        instance: one.instance_id.map(std::borrow::Cow::into_owned),
        host: one.client_host.into_owned(),
        client_id: one.client_id.into_owned(),
        assignment: Some(assignment),
    }
}
