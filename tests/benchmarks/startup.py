"""What a script pays before it does anything: imports, opening, a new database."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from . import data
from .measure import ROOT, Row, compare_processes, row, run

BASE_MODEL = "from pydantic import BaseModel"

OPEN_AND_ASK = """
import sys
from nexuslims_store import Store
with Store(sys.argv[1]) as store:
    assert store.instruments.get(sys.argv[2]).instrument_pid == sys.argv[2]
"""

FRESH_BY_HAND = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.executescript(open(sys.argv[2], encoding="utf-8").read())
print(connection.execute("SELECT version_num FROM alembic_version").fetchall())
"""

FRESH = """
import sys
from nexuslims_store import migrations
print([(migrations.upgrade(sys.argv[1]).after,)])
"""

IN_MEMORY = """
import json, sqlite3, sys, time
from nexuslims_store import Store
script = open(sys.argv[1], encoding="utf-8").read()
bare, own = [], []
for _ in range(int(sys.argv[2])):
    start = time.perf_counter()
    store = Store(":memory:")
    own.append(time.perf_counter() - start)
    assert store.instruments.list() == []
    store.close()
    start = time.perf_counter()
    connection = sqlite3.connect(":memory:")
    connection.executescript(script)
    bare.append(time.perf_counter() - start)
    connection.close()
print(json.dumps([bare, own]))
"""


def measure(folder: Path, rounds: int) -> Iterator[Row]:
    database = data.make(folder / "small.db", 3_000, 10)
    yield compare_processes(
        "import nexuslims_store (process)",
        BASE_MODEL,
        "import nexuslims_store",
        rounds=rounds,
        target=1.25,
        most="32 MB",
    )
    # The package imports what it exports when that is asked for; this asks for the most of it.
    yield compare_processes(
        "import of Store from it (process)",
        BASE_MODEL,
        "from nexuslims_store import Store",
        rounds=rounds,
        target=1.35,
        most="32 MB",
    )
    yield compare_processes(
        "import, open, one query (process)",
        BASE_MODEL,
        OPEN_AND_ASK,
        database,
        data.pid(1),
        rounds=rounds,
        target=1.55,
    )
    new = folder / "new.db"
    script = folder / "fresh.sql"
    script.write_text(fresh_script(), encoding="utf-8")
    yield compare_processes(
        "fresh database (process)",
        FRESH_BY_HAND,
        FRESH,
        new,
        script,
        rounds=rounds,
        target=5.0,
        most="150 ms",
        before=lambda: new.unlink(missing_ok=True),
    )
    firsts: list[tuple[float, float]] = []
    later_bare: list[float] = []
    later_own: list[float] = []
    for _ in range(rounds):
        bare, own = json.loads(run(IN_MEMORY, script, 6).output)
        firsts.append((bare[0], own[0]))
        later_bare += bare[1:]
        later_own += own[1:]
    yield row("Store(':memory:'), the first", *map(list, zip(*firsts, strict=True)), most="25 ms")
    yield row("Store(':memory:'), later ones", later_bare, later_own, most="2 ms")


def fresh_script() -> str:
    """The SQL of all migrations, as they are in the checkout."""
    folder = ROOT / "sql" / "migrations"
    files = [path for path in sorted(folder.glob("[0-9]*.sql")) if ".rollback." not in path.name]
    texts = [path.read_text(encoding="utf-8") for path in (*files, folder / "post-apply.sql")]
    return "BEGIN;\n" + "\n".join(texts) + "\nCOMMIT;"
