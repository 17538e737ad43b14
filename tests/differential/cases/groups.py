"""Consumer groups of the classic protocol: joining, syncing, staying, leaving.

Member ids are random: each answer names them in the order in which the case met them (`m0`, `m1`, ...). A member has a
connection of its own, since its JoinGroup may wait for the others.
"""

import re
import time

from cases.common import case, eventually, outcome

UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


class Names:
    """Member ids as the case met them."""

    def __init__(self):
        self.known = {"": ""}

    def of(self, member_id):
        if member_id not in self.known:
            shape = "" if re.search(rf"-{UUID}$", member_id) else "?"
            self.known[member_id] = f"m{len(self.known) - 1}{shape}"
        return self.known[member_id]


class Member:
    """One member: its connection, its id, its generation."""

    def __init__(self, session, names, group, instance=None, version=9):
        self.connection = session.alone()
        self.names = names
        self.group = group
        self.instance = instance
        self.version = version
        self.id = ""
        self.generation = -1

    def offer(self, protocols=("range",), metadata=b"meta", kind="consumer", session_ms=10_000, rebalance_ms=10_000,
              version=None, reason=None):
        """Sends a JoinGroup and does not wait for its answer."""
        version = self.version if version is None else version
        body = {"GroupId": self.group, "SessionTimeoutMs": session_ms, "MemberId": self.id, "ProtocolType": kind,
                "Protocols": [{"Name": name, "Metadata": metadata} for name in protocols]}
        if version >= 1:
            body["RebalanceTimeoutMs"] = rebalance_ms
        if version >= 5:
            body["GroupInstanceId"] = self.instance
        if version >= 8:
            body["Reason"] = reason
        self.connection.send("JoinGroup", version, body)

    def joined(self, version=None):
        """The answer to the JoinGroup that was sent."""
        version = self.version if version is None else version
        answer = self.connection.receive("JoinGroup", version)
        if answer["ErrorCode"] in (0, 79):
            self.id = answer["MemberId"]
        if answer["ErrorCode"] == 0:
            self.generation = answer["GenerationId"]
        members = [[self.names.of(each["MemberId"]), each.get("GroupInstanceId"), each["Metadata"].decode()]
                   for each in answer["Members"]]
        told = {"error": answer["ErrorCode"], "generation": answer["GenerationId"],
                "protocol": answer["ProtocolName"], "leader": self.names.of(answer["Leader"]),
                "me": self.names.of(answer["MemberId"]), "members": sorted(members)}
        if version >= 7:
            told["type"] = answer["ProtocolType"]
        if version >= 9:
            told["skip"] = answer["SkipAssignment"]
        return told

    def join(self, **offer):
        """Joins, with the id that a new member is given first; the last answer."""
        self.offer(**offer)
        told = self.joined(offer.get("version"))
        if told["error"] == 79:
            self.offer(**offer)
            told = self.joined(offer.get("version"))
        return told

    def give(self, assignments=(), version=5, kind="consumer", protocol="range", generation=None):
        """Sends a SyncGroup; `assignments` are (member, bytes)."""
        body = {"GroupId": self.group, "GenerationId": self.generation if generation is None else generation,
                "MemberId": self.id,
                "Assignments": [{"MemberId": member.id, "Assignment": data} for member, data in assignments]}
        if version >= 3:
            body["GroupInstanceId"] = self.instance
        if version >= 5:
            body |= {"ProtocolType": kind, "ProtocolName": protocol}
        self.connection.send("SyncGroup", version, body)

    def given(self, version=5):
        answer = self.connection.receive("SyncGroup", version)
        told = [answer["ErrorCode"], answer["Assignment"].decode()]
        return told + [answer["ProtocolType"], answer["ProtocolName"]] if version >= 5 else told

    def sync(self, assignments=(), version=5, **rest):
        self.give(assignments, version, **rest)
        return self.given(version)

    def heartbeat(self, version=4, generation=None, member=None, group=None):
        body = {"GroupId": self.group if group is None else group,
                "GenerationId": self.generation if generation is None else generation,
                "MemberId": self.id if member is None else member}
        if version >= 3:
            body["GroupInstanceId"] = self.instance
        return outcome(lambda: self.connection.ask("Heartbeat", version, body)["ErrorCode"])

    def leave(self, version=5, members=None):
        if version < 3:
            answer = self.connection.ask("LeaveGroup", version, {"GroupId": self.group, "MemberId": self.id})
            return answer["ErrorCode"]
        if members is None:
            members = [{"MemberId": self.id, "GroupInstanceId": self.instance}]
        answer = self.connection.ask("LeaveGroup", version, {"GroupId": self.group, "Members": members})
        return [answer["ErrorCode"], [[self.names.of(each["MemberId"]), each["GroupInstanceId"], each["ErrorCode"]]
                                      for each in answer["Members"]]]


def coordinated(session, group):
    """Waits until somebody coordinates the group."""
    eventually(lambda: session.ask("FindCoordinator", 3, {"Key": group})["ErrorCode"] == 0, 20)
    eventually(lambda: session.ask("DescribeGroups", 0, {"Groups": [group]})["Groups"][0]["ErrorCode"] == 0, 20)


def members(session, group, count=1, **rest):
    coordinated(session, group)
    names = Names()
    return [Member(session, names, group, **rest) for _ in range(count)]


def stable(session, group, count=1, instances=None, **offer):
    """A stable group: its members, the leader first, each with the assignment `for N`."""
    everybody = members(session, group, count)
    for member, instance in zip(everybody, instances or []):
        member.instance = instance
    everybody[0].join(**offer)
    everybody[0].sync([(everybody[0], b"alone")])
    for place, member in enumerate(everybody[1:], 1):
        member.offer(**offer)
        if member.instance is None:
            assert member.joined()["error"] == 79
            member.offer(**offer)
        for before in everybody[:place]:
            eventually(lambda before=before: before.heartbeat() == 27)
            before.offer(**offer)
        for each in everybody[:place + 1]:
            assert each.joined()["error"] == 0
        assign(everybody[:place + 1])
    return everybody


def assign(everybody):
    """The leader gives each member `for N`."""
    leader, *others = everybody
    for other in others:
        other.give()
    told = [leader.sync([(each, b"for %d" % place) for place, each in enumerate(everybody)])]
    return told + [other.given() for other in others]


def state(session, group, version=5):
    """The group as DescribeGroups tells it: state, protocol, member count."""
    told = session.ask("DescribeGroups", version, {"Groups": [group]})["Groups"][0]
    return [told["ErrorCode"], told["GroupState"], told["ProtocolType"], told["ProtocolData"], len(told["Members"])]


@case("JoinGroup: every version, alone")
def versions(session):
    told = []
    for version in range(10):
        (member,) = members(session, f"g-join-{version}", version=version)
        told.append([member.join(), member.sync([(member, b"all")], version=min(version, 5)), member.heartbeat()])
    return told


@case("JoinGroup: the id that a new member is given first")
def id_first(session):
    (member,) = members(session, "g-id-first")
    member.offer()
    first = member.joined()
    shape = bool(re.fullmatch(rf"differential-{UUID}", member.id))
    member.offer()
    return [first, shape, member.joined(), state(session, "g-id-first")]


@case("JoinGroup: a static member is given its id with the answer")
def id_of_static(session):
    (member,) = members(session, "g-id-static", instance="one")
    member.offer()
    told = member.joined()
    return [told, bool(re.fullmatch(rf"one-{UUID}", member.id))]


@case("JoinGroup: a member id that nobody was given")
def unknown_member(session):
    (member,) = members(session, "g-unknown-member")
    told = []
    for version in (2, 4, 9):
        member.id = "made-up"
        member.offer(version=version)
        told.append(member.joined(version))
    (real,) = stable(session, "g-known")
    stranger = Member(session, real.names, "g-known")
    stranger.id = "made-up"
    stranger.offer()
    return [told, stranger.joined(), state(session, "g-unknown-member")]


@case("JoinGroup: an empty group id")
def empty_group(session):
    (member,) = members(session, "g-any")
    member.group = ""
    member.offer()
    return member.joined()


@case("JoinGroup: session timeouts out of bounds")
def session_timeouts(session):
    (member,) = members(session, "g-session-timeout")
    told = []
    for session_ms in (-1, 0, 499, 1_800_001):
        member.offer(session_ms=session_ms)
        told.append(member.joined()["error"])
    return told


@case("JoinGroup: no protocols, no protocol type")
def no_protocols(session):
    (member,) = members(session, "g-no-protocols")
    told = []
    for offer in ({"protocols": ()}, {"kind": ""}, {"protocols": (), "kind": ""}):
        member.offer(**offer)
        told.append(member.joined()["error"])
    return told


@case("JoinGroup: another protocol type, no protocol in common")
def inconsistent(session):
    (first,) = stable(session, "g-inconsistent", protocols=("range", "sticky"))
    told = []
    for offer in ({"kind": "connect"}, {"protocols": ("roundrobin",)}, {"kind": "connect", "protocols": ("other",)}):
        other = Member(session, first.names, "g-inconsistent")
        other.offer(**offer)
        told.append(other.joined()["error"])
    return [told, first.heartbeat(), state(session, "g-inconsistent")]


@case("JoinGroup: any protocol type and metadata")
def any_type(session):
    (member,) = members(session, "g-any-type")
    return [member.join(kind="connect", protocols=("sessioned", "compatible"), metadata=b""), state(session, "g-any-type")]


@case("JoinGroup: the protocol that most like best among those that all know")
def vote(session):
    everybody = members(session, "g-vote", 3)
    wishes = [("a", "b", "c"), ("b", "a"), ("x", "b", "a")]
    everybody[0].join(protocols=wishes[0])
    for place in (1, 2):
        everybody[place].offer(protocols=wishes[place])
        everybody[place].joined()
        everybody[place].offer(protocols=wishes[place])
        for before in range(place):
            eventually(lambda before=before: everybody[before].heartbeat() == 27)
            everybody[before].offer(protocols=wishes[before])
        told = [each.joined() for each in everybody[:place + 1]]
    return [[each["protocol"], each["generation"]] for each in told]


@case("rebalance: a second member joins")
def second(session):
    (first,) = stable(session, "g-second")
    other = Member(session, first.names, "g-second")
    other.offer()
    told = [other.joined()]
    other.offer()
    eventually(lambda: first.heartbeat() == 27)
    told.append(state(session, "g-second"))
    first.offer(metadata=b"again")
    told += [first.joined(), other.joined(), state(session, "g-second")]
    told += [first.heartbeat(), other.heartbeat()]
    told += [assign([first, other]), state(session, "g-second"), first.heartbeat(), other.heartbeat()]
    return told


@case("rebalance: other generations, and a sync that is late")
def wrong_time(session):
    first, other = stable(session, "g-wrong-time", 2)
    return [first.sync(generation=1), first.sync(generation=9), other.sync(),
            other.heartbeat(generation=1), other.heartbeat(generation=3)]


@case("rebalance: a follower that joins again unchanged is answered at once, a leader is not")
def again(session):
    first, other = stable(session, "g-again", 2)
    other.offer()
    told = [other.joined(), state(session, "g-again")]
    first.offer()
    eventually(lambda: other.heartbeat() == 27)
    other.offer()
    return told + [first.joined(), other.joined(), state(session, "g-again")]


@case("rebalance: a follower with other metadata makes everybody join")
def changed(session):
    first, other = stable(session, "g-changed", 2)
    other.offer(metadata=b"other")
    eventually(lambda: first.heartbeat() == 27)
    first.offer()
    return [first.joined(), other.joined(), other.heartbeat(generation=2), other.sync(generation=2)]


@case("rebalance: who does not join again in time is out")
def too_late(session):
    first, other = stable(session, "g-too-late", 2, rebalance_ms=700)
    first.offer(metadata=b"new", rebalance_ms=700)
    told = [first.joined(), other.heartbeat(), other.sync()]
    other.offer()
    return told + [other.joined()["error"]]


@case("rebalance: who joined and does not sync in time is out")
def no_sync(session):
    first, other = stable(session, "g-no-sync", 2, rebalance_ms=700)
    first.offer(metadata=b"new", rebalance_ms=700)
    eventually(lambda: other.heartbeat() == 27)
    other.offer(rebalance_ms=700)
    told = [first.joined()["generation"], other.joined()["generation"]]
    # The leader never says who gets what: both are removed, or made to join again.
    other.give()
    told.append(other.given()[0])
    return told


@case("SyncGroup: bytes come as they were given, a member left out gets none")
def bytes_given(session):
    first, other = members(session, "g-bytes", 2)
    first.join()
    other.offer()
    other.joined()
    other.offer()
    eventually(lambda: first.heartbeat() == 27)
    first.offer()
    first.joined(), other.joined()
    told = [first.sync([(first, bytes(range(32, 127)))])]
    return told + [other.sync(), first.sync(), state(session, "g-bytes")]


@case("SyncGroup: another protocol type or name than the group's")
def other_protocol(session):
    (member,) = members(session, "g-other-protocol")
    member.join()
    told = [member.sync([(member, b"x")], kind="connect"), member.sync([(member, b"x")], protocol="sticky")]
    return told + [member.sync([(member, b"x")], kind=None, protocol=None), member.sync(kind="connect")]


@case("SyncGroup, Heartbeat, LeaveGroup: groups and members that do not exist, an empty group id")
def nobody(session):
    (member,) = stable(session, "g-somebody")
    told = []
    for group in ("g-nobody", "", "g-somebody"):
        stranger = Member(session, member.names, group)
        stranger.id, stranger.generation = "stranger", 1
        told.append([stranger.sync(), stranger.heartbeat(), stranger.leave(), stranger.leave(version=1)])
    return told


@case("Heartbeat: every version")
def heartbeats(session):
    (member,) = stable(session, "g-heartbeats")
    return [[member.heartbeat(version=version), member.heartbeat(version=version, generation=3),
             member.heartbeat(version=version, member="x")] for version in range(5)]


@case("LeaveGroup: every version")
def leaves(session):
    told = []
    for version in range(6):
        (member,) = stable(session, f"g-leave-{version}")
        told.append([member.leave(version=version), member.leave(version=version), member.heartbeat(),
                     state(session, f"g-leave-{version}")])
    return told


@case("LeaveGroup: several at once, known and unknown")
def leave_several(session):
    first, other = stable(session, "g-leave-several", 2, instances=["one", "two"])
    told = first.leave(members=[{"MemberId": "", "GroupInstanceId": "two"}, {"MemberId": "nobody"},
                                {"MemberId": "", "GroupInstanceId": "three"}, {"MemberId": other.id},
                                {"MemberId": other.id, "GroupInstanceId": "one"}])
    return [told, other.heartbeat(), first.heartbeat(), state(session, "g-leave-several")]


@case("LeaveGroup: a follower leaves, the leader leaves")
def leave_and_rebalance(session):
    first, other, third = stable(session, "g-leave-rebalance", 3)
    told = [other.leave(), first.heartbeat(), state(session, "g-leave-rebalance")]
    third.offer()
    first.offer()
    told += [first.joined(), third.joined(), assign([first, third]), first.leave()]
    eventually(lambda: third.heartbeat() == 27)
    third.offer()
    return told + [third.joined(), third.sync([(third, b"mine")])]


@case("sessions: a silent member is out, and its group empty")
def silent(session):
    (member,) = stable(session, "g-silent", session_ms=700)
    eventually(lambda: state(session, "g-silent")[1] == "Empty", 15)
    return [state(session, "g-silent"), member.heartbeat(), member.sync(), member.join()]


@case("sessions: signs of life keep a member in")
def alive(session):
    (member,) = stable(session, "g-alive", session_ms=900)
    told = []
    for _ in range(6):
        time.sleep(0.3)
        told.append(member.heartbeat())
    return told


@case("static members: the successor has the assignment, the predecessor is fenced")
def successor(session):
    first, other = stable(session, "g-successor", 2, instances=["one", "two"])
    again = Member(session, first.names, "g-successor", instance="two")
    again.offer()
    told = [again.joined(), again.sync(), state(session, "g-successor")]
    told += [other.heartbeat(), other.sync(), first.heartbeat()]
    other.offer()
    told.append(other.joined()["error"])
    return told + [other.leave(), again.heartbeat()]


@case("static members: a returning leader is told not to assign, from version 9 on")
def returning_leader(session):
    told = []
    for version in (5, 8, 9):
        group = f"g-returning-{version}"
        (first,) = stable(session, group, instances=["one"])
        again = Member(session, first.names, group, instance="one", version=version)
        again.offer()
        told.append([again.joined(), again.sync(), state(session, group)])
    return told


@case("static members: a successor that wants something else makes everybody join")
def other_wish(session):
    first, other = stable(session, "g-other-wish", 2, instances=["one", "two"])
    again = Member(session, first.names, "g-other-wish", instance="two")
    again.offer(metadata=b"other")
    told = [again.joined(), again.sync(), first.heartbeat(), other.heartbeat(), state(session, "g-other-wish")]
    more = Member(session, first.names, "g-other-wish", instance="two")
    more.offer(protocols=("range", "other"), metadata=b"other")
    told += [more.joined(), first.heartbeat()]
    return told + [more.sync(), state(session, "g-other-wish")]


@case("static members: an id without its instance, an instance without its id")
def half(session):
    (member,) = stable(session, "g-half", instances=["one"])
    right = member.id
    told = [member.heartbeat()]
    member.instance = None
    told += [member.heartbeat(), member.sync()]
    member.instance, member.id = "one", "other"
    told += [member.heartbeat(), member.sync(), member.leave()]
    member.instance, member.id = "nobody", right
    return told + [member.heartbeat(), member.sync()]
