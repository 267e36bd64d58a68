"""What the tables hold, as frozen Pydantic models with NexusLIMS's own field names.

A model refuses what the database must never hold (`pydantic.ValidationError`, which names the
field), before any SQL runs. Lengths that the tables declare are not enforced: SQLite does not
look at them, and real session identifiers (NEMO's URLs) exceed them.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PrivateAttr,
    StringConstraints,
    field_validator,
    model_validator,
)

from nexuslims_store import strict_json
from nexuslims_store.arguments import require_type
from nexuslims_store.enums import EventType, ExternalSystem, RecordStatus
from nexuslims_store.refusals import NO_TIME, NOT_UTF_8, is_utf_8
from nexuslims_store.times import aware, aware_end, instant, utc_now, zone

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

__all__ = [
    "ExternalUserIdentifier",
    "Instrument",
    "Session",
    "SessionLog",
    "UploadLog",
    "column_of",
    "field_of",
]


def column_of(field: str) -> str:
    """Return the column of a model's field, which has its name but for `timezone_str`."""
    return "timezone" if field == "timezone_str" else field


def field_of(column: str) -> str:
    """Return the field of a column."""
    return "timezone_str" if column == "timezone" else column


def _iso_8601(value: object) -> object:
    """Read a text as NexusLIMS does, and nothing else: Pydantic would take "2025" for seconds."""
    if isinstance(value, str):
        try:
            return datetime.fromisoformat(value)
        except ValueError as error:
            raise ValueError(NO_TIME) from error
    if isinstance(value, datetime):
        return value
    raise ValueError("a datetime or an ISO 8601 text is needed")


def _storable(value: str) -> str:
    # A pattern would do the same, in three times the time.
    if value.isascii() and "\0" not in value:
        return value
    if "\0" in value:
        # SQLite's own functions, and many programs that read the file, stop at it.
        raise ValueError("a NUL character cannot be stored")
    if not is_utf_8(value):
        raise ValueError(NOT_UTF_8)
    return value


def _http_url(value: str) -> str:
    # Letters of any script may be in one; blanks, of which urlsplit would drop some, and what
    # nobody sees, such as a zero-width space, may not.
    if not value.isprintable() or " " in value:
        raise ValueError("a URL holds no white space and no control or invisible characters")
    try:
        parts = urlsplit(value)
    except ValueError:  # a malformed host
        parts = urlsplit("")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("an http:// or https:// URL is needed")
    return value


def _time_zone(value: str) -> str:
    zone(value)
    return value


def _json_object(value: str) -> str:
    if not isinstance(strict_json.parse(value), dict):
        raise ValueError('a JSON object is needed, such as {"pages": 2}')
    return value


def _zero_or_one(value: object) -> bool:
    # `in` would take 1.0 as well.
    if isinstance(value, int) and value in (0, 1):
        return bool(value)
    raise ValueError("True or False is needed (stored as 1 or 0)")


Text = Annotated[str, StringConstraints(strict=True), AfterValidator(_storable)]
Identifier = Annotated[str, StringConstraints(strict=True, min_length=1), AfterValidator(_storable)]
# In JSON as in the database: Pydantic's own form leaves off the seconds of old zones' offsets.
Timestamp = Annotated[
    datetime,
    BeforeValidator(_iso_8601),
    PlainSerializer(datetime.isoformat, return_type=str, when_used="json"),
]
RowId = Annotated[int, Field(strict=True, ge=-(2**63), lt=2**63)]


ZeroOrOne = Annotated[bool, BeforeValidator(_zero_or_one)]


class _Row(BaseModel):
    """Base of the models that are rows of a table."""

    # Built with the first use: a program that stores no instruments does not pay for them.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class Instrument(_Row):
    """An instrument of the facility: a row of `instruments`.

    Mirrors `nexusLIMS.db.models.Instrument`.

    Examples
    --------
    >>> titan = Instrument(
    ...     instrument_pid="FEI-Titan-TEM",
    ...     api_url="https://nemo.example.com/api/tools/?id=1",
    ...     calendar_url="https://nemo.example.com/calendar/titan/",
    ...     location="Room 1",
    ...     display_name="Titan",
    ...     property_tag="012345",
    ...     filestore_path="./Titan",
    ... )
    >>> titan.localize_datetime(datetime(2025, 7, 1, 8)).isoformat()
    '2025-07-01T08:00:00-04:00'
    >>> titan.localize_datetime_str(datetime(2025, 7, 1, 12, tzinfo=UTC))
    '2025-07-01 08:00:00 EDT'
    >>> titan.name, titan.timezone.key
    ('FEI-Titan-TEM', 'America/New_York')
    >>> titan.to_dict()["timezone"] == json.loads(titan.to_json())["timezone"]
    True
    """

    instrument_pid: Identifier = Field(
        description="Unique identifier of the instrument, typically built from its make, model "
        'and type and a number (for example "FEI-Titan-TEM-012345")'
    )
    api_url: Annotated[Identifier, AfterValidator(_http_url)] = Field(
        description="The scheduler's API address of this instrument, unique; for NEMO "
        "`https://<nemo_address>/api/tools/?id=<tool_id>`"
    )
    calendar_url: Text = Field(description="Address of the instrument's calendar on the web")
    location: Text = Field(description="Where the instrument stands, building and room")
    display_name: Text = Field(description="Name of the instrument as shown in records")
    property_tag: Text = Field(description="The facility's own number of the instrument")
    filestore_path: Text = Field(
        description="Folder of the instrument's data, relative to NX_INSTRUMENT_DATA_PATH"
    )
    harvester: Identifier = Field(
        default="nemo", description="NexusLIMS's module that reads this instrument's scheduler"
    )
    timezone_str: Annotated[Identifier, AfterValidator(_time_zone)] = Field(
        default="America/New_York",
        description='IANA time zone of the instrument (column `timezone`, e.g. "Europe/Berlin")',
    )

    # Not for stored rows, whose text stays what it is.
    @field_validator("timezone_str")
    @classmethod
    def _spelt_as_in_the_data(cls, value: str) -> str:
        return zone(value).key

    @property
    def name(self) -> str:
        """The PID, under the name NexusLIMS 1.x gave it."""
        return self.instrument_pid

    @property
    def timezone(self) -> ZoneInfo:
        """The time zone as a `zoneinfo.ZoneInfo`."""
        return zone(self.timezone_str)

    def localize_datetime(self, dt: datetime) -> datetime:
        """Return a time in the instrument's zone.

        Parameters
        ----------
        dt
            A naive time is taken to be in the instrument's zone already; an aware one is
            converted. In the hour that the end of summer time repeats, a naive time is the
            first of the two unless its `fold` is 1.
        """
        require_type("dt", dt, datetime)
        if dt.utcoffset() is None:
            return dt.replace(tzinfo=self.timezone)
        return dt.astimezone(self.timezone)

    def localize_datetime_str(self, dt: datetime, fmt: str = "%Y-%m-%d %H:%M:%S %Z") -> str:
        """Return a time in the instrument's zone as text; `fmt` as for `strftime`."""
        require_type("fmt", fmt, str)
        return self.localize_datetime(dt).strftime(fmt)

    def to_dict(self) -> dict[str, str]:
        """Return the columns and values of the row; the time zone's key is `timezone`."""
        return {column_of(field): value for field, value in self.model_dump().items()}

    def to_json(self, **json_dumps_kwargs: Any) -> str:
        """Return `to_dict()` as JSON; the arguments are those of `json.dumps`."""
        return json.dumps(self.to_dict(), **json_dumps_kwargs)

    def __str__(self) -> str:
        return f"{self.instrument_pid} in {self.location}"


class SessionLog(_Row):
    """One event of a session: a row of `session_log`.

    Mirrors `nexusLIMS.db.models.SessionLog`.

    Examples
    --------
    >>> SessionLog(
    ...     session_identifier="1",
    ...     instrument="FEI-Titan-TEM",
    ...     timestamp=datetime(2025, 7, 1, 8),
    ...     event_type=EventType.START,
    ... ).record_status
    <RecordStatus.WAITING_FOR_END: 'WAITING_FOR_END'>
    """

    session_identifier: Identifier = Field(
        description="What the START, END and RECORD_GENERATION events of one session share: a "
        "UUID, or the address of NEMO's usage event"
    )
    instrument: Identifier = Field(description="PID of the session's instrument")
    timestamp: Timestamp = Field(
        description="When it happened, ISO 8601; a naive time is the instrument's local time"
    )
    event_type: EventType = Field(description="What happened")
    record_status: RecordStatus = Field(
        default=RecordStatus.WAITING_FOR_END, description="How far the session's record has come"
    )
    user: Text | None = Field(default=None, description="NexusLIMS username, if known")
    id_session_log: RowId | None = Field(
        default=None, description="Number of the row, given by the database"
    )


class Session(BaseModel):  # noqa: PLW1641 -- Pydantic gives every frozen model its hash
    """One START paired with its END, the span of time that a record is built for.

    Mirrors `nexusLIMS.db.session_handler.Session`. `dt_from` and `dt_to` are always aware: an
    old naive time stamp is given the instrument's zone.

    Examples
    --------
    >>> with make_store() as store:
    ...     add_session(store).duration
    datetime.timedelta(seconds=9000)
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    session_identifier: Identifier
    instrument: Instrument
    dt_from: Timestamp
    dt_to: Timestamp
    user: Text | None = None

    # The claim that the session is built under, which pickling keeps: its row's id and time; two
    # times where it was renewed and either may be stored.
    _claim: tuple[int, tuple[str, ...]] | None = PrivateAttr(default=None)
    # Whether the build was finished, or the claim released, through this very object.
    _settled: bool = PrivateAttr(default=False)

    @model_validator(mode="after")
    def _localize(self) -> Self:
        timezone = self.instrument.timezone
        start = aware(self.dt_from, timezone)
        end = aware_end(self.dt_to, instant(start), timezone)
        if instant(end) < instant(start):
            raise ValueError(
                f"dt_to: the END {end.isoformat()} is before the START {start.isoformat()}"
            )
        # By way of __dict__, because a frozen model refuses even its own validator.
        self.__dict__.update(dt_from=start, dt_to=end)
        return self

    @property
    def duration(self) -> timedelta:
        """The time between START and END, a change of the clocks in between included."""
        # By instants: two times of one ZoneInfo are subtracted by what their clocks show.
        return timedelta(microseconds=instant(self.dt_to) - instant(self.dt_from))

    def __eq__(self, other: object) -> bool:
        # Who has claimed a session is no part of what the session is.
        if not isinstance(other, Session):
            return NotImplemented
        return self.__dict__ == other.__dict__


class UploadLog(_Row):
    """One attempt to export a session's record to a destination: a row of `upload_log`.

    Mirrors `nexusLIMS.db.models.UploadLog`.

    Examples
    --------
    >>> UploadLog(
    ...     session_identifier="1",
    ...     destination_name="cdcs",
    ...     success=True,
    ...     metadata_json='{"pages": 2}',
    ... ).metadata
    {'pages': 2}
    """

    session_identifier: Identifier = Field(
        description="The session, as in session_log (no foreign key: it is not unique there)"
    )
    destination_name: Identifier = Field(
        description='Where the record was sent (for example "cdcs" or "labarchives")'
    )
    success: ZeroOrOne = Field(description="Whether it arrived")
    timestamp: Timestamp = Field(
        default_factory=utc_now,
        description="When it was tried, ISO 8601, by default now in UTC; a naive time is taken as "
        "UTC",
    )
    record_id: Text | None = Field(
        default=None, description="The destination's identifier of the record, if it arrived"
    )
    record_url: Text | None = Field(
        default=None, description="Where the record can be seen, if it arrived"
    )
    error_message: Text | None = Field(default=None, description="Why it did not arrive")
    metadata_json: Annotated[Text, AfterValidator(_json_object)] | None = Field(
        default=None, description="What else the destination has to say, as a JSON object"
    )
    id: RowId | None = Field(default=None, description="Number of the row, given by the database")

    @property
    def metadata(self) -> dict[str, Any] | None:
        """What `metadata_json` says, parsed; None where it is None."""
        if self.metadata_json is None:
            return None
        parsed: dict[str, Any] = strict_json.parse(self.metadata_json)
        return parsed


class ExternalUserIdentifier(_Row):
    """Who a NexusLIMS user is in another system: a row of `external_user_identifiers`.

    Mirrors `nexusLIMS.db.models.ExternalUserIdentifier`.

    Examples
    --------
    >>> ExternalUserIdentifier(
    ...     nexuslims_username="alice", external_system=ExternalSystem.NEMO, external_id="42"
    ... ).created_at.tzinfo
    datetime.timezone.utc
    """

    nexuslims_username: Identifier = Field(
        description="Username in NexusLIMS, as in session_log.user"
    )
    external_system: ExternalSystem = Field(description="The other system")
    external_id: Identifier = Field(description="The user's identifier there")
    email: Text | None = Field(default=None, description="Address to verify the user by")
    created_at: Timestamp = Field(
        default_factory=utc_now, description="When it was first stored, ISO 8601, UTC"
    )
    last_verified_at: Timestamp | None = Field(
        default=None, description="When it was last stored again, ISO 8601, UTC"
    )
    notes: Text | None = Field(default=None, description="Remarks")
    id: RowId | None = Field(default=None, description="Number of the row, given by the database")
