"""Commands as processes of their own: what starts at every container's start, and large files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from . import data
from .measure import Row, compare_processes

COMMAND = """
import sys
sys.argv[0] = "nexuslims-store"
from nexuslims_store.cli import main
try:
    status = main()
except SystemExit as end:
    status = end.code or 0
assert status in (0, 1), status
"""

# As short as the same can be said. A START's newest row counts; so does an END's.
NEWEST = """
SELECT session_identifier, instrument, max(id_session_log) AS id_session_log
FROM session_log WHERE event_type = 'START' GROUP BY session_identifier, instrument
"""

BY_HAND = """
import sqlite3, sys
connection = sqlite3.connect(f"file:{sys.argv[2]}?mode=ro", uri=True)
def ask(sql):
    return connection.execute(sql).fetchall()
"""

COUNTS = f'''
for status, number in ask("""
    SELECT log.record_status, count(*) FROM ({NEWEST}) AS newest
    JOIN session_log AS log USING (id_session_log) GROUP BY 1
"""):
    print(number)
'''

LAST_SESSIONS = f'''{BY_HAND}
for (identifier,) in ask("""
    SELECT began.session_identifier FROM session_log AS began
    JOIN session_log AS ended ON ended.session_identifier = began.session_identifier
        AND ended.instrument = began.instrument AND ended.event_type = 'END'
    WHERE began.event_type = 'START'
    GROUP BY began.session_identifier, began.instrument
    ORDER BY julianday(max(began.timestamp)) DESC LIMIT 20
"""):
    print(identifier)
'''

LOOK_AT_ALL = f'''{BY_HAND}{COUNTS}
ask("""SELECT min(timestamp) FROM session_log WHERE record_status = 'TO_BE_BUILT'""")
ask("""SELECT max(timestamp) FROM session_log WHERE event_type = 'RECORD_GENERATION'""")
ask("""SELECT session_identifier, instrument FROM session_log GROUP BY 1, 2
    HAVING sum(event_type = 'START') = 0 OR sum(event_type = 'END') = 0""")
ask("""SELECT instrument, count(DISTINCT session_identifier), max(timestamp) FROM session_log
    WHERE event_type = 'START' GROUP BY 1""")
ask("""SELECT destination_name, count(*) FROM (SELECT destination_name, success,
    max(id) FROM upload_log GROUP BY session_identifier, destination_name)
    WHERE NOT success GROUP BY 1""")
'''

WEEKS = f'''{LOOK_AT_ALL}
ask("""SELECT began.*, ended.timestamp, max(built.timestamp) FROM session_log AS began
    JOIN session_log AS ended ON ended.session_identifier = began.session_identifier
        AND ended.event_type = 'END'
    LEFT JOIN session_log AS built ON built.session_identifier = began.session_identifier
        AND built.event_type = 'RECORD_GENERATION'
    WHERE began.event_type = 'START' AND began.timestamp > date('now', '-84 days')
    GROUP BY began.id_session_log ORDER BY began.timestamp""")
ask("""SELECT began.*, ended.timestamp FROM session_log AS began
    JOIN session_log AS ended ON ended.session_identifier = began.session_identifier
        AND ended.event_type = 'END'
    WHERE began.event_type = 'START' AND began.record_status = 'ERROR' ORDER BY 4""")
ask("SELECT destination_name, sum(success), count(*) FROM upload_log GROUP BY 1")
ask("""SELECT * FROM (SELECT *, row_number() OVER (PARTITION BY session_identifier,
    destination_name ORDER BY timestamp DESC, id DESC) AS recency FROM upload_log)
    WHERE recency = 1 AND NOT success""")
'''

EXAMINE = f'''{BY_HAND}
assert ask("PRAGMA integrity_check") == [("ok",)]
assert ask("PRAGMA foreign_key_check") == []
for table in ("instruments", "session_log", "upload_log", "external_user_identifiers"):
    for row in connection.execute(f"SELECT * FROM {{table}}"):
        pass
ask("""SELECT session_identifier, instrument, event_type FROM session_log
    WHERE event_type <> 'RECORD_GENERATION' GROUP BY 1, 2, 3 HAVING count(*) > 1""")
ask("""SELECT session_identifier, instrument FROM session_log GROUP BY 1, 2
    HAVING sum(event_type = 'START') = 0 OR sum(event_type = 'END') = 0""")
ask("""SELECT session_identifier FROM upload_log
    EXCEPT SELECT session_identifier FROM session_log""")
'''


def all_said(by_hand: str, by_us: str) -> bool:
    """Whether what was found by hand stands in what the command says."""
    said = by_us.replace(",", "")  # of 90,048
    return all(word in said for word in by_hand.split())


def starts(folder: Path, rounds: int) -> Iterator[Row]:
    """Commands that look at little or nothing, beside Python that imports sqlite3."""
    path = data.make(folder / "small.db", 3_000, 10)
    for words in (["--version"], ["--help"], ["migrate", "check"], ["migrate"]):
        yield compare_processes(
            f"{' '.join(words)}, beside importing sqlite3 (process)",
            "import sqlite3",
            COMMAND,
            "--db",
            path,
            *words,
            same=lambda _, by_us: True,  # the exit status is what counts
            rounds=rounds,
            target=75 / 20,
        )


def on_large_files(folder: Path, sizes: list[int], rounds: int) -> Iterator[Row]:
    """Commands that look at everything, beside the same SQL by hand, start-up included."""
    page = folder / "report.html"
    for size in sizes:
        path = data.make(folder / f"{size}.db", size, 100)
        for words, floor in (
            (["sessions", "list", "--limit", "20"], LAST_SESSIONS),
            (["status"], LOOK_AT_ALL),
            (["doctor"], EXAMINE),
            (["report", "--output", str(page)], WEEKS),
        ):
            yield compare_processes(
                f"{' '.join(words[:2] if words[0] == 'sessions' else words[:1])}, {size} rows "
                "(process)",
                floor,
                COMMAND,
                "--db",
                path,
                *words,
                same=all_said if words[0] in {"sessions", "status"} else lambda _, by_us: True,
                rounds=rounds,
                target=2.5,
                before=lambda: page.unlink(missing_ok=True),
            )
