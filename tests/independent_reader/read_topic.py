#!/usr/bin/env python3
"""Reads a log on Kafka by the two pages that describe it, docs/KAFKA.md and docs/SEGMENT_FORMAT.md, and by nothing else.

It shares no code with hindsight: what both say of a topic is right by the pages. deploy/dev/python prints a Python that
has what it imports.

Prints one line of JSON. Exit codes: 0 all is well, 1 the log is damaged or differs from the source, 2 usage, 3 Kafka or
MongoDB did not answer.
"""

import argparse
import contextlib
import json
import sys
import tempfile
import time
from itertools import zip_longest
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from bson.timestamp import Timestamp
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from pymongo import MongoClient
from pymongo.errors import PyMongoError
from pymongo.uri_parser import parse_uri

from segment_format import LENIENT, Damaged, Fields, OpTime, optime_of
from topic_rules import Log, Record, segments_of

PATIENCE_SECONDS = 60


class Unavailable(Exception):
    """A server did not answer, or cannot be asked this."""


def topic_records(brokers: str, topic: str) -> Iterator[Record]:
    """Every record there is now, from the first one."""
    consumer = Consumer(
        {
            "bootstrap.servers": brokers,
            "group.id": "hindsight",  # nobody joins it
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            # Only the digests decide what is true; a record Kafka itself finds damaged is an error.
            "check.crcs": True,
            "isolation.level": "read_uncommitted",
            # Never go on from elsewhere when records vanish.
            "auto.offset.reset": "error",
        }
    )
    try:
        yield from consume(consumer, topic)
    except KafkaException as error:
        raise Unavailable(f"Kafka at {brokers}: {error}") from None
    finally:
        consumer.close()


def consume(consumer: Consumer, topic: str) -> Iterator[Record]:
    found = consumer.list_topics(topic, timeout=PATIENCE_SECONDS).topics[topic]
    if found.error:
        raise Unavailable(f"topic {topic}: {found.error}")
    if len(found.partitions) != 1:
        raise Unavailable(f"topic {topic} has {len(found.partitions)} partitions: it is no log")
    low, high = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=PATIENCE_SECONDS)
    if low > 0:
        raise Damaged(f"the topic begins at offset {low}: what was before it is gone")
    consumer.assign([TopicPartition(topic, 0, 0)])
    at, deadline = 0, time.monotonic() + PATIENCE_SECONDS
    while at < high:
        message = consumer.poll(1)
        if message is None:
            if time.monotonic() > deadline:
                raise Unavailable(f"the brokers sent nothing for {PATIENCE_SECONDS} s at offset {at} of {high}")
            continue
        if message.error():
            if message.error().code() == KafkaError._PARTITION_EOF:
                return
            raise KafkaException(message.error())
        at, deadline = message.offset() + 1, time.monotonic() + PATIENCE_SECONDS
        yield Record(message.offset(), message.headers() or [], message.value() or b"")


class Reading:
    """What was read, for the summary."""

    def __init__(self, log: Log):
        self.log = log
        self.segments = self.entries = self.bytes = 0
        self.first: OpTime | None = None
        self.last: OpTime | None = None
        self.gaps = []

    def drain(self, records: Iterable[Record], out: BinaryIO | None) -> None:
        """Reads to the end, and every entry; writes the entries one after the other."""
        for segment in segments_of(self.log, records):
            for entry in segment.entries():
                self.entries += 1
                self.bytes += len(entry)
                if out:
                    out.write(entry)
            self.segments += 1
            self.first = self.first or segment.seal.first
            self.last = segment.seal.last
            if segment.header.gap:
                self.gaps.append(segment.header.gap)

    def summary(self) -> dict:
        log, end = self.log, self.log.end
        return {
            "records": log.records,
            "segments": self.segments,
            "entries": self.entries,
            "bytes": self.bytes,
            "first": as_json(self.first),
            "last": as_json(self.last),
            "epoch": log.held[0],
            "set": end.header.set_name if end else None,
            "digest": end.digest.hex() if end else None,
            "gaps": [{"after": as_json(it.after), "before": as_json(it.before)} for it in self.gaps],
            "ignored": dict(log.ignored),
            "unknown_kinds": dict(log.unknown_kinds),
            "unfinished": log.attempt is not None,
            "mended": [{"offset": offset, "what": what} for offset, what in log.mended],
            "damage": log.damage and {"offset": log.damage[0], "what": log.damage[1]},
        }


def as_json(optime: OpTime | None) -> dict | None:
    return optime and {"t": optime.ts >> 32, "i": optime.ts & 0xFFFFFFFF}


def entries_in(file: BinaryIO) -> Iterator[bytes]:
    """What `drain` wrote."""
    while length := file.read(4):
        yield length + file.read(int.from_bytes(length, "little") - 4)


def source_entries(uri: str, first: OpTime, last: OpTime) -> Iterator[bytes]:
    """What the oplog of that mongod holds from `first` to `last`."""
    parsed = parse_uri(uri)
    # One host is the member to compare with, and not a way to find the primary.
    direct = {"directConnection": True} if len(parsed["nodelist"]) == 1 else {}
    client = MongoClient(uri, serverSelectionTimeoutMS=PATIENCE_SECONDS * 1000, **direct)
    span = {"$gte": timestamp(first), "$lte": timestamp(last)}
    raw = CodecOptions(document_class=RawBSONDocument)
    try:
        oplog = client.local.get_collection("oplog.rs", codec_options=raw)
        for document in oplog.find({"ts": span}).sort("$natural", 1):
            yield document.raw
    except PyMongoError as error:
        raise Unavailable(f"MongoDB: {error}") from None
    finally:
        client.close()


def timestamp(optime: OpTime) -> Timestamp:
    return Timestamp(optime.ts >> 32, optime.ts & 0xFFFFFFFF)


def outside_gaps(source: Iterable[bytes], gaps: list) -> Iterator[bytes]:
    """The source may still hold what the log says it does not."""
    for entry in source:
        at = place_of(entry).ts
        if not any(gap.after.ts < at < gap.before.ts for gap in gaps):
            yield entry


def place_of(entry: bytes) -> OpTime:
    return optime_of(entry, Fields(entry, "source"))


def first_difference(log: Iterable[bytes], source: Iterable[bytes]) -> str | None:
    for index, (ours, theirs) in enumerate(zip_longest(log, source)):
        if ours != theirs:
            return f"entry {index}: the log has {shown(ours)}, the source {shown(theirs)}"
    return None


def shown(entry: bytes | None) -> str:
    if entry is None:
        return "no more"
    document = RawBSONDocument(entry, LENIENT)
    return f"{place_of(entry)} op {document.get('op')} ns {document.get('ns')}, {len(entry)} bytes: {entry.hex()[:400]}"


def main(arguments: list) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("brokers", help="host:port,host:port")
    parser.add_argument("topic")
    parser.add_argument("--entries", metavar="FILE", help="write all entries to it, one after the other")
    parser.add_argument("--compare", metavar="MONGODB_URI", help="compare with local.oplog.rs of that mongod")
    options = parser.parse_args(arguments)
    reading, difference = Reading(Log()), None
    with contextlib.ExitStack() as stack:
        out = None
        if options.entries:
            out = stack.enter_context(open(options.entries, "w+b"))
        elif options.compare:
            # A log may be longer than memory, and its last entry is known when all are read.
            out = stack.enter_context(tempfile.TemporaryFile())
        try:
            reading.drain(topic_records(options.brokers, options.topic), out)
        except Damaged as damaged:
            reading.log.note_damage(-1, str(damaged))
        summary = {"topic": options.topic, **reading.summary()}
        if options.compare and reading.first:
            out.seek(0)
            source = source_entries(options.compare, reading.first, reading.last)
            difference = first_difference(entries_in(out), outside_gaps(source, reading.gaps))
            summary["difference"] = difference
    print(json.dumps(summary))
    return 1 if summary["damage"] or difference else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Unavailable as error:
        print(f"read_topic: {error}", file=sys.stderr)
        sys.exit(3)
