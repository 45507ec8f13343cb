"""Segments and records as the two pages say, made for the tests: the other direction of what the reader does."""

import struct
from typing import NamedTuple

import bson
import google_crc32c
import lz4.block
import zstandard
from blake3 import blake3

from segment_format import CODEC_LZ4, CODEC_NONE, CODEC_ZSTD, LENIENT, NO_DIGEST, OpTime
from topic_rules import Record

SET_ID, SET_NAME = bytes(range(12)), "rs0"
TERM = 3


def entry(second: int, increment: int = 1, **fields) -> bytes:
    document = {"op": "i", "ns": "shop.orders", "o": {"_id": second, "text": "x" * 40}, **fields}
    return bson.encode({"ts": bson.Timestamp(second, increment), "t": bson.Int64(TERM), **document})


def place(data: bytes) -> OpTime:
    document = bson.decode(data, LENIENT)
    return OpTime((document["ts"].time << 32) | document["ts"].inc, document.get("t", -1))


def optime(it: OpTime) -> bytes:
    return struct.pack("<Qq", *it)


def text(it: str) -> bytes:
    return struct.pack("<I", len(it.encode())) + it.encode()


def crc(*parts: bytes) -> bytes:
    return google_crc32c.value(b"".join(parts)).to_bytes(4, "little")


class Sealed(NamedTuple):
    """A segment in the pieces that are sent."""

    frames: list
    header: bytes
    seal: bytes  # and trailer
    digest: bytes
    sequence: int
    last: OpTime

    def length(self) -> int:
        return len(self.header) + sum(map(len, self.frames)) + len(self.seal)


def compress(codec: int, raw: bytes) -> tuple:
    payload = raw
    if codec == CODEC_LZ4:
        payload = lz4.block.compress(raw, store_size=False)
    elif codec == CODEC_ZSTD:
        payload = zstandard.ZstdCompressor(level=1).compress(raw)
    return (codec, payload) if len(payload) < len(raw) else (CODEC_NONE, raw)


def frame(ordinal: int, codec: int, entries: list) -> bytes:
    raw = b"".join(entries)
    codec, payload = compress(codec, raw)
    head = b"HSFR" + struct.pack("<IB3xIII", ordinal, codec, len(payload), len(raw), len(entries))
    head += optime(place(entries[0])) + optime(place(entries[-1]))
    return head + crc(head, payload) + payload


def frame_line(stored: bytes, entries: list) -> bytes:
    line = struct.pack("<III", len(stored), sum(map(len, entries)), len(entries))
    line += optime(place(entries[0])) + optime(place(entries[-1])) + blake3(stored).digest()
    return line + b"\1" + struct.pack("<IQQ", 2, 0xFFFF, 0xFFFF)


def seal_with_trailer(header: bytes, body: bytes) -> tuple:
    """And the digest."""
    digest = blake3(header + body).digest()
    seal = body + digest
    return seal + struct.pack("<I", len(seal)) + crc(seal) + b"HSSEGEND", digest


class Writer:
    """Makes segments that follow each other."""

    def __init__(self, codec: int = CODEC_ZSTD, epoch: int = 1):
        self.codec, self.epoch = codec, epoch
        self.end: Sealed | None = None
        self.second = 1_700_000_000

    def copy(self) -> "Writer":
        twin = Writer(self.codec, self.epoch)
        twin.end, twin.second = self.end, self.second
        return twin

    def next_entries(self, count: int) -> list:
        self.second += count
        return [entry(self.second - count + i) for i in range(count)]

    def header(self, first: OpTime, gap: bool, version: int) -> bytes:
        name = SET_NAME.encode()
        body = struct.pack("<BBH", self.codec, gap, len(name)) + SET_ID
        body += struct.pack("<QQ", self.epoch, self.end.sequence + 1 if self.end else 1)
        body += (self.end.digest if self.end else NO_DIGEST) + name
        if gap:
            detail = "rolled over"
            body += optime(self.end.last) + optime(first)
            body += struct.pack("<qBH", 1_700_000_000_000, 1, len(detail)) + detail.encode()
        head = b"HSSEGMNT" + struct.pack("<HH", version, 12 + len(body) + 4) + body
        return head + crc(head)

    def segment(self, *frames_of_entries: list, gap: bool = False, sightings: list | None = None) -> Sealed:
        """One frame for each list; three frames of new entries when there is none."""
        version, flags = (1, 0) if sightings is None else (2, 16)
        tables = list(frames_of_entries) or [self.next_entries(4) for _ in range(3)]
        frames = [frame(i, self.codec, entries) for i, entries in enumerate(tables)]
        lines = b"".join(map(frame_line, frames, tables))
        entries = [it for table in tables for it in table]
        first, last = place(entries[0]), place(entries[-1])
        header = self.header(first, gap, version)
        body = b"HSSEAL\0\0" + optime(first) + optime(last) + optime(last) + bytes([flags, 2, 0, 0])
        body += struct.pack("<Iqq", len(frames), 0, 0) + optime(OpTime(0, 0)) + bytes(8)
        body += struct.pack("<QQQ", len(entries), sum(map(len, entries)), sum(map(len, frames)))
        body += struct.pack("<II", 2, 1)
        body += text("shop.customers") + struct.pack("<6I", 0, 0, 0, 1, 0, 0)
        body += text("shop.orders") + struct.pack("<6I", len(entries), 0, 0, 0, 0, 0)
        body += optime(last) + b"\6create" + text("shop.customers") + b"\0"
        body += lines
        if sightings is not None:
            raw = b"".join(map(bson.encode, sightings))
            stored = zstandard.ZstdCompressor(level=3).compress(raw)
            body += struct.pack("<II", len(raw), len(stored)) + stored
        seal, digest = seal_with_trailer(header, body)
        self.end = Sealed(frames, header, seal, digest, self.end.sequence + 1 if self.end else 1, last)
        return self.end


def headers(**fields) -> list:
    return [("hs-" + name, str(value).encode()) for name, value in fields.items()]


class Topic:
    """Records with their offsets."""

    def __init__(self):
        self.records = []

    def put(self, fields: list, value: bytes = b"") -> None:
        self.records.append(Record(len(self.records), fields, value))

    def claim(self, writer: str, epoch: int, supersedes: int) -> None:
        self.put(headers(kind="claim", version=1, writer=writer, epoch=epoch, supersedes=supersedes), b"for people")

    def send(self, pieces: list) -> None:
        for fields, value in pieces:
            self.put(fields, value)


def lay_out(segment: Sealed, writer: str, epoch: int, attempt: int, limit: int = 1 << 20) -> list:
    """The records of one attempt to append the segment: headers and value, none longer than `limit`."""
    whole = [(("frame", ordinal), it) for ordinal, it in enumerate(segment.frames)]
    whole.append((("bytes", segment.length()), segment.header + segment.seal))
    split = []
    for (name, number), value in whole:
        parts = [value[at : at + limit] for at in range(0, len(value), limit)]
        split += [(name, number, i, len(parts), part) for i, part in enumerate(parts, 1)]
    records = []
    for at, (name, number, i, of, value) in enumerate(split, 1):
        fields = headers(kind="frame" if name == "frame" else "seal", version=1, writer=writer, epoch=epoch)
        fields += headers(attempt=attempt, sequence=segment.sequence, record=f"{at}/{len(split)}")
        fields += headers(**{name: number}, part=f"{i}/{of}")
        records.append((fields, value))
    return records
