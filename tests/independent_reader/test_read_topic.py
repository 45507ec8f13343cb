"""The reader's decisions, on records in memory. test_real_servers.py has those on servers."""

import io
import struct
import unittest
from itertools import product

from blake3 import blake3

import written_topic
from read_topic import Reading, entries_in, first_difference, outside_gaps
from segment_format import CODEC_NONE, CODEC_ZSTD, CODECS, DIGEST_BYTES, TRAILER_BYTES
from segment_format import Damaged, FrameLine, Newer, entries_of_frame, open_segment, read_header
from topic_rules import IGNORED, Log
from written_topic import Topic, Writer, crc, entry, headers, lay_out, seal_with_trailer

# With a key filter of two words.
FRAME_LINE_BYTES = 3 * 4 + 2 * 16 + 32 + 1 + 4 + 2 * 8
A, B, C = "00000000000000aa", "00000000000000bb", "00000000000000cc"


def read(topic: Topic) -> tuple:
    """The summary, and the entries."""
    out, reading = io.BytesIO(), Reading(Log())
    reading.drain(iter(topic.records), out)
    out.seek(0)
    return reading.summary(), list(entries_in(out))


def opened(segment) -> list:
    return list(open_segment(segment.header + segment.seal, segment.frames, segment.length()).entries())


class Case(unittest.TestCase):
    def ignored(self, summary: dict, **expected) -> None:
        self.assertEqual(summary["ignored"], {**dict.fromkeys(IGNORED, 0), **expected})

    def sound(self, summary: dict, segments: int) -> None:
        self.assertIsNone(summary["damage"])
        self.assertEqual(summary["segments"], segments)

    def broken(self, summary: dict, segments: int, what: str) -> None:
        self.assertIsNotNone(summary["damage"], "nothing was noticed")
        self.assertIn(what, summary["damage"]["what"])
        self.assertEqual(summary["segments"], segments)


class Format(Case):
    def test_entries_come_back_byte_for_byte_whatever_the_codec(self):
        for codec in CODECS:
            writer = Writer(codec)
            tables = [writer.next_entries(50), writer.next_entries(1)]
            segment = writer.segment(*tables)
            self.assertEqual(segment.frames[0][8], codec, "it shrank, so it is stored compressed")
            self.assertEqual(opened(segment), tables[0] + tables[1])

    def test_a_payload_that_does_not_shrink(self):
        noise = entry(1, o={"_id": blake3(b"noise").digest(length=200)})
        segment = Writer(CODEC_ZSTD).segment([noise])
        self.assertEqual(segment.frames[0][8], CODEC_NONE)
        self.assertEqual(opened(segment), [noise])

    def test_unusual_entries_are_kept_as_they_are(self):
        odd = bytearray(entry(7, ns="shop.x"))
        at = odd.index(b"shop.x")
        odd[at] = 0xFF  # not UTF-8
        unknown = entry(8, op="?", o={"$strange": [None, 1.5]}, extra={"a": b"\0"})
        writer = Writer()
        self.assertEqual(opened(writer.segment([bytes(odd), unknown])), [bytes(odd), unknown])

    def test_every_flipped_bit_is_found(self):
        for codec in CODECS:
            segment = Writer(codec).segment()
            whole = [*segment.frames, segment.header + segment.seal]
            for index, value in enumerate(whole):
                for bit in range(8 * len(value)):
                    altered = bytearray(value)
                    altered[bit // 8] ^= 1 << bit % 8
                    pieces = [*whole[:index], bytes(altered), *whole[index + 1 :]]
                    with self.assertRaises(Damaged, msg=f"codec {codec}, piece {index}, bit {bit}"):
                        open_segment(pieces[-1], pieces[:-1], segment.length())

    def test_every_truncation_is_found(self):
        segment = Writer().segment()
        whole = [*segment.frames, segment.header + segment.seal]
        for index, value in enumerate(whole):
            for length in range(len(value)):
                pieces = [*whole[:index], value[:length], *whole[index + 1 :]]
                with self.assertRaises(Damaged, msg=f"piece {index}, {length} bytes"):
                    open_segment(pieces[-1], pieces[:-1], segment.length())

    def test_frames_that_are_not_the_sealed_ones(self):
        writer = Writer()
        segment, other = writer.segment(), writer.segment()
        sealed, (one, two, three) = segment.header + segment.seal, segment.frames
        for frames in ([one, three, two], [one, two], [one, two, three, three], [one, two, other.frames[2]]):
            with self.assertRaises(Damaged):
                open_segment(sealed, frames, len(sealed) + sum(map(len, frames)))
        with self.assertRaises(Damaged):
            open_segment(sealed, segment.frames, segment.length() + 1)

    def test_entries_out_of_order_under_right_digests(self):
        writer = Writer()
        one, two, three, four = writer.next_entries(4)
        for entries in ([one, three, two, four], [one, two, two, four]):
            with self.assertRaisesRegex(Damaged, "not in order"):
                opened(Writer().segment(entries))

    def reopened(self, segment, body: bytes, frames: list | None = None) -> None:
        """Opens what was sealed with that body, all checksums right."""
        seal, _ = seal_with_trailer(segment.header, body)
        frames = frames or segment.frames
        length = len(segment.header) + len(seal) + sum(map(len, frames))
        open_segment(segment.header + seal, frames, length)

    def test_a_seal_that_contradicts_itself(self):
        segment = Writer().segment()
        body = segment.seal[: -TRAILER_BYTES - DIGEST_BYTES]
        self.reopened(segment, body)
        second, other = struct.pack("<I", 1_700_000_012), struct.pack("<I", 77)
        lines = len(body) - 3 * FRAME_LINE_BYTES
        swapped = body[lines + FRAME_LINE_BYTES :] + body[lines:][:FRAME_LINE_BYTES]
        names = body.index(b"\x0e\0\0\0shop.customers"), body.index(b"\x0b\0\0\0shop.orders")
        command = body.index(b"\6create") - 16
        for what, altered in {
            "begin and end": body[:12] + other + body[16:],
            "majority": body[:44] + other + body[48:],
            "flags": body[:56] + b"\x20" + body[57:],
            "cut short": body[:56] + b"\x10" + body[57:],
            "cut reason": body[:57] + b"\6" + body[58:],
            "reserved": body[:58] + b"\1" + body[59:],
            "absent field": body[:64] + b"\1" + body[65:],
            "unresolved": body[:56] + b"\4" + body[57:84] + second + body[88:],
            "prepared": body[:56] + b"\x08" + body[57:100] + second + body[104:],
            "totals": body[:104] + other + body[108:],
            "totals ": body[:112] + other + body[116:],
            "totals  ": body[:120] + other + body[124:],
            "namespaces": body[: names[0]] + body[names[1] : command] + body[names[0] : names[1]] + body[command:],
            "commands": body[: command + 4] + other + body[command + 8 :],
            "frames are not in order": body[:lines] + body[lines : lines + 12 + 20] + second + body[lines + 12 + 24 :],
            "begin and end ": body[:lines] + swapped,
            "left over": body + b"\0",
            "cut short": body[:-1],
            "no frames": body[:60] + bytes(4) + body[64:104] + bytes(24) + body[128:lines],
        }.items():
            with self.subTest(what), self.assertRaisesRegex(Damaged, what.strip()):
                self.reopened(segment, altered)

    def test_only_the_digests_tell_what_checksums_do_not(self):
        writer = Writer(CODEC_NONE)
        segment = writer.segment()
        sealed = segment.header + segment.seal
        first = bytearray(segment.frames[0])
        first[-6] ^= 1
        first[56:60] = crc(first[:56], first[60:])
        with self.assertRaisesRegex(Damaged, "frame 0: its digest"):
            open_segment(sealed, [bytes(first), *segment.frames[1:]], segment.length())
        seal = bytearray(segment.seal)
        seal[57] = 3
        seal[-12:-8] = crc(seal[:-16])
        with self.assertRaisesRegex(Damaged, "seal: its digest"):
            open_segment(segment.header + seal, segment.frames, segment.length())

    def test_a_frame_that_contradicts_its_line(self):
        segment = Writer().segment()
        body = segment.seal[: -TRAILER_BYTES - DIGEST_BYTES]
        first = bytearray(segment.frames[0])
        first[4] = 9  # its ordinal
        first[56:60] = crc(first[:56], first[60:])
        altered = body.replace(blake3(segment.frames[0]).digest(), blake3(first).digest())
        with self.assertRaisesRegex(Damaged, "contradicts"):
            self.reopened(segment, altered, [bytes(first), *segment.frames[1:]])

    def test_a_payload_that_is_not_what_it_declares(self):
        one, two, three = Writer().next_entries(3)
        line = FrameLine(0, len(one + two), 2, written_topic.place(one), written_topic.place(two), b"")
        for codec in CODECS:
            for raw in (one, one + two + three, one + two + b"\0"):
                used, payload = written_topic.compress(codec, raw)
                stored = b"HSFR" + struct.pack("<IB3xIII", 0, used, len(payload), line.raw, line.entries)
                stored += written_topic.optime(line.first) + written_topic.optime(line.last)
                stored += crc(stored, payload) + payload
                seen = line._replace(stored=len(stored), digest=blake3(stored).digest())
                with self.subTest(codec=codec, length=len(raw)), self.assertRaisesRegex(Damaged, "length|expand"):
                    list(entries_of_frame(0, seen, stored))

    def test_fewer_entries_than_declared(self):
        one, two, three = Writer().next_entries(3)
        stored = bytearray(written_topic.frame(0, CODEC_NONE, [one, two, three]))
        stored[20] = 4
        stored[56:60] = crc(stored[:56], stored[60:])
        places = written_topic.place(one), written_topic.place(three)
        line = FrameLine(len(stored), len(one + two + three), 4, *places, blake3(stored).digest())
        with self.assertRaisesRegex(Damaged, "entries it declares"):
            list(entries_of_frame(0, line, bytes(stored)))

    def test_a_newer_version_is_told_from_damage(self):
        header = Writer().segment().header
        newer = header[:8] + b"\3\0" + header[10:-4]
        with self.assertRaises(Newer):
            read_header(newer + crc(newer))
        with self.assertRaises(Damaged):
            read_header(newer + header[-4:])


class Rules(Case):
    def setUp(self):
        self.topic, self.writer = Topic(), Writer()

    def append(self, segment, writer=A, epoch=1, attempt=None) -> None:
        self.topic.send(lay_out(segment, writer, epoch, attempt or segment.sequence))

    def test_a_log(self):
        self.topic.claim(A, 1, 0)
        tables = [self.writer.next_entries(n) for n in (3, 1, 20)]
        for table in tables:
            self.append(self.writer.segment(table))
        summary, entries = read(self.topic)
        self.sound(summary, 3)
        self.assertEqual(entries, sum(tables, []))
        self.ignored(summary)
        self.assertEqual((summary["entries"], summary["records"]), (24, 7))
        self.assertEqual(summary["first"], {"t": 1_700_000_000, "i": 1})
        self.assertEqual(summary["last"], {"t": 1_700_000_023, "i": 1})
        self.assertEqual((summary["epoch"], summary["set"]), (1, "rs0"))

    def test_sightings_of_the_catalog_are_passed_over(self):
        self.topic.claim(A, 1, 0)
        seen = {"uuid": bytes(16), "ns": "shop.orders", "options": {}, "indexes": [{"v": 2, "key": {"x": 1}, "name": "x_1"}]}
        table = self.writer.next_entries(3)
        self.append(self.writer.segment(table, sightings=[seen] * 40))
        self.append(self.writer.segment())
        summary, entries = read(self.topic)
        self.sound(summary, 2)
        self.assertEqual(entries[:3], table)

    def test_header_and_seal_agree_about_sightings(self):
        for sightings, version in ([{"a": 1}], 1), (None, 2):
            writer = Writer()
            writer.header = lambda first, gap, _: Writer.header(writer, first, gap, version)
            with self.assertRaisesRegex(Damaged, "disagree about sightings"):
                opened(writer.segment(sightings=sightings))

    def test_an_empty_topic(self):
        summary, entries = read(self.topic)
        self.sound(summary, 0)
        self.assertEqual((entries, summary["first"]), ([], None))

    def test_parts_of_any_length_are_joined(self):
        self.topic.claim(A, 1, 0)
        segment = self.writer.segment()
        for attempt, limit in enumerate((1, 7, 100, 4096), 1):
            self.topic.send(lay_out(segment, A, 1, attempt, limit))
        summary, _ = read(self.topic)
        self.sound(summary, 1)
        self.ignored(summary, repeated=3)

    def test_of_claims_on_one_epoch_the_first_holds(self):
        self.topic.claim(A, 4, 0)
        for writer, epoch, supersedes in ((B, 5, 0), (B, 4, 4), (B, 3, 4), (C, 9, 5)):
            self.topic.claim(writer, epoch, supersedes)
        self.append(self.writer.segment(), A, 4)
        self.topic.claim(B, 9, 4)
        self.topic.claim(C, 9, 4)
        self.append(self.writer.segment(), B, 9)
        self.append(self.writer.copy().segment(), C, 9)
        summary, _ = read(self.topic)
        self.sound(summary, 2)
        self.ignored(summary, late_claims=5, fenced=4)

    def test_nothing_counts_before_a_claim_or_after_a_newer_one(self):
        one = self.writer.segment()
        self.append(one)
        self.topic.claim(A, 1, 0)
        self.append(one)
        zombie = lay_out(self.writer.copy().segment(), A, 1, 2)
        self.topic.send(zombie[:3])
        self.topic.claim(B, 2, 1)
        self.topic.send(zombie[3:])
        two = self.writer.segment(self.writer.next_entries(2))
        self.append(two, B, 2)
        self.topic.send(zombie)
        summary, _ = read(self.topic)
        self.sound(summary, 2)
        self.assertEqual(summary["digest"], two.digest.hex())
        self.ignored(summary, fenced=4 + 1 + 4, unsealed=1)

    def test_a_zombie_between_the_records_of_the_new_writer(self):
        self.topic.claim(A, 1, 0)
        late = lay_out(self.writer.copy().segment(), A, 1, 1)
        self.topic.claim(B, 2, 1)
        for (mine, other) in zip(lay_out(self.writer.segment(), B, 2, 1), late):
            self.topic.send([other, mine])
        summary, _ = read(self.topic)
        self.sound(summary, 1)
        self.ignored(summary, fenced=4)

    def test_the_same_epoch_of_another_writer_is_fenced(self):
        self.topic.claim(A, 1, 0)
        self.append(self.writer.segment(), B, 1)
        summary, _ = read(self.topic)
        self.sound(summary, 0)
        self.ignored(summary, fenced=4)

    def test_an_attempt_without_a_seal_is_no_segment(self):
        self.topic.claim(A, 1, 0)
        segment = self.writer.segment()
        self.topic.send(lay_out(segment, A, 1, 1)[:-1])
        summary, entries = read(self.topic)
        self.sound(summary, 0)
        self.assertEqual((entries, summary["unfinished"]), ([], True))
        self.append(segment, attempt=2)
        summary, _ = read(self.topic)
        self.sound(summary, 1)
        self.ignored(summary, unsealed=1)
        self.assertFalse(summary["unfinished"])

    def test_attempts_are_never_put_together(self):
        self.topic.claim(A, 1, 0)
        segment = self.writer.segment()
        first, second = lay_out(segment, A, 1, 1), lay_out(segment, A, 1, 2)
        self.topic.send(first[:2] + second[:2] + first[2:] + second[2:])
        summary, _ = read(self.topic)
        self.sound(summary, 1)
        self.ignored(summary, unsealed=1, stale=2)

    def test_an_older_attempt_within_a_newer_one(self):
        self.topic.claim(A, 1, 0)
        segment = self.writer.segment()
        old, new = lay_out(segment, A, 1, 1), lay_out(segment, A, 1, 2)
        for older, newer in zip(old[1:], new[:-1]):
            self.topic.send([newer, older])
        self.topic.send(new[-1:])
        summary, _ = read(self.topic)
        self.sound(summary, 1)
        self.ignored(summary, stale=3)

    def test_a_claim_ends_the_attempt(self):
        self.topic.claim(A, 1, 0)
        pieces = lay_out(self.writer.segment(), A, 1, 5)
        self.topic.send(pieces[:2])
        self.topic.claim(A, 2, 1)
        summary, _ = read(self.topic)
        self.ignored(summary, unsealed=1)
        self.assertFalse(summary["unfinished"])
        self.topic.send(pieces[2:])
        summary, _ = read(self.topic)
        self.sound(summary, 0)
        self.ignored(summary, unsealed=1, fenced=2)

    def test_a_new_epoch_of_the_same_writer_counts_its_attempts_anew(self):
        self.topic.claim(A, 1, 0)
        self.append(self.writer.segment(), attempt=7)
        self.topic.claim(A, 2, 1)
        self.append(self.writer.segment(), epoch=2, attempt=1)
        summary, _ = read(self.topic)
        self.sound(summary, 2)
        self.ignored(summary)

    def test_headers_that_place_a_record_wrongly_tear_the_attempt(self):
        segment = self.writer.segment()
        whole = lay_out(segment, A, 1, 1, 70)
        index = next(i for i, (fields, _) in enumerate(whole) if ("hs-part", b"2/3") in fields)
        for old, new in (
            (b"2/3", b"3/3"),
            (b"2/3", b"1/3"),
            (f"{index + 1}/{len(whole)}".encode(), f"{index + 1}/{len(whole) + 1}".encode()),
        ):
            fields, value = whole[index]
            fields = [(name, new if found == old else found) for name, found in fields]
            self.topic = Topic()
            self.topic.claim(A, 1, 0)
            self.topic.send(whole[:index] + [(fields, value)] + whole[index + 1 :])
            with self.subTest(new=new):
                self.broken(read(self.topic)[0], 0, "other records are missing")

    def test_frames_in_another_order_and_what_stands_behind_a_seal(self):
        segment = self.writer.segment()
        one, two, three, seal = lay_out(segment, A, 1, 1)
        swapped = self.renumbered([two, one, three, seal])
        twice = self.renumbered([one, two, seal, seal])
        no_seal = self.renumbered([one, two, three])
        for pieces in (swapped, twice, no_seal):
            self.topic = Topic()
            self.topic.claim(A, 1, 0)
            self.topic.send(pieces)
            self.broken(read(self.topic)[0], 0, "other records are missing")

    @staticmethod
    def renumbered(pieces: list) -> list:
        return [
            ([(k, f"{i}/{len(pieces)}".encode() if k == "hs-record" else v) for k, v in fields], value)
            for i, (fields, value) in enumerate(pieces, 1)
        ]

    def test_late_records_after_a_whole_attempt(self):
        self.topic.claim(A, 1, 0)
        one = self.writer.segment()
        self.append(one, attempt=1)
        self.topic.send(lay_out(one, A, 1, 1)[1:])
        self.append(self.writer.segment(), attempt=2)
        summary, _ = read(self.topic)
        self.sound(summary, 2)
        self.ignored(summary, stale=3)

    def test_a_repeated_segment_is_taken_once(self):
        self.topic.claim(A, 1, 0)
        other = self.writer.copy()
        one = self.writer.segment()
        self.append(one, attempt=1)
        self.append(one, attempt=2)
        self.append(other.segment(other.next_entries(2)), attempt=3)
        summary, _ = read(self.topic)
        self.sound(summary, 1)
        self.assertEqual(summary["digest"], one.digest.hex())
        self.ignored(summary, repeated=2)

    def test_what_is_not_ours_or_not_known_is_counted_and_no_more(self):
        self.topic.claim(A, 1, 0)
        for record in lay_out(self.writer.segment(), A, 1, 1):
            self.topic.put([("trace", b"\xff"), ("empty", None)], b"hello")
            self.topic.put([])
            self.topic.put(headers(kind="beat", version=1, writer=A, epoch=1))
            self.topic.put(headers(kind="base", version=1))
            self.topic.put(headers(kind="frame", version=1, writer=A, epoch=1))
            self.topic.put(headers(kind="claim", version=1, writer=B, epoch="two", supersedes=1))
            self.topic.put(headers(kind="claim", version=0, writer=B, epoch=2, supersedes=1))
            self.topic.put(headers(kind="claim", version=1, writer="someone", epoch=2, supersedes=1))
            self.topic.send([record])
        summary, _ = read(self.topic)
        self.sound(summary, 1)
        self.ignored(summary, foreign=8, unknown_kind=8, malformed=16)
        self.assertEqual(summary["unknown_kinds"], {"beat": 4, "base": 4})

    def test_each_header_is_needed_and_others_do_not_matter(self):
        pieces = lay_out(self.writer.segment(), A, 1, 1)
        for index, (fields, _) in enumerate(pieces):
            for dropped in range(1, len(fields)):
                self.topic = Topic()
                self.topic.claim(A, 1, 0)
                self.topic.send(pieces[:index])
                self.topic.put(fields[:dropped] + fields[dropped + 1 :], pieces[index][1])
                self.ignored(read(self.topic)[0], malformed=1)
        self.topic = Topic()
        self.topic.claim(A, 1, 0)
        self.topic.send([([("trace", b"1"), *fields, ("hs-by", b"me")], value) for fields, value in pieces])
        self.sound(read(self.topic)[0], 1)

    def test_a_newer_layout_is_not_read_over(self):
        self.topic.claim(A, 1, 0)
        self.append(self.writer.segment())
        self.topic.put(headers(kind="anything", version=2))
        self.append(self.writer.segment())
        self.topic.claim(B, 2, 1)
        summary, _ = read(self.topic)
        self.broken(summary, 1, "layout version 2")
        self.assertEqual(summary["records"], 6)

    def test_a_lost_or_altered_record_ends_the_log_until_the_next_claim(self):
        segments = [self.writer.segment() for _ in range(3)]
        second = lay_out(segments[1], A, 1, 2)
        last = len(second) - 1
        for index, (_, value) in enumerate(second):
            altered = bytearray(value)
            altered[len(value) // 2] ^= 4
            for replaced in ([], [(second[index][0], bytes(altered))]):
                with self.subTest(record=index, altered=bool(replaced)):
                    self.topic = Topic()
                    self.topic.claim(A, 1, 0)
                    self.append(segments[0])
                    self.topic.send(second[:index] + replaced + second[index + 1 :])
                    self.append(segments[2])
                    summary, _ = read(self.topic)
                    lost = "segment 2 is missing" if index == last else "other records are missing"
                    what = "CRC32C" if replaced else lost
                    self.broken(summary, 1, what)
                    # A lost seal is no damage yet; the segment after it is.
                    torn, later = 0 if replaced else 1, 0 if what.startswith("segment") else 1
                    self.ignored(summary, unsealed=torn, after_damage=later)
                    self.topic.claim(B, 2, 1)
                    self.topic.send(lay_out(segments[1], B, 2, 1))
                    summary, _ = read(self.topic)
                    self.sound(summary, 2)
                    self.assertEqual(len(summary["mended"]), 1)

    def test_a_repeated_record_tears_the_attempt(self):
        self.topic.claim(A, 1, 0)
        one, two, three, seal = lay_out(self.writer.segment(), A, 1, 1)
        self.topic.send([one, two, two, three, seal])
        self.broken(read(self.topic)[0], 0, "other records are missing")

    def test_a_topic_whose_beginning_is_gone_is_no_log(self):
        self.writer.segment()
        self.topic.claim(A, 1, 0)
        self.append(self.writer.segment())
        self.broken(read(self.topic)[0], 0, "segment 1 is missing")

    def test_the_first_segment_follows_nothing(self):
        for alter, what in (
            (lambda it: it._replace(sequence=0, digest=b"\1" * 32), "predecessor"),
            (lambda it: it._replace(sequence=0, digest=bytes(32)), "gap"),
        ):
            self.writer.segment()
            self.writer.end = alter(self.writer.end)
            self.topic = Topic()
            self.topic.claim(A, 1, 0)
            self.append(self.writer.segment(gap=what == "gap"))
            self.broken(read(self.topic)[0], 0, what)

    def test_a_gap_ends_at_the_first_entry(self):
        writer = Writer()
        writer.segment()
        first = writer.second + 1
        earlier = written_topic.place(entry(first - 1))
        writer.header = lambda _, gap, version: Writer.header(writer, earlier, gap, version)
        with self.assertRaisesRegex(Damaged, "gap does not end"):
            opened(writer.segment([entry(first)], gap=True))

    def test_a_gap_is_told_and_must_begin_at_the_end(self):
        self.topic.claim(A, 1, 0)
        self.append(self.writer.segment())
        forked = self.writer.copy()
        self.writer.second += 100
        self.append(self.writer.segment(gap=True))
        summary, _ = read(self.topic)
        self.sound(summary, 2)
        self.assertEqual(summary["gaps"], [{"after": {"t": 1_700_000_011, "i": 1}, "before": {"t": 1_700_000_112, "i": 1}}])
        forked.end = forked.end._replace(sequence=2, digest=self.writer.end.digest)
        forked.second += 1000
        self.append(forked.segment(gap=True))
        self.broken(read(self.topic)[0], 2, "gap")

    def test_the_chain(self):
        def other_set(writer: Writer) -> None:
            self.addCleanup(setattr, written_topic, "SET_NAME", "rs0")
            written_topic.SET_NAME = "rs1"

        cases = [
            (other_set, "another replica set"),
            (lambda it: setattr(it, "epoch", 0), "epoch"),
            (lambda it: setattr(it, "end", it.end._replace(digest=bytes(32))), "another predecessor"),
            (lambda it: setattr(it, "end", it.end._replace(sequence=2)), "segment 2 is missing"),
            (lambda it: setattr(it, "second", it.second - 1), "first entry"),
        ]
        for alter, what in cases:
            with self.subTest(what):
                self.topic, writer = Topic(), Writer()
                self.topic.claim(A, 1, 0)
                self.append(writer.segment())
                alter(writer)
                self.append(writer.segment())
                self.broken(read(self.topic)[0], 1, what)
                written_topic.SET_NAME = "rs0"

    def test_writers_in_every_interleaving_agree_on_one_chain(self):
        """Two writers that each hold the log for a while; whatever mix arrives, the log is whole and in order."""
        one = self.writer.segment(self.writer.next_entries(1))
        fork = self.writer.copy()
        mine = lay_out(self.writer.segment(self.writer.next_entries(2)), A, 1, 2)
        claim = (headers(kind="claim", version=1, writer=B, epoch=2, supersedes=1), b"")
        theirs = [claim, *lay_out(fork.segment(fork.next_entries(3)), B, 2, 1)]
        taken = set()
        for picks in product((0, 1), repeat=len(mine) + len(theirs)):
            if sum(picks) != len(theirs):
                continue
            queues = iter(mine), iter(theirs)
            self.topic = Topic()
            self.topic.claim(A, 1, 0)
            self.append(one)
            self.topic.send([next(queues[pick]) for pick in picks])
            summary, _ = read(self.topic)
            self.assertIsNone(summary["damage"], picks)
            self.assertEqual(summary["segments"], 2)
            taken.add(summary["digest"])
        self.assertEqual(len(taken), 2, "either writer's segment, by the order")


class Comparison(Case):
    def setUp(self):
        self.entries = Writer().next_entries(5)

    def test_equal(self):
        self.assertIsNone(first_difference(iter(self.entries), iter(self.entries)))

    def test_the_first_difference_is_named(self):
        changed = entry(1_700_000_002, op="u")
        for source, what in (
            (self.entries[:2] + [changed] + self.entries[3:], "entry 2: the log has 1700000002,1 op i"),
            (self.entries[1:], "entry 0:"),
            (self.entries[:4], "the source no more"),
            (self.entries + [entry(1_800_000_000)], "the log has no more"),
        ):
            self.assertIn(what, first_difference(iter(self.entries), iter(source)))

    def test_the_source_may_hold_what_lies_in_a_gap(self):
        topic, writer = Topic(), Writer()
        topic.claim(A, 1, 0)
        topic.send(lay_out(writer.segment(), A, 1, 1))
        lost = writer.next_entries(3)
        topic.send(lay_out(writer.segment(gap=True), A, 1, 2))
        reading, out = Reading(Log()), io.BytesIO()
        reading.drain(iter(topic.records), out)
        out.seek(0)
        held = list(entries_in(out))
        source = sorted(held + lost, key=written_topic.place)
        self.assertIn("entry 12", first_difference(iter(held), iter(source)))
        self.assertIsNone(first_difference(iter(held), outside_gaps(source, reading.gaps)))


if __name__ == "__main__":
    unittest.main()
