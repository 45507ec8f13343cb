"""The reader on a real broker and against a real mongod's oplog, both fetched by the scripts in deploy/dev."""

import itertools
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

import bson
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from read_topic import source_entries
from segment_format import CODEC_NONE, CODEC_ZSTD, CODECS, OpTime
from test_read_topic import A, B
from written_topic import SET_NAME, Topic, Writer, headers, lay_out, place

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parent.parent
START_SECONDS = 120
CLUSTER_ID = "aGluZHNpZ2h0LXJlYWRlcg"


def tool(name: str) -> str:
    """What a script in deploy/dev prints last."""
    script = CHECKOUT / "deploy" / "dev" / name
    return subprocess.run([script], check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1]


def free_port() -> int:
    with socket.socket() as it:
        it.bind(("127.0.0.1", 0))
        return it.getsockname()[1]


class Server:
    """A process of the tests' own, with its files."""

    def __init__(self, directory: str, name: str, command: list):
        self.log = Path(directory, f"{name}.log")
        with open(self.log, "w") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=out)

    def wait_until(self, ready) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"{self.process.args[0]} did not start:\n{self.log.read_text()[-2000:]}")
            time.sleep(0.2)

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def start_kafka(directory: str) -> tuple:
    client, controller = free_port(), free_port()
    properties = Path(directory, "server.properties")
    properties.write_text(
        f"""process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=CLIENT://127.0.0.1:{client},CONTROLLER://127.0.0.1:{controller}
listener.security.protocol.map=CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=CLIENT
controller.listener.names=CONTROLLER
log.dirs={directory}/kafka
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
"""
    )
    java = ["java", "-Xmx300m", "-XX:+UseSerialGC", "-cp", f"{tool('kafka')}/libs/*"]
    storage = [*java, "kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", str(properties)]
    subprocess.run(storage, check=True, capture_output=True)
    server = Server(directory, "kafka", [*java, "kafka.Kafka", str(properties)])
    try:
        server.wait_until(lambda: "Kafka Server started" in server.log.read_text())
    except BaseException:
        server.stop()
        raise
    return server, f"127.0.0.1:{client}"


def start_mongod(directory: str) -> tuple:
    port, files = free_port(), Path(directory, "mongod")
    files.mkdir()
    command = [tool("mongod"), "--port", str(port), "--dbpath", str(files), "--replSet", SET_NAME, "--bind_ip", "127.0.0.1"]
    server = Server(directory, "mongod", command + ["--oplogSize", "990", "--wiredTigerCacheSizeGB", "0.25"])
    uri = f"mongodb://127.0.0.1:{port}/"
    member = {"_id": 0, "host": f"127.0.0.1:{port}"}

    def answers(command, *rest) -> bool:
        try:
            with MongoClient(uri, directConnection=True, serverSelectionTimeoutMS=500) as client:
                return client.admin.command(command, *rest).get("isWritablePrimary", True)
        except PyMongoError:
            return False

    try:
        server.wait_until(lambda: answers("ping"))
        server.wait_until(lambda: answers("replSetInitiate", {"_id": SET_NAME, "members": [member]}))
        server.wait_until(lambda: answers("hello"))
    except BaseException:
        server.stop()
        raise
    return server, uri


class RealServers(unittest.TestCase):
    numbers = itertools.count(1)

    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.mkdtemp(prefix="hindsight-reader-")
        cls.addClassCleanup(shutil.rmtree, cls.directory, ignore_errors=True)
        kafka, cls.brokers = start_kafka(cls.directory)
        cls.addClassCleanup(kafka.stop)
        mongod, cls.uri = start_mongod(cls.directory)
        cls.addClassCleanup(mongod.stop)

    def publish(self, topic: Topic, partitions: int = 1) -> str:
        """Sends the records to a topic of their own."""
        name = f"hindsight.test{next(self.numbers)}"
        admin = AdminClient({"bootstrap.servers": self.brokers})
        admin.create_topics([NewTopic(name, partitions, 1)])[name].result(60)
        producer = Producer({"bootstrap.servers": self.brokers, "enable.idempotence": True, "message.max.bytes": 1 << 20})
        failures = []
        for record in topic.records:
            producer.produce(
                name,
                record.value,
                headers=record.headers,
                partition=0,
                on_delivery=lambda error, _: failures.append(error) if error else None,
            )
            producer.poll(0)
        self.assertEqual((producer.flush(60), failures), (0, []))
        return name

    def read(self, topic: str, *options: str) -> tuple:
        """The exit code and the summary of the program, as anybody runs it."""
        command = [sys.executable, HERE / "read_topic.py", self.brokers, topic, *options]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.assertIn(done.returncode, (0, 1), done.stderr)
        self.assertEqual(len(done.stdout.splitlines()), 1)
        return done.returncode, json.loads(done.stdout)

    def oplog(self) -> list:
        """Every entry of the oplog, after some work."""
        with MongoClient(self.uri, directConnection=True) as client:
            orders = client.shop.orders
            orders.insert_many({"_id": n, "text": "x" * (n % 300)} for n in range(1500))
            orders.update_many({"_id": {"$lt": 300}}, {"$set": {"paid": True}})
            orders.insert_one({"_id": "long", "text": os.urandom(1 << 20).hex()})
            orders.delete_many({"_id": {"$gte": 1400}})
            client.shop.drop_collection("orders")
        return list(source_entries(self.uri, OpTime(0, 0), OpTime((1 << 64) - 1, 0)))

    def topic_of(self, entries: list, codecs: tuple = tuple(CODECS)) -> Topic:
        """Two writers, one after the other, with everything in it that is not the log."""
        topic, attempt, epoch, writer_id = Topic(), 0, 1, A
        topic.claim(A, 1, 0)
        writer = Writer()
        runs = [entries[at : at + 700] for at in range(0, len(entries), 700)]
        for index, run in enumerate(runs):
            writer.codec = codecs[index % len(codecs)]
            segment = writer.segment(*(run[at : at + 90] for at in range(0, len(run), 90)))
            pieces = lay_out(segment, writer_id, epoch, attempt + 2, limit=300_000)
            given_up = lay_out(segment, writer_id, epoch, attempt + 1, limit=300_000)[:-1]
            attempt += 2
            topic.send(given_up)
            topic.put([("trace", b"\xff")], b"hello")
            topic.put(headers(kind="beat", version=1, writer=writer_id, epoch=epoch))
            topic.send(pieces)
            if index == 0:
                topic.claim(B, 2, 1)
                topic.claim("00000000000000cc", 2, 1)
                topic.send(lay_out(segment, A, 1, 99))
                attempt, epoch, writer_id = 0, 2, B
        return topic

    def test_the_entries_of_a_real_oplog(self):
        entries = self.oplog()
        self.assertGreater(len(entries), 1900)
        topic = self.publish(self.topic_of(entries))
        file = Path(self.directory, "entries")
        code, summary = self.read(topic, "--entries", str(file), "--compare", self.uri)
        self.assertEqual((code, summary["damage"], summary["difference"]), (0, None, None))
        self.assertEqual(file.read_bytes(), b"".join(entries))
        runs = -(-len(entries) // 700)
        self.assertEqual((summary["segments"], summary["entries"], summary["epoch"]), (runs, len(entries), 2))
        ignored = summary["ignored"]
        self.assertEqual((ignored["late_claims"], ignored["unsealed"]), (1, runs))
        self.assertEqual((ignored["foreign"], summary["unknown_kinds"]), (runs, {"beat": runs}))
        self.assertGreater(ignored["fenced"], 5)

    def test_the_example_on_the_page(self):
        entries = self.oplog()
        topic = self.publish(self.topic_of(entries, (CODEC_NONE, CODEC_ZSTD)))
        page = Path(CHECKOUT, "docs", "KAFKA.md").read_text()
        example = page.split("```python\n")[1].split("```")[0]
        command = [sys.executable, "-c", example, self.brokers, topic]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        decoded = [(index // 700 + 1, bson.decode(it)) for index, it in enumerate(entries)]
        printed = [f"{segment} {it['ts']} {it['op']} {it['ns']}" for segment, it in decoded]
        self.assertEqual(done.stdout.splitlines(), printed)

    def test_an_entry_that_is_not_the_source_s(self):
        entries = self.oplog()
        at = next(i for i, it in enumerate(entries) if b"shop.orders" in it)
        entries[at] = entries[at].replace(b"shop.orders", b"shop.0rders")
        code, summary = self.read(self.publish(self.topic_of(entries)), "--compare", self.uri)
        self.assertEqual((code, summary["damage"]), (1, None))
        self.assertIn(f"entry {at}: the log has {place(entries[at])} ", summary["difference"])
        self.assertIn("ns shop.0rders", summary["difference"])

    def test_an_entry_that_is_missing(self):
        entries = self.oplog()
        del entries[1000]
        code, summary = self.read(self.publish(self.topic_of(entries)), "--compare", self.uri)
        self.assertEqual(code, 1)
        self.assertIn("entry 1000: ", summary["difference"])

    def test_a_flipped_bit(self):
        topic, writer = Topic(), Writer()
        topic.claim(A, 1, 0)
        for attempt in (1, 2, 3):
            topic.send(lay_out(writer.segment(), A, 1, attempt))
        record = topic.records[6]
        topic.records[6] = record._replace(value=record.value[:70] + bytes([record.value[70] ^ 1]) + record.value[71:])
        code, summary = self.read(self.publish(topic))
        self.assertEqual((code, summary["segments"]), (1, 1))
        self.assertEqual(summary["damage"], {"offset": 8, "what": "frame 1: its CRC32C is not that of its bytes"})

    def test_topics_that_are_no_log(self):
        for partitions, what in ((2, "has 2 partitions"), (0, "UNKNOWN_TOPIC")):
            topic = self.publish(Topic(), partitions) if partitions else "absent"
            command = [sys.executable, HERE / "read_topic.py", self.brokers, topic]
            done = subprocess.run(command, capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stdout), (3, ""))
            self.assertIn(what, done.stderr)


if __name__ == "__main__":
    unittest.main()
