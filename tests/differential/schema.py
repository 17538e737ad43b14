"""Kafka's protocol in Python, from Kafka's own message specs: any API, any version, requests as dictionaries.

The specs are read from the kafka-clients jar that the reference broker runs from, so this codec knows nothing of
Ringmain's. A field that a request leaves out has its default value. Names are the specs' names (`TopicName`); a name that
the spec does not know is an error here rather than a silent default.
"""

import json
import re
import struct
import uuid
import zipfile

FIXED = {"bool": ">?", "int8": ">b", "int16": ">h", "uint16": ">H", "int32": ">i", "uint32": ">I", "int64": ">q",
         "float64": ">d"}
NEVER = (1, 0)


def versions(text):
    """`3+`, `0-14`, `7`, `none` as (first, last)."""
    if not text or text == "none":
        return NEVER
    first, plus, last = re.fullmatch(r"(\d+)(?:(\+)|-(\d+))?", text).groups()
    return int(first), (1 << 15 if plus else int(last or first))


def within(version, text):
    first, last = versions(text)
    return first <= version <= last


class Messages:
    """The specs of one kafka-clients jar."""

    def __init__(self, jar):
        self.requests = {}
        self.responses = {}
        with zipfile.ZipFile(jar) as archive:
            for name in archive.namelist():
                if name.startswith("common/message/") and name.endswith(".json"):
                    spec = json.loads(re.sub(r"(?m)^\s*//.*$", "", archive.read(name).decode()))
                    by_key = {"request": self.requests, "response": self.responses}.get(spec["type"])
                    if by_key is not None:
                        by_key[spec["apiKey"]] = Message(spec)
        self.keys = {spec.name.removesuffix("Request"): key for key, spec in self.requests.items()}


class Message:
    def __init__(self, spec):
        self.name = spec["name"]
        self.fields = spec.get("fields", [])
        self.flexible = spec.get("flexibleVersions", "none")
        self.structs = {each["name"]: each["fields"] for each in spec.get("commonStructs", [])}
        self.valid = versions(spec["validVersions"])

    def encode(self, version, values):
        writer = Writer(self, version)
        writer.struct(self.fields, values)
        return bytes(writer.out)

    def decode(self, version, data):
        reader = Reader(self, version, data)
        values = reader.struct(self.fields)
        assert reader.at == len(data), f"{self.name} v{version}: {len(data) - reader.at} bytes left over"
        return values

    def is_flexible(self, version):
        return within(version, self.flexible)


class Coder:
    """What writer and reader share: which fields a version has, and how each is laid out."""

    def __init__(self, message, version):
        self.message = message
        self.version = version
        self.flexible = message.is_flexible(version)

    def layout(self, field):
        """(compact lengths?, null allowed?) of a field."""
        compact = self.flexible and field.get("flexibleVersions") != "none"
        return compact, within(self.version, field.get("nullableVersions"))

    def members(self, field, kind):
        return field.get("fields") or self.message.structs[kind]

    def split(self, fields):
        """(fields in order, tagged fields by tag) that exist at this version."""
        present = [field for field in fields if within(self.version, field["versions"])]
        tagged = {field["tag"]: field for field in present if within(self.version, field.get("taggedVersions"))}
        return [field for field in present if field not in tagged.values()], tagged


def default(field):
    given, kind = field.get("default"), field["type"]
    if given == "null":
        return None
    if kind.startswith("[]"):
        return []
    if kind == "bool":
        return given in ("true", True)
    if kind == "float64":
        return float(given or 0)
    if kind in FIXED:
        return int(str(given or 0), 0)
    return {"string": given or "", "uuid": uuid.UUID(int=0), "bytes": b"", "records": None}.get(kind, {})


class Writer(Coder):
    def __init__(self, message, version):
        super().__init__(message, version)
        self.out = bytearray()

    def struct(self, fields, values):
        known = {field["name"] for field in fields}
        assert values.keys() <= known, f"{self.message.name}: no field {values.keys() - known}"
        plain, tagged = self.split(fields)
        for field in plain:
            self.value(field, field["type"], values.get(field["name"], default(field)))
        if self.flexible:
            given = {tag: field for tag, field in sorted(tagged.items()) if field["name"] in values}
            self.unsigned(len(given))
            for tag, field in given.items():
                inner = Writer(self.message, self.version)
                inner.value(field, field["type"], values[field["name"]])
                self.unsigned(tag)
                self.unsigned(len(inner.out))
                self.out += inner.out

    def value(self, field, kind, value):
        if kind in FIXED:
            self.out += struct.pack(FIXED[kind], value)
        elif kind == "uuid":
            self.out += value.bytes
        elif kind.startswith("[]"):
            self.length(field, None if value is None else len(value), ">i")
            for each in value or []:
                self.value(field | {"nullableVersions": "none"}, kind[2:], each)
        elif kind in ("string", "bytes", "records"):
            data = value.encode() if isinstance(value, str) else value
            self.length(field, None if data is None else len(data), ">h" if kind == "string" else ">i")
            self.out += data or b""
        else:
            if self.layout(field)[1]:
                self.out += b"\xff" if value is None else b"\x01"
            if value is not None:
                self.struct(self.members(field, kind), value)

    def length(self, field, count, plain):
        if self.layout(field)[0]:
            self.unsigned(0 if count is None else count + 1)
        else:
            self.out += struct.pack(plain, -1 if count is None else count)

    def unsigned(self, value):
        while value > 0x7F:
            self.out.append(value & 0x7F | 0x80)
            value >>= 7
        self.out.append(value)


class Reader(Coder):
    def __init__(self, message, version, data):
        super().__init__(message, version)
        self.data = data
        self.at = 0

    def struct(self, fields):
        plain, tagged = self.split(fields)
        values = {field["name"]: self.value(field, field["type"]) for field in plain}
        if self.flexible:
            for _ in range(self.unsigned()):
                tag, size = self.unsigned(), self.unsigned()
                end = self.at + size
                assert tag in tagged, f"{self.message.name} v{self.version}: unknown tag {tag}"
                values[tagged[tag]["name"]] = self.value(tagged[tag], tagged[tag]["type"])
                assert self.at == end, f"{self.message.name} v{self.version}: tag {tag} is not {size} bytes"
        return values

    def value(self, field, kind):
        if kind in FIXED:
            return struct.unpack(FIXED[kind], self.take(struct.calcsize(FIXED[kind])))[0]
        if kind == "uuid":
            return uuid.UUID(bytes=self.take(16))
        if kind.startswith("[]"):
            count = self.length(field, ">i")
            inner = field | {"nullableVersions": "none"}
            return None if count is None else [self.value(inner, kind[2:]) for _ in range(count)]
        if kind in ("string", "bytes", "records"):
            count = self.length(field, ">h" if kind == "string" else ">i")
            if count is None:
                return None
            data = self.take(count)
            return data.decode() if kind == "string" else data
        if self.layout(field)[1] and self.take(1) == b"\xff":
            return None
        return self.struct(self.members(field, kind))

    def length(self, field, plain):
        compact, nullable = self.layout(field)
        if compact:
            count = self.unsigned() - 1
        else:
            count = struct.unpack(plain, self.take(struct.calcsize(plain)))[0]
        assert count >= 0 or nullable, f"{self.message.name} v{self.version}: {field['name']} is null"
        return None if count < 0 else count

    def take(self, count):
        assert self.at + count <= len(self.data), f"{self.message.name} v{self.version}: {count} bytes missing"
        self.at += count
        return self.data[self.at - count:self.at]

    def unsigned(self):
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value
