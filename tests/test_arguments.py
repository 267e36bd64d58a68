"""What is said of an argument of the wrong type, or of a value that there is not."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pytest
from helpers.support import TABLES, instrument, log, memory_store, upload
from pydantic import ValidationError

from nexuslims_store import (
    EventType,
    ExternalUserIdentifier,
    InvalidValueError,
    RecordStatus,
    Store,
    StoreError,
    UnknownInstrumentError,
)
from nexuslims_store.arguments import (
    as_path,
    items,
    member,
    member_value,
    members,
    require_choice,
    require_flags,
    require_function,
    require_limit,
    require_name,
    require_type,
    require_valid,
    texts,
    valid_items,
    why_no_path,
)


def test_a_type_that_fits_is_passed_over() -> None:
    require_type("pid", "Titan", str)
    require_type("instrument", "Titan", (int, str))


@pytest.mark.parametrize(
    ("value", "kind", "says"),
    [
        (None, str, "pid must be a str, not None"),
        (5, str, r"pid must be a str, not 5 \(int\)"),
        ("x", int, r"pid must be an int, not 'x' \(str\)"),
        (b"x", (EventType, str), r"pid must be an EventType or a str, not b'x' \(bytes\)"),
        (["x"] * 1000, str, r"not \['x', .{93}… \(list\)$"),
        ("x" * 98, int, r"not 'x{98}' \(str\)$"),
        ("x" * 99, int, r"not 'x{98}… \(str\)$"),
        ("x", (int, type(None)), r"pid must be an int or None, not 'x' \(str\)"),
    ],
)
def test_a_type_that_does_not_fit_is_a_type_error_that_names_it(
    value: object, kind: type | tuple[type, ...], says: str
) -> None:
    with pytest.raises(TypeError, match=says) as caught:
        require_type("pid", value, kind)
    assert len(str(caught.value)) < 200


def test_a_member_is_found_by_its_value() -> None:
    assert member("status", "ERROR", RecordStatus) is RecordStatus.ERROR
    assert member("status", RecordStatus.ERROR, RecordStatus) is RecordStatus.ERROR
    found = members("statuses", iter(["ERROR", RecordStatus.COMPLETED]), RecordStatus)
    assert found == [RecordStatus.ERROR, RecordStatus.COMPLETED]
    assert members("statuses", (), RecordStatus) == []


@pytest.mark.parametrize("value", ["DONE", "error", "", EventType.START, "\ud800"])
def test_another_text_is_an_invalid_value(value: str) -> None:
    with pytest.raises(InvalidValueError, match=r"^status is .*no RecordStatus.*NO_CONSENT"):
        member("status", value, RecordStatus)
    with pytest.raises(ValueError, match=r"^item 2 of statuses is"):
        members("statuses", ["ERROR", value], RecordStatus)
    assert issubclass(InvalidValueError, StoreError)


@pytest.mark.parametrize("value", [None, 5, b"ERROR", ["ERROR"], {}])
def test_what_is_no_text_is_a_type_error(value: object) -> None:
    with pytest.raises(TypeError, match=r"^status must be a RecordStatus or a str, not"):
        member("status", value, RecordStatus)


@pytest.mark.parametrize("values", ["ERROR", RecordStatus.ERROR, None, 5])
def test_one_status_is_no_list_of_them(values: object) -> None:
    with pytest.raises(TypeError, match=r"^statuses must be a list of RecordStatus"):
        members("statuses", values, RecordStatus)


def test_the_value_of_a_member_is_a_plain_text() -> None:
    class Odd(str):
        __slots__ = ()

    for value in ("ERROR", RecordStatus.ERROR, Odd("ERROR")):
        found = member_value("status", value, RecordStatus)
        assert (found, type(found)) == ("ERROR", str)
    for wrong, kind in (("DONE", InvalidValueError), (5, TypeError), ([], TypeError)):
        with pytest.raises(kind, match=r"^status "):
            member_value("status", wrong, RecordStatus)


def test_a_member_of_another_enum_is_told_by_its_name() -> None:
    with pytest.raises(InvalidValueError) as caught:
        member("event_type", RecordStatus.ERROR, EventType)
    assert str(caught.value) == (
        "event_type is 'RecordStatus.ERROR', which is no EventType; there are: START, END, "
        "RECORD_GENERATION"
    )


def test_a_choice_is_one_of_the_texts_that_there_are() -> None:
    for value in ("up", "down"):
        require_choice("direction", value, Literal["up", "down"])
    with pytest.raises(InvalidValueError) as caught:
        require_choice("direction", "Up", Literal["up", "down"])
    assert str(caught.value) == "direction is 'Up'; there are: up, down"
    with pytest.raises(TypeError, match=r"^direction must be a str, not None$"):
        require_choice("direction", None, Literal["up", None])


def test_each_flag_is_true_or_false() -> None:
    require_flags(one=True, two=False)
    for wrong, shown in ((None, "None"), (0, r"0 \(int\)"), (1, r"1 \(int\)")):
        with pytest.raises(TypeError, match=f"^two must be a bool, not {shown}$"):
            require_flags(one=True, two=wrong, three=5)


def test_a_function_is_what_can_be_called() -> None:
    for function in (print, str, lambda: None):
        require_function("progress", function)
    with pytest.raises(TypeError, match=r"^progress must be a function, not None$"):
        require_function("progress", None)


# -- what an iterable holds ------------------------------------------------------------


def test_what_is_wrong_among_many_is_named_by_its_place() -> None:
    assert texts("pids", (one for one in "ab")) == ["a", "b"]
    assert texts("pids", {}) == []
    found = items("pids", iter(["a", 2]), str)
    assert next(found) == "a"  # one by one
    with pytest.raises(TypeError, match=r"^item 2 of pids must be a str, not 2 \(int\)$"):
        next(found)
    with pytest.raises(TypeError, match=r"^item 1 of pids must be an int or a bytes, not None$"):
        list(items("pids", [None], (int, bytes)))


@pytest.mark.parametrize(
    ("values", "kind", "says"),
    [
        ("ab", str, r"list of str, or another iterable, not 'ab' \(str\)"),
        ("", str, r"list of str, or another iterable, not '' \(str\)"),
        (None, str, "list of str, or another iterable, not None"),
        (5, (EventType, str), r"list of EventType, or another iterable, not 5 \(int\)"),
    ],
)
def test_what_is_no_list_is_refused(
    values: object, kind: type | tuple[type, ...], says: str
) -> None:
    with pytest.raises(TypeError, match=f"^pids must be a {says}$"):
        list(items("pids", values, kind))


def test_models_are_made_anew_with_the_fields_that_were_set() -> None:
    given = upload(record_id="7")
    (made,) = valid_items("logs", iter([given]), type(given))
    assert made == given
    assert made is not given
    assert made.model_fields_set == given.model_fields_set != set(type(given).model_fields)
    alone = require_valid("log", given, type(given))
    assert alone == given
    assert alone is not given
    assert alone.model_fields_set == set(type(given).model_fields)
    odd = given.model_copy(update={"success": "yes"})
    with pytest.raises(ValidationError) as caught:
        list(valid_items("logs", [given, odd], type(given)))
    assert caught.value.__notes__ == ["in item 2 of logs"]
    with pytest.raises(TypeError, match=r"^log must be an UploadLog, not .* \(SessionLog\)$"):
        require_valid("log", log(), type(given))


# -- paths -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "-", ":memory:"])
def test_a_name_that_means_something_else_is_kept_unless_its_folder_is_named(name: str) -> None:
    for given in (name, Path(name)) if name else (name,):
        assert as_path("path", given) == Path(name)
        assert not as_path("path", given).is_absolute()
    if name:
        assert as_path("path", f"./{name}") == Path.cwd() / name
    instead = f"; one that is called so is ./{name}" if name else ""
    with pytest.raises(StoreError) as caught:
        require_name(name)
    assert str(caught.value) == f"{name!r} is no file or folder{instead}"


@pytest.mark.parametrize("name", ["a.db", "./a.db", "--", ":memory", "a/-", " "])
def test_another_name_is_one_of_a_file(name: str) -> None:
    for given in (name, Path(name)):
        assert as_path("path", given) == Path(name)
        assert not as_path("path", given).is_absolute()
        require_name(given)


@pytest.mark.parametrize("value", [None, 5, b"a.db", ["a.db"]])
def test_what_is_no_path_is_a_type_error(value: Any) -> None:
    with pytest.raises(TypeError, match=r"^root must be a str or a PathLike, not "):
        as_path("root", value)


def test_why_a_name_is_no_path_is_said_in_words() -> None:
    assert why_no_path(FileNotFoundError(2, "No such file")).startswith("the current folder was re")
    assert why_no_path(OSError(36, "File name too long")) == "File name too long"
    assert why_no_path(OSError("odd")) == "odd"
    assert why_no_path(ValueError("a NUL is in it")) == "a NUL is in it"


# What came past the model, by `model_copy(update=…)`, which Pydantic does not look at.
UNCHECKED: dict[str, Callable[[Store], object]] = {
    "timezone_str": lambda s: s.instruments.update(
        instrument().model_copy(update={"timezone_str": "Mars/X"})
    ),
    "api_url": lambda s: s.instruments.store_many(
        [instrument().model_copy(update={"api_url": "x"})]
    ),
    "location": lambda s: s.instruments.add(instrument("New").model_copy(update={"location": 5})),
    "error_message": lambda s: s.upload_logs.insert(
        upload().model_copy(update={"error_message": "a\0"})
    ),
    "success": lambda s: s.upload_logs.insert_many(
        [upload().model_copy(update={"success": "yes"})]
    ),
    "eror": lambda s: s.upload_logs.insert(upload().model_copy(update={"eror": "misspelt"})),
    "user": lambda s: s.session_logs.insert(log().model_copy(update={"user": "a\0"})),
    "session_identifier": lambda s: s.session_logs.insert_many(
        [log(), log().model_copy(update={"session_identifier": "a\0"})]
    ),
    "record_status": lambda s: s.session_logs.insert_many(
        [log(), log().model_copy(update={"record_status": "DONE"})]
    ),
    "event_type": lambda s: s.session_logs.insert(log().model_copy(update={"event_type": "GO"})),
    "external_id": lambda s: s.external_ids.store_many(
        [
            ExternalUserIdentifier(
                nexuslims_username="ned", external_system="nemo", external_id="1"
            ).model_copy(update={"external_id": ""})
        ]
    ),
}


@pytest.mark.parametrize("field", UNCHECKED)
def test_what_came_past_a_model_is_refused_by_its_field(field: str) -> None:
    with memory_store(instrument()) as store:
        before = [list(store.connection.execute(f"SELECT * FROM {table}")) for table in TABLES]
        with pytest.raises(ValidationError, match=field):
            UNCHECKED[field](store)
        after = [list(store.connection.execute(f"SELECT * FROM {table}")) for table in TABLES]
        assert after == before


@pytest.mark.parametrize("limit", [None, 0, 1, sys.maxsize])
def test_a_limit_that_can_be_counted_is_taken(limit: int | None) -> None:
    require_limit(limit)


@pytest.mark.parametrize("limit", [-1, sys.maxsize + 1])
def test_a_limit_beyond_is_refused(limit: int) -> None:
    with pytest.raises(InvalidValueError, match=f"limit is {limit}: give how many there may be"):
        require_limit(limit)


def test_a_limit_beyond_what_can_be_counted_is_refused_by_its_name() -> None:
    with memory_store() as store:
        for streamed in (store.sessions.iter_overview, store.upload_logs.iter_between):
            with pytest.raises(InvalidValueError, match="limit is 1180591620717411303424"):
                list(streamed(limit=2**70))


def test_a_backup_of_a_closed_store_says_that_it_is_closed() -> None:
    store = memory_store()
    store.close()
    with pytest.raises(StoreError, match="is closed"):
        store.backup("backup.db")


NOON = datetime(2025, 7, 1, 12)


def test_a_session_on_what_is_no_instrument_is_refused_by_the_arguments_name() -> None:
    with memory_store() as store, pytest.raises(TypeError, match=r"^instrument must be a str"):
        store.sessions.add("1", 7, NOON, NOON)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "odd",
    [
        (),
        ("2", "FEI-Titan", NOON),
        ("2", "FEI-Titan", NOON, NOON, None, "ERROR", "more"),
        {"session_identifier": "2", "instrument": "FEI-Titan", "start": NOON},
        {
            "session_identifier": "2",
            "instrument": "FEI-Titan",
            "start": NOON,
            "end": NOON,
            "colour": "",
        },
    ],
)
def test_a_session_of_a_batch_that_lacks_something_or_has_more_is_named(odd: Any) -> None:
    with memory_store() as store:
        store.instruments.add(instrument("FEI-Titan"))
        good = ("1", "FEI-Titan", NOON, NOON)
        with pytest.raises(TypeError) as caught:
            store.sessions.add_many([good, odd])
        assert str(caught.value) == (
            "item 2 of sessions must have session_identifier, instrument, start, end, and may have "
            f"user and status: not {odd!r}"
        )
        assert store.session_logs.count() == 0


@pytest.mark.parametrize(
    ("odd", "error"),
    [
        ((), TypeError),
        ((2, "FEI-Titan", NOON, NOON), TypeError),
        (("2", "Nobody's", NOON, NOON), UnknownInstrumentError),
        (("2", "FEI-Titan", NOON, NOON - timedelta(hours=1)), ValidationError),
        (("2", "FEI-Titan", NOON, NOON, None, "DONE"), InvalidValueError),
    ],
)
def test_whatever_is_wrong_with_a_session_of_a_batch_a_note_says_which_it_was(
    odd: Any, error: type[Exception]
) -> None:
    with memory_store() as store:
        store.instruments.add(instrument("FEI-Titan"))
        good = ("1", "FEI-Titan", NOON, NOON)
        with pytest.raises(error) as caught:
            store.sessions.add_many([good, odd, good])
        assert caught.value.__notes__ == ["in session 2 of those given to add_many()"]
