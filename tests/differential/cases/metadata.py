"""Metadata, DescribeCluster, FindCoordinator."""

import contextlib
import uuid

from cases.common import case, create, eventually, outcome

BAD_NAMES = ["", ".", "..", "a" * 250, "white space", "umläut", "a/b"]


def shape(topic):
    """What of a topic's metadata can be equal on two brokers."""
    parts = sorted(topic["Partitions"], key=lambda part: part["PartitionIndex"])
    return {"error": topic["ErrorCode"], "name": topic["Name"], "internal": topic.get("IsInternal"),
            "has_id": topic.get("TopicId", uuid.UUID(int=0)).int != 0,
            "partitions": [[part["ErrorCode"], part["PartitionIndex"], part.get("LeaderEpoch"), len(part["ReplicaNodes"]),
                            len(part["IsrNodes"]), part["LeaderId"] == part["ReplicaNodes"][0]] for part in parts]}


def ask(session, names, version=9, auto=False):
    body = {"Topics": None if names is None else [{"Name": name} for name in names]}
    if version >= 4:
        body["AllowAutoTopicCreation"] = auto
    return session.ask("Metadata", version, body)


@case("Metadata: a topic of three partitions, every version")
def every_version(session):
    create(session, "meta", 3)
    return [shape(ask(session, ["meta"], version)["Topics"][0]) for version in range(14)]


@case("Metadata: brokers and controller")
def nodes(session):
    answer = ask(session, [])
    ids = [broker["NodeId"] for broker in answer["Brokers"]]
    return {"brokers": len(ids), "controller is one of them": answer["ControllerId"] in ids,
            "cluster id": bool(answer["ClusterId"]), "port": answer["Brokers"][0]["Port"] == session.port}


@case("Metadata: no topics asked for, none answered")
def none(session):
    return [len(ask(session, [], version)["Topics"]) for version in (1, 9, 12)]


@case("Metadata: all topics, by null and by v0's empty list")
def everything(session):
    create(session, "meta-all")
    return ["meta-all" in [topic["Name"] for topic in ask(session, names, version)["Topics"]]
            for names, version in ((None, 1), (None, 12), ([], 0))]


@case("Metadata: unknown topic, no auto-creation")
def unknown(session):
    return [shape(ask(session, ["nobody"], version)["Topics"][0]) for version in (4, 9, 12)]


@case("Metadata: invalid names")
def invalid(session):
    return [ask(session, [name], auto=auto)["Topics"][0]["ErrorCode"] for name in BAD_NAMES for auto in (False, True)]


@case("Metadata: unknown topic id")
def unknown_id(session):
    body = {"Topics": [{"TopicId": uuid.UUID(int=77), "Name": None}], "AllowAutoTopicCreation": False}
    return [session.ask("Metadata", version, body)["Topics"][0]["ErrorCode"] for version in (12, 13)]


@case("Metadata: a topic by its id")
def by_id(session):
    topic_id = create(session, "meta-id", 2)
    body = {"Topics": [{"TopicId": topic_id, "Name": None}], "AllowAutoTopicCreation": False}
    return shape(session.ask("Metadata", 12, body)["Topics"][0])


@case("Metadata: a null name without an id")
def null_name(session):
    body = {"Topics": [{"Name": None}], "AllowAutoTopicCreation": False}
    told = outcome(session.ask, "Metadata", 12, body)
    return told if isinstance(told, str) else [topic["ErrorCode"] for topic in told["Topics"]]


@case("Metadata: one topic asked for twice")
def twice(session):
    create(session, "meta-twice")
    return [topic["Name"] for topic in ask(session, ["meta-twice", "meta-twice"])["Topics"]]


@case("Metadata: auto-creation appears after a first refusal")
def auto(session):
    first = ask(session, ["meta-auto"], auto=True)["Topics"][0]["ErrorCode"]
    eventually(lambda: ask(session, ["meta-auto"])["Topics"][0]["ErrorCode"] == 0)
    return {"first is retriable": first in (0, 3, 5), "then": shape(ask(session, ["meta-auto"])["Topics"][0])}


@case("DescribeCluster: every version")
def cluster(session):
    told = []
    for version in range(3):
        answer = session.ask("DescribeCluster", version)
        told.append([answer["ErrorCode"], len(answer["Brokers"]), bool(answer["ClusterId"]),
                     answer["ControllerId"] in [broker["BrokerId"] for broker in answer["Brokers"]],
                     answer.get("EndpointType")])
    return told


@case("DescribeCluster: an endpoint type that does not exist")
def endpoint(session):
    told = outcome(session.ask, "DescribeCluster", 1, {"EndpointType": 9})
    return told if isinstance(told, str) else told["ErrorCode"]


@case("DescribeCluster: authorized operations")
def operations(session):
    answer = session.ask("DescribeCluster", 0, {"IncludeClusterAuthorizedOperations": True})
    return answer["ClusterAuthorizedOperations"]


@case("FindCoordinator: a key type that does not exist")
def key_type(session):
    return [outcome(lambda: session.ask("FindCoordinator", 3, {"Key": "g", "KeyType": 9})["ErrorCode"]),
            outcome(lambda: session.ask("FindCoordinator", 4, {"CoordinatorKeys": ["g"], "KeyType": 9})
                    ["Coordinators"][0]["ErrorCode"])]


@case("FindCoordinator: a consumer group, every version")
def group(session):
    # Kafka makes its offsets topic when it is first asked.
    with contextlib.suppress(AssertionError):
        eventually(lambda: session.ask("FindCoordinator", 0, {"Key": "g"})["ErrorCode"] != 15, seconds=3)
    told = []
    for version in range(6):
        if version < 4:
            answer = session.ask("FindCoordinator", version, {"Key": "g"})
        else:
            answer = session.ask("FindCoordinator", version, {"CoordinatorKeys": ["g"]})["Coordinators"][0]
        told.append(answer["ErrorCode"])
    return told
