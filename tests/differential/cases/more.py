"""More of a topic and less of it: CreatePartitions, DeleteRecords."""

import batches
from cases.common import case, create, eventually, list_offset, outcome, produce


def add(session, *topics, version=3, validate=False):
    """Asks for more partitions: [name, error] for each topic."""
    told = outcome(session.ask, "CreatePartitions", version,
                   {"Topics": list(topics), "TimeoutMs": 15_000, "ValidateOnly": validate})
    if isinstance(told, str):
        return told
    return sorted([each["Name"], each["ErrorCode"]] for each in told["Results"])


def entry(name, count, assignments=None):
    by_hand = None if assignments is None else [{"BrokerIds": ids} for ids in assignments]
    return {"Name": name, "Count": count, "Assignments": by_hand}


def count(session, name):
    topic = session.ask("Metadata", 9, {"Topics": [{"Name": name}], "AllowAutoTopicCreation": False})["Topics"][0]
    return len(topic["Partitions"])


def own_id(session):
    return session.ask("Metadata", 9, {"Topics": []})["Brokers"][0]["NodeId"]


@case("CreatePartitions: every version")
def versions(session):
    create(session, "p-versions")
    told = [add(session, entry("p-versions", 2 + version), version=version) for version in range(4)]
    eventually(lambda: count(session, "p-versions") == 5)
    eventually(lambda: list_offset(session, "p-versions", -1, partition=4)["error"] == 0)
    return [told, produce(session, "p-versions", batches.batch(), partition=4)]


@case("CreatePartitions: counts that are no increase, beside a good one")
def counts(session):
    create(session, "p-counts", 3)
    create(session, "p-good")
    told = [add(session, entry("p-counts", number), entry("p-good", 2 + place))
            for place, number in enumerate((3, 2, 0, -1))]
    return [told, count(session, "p-counts")]


@case("CreatePartitions: a topic that does not exist, one named twice")
def names(session):
    create(session, "p-twice")
    return [add(session, entry("p-none", 3)), add(session, entry("p-twice", 2), entry("p-twice", 3)),
            count(session, "p-twice")]


@case("CreatePartitions: assignments")
def assignments(session):
    create(session, "p-hand")
    own = own_id(session)
    return [add(session, entry("p-hand", 3, each))
            for each in ([], [[own]], [[own], [own], [own]], [[own], [own + 70]], [[own], []], [[own], [own, own]],
                         [[own], [own]])]


@case("CreatePartitions: only asked")
def dry(session):
    create(session, "p-dry")
    return [add(session, entry("p-dry", 4), validate=True), add(session, entry("p-dry", 1), validate=True),
            count(session, "p-dry")]


def trim(session, topic, offset, partition=0, version=2):
    """Deletes records: [error, low watermark]."""
    body = {"Topics": [{"Name": topic, "Partitions": [{"PartitionIndex": partition, "Offset": offset}]}],
            "TimeoutMs": 10_000}
    told = outcome(session.ask, "DeleteRecords", version, body)
    if isinstance(told, str):
        return told
    part = told["Topics"][0]["Partitions"][0]
    return [part["ErrorCode"], part["LowWatermark"]]


def filled(session, topic, records=6, configs=None):
    create(session, topic, configs=configs)
    for _ in range(records):
        produce(session, topic, batches.batch())


@case("DeleteRecords: of internal topics")
def trim_internal(session):
    eventually(lambda: session.ask("FindCoordinator", 3, {"Key": "d-internal"})["ErrorCode"] == 0, 20)
    return trim(session, "__consumer_offsets", 0)


@case("Produce: more in-sync replicas asked for than there are")
def more_than_there_are(session):
    create(session, "min-insync", configs={"min.insync.replicas": "2"})
    return [produce(session, "min-insync", batches.batch()), list_offset(session, "min-insync", -1)]


@case("DeleteRecords: every version")
def trim_versions(session):
    filled(session, "d-versions")
    return [trim(session, "d-versions", 1 + version, version=version) for version in range(3)]


@case("DeleteRecords: to the high watermark, backwards, again")
def trim_to(session):
    filled(session, "d-to")
    told = [trim(session, "d-to", offset) for offset in (4, 2, 4, -1, -1)]
    return [told, list_offset(session, "d-to", -2), produce(session, "d-to", batches.batch())]


@case("DeleteRecords: offsets outside of the log")
def trim_outside(session):
    filled(session, "d-outside")
    return [trim(session, "d-outside", offset) for offset in (7, 1 << 40, -2, -(1 << 40))]


@case("DeleteRecords: partitions and topics that do not exist")
def trim_unknown(session):
    filled(session, "d-unknown")
    return [trim(session, "d-none", 0), trim(session, "d-unknown", 0, partition=3),
            trim(session, "d-unknown", 0, partition=-1)]


@case("DeleteRecords: by cleanup.policy")
def trim_policy(session):
    told = []
    for policy in ("compact", "compact,delete", "delete"):
        name = "d-" + policy.replace(",", "-")
        create(session, name, configs={"cleanup.policy": policy})
        told.append(trim(session, name, 0))
    return told
