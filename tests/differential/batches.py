"""Record batches by hand, right ones and every kind of wrong one.

Layout and meaning: Kafka's documentation, "Implementation / Message Format / Record Batch". The CRC covers everything from
`attributes` on.
"""

import gzip
import struct

import crc32c

HEADER = 61
GZIP, SNAPPY, LZ4, ZSTD = 1, 2, 3, 4
LOG_APPEND_TIME = 1 << 3
TRANSACTIONAL = 1 << 4
CONTROL = 1 << 5
BASE_TIME = 1_700_000_000_000


def varint(value):
    value = (value << 1) ^ (value >> 63)
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def sized(data):
    return varint(-1) if data is None else varint(len(data)) + data


def record(delta, key, value, headers=(), time_delta=0):
    body = b"\0" + varint(time_delta) + varint(delta) + sized(key) + sized(value) + varint(len(headers))
    for name, content in headers:
        body += sized(name) + sized(content)
    return varint(len(body)) + body


def records(count, key=b"k", value=b"v", start=0):
    return [(key and b"%b%d" % (key, start + n), value and b"%b%d" % (value, start + n)) for n in range(count)]


def batch(items=((b"k", b"v"),), base_offset=0, leader_epoch=-1, magic=2, attributes=0, producer_id=-1, producer_epoch=-1,
          sequence=-1, base_time=BASE_TIME, max_time=None, last_delta=None, count=None, length=None, crc=None,
          payload=None, deltas=None):
    """A batch of `items`: (key, value) or (key, value, headers) or (key, value, headers, time delta).

    Whatever is given by name replaces what would be right.
    """
    items = [tuple(item) + ((),) * (3 - len(item)) if len(item) < 4 else item for item in items]
    times = [item[3] if len(item) > 3 else 0 for item in items]
    if payload is None:
        payload = b"".join(
            record(deltas[index] if deltas else index, item[0], item[1], item[2], times[index])
            for index, item in enumerate(items))
        if attributes & 7 == GZIP:
            payload = gzip.compress(payload)
    last_delta = len(items) - 1 if last_delta is None else last_delta
    count = len(items) if count is None else count
    max_time = base_time + max(times, default=0) if max_time is None else max_time
    rest = struct.pack(">hiqqqhii", attributes, last_delta, base_time, max_time, producer_id, producer_epoch, sequence,
                       count) + payload
    crc = crc32c.crc32c(rest) if crc is None else crc
    body = struct.pack(">ibI", leader_epoch, magic, crc) + rest
    return struct.pack(">qi", base_offset, len(body) if length is None else length) + body


def legacy(magic, key=b"k", value=b"v"):
    """A message set of one v0 or v1 message, as clients before Kafka 0.11 sent."""
    import zlib
    content = struct.pack(">bb", magic, 0) + (struct.pack(">q", BASE_TIME) if magic == 1 else b"")
    content += struct.pack(">i", len(key)) + key + struct.pack(">i", len(value)) + value
    message = struct.pack(">I", zlib.crc32(content)) + content
    return struct.pack(">qi", 0, len(message)) + message


def parse(data):
    """What a consumer sees: per batch its header fields that may be compared, and its records' bytes."""
    seen = []
    while data and len(data) >= HEADER:
        base, length, epoch, magic, crc, attributes, last_delta, base_time, max_time, pid, pepoch, seq, count = \
            struct.unpack(">qiibIhiqqqhii", data[:HEADER])
        end = 12 + length
        if len(data) < end:
            break
        seen.append({"base_offset": base, "last_delta": last_delta, "leader_epoch": epoch, "magic": magic,
                     "attributes": attributes, "base_time": base_time, "max_time": max_time, "has_producer": pid >= 0,
                     "producer_epoch": pepoch, "sequence": seq, "count": count, "crc": crc,
                     "crc_holds": crc32c.crc32c(data[21:end]) == crc, "payload": data[HEADER:end].hex()})
        data = data[end:]
    return seen


def parse_records(payload):
    """(offset delta, key, value) of each record of an uncompressed batch."""
    at = 0

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = payload[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return (value >> 1) ^ -(value & 1)

    def sized_bytes():
        nonlocal at
        length = number()
        start, at = at, at + max(length, 0)
        return None if length < 0 else payload[start:at]

    while at < len(payload):
        end = number() + at
        at += 1
        number()
        yield number(), sized_bytes() or b"", sized_bytes()
        at = end
