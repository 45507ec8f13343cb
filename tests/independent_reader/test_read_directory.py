"""The reader of directories, on files made for the tests."""

import struct
import tempfile
import unittest
from pathlib import Path

from read_directory import read
from segment_format import Damaged, Newer
from written_topic import SET_ID, SET_NAME, Sealed, Writer, crc, optime


def whole(segment: Sealed) -> bytes:
    return segment.header + b"".join(segment.frames) + segment.seal


def pack(segments: list, version: int = 1) -> bytes:
    data, lines = b"", b""
    for segment in segments:
        line = struct.pack("<QQQ", segment.sequence, len(data), segment.length()) + segment.digest
        lines += line + crc(line)
        data += whole(segment)
    footer = struct.pack("<QQIHH", len(data), segments[0].sequence, len(segments), version, 0)
    return data + lines + footer + crc(footer) + b"HSPACKED"


def beginning(before: Sealed) -> bytes:
    name = SET_NAME.encode()
    data = b"HSBEGINS" + struct.pack("<HH", 1, 92 + len(name)) + SET_ID + struct.pack("<Q", before.sequence + 1)
    data += before.digest + struct.pack("<Q", 1) + optime(before.last) + name
    return data + crc(data)


class Directory(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.path = Path(temporary.name)
        writer = Writer()
        self.segments = [writer.segment() for _ in range(6)]

    def single(self, *sequences: int) -> None:
        for sequence in sequences:
            (self.path / f"{sequence:012}-1_1-1_2.seg").write_bytes(whole(self.segments[sequence - 1]))

    def packed(self, first: int, last: int) -> Path:
        path = self.path / f"{first:012}-{last:012}-1_1-1_2.pack"
        path.write_bytes(pack(self.segments[first - 1 : last]))
        return path

    def sound(self, **expected) -> None:
        summary = read(self.path)
        self.assertEqual(summary["digest"], self.segments[-1].digest.hex())
        self.assertEqual({name: summary[name] for name in expected}, expected)

    def broken(self, what: str) -> None:
        with self.assertRaisesRegex(Damaged, what):
            read(self.path)

    def test_segments_are_read_alone_and_from_packs(self):
        self.single(*range(1, 7))
        self.sound(segments=6, entries=72, packs=0, files=6)
        self.packed(1, 3)
        self.sound(segments=6, entries=72, packs=1, files=4, repeated=3)
        for sequence in (1, 2, 3):
            (self.path / f"{sequence:012}-1_1-1_2.seg").unlink()
        self.sound(segments=6, entries=72, packs=1, files=4, repeated=0)
        self.packed(1, 5)
        self.sound(segments=6, packs=1, files=2, repeated=3)

    def test_a_log_may_begin_inside_a_pack(self):
        self.packed(1, 4)
        self.single(5, 6)
        for begins in (2, 4):
            (self.path / "BEGINNING").write_bytes(beginning(self.segments[begins - 2]))
            self.sound(begins=begins, segments=7 - begins, packs=1)
        (self.path / "BEGINNING").write_bytes(beginning(self.segments[4]))
        self.sound(begins=6, segments=1, packs=0)
        (self.path / "BEGINNING").write_bytes(beginning(self.segments[0]._replace(digest=bytes(32))))
        self.broken("is not what BEGINNING says")

    def test_missing_and_overlapping_files_are_told(self):
        self.packed(1, 3)
        self.single(5, 6)
        self.broken("segment 4 is missing")
        self.packed(3, 4)
        self.broken("a second time")

    def test_every_flipped_byte_of_a_pack_is_damage(self):
        path = self.packed(1, 3)
        self.single(4, 5, 6)
        good = path.read_bytes()
        for at in range(0, len(good), 7):
            path.write_bytes(good[:at] + bytes([good[at] ^ 4]) + good[at + 1 :])
            self.broken(path.name)
        for at in range(len(good) - 216, len(good)):
            path.write_bytes(good[:at] + bytes([good[at] ^ 4]) + good[at + 1 :])
            self.broken(path.name)
        for length in (0, 35, len(good) - 1):
            path.write_bytes(good[:length])
            self.broken(path.name)

    def test_a_newer_pack_is_told_from_damage(self):
        self.packed(1, 6).write_bytes(pack(self.segments, version=2))
        with self.assertRaises(Newer):
            read(self.path)

    def test_another_pack_under_the_name_is_told(self):
        self.packed(1, 3).write_bytes(pack(self.segments[1:4]))
        self.single(4, 5, 6)
        self.broken("other segments than its name says")


if __name__ == "__main__":
    unittest.main()
