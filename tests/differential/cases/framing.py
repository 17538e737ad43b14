"""Frames, headers and encodings: bad-input sections 1 and 2."""

import struct

from cases.common import case, i32, outcome, still_serves

VERSIONS = {"ClientSoftwareName": "differential", "ClientSoftwareVersion": "1"}


def after(session, data):
    """What the broker does with raw bytes on a fresh connection: answers, closes, or stays silent and serves on."""
    connection = session.alone()
    connection.socket.settimeout(3)
    connection.raw(data)
    told = outcome(connection.answer)
    connection.close()
    return told if isinstance(told, str) else "answers"


def header(key, version, client=b"\0\1d", correlation=7):
    return struct.pack(">hhi", key, version, correlation) + client


def framed(payload):
    return i32(len(payload)) + payload


@case("frame: length -1")
def negative(session):
    return after(session, i32(-1) + b"x" * 16)


@case("frame: length 0")
def empty(session):
    return after(session, i32(0))


@case("frame: length above the maximum")
def huge(session):
    return after(session, i32(0x7FFF_FFFF) + b"x" * 16)


@case("frame: shorter than a request header")
def short(session):
    return after(session, framed(b"\0\3\0"))


@case("frame: a TLS ClientHello on a plaintext port")
def tls(session):
    return after(session, bytes.fromhex("16030100c8010000c40303") + bytes(100))


@case("frame: HTTP on a Kafka port")
def http(session):
    return after(session, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")


@case("header: unknown API key 999")
def unknown_key(session):
    return after(session, framed(header(999, 0)))


@case("header: API key -1")
def negative_key(session):
    return after(session, framed(header(-1, 0)))


@case("header: Metadata at version 99")
def unserved_version(session):
    return after(session, framed(header(3, 99) + b"\0"))


@case("header: Produce at version 2")
def produce_two(session):
    return after(session, framed(header(0, 2) + struct.pack(">hii", 1, 1000, 0)))


@case("header: client id is not UTF-8")
def client_utf8(session):
    return after(session, framed(header(3, 0, client=b"\0\2\xff\xfe") + i32(0)))


@case("header: client id longer than the frame")
def client_long(session):
    return after(session, framed(header(3, 0, client=b"\x40\0abc")))


@case("header: client id length -2")
def client_negative(session):
    return after(session, framed(header(3, 0, client=b"\xff\xfe") + i32(0)))


@case("header: client id null")
def client_null(session):
    return after(session, framed(header(3, 0, client=b"\xff\xff") + i32(0)))


@case("body: array count above what the frame can hold")
def count_huge(session):
    return after(session, framed(header(3, 0) + i32(0x7FFF_FFF0)))


@case("body: array count -2")
def count_negative(session):
    return after(session, framed(header(3, 1) + i32(-2)))


@case("body: array null where it may not be")
def null_array(session):
    # CreateTopics v2: Topics is not nullable.
    return after(session, framed(header(19, 2) + i32(-1) + i32(1000) + b"\0"))


@case("body: cut off in the middle")
def cut(session):
    return after(session, framed(header(3, 1) + i32(3) + b"\0\1a"))


@case("body: varint of 6 bytes")
def varint(session):
    return after(session, framed(header(3, 9) + b"\0" + b"\xff\xff\xff\xff\xff\x01"))


@case("body: tagged field twice")
def tag_twice(session):
    # ApiVersions v3 with tag 100 twice in the body's tagged fields.
    return after(session, framed(header(18, 3) + b"\0" + b"\2d\2" + b"1" + b"\2" + b"\x64\1x" + b"\x64\1x"))


@case("body: tagged fields out of order")
def tag_order(session):
    return after(session, framed(header(18, 3) + b"\0" + b"\2d\2" + b"1" + b"\2" + b"\x65\1x" + b"\x64\1x"))


@case("body: unknown tagged fields in order are skipped")
def tag_unknown(session):
    return after(session, framed(header(18, 3) + b"\0" + b"\2d\2" + b"1" + b"\2" + b"\x64\1x" + b"\x65\1x"))


@case("body: bytes after the end are accepted")
def trailing(session):
    connection = session.alone()
    answer = outcome(connection.ask, "ApiVersions", 0, {}, trailing=b"more than was asked for")
    told = [answer if isinstance(answer, str) else answer["ErrorCode"], still_serves(connection)]
    connection.close()
    return told


@case("pipelining: ten requests at once are answered in order")
def pipelined(session):
    connection = session.alone()
    for _ in range(10):
        connection.send("ApiVersions", 0)
    orders = [struct.unpack(">i", connection.answer()[:4])[0] for _ in range(10)]
    connection.close()
    return orders


@case("ApiVersions: every version from 0 to 4")
def api_versions(session):
    return [session.ask("ApiVersions", version, VERSIONS if version >= 3 else {})["ErrorCode"] for version in range(5)]


@case("ApiVersions: version 99 is answered in the v0 layout, and the connection goes on")
def api_versions_new(session):
    connection = session.alone()
    connection.frame(connection.header(18, 99, "differential"))
    answer = connection.receive("ApiVersions", 0)
    own = [[key["MinVersion"], key["MaxVersion"] >= 4] for key in answer["ApiKeys"] if key["ApiKey"] == 18]
    told = [answer["ErrorCode"], own, still_serves(connection)]
    connection.close()
    return told


@case("ApiVersions: bad client software names")
def software_name(session):
    return [outcome(lambda: session.ask("ApiVersions", 3, {"ClientSoftwareName": name, "ClientSoftwareVersion": "1"})
                    ["ErrorCode"]) for name in ("", "a b", "-a", "a-", "ä", "a.b-c")]


@case("ApiVersions: the ranges advertised")
def ranges(session):
    answer = session.ask("ApiVersions", 3, VERSIONS)
    return {str(key["ApiKey"]): [key["MinVersion"], key["MaxVersion"]] for key in answer["ApiKeys"]}


@case("ApiVersions: finalized features")
def features(session):
    answer = session.ask("ApiVersions", 3, VERSIONS)
    return {each["Name"]: each["MaxVersionLevel"] for each in answer.get("FinalizedFeatures", [])}
