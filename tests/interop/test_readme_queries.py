"""The README's table from SQLModel to this package: each pair gives the same, on one database."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from helpers.interop.facts import rows
from helpers.interop.nexuslims import NexusLIMS
from helpers.support import ROOT

import nexuslims_store
from nexuslims_store import Store
from nexuslims_store.demo import create

pytestmark = pytest.mark.interop

README = (ROOT / "README.md").read_text(encoding="utf-8")
PAIR = re.compile(r"^\| `(.+)` \| `(.+)` \|$", re.MULTILINE)

# What the pairs use beside `session` or `store`, the same for both.
NAMES = """
from datetime import datetime, timezone
new_instrument = Instrument(
    instrument_pid="New", api_url="https://nemo.example.com/new", calendar_url="", location="Room",
    display_name="New one", property_tag="", filestore_path="./new", harvester="nemo",
    timezone_str="Europe/Berlin",
)
new_log = SessionLog(
    session_identifier="new", instrument=pid, event_type=EventType.START, user="alice",
    timestamp=datetime(2025, 6, 2, 9, tzinfo=timezone.utc), record_status=RecordStatus.TO_BE_BUILT,
)
new_upload = UploadLog(
    session_identifier=identifier, destination_name="cdcs", success=False,
    timestamp=datetime(2025, 6, 2, 9, tzinfo=timezone.utc), error_message="no answer",
)
"""

WITH_SQLMODEL = """
import json, sys, warnings
warnings.simplefilter("ignore")
import logging
logging.disable(logging.CRITICAL)
from sqlalchemy import func
from sqlmodel import Session, select
from nexusLIMS.db.engine import get_engine
from nexusLIMS.db.enums import EventType, ExternalSystem, RecordStatus
from nexusLIMS.db.models import ExternalUserIdentifier, Instrument, SessionLog, UploadLog

pid, url, identifier, user, names, codes, write = json.loads(sys.argv[1])

def plain(value):
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if hasattr(value, "model_dump"):
        return {name: plain(of) for name, of in value.model_dump().items()}
    if isinstance(value, dict):
        return {plain(key): plain(of) for key, of in value.items()}
    if isinstance(value, (list, tuple)) or hasattr(value, "_mapping"):
        return [plain(of) for of in value]
    return getattr(value, "value", value)

found = []
for code in codes:
    exec(names)
    with Session(get_engine()) as session:
        if write:
            exec(code)
        else:
            found.append(plain(eval(code)))
print(json.dumps(found))
"""


def pairs(kind: str) -> list[tuple[str, str]]:
    """The rows of one of the README's tables."""
    start = README.index(f"<!-- SQLModel {kind} -->")
    return PAIR.findall(README[start : README.index("<!--", start + 1)])


def plain(value: Any) -> Any:
    """A value as JSON has it, models as dicts."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Enum):
        return value.value
    if hasattr(value, "model_dump"):
        return plain(value.model_dump())
    if isinstance(value, Mapping):
        return {plain(key): plain(of) for key, of in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(of) for of in value]
    return value


def in_any_order(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    return sorted(value, key=lambda one: json.dumps(one, sort_keys=True))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The demo database."""
    return create(tmp_path / "demo.db", now=datetime(2025, 6, 2, tzinfo=UTC))


def names_of(path: Path) -> dict[str, Any]:
    """What the pairs ask for: an instrument and a session with uploads."""
    with Store(path, read_only=True) as store:
        instrument = store.instruments.list()[3]
        session = next(
            each
            for each in store.sessions.iter_overview(instruments=[instrument.instrument_pid])
            if store.upload_logs.list_for_session(each.session_identifier)
        )
        store_names = {
            name: getattr(nexuslims_store, name)
            for name in nexuslims_store.__all__
            if name[0] != "_"
        }
        return store_names | {
            "pid": instrument.instrument_pid,
            "url": instrument.api_url,
            "identifier": session.session_identifier,
            "user": store.external_ids.list()[0].nexuslims_username,
        }


def by_nexuslims(
    nexuslims: NexusLIMS, path: Path, names: dict[str, Any], codes: list[str], *, write: bool
) -> list[Any]:
    given = [names["pid"], names["url"], names["identifier"], names["user"], NAMES, codes, write]
    found: list[Any] = json.loads(nexuslims.run(WITH_SQLMODEL, path, json.dumps(given)).stdout)
    return found


def test_what_is_read_is_the_same(nexuslims: NexusLIMS, path: Path) -> None:
    names = names_of(path)
    table = pairs("reads")
    assert len(table) > 15
    theirs = by_nexuslims(nexuslims, path, names, [code for code, _ in table], write=False)
    with Store(path, read_only=True) as store:
        for (code, call), their in zip(table, theirs, strict=True):
            ours = plain(eval(call, names | {"store": store}))
            assert in_any_order(ours) == in_any_order(their), f"{code}\n{call}"
            assert ours not in ([], None, {}), call


@pytest.mark.parametrize(("code", "call"), pairs("writes"))
def test_what_is_written_is_the_same(
    nexuslims: NexusLIMS, path: Path, code: str, call: str
) -> None:
    names = names_of(path)
    other = Path(shutil.copy(path, path.with_name("other.db")))
    before = rows(path)
    by_nexuslims(nexuslims, other, names, [code], write=True)
    with Store(path) as store:
        exec(NAMES, names)
        exec(call, names | {"store": store})
    assert rows(path) == rows(other) != before
