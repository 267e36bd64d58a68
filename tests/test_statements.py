"""What the statements on sessions answer, asked of themselves: that of plain models, on odd rows.

Whoever calls them would hide much: that a statement looks at more rows than are needed, that it is
asked once more, in which order it finds what is sorted later.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import astuple, replace
from datetime import UTC, datetime
from functools import partial
from itertools import cycle, pairwise, product
from typing import Any

import pytest
from helpers.odd_sessions import ZONES, Known, Model, Row
from helpers.support import ask, instrument, memory_store, run

from nexuslims_store import RecordStatus, Store, queries
from nexuslims_store.repository.views import with_views

pytestmark = pytest.mark.usefixtures("each_store")

FAILED = ("ERROR", "BUILT_NOT_EXPORTED")
OPEN = ("WAITING_FOR_END", "TO_BE_BUILT")
WITHOUT_CONSENT = ("NO_CONSENT", "NO_RESERVATION")
# Some are one instant in several forms; some order otherwise as text than in time.
TIMES = (
    *("2025-11-02T09:00:00+00:00", "2025-11-02T04:00:00-05:00", "2025-11-02T10:00:00"),
    *("2025-11-02T01:30:00", "2025-11-02T01:30:00-05:00", "2025-11-02T01:10:00"),
    *("2025-11-02T08:59:59.999999+00:00", "2025-11-01T23:00:00-04:00", "2025-11-03 00:30:00Z"),
    *("2025-11-02T12:00:00+01:00", "2025-11-02T20:00:00+14:00", "20251102T070000Z", "soon"),
)
STATUSES = ["TO_BE_BUILT"] * 7 + ["WAITING_FOR_END"] * 2 + [one.value for one in RecordStatus]
EVENTS = (
    *(("START", "END"), ("START", "END"), ("START", "END"), ("END", "START"), ("START",), ("END",)),
    *(("START", "START", "END"), ("START", "END", "END"), ("END", "END")),
    ("RECORD_GENERATION",),
)
# What another instrument has of the same name is of no session of A's, nor is what waits a claim.
BESIDE = [
    *(Row("90/id=1", "A", TIMES[0], event, "TO_BE_BUILT", None) for event in ("START", "END")),
    *(Row("90/id=1", "B", TIMES[1], "RECORD_GENERATION", status) for status in ("ERROR", *OPEN)),
    *(Row("91/id=1", "A", TIMES[0], event, "ERROR", None) for event in ("START", "END")),
    *(Row("91/id=1", "B", TIMES[1], event, "NO_CONSENT", "ann") for event in ("START", "END")),
    *(Row("92/id=1", "A", TIMES[0], event, "WAITING_FOR_END", None) for event in ("START", "END")),
    *(Row("92/id=1", "A", TIMES[1], event, "TO_BE_BUILT", None) for event in ("START", "END")),
    *(Row("93/id=1", "A", TIMES[1], event, "TO_BE_BUILT", None) for event in ("START", "END") * 2),
]
SEED = 1
LOWEST, HIGHEST = -(2**62), 2**60  # instants before and after all others
IDENTIFIERS = [f"{number * 37 % 30:02}/id={number % 10}" for number in range(30)] + [
    "90/id=1",
    "91/id=1",
]


def odd_rows(seed: int) -> dict[int, Row]:
    """Some hundred rows with gaps between their ids: what is of one session is of one kind."""
    dice = random.Random(seed)
    found: list[Row] = []
    for session, pid in product(IDENTIFIERS[:30], ["A", "B", "no"]):
        if dice.random() < (0.2 if pid == "A" else 0.7):
            continue
        status = dice.choice(STATUSES)
        claims = dice.choice([[], ["RECORD_GENERATION"], ["RECORD_GENERATION"] * 2])
        for event in (*dice.choice(EVENTS), *claims):
            own = status if dice.random() < 0.7 else dice.choice(STATUSES)
            if event == "RECORD_GENERATION" and dice.random() < 0.6:
                own = "WAITING_FOR_END"
            user = dice.choice([None, "ann", "bob"])
            found.append(Row(session, pid, dice.choice(TIMES), event, own, user))
    dice.shuffle(found)
    found = [*BESIDE, *found]
    ids = sorted(dice.sample(range(1, 3 * len(found)), len(found)))
    return dict(zip(ids, found, strict=True))


@pytest.fixture
def asked(each_store: str) -> Iterator[tuple[Store, Model]]:
    """A store that holds odd rows, and the model of them."""
    rows = odd_rows(SEED)
    pids = {"B": "Scope", "A": "Other", "unused": ""}
    instruments = [
        instrument(pid, display_name=name, timezone_str=ZONES.get(pid, "UTC"))
        for pid, name in pids.items()
    ]
    with memory_store(*instruments) as store:
        unchecked = "PRAGMA foreign_keys = OFF"
        run(store, unchecked if store.url is None else "SET session_replication_role = replica")
        numbers = list(rows)
        random.Random(3).shuffle(numbers)  # PostgreSQL has them in the order of their coming
        insert(store, [(number, rows[number]) for number in numbers])
        if store.url is not None:
            run(store, "ALTER TABLE session_log ALTER COLUMN id_session_log RESTART WITH 10000")
        yield store, Model(rows)


def insert(store: Store, rows: Sequence[tuple[int, Row]]) -> None:
    run(
        store,
        'INSERT INTO session_log (id_session_log, session_identifier, instrument, "timestamp",'
        ' event_type, record_status, "user") VALUES (?, ?, ?, ?, ?, ?, ?)',
        *((n, r.session, r.instrument, r.time, r.event, r.status, r.user) for n, r in rows),
    )


class UndoError(Exception):
    """Raised at the end of a transaction that was only to be looked at."""


# -- what the model says ---------------------------------------------------------------


def in_time(model: Model, numbers: Sequence[int]) -> list[int]:
    """Ids in the order of their instants, those that have none before all others."""
    return sorted(numbers, key=lambda number: (model.micros(number) or 0, number))


def is_of(one: Row, **values: str) -> bool:
    return all(getattr(one, name) == value for name, value in values.items())


def whole_row(model: Model, number: int) -> tuple[object, ...]:
    one = model.rows[number]
    return (one.session, one.instrument, one.time, one.event, one.status, one.user, number)


def user(model: Model, known: Known) -> str | None:
    """That of the START, else of the END."""
    users = [model.rows[number].user for number in (known.start, known.end) if number]
    return next((one for one in users if one), None)


def time(model: Model, number: int | None) -> str | None:
    return None if number is None else model.rows[number].time


def pair(model: Model, known: Known) -> tuple[object, ...]:
    return (
        *(known.session, known.instrument, known.start, known.end),
        *(time(model, known.start), time(model, known.end), user(model, known)),
    )


def started(model: Model) -> list[Known]:
    """The sessions that have a START, by its id."""
    found = [known for known in model.sessions.values() if known.start]
    return sorted(found, key=lambda known: known.start or 0)


def of_kind(model: Model, event: str, *statuses: str) -> list[int]:
    """The rows of an event in one of some statuses, or in any."""
    return [
        number
        for number, one in model.rows.items()
        if one.event == event and (not statuses or one.status in statuses)
    ]


def builds(model: Model, known: Known, *statuses: str) -> list[int]:
    return [
        number
        for number in of_kind(model, "RECORD_GENERATION", *statuses)
        if (model.rows[number].session, model.rows[number].instrument)
        == (known.session, known.instrument)
    ]


def instants(model: Model) -> list[int]:
    """All that there are, and one that is later."""
    return [*moments(model, model.rows), HIGHEST]


def moments(model: Model, numbers: Iterable[int]) -> list[int]:
    """The instants of some rows, each once."""
    found = (model.micros(number) for number in numbers)
    return sorted({micros for micros in found if micros is not None})


# -- events ----------------------------------------------------------------------------


def test_events_in_the_order_of_time(asked: tuple[Store, Model]) -> None:
    store, model = asked

    def rows(wanted: Callable[[Row], bool]) -> list[tuple[object, ...]]:
        chosen = [number for number, one in model.rows.items() if wanted(one)]
        return [whole_row(model, number) for number in in_time(model, chosen)]

    assert ask(store, "session_log.list_all_logs") == rows(lambda one: True)
    to_be_built = rows(lambda one: one.status == "TO_BE_BUILT")
    assert ask(store, "session_log.list_logs_to_be_built") == to_be_built
    for status in RecordStatus:
        found = ask(store, "session_log.list_logs_by_status", record_status=status.value)
        assert found == rows(partial(is_of, status=status))
    for session in IDENTIFIERS:
        name = {"session_identifier": session}
        expected = rows(partial(is_of, session=session))
        assert ask(store, "session_log.list_logs_of_session", **name) == expected
        shown = ask(store, "overview.list_events_of_session", **name)
        assert [(row[0], row[1], row[2], row[3], row[4], row[5]) for row in shown] == [
            (row[2], row[1], row[3], row[4], row[5], row[6]) for row in expected
        ]
        for row in shown:
            assert row[6:] == (ZONES.get(row[1]), model.micros(row[5]))


def test_single_events(asked: tuple[Store, Model]) -> None:
    store, model = asked
    assert ask(store, "session_log.count_session_logs") == [(len(model.rows),)]
    assert ask(store, "session_log.get_last_id") == [(max(model.rows),)]
    for number in range(0, max(model.rows) + 3, 3):
        found = ask(store, "session_log.get_session_log", id_session_log=number)
        assert found == ([whole_row(model, number)] if number in model.rows else [])
    for session, pid in product(IDENTIFIERS, ("A", "B", "no")):
        for event in ("START", "END", "RECORD_GENERATION"):
            place = (session, pid, event)
            same = [n for n, r in model.rows.items() if place == (r.session, r.instrument, r.event)]
            asking = {"session_identifier": session, "instrument": pid, "event_type": event}
            assert ask(store, "session_log.get_event", **asking) == [
                whole_row(model, number) for number in same[-1:]
            ]
    newest = max(of_kind(model, "RECORD_GENERATION"))
    last = model.rows[newest]
    assert ask(store, "overview.get_last_build") == [(last.time, ZONES.get(last.instrument))]
    for pid in ("A", "no", "nobody"):
        found = ask(store, "instruments.count_logs_of_instrument", instrument_pid=pid)
        assert found == [(sum(one.instrument == pid for one in model.rows.values()),)]


def test_identifiers_by_their_end(asked: tuple[Store, Model]) -> None:
    store, model = asked
    stored = {one.session for one in model.rows.values()}
    for ending in ("=1", "id=3", "/id=3", "1/id=3", "7", "x", "2/id=30"):
        matching = {session for session in stored if session.endswith(ending)}
        for number in (1, 2, 99):
            found = ask(store, "overview.list_identifiers_ending", ending=ending, number=number)
            assert len({session for (session,) in found}) == len(found)
            assert {session for (session,) in found} <= matching
            assert len(found) == min(number, len(matching))


# -- sessions --------------------------------------------------------------------------


def test_pairs(asked: tuple[Store, Model]) -> None:
    store, model = asked
    for session in IDENTIFIERS:
        mine = [known for known in started(model) if known.session == session]
        name = {"session_identifier": session}
        assert ask(store, "session_log.list_pairs_of_session", **name) == [
            pair(model, known) for known in reversed(mine)
        ]
        assert ask(store, "session_log.list_whole_sessions", **name) == [
            (known.start, model.status(known.start)) for known in mine if known.end
        ]
    for known in started(model):
        statuses = {
            one.status
            for one in model.rows.values()
            if (one.session, one.instrument) == (known.session, known.instrument)
        }
        assert ask(store, "session_log.list_statuses", start_id=known.start) == [
            (status,) for status in sorted(statuses)
        ]
    ordered = sorted(
        started(model), key=lambda known: (model.micros(known.start) or 0, known.start)
    )
    edges = instants(model)
    for earliest, latest in [*pairwise(edges), (edges[0], edges[-1])]:
        assert ask(store, "session_log.list_pairs_between", earliest=earliest, latest=latest) == [
            (
                *pair(model, known),
                *(model.status(known.start), ZONES.get(known.instrument), began),
            )
            for known in ordered
            if known.end and (began := model.micros(known.start)) and earliest <= began < latest
        ]
    counts = Counter(model.status(known.start) for known in started(model))
    assert ask(store, "session_log.count_sessions_by_status") == sorted(counts.items())


def test_what_is_to_be_built(asked: tuple[Store, Model]) -> None:
    store, model = asked
    expected = []
    for known in model.sessions.values():
        # The newest of each that waits, if it is the newest of all.
        start, end = (
            number if number and model.status(number) == "TO_BE_BUILT" else None
            for number in (known.start, known.end)
        )
        if start or end:
            waiting = Known(known.session, known.instrument, start, end)
            expected.append((model.micros(start) or 0, start or 0, pair(model, waiting)))
    expected.sort(key=lambda one: one[:2])
    undated = sum(micros == 0 for micros, _, _ in expected)
    found = ask(store, "session_log.list_pairs_to_build")
    assert sorted(map(str, found[:undated])) == sorted(str(row) for *_, row in expected[:undated])
    assert found[undated:] == [row for *_, row in expected[undated:]]
    starts = sorted(
        (micros, number)
        for number in of_kind(model, "START", "TO_BE_BUILT")
        if (micros := model.micros(number)) is not None
    )
    for after, number in product([(LOWEST, 0), *starts], (1, 3, 10, 10**6)):
        later = [
            (*one, model.rows[one[1]].session, model.rows[one[1]].instrument)
            for one in starts
            if one > after
        ]
        bounds = {"after_instant": after[0], "after_id": after[1], "number": number}
        assert ask(store, "session_log.list_oldest_starts", **bounds) == later[:number]
    ends = sorted(
        (ended, known.session, known.instrument)
        for known in started(model)
        if model.status(known.start) == model.status(known.end) == "TO_BE_BUILT"
        and (began := model.micros(known.start)) is not None
        and (ended := model.micros(known.end)) is not None
        and began <= ended
        and len(builds(model, known)) == len(builds(model, known, "WAITING_FOR_END"))
    )
    with suppress(UndoError), store.transaction():
        # One after the other is the first.
        for ended, *place in ends:
            assert ask(store, "overview.get_waiting_since") == [(ended,)]
            run(store, DELETE_STARTS, (*place,))
        assert ask(store, "overview.get_waiting_since") == [(None,)]
        raise UndoError


def test_the_oldest_starts_of_many_years(each_store: str) -> None:
    dice = random.Random(11)
    forms = (
        *("%Y-%m-%dT%H:%M:%S+00:00", "%Y-%m-%dT%H:%M:%S-11:00", "%Y-%m-%dT%H:%M:%S"),
        *("%Y%m%dT%H%M%S+14:00", "%Y-%m-%d %H:%M:%SZ"),
    )
    rows: dict[int, Row] = {}
    for number in range(1, 121):
        day = datetime(dice.choice([1999, 2024, 2025, 2025, 2026, 2150]), dice.randint(1, 12), 3)
        text = day.strftime(dice.choice(forms))
        event, status = dice.choice(["START", "END"]), dice.choice(["TO_BE_BUILT", "COMPLETED"])
        rows[number] = Row(f"{number * 37 % 121:03}", "A", text, event, status)
    model = Model(rows)
    starts = sorted(
        (model.micros(number) or 0, number) for number in of_kind(model, "START", "TO_BE_BUILT")
    )
    with memory_store(instrument("A", timezone_str=ZONES["A"])) as store:
        insert(store, list(rows.items()))
        for after, number in product([(LOWEST, 0), *starts], (1, 2, 4, 9, 200)):
            bounds = {"after_instant": after[0], "after_id": after[1], "number": number}
            found = ask(store, "session_log.list_oldest_starts", **bounds)
            assert [row[:2] for row in found] == [one for one in starts if one > after][:number]


def test_claims(asked: tuple[Store, Model]) -> None:
    store, model = asked
    starts = of_kind(model, "START")
    for number in [*starts, *sorted(model.rows.keys() - starts)[::5]]:
        one = model.rows[number]
        known = model.sessions[one.session, one.instrument]
        claimed_at = moments(model, builds(model, known, "WAITING_FOR_END"))
        spans = [(LOWEST, HIGHEST)] if known.start == number else [(LOWEST, LOWEST)]
        for moment in claimed_at if known.start == number else ():
            spans += [(moment - 1, moment), (moment, HIGHEST), (LOWEST, moment - 1)]
        for start, end in spans:
            claimed = any(start < moment <= end for moment in claimed_at)
            lease = {"start_id": number, "lease_start": start, "lease_end": end}
            (found,) = ask(store, "session_log.is_claimed", **lease)
            assert bool(found[0]) is claimed
            good = known.start == number and {model.status(number), model.status(known.end)} == {
                "TO_BE_BUILT"
            }
            assert ask(store, "session_log.get_pair_to_build", **lease) == (
                [pair(model, known)] if good and not claimed else []
            )
    newest = {}
    for known in model.sessions.values():
        waiting = builds(model, known, "WAITING_FOR_END")
        if waiting and model.status(known.start) in {None, *OPEN}:
            newest[waiting[-1]] = known
    for number in [*of_kind(model, "RECORD_GENERATION"), *of_kind(model, "END")[:9]]:
        one = model.rows[number]
        mine = [(one.time,)] if number in newest else []
        claim = {"claim_id": number, "instrument": one.instrument}
        named = ask(store, "session_log.get_claim", session_identifier=one.session, **claim)
        assert named == mine
        assert ask(store, "session_log.get_claim", session_identifier="other", **claim) == []
        claim |= {"session_identifier": one.session, "instrument": "other"}
        assert ask(store, "session_log.get_claim", **claim) == []
    assert ask(store, "session_log.list_claims") == [
        (known.session, known.instrument, number, model.rows[number].time,
         ZONES.get(known.instrument))
        for number, known in sorted(newest.items())
        if model.status(known.start) == model.status(known.end) == "TO_BE_BUILT"
    ]  # fmt: skip


def test_all_sessions_whole_or_not(asked: tuple[Store, Model]) -> None:
    store, model = asked

    def overview(known: Known) -> tuple[Any, ...]:
        leader = known.start or known.end or known.other
        return (
            *(known.session, known.instrument, time(model, known.start), time(model, known.end)),
            *(user(model, known), model.status(leader), ZONES.get(known.instrument)),
            *(model.micros(known.start or known.end), leader),
        )

    expected = sorted(map(overview, model.sessions.values()), key=lambda row: (row[7] or 0, row[8]))
    assert ask(store, "session_log.list_overviews") == expected
    for session in IDENTIFIERS:
        assert ask(
            store, "session_log.list_overviews_of_session", session_identifier=session
        ) == sorted((row for row in expected if row[0] == session), key=lambda row: row[8])
    for earliest, day in product(instants(model), ("", "2025-11-02T04:00:00-05:00")):
        assert ask(store, "session_log.list_overviews_since", earliest=earliest, day=day) == [
            row
            for row in expected
            if row[7] is not None and row[7] >= earliest and model.rows[row[8]].time >= day
        ]
    by_id = started(model)
    for number in (1, 2, 5, len(by_id), 10**6):
        recent = [model.micros(known.start) for known in by_id[-number:]]
        dated = [micros for micros in recent if micros is not None]
        (found,) = ask(store, "session_log.get_began_of_recent", number=number)
        assert found == (min(dated, default=None),)


def test_what_failed_and_how_much_is_used(asked: tuple[Store, Model]) -> None:
    store, model = asked
    for since in (LOWEST, *instants(model)):
        sessions: Counter[str] = Counter()
        retriable: Counter[str] = Counter()
        for known in started(model):
            status, ended = model.status(known.start), model.micros(known.end)
            if status in FAILED and (ended is None or ended >= since):
                sessions[status] += 1
                retriable[status] += (
                    model.micros(known.start) is not None
                    and known.end is not None
                    and not any(
                        one.status in WITHOUT_CONSENT
                        for one in model.rows.values()
                        if (one.session, one.instrument) == (known.session, known.instrument)
                    )
                )
        found = ask(store, "overview.count_failed_sessions", since=since)
        assert sorted(found) == [(s, sessions[s], retriable[s]) for s in sorted(sessions)]
    used = []
    for pid in ("A", "B", "unused"):
        mine = [known for known in started(model) if known.instrument == pid]
        dated = [micros for known in mine if (micros := model.micros(known.start)) is not None]
        used.append((pid, len(mine), max(dated, default=None), ZONES.get(pid, "UTC")))
    assert ask(store, "instruments.list_activity") == used


def test_the_parts_of_a_report(asked: tuple[Store, Model]) -> None:
    store, model = asked
    numbers = sorted(model.rows)
    for after, size in product([LOWEST, 0, *numbers[::5], numbers[-1]], (1, 2, 10**6)):
        (found,) = ask(store, "report.get_last_session_log_of_part", after=after, size=size)
        part = [number for number in numbers if number > after][:size]
        assert found == (max(part, default=None),)
    a_time = "2025-11-02T04:00:00-05:00"
    for step, first_day in ((2, ""), (9, a_time), (10**6, a_time), (10**6, "2025-11-03")):
        for after, last in zip([0, *numbers[::step]], [*numbers[::step], 10**6], strict=True):
            bounds = {"after": after, "last": last, "first_day": first_day}
            inside = [known for known in started(model) if after < (known.start or 0) <= last]
            assert sorted(ask(store, "report.list_sessions_of_part", **bounds)) == [
                (
                    *(known.start, known.session, known.instrument, user(model, known)),
                    *(model.status(known.start), ZONES.get(known.instrument)),
                    *(model.micros(known.start), model.micros(known.end)),
                    model.micros(known.other),
                )
                for known in inside
                if (time(model, known.start) or "") >= first_day
                or model.status(known.start) in FAILED
            ]
            assert Counter(ask(store, "report.list_builds_of_part", **bounds)) == Counter(
                (model.status(known.start), model.micros(known.other))
                for known in started(model)
                if known.other
                and after < known.other <= last
                and model.rows[known.other].time >= first_day
            )


# -- what changes rows -----------------------------------------------------------------


DELETE_STARTS = """
    DELETE FROM session_log
    WHERE session_identifier = ? AND instrument = ? AND event_type = 'START'
"""
ALL_ROWS = """
    SELECT
        session_identifier, instrument, timestamp, event_type, record_status, "user", id_session_log
    FROM session_log
"""


def change(store: Store, name: str, **parameters: object) -> tuple[object, dict[int, Row]]:
    """What a statement gives, and all rows as it leaves them; then it is undone.

    It gives the rows that it returns, else how many it changes.
    """
    with suppress(UndoError), store.transaction():
        sql = queries.load("session_log.sql")[name]
        database = with_views(store._database)
        given: object = (
            [tuple(row) for row in database.rows(sql, parameters)]
            if "RETURNING" in sql
            else database.change(sql, parameters)
        )
        cursor: Any = store.connection.cursor()
        cursor.execute(ALL_ROWS)
        rows = {row[-1]: Row(*row[:-1]) for row in cursor.fetchall()}
        raise UndoError
    return given, rows


def with_status(model: Model, status: str, wanted: Callable[[Row], bool]) -> tuple[int, object]:
    """What becomes of all rows where those that are wanted get a status that they have not."""
    rows = {
        number: replace(one, status=status) if wanted(one) else one
        for number, one in model.rows.items()
    }
    return sum(rows[number] != one for number, one in model.rows.items()), rows


def without(model: Model, wanted: Callable[[Row], bool]) -> tuple[int, object]:
    """What is left without the rows that are wanted."""
    rows = {number: one for number, one in model.rows.items() if not wanted(one)}
    return len(model.rows) - len(rows), rows


def test_statuses_that_are_set(asked: tuple[Store, Model]) -> None:
    store, model = asked
    for session, status in product(IDENTIFIERS[::7], ("ERROR", "TO_BE_BUILT")):
        name = {"session_identifier": session, "record_status": status}
        of_session = partial(is_of, session=session)
        assert change(store, "set_status", **name) == with_status(model, status, of_session)
        for expected in ("TO_BE_BUILT", "WAITING_FOR_END", "ERROR"):
            wanted = partial(is_of, session=session, status=expected)
            found = change(store, "set_status_from", **name, expected=expected)
            assert found == with_status(model, status, wanted)
        for pid in ("A", "B"):
            wanted = partial(is_of, session=session, instrument=pid)
            found = change(store, "finish_session", **name, instrument=pid)
            assert found == with_status(model, status, wanted)
    for number in of_kind(model, "START")[::6]:
        one = model.rows[number]
        wanted = partial(is_of, session=one.session, instrument=one.instrument)
        found = change(store, "reset_session", start_id=number)
        assert found == with_status(model, "TO_BE_BUILT", wanted)


def test_rows_that_go_or_move(asked: tuple[Store, Model]) -> None:
    store, model = asked
    for session in IDENTIFIERS[::4]:
        found = change(store, "delete_session", session_identifier=session)
        assert found == without(model, partial(is_of, session=session))
    for number in sorted(model.rows)[::9]:
        one = model.rows[number]
        found = change(store, "remove_session_log", id_session_log=number)
        assert found == (1, {n: row for n, row in model.rows.items() if n != number})
        found = change(store, "renew_claim", id_session_log=number, timestamp="now")
        assert found == (1, model.rows | {number: replace(one, time="now")})


def test_events_that_are_inserted_once(asked: tuple[Store, Model]) -> None:
    store, model = asked
    events = ("START", "END", "RECORD_GENERATION")
    for session, pid, event in product(IDENTIFIERS[::7], ("A", "B"), events):
        new = Row(session, pid, "now", event, "ERROR", "ann")
        values = {
            "session_identifier": session,
            "instrument": pid,
            "timestamp": "now",
            "event_type": event,
            "record_status": "ERROR",
            "user": "ann",
        }
        there = any(
            (one.session, one.instrument, one.event) == (session, pid, event)
            for one in model.rows.values()
        )
        inserted = not there or event == "RECORD_GENERATION"
        for name in ("insert_event", "insert_events"):
            given, rows = change(store, name, **values)
            added = {number: one for number, one in rows.items() if number not in model.rows}
            assert list(added.values()) == [new] * inserted
            assert name == "insert_events" or given == [(number,) for number in added]
            assert len(rows) == len(model.rows) + inserted


def test_events_that_are_corrected(asked: tuple[Store, Model]) -> None:
    store, model = asked
    kinds = product(("WAITING_FOR_END", "TO_BE_BUILT"), ("ann", None), (False, True))
    for kind, known in zip(cycle(kinds), model.sessions.values(), strict=False):
        for event, number in (("START", known.start), ("END", known.end)):
            one = model.rows[number] if number else None
            as_it_is = [(one.status, one.user, False)] if one and one.status in OPEN else []
            for status, user, late in (kind, *as_it_is):
                instant = (model.micros(number) or 0) + late
                values = {
                    "session_identifier": known.session,
                    "instrument": known.instrument,
                    "event_type": event,
                    "record_status": status,
                    "user": user,
                    "timestamp": "now",
                    "instant": instant,
                }
                expected, returned = dict(model.rows), []
                if number and one and one.status in OPEN:
                    moved = model.micros(number) != instant
                    waits = one.status == "WAITING_FOR_END" != status
                    if moved or waits or one.user != user:
                        expected[number] = replace(
                            one,
                            time="now" if moved else one.time,
                            status="TO_BE_BUILT" if waits else one.status,
                            user=user,
                        )
                        returned = [(*astuple(expected[number]), number)]
                assert change(store, "correct_event", **values) == (returned, expected)


LATE, EARLY = "2025-11-02T01:45:00-05:00", "2025-11-02T00:30:00"


@pytest.mark.parametrize(("starts", "hour"), [((EARLY, LATE), 6), ((LATE, EARLY), 5)])
def test_an_end_of_a_repeated_hour_is_not_before_the_newest_start(
    each_store: str, starts: tuple[str, str], hour: int
) -> None:
    others = [("s", "B", "START"), ("t", "A", "START"), ("s", "A", "RECORD_GENERATION")]
    found = [
        *(Row("s", "A", time, "START", "ERROR") for time in starts),
        *(Row(session, pid, starts[0], event, "ERROR") for session, pid, event in others),
        Row("s", "A", "2025-11-02T01:50:00", "END", "ERROR"),
    ]
    zoned = (instrument(pid, timezone_str=ZONES["A"], display_name=pid) for pid in "AB")
    with memory_store(*zoned) as store:
        insert(store, list(enumerate(found, 1)))
        events = ask(store, "overview.list_events_of_session", session_identifier="s")
    (instant,) = (row[7] for row in events if row[2] == "END")
    assert instant == datetime(2025, 11, 2, hour, 50, tzinfo=UTC).timestamp() * 1_000_000


def test_an_identifier_without_end_is_shown_in_part(each_store: str) -> None:
    with memory_store(instrument("A")) as store:
        insert(store, [(1, Row("x" * 2099 + "yz", "A", TIMES[0], "START", "ERROR"))])
        part = {"after": 0, "last": 1, "first_day": ""}
        ((_, shown, *_),) = ask(store, "report.list_sessions_of_part", **part)
    assert shown == "x" * 2099 + "y"


def test_the_model_reads_times_as_python_does() -> None:
    some = {number: Row("s", "A", time, "START", "ERROR") for number, time in enumerate(TIMES, 1)}
    assert Model(some).instant(1) == datetime.fromisoformat(TIMES[0])
