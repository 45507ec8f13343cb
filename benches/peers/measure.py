"""Measures how fast peers stream a backlog of changes from MongoDB into Kafka. `run` beside this file starts it.

A one-member replica set gets the writes of benches/src/writes.rs, all of them before any peer starts. Each peer then
starts in an empty Kafka Connect with the operation time from before the first write, and streams all the writes, as a
peer does after it has been down for a while. All peers and rounds read the same backlog of the same server, in turns,
each into new topics.

The measured time runs from the broker's append time of the first event to that of the last event, so it does not
include the start of the JVM. CPU time in that span is sampled. After that, the script checks that each write is there
once, by kind.
"""

import argparse
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bson import ObjectId
from bson.codec_options import CodecOptions
from bson.int64 import Int64
from bson.raw_bson import RawBSONDocument
from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec
from pymongo import MongoClient

HERE = Path(__file__).resolve().parent
DATABASE = "bench"
COLLECTIONS = 4
HEAP = "1g"
START_TIMEOUT = 120
# A peer that produces no event for this many seconds has failed.
SILENCE = 60

# What a record's value holds for an insert, an update and a delete.
MARKS = {
    "debezium": [b'"op":"c"', b'"op":"u"', b'"op":"d"'],
    "mongodb": [
        b"\x02operationType\0" + len(kind + b"\0").to_bytes(4, "little") + kind
        for kind in (b"insert", b"update", b"delete")
    ],
}


class Servers:
    """Processes that end with this process."""

    def __init__(self, directory):
        self.directory = directory
        self.running = []

    def start(self, name, command):
        log = self.directory / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
            )
        process.log = log
        self.running.append(process)
        return process

    def stop(self, process):
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self.running.remove(process)

    def stop_all(self):
        for process in reversed(list(self.running)):
            if process.poll() is not None:
                print(f"it had ended:\n{tail(process)}", file=sys.stderr)
            self.stop(process)


def tail(process):
    lines = process.log.read_text(errors="replace").splitlines()
    return "\n".join([f"{process.log.name}:", *lines[-30:]])


def fail_if_ended(process):
    if process.poll() is not None:
        sys.exit("a server ended")


def free_port():
    with socket.socket() as it:
        it.bind(("127.0.0.1", 0))
        return it.getsockname()[1]


def fill_in(name, values):
    text = (HERE / name).read_text()
    for key, value in values.items():
        text = text.replace("{" + key + "}", str(value))
    return text


def cpu_seconds(process):
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def busy_seconds():
    """Returns how many seconds all processors of the machine have been busy since it started."""
    user, nice, system, _, _, interrupts, soft, *_ = map(int, Path("/proc/stat").read_text().split(None, 9)[1:9])
    return (user + nice + system + interrupts + soft) / os.sysconf("SC_CLK_TCK")


def peak_mib(process):
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) >> 10
    return 0


def load():
    return " ".join(f"{it:.2f}" for it in os.getloadavg())


# The source


def start_mongod(servers, binary, entries):
    port = free_port()
    files = servers.directory / "mongod"
    files.mkdir()
    process = servers.start(
        "mongod",
        [
            binary,
            f"--port={port}",
            f"--dbpath={files}",
            "--bind_ip=127.0.0.1",
            "--nounixsocket",
            "--setParameter=diagnosticDataCollectionEnabled=false",
            "--wiredTigerCacheSizeGB=1",
            f"--oplogSize={max(entries // 1000, 990)}",
            "--replSet=peers",
        ],
    )
    address = f"127.0.0.1:{port}"
    client = MongoClient(address, directConnection=True, serverSelectionTimeoutMS=START_TIMEOUT * 1000)
    members = [{"_id": 0, "host": address}]
    client.admin.command("replSetInitiate", {"_id": "peers", "members": members})
    while not client.admin.command("hello")["isWritablePrimary"]:
        fail_if_ended(process)
        time.sleep(0.1)
    return process, f"mongodb://{address}/?replicaSet=peers", client


class Writer:
    """Writes to one collection, in the form and proportions of benches/src/writes.rs."""

    def __init__(self, client, number):
        self.database = client[DATABASE]
        self.collection = f"documents{number}"
        self.number = number
        self.random = random.Random(number)
        self.live = []
        self.inserted = 0
        self.made = [0, 0, 0]

    def write(self, tens):
        inserts = [self.document() for _ in range(6 * tens)]
        self.run(0, "insert", "documents", inserts)
        updates = [self.update() for _ in range(3 * tens)]
        self.run(1, "update", "updates", updates)
        deletes = [self.delete() for _ in range(tens)]
        self.run(2, "delete", "deletes", deletes)

    def run(self, kind, command, field, writes):
        reply = self.database.command({command: self.collection, field: writes, "ordered": True})
        assert reply["n"] == len(writes) and "writeErrors" not in reply, reply
        self.made[kind] += len(writes)

    def signed(self):
        return Int64(self.random.getrandbits(64) - (1 << 63))

    def document(self):
        identity = ObjectId(self.number.to_bytes(4, "big") + self.inserted.to_bytes(8, "big"))
        self.inserted += 1
        self.live.append(identity)
        return {
            "_id": identity,
            "customer": f"customer-{self.random.randrange(100_000)}",
            "n": self.random.randrange(1000),
            "total": self.signed(),
            "state": "open",
            "paid": False,
            "items": [self.signed(), self.signed(), self.signed()],
            # Hard to compress.
            "noise": f"{self.random.getrandbits(768):0192x}",
            "note": "as agreed " * 13,
        }

    def update(self):
        identity = self.live[self.random.randrange(len(self.live))]
        # Never set the values that are already there, because that would write nothing.
        change = {"$set": {"total": self.signed(), "state": "shipped"}}
        return {"q": {"_id": identity}, "u": change}

    def delete(self):
        at = self.random.randrange(len(self.live))
        self.live[at], self.live[-1] = self.live[-1], self.live[at]
        return {"q": {"_id": self.live.pop()}, "limit": 1}


def fill(client, entries):
    """Writes the backlog. Returns the operation time before it, and its numbers of inserts, updates and deletes."""
    before = client.admin.command("ping")["operationTime"]
    writers = [Writer(client, number) for number in range(COLLECTIONS)]
    share = -(-entries // COLLECTIONS)

    def work(writer):
        while sum(writer.made) < share:
            writer.write(50)

    with ThreadPoolExecutor(COLLECTIONS) as threads:
        # Take all results, so that a failure of any thread is raised here.
        list(threads.map(work, writers))
    return before, [sum(kinds) for kinds in zip(*(writer.made for writer in writers))]


def read_oplog(client, before):
    """Reads the backlog with a bare cursor, which also warms the server's cache."""
    options = CodecOptions(document_class=RawBSONDocument)
    oplog = client.local.get_collection("oplog.rs", codec_options=options)
    found = oplog.find({"ts": {"$gt": before}, "ns": {"$regex": f"^{DATABASE}\\.documents"}})
    sizes = [len(it.raw) for it in found]
    return len(sizes), sum(sizes) / len(sizes)


def read_change_stream(client, before, wanted):
    """Returns the events per second of a change stream whose events are not examined."""
    options = CodecOptions(document_class=RawBSONDocument)
    database = client.get_database(DATABASE, codec_options=options)
    started = time.monotonic()
    stage = {"$changeStream": {"startAtOperationTime": before}}
    reply = database.command("aggregate", 1, pipeline=[stage], cursor={}, codec_options=options)
    cursor = reply["cursor"]
    count = len(cursor["firstBatch"])
    while count < wanted:
        more = {"getMore": Int64(cursor["id"]), "collection": "$cmd.aggregate"}
        cursor = database.command(more, codec_options=options)["cursor"]
        count += len(cursor["nextBatch"])
    took = time.monotonic() - started
    database.command({"killCursors": "$cmd.aggregate", "cursors": [Int64(cursor["id"])]})
    return count / took


# The target


def java(jars, *arguments):
    return ["java", *arguments[:-1], "-cp", f"{jars}/*", *arguments[-1]]


def start_broker(servers, kafka):
    values = {
        "broker_port": free_port(),
        "controller_port": free_port(),
        "directory": servers.directory,
    }
    properties = servers.directory / "broker.properties"
    properties.write_text(fill_in("broker.properties", values))
    jars = Path(kafka) / "libs"
    identity = "aGluZHNpZ2h0LXRlc3RzMA"
    tool = ["kafka.tools.StorageTool", "format", "-t", identity, "-c", str(properties)]
    subprocess.run(java(jars, "-Xmx256m", tool), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    command = java(jars, f"-Xms{HEAP}", f"-Xmx{HEAP}", ["kafka.Kafka", str(properties)])
    process = servers.start("broker", command)
    deadline = time.monotonic() + START_TIMEOUT
    while "Kafka Server started" not in process.log.read_text(errors="replace"):
        fail_if_ended(process)
        if time.monotonic() > deadline:
            sys.exit(f"the broker is not ready after {START_TIMEOUT} s")
        time.sleep(0.2)
    return process, values["broker_port"]


class Topics:
    """One topic with one partition for each collection, with the broker's append times."""

    def __init__(self, bootstrap, prefix):
        self.bootstrap = bootstrap
        self.admin = AdminClient({"bootstrap.servers": bootstrap})
        names = [f"{prefix}.{DATABASE}.documents{number}" for number in range(COLLECTIONS)]
        config = {"message.timestamp.type": "LogAppendTime"}
        new = [NewTopic(it, num_partitions=1, replication_factor=1, config=config) for it in names]
        for created in self.admin.create_topics(new).values():
            created.result()
        self.partitions = [TopicPartition(it, 0) for it in names]
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            try:
                self.count()
                return
            except KafkaException as error:
                # The broker has created the topic but does not lead it yet.
                if error.args[0].code() != KafkaError.NOT_LEADER_FOR_PARTITION or time.monotonic() > deadline:
                    raise
            time.sleep(0.1)

    def count(self):
        wanted = {it: OffsetSpec.latest() for it in self.partitions}
        return sum(it.result().offset for it in self.admin.list_offsets(wanted).values())

    def read(self, count, marks):
        """Reads all records. Returns the first and last append time in seconds, the records by kind, and the bytes."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": "reads-without-a-group",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
            }
        )
        consumer.assign([TopicPartition(it.topic, 0, 0) for it in self.partitions])
        first, last, kinds, size, seen = None, None, [0] * len(marks), 0, 0
        while seen < count:
            records = consumer.consume(10_000, timeout=10)
            if not records:
                sys.exit(f"only {seen} of {count} records can be read")
            for record in records:
                if record.error():
                    sys.exit(str(record.error()))
                kind, at = record.timestamp()
                assert kind == TIMESTAMP_LOG_APPEND_TIME
                first = at if first is None else min(first, at)
                last = at if last is None else max(last, at)
                value = record.value()
                size += len(value) + len(record.key() or b"")
                for index, mark in enumerate(marks):
                    if mark in value:
                        kinds[index] += 1
                        break
            seen += len(records)
        consumer.close()
        return first / 1000, last / 1000, kinds, size


# A peer


def measure(servers, peer, number, home, source, broker):
    mongod, uri, before, made = source
    broker_process, broker_port = broker
    wanted = sum(made)
    prefix = f"{peer}{number}"
    values = {
        "broker_port": broker_port,
        "connect_port": free_port(),
        "database": DATABASE,
        "directory": servers.directory,
        "plugins": f"{home}/plugins",
        "prefix": prefix,
        "start_json": f'{{"$timestamp": {{"t": {before.time}, "i": {before.inc}}}}}',
        "start_long": before.time << 32 | before.inc,
        "uri": uri,
    }
    files = []
    for name in ("worker", peer):
        file = servers.directory / f"{prefix}-{name}.properties"
        file.write_text(fill_in(f"{name}.properties", values))
        files.append(str(file))
    topics = Topics(f"127.0.0.1:{broker_port}", prefix)
    main = ["org.apache.kafka.connect.cli.ConnectStandalone", *files]
    launched = time.monotonic()
    connect = servers.start(prefix, java(f"{home}/connect", f"-Xms{HEAP}", f"-Xmx{HEAP}", main))
    processes = [connect, broker_process, mongod]

    count, grown, sampled = 0, time.monotonic(), None
    while count < wanted:
        time.sleep(0.1)
        for process in processes:
            fail_if_ended(process)
        sample = [*(cpu_seconds(it) for it in processes), busy_seconds()]
        now = topics.count()
        if now > count:
            if sampled is None:
                sampled, ready = sample, time.monotonic() - launched
            count, grown = now, time.monotonic()
        elif time.monotonic() - grown > SILENCE + (START_TIMEOUT if count == 0 else 0):
            sys.exit(f"{peer}: silent after {count} of {wanted} events\n{tail(connect)}")
    used = [now - start for now, start in zip(sample, sampled)]
    # The time of this script and of everything else that ran. Much more than a second or two spoils
    # the measurement.
    rest = used[3] - sum(used[:3])
    peak = peak_mib(connect)
    servers.stop(connect)

    count = topics.count()
    first, last, kinds, size = topics.read(count, MARKS[peer])
    if kinds != made:
        sys.exit(f"{peer}: {made} inserts, updates and deletes were written, {kinds} arrived")
    took = last - first
    print(
        f"{peer} round {number}: {count} events in {took:.1f} s, {count / took:.0f} events/s; "
        f"CPU seconds: Connect {used[0]:.1f}, broker {used[1]:.1f}, mongod {used[2]:.1f}, the rest {rest:.1f}; "
        f"Connect's peak {peak} MiB; {size / count:.0f} bytes a record; first event {ready:.1f} s after the start; "
        f"load {load()}",
        flush=True,
    )
    return count / took


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--mongod", required=True)
    parser.add_argument("--kafka", required=True)
    parser.add_argument("--home", required=True)
    parser.add_argument("peers", nargs="*", metavar="PEER", help=" or ".join(MARKS))
    given = parser.parse_args()
    peers = given.peers or list(MARKS)
    if unknown := set(peers) - set(MARKS):
        parser.error(f"no such peer: {', '.join(sorted(unknown))}")
    entries = int(os.environ.get("HINDSIGHT_BENCH_ENTRIES", 1_000_000))
    rounds = int(os.environ.get("HINDSIGHT_BENCH_ROUNDS", 2))

    # SIGTERM ends the servers, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    directory = Path(tempfile.mkdtemp(prefix="hindsight-peers-"))
    servers = Servers(directory)
    try:
        mongod, uri, client = start_mongod(servers, given.mongod, entries)
        started = time.monotonic()
        before, made = fill(client, entries)
        filled = time.monotonic() - started
        found, size = read_oplog(client, before)
        if found != sum(made):
            sys.exit(f"{sum(made)} writes were made, the oplog has {found}")
        print(
            f"backlog: {made[0]} inserts, {made[1]} updates, {made[2]} deletes, {size:.0f} bytes each in the oplog, "
            f"written in {filled:.1f} s before any peer started",
            flush=True,
        )
        broker = start_broker(servers, given.kafka)
        bare = read_change_stream(client, before, found)
        print(f"bare change stream, nothing written: {bare:.0f} events/s; load {load()}", flush=True)
        for number in range(1, rounds + 1):
            for peer in peers:
                measure(servers, peer, number, given.home, (mongod, uri, before, made), broker)
    finally:
        servers.stop_all()
        shutil.rmtree(directory, ignore_errors=True)


main()
