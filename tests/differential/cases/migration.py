"""Groups that change their protocol while they have members (KIP-848, online migration), and members of both in one group.

The members of the classic protocol subscribe to one topic, named as the group, and say what they own in their subscriptions.
Ids and which partition goes to whom are each broker's own: told are errors, generations, counts.
"""

import struct

from cases.common import case, create, eventually, outcome
from cases.consumer_groups import LEAVE, Reader, commit, described
from cases.groups import Names, coordinated, members, state

PARTITIONS = 4


def texts(*parts):
    return b"".join(struct.pack(">h", len(part)) + part.encode() for part in parts)


def subscription(topic, owned=(), version=1, user_data=b""):
    """What a consumer says in JoinGroup: topics, user data, owned partitions."""
    said = struct.pack(">hi", version, 1) + texts(topic) + struct.pack(">i", len(user_data)) + user_data
    if version >= 1:
        said += struct.pack(">i", bool(owned))
        if owned:
            said += texts(topic) + struct.pack(f">i{len(owned)}i", len(owned), *owned)
    return said


def assignment(topic, partitions, version=1, user_data=b""):
    return (struct.pack(">hi", version, 1) + texts(topic) + struct.pack(f">i{len(partitions)}i", len(partitions), *partitions)
            + struct.pack(">i", len(user_data)) + user_data)


class Classic:
    """A member of the classic protocol."""

    def __init__(self, member):
        self.member = member
        self.owned = []

    def join(self, owned=None, **rest):
        """[error, generation, whether it leads, protocol] of the join that lets it in."""
        self.owned = self.owned if owned is None else owned
        told = self.member.join(metadata=subscription(self.member.group, self.owned), **rest)
        return [told["error"], told["generation"], told["leader"] != "", told["protocol"], len(told["members"])]

    def sync(self, assignments=()):
        """[error, how many partitions] and it owns them."""
        self.member.give(assignments)
        answer = self.member.connection.receive("SyncGroup", 5)
        if answer["ErrorCode"]:
            return [answer["ErrorCode"], None]
        told = answer["Assignment"]
        (version, topics) = struct.unpack_from(">hi", told)
        self.owned, at = [], 6
        for _ in range(topics):
            (length,) = struct.unpack_from(">h", told, at)
            (count,) = struct.unpack_from(">i", told, at + 2 + length)
            self.owned += struct.unpack_from(f">{count}i", told, at + 6 + length)
            at += 6 + length + 4 * count
        return [0, len(self.owned), version, answer["ProtocolType"], answer["ProtocolName"]]

    def heartbeat(self, **rest):
        return self.member.heartbeat(**rest)

    def leave(self):
        return self.member.leave()


def classic_group(session, group, **rest):
    """A topic, and a stable classic group of one member that has all its partitions; the member, the topic's ids."""
    ids = {group: create(session, group, PARTITIONS)}
    (member,) = members(session, group, **rest)
    eventually(lambda: session.ask("Metadata", 12, {"Topics": [{"TopicId": ids[group], "Name": group}]})
               ["Topics"][0]["ErrorCode"] == 0)
    classic = Classic(member)
    classic.join()
    classic.sync([(member, assignment(group, range(PARTITIONS)))])
    return classic, ids


def short(session, group):
    """What ConsumerGroupDescribe tells: error, state, epochs, and of each member its epoch, topics, counts and type."""
    told = described(session, group)
    people = [[each[3], each[6], sum(len(one[1]) for one in each[8]), sum(len(one[1]) for one in each[9]), each[10]]
              for each in told[7]]
    return [told[0], *told[2:5], sorted(people, key=str)]


def catch_up(classic, other, ids, group):
    """The classic member gives everything up and joins; the other one takes what is left."""
    return [classic.heartbeat(), classic.join([]), classic.sync(), classic.heartbeat(), other.beat()[:2]]


@case("migration: a classic group gets its first member of the consumer protocol")
def upgrade(session):
    classic, ids = classic_group(session, "mg-up")
    reader = Reader(session, "mg-up", "new", ("mg-up",), ids)
    told = [commit(session, "mg-up", "mg-up", 0, classic.member.id, 1, 8), reader.join(), state(session, "mg-up", 6),
            short(session, "mg-up"), classic.heartbeat(), classic.sync(),
            commit(session, "mg-up", "mg-up", 0, classic.member.id, 1, 8)]
    told += [catch_up(classic, reader, ids, "mg-up"), short(session, "mg-up"),
             sorted(classic.owned + reader.told.get(ids["mg-up"], []))]
    told += [commit(session, "mg-up", "mg-up", 0, classic.member.id, epoch, 8) for epoch in (1, 2, 3)]
    return told


@case("migration: who keeps its partitions gives up only what goes to another")
def cooperative(session):
    classic, ids = classic_group(session, "mg-coop")
    reader = Reader(session, "mg-coop", "new", ("mg-coop",), ids)
    told = [reader.join(), classic.heartbeat(), classic.join([0, 1, 2, 3]), classic.sync(), reader.beat(), classic.heartbeat(),
            short(session, "mg-coop")]
    told += [classic.join(), classic.sync(), classic.heartbeat(), reader.beat()[:2], short(session, "mg-coop")]
    return told


@case("migration: the last member of the consumer protocol leaves")
def downgrade(session):
    classic, ids = classic_group(session, "mg-down")
    reader = Reader(session, "mg-down", "new", ("mg-down",), ids)
    told = [reader.join()[:2], catch_up(classic, reader, ids, "mg-down"), reader.beat(epoch=LEAVE), short(session, "mg-down"),
            state(session, "mg-down")]
    told += [classic.heartbeat(), classic.join([]), classic.sync([(classic.member, assignment("mg-down", [1, 2]))]),
             state(session, "mg-down"), reader.beat(epoch=2), reader.join()[:2], short(session, "mg-down")]
    return told


@case("migration: a classic member joins and leaves a group of the consumer protocol")
def joins(session):
    group = "mg-joins"
    ids = {group: create(session, group, PARTITIONS)}
    coordinated(session, group)
    reader = Reader(session, group, "first", (group,), ids)
    eventually(lambda: session.ask("Metadata", 12, {"Topics": [{"TopicId": ids[group], "Name": group}]})
               ["Topics"][0]["ErrorCode"] == 0)
    (member,) = members(session, group)
    classic = Classic(member)
    told = [reader.join()[:2], classic.join(), classic.sync(), classic.heartbeat(), reader.beat()[:2],
            reader.beat(owned={ids[group]: reader.told[ids[group]]}), classic.heartbeat(), classic.join(), classic.sync(),
            classic.heartbeat(), short(session, group)]
    told += [classic.leave(), reader.beat(), short(session, group), classic.heartbeat(), reader.beat(epoch=LEAVE),
             short(session, group)]
    return told


@case("migration: what a group of the consumer protocol refuses its classic members")
def refusals(session):
    classic, ids = classic_group(session, "mg-refuse")
    reader = Reader(session, "mg-refuse", "new", ("mg-refuse",), ids)
    reader.join()
    names = Names()
    told = [classic.heartbeat(generation=7), classic.heartbeat(member="new", generation=2), classic.heartbeat(member="none")]
    classic.join([])
    for rest in ({"generation": 7}, {"kind": "connect"}, {"protocol": "other"}):
        classic.member.give(**rest)
        told.append(classic.member.connection.receive("SyncGroup", 5)["ErrorCode"])
    (other,) = members(session, "mg-refuse")
    for offer in ({"protocols": ("sticky",)}, {"kind": "connect"}, {"protocols": ()}):
        other.offer(metadata=subscription("mg-refuse"), **offer)
        told.append(other.joined()["error"])
    told.append(classic.member.leave(members=[{"MemberId": "none", "GroupInstanceId": None},
                                              {"MemberId": "", "GroupInstanceId": "none"}])[1])
    told.append(reader.beat(epoch=LEAVE))
    return [told, len(names.known)]


@case("migration: an administrator takes members of both protocols out")
def administrator(session):
    classic, ids = classic_group(session, "mg-admin")
    reader = Reader(session, "mg-admin", "new", ("mg-admin",), ids, instance="one")
    told = [reader.join()[:2]]
    answer = session.ask("LeaveGroup", 5, {"GroupId": "mg-admin", "Members": [
        {"MemberId": "", "GroupInstanceId": "one", "Reason": None}, {"MemberId": classic.member.id, "GroupInstanceId": None}]})
    told.append([answer["ErrorCode"], [[each["MemberId"] == classic.member.id, each["GroupInstanceId"], each["ErrorCode"]]
                                       for each in answer["Members"]]])
    return [*told, short(session, "mg-admin"), classic.heartbeat(), reader.beat()]


def stays(session, group, kind="consumer", metadata=None, given=None):
    """What a heartbeat is told by a classic group of that type, with that subscription and assignment, and how the group is."""
    (member,) = members(session, group)
    member.join(kind=kind, metadata=subscription("t") if metadata is None else metadata)
    member.give([(member, assignment("t", [0]) if given is None else given)], kind=kind)
    member.connection.receive("SyncGroup", 5)
    reader = Reader(session, group, "new", ("t",))
    return [outcome(reader.join), member.heartbeat(), state(session, group)[:3]]


@case("migration: a group that is not of consumers stays classic")
def stays_connect(session):
    return stays(session, "mg-connect", kind="connect")


@case("migration: a group whose subscriptions nobody understands stays classic")
def stays_unreadable(session):
    return stays(session, "mg-words", metadata=b"own words")


@case("migration: a group whose assignor keeps words of its own stays classic")
def stays_own_words(session):
    return stays(session, "mg-own", given=assignment("t", [0], user_data=b"mine"))


@case("migration: a group whose assignments nobody understands stays classic")
def stays_cut_off(session):
    return stays(session, "mg-cut", given=b"\0")


@case("migration: a static member changes its protocol and back")
def static(session):
    group = "mg-static"
    ids = {group: create(session, group, PARTITIONS)}
    coordinated(session, group)
    eventually(lambda: session.ask("Metadata", 12, {"Topics": [{"TopicId": ids[group], "Name": group}]})
               ["Topics"][0]["ErrorCode"] == 0)
    (member,) = members(session, group, instance="one")
    classic = Classic(member)
    reader = Reader(session, group, "new", (group,), ids, instance="one")
    told = [classic.join(), classic.sync([(member, assignment(group, range(PARTITIONS)))]), reader.join(),
            short(session, group), classic.heartbeat()]
    (member,) = members(session, group, instance="one")
    back = Classic(member)
    told += [back.join(), state(session, group), back.sync(), back.heartbeat(), reader.beat()]
    return told
