"""Segments, as docs/SEGMENT_FORMAT.md describes them. Bytes in, facts and entries out."""

import struct
from collections.abc import Iterator
from typing import NamedTuple

import google_crc32c
import lz4.block
import zstandard
from blake3 import blake3
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument

FORMAT_VERSION = 1
# As version 1, and sightings of the catalog stand in the seal.
FORMAT_WITH_SIGHTINGS = 2
HEADER_LIMIT = 8 << 10
SET_NAME_LIMIT = 1 << 10
GAP_DETAIL_LIMIT = 4 << 10
COMMAND_NAME_LIMIT = 120
ENTRY_LIMIT = FRAME_LIMIT = 32 << 20
SEGMENT_LIMIT = 128 << 20
SEAL_LIMIT = 512 << 20
SIGHTINGS_RAW_LIMIT = 32 << 20
SIGHTINGS_LIMIT = 16 << 20
FRAME_HEADER_BYTES = 60
TRAILER_BYTES = 16
DIGEST_BYTES = 32
CODEC_NONE, CODEC_LZ4, CODEC_ZSTD = CODECS = range(3)
NO_DIGEST = bytes(DIGEST_BYTES)
# The entries are compared as bytes; names and texts are decoded to find `ts` and `t`, whatever they hold.
LENIENT = CodecOptions(document_class=RawBSONDocument, unicode_decode_error_handler="replace")


class Damaged(Exception):
    """These bytes are not what was sealed."""


class Newer(Exception):
    """Written in a newer version, which this reader does not know."""


class OpTime(NamedTuple):
    """Timestamps compare as numbers: seconds in the high half, increment in the low half."""

    ts: int
    term: int

    def __str__(self) -> str:
        return f"{self.ts >> 32},{self.ts & 0xFFFFFFFF}"

    def precedes(self, other: "OpTime") -> bool:
        return self.ts < other.ts and self.term <= other.term


NO_OPTIME = OpTime(0, 0)


class Gap(NamedTuple):
    after: OpTime
    before: OpTime
    reason: int
    detail: str


class Header(NamedTuple):
    replica_set_id: bytes
    set_name: str
    epoch: int
    sequence: int
    predecessor: bytes
    gap: Gap | None
    length: int
    has_sightings: bool


class FrameLine(NamedTuple):
    stored: int
    raw: int
    entries: int
    first: OpTime
    last: OpTime
    digest: bytes


class Seal(NamedTuple):
    first: OpTime
    last: OpTime
    entries: int
    raw: int
    frames: list
    has_sightings: bool


class Segment(NamedTuple):
    """A segment of which every stored byte was compared with its digest."""

    header: Header
    seal: Seal
    digest: bytes
    frames: list

    def entries(self) -> Iterator[bytes]:
        """The entries' bytes, in order."""
        for ordinal, (line, stored) in enumerate(zip(self.seal.frames, self.frames)):
            yield from entries_of_frame(ordinal, line, stored)


class Fields:
    """Takes little-endian fields off the front."""

    def __init__(self, data: bytes, where: str):
        self.data, self.at, self.where = data, 0, where

    def must(self, holds: bool, what: str) -> None:
        if not holds:
            raise Damaged(f"{self.where}: {what}")

    def bytes(self, count: int) -> bytes:
        taken = self.data[self.at : self.at + count]
        self.must(len(taken) == count, "it is cut short")
        self.at += count
        return taken

    def number(self, code: str) -> int:
        return struct.unpack("<" + code, self.bytes(struct.calcsize("<" + code)))[0]

    def u8(self) -> int:
        return self.number("B")

    def u16(self) -> int:
        return self.number("H")

    def u32(self) -> int:
        return self.number("I")

    def u64(self) -> int:
        return self.number("Q")

    def i64(self) -> int:
        return self.number("q")

    def optime(self) -> OpTime:
        return OpTime(self.u64(), self.i64())

    def text(self, count: int) -> str:
        try:
            return self.bytes(count).decode()
        except UnicodeDecodeError:
            raise Damaged(f"{self.where}: a text is not UTF-8") from None

    def expect(self, expected: bytes, what: str) -> None:
        self.must(self.bytes(len(expected)) == expected, what)

    def finish(self) -> None:
        self.must(self.at == len(self.data), "something is left over")


def read_header(data: bytes) -> Header:
    """The header at the front of `data`, which may be longer."""
    fields = Fields(data, "header")
    fields.expect(b"HSSEGMNT", "it does not begin with HSSEGMNT")
    version, length = fields.u16(), fields.u16()
    fields.must(16 <= length <= min(HEADER_LIMIT, len(data)), "its length is impossible")
    checked, checksum = data[: length - 4], data[length - 4 : length]
    # Before the version: a flipped bit is damage and not a newer version.
    fields.must(crc32c(checked) == checksum, "its CRC32C is not that of its bytes")
    fields.must(version != 0, "its version is 0")
    if version not in (FORMAT_VERSION, FORMAT_WITH_SIGHTINGS):
        raise Newer(f"segment format version {version}")
    fields.data = checked
    fields.must(fields.u8() in CODECS, "its codec is unknown")
    has_gap, name_length = fields.u8(), fields.u16()
    fields.must(has_gap <= 1, "its gap flag is neither 0 nor 1")
    fields.must(name_length <= SET_NAME_LIMIT, "its set name is too long")
    replica_set_id = fields.bytes(12)
    epoch, sequence, predecessor = fields.u64(), fields.u64(), fields.bytes(DIGEST_BYTES)
    set_name = fields.text(name_length)
    gap = read_gap(fields) if has_gap else None
    fields.finish()
    return Header(replica_set_id, set_name, epoch, sequence, predecessor, gap, length, version == FORMAT_WITH_SIGHTINGS)


def read_gap(fields: Fields) -> Gap:
    after, before, _noticed = fields.optime(), fields.optime(), fields.i64()
    reason, detail_length = fields.u8(), fields.u16()
    fields.must(reason in (1, 2, 3), "its reason for a gap is unknown")
    fields.must(detail_length <= GAP_DETAIL_LIMIT, "its detail of a gap is too long")
    return Gap(after, before, reason, fields.text(detail_length))


def read_seal_body(body: bytes) -> Seal:
    """A seal without its digest."""
    fields = Fields(body, "seal")
    fields.expect(b"HSSEAL\0\0", "it does not begin with HSSEAL")
    first, last, majority = fields.optime(), fields.optime(), fields.optime()
    flags, reason = fields.u8(), fields.u8()
    fields.must(flags < 32, "its flags are unknown")
    fields.must(1 <= reason <= 5, "its cut reason is unknown")
    fields.expect(bytes(2), "reserved bytes are not zero")
    frame_count = fields.u32()
    first_wall, last_wall = fields.i64(), fields.i64()
    unresolved, prepared = fields.optime(), fields.u64()
    absent = [(1, first_wall == 0), (2, last_wall == 0), (4, unresolved == NO_OPTIME), (8, prepared == 0)]
    fields.must(all(flags & bit or is_zero for bit, is_zero in absent), "an absent field is not zero")
    entries, raw, stored = fields.u64(), fields.u64(), fields.u64()
    namespace_count, command_count = fields.u32(), fields.u32()
    namespaces = [read_namespace(fields) for _ in range(namespace_count)]
    commands = [read_command(fields) for _ in range(command_count)]
    frames = [read_frame_line(fields) for _ in range(frame_count)]
    has_sightings = bool(flags & 16)
    if has_sightings:
        read_sightings(fields)
    fields.finish()

    fields.must(bool(frames), "it has no frames")
    fields.must((frames[0].first, frames[-1].last) == (first, last), "its frames do not begin and end where it does")
    ordered = all(a.last.precedes(b.first) for a, b in zip(frames, frames[1:]))
    fields.must(ordered, "its frames are not in order")
    sums = tuple(sum(column) for column in zip(*((it.entries, it.raw, it.stored) for it in frames)))
    fields.must(sums == (entries, raw, stored), "its totals are not the sums of its frames")
    fields.must(raw <= SEGMENT_LIMIT, "it is longer than a segment may be")
    fields.must(majority >= last, "its majority point lies before its last entry")
    fields.must(unresolved <= last, "its unresolved transaction begins after it")
    fields.must(prepared <= last.ts, "its prepared transaction was prepared after it")
    fields.must(all(a < b for a, b in zip(namespaces, namespaces[1:])), "its namespaces are not in order")
    places = [first, *commands, last]
    fields.must(places == sorted(places), "its commands are not in order")
    return Seal(first, last, entries, raw, frames, has_sightings)


def read_sightings(fields: Fields) -> list:
    """What members listed of their catalog: BSON documents, one after the other."""
    raw, stored = fields.u32(), fields.u32()
    fields.must(raw <= SIGHTINGS_RAW_LIMIT and stored <= SIGHTINGS_LIMIT, "its sightings are too long")
    return list(split_entries(expand(CODEC_ZSTD, fields.bytes(stored), raw, fields), fields))


def read_namespace(fields: Fields) -> bytes:
    name = fields.text(fields.u32()).encode()
    fields.bytes(6 * 4)
    return name


def read_command(fields: Fields) -> OpTime:
    optime, name_length = fields.optime(), fields.u8()
    fields.must(name_length <= COMMAND_NAME_LIMIT, "a command's name is too long")
    fields.text(name_length)
    fields.text(fields.u32())
    renamed = fields.u8()
    fields.must(renamed <= 1, "a rename flag is neither 0 nor 1")
    if renamed:
        fields.text(fields.u32())
    return optime


def read_frame_line(fields: Fields) -> FrameLine:
    stored, raw, entries = fields.u32(), fields.u32(), fields.u32()
    line = FrameLine(stored, raw, entries, fields.optime(), fields.optime(), fields.bytes(DIGEST_BYTES))
    possible = stored >= FRAME_HEADER_BYTES and raw <= FRAME_LIMIT and entries > 0
    fields.must(possible, "a frame line is impossible")
    filter_kind = fields.u8()
    fields.must(filter_kind <= 2, "a key filter is unknown")
    if filter_kind == 1:
        fields.bytes(8 * fields.u32())
    return line


def open_segment(sealed: bytes, frames: list, length: int) -> Segment:
    """The segment of `length` bytes with these frames, from header, seal and trailer. Compares every byte."""
    header = read_header(sealed)
    trailer = Fields(sealed[-TRAILER_BYTES:], "trailer")
    seal_length, checksum = trailer.u32(), trailer.bytes(4)
    trailer.expect(b"HSSEGEND", "it does not end with HSSEGEND")
    trailer.must(DIGEST_BYTES <= seal_length <= SEAL_LIMIT, "the seal's length is impossible")
    fields = Fields(sealed, "seal")
    fields.must(header.length + seal_length + TRAILER_BYTES == len(sealed), "header, seal and trailer do not add up")
    seal = sealed[header.length : -TRAILER_BYTES]
    fields.must(crc32c(seal) == checksum, "its CRC32C is not that of its bytes")
    body, digest = seal[:-DIGEST_BYTES], seal[-DIGEST_BYTES:]
    found = blake3(sealed[: header.length] + body).digest()
    fields.must(found == digest, "its digest is not that of header and seal")
    facts = read_seal_body(body)
    fields.must(header.has_sightings == facts.has_sightings, "header and seal disagree about sightings")
    fields.must(len(frames) == len(facts.frames), "there is another number of frames")
    fields.must(len(sealed) + sum(map(len, frames)) == length, "the parts do not add up to the segment")
    gap_ends_here = header.gap is None or header.gap.before == facts.first
    fields.must(gap_ends_here, "its gap does not end at its first entry")
    for ordinal, (line, stored) in enumerate(zip(facts.frames, frames)):
        check_frame(ordinal, line, stored)
    return Segment(header, facts, digest, frames)


def check_frame(ordinal: int, line: FrameLine, stored: bytes) -> int:
    """Compares a frame's stored bytes with its line; gives its codec."""
    fields = Fields(stored, f"frame {ordinal}")
    fields.expect(b"HSFR", "it does not begin with HSFR")
    found_ordinal, codec = fields.u32(), fields.u8()
    fields.must(codec in CODECS, "its codec is unknown")
    fields.expect(bytes(3), "reserved bytes are not zero")
    payload, raw, entries = fields.u32(), fields.u32(), fields.u32()
    first, last, checksum = fields.optime(), fields.optime(), fields.bytes(4)
    fields.must(len(stored) == FRAME_HEADER_BYTES + payload == line.stored, "its length is not as declared")
    found = crc32c(stored[:56], stored[FRAME_HEADER_BYTES:])
    fields.must(found == checksum, "its CRC32C is not that of its bytes")
    fields.must(blake3(stored).digest() == line.digest, "its digest is not that of its line")
    as_sealed = (found_ordinal, raw, entries, first, last) == (ordinal, line.raw, line.entries, line.first, line.last)
    fields.must(as_sealed, "its header contradicts its line")
    return codec


def entries_of_frame(ordinal: int, line: FrameLine, stored: bytes) -> Iterator[bytes]:
    """The entries' bytes, after comparing the frame with its line, and each entry's place with its neighbours'."""
    codec = check_frame(ordinal, line, stored)
    fields = Fields(stored, f"frame {ordinal}")
    raw = expand(codec, stored[FRAME_HEADER_BYTES:], line.raw, fields)
    count, last = 0, None
    for entry in split_entries(raw, fields):
        optime = optime_of(entry, fields)
        in_order = optime == line.first if last is None else last.precedes(optime)
        fields.must(in_order, f"entry {optime} is not in order")
        count, last = count + 1, optime
        yield entry
    fields.must((count, last) == (line.entries, line.last), "it does not hold the entries it declares")


def expand(codec: int, payload: bytes, length: int, fields: Fields) -> bytes:
    """Exactly `length` bytes."""
    try:
        if codec == CODEC_LZ4:
            payload = lz4.block.decompress(payload, uncompressed_size=length)
        elif codec == CODEC_ZSTD:
            declared = zstandard.frame_content_size(payload)
            fields.must(declared in (-1, length), "it expands into another length")
            payload = zstandard.ZstdDecompressor().decompress(payload, max_output_size=length)
    except (lz4.block.LZ4BlockError, zstandard.ZstdError, ValueError) as error:
        raise Damaged(f"{fields.where}: it does not expand: {error}") from None
    fields.must(len(payload) == length, "it expands into another length")
    return payload


def split_entries(raw: bytes, fields: Fields) -> Iterator[bytes]:
    at = 0
    while at < len(raw):
        length = int.from_bytes(raw[at : at + 4], "little")
        whole = 5 <= length <= min(ENTRY_LIMIT, len(raw) - at) and raw[at + length - 1] == 0
        fields.must(whole, "its payload is not a run of BSON documents")
        yield raw[at : at + length]
        at += length


def optime_of(entry: bytes, fields: Fields) -> OpTime:
    try:
        document = RawBSONDocument(entry, LENIENT)
        ts, term = document["ts"], document.get("t")
        # An entry without a usable term counts as one of term -1.
        return OpTime((ts.time << 32) | ts.inc, term if isinstance(term, int) else -1)
    except Exception as error:  # whatever a decoder makes of bytes that are no entry
        raise Damaged(f"{fields.where}: an entry is none: {error}") from None


def crc32c(*parts: bytes) -> bytes:
    """As it is stored."""
    checksum = 0
    for part in parts:
        checksum = google_crc32c.extend(checksum, part)
    return checksum.to_bytes(4, "little")
