#!/usr/bin/env python3
"""Reads a log in a directory by the page that describes it, docs/SEGMENT_FORMAT.md, and by nothing else.

It shares no code with hindsight. deploy/dev/python prints a Python that has what it imports.

Prints one line of JSON. Exit codes: 0 all is well, 1 the log is damaged, 2 usage.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from segment_format import DIGEST_BYTES, TRAILER_BYTES, Damaged, Fields, Newer, OpTime, Segment, crc32c, open_segment
from segment_format import read_header, read_seal_body
from topic_rules import check_follows

PACK_VERSION = BEGINNING_VERSION = 1
FOOTER_BYTES, LINE_BYTES = 36, 60
SEGMENT_NAME = re.compile(r"(\d{12,})-\d+_\d+-\d+_\d+\.seg")
PACK_NAME = re.compile(r"(\d{12,})-(\d{12,})-\d+_\d+-\d+_\d+\.pack")


class Beginning(NamedTuple):
    replica_set_id: bytes
    sequence: int
    predecessor: bytes
    epoch: int
    last: OpTime
    set_name: str


class File(NamedTuple):
    """A file of segments: the sequences of its first and its last one."""

    first: int
    last: int
    path: Path

    def is_pack(self) -> bool:
        return self.path.suffix == ".pack"


def whole_segment(data: bytes) -> Segment:
    """The segment of exactly these bytes."""
    header = read_header(data)
    trailer = Fields(data[-TRAILER_BYTES:], "trailer")
    at = len(data) - TRAILER_BYTES - trailer.u32()
    trailer.must(header.length <= at <= len(data) - TRAILER_BYTES - DIGEST_BYTES, "the seal's length is impossible")
    frames, begins = [], header.length
    for line in read_seal_body(data[at : -TRAILER_BYTES - DIGEST_BYTES]).frames:
        frames.append(data[begins : begins + line.stored])
        begins += line.stored
    trailer.must(begins == at, "the frames do not end where the seal begins")
    return open_segment(data[: header.length] + data[at:], frames, len(data))


def pack_segments(data: bytes) -> list:
    """The sequence and the bytes of each segment of a pack."""
    footer = Fields(data[-FOOTER_BYTES:], "footer")
    table, first, count, version = footer.u64(), footer.u64(), footer.u32(), footer.u16()
    reserved, checksum = footer.bytes(2), footer.bytes(4)
    footer.expect(b"HSPACKED", "it does not end with HSPACKED")
    footer.must(crc32c(data[-FOOTER_BYTES:-12]) == checksum, "its CRC32C is not that of its bytes")
    footer.must(version != 0, "its version is 0")
    if version != PACK_VERSION:
        raise Newer(f"pack version {version}")
    footer.must(reserved == bytes(2), "reserved bytes are not zero")
    footer.must(table + count * LINE_BYTES + FOOTER_BYTES == len(data), "its parts do not add up to the file")
    found, begins = [], 0
    for index in range(count):
        line = data[table + index * LINE_BYTES :][:LINE_BYTES]
        fields = Fields(line, f"line {index}")
        sequence, offset, length, digest = fields.u64(), fields.u64(), fields.u64(), fields.bytes(DIGEST_BYTES)
        fields.must(fields.bytes(4) == crc32c(line[:-4]), "its CRC32C is not that of its bytes")
        fields.must(sequence == first + index, "it is not where it belongs")
        fields.must(offset == begins and length > 0, "its segment does not lie behind the one before")
        begins += length
        segment = data[offset:begins]
        fields.must(whole_segment(segment).digest == digest, "it names another digest than the segment's")
        found.append((sequence, segment))
    footer.must(begins == table, "the segments do not end where the table begins")
    return found


def read_beginning(data: bytes) -> Beginning:
    fields = Fields(data[:-4], "BEGINNING")
    fields.must(crc32c(data[:-4]) == data[-4:], "its CRC32C is not that of its bytes")
    fields.expect(b"HSBEGINS", "it does not begin with HSBEGINS")
    version, length = fields.u16(), fields.u16()
    if version != BEGINNING_VERSION:
        raise Newer(f"beginning version {version}")
    fields.must(length == len(data), "its length is not the one that it names")
    replica_set_id, sequence, predecessor = fields.bytes(12), fields.u64(), fields.bytes(DIGEST_BYTES)
    epoch, last = fields.u64(), fields.optime()
    return Beginning(replica_set_id, sequence, predecessor, epoch, last, fields.text(length - 92))


def files_of(directory: Path, begins: int) -> tuple:
    """The files that hold the log, and those that repeat what a pack holds."""
    found = []
    for path in directory.iterdir():
        if match := SEGMENT_NAME.fullmatch(path.name):
            found.append(File(int(match[1]), int(match[1]), path))
        elif match := PACK_NAME.fullmatch(path.name):
            found.append(File(int(match[1]), int(match[2]), path))
        elif path.suffix in (".seg", ".pack"):
            raise Damaged(f"{path.name}: its name is not a segment's")
    found = [it for it in found if it.last >= begins]
    found.sort(key=lambda it: (it.first, -it.last, not it.is_pack()))
    held, repeated = [], []
    for file in found:
        covered = held and held[-1].is_pack() and held[-1].first <= file.first and file.last <= held[-1].last
        if covered:
            repeated.append(file)
            continue
        expected = held[-1].last + 1 if held else begins
        spans_beginning = not held and file.first < begins
        if file.first != expected and not spans_beginning:
            what = "a second time" if file.first < expected else f"segment {expected} is missing before it"
            raise Damaged(f"{file.path.name}: {what}")
        held.append(file)
    return held, repeated


def segments_in(files: list, begins: int) -> Iterator[Segment]:
    for file in files:
        data = file.path.read_bytes()
        try:
            held = pack_segments(data) if file.is_pack() else [(file.first, data)]
            if (held[0][0], held[-1][0]) != (file.first, file.last):
                raise Damaged("it holds other segments than its name says")
            for sequence, whole in held:
                segment = whole_segment(whole)
                if segment.header.sequence != sequence:
                    raise Damaged(f"it holds segment {segment.header.sequence}")
                if sequence >= begins:
                    yield segment
        except Damaged as damaged:
            raise Damaged(f"{file.path.name}: {damaged}") from None


def check_begins(beginning: Beginning, first: Segment) -> None:
    header = first.header
    source = (beginning.replica_set_id, beginning.set_name) == (header.replica_set_id, header.set_name)
    follows = (header.sequence, header.predecessor) == (beginning.sequence, beginning.predecessor)
    if not (source and follows and header.epoch >= beginning.epoch and beginning.last.precedes(first.seal.first)):
        raise Damaged(f"segment {header.sequence} is not what BEGINNING says")


def read(directory: Path) -> dict:
    beginning = None
    if (directory / "BEGINNING").exists():
        beginning = read_beginning((directory / "BEGINNING").read_bytes())
    begins = beginning.sequence if beginning else 1
    files, repeated = files_of(directory, begins)
    end, segments, entries = None, 0, 0
    for segment in segments_in(files, begins):
        if end is None and beginning:
            check_begins(beginning, segment)
        else:
            check_follows(end, segment)
        segments, entries, end = segments + 1, entries + sum(1 for _ in segment.entries()), segment
    return {
        "begins": begins,
        "segments": segments,
        "entries": entries,
        "packs": sum(it.is_pack() for it in files),
        "files": len(files),
        "repeated": len(repeated),
        "digest": end.digest.hex() if end else None,
    }


def main(arguments: list) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    options = parser.parse_args(arguments)
    try:
        print(json.dumps({**read(options.directory), "damage": None}))
    except (Damaged, Newer) as damaged:
        print(json.dumps({"damage": str(damaged)}))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
