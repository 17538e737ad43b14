"""What must hold of a consumer group, whoever its members are: plain functions over what the members said.

A member says what it was assigned, what it read, and what it committed, each with the moment. From that alone follows
whether a record was skipped, whether what was committed is what was read, and whether a partition had two owners.
"""

import collections
import typing


class Event(typing.NamedTuple):
    """One line of one member. `offsets` maps a partition (`topic/3`) to an offset; `partitions` is a set of such names."""

    at_us: int
    member: str
    kind: str  # assigned, revoked, lost, record, committed, refused, error, left; the harness adds `ended` for a kill
    partitions: frozenset = frozenset()
    offsets: dict = {}
    value: str = ""
    generation: int | None = None


def skipped(events):
    """Every offset below the last one committed was read by somebody, and holds what was written there: `partition:offset`."""
    read, committed = collections.defaultdict(set), {}
    broken = []
    for event in events:
        for partition, offset in event.offsets.items():
            if event.kind == "record":
                read[partition].add(offset)
                if event.value != f"{partition.rpartition('/')[2]}:{offset}":
                    broken.append(f"{partition} at {offset}: {event.member} read {event.value!r}")
            elif event.kind == "committed":
                committed[partition] = max(offset, committed.get(partition, 0))
    for partition, end in sorted(committed.items()):
        missing = [offset for offset in range(end) if offset not in read[partition]]
        if missing:
            broken.append(f"{partition}: committed up to {end}, but nobody read {len(missing)} records, the first at {missing[0]}")
    return broken


def committed_as_read(events):
    """A member commits the offset after the last record that it read, no other."""
    last = {}
    broken = []
    for event in events:
        for partition, offset in event.offsets.items():
            if event.kind == "record":
                last[event.member, partition] = offset + 1
            elif event.kind == "committed" and offset != last.get((event.member, partition)):
                broken.append(f"{partition}: {event.member} committed {offset} after reading up to "
                              f"{last.get((event.member, partition))}")
    return broken


def two_owners_in_a_generation(events):
    """Where members know the generation, no partition is assigned to two of them in the same one."""
    owners = {}
    broken = []
    for event in events:
        if event.kind != "assigned" or event.generation is None:
            continue
        for partition in event.partitions:
            owner = owners.setdefault((event.generation, partition), event.member)
            if owner != event.member:
                broken.append(f"generation {event.generation}: {partition} belongs to {owner} and to {event.member}")
    return broken


def two_owners_at_once(events):
    """Where they do not know it, or each has an epoch of its own: a partition is given up before the next member gets it."""
    owner = {}
    broken = []
    for event in sorted(events, key=lambda event: event.at_us):
        if event.kind in ("left", "ended"):
            owner = {partition: member for partition, member in owner.items() if member != event.member}
        for partition in event.partitions:
            if event.kind in ("revoked", "lost") and owner.get(partition) == event.member:
                del owner[partition]
            elif event.kind == "assigned" and owner.setdefault(partition, event.member) != event.member:
                broken.append(f"{partition} was assigned to {event.member} while {owner[partition]} had it")
    return broken


def self_test():
    """Every kind of broken promise is found, and an honest group passes. Returns the number of cases."""
    def record(at, member, offset, value=None):
        return Event(at, member, "record", offsets={"t/0": offset}, value=value or f"0:{offset}")

    def commit(at, member, offset):
        return Event(at, member, "committed", offsets={"t/0": offset})

    def owns(at, member, kind="assigned", generation=1):
        return Event(at, member, kind, partitions=frozenset(["t/0"]), generation=generation)

    honest = [owns(0, "a"), record(1, "a", 0), record(2, "a", 1), commit(3, "a", 2), owns(4, "a", "revoked"),
              owns(5, "b", generation=2), record(6, "b", 2), commit(7, "b", 3)]
    for check in (skipped, committed_as_read, two_owners_in_a_generation, two_owners_at_once):
        assert check(honest) == [], (check, check(honest))
    assert skipped([record(1, "a", 0), record(2, "a", 2), commit(3, "a", 3)]), "a record is skipped"
    assert skipped([record(1, "a", 1), commit(3, "a", 2)]), "the first record is skipped"
    assert skipped([record(1, "a", 0, "0:7")]), "another record than was written"
    assert committed_as_read([record(1, "a", 0), commit(2, "a", 2)]), "committed one too far"
    assert committed_as_read([record(1, "a", 0), record(2, "a", 1), commit(3, "a", 1)]), "committed too little"
    assert committed_as_read([record(1, "a", 0), commit(2, "b", 1)]), "committed what another read"
    assert two_owners_in_a_generation([owns(1, "a"), owns(2, "b")]), "two owners in one generation"
    assert two_owners_at_once([owns(1, "a"), owns(2, "b")]), "two owners at once"
    assert not two_owners_at_once([owns(1, "a"), Event(2, "a", "ended"), owns(3, "b")]), "a dead owner is none"
    return 10
