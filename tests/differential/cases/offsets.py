"""Committed offsets: OffsetCommit, OffsetFetch, OffsetDelete; and groups from the outside: describe, list, delete."""

import struct
import uuid

import batches
from cases.common import case, create, eventually, fetch, i32, list_offset, outcome, produce
from cases.groups import Member, Names, coordinated, members, stable, state

VERSIONS = range(2, 11)


def commit(session, group, topics, version=8, generation=-1, member="", instance=None, ids=None, retention=None):
    """Commits {topic: {partition: (offset, metadata)}}: [topic, partition, error] for each, or how the broker refused."""
    def entry(index, value):
        offset, metadata = value if isinstance(value, tuple) else (value, "")
        told = {"PartitionIndex": index, "CommittedOffset": offset, "CommittedMetadata": metadata}
        return told | ({"CommittedLeaderEpoch": 0} if version >= 6 else {})

    rows = [{**({"TopicId": ids[name]} if version >= 10 else {"Name": name}),
             "Partitions": [entry(index, value) for index, value in parts.items()]} for name, parts in topics.items()]
    body = {"GroupId": group, "GenerationIdOrMemberEpoch": generation, "MemberId": member, "Topics": rows}
    if version >= 7:
        body["GroupInstanceId"] = instance
    if version <= 4:
        body["RetentionTimeMs"] = -1 if retention is None else retention
    answer = outcome(session.ask, "OffsetCommit", version, body)
    if isinstance(answer, str):
        return answer
    names = {ids[name]: name for name in topics} if version >= 10 else {}
    return sorted([names.get(topic.get("TopicId"), topic.get("Name")), part["PartitionIndex"], part["ErrorCode"]]
                  for topic in answer["Topics"] for part in topic["Partitions"])


def committed(session, group, topics=None, version=7, stable_only=False, ids=None):
    """The committed offsets of {topic: [partitions]}, or of everything."""
    if version >= 8:
        return several(session, {group: topics}, version, stable_only, ids)[0][1:]
    rows = None if topics is None else [{"Name": name, "PartitionIndexes": parts} for name, parts in topics.items()]
    body = {"GroupId": group, "Topics": rows}
    if version >= 7:
        body["RequireStable"] = stable_only
    answer = outcome(session.ask, "OffsetFetch", version, body)
    return answer if isinstance(answer, str) else [answer.get("ErrorCode"), rows_of(answer["Topics"], {})]


def several(session, groups, version=8, stable_only=False, ids=None):
    def rows(topics):
        if topics is None:
            return None
        return [{**({"TopicId": ids[name]} if version >= 10 else {"Name": name}), "PartitionIndexes": parts}
                for name, parts in topics.items()]

    asked = [{"GroupId": group, "Topics": rows(topics)} for group, topics in groups.items()]
    answer = session.ask("OffsetFetch", version, {"Groups": asked, "RequireStable": stable_only})
    names = {each: name for name, each in (ids or {}).items()}
    return [[each["GroupId"], each["ErrorCode"], rows_of(each["Topics"], names)] for each in answer["Groups"]]


def rows_of(topics, names):
    return sorted([names.get(topic.get("TopicId"), topic.get("Name")), part["PartitionIndex"], part["CommittedOffset"],
                   part.get("CommittedLeaderEpoch"), part["Metadata"], part["ErrorCode"]]
                  for topic in topics for part in topic["Partitions"])


@case("OffsetCommit and OffsetFetch: every version, without a member")
def versions(session):
    ids = {"o-versions": create(session, "o-versions", 2)}
    told = []
    for version in VERSIONS:
        group = f"o-versions-{version}"
        coordinated(session, group)
        told.append(commit(session, group, {"o-versions": {0: (version, "note"), 1: 9}}, version, ids=ids))
        for reading in range(1, 11):
            told.append(committed(session, group, {"o-versions": [0, 1]}, reading, ids=ids))
    return told


@case("OffsetFetch: everything of a group, and what was never committed")
def everything(session):
    ids = {"o-one": create(session, "o-one", 3), "o-two": create(session, "o-two")}
    coordinated(session, "o-all")
    commit(session, "o-all", {"o-one": {0: 5, 2: (7, "seven")}, "o-two": {0: 1}})
    told = [committed(session, "o-all", None, version, ids=ids) for version in range(2, 11)]
    told += [committed(session, "o-all", {"o-one": [0, 1, 2, 3], "o-none": [0]}, version, ids=ids)
             for version in range(1, 10)]
    return told + [committed(session, "o-nobody", None), committed(session, "o-nobody", {"o-one": [0]}),
                   committed(session, "o-all", {}), committed(session, "o-all", {"o-one": []})]


@case("OffsetFetch: several groups at once, one of them twice, one unknown")
def groups_at_once(session):
    create(session, "o-several")
    for group, offset in (("o-first", 3), ("o-second", 4)):
        coordinated(session, group)
        commit(session, group, {"o-several": {0: offset}})
    topics = {"o-several": [0]}
    return [several(session, {"o-first": topics, "o-second": None, "o-third": topics}, version) for version in (8, 9)]


@case("OffsetFetch: stable offsets only, an empty group id")
def stable_only(session):
    create(session, "o-stable")
    coordinated(session, "o-stable-group")
    commit(session, "o-stable-group", {"o-stable": {0: 3}})
    return [committed(session, "o-stable-group", {"o-stable": [0]}, 7, stable_only=True),
            committed(session, "", {"o-stable": [0]}, 7), committed(session, "", None, 7),
            committed(session, "", None, 8)]


@case("OffsetFetch: a topic id that nobody has")
def unknown_id(session):
    ids = {"o-ids": create(session, "o-ids")}
    coordinated(session, "o-ids-group")
    ids["o-other"] = uuid.UUID(int=0x77)
    told = commit(session, "o-ids-group", {"o-ids": {0: 4}, "o-other": {0: 5, 1: 6}}, 10, ids=ids)
    return [told, committed(session, "o-ids-group", {"o-ids": [0], "o-other": [0, 1]}, 10, ids=ids)]


@case("OffsetCommit: metadata null, empty, as long as allowed and longer")
def metadata(session):
    create(session, "o-meta", 4)
    coordinated(session, "o-meta-group")
    told = commit(session, "o-meta-group", {"o-meta": {0: (1, None), 1: (2, ""), 2: (3, "x" * 4096), 3: (4, "x" * 4097)}})
    found = committed(session, "o-meta-group", {"o-meta": [0, 1, 2, 3]})
    return [told, [[row[1], row[2], row[4] and len(row[4])] for row in found[1]],
            commit(session, "o-meta-group", {"o-meta": {0: (5, "\u00fc" * 4096)}})]


@case("OffsetCommit: topics and partitions that do not exist, beside good ones")
def unknown(session):
    create(session, "o-known", 2)
    coordinated(session, "o-unknown-group")
    told = [commit(session, "o-unknown-group", {"o-known": {0: 1, 2: 1, -1: 1}, "o-not-there": {0: 1}}),
            commit(session, "o-unknown-group", {"o-not-there": {0: 1}}), commit(session, "o-unknown-group", {})]
    return told + [committed(session, "o-unknown-group")]


@case("OffsetCommit: offsets below zero and far beyond the end")
def odd_offsets(session):
    create(session, "o-odd", 4)
    coordinated(session, "o-odd-group")
    told = [commit(session, "o-odd-group", {"o-odd": {place: offset}})
            for place, offset in enumerate((-1, -2, (1 << 62), 0))]
    return told + [committed(session, "o-odd-group")]


@case("OffsetCommit: generations and members, right and wrong")
def generations(session):
    create(session, "o-gen")
    (member,) = stable(session, "o-gen-group")
    where = {"o-gen": {0: 1}}
    told = [commit(session, "o-gen-group", where, generation=generation, member=who)
            for generation, who in ((1, member.id), (2, member.id), (0, member.id), (1, "other"), (1, ""), (-1, ""),
                                    (-1, member.id), (-1, "other"))]
    for version in (8, 9):
        told += [commit(session, "o-gen-none", where, version, generation=generation, member=who)
                 for generation, who in ((1, "x"), (0, ""), (-1, "x"))]
    coordinated(session, "")
    return told + [commit(session, "", where), commit(session, "", where, generation=1, member="x")]


@case("OffsetCommit: while the group rebalances")
def rebalancing(session):
    create(session, "o-rebalance")
    where = {"o-rebalance": {0: 1}}
    first, other = stable(session, "o-rebalance-group", 2)
    first.offer(metadata=b"new")
    eventually(lambda: other.heartbeat() == 27)
    told = [commit(session, "o-rebalance-group", where, generation=2, member=other.id), committed(session, "o-rebalance-group")]
    other.offer()
    first.joined(), other.joined()
    told += [commit(session, "o-rebalance-group", where, generation=3, member=other.id),
             commit(session, "o-rebalance-group", where, generation=2, member=other.id)]
    return told


@case("OffsetCommit: a fenced static member, an instance that is somebody else's")
def fenced(session):
    create(session, "o-fenced")
    where = {"o-fenced": {0: 1}}
    (first,) = stable(session, "o-fenced-group", instances=["one"])
    told = [commit(session, "o-fenced-group", where, generation=1, member=first.id, instance="one"),
            commit(session, "o-fenced-group", where, generation=1, member=first.id, instance="two")]
    again = Member(session, first.names, "o-fenced-group", instance="one")
    again.offer()
    again.joined()
    return told + [commit(session, "o-fenced-group", where, generation=1, member=first.id, instance="one"),
                   commit(session, "o-fenced-group", where, generation=1, member=again.id, instance="one")]


@case("OffsetCommit: the topic is deleted, and made again")
def deleted_topic(session):
    create(session, "o-deleted", 2)
    create(session, "o-stays")
    coordinated(session, "o-deleted-group")
    commit(session, "o-deleted-group", {"o-deleted": {0: 3, 1: 4}, "o-stays": {0: 5}})
    session.ask("DeleteTopics", 5, {"TopicNames": ["o-deleted"], "TimeoutMs": 15_000})
    eventually(lambda: len(committed(session, "o-deleted-group")[1]) == 1)
    create(session, "o-deleted", 2)
    return committed(session, "o-deleted-group", {"o-deleted": [0, 1], "o-stays": [0]})


def forget(session, group, topics):
    rows = [{"Name": name, "Partitions": [{"PartitionIndex": index} for index in parts]} for name, parts in topics.items()]
    answer = outcome(session.ask, "OffsetDelete", 0, {"GroupId": group, "Topics": rows})
    if isinstance(answer, str):
        return answer
    return [answer["ErrorCode"], sorted([topic["Name"], part["PartitionIndex"], part["ErrorCode"]]
                                        for topic in answer["Topics"] for part in topic["Partitions"])]


@case("OffsetDelete: committed, not committed, unknown; an unknown group")
def offset_delete(session):
    create(session, "o-forget", 3)
    coordinated(session, "o-forget-group")
    commit(session, "o-forget-group", {"o-forget": {0: 1, 1: 2}})
    told = [forget(session, "o-forget-group", {"o-forget": [0, 2, 9], "o-not-there": [0]}), committed(session, "o-forget-group")]
    coordinated(session, "o-forget-none")
    return told + [forget(session, "o-forget-none", {"o-forget": [0]}), forget(session, "o-forget-none", {"o-x": [0]}),
                   forget(session, "o-forget-group", {})]


def subscription(*topics, version=0):
    """What a consumer says of itself in a JoinGroup: its topics."""
    data = struct.pack(">hi", version, len(topics))
    for topic in topics:
        data += struct.pack(">h", len(topic)) + topic.encode()
    return data + i32(-1)


@case("OffsetDelete: while a consumer is subscribed")
def subscribed(session):
    create(session, "o-sub")
    create(session, "o-free")
    (member,) = members(session, "o-sub-group")
    member.join(metadata=subscription("o-sub"))
    member.sync([(member, b"")])
    commit(session, "o-sub-group", {"o-sub": {0: 1}, "o-free": {0: 2}}, generation=1, member=member.id)
    told = [forget(session, "o-sub-group", {"o-sub": [0], "o-free": [0]}), committed(session, "o-sub-group")]
    (other,) = stable(session, "o-opaque-group", kind="connect")
    commit(session, "o-opaque-group", {"o-sub": {0: 1}}, generation=1, member=other.id)
    told.append(forget(session, "o-opaque-group", {"o-sub": [0]}))
    member.leave()
    return told + [forget(session, "o-sub-group", {"o-sub": [0]}), committed(session, "o-sub-group")]


def describe(session, *groups, version=6, operations=False):
    body = {"Groups": list(groups)} | ({"IncludeAuthorizedOperations": operations} if version >= 3 else {})
    answer = session.ask("DescribeGroups", version, body)
    # Kafka answers in the order of the partitions that hold the groups.
    return sorted([each["GroupId"], each["ErrorCode"], each["GroupState"], each["ProtocolType"], each["ProtocolData"],
                   each.get("AuthorizedOperations"),
                   members_of(each, Names())] for each in answer["Groups"])


def members_of(group, names):
    return sorted([names.of(one["MemberId"]), one.get("GroupInstanceId"), one["ClientId"], one["ClientHost"],
                   one["MemberMetadata"].decode(), one["MemberAssignment"].decode()] for one in group["Members"])


@case("DescribeGroups: every version, in every state")
def describe_all(session):
    create(session, "o-describe")
    (member,) = stable(session, "o-d-stable", instances=["one"])
    coordinated(session, "o-d-offsets")
    commit(session, "o-d-offsets", {"o-describe": {0: 1}})
    (joining,) = members(session, "o-d-joining")
    joining.join()
    (gone,) = stable(session, "o-d-gone")
    gone.leave()
    coordinated(session, "o-d-unknown")
    asked = ("o-d-stable", "o-d-offsets", "o-d-joining", "o-d-gone", "o-d-unknown")
    told = [describe(session, group, version=version) for version in range(7) for group in asked]
    return told + [describe(session, *asked), describe(session, "o-d-stable", "o-d-unknown", operations=True),
                   describe(session, "o-d-stable", "o-d-stable"), describe(session, "")]


def listed(session, prefix, version=5, **filters):
    answer = session.ask("ListGroups", version, filters)
    return [answer["ErrorCode"], sorted([each["GroupId"], each["ProtocolType"], each.get("GroupState"), each.get("GroupType")]
                                        for each in answer["Groups"] if each["GroupId"].startswith(prefix))]


@case("ListGroups: every version, filters of states and types")
def list_all(session):
    create(session, "o-list")
    stable(session, "o-l-stable")
    stable(session, "o-l-connect", kind="connect")
    coordinated(session, "o-l-offsets")
    commit(session, "o-l-offsets", {"o-list": {0: 1}})
    (joining,) = members(session, "o-l-joining")
    joining.join()
    told = [listed(session, "o-l-", version) for version in range(6)]
    for states in (["Stable"], ["stable"], ["Empty", "CompletingRebalance"], ["Dead"], ["nonsense"], []):
        told.append(listed(session, "o-l-", 4, StatesFilter=states))
    for types in (["classic"], ["Classic"], ["consumer"], ["nonsense"], []):
        told.append(outcome(listed, session, "o-l-", 5, TypesFilter=types))
    return told + [listed(session, "o-l-", 5, StatesFilter=["Stable"], TypesFilter=["classic"])]


def delete(session, *groups, version=2):
    answer = session.ask("DeleteGroups", version, {"GroupsNames": list(groups)})
    return sorted([each["GroupId"], each["ErrorCode"]] for each in answer["Results"])


@case("DeleteGroups: empty, with offsets, with members, unknown; every version")
def delete_groups(session):
    create(session, "o-delete")
    stable(session, "o-x-members")
    told = []
    for version in range(3):
        coordinated(session, "o-x-offsets")
        commit(session, "o-x-offsets", {"o-delete": {0: 1}})
        (gone,) = stable(session, "o-x-gone")
        gone.leave()
        told += [delete(session, "o-x-offsets", "o-x-gone", "o-x-members", "o-x-unknown", version=version),
                 committed(session, "o-x-offsets"), state(session, "o-x-gone"), state(session, "o-x-members")]
    return told + [delete(session, ""), delete(session), delete(session, "o-x-unknown", "o-x-unknown")]


@case("a deleted group begins anew")
def anew(session):
    create(session, "o-anew")
    (member,) = stable(session, "o-anew-group")
    commit(session, "o-anew-group", {"o-anew": {0: 8}}, generation=1, member=member.id)
    member.leave()
    told = [committed(session, "o-anew-group"), delete(session, "o-anew-group"), committed(session, "o-anew-group")]
    again = Member(session, Names(), "o-anew-group")
    return told + [again.join(), again.sync([(again, b"new")])]


@case("a group that everybody left goes on counting its generations")
def goes_on(session):
    (member,) = stable(session, "o-count")
    member.leave()
    again = Member(session, Names(), "o-count")
    return [state(session, "o-count"), again.join()]


def log_of_groups(session, group):
    """Keys and values in the log that holds a group: what tools that read it find."""
    found = []
    partitions = len(session.ask("Metadata", 9, {"Topics": [{"Name": "__consumer_offsets"}],
                                                 "AllowAutoTopicCreation": False})["Topics"][0]["Partitions"])
    for partition in range(partitions):
        end = list_offset(session, "__consumer_offsets", -1, partition=partition)["offset"]
        at = 0
        while at < end:
            told = fetch(session, "__consumer_offsets", at, partition=partition)["batches"]
            assert told, f"nothing at {at} of {end}"
            for batch in told:
                found += [[key.hex(), value_of(value)] for _, key, value in batches.parse_records(bytes.fromhex(batch["payload"]))
                          if group.encode() in key]
                at = batch["base_offset"] + batch["last_delta"] + 1
    return found


def value_of(value):
    """The version and the length of a value; random ids and times make the rest differ."""
    if value is None:
        return None
    return [struct.unpack(">h", value[:2])[0], len(value)]


@case("__consumer_offsets: keys and values are Kafka's own")
def own_log(session):
    create(session, "o-log")
    (member,) = stable(session, "o-log-group", instances=["one"])
    commit(session, "o-log-group", {"o-log": {0: (7, "seven")}}, generation=1, member=member.id, instance="one")
    forget(session, "o-log-group", {"o-log": [0]})
    return log_of_groups(session, "o-log-group")


@case("__consumer_offsets: clients may not write to it, nor name a topic alike")
def not_for_clients(session):
    coordinated(session, "o-any")
    told = [produce(session, "__consumer_offsets", batches.batch())["error"]]
    entry = {"Name": "__consumer_offsets", "NumPartitions": 1, "ReplicationFactor": 1}
    told.append(session.ask("CreateTopics", 5, {"Topics": [entry], "timeoutMs": 15_000})["Topics"][0]["ErrorCode"])
    topic = session.ask("Metadata", 9, {"Topics": [{"Name": "__consumer_offsets"}],
                                        "AllowAutoTopicCreation": False})["Topics"][0]
    configs = session.ask("DescribeConfigs", 4, {"Resources": [
        {"ResourceType": 2, "ResourceName": "__consumer_offsets",
         "ConfigurationKeys": ["cleanup.policy", "segment.bytes", "compression.type"]}]})["Results"][0]["Configs"]
    return told + [topic["IsInternal"], len(topic["Partitions"]), sorted([each["Name"], each["Value"]] for each in configs)]
