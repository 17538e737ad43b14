"""What the cases share: their registry, and one-line forms of the requests that most of them make."""

import struct
import time

import batches
from connection import Closed, Silent

CASES = []
# Cases for brokers whose retention looks several times a second: everywhere else old timestamps are left in peace.
HURRIED = set()


def case(name, hurried=False):
    """Registers a case: a function of a session that returns what is to be compared, as JSON would hold it."""
    def register(function):
        assert name not in [known for known, _ in CASES], name
        CASES.append((name, function))
        if hurried:
            HURRIED.add(name)
        return function
    return register


def outcome(function, *arguments, **named):
    """The answer, or the way the broker refused to give one."""
    try:
        return function(*arguments, **named)
    except Closed:
        return "closed"
    except Silent:
        return "silent"


def create(session, name, partitions=1, configs=None, replicas=1):
    """Creates a topic and waits until each partition answers; returns the topic's id."""
    entry = {"Name": name, "NumPartitions": partitions, "ReplicationFactor": replicas,
             "Configs": [{"Name": key, "Value": value} for key, value in (configs or {}).items()]}
    answer = session.ask("CreateTopics", 7, {"Topics": [entry], "timeoutMs": 15_000})
    created = answer["Topics"][0]
    assert created["ErrorCode"] == 0, created
    # Kafka tells a topic's leader in Metadata shortly before that leader serves.
    eventually(lambda: all(list_offset(session, name, -1, partition=each)["error"] == 0 for each in range(partitions)))
    return created["TopicId"]


def eventually(holds, seconds=10):
    """Waits for what a broker does in the background; an assertion if it does not within the time."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.02)


def produce(session, topic, data, version=9, acks=-1, partition=0, topic_id=None, transactional_id=None):
    """Produces `data` to one partition: (error, base offset, append time set?, log start, record errors)."""
    name = {"TopicId": topic_id} if version >= 13 else {"Name": topic}
    body = {"Acks": acks, "TimeoutMs": 10_000, "TransactionalId": transactional_id,
            "TopicData": [{**name, "PartitionData": [{"Index": partition, "Records": data}]}]}
    answer = session.ask("Produce", version, body)
    return produced(answer)


def produced(answer):
    part = answer["Responses"][0]["PartitionResponses"][0]
    told = {"error": part["ErrorCode"], "base": part["BaseOffset"], "append_time": part.get("LogAppendTimeMs", -1) != -1,
            "start": part.get("LogStartOffset")}
    if part.get("RecordErrors"):
        told["records"] = [each["BatchIndex"] for each in part["RecordErrors"]]
    return told


def error_of(told):
    """The error of a produce or fetch result, or how the connection ended."""
    return told if isinstance(told, str) else told["error"]


def fetch(session, topic, offset=0, version=12, partition=0, topic_id=None, max_bytes=1 << 20, partition_max=1 << 20,
          min_bytes=0, max_wait=300, isolation=0, epoch=-1, last_epoch=-1, session_id=0, session_epoch=-1, replica=-1):
    """Fetches one partition, outside a fetch session unless told otherwise."""
    name = {"TopicId": topic_id} if version >= 13 else {"Topic": topic}
    part = {"Partition": partition, "FetchOffset": offset, "PartitionMaxBytes": partition_max}
    if version >= 9:
        part["CurrentLeaderEpoch"] = epoch
    if version >= 12:
        part["LastFetchedEpoch"] = last_epoch
    body = {"MaxWaitMs": max_wait, "MinBytes": min_bytes, "MaxBytes": max_bytes, "IsolationLevel": isolation,
            "Topics": [{**name, "Partitions": [part]}]}
    if version >= 15:
        if replica >= 0:
            body["ReplicaState"] = {"ReplicaId": replica, "ReplicaEpoch": 1}
    else:
        body["ReplicaId"] = replica
    if version >= 7:
        body |= {"SessionId": session_id, "SessionEpoch": session_epoch}
    return fetched(session.ask("Fetch", version, body))


def fetched(answer):
    told = {"error": answer.get("ErrorCode", 0), "session": answer.get("SessionId", 0) != 0}
    for topic in answer["Responses"]:
        for part in topic["Partitions"]:
            told |= {"error": part["ErrorCode"] or told["error"], "high_watermark": part["HighWatermark"],
                     "stable": part["LastStableOffset"], "start": part.get("LogStartOffset"),
                     "batches": batches.parse(part["Records"] or b""),
                     "aborted": part["AbortedTransactions"]}
    return told


def list_offset(session, topic, timestamp, version=7, partition=0, epoch=-1, isolation=0):
    part = {"PartitionIndex": partition, "Timestamp": timestamp}
    if version >= 4:
        part["CurrentLeaderEpoch"] = epoch
    body = {"ReplicaId": -1, "Topics": [{"Name": topic, "Partitions": [part]}]}
    if version >= 2:
        body["IsolationLevel"] = isolation
    found = session.ask("ListOffsets", version, body)["Topics"][0]["Partitions"][0]
    return {"error": found["ErrorCode"], "offset": found["Offset"], "timestamp": found["Timestamp"],
            "epoch": found.get("LeaderEpoch")}


def producer_id(session):
    """A new producer id. A broker that has just started may ask for a moment (14, COORDINATOR_LOAD_IN_PROGRESS)."""
    answers = []

    def given():
        answers.append(session.ask("InitProducerId", 4, {"TransactionalId": None, "TransactionTimeoutMs": 60_000}))
        return answers[-1]["ErrorCode"] == 0

    eventually(given)
    return answers[-1]["ProducerId"]


def still_serves(connection):
    """Whether the broker goes on answering on this connection after what it was sent."""
    answer = outcome(connection.ask, "ApiVersions", 3, {"ClientSoftwareName": "d", "ClientSoftwareVersion": "1"})
    return answer if isinstance(answer, str) else "serves"


def i32(value):
    return struct.pack(">i", value)
