"""Compaction: what readers find of a compacted log once both brokers have cleaned it."""

import time

import batches
from cases.common import case, create, eventually, fetch, list_offset, produce
from cases.more import trim

# Small enough to end within a few large records; every record but those of the active segment is dirty.
TABLE = {"cleanup.policy": "compact", "segment.bytes": str(1 << 20), "min.cleanable.dirty.ratio": "0"}


def fill(session, topic, count=4):
    """Large records of one key: the segments before the last end."""
    for _ in range(count):
        produce(session, topic, batches.batch([(b"fill", b"v" * 300_000)], base_time=int(time.time() * 1000)))


def log(session, topic, offset=0):
    """Offset, key and value of every record from `offset` on; large values by their length."""
    found, end = [], list_offset(session, topic, -1)["offset"]
    while offset < end:
        seen = fetch(session, topic, offset, partition_max=1 << 22, max_bytes=1 << 22)["batches"]
        assert seen, f"nothing at {offset} of {end}"
        for each in seen:
            assert each["crc_holds"], each
            for delta, key, value in batches.parse_records(bytes.fromhex(each["payload"])):
                if each["base_offset"] + delta >= offset:
                    text = value if value is None or len(value) > 100 else value.decode()
                    found.append([each["base_offset"] + delta, key.decode(), text if not isinstance(text, bytes) else len(text)])
        offset = max(seen[-1]["base_offset"] + seen[-1]["last_delta"] + 1, offset + 1)
    return found


def cleaned(session, topic, gone):
    """The log without its large records, once the record at offset `gone` has gone and nothing moves any more."""
    def small():
        return [row for row in log(session, topic) if row[1] != "fill"]

    eventually(lambda: all(row[0] != gone for row in log(session, topic)), seconds=60)
    seen = [small()]
    while len(seen) < 4 or any(each != seen[-1] for each in seen[-4:]):
        assert len(seen) < 60, "it does not settle"
        time.sleep(0.4)
        seen.append(small())
    return seen[-1]


@case("Compaction: the last value of each key, at its offset", hurried=True)
def last_values(session):
    create(session, "c-last", configs=TABLE)
    for items in ([(b"a", b"1"), (b"b", b"1")], [(b"a", b"2")], [(b"c", b"1"), (b"b", b"2"), (b"c", b"2")], [(b"d", b"1")]):
        produce(session, "c-last", batches.batch(items))
    fill(session, "c-last")
    told = cleaned(session, "c-last", 0)
    # Positions in the gaps are as good as any.
    told += [[row for row in log(session, "c-last", offset) if row[1] != "fill"] for offset in (1, 3, 4)]
    return told + [list_offset(session, "c-last", -2)["offset"], list_offset(session, "c-last", -1)["offset"]]


@case("Compaction: deletions stay for their time, then go", hurried=True)
def deletions(session):
    create(session, "c-gone", configs={**TABLE, "delete.retention.ms": "3000"})
    produce(session, "c-gone", batches.batch([(b"a", b"1"), (b"b", b"1"), (b"a", None)]))
    fill(session, "c-gone")
    told = [cleaned(session, "c-gone", 0)]
    time.sleep(3.5)
    # The next round takes it.
    fill(session, "c-gone")
    eventually(lambda: all(row[0] != 2 for row in log(session, "c-gone")), seconds=60)
    return told + [[row for row in log(session, "c-gone") if row[1] != "fill"]]


@case("Compaction: batches keep their bounds, producers and compression", hurried=True)
def bounds(session):
    create(session, "c-bounds", configs=TABLE)
    now = int(time.time() * 1000)
    produce(session, "c-bounds", batches.batch([(b"a", b"1", (), 5), (b"b", b"1", ((b"h", b"1"),), 9), (b"c", b"1", (), 7)]))
    produce(session, "c-bounds", batches.batch([(b"a", b"2"), (b"c", b"2")]))
    fill(session, "c-bounds")
    told = cleaned(session, "c-bounds", 0)
    first = fetch(session, "c-bounds", 0)["batches"][0]
    told += [first[name] for name in ("base_offset", "last_delta", "magic", "attributes", "max_time", "count", "crc_holds")]
    return told + [list_offset(session, "c-bounds", time_)["offset"] for time_ in (0, batches.BASE_TIME + 9, now + 3_600_000)]


@case("Compaction: a log that starts in the middle", hurried=True)
def trimmed(session):
    create(session, "c-trim", configs=TABLE)
    for number in range(6):
        produce(session, "c-trim", batches.batch([(b"k%d" % (number % 2), b"%d" % number)]))
    told = [trim(session, "c-trim", 3)]
    fill(session, "c-trim")
    told.append(cleaned(session, "c-trim", 3))
    return told + [list_offset(session, "c-trim", -2)["offset"]]


@case("Compaction: young records stay", hurried=True)
def young(session):
    create(session, "c-young", configs={**TABLE, "min.compaction.lag.ms": "3600000"})
    for value in (b"1", b"2"):
        produce(session, "c-young", batches.batch([(b"a", value)], base_time=int(time.time() * 1000)))
    fill(session, "c-young")
    time.sleep(3)
    return [row for row in log(session, "c-young") if row[1] != "fill"]
