"""Consumer groups of the consumer protocol (KIP-848): heartbeats, epochs, assignments, offsets, administrators.

Which partition goes to whom is the assignor's own taste where several answers are right, so cases tell counts where more than
one member reads a topic. The texts of errors are each broker's own and are not compared.
"""

from cases.common import case, create, eventually, outcome
from cases.groups import coordinated

JOIN, LEAVE, AWAY = 0, -1, -2


class Reader:
    """One member: what it was told and what it owns."""

    def __init__(self, session, group, name, topics=("t",), ids=(), instance=None, regex=None, version=1):
        self.session, self.group, self.id, self.instance = session, group, name, instance
        self.topics, self.regex, self.version = topics, regex, version
        self.names = {ids[name]: name for name in ids}
        self.epoch, self.owned = 0, {}

    def beat(self, epoch=None, owned=None, **rest):
        """A heartbeat; [error, epoch, partitions told by topic] with the interval left out."""
        body = {"GroupId": self.group, "MemberId": self.id, "MemberEpoch": self.epoch if epoch is None else epoch,
                "InstanceId": self.instance, "RackId": None, "RebalanceTimeoutMs": -1, "SubscribedTopicNames": None,
                "ServerAssignor": None,
                "TopicPartitions": None if owned is None else [{"TopicId": topic, "Partitions": partitions}
                                                               for topic, partitions in owned.items()]}
        if self.version >= 1:
            body["SubscribedTopicRegex"] = None
        body.update(rest)
        answer = self.session.ask("ConsumerGroupHeartbeat", self.version, body)
        self.answer = answer
        if answer["ErrorCode"] != 0:
            return [answer["ErrorCode"]]
        self.epoch = answer["MemberEpoch"]
        if answer["Assignment"] is None:
            return [0, self.epoch, None]
        told = {each["TopicId"]: sorted(each["Partitions"]) for each in answer["Assignment"]["TopicPartitions"]}
        self.told = told
        return [0, self.epoch, {self.names.get(topic, "?"): told[topic] for topic in sorted(told)}]

    def join(self, **rest):
        body = {"RebalanceTimeoutMs": 60_000, "SubscribedTopicNames": list(self.topics)}
        if self.regex is not None:
            body.update(SubscribedTopicNames=None, SubscribedTopicRegex=self.regex)
        return self.beat(**{"epoch": JOIN, "owned": {}, **body, **rest})

    def settle(self, *others):
        """Everybody takes what it is told and gives up what it must, until nothing is told any more."""
        everybody = [self, *others]
        for _ in range(6):
            for each in everybody:
                each.beat(owned=getattr(each, "told", {}))
        return [[each.epoch, sum(map(len, getattr(each, "told", {}).values()))] for each in everybody]


def alone(session, group, partitions=4, **rest):
    """A topic named as the group, and a reader of it that has not joined."""
    ids = {group: create(session, group, partitions)}
    coordinated(session, group)
    eventually(lambda: session.ask("Metadata", 12, {"Topics": [{"TopicId": ids[group], "Name": group}]})
               ["Topics"][0]["ErrorCode"] == 0)
    return Reader(session, group, "a", (group,), ids, **rest), ids


def described(session, group, version=1):
    told = session.ask("ConsumerGroupDescribe", version, {"GroupIds": [group], "IncludeAuthorizedOperations": False})["Groups"][0]
    members = [[each["MemberId"], each["InstanceId"], each["RackId"], each["MemberEpoch"], each["ClientId"], each["ClientHost"],
                each["SubscribedTopicNames"], each["SubscribedTopicRegex"],
                [[one["TopicName"], sorted(one["Partitions"])] for one in each["Assignment"]["TopicPartitions"]],
                [[one["TopicName"], sorted(one["Partitions"])] for one in each["TargetAssignment"]["TopicPartitions"]],
                each.get("MemberType")] for each in told["Members"]]
    return [told["ErrorCode"], told["ErrorMessage"], told["GroupState"], told["GroupEpoch"], told["AssignmentEpoch"],
            told["AssignorName"], told["AuthorizedOperations"], sorted(members)]


def commit(session, group, topic, partition, member="", epoch=-1, version=9):
    body = {"GroupId": group, "GenerationIdOrMemberEpoch": epoch, "MemberId": member,
            "Topics": [{"Name": topic, "Partitions": [{"PartitionIndex": partition, "CommittedOffset": 5,
                                                       "CommittedMetadata": ""}]}]}
    answer = outcome(lambda: session.ask("OffsetCommit", version, body))
    return answer if isinstance(answer, str) else answer["Topics"][0]["Partitions"][0]["ErrorCode"]


@case("consumer protocol: join, stay, leave")
def life(session):
    reader, _ = alone(session, "cg-life")
    told = [reader.join(), reader.answer["MemberId"], reader.answer["HeartbeatIntervalMs"], reader.beat(),
            described(session, "cg-life")]
    told += [reader.beat(epoch=LEAVE), reader.answer["MemberId"], reader.answer["HeartbeatIntervalMs"]]
    return [*told, described(session, "cg-life"), reader.beat(epoch=LEAVE)]


@case("consumer protocol: version 0 gives the member its id")
def version_zero(session):
    reader, _ = alone(session, "cg-zero", version=0)
    reader.id = ""
    told = reader.join()
    return [told, len(reader.answer["MemberId"]) > 0]


@case("consumer protocol: joins that make no sense")
def bad_joins(session):
    reader, ids = alone(session, "cg-bad")
    told = [reader.join(**spoilt) for spoilt in (
        {"GroupId": ""}, {"MemberId": ""}, {"InstanceId": ""}, {"RackId": ""}, {"RebalanceTimeoutMs": -1},
        {"TopicPartitions": None}, {"TopicPartitions": [{"TopicId": ids["cg-bad"], "Partitions": [0]}]},
        {"SubscribedTopicNames": None}, {"SubscribedTopicNames": []}, {"ServerAssignor": "mine"},
        {"SubscribedTopicRegex": "a("}, {"MemberEpoch": -3}, {"MemberEpoch": -2})]
    return [*told, described(session, "cg-bad")[:3]]


@case("consumer protocol: groups and members that do not exist")
def nobody(session):
    reader, _ = alone(session, "cg-nobody")
    told = [reader.beat(epoch=1), reader.beat(epoch=LEAVE)]
    reader.join()
    reader.id = "b"
    return [*told, reader.beat(epoch=1), reader.beat(epoch=LEAVE)]


@case("consumer protocol: epochs ahead, behind, and of a lost answer")
def epochs(session):
    reader, ids = alone(session, "cg-epochs")
    topic = ids["cg-epochs"]
    told = [reader.join(), reader.beat(epoch=3), reader.beat(epoch=7)]
    told.append(reader.beat(SubscribedTopicNames=["cg-epochs", "none"], RebalanceTimeoutMs=60_000))
    told.append(reader.beat(epoch=2, owned={topic: [0, 1, 2, 3]}))
    told += [reader.beat(epoch=2), reader.beat(epoch=2, owned={topic: [9]}), reader.beat(epoch=1)]
    return [*told, reader.join()]


@case("consumer protocol: a full heartbeat is told everything")
def full(session):
    reader, ids = alone(session, "cg-full")
    reader.join()
    everything = {"RebalanceTimeoutMs": 60_000, "SubscribedTopicNames": ["cg-full"], "owned": {ids["cg-full"]: [0, 1, 2, 3]}}
    told = [reader.beat(**everything)]
    return told + [reader.beat(**{key: everything[key] for key in everything if key != left}) for left in everything]


@case("consumer protocol: a second member waits for what the first gives up")
def second(session):
    first, ids = alone(session, "cg-second")
    other = Reader(session, "cg-second", "b", ("cg-second",), ids)
    told = [first.join()[:2], other.join(), described(session, "cg-second")[2:5]]
    asked = first.beat()
    kept = asked[2]["cg-second"]
    told += [asked[:2], len(kept), other.beat(), first.beat(owned={ids["cg-second"]: [0, 1, 2, 3]})]
    given = first.beat(owned={ids["cg-second"]: kept})
    got = other.beat()
    return [*told, given, got[:2], sorted(kept + got[2]["cg-second"]), described(session, "cg-second")[2:5]]


@case("consumer protocol: a member leaves, and the other has it all")
def one_left(session):
    first, ids = alone(session, "cg-left")
    other = Reader(session, "cg-left", "b", ("cg-left",), ids)
    told = [first.join()[:2], other.join()[:2], first.settle(other)]
    first.beat(epoch=LEAVE)
    return [*told, described(session, "cg-left")[2:5], other.beat()]


@case("consumer protocol: three members, two topics, counts")
def balance(session):
    first, ids = alone(session, "cg-balance", 5)
    ids["cg-balance-2"] = create(session, "cg-balance-2", 3)
    everybody = [Reader(session, "cg-balance", name, ("cg-balance", "cg-balance-2"), ids) for name in "abc"]
    for each in everybody:
        each.join()
    told = everybody[0].settle(*everybody[1:])
    return [sorted(count for _, count in told), {epoch for epoch, _ in told} == {everybody[0].epoch}]


@case("consumer protocol: the range assignor")
def ranges(session):
    first, ids = alone(session, "cg-range", 5)
    other = Reader(session, "cg-range", "b", ("cg-range",), ids)
    told = [first.join(ServerAssignor="range"), other.join(ServerAssignor="range")[:2]]
    told.append(first.settle(other))
    return [*told, described(session, "cg-range")]


@case("consumer protocol: static members go for a while and come back")
def static(session):
    first, ids = alone(session, "cg-static", instance="one")
    again = Reader(session, "cg-static", "b", ("cg-static",), ids, instance="one")
    told = [first.join(), again.join(), again.beat(epoch=1), first.beat(epoch=AWAY), described(session, "cg-static")]
    told += [again.join(), first.beat(epoch=1), first.beat(epoch=LEAVE), again.beat()]
    return [*told, described(session, "cg-static"), again.beat(epoch=LEAVE), described(session, "cg-static")]


@case("consumer protocol: a topic that comes later, and one that grows")
def grows(session):
    reader, ids = alone(session, "cg-grows", 1)
    reader.topics = ("cg-grows", "cg-comes")
    told = [reader.join()]
    reader.names[create(session, "cg-comes", 2)] = "cg-comes"

    def changed():
        answer = reader.beat(owned=getattr(reader, "told", {}))
        if answer[2] is not None:
            told.append(answer)
        return answer[2] is not None
    eventually(changed)
    session.ask("CreatePartitions", 3, {"Topics": [{"Name": "cg-grows", "Count": 3, "Assignments": None}], "TimeoutMs": 10_000,
                                        "ValidateOnly": False})
    eventually(changed)
    return told


@case("consumer protocol: topics by regular expression")
def regular(session):
    reader, ids = alone(session, "cg-regex", 2, regex="cg-reg.*")
    reader.names[create(session, "x-cg-regex", 1)] = "x"
    reader.join()
    eventually(lambda: reader.beat(owned=getattr(reader, "told", {}))[0] == 0 and getattr(reader, "told", {}) != {})
    shown = described(session, "cg-regex")
    return [reader.told == {ids["cg-regex"]: [0, 1]}, shown[2], shown[7][0][6:10]]


@case("consumer protocol: commits and fetches with member epochs")
def offsets(session):
    reader, _ = alone(session, "cg-offsets")
    topic = "cg-offsets"
    told = [commit(session, topic, topic, 0, "a", 1), reader.join()]
    told += [commit(session, topic, topic, 0, member, epoch, version) for member, epoch, version in (
        ("", -1, 9), ("b", 2, 9), ("a", 3, 9), ("a", 1, 9), ("a", 2, 9), ("a", 2, 8), ("a", 2, 2))]
    for member, epoch in ((None, -1), ("a", 2), ("a", 3), ("b", 2)):
        answer = session.ask("OffsetFetch", 9, {"Groups": [{"GroupId": topic, "MemberId": member, "MemberEpoch": epoch,
                                                             "Topics": None}], "RequireStable": False})["Groups"][0]
        told.append([answer["ErrorCode"], [each["Partitions"][0]["CommittedOffset"] for each in answer["Topics"]]])
    reader.beat(epoch=LEAVE)
    return [*told, commit(session, topic, topic, 1), commit(session, topic, topic, 1, "a", 1)]


@case("consumer protocol: lists, descriptions, deletions")
def administrators(session):
    reader, _ = alone(session, "cg-admin")
    reader.join()
    commit(session, "cg-admin", "cg-admin", 0, "a", 2)

    def listed(**filters):
        answer = session.ask("ListGroups", 5, {"StatesFilter": [], "TypesFilter": [], **filters})
        return [[each["GroupId"], each["ProtocolType"], each["GroupState"], each["GroupType"]] for each in answer["Groups"]
                if each["GroupId"] == "cg-admin"]

    def delete():
        return session.ask("DeleteGroups", 2, {"GroupsNames": ["cg-admin"]})["Results"][0]["ErrorCode"]
    told = [listed(), listed(TypesFilter=["Consumer"]), listed(TypesFilter=["classic"]), listed(StatesFilter=["stable"])]
    for version in (5, 6):
        group = session.ask("DescribeGroups", version, {"Groups": ["cg-admin"]})["Groups"][0]
        told.append([group["ErrorCode"], group.get("ErrorMessage"), group["GroupState"], group["ProtocolType"]])
    told += [described(session, "cg-none"), described(session, "cg-admin", 0), delete()]
    answer = session.ask("OffsetDelete", 0, {"GroupId": "cg-admin", "Topics": [
        {"Name": "cg-admin", "Partitions": [{"PartitionIndex": 0}]}]})
    told.append([answer["ErrorCode"], answer["Topics"][0]["Partitions"][0]["ErrorCode"]])
    reader.beat(epoch=LEAVE)
    return [*told, listed(), delete(), listed(), reader.beat(epoch=1)]


@case("consumer protocol: requests of the classic protocol to such a group")
def classic_requests(session):
    reader, _ = alone(session, "cg-classic")
    reader.join()
    told = [session.ask("Heartbeat", 4, {"GroupId": "cg-classic", "GenerationId": 2, "MemberId": "a",
                                         "GroupInstanceId": None})["ErrorCode"]]
    told.append(session.ask("SyncGroup", 5, {"GroupId": "cg-classic", "GenerationId": 2, "MemberId": "a",
                                             "ProtocolType": "consumer", "ProtocolName": "range", "Assignments": []})["ErrorCode"])
    told.append(session.ask("JoinGroup", 9, {"GroupId": "cg-classic", "SessionTimeoutMs": 10_000, "RebalanceTimeoutMs": 10_000,
                                             "MemberId": "", "ProtocolType": "connect",
                                             "Protocols": [{"Name": "x", "Metadata": b""}]})["ErrorCode"])
    return told


@case("consumer protocol: a group of offsets becomes one, an empty one becomes classic")
def changes(session):
    reader, _ = alone(session, "cg-change")
    told = [commit(session, "cg-change", "cg-change", 0), described(session, "cg-change")[:3], reader.join()]
    reader.beat(epoch=LEAVE)
    joined = session.alone().ask("JoinGroup", 3, {
        "GroupId": "cg-change", "SessionTimeoutMs": 10_000, "RebalanceTimeoutMs": 10_000, "MemberId": "",
        "ProtocolType": "consumer", "Protocols": [{"Name": "range", "Metadata": b"\x00\x01" + bytes(8)}]})
    return [*told, joined["ErrorCode"], joined["GenerationId"], described(session, "cg-change")[:3]]
