"""One connection that says exactly what it is told to, and reports what came back, a silent close included."""

import socket
import struct

import schema

ANSWER_DEADLINE_S = 15.0


class Closed(Exception):
    """The broker closed the connection instead of answering."""


class Silent(Exception):
    """The broker neither answered nor closed within the deadline."""


class Connection:
    def __init__(self, messages, host, port):
        self.messages = messages
        self.socket = socket.create_connection((host, port), 5)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.settimeout(ANSWER_DEADLINE_S)
        self.correlation = 0

    def ask(self, api, version, body=None, client_id="differential", trailing=b""):
        """Sends a request and returns the decoded answer."""
        self.send(api, version, body, client_id, trailing)
        return self.receive(api, version)

    def send(self, api, version, body=None, client_id="differential", trailing=b""):
        key = self.messages.keys[api]
        payload = body if isinstance(body, bytes) else self.messages.requests[key].encode(version, body or {})
        self.frame(self.header(key, version, client_id) + payload + trailing)

    def header(self, key, version, client_id):
        """Request header v1, or v2 where the request is flexible. The client id stays a plain string in both."""
        self.correlation += 1
        request = self.messages.requests.get(key)
        data = client_id if isinstance(client_id, bytes) else client_id.encode()
        header = struct.pack(">hhih", key, version, self.correlation, len(data)) + data
        return header + (b"\0" if request and request.is_flexible(version) else b"")

    def frame(self, payload):
        self.raw(struct.pack(">i", len(payload)) + payload)

    def raw(self, data):
        try:
            self.socket.sendall(data)
        except OSError as failure:
            raise Closed from failure

    def receive(self, api, version):
        """The next answer. ApiVersions answers with header v0 always, others with v1 where they are flexible."""
        key = self.messages.keys[api]
        response = self.messages.responses[key]
        payload = self.answer()
        (correlation,) = struct.unpack(">i", payload[:4])
        assert correlation == self.correlation, f"answer to {correlation} where {self.correlation} is due"
        start = 4
        if response.is_flexible(version) and api != "ApiVersions":
            assert payload[4] == 0, "tagged fields in a response header"
            start = 5
        return response.decode(version, payload[start:])

    def answer(self):
        (size,) = struct.unpack(">i", self.exactly(4))
        return self.exactly(size)

    def exactly(self, count):
        data = b""
        while len(data) < count:
            try:
                more = self.socket.recv(count - len(data))
            except TimeoutError as failure:
                raise Silent from failure
            except OSError as failure:
                raise Closed from failure
            if not more:
                raise Closed
            data += more
        return data

    def close(self):
        self.socket.close()


class Session:
    """One broker as the cases see it: connections on demand, and what it said about itself."""

    def __init__(self, messages, bootstrap):
        self.messages = messages
        host, port = bootstrap.rsplit(":", 1)
        self.host, self.port = host, int(port)
        self.main = self.connect()

    def connect(self):
        return Connection(self.messages, self.host, self.port)

    def ask(self, api, version, body=None, **rest):
        """On the shared connection; one that the broker closed is replaced for whoever comes next."""
        try:
            return self.main.ask(api, version, body, **rest)
        except (Closed, Silent):
            self.main.close()
            self.main = self.connect()
            raise

    def alone(self):
        """A connection of one's own, for what may end it."""
        return self.connect()


__all__ = ["Closed", "Connection", "Session", "Silent", "schema"]
