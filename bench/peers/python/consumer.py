"""
Takes sums from the list in Redis and adds them to the totals in SQLite: what is popped and not yet committed is
lost in a crash. Arguments: the database, and the port of Redis.
"""

import json
import sqlite3
import sys

import redis

database, redis_port = sys.argv[1], int(sys.argv[2])
connection = sqlite3.connect(database, isolation_level=None)
connection.execute("PRAGMA journal_mode = WAL")
connection.execute("CREATE TABLE numbers (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID")
queue = redis.Redis(port=redis_port)
while True:
    _, sums = queue.blpop("sums")
    connection.execute("BEGIN")
    connection.executemany(
        "INSERT INTO numbers VALUES (?, ?) ON CONFLICT DO UPDATE SET value = value + excluded.value",
        json.loads(sums).items(),
    )
    connection.execute("COMMIT")
