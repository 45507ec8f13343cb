"""What is the log and what is not: rules 1 to 6 of docs/KAFKA.md. Records in, segments out; nothing is read or sent."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from segment_format import NO_DIGEST, Damaged, Newer, Segment, open_segment

LAYOUT_VERSION = 1
# Frames that did not shrink, their headers, and the longest seal: no segment has more.
ATTEMPT_LIMIT = (2 * 128 + 512 + 1) << 20
IGNORED = (
    "foreign",  # records that are not ours
    "malformed",  # records that say they are ours, and are not as the page says
    "unknown_kind",  # records of ours of a kind this reader does not know
    "late_claims",  # rule 1
    "fenced",  # records; rule 2
    "stale",  # records of an ended attempt; rule 3
    "unsealed",  # attempts whose seal never came; rule 4
    "repeated",  # segments the log has already; rule 5
    "after_damage",  # segments; rule 6
)


class Record(NamedTuple):
    offset: int
    headers: list  # of name and bytes
    value: bytes


class Claim(NamedTuple):
    writer: str
    epoch: int
    supersedes: int


class Piece(NamedTuple):
    """Of a segment: a frame, or header, seal and trailer; or a part of one."""

    writer: str
    epoch: int
    attempt: int
    record: tuple  # i, n
    part: tuple  # i, n
    frame: int | None  # its ordinal; None is the seal
    length: int  # the segment's, in a seal


class NotOfTheLog(Exception):
    def __init__(self, reason: str):
        self.reason = reason


class UnknownKind(NotOfTheLog):
    def __init__(self, kind: str):
        super().__init__("unknown_kind")
        self.kind = kind


def read_head(headers: list):
    """What a record's headers say it is."""
    texts = {}
    for name, value in headers:
        if name.startswith("hs-") and value is not None:
            texts.setdefault(name, bytes(value))
    if "hs-kind" not in texts:
        raise NotOfTheLog("foreign")
    try:
        version = number(texts["hs-version"])
        if version > LAYOUT_VERSION:
            raise Newer(f"layout version {version}")
        kind = texts["hs-kind"].decode()
        if version != LAYOUT_VERSION:
            raise NotOfTheLog("malformed")
        if kind not in ("claim", "frame", "seal"):
            raise UnknownKind(kind)
        writer, epoch = texts["hs-writer"].decode(), number(texts["hs-epoch"])
        int(writer, 16)
        if kind == "claim":
            return Claim(writer, epoch, number(texts["hs-supersedes"]))
        number(texts["hs-sequence"])
        attempt, record, part = number(texts["hs-attempt"]), count(texts["hs-record"]), count(texts["hs-part"])
        frame = number(texts["hs-frame"]) if kind == "frame" else None
        length = number(texts["hs-bytes"]) if kind == "seal" else 0
        return Piece(writer, epoch, attempt, record, part, frame, length)
    except (KeyError, ValueError):
        raise NotOfTheLog("malformed") from None


def number(text: bytes) -> int:
    if not text.isdigit():
        raise ValueError(text)
    return int(text)


def count(text: bytes) -> tuple:
    """`i/n`, from 1."""
    i, n = map(number, text.split(b"/"))
    if not 1 <= i <= n:
        raise ValueError(text)
    return i, n


class Attempt:
    """The records of one attempt, put together as long as they come in order (rule 4)."""

    def __init__(self, number: int, of: int):
        self.number, self.of = number, of
        self.taken = self.bytes = 0
        self.frames, self.parts = [], []
        self.sealed: bytes | None = None
        self.torn = False

    def take(self, piece: Piece, value: bytes) -> None:
        i, n = piece.record
        part, parts = piece.part
        ends_seal = piece.frame is None and part == parts
        self.bytes += len(value)
        fits = (
            not self.torn
            and (i, n) == (self.taken + 1, self.of)
            and part == len(self.parts) + 1
            and piece.frame in (None, len(self.frames))
            # The seal comes last, and only the seal.
            and (i == n) == ends_seal
            and self.bytes <= ATTEMPT_LIMIT
        )
        if not fits:
            self.torn = True
            self.frames, self.parts = [], []
            return
        self.taken = i
        self.parts.append(value)
        if part < parts:
            return
        joined, self.parts = b"".join(self.parts), []
        if piece.frame is None:
            self.sealed = joined
        else:
            self.frames.append(joined)


class Log:
    """The log after the records taken so far."""

    def __init__(self):
        self.held = (0, "")
        self.newest_attempt = 0
        # None when the newest attempt has ended, or there was none.
        self.attempt: Attempt | None = None
        self.end: Segment | None = None
        # The log ends before this; `(offset, what)`.
        self.damage: tuple | None = None
        # Damage that a later writer went on behind.
        self.mended = []
        # A newer layout was met: nothing after it is read.
        self.newer = False
        self.records = 0
        self.ignored = Counter(dict.fromkeys(IGNORED, 0))
        self.unknown_kinds = Counter()

    def take(self, record: Record) -> Segment | None:
        """Takes the topic's next record; gives the segment it makes the log longer by."""
        self.records += 1
        try:
            head = read_head(record.headers)
        except UnknownKind as unknown:
            self.ignored["unknown_kind"] += 1
            self.unknown_kinds[unknown.kind] += 1
        except NotOfTheLog as other:
            self.ignored[other.reason] += 1
        except Newer as newer:
            self.newer = True
            self.note_damage(record.offset, f"{newer}: a newer reader is needed")
        else:
            if isinstance(head, Claim):
                self.take_claim(head)
            else:
                return self.take_piece(record.offset, head, record.value)
        return None

    def take_claim(self, claim: Claim) -> None:
        if not claim.supersedes == self.held[0] < claim.epoch:
            self.ignored["late_claims"] += 1
            return
        self.end_attempt()
        self.held, self.newest_attempt = (claim.epoch, claim.writer), 0
        if self.damage:
            self.mended.append(self.damage)
            self.damage = None

    def take_piece(self, offset: int, piece: Piece, value: bytes) -> Segment | None:
        if (piece.epoch, piece.writer) != self.held:
            self.ignored["fenced"] += 1
            return None
        if piece.attempt > self.newest_attempt:
            self.end_attempt()
            self.newest_attempt = piece.attempt
            self.attempt = Attempt(piece.attempt, piece.record[1])
        elif piece.attempt < self.newest_attempt or self.attempt is None:
            self.ignored["stale"] += 1
            return None
        self.attempt.take(piece, value)
        if self.attempt.torn:
            if piece.record[0] == piece.record[1]:
                self.note_damage(offset, "a seal whose other records are missing")
            return None
        if self.attempt.sealed is None:
            return None
        whole, self.attempt = self.attempt, None
        return self.judge(offset, piece.length, whole)

    def judge(self, offset: int, length: int, whole: Attempt) -> Segment | None:
        if self.damage:
            self.ignored["after_damage"] += 1
            return None
        try:
            segment = open_segment(whole.sealed, whole.frames, length)
            if self.end and segment.header.sequence <= self.end.header.sequence:
                self.ignored["repeated"] += 1
                return None
            check_follows(self.end, segment)
        except (Damaged, Newer) as damaged:
            self.note_damage(offset, str(damaged))
            return None
        self.end = segment
        return segment

    def end_attempt(self) -> None:
        if self.attempt is not None:
            self.ignored["unsealed"] += 1
            self.attempt = None

    def note_damage(self, offset: int, what: str) -> None:
        self.damage = self.damage or (offset, what)


def check_follows(end: Segment | None, new: Segment) -> None:
    """*The chain* in docs/SEGMENT_FORMAT.md."""

    def must(holds: bool, what: str) -> None:
        if not holds:
            raise Damaged(f"segment {new.header.sequence} does not follow the log: {what}")

    header = new.header
    if end is None:
        must(header.sequence == 1, "segment 1 is missing")
        must(header.predecessor == NO_DIGEST, "it names a predecessor")
        must(header.gap is None, "it begins the log with a gap")
        return
    before = end.header
    must(header.sequence == before.sequence + 1, f"segment {before.sequence + 1} is missing")
    same_source = (header.replica_set_id, header.set_name) == (before.replica_set_id, before.set_name)
    must(same_source, "it is of another replica set")
    must(header.epoch >= before.epoch, "its epoch is older")
    must(header.predecessor == end.digest, "it names another predecessor")
    must(end.seal.last.precedes(new.seal.first), "its first entry does not come after the last one")
    must(header.gap is None or header.gap.after == end.seal.last, "its gap does not begin with the last entry")


def segments_of(log: Log, records: Iterable[Record]) -> Iterator[Segment]:
    for record in records:
        segment = log.take(record)
        if segment is not None:
            yield segment
        if log.newer:
            return
