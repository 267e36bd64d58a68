"""What statements on uploads, instruments, users and for the doctor answer, asked of themselves.

As in test_statements.py: on odd rows, that of plain models, whatever is hidden by who calls.
"""

from __future__ import annotations

import random
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby, product
from typing import Any

import pytest
from helpers.support import ask, instrument, memory_store, run

from nexuslims_store import ExternalSystem, Instrument, Store, queries

pytestmark = pytest.mark.usefixtures("each_store")

LOWEST = -(2**62)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Some are one instant in several forms; some order otherwise as text than in time.
TIMES = (
    *("2025-06-02T12:00:00+00:00", "2025-06-02T14:00:00+02:00", "2025-06-02T12:00:00"),
    *("2025-06-02T08:30:00-04:00", "2025-06-03T00:30:00+14:00", "2025-06-01 23:59:59Z", "soon"),
)


# -- uploads ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Attempt:
    """A row of upload_log, in the order of its columns."""

    session: str
    destination: str
    success: bool
    time: str
    record: str | None
    error: str | None
    id: int

    @property
    def micros(self) -> int | None:
        try:
            time = datetime.fromisoformat(self.time)
        except ValueError:
            return None
        time = time if time.tzinfo else time.replace(tzinfo=UTC)
        return (time - EPOCH) // timedelta(microseconds=1)

    @property
    def moment(self) -> tuple[int, int]:
        """Where it is in the order of time."""
        return self.micros or LOWEST, self.id

    @property
    def row(self) -> tuple[object, ...]:
        return (
            *(self.session, self.destination, self.success, self.time, self.record, None),
            *(self.error, None, self.id),
        )


@pytest.fixture
def uploads(each_store: str) -> Iterator[tuple[Store, list[Attempt]]]:
    """A store that holds odd attempts, and these in the order of time."""
    dice = random.Random(5)
    made = [
        Attempt(
            f"s{dice.randrange(9)}",
            dice.choice(["cdcs", "eln", "nemo"]),
            dice.random() < 0.6,
            dice.choice(TIMES),
            dice.choice([None, "r1"]),
            dice.choice([None, "busy", "x" * 999 + "yz"]),
            number,
        )
        for number in dice.sample(range(1, 300), 90)  # PostgreSQL has them in this order
    ]
    with memory_store() as store:
        run(
            store,
            "INSERT INTO upload_log (session_identifier, destination_name, success, timestamp,"
            " record_id, record_url, error_message, metadata_json, id)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            *(one.row for one in made),
        )
        yield store, sorted(made, key=lambda one: one.moment)


def test_attempts_in_the_order_of_time(uploads: tuple[Store, list[Attempt]]) -> None:
    store, attempts = uploads
    assert ask(store, "upload_log.list_all_uploads") == [one.row for one in attempts]
    for session in ("s0", "s1", "s5", "nobody's"):
        assert ask(store, "upload_log.list_uploads_of_session", session_identifier=session) == [
            one.row for one in attempts if one.session == session
        ]
    for number in (1, 7, 40, 10**6):
        latest = [one.row for one in attempts][-number:]
        assert ask(store, "upload_log.list_latest_uploads", number=number) == latest


def test_attempts_that_failed_last(uploads: tuple[Store, list[Attempt]]) -> None:
    store, attempts = uploads
    latest = {(one.session, one.destination): one for one in attempts}
    failed = [latest[place] for place in sorted(latest) if not latest[place].success]
    assert ask(store, "upload_log.list_failed_uploads") == [one.row for one in failed]
    counts = Counter(one.destination for one in failed)
    assert ask(store, "upload_log.count_failed_uploads") == sorted(counts.items())
    assert sorted(ask(store, "report.list_failures"), key=str) == sorted(
        (
            (one.session, one.destination, one.micros, one.error and one.error[:1000], one.id)
            for one in failed
        ),
        key=str,
    )


def test_the_parts_of_the_attempts(uploads: tuple[Store, list[Attempt]]) -> None:
    store, attempts = uploads
    numbers = sorted(one.id for one in attempts)
    for after, size in product([LOWEST, 0, *numbers[::9], numbers[-1]], (1, 2, 10**6)):
        part = [number for number in numbers if number > after][:size]
        (found,) = ask(store, "report.get_last_upload_of_part", after=after, size=size)
        assert found == (max(part, default=None),)
    for after, last in [(0, 10**6), *zip(numbers[::9], numbers[9::9], strict=False)]:
        for first_day in ("", "2025-06-02T12:00:00"):
            bounds = {"after": after, "last": last, "first_day": first_day}
            assert Counter(ask(store, "report.list_attempts_of_part", **bounds)) == Counter(
                (one.destination, one.success, one.micros)
                for one in attempts
                if after < one.id <= last and one.time >= first_day
            )


# -- instruments and users -------------------------------------------------------------


PIDS = ("M", "A", "Z", "B")


def some_instruments() -> list[Instrument]:
    """Not in the order of their PIDs, nor of any other column."""
    return [
        instrument(pid, display_name=f"Scope {pid}", timezone_str=zone)
        for pid, zone in zip(PIDS, ("UTC", "Europe/Berlin", "Asia/Tokyo", "UTC"), strict=True)
    ]


def test_instruments(each_store: str) -> None:
    with memory_store(*some_instruments()) as store:
        rows = {one.instrument_pid: tuple(one.to_dict().values()) for one in some_instruments()}
        assert ask(store, "instruments.list_instruments") == [rows[pid] for pid in sorted(rows)]
        assert ask(store, "report.list_pids") == [(pid,) for pid in sorted(rows)]
        for one in some_instruments():
            pid = {"instrument_pid": one.instrument_pid}
            row = [rows[one.instrument_pid]]
            assert ask(store, "instruments.get_instrument", **pid) == row
            url = {"api_url": one.api_url}
            assert ask(store, "instruments.get_instrument_by_api_url", **url) == row
            assert ask(store, "instruments.get_timezone", **pid) == [(one.timezone_str,)]
            assert ask(store, "report.get_instrument_name", **pid) == [(one.display_name,)]
            as_blob = {"instrument_pid": one.instrument_pid.encode()}
            found = ask(store, "doctor.get_zone_of_instrument", **as_blob)
            assert found == [(one.timezone_str,)]
        for statement in ("get_instrument", "get_timezone"):
            assert ask(store, f"instruments.{statement}", instrument_pid="no") == []


def test_users(each_store: str) -> None:
    systems = (ExternalSystem.NEMO, ExternalSystem.CDCS, ExternalSystem.LABARCHIVES_ELN)
    with memory_store() as store:
        rows = []
        for user, system in (*product(("mia", "zoe", "ann"), systems), ("bob", systems[1])):
            stored = store.external_ids.store(user, system, f"{user}@{system.value}", notes=user)
            text = stored.created_at.isoformat()
            row = (user, system.value, stored.external_id, None, text, None, user, stored.id)
            rows.append(row)
        # PostgreSQL moves a row that is changed behind the others.
        run(store, "UPDATE external_user_identifiers SET notes = 'zoe' WHERE id = 5")
        rows.sort()
        assert ask(store, "external_user_identifiers.list_external_ids") == rows
        for user in ("ann", "bob", "nobody"):
            name = {"nexuslims_username": user}
            found = ask(store, "external_user_identifiers.list_external_ids_of_user", **name)
            assert found == [row for row in rows if row[0] == user]
            for system in systems:
                both = name | {"external_system": system}
                found = ask(store, "external_user_identifiers.get_external_id", **both)
                assert found == [(row[2],) for row in rows if row[:2] == (user, system)]
                identifier = {"external_id": f"{user}@cdcs", "external_system": system}
                found = ask(store, "external_user_identifiers.find_username", **identifier)
                assert found == [
                    (user,) for row in rows if row[:2] == (user, system) and system == "cdcs"
                ]


class UndoError(Exception):
    """Raised at the end of a transaction that was only to be looked at."""


def change(
    store: Store, table: str, statement: str, **parameters: object
) -> tuple[int, set[tuple[Any, ...]]]:
    """How many rows a statement changes, and all of the table as it leaves them; then undo it."""
    file, name = statement.split(".")
    with suppress(UndoError), store.transaction():
        number = store._database.change(queries.load(f"{file}.sql")[name], parameters)
        cursor: Any = store.connection.cursor()
        cursor.execute(f"SELECT * FROM {table}")
        rows = {tuple(row) for row in cursor.fetchall()}
        raise UndoError
    return number, rows


def test_users_that_change(each_store: str) -> None:
    table, file = "external_user_identifiers", "external_user_identifiers"
    rows = [
        (number, user, system, f"{user}@{system}", f"{user}@x", "2025", None, "old")
        for number, (user, system) in enumerate(product(("ann", "bob"), ("nemo", "cdcs")), 1)
    ]
    row = rows[1]
    others = {*rows} - {row}
    place = {"nexuslims_username": "ann", "external_system": "cdcs"}
    with memory_store() as store:
        run(
            store,
            f"INSERT INTO {table} (id, nexuslims_username, external_system, external_id, email,"
            " created_at, last_verified_at, notes) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            *rows,
        )
        found = change(store, table, f"{file}.remove_external_id", **place)
        assert found == (1, others)
        found = change(store, table, f"{file}.move_external_id", **place, new_username="zoe")
        assert found == (1, others | {(2, "zoe", *row[2:])})
        found = change(store, table, f"{file}.set_external_id_aside", **place, set_aside="-")
        assert found == (1, others | {(*row[:3], "-2", *row[4:])})
        new = {**place, "external_id": "new", "now": "now"}
        for email, notes in product(("e", None), ("n", None)):
            changed = (*row[:3], "new", email or "ann@x", "2025", "now", notes or "old")
            for statement in ("update_external_id", "store_external_id"):
                values = new | {"email": email, "notes": notes}
                found = change(store, table, f"{file}.{statement}", **values)
                assert found[1] == others | {changed}


def test_instruments_that_change(each_store: str) -> None:
    columns = ", ".join(Instrument.model_fields).replace("timezone_str", "timezone")
    with memory_store(*some_instruments()) as store:
        rows = {one.instrument_pid: tuple(one.to_dict().values()) for one in some_instruments()}
        table = f"(SELECT {columns} FROM instruments) AS one"
        pid = {"instrument_pid": "Z"}
        others = {row for name, row in rows.items() if name != "Z"}
        found = change(store, table, "instruments.remove_instrument", **pid)
        assert found == (1, others)
        found = change(store, table, "instruments.rename_instrument", **pid, new_pid="Y")
        assert found == (1, others | {("Y", *rows["Z"][1:])})
        found = change(store, table, "instruments.set_api_url_aside", **pid, set_aside="-")
        assert found == (1, others | {("Z", "-Z", *rows["Z"][2:])})
        names = [name.replace("timezone_str", "timezone") for name in Instrument.model_fields]
        values = dict(zip(names, ["Z", *(f"new {name}" for name in names[1:])], strict=True))
        found = change(store, table, "instruments.update_instrument", **values)
        assert found == (1, others | {tuple(values.values())})


def test_uploads_that_go(uploads: tuple[Store, list[Attempt]]) -> None:
    store, attempts = uploads
    table = "(SELECT id FROM upload_log) AS one"
    name = {"session_identifier": "s1"}
    number, left = change(store, table, "upload_log.delete_uploads_of_session", **name)
    assert left == {(one.id,) for one in attempts if one.session != "s1"}
    assert number == len(attempts) - len(left) > 0


# -- the doctor's ----------------------------------------------------------------------


def lots(store: Store, table: str, numbers: list[int]) -> None:
    """Ask for lots of a table that has these numbers for its rows, the first column of each."""
    for first, number in product([LOWEST, 0, *numbers, numbers[-1] + 1], (1, 2, 10**6)):
        lot = {"first_rowid": first, "number": number}
        rows = ask(store, f"doctor.list_{table}_rows", **lot)
        assert [row[0] for row in rows] == [one for one in numbers if one >= first][:number]
        assert table == "instruments" or all(row[0] == row[-1] for row in rows)
    assert ask(store, f"doctor.get_last_rowid_of_{table}") == [(numbers[-1],)]


def test_the_lots_that_the_doctor_reads(each_store: str) -> None:
    numbers = [12, 5, 40, 41, 7]
    with memory_store(*some_instruments()) as store:
        for number in numbers:
            run(
                store,
                "INSERT INTO session_log (id_session_log, session_identifier, instrument,"
                " timestamp, event_type, record_status)"
                f" VALUES ({number}, 's', 'M', 'now', 'START', 'ERROR')",
            )
            run(
                store,
                "INSERT INTO upload_log (id, session_identifier, destination_name, success,"
                f" timestamp) VALUES ({number}, 's', 'cdcs', TRUE, 'now')",
            )
            run(
                store,
                "INSERT INTO external_user_identifiers (id, nexuslims_username, external_system,"
                f" external_id, created_at) VALUES ({number}, 'u{number}', 'nemo', {number}, '')",
            )
        for table in ("session_log", "upload_log", "external_user_identifiers"):
            lots(store, table, sorted(numbers))
        lots(store, "instruments", [1, 2, 3, 4])
        pids = PIDS if store.url is None else sorted(PIDS)
        rows = ask(store, "doctor.list_instruments_rows", first_rowid=0, number=9)
        assert [row[1] for row in rows] == [*pids]


@pytest.mark.only_sqlite("the copy is in a database of SQLite's, whatever is examined")
def test_events_that_do_not_fit_together(each_store: str) -> None:
    dice = random.Random(7)
    events = ["START", "END", "RECORD_GENERATION", None]
    rows = [
        (number, f"s{dice.randrange(9)}", dice.choice("ABC"), dice.choice(events))
        for number in dice.sample(range(1, 200), 80)
    ]
    uploads = [(number, f"s{dice.randrange(20)}", "cdcs") for number in dice.sample(range(99), 20)]
    statements = queries.load("doctor.sql")
    with closing(sqlite3.connect(":memory:")) as copy:
        copy.execute(statements.make_copy_of_events)
        copy.execute(statements.make_copy_of_uploads)
        for number, session, pid, event in rows:
            copy.execute(
                statements.copy_event,
                {
                    "id_session_log": number,
                    "session_identifier": session,
                    "instrument": pid,
                    "event_type": event,
                },
            )
        for number, session, destination in uploads:
            copy.execute(
                statements.copy_upload,
                {"id": number, "session_identifier": session, "destination_name": destination},
            )
        repeated = copy.execute(statements.list_repeated_events).fetchall()
        shared = copy.execute(statements.list_shared_identifiers).fetchall()
        orphaned = copy.execute(statements.list_orphaned_uploads).fetchall()
    counted = [row for row in rows if row[3] in {"START", "END"}]
    found: list[tuple[Any, ...]] = []
    for key, some in groupby(sorted(counted, key=lambda row: row[1:]), key=lambda row: row[1:]):
        ids = {row[0] for row in some}
        if len(ids) > 1:
            found.append((*key, len(ids), max(ids), ids))
    assert [(*row[:-1], {*map(int, row[-1].split(", "))}) for row in repeated] == sorted(
        found, key=lambda row: row[4]
    )
    found = []
    for session, some in groupby(sorted(counted, key=lambda row: row[1]), key=lambda row: row[1]):
        mine = list(some)
        pids = {row[2] for row in mine}
        if len(pids) > 1:
            found.append((session, min(pids), max(pids), max(row[0] for row in mine)))
    assert shared == sorted(found, key=lambda row: row[3])
    known = {row[1] for row in rows}
    assert orphaned == sorted(row for row in uploads if row[1] not in known)
    assert min(len(repeated), len(shared), len(orphaned)) > 4
