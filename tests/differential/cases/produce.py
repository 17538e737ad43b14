"""Produce and InitProducerId: bad-input sections 4 and 8."""

import contextlib
import gzip
import os
import time
import uuid

from batches import (BASE_TIME, CONTROL, GZIP, LOG_APPEND_TIME, TRANSACTIONAL, ZSTD, batch, legacy, record, records)
from cases.common import case, create, error_of, eventually, fetch, outcome, produce, producer_id, still_serves

NOW = int(time.time() * 1000)


def refused(session, topic, data, **named):
    """The error, and whether the log stayed as it was."""
    told = outcome(produce, session, topic, data, **named)
    return [error_of(told), fetch(session, topic)["high_watermark"]]


@case("Produce: one batch of three, versions 3 to 12")
def versions(session):
    create(session, "p")
    return [produce(session, "p", batch(records(3)), version) for version in range(3, 13)]


@case("Produce: version 13 by topic id, known and unknown")
def by_id(session):
    topic_id = create(session, "p-id")
    return [outcome(produce, session, "", batch(), 13, topic_id=each) for each in (topic_id, uuid.UUID(int=99))]


@case("Produce: acks 1, then 0, then -1: offsets go on")
def acks(session):
    create(session, "p-acks")
    first = produce(session, "p-acks", batch(), acks=1)
    body = {"Acks": 0, "TimeoutMs": 1000, "TopicData": [
        {"Name": "p-acks", "PartitionData": [{"Index": 0, "Records": batch()}]}]}
    connection = session.alone()
    connection.send("Produce", 9, body)
    serves = still_serves(connection)  # the answer to the next request comes, so acks=0 sent none
    connection.close()
    return [first, serves, produce(session, "p-acks", batch())]


@case("Produce: acks 0 to a partition that is not there")
def acks_zero_error(session):
    create(session, "p-acks0")
    connection = session.alone()
    connection.send("Produce", 9, {"Acks": 0, "TimeoutMs": 1000, "TopicData": [
        {"Name": "p-acks0", "PartitionData": [{"Index": 5, "Records": batch()}]}]})
    told = still_serves(connection)
    connection.close()
    return told


@case("Produce: acks 2")
def acks_two(session):
    create(session, "p-acks2")
    return refused(session, "p-acks2", batch(), acks=2)


@case("Produce: unknown topic, unknown partition, negative partition")
def unknown(session):
    create(session, "p-unknown")
    return [produce(session, "p-nobody", batch())["error"], produce(session, "p-unknown", batch(), partition=1)["error"],
            produce(session, "p-unknown", batch(), partition=-1)["error"]]


@case("Produce: two partitions in one request, one of them wrong")
def mixed(session):
    create(session, "p-mixed", 2)
    body = {"Acks": -1, "TimeoutMs": 10_000, "TopicData": [{"Name": "p-mixed", "PartitionData": [
        {"Index": 1, "Records": batch(records(2))}, {"Index": 9, "Records": batch()}]}]}
    answer = session.ask("Produce", 9, body)["Responses"][0]["PartitionResponses"]
    return sorted([part["Index"], part["ErrorCode"], part["BaseOffset"]] for part in answer)


@case("Produce: no topics at all")
def nothing(session):
    told = outcome(session.ask, "Produce", 9, {"Acks": -1, "TimeoutMs": 1000, "TopicData": []})
    return told if isinstance(told, str) else told["Responses"]


@case("Produce: records null")
def null_records(session):
    create(session, "p-null")
    return refused(session, "p-null", None)


@case("Produce: records empty")
def empty_records(session):
    create(session, "p-empty")
    return refused(session, "p-empty", b"")


@case("Produce: two batches for one partition")
def two_batches(session):
    create(session, "p-two")
    return refused(session, "p-two", batch() + batch())


@case("Produce: batch cut off")
def cut(session):
    create(session, "p-cut")
    return [refused(session, "p-cut", batch(records(9))[:length]) for length in (100, 61, 30, 12, 5)]


@case("Produce: batch length wrong")
def length(session):
    create(session, "p-length")
    right = len(batch()) - 12
    return [refused(session, "p-length", batch(length=each)) for each in (right - 1, right + 1, 48, 0, -1, 0x7FFF_FFFF)]


@case("Produce: CRC wrong")
def crc(session):
    create(session, "p-crc")
    return refused(session, "p-crc", batch(crc=1))


@case("Produce: message sets of magic 0 and 1")
def magic_old(session):
    create(session, "p-magic")
    return [refused(session, "p-magic", legacy(magic)) for magic in (0, 1)]


@case("Produce: magic above 2 (or)")
def magic_new(session):
    create(session, "p-magic3")
    return [refused(session, "p-magic3", batch(magic=magic)) for magic in (3, 127, -1)]


@case("Produce: base offset not 0")
def base_offset(session):
    create(session, "p-base")
    return refused(session, "p-base", batch(base_offset=5))


@case("Produce: last offset delta disagrees with the count")
def last_delta(session):
    create(session, "p-delta")
    return [refused(session, "p-delta", batch(records(3), last_delta=each)) for each in (1, 3, -1)]


@case("Produce: record count disagrees with the records")
def count(session):
    create(session, "p-count")
    return [refused(session, "p-count", batch(records(3), count=each, last_delta=each - 1)) for each in (0, -1, 2, 4)]


@case("Produce: offset deltas of the records have gaps")
def deltas(session):
    create(session, "p-gaps")
    return [refused(session, "p-gaps", batch(records(3), deltas=each)) for each in ([0, 2, 3], [0, 0, 1], [2, 1, 0])]


@case("Produce: bytes inside a record wrong")
def garbled(session):
    create(session, "p-garbled")
    return [refused(session, "p-garbled", batch(payload=each)) for each in
            (b"\xff" * 20, record(0, b"k", b"v")[:-1], record(0, b"k", b"v") + b"tail", b"\x04\0\0\0")]


@case("Produce: a control batch from a client")
def control(session):
    create(session, "p-control")
    marker = [(b"\0\0\0\1", b"\0\0\0\0\0\0")]
    return [refused(session, "p-control", batch(marker, attributes=CONTROL)),
            refused(session, "p-control", batch(marker, attributes=CONTROL | TRANSACTIONAL, producer_id=1,
                                                producer_epoch=0, sequence=-1))]


@case("Produce: attribute bits nobody has defined")
def attributes(session):
    create(session, "p-bits")
    return refused(session, "p-bits", batch(attributes=0x4000))


@case("Produce: compressed garbage")
def compressed(session):
    create(session, "p-garbage")
    return [refused(session, "p-garbage", batch(attributes=codec, payload=b"this is no compressed data")) for codec in
            (1, 2, 3, 4)]


@case("Produce: gzip is accepted and comes back as it was")
def gzipped(session):
    create(session, "p-gzip")
    sent = batch(records(50), attributes=GZIP)
    return [produce(session, "p-gzip", sent), fetch(session, "p-gzip")["batches"][0]["payload"] == sent[61:].hex()]


@case("Produce: unknown codecs 5 to 7 (or)")
def codec(session):
    create(session, "p-codec")
    return [refused(session, "p-codec", batch(attributes=each)) for each in (5, 6, 7)]


@case("Produce: zstd below version 7")
def zstd_old(session):
    create(session, "p-zstd")
    return refused(session, "p-zstd", batch(attributes=ZSTD, payload=b"x"), version=6)


@case("Produce: larger than max.message.bytes")
def too_large(session):
    create(session, "p-large", configs={"max.message.bytes": "1000"})
    return [refused(session, "p-large", batch([(b"k", os.urandom(size))])) for size in (2000, 100)]


@case("Produce: larger than segment.bytes")
def above_segment(session):
    create(session, "p-segment", configs={"segment.bytes": "1048576", "max.message.bytes": "4000000"})
    return refused(session, "p-segment", batch([(b"k", os.urandom(1_500_000))]))


@case("Produce: no key on a compacted topic, with the record's index")
def no_key(session):
    create(session, "p-compact", configs={"cleanup.policy": "compact"})
    told = produce(session, "p-compact", batch([(b"k", b"v"), (None, b"v"), (b"k", None), (None, None)]))
    return [told, refused(session, "p-compact", batch([(b"k", None)]))]


@case("Produce: timestamps far ahead and far behind")
def timestamps(session):
    create(session, "p-time")
    create(session, "p-time-limits", configs={"message.timestamp.before.max.ms": "1000",
                                              "message.timestamp.after.max.ms": "1000"})
    ahead, behind = NOW + 10 ** 9, NOW - 10 ** 9
    return [refused(session, topic, batch(base_time=each)) for topic in ("p-time", "p-time-limits")
            for each in (ahead, behind, NOW if topic == "p-time" else int(time.time() * 1000))]


@case("Produce: timestamps without sense")
def senseless(session):
    create(session, "p-sense")
    return [refused(session, "p-sense", batch(base_time=each)) for each in (-1, -2, -(1 << 62))] + \
        [refused(session, "p-sense", batch(max_time=BASE_TIME + 999))]


@case("Produce: the client sets LogAppendTime")
def append_time_bit(session):
    create(session, "p-append")
    return refused(session, "p-append", batch(attributes=LOG_APPEND_TIME))


@case("Produce: a topic on LogAppendTime")
def append_time(session):
    create(session, "p-append-topic", configs={"message.timestamp.type": "LogAppendTime"})
    told = produce(session, "p-append-topic", batch(records(2)))
    back = fetch(session, "p-append-topic")["batches"][0]
    return [told, back["attributes"], abs(back["max_time"] - time.time() * 1000) < 60_000, back["crc_holds"]]


@case("Produce: keys, values and headers of every kind come back byte for byte")
def faithful(session):
    create(session, "p-bytes")
    items = [(None, None), (b"", b""), (b"k", None), (None, b"v"), (b"k", b"v", ((b"h", b"1"), (b"h", b"2"), (b"h", None), (b"", b""))),
             (bytes(range(256)), os.urandom(10), (), 5), (b"k", b"v", (), -3)]
    sent = batch(items)
    told = produce(session, "p-bytes", sent)
    back = fetch(session, "p-bytes")["batches"][0]
    return [told, back["payload"] == sent[61:].hex(), back["crc_holds"], back["base_time"], back["max_time"]]


@case("idempotence: the same batch again has its first offset, the last five are known")
def duplicate(session):
    create(session, "i-dup")
    pid = producer_id(session)
    sent = [batch(records(2), producer_id=pid, producer_epoch=0, sequence=2 * number) for number in range(6)]
    first = [produce(session, "i-dup", each) for each in sent]
    again = [produce(session, "i-dup", each) for each in sent[1:]]
    return [first, again, fetch(session, "i-dup")["high_watermark"]]


@case("idempotence: a duplicate older than the last five (or)")
def old_duplicate(session):
    create(session, "i-old")
    pid = producer_id(session)
    sent = [batch(records(2), producer_id=pid, producer_epoch=0, sequence=2 * number) for number in range(8)]
    for each in sent:
        produce(session, "i-old", each)
    return [refused(session, "i-old", each) for each in sent[:3]]


@case("idempotence: a gap in the sequence")
def gap(session):
    create(session, "i-gap")
    pid = producer_id(session)
    return [refused(session, "i-gap", batch(producer_id=pid, producer_epoch=0, sequence=each)) for each in (0, 2, 1, 3)]


@case("idempotence: a batch that overlaps the last one")
def overlap(session):
    create(session, "i-overlap")
    pid = producer_id(session)
    return [refused(session, "i-overlap", batch(records(size), producer_id=pid, producer_epoch=0, sequence=start))
            for start, size in ((0, 3), (1, 3), (0, 2), (2, 1), (3, 1))]


@case("idempotence: an unknown producer starts at any sequence (or)")
def unknown_producer(session):
    create(session, "i-unknown")
    return [refused(session, "i-unknown", batch(producer_id=1_000_000 + each, producer_epoch=0, sequence=each))
            for each in (0, 7)]


@case("idempotence: epochs go up at sequence 0 only, and never down")
def epochs(session):
    create(session, "i-epoch")
    pid = producer_id(session)
    return [refused(session, "i-epoch", batch(producer_id=pid, producer_epoch=epoch, sequence=sequence))
            for epoch, sequence in ((1, 0), (0, 1), (2, 5), (2, 0), (1, 1), (2, 1))]


@case("idempotence: sequence -1, epoch -1, and both, with a producer id")
def senseless_producer(session):
    create(session, "i-sense")
    pid = producer_id(session)
    return [refused(session, "i-sense", batch(producer_id=pid, producer_epoch=epoch, sequence=sequence))
            for epoch, sequence in ((0, -1), (-1, 0), (-1, -1), (0, -2))] + \
        [refused(session, "i-sense", batch(producer_id=-1, producer_epoch=0, sequence=0))]


@case("idempotence: the sequence wraps at 2^31 - 1")
def wrap(session):
    create(session, "i-wrap")
    pid = producer_id(session)
    return [refused(session, "i-wrap", batch(records(size), producer_id=pid, producer_epoch=0, sequence=start))
            for start, size in ((0x7FFF_FFFE, 2), (0, 1), (1, 1), (0x7FFF_FFFE, 2))]


@case("transactions: a transactional batch outside a transaction")
def transactional(session):
    create(session, "t-outside")
    # Kafka asks its transaction coordinator, which must exist for that; this request brings it up.
    ask = {"TransactionalId": "t-outside", "TransactionTimeoutMs": 60_000}
    with contextlib.suppress(AssertionError):
        eventually(lambda: session.ask("FindCoordinator", 3, {"Key": "t-outside", "KeyType": 1})["ErrorCode"] == 0, 3)
        eventually(lambda: session.ask("InitProducerId", 4, ask)["ErrorCode"] not in (14, 15, 16), 3)
    own = session.ask("InitProducerId", 4, ask)
    told = []
    for pid, epoch in ((4_000_000, 0), (own["ProducerId"], own["ProducerEpoch"])):
        data = batch(attributes=TRANSACTIONAL, producer_id=pid, producer_epoch=epoch, sequence=0)
        told += [refused(session, "t-outside", data, version=each, transactional_id="t-outside") for each in (9, 11)]
    return told


@case("transactions: a transactional batch without an id in the request")
def transactional_nameless(session):
    create(session, "t-nameless")
    data = batch(attributes=TRANSACTIONAL, producer_id=4_000_001, producer_epoch=0, sequence=0)
    return refused(session, "t-nameless", data)


@case("InitProducerId: without a transaction, every version")
def init(session):
    producer_id(session)
    told = []
    for version in range(6):
        answer = session.ask("InitProducerId", version, {"TransactionalId": None, "TransactionTimeoutMs": 60_000})
        told.append([answer["ErrorCode"], answer["ProducerId"] >= 0, answer["ProducerEpoch"]])
    return told


@case("InitProducerId: ids differ each time")
def init_differs(session):
    ids = [producer_id(session) for _ in range(5)]
    return len(set(ids)) == 5 and ids == sorted(ids)


@case("InitProducerId: empty transactional id")
def init_empty(session):
    return outcome(lambda: session.ask("InitProducerId", 4, {"TransactionalId": "", "TransactionTimeoutMs": 60_000})
                   ["ErrorCode"])


@case("InitProducerId: a producer id and epoch without a transaction")
def init_with_id(session):
    ask = {"TransactionalId": None, "TransactionTimeoutMs": 60_000}
    told = []
    for pid, epoch in ((5, 0), (-1, 0), (5, -1)):
        answer = outcome(session.ask, "InitProducerId", 4, ask | {"ProducerId": pid, "ProducerEpoch": epoch})
        told.append(answer if isinstance(answer, str) else [answer["ErrorCode"], answer["ProducerEpoch"]])
    return told


@case("InitProducerId: a timeout of 0 without a transaction")
def init_timeout(session):
    return [outcome(lambda: session.ask("InitProducerId", 4, {"TransactionalId": None, "TransactionTimeoutMs": each})
                    ["ErrorCode"]) for each in (0, -1, 0x7FFF_FFFF)]




def stored(session, topic):
    """What is stored of each batch, whatever its codec makes of the records; the records where it is gzip or none."""
    told = []
    for each in fetch(session, topic)["batches"]:
        codec = each["attributes"] & 7
        payload = bytes.fromhex(each["payload"])
        plain = gzip.decompress(payload) if codec == GZIP else payload if codec == 0 else None
        told.append([each["attributes"], each["crc_holds"], each["count"], each["base_time"], each["max_time"],
                     each["has_producer"], each["sequence"], plain and plain.hex()])
    return told


@case("Produce: compression.type of the topic, from none and from gzip")
def compression_type(session):
    told = []
    for codec in ("producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"):
        topic = f"z-{codec}"
        create(session, topic, configs={"compression.type": codec})
        items = [(b"k", b"v" * 400, [], 0), (None, b"w", [], 7), (b"x", None, [(b"h", b"i")], 3)]
        for attributes in (0, GZIP):
            produce(session, topic, batch(items, attributes=attributes))
        produce(session, topic, batch(items, producer_id=producer_id(session), producer_epoch=0, sequence=0))
        told.append([codec, stored(session, topic)])
    return told


@case("Produce: compression.type and the broker's timestamps, levels, a change on the way")
def compression_and_more(session):
    create(session, "z-time", configs={"compression.type": "gzip", "message.timestamp.type": "LogAppendTime",
                                       "compression.gzip.level": "9"})
    produce(session, "z-time", batch(records(3)))
    seen = fetch(session, "z-time")["batches"]
    told = [[each["attributes"], each["crc_holds"], each["count"]] for each in seen]
    entry = {"ResourceType": 2, "ResourceName": "z-time",
             "Configs": [{"Name": "compression.type", "ConfigOperation": 0, "Value": "uncompressed"}]}
    session.ask("IncrementalAlterConfigs", 1, {"Resources": [entry], "ValidateOnly": False})

    def uncompressed():
        produce(session, "z-time", batch(records(3)))
        return fetch(session, "z-time")["batches"][-1]["attributes"] & 7 == 0

    eventually(uncompressed)
    return told


@case("Produce: too large, once it is stored in the topic's codec")
def compression_grows(session):
    create(session, "z-large", configs={"compression.type": "uncompressed", "max.message.bytes": "20000"})
    told = [error_of(outcome(produce, session, "z-large", batch([(b"k", b"v" * size)], attributes=GZIP)))
            for size in (19_000, 30_000)]
    create(session, "z-small", configs={"compression.type": "gzip", "max.message.bytes": "20000"})
    return told + [error_of(outcome(produce, session, "z-small", batch([(b"k", b"v" * 30_000)])))]
