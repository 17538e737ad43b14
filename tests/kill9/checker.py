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


def self_test():
    """Every kind of broken promise is found, and an honest log passes."""
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
        found = check(acks, log, honest)
        assert any(each.startswith(word) for each in found), (word, found)
    return len(planted) + 1
