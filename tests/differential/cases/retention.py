"""Retention and the ends of segments, told by where a log starts."""

import time

import batches
from cases.common import case, create, error_of, eventually, fetch, list_offset, outcome, produce
from cases.more import trim

# The least that Kafka takes.
SEGMENT_BYTES = 1 << 20


def start(session, topic):
    return list_offset(session, topic, -2)["offset"]


def settled(session, topic):
    """Where the log starts when it has not moved for some rounds."""
    seen = [start(session, topic)]
    for _ in range(60):
        time.sleep(0.1)
        seen.append(start(session, topic))
        if len(seen) > 12 and len(set(seen[-12:])) == 1:
            break
    return seen[-1]


def big(size=300_000, **named):
    """A batch of one large record, of now unless told otherwise."""
    named.setdefault("base_time", int(time.time() * 1000))
    return batches.batch([(b"k", b"v" * size)], **named)


def bounds(session, topic):
    return [start(session, topic), list_offset(session, topic, -1)["offset"]]


@case("Retention: by size, whole segments of three batches", hurried=True)
def by_size(session):
    told = []
    for limit in (0, 1, 600_000, 1_900_000, 4_000_000, -1):
        topic = f"r-size-{limit}"
        create(session, topic, configs={"segment.bytes": str(SEGMENT_BYTES), "retention.bytes": str(limit)})
        for _ in range(8):
            produce(session, topic, big())
        told.append([limit, settled(session, topic), bounds(session, topic)])
    return told


@case("Retention: by size, where it starts in the middle of a segment", hurried=True)
def by_size_after_a_trim(session):
    create(session, "r-trim", configs={"segment.bytes": str(SEGMENT_BYTES), "retention.bytes": "-1"})
    for _ in range(8):
        produce(session, "r-trim", big())
    told = [trim(session, "r-trim", 1), settled(session, "r-trim"), trim(session, "r-trim", 4), settled(session, "r-trim")]
    alter(session, "r-trim", "retention.bytes", "900000")
    return told + [settled(session, "r-trim"), fetch(session, "r-trim", 8)["start"]]


def alter(session, topic, key, value):
    entry = {"ResourceType": 2, "ResourceName": topic,
             "Configs": [{"Name": key, "ConfigOperation": 0, "Value": value}]}
    answer = session.ask("IncrementalAlterConfigs", 1, {"Resources": [entry], "ValidateOnly": False})
    assert answer["Responses"][0]["ErrorCode"] == 0, answer


@case("Retention: by age, the segment that is written to as well", hurried=True)
def by_age(session):
    create(session, "r-age")
    told = [produce(session, "r-age", batches.batch(batches.records(3)))["error"]]
    eventually(lambda: start(session, "r-age") == 3)
    told += [bounds(session, "r-age"), error_of(outcome(fetch, session, "r-age", 2)),
             list_offset(session, "r-age", 0)["offset"]]
    told.append(produce(session, "r-age", big(10)))
    return told + [settled(session, "r-age"), bounds(session, "r-age")]


@case("Retention: by age, records without timestamps", hurried=True)
def without_timestamps(session):
    create(session, "r-timeless", configs={"retention.ms": "1500"})
    produce(session, "r-timeless", batches.batch(base_time=-1, max_time=-1))
    before = start(session, "r-timeless")
    eventually(lambda: start(session, "r-timeless") == 1)
    return [before, bounds(session, "r-timeless")]


@case("Retention: a timestamp from the future holds the log", hurried=True)
def from_the_future(session):
    create(session, "r-future", configs={"segment.bytes": str(SEGMENT_BYTES), "retention.ms": "1000",
                                         "message.timestamp.after.max.ms": "9223372036854775807"})
    produce(session, "r-future", big(base_time=int(time.time() * 1000) + 3_600_000))
    for _ in range(6):
        produce(session, "r-future", big(base_time=batches.BASE_TIME))
    return [settled(session, "r-future"), bounds(session, "r-future")]


@case("Retention: policies without delete, limits without end", hurried=True)
def kept(session):
    told = []
    for number, configs in enumerate(({"cleanup.policy": "compact"}, {"cleanup.policy": ""}, {"retention.ms": "-1"})):
        topic = f"r-kept-{number}"
        create(session, topic, configs={"segment.bytes": str(SEGMENT_BYTES), "retention.bytes": "-1", **configs})
        for _ in range(4):
            produce(session, topic, big(base_time=batches.BASE_TIME))
        told.append([settled(session, topic), trim(session, topic, 2), settled(session, topic)])
    return told


@case("Retention: segments end by the time of their records", hurried=True)
def by_record_time(session):
    told = []
    now = int(time.time() * 1000)
    # All that is not in the last segment goes.
    limits = {"retention.bytes": "1", "retention.ms": "-1", "segment.ms": "1000"}
    for number, times in enumerate(((0, 1000, 1001), (0, 1000), (0, 5000, 100, 5001), (0, -50_000, 900), (0, 1001, 2002))):
        topic = f"r-roll-{number}"
        create(session, topic, configs=limits)
        for each in times:
            produce(session, topic, big(100, base_time=now - 60_000 + each))
        told.append([list(times), settled(session, topic)])
    return told
