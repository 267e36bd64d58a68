"""Hypothesis strategies: every value that a model takes."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from nexuslims_store import (
    EventType,
    ExternalSystem,
    ExternalUserIdentifier,
    Instrument,
    RecordStatus,
    Session,
    SessionLog,
    UploadLog,
)

# Zones with summer time in the north and the south, half an hour of it, offsets of odd minutes,
# a day left out (Apia), and none of all that.
ZONES = (
    "America/New_York",
    "Europe/Berlin",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "Pacific/Apia",
    "America/St_Johns",
    "UTC",
)

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
identifiers = texts.filter(bool)
zone_names = st.sampled_from(ZONES)
# In whole seconds: Python itself reads "+00:00:00.000001" as UTC.
offsets = st.integers(-86_399, 86_399).map(lambda seconds: timezone(timedelta(seconds=seconds)))
aware_times = st.datetimes(timezones=st.one_of(st.sampled_from(ZONES).map(ZoneInfo), offsets))
times = st.one_of(st.datetimes(), aware_times)
row_ids = st.integers(-(2**63), 2**63 - 1)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
json_objects = st.dictionaries(texts, json_values, max_size=3).map(json.dumps)

instruments = st.builds(
    Instrument,
    instrument_pid=identifiers,
    api_url=st.integers(0, 10**9).map("https://nemo.example.com/api/tools/?id={}".format),
    calendar_url=texts,
    location=texts,
    display_name=texts,
    property_tag=texts,
    filestore_path=texts,
    harvester=identifiers,
    timezone_str=zone_names,
)
session_logs = st.builds(
    SessionLog,
    session_identifier=identifiers,
    instrument=identifiers,
    timestamp=times,
    event_type=st.sampled_from(EventType),
    record_status=st.sampled_from(RecordStatus),
    user=st.none() | texts,
    id_session_log=st.none() | row_ids,
)
upload_logs = st.builds(
    UploadLog,
    session_identifier=identifiers,
    destination_name=identifiers,
    success=st.booleans(),
    timestamp=times,
    record_id=st.none() | texts,
    record_url=st.none() | texts,
    error_message=st.none() | texts,
    metadata_json=st.none() | json_objects,
    id=st.none() | row_ids,
)
external_user_identifiers = st.builds(
    ExternalUserIdentifier,
    nexuslims_username=identifiers,
    external_system=st.sampled_from(ExternalSystem),
    external_id=identifiers,
    email=st.none() | texts,
    created_at=times,
    last_verified_at=st.none() | times,
    notes=st.none() | texts,
    id=st.none() | row_ids,
)


@st.composite
def sessions(draw: st.DrawFn) -> Session:
    """A session of any length, in the zone of its instrument or another."""
    start = draw(
        st.datetimes(
            datetime(1, 1, 3), datetime(9900, 1, 1), timezones=st.one_of(st.none(), offsets)
        )
    )
    # A day or more, so that no offset and no change of the clocks puts the END before the START.
    length = draw(st.timedeltas(timedelta(days=2), timedelta(days=30)))
    return Session(
        session_identifier=draw(identifiers),
        instrument=draw(instruments),
        dt_from=start,
        dt_to=start + length,
        user=draw(st.none() | texts),
    )
