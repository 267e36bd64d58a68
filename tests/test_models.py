"""Models: what they refuse, what they keep, and that stored rows come back as the same models."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from helpers.support import NOW, PID, SESSION, Clock, instrument, log, memory_store, session, upload
from pydantic import ValidationError

from nexuslims_store import (
    EventType,
    ExternalSystem,
    ExternalUserIdentifier,
    Instrument,
    RecordStatus,
    SessionLog,
    UploadLog,
)

NEW_YORK = ZoneInfo("America/New_York")


def identifier(**values: Any) -> ExternalUserIdentifier:
    """Who the user ned is in NEMO."""
    return ExternalUserIdentifier.model_validate(
        {
            "nexuslims_username": "ned",
            "external_system": "nemo",
            "external_id": "42",
            "created_at": NOW,
            **values,
        }
    )


MAKERS = (instrument, log, upload, identifier, session)


# -- what is refused -------------------------------------------------------------------

TEXT_FIELDS = [
    (instrument, "instrument_pid"),
    (instrument, "api_url"),
    (instrument, "calendar_url"),
    (instrument, "location"),
    (instrument, "display_name"),
    (instrument, "property_tag"),
    (instrument, "filestore_path"),
    (instrument, "harvester"),
    (instrument, "timezone_str"),
    (log, "session_identifier"),
    (log, "instrument"),
    (log, "user"),
    (upload, "session_identifier"),
    (upload, "destination_name"),
    (upload, "record_id"),
    (upload, "record_url"),
    (upload, "error_message"),
    (upload, "metadata_json"),
    (identifier, "nexuslims_username"),
    (identifier, "external_id"),
    (identifier, "email"),
    (identifier, "notes"),
    (session, "session_identifier"),
    (session, "user"),
]
NOT_EMPTY = [
    (instrument, "instrument_pid"),
    (instrument, "api_url"),
    (instrument, "harvester"),
    (instrument, "timezone_str"),
    (log, "session_identifier"),
    (log, "instrument"),
    (upload, "session_identifier"),
    (upload, "destination_name"),
    (identifier, "nexuslims_username"),
    (identifier, "external_id"),
    (session, "session_identifier"),
]
TIME_FIELDS = [
    (log, "timestamp"),
    (upload, "timestamp"),
    (identifier, "created_at"),
    (identifier, "last_verified_at"),
    (session, "dt_from"),
    (session, "dt_to"),
]
ID_FIELDS = [(log, "id_session_log"), (upload, "id"), (identifier, "id")]
NO_TEXTS = [5, 1.5, True, b"text", ["text"], "NUL\0", "surrogate\ud800", "\udcff"]
NO_TIMES = ["", "2025", "yesterday", "2025-13-01T00:00:00", 1748865600, 1.5, b"2025-06-02", True]
NO_IDS = [2**63, -(2**63) - 1, 1.0, "1", True, b"1"]


@pytest.mark.parametrize(
    ("make", "field", "value"),
    [(make, field, value) for make, field in TEXT_FIELDS for value in NO_TEXTS]
    + [(make, field, "") for make, field in NOT_EMPTY]
    + [(make, field, value) for make, field in TIME_FIELDS for value in NO_TIMES]
    + [(make, field, value) for make, field in ID_FIELDS for value in NO_IDS]
    + [
        (instrument, "api_url", url)
        for url in (
            *("nemo", "ftp://nemo/", "//nemo/", "https://", "http:///tools", "http://[x/"),
            *("http://a/ b", " http://a/", "http://a/\n", "http://a/\t", "http://a/\x07"),
            *("http://a/\u200b", "http://\ufeffa/", "http://a/\u00adb", "http://a/\u202eb"),
            *("http://a/\x7f", "http://a/\x85", "http://a/\u2028", "http://a/\u00a0"),
        )
    ]
    + [
        (instrument, "timezone_str", name)
        for name in (
            *("Mars/Olympus", "America", "../UTC", "/etc/localtime", "America/New_York "),
            *("LOCALTIME", "factory", "Posix/UTC", "mars", b"UTC", "Europe/\u212aiev"),
            *("localtime", "Factory", "posixrules", "right/UTC", "posix/UTC", "right/Asia/Tokyo"),
        )
    ]
    + [
        (log, "event_type", "STOP"),
        (log, "event_type", "start"),
        (log, "event_type", None),
        (log, "record_status", "DONE"),
        (log, "record_status", ""),
        (identifier, "external_system", "NEMO"),
        (identifier, "external_system", None),
        (session, "instrument", PID),
        (session, "dt_from", None),
    ]
    + [(upload, "success", value) for value in ("true", 2, -1, 1.0, None, b"1")]
    + [
        (upload, "metadata_json", text)
        for text in (
            *("", "{", "{'a': 1}", "nul", "[" * 200_000, '"\n"', "null", "5", '"text"', "[{}]"),
            *('{"a": 1e999}', '{"a": 1, "a": 2}', '[{"b": {"c": 1, "c": 1}}]', '{"a": -1e400}'),
            *('{"a": ' + "[" * 100 + "]" * 100 + "}", '{"a":' * 101 + "1" + "}" * 101),
            *('{"a": NaN}', '{"a": [Infinity]}', '{"a": {"b": -Infinity}}', '{"a": 1} {}'),
        )
    ],
)
def test_a_bad_value_is_refused_by_name(make: Any, field: str, value: object) -> None:
    with pytest.raises(ValidationError) as caught:
        make(**{field: value})
    assert {error["loc"][0] for error in caught.value.errors()} == {field}


@pytest.mark.parametrize(
    "inside",
    [
        "[" * 99 + "]" * 99,
        '[{"a":' * 49 + "[1]" + "}]" * 49,
        '"' + "[{" * 99 + '"',
        "[" + "[]," * 150 + "{}]",
        "9" * 4000,
        "-" + "9" * 3999,
    ],
)
def test_json_that_is_just_not_too_much(inside: str) -> None:
    assert upload(metadata_json='{"a": ' + inside + "}").metadata is not None


@pytest.mark.parametrize(
    "inside",
    ["[" * 100 + "]" * 100, '[{"a":' * 50 + "1" + "}]" * 50, '{"a":' * 100 + "1" + "}" * 100],
)
def test_json_that_is_a_bracket_too_deep(inside: str) -> None:
    with pytest.raises(ValidationError, match="nested more than 100 deep"):
        upload(metadata_json='{"a": ' + inside + "}")


def test_a_number_of_too_many_digits_is_told_without_pythons_own_functions() -> None:
    with pytest.raises(ValidationError) as caught:
        upload(metadata_json='{"a": ' + "9" * 5000 + "}")
    assert "a number of 5,000 digits is too large" in str(caught.value)
    with pytest.raises(ValidationError, match="a number of 4,001 digits is too large"):
        upload(metadata_json='{"a": ' + "9" * 4001 + "}")
    assert "sys." not in str(caught.value)


@pytest.mark.parametrize("make", MAKERS)
def test_an_unknown_field_is_refused(make: Any) -> None:
    with pytest.raises(ValidationError, match="computer_ip"):
        make(computer_ip="10.0.0.1")


@pytest.mark.parametrize("make", MAKERS)
def test_a_missing_field_is_refused(make: Any) -> None:
    model = make()
    required = [name for name, field in type(model).model_fields.items() if field.is_required()]
    assert required
    for name in required:
        with pytest.raises(ValidationError) as caught:
            type(model).model_validate({k: v for k, v in dict(model).items() if k != name})
        assert [error["loc"] for error in caught.value.errors()] == [(name,)]


@pytest.mark.parametrize("make", MAKERS)
def test_a_model_is_frozen(make: Any) -> None:
    model = make()
    for name, value in dict(model).items():
        with pytest.raises(ValidationError, match="frozen"):
            setattr(model, name, value)


def test_a_session_cannot_end_before_it_starts() -> None:
    with pytest.raises(ValidationError, match="before the START"):
        session(dt_from="2025-06-02T09:00:00-04:00", dt_to="2025-06-02T09:30:00-03:00")


# -- what is taken ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "field", "value"),
    [
        (instrument, "api_url", "HTTP://localhost:8000/api/tools/?id=1"),
        (instrument, "location", ""),
        (instrument, "location", "Gebäude 12 \u202eלאב\u202c; DROP TABLE instruments --"),
        (instrument, "timezone_str", "Etc/GMT+5"),
        (log, "session_identifier", "x" * 10_000),
        (log, "user", ""),
        (log, "id_session_log", 2**63 - 1),
        (log, "id_session_log", -(2**63)),
        (instrument, "timezone_str", "US/Eastern"),  # which pytz has, so NexusLIMS may have it
        (instrument, "api_url", "https://nemo.example.com/Ger\u00e4t?id=%201#a"),
        (upload, "metadata_json", "{}"),
        (upload, "metadata_json", '{"a": ' + "[" * 99 + "]" * 99 + "}"),
        (upload, "metadata_json", '{"a": "\\"' + "[" * 5000 + '", "b": [' + "[{}], " * 200 + "1]}"),
        (upload, "metadata_json", ' {"a": [1, 2.5, "é", null, {}]}\n'),
        (upload, "error_message", "line one\r\nline two\t'\"%s"),
        (identifier, "last_verified_at", None),
    ],
)
def test_an_unusual_value_is_taken_as_it_is(make: Any, field: str, value: object) -> None:
    assert getattr(make(**{field: value}), field) == value


@pytest.mark.parametrize("name", ["us/eastern", "US/EASTERN", "US/Eastern"])
def test_a_zone_of_other_capitals_is_that_zone_as_for_pytz(name: str) -> None:
    titan = instrument(timezone_str=name)
    assert titan.timezone_str == titan.timezone.key == "US/Eastern"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2018-11-13T13:01:30.123", datetime(2018, 11, 13, 13, 1, 30, 123_000)),
        ("2018-11-13 13:01:30", datetime(2018, 11, 13, 13, 1, 30)),
        ("2018-11-13T13:01:30Z", datetime(2018, 11, 13, 13, 1, 30, tzinfo=UTC)),
        (
            "2018-11-13T13:01:30.000001-05:00",
            datetime(2018, 11, 13, 13, 1, 30, 1, tzinfo=timezone(timedelta(hours=-5))),
        ),
        ("2018-11-13", datetime(2018, 11, 13)),
    ],
)
def test_the_texts_that_nexuslims_stored_are_times(text: str, expected: datetime) -> None:
    timestamp = log(timestamp=text).timestamp
    assert timestamp == expected
    assert timestamp.utcoffset() == expected.utcoffset()


def test_values_of_enums_become_members() -> None:
    row = log().model_dump() | {"event_type": "END", "record_status": "NO_CONSENT"}
    event = SessionLog.model_validate(row)
    assert event.event_type is EventType.END
    assert event.record_status is RecordStatus.NO_CONSENT
    assert identifier(external_system="cdcs").external_system is ExternalSystem.CDCS


@pytest.mark.parametrize(("value", "expected"), [(0, False), (1, True), (True, True)])
def test_success_may_be_the_number_that_is_stored(value: Any, expected: bool) -> None:
    assert upload(success=value).success is expected


def test_defaults() -> None:
    event = SessionLog(session_identifier="s", instrument="i", timestamp=NOW, event_type="START")
    assert event.record_status is RecordStatus.WAITING_FOR_END
    assert event.user is None
    assert event.id_session_log is None
    plain = Instrument.model_validate(
        instrument().model_dump(exclude={"harvester", "timezone_str"})
    )
    assert (plain.harvester, plain.timezone_str) == ("nemo", "America/New_York")
    before = datetime.now(UTC)
    created = ExternalUserIdentifier(
        nexuslims_username="ned", external_system="nemo", external_id="42"
    ).created_at
    tried = UploadLog(session_identifier="s", destination_name="d", success=True).timestamp
    assert before <= created <= tried <= datetime.now(UTC)
    assert tried.tzinfo is UTC


def test_metadata_is_parsed() -> None:
    assert upload(metadata_json='{"pages": [1, 2]}').metadata == {"pages": [1, 2]}
    assert upload().metadata is None


# -- Instrument and Session ------------------------------------------------------------


def test_what_an_instrument_says_of_itself() -> None:
    titan = instrument(location="Room 1", timezone_str="Europe/Berlin")
    assert titan.name == PID
    assert str(titan) == f"{PID} in Room 1"
    assert titan.timezone == ZoneInfo("Europe/Berlin")
    row = titan.to_dict()
    assert row.pop("timezone") == "Europe/Berlin"
    assert row == titan.model_dump(exclude={"timezone_str"})
    assert json.loads(titan.to_json(indent=2, sort_keys=True)) == titan.to_dict()
    assert titan.to_json(indent=2).startswith("{\n  ")


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        (datetime(2025, 7, 1, 12), "2025-07-01T12:00:00-04:00"),
        (datetime(2025, 1, 1, 12), "2025-01-01T12:00:00-05:00"),
        (datetime(2025, 7, 1, 12, tzinfo=UTC), "2025-07-01T08:00:00-04:00"),
        (datetime(2025, 7, 1, 2, tzinfo=ZoneInfo("Asia/Tokyo")), "2025-06-30T13:00:00-04:00"),
        (datetime(2025, 11, 2, 1, 30), "2025-11-02T01:30:00-04:00"),
        (datetime(2025, 11, 2, 1, 30, fold=1), "2025-11-02T01:30:00-05:00"),
    ],
)
def test_a_time_is_put_into_the_zone_of_the_instrument(time: datetime, expected: str) -> None:
    localized = instrument().localize_datetime(time)
    assert localized.isoformat() == expected
    assert localized.tzinfo == NEW_YORK


def test_a_time_is_shown_in_the_zone_of_the_instrument() -> None:
    titan = instrument()
    assert titan.localize_datetime_str(datetime(2025, 7, 1, 12)) == "2025-07-01 12:00:00 EDT"
    assert titan.localize_datetime_str(datetime(2025, 1, 1, 12, tzinfo=UTC), "%H:%M") == "07:00"


def test_a_session_is_always_aware() -> None:
    naive = session(dt_from="2018-11-13 09:00:00", dt_to="2018-11-13T11:00:00.500")
    assert naive.dt_from == datetime(2018, 11, 13, 9, tzinfo=NEW_YORK)
    assert naive.dt_to.utcoffset() == timedelta(hours=-5)
    assert naive.duration == timedelta(hours=2, milliseconds=500)


@pytest.mark.parametrize(
    ("start", "end", "hours"),
    [
        ("2025-11-02T00:30:00", "2025-11-02T03:30:00", 4),
        ("2025-03-09T00:30:00", "2025-03-09T03:30:00", 2),
        ("2025-06-02T23:00:00-04:00", "2025-06-03T05:00:00+00:00", 2),
        ("0001-01-01T00:00:00+14:00", "0001-01-01T01:00:00+14:00", 1),
        ("9999-12-31T20:00:00-14:00", "9999-12-31T23:00:00-14:00", 3),
    ],
)
def test_a_duration_is_the_time_that_passed(start: str, end: str, hours: int) -> None:
    assert session(dt_from=start, dt_to=end).duration == timedelta(hours=hours)


def test_who_claimed_a_session_is_no_part_of_it() -> None:
    clock = Clock()
    store = memory_store(clock=clock)
    with store:
        added = store.sessions.add(SESSION, PID, datetime(2025, 6, 2, 9), datetime(2025, 6, 2, 11))
        claimed = store.sessions.claim()
    assert claimed == added
    assert hash(claimed) == hash(added)
    assert claimed != session()
    assert claimed != "a session"
