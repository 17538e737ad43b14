"""What must hold of an acknowledged record, whatever happened to the broker: a model simple enough to trust.

Each producer numbers its records per partition from 0. The checker is told which of them were acknowledged at which
offset, what a consumer saw while the broker was being killed, and what the whole log holds in the end. It names every
record that breaks a promise: lost, duplicated, out of order, elsewhere than acknowledged, served and then changed, or an
offset left out. A record that was sent but never acknowledged may be there or not.
"""

import array

NOT_SEEN = -1
OFFSET_UNKNOWN = -2


class Acks:
    """The acknowledged offsets of one producer in one partition, by the record's number."""

    def __init__(self):
        self.offsets = array.array("q")

    def add(self, number, offset):
        """`offset` is negative where the broker confirmed the record without saying where it is."""
        while len(self.offsets) <= number:
            self.offsets.append(NOT_SEEN)
        self.offsets[number] = offset if offset >= 0 else OFFSET_UNKNOWN

    def __len__(self):
        return sum(offset != NOT_SEEN for offset in self.offsets)


def check(acks, log, served=None):
    """The broken promises of one partition, as sentences; empty if all were kept.

    acks: {producer: Acks}; log: [(offset, producer, number)] as read from the start; served: the same, as a consumer saw
    it while the broker was being killed.
    """
    broken = []
    where = {}
    last = {}
    for index, (offset, producer, number) in enumerate(log):
        if offset != index:
            broken.append(f"offset {offset} where {index} was due")
            break
        if (producer, number) in where:
            broken.append(f"duplicate: record {number} of producer {producer} at {where[producer, number]} and {offset}")
        if number <= last.get(producer, -1):
            broken.append(f"order: record {number} of producer {producer} at {offset} after record {last[producer]}")
        where.setdefault((producer, number), offset)
        last[producer] = max(number, last.get(producer, -1))
    for producer, acked in acks.items():
        for number, offset in enumerate(acked.offsets):
            if offset == NOT_SEEN:
                continue
            found = where.get((producer, number))
            if found is None:
                broken.append(f"lost: record {number} of producer {producer}, acknowledged at {offset}")
            elif offset != OFFSET_UNKNOWN and found != offset:
                broken.append(f"elsewhere: record {number} of producer {producer} acknowledged at {offset}, is at {found}")
    for offset, producer, number in served or ():
        if where.get((producer, number)) != offset:
            broken.append(f"served, then gone: record {number} of producer {producer} at {offset}")
    return broken


def check_rest(acks, start, log):
    """The broken promises of a log of which some records may be gone: what is left lies in order and where it was
    acknowledged, each record once. acks: of its one producer; start: where the log starts."""
    broken = []
    last_offset, last_number = start - 1, -1
    for offset, _, number in log:
        if offset <= last_offset:
            broken.append(f"offset {offset} after {last_offset}")
        if number <= last_number:
            broken.append(f"order: record {number} at {offset} after record {last_number}")
        acked = acks.offsets[number] if number < len(acks.offsets) else NOT_SEEN
        if acked >= 0 and acked != offset:
            broken.append(f"elsewhere: record {number} acknowledged at {acked}, is at {offset}")
        last_offset, last_number = offset, number
    return broken


def check_retained(acks, start, end, log):
    """The broken promises of a partition whose oldest segments are removed: what is left is whole, from its start to its end."""
    broken = check_rest(acks, start, log)
    offsets = [offset for offset, _, _ in log]
    if offsets != list(range(start, end)):
        broken.append(f"hole: {len(offsets)} records between {start} and {end}")
    there = {number for _, _, number in log}
    oldest = min(there, default=len(acks.offsets))
    for number, offset in enumerate(acks.offsets):
        is_due = offset >= start or (offset == OFFSET_UNKNOWN and number > oldest)
        if is_due and number not in there:
            broken.append(f"lost: record {number}, acknowledged at {offset}, the log starts at {start}")
    return broken


def check_compacted(acks, start, log, keys):
    """The broken promises of a compacted partition: of each key the newest acknowledged record is there, or a newer one of
    that key. The key of a record is its number modulo `keys`."""
    broken = check_rest(acks, start, log)
    newest = {}
    for _, _, number in log:
        newest[number % keys] = number
    for number in range(len(acks.offsets) - 1, -1, -1):
        if acks.offsets[number] != NOT_SEEN and newest.get(number % keys, -1) < number:
            broken.append(f"lost: record {number} of key {number % keys}, of which {newest.get(number % keys)} is the newest")
            newest[number % keys] = number
    return broken


def self_test():
    """Every kind of broken promise is found, and an honest log passes."""
    return self_test_whole() + self_test_retained() + self_test_compacted()


def acked(*offsets):
    acks = Acks()
    for number, offset in enumerate(offsets):
        acks.add(number, offset)
    return acks


def finds(word, found):
    assert any(each.startswith(word) for each in found), (word, found)
    return 1


def self_test_retained():
    acks = acked(0, 1, 2, -1, 4)
    honest = [(2, 0, 2), (3, 0, 3), (4, 0, 4)]
    assert check_retained(acks, 2, 5, honest) == []
    assert check_retained(acks, 5, 5, []) == []
    return sum([
        finds("hole", check_retained(acks, 2, 5, honest[1:])),
        finds("lost", check_retained(acks, 2, 4, honest[:2])),
        finds("lost", check_retained(acks, 2, 4, [honest[0], honest[2]])),
        finds("elsewhere", check_retained(acks, 1, 4, [(offset - 1, 0, number) for offset, _, number in honest])),
        finds("order", check_retained(acks, 2, 5, [(2, 0, 3), (3, 0, 2), (4, 0, 4)])),
        finds("offset 2 after 2", check_retained(acks, 2, 5, [honest[0], *honest])),
    ]) + 1


def self_test_compacted():
    acks = acked(0, 1, 2, -1, 4)  # of two keys
    honest = [(3, 0, 3), (4, 0, 4)]
    assert check_compacted(acks, 0, honest, 2) == []
    assert check_compacted(acks, 0, [(1, 0, 1), *honest], 2) == []
    assert check_compacted(acks, 0, [*honest, (5, 0, 5)], 2) == [], "one that was not acknowledged"
    return sum([
        finds("lost", check_compacted(acks, 0, honest[:1], 2)),
        finds("lost", check_compacted(acks, 0, [(1, 0, 1), (4, 0, 4)], 2)),
        finds("elsewhere", check_compacted(acks, 0, [(3, 0, 3), (5, 0, 4)], 2)),
        finds("order", check_compacted(acks, 0, [(4, 0, 4), (5, 0, 3)], 2)),
    ]) + 1


def self_test_whole():
    acks = {0: Acks(), 1: Acks()}
    for number, offset in enumerate((0, 2, 3)):
        acks[0].add(number, offset)
    acks[1].add(0, 1)
    honest = [(0, 0, 0), (1, 1, 0), (2, 0, 1), (3, 0, 2), (4, 1, 1)]
    assert check(acks, honest, honest) == []
    planted = {
        "lost": honest[:3],
        "duplicate": [*honest, (5, 0, 2)],
        "order": [(0, 0, 0), (1, 1, 0), (2, 0, 2), (3, 0, 1), (4, 1, 1)],
        "elsewhere": [(0, 1, 0), (1, 0, 0), (2, 0, 1), (3, 0, 2), (4, 1, 1)],
        "offset 5 where 4 was due": [*honest[:4], (5, 1, 1)],
        "served, then gone": honest[:4],
    }
    for word, log in planted.items():
        finds(word, check(acks, log, honest))
    return len(planted) + 1
