"""Every public callable, each of its arguments given what it cannot be: an error that names it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from itertools import islice
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest
from helpers.support import instrument, log, new_database, upload
from pydantic import BaseModel, ValidationError

import nexuslims_store
from nexuslims_store import (
    Claim,
    InvalidValueError,
    Store,
    StoreError,
    backup,
    compat,
    doctor,
    migrations,
    moving,
    testing,
)
from nexuslims_store.store import FirstUse

ODD: list[Any] = [None, 5, -1, "x", "2025-01-13T12:00:00", object()]
# What an annotation says that each of them fits; what is in no list fits none.
FITS: list[tuple[type, str]] = [
    (type(None), r"\b(None|Any)\b"),
    (int, r"\b(int|float|Any)\b"),
    (str, r"\b(str|Path|PathLike|Any)\b"),
]
MODELS = {"compat.Session"}  # Pydantic refuses what each of their fields cannot be
HOUR = timedelta(hours=1)
NOON = datetime(2025, 1, 13, 12)

# What the arguments are that are right, by name.
RIGHT: dict[str, Any] = {
    "system": "nemo",
    "external_system": "nemo",
    "instrument": instrument(),
    "log": upload(),
    "start": NOON,
    "end": NOON,
    "dt": NOON,
    "dt_range": (NOON, NOON),
    "now": NOON,
    "lease": HOUR,
    "status": "ERROR",
    "id_session_log": 1,
    "revision": "v2_5_0b",
    "from_revision": "base",
    "to_revision": "head",
    "exc_type": None,
    "other": {},
}


class Called:
    """A public callable: an attribute of what is had of an open store."""

    def __init__(self, name: str, owner: Callable[[Store], Any], function: Any) -> None:
        self.name = name
        self.owner = owner
        self.parameters = {
            parameter.name: parameter
            for parameter in inspect.signature(function).parameters.values()
            if parameter.name != "self"
            and parameter.kind not in {parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL}
        }

    def __call__(self, store: Store, arguments: dict[str, Any]) -> Any:
        return getattr(self.owner(store), self.name.rpartition(".")[2])(**arguments)


def functions(module: Any) -> Iterator[Called]:
    name = module.__name__.removeprefix("nexuslims_store.")
    for attribute in module.__all__:
        found = getattr(module, attribute)
        if inspect.isfunction(found) or found in (Store, testing.Clock, compat.Session):
            yield Called(f"{name}.{attribute}", lambda _: module, found)


def methods(kind: type, name: str, owner: Callable[[Store], Any]) -> Iterator[Called]:
    for method, function in inspect.getmembers(kind, inspect.isfunction):
        if not method.startswith("_") and not hasattr(BaseModel, method):
            yield Called(f"{name}.{method}", owner, function)


def everything() -> Iterator[Called]:
    for module in (nexuslims_store, migrations, testing, compat):
        yield from functions(module)
    yield from methods(Store, "store", lambda store: store)
    with Store(":memory:") as store:
        for name in [name for name, made in vars(Store).items() if isinstance(made, FirstUse)]:
            yield from methods(type(getattr(store, name)), name, attrgetter(name))
    made: dict[str, Any] = {
        "Instrument": instrument(),
        "Claim": Claim("1", "A", 1, "odd"),
        "Clock": testing.Clock(),
        "compat.Instrument": compat.Instrument(**instrument().model_dump()),
        "compat.Session": compat.Session("1", None, (NOON, NOON), None),
        "compat.SessionLog": compat.SessionLog(**log().model_dump()),
        "compat.InstrumentTimezone": compat.InstrumentTimezone("Europe/Berlin"),
    }
    for name, one in made.items():
        yield from methods(type(one), name, lambda _, one=one: one)  # type: ignore[misc]


CALLED = {called.name: called for called in everything()}
CALLS = [(name, argument) for name, called in CALLED.items() for argument in called.parameters]


def use(answer: Any) -> None:
    """Begin what a call returns."""
    if isinstance(answer, Store):
        answer.close()
    elif isinstance(answer, AbstractContextManager) and not isinstance(answer, Path):
        with answer:
            pass
    elif isinstance(answer, Iterator):
        list(islice(answer, 3))


def odd_values(annotation: str) -> list[Any]:
    if "Iterable" in annotation or "Collection" in annotation:
        return [*ODD, *([value] for value in ODD)]
    return ODD


def fits(value: Any, annotation: str) -> bool:
    if isinstance(value, list):
        return fits(value[0], annotation)
    return any(isinstance(value, kind) and re.search(says, annotation) for kind, says in FITS)


@pytest.mark.parametrize(("name", "argument"), CALLS)
def test_an_argument_of_the_wrong_type_is_named(
    name: str, argument: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NX_DB_PATH", str(new_database(tmp_path)))
    called = CALLED[name]
    annotation = str(called.parameters[argument].annotation)
    wrong = {}
    with testing.make_store() as store:
        session = testing.add_session(store)
        right = RIGHT | {"session": session, "store": store, "path": tmp_path / "nexuslims.db"}
        if name.startswith("session_logs"):
            right["log"] = log()
        arguments = {
            other: right.get(other, "x")
            for other, parameter in called.parameters.items()
            if parameter.default is parameter.empty
        }
        for value in odd_values(annotation):
            try:
                use(called(store, arguments | {argument: value}))
            except InvalidValueError:
                continue
            except (StoreError, ValidationError) as error:
                # As of a PID that no instrument has, or that can be none.
                if not fits(value, annotation) and name not in MODELS:
                    wrong[repr(value)] = repr(error)
            except TypeError as error:
                which = "item 1 of " if isinstance(value, list) else ""
                if re.match(rf"{which}{argument} must be ", str(error)):
                    continue
                wrong[repr(value)] = repr(error)
            except Exception as error:  # noqa: BLE001
                wrong[repr(value)] = repr(error)
            else:
                if not fits(value, annotation):
                    wrong[repr(value)] = "nothing"
    assert wrong == {}


def test_no_repository_is_left_out() -> None:
    one_of_each = {"sessions.claim", "session_logs.get", "instruments.get", "external_ids.get"}
    assert one_of_each | {"upload_logs.insert"} <= CALLED.keys()


def test_every_wait_is_of_half_a_minute_unless_another_is_asked_for() -> None:
    waits = {
        called.name: called.parameters["timeout"].default
        for called in [*CALLED.values(), *functions(backup), *functions(doctor)]
        if "timeout" in called.parameters
    }
    waits["move"] = inspect.signature(moving.move).parameters["timeout"].default
    assert {"migrations.plan", "backup.restore", "doctor.examine"} <= waits.keys()
    assert set(waits.values()) == {30.0}, waits
