"""What statements on foreign keys, backups and version rows answer, asked of themselves."""

from __future__ import annotations

from itertools import product

import pytest
from helpers.support import ask, instrument, memory_store, run

from nexuslims_store import queries

pytestmark = pytest.mark.usefixtures("each_store")


# -- a facility's own foreign keys -----------------------------------------------------

OWN = """
    ALTER TABLE instruments ADD COLUMN "nr ""%"" x" TEXT;
    CREATE UNIQUE INDEX nxs_by_number ON instruments (instrument_pid, "nr ""%"" x");
    CREATE TABLE plain (instrument TEXT REFERENCES INSTRUMENTS, id INTEGER PRIMARY KEY);
    CREATE TABLE behind (id INTEGER PRIMARY KEY, plain INTEGER REFERENCES plain (id));
    CREATE TABLE "of ""5 %"" x" (
        "the ""%"" x" TEXT, number TEXT, behind INTEGER REFERENCES behind,
        FOREIGN KEY ("the ""%"" x", number) REFERENCES instruments (instrument_pid, "nr ""%"" x")
    );
    CREATE TABLE by_url (url TEXT REFERENCES instruments (api_url));
    CREATE TABLE following (
        again TEXT REFERENCES instruments (instrument_pid),
        pid TEXT REFERENCES instruments (instrument_pid) ON UPDATE CASCADE
    );
    CREATE TABLE apart (log INTEGER REFERENCES session_log (id_session_log));
    ALTER TABLE instruments ADD COLUMN parent TEXT REFERENCES instruments (instrument_pid);
    ALTER TABLE session_log ADD COLUMN via TEXT REFERENCES instruments (instrument_pid);
    UPDATE instruments SET parent = 'A', "nr ""%"" x" = 'nr' || instrument_pid;
    INSERT INTO plain (id, instrument) VALUES (1, 'A'), (2, 'B'), (3, 'B');
    INSERT INTO "of ""5 %"" x" ("the ""%"" x", number)
    VALUES ('A', 'nrA'), ('A', 'nrA'), ('B', 'nrB');
    INSERT INTO by_url (url) VALUES ('http://A'), ('http://A'), ('http://A'), ('http://B');
    INSERT INTO following (pid, again) VALUES ('A', 'B'), ('B', 'A'), ('A', 'B'), ('A', 'C');
    INSERT INTO session_log (session_identifier, instrument, timestamp, event_type, record_status,
        via) VALUES ('s', 'B', 'now', 'START', 'ERROR', 'A'), ('s', 'B', 'now', 'END', 'ERROR', 'B')
"""
ON_SERVER = """
    CREATE TABLE parted (pid TEXT REFERENCES instruments) PARTITION BY LIST (pid);
    CREATE TABLE parted_a PARTITION OF parted FOR VALUES IN ('A')
"""
# How many rows refer to A, A itself aside, and whether they would not follow another PID.
REFERRING = {
    "by_url": [(3, 0)],
    "following": [(1, 1), (3, 0)],
    "instruments": [(2, 1)],
    'of "5 %" x': [(2, 1)],
    "plain": [(1, 1)],
    "session_log": [(1, 1)],
}


def test_a_facilitys_own_references_to_instruments(each_store: str) -> None:
    instruments = [instrument(pid, api_url=f"http://{pid}") for pid in "ABC"]
    with memory_store(*instruments) as store:
        for statement in (OWN if store.url is None else OWN + ";" + ON_SERVER).split(";"):
            run(store, statement)
        found: list[tuple[str, tuple[int, int]]] = []
        for table, counting, stays in ask(store, "instruments.list_own_references_to_instruments"):
            who = {"instrument_pid": "A", "but": "A"}
            ((count,),) = store._database.rows(counting, who)
            found.append((table, (count, int(stays))))
        expected = REFERRING | ({} if store.url is None else {"parted": [(0, 1)]})
        assert [table for table, _ in found] == sorted(
            table for table, counts in expected.items() for _ in counts
        )
        assert sorted(found) == [
            (table, one) for table in sorted(expected) for one in expected[table]
        ]
        reached = {name for (name,) in ask(store, "instruments.list_own_tables_of_instruments")}
        names = {name.replace('"', '""') for name in {*REFERRING, "behind"} - {"session_log"}}
        assert reached == (names if store.url is None else set())


def test_the_logs_of_an_instrument_that_is_renamed(each_store: str) -> None:
    instruments = [instrument(pid, api_url=f"http://{pid}") for pid in "ABC"]
    with memory_store(*instruments) as store:
        run(
            store,
            "INSERT INTO session_log (session_identifier, instrument, timestamp, event_type,"
            " record_status) VALUES (?, ?, '2025-07-01', 'START', 'ERROR')",
            *((str(place), pid) for place, pid in enumerate("ABAB")),
        )
        names = {"instrument_pid": "A", "new_pid": "C"}
        renaming = queries.load("instruments.sql").rename_instrument_of_logs
        assert store._database.change(renaming, names) == 2
        logs = [*store.session_logs.iter_all()]
        assert [log.instrument for log in logs] == [*"CBCB"]


# -- backups and version rows ----------------------------------------------------------


@pytest.mark.only_sqlite("a backup is a file")
@pytest.mark.parametrize("number", [0, 30, 60])
def test_by_which_events_a_backup_is_known(each_store: str, number: int) -> None:
    ids = [3 * one for one in range(1, number + 1)]
    with memory_store(instrument("A")) as store:
        run(
            store,
            "INSERT INTO session_log (id_session_log, session_identifier, instrument, timestamp,"
            " event_type, record_status) VALUES (?, ?, 'A', ?, 'START', 'ERROR')",
            *((one, f"s{one}", f"t{one}") for one in reversed(ids)),
        )
        some = [one for place, one in enumerate(ids) if place < 20 or place >= number - 20]
        assert sorted(ask(store, "backup.list_some_events")) == [
            (one, f"s{one}".encode(), f"t{one}".encode()) for one in some
        ]
        for one, session, time in product(ids[:2], ids[:2], ids[:2]):
            event = {"session_identifier": f"s{session}".encode(), "timestamp": f"t{time}".encode()}
            found = ask(store, "backup.has_event", id_session_log=one, **event)
            assert found == [(one == session == time,)]


@pytest.mark.only_sqlite("a backup is a file")
def test_by_which_instruments_a_backup_is_known(each_store: str) -> None:
    pids = [f"{one:02}" for one in range(30)]
    with memory_store(*(instrument(pid, api_url=f"http://{pid}") for pid in pids[::-1])) as store:
        assert ask(store, "backup.list_some_instruments") == [(pid.encode(),) for pid in pids[:20]]
        for pid, there in (("07", True), ("7", False)):
            found = ask(store, "backup.has_instrument_of_backup", instrument_pid=pid.encode())
            assert found == [(there,)]


def test_a_few_of_many_version_rows(each_store: str) -> None:
    with memory_store() as store:
        run(store, "INSERT INTO alembic_version (version_num) VALUES (?)", *zip("gcbfade"))
        assert ask(store, "recognition.list_revisions") == [*zip("abcde")]
