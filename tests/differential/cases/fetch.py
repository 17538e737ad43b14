"""Fetch, ListOffsets, OffsetForLeaderEpoch: bad-input section 5."""

import time
import uuid

from batches import BASE_TIME, batch, records
from cases.common import case, create, fetch, fetched, list_offset, outcome, produce


def filled(session, name, sizes=(3, 5, 2), configs=None):
    """A topic with one batch per size; the record times rise by 1000 per batch."""
    topic_id = create(session, name, configs=configs)
    for number, size in enumerate(sizes):
        told = produce(session, name, batch(records(size, value=b"v%d-" % number), base_time=BASE_TIME + 1000 * number))
        assert told["error"] == 0, told
    return topic_id


def brief(told):
    """A fetch answer with the batches named by their offsets only."""
    if isinstance(told, str):
        return told
    seen = [[each["base_offset"], each["last_delta"]] for each in told.get("batches", [])]
    return told | {"batches": seen}


@case("Fetch: everything from offset 0, versions 4 to 17")
def versions(session):
    topic_id = filled(session, "f")
    return [outcome(fetch, session, "f", version=version, topic_id=topic_id) for version in range(4, 18)]


@case("Fetch: an offset inside a batch gives the whole batch")
def inside(session):
    filled(session, "f-inside")
    return [brief(fetch(session, "f-inside", offset)) for offset in (1, 3, 7, 9)]


@case("Fetch: at the end, past the end, before the start")
def ends(session):
    filled(session, "f-ends")
    return [brief(fetch(session, "f-ends", offset)) for offset in (10, 11, 1 << 40, -1, -2)]


@case("Fetch: at the end it waits its time and says the high watermark")
def waits(session):
    filled(session, "f-waits")
    began = time.monotonic()
    told = brief(fetch(session, "f-waits", 10, max_wait=700, min_bytes=1))
    return [told, 0.6 < time.monotonic() - began < 3]


@case("Fetch: min_bytes above what there is waits its time and gives what there is")
def min_bytes(session):
    filled(session, "f-min")
    began = time.monotonic()
    told = brief(fetch(session, "f-min", 0, max_wait=700, min_bytes=1 << 20))
    return [told, 0.6 < time.monotonic() - began < 3]


@case("Fetch: a waiting fetch wakes when a record comes")
def wakes(session):
    filled(session, "f-wakes")
    waiting = session.alone()
    waiting.send("Fetch", 12, {"MaxWaitMs": 10_000, "MinBytes": 1, "Topics": [
        {"Topic": "f-wakes", "Partitions": [{"Partition": 0, "FetchOffset": 10, "PartitionMaxBytes": 1 << 20}]}]})
    began = time.monotonic()
    time.sleep(0.2)  # the fetch is to be parked before the record comes
    produce(session, "f-wakes", batch())
    told = brief(fetched(waiting.receive("Fetch", 12)))
    waiting.close()
    return [told, time.monotonic() - began < 5]


@case("Fetch: limits of 0 and 1 byte still give the first batch")
def tiny(session):
    filled(session, "f-tiny")
    return [brief(fetch(session, "f-tiny", 0, max_bytes=total, partition_max=part))
            for total, part in ((0, 0), (1, 1), (1 << 20, 1), (1, 1 << 20), (1 << 20, 0))]


@case("Fetch: the partition limit ends at a whole batch")
def limit(session):
    filled(session, "f-limit")
    one = len(batch(records(3, value=b"v0-")))
    told = fetch(session, "f-limit", 0, partition_max=one + 5)
    return [each["base_offset"] for each in told["batches"]][:1]


@case("Fetch: unknown topic, unknown partition")
def unknown(session):
    filled(session, "f-unknown")
    return [brief(fetch(session, "f-nobody")), brief(fetch(session, "f-unknown", partition=1)),
            brief(fetch(session, "f-unknown", partition=-1))]


@case("Fetch: unknown topic id")
def unknown_id(session):
    return [brief(outcome(fetch, session, "", version=version, topic_id=uuid.UUID(int=66))) for version in (13, 16)]


@case("Fetch: older and newer leader epoch")
def epoch(session):
    filled(session, "f-epoch")
    return [brief(fetch(session, "f-epoch", version=version, epoch=each)) for version in (9, 12) for each in (0, 1, 99)]


@case("Fetch: last fetched epoch newer than the log's")
def diverging(session):
    filled(session, "f-diverge")
    return brief(outcome(fetch, session, "f-diverge", 3, epoch=0, last_epoch=0))


@case("Fetch: a fetch session that does not exist")
def session_unknown(session):
    filled(session, "f-session")
    return [brief(fetch(session, "f-session", session_id=each, session_epoch=number))
            for each, number in ((12_345, 1), (12_345, 0), (0, 5), (12_345, -1))]


@case("Fetch: a session, its next epoch, and a wrong one")
def session_epochs(session):
    filled(session, "f-epochs")
    part = {"Partition": 0, "FetchOffset": 0, "PartitionMaxBytes": 1 << 20}
    ask = {"MaxWaitMs": 100, "MinBytes": 0, "Topics": [{"Topic": "f-epochs", "Partitions": [part]}]}
    first = session.ask("Fetch", 12, ask | {"SessionId": 0, "SessionEpoch": 0})
    given = first["SessionId"]
    if given == 0:
        return "no session"
    moved = ask | {"SessionId": given, "Topics": [{"Topic": "f-epochs", "Partitions": [part | {"FetchOffset": 10}]}]}
    second = session.ask("Fetch", 12, moved | {"SessionEpoch": 1})
    third = session.ask("Fetch", 12, ask | {"SessionId": given, "SessionEpoch": 2, "Topics": []})
    wrong = session.ask("Fetch", 12, ask | {"SessionId": given, "SessionEpoch": 9, "Topics": []})
    closed = session.ask("Fetch", 12, ask | {"SessionId": given, "SessionEpoch": -1, "Topics": []})
    return [len(first["Responses"]), second["ErrorCode"], len(third["Responses"]), wrong["ErrorCode"],
            [closed["ErrorCode"], closed["SessionId"]]]


@case("Fetch: a session started by names, used by ids")
def session_mixed(session):
    topic_id = filled(session, "f-mixed")
    part = {"Partition": 0, "FetchOffset": 0, "PartitionMaxBytes": 1 << 20}
    ask = {"MaxWaitMs": 100, "MinBytes": 0}
    first = session.ask("Fetch", 12, ask | {"SessionEpoch": 0, "Topics": [{"Topic": "f-mixed", "Partitions": [part]}]})
    if first["SessionId"] == 0:
        return "no session"
    return session.ask("Fetch", 13, ask | {"SessionId": first["SessionId"], "SessionEpoch": 1, "Topics": [
        {"TopicId": topic_id, "Partitions": [part]}]})["ErrorCode"]


@case("Fetch: as a replica that is none (or)")
def replica(session):
    topic_id = filled(session, "f-replica")
    told = [brief(outcome(fetch, session, "f-replica", replica=each)) for each in (99, 1)]
    return told + [brief(outcome(fetch, session, "", version=15, topic_id=topic_id, replica=99)),
                   fetch(session, "f-replica")["high_watermark"]]


@case("Fetch: no topics")
def nothing(session):
    told = session.ask("Fetch", 12, {"MaxWaitMs": 100, "MinBytes": 1, "Topics": []})
    return [told["ErrorCode"], told["Responses"]]


@case("Fetch: read committed on a topic without transactions")
def committed(session):
    filled(session, "f-committed")
    return brief(fetch(session, "f-committed", isolation=1))


@case("ListOffsets: earliest and latest, every version")
def list_ends(session):
    filled(session, "l")
    return [outcome(lambda: [list_offset(session, "l", each, version) for each in (-1, -2)]) for version in range(1, 11)]


@case("ListOffsets: by timestamp, the first record not before it")
def by_time(session):
    filled(session, "l-time")
    return [list_offset(session, "l-time", BASE_TIME + each)
            for each in (-10_000, 0, 1, 1000, 1500, 2000, 2001, 1 << 40)]


@case("ListOffsets: by timestamp inside a batch")
def inside_batch(session):
    create(session, "l-inside")
    items = [(b"k", b"v", (), each) for each in (0, 10, 10, 5, 20)]
    produce(session, "l-inside", batch(items))
    return [list_offset(session, "l-inside", BASE_TIME + each) for each in (0, 1, 5, 7, 10, 11, 20, 21)]


@case("ListOffsets: the largest timestamp (-3)")
def max_time(session):
    create(session, "l-max")
    empty = list_offset(session, "l-max", -3)
    for each in (0, 5000, 1000):
        produce(session, "l-max", batch([(b"k", b"v"), (b"k", b"v", (), 7), (b"k", b"v", (), 7)], base_time=BASE_TIME + each))
    return [empty, list_offset(session, "l-max", -3)]


@case("ListOffsets: earliest local (-4) and latest tiered (-5)")
def tiers(session):
    filled(session, "l-tiers")
    return [outcome(list_offset, session, "l-tiers", -4, 8), outcome(list_offset, session, "l-tiers", -5, 9)]


@case("ListOffsets: sentinels nobody has defined (or)")
def sentinel(session):
    filled(session, "l-sentinel")
    return [outcome(list_offset, session, "l-sentinel", each, version)
            for each, version in ((-99, 7), (-6, 10), (-3, 6), (-4, 7), (-1 << 62, 7))]


@case("ListOffsets: unknown topic and partition")
def list_unknown(session):
    filled(session, "l-unknown")
    return [list_offset(session, "l-nobody", -1), list_offset(session, "l-unknown", -1, partition=4)]


@case("ListOffsets: older and newer leader epoch")
def list_epoch(session):
    filled(session, "l-epoch")
    return [list_offset(session, "l-epoch", -1, epoch=each) for each in (0, 1, 99)]


@case("ListOffsets: one partition asked for twice")
def list_twice(session):
    filled(session, "l-twice")
    part = {"PartitionIndex": 0, "Timestamp": -1}
    told = session.ask("ListOffsets", 7, {"ReplicaId": -1, "Topics": [{"Name": "l-twice", "Partitions": [part, part]}]})
    return [[each["PartitionIndex"], each["ErrorCode"]] for each in told["Topics"][0]["Partitions"]]


def epoch_end(session, topic, epoch, current=-1, partition=0, version=4):
    body = {"Topics": [{"Topic": topic, "Partitions": [
        {"Partition": partition, "CurrentLeaderEpoch": current, "LeaderEpoch": epoch}]}]}
    if version >= 3:
        body["ReplicaId"] = -1
    told = session.ask("OffsetForLeaderEpoch", version, body)["Topics"][0]["Partitions"][0]
    return [told["ErrorCode"], told["LeaderEpoch"], told["EndOffset"]]


@case("OffsetForLeaderEpoch: the current epoch, every version")
def epochs(session):
    filled(session, "e")
    return [epoch_end(session, "e", 0, version=version) for version in range(2, 5)]


@case("OffsetForLeaderEpoch: a newer epoch, an older one, none")
def epoch_unknown(session):
    filled(session, "e-unknown")
    return [epoch_end(session, "e-unknown", each) for each in (1, 99, -1, -2)]


@case("OffsetForLeaderEpoch: fenced and unknown current epochs")
def epoch_fenced(session):
    filled(session, "e-fenced")
    return [epoch_end(session, "e-fenced", 0, current=each) for each in (0, 5)]


@case("OffsetForLeaderEpoch: unknown topic and partition")
def epoch_nobody(session):
    filled(session, "e-nobody")
    return [epoch_end(session, "e-none", 0), epoch_end(session, "e-nobody", 0, partition=3)]


@case("OffsetForLeaderEpoch: an empty log")
def epoch_empty(session):
    create(session, "e-empty")
    return [epoch_end(session, "e-empty", each) for each in (0, 1, -1)]


