"""A pytest plugin for NexusLIMS's own tests, which puts `compat` in their database layer's place.

It is loaded before NexusLIMS's conftest, in NexusLIMS's environment, and does three things.
NexusLIMS's names are those of `compat`, in every module that imports them. The tests' and
NexusLIMS's own looks into the database, which are written in SQLModel, go to the real tables:
`select(SessionLog).where(SessionLog.user == …)`, `session.add(UploadLog(…))`. And the databases
that the tests make, which have no version row, are brought to the head revision before `compat`
opens them.

The ids of the tests that passed and of those that did not go to the file that ON_COMPAT_RESULTS
names, as JSON.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nexusLIMS.db.models as tables
import nexusLIMS.db.session_handler
import nexusLIMS.instruments
import pytest
import sqlmodel

from nexuslims_store import Store, compat, default_path

MODELS = ("ExternalUserIdentifier", "Instrument", "SessionLog", "UploadLog")
TABLE_OF = {getattr(compat, name): getattr(tables, name) for name in MODELS}


# -- looks into the database ----------------------------------------------------------------


class WithColumns(type(compat.Instrument)):  # type: ignore[misc]
    """Gives a model of `compat` the columns of its table, to write conditions with."""

    def __getattr__(cls, name: str) -> Any:
        if name in cls.__pydantic_fields__:
            return getattr(TABLE_OF[cls], name)
        return super().__getattr__(name)


for model in TABLE_OF:
    model.__class__ = WithColumns

select, add = sqlmodel.select, sqlmodel.Session.add


def select_from_tables(*entities: Any) -> Any:
    return select(*(TABLE_OF.get(entity, entity) for entity in entities))


def add_to_table(self: Any, instance: Any, **arguments: Any) -> None:
    table = TABLE_OF.get(type(instance))
    if table is not None:
        instance = table(**{name: getattr(instance, name) for name in table.model_fields})
    add(self, instance, **arguments)


sqlmodel.select, sqlmodel.Session.add = select_from_tables, add_to_table


def open_at_head() -> Store:
    """Open the database after bringing it to the head revision, if there is one."""
    return Store(migrate=Path(default_path()).exists())


for part in (compat.instruments, compat.models, compat.session_handler):
    part.Store = open_at_head  # type: ignore[attr-defined]


# -- NexusLIMS's names ----------------------------------------------------------------------


class ForgetfulInstrumentDb(type(compat.instrument_db)):  # type: ignore[misc]
    """NexusLIMS's tests empty and fill its cache; this one has none."""

    def clear(self) -> None:
        pass

    def update(self, instruments: Mapping[str, Any]) -> None:
        pass


for module in (tables, nexusLIMS.db.session_handler, nexusLIMS.instruments):
    module.select = select_from_tables
    for name in compat.__all__:
        if hasattr(module, name):
            setattr(module, name, getattr(compat, name))
nexusLIMS.instruments.instrument_db = ForgetfulInstrumentDb()
nexusLIMS.instruments._ensure_instrument_db_loaded = compat._ensure_instrument_db_loaded


# -- results --------------------------------------------------------------------------------

outcomes: dict[str, bool] = {}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Remember whether a test passed: its call and what is around it."""
    if report.when == "call" or not report.passed:
        outcomes[report.nodeid] = outcomes.get(report.nodeid, True) and not report.failed


def pytest_sessionfinish() -> None:
    """Write down which tests passed and which did not."""
    results = {
        "passed": [test for test, passed in outcomes.items() if passed],
        "failed": [test for test, passed in outcomes.items() if not passed],
    }
    Path(os.environ["ON_COMPAT_RESULTS"]).write_text(json.dumps(results), "utf-8")
